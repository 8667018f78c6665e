//! The writing end of a ring as a stage holds it: staged while the duty cycle runs, published once at its end,
//! with a bounded queue for what doesn't fit.
//!
//! A stage that has handled an item must get rid of everything that it made of it, so sending never fails for
//! want of room: what the ring can't take is *pending*, the port is *blocked*, and the stage takes no more
//! input until it isn't. Backpressure is not consuming.
//!
//! Ports of one stage are blocked separately, and a port with nothing to send still tells how far its stage has
//! come (*progress*), or else a deterministic merge behind it would wait forever. Whether progress is due is
//! decided at [`flush`](OutPort::flush) from three things: how far the stage has come, what the other end knows
//! already, and whether anything is pending, which has to go first.
//!
//! All this is for [`WhenFull::Block`]. Under the other policies a port is never blocked. The ring was made with its
//! policy ([`ring::with_policy`](crate::ring::with_policy)), and what it says of an item that finds the ring full is:
//!
//! - [`WhenFull::Block`] (default): it pends, and the port is blocked.
//! - [`WhenFull::DropNewest`]: it is dropped and counted.
//! - [`WhenFull::DropOldest`]: it pends, without blocking the port. As many items as the ring has slots may pend;
//!   and of
//!   all that nobody has taken only so many, the newest, survive. Those before them are dropped and counted: by this
//!   end where they pend, by the other one, at this one's request, where they are in the ring.
//! - [`WhenFull::Error`]: it is lost and counted as undelivered, and the next flush fails.
//!
//! What is staged is published before a policy is applied, so that a receiver which only has to look finds it.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;

use super::gauge::PortGauge;
use super::item::{CloneInto, Ordered};
use super::newest::Newest;
use crate::ring::{Sender, StagedSender, Tally, WhenFull, bounded};

/// How many items a port lets pend unless told otherwise.
pub const PENDING_LIMIT: usize = 1 << 20;

/// More output is pending than the port allows, or its ring is full and its policy is [`WhenFull::Error`]. The items
/// that found no place are lost and counted as undelivered; a stage that gets this ends with
/// [`Cycle::Failed`](super::Cycle::Failed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingFull {
    /// The port.
    pub port: String,
    /// How many items it lets pend; none under [`WhenFull::Error`].
    pub limit: usize,
}

impl fmt::Display for PendingFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            0 => write!(f, "the ring {} is full, and nothing may wait in front of it", self.port),
            limit => write!(f, "more than {limit} items are pending in front of the ring {}", self.port),
        }
    }
}

impl Error for PendingFull {}

/// The writing end of a ring, with what is pending in front of it.
///
/// ```
/// use varpin::flow::{Envelope, Ordered, OutPort};
/// use varpin::ring::{self, PopError};
/// let (sender, mut receiver) = ring::bounded(1);
/// let mut port = OutPort::new("a -> b", sender).announces_progress();
/// let item = |seq| Envelope::new(seq, 1, 0, 'x');
/// port.send(&item(1));
/// port.send(&item(2));
/// port.note_progress(2);
/// assert_eq!(receiver.pop(), Err(PopError::Empty)); // staged, not published
/// assert_eq!(port.flush(), Ok(1));
/// assert!(port.is_blocked()); // the ring has one slot, so the second item is pending
/// assert_eq!(receiver.pop(), Ok(item(1)));
/// assert_eq!(port.flush(), Ok(1));
/// assert_eq!(receiver.pop(), Ok(item(2)));
/// assert_eq!(port.flush(), Ok(1));
/// assert_eq!(receiver.pop(), Ok(Envelope::progress(2))); // nothing else of 2 will come
/// ```
///
/// With a policy:
///
/// ```
/// use varpin::flow::{Envelope, FanIn, LaneOptions, MergeOrder, OutPort};
/// use varpin::ring::{self, WhenFull};
/// let (sender, receiver) = ring::with_policy(2, WhenFull::DropOldest);
/// let mut port = OutPort::new("a -> b", sender);
/// for n in 1..=7 {
///     port.send(&Envelope::new(n, 1, 0, n));
/// }
/// port.close();
/// drop(port);
/// let mut lanes = FanIn::new(MergeOrder::Arrival);
/// lanes.add_lane(receiver, LaneOptions::default());
/// let mut taken = Vec::new();
/// while !lanes.has_ended() {
///     let _ = lanes.drain(10, |_, item| {
///         taken.extend(item.value);
///         true
///     });
/// }
/// assert_eq!(taken, [6, 7]);
/// ```
pub struct OutPort<T> {
    name: String,
    ring: StagedSender<T>,
    pending: VecDeque<T>,
    pending_limit: usize,
    when_full: WhenFull,
    /// Which items survive under [`WhenFull::DropOldest`].
    newest: Newest,
    overflowed: bool,
    closed: bool,
    /// It holds the place of a port that was closed for good.
    is_retired: bool,
    /// Neither of the two: what is sent can go anywhere.
    is_open: bool,
    announces_progress: bool,
    one_per_seq: bool,
    is_unordered: bool,
    /// The receiver can tell from what is in the ring that everything up to here has been sent.
    told: u64,
    /// Everything up to here has been sent or is pending.
    frontier: u64,
    /// Items given to this port that can't be delivered and aren't in the ring.
    lost: u64,
    /// How many items, progress included, were written into the ring.
    sent: u64,
    /// Which of the last `capacity` items in the ring are none but notices, by their number in order of sending.
    notices_at: VecDeque<u64>,
    gauge: Option<Box<PortGauge>>,
    mark: Mark,
}

