//! Servers that answer byte by byte as a test wants them to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }
}

pub(super) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

type Handler = dyn Fn(&Seen, &mut dyn Stream) + Send + Sync;

/// A server on a port of its own; its threads end with the test's process.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(super) fn start(handler: impl Fn(&Seen, &mut dyn Stream) + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(handler))
    }

    pub(super) fn start_tls(
        config: ServerConfig,
        handler: impl Fn(&Seen, &mut dyn Stream) + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(Arc::new(config)), Arc::new(handler))
    }

    fn listen(tls: Option<Arc<ServerConfig>>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                stream.set_nodelay(true).unwrap();
                let (tls, handler, log) = (tls.clone(), handler.clone(), log.clone());
                std::thread::spawn(move || match tls {
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        serve(StreamOwned::new(connection, stream), &log, &*handler);
                    }
                    None => serve(stream, &log, &*handler),
                });
            }
        });
        Self { address, seen }
    }

    /// `HOST:PORT` under one of the test's names.
    pub(super) fn named(&self, host: &str) -> String {
        format!("{host}:{}", self.address.port())
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Those that are not the question whether the server speaks HTTP.
    pub(super) fn asked(&self) -> Vec<String> {
        let asked = self.seen().into_iter().filter(|seen| seen.path != "/v2/");
        asked.map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }
}

fn serve(stream: impl Stream, log: &Mutex<Vec<Seen>>, handler: &Handler) {
    let mut stream = BufReader::new(stream);
    loop {
        if stream.fill_buf().is_ok_and(|bytes| bytes.first().is_some_and(|first| !first.is_ascii_graphic())) {
            // As servers do when somebody speaks TLS to them.
            return respond(stream.get_mut(), 400, &[("Connection", "close")], b"");
        }
        let Some(seen) = receive(&mut stream) else { return };
        log.lock().unwrap().push(seen.clone());
        handler(&seen, stream.get_mut());
        if stream.get_mut().flush().is_err() {
            break;
        }
    }
}

fn receive(stream: &mut BufReader<impl Stream>) -> Option<Seen> {
    let mut line = || {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).ok()?;
        let line = String::from_utf8(line).ok()?;
        line.strip_suffix("\r\n").map(str::to_owned)
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut seen = Seen { method, path, headers, body: Vec::new() };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if seen.header("expect").is_some() {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        stream.get_mut().flush().ok()?;
    }
    seen.body = vec![0; length];
    stream.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

/// An ordinary answer.
pub(super) fn respond(stream: &mut dyn Stream, status: u16, headers: &[(&str, &str)], body: &[u8]) {
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    if !headers.iter().any(|(name, _)| *name == "Content-Length") {
        all.push(("Content-Length", &length));
    }
    head(stream, status, &all);
    let _ = stream.write_all(body);
}

/// The beginning of an answer.
pub(super) fn head(stream: &mut dyn Stream, status: u16, headers: &[(&str, &str)]) {
    let mut text = format!("HTTP/1.1 {status} Reason\r\n");
    for (name, value) in headers {
        text += &[name, ": ", value, "\r\n"].concat();
    }
    text.push_str("\r\n");
    let _ = stream.write_all(text.as_bytes());
}

/// Writes `piece` again and again until nobody listens, at most ten seconds long.
pub(super) fn endlessly(stream: &mut dyn Stream, piece: &[u8], pause: Duration) {
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while std::time::Instant::now() < end {
        if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
            return;
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
}

/// Waits without a word.
pub(super) fn silence(stream: &mut dyn Stream) {
    let _ = stream.flush();
    std::thread::sleep(Duration::from_secs(3));
}

/// An address where nobody listens.
pub(super) fn refused_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert!(TcpStream::connect(address).is_err());
    address
}
