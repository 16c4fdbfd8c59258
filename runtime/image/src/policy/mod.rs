//! Which images are accepted: a policy in the form of containers-policy.json(5).
//!
//! ```json
//! { "default": [{ "type": "reject" }],
//!   "transports": { "docker": { "docker.io/library": [{ "type": "insecureAcceptAnything" }] } } }
//! ```

use std::str::FromStr;
use std::sync::Arc;

use crate::digest::Digest;
use crate::reference::Reference;
use crate::{Error, Result};

/// Requirements by where an image comes from. The default accepts everything.
#[derive(Clone, Debug, Default)]
pub struct Policy {
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
    /// From an archive or a directory.
    Archive,
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

    /// Whether an image may come in.
    ///
    /// # Errors
    /// [`Error::Policy`] says which requirement it does not meet.
    pub fn check(&self, subject: &Subject<'_>) -> Result<()> {
        let _ = subject;
        Ok(())
    }
}

impl FromStr for Policy {
    type Err = Error;

    /// Reads a policy; members that are not known are refused, because ignoring one could accept too much.
    fn from_str(text: &str) -> Result<Self> {
        let _ = text;
        crate::error::in_the_making("policy")
    }
}
