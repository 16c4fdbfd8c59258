//! Where things are: the checkout, the cache that outlives it, the build's results.

use std::env;
use std::path::PathBuf;

/// Root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// `$SANDBOX_CACHE`, or `sandbox` in the user's cache directory: kernels and test images.
pub(crate) fn cache() -> PathBuf {
    if let Some(dir) = env::var_os("SANDBOX_CACHE") {
        return dir.into();
    }
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    base.unwrap_or_else(|| PathBuf::from("/var/cache")).join("sandbox")
}

/// What `dist` makes: `bin/sandbox` and `libexec/sandbox/`.
pub(crate) fn dist() -> PathBuf {
    root().join("dist")
}

/// Cargo's directory for a profile of the explicit target.
pub(crate) fn target(profile: &str) -> PathBuf {
    let base = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    base.join("x86_64-unknown-linux-gnu").join(profile)
}
