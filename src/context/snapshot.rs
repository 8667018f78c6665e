//! What the streams of a stage write into a checkpoint, and how each finds its own again.
//!
//! State is kept by stream, and by worker where a stream has a pool, not by stage: so a stream finds it again also
//! where the streams around it have changed.
//!
//! A section has in front, for each stream, whose it is and what was written at once; behind that come the pieces of
//! what was written little by little (see `event::pieces`), all streams mixed.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::event::{PartPieces, Snapshot, SnapshotError, SnapshotReader, parts_of, write_count};

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
    /// What comes first: how many streams there are.
    pub(super) fn write_streams(streams: usize, out: &mut Vec<u8>) {
        write_count(streams, out);
    }

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
    sections: Vec<Vec<u8>>,
    states: BTreeMap<(String, Option<usize>), State>,
    /// By stream: the workers of its pool.
    pools: BTreeMap<String, usize>,
}

/// Where the state of a stream lies.
#[derive(Debug)]
struct State {
    section: usize,
    front: Range<usize>,
    /// By part.
    pieces: Vec<Vec<Range<usize>>>,
}

impl Saved {
    /// Adds what a stage has written.
    pub fn add(&mut self, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        let mut reader = SnapshotReader::new(&bytes);
        let section = self.sections.len();
        let mut states = Vec::new();
        for _ in 0..reader.count()? {
            let whose: (String, Option<usize>) = Snapshot::read(&mut reader)?;
            if let Some(workers) = Snapshot::read(&mut reader)? {
                self.pools.insert(whose.0.clone(), workers);
            }
            let length = usize::try_from(i64::read(&mut reader)?).map_err(|_| reader.error("length"))?;
            let front = within(&bytes, reader.take(length)?);
            states.push((whose, State { section, front, pieces: Vec::new() }));
        }
        let parts = parts_of(reader.rest(), states.len())?;
        for ((whose, mut state), parts) in states.into_iter().zip(parts) {
            let ranges =
                |pieces: PartPieces<'_>| pieces.into_iter().map(|piece| within(&bytes, piece)).collect();
            state.pieces = parts.into_iter().map(ranges).collect();
            self.states.insert(whose, state);
        }
        self.sections.push(bytes);
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
    pub(super) fn of(&self, stream: &str, worker: Option<usize>) -> Option<SnapshotReader<'_>> {
        let State { section, front, pieces } = self.states.get(&(stream.to_owned(), worker))?;
        let bytes = &self.sections[*section];
        let part = |part: &Vec<Range<usize>>| part.iter().map(|piece| &bytes[piece.clone()]).collect();
        Some(SnapshotReader::with_parts(&bytes[front.clone()], pieces.iter().map(part).collect()))
    }
}

/// Where a part of `bytes` lies in them.
fn within(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let at = part.as_ptr().addr() - bytes.as_ptr().addr();
    at..at + part.len()
}
