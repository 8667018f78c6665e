//! A sink behind a circuit breaker: what becomes of rows that it cannot take.
//!
//! *Hold*: whoever hands rows over waits as long as it takes, or until the run is interrupted. *Dead letter*, *drop*:
//! nobody waits; rows that could not be written are given up, whole rows at a time. What was begun is finished first:
//! the rest of a row of which a part was written, and the head of a file, stay in front of all that comes later.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use crate::supervise::{Called, SinkGuard, WhileOpen};
use crate::sync::{self, Arc};

use super::outcome::{Outcome, SinkCounts, UnwrittenRow};

/// Whoever waits for a sink looks this often whether the run is over.
const LOOK_AFTER: Duration = Duration::from_millis(10);

/// Whether nobody is to wait any more.
pub type Interrupted = Arc<dyn Fn() -> bool + Send + Sync>;

/// The breaker around the sink of a place, and when nobody is to wait for it any more; none: a failure is final.
pub type Guards<'a> = &'a mut dyn FnMut(&str) -> Option<(SinkGuard, Option<Interrupted>)>;

/// A breaker around a sink, and the rows that wait to go through it.
pub(super) struct Guard {
    breaker: SinkGuard,
    interrupted: Option<Interrupted>,
    /// Bytes at the front of the buffer that are not rows from their start: they are never given up.
    begun: usize,
    /// Where each row of the buffer ends.
    ends: Vec<usize>,
}

impl Guard {
    pub(super) fn new(breaker: SinkGuard, interrupted: Option<Interrupted>) -> Self {
        Self { breaker, interrupted, begun: 0, ends: Vec::new() }
    }

    /// A row has been put into the buffer, which is so long now.
    pub(super) fn note_row(&mut self, length: usize) {
        self.ends.push(length);
    }

    /// What is to come before all else has been put in front of the buffer.
    pub(super) fn note_head(&mut self, length: usize) {
        self.begun += length;
        self.ends.iter_mut().for_each(|end| *end += length);
    }

    /// Waits a little before what was begun is tried again; false if nobody is to wait any more.
    pub(super) fn pause(&self) -> bool {
        self.wait(LOOK_AFTER)
    }

    /// Whether there is nothing in the buffer but what was begun.
    pub(super) fn has_no_rows(&self) -> bool {
        self.ends.is_empty()
    }

    /// Writes what is in the buffer, or finds out what else becomes of it. The buffer keeps what was begun and could
    /// not be finished. An error is final.
    pub(super) fn write_out(
        &mut self,
        writer: &mut dyn Write,
        buffer: &mut Vec<u8>,
        counts: &mut SinkCounts,
        outcome: &Outcome,
    ) -> io::Result<()> {
        let (mut written, mut end) = (0, buffer.len());
        while written < end {
            match self.breaker.call(|| write_some(writer, &buffer[written..end])) {
                Called::Done(bytes) => written += bytes,
                Called::Failed { error, .. } | Called::GivenUp { error: Some(error), .. }
                    if error.kind() == ErrorKind::BrokenPipe =>
                {
                    return Err(self.fail(written, counts, error));
                }
                Called::Failed { error, after } => {
                    if !self.wait(after) {
                        return Err(self.fail(written, counts, error));
                    }
                }
                Called::Held { after } => {
                    if !self.wait(after) {
                        let error = io::Error::other("interrupted while writing was failing");
                        return Err(self.fail(written, counts, error));
                    }
                }
                Called::GivenUp { error, to, attempts } => {
                    let error =
                        error.map_or_else(|| "the breaker is open".to_owned(), |error| error.to_string());
                    end = self.give_up(written, buffer, counts, outcome, &Why { error, to, attempts });
                    // What was begun stays; what comes next has to wait for it.
                    break;
                }
            }
        }
        let given_up = self.ends.iter().filter(|&&row_end| row_end > end).count();
        counts.rows += (self.ends.len() - given_up) as u64;
        counts.bytes += written as u64;
        buffer.truncate(end);
        buffer.drain(..written);
        self.begun = buffer.len();
        self.ends.clear();
        Ok(())
    }

    /// Nothing is written any more.
    fn fail(&mut self, written: usize, counts: &mut SinkCounts, error: io::Error) -> io::Error {
        let rows = self.ends.iter().filter(|&&end| end <= written).count();
        counts.rows += rows as u64;
        counts.unwritten += (self.ends.len() - rows) as u64;
        counts.bytes += written as u64;
        self.ends.clear();
        error
    }

    /// Gives up the rows of which nothing was written; where what is left ends.
    fn give_up(
        &self,
        written: usize,
        buffer: &[u8],
        counts: &mut SinkCounts,
        outcome: &Outcome,
        why: &Why,
    ) -> usize {
        let starts = || std::iter::once(self.begun).chain(self.ends.iter().copied());
        let untouched = starts().zip(&self.ends).filter(|(start, _)| *start >= written);
        let mut rows = 0;
        for (start, &end) in untouched {
            rows += 1;
            if why.to != WhileOpen::Drop {
                let line = buffer[start..end].trim_ascii_end();
                outcome.unwritten(UnwrittenRow {
                    sink: counts.sink.clone(),
                    line: String::from_utf8_lossy(line).into_owned(),
                    error: why.error.clone(),
                    attempts: why.attempts,
                });
            }
        }
        match why.to {
            WhileOpen::Drop => counts.dropped += rows,
            WhileOpen::Hold | WhileOpen::DeadLetter => counts.dead_letters += rows,
        }
        self.breaker.count_given_up(rows);
        starts().find(|start| *start >= written).unwrap_or(buffer.len())
    }

    /// Waits; false if the run was interrupted meanwhile.
    fn wait(&self, time: Duration) -> bool {
        let until = Instant::now().checked_add(time);
        loop {
            if self.interrupted.as_ref().is_some_and(|interrupted| interrupted()) {
                return false;
            }
            let left = until.map_or(LOOK_AFTER, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return true;
            }
            sync::sleep(left.min(LOOK_AFTER));
        }
    }
}

/// Why rows are given up.
struct Why {
    error: String,
    to: WhileOpen,
    attempts: u32,
}

/// Writes as much as goes in one call: after a failure nothing of it was written.
fn write_some(writer: &mut dyn Write, bytes: &[u8]) -> io::Result<usize> {
    match writer.write(bytes) {
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
        written => written,
    }
}
