//! Pools: the operators behind `.concurrent` on several workers, each a stage of its own.
//!
//! The *front* of a stream with a pool runs in the stream's context: its source, its watermark, and the operators in
//! front of the pool. It *scatters* rows over the workers, one ring to each, and tells them the watermark: that of the
//! stream, not of the part that one worker sees, so windows close alike however many workers there are. There is no
//! collector: each worker has a ring of its own to everybody who takes the stream's rows.
//!
//! Under `deterministic` what several workers make of one event is put back into the order in which a single one would
//! have made it. Where the sequence number does not say all, rows carry *tags* behind their last field: which of the
//! moments of this sequence number made them (several rows of one number can enter a pool), and, for what leaves a
//! window, its key, because windows that close at once come by (end, key).

use std::cmp::Ordering;

use crate::event::order::{key_cmp, key_hash};
use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Value};
use crate::flow::{MergeOrder, way_of};
use crate::vpl::plan::{Plan, PoolPlan, Strategy, StreamPlan, WindowPlan};

use super::one_per_seq::OnePerSeq;
use super::skew::{PoolSkew, Skew};
use super::streams::Outlet;
use super::topology::makers;

/// How many of the keys with the most rows are told.
const HOTTEST: usize = 5;

/// What the rows of a stream with a pool carry behind their fields, so that they can be put in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// The moment within the sequence number.
    moment: bool,
    /// The key of the window that was closed.
    key: bool,
}

impl Tags {
    /// The tags of the stream with index `stream`, which has `pool`, where rows are merged by their numbers.
    fn of(plan: &Plan, stream: usize, pool: &PoolPlan, one_per_seq: &OnePerSeq) -> Self {
        match pool.strategy {
            // All that comes of one sequence number is that of one worker.
            Strategy::Broadcast => Self::default(),
            Strategy::RoundRobin | Strategy::ConsistentHash => {
                let key = plan.streams[stream].window.is_some();
                Self { moment: !one_per_seq.leaves_front(plan, stream), key }
            }
        }
    }

    /// Whether there are any.
    pub fn any(self) -> bool {
        self.moment || self.key
    }

    /// The order of two rows of one sequence number and one stream. Equal ones come from one worker.
    pub fn compare(self, a: &Row, b: &Row) -> Ordering {
        let tag = |row: &'_ Row, behind: usize| row.len().checked_sub(1 + behind);
        let get = |behind| Some((a.get(tag(a, behind)?), b.get(tag(b, behind)?)));
        let mut order = Ordering::Equal;
        if self.moment
            && let Some((a, b)) = get(usize::from(self.key))
        {
            order = key_cmp(a, b);
        }
        if self.key
            && order == Ordering::Equal
            && let Some((key_a, key_b)) = get(0)
        {
            order = a.time_ns().cmp(&b.time_ns()).then_with(|| key_cmp(key_a, key_b));
        }
        order
    }
}

/// For each rank the tags of its rows, where they are merged in `order`; empty where no stream's rows have any.
pub fn tags_by_rank(plan: &Plan, order: MergeOrder) -> Vec<Tags> {
    if order != MergeOrder::Deterministic || plan.streams.iter().all(|spec| spec.pool.is_none()) {
        return Vec::new();
    }
    let one_per_seq = OnePerSeq::of(plan, &makers(plan));
    let of = |(stream, spec): (usize, &StreamPlan)| {
        spec.pool.as_ref().map_or_else(Tags::default, |pool| Tags::of(plan, stream, pool, &one_per_seq))
    };
    let tags: Vec<Tags> =
        std::iter::once(Tags::default()).chain(plan.streams.iter().enumerate().map(of)).collect();
    if tags.iter().any(|tags| tags.any()) { tags } else { Vec::new() }
}

/// When the workers have to hear of the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// Never: no window goes by time.
    Never,
    /// Whenever it moves: what closes next, only the workers know.
    Always,
    /// When it passes the end of a window that some worker could have: `first` and every multiple of `every` from
    /// there.
    Aligned { first_ns: i64, every_ns: i64, next_ns: i64 },
}

impl Closing {
    fn of(stream: &StreamPlan) -> Self {
        match stream.window {
            None | Some(WindowPlan::Count { .. }) => Self::Never,
            Some(WindowPlan::Time { size_ns, slide_ns }) => Self::Aligned {
                first_ns: size_ns.saturating_add(stream.allowed_lateness_ns),
                every_ns: slide_ns,
                next_ns: i64::MIN,
            },
            Some(WindowPlan::FirstEvent { .. } | WindowPlan::Session { .. }) => Self::Always,
        }
    }

    /// Whether something can close, or come too late, now that the watermark is here and could not before.
    #[inline]
    fn is_passed(&mut self, watermark_ns: i64) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Aligned { first_ns, every_ns, next_ns } => {
                if watermark_ns < *next_ns {
                    return false;
                }
                *next_ns = next_aligned(*first_ns, *every_ns, watermark_ns);
                true
            }
        }
    }
}

