//! What can go wrong between a program and its end.

use crate::checkpoint::StoreError;
use crate::connect::ConnectError;
use crate::cores::PlacementError;
use crate::event::SnapshotError;
use crate::flow::{JoinError, StartError};
use crate::operators::CompileError;
use crate::supervise::{Escalation, RollbackDue};

/// Why an engine cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A stream, function or global cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A CPU that a context asks for cannot be had, and pinning is strict.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// The threads cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file that the program reads or writes cannot be opened.
    #[error(transparent)]
    Connector(#[from] ConnectError),
    /// An option that makes no sense.
    #[error("{0}")]
    Option(String),
    /// A context is to be restarted when it panics, and this build ends the process at a panic.
    #[error(
        "a restart policy is declared, and this program was built with `panic = \"abort\"`: a panic ends the process \
         before anything can be restarted (build it with `panic = \"unwind\"`, or declare `restart: never`)"
    )]
    PanicAborts,
    /// Restarts, breakers or stalls are declared, and contexts have no threads of their own that could be supervised.
    #[error(
        "{threads} has no supervisor: what is declared about restarts, breakers or stalls needs a thread for each \
         context"
    )]
    Unsupervised {
        /// What runs the contexts instead.
        threads: &'static str,
    },
    /// Checkpoints cannot be kept, or cannot be gone on from.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The CPUs that this process may use cannot be read.
    #[error("cannot read which CPUs this process may use: {0}")]
    Cpus(std::io::Error),
}

/// Why an engine cannot go on from a checkpoint, or make any.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The directory cannot be used, or what is in it cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint is of another program.
    #[error(
        "{path} is of another program: {}; its state cannot be gone on from (streams that are the same can, if changes \
         are allowed)",
        .changed.join(", ")
    )]
    Changed {
        /// The checkpoint.
        path: String,
        /// What has changed.
        changed: Vec<String>,
    },
    /// What is in the checkpoint makes no sense, although its checksum holds.
    #[error("{path} cannot be gone on from: {error}")]
    Content {
        /// The checkpoint.
        path: String,
        /// What is wrong.
        error: SnapshotError,
    },
    /// The thread that writes checkpoints cannot be started.
    #[error("cannot start the thread that writes checkpoints: {0}")]
    Thread(std::io::Error),
}

/// Why a run goes no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Stages failed, were stuck, or were given up at the deadline.
    #[error(transparent)]
    Join(#[from] Box<JoinError>),
    /// A context failed for good, and everything else was ended in good order.
    #[error("{0}")]
    Escalated(Box<Escalation>),
    /// A stage of a stepped engine failed.
    #[error("stage {stage} failed: {message}")]
    Stage {
        /// The stage.
        stage: String,
        /// Why.
        message: String,
    },
    /// Stages of a stepped engine were not done at the deadline, and were given up. The statistics say what
    /// they left undelivered.
    #[error("not done at the deadline: {}", .0.join(", "))]
    GivenUp(Vec<String>),
    /// A file that the program reads or writes cannot be read or written.
    #[error(transparent)]
    Connector(#[from] ConnectError),
    /// A stage has ended before the input did, or a connector has failed; [`finish`](super::Engine::finish) says why.
    #[error("the engine has stopped taking events")]
    Closed,
    /// A context that is configured with `when_full: error` does not keep up; the event was not taken.
    #[error("a ring is full, and its context says `when_full: error`")]
    Overrun,
    /// The call waited for room, and was asked to come back
    /// ([`Builder::interrupt_when`](super::Builder::interrupt_when)); the event was not taken.
    #[error("interrupted while waiting for room on a ring")]
    Interrupted,
    /// The barrier of a checkpoint waits for [`Engine::cut`](super::Engine::cut), and nothing moves before; the event
    /// was not taken. Only where the embedder cuts by hand.
    #[error("a checkpoint waits to be told where the sink is")]
    AtCheckpoint,
    /// A context has failed and is to be restarted, and checkpoints are kept: everything has stopped, and goes on with
    /// [`Engine::roll_back`](super::Engine::roll_back). An event that comes back with this was not taken.
    #[error(
        "context {} failed ({}), and the engine waits to be rolled back to its last checkpoint",
        .0.context,
        .0.message
    )]
    RollBack(Box<RollbackDue>),
    /// It cannot be rolled back to its last checkpoint.
    #[error("cannot be rolled back to the last checkpoint: {0}")]
    CannotRollBack(Box<BuildError>),
    /// No context has failed that is to be restarted, or no checkpoints are kept.
    #[error("there is nothing to be rolled back")]
    NothingToRollBack,
    /// Inputs or outputs that were taken are still held: they have to be dropped before a rollback.
    #[error("{0} of the engine's ends were taken and are still held")]
    EndsAway(usize),
    /// The input or the output was taken; use that.
    #[error("the {0} was taken")]
    Taken(&'static str),
    /// The program runs on the caller's thread, so it has no ends to give away.
    #[error(
        "the program has no contexts and runs on the caller's thread: it has no {0} to take \
         (Builder::threaded gives it a thread)"
    )]
    NoThreads(&'static str),
    /// Results wait for a poll, and more than this is not kept.
    #[error("{0} results wait to be polled; no more are kept")]
    ResultsWaiting(usize),
}

