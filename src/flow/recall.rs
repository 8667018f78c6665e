//! Asking a worker to hand over what it holds, also while it sleeps.
//!
//! States: *not asked*; *asked*, until whoever asked takes it back, after the worker has handed over. The worker looks
//! once a duty cycle; a sleeper is woken, and looks before it sleeps again.

use std::fmt;

use crossbeam_utils::CachePadded;

use crate::idle::Waker;
use crate::sync::{AtomicBool, Ordering};

/// The request to one worker.
pub struct Recall {
    /// On a cache line of its own: each duty cycle reads it, and what lies beside it is written.
    asked: CachePadded<AtomicBool>,
    waker: Option<Waker>,
}

impl Recall {
    /// Nothing is asked of a worker that sleeps until `waker` wakes it, if it does at all.
    pub fn new(waker: Option<Waker>) -> Self {
        Self { asked: CachePadded::new(AtomicBool::new(false)), waker }
    }

    /// Asks the worker to hand over after the duty cycle that it is in.
    pub fn ask(&self) {
        // Relaxed: nothing is published with the request. A sleeper sees it because waking has a fence.
        self.asked.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }

    /// Takes the request back, once the worker has handed over.
    pub fn take_back(&self) {
        // Relaxed: as in `ask`; the next thread is started after this.
        self.asked.store(false, Ordering::Relaxed);
    }

    /// Whether the worker is to hand over.
    #[inline]
    pub fn is_asked(&self) -> bool {
        // Relaxed: as in `ask`.
        self.asked.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Recall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recall").field("asked", &self.is_asked()).finish_non_exhaustive()
    }
}
