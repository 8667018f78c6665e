//! What the threads of a measurement share: one clock, one start, and a way to wait that does no harm where they have
//! to share a CPU.

use std::io;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

use crate::cores::{PinError, PinOutcome, PinPolicy, pin_current};
use crate::sync::{self, Arc, AtomicU64, AtomicUsize, Ordering};

/// Empty looks before the CPU is given away, should another thread of the measurement need it.
const LOOKS_BEFORE_YIELD: u32 = 20_000;

/// Waits by looking again and again; gives the CPU away every now and then.
#[derive(Debug, Default)]
pub(super) struct Waiting(u32);

impl Waiting {
    /// After a look that found nothing.
    #[inline]
    pub(super) fn pause(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(LOOKS_BEFORE_YIELD) {
            sync::yield_now();
        } else {
            sync::spin_loop();
        }
    }

    /// The same, where the look has taken its time already (a clock was read).
    #[inline]
    pub(super) fn pause_briefly(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(LOOKS_BEFORE_YIELD) {
            sync::yield_now();
        }
    }
}

/// Nanoseconds since a common start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    #[inline]
    pub(super) fn ns(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// Lets threads begin together: each is pinned first, and nobody goes on before all are.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    origin: Instant,
    waiting: Arc<AtomicUsize>,
    /// When the measurement starts, in nanoseconds from `origin`; 0 as long as somebody is missing.
    start_ns: Arc<AtomicU64>,
    threads: usize,
}

impl Gate {
    /// A gate for so many threads.
    pub(super) fn new(threads: usize) -> Self {
        let (waiting, start_ns) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        Self { origin: Instant::now(), waiting, start_ns, threads }
    }

    /// Lets those go who wait, although not all have come.
    pub(super) fn force(&self) {
        // Release: pairs with the Acquire in `enter`.
        self.start_ns.store(self.origin.elapsed().as_nanos().max(1) as u64, Ordering::Release);
    }

    /// Pins the current thread and waits for the others. A thread that can't be pinned, where it must be, still lets
    /// the others go.
    pub(super) fn enter(
        &self,
        role: &str,
        cpu: Option<usize>,
        pin: PinPolicy,
    ) -> (Stopwatch, Result<PinOutcome, PinError>) {
        let pinned = pin_current(role, cpu, pin);
        // AcqRel: whoever comes last has seen all others come; they see it by the Acquire below.
        if self.waiting.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            let now_ns = self.origin.elapsed().as_nanos() as u64;
            // Release: pairs with the Acquire below.
            self.start_ns.store(now_ns.max(1), Ordering::Release);
        }
        let mut waiting = Waiting::default();
        let start_ns = loop {
            // Acquire: pairs with the Release above.
            match self.start_ns.load(Ordering::Acquire) {
                0 => waiting.pause(),
                start_ns => break start_ns,
            }
        };
        (Stopwatch(self.origin + std::time::Duration::from_nanos(start_ns)), pinned)
    }
}

/// Starts a thread within `scope`, or lets those go that wait for it at `gate`.
pub(super) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    gate: &Gate,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    let name = sync::short_thread_name(name);
    std::thread::Builder::new().name(name).spawn_scoped(scope, work).inspect_err(|_| gate.force())
}

/// The payload of a thread's panic as an error message.
pub(super) fn panicked(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("something that is no text").to_owned()
}
