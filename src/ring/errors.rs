//! What the two ends of a ring can answer instead of doing what was asked; work is handed back with the answer.

use std::error::Error;
use std::fmt;

/// A push that didn't happen; the item comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// No slot is free right now.
    Full(T),
    /// The receiver is gone, for good.
    Closed(T),
}

impl<T> PushError<T> {
    /// The item that wasn't pushed.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

// By hand, so that items need not be `Debug`.
impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(_)",
            Self::Closed(_) => "Closed(_)",
        })
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => FULL,
            Self::Closed(_) => RECEIVER_GONE,
        })
    }
}

impl<T> Error for PushError<T> {}

/// Why several items at once could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// No slot is free right now.
    Full,
    /// The receiver is gone, for good.
    Closed,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => FULL,
            Self::Closed => RECEIVER_GONE,
        })
    }
}

impl Error for WriteError {}

/// Why there is nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PopError {
    /// Nothing there right now.
    Empty,
    /// The sender is gone and every item that it pushed has been taken.
    Closed,
}

impl fmt::Display for PopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the ring is empty",
            Self::Closed => "the ring is empty and its sender is gone",
        })
    }
}

impl Error for PopError {}

const FULL: &str = "the ring is full";
const RECEIVER_GONE: &str = "the ring's receiver is gone";
