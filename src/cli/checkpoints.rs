//! Checkpoints of a run: what was asked for, and where its files are, as a checkpoint has it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use varpin::engine::{CheckpointNews, Checkpoints, Resumed};
use varpin::format::Position;
use varpin::vpl::plan::Plan;

use super::args::RunArgs;
use super::files::Files;
use super::follow::Identity;
use super::messages;
use super::settings::{EventsFrom, RunSettings};

/// Where the input of a run is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct InputPlace {
    /// Its name, for people.
    pub(super) events: String,
    /// The offset of the next line; none where nothing can be gone back to.
    pub(super) offset: Option<u64>,
    /// Lines before it.
    pub(super) lines: u64,
    batch_ns: i64,
    in_long_line: bool,
    /// Which file it is, where one is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) followed: Option<Identity>,
    /// Lines before it that are no events.
    #[serde(default)]
    bad_lines: u64,
}

/// Where the files that a run writes are: their lengths in bytes; none where there is no file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct OutputPlace {
    pub(super) output: Option<u64>,
    pub(super) dead_letters: Option<u64>,
}

/// The checkpoints of a run on its way.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Whether there are any.
    pub(super) any: bool,
    /// One has begun, and not all results in front of it have come.
    pub(super) is_awaited: bool,
    /// Whether the input can be gone back to.
    pub(super) can_seek: bool,
    /// Whether results are in a file that can be cut back.
    pub(super) cuts_results: bool,
    /// Where the input was when the run began.
    start: Option<Position>,
    /// Where the input is behind the event that was fed last.
    pub(super) position: Position,
    /// Lines before that that are no events.
    pub(super) bad_lines: u64,
    /// Events between two questions whether a checkpoint is due, and how many are left of them.
    pub(super) look_every: u32,
    pub(super) events_to_look: u32,
    /// In which file, where one is followed.
    pub(super) followed: Option<Identity>,
    /// What the run has gone on from.
    pub(super) resumed: Option<(InputPlace, OutputPlace)>,
    /// Checkpoints that could not be written.
    failed: u64,
}

impl InputPlace {
    pub(super) fn of(events: &str, kept: &Kept) -> Self {
        let Position { offset, lines, batch_ns, in_long_line } = kept.position;
        let offset = kept.can_seek.then_some(offset);
        let (followed, bad_lines) = (kept.followed, kept.bad_lines);
        Self { events: events.to_owned(), offset, lines, batch_ns, in_long_line, followed, bad_lines }
    }

    /// The place to go on from.
    pub(super) fn position(&self) -> Option<Position> {
        let Self { offset, lines, batch_ns, in_long_line, .. } = *self;
        Some(Position { offset: offset?, lines, batch_ns, in_long_line })
    }

    /// As a checkpoint has it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        // Numbers and a text always have a form in JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl OutputPlace {
    /// Where they are now, when everything has been written.
    pub(super) fn of(files: &Files, settings: &RunSettings) -> io::Result<Self> {
        let place = |path: Option<&Path>, mut file: &File| match path {
            Some(_) if file.metadata()?.is_file() => file.stream_position().map(Some),
            _ => Ok(None),
        };
        Ok(Self {
            output: place(settings.output.as_deref(), &files.output)?,
            dead_letters: match &files.dead_letters {
                Some(file) => place(settings.dead_letters.as_deref(), file)?,
                None => None,
            },
        })
    }

