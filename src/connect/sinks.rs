//! Sinks: rows of streams as lines of files and of the console. The rows of all streams that go to one sink go through
//! one buffer, so lines stay whole and in the order of the results.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::{Row, Snapshot, SnapshotError, SnapshotReader};
use crate::format::{ResultLayout, RowLines};
use crate::vpl::plan::{Plan, SinkPlan, SinkTarget, StreamPlan};

use super::guard::{Guard, Guards};
use super::outcome::{ConnectError, Outcome, SinkCounts};
use super::places::Places;

/// Collected bytes that are written at once.
const WRITE_AT_BYTES: usize = 64 * 1024;
/// Rows are not held back for longer than this while others come.
const WRITE_AFTER: Duration = Duration::from_millis(100);

/// How long the rest of a row that was begun is tried again at the end.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// Opens what is written instead of a connector's file.
pub type OpenWriter = Arc<dyn Fn() -> io::Result<Box<dyn Write + Send>> + Send + Sync>;

/// The sinks of a program.
pub struct Sinks {
    all: Vec<Sink>,
    /// By stream: the sinks that take its rows.
    routes: Vec<Vec<Route>>,
    outcome: Outcome,
    failed: bool,
}

struct Route {
    sink: usize,
    /// By lane.
    lines: Vec<RowLines>,
}

struct Sink {
    place: String,
    streams: String,
    writer: Box<dyn Write + Send>,
    /// What is left to do before the first row: emptying the file, or looking for its end.
    begin: Option<Begin>,
    /// The file, where it is one whose length can be told and cut.
    file: Option<File>,
    header: Vec<u8>,
    buffer: Vec<u8>,
    /// How many rows are in the buffer.
    collected: u64,
    written_at: Instant,
    counts: SinkCounts,
    failed: bool,
    /// What becomes of rows that cannot be written, where that is declared; else that ends the run.
    guard: Option<Guard>,
}

/// A file before its first row.
struct Begin {
    file: File,
    append: bool,
}

impl Sinks {
    /// Opens the sinks of `plan`; none where it has none. Nothing is emptied before the first row, or the end.
    ///
    /// `custom` is written instead of the connector of that name; the console is left to the caller where
    /// `prints_results`, since results are printed there anyway. `guards` makes the breakers around sinks.
    pub fn open(
        plan: &Plan,
        places: Option<&mut Places>,
        custom: &[(String, OpenWriter)],
        prints_results: bool,
        outcome: Outcome,
        guards: Guards<'_>,
    ) -> Result<Option<Self>, ConnectError> {
        if let Some((name, _)) =
            custom.iter().find(|(name, _)| !plan.sinks.iter().any(|sink| sink.name == *name))
        {
            return Err(ConnectError::Unknown(name.clone()));
        }
        let mut places = places;
        let mut sinks = Vec::new();
        let mut routes: Vec<Vec<Route>> = plan.streams.iter().map(|_| Vec::new()).collect();
        for spec in &plan.sinks {
            let custom = custom.iter().find(|(name, _)| *name == spec.name).map(|(_, open)| open);
            if spec.target == SinkTarget::Console && prints_results && custom.is_none() {
                continue;
            }
            let sink = Sink::open(plan, spec, places.as_deref_mut(), custom)?;
            let mut header = Vec::new();
            for &stream in &spec.streams {
                let lines = lines(&plan.streams[stream], &spec.target);
                header = lines.first().map_or(header, RowLines::header);
                routes[stream].push(Route { sink: sinks.len(), lines });
            }
            let guard = guards(spec.place()).map(|(guard, interrupted)| Guard::new(guard, interrupted));
            sinks.push(Sink { header, guard, ..sink });
        }
        Ok((!sinks.is_empty()).then_some(Self { all: sinks, routes, outcome, failed: false }))
    }

    /// Takes a row of the stream that its rank says.
    pub fn write(&mut self, row: &Row) {
        let Some(routes) = self.routes.get_mut(usize::from(row.rank()).wrapping_sub(1)) else { return };
        for Route { sink, lines } in routes {
            let sink = &mut self.all[*sink];
            if sink.failed {
                sink.counts.unwritten += 1;
                continue;
            }
            lines[usize::from(row.lane())].write(&mut sink.buffer, row);
            match &mut sink.guard {
                Some(guard) => guard.note_row(sink.buffer.len()),
                None => sink.collected += 1,
            }
            if sink.buffer.len() >= WRITE_AT_BYTES {
                self.failed |= !sink.write_out(&self.outcome);
            }
        }
    }

