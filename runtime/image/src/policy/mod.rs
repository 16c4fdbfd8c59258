//! Which images are accepted: a policy in the form of containers-policy.json(5).
//!
//! ```json
//! { "default": [{ "type": "reject" }],
//!   "transports": { "docker": { "docker.io/library": [{ "type": "insecureAcceptAnything" }] } } }
//! ```

mod parse;
mod scope;

use std::str::FromStr;
use std::sync::Arc;

use self::parse::File;
use self::scope::scopes;
use crate::digest::Digest;
use crate::reference::Reference;
use crate::{Error, Result};

/// Requirements by where an image comes from. The default accepts everything.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    file: Option<Arc<File>>,
    verifier: Option<Arc<dyn Verifier>>,
}

/// One thing that must hold for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// `insecureAcceptAnything`
    Accept,
    /// `reject`
    Reject,
    /// `pinnedDigests`: the digest of the manifest, or of the index that led to it, is one of these.
    Pinned(Vec<Digest>),
    /// `signedBy` and `sigstoreSigned`: needs a [`Verifier`].
    Signed(SignedBy),
}

/// Who must have signed an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    /// The requirement's type: `signedBy` or `sigstoreSigned`.
    pub kind: String,
    /// The requirement's other members, as they are.
    pub members: serde_json::Map<String, serde_json::Value>,
}

/// An image that wants to come in.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub transport: Transport,
    /// What it is asked for by; an archive may name nothing.
    pub reference: Option<&'a Reference>,
    /// What the registry calls it: the digest of the index if there is one, else the manifest's.
    pub digest: &'a Digest,
    pub manifest: &'a Digest,
}

/// How an image comes: containers-policy.json(5), "Supported transports".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// From a registry.
    Docker,
    DockerArchive,
    OciArchive,
    /// An image layout in a directory.
    Oci,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::DockerArchive => "docker-archive",
            Self::OciArchive => "oci-archive",
            Self::Oci => "oci",
        }
    }
}

/// Checks signatures.
pub trait Verifier: std::fmt::Debug + Send + Sync {
    /// Refuses with a reason, as the end of a sentence.
    fn verify(&self, signed: &SignedBy, subject: &Subject<'_>) -> std::result::Result<(), String>;
}

impl Policy {
    /// The same policy with somebody who can check signatures.
    #[must_use]
    pub fn with_verifier(mut self, verifier: Arc<dyn Verifier>) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// Whether an image may come in: all requirements of the most exact scope that it is in must hold.
    ///
    /// # Errors
    /// [`Error::Policy`] says which requirement does not.
    pub fn check(&self, subject: &Subject<'_>) -> Result<()> {
        for requirement in self.requirements(subject) {
            self.meets(requirement, subject).map_err(|reason| Error::Policy {
                image: subject.reference.map_or_else(|| subject.digest.to_string(), Reference::familiar),
                reason,
            })?;
        }
        Ok(())
    }

    /// The requirements that an image falls under; none if this policy accepts everything.
    fn requirements(&self, subject: &Subject<'_>) -> &[Requirement] {
        let Some(file) = &self.file else { return &[] };
        let everything = || vec![String::new()];
        let scopes = match subject.transport {
            Transport::Docker => subject.reference.map_or_else(everything, scopes),
            // Scopes of archives are paths on the machine that has the policy; an image's own word is none.
            Transport::DockerArchive | Transport::OciArchive | Transport::Oci => everything(),
        };
        let transport = file.transports.0.get(subject.transport.name());
        let found = transport.and_then(|transport| scopes.iter().find_map(|scope| transport.0.get(scope)));
        found.unwrap_or(&file.default)
    }

    fn meets(&self, requirement: &Requirement, subject: &Subject<'_>) -> std::result::Result<(), String> {
        match requirement {
            Requirement::Accept => Ok(()),
            Requirement::Reject => Err("it rejects such images".to_owned()),
            Requirement::Pinned(digests) => {
                if digests.contains(subject.digest) || digests.contains(subject.manifest) {
                    return Ok(());
                }
                Err(format!("its digest {} is not one of the pinned ones", subject.digest))
            }
            Requirement::Signed(signed) => match &self.verifier {
                Some(verifier) => verifier.verify(signed, subject),
                None => Err(format!(
                    "it demands a signature ({}), and nothing is built in that checks signatures; \
                     pin the digest (\"pinnedDigests\") instead",
                    signed.kind
                )),
            },
        }
    }
}

impl FromStr for Policy {
    type Err = Error;

    /// Reads a policy; members that are not known are refused, because ignoring one could accept too much.
    fn from_str(text: &str) -> Result<Self> {
        let file: File = serde_json::from_str(text).map_err(|error| Error::document("policy", error))?;
        let lists = file.transports.0.values().flat_map(|transport| transport.0.values());
        if lists.chain([&file.default]).any(Vec::is_empty) {
            return Err(Error::document("policy", "a list of requirements is empty"));
        }
        Ok(Self { file: Some(file.into()), verifier: None })
    }
}

#[cfg(test)]
mod tests;