    /// As a checkpoint has it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What was typed about checkpoints; what the program says counts for what was not.
pub(super) fn asked(
    typed: &RunArgs,
    plan: &Plan,
    settings: &RunSettings,
) -> Result<Option<Checkpoints>, String> {
    let below = plan.engine.checkpoint_dir.as_ref();
    let beside = || settings.program.parent().map(Path::to_owned).unwrap_or_default();
    let Some(directory) = typed.checkpoint_dir.clone().or_else(|| Some(beside().join(below?))) else {
        let in_vain = [
            ("--checkpoint-events", typed.checkpoint_events.is_some()),
            ("--checkpoint-interval", typed.checkpoint_interval.is_some()),
            ("--commit-on-checkpoint", typed.commit_on_checkpoint),
            ("--allow-changed", typed.allow_changed),
            ("--checkpoint-kill", typed.checkpoint_kill.is_some()),
        ];
        return match in_vain.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(format!("{option} needs --checkpoint-dir, where checkpoints are kept")),
            None => Ok(None),
        };
    };
    let mut checkpoints = Checkpoints::in_directory(directory).by_hand();
    if let Some(events) = typed.checkpoint_events {
        checkpoints = checkpoints.every_events(events.get());
    }
    if let Some(interval) = typed.checkpoint_interval {
        checkpoints = checkpoints.interval(interval);
    }
    if let Some(keep) = typed.checkpoint_keep {
        checkpoints = checkpoints.keep(keep.get());
    }
    if typed.commit_on_checkpoint {
        checkpoints = checkpoints.commit_on_checkpoint();
    }
    if typed.allow_changed {
        checkpoints = checkpoints.allow_changed();
    }
    if let Some(slice) = typed.checkpoint_slice {
        checkpoints = checkpoints.slice_bytes(slice.get());
    }
    kill_at(checkpoints, typed.checkpoint_kill.as_deref()).map(Some)
}

/// `STEP:N`: the process is killed at that step of the Nth checkpoint.
#[cfg(feature = "faults")]
fn kill_at(checkpoints: Checkpoints, typed: Option<&str>) -> Result<Checkpoints, String> {
    use varpin::checkpoint::{KillAt, Step};
    let Some(typed) = typed else { return Ok(checkpoints) };
    let (step, nth) = typed.split_once(':').unwrap_or((typed, "1"));
    let step = Step::ALL.into_iter().find(|known| known.name() == step);
    if let (Some(step), Ok(nth)) = (step, nth.parse()) {
        Ok(checkpoints.kill_at(KillAt { step, nth }))
    } else {
        let steps = Step::ALL.map(Step::name).join(", ");
        Err(format!("--checkpoint-kill {typed}: it takes STEP:N, and steps are {steps}"))
    }
}

#[cfg(not(feature = "faults"))]
fn kill_at(checkpoints: Checkpoints, typed: Option<&str>) -> Result<Checkpoints, String> {
    match typed {
        None => Ok(checkpoints),
        Some(_) => Err("--checkpoint-kill: this varpin was built without the feature `faults`".to_owned()),
    }
}

/// Asking after each event would cost more than the checkpoints do; those that are few events apart are asked for after
/// each all the same.
fn look_every(checkpoint_events: Option<u64>) -> u32 {
    const MOST: u32 = 16;
    checkpoint_events.map_or(MOST, |events| u32::try_from(events / 64).unwrap_or(MOST).clamp(1, MOST))
}

impl Kept {
    /// For a run that keeps checkpoints: says what can't be promised, and reads where the run goes on from.
    pub(super) fn new(
        settings: &RunSettings,
        files: &Files,
        resumed: Option<&Resumed>,
        taken_up_in: Duration,
    ) -> Result<Self, String> {
        let can_seek = match settings.events {
            EventsFrom::File(_) => files.events_bytes.is_some(),
            EventsFrom::Nowhere => true,
            EventsFrom::Stdin => false,
        };
        let events = settings.events.name();
        if !can_seek {
            messages::warning(format_args!(
                "{events} cannot be read again: after a crash, events that were read behind the last checkpoint are \
                 lost (at most once from the last checkpoint)"
            ));
        }
        let is_file = files.output.metadata().is_ok_and(|metadata| metadata.is_file());
        if let Some(path) = settings.output.as_ref().filter(|_| !is_file) {
            messages::warning(format_args!(
                "{} cannot be cut back: after a crash, results behind the last checkpoint come again (at least once)",
                path.display()
            ));
        }
        if settings.output.is_none() {
            messages::warning(
                "standard output cannot be cut back: after a crash, results behind the last checkpoint come again (at \
                 least once; -o FILE gives each once)",
            );
        }
        let cuts_results = is_file && settings.output.is_some();
        let mut kept = Self { any: true, can_seek, cuts_results, ..Self::default() };
        let Some(resumed) = resumed else { return Ok(kept) };
        let (input, output) = places(resumed)?;
        for damaged in &resumed.passed_over {
            messages::warning(format_args!("a checkpoint is damaged and was passed over: {damaged}"));
        }
        for change in &resumed.changed {
            messages::warning(format_args!(
                "{change} since the checkpoint; what is not the same begins anew"
            ));
        }
        if resumed.lost > 0 {
            messages::warning(format_args!(
                "{} results that waited for the checkpoint are of streams that have changed, and are lost",
                resumed.lost
            ));
        }
        if input.events != events {
            messages::warning(format_args!(
                "the checkpoint was made while {} was read; {events} has to have the same lines up to there",
                input.events
            ));
        }
        // A file that is followed may have been emptied or replaced meanwhile; see `Follow::reopen`.
        let is_short =
            |offset: u64| !settings.follow && files.events_bytes.is_some_and(|bytes| bytes < offset);
        match input.offset {
            Some(offset) if can_seek && is_short(offset) => {
                return Err(format!(
                    "{events} is shorter than when the checkpoint was made (it was read up to byte {offset}): it is \
                     not the same file"
                ));
            }
            Some(_) if !can_seek => {
                return Err(format!(
                    "the checkpoint was made while {} was read, and {events} cannot be gone to the same place in",
                    input.events
                ));
            }
            _ => {}
        }
        messages::say(format_args!(
            "note: goes on from checkpoint {} (taken up in {} ms): {} events, {} results{}",
            resumed.checkpoint,
            taken_up_in.as_millis(),
            resumed.events,
            resumed.results,
            input.offset.map_or_else(String::new, |_| format!("; {events} from line {}", input.lines + 1)),
        ));
        kept.position = input.position().unwrap_or_default();
        kept.resumed = Some((input, output));
        Ok(kept)
    }

