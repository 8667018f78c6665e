//! Waiting is a value: what a worker does between two duty cycles that found no work.

mod parker;

pub use parker::{Parker, Waker};
