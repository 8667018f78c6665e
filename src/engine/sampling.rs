//! How long events take through the engine, measured on one event in so many: its row is stamped with when it came in,
//! whatever is made of it carries the stamp on, and the output looks at it.
//!
//! A stamp has 32 bits, and counts in steps of 16 ns, so it comes round every 69 seconds. Which round is meant is told
//! by a whole time that the input stores about once a second. What has been under way for longer than a minute is known
//! by its number and counts as a minute at least.

use std::time::Instant;

use crossbeam_utils::CachePadded;

use crate::event::Row;
use crate::metrics::{LatencyReader, LatencyWriter, shared_latencies};
use crate::sync::{Arc, AtomicU64, Ordering};

/// A step of a stamp: 2 to the power of this, in nanoseconds.
const STEP_BITS: u32 = 4;
/// The input stores a whole time this often.
const TELL_EVERY_NS: u64 = 1_000_000_000;
/// So many of these are remembered: what was fed before the oldest is a minute old.
const MINUTE: usize = 60;
const MINUTE_NS: u64 = MINUTE as u64 * TELL_EVERY_NS;

/// What input and output share. Written by the input about once a second.
#[derive(Debug, Default)]
struct Rounds {
    /// When the input told the time last.
    told_ns: AtomicU64,
    /// Events up to this number came more than a minute before.
    old_seq: AtomicU64,
}

/// A clock that gives stamps.
#[derive(Clone, Debug)]
pub(super) struct StampClock {
    origin: Instant,
    rounds: Arc<CachePadded<Rounds>>,
}

/// The input's part.
#[derive(Debug)]
pub(super) struct Sampler {
    clock: StampClock,
    every: u32,
    countdown: u32,
    /// The stamp of what has been pushed and not published yet: the time of the first of these.
    batch: Option<u32>,
    told_ns: u64,
    /// The numbers of the last events at the last times that were told.
    seqs: [u64; MINUTE],
    next: usize,
}

/// The output's part.
#[derive(Debug)]
pub(super) struct Arrivals {
    clock: StampClock,
    latencies: LatencyWriter,
}

impl StampClock {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), rounds: Arc::default() }
    }

    #[inline]
    fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// A sampler of one event in `every`; none for 0.
    pub(super) fn sampler(&self, every: u32) -> Option<Box<Sampler>> {
        let sampler = || Sampler {
            clock: self.clone(),
            every,
            countdown: 1,
            batch: None,
            told_ns: 0,
            seqs: [0; MINUTE],
            next: 0,
        };
        (every > 0).then(|| Box::new(sampler()))
    }

    /// The other end of the samplers, and what it records.
    pub(super) fn arrivals(&self) -> (Arrivals, LatencyReader) {
        let (latencies, reader) = shared_latencies();
        (Arrivals { clock: self.clone(), latencies }, reader)
    }
}

/// A time as a stamp; 0 stands for none.
#[inline]
fn stamp_of(ns: u64) -> u32 {
    ((ns >> STEP_BITS) as u32).max(1)
}

/// The time of a stamp that lies at most a second behind `told_ns`, or else before it.
#[inline]
fn time_of(stamp: u32, told_ns: u64) -> u64 {
    let behind = stamp.wrapping_sub((told_ns >> STEP_BITS) as u32);
    let behind_ns = u64::from(behind) << STEP_BITS;
    // Two seconds leave room for a sample just before the next time is told.
    if behind_ns <= 2 * TELL_EVERY_NS {
        (told_ns & !((1 << STEP_BITS) - 1)) + behind_ns
    } else {
        let before_ns = (1_u64 << (u32::BITS + STEP_BITS)) - behind_ns;
        (told_ns & !((1 << STEP_BITS) - 1)).saturating_sub(before_ns)
    }
}

