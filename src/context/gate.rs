//! What stands in front of a context's streams where a circuit breaker is declared: it says whether the next event (or
//! round) is run, and is told how that went.
//!
//! While it is closed and no call is timed the gate is *plain*: the stage runs event after event as if there were no
//! gate, stops at one that fails, and tells whoever keeps the gate once a duty cycle how many have been run. Else the
//! keeper is asked before each event. Clocks and the end of the input are no events: they pass.

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
    /// Every event is run, and only failures have to be told at once.
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

/// The gate of a stage. Nobody counts for it: the stage counts its steps anyway, and those among them that are no
/// events. So it is told how many events have been begun in all, and remembers how many of them its keeper knows.
pub(super) struct Gate {
    standing: Standing,
    known: u64,
    keeper: Box<dyn GateKeeper>,
}

impl Gate {
    pub(super) fn new(mut keeper: Box<dyn GateKeeper>) -> Self {
        Self { standing: keeper.begin(0), known: 0, keeper }
    }

    /// A duty cycle begins, after so many events in all. True if no event is to be taken.
    pub(super) fn begin(&mut self, events: u64) -> bool {
        let successes = self.come_to(events);
        self.standing = self.keeper.begin(successes);
        self.standing.holds
    }

    /// Whether no event is to be taken.
    #[inline]
    pub(super) fn holds(&self) -> bool {
        self.standing.holds
    }

    /// Whether it is to be asked before each event, and told of each.
    #[inline]
    pub(super) fn asks(&self) -> bool {
        !self.standing.is_plain
    }

    /// What becomes of the next event.
    pub(super) fn admit(&mut self) -> Admission {
        if self.asks() { self.keeper.admit() } else { Admission::Run }
    }

    /// The last of so many events was run, and has not failed.
    pub(super) fn succeeded(&mut self, events: u64) {
        if self.asks() {
            let successes = self.come_to(events.saturating_sub(1));
            self.known = events;
            self.standing = self.keeper.done(false, successes);
        }
    }

    /// After so many events that have not failed, something has; if it is an event, it is the next one.
    pub(super) fn failed(&mut self, events_before: u64, is_event: bool) {
        let successes = self.come_to(events_before);
        self.known += u64::from(is_event);
        self.standing = self.keeper.done(true, successes);
    }

    /// How many of so many events are news.
    fn come_to(&mut self, events: u64) -> u64 {
        let news = events.saturating_sub(self.known);
        self.known = events;
        news
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
