//! Rolling back: where checkpoints are kept, a context that failed is not made anew alone. Everything stops where it is
//! and begins again at the last checkpoint, and the input is read again from there.
//!
//! Who does what: the *supervisor* decides, as for any other restart, and asks; everybody stops, what was on its way is
//! given up, and nothing more is handed over; whoever holds the engine builds it anew. The next supervisor goes on with
//! what this one *remembers*: how often each context was restarted and when, and which items were tried how often.
//!
//! [`Rollback`] is that of one life of an engine, from one rollback to the next, and is never taken back: whoever still
//! holds an end of that life goes on being told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::restart::Restarts;
use crate::flow::{Blamed, BlamedItem};
use crate::sync::{Arc, AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};

/// Items that are remembered. Each has cost a rollback, so it takes long to have more.
const ITEMS_KEPT: usize = 10_000;

/// Why a run has to be rolled back, and when it may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RollbackDue {
    /// The context that failed.
    pub context: String,
    /// What it failed with.
    pub message: String,
    /// When its restart is due.
    pub at: Instant,
}

impl RollbackDue {
    /// How long it is until then.
    pub fn wait(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// The rollback that one life of an engine ends with, if it does; see the top of this file.
pub struct Rollback {
    is_asked: AtomicBool,
    due: Mutex<Option<RollbackDue>>,
    memory: Mutex<Memory>,
    /// Ends of the engine that were given away and are not back.
    ends_away: AtomicUsize,
    /// Results that whoever takes them has.
    handed_over: AtomicU64,
    is_supervised: AtomicBool,
    /// Called before anything stops.
    first: Box<dyn Fn() + Send + Sync>,
}

/// What is remembered over rollbacks.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The beginning of the clock that restarts are counted by.
    pub(super) started: Instant,
    /// By thread.
    pub(super) restarts: BTreeMap<String, Restarts>,
    tried: Vec<Tried>,
    /// How many rollbacks there were.
    rollbacks: u64,
}

/// An item that made a stage fail.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tried {
    stage: String,
    blamed: Blamed,
    message: String,
    attempts: u32,
    max_attempts: u32,
}

/// An item that is not tried any more: it is a dead letter as soon as it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condemned {
    /// What it is.
    pub blamed: Blamed,
    /// What the stage failed with.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// A panic elsewhere leaves whole values: each is replaced in one assignment, or grown by one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The workers of a pool take over from each other, so they are one.
fn without_worker(stage: &str) -> &str {
    stage.split('#').next().unwrap_or(stage)
}

impl Default for Memory {
    fn default() -> Self {
        Self { started: Instant::now(), restarts: BTreeMap::new(), tried: Vec::new(), rollbacks: 0 }
    }
}

impl Memory {
    /// `stage` failed on an item, which may be tried `max_attempts` times more.
    ///
    /// ```
    /// use varpin::flow::{Blamed, BlamedItem};
    /// use varpin::supervise::Memory;
    /// let blamed = Blamed { item: BlamedItem::Round(7), owner: "Sums".to_owned(), operator: "where" };
    /// let mut memory = Memory::default();
    /// memory.failed_on("work", &blamed, "boom", 1);
    /// assert!(memory.condemned("work").is_empty()); // it is tried once more
    /// memory.failed_on("work", &blamed, "boom", 1);
    /// assert_eq!(memory.condemned("work")[0].attempts, 2);
    /// memory.begins_behind(7);
    /// assert!(memory.condemned("work").is_empty()); // it does not come again
    /// ```
    pub fn failed_on(&mut self, stage: &str, blamed: &Blamed, message: &str, max_attempts: u32) {
        let stage = without_worker(stage);
        let known =
            self.tried.iter_mut().find(|tried| tried.stage == stage && tried.blamed.item == blamed.item);
        if let Some(tried) = known {
            tried.attempts = tried.attempts.saturating_add(1);
            return;
        }
        if self.tried.len() >= ITEMS_KEPT {
            self.tried.remove(0);
        }
        self.tried.push(Tried {
            stage: stage.to_owned(),
            blamed: blamed.clone(),
            message: message.to_owned(),
            attempts: 1,
            max_attempts,
        });
    }

