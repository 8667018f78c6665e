//! The memory behind a ring's slots, to be made ready before anything runs: asked to be in huge pages, and touched.
//!
//! rtrb allocates the slots and doesn't hand them out, but free slots can be opened for writing without publishing any
//! of them, and an empty ring's slots are all free. That gives their addresses, and a way to write to them that leaves
//! the ring as it is.

use std::io;
use std::mem::MaybeUninit;

use super::Sender;
use crate::cores;

impl<T> Sender<T> {
    /// Where the free slots are: address and length in bytes; of a ring that was not used yet, these are all slots.
    /// Ends at the ring's own end where they go round it.
    pub fn memory(&mut self) -> (usize, usize) {
        let free = self.slots();
        let Ok(mut slots) = self.producer.write_chunk_uninit(free) else { return (0, 0) };
        let (first, _) = slots.as_mut_slices();
        (first.as_ptr().addr(), size_of_val(first))
    }

    /// Writes to every free slot, so that none of their pages is missing when the first item comes. Returns how many
    /// bytes that were. Nothing is published.
    ///
    /// ```
    /// let (mut sender, mut receiver) = varpin::ring::bounded::<u64>(1024);
    /// assert_eq!(sender.prefault(), 8 * 1024);
    /// assert!(receiver.is_empty());
    /// sender.push(1).unwrap();
    /// assert_eq!((receiver.pop(), sender.prefault()), (Ok(1), 8 * 1024));
    /// ```
    pub fn prefault(&mut self) -> usize {
        let free = self.slots();
        // Only this end takes free slots, so those just seen are still there.
        let Ok(mut slots) = self.producer.write_chunk_uninit(free) else { return 0 };
        let (first, second) = slots.as_mut_slices();
        for slot in first.iter_mut().chain(second.iter_mut()) {
            *slot = MaybeUninit::zeroed();
        }
        // Dropped without a commit, the slots stay free.
        size_of_val(first) + size_of_val(second)
    }

    /// Asks for huge pages for the ring, which must not have been used yet.
    pub fn advise_huge_pages(&mut self) -> io::Result<()> {
        match self.memory() {
            (_, 0) => Ok(()),
            (address, bytes) => cores::advise_huge_pages(address, bytes),
        }
    }
}
