//! Writing the state of streams into a checkpoint without standing still for it.
//!
//! At the barrier what is small is written, and what is great is noted (see [`Keeps`](crate::event::Keeps)). Then the
//! streams go on, and between two things that they do a slice of the rest is written, until all is there and handed
//! over. What is handed over is what there was at the barrier.

use std::time::{Duration, Instant};

use crate::event::Pieces;
use crate::operators::StreamStats;

use super::streams::Streams;

/// Bytes that are written at a time, unless something else is asked for: as many as are written in some ten
/// microseconds.
pub const SLICE_BYTES: usize = 1 << 14;
/// Behind a slice no other is written for so many times as long as that one took: so saving takes a fifth of a stage's
/// time and no more, and a thread that sleeps otherwise still does, and is woken at once when there is something to do.
const REST: u32 = 4;
/// After a longer rest more is written, but no more than so many slices at once.
const MOST_SLICES: u128 = 4;
/// A slice that has taken longer was held up by something else.
const LONGEST_SLICE: Duration = Duration::from_micros(100);

/// Where a stage puts its share of a checkpoint.
pub trait SnapshotSink: Send {
    /// Chunks that it was given and does not need any more, to be used again.
    fn chunks(&mut self) -> Vec<Vec<u8>>;

    /// How many bytes are to be written at a time.
    fn slice_bytes(&self) -> usize {
        SLICE_BYTES
    }

    /// Whether there are to be rests between them: not where a stage that does nothing is not stepped again before it
    /// is woken.
    fn rests(&self) -> bool {
        true
    }

    /// Takes the stage's share: its state, chunk by chunk, and what it held of each stream. Waits for nobody.
    fn hand_over(&mut self, checkpoint: u64, state: Vec<Vec<u8>>, holds: Vec<(String, StreamStats)>);

    /// The stage has come to its end as it should: all that will ever come of its input has been sent.
    fn ended(&mut self);
}

/// Saves the state of one stage.
pub struct Saver {
    sink: Box<dyn SnapshotSink>,
    slice_bytes: usize,
    rests: bool,
    pieces: Pieces,
    under_way: Option<UnderWay>,
    /// How long a slice takes, and when the last was written.
    slice_takes: Duration,
    rests_since: Instant,
}

struct UnderWay {
    checkpoint: u64,
    holds: Vec<(String, StreamStats)>,
}

impl Saver {
    /// Hands over to `sink`.
    pub fn new(sink: Box<dyn SnapshotSink>) -> Self {
        Self {
            slice_bytes: sink.slice_bytes(),
            rests: sink.rests(),
            sink,
            pieces: Pieces::new(),
            under_way: None,
            slice_takes: Duration::ZERO,
            rests_since: Instant::now(),
        }
    }

    /// The barrier has come: what is there now is what is saved.
    pub fn begin(&mut self, checkpoint: u64, streams: &mut Streams) {
        self.finish(streams);
        self.pieces.give(self.sink.chunks());
        streams.save(self.pieces.front());
        self.under_way = Some(UnderWay { checkpoint, holds: streams.holds() });
    }

    /// Whether there is more to be written.
    #[inline]
    pub fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Writes a slice, if it has rested since the one before, and hands over behind the last. False if it rests.
    pub fn go_on(&mut self, streams: &mut Streams) -> bool {
        let started = Instant::now();
        let rest = if self.rests { self.slice_takes * REST } else { Duration::ZERO };
        let rested = started.saturating_duration_since(self.rests_since);
        if rested < rest {
            return false;
        }
        let slices = rested.as_nanos().checked_div(rest.as_nanos()).unwrap_or(1).clamp(1, MOST_SLICES);
        self.save_slice(self.slice_bytes.saturating_mul(slices as usize), streams);
        self.rests_since = Instant::now();
        let took = self.rests_since.saturating_duration_since(started) / slices as u32;
        self.slice_takes = took.min(LONGEST_SLICE);
        true
    }

    /// Writes all that is left.
    pub fn finish(&mut self, streams: &mut Streams) {
        while self.is_under_way() {
            self.save_slice(usize::MAX, streams);
        }
    }

    /// The stage has come to its end as it should.
    pub fn ended(&mut self) {
        self.sink.ended();
    }

    fn save_slice(&mut self, bytes: usize, streams: &mut Streams) {
        // Taken out: should writing panic, nobody tries again.
        let Some(UnderWay { checkpoint, holds }) = self.under_way.take() else { return };
        self.pieces.begin_slice(bytes);
        if streams.save_more(&mut self.pieces) {
            self.sink.hand_over(checkpoint, self.pieces.take(), holds);
        } else {
            self.under_way = Some(UnderWay { checkpoint, holds });
        }
    }
}

impl std::fmt::Debug for Saver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Saver").field("is_under_way", &self.is_under_way()).finish_non_exhaustive()
    }
}
