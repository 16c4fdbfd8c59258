//! How fast output becomes a log: `cargo run --release -p sandbox-shim --example log_throughput -- DIRECTORY [MEGABYTES]`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use sandbox_shim::log::{Log, LogPlan, Stream, Subject};

/// What the supervisor reads at once.
const CHUNK: usize = 64 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| "/tmp".to_owned());
    let megabytes: usize = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let mut text = Vec::new();
    for number in 0..CHUNK / 80 {
        text.extend_from_slice(
            format!(
                "{number:08} GET /index.html?a=1&b=2 HTTP/1.1 \"Mozilla/5.0\" 200 {:020}\n",
                number * 7919
            )
            .as_bytes(),
        );
    }
    let cases: [&[(&str, &str)]; 3] = [
        &[],
        &[("max-size", "10m"), ("max-file", "3")],
        &[("max-size", "10m"), ("max-file", "3"), ("compress", "true")],
    ];
    for options in cases {
        let plan = LogPlan {
            driver: "json-file".to_owned(),
            options: options
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            subject: Subject { id: format!("throughput-{}", std::process::id()), ..Subject::default() },
            addresses: vec![],
        };
        let Ok(mut log) = Log::open(&plan, Path::new(&directory)).await else {
            eprintln!("cannot open a log in {directory}");
            return;
        };
        let (start, mut longest) = (Instant::now(), std::time::Duration::ZERO);
        let mut bytes = 0;
        while bytes < megabytes * 1_000_000 {
            let before = Instant::now();
            log.write(Stream::Stdout, &text);
            longest = longest.max(before.elapsed());
            bytes += text.len();
        }
        let lost = log.close().await;
        let rate = bytes as u128 / start.elapsed().as_micros().max(1);
        println!("{options:?}: {rate} MB/s of output, longest write {longest:?}, {lost} lines lost");
    }
    for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&format!("throughput-{}", std::process::id())) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
