//! How an engine is, for whoever asks; and how long it may go on once a context has failed for good.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::supervise::{Board, Declared, Health, SinkGuard};
use crate::sync::Arc;

use super::builder::Interrupt;
use super::run::Engine;

/// How long a run that was ended by a failure, or interrupted, may take for what it has been fed.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// How long is waited for a run that is to end: until the caller's deadline, and not long after it was ended because a
/// context failed for good, or was interrupted.
pub(super) struct Patience {
    deadline: Option<Instant>,
    board: Arc<Board>,
    interrupt: Option<Interrupt>,
    /// When an interrupted run is given up.
    interrupted: Cell<Option<Instant>>,
}

impl Patience {
    pub(super) fn new(within: Duration, board: &Arc<Board>, interrupt: Option<Interrupt>) -> Self {
        let deadline = Instant::now().checked_add(within);
        Self { deadline, board: Arc::clone(board), interrupt, interrupted: Cell::new(None) }
    }

    /// When the run is given up, if ever.
    fn last_moment(&self) -> Option<Instant> {
        let is_asked = || self.interrupt.as_ref().is_some_and(Interrupt::is_asked);
        if self.interrupted.get().is_none() && is_asked() {
            self.interrupted.set(Instant::now().checked_add(DRAIN_WITHIN));
        }
        let escalation = self.board.has_escalated().then(|| self.board.escalation()).flatten();
        let escalated = escalation.and_then(|(_, at)| at.checked_add(DRAIN_WITHIN));
        [self.deadline, escalated, self.interrupted.get()].into_iter().flatten().min()
    }

    /// Whether that moment has come.
    pub(super) fn is_over(&self) -> bool {
        self.last_moment().is_some_and(|at| Instant::now() >= at)
    }

    /// How long it is until then.
    pub(super) fn left(&self) -> Duration {
        self.last_moment().map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
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
