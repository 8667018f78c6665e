//! What was typed after `varpin bench`. What it means is in `settings`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use varpin::cores::PinPolicy;
use varpin::idle::Idle;

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArgs {
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// How long an item takes from one thread to another over a ring; with --rate max half of a round trip
    Hop(RingArgs),
    /// How many items get through a ring, in batches
    Throughput(ThroughputArgs),
    /// How long an event takes through a chain of contexts that pass it on
    Pipeline(PipelineArgs),
    /// How long an event takes through a program of your own, from when it was due to when its result is there
    Program(ProgramArgs),
    /// Draw the percentiles of .hgrm files beside each other
    Plot(PlotArgs),
}

/// What all measurements have in common.
#[derive(Debug, Args)]
pub(super) struct CommonArgs {
    /// Events a second (500k and 2M are understood), or max: the next one as soon as the last one allows. Several: one
    /// run each
    #[arg(long, value_name = "RATE", value_delimiter = ',')]
    pub(super) rate: Vec<Rate>,
    /// How long each run is measured
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(super) duration: Duration,
    /// How long each run goes on before that
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(super) warmup: Duration,
    /// How threads wait for work: auto, spin, yield, backoff or park
    #[arg(long, value_name = "IDLE", default_value_t = Idle::Auto)]
    pub(super) idle: Idle,
    /// What to do where a thread cannot have its CPU: strict (fail), best-effort (warn) or off (pin nothing)
    #[arg(long, value_name = "POLICY", default_value_t = PinPolicy::BestEffort)]
    pub(super) pin: PinPolicy,
    /// The CPUs to use, the sender's first; by default those that this process may use, each core's first thread first
    #[arg(long, value_name = "CPUS", value_delimiter = ',')]
    pub(super) cpus: Vec<usize>,
    /// Slots of each ring [default: 1024, or what the program says]
    #[arg(long, value_name = "ROWS")]
    pub(super) capacity: Option<NonZeroUsize>,
    /// A drill: the receiver stands still for so long, once a second. It must show
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) stall: Option<Duration>,
    /// Print the report to standard output as JSON (docs/bench.md has the schema)
    #[arg(long)]
    pub(super) json: bool,
    /// Write the distribution of each run to this file, for the plotters of HdrHistogram
    #[arg(long, value_name = "FILE")]
    pub(super) hgrm: Option<PathBuf>,
    /// Write the histograms over time to this file, for the tools of HdrHistogram
    #[arg(long, value_name = "FILE")]
    pub(super) hlog: Option<PathBuf>,
    /// Draw percentiles, and latencies over time, into this file
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RingArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// Bytes of an item: a power of two from 8 to 1024
    #[arg(long, value_name = "BYTES", default_value_t = 8)]
    pub(super) payload: usize,
}

#[derive(Debug, Args)]
pub(super) struct ThroughputArgs {
    #[command(flatten)]
    pub(super) ring: RingArgs,
    /// The most items that are sent and taken at once
    #[arg(long, value_name = "ITEMS", default_value = "64")]
    pub(super) batch: NonZeroUsize,
}

#[derive(Debug, Args)]
pub(super) struct PipelineArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// Contexts of the chain, each a thread
    #[arg(long, value_name = "CONTEXTS", default_value_t = 2)]
    pub(super) contexts: usize,
    /// Bytes of an event's fields, 16 each: 16 to 128
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    pub(super) payload: usize,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
}

/// What measurements of engines have in common.
#[derive(Debug, Args)]
pub(super) struct EngineArgs {
    /// The engine's own measuring, hop by hop: of so many events one; 0: off
    #[arg(long, value_name = "EVENTS", default_value_t = 64)]
    pub(super) latency_sample: u32,
}

#[derive(Debug, Args)]
pub(super) struct ProgramArgs {
    /// The VPL program
    pub(super) program: PathBuf,
    /// The events (.evt, .jsonl, .csv), fed over and over; by default made from the program's `event` declarations
    pub(super) events: Option<PathBuf>,
    /// The type of the events of a CSV file, which does not say it
    #[arg(long, value_name = "TYPE")]
    pub(super) event_type: Option<String>,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

#[derive(Debug, Args)]
pub(super) struct PlotArgs {
    /// The .hgrm files; a file is called after its name, or as NAME=FILE says
    #[arg(required = true)]
    pub(super) files: Vec<String>,
    /// Where the drawing goes
    #[arg(long, value_name = "FILE")]
    pub(super) svg: PathBuf,
    /// Its title
    #[arg(long, value_name = "TEXT", default_value = "Latency by percentile")]
    pub(super) title: String,
    /// How many nanoseconds one unit in the files is: 1000 in varpin's, 1000000 in those of many others
    #[arg(long, value_name = "NS", default_value_t = 1000.0)]
    pub(super) unit_ns: f64,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rate {
    Max,
    /// Events a second.
    Open(f64),
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let (digits, factor) = match text.strip_suffix(['k', 'K', 'M']) {
            Some(digits) if text.ends_with('M') => (digits, 1e6),
            Some(digits) => (digits, 1e3),
            None => (text, 1.0),
        };
        let rate = digits.parse::<f64>().ok().map(|number| number * factor);
        let rate = rate.filter(|rate| (0.1..=1e9).contains(rate));
        rate.map(Self::Open).ok_or_else(|| {
            "events a second, from 0.1 to 1000000000, such as 250000, 500k or 2M; or max".to_owned()
        })
    }
}

/// A time such as `10s`, `250ms`, `10us` or `2m`.
pub(in crate::cli) fn time(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => f64::NAN,
    };
    let seconds = digits.parse::<f64>().ok().map(|number| number * seconds);
    // A day: longer is a typing error.
    let seconds = seconds.filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "a time such as 10s, 250ms, 10us or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_times_are_numbers_with_a_unit() {
        let rates = [
            ("max", Some(Rate::Max)),
            ("1000", Some(Rate::Open(1e3))),
            ("2.5M", Some(Rate::Open(2.5e6))),
            ("500k", Some(Rate::Open(5e5))),
            ("0", None),
            ("-5", None),
            ("2G", None),
            ("k", None),
        ];
        for (text, rate) in rates {
            assert_eq!(text.parse::<Rate>().ok(), rate, "{text}");
        }
        let times = [
            ("10s", Some(10_000_000)),
            ("1.5ms", Some(1_500)),
            ("10us", Some(10)),
            ("2m", Some(120_000_000)),
            ("10", None),
            ("s", None),
            ("10h", None),
            ("9999999999s", None),
        ];
        for (text, us) in times {
            assert_eq!(time(text).ok(), us.map(Duration::from_micros), "{text}");
        }
    }
}
