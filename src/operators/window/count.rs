//! `.window(10)`, `.window(10, sliding: 2)`: by number of rows per key, whatever their time. No watermark: a window
//! closes on the row that fills it.
//!
//! A sliding window keeps its rows, and lets go of as many as it slides by whenever it is full. What is left at the
//! end of the input comes out by (time of the key's last row, key) (D10, D11).

use std::collections::VecDeque;

use crate::event::order::key_cmp;
use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Value};

use super::super::behind::{Behind, Contents, Window};
use super::super::emit::{Cause, Emit};
use super::super::env::{Bounds, Env};
use super::super::error::Failure;
use super::super::keys::Keys;

#[derive(Debug)]
pub(in super::super) struct TumblingCount {
    size: usize,
    keys: Keys<Filling>,
}

/// The window of a key that is not full yet.
#[derive(Debug, Default)]
pub(in super::super) struct Filling {
    rows: usize,
    first_ns: i64,
    last_ns: i64,
    contents: Contents,
}

impl Filling {
    pub(super) fn held(&self) -> usize {
        self.contents.held()
    }

    fn bounds(&self) -> Bounds {
        Bounds { start_ns: self.first_ns, end_ns: self.last_ns, result_ns: self.last_ns }
    }
}

impl TumblingCount {
    pub(super) fn new(size: usize, partitioned: bool, max_keys: usize) -> Self {
        Self { size, keys: Keys::new(partitioned, max_keys) }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn split(&mut self, leaves: &dyn Fn(&Value) -> bool) -> Vec<(Value, Filling)> {
        self.keys.split(leaves)
    }

    pub(super) fn join(&mut self, moved: Vec<(Value, Filling)>) {
        self.keys.join(moved);
    }

    pub(super) fn examples(&self, limit: usize) -> Vec<Value> {
        self.keys.examples(limit)
    }

    #[inline]
    pub(super) fn take(
        &mut self,
        row: &Row,
        behind: &mut Behind,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        let entry = self.keys.find_or_insert(&env.key, |filling: &Filling| filling.rows == 0);
        let entry = self.keys.entry(entry.map_err(|fault| fault.at("window"))?);
        let filling = &mut entry.state;
        behind.add(&mut filling.contents, row, env)?;
        if filling.rows == 0 {
            filling.first_ns = row.time_ns();
        }
        filling.last_ns = row.time_ns();
        filling.rows += 1;
        if filling.rows < self.size {
            return Ok(());
        }
        filling.rows = 0;
        let window = Window { key: &entry.key, bounds: filling.bounds(), cause: Cause::of(row) };
        let closed = behind.close(&mut filling.contents, window, env, out);
        self.keys.note_idle();
        closed
    }

    pub(super) fn flush(
        &mut self,
        cause: Cause,
        behind: &mut Behind,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        let mut left = self.keys.numbers();
        left.retain(|entry| self.keys.state(*entry).rows > 0);
        sort_leftovers(&mut left, &self.keys, |filling| filling.last_ns);
        let mut result = Ok(());
        for entry in left {
            let entry = self.keys.entry(entry);
            entry.state.rows = 0;
            let window = Window { key: &entry.key, bounds: entry.state.bounds(), cause };
            result = result.and(behind.close(&mut entry.state.contents, window, env, out));
        }
        result
    }
}

#[derive(Debug)]
pub(in super::super) struct SlidingCount {
    size: usize,
    slide: usize,
    keys: Keys<Slide>,
}

/// The rows of a key that are in its next window.
#[derive(Debug, Default)]
pub(in super::super) struct Slide {
    rows: VecDeque<Row>,
    /// How many of them were in no window yet.
    fresh: usize,
}

impl Slide {
    pub(super) fn held(&self) -> usize {
        self.rows.len()
    }

    fn last_ns(&self) -> i64 {
        self.rows.back().map_or(0, Row::time_ns)
    }

    fn bounds(&self) -> Bounds {
        let start_ns = self.rows.front().map_or(0, Row::time_ns);
        Bounds { start_ns, end_ns: self.last_ns(), result_ns: self.last_ns() }
    }
}

impl SlidingCount {
    pub(super) fn new(size: usize, slide: usize, partitioned: bool, max_keys: usize) -> Self {
        Self { size, slide, keys: Keys::new(partitioned, max_keys) }
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn split(&mut self, leaves: &dyn Fn(&Value) -> bool) -> Vec<(Value, Slide)> {
        self.keys.split(leaves)
    }

    pub(super) fn join(&mut self, moved: Vec<(Value, Slide)>) {
        self.keys.join(moved);
    }

    pub(super) fn examples(&self, limit: usize) -> Vec<Value> {
        self.keys.examples(limit)
    }

    pub(super) fn take(
        &mut self,
        row: &Row,
        behind: &mut Behind,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        let entry = self.keys.find_or_insert(&env.key, |slide: &Slide| slide.rows.is_empty());
        let entry = self.keys.entry(entry.map_err(|fault| fault.at("window"))?);
        let slide = &mut entry.state;
        behind.hold()?;
        slide.rows.push_back(row.clone());
        slide.fresh += 1;
        if slide.rows.len() < self.size {
            return Ok(());
        }
        let window = Window { key: &entry.key, bounds: slide.bounds(), cause: Cause::of(row) };
        let closed = behind.close_with(slide.rows.iter(), window, env, out);
        slide.rows.drain(..self.slide);
        slide.fresh = 0;
        behind.release(self.slide);
        closed
    }

    pub(super) fn flush(
        &mut self,
        cause: Cause,
        behind: &mut Behind,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        let mut left = self.keys.numbers();
        left.retain(|entry| self.keys.state(*entry).fresh > 0);
        sort_leftovers(&mut left, &self.keys, Slide::last_ns);
        let mut result = Ok(());
        for entry in left {
            let entry = self.keys.entry(entry);
            let window = Window { key: &entry.key, bounds: entry.state.bounds(), cause };
            result = result.and(behind.close_with(entry.state.rows.iter(), window, env, out));
        }
        for entry in self.keys.numbers() {
            let slide = &mut self.keys.entry(entry).state;
            behind.release(slide.rows.len());
            slide.rows.clear();
            slide.fresh = 0;
        }
        result
    }
}

fn sort_leftovers<S: Default + Snapshot>(left: &mut [usize], keys: &Keys<S>, last_ns: impl Fn(&S) -> i64) {
    left.sort_unstable_by(|a, b| {
        last_ns(keys.state(*a))
            .cmp(&last_ns(keys.state(*b)))
            .then_with(|| key_cmp(keys.key(*a), keys.key(*b)))
    });
}

impl Snapshot for Filling {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { rows, first_ns, last_ns, contents } = self;
        rows.write(out);
        first_ns.write(out);
        last_ns.write(out);
        contents.write(out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let (rows, first_ns) = (Snapshot::read(from)?, Snapshot::read(from)?);
        Ok(Self { rows, first_ns, last_ns: Snapshot::read(from)?, contents: Snapshot::read(from)? })
    }
}

impl Keeps for TumblingCount {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { size: _, keys } = self;
        keys.save(out);
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        self.keys.save_more(pieces);
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.keys.restore(from)
    }
}

impl Snapshot for Slide {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { rows, fresh } = self;
        rows.write(out);
        fresh.write(out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        Ok(Self { rows: Snapshot::read(from)?, fresh: Snapshot::read(from)? })
    }
}

impl Keeps for SlidingCount {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { size: _, slide: _, keys } = self;
        keys.save(out);
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        self.keys.save_more(pieces);
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.keys.restore(from)
    }
}
