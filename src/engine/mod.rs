//! What an embedder holds: load a program, build an engine, push events in, poll results out.
//!
//! ```
//! use varpin::engine::{Engine, Program};
//!
//! let program = Program::parse("stream Hot = Reading.where(celsius > 30.0).emit(room: room, celsius: celsius)")?;
//! let mut engine = Engine::builder(&program).build()?;
//! let reading = engine.event_type("Reading")?;
//! let (room, celsius) = (reading.field("room")?, reading.field("celsius")?);
//!
//! let mut hot = Vec::new();
//! for (name, degrees) in [("hall", 21.0), ("kiln", 900.0)] {
//!     let mut event = reading.event(1_000_000_000);
//!     event.set(&room, name)?;
//!     event.set(&celsius, degrees)?;
//!     engine.feed(event, |result| hot.push(result.to_json()))?;
//! }
//! engine.finish(|result| hot.push(result.to_json()))?;
//! assert_eq!(hot, [r#"{"stream":"Hot","ts":"1970-01-01T00:00:01.000Z","data":{"room":"kiln","celsius":900.0}}"#]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A program without contexts runs on the thread that feeds it: no thread, no ring. One with contexts has a
//! thread for each; [`Engine::take_input`] and [`Engine::take_output`] give its ends to threads of the
//! embedder's own, and [`Builder::stepped`] leaves the stepping to the embedder.

mod build;
mod builder;
mod checkpoints;
mod connectors;
mod delivery;
mod elastic;
mod error;
mod event;
mod findings;
mod gate;
mod health;
mod import_names;
mod imports;
mod inline;
mod input;
mod letters;
mod log;
mod merge;
mod metrics;
mod output;
mod program;
mod prometheus;
mod record;
mod recovery;
mod regroup;
mod rollback;
mod run;
mod sampling;
mod stats;
mod supervision;
mod tuning;
mod uncommitted;
mod writer;

pub use crate::connect::{BadLine, ConnectError, SinkCounts, UnwrittenRow};
pub use builder::Builder;
pub use checkpoints::{CheckpointNews, Checkpoints, Resumed};
pub use elastic::Resizing;
pub use error::{BuildError, EngineError, EventError, RecoveryError, ResizeError};
pub use event::{Event, EventType, Field};
pub use input::{Input, InputError};
pub use log::log_json;
pub use metrics::{LatencyMetrics, Metrics, MetricsReader, RingMetrics, WorkerMetrics};
pub use output::{Offer, Output};
pub use program::{Program, ProgramError};
pub use prometheus::prometheus;
pub use record::{JsonLines, Record, ResultId};
pub use rollback::RolledBack;
pub use run::Engine;
pub use stats::{BreakerStats, ContextStats, DeadLetter, HotKey, LostState, Stats, StreamCounts};
pub use tuning::LowJitterStats;
