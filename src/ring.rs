//! Bounded single-producer single-consumer rings: the only file that names rtrb.
//!
//! rtrb moves the items; this file adds what its users need to shut down without losing any and to sleep without
//! missing any. Each of these claims has a model in `loom-tests/` that runs this source and rtrb's own:
//!
//! 1. First in, first out; nothing lost, nothing twice.
//! 2. A full ring hands the item back, and space freed by the receiver is seen by the sender.
//! 3. After the sender is dropped the receiver still gets every item, and only then [`PopError::Closed`].
//! 4. After the receiver is dropped the sender learns it and gets its item back; what was undelivered is counted.
//! 5. A peer that sleeps on a ring is woken by what it waits for (see [`Parker`](crate::idle::Parker)).
//! 6. Whatever is to happen when a ring is full ([`WhenFull`]): every item is taken, dropped and counted, or left
//!    and counted;
//!    and after an overload under [`WhenFull::DropOldest`] the newest items survive, as many as there are slots, in
//!    order.
//!
//! An end of a ring is in one of three states, seen from the other end: *there*; *gone*, noticed through rtrb's flag,
//! which is set after everything that the end did to the ring; and *gone second*: the later of the two to leave
//! counts what nobody will take any more.
//!
//! ```
//! use varpin::ring::{self, PopError, PushError};
//! let (mut sender, mut receiver) = ring::bounded(2);
//! assert_eq!(sender.push('a'), Ok(()));
//! assert_eq!(sender.push('b'), Ok(()));
//! assert_eq!(sender.push('c'), Err(PushError::Full('c')));
//! drop(sender);
//! assert_eq!(receiver.pop(), Ok('a'));
//! assert_eq!(receiver.pop(), Ok('b'));
//! assert_eq!(receiver.pop(), Err(PopError::Closed));
//! ```
#![allow(unsafe_code, reason = "publishing slots that were written in place tells rtrb what it can't see")]

mod errors;
mod memory;
mod rest;
mod staged;
mod when_full;

use std::fmt;
use std::mem::{MaybeUninit, size_of};

use rtrb::chunks::{ChunkError, ReadChunkIntoIter, WriteChunkUninit};

use crate::idle::Waker;
use crate::sync::{Arc, AtomicU8, AtomicUsize, Ordering};

pub use errors::{PopError, PushError, WriteError};
pub use staged::StagedSender;
use when_full::Drops;
pub use when_full::{UnknownWhenFull, WhenFull};

/// Makes a ring of exactly `capacity` slots.
///
/// # Panics
///
/// When `capacity` is zero, or so large that the slots can't be allocated.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    with_policy(capacity, WhenFull::Block)
}

/// Makes a ring of exactly `capacity` slots, both ends of which know what is to happen when it is full: for users
/// such as
/// [`OutPort`](crate::flow::OutPort) and [`FanIn`](crate::flow::FanIn), which act on it. The ring itself hands back
/// what doesn't fit, whatever the policy.
///
/// # Panics
///
/// When `capacity` is zero, or so large that the slots can't be allocated.
pub fn with_policy<T>(capacity: usize, when_full: WhenFull) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a ring needs at least one slot");
    let (producer, consumer) = rtrb::RingBuffer::new(capacity);
    let (leaves, goes_on) = rest::slot(when_full);
    let tally = Tally(Arc::new(Departures {
        left: AtomicU8::new(0),
        undelivered: AtomicUsize::new(Departures::UNKNOWN),
        drops: Drops::none(),
    }));
    let sender = Sender { producer, when_full, rest: leaves, tally: tally.clone(), peer: Peer(None) };
    let receiver = Receiver { consumer, when_full, rest: goes_on, tally, peer: Peer(None) };
    (sender, receiver)
}

/// Who left, and what was left behind.
struct Departures {
    /// Bit set of the ends that are gone.
    left: AtomicU8,
    /// Items that nobody will take any more; [`Self::UNKNOWN`] until both ends are gone.
    undelivered: AtomicUsize,
    /// What a policy dropped.
    drops: Drops,
}

impl Departures {
    const SENDER: u8 = 1;
    const RECEIVER: u8 = 2;
    const UNKNOWN: usize = usize::MAX;

