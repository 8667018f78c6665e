//! Latencies over time: a histogram for each interval of a run, all made before it starts.

use super::Latencies;

/// Latencies by when their event was due. Recording touches the histogram of one interval and never allocates.
///
/// ```
/// use varpin::metrics::Timeline;
/// let mut timeline = Timeline::new(1_000, 10);
/// timeline.record_ns(50, 7);
/// timeline.record_ns(950, 9);
/// assert_eq!(timeline.interval_ns(), 100);
/// assert_eq!(timeline.intervals()[9].max_ns(), Some(9));
/// assert_eq!(timeline.total().samples(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Timeline {
    interval_ns: u64,
    intervals: Vec<Latencies>,
    /// The interval that the last event was due in; the next is mostly due there, too.
    current: usize,
    from_ns: u64,
    to_ns: u64,
}

impl Timeline {
    /// `intervals` intervals (at least one) that cover `duration_ns` together. What is due later counts for the last.
    pub fn new(duration_ns: u64, intervals: usize) -> Self {
        let count = intervals.max(1);
        let interval_ns = duration_ns.div_ceil(count as u64).max(1);
        let intervals = (0..count).map(|_| {
            let mut latencies = Latencies::new();
            // Writes to every page, so that recording finds all of them in memory.
            latencies.reset();
            latencies
        });
        Self { interval_ns, intervals: intervals.collect(), current: 0, from_ns: 0, to_ns: interval_ns }
    }

    /// Records the latency of an event that was due at `due_ns` from the start.
    #[inline]
    pub fn record_ns(&mut self, due_ns: u64, latency_ns: u64) {
        if due_ns < self.from_ns || due_ns >= self.to_ns {
            self.go_to(due_ns);
        }
        self.intervals[self.current].record_ns(latency_ns);
    }

    fn go_to(&mut self, due_ns: u64) {
        let last = self.intervals.len() - 1;
        self.current = usize::try_from(due_ns / self.interval_ns).map_or(last, |at| at.min(last));
        self.from_ns = self.current as u64 * self.interval_ns;
        self.to_ns = if self.current == last { u64::MAX } else { self.from_ns + self.interval_ns };
    }

    /// How long an interval is, in nanoseconds.
    pub fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    /// The intervals, in order.
    pub fn intervals(&self) -> &[Latencies] {
        &self.intervals
    }

    /// All intervals together.
    pub fn total(&self) -> Latencies {
        let mut total = Latencies::new();
        self.intervals.iter().for_each(|interval| total.merge(interval));
        total
    }
}
