//! What a measurement amounts to, in one value: the tables, the JSON and the drawings are made of it. As JSON it is
//! described in docs/bench.md; what is changed there changes `SCHEMA`.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use varpin::metrics::{Latencies, PERCENTILES, Timeline};

use crate::cli::machine::Machine;

/// The form of the JSON. The number grows with every change that a reader could notice.
pub(super) const SCHEMA: &str = "varpin-bench/1";

/// How much of its rate a run may miss.
const TOLERANCE: f64 = 0.01;

/// Everything that one call has measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) schema: &'static str,
    /// When it began, in seconds since the Unix epoch.
    pub(super) started_s: f64,
    /// What was typed.
    pub(super) command: Vec<String>,
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    /// What the two CPUs need for a hop; null where it could not be measured.
    pub(super) floor: Option<FloorReport>,
    pub(super) runs: Vec<Run>,
    /// Whether a run has missed its rate.
    pub(super) failed: bool,
    /// What was asked for and could not be had, and what makes figures doubtful.
    pub(super) warnings: Vec<String>,
}

/// How it was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Settings {
    /// `hop`, `throughput`, `pipeline` or `program`.
    pub(super) benchmark: &'static str,
    /// The file, where a program was measured.
    pub(super) program: Option<String>,
    pub(super) duration_s: f64,
    pub(super) warmup_s: f64,
    /// How the receiving threads waited.
    pub(super) idle: String,
    /// Why like that.
    pub(super) idle_reason: String,
    pub(super) pin: String,
    /// Which thread ran where; null: on any CPU.
    pub(super) threads: Vec<(String, Option<usize>)>,
    pub(super) capacity: usize,
    pub(super) payload_bytes: Option<usize>,
    pub(super) batch: Option<usize>,
    pub(super) contexts: Option<usize>,
    /// Of so many events the engine has measured one, hop by hop; null where there is no engine.
    pub(super) latency_sample: Option<u32>,
    /// The drill, if there was one.
    pub(super) stall_ns: Option<u64>,
}

/// How long a cache line takes between two CPUs.
#[derive(Debug, Serialize)]
pub(super) struct FloorReport {
    pub(super) cpus: [usize; 2],
    pub(super) one_way: Series,
    /// How many such hops lie on the way that was measured.
    pub(super) hops: usize,
}

/// One run at one rate.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    /// `open` or `closed`.
    pub(super) mode: &'static str,
    /// Events a second that were asked for; null in a closed loop.
    pub(super) wanted_rate: Option<f64>,
    /// Events a second that were sent.
    pub(super) rate: f64,
    /// Whether the rate was missed by more than 1 %: the latencies are then those of another load.
    pub(super) failed: bool,
    /// Events sent in the measured time.
    pub(super) events: u64,
    /// What came out: items, or results of a program.
    pub(super) results: u64,
    pub(super) seconds: f64,
    /// From where to where, and from when, latencies count.
    pub(super) measures: &'static str,
    /// The whole way.
    pub(super) latency: Series,
    /// Parts of it, where they are known.
    pub(super) hops: Vec<Series>,
    /// How late events were sent, against when they were due.
    pub(super) late_sends: Option<Series>,
    /// The latency at a percentile over that of the floor at the same percentile (times its hops).
    pub(super) times_floor: BTreeMap<String, f64>,
    /// What an empty loop went through with the same schedule.
    pub(super) hiccups: Vec<HiccupReport>,
    pub(super) over_time: OverTime,
    /// The histograms themselves, for files and drawings.
    #[serde(skip)]
    pub(super) timeline: Timeline,
}

/// What an empty loop went through.
#[derive(Debug, Serialize)]
pub(super) struct HiccupReport {
    pub(super) cpu: Option<usize>,
    /// `during` the run on a CPU that it does not use, or `before and after` it on those that it does.
    pub(super) when: &'static str,
    pub(super) late: Series,
}

