//! The embedder's ends of a graph: it pushes items in from its own threads and takes results out on its own.
//!
//! An end is handed out while the graph is still being described, before its rings exist; they are handed over
//! through a ring of one slot when the graph starts, so an end in use takes no lock.

use std::fmt;

use super::super::fan_in::{Drained, FanIn};
use super::super::item::Envelope;
use super::super::ports::Ports;
use super::super::runtime::OutsideEnds;
use crate::idle::{Idle, IdleState};
use crate::ring::{PopError, PushError, Receiver, WhenFull, WriteError};

/// After so many pushes an input flushes by itself.
pub const INPUT_BATCH: usize = 64;

/// What an end needs to work, or the way it will come.
enum Handover<E> {
    Waiting(Receiver<E>),
    Here(E),
    /// The graph was dropped without having been started.
    Never,
}

impl<E> Handover<E> {
    #[inline]
    fn get(&mut self) -> Result<&mut E, PopError> {
        if let Self::Waiting(receiver) = self {
            match receiver.pop() {
                Ok(end) => *self = Self::Here(end),
                Err(PopError::Closed) => *self = Self::Never,
                Err(PopError::Empty) => {}
            }
        }
        match self {
            Self::Here(end) => Ok(end),
            Self::Waiting(_) => Err(PopError::Empty),
            Self::Never => Err(PopError::Closed),
        }
    }
}

/// What a started graph gives to an [`Input`].
pub(super) struct InputRings<T> {
    pub(super) ports: Ports<Envelope<T>>,
    pub(super) outside: OutsideEnds,
}

/// Where items enter a graph. `Send`: one per feeding thread.
///
/// Items are numbered from 1 per input. With [`MergeOrder::Deterministic`](crate::flow::MergeOrder::Deterministic) the
/// n-th items of all inputs are one step of the computation, taken in the order in which the inputs were
/// declared; so a merge waits for the input that is behind, until that one pushes, is closed, or
/// [skips ahead](Self::skip_to).
///
/// What is pushed becomes visible to the graph at [`flush`](Self::flush), or after [`INPUT_BATCH`] pushes, or when a
/// ring is full, or at [`close`](Self::close), which dropping does too. **Who pushes now and then must flush**.
pub struct Input<T> {
    handover: Handover<InputRings<T>>,
    next_seq: u64,
    /// Pushed since the last flush.
    unflushed: usize,
    time_ns: i64,
    rank: u16,
}

impl<T: Clone> Input<T> {
    pub(super) fn new(rings: Receiver<InputRings<T>>, rank: u16) -> Self {
        Self { handover: Handover::Waiting(rings), next_seq: 1, unflushed: 0, time_ns: 0, rank }
    }

    /// Pushes an item; gives it back with [`PushError::Full`] if a ring that it has to go into is full (or the graph
    /// has not started yet), and with [`PushError::Closed`] if nobody is left to take it. Never waits.
    ///
    /// A ring that is full counts only where its policy ([`Graph::when_full`](super::Graph::when_full)) is
    /// [`WhenFull::Block`] or [`WhenFull::Error`]. With the other two the item is taken, and this one or the oldest is
    /// dropped there.
    ///
    /// Its event time is that of the item before, see [`try_push_at`](Self::try_push_at).
    #[inline]
    pub fn try_push(&mut self, item: T) -> Result<(), PushError<T>> {
        self.try_push_at(item, self.time_ns)
    }

    /// Pushes an item with its event time in nanoseconds since the epoch.
    #[inline]
    pub fn try_push_at(&mut self, item: T, time_ns: i64) -> Result<(), PushError<T>> {
        let rings = match self.handover.get() {
            Ok(rings) => rings,
            Err(PopError::Empty) => return Err(PushError::Full(item)),
            Err(PopError::Closed) => return Err(PushError::Closed(item)),
        };
        if !rings.ports.have_room() {
            // Flushing shows what is there to whoever has to make room, and finds out who is gone.
            if self.flush().is_err() {
                return Err(PushError::Closed(item));
            }
            if self.is_refused(WhenFull::Block) || self.is_refused(WhenFull::Error) {
                return Err(PushError::Full(item));
            }
        }
        let Ok(rings) = self.handover.get() else { return Err(PushError::Closed(item)) };
        if rings.ports.are_closed() {
            return Err(PushError::Closed(item));
        }
        self.time_ns = time_ns;
        let seq = self.next_seq;
        rings.ports.send_owned_to_all(Envelope {
            seq,
            time_ns,
            rank: self.rank,
            place: 0,
            value: Some(item),
        });
        rings.ports.note_progress(seq);
        self.next_seq += 1;
        self.unflushed += 1;
        if self.unflushed >= INPUT_BATCH {
            // If everybody is gone by now, the next push says so; this item counts as undelivered.
            let _ = self.flush();
        }
        Ok(())
    }