/// Where a port stood when something was sent for the first time in a round.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    round: u64,
    staged: usize,
    pending: usize,
    told: u64,
    lost: u64,
    overflowed: bool,
    is_open: bool,
}

impl<T: Ordered> OutPort<T> {
    /// A port that writes to `sender`, and applies its ring's policy. `name` is for messages: say which stages the ring
    /// joins.
    pub fn new(name: impl Into<String>, sender: Sender<T>) -> Self {
        Self {
            name: name.into(),
            when_full: sender.policy(),
            newest: Newest::new(sender.capacity()),
            pending_limit: if sender.policy() == WhenFull::Error { 0 } else { PENDING_LIMIT },
            ring: StagedSender::new(sender),
            pending: VecDeque::new(),
            overflowed: false,
            closed: false,
            is_retired: false,
            is_open: true,
            announces_progress: false,
            one_per_seq: false,
            is_unordered: false,
            told: 0,
            frontier: 0,
            lost: 0,
            sent: 0,
            notices_at: VecDeque::new(),
            gauge: None,
            mark: Mark::default(),
        }
    }

    /// Lets `gauge` tell what pends here, and stamp what is sent. The other end is for the fan-in that reads the ring
    /// ([`FanIn::gauge_lane`](super::FanIn::gauge_lane)).
    #[must_use]
    pub fn gauged(mut self, gauge: PortGauge) -> Self {
        self.gauge = Some(Box::new(gauge));
        self
    }

    /// What holds the place of a port that was closed for good.
    pub(super) fn retired() -> Self {
        let port = Self::new("nowhere", bounded(1).0);
        Self { closed: true, is_open: false, is_retired: true, ..port }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.is_retired
    }

    /// The receiver merges several rings in [`MergeOrder::Deterministic`](super::MergeOrder::Deterministic), or
    /// passes on to one that does: tell it how far the stage has come.
    #[must_use]
    pub fn announces_progress(mut self) -> Self {
        self.announces_progress = true;
        self
    }

    /// At most one item per sequence number is sent here, so an item also tells that its sequence number is
    /// complete. The receiver's [`LaneOptions`](super::LaneOptions) must agree.
    #[must_use]
    pub fn one_per_seq(mut self) -> Self {
        self.one_per_seq = true;
        self
    }

    /// Items aren't sent in the order of their sequence numbers, so they tell nothing of how far the stage has
    /// come. The receiver's [`LaneOptions`](super::LaneOptions) must agree.
    #[must_use]
    pub fn unordered(mut self) -> Self {
        self.is_unordered = true;
        self
    }

    /// Lets at most `items` pend instead of [`PENDING_LIMIT`], if the policy is [`WhenFull::Block`].
    #[must_use]
    pub fn pending_limit(mut self, items: usize) -> Self {
        if self.when_full == WhenFull::Block {
            self.pending_limit = items;
        }
        self
    }

