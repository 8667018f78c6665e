//! Waiting for input for a while: what `Read` cannot do, and what lets results go out while input is awaited.
#![allow(unsafe_code, reason = "poll is a system call that the standard library has no door to")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Whether reading from `fd` would not block now, or becomes so within `limit`. A signal may end the wait early, with
/// false.
pub(super) fn readable_within(fd: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    let mut asked = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `asked` is one valid pollfd, as the count says, and lives through the call; `fd` is open, because it is
    // borrowed.
    let ready = unsafe { libc::poll(&raw mut asked, 1, limit_ms) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
    }
    // The end of the input and errors count as readable: reading then says which it is.
    Ok(ready > 0)
}
