//! The steps of writing a checkpoint, each of which can fail or be the last.

use std::fs::File;
use std::io;

/// Where the writing of a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing was written.
    BeforeWrite,
    /// About half was written to the temporary file.
    HalfWritten,
    /// All was written, nothing synced.
    BeforeSync,
    /// The temporary file is on disk, under its own name.
    BeforeRename,
    /// It has the checkpoint's name; the directory was not synced.
    AfterRename,
    /// It is on disk for good; older ones were not removed.
    BeforePrune,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 6] = [
        Self::BeforeWrite,
        Self::HalfWritten,
        Self::BeforeSync,
        Self::BeforeRename,
        Self::AfterRename,
        Self::BeforePrune,
    ];

    /// Its name in messages and drills.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeWrite => "before-write",
            Self::HalfWritten => "half-written",
            Self::BeforeSync => "before-sync",
            Self::BeforeRename => "before-rename",
            Self::AfterRename => "after-rename",
            Self::BeforePrune => "before-prune",
        }
    }
}

/// What stands between the store and the file system, so that a test can make a disk that is full.
pub trait Disk: Send {
    /// Called at each step; an error fails the checkpoint there.
    fn at(&mut self, step: Step) -> io::Result<()> {
        let _ = step;
        Ok(())
    }

    /// Writes bytes of the temporary file.
    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<usize>;
}

/// The disk as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(file, bytes)
    }
}
