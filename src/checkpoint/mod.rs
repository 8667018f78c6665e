//! Checkpoints on disk: one file each, written whole or not at all, known to be whole when it is read.
//!
//! A [`Store`] is a directory that one engine holds at a time. [`Store::write`] puts a checkpoint there so that a
//! process that is killed at any moment leaves either the whole file or none under its name; [`Store::newest`] reads
//! the newest one whose checksum holds, and says which it had to pass over. What is in a checkpoint (a [`Section`] for
//! each stage, the input and the output) is for others to know.

mod disk;
mod drill;
mod file;
mod gentle;
mod lock;
mod store;

pub use disk::{Disk, Step, SystemDisk};
pub use drill::{KillAt, KillingDisk};
pub use file::{Checkpoint, Damage, FORMAT_VERSION, Fingerprint, Holding, Section};
pub use gentle::GentleDisk;
pub use store::{Found, KEPT, Listed, Store, StoreError, list};
