//! varpin runs VPL (Varpulis Pipeline Language) programs on pinned, busy-polling threads joined by lock-free
//! single-producer single-consumer rings.

pub mod clock;
pub mod cores;
pub mod flow;
pub mod idle;
pub mod ring;
pub mod sync;
#[cfg(feature = "vpl")]
pub mod vpl;

#[cfg(feature = "vpl")]
pub mod event;

#[cfg(feature = "vpl")]
pub mod format;

#[cfg(feature = "vpl")]
pub mod functions;
#[cfg(feature = "vpl")]
pub mod operators;

#[cfg(feature = "vpl")]
pub mod context;

#[cfg(feature = "vpl")]
pub mod engine;
