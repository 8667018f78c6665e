//! Opening the files of a run: nothing is emptied before everything else is known to be there, and no file is both
//! read and written.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::checkpoints::{OutputPlace, cut_back};
use super::settings::{EventsFrom, RunSettings};

/// The files of a run, open.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) events: File,
    /// The size of the events, where they are a regular file.
    pub(super) events_bytes: Option<u64>,
    pub(super) output: File,
    pub(super) dead_letters: Option<File>,
    pub(super) stats_json: Option<File>,
    /// Where supervision tells what happens.
    pub(super) supervision: Option<File>,
}

impl Files {
    /// Opens them; the error is a message that names the file.
    pub(super) fn open(settings: &RunSettings) -> Result<Self, String> {
        let events_name = settings.events.name();
        let failed = |name: &str, error: &io::Error| format!("cannot read {name}: {error}");
        let (events, metadata) =
            open_events(&settings.events).map_err(|error| failed(&events_name, &error))?;
        if metadata.is_dir() {
            return Err(format!("cannot read {events_name}: it is a directory"));
        }
        let program = std::fs::metadata(&settings.program)
            .map_err(|error| failed(&settings.program.display().to_string(), &error))?;
        let mut taken = vec![(identity(&metadata), "the events"), (identity(&program), "the program")];
        let output = match &settings.output {
            Some(path) => to_write(path, "results", &mut taken)?,
            None => standard_output(identity(&metadata))?,
        };
        let mut optional =
            |path: Option<&Path>, what| path.map(|path| to_write(path, what, &mut taken)).transpose();
        let dead_letters = optional(settings.dead_letters.as_deref(), "dead letters")?;
        let stats_json = optional(settings.stats_json.as_deref(), "statistics")?;
        let supervision = optional(settings.supervision.as_deref(), "events of supervision")?;
        let events_bytes = metadata.is_file().then_some(metadata.len());
        Ok(Self { events, events_bytes, output, dead_letters, stats_json, supervision })
    }

    /// Empties the files that will be written, or cuts them back to `lengths`: the run begins.
    pub(super) fn begin(&self, settings: &RunSettings, lengths: &OutputPlace) -> Result<(), String> {
        self.cut_back(settings, lengths)?;
        cut([
            (settings.stats_json.as_deref(), self.stats_json.as_ref(), None),
            (settings.supervision.as_deref(), self.supervision.as_ref(), None),
        ])
    }

    /// Cuts what goes with checkpoints back to `lengths`; empties it, where they say nothing.
    pub(super) fn cut_back(&self, settings: &RunSettings, lengths: &OutputPlace) -> Result<(), String> {
        let OutputPlace { output, dead_letters } = *lengths;
        cut([
            (settings.output.as_deref(), Some(&self.output), output),
            (settings.dead_letters.as_deref(), self.dead_letters.as_ref(), dead_letters),
        ])
    }
}

/// Cuts each of these files, which the run writes, to its length, or empties it.
fn cut<const FILES: usize>(
    written: [(Option<&Path>, Option<&File>, Option<u64>); FILES],
) -> Result<(), String> {
    for (path, file, length) in written {
        let (Some(path), Some(file)) = (path, file) else { continue };
        let failed = |error| format!("cannot write {}: {error}", path.display());
        // Pipes and devices have no length to cut.
        if file.metadata().map_err(failed)?.is_file() {
            cut_back(file, length.unwrap_or(0)).map_err(failed)?;
        }
    }
    Ok(())
}

fn open_events(from: &EventsFrom) -> io::Result<(File, Metadata)> {
    let file = match from {
        // A handle of its own, behind which no buffer of the standard library stands.
        EventsFrom::Stdin => File::from(io::stdin().as_fd().try_clone_to_owned()?),
        EventsFrom::File(path) => File::open(path)?,
        EventsFrom::Nowhere => File::open("/dev/null")?,
    };
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

/// What tells files apart, whatever their names.
type Identity = Option<(u64, u64)>;

/// None for what can be read and written at once, such as a terminal.
fn identity(metadata: &Metadata) -> Identity {
    metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
}

fn to_write(
    path: &Path,
    what: &'static str,
    taken: &mut Vec<(Identity, &'static str)>,
) -> Result<File, String> {
    let failed = |error: io::Error| format!("cannot write {what} to {}: {error}", path.display());
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    let own = identity(&file.metadata().map_err(failed)?);
    if let Some((_, other)) = taken.iter().find(|(identity, _)| own.is_some() && *identity == own) {
        return Err(format!("cannot write {what} to {}: it is the file of {other}", path.display()));
    }
    taken.push((own, what));
    Ok(file)
}

fn standard_output(events: Identity) -> Result<File, String> {
    let failed = |error| format!("cannot write to standard output: {error}");
    let file = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
    let own = identity(&file.metadata().map_err(failed)?);
    if own.is_some() && own == events {
        return Err("cannot write results to standard output: it is the file of the events".to_owned());
    }
    Ok(file)
}
