//! Options that ask the operating system for less jitter, and what became of them in words.

use std::fmt::Write;
use std::num::NonZeroU64;

use varpin::cores::{LowJitter, Realtime};
use varpin::engine::{ContextStats, LowJitterStats};

/// Each is off unless asked for.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Less jitter, at a price (docs/doctor.md)")]
pub(super) struct LowJitterArgs {
    /// Lock all memory of the process, so that no page is faulted in late or swapped out
    #[arg(long)]
    lock_memory: bool,
    /// Give threads that are pinned to isolated CPUs this real-time priority (SCHED_FIFO)
    #[arg(long, value_name = "1..99", value_parser = clap::value_parser!(u8).range(1..=99))]
    realtime: Option<u8>,
    /// Also on CPUs that are not isolated or shared. A thread that spins stops everything else there
    #[arg(long, requires = "realtime")]
    realtime_force: bool,
    /// Let sleeps of threads that back off or park end at most this much late; 1 is the least
    #[arg(long, value_name = "NS")]
    timer_slack_ns: Option<NonZeroU64>,
    /// Touch all memory of rings before the start
    #[arg(long)]
    prefault: bool,
    /// Ask for huge pages for rings; only rings of several MiB (--capacity) can have any
    #[arg(long)]
    huge_pages: bool,
}

impl LowJitterArgs {
    /// What is asked for.
    pub(super) fn value(self) -> LowJitter {
        let mut low_jitter = LowJitter::default();
        low_jitter.lock_memory = self.lock_memory;
        low_jitter.realtime = self.realtime.map(|priority| Realtime { priority, force: self.realtime_force });
        low_jitter.timer_slack_ns = self.timer_slack_ns;
        low_jitter.prefault_rings = self.prefault;
        low_jitter.huge_pages = self.huge_pages;
        low_jitter
    }
}

/// What became of it, a line each; empty where nothing was asked for.
pub(super) fn told(process: &LowJitterStats, contexts: &[ContextStats]) -> String {
    let mut out = String::new();
    let kib = |bytes: u64| bytes.div_ceil(1024);
    // Writing into a string cannot fail, here and below.
    if let Some(bytes) = process.locked_bytes {
        let _ = writeln!(out, "locked memory: {} KiB at the start", kib(bytes));
    }
    for context in contexts {
        if let Some(priority) = context.realtime_priority {
            let _ = writeln!(out, "real-time priority of {}: {priority}", context.context);
        }
        if let Some(slack_ns) = context.timer_slack_ns {
            let _ = writeln!(out, "timer slack of {}: {slack_ns} ns", context.context);
        }
    }
    if let (Some(bytes), Some(touched), Some(advised), Some(huge)) =
        (process.ring_bytes, process.prefaulted_bytes, process.advised_bytes, process.huge_page_bytes)
    {
        let _ = write!(out, "rings: {} KiB, touched before the start: {} KiB", kib(bytes), kib(touched));
        if advised > 0 {
            let _ = write!(out, ", huge pages asked for: {} KiB, there: {} KiB", kib(advised), kib(huge));
        }
        out.push('\n');
    }
    out
}
