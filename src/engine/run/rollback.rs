//! An engine that is rolled back to its last checkpoint.

use std::time::{Duration, Instant};

use crate::supervise::RollbackDue;
use crate::sync::{Arc, sleep};

use super::super::build;
use super::super::error::EngineError;
use super::super::input::Refused;
use super::super::rollback::{Again, Legacy, Past, RolledBack};
use super::super::stats::Stats;
use super::super::writer::Writer;
use super::{Engine, Interrupt, Mode};

/// How long threads may take to stop. One that does not come back by then is left alone; nothing that it does is seen
/// any more.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How often whoever waits looks up.
const LOOK_AFTER: Duration = Duration::from_millis(1);

/// Why a row was not taken, for whoever holds the engine.
pub(super) fn refusal(refused: Refused, again: Option<&Again>) -> EngineError {
    match refused {
        Refused::Overrun => EngineError::Overrun,
        Refused::RollBack => roll_back(again).unwrap_or(EngineError::Closed),
        Refused::Closed | Refused::Full => EngineError::Closed,
    }
}

/// That the engine is to be rolled back, if it is.
pub(super) fn roll_back(again: Option<&Again>) -> Option<EngineError> {
    again?.rollback.due().map(|due| EngineError::RollBack(Box::new(due)))
}

impl Engine {
    /// What was said when the run ended: that it is to be rolled back, or what was counted.
    pub(super) fn over(&self) -> Result<&Stats, EngineError> {
        match roll_back(self.again.as_deref()).filter(|_| self.needs_roll_back()) {
            Some(rollback) => Err(rollback),
            None => self.ended.as_ref().ok_or(EngineError::Closed),
        }
    }

    /// Keeps what it takes to roll back, and what it was rolled back to.
    pub(in super::super) fn with_again(
        mut self,
        again: Option<Again>,
        rolled_back: Option<RolledBack>,
        past: Past,
    ) -> Self {
        self.again = again.map(Box::new);
        self.rolled_back = rolled_back.map(Box::new);
        self.past = past;
        self
    }

    /// Whether a context has failed, and is to be restarted, and checkpoints are kept: then everything has stopped, and
    /// [`roll_back`](Self::roll_back) makes it go on. Calls that return errors say the same
    /// ([`EngineError::RollBack`]); this is for whoever only polls.
    #[inline]
    pub fn needs_roll_back(&self) -> bool {
        self.again.as_ref().is_some_and(|again| again.rollback.is_asked()) && !self.board.has_escalated()
    }

    /// Why it has to be rolled back, if it has to.
    pub fn rollback_due(&self) -> Option<RollbackDue> {
        self.again.as_ref().filter(|_| self.needs_roll_back())?.rollback.due()
    }

    /// The last rollback, if there was any.
    pub fn rolled_back(&self) -> Option<&RolledBack> {
        self.rolled_back.as_deref()
    }