    /// Notes that `end` leaves; if it is the second to do so, it counts what is left.
    fn leave(&self, end: u8, count: impl FnOnce() -> usize) {
        // Release: what this end did to the ring happens before the other end's count.
        // Acquire: what the other end did to the ring happens before this end's count.
        // One read-modify-write, so exactly one of two ends leaving at once finds the other gone.
        if self.left.fetch_or(end, Ordering::AcqRel) != 0 {
            // Relaxed: the number is all there is to publish.
            self.undelivered.store(count(), Ordering::Relaxed);
        }
    }
}

/// Outlives both ends of a ring and then tells how many items were pushed and never taken.
///
/// ```
/// let (mut sender, mut receiver) = varpin::ring::bounded(4);
/// let tally = sender.tally();
/// for n in 0..3 {
///     sender.push(n).unwrap();
/// }
/// assert_eq!(receiver.pop(), Ok(0));
/// drop(receiver);
/// assert_eq!((sender.is_closed(), sender.undelivered()), (true, 2));
/// assert_eq!(tally.undelivered(), None); // the sender could still be pushing
/// drop(sender);
/// assert_eq!(tally.undelivered(), Some(2));
/// ```
#[derive(Clone)]
pub struct Tally(Arc<Departures>);

impl Tally {
    /// The number of items that nobody took; `None` as long as an end of the ring exists.
    pub fn undelivered(&self) -> Option<usize> {
        // Relaxed: nothing else is read on the strength of this number.
        let count = self.0.undelivered.load(Ordering::Relaxed);
        (count != Departures::UNKNOWN).then_some(count)
    }

    /// True if both are of the same ring.
    pub fn is_of_same_ring(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Whom to wake after this end changed the ring. As an end's *last* field it is dropped after rtrb's part, so the
/// peer that it wakes finds the end gone.
struct Peer(Option<Waker>);

impl Peer {
    #[inline]
    fn wake(&self) {
        if let Some(waker) = &self.0 {
            waker.wake();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.wake();
    }
}

/// Wakes the peer when it goes out of scope: the last field of what changes the ring on drop.
struct WakeAfter<'a>(&'a Peer);

impl Drop for WakeAfter<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// The writing end of a ring.
pub struct Sender<T> {
    producer: rtrb::Producer<T>,
    when_full: WhenFull,
    rest: rest::Leaves<T>,
    tally: Tally,
    peer: Peer,
}

impl<T> Sender<T> {
    /// Pushes one item.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), PushError<T>> {
        if self.is_closed() {
            return Err(PushError::Closed(item));
        }
        self.producer.push(item).map_err(|rtrb::PushError::Full(item)| PushError::Full(item))?;
        self.peer.wake();
        Ok(())
    }

    /// Opens up to `max` free slots for writing, at least one; they are published together when the chunk is
    /// committed or dropped.
    ///
    /// A chunk of zero slots counts as full.
    ///
    /// ```
    /// let (mut sender, mut receiver) = varpin::ring::bounded(4);
    /// let mut chunk = sender.write(3).unwrap();
    /// chunk.push(1).unwrap();
    /// assert!(chunk.push_with(|slot| slot.write(2)));
    /// assert_eq!(chunk.commit(), 2);
    /// assert_eq!((receiver.pop(), receiver.pop()), (Ok(1), Ok(2)));
    /// ```
    #[inline]
    pub fn write(&mut self, max: usize) -> Result<WriteChunk<'_, T>, WriteError> {
        if max == 0 {
            return Err(WriteError::Full);
        }
        let slots = open_slots(&mut self.producer, max)?;
        Ok(WriteChunk { slots: Some(slots), written: 0, _wake_after: WakeAfter(&self.peer) })
    }

