//! What is wrong with a line of input, and where.

use std::borrow::Cow;

/// How many characters of a bad line are quoted.
const EXCERPT_CHARS: usize = 256;

/// A line (for CSV: a record) that is no event. The source that reported it goes on with the next one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
#[non_exhaustive]
pub struct BadInput {
    /// The line, counted from 1.
    pub line: u64,
    /// The column in characters, counted from 1.
    pub column: u64,
    /// What is wrong there.
    pub message: String,
    /// How the line begins, at most 256 characters of it.
    pub text: String,
}

impl BadInput {
    /// The fault in `record`, whose first line has the number `first_line`.
    pub(super) fn new(record: &[u8], first_line: u64, fault: Fault) -> Self {
        let (at, message) = *fault.0;
        let before = &record[..at.min(record.len())];
        let lines_before = memchr::memchr_iter(b'\n', before).count() as u64;
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Self {
            line: first_line + lines_before,
            column: String::from_utf8_lossy(&before[line_start..]).chars().count() as u64 + 1,
            message: message.into_owned(),
            text: excerpt(record),
        }
    }
}

fn excerpt(record: &[u8]) -> String {
    // A character has at most four bytes; what is cut in half at the end is beyond the last character taken.
    let head = &record[..record.len().min(EXCERPT_CHARS * 4)];
    String::from_utf8_lossy(head).chars().take(EXCERPT_CHARS).collect()
}

/// What is wrong at some byte of a record. Behind a pointer, so that results stay small where all is well.
#[derive(Debug)]
pub(super) struct Fault(Box<(usize, Cow<'static, str>)>);

/// What parsing gives.
pub(super) type Parsed<T> = Result<T, Fault>;

/// A fault at byte `at`.
#[cold]
pub(super) fn fault(at: usize, message: impl Into<Cow<'static, str>>) -> Fault {
    Fault(Box::new((at, message.into())))
}
