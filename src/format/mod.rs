//! Bytes to rows and rows to bytes: event files (`.evt`, `.jsonl`, `.csv`) in, results as JSON lines out.
//!
//! An [`EventSource`] takes bytes from a `Read` and parses line after line into a row that its caller owns. Which
//! fields are kept, and in which slots, the [`InputTypes`] say. A line that is wrong becomes a [`BadInput`] with its
//! line and column, and the source goes on with the next one. A [`ResultWriter`] prints rows. Nothing here grows with
//! the length of the input.
//!
//! ```
//! use varpin::event::{FieldType, Row, Shape, ShapeField, Value};
//! use varpin::format::{EventSource, Format, InputType, InputTypes, SourceOptions};
//!
//! let mut shape = Shape::default();
//! shape.fields.push(ShapeField { name: "celsius".into(), ty: FieldType::Any, slot: None });
//! shape.keep(0);
//! let types = InputTypes::new(vec![InputType { name: "Reading".into(), type_id: 7, shape }]);
//! let text = "Reading { room: \"hall\", celsius: 21.5 }\nReading { celsius: }\n";
//! let mut source = EventSource::new(text.as_bytes(), Format::Evt, types, SourceOptions::default())?;
//!
//! let mut row = Row::new(0, 0, 0);
//! source.fill()?;
//! assert!(source.next(&mut row)?.is_some());
//! assert!(matches!(row.get(0), Value::Float(21.5)));
//! let bad = source.next(&mut row).unwrap_err();
//! assert_eq!((bad.line, bad.column), (2, 20));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bad_input;
mod csv;
mod evt;
mod fill;
mod json;
mod json_value;
mod lines;
mod number;
mod results;
mod row_lines;
mod scan;
mod source;
mod types;

pub use bad_input::BadInput;
pub use results::{ResultLayout, ResultWriter};
pub use row_lines::RowLines;
pub use source::{EventSource, Format, MissingEventType, Position, SourceOptions};
pub use types::{InputType, InputTypes};
