//! Event files: whatever is in one, it is read to its end, line by line, and the rows do not depend on how its bytes
//! come.

use std::io::{Cursor, Read};

use varpin::event::json::write_json;
use varpin::event::time::write_rfc3339;
use varpin::event::{FieldType, Row, Shape, ShapeField, Value};
use varpin::format::{BadInput, EventSource, Format, InputType, InputTypes, SourceOptions};

use super::chance::Chance;
use super::{Checked, ensure};

/// What a source gave for a line.
type Outcome = Result<String, BadInput>;

/// The undeclared type that keeps all fields, and the type of CSV records.
const OPEN: &str = "E";
const OPEN_ID: u32 = 1;
/// How many lines of a file are read alone.
const MOST_ALONE: usize = 6;

/// Checks a file of events in `format`.
pub fn check(bytes: &[u8], format: Format) -> Checked {
    check_pieces(bytes, format, |piece| piece)
}

/// The same; `fault` is done to the size of each piece that is read, so that the check can be shown to notice.
pub fn check_pieces(bytes: &[u8], format: Format, fault: impl Fn(usize) -> usize + Copy) -> Checked {
    let mut chance = Chance::of(bytes);
    for options in [roomy(), narrow()] {
        let whole = drain(&mut source(bytes, format, types(), &options));
        let lines = bytes.split(|&byte| byte == b'\n').count();
        ensure(whole.len() <= lines, || format!("{} outcomes of {lines} lines", whole.len()))?;
        places(&whole, lines)?;
        for sizes in [vec![1], vec![1 + chance.below(7), 1 + chance.below(70), 1 + chance.below(700)]] {
            let pieces = Pieces { bytes, sizes: sizes.clone(), at: 0, fault };
            let cut = drain(&mut source(pieces, format, types(), &options));
            ensure(whole == cut, || {
                format!("read at once: {whole:#?}\nread in pieces of {sizes:?} bytes: {cut:#?}")
            })?;
        }
        resumed(bytes, format, &options, &whole, chance.below(whole.len() + 1))?;
        unread(bytes, format, &options, &whole)?;
        alone(bytes, format, &options, &whole, &mut chance)?;
        printed(bytes, format, &options)?;
    }
    Ok(())
}

/// Bounds that hardly any input reaches.
fn roomy() -> SourceOptions {
    let mut options = SourceOptions::default();
    options.event_type = Some(OPEN.to_owned());
    options
}

/// Bounds that most inputs reach.
fn narrow() -> SourceOptions {
    let mut options = roomy();
    options.max_line_bytes = 60;
    options.max_string_bytes = 9;
    options.max_fields = 3;
    options.max_nesting = 2;
    options
}

fn source<R: Read>(input: R, format: Format, types: InputTypes, options: &SourceOptions) -> EventSource<R> {
    EventSource::new(input, format, types, options.clone()).unwrap()
}

/// `E`, undeclared, which keeps everything; `D`, declared, one field of each type, some of them unread; `R`, undeclared,
/// which keeps two fields.
fn types() -> InputTypes {
    let shape = |declared, fields: Vec<(&str, FieldType, bool)>, rest| {
        let mut shape = Shape { declared, ..Shape::default() };
        for (position, (name, ty, keep)) in fields.into_iter().enumerate() {
            shape.fields.push(ShapeField { name: name.to_owned(), ty, slot: None });
            if keep {
                shape.keep(position);
            }
        }
        if rest {
            shape.rest = Some(shape.slots);
            shape.slots += 1;
        }
        shape
    };
    let declared = vec![
        ("i", FieldType::Int, true),
        ("f", FieldType::Float, true),
        ("b", FieldType::Bool, false),
        ("s", FieldType::Str, true),
        ("t", FieldType::Timestamp, true),
        ("d", FieldType::Duration, false),
        ("a", FieldType::Array(Box::new(FieldType::Int)), true),
        ("m", FieldType::Map(Box::new(FieldType::Any)), true),
    ];
    let open = vec![("a", FieldType::Any, true), ("field_1", FieldType::Any, true)];
    let read = vec![("a", FieldType::Any, true), ("x", FieldType::Any, false), ("b", FieldType::Any, true)];
    InputTypes::new(vec![
        InputType { name: OPEN.to_owned(), type_id: OPEN_ID, shape: shape(false, open, true) },
        InputType { name: "D".to_owned(), type_id: 2, shape: shape(true, declared, false) },
        InputType { name: "R".to_owned(), type_id: 3, shape: shape(false, read, false) },
    ])
}

/// Gives its bytes in pieces of the sizes that it is told, by turns.
struct Pieces<'a, F> {
    bytes: &'a [u8],
    sizes: Vec<usize>,
    at: usize,
    fault: F,
}

impl<F: Fn(usize) -> usize> Read for Pieces<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.sizes[self.at % self.sizes.len()].min(self.bytes.len()).min(buffer.len());
        self.at += 1;
        let (piece, rest) = self.bytes.split_at(size);
        buffer[..size].copy_from_slice(piece);
        self.bytes = rest;
        Ok((self.fault)(size))
    }
}

/// Everything that a source gives.
fn drain<R: Read>(source: &mut EventSource<R>) -> Vec<Outcome> {
    super::drain::drain(source, print)
}

/// A row as text: its type, its time, its values as JSON and `-` where there is none.
fn print(row: &Row) -> String {
    let mut text = format!("{} {}", row.type_id(), row.time_ns()).into_bytes();
    for value in row.values() {
        text.push(b' ');
        if value.is_missing() {
            text.push(b'-');
        } else {
            write_json(&mut text, value);
        }
    }
    String::from_utf8(text).unwrap()
}

