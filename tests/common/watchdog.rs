//! No test hangs: what takes too long fails and says so.

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Long enough for a machine under load; a test that hangs takes exactly this long.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs `test` on a thread of its own. Passes on its result or its panic; panics itself if it takes longer than [`LIMIT`],
/// and then leaves the thread behind.
pub(crate) fn watched<R: Send + 'static>(test: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, wait) = channel();
    let name = thread::current().name().unwrap_or("test").to_owned();
    let thread = thread::Builder::new().name(name.clone()).spawn(move || {
        let result = test();
        // If nobody waits any more, it was too late.
        let _ = done.send(());
        result
    });
    let thread = thread.expect("a thread can be started");
    match wait.recv_timeout(LIMIT) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        }
        Err(RecvTimeoutError::Timeout) => panic!("{name} still runs after {} s", LIMIT.as_secs()),
    }
}
