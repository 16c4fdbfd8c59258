use proptest::prelude::*;

use super::*;
use crate::{Create, Exited, Hello, MAX_FRAME, Request, StreamHeader, message, request};

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn create(spec: Vec<u8>) -> Request {
    let create = Create { container: "c".into(), spec, user: "www:data".into(), ..Create::default() };
    Request { id: 7, body: Some(request::Body::Create(create)) }
}

#[test]
fn pipelined_frames_come_out_in_order_and_nothing_is_read_past_the_last() {
    let mut wire = Vec::new();
    encode(&create(vec![1, 2, 3]), &mut wire).unwrap();
    encode(&Request { id: 8, body: None }, &mut wire).unwrap();
    wire.extend_from_slice(b"raw bytes");
    let mut from = wire.as_slice();
    let first: Request = block_on(read(&mut from, MAX_FRAME)).unwrap().unwrap();
    assert_eq!(first, create(vec![1, 2, 3]));
    let second: Request = block_on(read(&mut from, MAX_FRAME)).unwrap().unwrap();
    assert_eq!(second.id, 8);
    assert_eq!(from, b"raw bytes");
}

#[test]
fn end_of_file_between_frames_is_no_error_but_inside_one_is() {
    assert!(block_on(read::<Hello, _>(&mut [].as_slice(), 64)).unwrap().is_none());
    let mut wire = Vec::new();
    encode(&StreamHeader { token: vec![9; 16] }, &mut wire).unwrap();
    for cut in 1..wire.len() {
        let got = block_on(read::<StreamHeader, _>(&mut &wire[..cut], 64));
        assert!(matches!(got, Err(FrameError::Truncated)), "cut at {cut}: {got:?}");
    }
}

#[test]
fn a_length_above_the_limit_is_refused_before_its_bytes_are_read() {
    for length in [65_u32, 1 << 20, u32::MAX] {
        let got = block_on(read::<Hello, _>(&mut length.to_le_bytes().as_slice(), 64));
        assert!(matches!(got, Err(FrameError::TooLong { limit: 64, .. })), "{length}: {got:?}");
    }
    let mut out = b"kept".to_vec();
    assert!(matches!(encode(&create(vec![0; MAX_FRAME]), &mut out), Err(FrameError::TooLong { .. })));
    assert_eq!(out, b"kept");
}

#[test]
fn a_message_of_a_newer_peer_still_decodes() {
    // Field 9, a varint, unknown to this version, then field 1.
    let mut wire = 4_u32.to_le_bytes().to_vec();
    wire.extend_from_slice(&[0x48, 0x05, 0x08, 0x02]);
    let hello: Hello = block_on(read(&mut wire.as_slice(), 64)).unwrap().unwrap();
    assert_eq!(hello.version, 2);
}

proptest! {
    #[test]
    fn garbage_never_panics_and_never_yields_more_than_it_holds(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let mut from = bytes.as_slice();
        while let Ok(Some(_)) = block_on(read::<Request, _>(&mut from, 256)) {}
        let mut from = bytes.as_slice();
        while let Ok(Some(_)) = block_on(read::<crate::Message, _>(&mut from, 256)) {}
    }

    #[test]
    fn events_survive_the_wire(container in ".{0,64}", exec in ".{0,64}", code in any::<u32>(), oom_killed in any::<bool>()) {
        let event = crate::Message { id: 0, body: Some(message::Body::Exited(Exited { container, exec, code, oom_killed })) };
        let mut wire = Vec::new();
        encode(&event, &mut wire).unwrap();
        prop_assert_eq!(block_on(read::<crate::Message, _>(&mut wire.as_slice(), crate::MAX_ANSWER)).unwrap(), Some(event));
    }
}
