//! A circuit breaker: whether a call is let through, as a pure state machine. Names and rules are resilience4j's.
//!
//! - *closed*: every call is let through. The outcomes of the last `window` calls are kept; once there are at least
//!   `min_calls` of them, a share of failures of `failure_rate` or more opens the breaker, and so does a share of
//!   slow calls of `slow_rate` or more.
//! - *open*: no call is let through, for `open_for`. What becomes of the work meanwhile is its owner's policy
//!   ([`WhileOpen`]).
//! - *half-open*: exactly `probes` calls are let through. When all their outcomes are known, the same two shares
//!   among them decide: open again, or closed with nothing remembered.
//!
//! A call belongs to the state in which it was let through. Its [`Permit`] says which that was, so an outcome that
//! comes late, when the state has changed, changes nothing.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What is declared about a breaker.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerPolicy {
    /// This share of failed calls opens it; above 0, up to 1. Default: 0.5.
    pub failure_rate: f64,
    /// The last so many calls count. Default: 100.
    pub window: u32,
    /// With fewer outcomes than this it stays closed; more than `window` count as `window`. Default: 10.
    pub min_calls: u32,
    /// How long no call is let through. Default: 5 s.
    pub open_for: Duration,
    /// Calls let through while half-open. Default: 3.
    pub probes: u32,
    /// A call that took at least this long is slow; `None`: nobody looks. Default: `None`.
    pub slow_call: Option<Duration>,
    /// This share of slow calls opens it. Default: 1.
    pub slow_rate: f64,
    /// What becomes of the work while it is open. Default: hold.
    pub while_open: WhileOpen,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            failure_rate: 0.5,
            window: 100,
            min_calls: 10,
            open_for: Duration::from_secs(5),
            probes: 3,
            slow_call: None,
            slow_rate: 1.0,
            while_open: WhileOpen::Hold,
        }
    }
}

/// What becomes of work that comes while a breaker is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhileOpen {
    /// It waits where it is, and pushes back.
    #[default]
    Hold,
    /// It goes to the dead letters.
    DeadLetter,
    /// It is dropped and counted.
    Drop,
}

impl WhileOpen {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Hold, Self::DeadLetter, Self::Drop];

    /// The name in programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::DeadLetter => "dead_letter",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for WhileOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no [`WhileOpen`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWhileOpen(String);

impl fmt::Display for UnknownWhileOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = WhileOpen::ALL.map(WhileOpen::name).join(", ");
        write!(f, "`{}` is nothing that a breaker can do while it is open; known are {known}", self.0)
    }
}

impl Error for UnknownWhileOpen {}

impl FromStr for WhileOpen {
    type Err = UnknownWhileOpen;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|policy| policy.name() == text).ok_or(UnknownWhileOpen(text.to_owned()))
    }
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BreakerState {
    /// Every call is let through.
    Closed = 0,
    /// None is.
    Open = 1,
    /// Some are, to see how it goes.
    HalfOpen = 2,
}

impl BreakerState {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It succeeded.
    Success,
    /// It failed.
    Failure,
}

/// A change of state, and the shares that made it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerChange {
    /// The state from now on.
    pub to: BreakerState,
    /// The share of failed calls among those that count.
    pub failure_rate: f64,
    /// The share of slow calls among those that count.
    pub slow_rate: f64,
}

/// A call was let through; to be given back with its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the outcome of the call is recorded with it"]
pub struct Permit {
    /// Counts changes of state.
    era: u64,
}

/// The last so many outcomes, two bits each, and how many of them are failures and slow.
#[derive(Clone, Debug)]
struct Window {
    outcomes: Box<[u8]>,
    next: usize,
    len: usize,
    failures: usize,
    slow: usize,
}

impl Window {
    const FAILED: u8 = 1;
    const SLOW: u8 = 2;

    fn new(size: u32) -> Self {
        let outcomes = vec![0; size.max(1) as usize].into();
        Self { outcomes, next: 0, len: 0, failures: 0, slow: 0 }
    }

    fn clear(&mut self) {
        // A place that is not in use holds a success.
        self.outcomes.fill(0);
        (self.next, self.len, self.failures, self.slow) = (0, 0, 0, 0);
    }

