//! What is read of a log's records.

use super::*;

const NOBODY: End<'static> = End { ended: &|| true, signal: None };

#[derive(Default)]
struct Collect(Vec<String>);

impl Reader for Collect {
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        self.0.push(format!("{} {}", record.stream.as_str(), record.text));
        ControlFlow::Continue(())
    }

    fn idle(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn sample() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = concat!(
        "{\"log\":\"one\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:01Z\"}\n",
        "{\"log\":\"t\\u00e4\\ufffd\\n\",\"stream\":\"stderr\",\"attrs\":{\"tag\":\"x\"},\"time\":\"2026-01-02T03:04:02.5Z\"}\n",
        "{\"log\":\"torn\n",
        "[]\n",
        "{\"log\":\"x\",\"stream\":\"stdout\",\"time\":\"never\"}\n",
        "{\"log\":\"part\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:03.000000001Z\"}\n",
        "{\"log\":\"unfinished"
    );
    std::fs::write(sandbox_shim::log::json_file(dir.path(), "abc"), text).unwrap();
    dir
}

fn read_with(options: Options) -> Vec<String> {
    let (dir, mut collect) = (sample(), Collect::default());
    read("json-file", dir.path(), "abc", &options, NOBODY, &mut collect).unwrap();
    collect.0
}

fn at(text: &str) -> Option<i64> {
    crate::parse::timestamp::date(text)
}

#[test]
fn streams_times_and_torn_lines() {
    let all = ["stdout one\n", "stderr tä\u{fffd}\n", "stdout part"];
    let default = Options::default;
    assert_eq!(read_with(default()), all);
    assert_eq!(read_with(Options { follow: true, ..default() }), all);
    assert_eq!(read_with(Options { stderr: false, ..default() }), [all[0], all[2]]);
    assert_eq!(read_with(Options { stdout: false, ..default() }), [all[1]]);
    assert_eq!(read_with(Options { since_ns: at("2026-01-02T03:04:02.5Z"), ..default() }), all[1..]);
    assert_eq!(read_with(Options { until_ns: at("2026-01-02T03:04:03Z"), ..default() }), all[..2]);
    assert_eq!(read_with(Options { tail: Some(1), ..default() }), all[2..]);
    assert!(read_with(Options { tail: Some(0), ..default() }).is_empty());
}

#[test]
fn drivers_that_keep_nothing() {
    let dir = sample();
    for driver in ["none", "syslog", "journald"] {
        let error = read(driver, dir.path(), "abc", &Options::default(), NOBODY, &mut Collect::default());
        assert_eq!(error.unwrap_err().to_string(), "configured logging driver does not support reading");
    }
    read("json-file", dir.path(), "none", &Options::default(), NOBODY, &mut Collect::default()).unwrap();
}

#[test]
fn daemons_of_the_network_get_addresses() {
    let mut plan = LogPlan { driver: "syslog".to_owned(), ..LogPlan::default() };
    resolve(&mut plan).unwrap();
    assert!(plan.addresses.is_empty(), "a local daemon has none");
    for (address, want) in [("tcp://127.0.0.1:601", "127.0.0.1:601"), ("udp://[::1]", "[::1]:514")] {
        plan.options.insert("syslog-address".to_owned(), address.to_owned());
        resolve(&mut plan).unwrap();
        assert_eq!(plan.addresses, [want.parse().unwrap()]);
    }
}
