//! `.limit(n)`: the first n rows: of the stream, per key if it is partitioned; behind a window, of each window.

use crate::event::{Keeps, Pieces, SnapshotError, SnapshotReader, Value};

use super::error::Fault;
use super::keys::Keys;

#[derive(Debug)]
pub(super) struct Limit {
    max: u64,
    seen: Keys<u64>,
    max_keys: usize,
    partitioned: bool,
}

impl Limit {
    pub(super) fn new(max: u64, partitioned: bool, max_keys: usize) -> Self {
        Self { max, seen: Keys::new(partitioned, max_keys), max_keys, partitioned }
    }

    /// Whether one more row with `key` passes.
    #[inline]
    pub(super) fn passes(&mut self, key: &Value) -> Result<bool, Fault> {
        let number = self.seen.find_or_insert(key, |_| false)?;
        let seen = &mut self.seen.entry(number).state;
        let passes = *seen < self.max;
        *seen += u64::from(passes);
        Ok(passes)
    }

    /// Starts anew: for the next window.
    pub(super) fn reset(&mut self) {
        self.seen = Keys::new(self.partitioned, self.max_keys);
    }

    /// Takes out what it has seen of the keys that leave.
    pub(super) fn split(&mut self, leaves: &dyn Fn(&Value) -> bool) -> Vec<(Value, u64)> {
        self.seen.split(leaves)
    }

    /// Adds what another one has seen of these keys.
    pub(super) fn join(&mut self, seen: Vec<(Value, u64)>) {
        self.seen.join(seen);
    }

    /// How many keys it remembers.
    pub(super) fn keys(&self) -> usize {
        self.seen.len()
    }

    /// Up to `limit` of them.
    pub(super) fn examples(&self, limit: usize) -> Vec<Value> {
        self.seen.examples(limit)
    }
}

impl Keeps for Limit {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { max: _, seen, max_keys: _, partitioned: _ } = self;
        seen.save(out);
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        self.seen.save_more(pieces);
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.seen.restore(from)
    }
}
