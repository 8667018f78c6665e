//! Changing how many workers a pool has, while it runs.
//!
//! Nobody stops. A resize is a few commands to the stages that it concerns, each obeyed between two duty cycles, and a
//! *barrier* in the rings from the front of the pool to its workers:
//!
//! 1. whoever takes the pool's rows gets a ring from each new worker ([`StageCommand::Lane`]) and says that it has it;
//! 2. each worker is told to whom its keys will go ([`StageCommand::Move`]), for when the barrier comes;
//! 3. the front gets its rings to the new workers ([`StageCommand::Workers`]). It tells them at once how far it has
//!    come,
//!    so that no merge waits for them. When everybody has the new rings, and all that will ever come of its last
//!    sequence number has been sent, it sends the barrier, and from then on rows go where the new number says.
//!
//! At the barrier a worker puts what it has kept for keys that leave it into the mail for their new worker, and
//! takes no row before the mail for itself has come. Others go on meanwhile. It tells at once that it is past the
//! barrier's sequence number, which is complete; so nobody who merges has to wait for the mail, and the mail of a
//! worker that is blocked always comes.

use std::sync::PoisonError;

use crate::event::Row;
use crate::flow::{OutPort, RingEnd};
use crate::operators::Moved;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};

/// What a stage is told from outside.
#[derive(Debug)]
pub enum StageCommand {
    /// A new worker of a pool has a ring to this stage.
    Lane {
        /// Its reading end.
        end: RingEnd<Row>,
        /// The lane of another worker of the same pool: whatever takes rows from that takes them from this one too.
        beside: usize,
        /// To be set when it is in place.
        taken: Flag,
    },
    /// The front of a pool: there will be so many workers.
    Workers {
        /// The stream.
        stream: usize,
        /// How many workers there will be.
        workers: usize,
        /// The rings to those that are new.
        ports: Vec<OutPort<Row>>,
        /// What has to be in place before.
        after: Vec<Flag>,
    },
    /// A worker: at the next barrier, keys go to other workers.
    Move {
        /// How many workers there will be.
        workers: usize,
        /// The mail for each of them; empty where workers keep nothing by key.
        outgoing: Vec<(usize, Mail)>,
        /// The mail for this one.
        incoming: Vec<Mail>,
        /// To be counted up when it has everything.
        done: Count,
    },
}

/// Said once, by one thread to another.
#[derive(Clone, Debug)]
pub struct Flag(Arc<AtomicBool>);

impl Flag {
    /// Not said yet.
    pub fn new() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    /// Says it.
    pub fn set(&self) {
        // Release: pairs with the Acquire in `is_set`, so that whoever sees it sees what was done before.
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was said.
    pub fn is_set(&self) -> bool {
        // Acquire: pairs with the Release in `set`.
        self.0.load(Ordering::Acquire)
    }
}

impl Default for Flag {
    fn default() -> Self {
        Self::new()
    }
}

/// How many have done something.
#[derive(Clone, Debug)]
pub struct Count(Arc<AtomicUsize>);

impl Count {
    /// None yet.
    pub fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    /// One more.
    pub fn add(&self) {
        // Relaxed: a number to look at; what was done is nobody else's to read.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> usize {
        // Relaxed: as in `add`.
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Count {
    fn default() -> Self {
        Self::new()
    }
}

/// A box for the state of some keys, from one worker to another. The lock is held for as long as it takes to move a
/// pointer, and only while a pool is resized.
#[derive(Clone, Debug)]
pub struct Mail(Arc<Mutex<Option<Moved>>>);

impl Mail {
    /// Empty.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Puts it in.
    pub(super) fn send(&self, moved: Moved) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(moved);
    }

    /// Takes it out, once it is there.
    pub(super) fn take(&self) -> Option<Moved> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self::new()
    }
}

/// The front's resize, until its barrier has been sent.
#[derive(Debug)]
pub(super) struct Resize {
    pub(super) stream: usize,
    pub(super) workers: usize,
    /// The rings to the new workers, by number of the port.
    pub(super) ports: Vec<usize>,
    pub(super) after: Vec<Flag>,
}

impl Resize {
    /// Whether everybody else is ready.
    pub(super) fn can_begin(&self) -> bool {
        self.after.iter().all(Flag::is_set)
    }
}

/// A worker's part in a resize.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) workers: usize,
    pub(super) outgoing: Vec<(usize, Mail)>,
    pub(super) incoming: Vec<Mail>,
    pub(super) done: Count,
}
