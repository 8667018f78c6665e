//! What the streams of a stage tell of themselves while they run: their counts, stored every now and then into words
//! that only a reader loads.

use crossbeam_utils::CachePadded;

use crate::operators::StreamStats;
use crate::sync::{Arc, AtomicU64, Ordering};

/// So many duty cycles that did something pass before the counts are stored, unless there is nothing to do earlier.
const PUBLISH_EVERY: u32 = 64;

/// What is stored of each stream.
const WORDS: usize = 9;

/// The counts of the streams of one stage; clones are the same. One thread stores, any may load.
///
/// ```
/// use varpin::context::StreamGauges;
/// let gauges = StreamGauges::new(2);
/// assert_eq!(gauges.read()[1].events_in, 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct StreamGauges(Arc<[CachePadded<[AtomicU64; WORDS]>]>);

impl StreamGauges {
    /// Gauges for so many streams.
    pub fn new(streams: usize) -> Self {
        Self((0..streams).map(|_| CachePadded::default()).collect())
    }

    /// Stores the counts of the stream at this place.
    pub(super) fn store(&self, at: usize, stats: &StreamStats) {
        let Some(words) = self.0.get(at) else { return };
        let counts: [u64; WORDS] = [
            stats.events_in,
            stats.rows_out,
            stats.late,
            stats.keys as u64,
            stats.failed,
            stats.retried,
            stats.runs_dropped,
            stats.run_events_dropped,
            stats.subsets_dropped,
        ];
        for (word, count) in words.iter().zip(counts) {
            // Relaxed: a number to look at; nothing is read on the strength of it.
            word.store(count, Ordering::Relaxed);
        }
    }

    /// The counts of each stream, as they were stored last. How many rows they hold is not told.
    pub fn read(&self) -> Vec<StreamStats> {
        // Relaxed: as in `store`.
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let stats = |words: &CachePadded<[AtomicU64; WORDS]>| {
            let counts: [u64; WORDS] = std::array::from_fn(|at| load(&words[at]));
            let mut stats = StreamStats::default();
            [stats.events_in, stats.rows_out, stats.late] = [counts[0], counts[1], counts[2]];
            stats.keys = counts[3] as usize;
            [stats.failed, stats.retried] = [counts[4], counts[5]];
            [stats.runs_dropped, stats.run_events_dropped, stats.subsets_dropped] =
                [counts[6], counts[7], counts[8]];
            stats
        };
        self.0.iter().map(stats).collect()
    }
}

/// When to store counts: rarely while there is much to do, at once when there is nothing.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    unpublished: u32,
}

impl Reporting {
    /// A duty cycle is over that did something or not; true if it is time to store counts.
    #[inline]
    pub(super) fn is_due(&mut self, did_something: bool) -> bool {
        if did_something {
            self.unpublished += 1;
            if self.unpublished < PUBLISH_EVERY {
                return false;
            }
        } else if self.unpublished == 0 {
            return false;
        }
        self.unpublished = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_when_there_is_time_or_after_long_work() {
        let mut reporting = Reporting::default();
        assert!(!reporting.is_due(false), "there is nothing new");
        assert!(!reporting.is_due(true));
        assert!(reporting.is_due(false));
        assert!(!reporting.is_due(false));
        let told = (0..PUBLISH_EVERY * 2).filter(|_| reporting.is_due(true)).count();
        assert_eq!(told, 2);
    }
}
