//! One engine a directory: a lock that the system takes back when the process ends, however it ends.
#![allow(unsafe_code)] // flock is a call to the system

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// The name of the file.
const NAME: &str = "lock";

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not looked at")] File);

/// Why there is none.
pub(super) enum NoLock {
    /// Another process has it; its number, as far as it wrote it down.
    Taken(Option<u32>),
    Io(io::Error),
}

impl Lock {
    /// Takes the lock of `directory`, or says who has it. Waits for nobody.
    pub(super) fn take(directory: &Path) -> Result<Self, NoLock> {
        let path = directory.join(NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(NoLock::Io)?;
        // SAFETY: the descriptor is that of `file`, which is open; flock touches no memory of this process.
        let taken = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0;
        if !taken {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(NoLock::Io(error));
            }
            let mut holder = String::new();
            let read = file.take(32).read_to_string(&mut holder);
            return Err(NoLock::Taken(read.ok().and_then(|_| holder.trim().parse().ok())));
        }
        // For whoever finds it taken; who has the lock is the system's to know.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self(file))
    }
}
