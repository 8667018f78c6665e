//! Time as a value that is read once per duty cycle: a monotonic reading to measure with and a wall reading to stamp
//! live events with.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::sync::{Arc, AtomicU64, Ordering};

/// One look at a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Nanoseconds since the clock was made; never goes back.
    pub monotonic_ns: u64,
    /// Nanoseconds since the Unix epoch; what a live event without a timestamp gets.
    pub wall_ns: i64,
}

/// Where time comes from. Tests pass a [`ManualClock`].
pub trait Clock {
    /// Looks at the clock.
    fn read(&self) -> Reading;
}

/// The machine's clock.
///
/// The system's wall clock is read once, when the clock is made, and goes on from there at the monotonic clock's pace.
/// So one system read gives both values, and wall time never jumps: steps that somebody makes later are not
/// followed (the gradual corrections of a time daemon are, since they steer the monotonic clock too).
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
    started_wall_ns: i64,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        let wall = SystemTime::now();
        let started_wall_ns = match wall.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
        };
        Self { started: Instant::now(), started_wall_ns }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[inline]
    fn read(&self) -> Reading {
        // 64 bits of nanoseconds last for 584 years.
        let monotonic_ns = self.started.elapsed().as_nanos() as u64;
        Reading { monotonic_ns, wall_ns: self.started_wall_ns.saturating_add_unsigned(monotonic_ns) }
    }
}

/// A clock that stands still until it is told to go on; its clones show the same time.
///
/// ```
/// use varpin::clock::{Clock, ManualClock};
/// let clock = ManualClock::new(1_000);
/// clock.advance(5);
/// assert_eq!((clock.read().monotonic_ns, clock.read().wall_ns), (5, 1_005));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    monotonic_ns: Arc<AtomicU64>,
    started_wall_ns: i64,
}

impl ManualClock {
    /// A clock that starts at the given wall time.
    pub fn new(wall_ns: i64) -> Self {
        Self { monotonic_ns: Arc::new(AtomicU64::new(0)), started_wall_ns: wall_ns }
    }

    /// Lets time pass, for every clone.
    pub fn advance(&self, by_ns: u64) {
        // Relaxed: time publishes nothing but itself.
        self.monotonic_ns.fetch_add(by_ns, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn read(&self) -> Reading {
        // Relaxed: as in `advance`.
        let monotonic_ns = self.monotonic_ns.load(Ordering::Relaxed);
        Reading { monotonic_ns, wall_ns: self.started_wall_ns.saturating_add_unsigned(monotonic_ns) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn system_clock_never_goes_back_and_both_readings_go_on_together() {
        let clock = SystemClock::new();
        let first = clock.read();
        let second = clock.read();
        assert!(second.monotonic_ns >= first.monotonic_ns);
        assert_eq!(
            second.wall_ns - first.wall_ns,
            i64::try_from(second.monotonic_ns - first.monotonic_ns).unwrap()
        );
        assert!(first.wall_ns > 1_700_000_000_000_000_000, "later than the year 2023: {}", first.wall_ns);
    }
}
