//! A histogram that one thread writes and others read while it does: no lock, no read-modify-write, no allocation.
//!
//! Each count is a word of its own that only the writer stores; a reader loads all of them, one by one. What it sees
//! may be a few samples behind, and is never wrong: counts only grow. Coarser than [`Latencies`] (to 1/128), so that it
//! is 37 KiB, of which a run touches a few lines.

use std::fmt;

use super::Latencies;
use crate::sync::{Arc, AtomicU64, Ordering};

/// Of each doubling so many equal parts are told apart: 2 to the power of this.
const PART_BITS: u32 = 7;
const PARTS: usize = 1 << PART_BITS;
/// Latencies up to 2^42 ns, more than an hour, are told apart.
const LONGEST_BITS: u32 = 42;
const CELLS: usize = (LONGEST_BITS - PART_BITS + 1) as usize * PARTS;

struct Cells {
    counts: Box<[AtomicU64]>,
    longest_ns: AtomicU64,
}

/// The writing end; see [`shared_latencies`].
pub struct LatencyWriter(Arc<Cells>);

/// The reading end; its clones read the same.
#[derive(Clone)]
pub struct LatencyReader(Arc<Cells>);

/// A histogram for one writer and any number of readers.
///
/// ```
/// let (mut writer, reader) = varpin::metrics::shared_latencies();
/// writer.record_ns(250);
/// let read = reader.read();
/// assert_eq!((read.samples(), read.max_ns()), (1, Some(250)));
/// ```
pub fn shared_latencies() -> (LatencyWriter, LatencyReader) {
    let counts = (0..CELLS).map(|_| AtomicU64::new(0)).collect();
    let cells = Arc::new(Cells { counts, longest_ns: AtomicU64::new(0) });
    (LatencyWriter(Arc::clone(&cells)), LatencyReader(cells))
}

/// The cell of a latency.
#[inline]
fn cell_of(ns: u64) -> usize {
    let ns = ns.min((1 << LONGEST_BITS) - 1);
    let doublings = (u64::BITS - ns.leading_zeros()).saturating_sub(PART_BITS + 1);
    // The upper half of the parts is left over by each doubling, so each adds just these.
    doublings as usize * PARTS + (ns >> doublings) as usize
}

/// The longest latency that a cell stands for.
fn longest_of(cell: usize) -> u64 {
    let doublings = (cell / PARTS).saturating_sub(1);
    let part = (cell - doublings * PARTS) as u64;
    ((part + 1) << doublings) - 1
}

impl LatencyWriter {
    /// Records one latency, in nanoseconds.
    #[inline]
    pub fn record_ns(&mut self, ns: u64) {
        let count = &self.0.counts[cell_of(ns)];
        // Relaxed: only this thread writes, and nothing is published by a count.
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        // Relaxed: as above.
        if ns > self.0.longest_ns.load(Ordering::Relaxed) {
            // Relaxed: as above.
            self.0.longest_ns.store(ns, Ordering::Relaxed);
        }
    }

    /// Another reader.
    pub fn reader(&self) -> LatencyReader {
        LatencyReader(Arc::clone(&self.0))
    }
}

impl LatencyReader {
    /// What has been recorded so far. Each latency counts as the longest that its part of a doubling stands for, but
    /// none as longer than the longest of all.
    pub fn read(&self) -> Latencies {
        let mut latencies = Latencies::new();
        self.add_to(&mut latencies);
        latencies
    }

    /// Adds what has been recorded so far.
    pub fn add_to(&self, latencies: &mut Latencies) {
        // Relaxed: see `LatencyWriter::record_ns`; the longest may be a sample ahead of the counts or behind them.
        let longest_ns = self.0.longest_ns.load(Ordering::Relaxed);
        for (cell, count) in self.0.counts.iter().enumerate() {
            // Relaxed: as above.
            match count.load(Ordering::Relaxed) {
                0 => {}
                count => latencies.record_many_ns(longest_of(cell).min(longest_ns.max(1)), count),
            }
        }
    }

    /// How many samples there are.
    pub fn samples(&self) -> u64 {
        // Relaxed: as above.
        self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl fmt::Debug for LatencyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LatencyWriter").finish()
    }
}

impl fmt::Debug for LatencyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatencyReader").field("samples", &self.samples()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn cells_are_ordered_have_no_gaps_and_are_as_fine_as_promised() {
        let mut last = 0;
        for ns in
            (0..5_000).chain((13..LONGEST_BITS).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]))
        {
            let cell = cell_of(ns);
            assert!(cell == last || cell == last + 1 || ns > 5_000, "{ns}");
            assert!(longest_of(cell) >= ns, "{ns}");
            assert!(longest_of(cell) - ns <= ns / PARTS as u64, "{ns}");
            assert!(cell == 0 || longest_of(cell - 1) < ns, "{ns}");
            last = cell;
        }
        assert_eq!(cell_of(u64::MAX), CELLS - 1);
    }
}
