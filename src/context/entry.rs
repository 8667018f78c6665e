//! What stands in front of all streams, as a checkpoint has it: how many events have come, how far they are numbered,
//! when timers tick next, and the clock.

use crate::event::{Keeps, Snapshot, SnapshotError, SnapshotReader};

use super::live::LiveClock;
use super::ticker::Ticker;

/// The front of an engine.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The number of the last row.
    pub last_seq: &'a mut u64,
    /// Events that have come.
    pub events: &'a mut u64,
    /// The timers.
    pub ticker: &'a mut Ticker,
    /// The clock, live.
    pub live: &'a mut Option<LiveClock>,
}

impl Entry<'_> {
    /// Writes it down.
    pub fn save(&mut self, out: &mut Vec<u8>) {
        let Self { last_seq, events, ticker, live } = self;
        last_seq.write(out);
        events.write(out);
        if let Some(live) = live {
            live.save(out);
        }
        ticker.save(out);
    }

    /// Goes on from there. Timers that are others than then begin anew.
    pub fn restore(
        &mut self,
        from: &mut SnapshotReader<'_>,
        keeps_timers: bool,
    ) -> Result<(), SnapshotError> {
        *self.last_seq = Snapshot::read(from)?;
        *self.events = Snapshot::read(from)?;
        if let Some(live) = self.live {
            live.restore(from)?;
        }
        if keeps_timers { self.ticker.restore(from) } else { Ok(()) }
    }
}