    #[inline]
    fn push(&mut self, outcome: u8) {
        let size = self.outcomes.len();
        let oldest = std::mem::replace(&mut self.outcomes[self.next], outcome);
        if self.len == size {
            self.failures -= usize::from(oldest & Self::FAILED != 0);
            self.slow -= usize::from(oldest & Self::SLOW != 0);
        } else {
            self.len += 1;
        }
        self.failures += usize::from(outcome & Self::FAILED != 0);
        self.slow += usize::from(outcome & Self::SLOW != 0);
        self.next = if self.next + 1 == size { 0 } else { self.next + 1 };
    }

    /// As many times a success that was not slow.
    #[inline]
    fn push_successes(&mut self, count: usize) {
        let size = self.outcomes.len();
        if self.failures + self.slow == 0 && self.len == size {
            // Nothing but successes before and after.
            return;
        }
        self.push_successes_over(count.min(size));
    }

    fn push_successes_over(&mut self, count: usize) {
        let size = self.outcomes.len();
        let (to_end, from_start) = (count.min(size - self.next), count.saturating_sub(size - self.next));
        for range in [self.next..self.next + to_end, 0..from_start] {
            // Places that were not in use yet hold successes.
            let replaced = &mut self.outcomes[range];
            self.failures -= replaced.iter().filter(|&&oldest| oldest & Self::FAILED != 0).count();
            self.slow -= replaced.iter().filter(|&&oldest| oldest & Self::SLOW != 0).count();
            replaced.fill(0);
        }
        self.len = (self.len + count).min(size);
        self.next = (self.next + count) % size;
    }
}

/// A circuit breaker. It reads no clock: whoever asks says what time it is, by a clock that never goes back.
///
/// ```
/// use std::time::Duration;
/// use varpin::supervise::{Breaker, BreakerPolicy, BreakerState, CallOutcome};
/// let policy = BreakerPolicy { min_calls: 2, probes: 1, ..BreakerPolicy::default() };
/// let mut breaker = Breaker::new(policy);
/// let at = Duration::from_secs;
/// for _ in 0..2 {
///     let (permit, _) = breaker.permit(at(0)).unwrap();
///     breaker.record(at(0), permit, CallOutcome::Failure, None);
/// }
/// assert_eq!(breaker.state(), BreakerState::Open);
/// assert!(breaker.permit(at(4)).is_none());
/// let (permit, _) = breaker.permit(at(5)).unwrap(); // the probe
/// assert!(breaker.permit(at(5)).is_none());
/// breaker.record(at(5), permit, CallOutcome::Success, None);
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// ```
#[derive(Clone, Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: BreakerState,
    era: u64,
    window: Window,
    /// While open: when it becomes half-open.
    open_until: Duration,
    /// While half-open: probes let through, and those whose outcome is known.
    let_through: u32,
    known: u32,
    failed: u32,
    slow: u32,
}

impl Breaker {
    /// A closed breaker. Counts of 0 are taken for 1.
    pub fn new(mut policy: BreakerPolicy) -> Self {
        policy.window = policy.window.max(1);
        policy.min_calls = policy.min_calls.clamp(1, policy.window);
        policy.probes = policy.probes.max(1);
        Self {
            state: BreakerState::Closed,
            era: 0,
            window: Window::new(policy.window),
            open_until: Duration::ZERO,
            let_through: 0,
            known: 0,
            failed: 0,
            slow: 0,
            policy,
        }
    }

    /// What is declared.
    pub fn policy(&self) -> &BreakerPolicy {
        &self.policy
    }

    /// The state. Open stays open until somebody asks for a [`permit`](Self::permit) after its time.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// While open: when it will let probes through.
    pub fn open_until(&self) -> Option<Duration> {
        (self.state == BreakerState::Open).then_some(self.open_until)
    }

    /// Whether a call would be let through at `now`. Changes nothing.
    #[inline]
    pub fn would_permit(&self, now: Duration) -> bool {
        match self.state {
            BreakerState::Closed => true,
            BreakerState::Open => now >= self.open_until,
            BreakerState::HalfOpen => self.let_through < self.policy.probes,
        }
    }

    /// Lets a call through, or not. The change tells that it has become half-open by that.
    #[inline]
    pub fn permit(&mut self, now: Duration) -> Option<(Permit, Option<BreakerChange>)> {
        if self.state == BreakerState::Closed {
            return Some((Permit { era: self.era }, None));
        }
        self.permit_probe(now)
    }

    fn permit_probe(&mut self, now: Duration) -> Option<(Permit, Option<BreakerChange>)> {
        if !self.would_permit(now) {
            return None;
        }
        let change =
            (self.state == BreakerState::Open).then(|| self.change(BreakerState::HalfOpen, 0.0, 0.0));
        self.let_through += 1;
        Some((Permit { era: self.era }, change))
    }

