//! One thread's sleep, as the operating system gives it: a token that one side leaves and the other consumes.
//!
//! A [`rouse`](Sleeper::rouse) before, during or after the start of a sleep ends it (or the next one). That is the
//! contract of `std::thread::park`. Loom's own model of it loses the token when the thread meets a contended mutex,
//! and wakes threads that wait for something else, so under loom a mutex and a condition variable keep the same
//! contract; what stands on top of it is the same source in both.

#[cfg(not(loom))]
mod os {
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::thread::{self, Thread};
    use std::time::Duration;

    /// The place where one thread at a time sleeps and others rouse it.
    #[derive(Debug, Default)]
    pub struct Sleeper {
        /// Locked by the sleeper before it sleeps and by whoever is about to make the system call that wakes it;
        /// never while everybody is busy.
        thread: Mutex<Option<Thread>>,
    }

    impl Sleeper {
        /// A place where nobody sleeps yet.
        pub fn new() -> Self {
            Self::default()
        }

        /// Makes the current thread the one to be roused. To be called before it may have to be.
        pub fn settle(&self) {
            let current = thread::current();
            let mut thread = self.thread();
            if thread.as_ref().is_none_or(|settled| settled.id() != current.id()) {
                *thread = Some(current);
            }
        }

        /// Sleeps until roused or until `limit` has passed; may end early without a reason.
        pub fn sleep(&self, limit: Duration) {
            thread::park_timeout(limit);
        }

        /// Ends the settled thread's sleep, or its next one.
        pub fn rouse(&self) {
            // The lock is released before the system call.
            let thread = self.thread().clone();
            if let Some(thread) = thread {
                thread.unpark();
            }
        }

        fn thread(&self) -> MutexGuard<'_, Option<Thread>> {
            // The value is replaced in one assignment, so a panic can't have left it half-written.
            self.thread.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

#[cfg(loom)]
mod os {
    use std::time::Duration;

    use loom::sync::{Condvar, Mutex};

    /// The same contract for modelled threads. Time doesn't pass here: a lost wake-up shows up as a deadlock
    /// instead of being hidden by the limit.
    #[derive(Debug)]
    pub struct Sleeper {
        roused: Mutex<bool>,
        changed: Condvar,
    }

    impl Sleeper {
        /// A place where nobody sleeps yet.
        pub fn new() -> Self {
            Self { roused: Mutex::new(false), changed: Condvar::new() }
        }

        /// Nothing to do: whoever sleeps here waits for the token itself.
        pub fn settle(&self) {}

        /// Sleeps until roused.
        pub fn sleep(&self, _limit: Duration) {
            let mut roused = self.roused.lock().expect("a model stops at its first panic");
            while !*roused {
                roused = self.changed.wait(roused).expect("a model stops at its first panic");
            }
            *roused = false;
        }

        /// Ends the sleep here, or the next one.
        pub fn rouse(&self) {
            *self.roused.lock().expect("a model stops at its first panic") = true;
            self.changed.notify_one();
        }
    }
}

pub use os::Sleeper;
