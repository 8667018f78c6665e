//! What a sender leaves behind that the ring has no room for: the receiver goes on with it after the ring's last item.
//!
//! Only rings whose policy is [`WhenFull::DropOldest`] have a place for it. There the newest items may wait in front
//! of a
//! full ring when the sender is closed, and a sender must be able to go at once: nobody promises that the receiver ever
//! makes room while the sender waits. So the rest goes into a ring of its own, just large enough, and that ring's
//! receiving end through a slot beside the first one. The slot is filled before the sender is dropped, and looked
//! into after the sender was seen gone, so that a rest is never missed.

use std::collections::VecDeque;

use super::{Receiver, Sender, Tally, WhenFull, bounded};

/// The sender's side of the slot.
pub(super) type Leaves<T> = Option<Box<rtrb::Producer<Receiver<T>>>>;
/// The receiver's side of the slot.
pub(super) type GoesOn<T> = Option<Box<rtrb::Consumer<Receiver<T>>>>;

/// The two sides of a slot, if rings with this policy have one.
pub(super) fn slot<T>(when_full: WhenFull) -> (Leaves<T>, GoesOn<T>) {
    if when_full != WhenFull::DropOldest {
        return (None, None);
    }
    let (leaves, goes_on) = rtrb::RingBuffer::new(1);
    (Some(Box::new(leaves)), Some(Box::new(goes_on)))
}

impl<T> Sender<T> {
    /// Leaves `rest` to the receiver, to be taken after everything that is in the ring; to be called once, before the
    /// sender is dropped, and nothing must be pushed afterwards. Returns the tally of what becomes of the rest.
    /// Gives it back
    /// where the ring has no place for it (its policy isn't [`WhenFull::DropOldest`]) or the receiver is gone.
    ///
    /// ```
    /// use varpin::ring::{self, PopError, WhenFull};
    /// let (mut sender, mut receiver) = ring::with_policy(1, WhenFull::DropOldest);
    /// sender.push('a').unwrap();
    /// assert!(sender.leave_rest(['b', 'c'].into()).is_ok());
    /// drop(sender);
    /// assert_eq!([receiver.pop(), receiver.pop(), receiver.pop()], [Ok('a'), Ok('b'), Ok('c')]);
    /// assert_eq!(receiver.pop(), Err(PopError::Closed));
    /// ```
    pub fn leave_rest(&mut self, rest: VecDeque<T>) -> Result<Tally, VecDeque<T>> {
        if rest.is_empty() || self.is_closed() {
            return Err(rest);
        }
        let Some(mut slot) = self.rest.take() else { return Err(rest) };
        let (mut sender, receiver) = bounded(rest.len());
        for item in rest {
            let fits = sender.push(item).is_ok();
            debug_assert!(fits, "the ring was made for the rest");
        }
        let tally = sender.tally();
        // The slot is empty: it is filled only here, and was taken out above.
        let left = slot.push(receiver);
        debug_assert!(left.is_ok());
        Ok(tally)
    }
}

impl<T> Receiver<T> {
    /// After the sender was seen gone and everything has been taken: goes on with the rest that it left. False if there
    /// is none.
    pub(super) fn go_on(&mut self) -> bool {
        let rest = self.rest.as_mut().and_then(|slot| slot.pop().ok());
        let Some(rest) = rest else { return false };
        // The end that is dropped here leaves nothing behind.
        *self = rest;
        true
    }
}
