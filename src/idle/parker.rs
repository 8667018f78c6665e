//! Park and wake: one sleeper, any number of wakers, and no wake-up lost.
//!
//! The sleeper announces that it is about to sleep, looks at its rings once more, and only then sleeps. A waker
//! publishes to a ring first and looks for the announcement afterwards. Each side writes one location and then reads
//! the other's; a `SeqCst` fence between the write and the read on *both* sides makes it impossible that both
//! read the old value:
//!
//! ```text
//! sleeper (Parker)                           waker (Waker)
//! announced.store(true)      W1              publish to the ring        W2
//! fence(SeqCst)                              fence(SeqCst)
//! look at the rings          R2              announced.load()           R1
//! nothing there: sleep                       announced: take it back, rouse
//! ```
//!
//! While nobody sleeps a wake costs that fence and one relaxed load; nothing is written, so the line that holds
//! the announcement stays shared between all caches.
//!
//! States of `announced`: `false`, the sleeper is awake (or has been woken); `true`, it sleeps or is about to.
//! The sleeper alone sets it; sleeper and wakers clear it, and the one waker whose swap found `true` rouses.
//! Every change is a swap, never a plain store, so all of them form one chain and no waker can take a `false` of an
//! earlier round for the latest state. (The language promises that for stores as well, because nothing comes between a
//! swap and what it replaced, but loom doesn't know that rule. Beside a fence or a sleep a swap costs nothing.)

use std::fmt;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::sync::{Arc, AtomicBool, Ordering, Sleeper, fence};

struct Shared {
    announced: CachePadded<AtomicBool>,
    sleeper: Sleeper,
}

/// The sleeping side. One per worker; [`Parker::waker`] gives its peers what wakes it.
///
/// ```
/// use std::time::Duration;
/// let mut parker = varpin::idle::Parker::new();
/// let waker = parker.waker();
/// parker.announce();
/// waker.wake(); // came between the announcement and the sleep: not lost
/// parker.park(Duration::from_secs(3600)); // returns at once
/// ```
pub struct Parker {
    shared: Arc<Shared>,
}

/// The waking side: cloneable, usable from any thread.
#[derive(Clone)]
pub struct Waker {
    shared: Arc<Shared>,
}

impl Parker {
    /// A parker that belongs to no thread yet; it binds itself to the thread that announces a sleep.
    pub fn new() -> Self {
        let announced = CachePadded::new(AtomicBool::new(false));
        Self { shared: Arc::new(Shared { announced, sleeper: Sleeper::new() }) }
    }

    /// A handle that wakes this parker. It stays valid when the parker moves to another thread.
    pub fn waker(&self) -> Waker {
        Waker { shared: Arc::clone(&self.shared) }
    }

    /// Announces a sleep. Between this and [`park`](Self::park) the caller must look at everything that it waits
    /// for once more, and [`cancel`](Self::cancel) if something is there.
    pub fn announce(&mut self) {
        self.shared.sleeper.settle();
        // Relaxed: who sleeps was published by the sleeper's lock, and the fence below orders this swap before the
        // caller's reads of its rings.
        self.shared.announced.swap(true, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `Waker::wake`; either that waker's load sees the store above, or the ring
        // reads that follow here see what it published.
        fence(Ordering::SeqCst);
    }

    /// Takes the announcement back, because there is work.
    pub fn cancel(&mut self) {
        // Relaxed: a waker that still reads `true` rouses a thread that is awake, which costs one early return of a
        // later sleep and nothing else.
        self.shared.announced.swap(false, Ordering::Relaxed);
    }

    /// Sleeps until woken or until `limit` has passed; may also return early without a reason. Returns at once if a
    /// waker came since [`announce`](Self::announce).
    pub fn park(&mut self, limit: Duration) {
        // Relaxed: `false` means that a waker took the announcement; what it published is read from the rings
        // with their own orderings. `true` may be stale, then its rouse ends the sleep below.
        if self.shared.announced.load(Ordering::Relaxed) {
            self.shared.sleeper.sleep(limit);
        }
        self.cancel();
    }
}

impl Default for Parker {
    fn default() -> Self {
        Self::new()
    }
}

impl Waker {
    /// Wakes the parker if it sleeps or is about to. To be called after publishing what it waits for.
    #[inline]
    pub fn wake(&self) {
        // SeqCst: pairs with the fence in `Parker::announce`; either the load below sees the announcement, or the
        // sleeper's look at its rings sees what the caller has published before this call.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it; the value is only a hint for whether to take the slow path.
        if self.shared.announced.load(Ordering::Relaxed) {
            self.wake_slow();
        }
    }

    #[cold]
    fn wake_slow(&self) {
        // Relaxed: the swap only picks the one waker that makes the system call.
        if self.shared.announced.swap(false, Ordering::Relaxed) {
            self.shared.sleeper.rouse();
        }
    }
}

impl fmt::Debug for Parker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parker").finish_non_exhaustive()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}
