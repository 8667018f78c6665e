//! `.window(session: 5s)`: rows of a key that are never further apart than the gap (D9).
//!
//! A session closes when the watermark has passed its last row by more than the gap; it moves with every row, so what
//! closes next is not kept exactly: a heap says when to *look* at a key, which is never too late. Where looking finds
//! a session that has moved on, the key is put back for its new time; so a busy key is looked at about once per gap,
//! not once per row.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::order::key_cmp;
use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Value};

use super::super::behind::{Behind, Contents, Window};
use super::super::emit::{Cause, Emit};
use super::super::env::{Bounds, Env};
use super::super::error::Failure;
use super::super::keys::Keys;

#[derive(Debug)]
pub(in super::super) struct Sessions {
    gap_ns: i64,
    lateness_ns: i64,
    keys: Keys<Open>,
    /// When to look at which entry: a time that is at most the end of its first session to close.
    looks: BinaryHeap<Reverse<(i64, usize)>>,
    closing: Vec<Closing>,
    spare: Vec<Contents>,
    spare_arrivals: Vec<Vec<u64>>,
    /// Rows that have come, to tell which of two came first.
    arrivals: u64,
}

#[derive(Debug)]
pub(in super::super) struct Open {
    /// By their times, ascending; they don't touch.
    sessions: Vec<Session>,
    /// The next look at this key; `i64::MAX` where there is none.
    look_ns: i64,
}

impl Open {
    pub(super) fn held(&self) -> usize {
        self.sessions.iter().map(|session| session.contents.held()).sum()
    }
}

impl Default for Open {
    fn default() -> Self {
        Self { sessions: Vec::new(), look_ns: i64::MAX }
    }
}

#[derive(Debug, Default)]
struct Session {
    first_ns: i64,
    last_ns: i64,
    contents: Contents,
    /// For each row of the contents its number by arrival.
    arrivals: Vec<u64>,
}

#[derive(Debug)]
struct Closing {
    end_ns: i64,
    entry: usize,
    session: Session,
}

impl Sessions {
    pub(super) fn new(gap_ns: i64, lateness_ns: i64, partitioned: bool, max_keys: usize) -> Self {
        Self {
            gap_ns,
            lateness_ns,
            keys: Keys::new(partitioned, max_keys),
            looks: BinaryHeap::new(),
            closing: Vec::new(),
            spare: Vec::new(),
            spare_arrivals: Vec::new(),
            arrivals: 0,
        }
    }

    /// A session closes when the watermark is greater than its end, so the next is due one later.
    #[inline]
    pub(super) fn due_ns(&self) -> i64 {
        self.looks
            .peek()
            .map_or(i64::MAX, |Reverse((look, _))| look.saturating_add(self.lateness_ns).saturating_add(1))
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
        let (time_ns, gap_ns) = (row.time_ns(), self.gap_ns);
        let idle = |open: &Open| open.sessions.is_empty();
        let number = self.keys.find_or_insert(&env.key, idle).map_err(|fault| fault.at("window"))?;
        let open = &mut self.keys.entry(number).state;
        let touches = |session: &Session| {
            time_ns >= session.first_ns.saturating_sub(gap_ns)
                && time_ns <= session.last_ns.saturating_add(gap_ns)
        };
        self.arrivals += 1;
        // Sessions lie in order and further than the gap apart, so those that the row touches lie side by side.
        let Some(first) = open.sessions.iter().position(touches) else {
            let end_ns = time_ns.saturating_add(gap_ns);
            if watermark_ns > end_ns.saturating_add(self.lateness_ns) {
                if idle(open) {
                    self.keys.note_idle();
                }
                return Ok(false);
            }
            let mut session = Session {
                first_ns: time_ns,
                last_ns: time_ns,
                contents: self.spare.pop().unwrap_or_default(),
                arrivals: self.spare_arrivals.pop().unwrap_or_default(),
            };
            let added = behind.add(&mut session.contents, row, env);
            if added.is_ok() && behind.holds_rows() {
                session.arrivals.push(self.arrivals);
            }
            let place = open.sessions.partition_point(|session| session.first_ns < time_ns);
            open.sessions.insert(place, session);
            if end_ns < open.look_ns {
                open.look_ns = end_ns;
                self.looks.push(Reverse((end_ns, number)));
            }
            return added.map(|()| true);
        };
        while open.sessions.get(first + 1).is_some_and(touches) {
            let mut later = open.sessions.remove(first + 1);
            open.sessions[first].absorb(&mut later);
            later.arrivals.clear();
            self.spare.push(later.contents);
            self.spare_arrivals.push(later.arrivals);
        }
        let session = &mut open.sessions[first];
        session.first_ns = session.first_ns.min(time_ns);
        session.last_ns = session.last_ns.max(time_ns);
        behind.add(&mut session.contents, row, env)?;
        if behind.holds_rows() {
            session.arrivals.push(self.arrivals);
        }
        Ok(true)
    }

