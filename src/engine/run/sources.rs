//! An engine and the files that its program reads (`.from`).

use crate::connect::{BadLine, UnwrittenRow};

use super::super::error::EngineError;
use super::super::input::Refused;
use super::super::record::Record;
use super::{DRAIN_LIMIT, Engine, Input, Mode, refusal};

impl Engine {
    /// Feeds up to `limit` events of the files that the program itself reads (`.from`); returns how many, 0 where there
    /// are no more. Without it they come in their places among the events that are fed, and what is left at the end: it
    /// is for whoever feeds nothing else, or has to look after something else meanwhile.
    pub fn feed_sources(
        &mut self,
        limit: usize,
        mut sink: impl FnMut(Record<'_>),
    ) -> Result<usize, EngineError> {
        let mut count = 0;
        if let Mode::Inline(inline) = &mut self.mode {
            return inline.feed_sources(limit, None, sink);
        }
        while count < limit {
            let pushed = match &mut self.mode {
                Mode::Threads(threads) => {
                    let [input, ..] = &mut threads.inputs[..] else {
                        return Err(EngineError::Taken("input"));
                    };
                    input.push_sources(1, None)
                }
                Mode::Stepped(stepper) => {
                    let input = stepper.input.as_mut().ok_or(EngineError::Closed)?;
                    input.push_sources(1, None)
                }
                Mode::Inline(_) | Mode::Over => return Ok(count),
            };
            match pushed {
                Ok(0) => break,
                Ok(fed) => count += fed,
                Err(Refused::Full) => self.make_room(&mut sink)?,
                Err(refused) => return Err(refusal(refused, self.again.as_deref())),
            }
        }
        Ok(count)
    }

    /// The time of the next event of those files, in nanoseconds since the epoch; none where there are no more. For
    /// whoever feeds events when they are due.
    pub fn next_source_ns(&mut self) -> Result<Option<i64>, EngineError> {
        let input = match &mut self.mode {
            Mode::Inline(inline) => return inline.next_source_ns(),
            Mode::Threads(threads) => threads.inputs.first_mut(),
            Mode::Stepped(stepper) => stepper.input.as_mut(),
            Mode::Over => None,
        };
        let next_ns = input.map_or(Ok(None), Input::next_source_ns);
        next_ns.map_err(|refused| refusal(refused, self.again.as_deref()))
    }

    /// Takes results, and steps where nobody else does.
    fn make_room(&mut self, sink: impl FnMut(Record<'_>)) -> Result<(), EngineError> {
        let output = match &mut self.mode {
            Mode::Threads(threads) => {
                let output = threads.output.as_mut().ok_or(EngineError::Taken("output"))?;
                if output.at_checkpoint() {
                    return Err(EngineError::AtCheckpoint);
                }
                threads.idle.idle(output.drain(DRAIN_LIMIT, sink));
                output
            }
            Mode::Stepped(stepper) => {
                if stepper.output.at_checkpoint() {
                    return Err(EngineError::AtCheckpoint);
                }
                stepper.step();
                stepper.output.drain(DRAIN_LIMIT, sink);
                &stepper.output
            }
            Mode::Inline(_) | Mode::Over => return Ok(()),
        };
        if output.has_failed() { Err(EngineError::Closed) } else { Ok(()) }
    }

    /// Takes the lines of files that the program reads (`.from`) which are no events, where they are to be skipped.
    /// They are kept up to a bound.
    pub fn take_bad_lines(&mut self) -> Vec<BadLine> {
        self.connectors.take_bad_lines()
    }

    /// Takes the rows that sinks (`.to`) could not take and that were given up, where the program says so in
    /// `config output { .. }`. They are kept up to a bound, unless somebody has promised to take them
    /// ([`Builder::keep_dead_letters`](crate::engine::Builder::keep_dead_letters)).
    pub fn take_unwritten_rows(&mut self) -> Vec<UnwrittenRow> {
        self.connectors.take_unwritten()
    }
}
