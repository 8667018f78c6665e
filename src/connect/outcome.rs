//! What connectors have come to: the first error, counts, and lines that were skipped. Shared by the ends of an
//! engine, which may be in other hands, and the engine itself.

use std::collections::VecDeque;
use std::io;
use std::sync::PoisonError;

use serde::Serialize;

use crate::format::BadInput;
use crate::sync::{Arc, Mutex};

/// Lines that are kept until somebody takes them.
const BAD_LINES_KEPT: usize = 10_000;

/// Rows that could not be written and are kept until somebody takes them.
const ROWS_KEPT: usize = 10_000;

/// Why a connector cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Rows cannot be written.
    #[error("cannot write the rows of {streams} to {place}: {error}")]
    Sink {
        /// The streams whose rows go there: `stream S`, or `streams S and T`.
        streams: String,
        /// The file as the program names it, or the console.
        place: String,
        /// Why not.
        error: io::Error,
    },
    /// A source of events cannot be read.
    #[error("cannot read events from {place}: {error}")]
    Source {
        /// The file as the program names it.
        place: String,
        /// Why not.
        error: io::Error,
    },
    /// A line of a source is no event.
    #[error("{}: {}", .0.place, .0.line)]
    BadLine(BadLine),
    /// Results are not handed over before their checkpoint is complete, and too many wait for one.
    #[error(
        "{most} results wait for their checkpoint: none could be written meanwhile, and no more are kept"
    )]
    Uncommitted {
        /// How many may wait.
        most: usize,
    },
    /// The program was read from a text, so nobody knows where its files are.
    #[error("the program has no directory to look for {0} in: name one with Builder::directory")]
    NoDirectory(String),
    /// A connector that was to be opened in another way is none of the program's.
    #[error("the program writes to no connector called {0}")]
    Unknown(String),
}

/// A line of a source that is no event.
#[derive(Clone, Debug)]
pub struct BadLine {
    /// The file as the program names it.
    pub place: String,
    /// What is wrong with it.
    pub line: BadInput,
}

/// What a sink has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SinkCounts {
    /// The file as the program names it, or the console.
    pub sink: String,
    /// Rows that were written.
    pub rows: u64,
    /// How many bytes they took.
    pub bytes: u64,
    /// Rows that were not, because writing had failed before.
    pub unwritten: u64,
    /// Rows that went to the dead letters because they could not be written.
    pub dead_letters: u64,
    /// Rows that were dropped likewise.
    pub dropped: u64,
}

/// A row that a sink could not take, and that is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnwrittenRow {
    /// The file as the program names it, or the console.
    pub sink: String,
    /// The row as it would have been written, without the line's end.
    pub line: String,
    /// Why it could not be.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// What the connectors of an engine have come to so far.
#[derive(Clone, Debug, Default)]
pub struct Outcome(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    error: Option<ConnectError>,
    sinks: Vec<SinkCounts>,
    bad_lines: VecDeque<BadLine>,
    unwritten: VecDeque<UnwrittenRow>,
    /// Rows that could not be written, and were not kept either.
    unwritten_dropped: u64,
    /// Somebody has promised to take them all.
    keeps_all: bool,
}

impl Outcome {
    fn with<R>(&self, then: impl FnOnce(&mut Inner) -> R) -> R {
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where rows that cannot be written are taken, however many there are, if `keeps_all`.
    pub fn new(keeps_all: bool) -> Self {
        let outcome = Self::default();
        outcome.with(|inner| inner.keeps_all = keeps_all);
        outcome
    }

    /// Keeps a row that could not be written; up to a bound, where nobody has promised to take it.
    pub(super) fn unwritten(&self, row: UnwrittenRow) {
        self.with(|inner| {
            if inner.keeps_all || inner.unwritten.len() < ROWS_KEPT {
                inner.unwritten.push_back(row);
            } else {
                inner.unwritten_dropped += 1;
            }
        });
    }

    /// Takes the rows that could not be written.
    pub fn take_unwritten(&self) -> Vec<UnwrittenRow> {
        self.with(|inner| inner.unwritten.drain(..).collect())
    }

    /// How many rows could not be written, and were not kept either.
    pub fn unwritten_dropped(&self) -> u64 {
        self.with(|inner| inner.unwritten_dropped)
    }

    /// Notes an error; the first counts.
    pub fn failed(&self, error: ConnectError) {
        self.with(|inner| {
            inner.error.get_or_insert(error);
        });
    }

    /// Takes the first error.
    pub fn take_error(&self) -> Option<ConnectError> {
        self.with(|inner| inner.error.take())
    }

    /// Sets what sinks have taken.
    pub fn set_sinks(&self, counts: Vec<SinkCounts>) {
        self.with(|inner| inner.sinks = counts);
    }

    /// What sinks have taken, as far as that was set.
    pub fn sinks(&self) -> Vec<SinkCounts> {
        self.with(|inner| inner.sinks.clone())
    }

    /// Keeps a line that was skipped, up to a bound.
    pub(super) fn skipped(&self, bad: BadLine) {
        self.with(|inner| {
            if inner.bad_lines.len() < BAD_LINES_KEPT {
                inner.bad_lines.push_back(bad);
            }
        });
    }

    /// Takes the lines that were skipped.
    pub fn take_bad_lines(&self) -> Vec<BadLine> {
        self.with(|inner| inner.bad_lines.drain(..).collect())
    }
}
