//! Results on their way out: collected, written when there are many or when nothing else is to do.
//!
//! A write that fails ends the run, unless the program says in `config output { .. }` what is to become of it: then
//! results go through a breaker. Whoever hands a result over waits as long as it has to, which holds up everything
//! behind it; or the results that could not be written become dead letters, or are dropped, whole lines at a time.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use varpin::engine::{JsonLines, Record};
use varpin::supervise::{Called, SinkGuard, WhileOpen};

use super::dead_letters::DeadLetters;
use super::faults::SinkFaults;
use super::signals::Signals;

/// Collected bytes that are written at once.
const WRITE_AT_BYTES: usize = 64 * 1024;
/// Results of a long input are not held back for longer than this.
const WRITE_AFTER: Duration = Duration::from_millis(100);
/// A signal is seen after this time at the latest, while a failed write waits to be repeated.
const LOOK_AFTER: Duration = Duration::from_millis(10);

/// Where results go.
#[derive(Debug)]
pub(super) struct Output<'a> {
    sink: Sink<'a>,
    lines: JsonLines,
    buffer: Vec<u8>,
    /// So much of the buffer has been written; the rest is not, because writing fails.
    written: usize,
    last_write: Instant,
    /// Set once: nothing is written any more.
    failure: Option<io::Error>,
    guarded: Option<Guarded<'a>>,
    rejected: Rejected,
}

/// The file, and what makes it fail on purpose.
#[derive(Debug)]
struct Sink<'a> {
    file: &'a File,
    faults: SinkFaults,
}

/// What stands around the file where the program says what becomes of failures.
#[derive(Debug)]
pub(super) struct Guarded<'a> {
    pub(super) guard: SinkGuard,
    pub(super) letters: Rc<RefCell<DeadLetters<'a>>>,
    /// Whoever waits looks whether the run is to end.
    pub(super) signals: Signals,
}

/// Results that were not written.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(super) struct Rejected {
    /// Writes that failed.
    pub(super) failures: u64,
    /// Results that went to the dead letters.
    pub(super) dead_letters: u64,
    /// Results that were dropped.
    pub(super) dropped: u64,
}

impl<'a> Output<'a> {
    /// Results, printed by `lines`, go to `file`.
    pub(super) fn new(
        file: &'a File,
        lines: JsonLines,
        faults: SinkFaults,
        guarded: Option<Guarded<'a>>,
    ) -> Self {
        Self {
            sink: Sink { file, faults },
            lines,
            buffer: Vec::with_capacity(2 * WRITE_AT_BYTES),
            written: 0,
            last_write: Instant::now(),
            failure: None,
            guarded,
            rejected: Rejected::default(),
        }
    }

    /// Takes a result.
    #[inline]
    pub(super) fn take(&mut self, record: &Record<'_>) {
        self.lines.write(record, &mut self.buffer);
        if self.buffer.len() >= WRITE_AT_BYTES {
            self.write();
        }
    }

    /// Writes what has been collected.
    pub(super) fn write(&mut self) {
        if !self.buffer.is_empty() && self.failure.is_none() {
            self.failure = match self.guarded.take() {
                None => self.sink.write_all(&self.buffer).err(),
                Some(mut guarded) => {
                    let outcome = self.write_guarded(&mut guarded);
                    self.guarded = Some(guarded);
                    outcome.err()
                }
            };
            self.last_write = Instant::now();
        }
        self.buffer.clear();
        self.written = 0;
    }

