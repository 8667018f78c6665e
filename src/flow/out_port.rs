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

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;

use super::gauge::PortGauge;
use super::item::{CloneInto, Ordered};
use crate::ring::{Sender, StagedSender, Tally};

/// How many items a port lets pend unless told otherwise.
pub const PENDING_LIMIT: usize = 1 << 20;

/// More output is pending than the port allows. The items beyond the limit are lost and counted as undelivered;
/// a stage that gets this ends with [`Cycle::Failed`](super::Cycle::Failed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingFull {
    /// The port.
    pub port: String,
    /// How many items it lets pend.
    pub limit: usize,
}

impl fmt::Display for PendingFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} items are pending in front of the ring {}", self.limit, self.port)
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
/// let item = |seq| Envelope { seq, time_ns: 0, rank: 1, value: Some('x') };
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
pub struct OutPort<T> {
    name: String,
    ring: StagedSender<T>,
    pending: VecDeque<T>,
    pending_limit: usize,
    overflowed: bool,
    closed: bool,
    /// It holds the place of a port that was closed for good.
    is_retired: bool,
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
    /// Which of the last `capacity` items in the ring are progress, by their number in order of sending.
    progress_at: VecDeque<u64>,
    gauge: Option<Box<PortGauge>>,
}

impl<T: Ordered> OutPort<T> {
    /// A port that writes to `sender`. `name` is for messages: say which stages the ring joins.
    pub fn new(name: impl Into<String>, sender: Sender<T>) -> Self {
        Self {
            name: name.into(),
            ring: StagedSender::new(sender),
            pending: VecDeque::new(),
            pending_limit: PENDING_LIMIT,
            overflowed: false,
            closed: false,
            is_retired: false,
            announces_progress: false,
            one_per_seq: false,
            is_unordered: false,
            told: 0,
            frontier: 0,
            lost: 0,
            sent: 0,
            progress_at: VecDeque::new(),
            gauge: None,
        }
    }

    /// Lets `gauge` tell what pends here, and stamp what is sent. The other end is for the fan-in that reads the ring
    /// ([`FanIn::gauge_lane`](super::FanIn::gauge_lane)).
    #[must_use]
    pub fn gauged(mut self, gauge: PortGauge) -> Self {
        self.gauge = Some(Box::new(gauge));
        self
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

    /// Lets at most `items` pend instead of [`PENDING_LIMIT`].
    #[must_use]
    pub fn pending_limit(mut self, items: usize) -> Self {
        self.pending_limit = items;
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
            self.note_staged(item.seq());
        } else {
            self.put_aside(item.clone());
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
            return self.note_staged(item.seq());
        }
        let mut aside = item.clone();
        if let Some(change) = change.take() {
            change(&mut aside);
        }
        self.put_aside(aside);
    }

    /// Sends `item`.
    #[inline]
    pub fn send_owned(&mut self, item: T) {
        let seq = item.seq();
        if !self.is_ready() {
            return self.put_aside(item);
        }
        match self.ring.stage(item) {
            Ok(()) => self.note_staged(seq),
            Err(item) => self.put_aside(item),
        }
    }

    /// Whether the ring may be tried: what pends goes first.
    #[inline]
    fn is_ready(&self) -> bool {
        self.pending.is_empty() && !self.closed
    }

    #[inline]
    fn note_staged(&mut self, seq: u64) {
        debug_assert!(seq < u64::MAX, "sequence number u64::MAX is taken");
        self.sent += 1;
        if !self.is_unordered {
            self.told = self.told.max(if self.one_per_seq { seq } else { seq.saturating_sub(1) });
        }
    }

    #[cold]
    fn put_aside(&mut self, item: T) {
        if self.closed {
            self.lost += 1;
        } else if self.pending.len() < self.pending_limit {
            self.pending.push_back(item);
        } else {
            self.lost += 1;
            self.overflowed = true;
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
        if self.announces_progress && self.frontier > self.told && self.pending.is_empty() {
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
                self.lost += self.pending.len() as u64;
                self.pending = VecDeque::new();
                Ok(0)
            }
        }
    }

    #[cold]
    fn stage_pending(&mut self) {
        while let Some(item) = self.pending.pop_front() {
            let seq = item.seq();
            match self.ring.stage(item) {
                Ok(()) => self.note_staged(seq),
                Err(item) => {
                    self.pending.push_front(item);
                    break;
                }
            }
        }
    }

    fn stage_progress(&mut self) {
        if self.ring.stage(T::progress(self.frontier)).is_err() {
            return;
        }
        let capacity = self.ring.capacity() as u64;
        while self.progress_at.front().is_some_and(|&number| number + capacity <= self.sent) {
            self.progress_at.pop_front();
        }
        self.progress_at.push_back(self.sent);
        self.sent += 1;
        self.told = self.frontier;
    }

    /// Notes that everything up to `frontier` has been sent here: nothing that is sent later has a sequence number
    /// this small. Told to the receiver at the next flush, if it needs it and doesn't know it yet.
    #[inline]
    pub fn note_progress(&mut self, frontier: u64) {
        self.frontier = self.frontier.max(frontier);
    }

