//! Supervision: what becomes of a context that failed, of a sink that fails, of a thread that is stuck.
//!
//! The decisions are pure functions of what happened and of the time: [`Restarts`] says whether and when what
//! failed is started again, [`restarting`] what is restarted along with it, [`Breaker`] whether a call is let
//! through, [`StallWatch`] whether a thread is stuck. They know no thread and read no clock, so their rules stand in
//! tables in the tests. What has effects is the [`Supervisor`], a thread that sleeps until a worker hands over what it
//! holds; where checkpoints are kept it asks for a [`Rollback`] instead of making a worker fit again. It tells what
//! happens as [`Event`]s, and everybody can see on the [`Board`] how things are.

mod board;
mod breaker;
mod declared;
mod event;
mod guard;
#[cfg(feature = "vpl")]
mod json;
mod restart;
mod rollback;
mod stall;
mod strategy;
mod supervisor;

pub use board::{
    Activity, Board, BreakerGauge, BreakerHealth, ComponentHealth, Escalation, Health, Member, PlaceTeller,
    SinkMember, Stall, Status,
};
pub use breaker::{
    Breaker, BreakerChange, BreakerPolicy, BreakerState, CallOutcome, Permit, UnknownWhileOpen, WhileOpen,
};
pub use declared::{Declared, StallPolicy, Supervised};
pub use event::{Component, Event, EventKind, EventSink, Events};
pub use guard::{Called, SinkGuard};
pub use restart::{Decision, Ending, Jitter, Restart, RestartPolicy, Restarts, UnknownRestart};
pub use rollback::{Condemned, Memory, Rollback, RollbackDue};
pub use stall::{StallChange, StallWatch};
pub use strategy::{Strategy, UnknownStrategy, reachable, restarting};
pub use supervisor::Supervisor;
