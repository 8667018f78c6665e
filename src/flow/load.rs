//! How busy a worker is, without asking the clock in every duty cycle: one cycle in 64 is timed, and every sleep.
//!
//! Of the time awake, the share that was work is estimated from the cycles that were timed: each kind of cycle is met
//! in proportion to how often it comes, and counts with the time that it took. Sleeps are rare and long, so they are
//! all timed.

use std::fmt;
use std::time::Instant;

use crossbeam_utils::CachePadded;

use crate::idle::IdleState;
use crate::sync::{Arc, AtomicU64, Ordering};

/// One duty cycle of so many is timed.
const EVERY: u32 = 64;

/// What the worker stores, in nanoseconds.
#[derive(Default)]
struct Words {
    /// From the origin to when it began; 0 before.
    started: AtomicU64,
    /// Of the cycles that were timed: those that did something, and those that did not.
    worked: AtomicU64,
    waited: AtomicU64,
    /// All sleeps that are over.
    slept: AtomicU64,
    /// Since when it sleeps; 0 where it is awake.
    asleep_since: AtomicU64,
    /// When it ended; 0 before.
    ended: AtomicU64,
}

/// The worker's end.
pub(super) struct LoadMeter {
    words: Arc<CachePadded<Words>>,
    origin: Instant,
    countdown: u32,
    worked_ns: u64,
    waited_ns: u64,
    slept_ns: u64,
}

/// The reader's end; clones read the same.
#[derive(Clone)]
pub struct LoadGauge {
    words: Arc<CachePadded<Words>>,
    origin: Instant,
}

/// How a worker has spent its time so far, or between two looks ([`since`](Load::since)). In nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "vpl", derive(serde::Serialize))]
pub struct Load {
    /// All of it.
    pub elapsed_ns: u64,
    /// Asleep.
    pub slept_ns: u64,
    /// Of the cycles that were timed: in those that did something.
    pub worked_ns: u64,
    /// Likewise: in those that found nothing to do.
    pub waited_ns: u64,
}

impl Load {
    /// The share of the time that went into work: 0 to 1.
    ///
    /// ```
    /// use varpin::flow::Load;
    /// let load = Load { elapsed_ns: 1_000, slept_ns: 500, worked_ns: 30, waited_ns: 10 };
    /// assert_eq!(load.busy_share(), 0.375);
    /// ```
    pub fn busy_share(&self) -> f64 {
        let timed_ns = self.worked_ns + self.waited_ns;
        if timed_ns == 0 || self.elapsed_ns == 0 {
            return 0.0;
        }
        let awake_ns = self.elapsed_ns.saturating_sub(self.slept_ns);
        awake_ns as f64 / self.elapsed_ns as f64 * (self.worked_ns as f64 / timed_ns as f64)
    }

    /// The share of the time that it slept: 0 to 1.
    pub fn asleep_share(&self) -> f64 {
        if self.elapsed_ns == 0 {
            0.0
        } else {
            self.slept_ns.min(self.elapsed_ns) as f64 / self.elapsed_ns as f64
        }
    }

    /// What came since an earlier look.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            elapsed_ns: self.elapsed_ns.saturating_sub(earlier.elapsed_ns),
            slept_ns: self.slept_ns.saturating_sub(earlier.slept_ns),
            worked_ns: self.worked_ns.saturating_sub(earlier.worked_ns),
            waited_ns: self.waited_ns.saturating_sub(earlier.waited_ns),
        }
    }
}

/// Both ends for one worker.
pub(super) fn load_meter() -> (LoadMeter, LoadGauge) {
    let words = Arc::new(CachePadded::new(Words::default()));
    let origin = Instant::now();
    (
        LoadMeter {
            words: Arc::clone(&words),
            origin,
            countdown: EVERY,
            worked_ns: 0,
            waited_ns: 0,
            slept_ns: 0,
        },
        LoadGauge { words, origin },
    )
}