    /// Writes what is collected: all of it where nothing else is to do now, else what waits already for a while.
    pub fn settle(&mut self, is_idle: bool) {
        for sink in &mut self.all {
            // What could not be finished is tried again in a while.
            let is_only_begun = sink.guard.as_ref().is_some_and(Guard::has_no_rows);
            let is_due = is_idle && !is_only_begun || sink.written_at.elapsed() >= WRITE_AFTER;
            if !sink.buffer.is_empty() && is_due {
                self.failed |= !sink.write_out(&self.outcome);
            }
        }
    }

    /// Writes all that is left, and tells what was written. To be called at the end.
    pub fn finish(&mut self) {
        for sink in &mut self.all {
            self.failed |= !sink.write_out(&self.outcome);
            self.failed |= !sink.finish_begun(&self.outcome);
            let flushed = if sink.failed { Ok(()) } else { sink.writer.flush() };
            let begun = if sink.buffer.is_empty() {
                Ok(())
            } else {
                Err(io::Error::other("what was begun could not be finished"))
            };
            if let Err(error) = flushed.and(begun) {
                sink.fail(error, &self.outcome);
                self.failed = true;
            }
        }
        self.outcome.set_sinks(self.counts());
    }

    /// For a checkpoint: writes what is collected, and writes down how long each file is; nothing for one that will be
    /// emptied before its first row, or has no length. Gives back the files: they have to be synced before the
    /// checkpoint counts.
    pub fn save(&mut self, out: &mut Vec<u8>) -> Vec<File> {
        let mut files = Vec::new();
        for sink in &mut self.all {
            if !sink.buffer.is_empty() {
                self.failed |= !sink.write_out(&self.outcome);
            }
            let has_begun = sink.begin.is_none();
            let keeps = sink.begin.as_ref().is_none_or(|begin| begin.append) && !sink.failed;
            let length = sink.file.as_ref().filter(|_| keeps).and_then(|file| {
                files.push(file.try_clone().ok()?);
                Some(file.metadata().ok()?.len())
            });
            length.write(out);
            has_begun.write(out);
        }
        files
    }

    /// Goes on from a checkpoint: files are cut back to what they were. One that is shorter was changed by others, and
    /// fails the run.
    pub fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        for sink in &mut self.all {
            let (length, has_begun): (Option<u64>, bool) = Snapshot::read(from)?;
            let (Some(length), Some(file)) = (length, &mut sink.file) else { continue };
            if has_begun {
                sink.begin = None;
                sink.header = Vec::new();
            }
            if let Err(error) = cut_back(file, length) {
                sink.fail(error, &self.outcome);
                self.failed = true;
            }
        }
        Ok(())
    }

    /// Whether one of them has failed; the [`Outcome`] says how.
    #[inline]
    pub fn have_failed(&self) -> bool {
        self.failed
    }

    /// What each has taken so far.
    pub fn counts(&self) -> Vec<SinkCounts> {
        self.all.iter().map(|sink| sink.counts.clone()).collect()
    }
}

impl std::fmt::Debug for Sinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sinks").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// How the rows of a stream are printed, by lane.
fn lines(stream: &StreamPlan, target: &SinkTarget) -> Vec<RowLines> {
    let format = match target {
        SinkTarget::Console => crate::format::Format::Jsonl,
        SinkTarget::File { format, .. } => *format,
    };
    let layout = |written: &crate::vpl::plan::ResultPlan| ResultLayout {
        stream: stream.name.clone(),
        type_name: written.type_name.clone(),
        fields: written.fields.clone(),
        rest: written.rest,
    };
    stream.written.iter().map(|written| RowLines::new(format, &layout(written))).collect()
}

/// The streams of a sink, for messages.
fn names(plan: &Plan, sink: &SinkPlan) -> String {
    let names: Vec<&str> = sink.streams.iter().map(|&stream| plan.streams[stream].name.as_str()).collect();
    match &names[..] {
        [name] => format!("stream {name}"),
        [names @ .., last] => format!("streams {} and {last}", names.join(", ")),
        [] => "no stream".to_owned(),
    }
}

