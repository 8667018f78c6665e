//! What is restarted along with something that failed: a pure function of who feeds whom.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Only what failed is restarted.
    #[default]
    OneForOne,
    /// What failed, and everything that it feeds, directly or through others.
    RestForOne,
    /// Everything.
    OneForAll,
}

impl Strategy {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::OneForOne, Self::RestForOne, Self::OneForAll];

    /// The name in programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneForOne => "one_for_one",
            Self::RestForOne => "rest_for_one",
            Self::OneForAll => "one_for_all",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no [`Strategy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStrategy(String);

impl fmt::Display for UnknownStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no strategy; known are {}", self.0, Strategy::ALL.map(Strategy::name).join(", "))
    }
}

impl Error for UnknownStrategy {}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == text).ok_or(UnknownStrategy(text.to_owned()))
    }
}

/// For each of `count` things those that it feeds, directly or through others. Things that feed each other reach
/// themselves.
pub fn reachable(count: usize, feeds: &[(usize, usize)]) -> Vec<Vec<bool>> {
    let mut reaches = vec![vec![false; count]; count];
    for &(from, to) in feeds {
        reaches[from][to] = true;
    }
    for middle in 0..count {
        for from in 0..count {
            if reaches[from][middle] {
                let through = reaches[middle].clone();
                for (to, through) in reaches[from].iter_mut().zip(through) {
                    *to |= through;
                }
            }
        }
    }
    reaches
}

/// What is restarted when `failed` has failed, itself included, in ascending order.
///
/// ```
/// use varpin::supervise::{Strategy, reachable, restarting};
/// let reaches = reachable(4, &[(0, 1), (1, 2)]); // 0 -> 1 -> 2, and 3 by itself
/// assert_eq!(restarting(Strategy::OneForOne, 1, &reaches), [1]);
/// assert_eq!(restarting(Strategy::RestForOne, 1, &reaches), [1, 2]);
/// assert_eq!(restarting(Strategy::OneForAll, 1, &reaches), [0, 1, 2, 3]);
/// ```
pub fn restarting(strategy: Strategy, failed: usize, reaches: &[Vec<bool>]) -> Vec<usize> {
    let along = |other: &usize| {
        *other == failed
            || match strategy {
                Strategy::OneForOne => false,
                Strategy::RestForOne => reaches[failed][*other],
                Strategy::OneForAll => true,
            }
    };
    (0..reaches.len()).filter(along).collect()
}
