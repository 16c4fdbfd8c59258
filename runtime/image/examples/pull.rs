//! Pulls an image from a registry on this machine that speaks plain HTTP and asks for nothing:
//! `pull ROOT 127.0.0.1:5000/app:latest`. For measurements of the store alone; `sandbox pull` is the real thing.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use sandbox_image::{
    Digest, ManifestName, Origin, PullOptions, PullState, Reference, RemoteBlob, RemoteDocument, RemoteError,
    RemoteErrorKind, SCHEMA, SCHEMA_REPOSITORIES, Store,
};

struct Registry {
    host: String,
    repository: String,
}

impl Registry {
    fn get(&self, path: &str, headers: &str) -> Result<(u16, String, impl Read + Send + use<>), Error> {
        let mut stream = TcpStream::connect(&self.host)?;
        write!(
            stream,
            "GET /v2/{}/{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
            self.repository, self.host
        )?;
        let mut reader = BufReader::with_capacity(128 << 10, stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let (mut media_type, mut length) = (String::new(), 0);
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-type" => value.clone_into(&mut media_type),
                "content-length" => length = value.parse().map_err(Error::other)?,
                _ => {}
            }
        }
        Ok((status, media_type, reader.take(length)))
    }
}

fn failed(error: &Error) -> RemoteError {
    RemoteError { kind: RemoteErrorKind::Transient, message: error.to_string() }
}

fn expect(status: u16, wanted: u16) -> Result<(), Error> {
    if status == wanted { Ok(()) } else { Err(Error::new(ErrorKind::InvalidData, format!("HTTP {status}"))) }
}

impl Origin for Registry {
    fn manifest(&self, name: ManifestName<'_>, limit: u64) -> Result<RemoteDocument, RemoteError> {
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json\r\n\
                      Accept: application/vnd.oci.image.index.v1+json\r\n";
        let get = || {
            let (status, media_type, content) = self.get(&format!("manifests/{name}"), accept)?;
            expect(status, 200)?;
            let mut bytes = Vec::new();
            content.take(limit).read_to_end(&mut bytes)?;
            Ok(RemoteDocument { bytes, media_type })
        };
        get().map_err(|error| failed(&error))
    }

    fn blob(&self, digest: &Digest, _size: u64, offset: u64) -> Result<RemoteBlob, RemoteError> {
        let get = || {
            let range = if offset > 0 { format!("Range: bytes={offset}-\r\n") } else { String::new() };
            let (status, _, content) = self.get(&format!("blobs/{digest}"), &range)?;
            expect(status, if offset > 0 { 206 } else { 200 })?;
            Ok(RemoteBlob { offset, content: Box::new(content) })
        };
        get().map_err(|error| failed(&error))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, name] = &arguments[..] else { return Err("pull ROOT HOST:PORT/NAME[:TAG]".into()) };
    let reference: Reference = name.parse()?;
    let registry = Registry { host: reference.domain().to_owned(), repository: reference.path().to_owned() };
    std::fs::create_dir_all(root)?;
    let store = Store::open(Path::new(root))?;
    let conn = rusqlite::Connection::open(Path::new(root).join("state.db"))?;
    conn.execute_batch(SCHEMA)?;
    conn.execute_batch(SCHEMA_REPOSITORIES)?;
    let begin = std::time::Instant::now();
    let pulled = store.pull(&conn, &registry, &reference, &PullOptions::default(), &mut |event| {
        if !matches!(event.state, PullState::Downloading { .. } | PullState::Extracting { .. }) {
            println!("{:7.3} {}: {}", begin.elapsed().as_secs_f64(), event.layer.short(), event.state);
        }
    })?;
    println!("{:7.3} {:?} {}", begin.elapsed().as_secs_f64(), pulled.status, pulled.digest);
    Ok(())
}
