//! OCI image layouts (image-spec, image-layout.md), also as `docker save` writes them since Docker 25.

use super::{Import, diff_ids, docker, parse_config};
use crate::content::StagedBlob;
use crate::digest::clip;
use crate::document::{self, Descriptor, Document, IMAGE_NAME, Manifest, REF_NAME};
use crate::index::{self, NESTING};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::source::Source;
use crate::{Error, Result};

/// A manifest and the names that the layout gives it.
#[derive(Debug)]
pub(crate) struct Candidate {
    names: Vec<Reference>,
    manifest: Manifest,
    blob: StagedBlob,
}

/// `None` if the source is no OCI layout. `docker` are the entries of a docker archive's manifest in the same source:
/// they know names that the index may lack.
pub(super) fn candidates(
    source: &mut Source,
    platform: Option<&Platform>,
    docker: &[docker::Entry],
) -> Result<Option<Vec<Candidate>>> {
    let Some(index) = source.document("index.json")? else { return Ok(None) };
    check_layout_version(source)?;
    let Document::Index(descriptors) = document::parse(&index, "", "index.json")? else {
        return Err(Error::document("index.json", "it is a manifest, not an index"));
    };
    let mut groups: Vec<(Option<Reference>, Vec<Descriptor>)> = Vec::new();
    for descriptor in descriptors {
        if descriptor.is_attachment() {
            continue;
        }
        let name = name_of(&descriptor)?;
        match groups.iter_mut().find(|(known, _)| name.is_some() && *known == name) {
            Some((_, group)) => group.push(descriptor),
            None => groups.push((name, vec![descriptor])),
        }
    }
    let mut groups = merge_platforms(groups);
    let mut candidates: Vec<Candidate> = Vec::new();
    for (name, group) in groups.drain(..) {
        let chosen = choose(group, platform)?;
        let (manifest, blob) = follow(source, &chosen, platform, 0)?;
        let known = candidates.iter().position(|candidate| candidate.blob.digest == blob.digest);
        match known.and_then(|at| candidates.get_mut(at)) {
            Some(candidate) => candidate.names.extend(name),
            None => {
                candidates.push(Candidate { names: name.into_iter().collect(), manifest, blob });
            }
        }
    }
    for candidate in &mut candidates {
        if candidate.names.is_empty() {
            let of_config = docker.iter().filter(|entry| entry.is_config(&candidate.manifest.config.digest));
            candidate.names = of_config.map(docker::Entry::names).collect::<Result<Vec<_>>>()?.concat();
        }
    }
    Ok(Some(candidates))
}

pub(super) fn bring(source: &mut Source, candidate: Candidate) -> Result<Import> {
    let Candidate { names, manifest, blob } = candidate;
    let limit = source.limits().document;
    check_size(&manifest.config, limit, "image config")?;
    let config_blob = source.layout_blob(&manifest.config.digest, manifest.config.size, "image config")?;
    let config_bytes = config_blob.read(limit, "the image config")?;
    let (config, what) = parse_config(&config_bytes, &manifest.config.digest)?;
    let diff_ids = diff_ids(source.limits(), &config, manifest.layers.len(), &what)?;
    let mut layers = Vec::with_capacity(manifest.layers.len());
    for layer in &manifest.layers {
        document::check_layer_type(layer)?;
        layers.push(source.layout_blob(&layer.digest, layer.size, "layer")?);
    }
    Ok(Import { names, manifest: blob, config_blob, config_bytes, config, layers, diff_ids })
}

fn check_layout_version(source: &mut Source) -> Result<()> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let Some(bytes) = source.document("oci-layout")? else { return Ok(()) };
    let layout: Layout =
        serde_json::from_slice(&bytes).map_err(|error| Error::document("oci-layout", error))?;
    if layout.image_layout_version.starts_with("1.") {
        return Ok(());
    }
    Err(Error::document("oci-layout", format!("version {:?} is unknown", clip(&layout.image_layout_version))))
}

/// containerd's whole name if there is one. Tools that do not know it (umoci) copy it to tags of their own, so a tag that
/// differs is the newer word.
fn name_of(descriptor: &Descriptor) -> Result<Option<Reference>> {
    let annotation = |key| descriptor.annotation(key).filter(|text| !text.is_empty());
    let tag = annotation(REF_NAME);
    let Some(whole) = annotation(IMAGE_NAME) else { return tag.map(str::parse).transpose() };
    let whole: Reference = whole.parse()?;
    let tagged = tag.and_then(|tag| format!("{}:{tag}", whole.repository()).parse().ok());
    Ok(Some(tagged.filter(|_| whole.digest().is_none()).unwrap_or(whole)))
}

/// Several nameless manifests which all name a platform are one image, as some tools write it.
fn merge_platforms(
    groups: Vec<(Option<Reference>, Vec<Descriptor>)>,
) -> Vec<(Option<Reference>, Vec<Descriptor>)> {
    let one_image = |(name, group): &(Option<Reference>, Vec<Descriptor>)| {
        name.is_none() && group.iter().all(|descriptor| descriptor.platform.is_some())
    };
    let (platforms, mut rest): (Vec<_>, Vec<_>) = groups.into_iter().partition(one_image);
    let platforms: Vec<Descriptor> = platforms.into_iter().flat_map(|(_, group)| group).collect();
    if !platforms.is_empty() {
        rest.push((None, platforms));
    }
    rest
}

/// The descriptor that suits best; one alone at the top is taken as it is.
fn choose(descriptors: Vec<Descriptor>, platform: Option<&Platform>) -> Result<Descriptor> {
    let host = Platform::host();
    let wanted = platform.unwrap_or(&host);
    index::choose(descriptors, wanted, platform.is_none())
        .map_err(|available| Error::NoPlatform { wanted: wanted.to_string(), available })
}

/// Goes from an index to the manifest that suits best.
fn follow(
    source: &mut Source,
    descriptor: &Descriptor,
    platform: Option<&Platform>,
    depth: usize,
) -> Result<(Manifest, StagedBlob)> {
    let what = format!("manifest {}", descriptor.digest);
    let limit = source.limits().document;
    check_size(descriptor, limit, "manifest")?;
    let blob = source.layout_blob(&descriptor.digest, descriptor.size, "manifest")?;
    let bytes = blob.read(limit, &what)?;
    match document::parse(&bytes, &descriptor.media_type, &what)? {
        Document::Manifest(manifest) => Ok((manifest, blob)),
        Document::Index(_) if depth >= NESTING => {
            Err(Error::Limit { what: "the nesting of indexes".to_owned(), limit: NESTING.to_string() })
        }
        Document::Index(children) => {
            let images = children.into_iter().filter(|child| !child.is_attachment()).collect();
            // Inside an index a platform is a promise: another one's image is not taken even if it is alone.
            let host = Platform::host();
            let chosen = choose(images, Some(platform.unwrap_or(&host)))?;
            follow(source, &chosen, platform, depth + 1)
        }
    }
}

fn check_size(descriptor: &Descriptor, limit: u64, what: &str) -> Result<()> {
    if descriptor.size > limit {
        let what = format!("the size of {what} {} ({} bytes)", descriptor.digest, descriptor.size);
        return Err(Error::Limit { what, limit: format!("{limit} bytes") });
    }
    Ok(())
}