    /// Moves items out of `items` as long as there is space, and publishes them together. Returns how many; what
    /// didn't fit is still in `items`.
    ///
    /// ```
    /// let (mut sender, _receiver) = varpin::ring::bounded(2);
    /// let mut items = [1, 2, 3].into_iter();
    /// assert_eq!(sender.push_from(&mut items), Ok(2));
    /// assert_eq!(items.next(), Some(3));
    /// ```
    #[inline]
    pub fn push_from(&mut self, items: &mut impl Iterator<Item = T>) -> Result<usize, WriteError> {
        let wanted = items.size_hint().1.unwrap_or(usize::MAX).max(1);
        let pushed = open_slots(&mut self.producer, wanted)?.fill_from_iter(items);
        self.peer.wake();
        Ok(pushed)
    }

    /// Copies as many items from the start of `items` as fit, and publishes them together. Returns how many.
    #[inline]
    pub fn push_slice(&mut self, items: &[T]) -> Result<usize, WriteError>
    where
        T: Copy,
    {
        if self.is_closed() {
            return Err(WriteError::Closed);
        }
        let (pushed, rest) = self.producer.push_partial_slice(items);
        if pushed.is_empty() && !rest.is_empty() {
            return Err(WriteError::Full);
        }
        self.peer.wake();
        Ok(pushed.len())
    }

    /// What is to happen when the ring is full.
    pub fn policy(&self) -> WhenFull {
        self.when_full
    }

    /// How many slots are free now; more may become free at any time.
    pub fn slots(&self) -> usize {
        self.producer.slots()
    }

    /// How many slots the ring has.
    pub fn capacity(&self) -> usize {
        self.producer.buffer().capacity()
    }

    /// True once the receiver is gone; it stays true.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.producer.is_abandoned()
    }

    /// How many items were pushed and not taken yet. Final once [`is_closed`](Self::is_closed) is true and nothing more
    /// is pushed.
    pub fn undelivered(&self) -> usize {
        self.capacity() - self.slots()
    }

    /// A handle that tells what was left in the ring after both ends are gone.
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Whom to wake after items were pushed, and when this end is dropped. Without one (the receiver never sleeps)
    /// pushing has no fence.
    pub fn set_waker(&mut self, receiver: Option<Waker>) {
        self.peer.0 = receiver;
    }
}

/// Opens up to `max` free slots. rtrb looks at the receiver's side only when what it last saw there doesn't suffice.
#[inline]
fn open_slots<T>(
    producer: &mut rtrb::Producer<T>,
    max: usize,
) -> Result<WriteChunkUninit<'_, T>, WriteError> {
    if producer.is_abandoned() {
        return Err(WriteError::Closed);
    }
    let free = match producer.write_chunk_uninit(max) {
        Ok(slots) => slots.len(),
        Err(ChunkError::TooFewSlots(free)) => free,
    };
    // Only this end takes free slots, so those just seen are still there.
    match producer.write_chunk_uninit(free) {
        Ok(slots) if free > 0 => Ok(slots),
        _ => Err(WriteError::Full),
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.tally.0.leave(Departures::SENDER, || self.undelivered());
        // Then the fields, in this order: rtrb's flag, the tally, the wake-up.
    }
}

/// Free slots, to be written in place and published together.
///
/// Dropping the chunk publishes what was written so far, also during a panic: each counted slot holds a whole item.
pub struct WriteChunk<'a, T> {
    /// `None` only while the chunk is being dropped.
    slots: Option<WriteChunkUninit<'a, T>>,
    /// The first `written` slots hold items.
    written: usize,
    _wake_after: WakeAfter<'a>,
}

