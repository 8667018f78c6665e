//! Live time: when the streams are to be told how late it is, and the time of events that bring none.
//!
//! The clock is told by *ticks*: inputs of their own, with sequence numbers, which every stage gets in its place
//! among the events. So a run is defined by what came in and when it was told the time, and whoever repeats that
//! sequence repeats its results. A tick never goes back. Events that bring no time get that of the last look at the
//! clock, which is never before the last tick: none of them is late when it enters.
//!
//! A tick is due 1 ms after the last one where an event comes, and 10 ms after it where none does: so `now()` in a
//! busy program is at most 1 ms old, and an idle one is woken a hundred times a second, if anything in it depends
//! on the time at all.

use std::sync::Arc;

use crate::clock::Clock;
use crate::event::{Keeps, Pieces, Snapshot, SnapshotError, SnapshotReader};

/// From one tick to the next, where an event comes.
const BUSY_GAP_NS: u64 = 1_000_000;
/// From one tick to the next, where none does.
const IDLE_GAP_NS: u64 = 10_000_000;

/// The clock of a live engine.
#[derive(Clone)]
pub struct LiveClock {
    clock: Arc<dyn Clock + Send + Sync>,
    /// Whether anybody wants to know.
    ticks: bool,
    /// The last look, on the wall and monotonic.
    now_ns: i64,
    looked_ns: u64,
    /// The monotonic time of the last tick; none before the first.
    ticked_ns: Option<u64>,
}

impl LiveClock {
    /// The time as `clock` shows it. Ticks are due only where `ticks`.
    pub fn new(clock: Arc<dyn Clock + Send + Sync>, ticks: bool) -> Self {
        let mut live = Self { clock, ticks, now_ns: i64::MIN, looked_ns: 0, ticked_ns: None };
        live.look();
        live
    }

    fn look(&mut self) {
        let reading = self.clock.read();
        self.now_ns = self.now_ns.max(reading.wall_ns);
        self.looked_ns = self.looked_ns.max(reading.monotonic_ns);
    }

    /// Looks at the clock for an event: the time to tell before it, if a tick is due.
    #[inline]
    pub fn before_event(&mut self) -> Option<i64> {
        self.look();
        self.due(BUSY_GAP_NS)
    }

    /// Looks at the clock where there is no event: the time to tell, if a tick is due.
    pub fn while_idle(&mut self) -> Option<i64> {
        self.look();
        self.due(IDLE_GAP_NS)
    }

    fn due(&self, gap_ns: u64) -> Option<i64> {
        let is_due = self.ticks && self.ticked_ns.is_none_or(|last| self.looked_ns - last >= gap_ns);
        is_due.then_some(self.now_ns)
    }

    /// The tick has been told.
    pub fn ticked(&mut self) {
        self.ticked_ns = Some(self.looked_ns);
    }

    /// The last look at the clock, in nanoseconds since the epoch.
    pub fn now_ns(&self) -> i64 {
        self.now_ns
    }
}

/// The time that was told last: a clock that was set back in the meantime stands still until it is there again.
impl Keeps for LiveClock {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { clock: _, ticks: _, now_ns, looked_ns: _, ticked_ns: _ } = self;
        now_ns.write(out);
    }

    fn save_more(&mut self, _pieces: &mut Pieces) {}

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.now_ns = self.now_ns.max(Snapshot::read(from)?);
        Ok(())
    }
}

impl std::fmt::Debug for LiveClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveClock").field("now_ns", &self.now_ns).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::LiveClock;
    use crate::clock::ManualClock;

    #[test]
    fn ticks_are_due_sooner_where_events_come() {
        let clock = ManualClock::new(1_000);
        let mut live = LiveClock::new(Arc::new(clock.clone()), true);
        assert_eq!(live.before_event(), Some(1_000), "the first at once");
        live.ticked();
        clock.advance(1_000_000);
        assert_eq!((live.while_idle(), live.before_event()), (None, Some(1_001_000)));
        assert_eq!(live.before_event(), Some(1_001_000), "until it is told");
        live.ticked();
        clock.advance(9_999_999);
        assert_eq!(live.while_idle(), None);
        clock.advance(1);
        assert_eq!(live.while_idle(), Some(11_001_000));
    }

    #[test]
    fn nobody_is_told_who_does_not_want_to_know() {
        let clock = ManualClock::new(7);
        let mut live = LiveClock::new(Arc::new(clock.clone()), false);
        clock.advance(50_000_000);
        assert_eq!((live.before_event(), live.while_idle(), live.now_ns()), (None, None, 50_000_007));
    }
}
