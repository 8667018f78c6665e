//! What is declared about failures, setting by setting, and what that amounts to.
//!
//! Whoever declares says only what matters to them: the caller for one context, the caller for all, the program for
//! one context, the program for all, in this order. The first that says something about a setting wins, and what
//! nobody speaks of has its default.

use std::time::Duration;

use super::breaker::{BreakerPolicy, WhileOpen};
use super::restart::{Restart, RestartPolicy};

/// Settings of one context (or of all, or of the output); `None` says nothing about a setting.
///
/// ```
/// use std::time::Duration;
/// use varpin::supervise::{Declared, Restart};
/// let one = Declared { restart: Some(Restart::OnFailure), ..Declared::default() };
/// let all = Declared { restart: Some(Restart::Never), max_restarts: Some(3), ..Declared::default() };
/// let supervised = one.or(&all).supervised();
/// assert_eq!((supervised.restart.restart, supervised.restart.max_restarts), (Restart::OnFailure, 3));
/// assert!(supervised.breaker.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// See [`RestartPolicy::restart`].
    pub restart: Option<Restart>,
    /// See [`RestartPolicy::max_restarts`].
    pub max_restarts: Option<u32>,
    /// See [`RestartPolicy::restart_window`].
    pub restart_window: Option<Duration>,
    /// See [`RestartPolicy::backoff_min`].
    pub backoff_min: Option<Duration>,
    /// See [`RestartPolicy::backoff_max`].
    pub backoff_max: Option<Duration>,
    /// See [`RestartPolicy::backoff_factor`].
    pub backoff_factor: Option<f64>,
    /// See [`RestartPolicy::jitter`].
    pub jitter: Option<f64>,
    /// See [`RestartPolicy::max_attempts`].
    pub max_attempts: Option<u32>,
    /// See [`BreakerPolicy::failure_rate`].
    pub breaker_failure_rate: Option<f64>,
    /// See [`BreakerPolicy::window`].
    pub breaker_window: Option<u32>,
    /// See [`BreakerPolicy::min_calls`].
    pub breaker_min_calls: Option<u32>,
    /// See [`BreakerPolicy::open_for`].
    pub breaker_open_for: Option<Duration>,
    /// See [`BreakerPolicy::probes`].
    pub breaker_probes: Option<u32>,
    /// See [`BreakerPolicy::slow_call`].
    pub breaker_slow_call: Option<Duration>,
    /// See [`BreakerPolicy::slow_rate`].
    pub breaker_slow_rate: Option<f64>,
    /// See [`BreakerPolicy::while_open`].
    pub breaker_open: Option<WhileOpen>,
    /// See [`StallPolicy::after`].
    pub stall_after: Option<Duration>,
    /// See [`StallPolicy::escalates`].
    pub stall_escalates: Option<bool>,
}

/// What settings amount to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Supervised {
    /// Whether and when it is restarted.
    pub restart: RestartPolicy,
    /// Its breaker; none where nothing is declared about one.
    pub breaker: Option<BreakerPolicy>,
    /// When it counts as stalled.
    pub stall: StallPolicy,
    /// Something was declared about stalls, so somebody has to look.
    pub is_watched: bool,
}

/// When a thread that does not come back from a duty cycle is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StallPolicy {
    /// After so long. Default: 1 s.
    pub after: Duration,
    /// Whether that ends the run. Default: it is only reported.
    pub escalates: bool,
}

impl Default for StallPolicy {
    fn default() -> Self {
        Self { after: Duration::from_secs(1), escalates: false }
    }
}

impl Declared {
    /// These settings; where they say nothing, those of `others`.
    #[must_use]
    pub fn or(&self, others: &Self) -> Self {
        macro_rules! either {
            ($($field:ident)*) => { Self { $($field: self.$field.or(others.$field)),* } };
        }
        either!(restart max_restarts restart_window backoff_min backoff_max backoff_factor jitter max_attempts
            breaker_failure_rate breaker_window breaker_min_calls breaker_open_for breaker_probes breaker_slow_call
            breaker_slow_rate breaker_open stall_after stall_escalates)
    }

