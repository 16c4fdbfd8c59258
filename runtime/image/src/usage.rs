//! `system df`: how much of the disk images take, and how much of that could go.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use crate::Result;
use crate::database;
use crate::digest::Digest;
use crate::reference::Reference;
use crate::removal::ImageUser;
use crate::store::Store;

/// All images together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// By id, the newest first.
    pub images: Vec<ImageUsage>,
    /// How many of them a container uses.
    pub active: usize,
    /// Bytes of the files of all layers, each layer counted once: Docker's SIZE.
    pub size: u64,
    /// Those of `size` that removing all images without a container would free: Docker's RECLAIMABLE.
    pub reclaimable: u64,
    /// Bytes of all blobs (configs, manifests and compressed layers), which `size` does not count.
    pub blobs: u64,
    /// Bytes that no image needs: parts of pulls that ended early, and content on its way.
    pub leftovers: u64,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUsage {
    pub id: Digest,
    pub names: Vec<Reference>,
    /// Seconds since 1970, if the image says so.
    pub created: Option<i64>,
    /// Bytes of the files of its layers.
    pub size: u64,
    /// Those of `size` in layers that other images have too.
    pub shared: u64,
    /// Those of `size` in layers that no other image has.
    pub unique: u64,
    /// How many containers use it.
    pub containers: usize,
}

impl Store {
    /// `users` are all containers.
    pub fn usage(&self, conn: &Connection, users: &[ImageUser]) -> Result<Usage> {
        self.make_directories()?;
        let mut usage = Usage::default();
        let mut sizes: BTreeMap<Digest, u64> = BTreeMap::new();
        let mut layers: Vec<BTreeSet<Digest>> = Vec::new();
        for record in database::records(conn)? {
            let own = database::layers(conn, &record.manifest)?;
            let names = database::names(conn, &record.manifest)?;
            sizes.extend(own.iter().map(|layer| (layer.chain.clone(), layer.size)));
            // Manifests of differently compressed layers are one image if they have one config.
            if let Some(image) = usage.images.iter_mut().find(|image| image.id == record.id) {
                image.names.extend(names);
                continue;
            }
            let containers = users.iter().filter(|user| user.image == record.id).count();
            usage.images.push(ImageUsage {
                id: record.id,
                names,
                created: record.created,
                size: record.size,
                shared: 0,
                unique: 0,
                containers,
            });
            layers.push(own.into_iter().map(|layer| layer.chain).collect());
        }
        let size_of = |chain: &Digest| sizes.get(chain).copied().unwrap_or(0);
        for (image, own) in usage.images.iter_mut().zip(&layers) {
            let others = |chain: &Digest| layers.iter().filter(|layers| layers.contains(chain)).count() > 1;
            image.shared = own.iter().filter(|chain| others(chain)).map(size_of).sum();
            image.unique = image.size.saturating_sub(image.shared);
        }
        let active = usage.images.iter().zip(&layers).filter(|(image, _)| image.containers > 0);
        let needed: BTreeSet<&Digest> = active.clone().flat_map(|(_, own)| own).collect();
        usage.active = active.count();
        usage.size = sizes.values().sum();
        usage.reclaimable = usage.size - needed.into_iter().map(size_of).sum::<u64>();
        let used = database::used(conn)?;
        for (_, blob) in self.blob_files()? {
            let size = self.content.size(&blob).unwrap_or(0);
            if used.blobs.contains(&blob) { usage.blobs += size } else { usage.leftovers += size }
        }
        for (path, _) in self.partial_files()? {
            usage.leftovers += std::fs::symlink_metadata(path).map_or(0, |found| found.len());
        }
        for (_, chain) in self.layer_directories()? {
            if !used.layers.contains(&chain) {
                usage.leftovers += self.layers.info(&chain)?.map_or(0, |info| info.size);
            }
        }
        Ok(usage)
    }
}
