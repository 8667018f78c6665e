//! What the streams of a stage write into a checkpoint, and how each finds its own again.
//!
//! State is kept by stream, and by worker where a stream has a pool, not by stage: so a stream finds it again also
//! where the streams around it have changed.

use std::collections::BTreeMap;

use crate::event::{Snapshot, SnapshotError, SnapshotReader};

/// Whose state it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateOf<'a> {
    pub(super) stream: &'a str,
    /// Which worker of the stream's pool.
    pub(super) worker: Option<usize>,
    /// At the front of a pool: how many workers it has.
    pub(super) pool: Option<usize>,
}

impl StateOf<'_> {
    /// Appends what `state` appends, with its length in front.
    pub(super) fn write(self, out: &mut Vec<u8>, state: impl FnOnce(&mut Vec<u8>)) {
        self.stream.to_owned().write(out);
        self.worker.write(out);
        self.pool.write(out);
        let at = out.len();
        0_i64.write(out);
        state(out);
        let length = (out.len() - at - size_of::<i64>()) as i64;
        out[at..at + size_of::<i64>()].copy_from_slice(&length.to_le_bytes());
    }
}

/// What all stages have written.
#[derive(Debug, Default)]
pub struct Saved {
    states: BTreeMap<(String, Option<usize>), Vec<u8>>,
    /// By stream: the workers of its pool.
    pools: BTreeMap<String, usize>,
}

impl Saved {
    /// Adds what a stage has written.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = SnapshotReader::new(bytes);
        while !reader.is_at_end() {
            let (stream, worker): (String, Option<usize>) = Snapshot::read(&mut reader)?;
            if let Some(workers) = Snapshot::read(&mut reader)? {
                self.pools.insert(stream.clone(), workers);
            }
            let length = usize::try_from(i64::read(&mut reader)?).map_err(|_| reader.error("length"))?;
            self.states.insert((stream, worker), reader.take(length)?.to_vec());
        }
        Ok(())
    }

    /// Forgets the streams that are not to be taken up.
    pub fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        self.states.retain(|(stream, _), _| keeps(stream));
        self.pools.retain(|stream, _| keeps(stream));
    }

    /// The pools, and how many workers each had.
    pub fn pools(&self) -> impl Iterator<Item = (&str, usize)> {
        self.pools.iter().map(|(stream, workers)| (stream.as_str(), *workers))
    }

    /// The state of a stream, or of a worker of its pool.
    pub(super) fn of(&self, stream: &str, worker: Option<usize>) -> Option<&[u8]> {
        self.states.get(&(stream.to_owned(), worker)).map(Vec::as_slice)
    }
}