    /// A context has failed ([`EngineError::RollBack`]): goes back to the last checkpoint, and goes on from there, with
    /// the settings that it was built with. If there is no checkpoint yet it begins anew.
    ///
    /// It waits until the restart is due, and for the threads to stop. Afterwards events have to be fed again from the
    /// one behind [`RolledBack::events`] on ([`resumed`](Self::resumed) and
    /// [`Input::seek_hint`](super::super::Input::seek_hint) say the same), and results behind
    /// [`RolledBack::results`] come again; [`resume_from`](Self::resume_from) passes over those that were
    /// handed over. The files of the program are seen to. Ends that were taken have to be dropped before, and taken
    /// anew. Dead letters and log lines that nobody has taken yet can still be taken, and may come again.
    ///
    /// The error says why it does not go on; [`EngineError::Interrupted`] and [`EngineError::EndsAway`] change
    /// nothing, so it can be called again.
    ///
    /// ```
    /// use varpin::engine::{Checkpoints, Engine, EngineError, Program};
    /// use varpin::supervise::{Declared, Restart};
    /// # let directory = std::env::temp_dir().join(format!("varpin-roll-back-{}", std::process::id()));
    /// let program = Program::parse("context work\nstream S = A.context(work).window(2).aggregate(sum: sum(v))")?;
    /// let restart = Declared { restart: Some(Restart::OnFailure), ..Declared::default() };
    /// let checkpoints = Checkpoints::in_directory(&directory).every_events(100);
    /// let mut engine = Engine::builder(&program).supervise(restart).checkpoints(checkpoints).build()?;
    /// let a = engine.event_type("A")?;
    /// let v = a.field("v")?;
    ///
    /// let (mut next, mut sums) = (0_u64, Vec::new());
    /// loop {
    ///     let outcome = if next < 1000 {
    ///         let mut event = a.event(next as i64);
    ///         event.set(&v, next as i64)?;
    ///         engine.feed(event, |result| sums.push(result.to_json()))
    ///     } else {
    ///         engine.finish(|result| sums.push(result.to_json())).map(drop)
    ///     };
    ///     match outcome {
    ///         Ok(()) if next == 1000 => break,
    ///         Ok(()) => next += 1,
    ///         Err(EngineError::RollBack(_)) => {
    ///             let back = engine.roll_back()?;
    ///             next = back.events; // read the input again from here
    ///             sums.truncate(back.results as usize); // the others come again
    ///         }
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// assert_eq!(sums.len(), 500);
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn roll_back(&mut self) -> Result<RolledBack, EngineError> {
        let due = self.rollback_due().ok_or(EngineError::NothingToRollBack)?;
        let Some(again) = &self.again else { return Err(EngineError::NothingToRollBack) };
        let rollback = Arc::clone(&again.rollback);
        match rollback.ends_away() {
            0 => {}
            ends => return Err(EngineError::EndsAway(ends)),
        }
        while !due.wait().is_zero() {
            if self.interrupt.as_ref().is_some_and(Interrupt::is_asked) {
                return Err(EngineError::Interrupted);
            }
            sleep(due.wait().min(LOOK_AFTER * 10));
        }
        if let Mode::Threads(_) = self.mode {
            let stopped = self.join(STOP_WITHIN);
            if let Err(error @ (EngineError::Connector(_) | EngineError::Escalated(_))) = stopped {
                return Err(error);
            }
        }
        let give_up = Instant::now() + STOP_WITHIN;
        while rollback.is_supervised() && Instant::now() < give_up {
            sleep(LOOK_AFTER);
        }
        if self.board.has_escalated() {
            return Err(EngineError::Closed);
        }
        self.begin_again(due)
    }

    fn begin_again(&mut self, due: RollbackDue) -> Result<RolledBack, EngineError> {
        let Some(again) = &self.again else { return Err(EngineError::NothingToRollBack) };
        let stats = self.stats();
        let memory = again.rollback.memory().clone();
        let legacy = Legacy {
            context: due.context,
            failure: due.message,
            store: self.writer.take().and_then(Writer::end),
            memory,
            board: Arc::clone(&self.board),
            metrics: self.metrics.clone(),
            outcome: self.connectors.clone(),
            origin: again.origin.clone(),
            results: again.rollback.handed_over(),
            past: Past {
                dead_letters: stats.dead_letters,
                dead_letters_dropped: stats.dead_letters_dropped,
                log_lines_dropped: stats.log_lines_dropped,
            },
        };
        let built = build::build(&again.builder, Some(legacy));
        if built.is_err() {
            self.events.deliver();
        }
        let mut engine = built.map_err(|error| EngineError::CannotRollBack(Box::new(error)))?;
        engine.dead_letters.keep(self.take_dead_letters());
        engine.log_lines = self.take_log_lines();
        *self = engine;
        self.rolled_back.as_deref().cloned().ok_or(EngineError::NothingToRollBack)
    }
}
