//! Ctrl-C: the first asks the run to stop reading and to drain, the second ends the process at once.
//!
//! The handlers only set flags: no thread waits for signals.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use varpin::sync::{AtomicBool, AtomicUsize, Ordering};

/// Which signal has come, if any.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    first: Arc<AtomicUsize>,
}

impl Signals {
    /// Catches SIGINT and SIGTERM from now on.
    pub(super) fn catch() -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let first = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            // Handlers run in the order of registration: the first signal finds the flag unset, and sets it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
            flag::register_usize(signal, Arc::clone(&first), signal as usize)?;
        }
        Ok(Self { first })
    }

    /// The signal that asked the run to stop.
    pub(super) fn caught(&self) -> Option<i32> {
        // Relaxed: it is only a request; the handler publishes nothing with it.
        match self.first.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal as i32),
        }
    }
}
