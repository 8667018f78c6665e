//! Supervision: what becomes of a context that failed, of a sink that fails, of a thread that is stuck.
//!
//! The decisions are pure functions of what happened and of the time: [`Restarts`] says whether and when what
//! failed is started again, [`restarting`] what is restarted along with it, [`Breaker`] whether a call is let
//! through. They know no thread and read no clock, so their rules stand in tables in the tests.

mod breaker;
mod restart;
mod strategy;

pub use breaker::{
    Breaker, BreakerChange, BreakerPolicy, BreakerState, CallOutcome, Permit, UnknownWhileOpen, WhileOpen,
};
pub use restart::{Decision, Ending, Jitter, Restart, RestartPolicy, Restarts, UnknownRestart};
pub use strategy::{Strategy, UnknownStrategy, reachable, restarting};