    /// What they amount to.
    pub fn supervised(&self) -> Supervised {
        let restart = RestartPolicy::default();
        let breaker = BreakerPolicy::default();
        let stall = StallPolicy::default();
        Supervised {
            restart: RestartPolicy {
                restart: self.restart.unwrap_or(restart.restart),
                max_restarts: self.max_restarts.unwrap_or(restart.max_restarts),
                restart_window: self.restart_window.unwrap_or(restart.restart_window),
                backoff_min: self.backoff_min.unwrap_or(restart.backoff_min),
                backoff_max: self.backoff_max.unwrap_or(restart.backoff_max),
                backoff_factor: self.backoff_factor.unwrap_or(restart.backoff_factor),
                jitter: self.jitter.unwrap_or(restart.jitter),
                max_attempts: self.max_attempts.unwrap_or(restart.max_attempts),
            },
            breaker: self.has_breaker().then(|| BreakerPolicy {
                failure_rate: self.breaker_failure_rate.unwrap_or(breaker.failure_rate),
                window: self.breaker_window.unwrap_or(breaker.window),
                min_calls: self.breaker_min_calls.unwrap_or(breaker.min_calls),
                open_for: self.breaker_open_for.unwrap_or(breaker.open_for),
                probes: self.breaker_probes.unwrap_or(breaker.probes),
                slow_call: self.breaker_slow_call,
                slow_rate: self.breaker_slow_rate.unwrap_or(breaker.slow_rate),
                while_open: self.breaker_open.unwrap_or(breaker.while_open),
            }),
            stall: StallPolicy {
                after: self.stall_after.unwrap_or(stall.after),
                escalates: self.stall_escalates.unwrap_or(stall.escalates),
            },
            is_watched: self.stall_after.is_some() || self.stall_escalates.is_some(),
        }
    }

    fn has_breaker(&self) -> bool {
        self.breaker_failure_rate.is_some()
            || self.breaker_window.is_some()
            || self.breaker_min_calls.is_some()
            || self.breaker_open_for.is_some()
            || self.breaker_probes.is_some()
            || self.breaker_slow_call.is_some()
            || self.breaker_slow_rate.is_some()
            || self.breaker_open.is_some()
    }
}

impl Supervised {
    /// Whether it needs somebody beside the thread itself.
    pub fn needs_supervisor(&self) -> bool {
        self.restart.restart != Restart::Never || self.breaker.is_some() || self.is_watched
    }
}

#[cfg(feature = "vpl")]
impl From<&crate::vpl::plan::SupervisionSettings> for Declared {
    /// What a program says. Its words were checked when it was resolved.
    fn from(settings: &crate::vpl::plan::SupervisionSettings) -> Self {
        let time = |ns: Option<i64>| ns.map(|ns| Duration::from_nanos(ns.max(0) as u64));
        Self {
            restart: settings.restart.as_deref().and_then(|word| word.parse().ok()),
            max_restarts: settings.max_restarts,
            restart_window: time(settings.restart_window_ns),
            backoff_min: time(settings.backoff_min_ns),
            backoff_max: time(settings.backoff_max_ns),
            backoff_factor: settings.backoff_factor,
            jitter: settings.jitter,
            max_attempts: settings.max_attempts,
            breaker_failure_rate: settings.breaker_failure_rate,
            breaker_window: settings.breaker_window,
            breaker_min_calls: settings.breaker_min_calls,
            breaker_open_for: time(settings.breaker_open_for_ns),
            breaker_probes: settings.breaker_probes,
            breaker_slow_call: time(settings.breaker_slow_call_ns),
            breaker_slow_rate: settings.breaker_slow_rate,
            breaker_open: settings.breaker_open.as_deref().and_then(|word| word.parse().ok()),
            stall_after: time(settings.stall_after_ns),
            stall_escalates: settings.on_stall.as_deref().map(|word| word == "escalate"),
        }
    }
}
