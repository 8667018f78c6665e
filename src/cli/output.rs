//! Results on their way out: collected, written when there are many or when nothing else is to do.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use varpin::engine::{JsonLines, Record};

/// Collected bytes that are written at once.
const WRITE_AT_BYTES: usize = 64 * 1024;
/// Results of a long input are not held back for longer than this.
const WRITE_AFTER: Duration = Duration::from_millis(100);

/// Where results go.
#[derive(Debug)]
pub(super) struct Output<'a> {
    file: &'a File,
    lines: JsonLines,
    buffer: Vec<u8>,
    last_write: Instant,
    /// Set once: nothing is written any more.
    failure: Option<io::Error>,
}

impl<'a> Output<'a> {
    /// Results, printed by `lines`, go to `file`.
    pub(super) fn new(file: &'a File, lines: JsonLines) -> Self {
        let buffer = Vec::with_capacity(2 * WRITE_AT_BYTES);
        Self { file, lines, buffer, last_write: Instant::now(), failure: None }
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
            self.failure = self.file.write_all(&self.buffer).err();
            self.last_write = Instant::now();
        }
        self.buffer.clear();
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

    /// Writes what is left. False if nobody reads results any more; that is no error.
    pub(super) fn finish(mut self) -> io::Result<bool> {
        self.write();
        match self.failure {
            None => Ok(true),
            Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Some(error) => Err(error),
        }
    }
}
