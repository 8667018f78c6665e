//! What a run has counted, for people and for programs.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use varpin::cores::CpuSet;
use varpin::engine::{Metrics, Stats};

use super::dead_letters::DeadLetters;
use super::doctor::{self, Finding};
use super::gauges;
use super::low_jitter;
use super::messages;
use super::output::Rejected;

/// What a run has counted. As JSON: what the engine counts, and the members here beside it.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    #[serde(flatten)]
    stats: Stats,
    /// Lines that are no events.
    bad_lines: u64,
    /// Results that were made and not written.
    rejected: Rejected,
    /// From the first line to the last result.
    seconds: f64,
    events_per_second: f64,
    /// What the engine told of itself at the end: threads, rings, latencies.
    metrics: Metrics,
    /// What is severe about the CPUs that threads were pinned to, as `varpin doctor` finds it.
    severe: Vec<Finding>,
}

impl Summary {
    pub(super) fn new(
        stats: Stats,
        metrics: Metrics,
        bad_lines: u64,
        rejected: Rejected,
        took: Duration,
    ) -> Self {
        let seconds = took.as_secs_f64();
        let events_per_second = if seconds > 0.0 { stats.events as f64 / seconds } else { 0.0 };
        Self { stats, bad_lines, rejected, seconds, events_per_second, metrics, severe: Vec::new() }
    }

    /// The CPUs that threads were pinned to.
    fn pinned(&self) -> CpuSet {
        self.stats.contexts.iter().filter_map(|context| context.cpu).collect()
    }

    /// Looks at the CPUs that threads were pinned to.
    pub(super) fn examine_cpus(&mut self) {
        let pinned = self.pinned();
        if !pinned.is_empty() {
            self.severe = doctor::severe(pinned);
        }
    }

    /// Says what nobody should miss: events that failed, and what was lost of them.
    pub(super) fn warn(&self, letters: &DeadLetters<'_>) {
        let failed = self.stats.dead_letters;
        if failed > 0 && !letters.are_kept() {
            let first = letters.first_failed().map_or_else(String::new, |letter| {
                format!(", the first in stream {} at {}: {}", letter.stream, letter.operator, letter.error)
            });
            messages::warning(format_args!("{failed} events failed{first} (--dead-letters FILE keeps them)"));
        }
        if self.stats.uncommitted > 0 {
            messages::warning(format_args!(
                "{} results behind the last checkpoint were not written: they come when the run is gone on with",
                self.stats.uncommitted
            ));
        }
        let of_sinks: u64 = self.stats.sinks.iter().map(|sink| sink.dead_letters).sum();
        let unwritten = self.rejected.dead_letters + of_sinks;
        if unwritten > 0 && !letters.are_kept() {
            messages::warning(format_args!(
                "{unwritten} results could not be written (--dead-letters FILE keeps them)"
            ));
        }
        let dropped = self.stats.dead_letters_dropped;
        if dropped > 0 && letters.are_kept() {
            messages::warning(format_args!(
                "{dropped} of {failed} dead letters came faster than they could be kept"
            ));
        }
    }