    /// The port's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a clone of `item`, made where the receiver will read it.
    #[inline]
    pub fn send(&mut self, item: &T)
    where
        T: CloneInto,
    {
        if self.is_ready() && self.ring.stage_with(|slot| CloneInto::clone_into(item, slot)) {
            self.note_staged(item.seq(), item.is_item());
        } else {
            self.no_room_for(item);
        }
    }

    /// Sends a clone of `item` that `change` has had a hand in, made where the receiver will read it.
    #[inline]
    pub fn send_with(&mut self, item: &T, change: impl FnOnce(&mut T))
    where
        T: CloneInto,
    {
        let mut change = Some(change);
        let sent = self.is_ready()
            && self.ring.stage_with(|slot| {
                let sent = CloneInto::clone_into(item, slot);
                if let Some(change) = change.take() {
                    change(sent);
                }
                sent
            });
        if sent {
            return self.note_staged(item.seq(), item.is_item());
        }
        let mut aside = item.clone();
        if let Some(change) = change.take() {
            change(&mut aside);
        }
        self.no_room(aside);
    }

    /// Sends `item`.
    #[inline]
    pub fn send_owned(&mut self, item: T) {
        let (seq, is_item) = (item.seq(), item.is_item());
        if !self.is_ready() {
            return self.no_room(item);
        }
        match self.ring.stage(item) {
            Ok(()) => self.note_staged(seq, is_item),
            Err(item) => self.no_room(item),
        }
    }

    /// What is sent from here on belongs to `round`, until this is called with another one: it can be taken back by
    /// [`rewind`](Self::rewind), as long as it was not published.
    #[inline]
    pub fn begin(&mut self, round: u64) {
        if self.mark.round != round {
            self.mark = Mark {
                round,
                staged: self.ring.staged(),
                pending: self.pending.len(),
                told: self.told,
                lost: self.lost,
                overflowed: self.overflowed,
                is_open: self.is_open,
            };
        }
    }

    /// Takes back what was sent in `round`, if it is the last one in which anything was. Where the ring's policy has
    /// dropped or published something meanwhile, nothing is taken back.
    pub fn rewind(&mut self, round: u64) {
        if self.mark.round != round {
            return;
        }
        let Mark { staged, pending, told, lost, overflowed, is_open, .. } = self.mark;
        self.sent -= self.ring.unstage(self.ring.staged().saturating_sub(staged)) as u64;
        while self.notices_at.back().is_some_and(|&at| at >= self.sent) {
            self.notices_at.pop_back();
        }
        self.pending.truncate(pending);
        (self.told, self.lost, self.overflowed) = (told, lost, overflowed);
        self.is_open = is_open;
    }

    /// Whether the ring may be tried: what pends goes first.
    #[inline]
    fn is_ready(&self) -> bool {
        self.pending.is_empty() && self.is_open
    }

    #[inline]
    fn note_staged(&mut self, seq: u64, is_item: bool) {
        debug_assert!(seq < u64::MAX, "sequence number u64::MAX is taken");
        if !is_item {
            self.note_notice();
        }
        self.sent += 1;
        if !self.is_unordered {
            self.told = self.told.max(if self.one_per_seq { seq } else { seq.saturating_sub(1) });
        }
    }

    #[cold]
    fn no_room_for(&mut self, item: &T)
    where
        T: CloneInto,
    {
        if self.when_full == WhenFull::DropNewest && self.is_open {
            // Not cloned only to be dropped.
            let _ = self.ring.publish();
            self.mark.round = 0;
            if !self.ring.has_room() {
                return self.ring.note_dropped(u64::from(item.is_item()));
            }
        }
        self.no_room(item.clone());
    }

    #[cold]
    fn no_room(&mut self, item: T) {
        if !self.is_open {
            // Behind the first item that is lost everything is, so that what is taken has no gap.
            self.lost += 1;
            return;
        }
        match self.when_full {
            WhenFull::Block => self.put_aside(item),
            WhenFull::DropNewest | WhenFull::DropOldest | WhenFull::Error => self.overflow(item),
        }
    }

    fn put_aside(&mut self, item: T) {
        if self.pending.len() < self.pending_limit {
            self.pending.push_back(item);
        } else {
            self.lost += 1;
            self.overflowed = true;
            self.is_open = false;
        }
    }

