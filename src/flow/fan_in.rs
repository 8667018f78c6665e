//! Several rings read as one, in a [`MergeOrder`]; items are handed over where they lie.
//!
//! A *lane* is one ring of the fan-in. Each lane has a view ([`LaneView`]): its head, or what can still come,
//! or its end. [`choose`] picks a lane from the views; then a *run* of items is taken from that lane, as long
//! as they stay below what the other lanes have or could have, so that lanes are compared once per run and not
//! per item.
//!
//! ## A blocked stage finishes what it started
//!
//! A stage whose output is full takes no more input, which by itself would let a deterministic merge hang: it stops
//! between two items of sequence number 7, and a merge further down, which got one of its 7s over another way,
//! waits to hear that the 7s of this way are complete. So under [`MergeOrder::Deterministic`] "no more" means no
//! *greater sequence number*: [`drain`](FanIn::drain) goes on with the sequence number that it is at, and
//! [`finish_started`](FanIn::finish_started) takes what comes of it later. Then this holds: of all items that
//! are not yet taken, those with the smallest sequence number can always move on. They are in rings or pending
//! in front of full rings, a full ring's head is not greater than they are, and every lane that is waited for
//! has a head or can be told that nothing as small will come. The price is that the output of one sequence
//! number must fit into the pending queue of its port.
//!
//! ## Checkpoints
//!
//! The barrier of a checkpoint holds its lane: what is behind it is not looked at. A lane that is held counts as empty,
//! with nothing to come up to the barrier's sequence number, so nobody who merges waits for it; and a lane that is
//! ahead is just not read, until every other lane is held or has ended. Then [`checkpoint`](FanIn::checkpoint) says so,
//! and [`pass_checkpoint`](FanIn::pass_checkpoint) lets all of them go on.

use super::gauge::LaneGauge;
use super::item::Ordered;
use super::order::{Bound, Choice, Key, LaneView, MergeOrder, choose};
use super::stage::{LaneLeft, Leftovers};
use crate::ring::{self, PopError, ReadChunk, Receiver, Tally, WhenFull};

/// How many items in a row one lane may bring under [`MergeOrder::Arrival`] while others have some too.
const TURN_ITEMS: usize = 64;

/// What the maker of a fan-in knows about one of its lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneOptions {
    /// At most one item per sequence number comes on this lane, so that an item also tells that its sequence
    /// number is complete. Must agree with [`OutPort::one_per_seq`](super::OutPort::one_per_seq) at the other
    /// end.
    pub one_per_seq: bool,
    /// No item of a smaller rank comes on this lane: items of other lanes with the same sequence number and a
    /// smaller rank need not wait for it.
    pub lowest_rank: u16,
    /// Items don't come in the order of their sequence numbers, so only progress notices tell how far the lane
    /// has come. Not under [`MergeOrder::Deterministic`].
    pub is_unordered: bool,
}

/// What one call has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Items handed over.
    pub taken: usize,
    /// Progress notices consumed: they are no items, but they are news, so the duty cycle was not idle.
    pub signals: usize,
    /// Every lane has ended: nothing will come any more.
    pub ended: bool,
}

impl Drained {
    /// Whether anything was taken off a ring.
    pub fn is_idle(&self) -> bool {
        self.taken == 0 && self.signals == 0
    }
}

/// The reading end of a ring, on its way to become a lane.
#[derive(Debug)]
pub struct RingEnd<T> {
    /// The ring.
    pub receiver: Receiver<T>,
    /// What is known of it.
    pub options: LaneOptions,
    /// What it tells of itself.
    pub gauge: LaneGauge,
}

struct Lane<T> {
    receiver: Receiver<T>,
    position: Position,
    tally: Tally,
    /// The sender can ask for items to be skipped.
    can_skip: bool,
    /// How many items and notices were taken off the ring, skipped or not.
    taken: u64,
    gauge: Option<Box<LaneGauge>>,
    /// Counts the rings that have been in this place.
    generation: u32,
    /// What was in the ring was moved to another one, which only this end knows.
    is_moved: bool,
    /// The barrier of this checkpoint is at its head.
    held_by: Option<u64>,
}

/// How far a lane has been read.
struct Position {
    options: LaneOptions,
    /// No smaller sequence number can come.
    from_seq: u64,
    /// Event time of the last item taken.
    last_time_ns: Option<i64>,
}