/// The least `first + n * every` above `watermark_ns`.
fn next_aligned(first_ns: i64, every_ns: i64, watermark_ns: i64) -> i64 {
    let since = i128::from(watermark_ns) - i128::from(first_ns);
    let next = i128::from(first_ns) + (since.div_euclid(i128::from(every_ns)) + 1) * i128::from(every_ns);
    next.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// The front's end of a pool: which worker takes a row, and what the workers know.
#[derive(Debug)]
pub(super) struct Scatter {
    stream: usize,
    /// The port to each worker.
    ports: Vec<usize>,
    strategy: Strategy,
    /// Whose turn it is under `RoundRobin`.
    turn: usize,
    /// Workers are told the key that `.partition_by` has set.
    keyed: bool,
    /// Workers are told the moment.
    moments: bool,
    /// The last sequence number, and how many moments it has had.
    moment: (u64, i64),
    closing: Closing,
    /// The watermark as far as workers need to know it, and the sequence number at which it came there.
    watermark: (i64, u64),
    /// What each worker knows of it.
    told_ns: Vec<i64>,
    /// Which keys have the most rows.
    skew: Skew,
    /// Workers are told at once. Otherwise before their next row, and at the end of the duty cycle.
    at_once: bool,
}

impl Scatter {
    pub(super) fn new(plan: &Plan, stream: usize, tags: Tags, order: MergeOrder, ports: Vec<usize>) -> Self {
        let spec = &plan.streams[stream];
        let pool = spec.pool.as_ref();
        Self {
            stream,
            strategy: pool.map(|pool| pool.strategy).unwrap_or_default(),
            turn: 0,
            keyed: pool.is_some_and(|pool| pool.keyed),
            moments: tags.moment,
            moment: (0, 0),
            closing: Closing::of(spec),
            watermark: (i64::MIN, 0),
            told_ns: vec![i64::MIN; ports.len()],
            skew: Skew::default(),
            at_once: order == MergeOrder::Deterministic,
            ports,
        }
    }

    /// The stream was started again: nothing is known of its watermark, nor of what was sent last.
    pub(super) fn forget(&mut self) {
        if let Closing::Aligned { next_ns, .. } = &mut self.closing {
            *next_ns = i64::MIN;
        }
        self.watermark = (i64::MIN, 0);
        self.told_ns.fill(i64::MIN);
        self.moment = (0, 0);
    }

    /// Sends `row` to the worker that takes it.
    #[inline]
    pub(super) fn row(&mut self, row: &Row, key: &Value, out: &mut impl Outlet) {
        let workers = self.ports.len();
        match self.strategy {
            Strategy::ConsistentHash => {
                let hash = key_hash(key);
                self.skew.note(hash, key);
                self.send(way_of(hash, workers), row, key, out);
            }
            Strategy::RoundRobin => {
                let worker = self.turn;
                self.turn = if worker + 1 < workers { worker + 1 } else { 0 };
                self.send(worker, row, key, out);
            }
            Strategy::Broadcast => (0..workers).for_each(|worker| self.send(worker, row, key, out)),
        }
    }

    #[inline]
    fn send(&mut self, worker: usize, row: &Row, key: &Value, out: &mut impl Outlet) {
        if !self.at_once {
            self.tell(worker, out);
        }
        let port = self.ports[worker];
        match (self.keyed, self.moments) {
            (false, false) => out.send(port, row),
            (true, false) => out.send_tagged(port, row, &[key]),
            (false, true) => {
                let moment = self.next_moment(row.seq());
                out.send_tagged(port, row, &[&moment]);
            }
            (true, true) => {
                let moment = self.next_moment(row.seq());
                out.send_tagged(port, row, &[key, &moment]);
            }
        }
    }

    /// Another moment of this sequence number.
    fn next_moment(&mut self, seq: u64) -> Value {
        self.moment = if self.moment.0 == seq { (seq, self.moment.1 + 1) } else { (seq, 0) };
        Value::Int(self.moment.1)
    }

    /// The stream's watermark has moved.
    #[inline]
    pub(super) fn watermark(&mut self, watermark_ns: i64, seq: u64, out: &mut impl Outlet) {
        if !self.closing.is_passed(watermark_ns) {
            return;
        }
        self.watermark = (watermark_ns, seq);
        if self.at_once {
            let mut signal = Row::watermark(seq, watermark_ns);
            if self.moments {
                let moment = self.next_moment(seq);
                signal.push(&moment);
            }
            for (port, told_ns) in self.ports.iter().zip(&mut self.told_ns) {
                out.send(*port, &signal);
                *told_ns = watermark_ns;
            }
        }
    }

    /// The stream, and its keys with the most rows.
    pub(super) fn hottest(&self) -> PoolSkew {
        PoolSkew { stream: self.stream, hottest: self.skew.hottest(HOTTEST) }
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.ports.len()
    }

    pub(super) fn is_of(&self, stream: usize) -> bool {
        self.stream == stream
    }

    /// Sends the barrier of a resize. Gives back the ports of the workers that leave.
    pub(super) fn resize(
        &mut self,
        workers: usize,
        new_ports: &[usize],
        seq: u64,
        out: &mut impl Outlet,
    ) -> Vec<usize> {
        let (watermark_ns, _) = self.watermark;
        self.ports.extend(new_ports);
        for &port in &self.ports {
            out.send(port, &Row::resize(seq, watermark_ns));
        }
        self.told_ns.resize(self.ports.len(), watermark_ns);
        self.told_ns.truncate(workers);
        self.turn %= workers.max(1);
        self.ports.split_off(workers.min(self.ports.len()))
    }

    /// The end of a duty cycle: whoever has not heard of the watermark does now.
    pub(super) fn settle(&mut self, out: &mut impl Outlet) {
        if !self.at_once {
            (0..self.ports.len()).for_each(|worker| self.tell(worker, out));
        }
    }

    #[inline]
    fn tell(&mut self, worker: usize, out: &mut impl Outlet) {
        let (watermark_ns, seq) = self.watermark;
        if self.told_ns[worker] < watermark_ns {
            self.told_ns[worker] = watermark_ns;
            out.send(self.ports[worker], &Row::watermark(seq, watermark_ns));
        }
    }
}

impl Keeps for Scatter {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self {
            stream: _,
            ports,
            strategy: _,
            turn,
            keyed: _,
            moments: _,
            moment,
            closing,
            watermark,
            told_ns,
            // A sample, for people.
            skew: _,
            at_once: _,
        } = self;
        debug_assert_eq!(ports.len(), told_ns.len());
        turn.write(out);
        moment.write(out);
        match closing {
            Closing::Never | Closing::Always => {}
            Closing::Aligned { first_ns: _, every_ns: _, next_ns } => next_ns.write(out),
        }
        watermark.write(out);
        told_ns.write(out);
    }

    fn save_more(&mut self, _pieces: &mut Pieces) {}

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.turn = Snapshot::read(from)?;
        self.moment = Snapshot::read(from)?;
        if let Closing::Aligned { next_ns, .. } = &mut self.closing {
            *next_ns = Snapshot::read(from)?;
        }
        self.watermark = Snapshot::read(from)?;
        let told_ns: Vec<i64> = Snapshot::read(from)?;
        // The pool has as many workers as it had then.
        if told_ns.len() != self.ports.len() || self.turn >= self.ports.len().max(1) {
            return Err(from.error("as many workers"));
        }
        self.told_ns = told_ns;
        Ok(())
    }
}

