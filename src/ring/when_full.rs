//! What a sender does with an event when its ring is full.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// The policy of a full ring. The ring itself only answers [`PushError::Full`](super::PushError); whoever pushes
/// acts on the policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// Keep the event and take no more input until it is gone.
    #[default]
    Block,
    /// Give the event back to the caller as an error.
    Error,
}

impl WhenFull {
    /// Every policy, in the order in which messages list them.
    pub const ALL: [Self; 2] = [Self::Block, Self::Error];

    /// The policy's name in programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for WhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWhenFull(String);

impl fmt::Display for UnknownWhenFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = WhenFull::ALL.map(WhenFull::name).join(", ");
        write!(f, "`{}` is no policy for full rings; known are {names}", self.0)
    }
}

impl Error for UnknownWhenFull {}

impl FromStr for WhenFull {
    type Err = UnknownWhenFull;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| UnknownWhenFull(text.to_owned()))
    }
}
