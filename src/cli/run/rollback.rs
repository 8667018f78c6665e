//! A run whose engine is rolled back to its last checkpoint because a context failed: its files are cut back, and its
//! input is read again from there.

use std::io;

use varpin::engine::{EngineError, RolledBack};
use varpin::format::{EventSource, Position};

use super::super::messages;
use super::super::settings::EventsFrom;
use super::{End, PACE_SLEEP, Reader, Run, follow};

impl<'a> Run<'a> {
    /// Reads until there is a reason to stop, and ends the run; goes back and on as often as contexts fail that are to
    /// be restarted.
    pub(super) fn read_and_finish(
        &mut self,
        source: &mut EventSource<Reader<'a>>,
    ) -> (End, Result<(), EngineError>) {
        let mut end = self.read(source);
        loop {
            while let End::RollBack = end {
                end = self.roll_back(source).err().unwrap_or_else(|| self.read(source));
            }
            let finished = self.finish(&end);
            let Err(EngineError::RollBack(_)) = finished else { return (end, finished) };
            // A run that ends because it has to does not go on for this.
            let goes_on = matches!(end, End::Input | End::BadInput(_) | End::Read(_));
            if !goes_on {
                return (end, Ok(()));
            }
            match self.roll_back(source) {
                Ok(()) if self.kept.can_seek => end = self.read(source),
                // Nothing comes again.
                Ok(()) => {}
                Err(why) => end = why,
            }
        }
    }

    /// Goes back. The error is why the run ends instead.
    pub(super) fn roll_back(&mut self, source: &mut EventSource<Reader<'a>>) -> Result<(), End> {
        let wait =
            |run: &Self| run.engine.rollback_due().map(|due| due.wait()).filter(|wait| !wait.is_zero());
        while let Some(wait) = wait(self) {
            if let Some(end) = self.asked_to_stop() {
                return Err(end);
            }
            varpin::sync::sleep(wait.min(PACE_SLEEP));
        }
        self.fetch_letters();
        self.letters.borrow_mut().flush();
        let cuts_results = self.kept.cuts_results;
        if cuts_results {
            self.output.discard();
        } else {
            self.output.write();
        }
        let events = self.engine.stats().events;
        let back = match self.engine.roll_back() {
            Ok(back) => back,
            Err(EngineError::Interrupted) => return Err(self.asked_to_stop().unwrap_or(End::Output)),
            Err(error) => return Err(End::Engine(error)),
        };
        self.kept.go_back(self.engine.resumed()).map_err(End::Lost)?;
        self.files.cut_back(&self.settings, &self.kept.output()).map_err(End::Lost)?;
        if self.kept.can_seek {
            self.letters.borrow_mut().go_back(self.kept.bad_lines);
            self.read_again(source).map_err(End::Read)?;
        }
        if !cuts_results {
            // What has been written is not written again, as far as results can be told apart.
            self.engine.resume_from(back.results_before);
        }
        self.tell(&back, events);
        Ok(())
    }

    /// Has events read again from where the run has gone back to.
    fn read_again(&mut self, source: &mut EventSource<Reader<'a>>) -> io::Result<()> {
        let EventsFrom::File(path) = &self.settings.events else { return Ok(()) };
        let place = self.kept.position;
        if self.settings.follow {
            *source.input_mut() = Reader::Follow(follow(path, &mut self.kept)?);
        }
        // A file that was followed may be another one by now.
        source.seek(if place == self.kept.position { place } else { Position::default() })
    }

    /// Says what has happened.
    fn tell(&self, back: &RolledBack, events: u64) {
        let to = match back.checkpoint {
            Some(checkpoint) => format!("checkpoint {checkpoint}"),
            None => "the beginning".to_owned(),
        };
        let keys: u64 = back.keys.iter().map(|(_, keys)| keys).sum();
        messages::say(format_args!(
            "note: context {} failed ({}); rolled back to {to}: {} events, {} results, {keys} keys",
            back.context, back.failure, back.events, back.results
        ));
        let lost = events.saturating_sub(back.events);
        if !self.kept.can_seek && lost > 0 {
            messages::warning(format_args!(
                "{} cannot be read again: {lost} events behind {to} are lost",
                self.source_name
            ));
        }
    }
}
