//! Where in the program a thread is: one word that the thread writes and others may read, to name what is stuck.

use std::fmt;

use crossbeam_utils::CachePadded;

use crate::sync::{Arc, AtomicU32, Ordering};

/// A place in the program, as a word whose meaning is its writer's. It has a cache line of its own; clones are the same
/// place.
///
/// ```
/// use varpin::metrics::Place;
/// let place = Place::new();
/// let seen = place.clone();
/// place.set(7);
/// assert_eq!(seen.get(), 7);
/// ```
#[derive(Clone, Default)]
pub struct Place(Arc<CachePadded<AtomicU32>>);

impl Place {
    /// Word 0: nowhere yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The thread is here now.
    #[inline]
    pub fn set(&self, word: u32) {
        // Relaxed: the word is all there is to see; nothing is read on the strength of it.
        self.0.store(word, Ordering::Relaxed);
    }

    /// Where the thread is, or was last.
    pub fn get(&self) -> u32 {
        // Relaxed: as in `set`.
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.get()).finish()
    }
}
