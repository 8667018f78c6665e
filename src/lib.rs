//! varpin runs VPL (Varpulis Pipeline Language) programs on pinned, busy-polling threads joined by lock-free
//! single-producer single-consumer rings.
//!
//! Where to begin:
//!
//! - [`engine`]: load a program, feed events, take results. What an embedder of VPL holds.
//! - [`flow`]: typed Rust closures on pinned threads, without VPL. All that is left without the feature `vpl`.
//! - [`supervise`]: what becomes of what fails: restarts, breakers, health.
//! - [`ring`]: the rings themselves; [`idle`]: how a thread waits; [`cores`]: which CPUs there are, and pinning.
//!
//! The crate's layers stand in `ARCHITECTURE.md`; a module names only modules of lower layers (`scripts/layers.sh`).
//!
//! Features: `vpl` is the language with its operators, formats and engine; `cli` the `varpin` command. Both are on by
//! default.

pub mod clock;
pub mod cores;
pub mod flow;
pub mod idle;
pub mod metrics;
pub mod ring;
pub mod supervise;
pub mod sync;

#[cfg(feature = "vpl")]
pub mod checkpoint;
#[cfg(feature = "vpl")]
pub mod connect;
#[cfg(feature = "vpl")]
pub mod context;
#[cfg(feature = "vpl")]
pub mod engine;
#[cfg(feature = "vpl")]
pub mod event;
#[cfg(feature = "vpl")]
pub mod format;
#[cfg(feature = "vpl")]
pub mod functions;
#[cfg(feature = "vpl")]
pub mod operators;
#[cfg(feature = "vpl")]
pub mod vpl;

/// The examples in README.md run as tests.
#[cfg(all(doctest, feature = "vpl"))]
#[doc = include_str!("../README.md")]
struct Readme;