    /// What `stage` is not to try any more.
    pub fn condemned(&self, stage: &str) -> Vec<Condemned> {
        let stage = without_worker(stage);
        let given_up =
            self.tried.iter().filter(|tried| tried.stage == stage && tried.attempts > tried.max_attempts);
        let condemned = given_up.map(|tried| Condemned {
            blamed: tried.blamed.clone(),
            message: tried.message.clone(),
            attempts: tried.attempts,
        });
        condemned.collect()
    }

    /// The run begins again behind the item with this number: those before do not come again.
    pub fn begins_behind(&mut self, seq: u64) {
        self.tried.retain(|tried| tried.blamed.item.seq().is_none_or(|own| own > seq));
    }

    /// One more rollback; how many that makes.
    pub fn count_rollback(&mut self) -> u64 {
        self.rollbacks += 1;
        self.rollbacks
    }

    /// How many rollbacks there were.
    pub fn rollbacks(&self) -> u64 {
        self.rollbacks
    }
}

impl Rollback {
    /// That of a life which begins with `memory`. Before anything stops, `first` is called.
    pub fn new(memory: Memory, first: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            is_asked: AtomicBool::new(false),
            due: Mutex::new(None),
            memory: Mutex::new(memory),
            ends_away: AtomicUsize::new(0),
            handed_over: AtomicU64::new(0),
            is_supervised: AtomicBool::new(false),
            first: Box::new(first),
        })
    }

    /// Whether everything stops. Rows that were made of what a stage left unfinished when it stopped are not to be
    /// handed over: whoever takes one from a ring asks this afterwards.
    #[inline]
    pub fn is_asked(&self) -> bool {
        // Acquire: pairs with the Release in `ask`. Rings close after it, and whoever sees one closed, or something
        // that was made because one was, sees this, too.
        self.is_asked.load(Ordering::Acquire)
    }

    /// Why, and when the run may go on, if everything stops.
    pub fn due(&self) -> Option<RollbackDue> {
        lock(&self.due).clone()
    }

    /// Asks for it, before anything stops. If several contexts have failed, the first is named, and the last to be due
    /// counts.
    pub(super) fn ask(&self, due: RollbackDue) {
        (self.first)();
        let mut known = lock(&self.due);
        match &mut *known {
            Some(known) => known.at = known.at.max(due.at),
            None => *known = Some(due),
        }
        drop(known);
        // Release: pairs with the Acquire in `is_asked`.
        self.is_asked.store(true, Ordering::Release);
    }

    /// Nothing more is written down of what is under way: the run ends in another way.
    pub(super) fn ends_otherwise(&self) {
        (self.first)();
    }

    /// What is remembered, to read or to add to.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }

    /// When everything has stopped: whoever takes results has so many.
    pub fn set_handed_over(&self, results: u64) {
        // Relaxed: published by `end_comes_back`, where another thread has it.
        self.handed_over.store(results, Ordering::Relaxed);
    }

    /// How many results whoever takes them has.
    pub fn handed_over(&self) -> u64 {
        // Relaxed: see `set_handed_over`.
        self.handed_over.load(Ordering::Relaxed)
    }

    /// An end is given away.
    pub fn end_goes(&self) {
        // Relaxed: see `ends_away`.
        self.ends_away.fetch_add(1, Ordering::Relaxed);
    }

    /// It is back: whoever had it does nothing with it any more.
    pub fn end_comes_back(&self) {
        // Release: pairs with the Acquire in `ends_away`, so that what it did to files is done.
        self.ends_away.fetch_sub(1, Ordering::Release);
    }

    /// How many ends are away.
    pub fn ends_away(&self) -> usize {
        // Acquire: pairs with the Release in `end_comes_back`.
        self.ends_away.load(Ordering::Acquire)
    }

    pub(super) fn set_supervised(&self, is_supervised: bool) {
        // Release: pairs with the Acquire in `is_supervised`; what the supervisor did to the board is done.
        self.is_supervised.store(is_supervised, Ordering::Release);
    }

    /// Whether the supervisor is still at work.
    pub fn is_supervised(&self) -> bool {
        // Acquire: pairs with the Release in `set_supervised`.
        self.is_supervised.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Rollback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rollback").field("due", &self.due()).finish_non_exhaustive()
    }
}

impl Condemned {
    /// The item.
    pub fn item(&self) -> BlamedItem {
        self.blamed.item
    }
}
