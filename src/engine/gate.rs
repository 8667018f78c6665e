//! The circuit breaker of a context, in front of each of its stages. They run on one thread, so its lock is never
//! contended.

use std::time::{Duration, Instant};

use crate::context::{Admission, GateKeeper, Standing};
use crate::supervise::{
    Breaker, BreakerChange, BreakerGauge, BreakerPolicy, BreakerState, CallOutcome, Component, EventKind,
    Events, Permit, WhileOpen,
};
use crate::sync::{Arc, Mutex, MutexGuard};

/// A panic elsewhere leaves a whole state: each change is made at its end.
fn lock(breaker: &Mutex<Breaker>) -> MutexGuard<'_, Breaker> {
    breaker.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A breaker that keeps the gate of a stage.
pub(super) struct BreakerGate {
    breaker: Arc<Mutex<Breaker>>,
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
        breaker: &Arc<Mutex<Breaker>>,
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

    fn standing(&mut self) -> Standing {
        let breaker = lock(&self.breaker);
        let is_plain = breaker.state() == BreakerState::Closed && self.policy.slow_call.is_none();
        let holds = self.policy.while_open == WhileOpen::Hold && !breaker.would_permit(self.now);
        drop(breaker);
        if holds && !self.is_held {
            self.gauge.count_held();
        }
        self.is_held = holds;
        Standing { is_plain, holds }
    }

    fn tell(&self, change: Option<BreakerChange>) {
        if let Some(change) = change {
            self.gauge.set_state(change.to);
            self.events.tell(Component::Context(self.context.clone()), EventKind::Breaker(change));
        }
    }
}

impl GateKeeper for BreakerGate {
    fn begin(&mut self, successes: u64) -> Standing {
        let change = lock(&self.breaker).record_successes(self.now, successes as usize);
        self.tell(change);
        if lock(&self.breaker).state() != BreakerState::Closed {
            self.look_at_the_clock();
        }
        self.standing()
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
        let change = lock(&self.breaker).record_successes(self.now, successes as usize);
        self.tell(change);
        let before = self.now;
        self.look_at_the_clock();
        let took = self.policy.slow_call.map(|_| self.now.saturating_sub(before));
        // A plain gate lets events through without asking.
        let permit =
            self.permit.take().or_else(|| lock(&self.breaker).permit(self.now).map(|(permit, _)| permit));
        if let Some(permit) = permit {
            let outcome = if failed { CallOutcome::Failure } else { CallOutcome::Success };
            let change = lock(&self.breaker).record(self.now, permit, outcome, took);
            self.tell(change);
        }
        self.standing()
    }
}
