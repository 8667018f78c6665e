//! Whether and when something that ended is started again: a pure function of what happened and when.
//!
//! Three numbers are kept apart that are often mixed up: how many restarts lie in the sliding window (beyond
//! `max_restarts` the failure *escalates*), how long the series of failures is (each makes the next delay longer),
//! and how long it has been quiet (a whole `restart_window` without a failure ends the series). A series is
//! ended by time spent running, not by time spent waiting for the restart: else a delay as long as the window would
//! end its own series.
//!
//! A limit on restarts in a window can only be exceeded if that many fit into it. Where the delays are so long
//! that they don't, the thing is restarted for ever, slowly; [`RestartPolicy::can_escalate`] tells.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// After which kind of end something is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// After a failure, and also when it ended of its own accord although more would have come.
    Always,
    /// After a failure.
    OnFailure,
    /// Not at all: a failure escalates at once.
    #[default]
    Never,
}

impl Restart {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Always, Self::OnFailure, Self::Never];

    /// The name in programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnFailure => "on_failure",
            Self::Never => "never",
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no [`Restart`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRestart(String);

impl fmt::Display for UnknownRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no restart policy; known are {}",
            self.0,
            Restart::ALL.map(Restart::name).join(", ")
        )
    }
}

impl Error for UnknownRestart {}

impl FromStr for Restart {
    type Err = UnknownRestart;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|restart| restart.name() == text).ok_or(UnknownRestart(text.to_owned()))
    }
}

/// What is declared about restarts.
///
/// ```
/// use std::time::Duration;
/// use varpin::supervise::{Restart, RestartPolicy};
/// let policy = RestartPolicy { restart: Restart::OnFailure, max_restarts: 3, ..RestartPolicy::default() };
/// assert!(policy.can_escalate());
/// // Three delays of 10 s don't fit into 10 s: this one goes on for ever.
/// assert!(!RestartPolicy { backoff_min: Duration::from_secs(10), ..policy }.can_escalate());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RestartPolicy {
    /// After which kind of end. Default: never.
    pub restart: Restart,
    /// This many restarts may lie in the window; one more escalates. Default: 5.
    pub max_restarts: u32,
    /// The sliding window, and the quiet time that ends a series of failures. Default: 10 s.
    pub restart_window: Duration,
    /// The delay of the first restart of a series. Default: 100 ms.
    pub backoff_min: Duration,
    /// The longest delay. Default: 10 s.
    pub backoff_max: Duration,
    /// Each delay of a series is so many times the one before; at least 1. Default: 2.
    pub backoff_factor: f64,
    /// A delay is drawn from this share around itself, 0.1 is +- 10 %; it never leaves `backoff_min` to
    /// `backoff_max`. From 0 to 1. Default: 0.1.
    pub jitter: f64,
    /// How often an event is tried again that made a context fail, before it goes to the dead letters. Default: 1.
    pub max_attempts: u32,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            restart: Restart::Never,
            max_restarts: 5,
            restart_window: Duration::from_secs(10),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            backoff_factor: 2.0,
            jitter: 0.1,
            max_attempts: 1,
        }
    }
}

impl RestartPolicy {
    /// The delay of restart number `in_series` (from 0) before jitter.
    pub fn delay(&self, in_series: u32) -> Duration {
        let factor = self.backoff_factor.max(1.0).powf(f64::from(in_series));
        // Nothing grows out of nothing, and the factor may be infinite by now.
        if self.backoff_min.is_zero() {
            Duration::ZERO
        } else {
            scaled(self.backoff_min, factor).min(self.longest())
        }
    }

    /// The longest delay.
    fn longest(&self) -> Duration {
        self.backoff_max.max(self.backoff_min)
    }

    /// Whether failures that follow each other without a pause ever exceed `max_restarts` in the window.
    pub fn can_escalate(&self) -> bool {
        if self.restart == Restart::Never {
            return true;
        }
        // As many delays as there may be restarts have to fit, at their shortest.
        let shortest = |in_series| {
            scaled(self.delay(in_series), 1.0 - self.jitter.clamp(0.0, 1.0)).max(self.backoff_min)
        };
        let mut spent = Duration::ZERO;
        for in_series in 0..self.max_restarts {
            let delay = shortest(in_series);
            spent = spent.saturating_add(delay);
            if spent >= self.restart_window {
                return false;
            }
            // From here on all are alike.
            if self.delay(in_series) == self.delay(in_series + 1) {
                spent = spent.saturating_add(delay.saturating_mul(self.max_restarts - in_series - 1));
                break;
            }
        }
        spent < self.restart_window
    }
}

