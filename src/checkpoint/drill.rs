//! A drill: the process is killed at a step of writing a checkpoint, as a power cut would do it.
#![allow(unsafe_code)] // kill is a call to the system

use std::fs::File;
use std::io;

use super::disk::{Disk, Step, SystemDisk};

/// At which step of writing which checkpoint the process kills itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KillAt {
    /// The step.
    pub step: Step,
    /// The so-manieth checkpoint of this process, counted from 1.
    pub nth: u64,
}

/// A disk that kills the process.
#[derive(Debug)]
pub struct KillingDisk {
    kill_at: KillAt,
    /// Checkpoints that have been begun.
    begun: u64,
}

impl KillingDisk {
    /// A disk that does it there.
    pub fn new(kill_at: KillAt) -> Self {
        Self { kill_at, begun: 0 }
    }
}

impl Disk for KillingDisk {
    fn at(&mut self, step: Step) -> io::Result<()> {
        self.begun += u64::from(step == Step::BeforeWrite);
        if step == self.kill_at.step && self.begun == self.kill_at.nth {
            // SAFETY: a signal to this very process; nothing of it is looked at afterwards, because it ends here.
            unsafe { libc::kill(std::process::id() as libc::pid_t, libc::SIGKILL) };
        }
        Ok(())
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        SystemDisk.write(file, bytes)
    }
}
