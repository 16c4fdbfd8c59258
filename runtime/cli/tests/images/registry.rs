//! A registry in memory: what pull and push need of the distribution protocol, over plain HTTP on the loopback.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Content by `/v2/REPOSITORY/blobs/DIGEST` and `/v2/REPOSITORY/manifests/NAME`.
type Content = HashMap<String, (String, Vec<u8>)>;

#[derive(Clone, Default)]
struct Shared {
    content: Arc<Mutex<Content>>,
    log: Arc<Mutex<Vec<String>>>,
    /// Blobs longer than this stop coming there, for as long as the connection lives.
    stalls_at: Arc<Mutex<Option<usize>>>,
}

pub(crate) struct Registry {
    port: u16,
    shared: Shared,
}

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Registry {
    pub(crate) fn start() -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Shared::default();
        let theirs = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = theirs.clone();
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Registry { port, shared }
    }

    /// `localhost:PORT/NAME`
    pub(crate) fn name(&self, name: &str) -> String {
        format!("localhost:{}/{name}", self.port)
    }

    pub(crate) fn stall_at(&self, bytes: Option<usize>) {
        *self.shared.stalls_at.lock().unwrap() = bytes;
    }

    /// The requests since the last time, but for the question whether it is there.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut log = std::mem::take(&mut *self.shared.log.lock().unwrap());
        log.retain(|line| !line.ends_with(" /v2/"));
        log
    }

    /// A manifest as it was pushed.
    pub(crate) fn manifest(&self, repository: &str, name: &str) -> Vec<u8> {
        self.shared.content.lock().unwrap()[&format!("/v2/{repository}/manifests/{name}")].1.clone()
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = receive(&mut reader, stream) {
            let range = request.headers.get("range").map(|range| format!(" {range}")).unwrap_or_default();
            self.log.lock().unwrap().push(format!("{} {}{range}", request.method, request.path));
            if self.answer(&request, stream).is_none() {
                return;
            }
        }
    }

    fn answer(&self, request: &Request, stream: &TcpStream) -> Option<()> {
        let path = request.path.split('?').next().unwrap();
        match request.method.as_str() {
            "GET" | "HEAD" if path == "/v2/" => respond(stream, 200, &[], b"{}"),
            "GET" if path == "/v2/_catalog" => {
                let content = self.content.lock().unwrap();
                let repository =
                    |key: &String| key.strip_prefix("/v2/")?.split("/manifests/").next().map(str::to_owned);
                let names: BTreeSet<String> =
                    content.keys().filter(|key| key.contains("/manifests/")).filter_map(repository).collect();
                respond(stream, 200, &[], serde_json::json!({ "repositories": names }).to_string().as_bytes())
            }
            "GET" if path.ends_with("/tags/list") => {
                let prefix = path.replace("/tags/list", "/manifests/");
                let content = self.content.lock().unwrap();
                let names = content.keys().filter_map(|key| key.strip_prefix(&prefix));
                let mut tags: Vec<&str> = names.filter(|name| !name.contains(':')).collect();
                tags.sort_unstable();
                let body = serde_json::json!({ "name": "x", "tags": tags }).to_string();
                respond(stream, 200, &[], body.as_bytes())
            }
            "GET" | "HEAD" => {
                let found = self.content.lock().unwrap().get(path).cloned();
                let Some((kind, bytes)) = found else {
                    if request.method == "HEAD" {
                        return head(stream, 404, &[], 0);
                    }
                    return respond(stream, 404, &[], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#);
                };
                self.send(request, stream, &kind, &bytes)
            }
            "POST" => {
                respond(stream, 202, &[("Location", &path.replace("/blobs/uploads/", "/upload/1"))], b"")
            }
            "PATCH" => respond(stream, 202, &[("Location", path)], b""),
            "PUT" if path.contains("/upload/") => {
                let digest = request.path.split("digest=").nth(1)?.replace("%3A", ":");
                let place = format!("{}/blobs/{digest}", path.split("/upload/").next()?);
                self.store(place, "application/octet-stream", &request.body);
                respond(stream, 201, &[], b"")
            }
            "PUT" => {
                let kind = request.headers.get("content-type").cloned().unwrap_or_default();
                let digest = sandbox_image::Digest::sha256(&request.body).to_string();
                let by_digest = format!("{}/manifests/{digest}", path.split("/manifests/").next()?);
                self.store(by_digest, &kind, &request.body);
                self.store(path.to_owned(), &kind, &request.body);
                respond(stream, 201, &[("Docker-Content-Digest", &digest)], b"")
            }
            _ => respond(stream, 405, &[], b""),
        }
    }

    fn store(&self, place: String, kind: &str, bytes: &[u8]) {
        self.content.lock().unwrap().insert(place, (kind.to_owned(), bytes.to_owned()));
    }

    fn send(&self, request: &Request, stream: &TcpStream, kind: &str, bytes: &[u8]) -> Option<()> {
        let from = request
            .headers
            .get("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok())
            .unwrap_or(0);
        let (status, range) = match from {
            0 => (200, String::new()),
            from => (206, format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len())),
        };
        let mut headers = vec![("Content-Type", kind)];
        if from > 0 {
            headers.push(("Content-Range", &range));
        }
        let body = &bytes[from..];
        if request.method == "HEAD" {
            return head(stream, status, &headers, body.len());
        }
        let stall = *self.stalls_at.lock().unwrap();
        match stall.filter(|at| *at < bytes.len() && request.path.contains("/blobs/")) {
            Some(at) => {
                head(stream, status, &headers, body.len())?;
                (&*stream).write_all(&body[..at.saturating_sub(from)]).ok()?;
                // Until the other side has gone.
                let _ = (&*stream).read(&mut [0]);
                None
            }
            None => respond(stream, status, &headers, body),
        }
    }
}

fn receive(reader: &mut impl BufRead, stream: &TcpStream) -> Option<Request> {
    // As servers do when somebody speaks TLS to them.
    if !reader.fill_buf().ok()?.first()?.is_ascii_graphic() {
        respond(stream, 400, &[("Connection", "close")], b"");
        return None;
    }
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers: HashMap<String, String> = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    if headers.contains_key("expect") {
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = Vec::new();
    assert!(!headers.contains_key("transfer-encoding"), "the length of what is sent is known");
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}

fn head(mut stream: &TcpStream, status: u16, headers: &[(&str, &str)], length: usize) -> Option<()> {
    let mut lines = vec![format!("HTTP/1.1 {status} x")];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.push(format!("Content-Length: {length}\r\n\r\n"));
    stream.write_all(lines.join("\r\n").as_bytes()).ok()
}

fn respond(mut stream: &TcpStream, status: u16, headers: &[(&str, &str)], body: &[u8]) -> Option<()> {
    head(stream, status, headers, body.len())?;
    stream.write_all(body).ok()
}
