//! What a sender does with an item when its ring is full, and the two words in which the ends agree on what was
//! dropped.
//!
//! A sender can't take back what is in the ring; that is the receiver's side. So to drop the oldest it *asks*: items
//! are numbered from 0 as they enter the ring, and the mark says before which of them everything is to be skipped. It
//! only rises. The receiver looks at it before it takes an item, and counts what it skips; an item that it had taken
//! before it saw the mark was taken in time. So an item is taken, or skipped and counted, or still there, whichever
//! end is faster.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use super::{Receiver, Sender, Tally};
use crate::sync::{AtomicU64, Ordering};

/// The policy of a full ring. The ring itself only answers [`PushError::Full`](super::PushError); whoever pushes
/// acts on the policy ([`OutPort`](crate::flow::OutPort) does).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// Keep the item and take no more input until it is gone.
    #[default]
    Block,
    /// Drop and count the item that finds no room.
    DropNewest,
    /// Drop and count the oldest items, so that the newest ones survive: as many as the ring has slots.
    DropOldest,
    /// Give the item back to the caller as an error.
    Error,
}

impl WhenFull {
    /// Every policy, in the order in which messages list them.
    pub const ALL: [Self; 4] = [Self::Block, Self::DropNewest, Self::DropOldest, Self::Error];

    /// The policy's name in programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::DropNewest => "drop_newest",
            Self::DropOldest => "drop_oldest",
            Self::Error => "error",
        }
    }

    /// Whether items can be dropped.
    pub fn drops(self) -> bool {
        matches!(self, Self::DropNewest | Self::DropOldest)
    }
}

/// What both ends of a ring know of what was dropped.
pub(super) struct Drops {
    /// Items before this one are to be skipped. Written by the sender alone, and only upwards.
    skip_before: AtomicU64,
    /// How many items were dropped, by either end.
    dropped: AtomicU64,
}

impl Drops {
    pub(super) fn none() -> Self {
        Self { skip_before: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }
}

impl Tally {
    /// The receiver is to skip the items before this one, counted from 0 as they were pushed.
    #[inline]
    pub fn skip_mark(&self) -> u64 {
        // Relaxed: the number says all. A mark that is seen late skips less, and what is taken then was taken in time.
        // It is not seen later than an item that was pushed behind it: the ring's own release and acquire order the
        // two.
        self.0.drops.skip_before.load(Ordering::Relaxed)
    }

    /// How many items were dropped so far, in front of the ring and on it.
    pub fn dropped(&self) -> u64 {
        // Relaxed: a number to look at; nothing is read on the strength of it.
        self.0.drops.dropped.load(Ordering::Relaxed)
    }

    /// Counts items that were dropped.
    pub fn note_dropped(&self, items: u64) {
        // Relaxed: only the sum matters. A read-modify-write, because both ends drop items.
        self.0.drops.dropped.fetch_add(items, Ordering::Relaxed);
    }
}

impl<T> Sender<T> {
    /// Asks the receiver to skip the items before this one, counted from 0 as they were pushed. A mark that is not
    /// above the last one changes nothing.
    ///
    /// ```
    /// let (mut sender, receiver) = varpin::ring::bounded(4);
    /// sender.push_slice(&['a', 'b', 'c']).unwrap();
    /// sender.skip_before(2);
    /// // Whoever reads the ring has to look: the ring itself still holds all three.
    /// assert_eq!((receiver.tally().skip_mark(), receiver.len()), (2, 3));
    /// ```
    pub fn skip_before(&mut self, item: u64) {
        let mark = &self.tally.0.drops.skip_before;
        // Relaxed, both: only this end writes the mark; for its reader see `Tally::skip_mark`.
        if mark.load(Ordering::Relaxed) < item {
            mark.store(item, Ordering::Relaxed);
        }
    }

    /// Counts items that were dropped instead of pushed.
    pub fn note_dropped(&mut self, items: u64) {
        self.tally.note_dropped(items);
    }
}

impl<T> Receiver<T> {
    /// The mark up to which items are to be skipped; see [`Sender::skip_before`].
    #[inline]
    pub fn skip_mark(&self) -> u64 {
        self.tally.skip_mark()
    }
}

impl fmt::Display for WhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWhenFull(String);

impl fmt::Display for UnknownWhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = WhenFull::ALL.map(WhenFull::name).join(", ");
        write!(f, "`{}` is no policy for full rings; known are {names}", self.0)
    }
}

impl Error for UnknownWhenFull {}

impl FromStr for WhenFull {
    type Err = UnknownWhenFull;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| UnknownWhenFull(text.to_owned()))
    }
}
