//! `.window(5s)`, `.window(5s, sliding: 1s)`: windows aligned to the epoch, [start, start + size) at every multiple
//! of the slide. One exists where it holds a row.
//!
//! Each key has its open windows in order; beside that stands, for each start at which any window is open, the list
//! of keys that have one. The least start closes next, and the keys on its list, sorted, are the order in which its
//! windows come out.

use std::collections::VecDeque;

use crate::event::order::key_cmp;
use crate::event::{Keeps, Pieces, Row, SnapshotError, SnapshotReader, Value};

use super::super::behind::{Behind, Contents, Window};
use super::super::emit::{Cause, Emit};
use super::super::env::{Bounds, Env};
use super::super::error::Failure;
use super::super::keys::Keys;

/// In how many windows at a time an event may be.
pub(super) const MAX_OVERLAP: i64 = 100_000;

#[derive(Debug)]
pub(in super::super) struct TimeWindows {
    size_ns: i64,
    slide_ns: i64,
    lateness_ns: i64,
    keys: Keys<Open>,
    /// Starts at which windows are open, ascending, each with the entries of the keys that have one.
    starts: VecDeque<(i64, Vec<usize>)>,
    due_ns: i64,
    spare_lists: Vec<Vec<usize>>,
    spare_contents: Vec<Contents>,
}

/// The open windows of a key by their starts, ascending.
pub(in super::super) type Open = VecDeque<(i64, Contents)>;

impl TimeWindows {
    pub(super) fn new(
        size_ns: i64,
        slide_ns: i64,
        lateness_ns: i64,
        partitioned: bool,
        max_keys: usize,
    ) -> Self {
        Self {
            size_ns,
            slide_ns,
            lateness_ns,
            keys: Keys::new(partitioned, max_keys),
            starts: VecDeque::new(),
            due_ns: i64::MAX,
            spare_lists: Vec::new(),
            spare_contents: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn due_ns(&self) -> i64 {
        self.due_ns
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn examples(&self, limit: usize) -> Vec<Value> {
        self.keys.examples(limit)
    }

    /// The watermark that closes the window which starts at `start_ns`.
    fn closing_ns(&self, start_ns: i64) -> i64 {
        start_ns.saturating_add(self.size_ns).saturating_add(self.lateness_ns)
    }

    pub(super) fn take(
        &mut self,
        row: &Row,
        watermark_ns: i64,
        behind: &mut Behind,
        env: &mut Env,
    ) -> Result<bool, Failure> {
        let time_ns = row.time_ns();
        let mut start_ns = time_ns.div_euclid(self.slide_ns).saturating_mul(self.slide_ns);
        if self.closing_ns(start_ns) <= watermark_ns {
            return Ok(false); // It is the last of the row's windows, so all are closed.
        }
        let entry = self.keys.find_or_insert(&env.key, Open::is_empty).map_err(|fault| fault.at("window"))?;
        let mut result = Ok(true);
        while start_ns > time_ns.saturating_sub(self.size_ns) && self.closing_ns(start_ns) > watermark_ns {
            let contents = self.open(entry, start_ns);
            result = result.and(behind.add(contents, row, env).map(|()| true));
            match start_ns.checked_sub(self.slide_ns) {
                Some(before) => start_ns = before,
                None => break,
            }
        }
        result
    }

    /// The window of a key that starts at `start_ns`; opens it, if need be.
    #[inline]
    fn open(&mut self, entry: usize, start_ns: i64) -> &mut Contents {
        let open = &self.keys.state(entry);
        // Rows come nearly in order, so the window is one of the last.
        let behind = open.iter().rev().take_while(|(start, _)| *start > start_ns).count();
        let place = open.len() - behind;
        if place == 0 || open[place - 1].0 != start_ns {
            self.open_new(entry, start_ns, place);
            return &mut self.keys.entry(entry).state[place].1;
        }
        &mut self.keys.entry(entry).state[place - 1].1
    }

    #[inline(never)]
    fn open_new(&mut self, entry: usize, start_ns: i64, place: usize) {
        let contents = self.spare_contents.pop().unwrap_or_default();
        self.keys.entry(entry).state.insert(place, (start_ns, contents));
        let behind = self.starts.iter().rev().take_while(|(start, _)| *start > start_ns).count();
        let at = self.starts.len() - behind;
        if at == 0 || self.starts[at - 1].0 != start_ns {
            let list = self.spare_lists.pop().unwrap_or_default();
            self.starts.insert(at, (start_ns, list));
            self.starts[at].1.push(entry);
            self.due_ns = self.closing_ns(self.starts[0].0);
        } else {
            self.starts[at - 1].1.push(entry);
        }
    }

    pub(super) fn split(&mut self, leaves: &dyn Fn(&Value) -> bool) -> Vec<(Value, Open)> {
        let left = self.keys.split(leaves);
        self.index();
        left
    }

    pub(super) fn join(&mut self, moved: Vec<(Value, Open)>) {
        self.keys.join(moved);
        self.index();
    }

    /// Finds out anew which keys have a window open at which start.
    fn index(&mut self) {
        let mut open: Vec<(i64, usize)> = Vec::new();
        for entry in self.keys.numbers() {
            open.extend(self.keys.state(entry).iter().map(|(start, _)| (*start, entry)));
        }
        open.sort_unstable();
        self.starts.clear();
        for same in open.chunk_by(|a, b| a.0 == b.0) {
            self.starts.push_back((same[0].0, same.iter().map(|(_, entry)| *entry).collect()));
        }
        self.due_ns = self.starts.front().map_or(i64::MAX, |(start, _)| self.closing_ns(*start));
    }

    pub(super) fn advance(
        &mut self,
        watermark_ns: i64,
        cause: Cause,
        behind: &mut Behind,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        while self.due_ns <= watermark_ns {
            let Some((start_ns, mut list)) = self.starts.pop_front() else { break };
            let keys = &self.keys;
            list.sort_unstable_by(|a, b| key_cmp(keys.key(*a), keys.key(*b)));
            let end_ns = start_ns.saturating_add(self.size_ns);
            let bounds = Bounds { start_ns, end_ns, result_ns: end_ns.saturating_sub(1) };
            for entry in list.drain(..) {
                let entry = self.keys.entry(entry);
                // The least start of all is the least of this key, too.
                let Some((_, mut contents)) = entry.state.pop_front() else { continue };
                let idle = entry.state.is_empty();
                let window = Window { key: &entry.key, bounds, cause };
                result = result.and(behind.close(&mut contents, window, env, out));
                self.spare_contents.push(contents);
                if idle {
                    self.keys.note_idle();
                }
            }
            self.spare_lists.push(list);
            self.due_ns = self.starts.front().map_or(i64::MAX, |(start, _)| self.closing_ns(*start));
            if self.starts.is_empty() {
                break; // At the end of the input the watermark is as great as `due_ns` then is.
            }
        }
        result
    }
}

impl Keeps for TimeWindows {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self {
            size_ns: _,
            slide_ns: _,
            lateness_ns: _,
            keys,
            starts: _,
            due_ns: _,
            spare_lists: _,
            spare_contents: _,
        } = self;
        keys.save(out);
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        self.keys.save_more(pieces);
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.keys.restore(from)?;
        self.index();
        Ok(())
    }
}
