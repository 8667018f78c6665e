//! The text that Prometheus and its kin scrape: families of samples, each with a help text and a type, in the order in
//! which they were added.
//!
//! The format is Prometheus' text format 0.0.4. A family without samples is left out.

use std::fmt::Write;

use super::latencies::Latencies;

/// Percentiles that a summary tells as quantiles.
const QUANTILES: [(&str, f64); 4] = [("0.5", 50.0), ("0.9", 90.0), ("0.99", 99.0), ("0.999", 99.9)];

/// Labels of a sample: names and values.
pub type Labels<'a> = [(&'a str, &'a str)];

/// A text under construction.
///
/// ```
/// use varpin::metrics::Exposition;
/// let mut text = Exposition::new();
/// text.counter("jobs_total", "Jobs done.").add(&[("queue", "a\"b")], 7.0);
/// assert_eq!(
///     text.finish(),
///     "# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total{queue=\"a\\\"b\"} 7\n"
/// );
/// ```
#[derive(Clone, Debug, Default)]
pub struct Exposition(String);

/// A family that samples are added to.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    /// What goes in front of the first sample.
    head: Option<(&'static str, &'static str)>,
}

impl Exposition {
    /// The media type of the text.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A family of counts that only grow; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// A family of values that go up and down.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// A family of distributions of latencies; its name ends in `_seconds`.
    pub fn summary(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, "summary", help)
    }

    fn family(&mut self, name: &'static str, kind: &'static str, help: &'static str) -> Family<'_> {
        Family { text: &mut self.0, name, head: Some((kind, help)) }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub fn add(&mut self, labels: &Labels<'_>, value: f64) {
        self.sample("", labels, None, value);
    }

    /// Adds a distribution: its quantiles (those with ten samples above them), its sum and its count.
    pub fn add_latencies(&mut self, labels: &Labels<'_>, latencies: &Latencies) {
        let seconds = |ns: f64| ns / 1e9;
        for (quantile, percentile) in QUANTILES {
            if let Some(ns) = latencies.percentile_ns(percentile) {
                self.sample("", labels, Some(quantile), seconds(ns as f64));
            }
        }
        let samples = latencies.samples() as f64;
        self.sample("_sum", labels, None, seconds(latencies.mean_ns().unwrap_or(0.0) * samples));
        self.sample("_count", labels, None, samples);
    }

    fn sample(&mut self, suffix: &str, labels: &Labels<'_>, quantile: Option<&str>, value: f64) {
        let Self { text, name, head } = self;
        // Writing into a string cannot fail.
        if let Some((kind, help)) = head.take() {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        let _ = write!(text, "{name}{suffix}");
        let quantile = quantile.map(|quantile| ("quantile", quantile));
        for (nth, (label, value)) in labels.iter().copied().chain(quantile).enumerate() {
            let _ = write!(text, "{}{label}=\"", if nth == 0 { '{' } else { ',' });
            for c in value.chars() {
                match c {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    c => text.push(c),
                }
            }
            text.push('"');
        }
        if !labels.is_empty() || quantile.is_some() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}
