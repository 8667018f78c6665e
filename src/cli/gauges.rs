//! What an engine tells of itself, in tables: threads, rings, latencies.

use varpin::engine::{LatencyMetrics, Metrics};

use super::summary::{grouped, table};

/// Rings with how full they were, hops and the whole way with how long they took. Nothing where there is no ring and no
/// latency was sampled.
pub(super) fn text(metrics: &Metrics) -> String {
    let mut out = String::new();
    if !metrics.rings.is_empty() {
        let mut rows = vec![
            ["ring", "slots", "most", "pending", "hop p50", "p99", "p99.9", "longest"].map(str::to_owned),
        ];
        rows.extend(metrics.rings.iter().map(|ring| {
            let [p50, p99, p999, longest] = latencies(ring.hop.as_ref());
            let [slots, most, pending] = [ring.capacity, ring.high_water, ring.pending].map(grouped);
            [ring.ring.clone(), slots, most, pending, p50, p99, p999, longest]
        }));
        table(&mut out, &rows, 1);
    }
    if let Some(latency) = &metrics.latency {
        let [p50, p99, p999, longest] = latencies(Some(latency));
        let heading = format!("latency of 1/{}", metrics.latency_sample);
        let rows = [
            [&heading, "samples", "p50", "p99", "p99.9", "longest"].map(str::to_owned),
            ["in to out".to_owned(), grouped(latency.samples), p50, p99, p999, longest],
        ];
        table(&mut out, &rows, 1);
    }
    out
}

/// p50, p99, p99.9 and the longest.
fn latencies(latency: Option<&LatencyMetrics>) -> [String; 4] {
    let Some(latency) = latency else { return ["", "", "", ""].map(str::to_owned) };
    [latency.p50_ns, latency.p99_ns, latency.p999_ns, latency.max_ns]
        .map(|ns| ns.map_or_else(|| "n/a".to_owned(), time))
}

/// `37 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Nanoseconds with three digits that count, and a unit.
pub(super) fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let digits = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_have_three_digits() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_234, "1.23 us"),
            (45_678, "45.7 us"),
            (123_456, "123 us"),
            (10_000_000, "10.0 ms"),
            (1_500_000_000, "1.50 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(time(ns), text);
        }
    }
}
