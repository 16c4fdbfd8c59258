//! A log as the supervisor uses it.

use super::*;

pub(super) async fn local<T>(work: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(work).await
}

pub(super) fn plan(driver: &str, options: &[(&str, &str)]) -> LogPlan {
    LogPlan {
        driver: driver.to_owned(),
        options: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        subject: Subject { id: "ab".repeat(32), name: "web".to_owned(), ..Subject::default() },
        addresses: vec![],
    }
}

#[tokio::test]
async fn the_default_driver_writes_dockers_lines() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan("json-file", &[("tag", "{{.Name}}"), ("labels", "a")]);
    plan.subject.labels = [("a".to_owned(), "<b>".to_owned())].into();
    let mut log = Log::open(&plan, dir.path()).await.unwrap();
    log.write(Stream::Stdout, b"one\ntw");
    log.write(Stream::Stderr, b"err\n");
    log.write(Stream::Stdout, b"o\nrest");
    assert_eq!((log.dropped(), log.close().await), (0, 0));
    let text = std::fs::read_to_string(json_file(dir.path(), &plan.subject.id)).unwrap();
    let attrs = "\"attrs\":{\"a\":\"\\u003cb\\u003e\",\"tag\":\"web\"}";
    let heads = [
        format!("{{\"log\":\"one\\n\",\"stream\":\"stdout\",{attrs},\"time\":\"20"),
        format!("{{\"log\":\"err\\n\",\"stream\":\"stderr\",{attrs},\"time\":\"20"),
        format!("{{\"log\":\"two\\n\",\"stream\":\"stdout\",{attrs},\"time\":\"20"),
        format!("{{\"log\":\"rest\",\"stream\":\"stdout\",{attrs},\"time\":\"20"),
    ];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), heads.len(), "{text}");
    for (line, head) in lines.iter().zip(&heads) {
        assert!(line.starts_with(head) && line.ends_with("Z\"}"), "{line}");
    }
}

#[tokio::test]
async fn none_and_wrong_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::open(&plan("none", &[("x", "y")]), dir.path()).await.unwrap();
    log.write(Stream::Stdout, b"one\n");
    assert_eq!(log.close().await, 0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let error = Log::open(&plan("json-file", &[("max-file", "0")]), dir.path()).await.unwrap_err();
    assert_eq!(error.message, "failed to initialize logging driver: max-file cannot be less than 1");
}
