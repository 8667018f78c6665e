//! What can go wrong: at load a plan that asks for what no operator does, at run time a bound that is exceeded.

use thiserror::Error;

/// A stream failed on an event (or on a window that the event closed). The stream goes on with the next one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("stream {stream}, .{operator}: {message}")]
#[non_exhaustive]
pub struct OperatorError {
    /// The stream's name.
    pub stream: String,
    /// The operator's name, without its dot.
    pub operator: &'static str,
    /// What happened; names the setting where a bound was exceeded.
    pub message: String,
    /// How often the event was tried.
    pub attempts: u32,
}

/// A plan that cannot run.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{place}: {message}")]
#[non_exhaustive]
pub struct CompileError {
    /// The stream, function or global.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl CompileError {
    /// An error at `place`.
    pub(super) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

/// What went wrong, before anyone has made a sentence of it: small, so that results of hot functions stay small.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum Fault {
    #[error("functions call each other more than {0} deep (config engine: max_call_depth)")]
    CallDepth(usize),
    #[error("calls and the statements and expressions in them nest more than {0} deep")]
    CallNesting(usize),
    #[error("a call takes more than {0} steps (config engine: max_call_steps)")]
    CallSteps(u64),
    #[error("a function emits outside of .process")]
    EmitOutsideProcess,
    #[error("more than {0} keys at a time (config engine: max_partitions)")]
    Partitions(usize),
    #[error("more than {0} values to remember (config engine: max_distinct)")]
    Distinct(usize),
    #[error("more than {0} rows in open windows (config engine: max_window_rows)")]
    WindowRows(usize),
    #[error("the value is no map")]
    NoMap,
}

/// A fault and the operator in which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) operator: &'static str,
    pub(super) fault: Fault,
}

impl Fault {
    /// Says in which operator it happened.
    pub(super) fn at(self, operator: &'static str) -> Failure {
        Failure { operator, fault: self }
    }
}
