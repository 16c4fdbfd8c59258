//! Answers that no honest registry gives. Each is refused, soon, with a message that names the cause.

use std::time::{Duration, Instant};

use sandbox_image::{Digest, ManifestName, Origin, RemoteErrorKind};

use super::server::{Seen, Server, Stream, endlessly, head, respond, silence};
use super::{BLOB, Fixture, MANIFEST, get_blob, once, read};
use crate::RegistriesConfig;

const NONE: Duration = Duration::ZERO;
const DRIP: Duration = Duration::from_millis(100);

/// Long enough for this test on a busy machine, and shorter than any time-out that is not meant.
const SOON: Duration = Duration::from_secs(20);

type Behaviour = fn(&Seen, &mut dyn Stream);
type Timing = fn(&mut RegistriesConfig);

/// Answers must come soon, however steadily they drip.
fn hasty(config: &mut RegistriesConfig) {
    once(config);
    config.timeouts.answer = Duration::from_millis(600);
}

/// Nobody may be silent for long.
fn nervous(config: &mut RegistriesConfig) {
    once(config);
    config.timeouts.idle = Duration::from_millis(300);
}

/// What drips is slow, and not silent.
fn watchful(config: &mut RegistriesConfig) {
    once(config);
    config.timeouts.idle = Duration::from_millis(1500);
}

/// Whatever happens to a request but the first question.
fn server(behaviour: Behaviour) -> Server {
    Server::start(move |seen, stream| match seen.path.as_str() {
        "/v2/" => respond(stream, 200, &[], b""),
        _ => behaviour(seen, stream),
    })
}