impl Position {
    fn open(&self) -> LaneView {
        LaneView::Open { from_seq: self.from_seq, from_rank: self.options.lowest_rank }
    }

    /// Notes that an item was taken.
    #[inline]
    fn item(&mut self, item: &impl Ordered) {
        self.skipped(item);
        self.last_time_ns = Some(item.time_ns());
    }

    /// Notes that an item was skipped: it still tells how far the lane has come.
    #[inline]
    fn skipped(&mut self, item: &impl Ordered) {
        if !self.options.is_unordered {
            let seq = item.seq();
            self.from_seq = if self.options.one_per_seq { seq.saturating_add(1) } else { seq };
        }
    }

    /// Notes that progress up to `seq` was taken.
    #[inline]
    fn progress(&mut self, seq: u64) {
        self.from_seq = self.from_seq.max(seq.saturating_add(1));
    }
}

impl<T: Ordered> Lane<T> {
    fn new(receiver: Receiver<T>, position: Position) -> Self {
        let (tally, can_skip) = (receiver.tally(), receiver.policy() == WhenFull::DropOldest);
        Self {
            receiver,
            position,
            tally,
            can_skip,
            taken: 0,
            gauge: None,
            generation: 0,
            is_moved: false,
            held_by: None,
        }
    }

    /// What is known of the lane now. Progress in front of the head is consumed and counted in `signals`.
    fn look(&mut self, signals: &mut usize) -> LaneView {
        if self.held_by.is_some() {
            return self.position.open();
        }
        match self.receiver.peek() {
            Ok(item) if item.checkpoint().is_some() => return self.hold(),
            Ok(item) if !item.is_progress() => return LaneView::Head(Key::of(item)),
            Ok(_) => {}
            Err(PopError::Empty) => return self.position.open(),
            Err(PopError::Closed) => return LaneView::Ended,
        }
        *signals += self.skip_progress();
        match self.receiver.peek() {
            Ok(item) if item.checkpoint().is_some() => self.hold(),
            Ok(item) if !item.is_progress() => LaneView::Head(Key::of(item)),
            Err(PopError::Closed) => LaneView::Ended,
            // Progress that came just now is left to the next look, so that this one stays bounded.
            Ok(_) | Err(PopError::Empty) => self.position.open(),
        }
    }

    /// The barrier of a checkpoint is at the head.
    #[cold]
    fn hold(&mut self) -> LaneView {
        if let Ok(barrier) = self.receiver.peek() {
            self.held_by = barrier.checkpoint();
            let seq = barrier.seq();
            self.position.progress(seq);
        }
        self.position.open()
    }

    fn skip_progress(&mut self) -> usize {
        let Ok(chunk) = self.receiver.read(usize::MAX) else { return 0 };
        let (mut count, mut last) = (0, 0);
        for item in chunk.iter().take_while(|item| item.is_progress()) {
            count += 1;
            last = item.seq();
        }
        chunk.commit(count);
        self.taken += count as u64;
        self.position.progress(last);
        count
    }

    /// Drops what the sender asks to be skipped; returns how much was taken off the ring for that.
    #[inline]
    fn skip(&mut self) -> usize {
        if self.can_skip && self.tally.skip_mark() > self.taken {
            self.skip_before(self.tally.skip_mark())
        } else {
            0
        }
    }

    #[cold]
    fn skip_before(&mut self, mark: u64) -> usize {
        let Ok(chunk) = self.receiver.read((mark - self.taken) as usize) else { return 0 };
        let count = chunk.len();
        let tally = &self.tally;
        let mut handled = Handled { chunk: Some(chunk), count, skipped: 0, tally, taken: &mut self.taken };
        for item in handled.chunk.iter().flat_map(ReadChunk::iter) {
            if item.is_progress() {
                self.position.progress(item.seq());
            } else {
                self.position.skipped(item);
                handled.skipped += u64::from(item.is_item());
            }
        }
        count
    }
}

impl Key {
    #[inline]
    fn of(item: &impl Ordered) -> Self {
        Self { seq: item.seq(), rank: item.rank(), place: item.place(), time_ns: item.time_ns() }
    }
}

/// Commits the items that were handled when it goes, also during a panic: the item that panicked stays in the
/// ring, and none before it is seen twice.
struct Handled<'a, T> {
    chunk: Option<ReadChunk<'a, T>>,
    count: usize,
    /// How many of them were skipped.
    skipped: u64,
    tally: &'a Tally,
    /// How many were taken off the ring before.
    taken: &'a mut u64,
}

