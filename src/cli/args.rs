//! What was typed. What it means is in `settings`.

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use varpin::cores::{CpuSet, PinPolicy};
use varpin::flow::MergeOrder;
use varpin::idle::Idle;

use super::bench::{self, BenchArgs};
use super::exit;
use super::listen;
use super::low_jitter::LowJitterArgs;

/// Runs VPL programs on pinned threads joined by lock-free rings
#[derive(Debug, Parser)]
#[command(version, after_help = exit::TABLE, max_term_width = 110)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a program over events; results are printed as JSON lines
    Run(RunArgs),
    /// Check programs without running them; all findings at once
    Check(CheckArgs),
    /// Show what would run: contexts, threads, rings, streams and their operators
    Plan(PlanArgs),
    /// Look at the machine: what on it disturbs pinned threads, and what mends it
    Doctor(DoctorArgs),
    /// Measure latencies and throughput, beside what the machine itself needs
    Bench(BenchArgs),
    /// Tell a run something while it runs: how many workers a pool is to have
    Ctl(CtlArgs),
    /// Watch a run: how busy its threads are, how full its rings, how long events take
    Top(TopArgs),
    /// List the checkpoints of a directory, verify them and say what is in them
    Checkpoints(CheckpointsArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckpointsArgs {
    /// The directory: what `varpin run --checkpoint-dir` was given
    pub(super) directory: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct CtlArgs {
    /// The socket of the run: what `varpin run --control` was given
    pub(super) socket: PathBuf,
    #[command(subcommand)]
    pub(super) command: CtlCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum CtlCommand {
    /// What the run tells of itself: threads, rings, streams, latencies, as JSON
    Metrics,
    /// The pools of the program, and how many workers each has, as JSON
    Pools,
    /// Give a pool another number of workers; keys that move take their state along
    Resize {
        /// The context
        context: String,
        /// The stream that has the pool
        stream: String,
        /// How many workers it is to have
        workers: NonZeroUsize,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct TopArgs {
    /// The socket of the run: what `varpin run --control` was given
    pub(super) socket: PathBuf,
    /// How long from one look to the next
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = bench::time)]
    pub(super) every: Duration,
    /// Print what there is to see once, as text; so does a standard output that is no terminal
    #[arg(long)]
    pub(super) once: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The VPL program
    pub(super) program: PathBuf,
    /// The events; `-` or none: standard input (none: nothing, where the program has its events from files)
    pub(super) events: Option<PathBuf>,
    /// What the events look like; by default what the file's extension says, and evt for standard input
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<FormatArg>,
    /// The type of the events of a CSV file, which does not say it
    #[arg(long, value_name = "TYPE")]
    pub(super) event_type: Option<String>,
    /// Where results go instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// How results and rows of several contexts are merged: arrival, timestamp (default) or deterministic
    #[arg(long, value_name = "ORDER")]
    pub(super) order: Option<MergeOrder>,
    /// Slots of each ring between threads [default: 1024]
    #[arg(long, value_name = "ROWS")]
    pub(super) capacity: Option<NonZeroUsize>,
    /// How threads wait for work: auto (default), spin, yield, backoff or park
    #[arg(long, value_name = "IDLE")]
    pub(super) idle: Option<Idle>,
    /// A thread for each context and each worker of a pool, or no more threads than CPUs, each of which steps several
    #[arg(long, value_name = "THREADS", default_value = "dedicated")]
    pub(super) threads: ThreadsArg,
    /// What to do where a thread cannot have the CPU its context names: strict (fail), best-effort (warn) or off (pin
    /// nothing)
    #[arg(long, value_name = "POLICY", default_value_t = PinPolicy::BestEffort)]
    pub(super) pin: PinPolicy,
    /// What to do with a line that is no event
    #[arg(long, value_name = "POLICY", default_value = "fail")]
    pub(super) on_bad_input: OnBadInput,
    /// Where events that failed, and lines that are no events, go as JSON lines
    #[arg(long, value_name = "FILE")]
    pub(super) dead_letters: Option<PathBuf>,
    /// Let the clock move time: it closes windows and sessions and ticks timers while input is awaited, and is the
    /// time of events that bring none
    #[arg(long, conflicts_with = "pace")]
    pub(super) live: bool,
    /// Read the file of the events to its end and then on, as it grows; implies --live
    #[arg(long, conflicts_with = "pace")]
    pub(super) follow: bool,
    /// Where to write what happens under supervision (failures, restarts, stalls, breakers), as JSON lines
    #[arg(long = "events", value_name = "FILE", id = "events-file")]
    pub(super) supervision: Option<PathBuf>,
    /// How fast events are fed: as fast as possible, or at the distances of their times
    #[arg(long, value_name = "PACE", default_value = "max")]
    pub(super) pace: Pace,
    /// Measure the latency of one event in so many, for --stats; 0: of none
    #[arg(long, value_name = "EVENTS")]
    pub(super) latency_sample: Option<u32>,
    /// Print a summary to standard error at the end
    #[arg(long)]
    pub(super) stats: bool,
    /// Write what was counted to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) stats_json: Option<PathBuf>,
    /// Listen at this socket for `varpin ctl`
    #[arg(long, value_name = "SOCKET")]
    pub(super) control: Option<PathBuf>,
    /// Answer /health, /health/live, /health/ready and /metrics (for Prometheus) over HTTP at this address; a port
    /// alone: on the loopback address. Latencies of one event in 256 are measured then, if nothing else is said
    #[arg(long, value_name = "[ADDRESS:]PORT", value_parser = listen::address)]
    pub(super) listen: Option<SocketAddr>,
    /// Keep checkpoints in this directory, and go on from the newest one that is there
    #[arg(long, value_name = "DIR")]
    pub(super) checkpoint_dir: Option<PathBuf>,
    /// Make a checkpoint after so many events
    #[arg(long, value_name = "EVENTS")]
    pub(super) checkpoint_events: Option<NonZeroU64>,
    /// Make a checkpoint after this time [default: 1s, where no number of events is given]
    #[arg(long, value_name = "TIME", value_parser = bench::time)]
    pub(super) checkpoint_interval: Option<Duration>,
    /// How many checkpoints are kept [default: 3]
    #[arg(long, value_name = "CHECKPOINTS", requires = "checkpoint_dir")]
    pub(super) checkpoint_keep: Option<NonZeroUsize>,
    /// Write results when the checkpoint behind them is complete, so that none is ever taken back
    #[arg(long)]
    pub(super) commit_on_checkpoint: bool,
    /// Go on from a checkpoint of another program: streams that are the same keep their state, the others begin anew
    #[arg(long)]
    pub(super) allow_changed: bool,
    /// For drills: kill the process at a step of writing the Nth checkpoint (only in builds with the feature
    /// `faults`)
    #[arg(long, value_name = "STEP:N", hide = true)]
    pub(super) checkpoint_kill: Option<String>,
    /// For tests: so many bytes of state are written between two things that a stage does
    #[arg(long, value_name = "BYTES", hide = true)]
    pub(super) checkpoint_slice: Option<NonZeroUsize>,
    /// Take the program's warnings for errors
    #[arg(long)]
    pub(super) strict: bool,
    #[command(flatten)]
    pub(super) low_jitter: LowJitterArgs,
    /// Let something fail on purpose, for drills: KIND:stream=NAME,every=N,.. with the kinds panic, error, stall, slow,
    /// exit and sink-fail (only in builds with the feature `faults`)
    #[arg(long, value_name = "FAULT", hide = !cfg!(feature = "faults"))]
    pub(super) fault: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The VPL programs
    #[arg(required = true)]
    pub(super) programs: Vec<PathBuf>,
    /// Take warnings for errors
    #[arg(long)]
    pub(super) strict: bool,
    /// Print the findings to standard output as JSON lines
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// The VPL program
    pub(super) program: PathBuf,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: PlanFormat,
}

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// The CPUs that threads are to be pinned to, such as 2,3 or 4-7 [default: those this process may use]
    #[arg(long, value_name = "LIST", conflicts_with = "program")]
    pub(super) cpus: Option<CpuSet>,
    /// The program whose contexts name the CPUs
    #[arg(long, value_name = "FILE")]
    pub(super) program: Option<PathBuf>,
    /// Print what was found to standard output as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// End with exit code 1 if anything severe was found
    #[arg(long)]
    pub(super) strict: bool,
    /// The directory that stands for `/`
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub(super) root: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// `Type { field: value }` lines
    Evt,
    /// A JSON object a line
    Jsonl,
    /// A header and records
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ThreadsArg {
    /// One for each context and each worker of a pool
    Dedicated,
    /// No more than CPUs
    Fused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnBadInput {
    /// Handle what came before it, then end with an error
    Fail,
    /// Count it and go on
    Skip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Pace {
    /// As fast as possible
    Max,
    /// An event is fed as long after the first as its time is after the first's
    Realtime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For graphviz
    Dot,
}