#[test]
fn manifests() {
    let cases: &[(&str, Timing, Behaviour, RemoteErrorKind, &str)] = &[
        (
            "a digest that is not the content's",
            once,
            |_, stream| {
                let other = Digest::sha256(b"other").to_string();
                respond(stream, 200, &[("Docker-Content-Digest", &other)], MANIFEST);
            },
            RemoteErrorKind::Refused,
            "says that the digest of",
        ),
        (
            "a digest that is none",
            once,
            |_, stream| respond(stream, 200, &[("Docker-Content-Digest", "md5:\x1b[31m")], MANIFEST),
            RemoteErrorKind::Refused,
            "does not answer in HTTP",
        ),
        (
            "a digest of nothing",
            once,
            |_, stream| respond(stream, 200, &[("Docker-Content-Digest", "sha256:../..")], MANIFEST),
            RemoteErrorKind::Refused,
            "sends an invalid digest, \"sha256:../..\"",
        ),
        (
            "a length above the limit",
            once,
            |_, stream| {
                head(stream, 200, &[("Content-Length", "100000000000")]);
                silence(stream);
            },
            RemoteErrorKind::Refused,
            "sends a document of more than 65536 bytes",
        ),
        (
            "an endless body",
            once,
            |_, stream| {
                head(stream, 200, &[("Transfer-Encoding", "chunked")]);
                endlessly(stream, b"10\r\n0123456789abcdef\r\n", NONE);
            },
            RemoteErrorKind::Refused,
            "sends a document of more than 65536 bytes",
        ),
        (
            "a body without length",
            once,
            |_, stream| {
                head(stream, 200, &[("Connection", "close")]);
                endlessly(stream, &[b'x'; 4096], NONE);
            },
            RemoteErrorKind::Refused,
            "sends a document of more than 65536 bytes",
        ),
        (
            "endless trailers",
            hasty,
            |_, stream| {
                head(stream, 200, &[("Transfer-Encoding", "chunked")]);
                let _ = stream.write_all(b"2\r\n{}\r\n0\r\n");
                endlessly(stream, b"X-Trailer: x\r\n", Duration::from_millis(1));
            },
            RemoteErrorKind::Transient,
            "does not complete its answer in time",
        ),
        (
            "a chunk without end",
            once,
            |_, stream| {
                head(stream, 200, &[("Transfer-Encoding", "chunked")]);
                endlessly(stream, b"0", NONE);
            },
            RemoteErrorKind::Refused,
            "",
        ),
        (
            "an endless header",
            once,
            |_, stream| endlessly(stream, b"HTTP/1.1 200 OK\r\nX-A: ", NONE),
            RemoteErrorKind::Refused,
            "does not answer in HTTP",
        ),
        (
            "a header value without end",
            once,
            |_, stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX-A: ");
                endlessly(stream, &[b'x'; 1024], NONE);
            },
            RemoteErrorKind::Refused,
            "sends an endless answer header",
        ),
        (
            "too many headers",
            once,
            |_, stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
                endlessly(stream, b"X-A: x\r\n", NONE);
            },
            RemoteErrorKind::Refused,
            "does not answer in HTTP",
        ),
        (
            "endless preliminary answers",
            hasty,
            |_, stream| endlessly(stream, b"HTTP/1.1 103 Early Hints\r\n\r\n", Duration::from_millis(1)),
            RemoteErrorKind::Transient,
            "does not complete its answer in time",
        ),
        (
            "a header that drips",
            hasty,
            |_, stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX-A: ");
                endlessly(stream, b"x", DRIP);
            },
            RemoteErrorKind::Transient,
            "does not complete its answer in time",
        ),
        (
            "a body that drips",
            hasty,
            |_, stream| {
                head(stream, 200, &[("Content-Length", "60000")]);
                endlessly(stream, b"x", DRIP);
            },
            RemoteErrorKind::Transient,
            "does not complete its answer in time",
        ),
        ("silence", nervous, |_, stream| silence(stream), RemoteErrorKind::Transient, "has stopped sending"),
        (
            "another protocol",
            once,
            |_, stream| {
                let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
                silence(stream);
            },
            RemoteErrorKind::Refused,
            "does not answer in HTTP",
        ),
        (
            "a body that ends early",
            once,
            |_, stream| {
                head(stream, 200, &[("Content-Length", "1000"), ("Connection", "close")]);
                let _ = stream.write_all(b"{}");
                std::panic::resume_unwind(Box::new(()));
            },
            RemoteErrorKind::Transient,
            "broke the connection",
        ),
        (
            "an unexpected status",
            once,
            |_, stream| respond(stream, 226, &[], MANIFEST),
            RemoteErrorKind::Refused,
            "answers 226",
        ),
        (
            "a part that nobody asked for",
            once,
            |_, stream| respond(stream, 206, &[("Content-Range", "bytes 0-9/10")], MANIFEST),
            RemoteErrorKind::Refused,
            "answers 206",
        ),
        (
            "another protocol on this connection",
            once,
            |_, stream| respond(stream, 101, &[("Upgrade", "x")], b""),
            RemoteErrorKind::Refused,
            "",
        ),
    ];
    for (what, timing, behaviour, kind, cause) in cases {
        let server = server(*behaviour);
        let fixture = Fixture::new(*timing);
        let repository = fixture.pull(&format!("{}/app:v1", server.named("localhost")));
        let begun = Instant::now();
        let error = repository.manifest(ManifestName::Tag("v1"), 65536).expect_err(what);
        assert!(error.message.contains(cause), "{what}: {error}");
        assert!(!error.message.contains(|c: char| c.is_control()), "{what}: {error:?}");
        assert_eq!(error.kind, *kind, "{what}: {error}");
        assert!(begun.elapsed() < SOON, "{what}: took {:?}", begun.elapsed());
    }
}

#[test]
fn content_of_another_digest() {
    let server = server(|_, stream| respond(stream, 200, &[], MANIFEST));
    let fixture = Fixture::new(once);
    let repository = fixture.pull(&format!("{}/app:v1", server.named("localhost")));
    let wanted = Digest::sha256(b"other");
    let error = repository.manifest(ManifestName::Digest(&wanted), 65536).unwrap_err();
    assert!(error.message.contains("sends content of digest"), "{error}");
}

