//! Rows as lines in each of the formats: JSON lines as results are printed, `.evt` and CSV so that they can be read
//! again as events.

use super::results::{ResultLayout, ResultWriter};
use super::source::Format;
use crate::event::json::{write_int, write_json, write_str};
use crate::event::time::write_rfc3339;
use crate::event::{Row, Value};

const NS_PER_MS: i64 = 1_000_000;

/// Prints the rows of one stream as lines.
///
/// ```
/// use varpin::event::{Row, Value};
/// use varpin::format::{Format, ResultLayout, RowLines};
/// let fields = vec![("room".to_owned(), 0), ("celsius".to_owned(), 1)];
/// let layout = ResultLayout { stream: "Hot".into(), fields, ..Default::default() };
/// let row = Row::with_values(0, 140_000_000, &[Value::from("hall, east"), Value::Float(31.0)]);
/// let mut out = Vec::new();
/// RowLines::new(Format::Evt, &layout).write(&mut out, &row);
/// assert_eq!(out, b"@140ms Hot { room: \"hall, east\", celsius: 31.0 }\n");
/// let csv = RowLines::new(Format::Csv, &layout);
/// assert_eq!(csv.header(), b"@timestamp,room,celsius\n");
/// ```
#[derive(Clone, Debug)]
pub struct RowLines(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Json(Box<ResultWriter>),
    Evt { type_name: Vec<u8>, fields: Vec<(String, usize)>, rest: Option<usize> },
    Csv { fields: Vec<(String, usize)> },
}

impl RowLines {
    /// Lines in `format` of rows that look as `layout` says. In CSV, fields without a column (where the layout has
    /// all fields as a map) are not printed.
    pub fn new(format: Format, layout: &ResultLayout) -> Self {
        let fields = || layout.fields.iter().map(|(name, slot)| (name.clone(), usize::from(*slot))).collect();
        Self(match format {
            Format::Jsonl => Kind::Json(Box::new(ResultWriter::new(layout))),
            Format::Evt => Kind::Evt {
                type_name: layout.type_name.as_ref().unwrap_or(&layout.stream).clone().into_bytes(),
                fields: fields(),
                rest: layout.rest.map(usize::from),
            },
            Format::Csv => Kind::Csv { fields: fields() },
        })
    }

    /// The line in front of the first row; empty but for CSV.
    pub fn header(&self) -> Vec<u8> {
        let Kind::Csv { fields } = &self.0 else { return Vec::new() };
        let mut header = b"@timestamp".to_vec();
        for (name, _) in fields {
            header.push(b',');
            write_cell(&mut header, name);
        }
        header.push(b'\n');
        header
    }

    /// Appends `row` and a line's end to `out`. Fields without a value are left out, in CSV empty.
    ///
    /// # Panics
    /// If the row has not the slots that the layout names.
    pub fn write(&mut self, out: &mut Vec<u8>, row: &Row) {
        match &mut self.0 {
            Kind::Json(writer) => writer.write(out, row),
            Kind::Evt { type_name, fields, rest } => {
                let named: Vec<(&str, &Value)> = match rest.map(|slot| &row.values()[slot]) {
                    None => fields.iter().map(|(name, slot)| (name.as_str(), &row.values()[*slot])).collect(),
                    Some(Value::Map(map)) => map.iter().map(|(name, value)| (name.as_str(), value)).collect(),
                    Some(_) => Vec::new(),
                };
                write_evt(out, type_name, row.time_ns(), &named);
            }
            Kind::Csv { fields } => {
                write_rfc3339(out, row.time_ns());
                for (_, slot) in fields {
                    out.push(b',');
                    write_value_cell(out, &row.values()[*slot]);
                }
                out.push(b'\n');
            }
        }
    }
}

/// Writes `@TIME Type { name: value, .. }`; as a JSON object where a name is none that the form can have.
fn write_evt(out: &mut Vec<u8>, type_name: &[u8], time_ns: i64, fields: &[(&str, &Value)]) {
    let fields = || fields.iter().filter(|(_, value)| !value.is_missing());
    if !fields().all(|(name, _)| is_identifier(name)) {
        out.extend_from_slice(b"{\"type\":");
        write_str(out, &String::from_utf8_lossy(type_name));
        out.extend_from_slice(b",\"ts\":\"");
        write_rfc3339(out, time_ns);
        out.extend_from_slice(b"\",\"data\":{");
        for (at, (name, value)) in fields().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_str(out, name);
            out.push(b':');
            write_json(out, value);
        }
        out.extend_from_slice(b"}}\n");
        return;
    }
    out.push(b'@');
    let (count, unit) =
        if time_ns % NS_PER_MS == 0 { (time_ns / NS_PER_MS, "ms ") } else { (time_ns, "ns ") };
    write_int(out, count);
    out.extend_from_slice(unit.as_bytes());
    out.extend_from_slice(type_name);
    out.extend_from_slice(b" {");
    for (at, (name, value)) in fields().enumerate() {
        out.extend_from_slice(if at > 0 { b", " } else { b" " });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        write_json(out, value);
    }
    out.extend_from_slice(b" }\n");
}

/// What `.evt` takes for a name of a field.
fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn write_value_cell(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Missing | Value::Null => {}
        Value::Str(text) => write_cell(out, text),
        Value::Timestamp(ns) => write_rfc3339(out, *ns),
        Value::Float(float) if !float.is_finite() => {}
        Value::Array(_) | Value::Map(_) => {
            let mut json = Vec::new();
            write_json(&mut json, value);
            write_cell(out, &String::from_utf8_lossy(&json));
        }
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Duration(_) => write_json(out, value),
    }
}

/// Writes a cell, in quotes where it needs them.
fn write_cell(out: &mut Vec<u8>, text: &str) {
    if !text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