impl<T> Drop for Handled<'_, T> {
    #[inline]
    fn drop(&mut self) {
        *self.taken += self.count as u64;
        if self.skipped > 0 {
            self.tally.note_dropped(self.skipped);
        }
        if let Some(chunk) = self.chunk.take() {
            chunk.commit(self.count);
        }
    }
}

/// The reading ends of several rings.
///
/// ```
/// use varpin::flow::{Envelope, FanIn, LaneOptions, MergeOrder};
/// use varpin::ring;
/// let mut merged = FanIn::new(MergeOrder::Deterministic);
/// let mut senders = Vec::new();
/// for _ in 0..2 {
///     let (sender, receiver) = ring::bounded(8);
///     merged.add_lane(receiver, LaneOptions { one_per_seq: true, ..LaneOptions::default() });
///     senders.push(sender);
/// }
/// let item = |seq, value| Envelope::new(seq, 0, 0, value);
/// senders[0].push(item(2, 'b')).unwrap();
/// senders[1].push(item(1, 'a')).unwrap();
/// senders[1].push(item(3, 'c')).unwrap();
/// let mut taken = String::new();
/// let drained = merged.drain(100, |_lane, item| {
///     taken.extend(item.value);
///     true
/// });
/// // c has to wait: the first lane could still bring a 3, but nothing smaller.
/// assert_eq!((taken.as_str(), drained.taken, merged.frontier()), ("ab", 2, 2));
/// ```
pub struct FanIn<T> {
    order: MergeOrder,
    lanes: Vec<Lane<T>>,
    views: Vec<LaneView>,
    /// The lane whose turn it is under `MergeOrder::Arrival`.
    turn: usize,
    /// The greatest sequence number of which an item was taken.
    started: u64,
    /// Some lane has a gauge.
    is_gauged: bool,
    /// The lane whose items are being handed over; after a panic the one whose head raised it.
    under_way: Option<usize>,
}

/// An item that is at the head of its lane, and how to know it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadMark {
    /// Its lane.
    pub lane: usize,
    /// Which of the rings that have been this lane.
    pub generation: u32,
    /// How many were taken off the lane before it.
    pub before: u64,
}

impl<T: Ordered> FanIn<T> {
    /// A fan-in without lanes, which has ended.
    pub fn new(order: MergeOrder) -> Self {
        Self {
            order,
            lanes: Vec::new(),
            views: Vec::new(),
            turn: 0,
            started: 0,
            is_gauged: false,
            under_way: None,
        }
    }

    /// Adds a lane; lanes are numbered from 0. Items that agree in all that the order compares come in the order of
    /// their lanes.
    pub fn add_lane(&mut self, receiver: Receiver<T>, options: LaneOptions) -> usize {
        let position = Position { options, from_seq: 0, last_time_ns: None };
        self.views.push(position.open());
        self.lanes.push(Lane::new(receiver, position));
        self.lanes.len() - 1
    }

    /// Puts another ring in the place of a lane that has ended.
    pub fn replace_lane(&mut self, lane: usize, receiver: Receiver<T>, options: LaneOptions) {
        let position = Position { options, from_seq: 0, last_time_ns: None };
        self.views[lane] = position.open();
        // Numbered on, so that no item of the new ring is taken for one of the old.
        let generation = self.lanes[lane].generation + 1;
        self.lanes[lane] = Lane { generation, ..Lane::new(receiver, position) };
    }

    /// The greatest sequence number of which an item was taken; 0 before the first.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Whether nothing more can come of the greatest sequence number of which an item was taken, or of a smaller one.
    pub fn started_is_complete(&mut self) -> bool {
        let mut signals = 0;
        self.look(&mut signals);
        self.views.iter().all(|view| match view {
            LaneView::Head(key) => key.seq > self.started,
            LaneView::Open { from_seq, .. } => *from_seq > self.started,
            LaneView::Ended => true,
        })
    }

    /// Adds a lane with its gauge.
    pub fn add(&mut self, end: RingEnd<T>) -> usize {
        let lane = self.add_lane(end.receiver, end.options);
        self.gauge_lane(lane, end.gauge);
        lane
    }

    /// Puts another ring, with its gauge, in the place of a lane that has ended.
    pub fn replace(&mut self, lane: usize, end: RingEnd<T>) {
        self.replace_lane(lane, end.receiver, end.options);
        self.gauge_lane(lane, end.gauge);
    }

