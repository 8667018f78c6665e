//! Waiting is a value: what a worker does between two duty cycles that found no work.
//!
//! A worker calls [`IdleState::idle`] after every duty cycle. What happens next is decided by a pure function of the
//! strategy and of the number of empty duty cycles in a row ([`next_step`]); only doing it has effects.

mod auto;
mod parker;

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use auto::{AutoCase, choose_auto};
pub use parker::{Parker, Waker};

use crate::sync;

/// How a worker waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Idle {
    /// Never gives the CPU away. Lowest latency; needs a CPU of its own.
    Spin,
    /// Offers the CPU to others after every empty duty cycle.
    Yield,
    /// Spins, yields, then sleeps for times that double from 1 us to 1 ms. Nobody wakes it.
    Backoff,
    /// Spins, yields, then sleeps until the producer wakes it.
    Park,
    /// `spin` where every worker has a CPU of its own, else `backoff`; see [`choose_auto`].
    #[default]
    Auto,
}

impl Idle {
    /// Every strategy, in the order in which messages list them.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Spin, Self::Yield, Self::Backoff, Self::Park];

    /// The strategy's name in programs and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::Yield => "yield",
            Self::Backoff => "backoff",
            Self::Park => "park",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no idle strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownIdle(String);

impl fmt::Display for UnknownIdle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no idle strategy; known are {}", self.0, Idle::ALL.map(Idle::name).join(", "))
    }
}

impl Error for UnknownIdle {}

impl FromStr for Idle {
    type Err = UnknownIdle;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|idle| idle.name() == text).ok_or_else(|| UnknownIdle(text.to_owned()))
    }
}

/// One thing to do instead of working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tell the CPU that this is a busy-waiting loop.
    Spin,
    /// Offer the CPU to another thread.
    Yield,
    /// Sleep for a fixed time.
    Sleep(Duration),
    /// Tell the wakers that the next step may be [`Step::Park`], and go back to work: that duty cycle is the look at
    /// the rings that has to lie between announcing a sleep and sleeping.
    Announce,
    /// Sleep until woken.
    Park,
}

/// How often [`Idle::Backoff`] and [`Idle::Park`] spin before they yield.
///
/// Under loom there is nothing to be won by it, and each spin would multiply the schedules to explore.
pub const SPINS: u32 = if cfg!(loom) { 0 } else { 10 };
/// How often they yield before they sleep; under loom as with [`SPINS`].
pub const YIELDS: u32 = if cfg!(loom) { 0 } else { 5 };
/// The first sleep of [`Idle::Backoff`]; each further one is twice as long.
pub const SHORTEST_SLEEP: Duration = Duration::from_micros(1);
/// The longest sleep of [`Idle::Backoff`].
pub const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// What to do after `empty_before + 1` duty cycles in a row found no work.
///
/// [`Idle::Auto`] counts as [`Idle::Backoff`], which is tolerable anywhere; resolve it first.
pub fn next_step(idle: Idle, empty_before: u32) -> Step {
    match idle {
        Idle::Spin => Step::Spin,
        Idle::Yield => Step::Yield,
        _ if empty_before < SPINS => Step::Spin,
        _ if empty_before < SPINS + YIELDS => Step::Yield,
        Idle::Backoff | Idle::Auto => {
            let doublings = (empty_before - SPINS - YIELDS).min(DOUBLINGS);
            Step::Sleep((SHORTEST_SLEEP * (1 << doublings)).min(LONGEST_SLEEP))
        }
        Idle::Park if (empty_before - SPINS - YIELDS).is_multiple_of(2) => Step::Announce,
        Idle::Park => Step::Park,
    }
}

/// After so many doublings [`LONGEST_SLEEP`] is reached.
const DOUBLINGS: u32 = 10;

/// From here on the steps repeat with period two, so counting goes back and forth between this and the number before.
const LAST_EMPTY: u32 = SPINS + YIELDS + DOUBLINGS + 1;

/// A worker's waiting: the strategy, how long it has found nothing, and what its peers wake it with.
///
/// ```
/// use varpin::idle::{Idle, IdleState};
/// let mut idle = IdleState::new(Idle::Backoff);
/// let mut work = 3;
/// while work > 0 || idle.empty_cycles() < 12 {
///     let done = work.min(1); // a duty cycle
///     work -= done;
///     idle.idle(done);
/// }
/// ```
#[derive(Debug)]
pub struct IdleState {
    strategy: Idle,
    empty_before: u32,
    announced: bool,
    parker: Parker,
    longest_park: Duration,
}

impl IdleState {
    /// How long [`Idle::Park`] sleeps when nobody wakes it, so that a stage sees timers of its own pass.
    pub const DEFAULT_LONGEST_PARK: Duration = Duration::from_millis(100);

    /// Waiting by `strategy`, with nothing waited yet.
    pub fn new(strategy: Idle) -> Self {
        Self {
            strategy,
            empty_before: 0,
            announced: false,
            parker: Parker::new(),
            longest_park: Self::DEFAULT_LONGEST_PARK,
        }
    }

    /// The same, but a sleep of [`Idle::Park`] ends after `limit` at the latest.
    #[must_use]
    pub fn with_longest_park(mut self, limit: Duration) -> Self {
        self.longest_park = limit;
        self
    }

    /// The strategy.
    pub fn strategy(&self) -> Idle {
        self.strategy
    }

    /// How many duty cycles in a row found no work; stops growing where the strategy's steps repeat.
    pub fn empty_cycles(&self) -> u32 {
        self.empty_before
    }

    /// What the peers of this worker give to their ends of the rings between them
    /// ([`Sender::set_waker`](crate::ring::Sender::set_waker),
    /// [`Receiver::set_waker`](crate::ring::Receiver::set_waker)). `None` when this worker never sleeps until
    /// woken: then those rings need no fence.
    pub fn waker(&self) -> Option<Waker> {
        (self.strategy == Idle::Park).then(|| self.parker.waker())
    }

    /// Whether [`idle`](Self::idle) would sleep after a duty cycle that did so much.
    #[inline]
    pub fn sleeps_after(&self, work_done: usize) -> bool {
        work_done == 0 && matches!(next_step(self.strategy, self.empty_before), Step::Sleep(_) | Step::Park)
    }

    /// Waits a little if the duty cycle just done found no work. A duty cycle counts as work everything that another
    /// thread could be waiting for; with [`Idle::Park`] it has to look at every ring whose peer has the
    /// [`waker`](Self::waker).
    #[inline]
    pub fn idle(&mut self, work_done: usize) {
        if work_done > 0 {
            self.empty_before = 0;
            if self.announced {
                self.announced = false;
                self.parker.cancel();
            }
        } else {
            self.wait();
        }
    }

    fn wait(&mut self) {
        let step = next_step(self.strategy, self.empty_before);
        self.empty_before =
            if self.empty_before == LAST_EMPTY { LAST_EMPTY - 1 } else { self.empty_before + 1 };
        match step {
            Step::Spin => sync::spin_loop(),
            Step::Yield => sync::yield_now(),
            Step::Sleep(time) => sync::sleep(time),
            Step::Announce => {
                self.parker.announce();
                self.announced = true;
            }
            Step::Park => {
                self.announced = false;
                self.parker.park(self.longest_park);
            }
        }
    }
}