    /// What the policy says of an item that finds the ring full, if it still is full after the receiver was shown what
    /// is staged.
    fn overflow(&mut self, item: T) {
        if self.ring.staged() > 0 {
            // A receiver that is gone is noticed at the next flush.
            let _ = self.ring.publish();
        }
        // What was published, or dropped, cannot be taken back.
        self.mark.round = 0;
        if !self.pending.is_empty() {
            self.stage_pending();
        }
        let (seq, is_item) = (item.seq(), item.is_item());
        let item = if self.pending.is_empty() { self.ring.stage(item) } else { Err(item) };
        let Err(item) = item else { return self.note_staged(seq, is_item) };
        match self.when_full {
            WhenFull::DropNewest => self.ring.note_dropped(u64::from(is_item)),
            WhenFull::DropOldest if !is_item => {}
            WhenFull::DropOldest => {
                self.pending.push_back(item);
                if self.pending.len() > self.ring.capacity() {
                    self.pending.pop_front();
                    self.ring.note_dropped(1);
                }
                let mark = self.newest.pends(self.pending.len(), self.sent, &self.notices_at);
                self.ring.skip_before(mark);
            }
            WhenFull::Block | WhenFull::Error => self.put_aside(item),
        }
    }

    /// Publishes what was sent, after moving what pends into the ring as far as there is room. Tells progress
    /// if it is due and there is room; else it is tried again at the next flush. Returns how many items that
    /// were, progress included.
    ///
    /// After the receiver is gone, everything that is sent or pends is counted as undelivered and `flush`
    /// returns 0.
    #[inline]
    pub fn flush(&mut self) -> Result<usize, PendingFull> {
        if self.closed {
            return Ok(0);
        }
        if !self.pending.is_empty() {
            self.stage_pending();
        }
        if self.announces_progress && self.frontier > self.told && self.has_place_for_progress() {
            self.stage_progress();
        }
        let published = self.ring.publish();
        if let Some(gauge) = &mut self.gauge {
            gauge.published(self.sent, self.pending.len());
        }
        match published {
            Ok(published) if !self.overflowed => Ok(published),
            Ok(_) => Err(PendingFull { port: self.name.clone(), limit: self.pending_limit }),
            Err(_) => {
                self.closed = true;
                self.is_open = false;
                self.lost += self.pending.len() as u64;
                self.pending = VecDeque::new();
                Ok(0)
            }
        }
    }

    #[cold]
    fn stage_pending(&mut self) {
        while let Some(item) = self.pending.pop_front() {
            let (seq, is_item) = (item.seq(), item.is_item());
            match self.ring.stage(item) {
                Ok(()) => {
                    self.note_staged(seq, is_item);
                    self.newest.moved();
                }
                Err(item) => {
                    self.pending.push_front(item);
                    return;
                }
            }
        }
        self.newest.is_over();
    }

    /// Progress goes behind what pends. Where a ring that is full costs an item, it takes no slot as long as there are
    /// items, which the receiver needs no progress to take.
    #[inline]
    fn has_place_for_progress(&self) -> bool {
        match self.when_full {
            WhenFull::Block | WhenFull::DropOldest => self.pending.is_empty(),
            WhenFull::DropNewest | WhenFull::Error => {
                self.ring.staged() == 0 && self.ring.free() == self.ring.capacity()
            }
        }
    }

    fn stage_progress(&mut self) {
        if self.ring.stage(T::progress(self.frontier)).is_err() {
            return;
        }
        self.note_notice();
        self.sent += 1;
        self.told = self.frontier;
    }

    /// Notes that what was just written into the ring is no item.
    fn note_notice(&mut self) {
        let capacity = self.ring.capacity() as u64;
        while self.notices_at.front().is_some_and(|&number| number + capacity <= self.sent) {
            self.notices_at.pop_front();
        }
        self.notices_at.push_back(self.sent);
    }

    /// Notes that everything up to `frontier` has been sent here: nothing that is sent later has a sequence number
    /// this small. Told to the receiver at the next flush, if it needs it and doesn't know it yet.
    #[inline]
    pub fn note_progress(&mut self, frontier: u64) {
        self.frontier = self.frontier.max(frontier);
    }

