//! The choice of one manifest among those of an index.

use crate::document::Descriptor;
use crate::platform::Platform;

/// Indexes within indexes. A document cannot contain its own digest, but a chain of them could be long.
pub(crate) const NESTING: usize = 4;

/// The descriptor that suits `wanted` best; `alone` takes the only one whatever platform it names.
///
/// # Errors
/// The platforms that there are, as a list for people.
pub(crate) fn choose(
    descriptors: Vec<Descriptor>,
    wanted: &Platform,
    alone: bool,
) -> Result<Descriptor, String> {
    let available: Vec<String> = descriptors
        .iter()
        .map(|descriptor| descriptor.platform.as_ref().map_or("unknown".to_owned(), ToString::to_string))
        .collect();
    let alone = alone && descriptors.len() == 1;
    descriptors
        .into_iter()
        .filter_map(|descriptor| {
            let rank = match &descriptor.platform {
                Some(offered) => wanted.rank(offered).or(alone.then_some(u8::MAX))?,
                // It may still say so in its config.
                None => u8::MAX - 1,
            };
            Some((rank, descriptor))
        })
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, descriptor)| descriptor)
        .ok_or_else(|| if available.is_empty() { "none".to_owned() } else { available.join(", ") })
}