    /// Pushes an item, waiting for room (spinning first, then sleeping up to 1 ms at a time).
    ///
    /// It waits only for rings whose policy is [`WhenFull::Block`]. Where one is full whose policy is
    /// [`WhenFull::Error`], the item comes back at once as [`PushError::Full`]; every other error is
    /// [`PushError::Closed`].
    ///
    /// With a [`Stepper`](super::Stepper) on the same thread nobody would make room: use
    /// [`try_push`](Self::try_push) there.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), PushError<T>> {
        self.push_at(item, self.time_ns)
    }

    /// Pushes an item with its event time in nanoseconds since the epoch, waiting for room.
    #[inline]
    pub fn push_at(&mut self, item: T, time_ns: i64) -> Result<(), PushError<T>> {
        match self.try_push_at(item, time_ns) {
            Err(PushError::Full(item)) => self.push_waiting(item, time_ns),
            pushed_or_closed => pushed_or_closed,
        }
    }

    #[cold]
    fn push_waiting(&mut self, mut item: T, time_ns: i64) -> Result<(), PushError<T>> {
        let mut idle = IdleState::new(Idle::Backoff);
        loop {
            if self.is_refused(WhenFull::Error) {
                return Err(PushError::Full(item));
            }
            idle.idle(0);
            match self.try_push_at(item, time_ns) {
                Err(PushError::Full(back)) => item = back,
                pushed_or_closed => return pushed_or_closed,
            }
        }
    }

    /// Whether a ring with this policy is full.
    fn is_refused(&mut self, policy: WhenFull) -> bool {
        self.handover.get().is_ok_and(|rings| rings.ports.refuse(policy))
    }

    /// Whether everything that was pushed is in the rings, or was dropped, and nothing waits in front of one (which can
    /// be only where the policy is [`WhenFull::DropOldest`]): else [`flush`](Self::flush) again. Closing leaves it
    /// to the receiver.
    pub fn is_settled(&mut self) -> bool {
        self.handover.get().is_ok_and(|rings| rings.ports.are_settled() || rings.ports.are_closed())
    }

    /// How many items were dropped so far in front of the rings that lead away from here, and on them.
    pub fn dropped(&mut self) -> u64 {
        self.handover.get().map_or(0, |rings| rings.ports.dropped())
    }

    /// Makes everything pushed so far visible to the graph. [`WriteError::Closed`] if nobody is left to take it.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.unflushed = 0;
        match self.handover.get() {
            // Nothing was pushed yet.
            Err(PopError::Empty) => Ok(()),
            Err(PopError::Closed) => Err(WriteError::Closed),
            Ok(rings) => {
                // Nothing ever pends here, since pushing looks for room first.
                let flushed = rings.ports.flush();
                debug_assert!(flushed.is_ok());
                if rings.ports.are_closed() { Err(WriteError::Closed) } else { Ok(()) }
            }
        }
    }

    /// Gives the next item the number `seq`, if it hasn't come that far already, and tells the graph at once that
    /// the numbers in between will not be used.
    pub fn skip_to(&mut self, seq: u64) -> Result<(), WriteError> {
        self.next_seq = self.next_seq.max(seq);
        if let Ok(rings) = self.handover.get() {
            rings.ports.note_progress(self.next_seq - 1);
        }
        self.flush()
    }

    /// How many items were pushed, those skipped included.
    pub fn pushed(&self) -> u64 {
        self.next_seq - 1
    }

    /// Flushes and says that nothing more will come. Dropping the input does the same.
    pub fn close(self) {
        drop(self);
    }
}

impl<T> Drop for Input<T> {
    fn drop(&mut self) {
        // Rings that were handed over and never looked at must be reported, too.
        if let Ok(rings) = self.handover.get() {
            rings.leave();
        }
    }
}

impl<T> InputRings<T> {
    fn leave(&mut self) {
        self.ports.close_each(|ring| self.outside.ring(ring));
    }
}

/// Where results leave a graph: polled on the embedder's own thread.
///
/// A ring to an output that isn't polled runs full, and then the stages before it stand still; nothing is lost.
/// Dropping the output ends those stages that have nobody else to send to.
pub struct Output<T> {
    handover: Handover<FanIn<Envelope<T>>>,
}

impl<T: Clone> Output<T> {
    pub(super) fn new(fan_in: Receiver<FanIn<Envelope<T>>>) -> Self {
        Self { handover: Handover::Waiting(fan_in) }
    }

    /// Takes the next result. [`PopError::Empty`]: none now; [`PopError::Closed`]: none any more. Never waits.
    #[inline]
    pub fn pop(&mut self) -> Result<T, PopError> {
        // A fan-in gives out items only, never progress; so there is a value.
        self.handover.get()?.pop()?.value.ok_or(PopError::Empty)
    }

    /// Hands up to `limit` results to `take`, in place and with their sequence numbers and times; returns early when
    /// `take` returns false, as [`FanIn::drain`] does. Never waits.
    #[inline]
    pub fn drain(&mut self, limit: usize, mut take: impl FnMut(&Envelope<T>) -> bool) -> Drained {
        match self.handover.get() {
            Ok(fan_in) => fan_in.drain(limit, |_lane, item| take(item)),
            Err(PopError::Empty) => Drained::default(),
            Err(PopError::Closed) => Drained { ended: true, ..Drained::default() },
        }
    }
}

impl<T> fmt::Debug for Input<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("next_seq", &self.next_seq).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Output<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}
