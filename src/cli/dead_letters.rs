//! Dead letters: lines that are no events, and events on which a stream failed, as JSON lines.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use serde::Serialize;
use varpin::engine::DeadLetter;
use varpin::format::BadInput;

/// Where dead letters go.
#[derive(Debug)]
pub(super) struct DeadLetters<'a> {
    file: Option<BufWriter<&'a File>>,
    bad_lines: u64,
    /// The first of each kind, to be told where there is no file.
    first_failed: Option<DeadLetter>,
    failure: Option<io::Error>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Letter<'a> {
    BadInput { source: &'a str, line: u64, column: u64, error: &'a str, text: &'a str },
    FailedEvent(&'a DeadLetter),
}

impl<'a> DeadLetters<'a> {
    /// Dead letters go to `file`, if there is one.
    pub(super) fn new(file: Option<&'a File>) -> Self {
        Self { file: file.map(BufWriter::new), bad_lines: 0, first_failed: None, failure: None }
    }

    /// Takes a line that is no event.
    pub(super) fn bad_input(&mut self, source: &str, bad: &BadInput) {
        self.bad_lines += 1;
        let (line, column) = (bad.line, bad.column);
        self.write(&Letter::BadInput { source, line, column, error: &bad.message, text: &bad.text });
    }

    /// Takes events on which streams have failed.
    pub(super) fn failed(&mut self, letters: Vec<DeadLetter>) {
        for letter in letters {
            self.write(&Letter::FailedEvent(&letter));
            self.first_failed.get_or_insert(letter);
        }
    }

    /// How many lines were no events.
    pub(super) fn bad_lines(&self) -> u64 {
        self.bad_lines
    }

    /// Lines are read again, after this many that were no events.
    pub(super) fn go_back(&mut self, bad_lines: u64) {
        self.bad_lines = bad_lines;
    }

    /// The first event on which a stream failed.
    pub(super) fn first_failed(&self) -> Option<&DeadLetter> {
        self.first_failed.as_ref()
    }

    /// Whether they are kept in a file.
    pub(super) fn are_kept(&self) -> bool {
        self.file.is_some()
    }

    /// Takes a result that `sink` could not take: a line of JSON, or, of a file in another format, a line of that.
    pub(super) fn result(&mut self, sink: &str, line: &[u8], error: &str, attempts: u32) {
        let (Some(file), None) = (&mut self.file, &self.failure) else { return };
        // A text always has a form in JSON.
        let text = |text: &str| serde_json::to_vec(text).unwrap_or_default();
        let mut letter = br#"{"kind":"failed_result","sink":"#.to_vec();
        letter.extend(text(sink));
        letter.extend(br#","error":"#);
        letter.extend(text(error));
        letter.extend(format!(",\"attempts\":{attempts},\"result\":").as_bytes());
        match line.trim_ascii_end() {
            object @ [b'{', ..] => letter.extend(object),
            other => letter.extend(text(&String::from_utf8_lossy(other))),
        }
        letter.extend(b"}\n");
        self.failure = file.write_all(&letter).err();
    }

    fn write(&mut self, letter: &Letter<'_>) {
        let (Some(file), None) = (&mut self.file, &self.failure) else { return };
        let written = serde_json::to_writer(&mut *file, letter).map_err(io::Error::from);
        self.failure = written.and_then(|()| file.write_all(b"\n")).err();
    }

    /// Puts on disk what is collected; while input is awaited, so that a look into the file shows all.
    pub(super) fn flush(&mut self) {
        if let (Some(file), None) = (&mut self.file, &self.failure) {
            self.failure = file.flush().err();
        }
    }

    /// Writes what is left; the first error that has occurred.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.flush();
        self.failure.take().map_or(Ok(()), Err)
    }
}
