//! What stands in front of a context's streams where a circuit breaker is declared: it says whether the next event (or
//! round) is run, and is told how that went.
//!
//! While it is closed and nothing fails, an event costs a comparison and a count; everything else asks whoever keeps
//! the gate. Clocks and the end of the input are no events: they pass.

use crate::event::Row;
use crate::operators::OperatorError;

use super::streams::Failure;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is run.
    Run,
    /// It goes to the dead letters.
    DeadLetter,
    /// It is dropped, which the keeper counts.
    Drop,
}

/// How a gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Every event is run, and only failures have to be told.
    pub is_plain: bool,
    /// No event is to be taken for now.
    pub holds: bool,
}

/// Keeps a gate.
pub trait GateKeeper: Send {
    /// A duty cycle begins; so many events have been run without a failure since the last call.
    fn begin(&mut self, successes: u64) -> Standing;

    /// Whether the next event is run. Not asked while the gate is plain or holds.
    fn admit(&mut self) -> Admission;

    /// An event was run, after so many others without a failure.
    fn done(&mut self, failed: bool, successes: u64) -> Standing;
}

/// The gate of a stage.
pub(super) struct Gate {
    standing: Standing,
    successes: u64,
    keeper: Box<dyn GateKeeper>,
}

impl Gate {
    pub(super) fn new(mut keeper: Box<dyn GateKeeper>) -> Self {
        Self { standing: keeper.begin(0), successes: 0, keeper }
    }

    /// A duty cycle begins. True if no event is to be taken.
    pub(super) fn begin(&mut self) -> bool {
        self.standing = self.keeper.begin(std::mem::take(&mut self.successes));
        self.standing.holds
    }

    /// Whether no event is to be taken.
    #[inline]
    pub(super) fn holds(&self) -> bool {
        self.standing.holds
    }

    /// What becomes of the next event.
    #[inline]
    pub(super) fn admit(&mut self) -> Admission {
        if self.standing.is_plain { Admission::Run } else { self.keeper.admit() }
    }

    /// The event was run.
    #[inline]
    pub(super) fn done(&mut self, failed: bool) {
        if self.standing.is_plain && !failed {
            self.successes += 1;
        } else {
            self.standing = self.keeper.done(failed, std::mem::take(&mut self.successes));
        }
    }
}

/// The letter of an event that was not run.
pub(super) fn refused(stream: &str, row: &Row) -> Failure {
    let error = OperatorError {
        stream: stream.to_owned(),
        operator: "breaker",
        message: "the circuit breaker of the context is open".to_owned(),
        attempts: 0,
    };
    Failure { error, row: Some(row.clone()), fatal: false }
}
