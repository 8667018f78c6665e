//! What others may see of a running worker: that it goes on, and where it is.
//!
//! One word, written by the worker alone and read by whoever watches it: how many duty cycles it has done, and the
//! stage that it is stepping, or none while it rests between two cycles. In one word, so that a watcher never sees
//! the stage of one cycle with the number of another: a word that stays the same names a stage that is stuck, and
//! one that names no stage says that the worker waits for work, however long it stays the same.
//!
//! The word has a cache line of its own. The worker stores to it once a stage and once a cycle, whatever the number of
//! events; nothing else that it writes shares the line, and watchers read it a few times a second.

use std::fmt;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering};

/// Bits of the word that name the stage; the others count cycles.
const STAGE_BITS: u32 = 16;

/// The heartbeat of a worker.
///
/// ```
/// use varpin::flow::{Beat, Pulse};
/// let pulse = Pulse::new();
/// pulse.step(7, 1);
/// assert_eq!(pulse.read(), Beat { cycles: 7, stepping: Some(1) });
/// pulse.rest(8);
/// assert_eq!(pulse.read(), Beat { cycles: 8, stepping: None });
/// ```
pub struct Pulse(CachePadded<AtomicU64>);

/// One look at a [`Pulse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Duty cycles done.
    pub cycles: u64,
    /// The stage that is being stepped, by number; none while the worker rests.
    pub stepping: Option<usize>,
}

impl Pulse {
    /// Nothing done yet.
    pub fn new() -> Self {
        Self(CachePadded::new(AtomicU64::new(0)))
    }

    /// The worker, after `cycles` cycles, begins to step `stage`.
    #[inline]
    pub fn step(&self, cycles: u64, stage: usize) {
        let stage = (stage as u64 + 1).min((1 << STAGE_BITS) - 1);
        // Relaxed: the word is all there is to see; nothing is read on the strength of it.
        self.0.store(cycles << STAGE_BITS | stage, Ordering::Relaxed);
    }

    /// The worker has done `cycles` cycles and rests.
    #[inline]
    pub fn rest(&self, cycles: u64) {
        // Relaxed: as in `step`.
        self.0.store(cycles << STAGE_BITS, Ordering::Relaxed);
    }

    /// Where the worker is.
    pub fn read(&self) -> Beat {
        // Relaxed: as in `step`.
        let word = self.0.load(Ordering::Relaxed);
        let stage = (word & ((1 << STAGE_BITS) - 1)) as usize;
        Beat { cycles: word >> STAGE_BITS, stepping: stage.checked_sub(1) }
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pulse").field(&self.read()).finish()
    }
}
