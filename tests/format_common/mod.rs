//! What the tests of input share: shapes, and rows as text.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)] // a test that fails panics; not every test uses all

#[path = "../common/drain.rs"]
mod reading;

use std::io::Read;

use varpin::event::json::write_json;
use varpin::event::{FieldType, Row, Shape, ShapeField};
use varpin::format::{BadInput, EventSource, Format, InputType, InputTypes, SourceOptions};

/// A shape that keeps all of `fields`.
pub fn shape(declared: bool, fields: &[(&str, FieldType)], rest: bool) -> Shape {
    let mut shape = Shape { declared, ..Shape::default() };
    for (position, (name, ty)) in fields.iter().enumerate() {
        shape.fields.push(ShapeField { name: (*name).into(), ty: ty.clone(), slot: None });
        shape.keep(position);
    }
    if rest {
        shape.rest = Some(shape.slots);
        shape.slots += 1;
    }
    shape
}

/// Types `E` (undeclared, with `a`, `b`, `field_1` and all fields) and `R` (declared, all kept).
pub fn types() -> InputTypes {
    let undeclared =
        shape(false, &[("a", FieldType::Any), ("b", FieldType::Any), ("field_1", FieldType::Any)], true);
    let declared = shape(
        true,
        &[
            ("id", FieldType::Int),
            ("at", FieldType::Float),
            ("note", FieldType::Str),
            ("due", FieldType::Timestamp),
            ("pause", FieldType::Duration),
            ("tags", FieldType::Array(Box::new(FieldType::Int))),
        ],
        false,
    );
    InputTypes::new(vec![
        InputType { name: "E".into(), type_id: 1, shape: undeclared },
        InputType { name: "R".into(), type_id: 2, shape: declared },
    ])
}

/// A row as `type time values`, the values as JSON, `-` where there is none.
pub fn print(row: &Row) -> String {
    let mut values = Vec::new();
    for value in row.values() {
        if value.is_missing() {
            values.push(b'-');
        } else {
            write_json(&mut values, value);
        }
        values.push(b' ');
    }
    let type_id = if row.type_id() == InputTypes::UNKNOWN { "?".into() } else { row.type_id().to_string() };
    format!("{type_id} {} {}", row.time_ns(), String::from_utf8(values).unwrap().trim_end())
}

/// Everything that a source gives: rows as text, and bad input.
pub fn drain<R: Read>(source: &mut EventSource<R>) -> Vec<Result<String, BadInput>> {
    reading::drain(source, print)
}

/// What `text` gives.
pub fn read(text: impl AsRef<[u8]>, format: Format, options: SourceOptions) -> Vec<Result<String, BadInput>> {
    drain(&mut EventSource::new(text.as_ref(), format, types(), options).unwrap())
}

/// The rows of `text`, all of which is good.
pub fn rows(text: impl AsRef<[u8]>, format: Format, options: SourceOptions) -> Vec<String> {
    read(text, format, options).into_iter().map(|outcome| outcome.unwrap()).collect()
}