/// Refused before a byte of content is read, or while it is.
#[test]
fn blobs() {
    let cases: &[(&str, u64, Timing, Behaviour, &str)] = &[
        (
            "another length",
            0,
            once,
            |_, stream| respond(stream, 200, &[], b"0123456789x"),
            "announces 11 bytes where 10 are to come",
        ),
        (
            "less than there should be",
            0,
            once,
            |_, stream| respond(stream, 200, &[], b"012345678"),
            "announces 9 bytes where 10 are to come",
        ),
        (
            "an endless body",
            0,
            once,
            |_, stream| {
                head(stream, 200, &[("Transfer-Encoding", "chunked")]);
                endlessly(stream, b"10\r\n0123456789abcdef\r\n", NONE);
            },
            "sends more than the blob's size",
        ),
        (
            "a body that ends early, without length",
            0,
            once,
            |_, stream| {
                head(stream, 200, &[("Connection", "close")]);
                let _ = stream.write_all(b"01234");
                let _ = stream.flush();
                std::panic::resume_unwind(Box::new(()));
            },
            "broke the connection with 5 bytes to come",
        ),
        (
            "a body that ends early",
            0,
            once,
            |_, stream| {
                head(stream, 200, &[("Content-Length", "10")]);
                let _ = stream.write_all(b"01234");
                let _ = stream.flush();
                std::panic::resume_unwind(Box::new(()));
            },
            "broke the connection",
        ),
        (
            "a body that stops",
            0,
            nervous,
            |_, stream| {
                head(stream, 200, &[("Content-Length", "10")]);
                let _ = stream.write_all(b"01234");
                silence(stream);
            },
            "has stopped sending",
        ),
        (
            "a body that drips",
            0,
            watchful,
            |_, stream| {
                head(stream, 200, &[("Content-Length", "10")]);
                endlessly(stream, b"x", 4 * DRIP);
            },
            "sends too slowly",
        ),
        (
            "an error with endless trailers",
            0,
            once,
            |_, stream| {
                head(stream, 404, &[("Transfer-Encoding", "chunked")]);
                let _ = stream.write_all(b"2\r\n{}\r\n0\r\n");
                endlessly(stream, b"X-Trailer: x\r\n", Duration::from_millis(1));
            },
            "answers 404",
        ),
        (
            "an error that drips",
            0,
            hasty,
            |_, stream| {
                head(stream, 404, &[("Content-Length", "60000")]);
                endlessly(stream, b"x", DRIP);
            },
            "answers 404",
        ),
        (
            "a part that nobody asked for",
            0,
            once,
            |_, stream| respond(stream, 206, &[("Content-Range", "bytes 0-9/10")], BLOB),
            "answers 206",
        ),
        (
            "another part",
            4,
            once,
            |_, stream| respond(stream, 206, &[("Content-Range", "bytes 3-8/10")], b"345678"),
            "sends another part than bytes 4 to 10 (Content-Range \"bytes 3-8/10\")",
        ),
        (
            "a part of another blob",
            4,
            once,
            |_, stream| respond(stream, 206, &[("Content-Range", "bytes 4-9/11")], b"456789"),
            "sends another part",
        ),
        (
            "a part of a part",
            4,
            once,
            |_, stream| respond(stream, 206, &[("Content-Range", "bytes 4-8/10")], b"45678"),
            "sends another part",
        ),
        (
            "a part that says nothing",
            4,
            once,
            |_, stream| respond(stream, 206, &[], b"456789"),
            "sends another part",
        ),
        (
            "numbers beyond counting",
            4,
            once,
            |_, stream| {
                let range = "bytes 4-99999999999999999999999/99999999999999999999999999";
                respond(stream, 206, &[("Content-Range", range)], b"456789");
            },
            "sends another part",
        ),
        (
            "a part that is longer than it says",
            4,
            once,
            |_, stream| respond(stream, 206, &[("Content-Range", "bytes 4-9/10")], b"456789abc"),
            "announces 9 bytes where 6 are to come",
        ),
        ("nothing satisfies it", 4, once, |_, stream| respond(stream, 416, &[], b""), "answers 416"),
    ];
    for (what, offset, timing, behaviour, cause) in cases {
        let server = server(*behaviour);
        let fixture = Fixture::new(*timing);
        let repository = fixture.pull(&format!("{}/app", server.named("localhost")));
        let begun = Instant::now();
        let message = match get_blob(&repository, *offset) {
            Err(error) => error.message,
            Ok(blob) => read(blob).expect_err(what),
        };
        assert!(message.contains(cause), "{what}: {message}");
        assert!(begun.elapsed() < SOON, "{what}: took {:?}", begun.elapsed());
    }
}