    /// Takes back a permit whose call was not made.
    pub fn cancel(&mut self, permit: Permit) {
        if permit.era == self.era && self.state == BreakerState::HalfOpen {
            self.let_through = self.let_through.saturating_sub(1);
        }
    }

    /// Takes the outcome of a call that was let through, and how long it took, if that was measured.
    #[inline]
    pub fn record(
        &mut self,
        now: Duration,
        permit: Permit,
        outcome: CallOutcome,
        took: Option<Duration>,
    ) -> Option<BreakerChange> {
        if permit.era != self.era {
            return None;
        }
        let is_slow = self.policy.slow_call.is_some_and(|slow| took.is_some_and(|took| took >= slow));
        let failed = outcome == CallOutcome::Failure;
        match self.state {
            BreakerState::Open => None,
            BreakerState::Closed => {
                let failed_bit = if failed { Window::FAILED } else { 0 };
                self.window.push(failed_bit | if is_slow { Window::SLOW } else { 0 });
                // A success that was not slow makes no share larger.
                if failed || is_slow || self.window.len == self.policy.min_calls as usize {
                    let Window { len, failures, slow, .. } = self.window;
                    self.decide(now, len, failures, slow, self.policy.min_calls as usize)
                } else {
                    None
                }
            }
            BreakerState::HalfOpen => {
                self.known += 1;
                self.failed += u32::from(failed);
                self.slow += u32::from(is_slow);
                let (known, failed, slow) = (self.known as usize, self.failed as usize, self.slow as usize);
                let probes = self.policy.probes as usize;
                self.decide(now, known, failed, slow, probes).or_else(|| {
                    let (failure_rate, slow_rate) = rates(known, failed, slow);
                    (known >= probes).then(|| self.change(BreakerState::Closed, failure_rate, slow_rate))
                })
            }
        }
    }

    /// Takes so many successes of calls for which nobody asked a permit, because the breaker was closed. Takes a time
    /// that does not grow with their number.
    #[inline]
    pub fn record_successes(&mut self, now: Duration, count: usize) -> Option<BreakerChange> {
        if self.state != BreakerState::Closed || count == 0 {
            return None;
        }
        if !self.can_open_by_successes() {
            self.window.push_successes(count);
            return None;
        }
        // Up to the one that makes the outcomes enough to decide by.
        let min_calls = self.policy.min_calls as usize;
        let first = count.min(min_calls - self.window.len);
        self.window.push_successes(first);
        let Window { len, failures, slow, .. } = self.window;
        let change = self.decide(now, len, failures, slow, min_calls);
        if change.is_none() {
            self.window.push_successes(count - first);
        }
        change
    }

    /// Whether a success can open the breaker: it makes no share larger, but it can be the one with which the outcomes
    /// are enough to decide by.
    #[inline]
    pub fn can_open_by_successes(&self) -> bool {
        let Window { len, failures, slow, .. } = self.window;
        self.state == BreakerState::Closed && failures + slow > 0 && len < self.policy.min_calls as usize
    }

    /// Opens the breaker if there are at least `least` outcomes and a share of them is too large.
    fn decide(
        &mut self,
        now: Duration,
        count: usize,
        failures: usize,
        slow: usize,
        least: usize,
    ) -> Option<BreakerChange> {
        if count < least {
            return None;
        }
        let (failure_rate, slow_rate) = rates(count, failures, slow);
        let too_slow = self.policy.slow_call.is_some() && slow > 0 && slow_rate >= self.policy.slow_rate;
        if too_slow || failures > 0 && failure_rate >= self.policy.failure_rate {
            self.open_until = now.saturating_add(self.policy.open_for);
            return Some(self.change(BreakerState::Open, failure_rate, slow_rate));
        }
        None
    }

    fn change(&mut self, to: BreakerState, failure_rate: f64, slow_rate: f64) -> BreakerChange {
        self.state = to;
        self.era += 1;
        self.window.clear();
        (self.let_through, self.known, self.failed, self.slow) = (0, 0, 0, 0);
        BreakerChange { to, failure_rate, slow_rate }
    }
}

fn rates(count: usize, failures: usize, slow: usize) -> (f64, f64) {
    let count = count.max(1) as f64;
    (failures as f64 / count, slow as f64 / count)
}