    pub(super) fn to_json(&self) -> String {
        // Numbers, texts and lists always have a form in JSON.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    pub(super) fn to_text(&self) -> String {
        let Self { stats, .. } = self;
        let late: u64 = stats.streams.iter().map(|stream| stream.late).sum();
        let mut out = String::new();
        let totals = [
            ("events", stats.events),
            ("results", stats.results),
            ("late", late),
            ("bad lines", self.bad_lines),
            ("dead letters", stats.dead_letters),
        ];
        for (name, count) in totals {
            // Writing into a string cannot fail, here and below.
            let _ = writeln!(out, "{name:<14}{:>16}", grouped(count));
        }
        let rate = self.events_per_second / 1e6;
        let _ = writeln!(out, "{:<14}{:>14.3} s   {rate:.3} million events/s", "time", self.seconds);
        let mut streams = vec![["stream", "context", "events", "rows", "late", "keys"].map(str::to_owned)];
        streams.extend(stats.streams.iter().map(|stream| {
            let [events, rows, late, keys] =
                [stream.events, stream.rows, stream.late, stream.keys].map(grouped);
            [stream.stream.clone(), stream.context.clone(), events, rows, late, keys]
        }));
        table(&mut out, &streams, 2);
        pools(&mut out, stats);
        if stats.contexts.is_empty() {
            out.push_str("\nno contexts: everything ran on one thread\n");
        } else {
            let mut contexts =
                vec![["context", "cpu", "busy", "asleep", "idle", "restarts"].map(str::to_owned)];
            contexts.extend(stats.contexts.iter().map(|context| {
                let cpu = context.cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string());
                let worker = self.metrics.workers.iter().find(|worker| worker.worker == context.context);
                let share = |share: Option<f64>| share.map_or_else(String::new, gauges::percent);
                let busy = share(worker.map(|worker| worker.busy_share));
                let asleep = share(worker.map(|worker| worker.asleep_share));
                [context.context.clone(), cpu, busy, asleep, context.idle.clone(), grouped(context.restarts)]
            }));
            table(&mut out, &contexts, 5);
        }
        if let Some(back) = &stats.rolled_back {
            let to =
                back.checkpoint.map_or_else(|| "the beginning".to_owned(), |id| format!("checkpoint {id}"));
            let (times, events) = (grouped(stats.rollbacks), grouped(back.events));
            let keys = grouped(back.keys.iter().map(|(_, keys)| keys).sum());
            let _ =
                writeln!(out, "rolled back {times} times, the last to {to}: {events} events, {keys} keys");
        }
        for sink in &stats.sinks {
            let (rows, bytes) = (grouped(sink.rows), grouped(sink.bytes));
            let _ = writeln!(out, "written to {}: {rows} rows, {bytes} bytes", sink.sink);
            for (what, count) in [("dead letters", sink.dead_letters), ("dropped", sink.dropped)] {
                if count > 0 {
                    let _ = writeln!(out, "not written to {}, {what}: {}", sink.sink, grouped(count));
                }
            }
        }
        for (ring, rows) in &stats.dropped {
            let _ = writeln!(out, "dropped on {ring}: {}", grouped(*rows));
        }
        out.push_str(&gauges::text(&self.metrics));
        let tuned = low_jitter::told(&stats.low_jitter, &stats.contexts);
        if !tuned.is_empty() {
            out.push('\n');
            out.push_str(&tuned);
        }
        for (context, lost) in
            stats.contexts.iter().flat_map(|context| context.lost.iter().map(move |lost| (context, lost)))
        {
            let (keys, items) = (grouped(lost.keys), grouped(lost.items));
            let (name, stream) = (&context.context, &lost.stream);
            let _ =
                writeln!(out, "lost by restarts of {name}: {keys} keys and {items} rows of stream {stream}");
        }
        for (what, count) in
            [("dead letters", self.rejected.dead_letters), ("dropped", self.rejected.dropped)]
        {
            if count > 0 {
                let _ = writeln!(out, "results that were not written, {what}: {}", grouped(count));
            }
        }
        for (ring, rows) in &stats.undelivered {
            let _ = writeln!(out, "undelivered on {ring}: {}", grouped(*rows));
        }
        if !self.severe.is_empty() {
            let _ = writeln!(out, "\nsevere (varpin doctor --cpus {} says more)", self.pinned());
            for finding in &self.severe {
                let _ = writeln!(out, "  {:<18} {}", finding.id, finding.found);
            }
        }
        out
    }
}

/// Rows below each other; the first `texts` columns to the left, the others to the right.
pub(super) fn table<const COLUMNS: usize>(out: &mut String, rows: &[[String; COLUMNS]], texts: usize) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    out.push('\n');
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            let _ = if column < texts {
                write!(line, "{cell:<width$}  ")
            } else {
                write!(line, "{cell:>width$}  ")
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// Digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How the rows of each pool were shared out, and what made it uneven.
fn pools(out: &mut String, stats: &Stats) {
    for stream in stats.streams.iter().filter(|stream| !stream.workers.is_empty()) {
        let all = stream.workers.iter().sum::<u64>().max(1);
        let share = |rows: u64| format!("{:.0} %", rows as f64 * 100.0 / all as f64);
        let workers: Vec<String> = stream.workers.iter().map(|&rows| share(rows)).collect();
        // Writing into a string cannot fail, here and below.
        let _ =
            write!(out, "pool of {}: {} workers took {}", stream.stream, workers.len(), workers.join(", "));
        let keys: Vec<String> =
            stream.hottest_keys.iter().map(|hot| format!("{} ({})", hot.key, share(hot.rows))).collect();
        if !keys.is_empty() {
            let _ = write!(out, "; keys with the most rows, about: {}", keys.join(", "));
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