    /// Lets `gauge` tell how full this lane's ring is. The other end is for the port that writes to the ring
    /// ([`OutPort::gauged`](super::OutPort::gauged)).
    pub fn gauge_lane(&mut self, lane: usize, gauge: LaneGauge) {
        self.lanes[lane].gauge = Some(Box::new(gauge));
        self.is_gauged = true;
    }

    /// How many lanes there are.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The order.
    pub fn order(&self) -> MergeOrder {
        self.order
    }

    /// Hands over up to `limit` items, by reference, with the number of their lane. When `take` returns false it is
    /// handed no further items, except, under [`MergeOrder::Deterministic`], those of the same sequence number that
    /// are there (see the top of this file).
    #[inline]
    pub fn drain(&mut self, limit: usize, mut take: impl FnMut(usize, &T) -> bool) -> Drained {
        self.drain_up_to(u64::MAX, limit, &mut take)
    }

    /// What a stage calls instead of [`drain`](Self::drain) while its output is blocked: hands over only items
    /// of the sequence number that an earlier call started. Under the other two orders there are none, because
    /// no merge waits for them.
    #[inline]
    pub fn finish_started(&mut self, limit: usize, mut take: impl FnMut(usize, &T) -> bool) -> Drained {
        if self.order == MergeOrder::Deterministic {
            self.drain_up_to(self.started, limit, &mut take)
        } else {
            Drained { ended: self.has_ended(), ..Drained::default() }
        }
    }

    fn drain_up_to(
        &mut self,
        mut last_seq: u64,
        limit: usize,
        take: &mut impl FnMut(usize, &T) -> bool,
    ) -> Drained {
        let mut drained = Drained::default();
        while drained.taken + drained.signals < limit {
            if !matches!(self.views[..], [LaneView::Open { .. }]) {
                self.look(&mut drained.signals);
            } else if self.lanes[0].held_by.is_some() {
                break;
            }
            let (lane, below) = match (&self.views[..], choose(self.order, &self.views, self.turn)) {
                (_, Choice::Take { lane, below }) => (lane, below),
                // A single lane is read without a look at its head.
                ([LaneView::Open { .. }], Choice::Wait { lane }) => (lane, Bound::NONE),
                _ => break,
            };
            let before = drained;
            let go_on = self.run(lane, below, limit - drained.taken, &mut last_seq, take, &mut drained);
            if !go_on || drained == before {
                break;
            }
        }
        drained.ended = self.has_ended();
        if self.is_gauged && (drained.is_idle() || drained.ended) {
            self.rest();
        }
        drained
    }

    /// There is nothing to take now: time for the gauges to tell what there was.
    fn rest(&mut self) {
        for gauge in self.lanes.iter_mut().filter_map(|lane| lane.gauge.as_mut()) {
            gauge.rest();
        }
    }

    /// Looks again at every lane that had no head.
    #[inline]
    fn look(&mut self, signals: &mut usize) {
        for (lane, view) in self.lanes.iter_mut().zip(&mut self.views) {
            let skipped = lane.skip();
            *signals += skipped;
            if skipped > 0 || matches!(view, LaneView::Open { .. }) {
                *view = lane.look(signals);
            }
        }
    }

