use std::os::unix::fs::PermissionsExt;

use super::*;

fn store(config: &str) -> (tempfile::TempDir, Credentials) {
    let directory = tempfile::tempdir().unwrap();
    if !config.is_empty() {
        std::fs::write(directory.path().join("config.json"), config).unwrap();
    }
    let credentials = Credentials::in_directory(directory.path()).with_helpers_in(directory.path());
    (directory, credentials)
}

fn read(directory: &tempfile::TempDir) -> Value {
    serde_json::from_slice(&std::fs::read(directory.path().join("config.json")).unwrap()).unwrap()
}

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.to_owned(), password: password.to_owned() }
}

fn helper(directory: &tempfile::TempDir, script: &str) {
    let path = directory.path().join("docker-credential-test");
    // Renamed into place: another test's fork may hold a descriptor that writes, and exec would fail (ETXTBSY).
    let staged = directory.path().join("staged");
    std::fs::write(&staged, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&staged, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(staged, path).unwrap();
}

#[test]
fn reads_what_docker_wrote() {
    let (_directory, store) = store(
        r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "dXNlcjpwYTpzcw=="},
            "ghcr.io": {"identitytoken": "abc", "auth": "dXNlcjo="},
            "https://old.example/v2/": {"username": "u", "password": "p"},
            "empty.example": {}
        }}"#,
    );
    for (key, expected) in [
        (DOCKER_HUB_KEY, Some(password("user", "pa:ss"))),
        ("ghcr.io", Some(Credential::Identity { token: "abc".to_owned() })),
        ("old.example", Some(password("u", "p"))),
        ("empty.example", None),
        ("ghcr.io:443", None),
        ("other.example", None),
    ] {
        assert_eq!(store.get(key).unwrap(), expected, "{key}");
    }
}

#[test]
fn keeps_the_rest_of_the_file_and_its_secrecy() {
    let (directory, store) = store(r#"{"psFormat": "x", "auths": {"a.io": {"auth": "dTpw"}}}"#);
    let path = directory.path().join("config.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let kept = store.keep("b.io:5000", "u", &password("u", "secret")).unwrap();
    assert_eq!(kept, Kept::InFile(path.canonicalize().unwrap()));
    let config = read(&directory);
    assert_eq!((&config["psFormat"], &config["auths"]["a.io"]["auth"]), (&json!("x"), &json!("dTpw")));
    assert_eq!(store.get("b.io:5000").unwrap(), Some(password("u", "secret")));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing temporary stays");
    assert!(store.erase("b.io:5000").unwrap());
    assert!(!store.erase("b.io:5000").unwrap());
    assert_eq!(read(&directory)["auths"], json!({"a.io": {"auth": "dTpw"}}));
}

#[test]
fn a_link_stays_a_link() {
    let (directory, store) = store("");
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("docker.json");
    std::fs::write(&target, "{}").unwrap();
    let link = directory.path().join("config.json");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    store.keep("a.io", "u", &password("u", "p")).unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(std::fs::read_to_string(target).unwrap().contains("a.io"));
}

#[test]
fn concurrent_writers_lose_nothing() {
    let (directory, store) = store("");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let store = &store;
            scope.spawn(move || store.keep(&format!("r{number}.io"), "u", &password("u", "p")).unwrap());
        }
    });
    assert_eq!(read(&directory)["auths"].as_object().unwrap().len(), 8);
}

#[test]
fn damaged_files_are_named_and_not_quoted() {
    for config in ["[1]", "{\"auths\": \"s3cret", "{\"auths\": {\"a.io\": {\"auth\": \"s3cret\"}}}"] {
        let (_directory, store) = store(config);
        let message = store.get("a.io").unwrap_err().to_string();
        assert!(message.contains("config.json") && !message.contains("s3cret"), "{message}");
    }
}

#[test]
fn helpers_keep_secrets() {
    let (directory, store) = store(r#"{"credHelpers": {"a.io": "test"}}"#);
    let log = directory.path().join("log");
    helper(
        &directory,
        &format!(
            "printf '%s ' $1 >> {0}; cat >> {0}; echo >> {0}\n\
             [ $1 = get ] && echo '{{\"ServerURL\":\"a.io\",\"Username\":\"u\",\"Secret\":\"p\"}}'; exit 0",
            log.display()
        ),
    );
    assert_eq!(store.get("a.io").unwrap(), Some(password("u", "p")));
    assert_eq!(store.get("b.io").unwrap(), None);
    assert_eq!(store.keep("a.io", "u", &password("u", "p")).unwrap(), Kept::WithHelper);
    assert_eq!(read(&directory)["auths"], json!({"a.io": {}}), "nothing secret in the file");
    assert!(store.erase("a.io").unwrap());
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("get a.io\n") && log.contains("erase a.io\n"), "{log}");
    assert!(log.contains(r#"store {"Secret":"p","ServerURL":"a.io","Username":"u"}"#), "{log}");
}

#[test]
fn helpers_are_bounded() {
    let (directory, store) = store(r#"{"credsStore": "test"}"#);
    for (script, part) in [
        ("echo credentials not found in native keychain; exit 1", ""),
        ("printf 'locked \\033[31m'; exit 1", "get fails (exit status: 1): locked  [31m"),
        ("echo nonsense", "prints no Username and Secret"),
        ("exec yes", "prints more than 64 KiB"),
        ("exec sleep 30", "takes longer than 2 seconds"),
        ("exec 1>&-; exec sleep 30", "takes longer than 2 seconds"),
    ] {
        helper(&directory, script);
        match store.get("a.io") {
            Ok(found) => assert!(part.is_empty() && found.is_none(), "{script}"),
            Err(error) => {
                assert!(!part.is_empty() && error.to_string().contains(part), "{script}: {error}");
            }
        }
    }
    for name in ["../../bin/sh", "a/b", "a b", &"a".repeat(100)] {
        let (_directory, store) = self::store(&json!({ "credsStore": name }).to_string());
        let message = store.get("a.io").unwrap_err().to_string();
        assert!(message.contains("no helper is called that"), "{message}");
    }
    let (_directory, store) = self::store(r#"{"credsStore": "missing"}"#);
    let message = store.get("a.io").unwrap_err().to_string();
    assert!(
        message.contains("docker-credential-missing") && message.contains("cannot be started"),
        "{message}"
    );
}
