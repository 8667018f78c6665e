//! `.window(5s, policy: "first_event")`: per key, a window starts at the first event behind the last one (D8).
//!
//! Windows of a key don't overlap. A heap of (end, key) says what closes next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::event::order::key_cmp;
use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Value};

use super::super::behind::{Behind, Contents, Window};
use super::super::emit::{Cause, Emit};
use super::super::env::{Bounds, Env};
use super::super::error::Failure;
use super::super::keys::Keys;

#[derive(Debug)]
pub(in super::super) struct FirstEvent {
    size_ns: i64,
    lateness_ns: i64,
    keys: Keys<Open>,
    /// End and entry of every open window.
    ends: BinaryHeap<Reverse<(i64, usize)>>,
    spare: Vec<Contents>,
    /// Entries that close at the same end.
    closing: Vec<usize>,
}

#[derive(Debug)]
pub(in super::super) struct Open {
    /// Start and contents, ascending.
    windows: VecDeque<(i64, Contents)>,
    /// The end of the last window that was opened. An event before it opens none, also when that window is closed.
    last_end_ns: i64,
}

impl Open {
    pub(super) fn held(&self) -> usize {
        self.windows.iter().map(|(_, contents)| contents.held()).sum()
    }
}

impl Default for Open {
    fn default() -> Self {
        Self { windows: VecDeque::new(), last_end_ns: i64::MIN }
    }
}

impl FirstEvent {
    pub(super) fn new(size_ns: i64, lateness_ns: i64, partitioned: bool, max_keys: usize) -> Self {
        Self {
            size_ns,
            lateness_ns,
            keys: Keys::new(partitioned, max_keys),
            ends: BinaryHeap::new(),
            spare: Vec::new(),
            closing: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn due_ns(&self) -> i64 {
        self.ends.peek().map_or(i64::MAX, |Reverse((end, _))| end.saturating_add(self.lateness_ns))
    }

    pub(super) fn keys(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn examples(&self, limit: usize) -> Vec<Value> {
        self.keys.examples(limit)
    }

    pub(super) fn take(
        &mut self,
        row: &Row,
        watermark_ns: i64,
        behind: &mut Behind,
        env: &mut Env,
    ) -> Result<bool, Failure> {
        let time_ns = row.time_ns();
        // Once even a window that started at the last end would be closed, every event before that end is late anyway,
        // so the key need not be remembered for it.
        let past =
            |end: i64| end.saturating_add(self.size_ns).saturating_add(self.lateness_ns) <= watermark_ns;
        let idle = |open: &Open| open.windows.is_empty() && past(open.last_end_ns);
        let entry = self.keys.find_or_insert(&env.key, idle).map_err(|fault| fault.at("window"))?;
        let late = past(time_ns);
        let open = &mut self.keys.entry(entry).state;
        if time_ns < open.last_end_ns || late {
            let size_ns = self.size_ns;
            let holds = |start: i64| start <= time_ns && time_ns < start.saturating_add(size_ns);
            let window = open.windows.iter_mut().rev().find(|(start, _)| holds(*start));
            return match window {
                Some((_, contents)) => behind.add(contents, row, env).map(|()| true),
                None => Ok(false),
            };
        }
        let mut contents = self.spare.pop().unwrap_or_default();
        let added = behind.add(&mut contents, row, env);
        open.windows.push_back((time_ns, contents));
        open.last_end_ns = time_ns.saturating_add(self.size_ns);
        self.ends.push(Reverse((open.last_end_ns, entry)));
        added.map(|()| true)
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

    /// Finds out anew what closes when.
    fn index(&mut self) {
        self.ends.clear();
        for entry in self.keys.numbers() {
            let ends = self.keys.state(entry).windows.iter();
            self.ends.extend(ends.map(|(start, _)| Reverse((start.saturating_add(self.size_ns), entry))));
        }
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
        while let Some(&Reverse((end_ns, _))) = self.ends.peek() {
            if end_ns.saturating_add(self.lateness_ns) > watermark_ns {
                break;
            }
            while let Some(&Reverse((end, entry))) = self.ends.peek()
                && end == end_ns
            {
                self.ends.pop();
                self.closing.push(entry);
            }
            let keys = &self.keys;
            self.closing.sort_unstable_by(|a, b| key_cmp(keys.key(*a), keys.key(*b)));
            for entry in self.closing.drain(..) {
                let entry = self.keys.entry(entry);
                let Some((start_ns, mut contents)) = entry.state.windows.pop_front() else { continue };
                let bounds = Bounds { start_ns, end_ns, result_ns: end_ns.saturating_sub(1) };
                let window = Window { key: &entry.key, bounds, cause };
                result = result.and(behind.close(&mut contents, window, env, out));
                self.spare.push(contents);
                self.keys.note_idle();
            }
        }
        result
    }
}

impl Snapshot for Open {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { windows, last_end_ns } = self;
        windows.write(out);
        last_end_ns.write(out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        Ok(Self { windows: Snapshot::read(from)?, last_end_ns: Snapshot::read(from)? })
    }
}

impl Keeps for FirstEvent {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { size_ns: _, lateness_ns: _, keys, ends: _, spare: _, closing: _ } = self;
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