/// One worker of a pool: what it reads from its rows, and what it puts on those that it makes.
#[derive(Debug)]
pub(super) struct PoolWorker {
    index: u64,
    workers: u64,
    broadcast: bool,
    keyed: bool,
    tags: Tags,
    /// The moment at hand.
    moment: Value,
}

impl PoolWorker {
    /// Its number, from 0.
    pub(super) fn index(&self) -> usize {
        self.index as usize
    }

    pub(super) fn new(index: usize, pool: &PoolPlan, tags: Tags) -> Self {
        Self {
            index: index as u64,
            workers: pool.workers as u64,
            broadcast: pool.strategy == Strategy::Broadcast,
            keyed: pool.keyed,
            tags,
            moment: Value::Int(0),
        }
    }

    /// Takes the tags of a row or a signal from the front; gives back the key, for a row that has one.
    #[inline]
    pub(super) fn begin(&mut self, row: &Row, is_row: bool) -> Option<Value> {
        let mut values = row.values();
        if self.tags.moment
            && let Some((moment, rest)) = values.split_last()
        {
            self.moment.clone_from(moment);
            values = rest;
        }
        if self.keyed && is_row { values.last().cloned() } else { None }
    }

    /// The end of the input: what closes now comes behind all that the front has sent.
    pub(super) fn end(&mut self) {
        self.moment = Value::Int(i64::MAX);
    }

    /// Whether what comes of this sequence number is for others to tell: where all workers do the same, one says so.
    #[inline]
    pub(super) fn is_mute(&self, seq: u64) -> bool {
        self.broadcast && seq % self.workers != self.index
    }

    /// Whether rows are tagged.
    #[inline]
    pub(super) fn tags_rows(&self) -> bool {
        self.tags.any()
    }

    /// Tags a row that is on its way out.
    #[inline]
    pub(super) fn tag(&self, row: &mut Row, key: &Value) {
        if self.tags.moment {
            row.push(&self.moment);
        }
        if self.tags.key {
            row.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Closing, next_aligned};

    #[test]
    fn workers_hear_of_the_watermark_when_a_window_can_close() {
        for (first, every, watermark, next) in [
            (10, 10, 0, 10),
            (10, 10, 9, 10),
            (10, 10, 10, 20),
            (12, 5, -1, 2),
            (12, 5, 2, 7),
            (0, 1, i64::MIN, i64::MIN + 1),
            (0, 1, i64::MAX, i64::MAX),
        ] {
            assert_eq!(
                next_aligned(first, every, watermark),
                next,
                "{first} + n * {every} above {watermark}"
            );
        }
        let mut closing = Closing::Aligned { first_ns: 10, every_ns: 10, next_ns: i64::MIN };
        let passed: Vec<bool> = [3, 9, 10, 11, 35, 39, 40].map(|ns| closing.is_passed(ns)).into();
        assert_eq!(passed, [true, false, true, false, true, false, true]);
    }
}