    /// True while items pend: the stage should take no more input.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        !self.pending.is_empty()
    }

    /// True once the receiver was seen gone, which `flush` looks for; it stays true.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether anything may pend: false where the limit is 0.
    pub fn can_pend(&self) -> bool {
        self.pending_limit > 0
    }

    /// How many items pend.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// How many more items can be sent now without any of them pending.
    pub fn free(&self) -> usize {
        if self.pending.is_empty() { self.ring.free() } else { 0 }
    }

    /// Whether one more item can be sent now without pending; true as well when nobody is left to receive it.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        self.closed || (self.pending.is_empty() && self.ring.has_room())
    }

    /// Publishes what is staged, counts what pends as undelivered, and hands over what it takes to tell, after the
    /// run, how many items nobody took. What is sent afterwards is lost and not in that count. The ring itself is
    /// closed when the port is dropped.
    pub fn close(&mut self) -> RingLeft {
        // Whether the receiver is gone makes no difference here: the tally tells what it left.
        let _ = self.ring.publish();
        self.closed = true;
        self.lost += self.pending.len() as u64;
        self.pending = VecDeque::new();
        RingLeft {
            name: self.name.clone(),
            tally: self.ring.tally(),
            lost: self.lost,
            sent: self.sent,
            progress_at: std::mem::take(&mut self.progress_at),
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
    lost: u64,
    sent: u64,
    progress_at: VecDeque<u64>,
}

impl RingLeft {
    /// The port's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_of_same_ring(&self, tally: &Tally) -> bool {
        self.tally.is_of_same_ring(tally)
    }

    /// Items that were given to the port and never reached the ring.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Items that were sent and that nobody took, progress not counted; `None` as long as the other end of the ring
    /// exists.
    pub fn undelivered(&self) -> Option<u64> {
        let in_ring = self.tally.undelivered()? as u64;
        let oldest = self.sent - in_ring;
        let progress = self.progress_at.iter().filter(|&&number| number >= oldest).count() as u64;
        Some(self.lost + in_ring - progress)
    }
}

/// All ports of a stage.
///
/// ```
/// use varpin::flow::{Envelope, OutPort, Ports};
/// let (sender, _receiver) = varpin::ring::bounded(4);
/// let mut ports: Ports<Envelope<u32>> = vec![OutPort::new("a -> b", sender)].into();
/// ports.send_to_all(&Envelope { seq: 1, time_ns: 0, rank: 1, value: Some(7) });
/// assert_eq!(ports.flush(), Ok(1));
/// ```
#[derive(Debug)]
pub struct Ports<T>(Vec<OutPort<T>>);

impl<T> From<Vec<OutPort<T>>> for Ports<T> {
    fn from(ports: Vec<OutPort<T>>) -> Self {
        Self(ports)
    }
}

impl<T: Ordered> Ports<T> {
    /// The port with this number.
    #[inline]
    pub fn port(&mut self, index: usize) -> &mut OutPort<T> {
        &mut self.0[index]
    }

    /// Adds a port, in the place of a retired one where there is one; returns its number.
    pub fn add(&mut self, port: OutPort<T>) -> usize {
        if let Some(retired) = self.0.iter().position(|port| port.is_retired) {
            self.0[retired] = port;
            return retired;
        }
        self.0.push(port);
        self.0.len() - 1
    }

    /// Closes a port for good, and with it its ring; the others keep their numbers.
    pub fn retire(&mut self, index: usize) -> RingLeft {
        let left = self.0[index].close();
        let mut nowhere = OutPort::new("nowhere", crate::ring::bounded(1).0);
        nowhere.closed = true;
        nowhere.is_retired = true;
        self.0[index] = nowhere;
        left
    }

    /// How many ports there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends a clone of `item` to every port.
    #[inline]
    pub fn send_to_all(&mut self, item: &T)
    where
        T: CloneInto,
    {
        for port in &mut self.0 {
            port.send(item);
        }
    }

    /// Sends `item` to every port; only the last one needs no clone.
    #[inline]
    pub fn send_owned_to_all(&mut self, item: T)
    where
        T: CloneInto,
    {
        if let Some((last, others)) = self.0.split_last_mut() {
            for port in others {
                port.send(&item);
            }
            last.send_owned(item);
        }
    }

    /// Whether one more item can be sent to every port now without pending.
    #[inline]
    pub fn have_room(&mut self) -> bool {
        self.0.iter_mut().all(OutPort::has_room)
    }

    /// Flushes every port; see [`OutPort::flush`].
    #[inline]
    pub fn flush(&mut self) -> Result<usize, PendingFull> {
        let mut published = 0;
        for port in &mut self.0 {
            published += port.flush()?;
        }
        Ok(published)
    }

    /// Tells every port how far the stage has come; see [`OutPort::note_progress`].
    #[inline]
    pub fn note_progress(&mut self, frontier: u64) {
        for port in &mut self.0 {
            port.note_progress(frontier);
        }
    }

    /// True while one of them is blocked: the stage takes no more input.
    #[inline]
    pub fn are_blocked(&self) -> bool {
        self.0.iter().any(OutPort::is_blocked)
    }

    /// True if there are ports and nobody is left to receive from any of them.
    #[inline]
    pub fn are_closed(&self) -> bool {
        let mut ports = self.0.iter().filter(|port| !port.is_retired).peekable();
        ports.peek().is_some() && ports.all(OutPort::is_closed)
    }

    /// Closes every port; see [`OutPort::close`].
    pub fn close_each(&mut self, mut report: impl FnMut(RingLeft)) {
        for port in &mut self.0 {
            report(port.close());
        }
    }
}
