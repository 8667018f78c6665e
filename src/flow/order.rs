//! Which of several rings is read next: a pure function of what is known about each of them.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// The order in which the items of several rings are taken. Order within a ring is strict in all three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MergeOrder {
    /// Whichever ring has something, by turns. Fastest.
    Arrival,
    /// The smallest event time among what is there now; a ring without an item is not waited for.
    #[default]
    Timestamp,
    /// The smallest (sequence number, rank, place), once every other ring is known to be past it. The result doesn't
    /// depend on timing.
    Deterministic,
}

impl MergeOrder {
    /// Every order, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Arrival, Self::Timestamp, Self::Deterministic];

    /// The order's name in programs and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arrival => "arrival",
            Self::Timestamp => "timestamp",
            Self::Deterministic => "deterministic",
        }
    }
}

impl fmt::Display for MergeOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no merge order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMergeOrder(String);

impl fmt::Display for UnknownMergeOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = MergeOrder::ALL.map(MergeOrder::name).join(", ");
        write!(f, "`{}` is no merge order; known are {names}", self.0)
    }
}

impl Error for UnknownMergeOrder {}

impl FromStr for MergeOrder {
    type Err = UnknownMergeOrder;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|order| order.name() == text)
            .ok_or_else(|| UnknownMergeOrder(text.to_owned()))
    }
}

/// Where an item stands: what [`choose`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The sequence number.
    pub seq: u64,
    /// The producer's place in topological order.
    pub rank: u16,
    /// Its place among the items of this number and rank ([`Ordered::place`](super::Ordered::place)).
    pub place: u32,
    /// Event time in nanoseconds since the epoch.
    pub time_ns: i64,
}

/// What a merge knows of one lane, that is, of one of the rings it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneView {
    /// Its next item.
    Head(Key),
    /// There is no item now, and none to come is smaller than this.
    Open {
        /// The smallest sequence number that can still come.
        from_seq: u64,
        /// The smallest rank that can still come.
        from_rank: u16,
    },
    /// Nothing will come.
    Ended,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Take the head of `lane`, and go on with that lane as long as its items are below `below`.
    Take {
        /// The lane.
        lane: usize,
        /// The smallest that another lane has or could have.
        below: Bound,
    },
    /// Nothing can be taken before `lane` says more.
    Wait {
        /// The first of the lanes that are waited for.
        lane: usize,
    },
    /// Every lane has ended.
    Ended,
}

/// An exclusive upper bound: (major, seq, rank, place, lane), where major is the event time or nothing, as the order
/// asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    major: i64,
    seq: u64,
    rank: u16,
    place: u32,
    lane: usize,
}

impl Bound {
    /// Above everything.
    pub const NONE: Self =
        Self { major: i64::MAX, seq: u64::MAX, rank: u16::MAX, place: u32::MAX, lane: usize::MAX };

    /// Where an item with `key` on `lane` stands under `order`.
    #[inline]
    pub fn of(order: MergeOrder, key: Key, lane: usize) -> Self {
        let Key { seq, rank, place, time_ns } = key;
        match order {
            MergeOrder::Arrival => Self { major: 0, seq: 0, rank: 0, place: 0, lane: 0 },
            MergeOrder::Timestamp => Self { major: time_ns, seq, rank, place, lane },
            MergeOrder::Deterministic => Self { major: 0, seq, rank, place, lane },
        }
    }
}

/// Decides which lane is next. `turn` is the lane whose turn it is under [`MergeOrder::Arrival`].
///
/// ```
/// use varpin::flow::{Choice, Key, LaneView, MergeOrder, choose};
/// let head = |seq| LaneView::Head(Key { seq, rank: 1, place: 0, time_ns: 0 });
/// let open = |from_seq| LaneView::Open { from_seq, from_rank: 0 };
/// // The second lane could still bring a 3 of lower rank, so the first lane's 3 has to wait ...
/// let choice = choose(MergeOrder::Deterministic, &[head(3), open(3)], 0);
/// assert_eq!(choice, Choice::Wait { lane: 1 });
/// // ... until that lane is known to be past it.
/// let choice = choose(MergeOrder::Deterministic, &[head(3), open(4)], 0);
/// assert!(matches!(choice, Choice::Take { lane: 0, .. }));
/// ```
pub fn choose(order: MergeOrder, lanes: &[LaneView], turn: usize) -> Choice {
    match order {
        MergeOrder::Arrival => by_turns(lanes, turn),
        MergeOrder::Timestamp | MergeOrder::Deterministic => smallest(order, lanes),
    }
}

fn by_turns(lanes: &[LaneView], turn: usize) -> Choice {
    let mut waits = None;
    for step in 0..lanes.len() {
        let lane = (turn + step) % lanes.len();
        match lanes[lane] {
            LaneView::Head(_) => return Choice::Take { lane, below: Bound::NONE },
            LaneView::Open { .. } => waits = waits.or(Some(lane)),
            LaneView::Ended => {}
        }
    }
    waits.map_or(Choice::Ended, |lane| Choice::Wait { lane })
}

fn smallest(order: MergeOrder, lanes: &[LaneView]) -> Choice {
    let mut first: Option<(Bound, bool)> = None;
    let mut second = Bound::NONE;
    let mut waits = None;
    for (lane, view) in lanes.iter().enumerate() {
        let (bound, is_head) = match *view {
            LaneView::Head(key) => (Bound::of(order, key, lane), true),
            // Only the deterministic order waits for what could still come.
            LaneView::Open { from_seq, from_rank } if order == MergeOrder::Deterministic => {
                (Bound { major: 0, seq: from_seq, rank: from_rank, place: 0, lane }, false)
            }
            LaneView::Open { .. } => {
                waits = waits.or(Some(lane));
                continue;
            }
            LaneView::Ended => continue,
        };
        match first {
            Some((smallest, _)) if smallest < bound => second = second.min(bound),
            _ => {
                if let Some((smallest, _)) = first {
                    second = smallest;
                }
                first = Some((bound, is_head));
            }
        }
    }
    match first {
        Some((bound, true)) => Choice::Take { lane: bound.lane, below: second },
        Some((bound, false)) => Choice::Wait { lane: bound.lane },
        None => waits.map_or(Choice::Ended, |lane| Choice::Wait { lane }),
    }
}
