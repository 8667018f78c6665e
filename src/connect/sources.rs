//! Sources: files that a program reads as further inputs. Their events and those that come from elsewhere are merged
//! by time: of what comes next in each, the earliest is taken; of several at one time what came from elsewhere first,
//! then by the order in which the program names the files. Each file keeps its own order.

use std::fs::File;

use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader};
use crate::format::{BadInput, EventSource, InputType, InputTypes, Position, SourceOptions};
use crate::vpl::plan::{Plan, SourceFilePlan};

use super::outcome::{BadLine, ConnectError, Outcome};
use super::places::Places;

/// The files of a program, each with its next event.
pub struct Sources {
    files: Vec<SourceFile>,
    /// The one whose event was given last.
    current: usize,
    /// They come before everything from elsewhere.
    first: bool,
    skip_bad_lines: bool,
    outcome: Outcome,
}

struct SourceFile {
    place: String,
    source: EventSource<File>,
    /// The next event, if `head`.
    row: Row,
    head: bool,
    ended: bool,
    /// Where the next event begins, whether it has been read or not.
    before: Position,
}

impl Sources {
    /// Opens the source files of `plan`; none where it has none. `options` are those of every file but for the type of
    /// CSV events.
    pub fn open(
        plan: &Plan,
        types: &[InputType],
        places: Option<&mut Places>,
        options: &SourceOptions,
        skip_bad_lines: bool,
        outcome: Outcome,
    ) -> Result<Option<Self>, ConnectError> {
        let Some(first) = plan.source_files.first() else { return Ok(None) };
        let places = places.ok_or_else(|| ConnectError::NoDirectory(first.path.clone()))?;
        let open = |spec: &SourceFilePlan| SourceFile::open(spec, types, places, options);
        let files = plan.source_files.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Some(Self { files, current: 0, first: false, skip_bad_lines, outcome }))
    }

    /// Gives all events of the files before any from elsewhere, whatever their times: a live run cannot wait.
    #[must_use]
    pub fn first(self, first: bool) -> Self {
        Self { first, ..self }
    }

    /// Reads the next event of each file, unless it is there already.
    pub fn look(&mut self) -> Result<(), ConnectError> {
        self.files.iter_mut().try_for_each(|file| file.look(self.skip_bad_lines, &self.outcome))
    }

    /// Of the events that a [look](Self::look) has read, the next one, if it comes before one at `before_ns` from
    /// elsewhere; whichever it is, where there is none. It stays the next one until it is [taken](Self::taken).
    pub fn next_before(&mut self, before_ns: Option<i64>) -> Option<&mut Row> {
        let heads = self.files.iter().enumerate().filter(|(_, file)| file.head);
        let (at, next) = heads.min_by_key(|(_, file)| file.row.time_ns())?;
        let time_ns = next.row.time_ns();
        if !self.first && before_ns.is_some_and(|before_ns| time_ns >= before_ns) {
            return None;
        }
        self.current = at;
        Some(&mut self.files[at].row)
    }

    /// The event that [`next_before`](Self::next_before) has given is done with.
    pub fn taken(&mut self) {
        self.files[self.current].head = false;
    }
}

/// Where each file is, at the event that comes next.
impl Keeps for Sources {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { files, current: _, first: _, skip_bad_lines: _, outcome: _ } = self;
        for SourceFile { place: _, source, row: _, head, ended: _, before } in files {
            let Position { offset, lines, batch_ns, in_long_line } =
                if *head { *before } else { source.position() };
            offset.write(out);
            lines.write(out);
            batch_ns.write(out);
            in_long_line.write(out);
        }
    }

    fn save_more(&mut self, _pieces: &mut Pieces) {}

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        for file in &mut self.files {
            let (offset, lines) = (Snapshot::read(from)?, Snapshot::read(from)?);
            let (batch_ns, in_long_line) = (Snapshot::read(from)?, Snapshot::read(from)?);
            let position = Position { offset, lines, batch_ns, in_long_line };
            file.source.seek(position).map_err(|_| from.error("place in a file that can be gone to"))?;
            file.before = position;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl SourceFile {
    fn open(
        spec: &SourceFilePlan,
        types: &[InputType],
        places: &mut Places,
        options: &SourceOptions,
    ) -> Result<Self, ConnectError> {
        let failed = |error| ConnectError::Source { place: spec.path.clone(), error };
        let file = places.to_read(&spec.path).map_err(failed)?;
        let mut options = options.clone();
        options.event_type = Some(spec.event_type.clone());
        let source = EventSource::new(file, spec.format, InputTypes::new(types.to_vec()), options)
            .map_err(|missing| failed(std::io::Error::other(missing)))?;
        let row = Row::new(InputTypes::UNKNOWN, 0, 0);
        let before = source.position();
        Ok(Self { place: spec.path.clone(), source, row, head: false, ended: false, before })
    }

    /// Reads the next event, unless it is there already.
    fn look(&mut self, skip_bad_lines: bool, outcome: &Outcome) -> Result<(), ConnectError> {
        while !self.head && !self.ended {
            self.before = self.source.position();
            match self.source.next(&mut self.row) {
                Ok(Some(())) => self.head = true,
                Ok(None) => {
                    let bytes = self.source.fill();
                    let failed = |error| ConnectError::Source { place: self.place.clone(), error };
                    if bytes.map_err(failed)? == 0 {
                        self.last(skip_bad_lines, outcome)?;
                    }
                }
                Err(line) => self.bad(line, skip_bad_lines, outcome)?,
            }
        }
        Ok(())
    }

    /// A last line without a newline.
    fn last(&mut self, skip_bad_lines: bool, outcome: &Outcome) -> Result<(), ConnectError> {
        match self.source.finish(&mut self.row) {
            Ok(Some(())) => self.head = true,
            Ok(None) => self.ended = true,
            Err(line) => self.bad(line, skip_bad_lines, outcome)?,
        }
        Ok(())
    }

    fn bad(&self, line: BadInput, skip: bool, outcome: &Outcome) -> Result<(), ConnectError> {
        let bad = BadLine { place: self.place.clone(), line };
        if !skip {
            return Err(ConnectError::BadLine(bad));
        }
        outcome.skipped(bad);
        Ok(())
    }
}
