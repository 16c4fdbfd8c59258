//! How much a template may ask of this machine.

/// Bytes of a template's source.
pub(crate) const SOURCE: usize = 256 << 10;
/// Blocks and parentheses within each other.
pub(crate) const NESTING: usize = 100;
/// Templates that call each other.
pub(crate) const CALLS: usize = 100;

/// Bounds on one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the result.
    pub output: usize,
    /// Bytes of all intermediate values together.
    pub memory: usize,
    /// Evaluated commands and passes of loops.
    pub steps: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { output: 64 << 20, memory: 256 << 20, steps: 10_000_000 }
    }
}
