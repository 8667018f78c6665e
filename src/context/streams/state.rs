//! What the streams of a stage write into a checkpoint and take up again, stream by stream.

use crate::context::pool::{PoolWorker, Scatter};
use crate::context::snapshot::{Saved, StateOf};
use crate::event::{Keeps, Pieces, SnapshotError};
use crate::operators::StreamStats;

use super::Streams;

impl Streams {
    /// Writes down what they know of earlier events; between two rounds, when nothing waits. What is great is left to
    /// `save_more`.
    pub fn save(&mut self, out: &mut Vec<u8>) {
        debug_assert!(self.queues.iter().all(Vec::is_empty), "a round is over before the next thing begins");
        debug_assert!(self.holdbacks.iter().flatten().all(|holdback| !holdback.waits()));
        self.saved = 0;
        StateOf::write_streams(self.runtimes.len(), out);
        for (at, runtime) in self.runtimes.iter_mut().enumerate() {
            let mut scatter = self.scatters.get_mut(at).and_then(Option::as_mut);
            let name = runtime.name().to_owned();
            StateOf {
                stream: &name,
                worker: self.worker.as_ref().map(PoolWorker::index),
                pool: scatter.as_deref().map(Scatter::workers),
            }
            .write(out, |out| {
                runtime.save(out);
                if let Some(scatter) = &mut scatter {
                    scatter.save(out);
                }
                self.env.save(out);
            });
        }
    }

    /// Writes more of it, as it was then, as long as there is room. True when that was all.
    pub(in crate::context) fn save_more(&mut self, pieces: &mut Pieces) -> bool {
        while let Some(runtime) = self.runtimes.get_mut(self.saved) {
            if !pieces.has_room() {
                return false;
            }
            pieces.begin_stream(self.saved as u32);
            runtime.save_more(pieces);
            if pieces.has_stopped() {
                return false;
            }
            // Nobody else has anything to write little by little: a scatter and what streams share are small.
            pieces.note_look();
            self.saved += 1;
        }
        true
    }

    /// What each of them holds, to be told to people.
    pub fn holds(&self) -> Vec<(String, StreamStats)> {
        self.runtimes.iter().map(|runtime| (runtime.name().to_owned(), runtime.stats())).collect()
    }

    /// Takes up what the same streams have written down.
    pub fn restore(&mut self, saved: &Saved) -> Result<(), SnapshotError> {
        let worker = self.worker.as_ref().map(PoolWorker::index);
        for (at, runtime) in self.runtimes.iter_mut().enumerate() {
            let Some(mut reader) = saved.of(runtime.name(), worker) else { continue };
            runtime.restore(&mut reader)?;
            if let Some(scatter) = self.scatters.get_mut(at).and_then(Option::as_mut) {
                scatter.restore(&mut reader)?;
            }
            // The same for every stream of a stage.
            self.env.restore(&mut reader)?;
            reader.end()?;
        }
        self.hold_back_from_here();
        Ok(())
    }
}