impl Sink {
    fn open(
        plan: &Plan,
        spec: &SinkPlan,
        places: Option<&mut Places>,
        custom: Option<&OpenWriter>,
    ) -> Result<Self, ConnectError> {
        let (place, streams) = (spec.place().to_owned(), names(plan, spec));
        let failed = |error| ConnectError::Sink { streams: streams.clone(), place: place.clone(), error };
        let mut own = None;
        let (writer, begin): (Box<dyn Write + Send>, Option<Begin>) = match (custom, &spec.target) {
            (Some(open), _) => (open().map_err(failed)?, None),
            (None, SinkTarget::Console) => (Box::new(io::stdout()), None),
            (None, SinkTarget::File { path, append, .. }) => {
                let places = places.ok_or_else(|| ConnectError::NoDirectory(path.clone()))?;
                let file = places.to_write(path, *append).map_err(failed)?;
                let begin = file.try_clone().map_err(failed)?;
                if file.metadata().map_err(failed)?.is_file() {
                    own = Some(file.try_clone().map_err(failed)?);
                }
                (Box::new(file), Some(Begin { file: begin, append: *append }))
            }
        };
        Ok(Self {
            counts: SinkCounts { sink: place.clone(), ..SinkCounts::default() },
            place,
            streams,
            writer,
            begin,
            file: own,
            header: Vec::new(),
            buffer: Vec::new(),
            collected: 0,
            written_at: Instant::now(),
            failed: false,
            guard: None,
        })
    }

    /// Writes what is collected. False if that has failed.
    fn write_out(&mut self, outcome: &Outcome) -> bool {
        if self.failed {
            return true;
        }
        let written = self.begin().and_then(|head| self.write_behind(&head, outcome));
        self.written_at = Instant::now();
        match written {
            Ok(()) => true,
            Err(error) => {
                self.fail(error, outcome);
                false
            }
        }
    }

    /// The end of the file must not be half a row: what was begun is tried again for a while. False if that has failed.
    fn finish_begun(&mut self, outcome: &Outcome) -> bool {
        let until = Instant::now() + FINISH_WITHIN;
        while !self.buffer.is_empty()
            && Instant::now() < until
            && self.guard.as_ref().is_some_and(Guard::pause)
        {
            if !self.write_out(outcome) {
                return false;
            }
        }
        true
    }

    fn write_behind(&mut self, head: &[u8], outcome: &Outcome) -> io::Result<()> {
        let Self { guard, writer, buffer, counts, .. } = self;
        if let Some(guard) = guard {
            if !head.is_empty() {
                guard.note_head(head.len());
                buffer.splice(..0, head.iter().copied());
            }
            return guard.write_out(writer, buffer, counts, outcome);
        }
        writer.write_all(head)?;
        writer.write_all(buffer)?;
        counts.bytes += buffer.len() as u64;
        counts.rows += std::mem::take(&mut self.collected);
        buffer.clear();
        Ok(())
    }

    #[cold]
    fn fail(&mut self, error: io::Error, outcome: &Outcome) {
        self.failed = true;
        self.buffer = Vec::new();
        self.counts.unwritten += std::mem::take(&mut self.collected);
        outcome.failed(ConnectError::Sink {
            streams: self.streams.clone(),
            place: self.place.clone(),
            error,
        });
    }

    /// Before the first row: the file is emptied, or its end looked for. What is to be written in front of the row.
    fn begin(&mut self) -> io::Result<Vec<u8>> {
        let header = std::mem::take(&mut self.header);
        let Some(Begin { mut file, append }) = self.begin.take() else { return Ok(header) };
        // Pipes and devices have no length.
        if !file.metadata()?.is_file() {
            return Ok(header);
        }
        if !append {
            file.set_len(0)?;
            return Ok(header);
        }
        let is_torn = !ends_with_newline(&mut file)?;
        Ok(if file.seek(SeekFrom::End(0))? == 0 { header } else { b"\n"[..usize::from(is_torn)].to_vec() })
    }
}

/// Cuts `file` to `length`, which it must have at least, and goes to its end.
fn cut_back(file: &mut File, length: u64) -> io::Result<()> {
    let found = file.metadata()?.len();
    if found < length {
        let message =
            format!("it has {found} bytes, and the checkpoint says {length}: it is not the file of that run");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    file.set_len(length)?;
    file.seek(SeekFrom::End(0)).map(drop)
}

/// Whether whatever is in the file ends with its last line; leaves it at its end.
fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