/// Bad lines are told in the order of the file, each with a place that is there.
fn places(outcomes: &[Outcome], lines: usize) -> Checked {
    let mut last = 0;
    for bad in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        // A record of CSV that is too long may end in the middle of a line, of which more can be said.
        ensure(bad.line >= last && bad.line <= lines as u64 && bad.column > 0, || {
            format!("{bad}, behind one in line {last}, in a file of {lines} lines")
        })?;
        last = bad.line;
    }
    Ok(())
}

/// A source that goes on where another one stopped behind `stop` outcomes gives the rest.
fn resumed(bytes: &[u8], format: Format, options: &SourceOptions, whole: &[Outcome], stop: usize) -> Checked {
    let mut first = source(bytes, format, types(), options);
    let mut row = Row::new(0, 0, 0);
    let mut seen = 0;
    while seen < stop {
        match first.next(&mut row) {
            Ok(Some(())) | Err(_) => seen += 1,
            Ok(None) if first.fill().unwrap() == 0 => break,
            Ok(None) => {}
        }
    }
    let position = first.position();
    let mut second = source(Cursor::new(bytes), format, types(), options);
    second.seek(position).unwrap();
    let rest = drain(&mut second);
    // The excerpt of a line that is too long is of where reading began.
    let told = |outcomes: &[Outcome]| -> Vec<_> {
        let told =
            |outcome: &Outcome| outcome.clone().map_err(|bad| (bad.line, bad.column, bad.message.clone()));
        outcomes.iter().map(told).collect()
    };
    let (expected, rest) = (told(&whole[seen..]), told(&rest));
    ensure(expected == rest, || format!("from {position:?} on: {rest:#?}\ninstead of {expected:#?}"))
}

/// Whether a line is good does not depend on what a program reads of it, apart from the types that it declares.
fn unread(bytes: &[u8], format: Format, options: &SourceOptions, whole: &[Outcome]) -> Checked {
    let nothing = drain(&mut source(bytes, format, InputTypes::new(Vec::new()), options));
    ensure(nothing.len() == whole.len(), || {
        format!("{nothing:#?}\nwhere nothing is read, instead of {whole:#?}")
    })?;
    for (unread, read) in nothing.iter().zip(whole) {
        let holds = match (unread, read) {
            (_, Err(read))
                if read.message.contains(" is declared ") || read.message.contains(" has only ") =>
            {
                true
            }
            (Ok(_), Ok(_)) => true,
            (unread, read) => unread == read,
        };
        ensure(holds, || format!("{unread:?} where nothing is read, {read:?} where it is"))?;
    }
    Ok(())
}

/// What a line means does not depend on the lines before it, but for `BATCH`: some of those that gave an outcome.
fn alone(
    bytes: &[u8],
    format: Format,
    options: &SourceOptions,
    whole: &[Outcome],
    chance: &mut Chance,
) -> Checked {
    let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    // A byte order mark counts at the beginning of a file only.
    if format == Format::Csv || whole.is_empty() || has(b"BATCH") || has(b"\n\xef\xbb\xbf") {
        return Ok(());
    }
    let mut source = source(bytes, format, types(), options);
    let mut wanted: Vec<usize> = (0..MOST_ALONE).map(|_| chance.below(whole.len())).collect();
    wanted.sort_unstable();
    let mut row = Row::new(0, 0, 0);
    let mut at = 0;
    for wanted in wanted {
        while at <= wanted {
            match source.next(&mut row) {
                Ok(Some(())) | Err(_) => at += 1,
                // What is left is a last line without an end.
                Ok(None) if source.fill().unwrap() == 0 => return Ok(()),
                Ok(None) => {}
            }
        }
        // A line that is too long is told of before its end has been read.
        let number = whole[wanted].as_ref().map_or_else(|bad| bad.line, |_| source.line());
        let line = bytes.split(|&byte| byte == b'\n').nth(number as usize - 1).unwrap_or_default();
        let alone = drain(&mut self::source(line, format, types(), options));
        let same = match (&alone[..], &whole[wanted]) {
            ([Ok(alone)], Ok(among)) => alone == among,
            ([Err(alone)], Err(among)) => {
                (alone.column, &alone.message, &alone.text) == (among.column, &among.message, &among.text)
            }
            _ => false,
        };
        ensure(same, || format!("alone line {number} is {alone:?}, among others {:?}", whole[wanted]))?;
    }
    Ok(())
}

/// A row of the type that keeps all fields, written as JSON, is read as the same row.
fn printed(bytes: &[u8], format: Format, options: &SourceOptions) -> Checked {
    let mut source = source(bytes, format, types(), options);
    let mut row = Row::new(0, 0, 0);
    loop {
        match source.next(&mut row) {
            Ok(Some(())) => printed_row(&row)?,
            Err(_) => {}
            Ok(None) if source.fill().unwrap() == 0 => return Ok(()),
            Ok(None) => {}
        }
    }
}

fn printed_row(row: &Row) -> Checked {
    let Some(Value::Map(_)) = row.values().last().filter(|_| row.type_id() == OPEN_ID) else { return Ok(()) };
    let mut line = b"{\"type\":\"E\",\"ts\":\"".to_vec();
    write_rfc3339(&mut line, row.time_ns());
    line.extend_from_slice(b"\",\"data\":");
    write_json(&mut line, row.get(row.len() - 1));
    line.push(b'}');
    let again = drain(&mut source(&line[..], Format::Jsonl, types(), &roomy()));
    let wanted = print(row);
    ensure(matches!(&again[..], [Ok(again)] if *again == wanted), || {
        format!("{wanted} was printed as {} and read as {again:?}", String::from_utf8_lossy(&line))
    })
}