/// Why an event cannot be made.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventError {
    /// No stream takes it, and no `event` statement declares it.
    #[error("no stream of the program takes events of type {0}")]
    UnknownType(String),
    /// The declared type has no such field.
    #[error("event {event_type} has no field {field}")]
    UnknownField {
        /// The event type.
        event_type: String,
        /// The field.
        field: String,
    },
    /// The type is not declared and the program passes all fields on: it needs them by name.
    #[error(
        "the program passes all fields of {event_type} on and does not declare them; \
         give {field} through EventType::event_with"
    )]
    NeedsMap {
        /// The event type.
        event_type: String,
        /// The field.
        field: String,
    },
    /// The value does not convert to the declared type.
    #[error("field {field} is declared as {expected}, and {value} is none")]
    WrongType {
        /// The field.
        field: String,
        /// The declared type.
        expected: String,
        /// The value.
        value: String,
    },
    /// The field belongs to another event type.
    #[error("field {field} belongs to another event type")]
    OtherType {
        /// The field.
        field: String,
    },
}

/// Why a pool cannot be resized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResizeError {
    /// The program has no such stream.
    #[error("the program has no stream {0}")]
    UnknownStream(String),
    /// The stream runs elsewhere.
    #[error("stream {stream} runs in context {context}, not in {asked}")]
    OtherContext {
        /// The stream.
        stream: String,
        /// Where it runs.
        context: String,
        /// What was asked for.
        asked: String,
    },
    /// The stream has no pool, or the engine runs nothing any more.
    #[error("stream {0} has no pool that runs: it needs `.concurrent`")]
    NoPool(String),
    /// All workers have all state; a new one could not come by it.
    #[error(
        "the pool of stream {0} is a broadcast: all of its workers have seen everything, and a new one has not"
    )]
    Broadcast(String),
    /// So many workers cannot be had.
    #[error("a pool has 1 to {most} workers, not {asked}")]
    Workers {
        /// What was asked for.
        asked: usize,
        /// What can be had.
        most: usize,
    },
    /// Earlier resizes wait: a stage is slow, or nobody polls the output.
    #[error("earlier resizes of stream {0} are not done yet: a stage is slow, or nobody takes results")]
    Busy(String),
    /// A checkpoint is under way, which has to find the workers that there are; it is a matter of milliseconds.
    #[error("a checkpoint is under way; stream {0} can be resized when it is done")]
    AtCheckpoint(String),
    /// A new worker cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A new thread cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
}
