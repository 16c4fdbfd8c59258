//! Through a proxy, which finds hosts itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use sandbox_image::{ManifestName, Origin};

use super::server::{Server, respond};
use super::{Fixture, MANIFEST, once};
use crate::config::Insecure;
use crate::proxy::Proxies;

/// A proxy for which every name is this machine; it takes `user:pass` and nobody else.
fn proxy() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || tunnel(client));
        }
    });
    address
}

fn tunnel(mut client: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let lines: Vec<String> =
        reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let authority = lines.first()?.strip_prefix("CONNECT ")?.split(' ').next()?;
    if !lines.iter().any(|line| line == "Proxy-Authorization: Basic dXNlcjpwYXNz") {
        let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        return None;
    }
    let port: u16 = authority.rsplit_once(':')?.1.parse().ok()?;
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").ok()?;
    let (mut back_from, mut back_to) = (server.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::spawn(move || std::io::copy(&mut back_from, &mut back_to));
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(std::net::Shutdown::Write);
    Some(())
}

fn fixture(proxy: &str) -> Fixture {
    let proxies = Proxies::from_variables(|name| (name == "ALL_PROXY").then(|| proxy.to_owned()));
    Fixture::behind(proxies, tempfile::tempdir().unwrap(), |config| {
        once(config);
        config.insecure.push(Insecure::Host { name: "far.test".to_owned(), port: None });
    })
}

#[test]
fn the_proxy_finds_the_host() {
    let server = Server::start(|_, stream| respond(stream, 200, &[], MANIFEST));
    let name = server.named("far.test");
    let fixture_ = fixture(&format!("http://user:pass@{}", proxy()));
    let repository = fixture_.pull(&format!("{name}/app:v1"));
    assert_eq!(repository.manifest(ManifestName::Tag("v1"), 65536).unwrap().bytes, MANIFEST);

    let stranger = fixture(&format!("http://{}", proxy()));
    let error =
        stranger.pull(&format!("{name}/app:v1")).manifest(ManifestName::Tag("v1"), 65536).unwrap_err();
    assert!(error.message.contains("the proxy refuses"), "{error}");
    let direct = Fixture::new(once);
    let error = direct.pull(&format!("{name}/app:v1")).manifest(ManifestName::Tag("v1"), 65536).unwrap_err();
    assert!(error.message.contains("there is no host of that name"), "{error}");
}

/// How near the host is that a proxy reaches is not known; it counts as far.
#[test]
fn who_is_behind_a_proxy_does_not_send_us_here() {
    for (location, cause) in [
        ("http://127.0.0.1:9/", "127.0.0.1, an address of this machine"),
        ("http://localhost:9/", "localhost (127.0.0.1), an address of this machine"),
        ("http://169.254.169.254/", "169.254.169.254, a link-local address"),
        ("http://10.0.0.1/", "10.0.0.1, an address of a private network"),
    ] {
        let server = Server::start(move |seen, stream| match seen.path.as_str() {
            "/v2/" => respond(stream, 200, &[], b""),
            _ => respond(stream, 307, &[("Location", location)], b""),
        });
        let fixture = fixture(&format!("http://user:pass@{}", proxy()));
        let repository = fixture.pull(&format!("{}/app:v1", server.named("far.test")));
        let error = repository.manifest(ManifestName::Tag("v1"), 65536).expect_err(location);
        assert!(error.message.contains(cause), "{location}: {error}");
    }
}