/// Latencies by when the events were due.
#[derive(Debug, Serialize)]
pub(super) struct OverTime {
    pub(super) interval_s: f64,
    pub(super) samples: Vec<u64>,
    pub(super) p50_ns: Vec<Option<u64>>,
    pub(super) p99_ns: Vec<Option<u64>>,
    pub(super) max_ns: Vec<Option<u64>>,
}

/// A distribution.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) samples: u64,
    /// By name (`p99.9`); null with fewer than ten samples above.
    pub(super) percentiles_ns: Percentiles,
    pub(super) min_ns: Option<u64>,
    pub(super) mean_ns: Option<f64>,
    pub(super) max_ns: Option<u64>,
    /// Samples beyond an hour, which count as an hour.
    pub(super) clipped: u64,
    #[serde(skip)]
    pub(super) latencies: Latencies,
}

/// Latencies at [`PERCENTILES`], in this order.
#[derive(Clone, Debug)]
pub(super) struct Percentiles(pub(super) [Option<u64>; PERCENTILES.len()]);

impl Serialize for Percentiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(PERCENTILES.iter().zip(self.0).map(|(&percentile, ns)| (name_of(percentile), ns)))
    }
}

/// `p99.9`.
pub(super) fn name_of(percentile: f64) -> String {
    format!("p{percentile}")
}

impl Series {
    pub(super) fn new(name: impl Into<String>, latencies: Latencies) -> Self {
        Self {
            name: name.into(),
            samples: latencies.samples(),
            percentiles_ns: Percentiles(PERCENTILES.map(|percentile| latencies.percentile_ns(percentile))),
            min_ns: latencies.min_ns(),
            mean_ns: latencies.mean_ns(),
            max_ns: latencies.max_ns(),
            clipped: latencies.clipped(),
            latencies,
        }
    }

    /// At each percentile of both how many times as long this is as `floor` times `hops`.
    pub(super) fn times(&self, floor: &Self, hops: usize) -> BTreeMap<String, f64> {
        let pairs = self.percentiles_ns.0.iter().zip(floor.percentiles_ns.0);
        let ratio = |own: u64, floor: u64| own as f64 / (floor.max(1) * hops.max(1) as u64) as f64;
        PERCENTILES
            .iter()
            .zip(pairs)
            .filter_map(|(&at, (own, floor))| Some((name_of(at), ratio((*own)?, floor?))))
            .collect()
    }
}

impl OverTime {
    pub(super) fn new(timeline: &Timeline) -> Self {
        let intervals = timeline.intervals();
        Self {
            interval_s: timeline.interval_ns() as f64 / 1e9,
            samples: intervals.iter().map(Latencies::samples).collect(),
            p50_ns: intervals.iter().map(|interval| interval.percentile_ns(50.0)).collect(),
            p99_ns: intervals.iter().map(|interval| interval.percentile_ns(99.0)).collect(),
            max_ns: intervals.iter().map(Latencies::max_ns).collect(),
        }
    }
}

/// Whether a run that sent `sent` of `wanted` events a second has missed its rate.
pub(super) fn has_missed(wanted: Option<f64>, sent: f64) -> bool {
    wanted.is_some_and(|wanted| sent < wanted * (1.0 - TOLERANCE))
}

impl Run {
    /// What people call it.
    pub(super) fn label(&self) -> String {
        self.wanted_rate.map_or_else(|| "max".to_owned(), |rate| format!("{}/s", grouped(rate)))
    }
}

/// A number in groups of three digits; with decimals where it is small.
pub(super) fn grouped(number: f64) -> String {
    if number < 100.0 {
        return format!("{number:.1}").trim_end_matches(".0").to_owned();
    }
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_may_miss_its_rate_by_one_percent() {
        let cases = [
            (None, 0.0, false),
            (Some(100.0), 99.0, false),
            (Some(100.0), 98.9, true),
            (Some(1.0), 2.0, false),
        ];
        for (wanted, sent, missed) in cases {
            assert_eq!(has_missed(wanted, sent), missed, "{sent} of {wanted:?}");
        }
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0.5, 10.0, 999.6, 1_234_567.2].map(grouped), ["0.5", "10", "1,000", "1,234,567"]);
    }
}
