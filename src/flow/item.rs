//! What an item must tell so that rings can be merged in order, and how it is written into a ring.

use std::mem::MaybeUninit;

/// An item with a place in the order of everything that flows.
///
/// Sequence numbers start at 1; `u64::MAX` is taken (a progress of `u64::MAX` says "nothing will follow"). On one ring
/// they never fall, unless the stage that writes it merges in an order other than
/// [`MergeOrder::Deterministic`](super::MergeOrder::Deterministic).
pub trait Ordered {
    /// The sequence number: that of the input which the item comes from.
    fn seq(&self) -> u64;
    /// The producer's place in topological order: it decides between items of the same sequence number.
    fn rank(&self) -> u16;
    /// Its place among the items of the same sequence number and rank where several producers share a rank, as the
    /// workers of a pool do; 0 where there is one.
    #[inline]
    fn place(&self) -> u32 {
        0
    }
    /// Event time in nanoseconds since the epoch.
    fn time_ns(&self) -> i64;
    /// True if this is no item but the news that everything up to [`seq`](Self::seq) has been sent.
    fn is_progress(&self) -> bool;
    /// True if it stands behind everything up to its sequence number, and says so like progress, but has to be
    /// handed over. It may come behind progress of the same number.
    fn is_barrier(&self) -> bool {
        false
    }
    /// The number of the checkpoint, if this is its barrier: everything up to its sequence number has been sent, and
    /// what comes behind it on any lane is not to be taken before it has come on every one. It is handed to nobody:
    /// see [`FanIn::checkpoint`](super::FanIn::checkpoint).
    #[inline]
    fn checkpoint(&self) -> Option<u64> {
        None
    }
    /// The news that everything up to `seq` has been sent.
    fn progress(seq: u64) -> Self;
    /// False for progress, and for whatever else need not be counted where items are dropped, because the next of
    /// its kind tells as much.
    #[inline]
    fn is_item(&self) -> bool {
        !self.is_progress()
    }
}

/// Cloning straight into the place where the clone will be read.
///
/// The default moves a clone there. A type of which only a part is in use implements
/// [`clone_into`](Self::clone_into) itself and copies no more than that part.
pub trait CloneInto: Clone {
    /// Initialises `place` with a clone, and returns it.
    fn clone_into<'a>(&self, place: &'a mut MaybeUninit<Self>) -> &'a mut Self {
        place.write(self.clone())
    }
}

/// A value of any type with what [`Ordered`] asks for: what travels on the rings of a [`Graph`](super::Graph).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<T> {
    /// The sequence number.
    pub seq: u64,
    /// Event time in nanoseconds since the epoch.
    pub time_ns: i64,
    /// The producer's place in topological order.
    pub rank: u16,
    /// See [`Ordered::place`].
    pub place: u32,
    /// The value; `None` is progress.
    pub value: Option<T>,
}

impl<T> Envelope<T> {
    /// An item that is the only producer's of its rank.
    pub fn new(seq: u64, rank: u16, time_ns: i64, value: T) -> Self {
        Self { seq, time_ns, rank, place: 0, value: Some(value) }
    }
}

impl<T> Ordered for Envelope<T> {
    #[inline]
    fn seq(&self) -> u64 {
        self.seq
    }

    #[inline]
    fn rank(&self) -> u16 {
        self.rank
    }

    #[inline]
    fn place(&self) -> u32 {
        self.place
    }

    #[inline]
    fn time_ns(&self) -> i64 {
        self.time_ns
    }

    #[inline]
    fn is_progress(&self) -> bool {
        self.value.is_none()
    }

    #[inline]
    fn progress(seq: u64) -> Self {
        Self { seq, time_ns: 0, rank: 0, place: 0, value: None }
    }
}

impl<T: Clone> CloneInto for Envelope<T> {}