impl Sampler {
    /// Stamps an event that comes in, if it is one of those that are measured. `last_seq` is the number of the event
    /// before it, or 0 where that is not known.
    #[inline]
    pub(super) fn stamp(&mut self, row: &mut Row, last_seq: u64) {
        self.countdown -= 1;
        let stamp = if self.countdown == 0 { self.take(last_seq) } else { 0 };
        row.set_stamp(stamp);
    }

    #[inline]
    fn take(&mut self, last_seq: u64) -> u32 {
        self.countdown = self.every;
        if let Some(stamp) = self.batch {
            return stamp;
        }
        let now_ns = self.clock.now_ns();
        if now_ns >= self.told_ns + TELL_EVERY_NS || self.told_ns == 0 {
            self.tell(now_ns, last_seq);
        }
        let stamp = stamp_of(now_ns);
        self.batch = Some(stamp);
        stamp
    }

    #[cold]
    fn tell(&mut self, now_ns: u64, last_seq: u64) {
        self.told_ns = now_ns.max(1);
        let old_seq = std::mem::replace(&mut self.seqs[self.next], last_seq);
        self.next = (self.next + 1) % MINUTE;
        // Relaxed, both: an output that sees only one of them yet takes a sample for a second older or younger than it
        // may be, which changes nothing within a minute.
        self.clock.rounds.old_seq.store(old_seq, Ordering::Relaxed);
        self.clock.rounds.told_ns.store(self.told_ns, Ordering::Relaxed);
    }

    /// What was pushed has been published.
    #[inline]
    pub(super) fn published(&mut self) {
        self.batch = None;
    }
}

impl Arrivals {
    /// A result is handed over.
    #[inline]
    pub(super) fn note(&mut self, row: &Row) {
        if row.stamp() != 0 {
            self.record(row.stamp(), row.seq());
        }
    }

    fn record(&mut self, stamp: u32, seq: u64) {
        let rounds = &self.clock.rounds;
        // Relaxed: see `Sampler::tell`; the sample itself came over rings, which order more than is needed.
        let (told_ns, old_seq) =
            (rounds.told_ns.load(Ordering::Relaxed), rounds.old_seq.load(Ordering::Relaxed));
        let latency_ns = self.clock.now_ns().saturating_sub(time_of(stamp, told_ns));
        self.latencies.record_ns(if seq <= old_seq { latency_ns.max(MINUTE_NS) } else { latency_ns });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_stamp_is_the_time_it_was_made_whatever_round_it_is_in() {
        for told_ns in [1, SECOND, 68 * SECOND, 69 * SECOND, 1_000 * SECOND + 12_345] {
            // Up to a minute before, and up to a second behind.
            for offset_ns in [0, 16, 1_000, SECOND, 30 * SECOND, 60 * SECOND] {
                if let Some(ns) = told_ns.checked_sub(offset_ns).filter(|ns| *ns >= 16) {
                    let read = time_of(stamp_of(ns), told_ns);
                    assert!(ns - read < 16, "{ns} was read as {read}, told {told_ns}");
                }
                let ns = told_ns + offset_ns.min(SECOND);
                let read = time_of(stamp_of(ns), told_ns);
                assert!(ns < 16 || ns - read < 16, "{ns} was read as {read}, told {told_ns}");
            }
        }
    }

    #[test]
    fn one_event_in_so_many_is_stamped_and_events_of_a_batch_share_the_time_of_the_first() {
        let clock = StampClock::new();
        let mut sampler = clock.sampler(2).expect("2 is not 0");
        let mut stamps = Vec::new();
        for _ in 0..4 {
            let mut row = Row::new(0, 0, 0);
            row.set_stamp(7);
            sampler.stamp(&mut row, 0);
            stamps.push(row.stamp());
        }
        assert!(stamps[0] > 0 && stamps[1] == 0 && stamps[2] == stamps[0] && stamps[3] == 0, "{stamps:?}");
        assert!(clock.sampler(0).is_none());
    }
}
