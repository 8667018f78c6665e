//! A stage: something steppable. Whoever steps it (a worker, an embedder, a model checker) decides when and how often.

use super::out_port::RingLeft;
use super::runtime::OutsideEnds;
use crate::ring::Tally;

/// Something steppable that reads rings and writes rings.
///
/// ```
/// use varpin::flow::{Cycle, Stage};
/// struct CountDown(u32);
/// impl Stage for CountDown {
///     fn name(&self) -> &str {
///         "count down"
///     }
///     fn duty_cycle(&mut self) -> Cycle {
///         match self.0 {
///             0 => Cycle::Done,
///             _ => {
///                 self.0 -= 1;
///                 Cycle::Worked(1)
///             }
///         }
///     }
/// }
/// let mut stage = CountDown(1);
/// assert_eq!((stage.duty_cycle(), stage.duty_cycle()), (Cycle::Worked(1), Cycle::Done));
/// ```
pub trait Stage: Send {
    /// What the stage is called in messages and after which its thread is named.
    fn name(&self) -> &str;

    /// Does a bounded amount of work and returns. Never blocks, never waits, never loops until something happens.
    ///
    /// A stage is done after all its inputs have ended and its pending output is gone, or when nobody is left to take
    /// its output. After [`Cycle::Done`] or [`Cycle::Failed`] it isn't stepped again.
    fn duty_cycle(&mut self) -> Cycle;

    /// The run is asked to end: a stage that takes items from outside (a file, a socket, an
    /// [`Input`](super::Input)) takes what has come so far and then counts that source as ended. The others end by
    /// themselves, each after those in front of it; so the default does nothing.
    fn end_inputs(&mut self) {}

    /// Asked after [`Cycle::Done`]: whether the stage has ended of its own accord, and more would come if it were
    /// started again. False, the default, where it has ended because its inputs have.
    fn could_go_on(&self) -> bool {
        false
    }

    /// Makes the stage fit to be stepped again, after it panicked or reported a failure, or because a stage in front
    /// of it did. What it holds of rings stays: nothing queued is lost. What it knew of earlier items is gone, and
    /// the answer says what that was. The default can't, and says so.
    fn restart(&mut self, restarting: &Restarting<'_>) -> Result<Vec<StateLost>, String> {
        let _ = restarting;
        Err(format!("stage {} cannot be started again", self.name()))
    }

    /// Asked of a stage that failed and that another one, made anew, will take the place of: what it failed on. None,
    /// the default, where no item is to blame.
    fn blamed(&mut self) -> Option<Blamed> {
        None
    }

    /// Where in the stage its last duty cycle was, in words: which stream, which operator.
    fn place(&self) -> Option<String> {
        None
    }

    /// Called once, when the stage will not be stepped again: after it was done, after it failed, or when the run was
    /// given up at its deadline. It reports what its rings leave behind ([`FanIn::close`](super::FanIn::close),
    /// [`OutPort::close`](super::OutPort::close)). The stage is dropped right after, which closes its ends of the
    /// rings.
    fn close(&mut self, leftovers: &mut Leftovers) {
        let _ = leftovers;
    }
}

/// Why a stage is started again.
#[derive(Clone, Copy, Debug)]
pub struct Restarting<'a> {
    /// What made it fail; none where it is restarted along with another.
    pub failed: Option<&'a str>,
    /// How often an item that made it fail is tried again before it goes to the dead letters.
    pub max_attempts: u32,
}

/// What a stage failed on, said so that it is known again when the same items come once more, to a stage that was made
/// anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blamed {
    /// The item.
    pub item: BlamedItem,
    /// Who of the stage was at it: a stream.
    pub owner: String,
    /// And the owner's operator.
    pub operator: &'static str,
}

/// Which item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlamedItem {
    /// One with this sequence number, and of this content: a hash of it.
    One {
        /// Its sequence number.
        seq: u64,
        /// The hash.
        content: u64,
    },
    /// All with this sequence number, which are handled together.
    Round(u64),
    /// The end of the input.
    End,
}

impl BlamedItem {
    /// Its sequence number; none of the end.
    pub fn seq(self) -> Option<u64> {
        match self {
            Self::One { seq, .. } | Self::Round(seq) => Some(seq),
            Self::End => None,
        }
    }
}

/// State that a restart has lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateLost {
    /// Whose it was: a stream's.
    pub owner: String,
    /// For how many keys there was some.
    pub keys: u64,
    /// How many items were kept in it.
    pub items: u64,
    /// Some of the keys, in words.
    pub examples: Vec<String>,
}

/// What a duty cycle amounted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cycle {
    /// So many things were done that somebody could be waiting for.
    Worked(usize),
    /// There was nothing to do, or no room for the outcome.
    Idle,
    /// There will never be anything to do again.
    Done,
    /// The stage can't go on, for this reason. Ends the run, as a panic would.
    Failed(String),
}

impl Cycle {
    /// `Worked` if `work` is not zero.
    #[inline]
    pub fn of(work: usize) -> Self {
        if work == 0 { Self::Idle } else { Self::Worked(work) }
    }
}

/// What closing stages report.
#[derive(Debug, Default)]
pub struct Leftovers {
    pub(super) rings: Vec<RingLeft>,
    pub(super) lanes: Vec<LaneLeft>,
    pub(super) held: Vec<(String, u64)>,
}

/// The reading end of a ring with items that nobody took.
#[derive(Debug)]
pub(super) struct LaneLeft {
    pub(super) tally: Tally,
    pub(super) name: String,
    pub(super) items: u64,
}

impl Leftovers {
    /// Nothing reported yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.rings.append(&mut other.rings);
        self.lanes.append(&mut other.lanes);
        self.held.append(&mut other.held);
    }

    /// Adds what ends that no stage holds have reported, for whoever runs stages without
    /// [`start`](super::start).
    pub fn take_outside(&mut self, outside: &OutsideEnds) {
        self.append(outside.take());
    }

    /// Reports the writing end of a ring; see [`OutPort::close`](super::OutPort::close).
    pub fn ring(&mut self, ring: RingLeft) {
        self.rings.push(ring);
    }

    pub(super) fn lane(&mut self, lane: LaneLeft) {
        self.lanes.push(lane);
    }

    /// Reports `items` that no ring's writing end counts. For the lanes of a fan-in there is
    /// [`FanIn::close`](super::FanIn::close), which knows which ones do.
    pub fn waiting(&mut self, place: &str, items: u64) {
        self.held(place, items);
    }

    /// Reports `items` that were taken off a ring and not handled.
    pub fn held(&mut self, place: &str, items: u64) {
        if items > 0 {
            self.held.push((place.to_owned(), items));
        }
    }
}
