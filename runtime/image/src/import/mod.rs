//! Finds the images in a source and brings their blobs to the staging area, checked against each other.

mod docker;
mod legacy;
mod oci;

use oci_spec::image::ImageConfiguration;

pub(crate) use self::docker::make_manifest;
pub(crate) use self::legacy::plain_digest;

use crate::content::StagedBlob;
use crate::digest::Digest;
use crate::document;
use crate::platform::Platform;
use crate::policy::Transport;
use crate::reference::Reference;
use crate::source::Source;
use crate::{Error, Limits, Result};

/// An image in a source, by what leads to it.
#[derive(Debug)]
pub(crate) enum Candidate {
    /// A manifest of an OCI layout.
    Oci(Box<oci::Candidate>),
    /// An entry of a docker-archive's `manifest.json`.
    Docker(docker::Entry),
    /// A name in the `repositories` file of an archive from before Docker 1.10.
    Legacy(legacy::Candidate),
}

impl Candidate {
    /// What policies call the way that it comes.
    pub(crate) fn transport(&self, directory: bool) -> Transport {
        match self {
            Self::Oci(_) if directory => Transport::Oci,
            Self::Oci(_) => Transport::OciArchive,
            Self::Docker(_) | Self::Legacy(_) => Transport::DockerArchive,
        }
    }
}

/// All blobs of one image, staged and verified.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) names: Vec<Reference>,
    pub(crate) manifest: StagedBlob,
    pub(crate) config_blob: StagedBlob,
    pub(crate) config_bytes: Vec<u8>,
    pub(crate) config: ImageConfiguration,
    /// Bottom first, as many as `diff_ids`.
    pub(crate) layers: Vec<StagedBlob>,
    pub(crate) diff_ids: Vec<Digest>,
}

/// The images of `source`, one per name, for `platform` or this machine's.
///
/// # Errors
/// [`Error::NotAnImage`] if it is in none of the known forms.
pub(crate) fn find(source: &mut Source, platform: Option<&Platform>) -> Result<Vec<Candidate>> {
    let docker = docker::entries(source)?;
    let found: Vec<Candidate> = if let Some(candidates) = oci::candidates(source, platform, &docker)? {
        candidates.into_iter().map(|found| Candidate::Oci(Box::new(found))).collect()
    } else if !docker.is_empty() {
        docker.into_iter().map(Candidate::Docker).collect()
    } else {
        legacy::candidates(source)?.into_iter().map(Candidate::Legacy).collect()
    };
    if found.is_empty() {
        let reason = "it holds neither an OCI image layout (index.json) nor a docker archive (manifest.json)";
        return Err(Error::NotAnImage { path: source.name.clone(), reason: reason.to_owned() });
    }
    if found.len() > source.limits().images {
        let limit = source.limits().images.to_string();
        return Err(Error::Limit { what: "the number of images".to_owned(), limit });
    }
    Ok(found)
}

/// Stages the blobs of one image.
pub(crate) fn bring(
    source: &mut Source,
    candidate: Candidate,
    platform: Option<&Platform>,
) -> Result<Import> {
    let import = match candidate {
        Candidate::Oci(candidate) => oci::bring(source, *candidate)?,
        Candidate::Docker(entry) => docker::bring(source, &entry)?,
        Candidate::Legacy(candidate) => legacy::bring(source, &candidate)?,
    };
    let offered = Platform::of(&import.config);
    if !Platform::admits(platform, &offered) {
        let wanted = platform.map_or_else(|| Platform::host().to_string(), ToString::to_string);
        return Err(Error::NoPlatform { wanted, available: offered.to_string() });
    }
    Ok(import)
}

/// The uncompressed digests of a config's layers, as many as the manifest has layers.
pub(crate) fn diff_ids(
    limits: &Limits,
    config: &ImageConfiguration,
    layers: usize,
    what: &str,
) -> Result<Vec<Digest>> {
    let limit = limits.layers;
    if layers > limit {
        return Err(Error::Limit {
            what: format!("the number of layers ({layers})"),
            limit: limit.to_string(),
        });
    }
    let listed = config.rootfs().diff_ids();
    if listed.len() != layers {
        let reason = format!("it describes {} layers, the manifest has {layers}", listed.len());
        return Err(Error::document(what, reason));
    }
    listed.iter().map(|id| id.parse()).collect()
}

pub(crate) fn parse_config(bytes: &[u8], digest: &Digest) -> Result<(ImageConfiguration, String)> {
    let what = format!("image config {digest}");
    let config = document::parse_config(bytes, &what)?;
    Ok((config, what))
}