    /// Writes what has been collected, or finds out what else becomes of it; waits as long as that takes.
    fn write_guarded(&mut self, guarded: &mut Guarded<'a>) -> io::Result<()> {
        while self.written < self.buffer.len() {
            let rest = &self.buffer[self.written..];
            match guarded.guard.call(|| self.sink.write_some(rest)) {
                Called::Done(written) => self.written += written,
                Called::Failed { error, .. } | Called::GivenUp { error: Some(error), .. }
                    if is_final(&error) =>
                {
                    return Err(error);
                }
                Called::Failed { error, after } => {
                    self.rejected.failures += 1;
                    guarded.wait(after).map_err(|()| error)?;
                }
                Called::Held { after } => {
                    let stopped = || io::Error::other("interrupted while the output was failing");
                    guarded.wait(after).map_err(|()| stopped())?;
                }
                Called::GivenUp { error, to, attempts } => {
                    self.rejected.failures += u64::from(error.is_some());
                    self.give_up(guarded, error.as_ref(), to, attempts)?;
                }
            }
        }
        Ok(())
    }

    /// Puts the whole lines that are left among the dead letters, or drops them. A line of which a part was written
    /// has to be written to its end, sooner or later: it stays.
    fn give_up(
        &mut self,
        guarded: &Guarded<'a>,
        error: Option<&io::Error>,
        to: WhileOpen,
        attempts: u32,
    ) -> io::Result<()> {
        let is_torn = self.written > 0 && self.buffer[self.written - 1] != b'\n';
        let end_of_line = |from: usize| self.buffer[from..].iter().position(|&byte| byte == b'\n');
        let whole = if is_torn {
            end_of_line(self.written).map(|at| self.written + at + 1)
        } else {
            Some(self.written)
        };
        let whole = whole.unwrap_or(self.buffer.len());
        let error = error.map_or_else(|| "the breaker is open".to_owned(), ToString::to_string);
        let mut lines = 0;
        for line in self.buffer[whole..].split_inclusive(|&byte| byte == b'\n') {
            if to != WhileOpen::Drop {
                guarded.letters.borrow_mut().result("output", line, &error, attempts);
            }
            lines += 1;
        }
        match to {
            WhileOpen::Drop => self.rejected.dropped += lines,
            WhileOpen::Hold | WhileOpen::DeadLetter => self.rejected.dead_letters += lines,
        }
        guarded.guard.count_given_up(lines);
        self.buffer.truncate(whole);
        if is_torn && !self.buffer.is_empty() && self.written < self.buffer.len() {
            let interrupted = || io::Error::other("interrupted while the output was failing");
            guarded.wait(LOOK_AFTER).map_err(|()| interrupted())?;
        }
        Ok(())
    }

    /// Gives up what has been collected: it comes again, behind what the file is cut back to.
    pub(super) fn discard(&mut self) {
        self.buffer.clear();
        self.written = 0;
    }

    /// Writes what has been collected if that was last done some time ago.
    pub(super) fn write_if_late(&mut self) {
        if !self.buffer.is_empty() && self.last_write.elapsed() >= WRITE_AFTER {
            self.write();
        }
    }

    /// Whether writing has failed; nothing is gained by going on then.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Writes what is left, and says which results were not written. False if nobody reads results any more; that is
    /// no error.
    pub(super) fn finish(mut self) -> (Rejected, io::Result<bool>) {
        self.write();
        let outcome = match self.failure {
            None => Ok(true),
            Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Some(error) => Err(error),
        };
        (self.rejected, outcome)
    }
}

impl Sink<'_> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.faults.strike()?;
        self.file.write_all(bytes)
    }

    /// Writes as much as goes in one call: after a failure nothing of it was written.
    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.faults.strike()?;
        match self.file.write(bytes) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            written => written,
        }
    }
}

impl Guarded<'_> {
    /// Waits; the error says that the run is to end.
    fn wait(&self, time: Duration) -> Result<(), ()> {
        let until = Instant::now().checked_add(time);
        loop {
            if self.signals.caught().is_some() {
                return Err(());
            }
            let left = until.map_or(LOOK_AFTER, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(());
            }
            varpin::sync::sleep(left.min(LOOK_AFTER));
        }
    }
}

/// Whether there is no point in trying again: nobody will ever read.
fn is_final(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}
