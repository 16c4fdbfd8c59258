//! From what the threads tell to one orderly sequence of states per layer.

use super::fetch::Wanted;
use super::progress::{PullEvent, PullState};
use super::session::Told;
use crate::digest::Digest;
use crate::layer::Event;

/// Layers by their blobs: a blob that serves several layers is one line.
pub(super) struct Display<'a> {
    blobs: &'a [Wanted],
    lines: Vec<Line>,
    /// For each layer the place of its blob.
    layers: Vec<usize>,
}

#[derive(Debug, Default)]
struct Line {
    /// Everything was here from the start.
    present: bool,
    downloaded: bool,
    /// Layers of this blob that are not unpacked yet.
    open: usize,
}

impl<'a> Display<'a> {
    /// `layers` tells for each layer the place of its blob, `present` for each blob whether there is nothing to do.
    pub(super) fn new(blobs: &'a [Wanted], layers: Vec<usize>, present: &[bool]) -> Self {
        let line = |(index, present): (usize, &bool)| Line {
            present: *present,
            downloaded: false,
            open: layers.iter().filter(|blob| **blob == index).count(),
        };
        let lines = present.iter().enumerate().map(line).collect();
        Self { blobs, lines, layers }
    }

    /// The states at the start; `downloads` begin at once.
    pub(super) fn begin(&self, downloads: usize, progress: &mut dyn FnMut(PullEvent)) {
        for (blob, line) in self.blobs.iter().zip(&self.lines) {
            let state = if line.present { PullState::AlreadyExists } else { PullState::PullingFsLayer };
            progress(PullEvent { layer: blob.digest.clone(), state });
        }
        let missing = self.blobs.iter().zip(&self.lines).filter(|(_, line)| !line.present);
        for (blob, _) in missing.skip(downloads) {
            progress(PullEvent { layer: blob.digest.clone(), state: PullState::Waiting });
        }
    }

    pub(super) fn show(&mut self, told: &Told, progress: &mut dyn FnMut(PullEvent)) {
        let (index, layer) = match told {
            Told::Blob { index, .. } => (*index, None),
            Told::Layer(Event::Failed) => return,
            Told::Layer(event @ (Event::Read { layer, .. } | Event::Done { layer })) => {
                let Some(index) = self.layers.get(*layer) else { return };
                (*index, Some(*event))
            }
        };
        let (Some(line), Some(blob)) = (self.lines.get_mut(index), self.blobs.get(index)) else { return };
        if line.present {
            return;
        }
        let mut tell = |state| progress(PullEvent { layer: Digest::clone(&blob.digest), state });
        match (told, layer) {
            (Told::Blob { state: PullState::DownloadComplete, .. }, _) => {
                line.downloaded = true;
                tell(PullState::DownloadComplete);
                if line.open == 0 {
                    tell(PullState::PullComplete);
                }
            }
            (Told::Blob { state, .. }, _) if !line.downloaded => tell(*state),
            (_, Some(Event::Read { bytes, .. })) if line.downloaded && line.open > 0 => {
                tell(PullState::Extracting { current: bytes, total: blob.size });
            }
            (_, Some(Event::Done { .. })) => {
                line.open = line.open.saturating_sub(1);
                if line.downloaded && line.open == 0 {
                    tell(PullState::PullComplete);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn wanted(name: &str) -> Wanted {
        let digest = Digest::sha256(name.as_bytes());
        Wanted { digest, size: 10, what: name.into(), growing: Arc::default() }
    }

    /// Feeds `told` and returns what is shown, as `name: state`.
    fn shown(blobs: &[Wanted], layers: Vec<usize>, present: &[bool], told: &[Told]) -> Vec<String> {
        let mut shown = Vec::new();
        let mut progress = |event: PullEvent| {
            let blob = blobs.iter().find(|blob| blob.digest == event.layer).unwrap();
            shown.push(format!("{}: {}", blob.what, event.state));
        };
        let mut display = Display::new(blobs, layers, present);
        display.begin(1, &mut progress);
        for told in told {
            display.show(told, &mut progress);
        }
        shown
    }

    #[test]
    fn a_layer_is_extracted_after_its_download_and_complete_once() {
        let blobs = [wanted("a"), wanted("b"), wanted("c")];
        let blob = |index, state| Told::Blob { index, state };
        let lines = shown(
            &blobs,
            vec![0, 1, 1, 2],
            &[true, false, false],
            &[
                Told::Layer(Event::Done { layer: 0 }),
                Told::Layer(Event::Read { layer: 1, bytes: 5 }),
                Told::Layer(Event::Done { layer: 1 }),
                blob(1, PullState::DownloadComplete),
                Told::Layer(Event::Read { layer: 2, bytes: 10 }),
                Told::Layer(Event::Done { layer: 2 }),
                Told::Layer(Event::Done { layer: 3 }),
                blob(2, PullState::Downloading { current: 1, total: 10 }),
                blob(2, PullState::DownloadComplete),
            ],
        );
        assert_eq!(
            lines,
            [
                "a: Already exists",
                "b: Pulling fs layer",
                "c: Pulling fs layer",
                "c: Waiting",
                "b: Download complete",
                "b: Extracting",
                "b: Pull complete",
                "c: Downloading",
                "c: Download complete",
                "c: Pull complete",
            ]
        );
    }
}
