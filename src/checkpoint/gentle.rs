//! A disk that is written to with regard for others: a great checkpoint in small pieces, with rests between them.
//!
//! Whoever writes takes a CPU from somebody who may have a row to see to, and what the system then does to get the
//! pages onto the disk takes time on some CPU, too. In one go that would be tens of milliseconds for a hundred
//! megabytes; so no piece takes longer than some ten microseconds, the writer rests longer than it works, and pages are
//! sent to the disk while there are few, by whoever has written them.
#![allow(unsafe_code, reason = "sending pages to the disk ahead of a sync is a call to the system")]

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use super::disk::{Disk, Step, SystemDisk};

/// What is written in one go.
const PIECE_BYTES: usize = 1 << 16;
/// A checkpoint that is no greater is written without rests.
const SMALL_BYTES: u64 = 1 << 20;
/// What is sent to the disk together.
const SENT_BYTES: u64 = 1 << 19;
/// A rest is so many times as long as what went before.
const REST: u32 = 3;
/// No rest is longer, whatever went before: a disk that is slow is waited for long enough.
const LONGEST_REST: Duration = Duration::from_millis(2);

/// The disk.
pub struct GentleDisk {
    /// Whether somebody waits for the checkpoint, so that there is no time for rests.
    hurries: Box<dyn Fn() -> bool + Send>,
    /// Written of the file under way.
    written: u64,
    /// Sent to the disk.
    sent: u64,
}

impl std::fmt::Debug for GentleDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GentleDisk").field("written", &self.written).finish_non_exhaustive()
    }
}

impl GentleDisk {
    /// With rests, unless `hurries` says that somebody waits.
    pub fn new(hurries: impl Fn() -> bool + Send + 'static) -> Self {
        Self { hurries: Box::new(hurries), written: 0, sent: 0 }
    }
}

impl Disk for GentleDisk {
    fn at(&mut self, step: Step) -> io::Result<()> {
        if step == Step::BeforeWrite {
            (self.written, self.sent) = (0, 0);
        }
        Ok(())
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        let started = Instant::now();
        let written = SystemDisk.write(file, &bytes[..bytes.len().min(PIECE_BYTES)])?;
        self.written += written as u64;
        if self.written - self.sent >= SENT_BYTES {
            send(file, self.sent, self.written - self.sent);
            self.sent = self.written;
        }
        if self.written > SMALL_BYTES && !(self.hurries)() {
            std::thread::sleep((started.elapsed() * REST).min(LONGEST_REST));
        }
        Ok(written)
    }
}

/// Has the system begin to write these bytes of the file to the disk. Only a hint: what has to be there is synced.
#[cfg(target_os = "linux")]
fn send(file: &File, from: u64, bytes: u64) {
    use std::os::fd::AsRawFd;
    let (from, bytes) = (from as libc::off64_t, bytes as libc::off64_t);
    // SAFETY: the descriptor is that of a file that is open as long as it is borrowed; no memory is touched.
    unsafe { libc::sync_file_range(file.as_raw_fd(), from, bytes, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(not(target_os = "linux"))]
fn send(_file: &File, _from: u64, _bytes: u64) {}
