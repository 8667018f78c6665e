//! What happens under supervision, as JSON lines in a file: written as it happens, so that a look into the file shows
//! all.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use varpin::supervise::Event;

use super::messages;

/// A file of events. The engine tells before everything else is known to be in order; nothing is written until then.
#[derive(Clone, Debug, Default)]
pub(super) struct EventLines(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    /// What was told before the file was opened.
    early: Vec<u8>,
    file: Option<File>,
    has_failed: bool,
}

impl EventLines {
    /// Takes an event.
    pub(super) fn take(&self, event: &Event) {
        let mut line = event.to_json();
        line.push('\n');
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(line.as_bytes());
    }

    /// Events go to `file` from now on.
    pub(super) fn open(&self, file: File) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.file = Some(file);
        let early = std::mem::take(&mut lines.early);
        lines.write(&early);
    }
}

impl Lines {
    /// One write a line, so that whoever follows the file never sees half of one.
    fn write(&mut self, lines: &[u8]) {
        match &mut self.file {
            None => self.early.extend(lines),
            Some(file) if !self.has_failed => {
                if let Err(error) = file.write_all(lines) {
                    self.has_failed = true;
                    messages::warning(format_args!("cannot write events of supervision: {error}"));
                }
            }
            Some(_) => {}
        }
    }
}