impl<T> WriteChunk<'_, T> {
    /// How many slots are still to be written.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.slots.as_ref().map_or(0, WriteChunkUninit::len) - self.written
    }

    /// How many items were written.
    #[inline]
    pub fn written(&self) -> usize {
        self.written
    }

    /// Writes the next item; hands it back if every slot is written.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), T> {
        match self.next_slot() {
            Some(slot) => {
                slot.write(item);
                self.written += 1;
                Ok(())
            }
            None => Err(item),
        }
    }

    /// Lets `build` write the next item where it will be read, without moving it. Returns false, without calling
    /// `build`, if every slot is written.
    ///
    /// `build` returns the slot it was given, initialised ([`MaybeUninit::write`] does).
    ///
    /// # Panics
    ///
    /// When `build` returns a reference to something else.
    #[inline]
    pub fn push_with(&mut self, build: impl FnOnce(&mut MaybeUninit<T>) -> &mut T) -> bool {
        // Different items without a size can share an address, so the check below would prove nothing.
        const { assert!(size_of::<T>() > 0, "push_with needs items with a size") };
        let Some(slot) = self.next_slot() else { return false };
        let address = slot.as_mut_ptr();
        // A `&mut T` at the slot's own address can only be the slot itself, initialised.
        assert!(std::ptr::eq(build(slot), address), "push_with must return the slot that it was given");
        self.written += 1;
        true
    }

    #[inline]
    fn next_slot(&mut self) -> Option<&mut MaybeUninit<T>> {
        let (first, second) = self.slots.as_mut()?.as_mut_slices();
        match self.written.checked_sub(first.len()) {
            None => first.get_mut(self.written),
            Some(index) => second.get_mut(index),
        }
    }

    /// Publishes what was written and returns how many items that were. The other slots stay free.
    #[inline]
    pub fn commit(self) -> usize {
        self.written
    }
}

impl<T> Drop for WriteChunk<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            // SAFETY: `written` counts, from the first slot on, only slots into which `push` or `push_with` has
            // put an item.
            unsafe { slots.commit(self.written) };
        }
        // Then `_wake_after`.
    }
}

/// The reading end of a ring.
pub struct Receiver<T> {
    consumer: rtrb::Consumer<T>,
    when_full: WhenFull,
    rest: rest::GoesOn<T>,
    tally: Tally,
    peer: Peer,
}

impl<T> Receiver<T> {
    /// Takes the next item.
    #[inline]
    pub fn pop(&mut self) -> Result<T, PopError> {
        let item = match self.consumer.pop() {
            Ok(item) => item,
            Err(rtrb::PopError::Empty) => {
                self.look_again()?;
                match self.consumer.pop().map_err(|rtrb::PopError::Empty| PopError::Closed) {
                    Err(PopError::Closed) if self.go_on() => return self.pop(),
                    popped_or_closed => popped_or_closed?,
                }
            }
        };
        self.peer.wake();
        Ok(item)
    }

    /// Looks at the next item without taking it.
    #[inline]
    pub fn peek(&mut self) -> Result<&T, PopError> {
        if self.consumer.is_empty() {
            self.look_again()?;
            if self.consumer.is_empty() {
                self.go_on();
            }
        }
        self.consumer.peek().map_err(|rtrb::PeekError::Empty| PopError::Closed)
    }

    /// After a look that found nothing: `Empty` as long as the sender is there. Once it is seen gone, the caller must
    /// look a second time, because the sender may have pushed between that first look and its leaving; only
    /// if the second look finds nothing either, the ring is closed.
    #[inline]
    fn look_again(&self) -> Result<(), PopError> {
        if self.is_abandoned() { Ok(()) } else { Err(PopError::Empty) }
    }

    /// Opens what is there, up to `max` items and at least one, for reading in place. Nothing is taken until the
    /// chunk is committed.
    ///
    /// A chunk of zero items counts as empty.
    ///
    /// ```
    /// let (mut sender, mut receiver) = varpin::ring::bounded(4);
    /// sender.push_slice(&[1, 2, 3]).unwrap();
    /// let chunk = receiver.read(16).unwrap();
    /// assert_eq!(chunk.iter().sum::<i32>(), 6);
    /// chunk.commit(2);
    /// assert_eq!(receiver.pop(), Ok(3));
    /// ```
    #[inline]
    pub fn read(&mut self, max: usize) -> Result<ReadChunk<'_, T>, PopError> {
        if max == 0 {
            return Err(PopError::Empty);
        }
        let mut filled = filled_slots(&mut self.consumer, max);
        if filled == 0 {
            self.look_again()?;
            filled = filled_slots(&mut self.consumer, max);
            if filled == 0 && self.go_on() {
                filled = filled_slots(&mut self.consumer, max);
            }
        }
        // Only this end takes items, so those just seen are still there.
        match self.consumer.read_chunk(filled) {
            Ok(items) if filled > 0 => Ok(ReadChunk { items, peer: &self.peer }),
            _ => Err(PopError::Closed),
        }
    }

    /// What is to happen when the ring is full.
    pub fn policy(&self) -> WhenFull {
        self.when_full
    }

    /// How many items are there now; more may come at any time.
    pub fn len(&self) -> usize {
        self.consumer.slots()
    }

    /// True if there is no item right now.
    pub fn is_empty(&self) -> bool {
        self.consumer.is_empty()
    }

    /// How many slots the ring has.
    pub fn capacity(&self) -> usize {
        self.consumer.buffer().capacity()
    }

    /// True once the sender is gone; items that it pushed may still be there.
    #[inline]
    pub fn is_abandoned(&self) -> bool {
        self.consumer.is_abandoned()
    }

    /// A handle that tells what was left in the ring after both ends are gone.
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Whom to wake after space was freed, and when this end is dropped. Without one (the sender never sleeps)
    /// reading has no fence.
    pub fn set_waker(&mut self, sender: Option<Waker>) {
        self.peer.0 = sender;
    }
}

