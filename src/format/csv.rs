//! CSV: a header with the names of the fields, then one event a record. All events are of one type.
//!
//! What a cell holds is told by its text, unless the type is declared; an empty cell is null.

use std::borrow::Cow;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use super::bad_input::{Fault, Parsed, fault};
use super::fill::Filler;
use super::json::{TIME_KEYS, event_time};
use super::number::whole_number;
use super::scan::{END, Limits, Scanner};
use super::types::InputTypes;
use crate::event::{FieldType, Row, Text, Value};

/// A column of the file.
#[derive(Debug)]
struct Column {
    name: String,
    /// Whether it holds the time of the events. It is a field as well only where one of that name is declared.
    is_time: bool,
}

#[derive(Debug)]
enum Header {
    Unread,
    Columns(Vec<Column>),
    /// It was bad input, so that every record is.
    Unusable,
}

/// Reads events in CSV.
pub(super) struct Csv {
    event_type: String,
    header: Header,
    reader: Reader,
    /// The cells of a record, one behind the other without quotes, and where each ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
    scratch: String,
}

impl std::fmt::Debug for Csv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Csv")
            .field("event_type", &self.event_type)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl Csv {
    pub(super) fn new(event_type: String) -> Self {
        Self {
            event_type,
            header: Header::Unread,
            reader: ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build(),
            cells: Vec::new(),
            ends: Vec::new(),
            scratch: String::new(),
        }
    }

    /// Whether the header has been read.
    pub(super) fn has_header(&self) -> bool {
        !matches!(self.header, Header::Unread)
    }

    /// The next record is a header.
    pub(super) fn forget_header(&mut self) {
        self.header = Header::Unread;
    }

    /// A record was bad input before it was text; if it was the header, every other one is.
    pub(super) fn refuse(&mut self) {
        if matches!(self.header, Header::Unread) {
            self.header = Header::Unusable;
        }
    }

    /// Reads one record. False: it was the header, or blank. An event without a time gets `untimed_ns`.
    pub(super) fn record(
        &mut self,
        text: &str,
        types: &mut InputTypes,
        limits: Limits,
        untimed_ns: i64,
        row: &mut Row,
    ) -> Parsed<bool> {
        if text.is_empty() {
            return Ok(false);
        }
        let count = self.split(text, limits)?;
        let columns = match &self.header {
            Header::Columns(columns) => columns,
            Header::Unusable => return Err(fault(0, "the header of the file is bad input")),
            Header::Unread => {
                self.header = Header::Unusable;
                self.header = Header::Columns(self.columns(text, count)?);
                return Ok(false);
            }
        };
        if count != columns.len() {
            let at = cell_starts(text.as_bytes()).nth(columns.len()).unwrap_or(text.len());
            return Err(fault(at, format!("{count} fields where the header has {}", columns.len())));
        }
        let place = types.find(&self.event_type);
        let mut filler = Filler::new(types.at(place), row, untimed_ns, limits);
        for (index, column) in columns.iter().enumerate() {
            let located = |message| locate(text, index, message);
            let cell = cell(&self.cells, &self.ends, index).map_err(located)?;
            if column.is_time {
                let time_ns = event_time(&plain(cell)).map_err(|message| located(message.into()))?;
                filler.set_time_ns(time_ns.unwrap_or(untimed_ns));
                if !filler.declares(&column.name) {
                    continue;
                }
            }
            let field = filler.named(&column.name).map_err(located)?;
            let value = match filler.declared(field) {
                Some(ty) => typed(cell, ty, limits, &mut self.scratch),
                None => plain(cell),
            };
            filler.put(field, value, || Cow::Borrowed(&column.name)).map_err(located)?;
        }
        filler.finish();
        Ok(true)
    }

    /// Splits `text` into cells and says how many there are.
    fn split(&mut self, text: &str, limits: Limits) -> Parsed<usize> {
        self.reader.reset();
        self.cells.resize(self.cells.len().max(text.len() + 1), 0);
        self.ends.resize(limits.max_fields, 0);
        let (mut written, mut count) = (0, 0);
        // The crate takes a byte order mark away from a first piece that begins with a whole one. Only that of the file
        // is none of its content, and is gone already.
        let first = if text.starts_with('\u{feff}') { 1 } else { text.len() };
        let (first, rest) = text.as_bytes().split_at(first);
        // The last round, without input, ends the record.
        for input in [first, rest].into_iter().filter(|piece| !piece.is_empty()).chain([&b""[..]]) {
            let (outcome, _, bytes, ends) =
                self.reader.read_record(input, &mut self.cells[written..], &mut self.ends[count..]);
            written += bytes;
            count += ends;
            match outcome {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => break,
                ReadRecordResult::OutputEndsFull => {
                    let at = cell_starts(text.as_bytes()).nth(limits.max_fields).unwrap_or(0);
                    return Err(fault(at, format!("an event of more than {} fields", limits.max_fields)));
                }
                ReadRecordResult::OutputFull | ReadRecordResult::End => {
                    unreachable!("cells are no longer than their text, which is not empty")
                }
            }
        }
        Ok(count)
    }

    fn columns(&self, text: &str, count: usize) -> Parsed<Vec<Column>> {
        let mut columns: Vec<Column> = Vec::with_capacity(count);
        for index in 0..count {
            let name =
                cell(&self.cells, &self.ends, index).map_err(|message| locate(text, index, message))?;
            if name.is_empty() {
                return Err(locate(text, index, "a column without a name".into()));
            }
            if columns.iter().any(|column| column.name == name) {
                return Err(locate(text, index, format!("two columns are called `{name}`").into()));
            }
            columns.push(Column { name: name.to_owned(), is_time: false });
        }
        let time = TIME_KEYS.iter().find_map(|key| columns.iter().position(|column| column.name == *key));
        if let Some(time) = time {
            columns[time].is_time = true;
        }
        Ok(columns)
    }
}