    /// Takes items from one lane while they are below `below` and not beyond `last_seq`. Returns false if no other
    /// lane is to be read in this call.
    #[inline]
    fn run(
        &mut self,
        lane_index: usize,
        below: Bound,
        limit: usize,
        last_seq: &mut u64,
        take: &mut impl FnMut(usize, &T) -> bool,
        drained: &mut Drained,
    ) -> bool {
        let order = self.order;
        let lane = &mut self.lanes[lane_index];
        // Until the run is over, and if it ends in a panic, the lane's head is unknown.
        self.views[lane_index] = lane.position.open();
        let limit = if order == MergeOrder::Arrival && self.views.len() > 1 {
            self.turn = (lane_index + 1) % self.views.len();
            limit.min(TURN_ITEMS)
        } else {
            limit
        };
        let Lane { receiver, position, tally, can_skip, taken, .. } = lane;
        let first_taken = *taken;
        let chunk = match receiver.read(limit) {
            Ok(chunk) => chunk,
            Err(PopError::Empty) => return false,
            Err(PopError::Closed) => {
                self.views[lane_index] = LaneView::Ended;
                return true;
            }
        };
        self.under_way = Some(lane_index);
        let mut handled = Handled { chunk: Some(chunk), count: 0, skipped: 0, tally, taken };
        let Handled { chunk, count, skipped, .. } = &mut handled;
        let (first, second) = chunk.as_ref().map_or((&[][..], &[][..]), ReadChunk::as_slices);
        let (mut head, mut held_by) = (None, None);
        let mut go_on = true;
        for item in first.iter().chain(second) {
            let seq = item.seq();
            if item.is_progress() {
                position.progress(seq);
                drained.signals += 1;
                *count += 1;
                continue;
            }
            held_by = item.checkpoint();
            if held_by.is_some() {
                position.progress(seq);
                break;
            }
            // Looked at for each item: while one is handled much can come that is newer.
            if *can_skip && first_taken + (*count as u64) < tally.skip_mark() {
                position.skipped(item);
                drained.signals += 1;
                *count += 1;
                *skipped += u64::from(item.is_item());
                continue;
            }
            let is_next = match order {
                MergeOrder::Arrival => go_on,
                MergeOrder::Timestamp => go_on && Bound::of(order, Key::of(item), lane_index) < below,
                MergeOrder::Deterministic => {
                    seq <= *last_seq && Bound::of(order, Key::of(item), lane_index) < below
                }
            };
            if !is_next {
                head = Some(Key::of(item));
                break;
            }
            debug_assert!(
                order != MergeOrder::Deterministic || seq >= position.from_seq || item.is_barrier(),
                "lane {lane_index} went back from {} to {seq}",
                position.from_seq
            );
            if !take(lane_index, item) {
                go_on = false;
                *last_seq = (*last_seq).min(seq);
            }
            *count += 1;
            drained.taken += 1;
            if item.is_barrier() {
                position.progress(seq);
            } else {
                position.item(item);
            }
            self.started = self.started.max(seq);
        }
        let (there, count) = (first.len() + second.len(), *count);
        drop(handled);
        self.under_way = None;
        let lane = &mut self.lanes[lane_index];
        lane.held_by = held_by;
        if let Some(gauge) = &mut lane.gauge {
            // Where it was read up to the limit, there may be more.
            gauge.saw(if there == limit { lane.receiver.len() + count } else { there });
            gauge.took(lane.taken);
        }
        self.views[lane_index] = match head {
            Some(key) => LaneView::Head(key),
            None => self.lanes[lane_index].position.open(),
        };
        go_on || order == MergeOrder::Deterministic
    }

    /// Takes one item out, by value.
    pub fn pop(&mut self) -> Result<T, PopError> {
        let mut signals = 0;
        self.look(&mut signals);
        match choose(self.order, &self.views, self.turn) {
            Choice::Take { lane: index, .. } => {
                let lane = &mut self.lanes[index];
                let item = lane.receiver.pop()?;
                lane.taken += 1;
                lane.position.item(&item);
                self.views[index] = lane.position.open();
                self.started = self.started.max(item.seq());
                self.turn = (index + 1) % self.lanes.len();
                Ok(item)
            }
            Choice::Wait { .. } => Err(PopError::Empty),
            Choice::Ended => Err(PopError::Closed),
        }
    }

    /// After a panic of what [`drain`](Self::drain) hands items to: the item that raised it. It is still at the head
    /// of its lane, and will be handed over again. `None` where the panic came from somewhere else.
    pub fn interrupted(&mut self) -> Option<HeadMark> {
        let lane = self.under_way.take()?;
        let Lane { generation, taken, .. } = self.lanes[lane];
        Some(HeadMark { lane, generation, before: taken })
    }

    /// Takes an item out that is still at the head of its lane, out of turn.
    pub fn take_head(&mut self, head: HeadMark) -> Option<T> {
        let lane = self.lanes.get_mut(head.lane)?;
        if (lane.generation, lane.taken) != (head.generation, head.before) {
            return None;
        }
        let item = lane.receiver.pop().ok()?;
        lane.taken += 1;
        lane.position.item(&item);
        self.views[head.lane] = lane.position.open();
        self.started = self.started.max(item.seq());
        Some(item)
    }

    /// The checkpoint whose barrier has come on every lane that has not ended. Nothing is taken before it is
    /// [passed](Self::pass_checkpoint).
    #[inline]
    pub fn checkpoint(&self) -> Option<u64> {
        self.lanes.iter().find_map(|lane| lane.held_by).filter(|_| self.is_aligned())
    }

