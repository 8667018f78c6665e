//! A sender whose items lie in the ring, written in place, until they are published together.
//!
//! A [`WriteChunk`](super::WriteChunk) does the same within one scope; a stage writes to several rings by turns and
//! wants to publish each of them once, when its duty cycle ends. What is staged occupies the free slots from the
//! tail on; the receiver doesn't see it until [`publish`](StagedSender::publish) moves the tail behind it.
#![allow(unsafe_code, reason = "publishing slots that were written in place tells rtrb what it can't see")]

use std::collections::VecDeque;
use std::fmt;
use std::mem::{MaybeUninit, size_of};

use super::{Sender, Tally, WriteError};

/// A [`Sender`] with items that are written and not yet published. Dropping it publishes them.
///
/// ```
/// use varpin::ring::{self, PopError, StagedSender};
/// let (sender, mut receiver) = ring::bounded(2);
/// let mut sender = StagedSender::new(sender);
/// assert_eq!(sender.stage(1), Ok(()));
/// assert!(sender.stage_with(|slot| slot.write(2)));
/// assert_eq!(sender.stage(3), Err(3));
/// assert_eq!(receiver.pop(), Err(PopError::Empty));
/// assert_eq!(sender.publish(), Ok(2));
/// assert_eq!(receiver.pop(), Ok(1));
/// ```
pub struct StagedSender<T> {
    sender: Sender<T>,
    /// The first `staged` free slots hold items.
    staged: usize,
}

impl<T> StagedSender<T> {
    /// Wraps `sender`, with nothing staged.
    pub fn new(sender: Sender<T>) -> Self {
        Self { sender, staged: 0 }
    }

    /// Writes `item` into the next free slot; hands it back if there is none. Looks at the receiver's side only when
    /// the last known state doesn't suffice, and never at whether it is gone: publishing tells.
    #[inline]
    pub fn stage(&mut self, item: T) -> Result<(), T> {
        let mut item = Some(item);
        self.with_next_slot(|slot| {
            if let Some(item) = item.take() {
                slot.write(item);
            }
        });
        item.map_or(Ok(()), Err)
    }

    /// Lets `build` write the next item where it will be read. Returns false, without calling `build`, if no slot is
    /// free.
    ///
    /// `build` returns the slot it was given, initialised ([`MaybeUninit::write`] does).
    ///
    /// # Panics
    ///
    /// When `build` returns a reference to something else.
    #[inline]
    pub fn stage_with(&mut self, build: impl FnOnce(&mut MaybeUninit<T>) -> &mut T) -> bool {
        // Different items without a size can share an address, so the check below would prove nothing.
        const { assert!(size_of::<T>() > 0, "stage_with needs items with a size") };
        self.with_next_slot(|slot| {
            let address = slot.as_mut_ptr();
            // A `&mut T` at the slot's own address can only be the slot itself, initialised.
            assert!(std::ptr::eq(build(slot), address), "stage_with must return the slot that it was given");
        })
    }

    /// Runs `write` on the slot behind the last staged one, which it has to initialise, and counts it as staged. If
    /// `write` panics, it isn't counted.
    #[inline]
    fn with_next_slot(&mut self, write: impl FnOnce(&mut MaybeUninit<T>)) -> bool {
        let Ok(mut slots) = self.sender.producer.write_chunk_uninit(self.staged + 1) else { return false };
        let (first, second) = slots.as_mut_slices();
        let slot = match self.staged.checked_sub(first.len()) {
            None => &mut first[self.staged],
            Some(index) => &mut second[index],
        };
        write(slot);
        // Uncommitted, the chunk changes nothing when it goes: the tail stays where it is.
        self.staged += 1;
        true
    }

    /// Publishes what is staged and wakes the receiver; returns how many items that were. When the receiver is gone
    /// they are published all the same, so that they count as undelivered.
    #[inline]
    pub fn publish(&mut self) -> Result<usize, WriteError> {
        let staged = self.staged;
        if staged > 0 {
            self.staged = 0;
            if let Ok(slots) = self.sender.producer.write_chunk_uninit(staged) {
                // SAFETY: `with_next_slot` has initialised the first `staged` slots from the tail on, one by one, and
                // the tail has not moved since: only the line below moves it, and `staged` is 0 from here on.
                unsafe { slots.commit_all() };
            }
            self.sender.peer.wake();
        }
        if self.sender.is_closed() { Err(WriteError::Closed) } else { Ok(staged) }
    }

    /// Drops the last `count` items that are staged, or all, if there are fewer; returns how many that were.
    ///
    /// ```
    /// let (sender, mut receiver) = varpin::ring::bounded(2);
    /// let mut sender = varpin::ring::StagedSender::new(sender);
    /// (sender.stage(1).unwrap(), sender.stage(2).unwrap());
    /// assert_eq!(sender.unstage(1), 1);
    /// assert_eq!(sender.publish(), Ok(1));
    /// assert_eq!((receiver.pop(), receiver.len()), (Ok(1), 0));
    /// ```
    pub fn unstage(&mut self, count: usize) -> usize {
        let count = count.min(self.staged);
        let Ok(mut slots) = self.sender.producer.write_chunk_uninit(self.staged) else { return 0 };
        let (first, second) = slots.as_mut_slices();
        // What is about to be dropped counts no more, also if the destructor panics.
        let keep = self.staged - count;
        self.staged = keep;
        for slot in first.iter_mut().chain(second).skip(keep) {
            // SAFETY: `with_next_slot` has initialised every one of the slots that were staged, these among them, and
            // none of them is looked at again before it is written anew, because `staged` no longer counts it.
            unsafe { slot.assume_init_drop() };
        }
        count
    }

    /// How many items are staged.
    #[inline]
    pub fn staged(&self) -> usize {
        self.staged
    }

    /// Whether one more item can be staged. Looks at the receiver's side only when the last known state doesn't
    /// suffice.
    #[inline]
    pub fn has_room(&mut self) -> bool {
        self.sender.producer.write_chunk_uninit(self.staged + 1).is_ok()
    }

    /// How many more items can be staged now; more room may come at any time.
    pub fn free(&self) -> usize {
        self.sender.slots() - self.staged
    }

    /// How many slots the ring has.
    pub fn capacity(&self) -> usize {
        self.sender.capacity()
    }

    /// See [`Sender::skip_before`]; items that are staged count as pushed.
    pub fn skip_before(&mut self, item: u64) {
        self.sender.skip_before(item);
    }

    /// See [`Sender::leave_rest`].
    pub fn leave_rest(&mut self, rest: VecDeque<T>) -> Result<Tally, VecDeque<T>> {
        self.sender.leave_rest(rest)
    }

    /// See [`Sender::note_dropped`].
    pub fn note_dropped(&mut self, items: u64) {
        self.sender.note_dropped(items);
    }

    /// True once the receiver is gone; it stays true.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// A handle that tells what was left in the ring after both ends are gone.
    pub fn tally(&self) -> Tally {
        self.sender.tally()
    }
}

impl<T> Drop for StagedSender<T> {
    fn drop(&mut self) {
        // A receiver that is gone takes nothing, which its tally says.
        let _ = self.publish();
    }
}

impl<T> fmt::Debug for StagedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedSender")
            .field("staged", &self.staged)
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
