//! An input of events: bytes in, rows out, one at a time.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::BadInput;
use super::bad_input::{Parsed, fault};
use super::csv::Csv;
use super::evt::{Evt, Line};
use super::json::Json;
use super::lines::{Lines, Place, Record, RecordEnd};
use super::scan::Limits;
use super::types::InputTypes;
use crate::event::Row;

/// What an input's lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `Type { field: value }`, with comments, times and JSON lines.
    Evt,
    /// One JSON object a line.
    Jsonl,
    /// A header with the names of the fields, then one event a record, all of one type.
    Csv,
}

impl Format {
    /// The format that the extension of `path` names.
    ///
    /// ```
    /// use varpin::format::Format;
    /// assert_eq!(Format::from_path("a/events.jsonl"), Some(Format::Jsonl));
    /// assert_eq!(Format::from_path("events"), None);
    /// ```
    pub fn from_path(path: impl AsRef<Path>) -> Option<Self> {
        let extension = path.as_ref().extension()?.to_str()?;
        match extension.to_ascii_lowercase().as_str() {
            "evt" => Some(Self::Evt),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// Bounds on input, and what CSV needs to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceOptions {
    /// The longest line (for CSV: record); a longer one is bad input. Default: 1 MiB.
    pub max_line_bytes: usize,
    /// The longest string. Default: 256 KiB.
    pub max_string_bytes: usize,
    /// The most fields of an event, and the most entries of a map. Default: 1024.
    pub max_fields: usize,
    /// How deep arrays and maps may nest in a field. Default: 64.
    pub max_nesting: usize,
    /// The type of the events of a CSV file.
    pub event_type: Option<String>,
    /// The time of events that bring none, as long as no `BATCH` has given one, in nanoseconds since the epoch.
    /// Default: 0. For a live engine: [`Row::UNTIMED`], for which it puts the clock's.
    pub untimed_ns: i64,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            max_line_bytes: 1 << 20,
            max_string_bytes: 1 << 18,
            max_fields: 1024,
            max_nesting: 64,
            event_type: None,
            untimed_ns: 0,
        }
    }
}

/// CSV has no place for the type of its events, and the options do not name one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a CSV file does not say of which type its events are: name it with --event-type")]
pub struct MissingEventType;

/// How far a source has come: enough to go on from there after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The offset in bytes of the next line in the input.
    pub offset: u64,
    /// How many lines are before it.
    pub lines: u64,
    /// The time of lines without one, in nanoseconds since the epoch: that of the last `BATCH`.
    pub batch_ns: i64,
    /// Whether `offset` is in the middle of a line that was reported as too long.
    pub in_long_line: bool,
}

/// Events from a `Read`.
///
/// `fill` reads once; `next` parses what is complete, a line at a time, until it has no more; at the end of the input
/// `finish` parses a last line without a newline.
#[derive(Debug)]
pub struct EventSource<R> {
    lines: Lines<R>,
    parser: Parser,
}

/// Everything but the bytes, so that a record can stay borrowed from them while it is parsed.
#[derive(Debug)]
struct Parser {
    format: Format,
    types: InputTypes,
    limits: Limits,
    evt: Evt,
    json: Json,
    /// Where the format is CSV.
    csv: Option<Csv>,
    untimed_ns: i64,
}

impl<R: Read> EventSource<R> {
    /// A source of events of `types` from `input`.
    pub fn new(
        input: R,
        format: Format,
        types: InputTypes,
        options: SourceOptions,
    ) -> Result<Self, MissingEventType> {
        let limits = Limits {
            max_string_bytes: options.max_string_bytes,
            max_fields: options.max_fields,
            max_nesting: options.max_nesting,
        };
        let (record_end, csv) = match format {
            Format::Evt | Format::Jsonl => (RecordEnd::Newline, None),
            Format::Csv => {
                (RecordEnd::UnquotedNewline, Some(Csv::new(options.event_type.ok_or(MissingEventType)?)))
            }
        };
        let untimed_ns = options.untimed_ns;
        let (evt, json) = (Evt::new(untimed_ns), Json::default());
        Ok(Self {
            lines: Lines::new(input, record_end, options.max_line_bytes),
            parser: Parser { format, types, limits, evt, json, csv, untimed_ns },
        })
    }

    /// Reads once from the input. 0: it has ended.
    pub fn fill(&mut self) -> io::Result<usize> {
        self.lines.fill()
    }

    /// Parses the next event that has been read completely into `row`; None if there is none. After bad input it goes
    /// on with the next line, and what `row` holds is unspecified.
    pub fn next(&mut self, row: &mut Row) -> Result<Option<()>, BadInput> {
        while let Some(record) = self.lines.next() {
            if self.parse(record, row)? {
                return Ok(Some(()));
            }
        }
        Ok(None)
    }

