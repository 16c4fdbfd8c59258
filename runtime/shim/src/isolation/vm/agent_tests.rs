use std::os::unix::net::UnixStream;

use sandbox_protocol::{Done, Failed};
use tokio::io::AsyncWriteExt;

use super::*;

/// Runs `test` with an [`Agent`] and the guest's end of its connection.
fn with_agent<F: Future<Output = ()>>(
    test: impl FnOnce(Rc<Agent>, FdStream, Rc<RefCell<Option<String>>>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (host, guest) = UnixStream::pair().unwrap();
        let lost = Rc::new(RefCell::new(None));
        let agent = {
            let lost = Rc::clone(&lost);
            Agent::new(FdStream::new(host.into()).unwrap(), Patience::new(Duration::ZERO), move |reason| {
                *lost.borrow_mut() = Some(reason);
            })
        };
        test(Rc::new(agent), FdStream::new(guest.into()).unwrap(), lost).await;
    });
}

async fn greet(guest: &mut FdStream) {
    frame::write(guest, &Hello { version: VERSION, uptime_ns: 1 }).await.unwrap();
}

fn sync() -> request::Body {
    request::Body::Sync(sandbox_protocol::Sync {})
}

async fn tell(guest: &mut FdStream, id: u64, body: message::Body) {
    frame::write(guest, &Message { id, body: Some(body) }).await.unwrap();
}

#[test]
fn answers_find_their_requests_in_any_order() {
    with_agent(|agent, mut guest, _| async move {
        greet(&mut guest).await;
        let [first, second] = agent.send([sync(), sync()]).await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..2 {
            let request: Request = frame::read(&mut guest, 4096).await.unwrap().unwrap();
            ids.push(request.id);
        }
        tell(&mut guest, 999, message::Body::Done(Done { pid: 1 })).await;
        let failed = Failed { message: "exec: \"x\": not\x1b[0m found".into(), exit_code: 127 };
        tell(&mut guest, ids[1], message::Body::Failed(failed)).await;
        tell(&mut guest, ids[0], message::Body::Done(Done { pid: 42 })).await;
        assert_eq!(first.answer().await.unwrap(), message::Body::Done(Done { pid: 42 }));
        let failure = second.answer().await.unwrap_err();
        assert_eq!((failure.message.as_str(), failure.exit_code), ("exec: \"x\": not[0m found", 127));
    });
}

#[test]
fn an_exit_code_that_is_none_of_ours_becomes_125() {
    with_agent(|agent, mut guest, _| async move {
        greet(&mut guest).await;
        let [pending] = agent.send([sync()]).await.unwrap();
        tell(&mut guest, 1, message::Body::Failed(Failed { message: "?".into(), exit_code: 0 })).await;
        assert_eq!(pending.answer().await.unwrap_err().exit_code, 125);
    });
}

#[test]
fn the_end_of_a_process_reaches_who_waits_for_it() {
    with_agent(|agent, mut guest, _| async move {
        greet(&mut guest).await;
        let init = agent.exited("");
        let exec = agent.exited("e1");
        for (exec, code) in [("nobody", 1), ("e1", 300), ("", 137)] {
            let event = Exited { container: "c".into(), exec: exec.into(), code, oom_killed: code == 137 };
            tell(&mut guest, 0, message::Body::Exited(event)).await;
        }
        assert_eq!(exec.await.unwrap().code, 125);
        assert_eq!(init.await.unwrap(), Exit { code: 137, oom_killed: true, error: None });
        assert!(!agent.expects(""));
        let late = agent.exited("late");
        agent.end_all(&Exit { code: 125, oom_killed: false, error: Some("died".into()) });
        assert_eq!(late.await.unwrap().error.as_deref(), Some("died"));
    });
}

#[test]
fn a_hostile_or_lost_agent_ends_what_waits() {
    for (bytes, expected) in [
        (vec![0xff, 0xff, 0xff, 0xff], "above the limit"),
        (vec![2, 0, 0, 0, 0x08, 9], "version 9"),
        (vec![], "closed the connection"),
        (vec![3, 0, 0], "middle of a frame"),
    ] {
        with_agent(|agent, mut guest, lost| async move {
            let [pending] = agent.send([sync()]).await.unwrap();
            guest.write_all(&bytes).await.unwrap();
            guest.shutdown().await.unwrap();
            assert_eq!(pending.answer().await.unwrap_err().message, "the agent in the guest is gone");
            tokio::task::yield_now().await;
            let reason = lost.borrow().clone().unwrap();
            assert!(reason.contains(expected), "{reason}");
        });
    }
}
