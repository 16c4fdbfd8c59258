//! Filters, and reading while events happen.

use std::sync::mpsc;
use std::time::Duration;

use rstest::rstest;
use sandbox_shim::events::{Container, append};

use super::*;

fn started() -> Event {
    let labels = [("tier".to_owned(), "web".to_owned()), ("zone".to_owned(), "1".to_owned())].into();
    let container = Container { id: "abc123", name: "front", image: "reg.io:5000/alpine:3", labels: &labels };
    Event::container("start", &container, [])
}

#[rstest]
#[case(&[], true)]
#[case(&[("container", "abc")], true)]
#[case(&[("container", "fro")], true)]
#[case(&[("container", "bc1")], false)]
#[case(&[("container", "x"), ("container", "front")], true)]
#[case(&[("container", "front"), ("event", "die")], false)]
#[case(&[("event", "die"), ("event", "start")], true)]
#[case(&[("event", "sta")], false)]
#[case(&[("image", "reg.io:5000/alpine")], true)]
#[case(&[("image", "reg.io:5000/alpine:3")], true)]
#[case(&[("image", "alpine")], false)]
#[case(&[("label", "tier")], true)]
#[case(&[("label", "tier=web"), ("label", "zone=1")], true)]
#[case(&[("label", "tier=web"), ("label", "zone=2")], false)]
#[case(&[("type", "container"), ("scope", "local")], true)]
#[case(&[("type", "image")], false)]
#[case(&[("volume", "data")], false)]
fn filters(#[case] pairs: &[(&str, &str)], #[case] want: bool) {
    assert_eq!(EventFilter::parse(pairs.iter().copied()).unwrap().matches(&started()), want);
}

#[test]
fn long_actions_and_wrong_keys() {
    let event = Event { action: "exec_create: sh -c x".to_owned(), ..started() };
    assert!(EventFilter::parse([("event", "exec_create")]).unwrap().matches(&event));
    assert!(!EventFilter::parse([("event", "exec_die")]).unwrap().matches(&event));
    assert_eq!(EventFilter::parse([("colour", "x")]).unwrap_err().to_string(), "invalid filter 'colour'");
}

struct Collect(mpsc::Sender<String>, usize);

impl Reader for Collect {
    fn event(&mut self, event: &Event) -> ControlFlow<()> {
        self.0.send(event.actor.id.clone()).unwrap();
        self.1 -= 1;
        if self.1 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn idle(&mut self) -> ControlFlow<()> {
        self.0.send("idle".to_owned()).unwrap();
        ControlFlow::Continue(())
    }
}

fn volume(name: &str) -> Event {
    Event::volume("create", name, [("driver", "local")])
}

#[test]
fn the_past_and_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let (send, receive) = mpsc::channel();
    for name in ["one", "two"] {
        append(dir.path(), &volume(name));
    }
    let past = Options { since_ns: Some(0), until_ns: Some(realtime_ns()), ..Options::default() };
    read(dir.path(), &past, &mut Collect(send.clone(), 9)).unwrap();
    assert_eq!(receive.try_iter().collect::<Vec<_>>(), ["one", "two"]);
    std::thread::scope(|scope| {
        let (dir, send) = (dir.path(), send.clone());
        scope.spawn(move || read(dir, &Options::default(), &mut Collect(send, 2)).unwrap());
        assert_eq!(receive.recv_timeout(Duration::from_mins(1)).unwrap(), "idle", "nothing of the past");
        append(dir, &volume("three"));
        append(dir, &volume("four"));
        let seen: Vec<String> = receive.iter().filter(|id| id != "idle").take(2).collect();
        assert_eq!(seen, ["three", "four"]);
    });
    let soon =
        Options { until_ns: Some(realtime_ns() + 50_000_000), since_ns: Some(0), ..Options::default() };
    read(dir.path(), &soon, &mut Collect(send, 99)).unwrap();
    assert_eq!(receive.try_iter().filter(|id| id != "idle").count(), 4);
    let error = read(
        dir.path(),
        &Options { since_ns: Some(2), until_ns: Some(1), ..Options::default() },
        &mut Collect(mpsc::channel().0, 1),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "`since` time (1970-01-01T00:00:00.000000002Z) cannot be after `until` time (1970-01-01T00:00:00.000000001Z)"
    );
}

#[test]
fn the_past_without_a_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (send, receive) = mpsc::channel();
    read(dir.path(), &Options { until_ns: Some(1), ..Options::default() }, &mut Collect(send, 1)).unwrap();
    assert_eq!(receive.try_iter().count(), 0);
}