    /// The open sessions of the keys that leave, and how many rows have come.
    pub(super) fn split(&mut self, leaves: &dyn Fn(&Value) -> bool) -> (Vec<(Value, Open)>, u64) {
        let left = self.keys.split(leaves);
        self.index();
        (left, self.arrivals)
    }

    pub(super) fn join(&mut self, (moved, arrivals): (Vec<(Value, Open)>, u64)) {
        // Rows that come now came after those that come along.
        self.arrivals = self.arrivals.max(arrivals);
        self.keys.join(moved);
        self.index();
    }

    /// Finds out anew when to look at which key.
    fn index(&mut self) {
        self.looks.clear();
        for entry in self.keys.numbers() {
            let open = &mut self.keys.entry(entry).state;
            let ends = open.sessions.iter().map(|session| session.last_ns.saturating_add(self.gap_ns));
            open.look_ns = ends.min().unwrap_or(i64::MAX);
            if !open.sessions.is_empty() {
                self.looks.push(Reverse((open.look_ns, entry)));
            }
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
        let (gap_ns, lateness_ns) = (self.gap_ns, self.lateness_ns);
        // At the end of the input nothing stays open, also where times are so great that additions saturate.
        let end_of_input = watermark_ns == i64::MAX;
        let closes = move |end_ns: i64| end_of_input || watermark_ns > end_ns.saturating_add(lateness_ns);
        let mut closing = std::mem::take(&mut self.closing);
        while let Some(&Reverse((look_ns, number))) = self.looks.peek()
            && closes(look_ns)
        {
            self.looks.pop();
            let open = &mut self.keys.entry(number).state;
            if open.look_ns != look_ns {
                continue; // There was a reason to look earlier, and that has been done.
            }
            let mut place = 0;
            let mut next_ns = i64::MAX;
            while let Some(session) = open.sessions.get(place) {
                let end_ns = session.last_ns.saturating_add(gap_ns);
                if closes(end_ns) {
                    closing.push(Closing { end_ns, entry: number, session: open.sessions.remove(place) });
                } else {
                    next_ns = next_ns.min(end_ns);
                    place += 1;
                }
            }
            open.look_ns = next_ns;
            if open.sessions.is_empty() {
                self.keys.note_idle();
            } else {
                self.looks.push(Reverse((next_ns, number)));
            }
        }
        let keys = &self.keys;
        closing.sort_unstable_by(|a, b| {
            a.end_ns.cmp(&b.end_ns).then_with(|| key_cmp(keys.key(a.entry), keys.key(b.entry)))
        });
        let mut result = Ok(());
        for Closing { end_ns, entry, mut session } in closing.drain(..) {
            let start_ns = session.first_ns;
            let bounds = Bounds { start_ns, end_ns, result_ns: end_ns.saturating_sub(1) };
            let window = Window { key: self.keys.key(entry), bounds, cause };
            result = result.and(behind.close(&mut session.contents, window, env, out));
            session.arrivals.clear();
            self.spare.push(session.contents);
            self.spare_arrivals.push(session.arrivals);
        }
        self.closing = closing;
        result
    }
}

impl Session {
    /// Takes over what `later` holds; rows stay in order of arrival.
    fn absorb(&mut self, later: &mut Self) {
        self.first_ns = self.first_ns.min(later.first_ns);
        self.last_ns = self.last_ns.max(later.last_ns);
        let first_came_later = later.arrivals.first() < self.arrivals.last();
        Behind::merge(&mut self.contents, &mut later.contents);
        self.arrivals.append(&mut later.arrivals);
        if first_came_later && !self.arrivals.is_empty() {
            let mut rows: Vec<_> = self.arrivals.drain(..).zip(self.contents.rows.drain(..)).collect();
            rows.sort_by_key(|(arrival, _)| *arrival);
            (self.arrivals, self.contents.rows) = rows.into_iter().unzip();
        }
    }
}

impl Snapshot for Session {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { first_ns, last_ns, contents, arrivals } = self;
        first_ns.write(out);
        last_ns.write(out);
        contents.write(out);
        arrivals.write(out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let (first_ns, last_ns) = (Snapshot::read(from)?, Snapshot::read(from)?);
        Ok(Self { first_ns, last_ns, contents: Snapshot::read(from)?, arrivals: Snapshot::read(from)? })
    }
}

impl Snapshot for Open {
    fn write(&self, out: &mut Vec<u8>) {
        // When to look is found out anew.
        let Self { sessions, look_ns: _ } = self;
        sessions.write(out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        Ok(Self { sessions: Snapshot::read(from)?, ..Self::default() })
    }
}

impl Keeps for Sessions {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self {
            gap_ns: _,
            lateness_ns: _,
            keys,
            looks: _,
            closing: _,
            spare: _,
            spare_arrivals: _,
            arrivals,
        } = self;
        keys.save(out);
        arrivals.write(out);
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        self.keys.save_more(pieces);
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.keys.restore(from)?;
        self.arrivals = Snapshot::read(from)?;
        self.index();
        Ok(())
    }
}