/// How many items are there, at most `max`. rtrb looks at the sender's side only when what it last saw there doesn't
/// suffice.
#[inline]
fn filled_slots<T>(consumer: &mut rtrb::Consumer<T>, max: usize) -> usize {
    match consumer.read_chunk(max) {
        Ok(items) => items.len(),
        Err(ChunkError::TooFewSlots(filled)) => filled,
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.tally.0.leave(Departures::RECEIVER, || self.len());
        // Then the fields, in this order: rtrb's flag, the tally, the wake-up.
    }
}

/// Items to be read in place. Dropping the chunk without a commit leaves them all in the ring.
pub struct ReadChunk<'a, T> {
    items: rtrb::chunks::ReadChunk<'a, T>,
    peer: &'a Peer,
}

impl<'a, T> ReadChunk<'a, T> {
    /// How many items the chunk holds; at least one.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a chunk is never empty")]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The items in order: the second slice follows the first.
    #[inline]
    pub fn as_slices(&self) -> (&[T], &[T]) {
        self.items.as_slices()
    }

    /// The items in order, to be changed in place: the second slice follows the first.
    #[inline]
    pub fn as_mut_slices(&mut self) -> (&mut [T], &mut [T]) {
        self.items.as_mut_slices()
    }

    /// The items in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let (first, second) = self.as_slices();
        first.iter().chain(second)
    }

    /// The items in order, to be changed in place.
    #[inline]
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let (first, second) = self.as_mut_slices();
        first.iter_mut().chain(second)
    }

    /// Drops the first `count` items where they are and frees their slots; the others stay in the ring.
    ///
    /// # Panics
    ///
    /// When the chunk holds fewer items.
    #[inline]
    pub fn commit(self, count: usize) {
        assert!(count <= self.len(), "commit of {count} items from a chunk of {}", self.len());
        // Wakes also when the destructor of an item panics: rtrb frees the slots in that case too.
        let _wake_after = WakeAfter(self.peer);
        self.items.commit(count);
    }

    /// Drops every item where it is and frees the slots.
    #[inline]
    pub fn commit_all(self) {
        let count = self.len();
        self.commit(count);
    }

    /// Takes items out one by one; when the iterator is dropped, the slots of those taken are freed and the others
    /// stay in the ring.
    #[inline]
    pub fn drain(self) -> Drain<'a, T> {
        Drain { items: self.items.into_iter(), _wake_after: WakeAfter(self.peer) }
    }
}

/// Takes items out of a [`ReadChunk`]; see [`ReadChunk::drain`].
pub struct Drain<'a, T> {
    items: ReadChunkIntoIter<'a, T>,
    _wake_after: WakeAfter<'a>,
}

impl<T> Iterator for Drain<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.items.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl<T> ExactSizeIterator for Drain<'_, T> {}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for WriteChunk<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (written, remaining) = (self.written(), self.remaining());
        f.debug_struct("WriteChunk").field("written", &written).field("remaining", &remaining).finish()
    }
}

impl<T> fmt::Debug for ReadChunk<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadChunk").field("len", &self.len()).finish()
    }
}

impl<T> fmt::Debug for Drain<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("len", &self.len()).finish()
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").field("undelivered", &self.undelivered()).finish()
    }
}
