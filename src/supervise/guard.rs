//! A consumer of results behind a breaker: whether it is called, and what becomes of what it could not take.
//!
//! - *hold*: a call that failed is made again, after a delay that grows; while the breaker is open it waits. Nothing
//!   is lost, and whoever makes the results is held up.
//! - *dead letter*, *drop*: a call that failed is made again `max_attempts` times; then, and as long as the breaker is
//!   open, the work is given up, and its owner puts it among the dead letters, or drops it.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use super::board::SinkMember;
use super::breaker::{Breaker, BreakerChange, BreakerPolicy, BreakerState, CallOutcome, WhileOpen};
use super::declared::Supervised;
use super::event::{Component, EventKind, Events};
use super::restart::{Jitter, RestartPolicy};
use crate::sync::Arc;

/// How a call went, or why it was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Called<T, E> {
    /// It succeeded.
    Done(T),
    /// It failed, and is to be made again after this time.
    Failed {
        /// The failure.
        error: E,
        /// How long to wait.
        after: Duration,
    },
    /// The breaker is open; the call is to be made after this time.
    Held {
        /// How long to wait.
        after: Duration,
    },
    /// The work is given up: it failed too often, or the breaker is open and the policy is not to wait for it.
    GivenUp {
        /// The last failure; none where the call was not made.
        error: Option<E>,
        /// Whether it goes to the dead letters or is dropped.
        to: WhileOpen,
        /// How often it was tried.
        attempts: u32,
    },
}

/// See the top of this file.
///
/// ```
/// use varpin::supervise::{Called, Declared, SinkGuard, WhileOpen};
/// let declared = Declared {
///     max_attempts: Some(0),
///     breaker_open: Some(WhileOpen::Drop),
///     ..Declared::default()
/// };
/// let mut guard = SinkGuard::alone("disk", &declared.supervised());
/// assert_eq!(guard.call(|| Ok::<_, &str>(7)), Called::Done(7));
/// let failed = guard.call(|| Err::<(), _>("no space"));
/// assert_eq!(failed, Called::GivenUp { error: Some("no space"), to: WhileOpen::Drop, attempts: 1 });
/// ```
pub struct SinkGuard {
    member: Arc<SinkMember>,
    events: Events,
    breaker: Breaker,
    /// The delays between attempts.
    backoff: RestartPolicy,
    jitter: Jitter,
    started: Instant,
    /// Failed attempts at the work at hand.
    attempts: u32,
    is_held: bool,
}

impl SinkGuard {
    /// A guard that nobody else knows of.
    pub fn alone(name: &str, supervised: &Supervised) -> Self {
        Self::new(SinkMember::new(name), Events::none(), supervised, 1)
    }

    /// A guard for the sink that the board knows as `member`.
    pub fn new(member: Arc<SinkMember>, events: Events, supervised: &Supervised, seed: u64) -> Self {
        Self {
            member,
            events,
            breaker: Breaker::new(supervised.breaker.clone().unwrap_or_default()),
            backoff: supervised.restart.clone(),
            jitter: Jitter::new(seed),
            started: Instant::now(),
            attempts: 0,
            is_held: false,
        }
    }

    /// Makes a call, if the breaker lets it through.
    pub fn call<T, E: Display>(&mut self, call: impl FnOnce() -> Result<T, E>) -> Called<T, E> {
        let before = self.started.elapsed();
        let Some((permit, change)) = self.breaker.permit(before) else { return self.refuse(before) };
        self.tell(change);
        self.is_held = false;
        let outcome = call();
        let now = self.started.elapsed();
        let success = if outcome.is_ok() { CallOutcome::Success } else { CallOutcome::Failure };
        let change = self.breaker.record(now, permit, success, Some(now.saturating_sub(before)));
        self.tell(change);
        match outcome {
            Ok(done) => {
                self.attempts = 0;
                Called::Done(done)
            }
            Err(error) => {
                self.member.note_failure(&error.to_string());
                self.failed(error)
            }
        }
    }

    fn failed<T, E>(&mut self, error: E) -> Called<T, E> {
        let delay = self.backoff.delay(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        let to = self.policy().while_open;
        if to != WhileOpen::Hold && self.attempts > self.backoff.max_attempts {
            let attempts = std::mem::take(&mut self.attempts);
            return Called::GivenUp { error: Some(error), to, attempts };
        }
        Called::Failed { error, after: self.jitter.spread(delay, &self.backoff) }
    }

    /// The breaker is open.
    fn refuse<T, E>(&mut self, now: Duration) -> Called<T, E> {
        let to = self.policy().while_open;
        if to == WhileOpen::Hold {
            if !std::mem::replace(&mut self.is_held, true) {
                self.member.breaker.count_held();
            }
            // Half-open, with all probes under way, there is nothing to wait for but their end.
            let until = self.breaker.open_until().unwrap_or(now);
            return Called::Held { after: until.saturating_sub(now).max(Duration::from_millis(1)) };
        }
        let attempts = std::mem::take(&mut self.attempts);
        Called::GivenUp { error: None, to, attempts }
    }

    /// So much work was given up after [`Called::GivenUp`].
    pub fn count_given_up(&self, count: u64) {
        match self.policy().while_open {
            WhileOpen::Drop => self.member.breaker.count_dropped(count),
            WhileOpen::Hold | WhileOpen::DeadLetter => self.member.breaker.count_dead_lettered(count),
        }
    }

    fn tell(&self, change: Option<BreakerChange>) {
        if let Some(change) = change {
            self.member.breaker.set_state(change.to);
            self.events.tell(Component::Sink(self.member.name.clone()), EventKind::Breaker(change));
        }
    }

    /// What is declared about the breaker.
    pub fn policy(&self) -> &BreakerPolicy {
        self.breaker.policy()
    }

    /// The state of the breaker.
    pub fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// What others may see of the sink.
    pub fn member(&self) -> &Arc<SinkMember> {
        &self.member
    }
}

impl fmt::Debug for SinkGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkGuard")
            .field("sink", &self.member.name)
            .field("state", &self.breaker.state())
            .finish_non_exhaustive()
    }
}
