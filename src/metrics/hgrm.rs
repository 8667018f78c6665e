//! The text form of a distribution (`.hgrm`) that the plotters of all HdrHistograms read. In microseconds.

use std::fmt::Write;

use super::curve::Curve;
use super::latencies::Latencies;

const NS_PER_US: f64 = 1_000.0;

impl Latencies {
    /// The distribution as a `.hgrm` text, values in microseconds: value, percentile, count up to there, and
    /// 1 / (1 - percentile), which a plotter takes for a logarithmic axis.
    ///
    /// ```
    /// let mut latencies = varpin::metrics::Latencies::new();
    /// latencies.record_many_ns(2_000, 10);
    /// let text = latencies.to_hgrm();
    /// assert_eq!(text.lines().nth(2), Some("       2.000 0.000000000000         10           1.00"));
    /// assert!(text.contains("#[Max     =        2.000, Total count    =           10]"));
    /// ```
    pub fn to_hgrm(&self) -> String {
        let histogram = self.histogram();
        let mut out = String::new();
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(
            out,
            "{:>12} {:>14} {:>10} {:>14}\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        for point in Curve::of(self).points() {
            let (value, quantile) = (point.latency_ns / NS_PER_US, point.percentile / 100.0);
            let _ = write!(out, "{value:>12.3} {quantile:>2.12} {:>10}", point.samples);
            let _ = if quantile < 1.0 {
                writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile))
            } else {
                writeln!(out)
            };
        }
        let (mean, deviation) = (histogram.mean() / NS_PER_US, histogram.stdev() / NS_PER_US);
        let _ = writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
        let max = histogram.max() as f64 / NS_PER_US;
        let _ = writeln!(out, "#[Max     = {max:>12.3}, Total count    = {:>12}]", histogram.len());
        // Of each bucket beyond the first only the upper half counts, hence twice 10^digits, to the next power of two.
        let sub_buckets = (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two();
        let _ = writeln!(out, "#[Buckets = {:>12}, SubBuckets     = {sub_buckets:>12}]", histogram.buckets());
        out
    }
}