/// Whoever reads a blob learns what may be tried again.
#[test]
fn errors_of_content_have_a_kind() {
    let server = server(|_, stream| {
        head(stream, 200, &[("Content-Length", "10")]);
        silence(stream);
    });
    let fixture = Fixture::new(nervous);
    let mut blob = get_blob(&fixture.pull(&format!("{}/app", server.named("localhost"))), 0).unwrap();
    for _ in 0..2 {
        let error = blob.content.read(&mut [0; 10]).unwrap_err();
        let remote =
            error.get_ref().and_then(|inner| inner.downcast_ref::<sandbox_image::RemoteError>()).unwrap();
        assert_eq!(remote.kind, RemoteErrorKind::Transient);
    }
}

#[test]
fn errors_cannot_write_to_the_terminal() {
    let server = server(|_, stream| {
        let body = "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"\\u001b]0;owned\\u0007\\r\\u009b2J\\u202egnp\"}]}";
        respond(stream, 403, &[], body.as_bytes());
    });
    let fixture = Fixture::new(once);
    let repository = fixture.pull(&format!("{}/app:v1", server.named("localhost")));
    let error = repository.manifest(ManifestName::Tag("v1"), 65536).unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::Denied);
    assert!(error.message.contains("pull access denied for") && error.message.contains("owned"), "{error}");
    assert!(!error.message.contains(|c: char| c.is_control() || c == '\u{202e}'), "{error:?}");
}

#[test]
fn rate_limits_are_explained_and_not_waited_out() {
    let server = server(|_, stream| {
        let headers = [
            ("Retry-After", "86400"),
            ("RateLimit-Limit", "100;w=21600"),
            ("RateLimit-Remaining", "0;w=21600"),
        ];
        let body =
            br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
        respond(stream, 429, &headers, body);
    });
    let fixture = Fixture::new(|config| config.retries = crate::Retries(3));
    let repository = fixture.pull(&format!("{}/app:v1", server.named("localhost")));
    let begun = Instant::now();
    let error = repository.manifest(ManifestName::Tag("v1"), 65536).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(server.asked().len(), 1, "asked again before it was time");
    assert_eq!(error.kind, RemoteErrorKind::Transient);
    let expected = "toomanyrequests: You have reached your pull rate limit. \
        (the limit is 100 in 6 hours; 0 remain; try again in 24 hours, or log in with 'sandbox login')";
    assert!(error.message.contains(expected), "{error}");
}

#[test]
fn lists_are_bounded() {
    let endless = server(|_, stream| {
        let link = [("Link", "</v2/app/tags/list?n=1000&last=a>; rel=\"next\"")];
        respond(stream, 200, &link, br#"{"tags":["a"]}"#);
    });
    let elsewhere = server(|_, stream| {
        respond(stream, 200, &[("Link", "<http://other.test/tags>; rel=\"next\"")], br#"{"tags":["a"]}"#);
    });
    let nonsense = server(|_, stream| respond(stream, 200, &[], b"[[[["));
    for (server, cause) in [
        (&endless, "more than 1000 pages"),
        (&elsewhere, "goes on elsewhere"),
        (&nonsense, "a list that is none"),
    ] {
        let fixture = Fixture::new(|_| {});
        let error = fixture.pull(&format!("{}/app", server.named("localhost"))).tags().unwrap_err();
        assert!(error.message.contains(cause), "{error}");
    }
}