    /// Parses a last line without a newline. To be called once the input has ended and `next` has no more.
    pub fn finish(&mut self, row: &mut Row) -> Result<Option<()>, BadInput> {
        let inside_quotes = self.lines.inside_quotes();
        while let Some(record) = self.lines.last() {
            if let Record::Text { bytes, line } = &record
                && inside_quotes
            {
                let bytes = self.lines.bytes(bytes.clone());
                return Err(BadInput::new(bytes, *line, super::csv::not_closed(bytes)));
            }
            if self.parse(record, row)? {
                return Ok(Some(()));
            }
        }
        Ok(None)
    }

    #[inline]
    fn parse(&mut self, record: Record, row: &mut Row) -> Result<bool, BadInput> {
        let (bytes, line, outcome) = match record {
            Record::Text { bytes, line } => {
                let text = self.lines.text(bytes);
                (text.as_bytes(), line, self.parser.record(text, row))
            }
            Record::NotUtf8 { bytes, line, valid } => {
                self.parser.refuse();
                (self.lines.bytes(bytes), line, Err(fault(valid, "bytes that are no UTF-8")))
            }
            Record::TooLong { bytes, line } => {
                self.parser.refuse();
                let message = format!("longer than {} bytes", self.lines.max_record_bytes());
                (self.lines.bytes(bytes), line, Err(fault(0, message)))
            }
        };
        outcome.map_err(|fault| BadInput::new(bytes, line, fault))
    }

    /// The input. What is read from it here the source does not see.
    pub fn input_mut(&mut self) -> &mut R {
        self.lines.input_mut()
    }

    /// Begins again, with the first line of another file: what has been read and not parsed is forgotten
    /// (see [`finish`](Self::finish)), lines are counted from 1, and a CSV file has its header.
    pub fn start_over(&mut self) {
        self.lines.restart(Place::default());
        self.parser.evt.batch_ns = self.parser.untimed_ns;
        if let Some(csv) = &mut self.parser.csv {
            csv.forget_header();
        }
    }

    /// The offset in bytes of the next line in the input.
    pub fn offset(&self) -> u64 {
        self.lines.place().offset
    }

    /// The number of the line that was parsed last, counted from 1.
    pub fn line(&self) -> u64 {
        self.lines.place().lines
    }

    /// How far it has come.
    pub fn position(&self) -> Position {
        let place = self.lines.place();
        Position {
            offset: place.offset,
            lines: place.lines,
            batch_ns: self.parser.evt.batch_ns,
            in_long_line: place.passing_over,
        }
    }
}

impl<R: Read + Seek> EventSource<R> {
    /// Goes on at `position`, which this or another source of the same input has given.
    pub fn seek(&mut self, position: Position) -> io::Result<()> {
        if let Some(csv) = &mut self.parser.csv {
            csv.forget_header();
            self.read_header(position.offset)?;
        }
        self.lines.input_mut().seek(SeekFrom::Start(position.offset))?;
        self.lines.restart(Place {
            offset: position.offset,
            lines: position.lines,
            passing_over: position.in_long_line,
        });
        self.parser.evt.batch_ns = position.batch_ns;
        Ok(())
    }

    /// Reads the header of a CSV file, if it is before `offset`.
    fn read_header(&mut self, offset: u64) -> io::Result<()> {
        self.lines.input_mut().seek(SeekFrom::Start(0))?;
        self.lines.restart(Place::default());
        let mut row = Row::new(InputTypes::UNKNOWN, 0, 0);
        let mut ended = false;
        while self.offset() < offset && !self.parser.csv.as_ref().is_some_and(Csv::has_header) {
            let record = if ended { self.lines.last() } else { self.lines.next() };
            match record {
                Some(record) => {
                    // A bad header was reported when it was read first; the records behind it say so again.
                    let _reported = self.parse(record, &mut row);
                }
                None if ended => break,
                None => ended = self.fill()? == 0,
            }
        }
        Ok(())
    }
}

impl Parser {
    /// Whether `text` is an event; it is then in `row`.
    #[inline]
    fn record(&mut self, text: &str, row: &mut Row) -> Parsed<bool> {
        match self.format {
            Format::Evt => match self.evt.line(text, &mut self.types, self.limits, row)? {
                Line::Event => Ok(true),
                Line::Nothing => Ok(false),
                Line::Json => self.json(text, row),
            },
            Format::Jsonl if text.trim_ascii().is_empty() => Ok(false),
            Format::Jsonl => self.json(text, row),
            Format::Csv => match &mut self.csv {
                Some(csv) => csv.record(text, &mut self.types, self.limits, self.evt.batch_ns, row),
                None => unreachable!("`EventSource::new` makes it where the format is CSV"),
            },
        }
    }
    /// A record was bad input before it was text.
    fn refuse(&mut self) {
        if let Some(csv) = &mut self.csv {
            csv.refuse();
        }
    }

    fn json(&mut self, text: &str, row: &mut Row) -> Parsed<bool> {
        self.json.line(text, &mut self.types, self.limits, self.evt.batch_ns, row)?;
        Ok(true)
    }
}
