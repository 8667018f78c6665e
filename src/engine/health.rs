//! How an engine is, for whoever asks; and how long it may go on once a context has failed for good.

use std::time::{Duration, Instant};

use crate::supervise::{Board, Declared, Health, SinkGuard};
use crate::sync::Arc;

use super::run::Engine;

/// How long a run that was ended by a failure, or interrupted, may take for what it has been fed.
pub(super) const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// When a run is given up: at the caller's deadline, and not long after it was ended because a context failed for good.
pub(super) fn last_moment(give_up: Option<Instant>, board: &Board) -> Option<Instant> {
    let escalation = board.has_escalated().then(|| board.escalation()).flatten();
    let escalated = escalation.and_then(|(_, at)| at.checked_add(DRAIN_WITHIN));
    match (give_up, escalated) {
        (Some(give_up), Some(escalated)) => Some(give_up.min(escalated)),
        (either, other) => either.or(other),
    }
}

impl Engine {
    /// How the run is, component by component.
    ///
    /// ```
    /// use varpin::engine::{Engine, Program};
    /// use varpin::supervise::Status;
    /// let program = Program::parse("context work\nstream S = R.context(work).emit(v: v)")?;
    /// let engine = Engine::builder(&program).build()?;
    /// let health = engine.health();
    /// assert_eq!((health.status, health.components[0].component.name()), (Status::Up, "work"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn health(&self) -> Health {
        self.board.health()
    }

    /// What [`health`](Self::health) looks at, for threads of your own; it outlives the engine.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// A breaker around a consumer of results, as declared; the board and the listener to events know it by `name`.
    ///
    /// ```
    /// use varpin::engine::{Engine, Program};
    /// use varpin::supervise::{Called, Declared};
    /// let engine = Engine::builder(&Program::parse("stream S = R.emit(v: v)")?).build()?;
    /// let mut guard = engine.sink_guard("database", &Declared::default());
    /// assert!(matches!(guard.call(|| Ok::<_, std::io::Error>(())), Called::Done(())));
    /// assert_eq!(engine.health().components[1].component.name(), "database");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sink_guard(&self, name: &str, declared: &Declared) -> SinkGuard {
        let member = self.board.add_sink(name);
        SinkGuard::new(member, self.events.clone(), &declared.supervised(), self.seed)
    }
}