fn cell<'c>(cells: &'c [u8], ends: &[usize], index: usize) -> Result<&'c str, Cow<'static, str>> {
    let start = if index == 0 { 0 } else { ends[index - 1] };
    std::str::from_utf8(&cells[start..ends[index]]).map_err(|_| Cow::Borrowed("bytes that are no UTF-8"))
}

/// What the text of a cell says by itself.
fn plain(cell: &str) -> Value {
    match cell {
        "" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => whole_number(cell).unwrap_or_else(|| Value::Str(Text::new(cell))),
    }
}

/// What a cell says where its field is declared as `ty`. Whether it fits is checked where it is put.
fn typed(cell: &str, ty: &FieldType, limits: Limits, scratch: &mut String) -> Value {
    match ty {
        FieldType::Str if !cell.is_empty() => Value::Str(Text::new(cell)),
        FieldType::Array(_) | FieldType::Map(_) | FieldType::Record(_) => {
            let mut scanner = Scanner::new(cell, limits, scratch);
            match scanner.value(true) {
                Ok(value) if scanner.peek() == END => value,
                _ => plain(cell),
            }
        }
        _ => plain(cell),
    }
}

/// The fault that `message` describes, in the cell at `index`.
#[cold]
fn locate(text: &str, index: usize, message: Cow<'static, str>) -> Fault {
    fault(cell_starts(text.as_bytes()).nth(index).unwrap_or(0), message)
}

/// The fault that the last field of `record` opens with a quote that nothing closes.
pub(super) fn not_closed(record: &[u8]) -> Fault {
    fault(cell_starts(record).last().unwrap_or(0), "the quote is not closed")
}

/// Where the cells of a record begin. For messages: it reads the record again, byte by byte.
fn cell_starts(record: &[u8]) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    let mut start = true;
    let behind_commas = record.iter().enumerate().filter_map(move |(at, byte)| {
        match byte {
            b'"' if quoted || start => quoted = !quoted,
            b',' if !quoted => {
                start = true;
                return Some(at + 1);
            }
            _ => {}
        }
        start = false;
        None
    });
    std::iter::once(0).chain(behind_commas)
}
