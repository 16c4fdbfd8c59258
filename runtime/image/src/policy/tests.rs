use super::*;

const POLICY: &str = r#"{
    "default": [{ "type": "reject" }],
    "transports": {
        "docker": {
            "docker.io/library": [{ "type": "insecureAcceptAnything" }],
            "docker.io/library/app": [{ "type": "pinnedDigests", "digests": ["DIGEST"] }],
            "docker.io/library/app:open": [{ "type": "insecureAcceptAnything" }],
            "*.example.com": [{ "type": "insecureAcceptAnything" }, { "type": "signedBy", "keyType": "GPGKeys" }]
        },
        "oci-archive": { "": [{ "type": "insecureAcceptAnything" }] }
    }
}"#;

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn policy() -> Policy {
    POLICY.replace("DIGEST", &digest("pinned").to_string()).parse().unwrap()
}

fn check(policy: &Policy, transport: Transport, name: &str, of: &str) -> std::result::Result<(), String> {
    let (reference, digest) = (name.parse().unwrap(), digest(of));
    let subject = Subject { transport, reference: Some(&reference), digest: &digest, manifest: &digest };
    policy.check(&subject).map_err(|error| error.to_string())
}

#[test]
fn the_most_exact_scope_decides() {
    let policy = policy();
    let docker = |name: &str, of: &str| check(&policy, Transport::Docker, name, of);
    assert_eq!(docker("alpine", "x"), Ok(()));
    assert_eq!(docker("app", "pinned"), Ok(()));
    assert_eq!(docker("app:open", "x"), Ok(()));
    assert_eq!(
        docker("app", "x"),
        Err(format!(
            "image app:latest is refused by the policy: its digest {} is not one of the pinned ones",
            digest("x")
        ))
    );
    assert_eq!(
        docker("user/app", "pinned"),
        Err("image user/app:latest is refused by the policy: it rejects such images".to_owned())
    );
    assert_eq!(check(&policy, Transport::OciArchive, "user/app", "x"), Ok(()));
    assert!(check(&policy, Transport::DockerArchive, "alpine", "x").is_err());
    assert_eq!(check(&Policy::default(), Transport::Docker, "any", "x"), Ok(()));
}

#[derive(Debug)]
struct OnlyGood;

impl Verifier for OnlyGood {
    fn verify(&self, signed: &SignedBy, subject: &Subject<'_>) -> std::result::Result<(), String> {
        assert_eq!(signed.members["keyType"], "GPGKeys");
        if *subject.digest == digest("good") { Ok(()) } else { Err("nobody signed it".to_owned()) }
    }
}

#[test]
fn signatures_need_a_verifier() {
    let name = "reg.example.com/app";
    let error = check(&policy(), Transport::Docker, name, "good").unwrap_err();
    assert!(error.contains("demands a signature (signedBy), and nothing is built in"), "{error}");
    let policy = policy().with_verifier(Arc::new(OnlyGood));
    assert_eq!(check(&policy, Transport::Docker, name, "good"), Ok(()));
    assert!(check(&policy, Transport::Docker, name, "bad").unwrap_err().ends_with("nobody signed it"));
}

#[test]
fn unclear_policies_are_refused() {
    for (text, reason) in [
        ("{}", "missing field `default`"),
        (r#"{"default":[]}"#, "a list of requirements is empty"),
        (r#"{"default":[{"type":"reject"}],"x":1}"#, "unknown field"),
        (r#"{"default":[{"type":"reject"}],"default":[{"type":"reject"}]}"#, "duplicate field"),
        (r#"{"default":[{"type":"accept"}]}"#, "\"accept\" is not a type of requirement"),
        (r#"{"default":[{"type":"reject","unless":1}]}"#, "has no \"unless\""),
        (r#"{"default":[{"type":"reject","type":"insecureAcceptAnything"}]}"#, "\"type\" comes twice"),
        (r#"{"default":[{"type":"pinnedDigests"}]}"#, "pinnedDigests: digests"),
        (r#"{"default":[{"type":"pinnedDigests","digests":["md5:x"]}]}"#, "invalid digest"),
        (
            r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a":[],"a":[{"type":"reject"}]}}}"#,
            "\"a\" comes twice",
        ),
    ] {
        let error = text.parse::<Policy>().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
