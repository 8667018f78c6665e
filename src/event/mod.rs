//! What flows: values, rows of values, and the shapes that say which slot holds which field.
//!
//! Fields are resolved to slots when a program is loaded; at run time nothing looks a field up by name, except where
//! a program asks for all fields of an event whose type it did not declare.

pub mod arith;
pub mod convert;
pub mod json;
mod map;
pub mod order;
mod pieces;
mod row;
mod shape;
mod snapshot;
mod text;
pub mod time;
mod value;

pub use map::Map;
pub use pieces::{CHUNK_BYTES, PartPieces, Pieces, parts_of};
pub use row::{INLINE_FIELDS, Row, Signal};
pub use shape::{FieldType, Shape, ShapeField};
pub use snapshot::{Keeps, Snapshot, SnapshotError, SnapshotReader, write_all, write_count};
pub use text::Text;
pub use value::Value;
