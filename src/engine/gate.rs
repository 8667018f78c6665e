//! The circuit breaker of a context, in front of each of its stages. They run on one thread, so its lock is never
//! contended.

use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::context::{Admission, GateKeeper, Standing};
use crate::supervise::{
    Breaker, BreakerChange, BreakerGauge, BreakerPolicy, BreakerState, CallOutcome, Component, EventKind,
    Events, Permit, WhileOpen,
};
use crate::sync::{Arc, Mutex, MutexGuard};

/// The breaker of a worker, for the gates of its stages. On a cache line of its own: each duty cycle looks at it.
pub(super) type SharedBreaker = Arc<CachePadded<Mutex<Breaker>>>;

/// A panic elsewhere leaves a whole state: each change is made at its end.
fn lock(breaker: &Mutex<Breaker>) -> MutexGuard<'_, Breaker> {
    breaker.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A breaker that keeps the gate of a stage.
pub(super) struct BreakerGate {
    breaker: SharedBreaker,
    policy: BreakerPolicy,
    gauge: Arc<BreakerGauge>,
    events: Events,
    context: String,
    started: Instant,
    /// The time, as it was at the last look. The clock is looked at where something has failed, while the breaker is
    /// not closed, and around every event where slow ones count.
    now: Duration,
    /// The event under way was let through with this.
    permit: Option<Permit>,
    is_held: bool,
}

impl BreakerGate {
    pub(super) fn new(
        breaker: &SharedBreaker,
        gauge: &Arc<BreakerGauge>,
        events: &Events,
        context: &str,
    ) -> Self {
        Self {
            policy: lock(breaker).policy().clone(),
            breaker: Arc::clone(breaker),
            gauge: Arc::clone(gauge),
            events: events.clone(),
            context: context.to_owned(),
            started: Instant::now(),
            now: Duration::ZERO,
            permit: None,
            is_held: false,
        }
    }

    fn look_at_the_clock(&mut self) {
        self.now = self.started.elapsed();
    }

    /// How the gate stands, the breaker being in this state and letting the next event through or not.
    fn standing(&mut self, state: BreakerState, would_permit: bool) -> Standing {
        let holds = self.policy.while_open == WhileOpen::Hold && !would_permit;
        if holds && !self.is_held {
            self.gauge.count_held();
        }
        self.is_held = holds;
        Standing { is_plain: state == BreakerState::Closed && self.policy.slow_call.is_none(), holds }
    }

    #[inline]
    fn tell(&self, change: Option<BreakerChange>) {
        if let Some(change) = change {
            self.tell_change(change);
        }
    }

    #[cold]
    fn tell_change(&self, change: BreakerChange) {
        self.gauge.set_state(change.to);
        self.events.tell(Component::Context(self.context.clone()), EventKind::Breaker(change));
    }
}

// Each takes the lock once, and no clock is read while the breaker is closed and nothing fails.
impl GateKeeper for BreakerGate {
    fn begin(&mut self, successes: u64) -> Standing {
        let mut breaker = lock(&self.breaker);
        if breaker.state() != BreakerState::Closed || breaker.can_open_by_successes() {
            self.now = self.started.elapsed();
        }
        let change = breaker.record_successes(self.now, successes as usize);
        let (state, would_permit) = (breaker.state(), breaker.would_permit(self.now));
        drop(breaker);
        self.tell(change);
        self.standing(state, would_permit)
    }

    fn admit(&mut self) -> Admission {
        if self.policy.slow_call.is_some() {
            self.look_at_the_clock();
        }
        let permit = lock(&self.breaker).permit(self.now);
        if let Some((permit, change)) = permit {
            self.tell(change);
            self.permit = Some(permit);
            return Admission::Run;
        }
        match self.policy.while_open {
            WhileOpen::Drop => {
                self.gauge.count_dropped(1);
                Admission::Drop
            }
            // Held events are not asked for.
            WhileOpen::DeadLetter | WhileOpen::Hold => {
                self.gauge.count_dead_lettered(1);
                Admission::DeadLetter
            }
        }
    }

    fn done(&mut self, failed: bool, successes: u64) -> Standing {
        let before = self.now;
        self.look_at_the_clock();
        let asked = self.permit.take();
        let took = asked.and(self.policy.slow_call).map(|_| self.now.saturating_sub(before));
        let mut breaker = lock(&self.breaker);
        let earlier = breaker.record_successes(self.now, successes as usize);
        // A plain gate lets events through without asking. Otherwise what was not asked for is no call (a clock that
        // panics), or was let through before those in front of it have opened the breaker: it changes nothing.
        let is_closed = breaker.state() == BreakerState::Closed;
        let permit =
            asked.or_else(|| is_closed.then(|| breaker.permit(self.now)).flatten().map(|(permit, _)| permit));
        let outcome = if failed { CallOutcome::Failure } else { CallOutcome::Success };
        let own = permit.and_then(|permit| breaker.record(self.now, permit, outcome, took));
        let (state, would_permit) = (breaker.state(), breaker.would_permit(self.now));
        drop(breaker);
        self.tell(earlier);
        self.tell(own);
        self.standing(state, would_permit)
    }
}
