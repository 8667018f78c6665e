//! Latencies: recorded without allocating, read honestly.
//!
//! One [`Latencies`] per thread: recording touches nothing that another thread writes. A reader merges them
//! when the threads have ended, or off the hot path. A percentile with fewer than ten samples above it is not
//! a measurement, so it is not given.

use std::fmt;

use hdrhistogram::Histogram;

/// The longest latency that is told apart from longer ones: an hour, in nanoseconds.
pub const LONGEST_NS: u64 = 3_600_000_000_000;

/// Samples that must lie above a percentile for it to mean anything.
const SAMPLES_ABOVE: f64 = 10.0;

/// Three digits: a latency is kept to a thousandth of itself.
const DIGITS: u8 = 3;

/// The percentiles that reports show.
pub const PERCENTILES: [f64; 7] = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999];

/// A histogram of latencies in nanoseconds, with bounds fixed from the start: recording never allocates.
///
/// ```
/// use varpin::metrics::Latencies;
/// let mut latencies = Latencies::new();
/// for sample in 1..=1000 {
///     latencies.record_ns(sample);
/// }
/// assert_eq!(latencies.percentile_ns(50.0), Some(500));
/// // Of a thousand samples just one lies above the 99.9th percentile.
/// assert_eq!(latencies.percentile_ns(99.9), None);
/// assert_eq!(latencies.max_ns(), Some(1000));
/// ```
#[derive(Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
    /// Samples beyond [`LONGEST_NS`]; they count as just that long.
    clipped: u64,
}

impl Latencies {
    /// A histogram without samples.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS);
        Self { histogram: histogram.expect("1 < LONGEST_NS, and there are at most 5 digits"), clipped: 0 }
    }

    /// Records one latency in nanoseconds. 0 counts as 1, what is longer than [`LONGEST_NS`] as that long.
    #[inline]
    pub fn record_ns(&mut self, latency_ns: u64) {
        self.clipped += u64::from(latency_ns > LONGEST_NS);
        self.histogram.saturating_record(latency_ns.clamp(1, LONGEST_NS));
    }

    /// Records the same latency `count` times.
    pub fn record_many_ns(&mut self, latency_ns: u64, count: u64) {
        self.clipped += if latency_ns > LONGEST_NS { count } else { 0 };
        self.histogram.saturating_record_n(latency_ns.clamp(1, LONGEST_NS), count);
    }

    /// Adds the samples of another thread.
    pub fn merge(&mut self, other: &Self) {
        self.clipped += other.clipped;
        // All have the same bounds, so there is always room.
        let added = self.histogram.add(&other.histogram);
        debug_assert!(added.is_ok(), "histograms of the same bounds fit into each other");
    }

    /// How many samples there are.
    pub fn samples(&self) -> u64 {
        self.histogram.len()
    }

    /// How many samples were longer than [`LONGEST_NS`].
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// The latency that `percentile` percent of the samples do not exceed, in nanoseconds; `None` where fewer
    /// than ten samples lie above it.
    pub fn percentile_ns(&self, percentile: f64) -> Option<u64> {
        let above = self.samples() as f64 * (100.0 - percentile) / 100.0;
        // A little tolerance, because 99.9 is no binary fraction.
        (above + 1e-6 >= SAMPLES_ABOVE).then(|| self.histogram.value_at_percentile(percentile))
    }

    /// The longest latency in nanoseconds; `None` without samples.
    pub fn max_ns(&self) -> Option<u64> {
        (self.samples() > 0).then(|| self.histogram.max())
    }

    /// The shortest latency in nanoseconds; `None` without samples.
    pub fn min_ns(&self) -> Option<u64> {
        (self.samples() > 0).then(|| self.histogram.min())
    }

    /// The mean in nanoseconds; `None` without samples.
    pub fn mean_ns(&self) -> Option<f64> {
        (self.samples() > 0).then(|| self.histogram.mean())
    }

    /// How many samples are longer than `latency_ns`, to the three digits that are kept.
    pub fn samples_above(&self, latency_ns: u64) -> u64 {
        let above = latency_ns.saturating_add(1).min(LONGEST_NS);
        self.histogram.count_between(above, LONGEST_NS)
    }

    /// What is below.
    pub(super) fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.histogram.reset();
        self.clipped = 0;
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latencies").field("samples", &self.samples()).field("max_ns", &self.max_ns()).finish()
    }
}

impl fmt::Display for Latencies {
    /// One line: what an eye looks for first. What cannot be told yet is n/a.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples", self.samples())?;
        for percentile in [50.0, 99.0, 99.9, 99.99] {
            match self.percentile_ns(percentile) {
                Some(latency_ns) => write!(f, ", p{percentile} {latency_ns} ns")?,
                None => write!(f, ", p{percentile} n/a")?,
            }
        }
        match self.max_ns() {
            Some(max_ns) => write!(f, ", max {max_ns} ns"),
            None => write!(f, ", max n/a"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_several_threads_add_up_and_long_ones_are_counted() {
        let (mut a, mut b) = (Latencies::new(), Latencies::new());
        (0..50).for_each(|_| a.record_ns(100));
        (0..50).for_each(|_| b.record_ns(200));
        b.record_ns(u64::MAX);
        a.merge(&b);
        assert_eq!((a.samples(), a.clipped()), (101, 1));
        assert_eq!(a.percentile_ns(40.0), Some(100));
        assert_eq!(a.percentile_ns(80.0), Some(200));
        assert_eq!(
            a.to_string(),
            format!(
                "101 samples, p50 200 ns, p99 n/a, p99.9 n/a, p99.99 n/a, max {} ns",
                a.max_ns().unwrap()
            )
        );
    }
}
