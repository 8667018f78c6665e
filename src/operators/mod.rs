//! What streams do to events: one operator per file.
//!
//! A stream runs row by row up to its window, and behind it window by window: [`StreamRuntime`] holds both halves.
//! Everything here is resolved beforehand (see [`plan`](crate::vpl::plan)), belongs to one thread, and knows neither
//! threads nor rings.

mod aggregate;
mod at;
mod batch;
mod behind;
mod chain;
mod distinct;
mod due;
mod emit;
mod env;
mod error;
mod expr;
mod filter;
mod join;
mod kept;
mod keys;
mod limit;
mod limits;
mod log;
mod moving;
mod on_error;
mod order_by;
mod partition_by;
mod process;
mod project;
mod remap;
mod replace;
mod sequence;
mod stateless;
mod stream;
mod window;

pub use at::operator_at;
pub use emit::{Emit, Part};
pub use env::{Env, LogLine, LogSink};
pub use error::{CompileError, OperatorError};
pub use limits::Limits;
pub use moving::Moved;
pub use on_error::{Decider, Verdict};
pub use remap::Remap;
pub use stream::{StreamRuntime, StreamStats};
