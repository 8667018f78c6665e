//! Whether a thread is stuck: a pure function of its heartbeat and of the time.
//!
//! A thread that rests between duty cycles is not stuck however long it rests: it waits for work. One that has been in
//! the same step of the same cycle for as long as `after` is, and stays so until its heart beats again.

use std::time::Duration;

use crate::flow::Beat;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallChange {
    /// It has been in one step for so long.
    Stalled(Duration),
    /// It has left the step in which it was stuck, after so long.
    Recovered(Duration),
}

/// Watches one thread.
///
/// ```
/// use std::time::Duration;
/// use varpin::flow::Beat;
/// use varpin::supervise::{StallChange, StallWatch};
/// let (ms, after) = (Duration::from_millis, Duration::from_millis(100));
/// let stepping = Beat { cycles: 7, stepping: Some(0) };
/// let mut watch = StallWatch::default();
/// assert_eq!(watch.look(ms(0), stepping, after), None);
/// assert_eq!(watch.look(ms(99), stepping, after), None);
/// assert_eq!(watch.look(ms(100), stepping, after), Some(StallChange::Stalled(ms(100))));
/// assert_eq!(watch.look(ms(150), stepping, after), None);
/// let rests = Beat { cycles: 8, stepping: None };
/// assert_eq!(watch.look(ms(170), rests, after), Some(StallChange::Recovered(ms(170))));
/// ```
#[derive(Clone, Debug, Default)]
pub struct StallWatch {
    last: Option<Beat>,
    /// When the last beat was seen for the first time.
    since: Duration,
    is_stalled: bool,
}

impl StallWatch {
    /// Looks at the thread at `now`, by a clock that never goes back.
    pub fn look(&mut self, now: Duration, beat: Beat, after: Duration) -> Option<StallChange> {
        let stuck_for = now.saturating_sub(self.since);
        if self.last != Some(beat) || beat.stepping.is_none() {
            (self.last, self.since) = (Some(beat), now);
            return std::mem::take(&mut self.is_stalled).then_some(StallChange::Recovered(stuck_for));
        }
        if self.is_stalled || stuck_for < after {
            return None;
        }
        self.is_stalled = true;
        Some(StallChange::Stalled(stuck_for))
    }

    /// How long it has been stuck.
    pub fn stuck_for(&self, now: Duration) -> Option<Duration> {
        self.is_stalled.then(|| now.saturating_sub(self.since))
    }

    /// The thread has gone; another one takes its place.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}
