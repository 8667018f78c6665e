//! Starting a context's stage again after it failed.
//!
//! What it holds of rings stays as it is: what is queued in front of it, how far each ring has been read, what pends
//! behind it. Only its streams are made anew, because a panic may have left their state half-changed; so what they knew
//! of earlier events is gone, and counted.
//!
//! What made it fail is still there, because nothing is let go of before it has been done: a row lies at the head of
//! its ring, a round that was collected in the queues, and so do the rows of the end of the input. What had been sent
//! of it already is taken back: nothing of it was published. So it can be tried again as if it had not been tried;
//! and after so many attempts it becomes a dead letter, and the stream goes on behind it.

use crate::event::{Row, Signal};
use crate::flow::{HeadMark, Restarting, StateLost};
use crate::operators::{OperatorError, StreamStats};

use super::stage::{ContextStage, letters_of};
use super::streams::{Failure, Streams};

/// What a stage is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It takes rows, and runs them if they are rounds of their own.
    Rows,
    /// It runs the round that it has collected.
    Round,
    /// It moves watermarks that were held back. No event is at fault there.
    Watermarks,
    /// It sees to the end of the input.
    Flush,
}

/// What a stage has failed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspect {
    /// This row.
    Row(HeadMark),
    /// The round with this sequence number.
    Round(u64),
    /// The end of the input.
    End,
}

impl ContextStage {
    pub(super) fn start_again(&mut self, restarting: &Restarting<'_>) -> Result<Vec<StateLost>, String> {
        // What was there at the barrier has been written before it was changed.
        self.finish_saving();
        let (mut fresh, lost) = self.start_from()?;
        self.past = self.counts();
        let doing = std::mem::replace(&mut self.doing, Doing::Rows);
        // What is blamed for the failure, and where it happened.
        let mut blame = None;
        if let Some(message) = restarting.failed {
            if let Some(gate) = &mut self.gate {
                let (events, is_event) = self.rings.events();
                gate.failed(events - u64::from(is_event), is_event);
            }
            self.rings.rewind();
            let row = self.inputs.interrupted();
            let suspect = match doing {
                Doing::Rows => row.map(Suspect::Row),
                Doing::Round => Some(Suspect::Round(self.round)),
                Doing::Watermarks => None,
                Doing::Flush => Some(Suspect::End),
            };
            let place = self.streams.place().map(|(stream, operator)| (stream.to_owned(), operator));
            let (stream, operator) = place.unwrap_or_default();
            let attempts = self.attempts(suspect);
            blame = suspect.filter(|_| attempts > restarting.max_attempts).map(|suspect| {
                let message = message.to_owned();
                (suspect, OperatorError { stream, operator, message, attempts })
            });
        }
        // The rows of the end are kept in `ends`: what the streams had of them is collected again.
        fresh.take_over(&mut self.streams, doing != Doing::Flush && self.round != 0);
        self.streams = fresh;
        self.hold_back();
        if let Some((suspect, error)) = blame {
            self.bury(suspect, &error);
        }
        self.rings.settle();
        // What was made before the failure does not wait for what comes after it. If too much pends, the next duty
        // cycle finds that, too.
        let _ = self.rings.ports.flush();
        Ok(lost)
    }

    /// The streams that the stage starts again with, and what the old ones knew that these don't. This alone decides
    /// from which state: from none, since a panic may have left the old one half-changed, and no other is kept.
    fn start_from(&mut self) -> Result<(Streams, Vec<StateLost>), String> {
        let Some(rebuild) = &mut self.rebuild else {
            return Err("its streams cannot be made anew".to_owned());
        };
        let fresh = rebuild().map_err(|error| error.to_string())?;
        Ok((fresh, self.streams.state()))
    }

    /// How often the suspect has been tried, this time included.
    fn attempts(&mut self, suspect: Option<Suspect>) -> u32 {
        let Some(suspect) = suspect else { return 1 };
        let before = self.suspect.filter(|(known, _)| *known == suspect).map_or(0, |(_, attempts)| attempts);
        self.suspect = Some((suspect, before + 1));
        before + 1
    }

    /// Gives up what is at fault: it goes to the dead letters.
    fn bury(&mut self, suspect: Suspect, error: &OperatorError) {
        self.suspect = None;
        let rows: Vec<Row> = match suspect {
            Suspect::Row(head) => self.inputs.take_head(head).into_iter().collect(),
            Suspect::Round(_) => {
                self.round = 0;
                self.clock_ns = None;
                self.streams.drain_round()
            }
            Suspect::End => return self.bury_end(error),
        };
        for letter in letters_of(rows, error) {
            self.rings.failures.take(letter);
        }
    }

    /// Gives the end of the input up: what was to be done with it goes to the dead letters.
    pub(super) fn bury_end(&mut self, error: &OperatorError) {
        let rows: Vec<Row> = self.ends.drain(..).chain(self.ends_of_pools.drain(..)).collect();
        // No event is to blame for what the end has brought to light.
        let none = rows.iter().any(|row| row.signal() == Signal::Event).then(|| Failure {
            error: error.clone(),
            row: None,
            fatal: false,
        });
        for letter in none.into_iter().chain(letters_of(rows, error)) {
            self.rings.failures.take(letter);
        }
        self.end_flush();
    }

    /// What its streams have counted, those before the last restart included.
    pub(super) fn counts(&self) -> Vec<StreamStats> {
        let mut counts = self.streams.stats();
        for (counts, past) in counts.iter_mut().zip(&self.past) {
            counts.add_past(past);
        }
        counts
    }
}