    /// True while items pend that must not be dropped: the stage should take no more input.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        !self.pending.is_empty() && self.when_full == WhenFull::Block
    }

    /// True once nothing pends: everything that was sent is in the ring, or was dropped.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether the receiver has been told how far the stage has come, where it has to be: false where there was no room
    /// for that at the last flush.
    #[inline]
    pub fn has_told(&self) -> bool {
        self.closed || !self.announces_progress || self.frontier <= self.told
    }

    /// True once the receiver was seen gone, which `flush` looks for; it stays true.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// What becomes of an item that finds the ring full.
    pub fn policy(&self) -> WhenFull {
        self.when_full
    }

    /// A handle that tells what was dropped, at any time, and what was left, after both ends are gone.
    pub fn tally(&self) -> Tally {
        self.ring.tally()
    }

    /// How many items were dropped so far, by either end.
    pub fn dropped(&self) -> u64 {
        self.tally().dropped()
    }

    /// How many items a duty cycle should take at most if it would take `limit`: no more than a ring has slots that
    /// doesn't block, so that a receiver which keeps up finds everything, also where it has its turn only after the
    /// duty cycle.
    pub fn batch_limit(&self, limit: usize) -> usize {
        if self.when_full == WhenFull::Block { limit } else { limit.min(self.ring.capacity()) }
    }

    /// How many slots the ring has.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// How many items pend.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// How many more items can be sent now without any of them pending.
    pub fn free(&self) -> usize {
        if self.pending.is_empty() { self.ring.free() } else { 0 }
    }

    /// Whether one more item can be sent now without pending or being dropped; true as well when nobody is left to
    /// receive it.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        self.closed || (self.pending.is_empty() && self.ring.has_room())
    }

    /// Publishes what is staged, leaves what pends to the receiver if the policy is [`WhenFull::DropOldest`] and
    /// else counts
    /// it as undelivered, and hands over what it takes to tell, after the run, how many items nobody took. What is
    /// sent afterwards is lost and not in that count. The ring itself is closed when the port is dropped.
    pub fn close(&mut self) -> RingLeft {
        // Whether the receiver is gone makes no difference here: the tally tells what it left.
        let _ = self.ring.publish();
        self.closed = true;
        self.is_open = false;
        let pending = std::mem::take(&mut self.pending);
        let rest = match self.ring.leave_rest(pending) {
            Ok(rest) => Some(rest),
            Err(pending) => {
                self.lost += pending.len() as u64;
                None
            }
        };
        RingLeft {
            name: self.name.clone(),
            tally: self.ring.tally(),
            rest,
            lost: self.lost,
            sent: self.sent,
            notices_at: std::mem::take(&mut self.notices_at),
        }
    }
}

impl<T> fmt::Debug for OutPort<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutPort")
            .field("name", &self.name)
            .field("pending", &self.pending.len())
            .field("frontier", &self.frontier)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// What a closed port leaves behind: the means to count what nobody took.
#[derive(Debug)]
pub struct RingLeft {
    name: String,
    tally: Tally,
    /// Of what was left to the receiver beside the ring.
    rest: Option<Tally>,
    lost: u64,
    sent: u64,
    notices_at: VecDeque<u64>,
}

impl RingLeft {
    /// The port's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_of_same_ring(&self, tally: &Tally) -> bool {
        self.tally.is_of_same_ring(tally)
    }

    /// Items that were given to the port, never reached the ring, and were not dropped by a policy.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Items that were sent, that nobody took and no policy dropped, progress not counted; `None` as long as the other
    /// end of the ring exists.
    pub fn undelivered(&self) -> Option<u64> {
        let oldest = self.sent - self.tally.undelivered()? as u64;
        let rest = match &self.rest {
            Some(rest) => rest.undelivered()? as u64,
            None => 0,
        };
        Some(self.lost + rest + self.items_between(oldest.max(self.tally.skip_mark()), self.sent))
    }

    /// Items that a policy dropped, in front of the ring or on it.
    pub fn dropped(&self) -> u64 {
        // What was to be skipped and is still there was dropped, too: nobody is left to count it.
        let oldest = self.tally.undelivered().map_or(self.sent, |left| self.sent - left as u64);
        self.tally.dropped() + self.items_between(oldest, self.tally.skip_mark())
    }

    /// Items among what was written into the ring at these positions: progress is none.
    fn items_between(&self, from: u64, to: u64) -> u64 {
        let notices = self.notices_at.iter().filter(|&&at| (from..to).contains(&at)).count() as u64;
        to.saturating_sub(from) - notices
    }
}
