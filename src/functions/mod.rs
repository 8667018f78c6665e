//! What programs can call: the built-in functions of expressions, and the aggregates of windows.
//!
//! A [`Builtin`] takes values and gives one; [`Value::Missing`](crate::event::Value) stands for "no value",
//! so nothing here fails. Two rules hold for all of them and are applied in one place, [`Builtin::call`]: an
//! argument without a value makes a result without one (save for `coalesce` and `if_null`), and so do
//! arguments of a type that the function has no use for.
//!
//! An [`Aggregate`] is fed row by row through an [`Accumulator`].

mod accumulator;
mod aggregate;
mod builtin;
mod collections;
mod convert;
mod math;
mod sum;
mod text;

pub use accumulator::Accumulator;
pub use aggregate::Aggregate;
pub use builtin::{Builtin, CallEnv};
pub use collections::{MAX_ITEMS, range};
pub use math::float_to_int;
