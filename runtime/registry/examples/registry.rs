//! The registry client by hand.
//!
//! ```console
//! $ cargo run -p sandbox-registry --example registry -- copy alpine localhost:5000/alpine
//! ```
//!
//! `SANDBOX_CONFIG` names a configuration file other than the usual one.

use std::path::PathBuf;
use std::process::ExitCode;

use sandbox_image::{Digest, ManifestName, Origin, Reference, Target};
use sandbox_registry::{Access, CONFIG_FILE, Client, Credentials, RegistriesConfig, Repository};
use serde::Deserialize;

type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "usage: copy SOURCE TARGET | head IMAGE | tags IMAGE | search TERM | login SERVER USER PASSWORD | \
    logout SERVER";
const DOCUMENT: u64 = 4 << 20;

/// What an index or a manifest refers to.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: Digest,
    size: u64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let config = std::env::var_os("SANDBOX_CONFIG").map_or(PathBuf::from(CONFIG_FILE), PathBuf::from);
    let client = Client::new(RegistriesConfig::load(&config)?, Credentials::from_environment());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["copy", source, target] => copy_image(&client, source, target)?,
        ["head", image] => {
            let reference: Reference = image.parse()?;
            let repository = client.repository(&reference, Access::Pull);
            println!("{:?}", repository.head_manifest(name(&reference))?);
        }
        ["tags", image] => {
            println!("{}", client.repository(&image.parse()?, Access::Pull).tags()?.join("\n"));
        }
        ["search", term] => {
            for found in client.search(term, 25)? {
                println!("{}\t{}\t{}\t{}", found.name, found.stars, found.official, found.description);
            }
        }
        ["login", server, user, password] => {
            let login = client.login(server, user, password)?;
            if let Some(warning) = login.warning {
                eprintln!("{warning}");
            }
            println!("{}", login.status);
        }
        ["logout", server] => {
            let logout = client.logout(server)?;
            println!("Removing login credentials for {} ({})", logout.server, logout.removed);
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn name(reference: &Reference) -> ManifestName<'_> {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => ManifestName::Digest(digest),
        (None, tag) => ManifestName::Tag(tag.unwrap_or("latest")),
    }
}

fn copy_image(client: &Client, source: &str, target: &str) -> Result<(), Failure> {
    let (source, target): (Reference, Reference) = (source.parse()?, target.parse()?);
    let from = client.repository(&source, Access::Pull);
    let to = client.repository(&target, Access::PullPush);
    let mount = (source.domain() == target.domain()).then(|| source.path());
    copy(&from, &to, name(&source), name(&target), mount)
}

fn copy(
    from: &Repository,
    to: &Repository,
    name: ManifestName<'_>,
    as_name: ManifestName<'_>,
    mount: Option<&str>,
) -> Result<(), Failure> {
    let manifest = from.manifest(name, DOCUMENT)?;
    let document: Document = serde_json::from_slice(&manifest.bytes)?;
    for child in &document.manifests {
        copy(from, to, ManifestName::Digest(&child.digest), ManifestName::Digest(&child.digest), mount)?;
    }
    for blob in document.config.iter().chain(&document.layers) {
        println!("{}: {}", blob.digest, copy_blob(from, to, blob, mount)?);
    }
    to.put_manifest(as_name, &manifest.media_type, &manifest.bytes)?;
    println!("{as_name}: digest: {} size: {}", Digest::sha256(&manifest.bytes), manifest.bytes.len());
    Ok(())
}

fn copy_blob(
    from: &Repository,
    to: &Repository,
    blob: &Descriptor,
    mount: Option<&str>,
) -> Result<&'static str, Failure> {
    if to.has_blob(&blob.digest)? {
        return Ok("exists");
    }
    if let Some(repository) = mount
        && to.mount_blob(&blob.digest, repository)?
    {
        return Ok("mounted");
    }
    // Straight from one to the other; an upload that breaks asks again.
    let content = || match from.blob(&blob.digest, blob.size, 0) {
        Ok(remote) => Ok(remote.content),
        Err(error) => Err(std::io::Error::other(error)),
    };
    to.put_blob(&blob.digest, blob.size, &content)?;
    Ok("copied")
}
