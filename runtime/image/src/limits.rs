//! How much an image may ask of this machine.

/// Bounds on everything that an image says about itself. The defaults admit every image that a person would make.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of an index, a manifest or a config: 4 MiB, as registries have it.
    pub document: u64,
    /// Layers of an image: the kernel's overlayfs stacks 500 (`OVL_MAX_STACK`).
    pub layers: usize,
    /// Images in one archive.
    pub images: usize,
    /// Members of one archive.
    pub members: usize,
    /// Bytes that one archive's members may take together.
    pub archive: u64,
    /// Bytes that one layer may unpack to.
    pub layer: u64,
    /// Above [`Limits::ratio_floor`] bytes, how many times its own size a layer may unpack to.
    pub ratio: u64,
    /// Bytes below which the ratio does not matter: a small file of zeros compresses a thousandfold.
    pub ratio_floor: u64,
    /// Headers in the tar of one layer.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            document: 4 << 20,
            layers: 500,
            images: 1000,
            members: 100_000,
            archive: 256 * GIB,
            layer: 128 * GIB,
            ratio: 200,
            ratio_floor: 2 * GIB,
            entries: 4_000_000,
        }
    }
}