/// `delay` times `factor`; the longest there is, where that is too long for a duration.
fn scaled(delay: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(delay.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Of its own accord, although more would have come.
    Normal,
    /// It failed.
    Failed,
}

/// What becomes of something that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is started again after this delay.
    Restart {
        /// The delay.
        after: Duration,
    },
    /// It stays ended, and that is in order.
    Leave,
    /// It stays ended, and the whole run is to end: there were so many restarts within the window already.
    Escalate {
        /// Restarts in the window.
        restarts: u32,
    },
}

/// Numbers that look random and are the same in every run with the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// Begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, from 0 up to but not including 1.
    pub fn next_unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        // 53 bits are all that fit.
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws a delay from around `delay`, as `policy` says.
    pub fn spread(&mut self, delay: Duration, policy: &RestartPolicy) -> Duration {
        let share = policy.jitter.clamp(0.0, 1.0);
        if share == 0.0 || delay.is_zero() {
            return delay;
        }
        let scale = 1.0 + share * (2.0 * self.next_unit() - 1.0);
        scaled(delay, scale).clamp(policy.backoff_min, policy.longest())
    }
}

/// The restarts of one thing.
///
/// ```
/// use std::time::Duration;
/// use varpin::supervise::{Decision, Ending, Restart, RestartPolicy, Restarts};
/// let policy = RestartPolicy {
///     restart: Restart::OnFailure,
///     max_restarts: 2,
///     jitter: 0.0,
///     ..RestartPolicy::default()
/// };
/// let mut restarts = Restarts::new(policy, 1);
/// let after = |ms| Decision::Restart { after: Duration::from_millis(ms) };
/// assert_eq!(restarts.ended(Duration::from_secs(0), Ending::Failed), after(100));
/// assert_eq!(restarts.ended(Duration::from_secs(1), Ending::Failed), after(200));
/// assert_eq!(restarts.ended(Duration::from_secs(2), Ending::Failed), Decision::Escalate { restarts: 2 });
/// ```
#[derive(Clone, Debug)]
pub struct Restarts {
    policy: RestartPolicy,
    jitter: Jitter,
    /// When restarts were decided on, within the window; never more than `max_restarts`.
    recent: VecDeque<Duration>,
    in_series: u32,
    /// When the last restart takes place: from then on it may be quiet.
    running_since: Duration,
    total: u64,
}

impl Restarts {
    /// Nothing has ended yet. `seed` is that of the jitter.
    pub fn new(policy: RestartPolicy, seed: u64) -> Self {
        Self {
            policy,
            jitter: Jitter::new(seed),
            recent: VecDeque::new(),
            in_series: 0,
            running_since: Duration::ZERO,
            total: 0,
        }
    }

    /// What is declared.
    pub fn policy(&self) -> &RestartPolicy {
        &self.policy
    }

    /// It has ended at `now`, by a clock that never goes back.
    pub fn ended(&mut self, now: Duration, how: Ending) -> Decision {
        match (self.policy.restart, how) {
            (Restart::Always, _) | (Restart::OnFailure, Ending::Failed) => {}
            (Restart::OnFailure | Restart::Never, Ending::Normal) => return Decision::Leave,
            (Restart::Never, Ending::Failed) => return Decision::Escalate { restarts: 0 },
        }
        let window = self.policy.restart_window;
        while self.recent.front().is_some_and(|&at| now.saturating_sub(at) >= window) {
            self.recent.pop_front();
        }
        let restarts = self.recent.len() as u32;
        if restarts >= self.policy.max_restarts {
            return Decision::Escalate { restarts };
        }
        if now.saturating_sub(self.running_since) >= window {
            self.in_series = 0;
        }
        let after = self.jitter.spread(self.policy.delay(self.in_series), &self.policy);
        self.recent.push_back(now);
        self.in_series = self.in_series.saturating_add(1);
        self.running_since = now.saturating_add(after);
        self.total += 1;
        Decision::Restart { after }
    }

    /// Restarts decided on so far.
    pub fn total(&self) -> u64 {
        self.total
    }
}
