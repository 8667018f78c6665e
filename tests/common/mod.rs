//! What several test files need.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Runs `body` on a thread of its own and aborts the whole process, with a message, if it takes longer than `limit`: a
/// test that joins threads must fail, not hang, when one of them never ends. The limit is no promise about speed.
#[allow(dead_code, reason = "not every test file joins threads")]
pub(crate) fn within<R: Send + 'static>(
    limit: Duration,
    what: &str,
    body: impl FnOnce() -> R + Send + 'static,
) -> R {
    let (done, finished) = channel::<()>();
    let worker = thread::spawn(move || {
        // Dropped when the body returns or panics; both end the wait.
        let _done = done;
        body()
    });
    if finished.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        eprintln!("{what}: not finished after {} s", limit.as_secs());
        std::process::abort();
    }
    match worker.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