impl LoadMeter {
    fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos().max(1) as u64
    }

    /// The worker begins, on its own thread.
    pub(super) fn start(&mut self) {
        // Relaxed, here and below: numbers to look at; nothing is read on the strength of them.
        self.words.started.store(self.now_ns(), Ordering::Relaxed);
    }

    /// A duty cycle begins; its start, if this one is to be timed.
    #[inline]
    pub(super) fn begin(&mut self) -> Option<u64> {
        self.countdown -= 1;
        if self.countdown > 0 {
            return None;
        }
        self.countdown = EVERY;
        Some(self.now_ns())
    }

    /// It has done so much; now the worker waits if that was nothing.
    #[inline]
    pub(super) fn idle(&mut self, begun_ns: Option<u64>, idle: &mut IdleState, work_done: usize) {
        if begun_ns.is_none() && !idle.sleeps_after(work_done) {
            return idle.idle(work_done);
        }
        self.idle_timed(begun_ns, idle, work_done);
    }

    #[inline(never)]
    fn idle_timed(&mut self, begun_ns: Option<u64>, idle: &mut IdleState, work_done: usize) {
        let sleeps = idle.sleeps_after(work_done);
        if sleeps {
            let before_ns = self.now_ns();
            // Relaxed: see `start`.
            self.words.asleep_since.store(before_ns, Ordering::Relaxed);
            idle.idle(work_done);
            self.slept_ns += self.now_ns() - before_ns;
            // Relaxed: see `start`. A reader between the two misses the sleep; its next look is right.
            self.words.asleep_since.store(0, Ordering::Relaxed);
            self.words.slept.store(self.slept_ns, Ordering::Relaxed);
        } else {
            idle.idle(work_done);
            if let Some(begun_ns) = begun_ns {
                let took_ns = self.now_ns() - begun_ns;
                if work_done > 0 {
                    self.worked_ns += took_ns;
                    // Relaxed: see `start`.
                    self.words.worked.store(self.worked_ns, Ordering::Relaxed);
                } else {
                    self.waited_ns += took_ns;
                    // Relaxed: see `start`.
                    self.words.waited.store(self.waited_ns, Ordering::Relaxed);
                }
            }
        }
    }

    /// The worker stands still until it goes on, on whatever thread: that counts as sleep.
    pub(super) fn pause(&mut self) {
        // Relaxed: see `start`.
        self.words.asleep_since.store(self.now_ns(), Ordering::Relaxed);
    }

    /// It goes on.
    pub(super) fn resume(&mut self) {
        // Relaxed: see `start`; this end alone stores it.
        let since_ns = self.words.asleep_since.load(Ordering::Relaxed);
        if since_ns > 0 {
            self.slept_ns += self.now_ns().saturating_sub(since_ns);
            // Relaxed: see `start`.
            self.words.asleep_since.store(0, Ordering::Relaxed);
            self.words.slept.store(self.slept_ns, Ordering::Relaxed);
        }
    }

    /// The worker ends.
    pub(super) fn end(&mut self) {
        // Relaxed: see `start`.
        self.words.ended.store(self.now_ns(), Ordering::Relaxed);
    }
}

impl LoadGauge {
    /// How the worker has spent its time so far.
    pub fn read(&self) -> Load {
        // Relaxed: see `LoadMeter::start`.
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (started, ended) = (load(&self.words.started), load(&self.words.ended));
        if started == 0 {
            return Load::default();
        }
        let now_ns = if ended > 0 { ended } else { self.origin.elapsed().as_nanos() as u64 };
        let sleeping_ns = match load(&self.words.asleep_since) {
            0 => 0,
            since => now_ns.saturating_sub(since),
        };
        Load {
            elapsed_ns: now_ns.saturating_sub(started),
            slept_ns: load(&self.words.slept) + sleeping_ns,
            worked_ns: load(&self.words.worked),
            waited_ns: load(&self.words.waited),
        }
    }
}

impl fmt::Debug for LoadGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoadGauge").field(&self.read()).finish()
    }
}

impl fmt::Debug for LoadMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadMeter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_between_two_looks() {
        let earlier = Load { elapsed_ns: 1_000, slept_ns: 1_000, worked_ns: 5, waited_ns: 5 };
        let later = Load { elapsed_ns: 3_000, slept_ns: 1_500, worked_ns: 35, waited_ns: 15 };
        let between = later.since(&earlier);
        assert!((between.busy_share() - 0.75 * 0.75).abs() < 1e-12);
        assert!((between.asleep_share() - 0.25).abs() < 1e-12);
        assert_eq!(Load::default().busy_share(), 0.0);
        assert_eq!(earlier.busy_share(), 0.0, "asleep all the time");
    }
}
