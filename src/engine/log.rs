//! Lines that a program writes (`.print`, `.log`, `.tap`, `print(x)`): off the hot path through a bounded ring, and
//! counted where they come faster than they are taken.

use crate::context::Streams;
use crate::event::json::{write_json, write_str};
use crate::event::time::write_rfc3339;
use crate::operators::LogLine;
use crate::ring::{self, Receiver};
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::vpl::plan::Plan;

/// Lines of one stage that wait to be taken.
const LOG_SLOTS: usize = 1024;

/// The reading end of a stage's log.
pub(super) struct LogRing {
    lines: Receiver<LogLine>,
    dropped: Arc<AtomicU64>,
}

impl LogRing {
    /// Gives `streams` a log; none where the program writes nothing.
    pub(super) fn attach(plan: &Plan, streams: &mut Streams) -> Option<Self> {
        if !plan.logs {
            return None;
        }
        let (mut sender, lines) = ring::bounded(LOG_SLOTS);
        let dropped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dropped);
        streams.env().set_log(Box::new(move |line| {
            if sender.push(line).is_err() {
                // Relaxed: only a counter; nothing is published by it.
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
        Some(Self { lines, dropped })
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = LogLine> + '_ {
        std::iter::from_fn(|| self.lines.pop().ok())
    }

    pub(super) fn dropped(&self) -> u64 {
        // Relaxed: as in `attach`.
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A line as JSON: `{"level":..,"stream":..,"verb":..,"ts":..,"data":[..]}`; a part with a name is an object with
/// that one entry.
pub fn log_json(line: &LogLine) -> String {
    let mut out = b"{\"level\":".to_vec();
    write_str(&mut out, &line.level);
    out.extend_from_slice(b",\"stream\":");
    write_str(&mut out, &line.stream);
    out.extend_from_slice(b",\"verb\":");
    write_str(&mut out, line.verb);
    out.extend_from_slice(b",\"ts\":\"");
    write_rfc3339(&mut out, line.time_ns);
    out.extend_from_slice(b"\",\"data\":[");
    for (at, (name, value)) in line.parts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        if let Some(name) = name {
            out.push(b'{');
            write_str(&mut out, name);
            out.push(b':');
        }
        if value.is_missing() {
            out.extend_from_slice(b"null");
        } else {
            write_json(&mut out, value);
        }
        if name.is_some() {
            out.push(b'}');
        }
    }
    out.extend_from_slice(b"]}");
    String::from_utf8_lossy(&out).into_owned()
}

impl std::fmt::Debug for LogRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogRing").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}