    #[cold]
    fn is_aligned(&self) -> bool {
        let mut lanes = self.lanes.iter().zip(&self.views);
        lanes.all(|(lane, view)| lane.held_by.is_some() || *view == LaneView::Ended)
    }

    /// Takes the barrier off every lane: what is behind it comes next.
    pub fn pass_checkpoint(&mut self) {
        for lane in &mut self.lanes {
            if lane.held_by.take().is_some() && lane.receiver.pop().is_ok() {
                lane.taken += 1;
                if let Some(gauge) = &mut lane.gauge {
                    gauge.took(lane.taken);
                }
            }
        }
    }

    /// True once every lane has ended and everything was taken.
    pub fn has_ended(&self) -> bool {
        self.views.iter().all(|view| *view == LaneView::Ended)
    }

    /// Everything with a sequence number up to this one has been taken from every lane: 0 before the first,
    /// `u64::MAX` when all lanes have ended. Meaningful where each lane is in order of its sequence numbers.
    ///
    /// A stage that emits something more when its inputs have ended must not announce that sequence number before:
    /// the frontier can get there first, when those in front of the stage are done.
    pub fn frontier(&self) -> u64 {
        (0..self.lanes.len()).map(|lane| self.lane_progress(lane)).min().unwrap_or(u64::MAX)
    }

    /// Everything with a sequence number up to this one has been taken from this lane.
    #[inline]
    pub fn lane_progress(&self, lane: usize) -> u64 {
        match self.views[lane] {
            LaneView::Head(key) if !self.is_unordered(lane) => key.seq.saturating_sub(1),
            LaneView::Head(_) | LaneView::Open { .. } => self.lanes[lane].position.from_seq.saturating_sub(1),
            LaneView::Ended => u64::MAX,
        }
    }

    /// Whether this lane was added as [unordered](LaneOptions::is_unordered).
    #[inline]
    pub fn is_unordered(&self, lane: usize) -> bool {
        self.lanes[lane].position.options.is_unordered
    }

    /// Event time of the last item taken from this lane.
    pub fn lane_last_time(&self, lane: usize) -> Option<i64> {
        self.lanes[lane].position.last_time_ns
    }

    /// True once this lane has ended.
    pub fn lane_has_ended(&self, lane: usize) -> bool {
        self.views[lane] == LaneView::Ended
    }

    /// How many items are in this lane's ring now and not taken, notices not counted, and those neither that are to be
    /// skipped.
    pub fn waiting(&mut self, lane: usize) -> usize {
        self.lanes[lane].skip();
        let chunk = self.lanes[lane].receiver.read(usize::MAX);
        chunk.map_or(0, |chunk| chunk.iter().filter(|item| item.is_item()).count())
    }

    /// Ends this lane after what is in its ring now; its sender finds the ring closed. Allocates.
    pub fn end_lane(&mut self, lane: usize) {
        // What moves is published anew, by nobody who stamps it.
        if let Some(mut gauge) = self.lanes[lane].gauge.take() {
            gauge.rest();
        }
        self.lanes[lane].skip();
        let old = &mut self.lanes[lane].receiver;
        if old.is_abandoned() {
            // It ends by itself, with all that its sender left.
            return;
        }
        // What is there moves to a ring of its own, whose sender is dropped here: it ends by itself.
        let there = old.len();
        let (mut sender, receiver) = ring::bounded(there.max(1));
        for _ in 0..there {
            let Ok(item) = old.pop() else { break };
            let fits = sender.push(item).is_ok();
            debug_assert!(fits, "the ring was made for {there} items");
        }
        *old = receiver;
        self.lanes[lane].is_moved = true;
        self.lanes[lane].can_skip = false;
    }

    /// Reports what is left in the rings that lead to `stage`; for [`Stage::close`](super::Stage::close). The rings
    /// themselves are closed when the fan-in is dropped.
    pub fn close(&mut self, stage: &str, leftovers: &mut Leftovers) {
        let name = format!("-> {stage}");
        for index in 0..self.lanes.len() {
            let items = self.waiting(index) as u64;
            let lane = &self.lanes[index];
            if lane.is_moved {
                leftovers.held(&name, items);
            } else {
                leftovers.lane(LaneLeft { tally: lane.tally.clone(), name: name.clone(), items });
            }
        }
    }
}
