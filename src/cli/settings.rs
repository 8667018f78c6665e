//! What was typed, taken for what it means.

use std::path::{Path, PathBuf};

use varpin::event::Row;
use varpin::format::{Format, SourceOptions};
use varpin::vpl::plan::Plan;

use super::args::{FormatArg, OnBadInput, Pace, RunArgs};

/// A run as it was asked for.
#[derive(Debug)]
pub(super) struct RunSettings {
    pub(super) program: PathBuf,
    pub(super) events: EventsFrom,
    pub(super) format: Format,
    pub(super) source: SourceOptions,
    pub(super) output: Option<PathBuf>,
    pub(super) dead_letters: Option<PathBuf>,
    pub(super) stats_json: Option<PathBuf>,
    /// Where supervision tells what happens.
    pub(super) supervision: Option<PathBuf>,
    pub(super) skip_bad_input: bool,
    pub(super) realtime: bool,
    /// The clock moves time.
    pub(super) live: bool,
    /// The events are a file that grows.
    pub(super) follow: bool,
    pub(super) stats: bool,
}

/// Where events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EventsFrom {
    Stdin,
    File(PathBuf),
    /// From the program's own files alone.
    Nowhere,
}

impl EventsFrom {
    /// What messages call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Nowhere => "no input".to_owned(),
        }
    }
}

impl RunSettings {
    /// What `typed` means for a program with this plan, or why it means nothing.
    pub(super) fn new(typed: &RunArgs, plan: &Plan) -> Result<Self, String> {
        let console = plan.console_source.as_ref();
        let events = match &typed.events {
            None if console.is_none() && !plan.source_files.is_empty() => EventsFrom::Nowhere,
            None => EventsFrom::Stdin,
            Some(path) if path.as_os_str() == "-" => EventsFrom::Stdin,
            Some(path) if console.is_some() => {
                return Err(format!(
                    "{}: the program reads its events from standard input (`.from(console)`)",
                    path.display()
                ));
            }
            Some(path) => EventsFrom::File(path.clone()),
        };
        let console_format = console.map(|console| console.format).filter(|_| typed.format.is_none());
        let format = match (typed.format, &events) {
            (Some(FormatArg::Evt), _) => Format::Evt,
            (Some(FormatArg::Jsonl), _) => Format::Jsonl,
            (Some(FormatArg::Csv), _) => Format::Csv,
            (None, EventsFrom::Stdin) => console_format.unwrap_or(Format::Evt),
            (None, EventsFrom::Nowhere) => Format::Evt,
            (None, EventsFrom::File(path)) => by_extension(path)?,
        };
        let of_console = console_format.and(console).filter(|_| format == Format::Csv);
        let event_type =
            typed.event_type.clone().or_else(|| of_console.map(|console| console.event_type.clone()));
        match (format, &event_type) {
            (Format::Csv, None) => {
                return Err(format!(
                    "{}: a CSV file does not say of which type its events are: name it with --event-type TYPE",
                    events.name()
                ));
            }
            (Format::Evt | Format::Jsonl, Some(_)) => {
                return Err(
                    "--event-type is only for CSV: the other formats name the type of each event".to_owned()
                );
            }
            _ => {}
        }
        if typed.follow && !matches!(events, EventsFrom::File(_)) {
            return Err(
                "--follow needs the file that grows; --live reads standard input as it comes".to_owned()
            );
        }
        let live = typed.live || typed.follow;
        let mut source = SourceOptions::default();
        if live {
            source.untimed_ns = Row::UNTIMED;
        }
        source.event_type = event_type;
        Ok(Self {
            program: typed.program.clone(),
            events,
            format,
            source,
            output: typed.output.clone(),
            dead_letters: typed.dead_letters.clone(),
            stats_json: typed.stats_json.clone(),
            supervision: typed.supervision.clone(),
            skip_bad_input: typed.on_bad_input == OnBadInput::Skip,
            realtime: typed.pace == Pace::Realtime,
            live,
            follow: typed.follow,
            stats: typed.stats,
        })
    }
}

/// The format that the name of a file stands for, or what to do where it stands for none.
impl RunSettings {
    /// The files that the command itself reads and writes, and what they are.
    pub(super) fn files(&self) -> Vec<(PathBuf, &'static str)> {
        let events = match &self.events {
            EventsFrom::File(path) => Some(path.clone()),
            EventsFrom::Stdin | EventsFrom::Nowhere => None,
        };
        let named = [
            (events, "the events"),
            (self.output.clone(), "the results"),
            (self.dead_letters.clone(), "the dead letters"),
            (self.stats_json.clone(), "the statistics"),
        ];
        named.into_iter().filter_map(|(path, what)| Some((path?, what))).collect()
    }
}

pub(super) fn by_extension(path: &Path) -> Result<Format, String> {
    Format::from_path(path).ok_or_else(|| {
        format!(
            "{}: its name does not say what its lines look like (.evt, .jsonl, .ndjson or .csv would): \
             use --format evt, jsonl or csv",
            path.display()
        )
    })
}