    /// The input is read from here on, for the first time or again.
    pub(super) fn begin(&mut self, position: Position) {
        self.start.get_or_insert(position);
        self.position = position;
    }

    /// The run was rolled back to this checkpoint, or to its beginning.
    pub(super) fn go_back(&mut self, resumed: Option<&Resumed>) -> Result<(), String> {
        self.is_awaited = false;
        self.resumed = resumed.map(places).transpose()?;
        (self.position, self.bad_lines) = self.input();
        Ok(())
    }

    /// Where the input is to be read from after that, and how many lines before are no events.
    pub(super) fn input(&self) -> (Position, u64) {
        let resumed = self.resumed.as_ref();
        let place = resumed.and_then(|(input, _)| Some((input.position()?, input.bad_lines)));
        place.unwrap_or((self.start.unwrap_or_default(), 0))
    }

    /// With a checkpoint after so many events, if they are counted.
    pub(super) fn asking_for(self, checkpoint_events: Option<u64>) -> Self {
        let look_every = look_every(checkpoint_events);
        Self { look_every, events_to_look: look_every, ..self }
    }

    /// The length that a file which the run writes had at the checkpoint; none where it begins anew.
    pub(super) fn output(&self) -> OutputPlace {
        self.resumed.as_ref().map(|(_, output)| output.clone()).unwrap_or_default()
    }

    /// Tells what has become of checkpoints, as far as it is worth a word.
    pub(super) fn tell(&mut self, news: Vec<CheckpointNews>) {
        for news in news {
            if let CheckpointNews::Failed { message } = news {
                self.failed += 1;
                if self.failed == 1 {
                    messages::warning(format_args!(
                        "{message}; the run goes on, and those before are still there"
                    ));
                }
            }
        }
    }

    /// How often it has failed, at the end.
    pub(super) fn finish(&self) {
        if self.failed > 1 {
            messages::warning(format_args!("{} checkpoints could not be written", self.failed));
        }
    }
}

/// Where the files of a run were, as its checkpoint says.
fn places(resumed: &Resumed) -> Result<(InputPlace, OutputPlace), String> {
    let foreign = |_| {
        format!(
            "checkpoint {} is not one of `varpin run`: it does not say where files are",
            resumed.checkpoint
        )
    };
    let input = serde_json::from_slice(&resumed.input).map_err(foreign)?;
    Ok((input, serde_json::from_slice(&resumed.output).map_err(foreign)?))
}

/// Cuts a file that the run writes back to what it was, and goes to its end.
pub(super) fn cut_back(mut file: &File, length: u64) -> io::Result<()> {
    let found = file.metadata()?.len();
    if found < length {
        return Err(io::Error::other(format!(
            "it has {found} bytes, and had {length} when the checkpoint was made: it is not the same file"
        )));
    }
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length)).map(drop)
}
