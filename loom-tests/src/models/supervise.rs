//! Claim 7: what a worker holds goes from thread to thread, whole and in order, and nobody who sleeps is forgotten.
//!
//! What runs here is `flow::start_supervised` itself, with workers as they ship and a supervisor that restarts whatever
//! comes back. A sleep has no time limit under loom, so a word or a wake-up that is lost is a deadlock. What a stage
//! knows lies in cells that loom watches: if nothing ordered what the old thread did to it before what the new one does,
//! the model fails.

use std::time::Duration;

use varpin::cores::{LowJitter, PinPolicy};
use varpin::flow::{
    Beat, Cycle, Pulse, Restarting, Running, Stage, StateLost, Ward, WhyReturned, Worker, start,
    start_supervised,
};
use varpin::idle::Idle;
use varpin::ring::{self, PopError, Receiver, Sender};
use varpin::sync::{Arc, spawn_named};

use crate::watch::Cells;

/// Takes numbers from a ring until it ends. Before number `fails_before` it fails, once.
struct Taker {
    receiver: Receiver<usize>,
    fails_before: Option<usize>,
    /// How many it has taken, and how often it was restarted.
    knows: Cells,
}

impl Taker {
    fn taken(&self) -> usize {
        self.knows.read(0)
    }
}

impl Stage for Taker {
    fn name(&self) -> &str {
        "taker"
    }

    fn duty_cycle(&mut self) -> Cycle {
        if self.fails_before == Some(self.taken()) && !self.receiver.is_empty() {
            self.fails_before = None;
            return Cycle::Failed("as asked for".to_owned());
        }
        match self.receiver.pop() {
            Ok(number) => {
                assert_eq!(number, self.taken());
                self.knows.write(0, number + 1);
                Cycle::Worked(1)
            }
            Err(PopError::Empty) => Cycle::Idle,
            Err(PopError::Closed) => Cycle::Done,
        }
    }

    fn restart(&mut self, _restarting: &Restarting<'_>) -> Result<Vec<StateLost>, String> {
        self.knows.write(1, self.knows.read(1) + 1);
        Ok(Vec::new())
    }
}

/// A worker that parks, with a taker, and the other end of its ring.
fn worker(fails_before: Option<usize>) -> (Worker, Sender<usize>, Cells) {
    let (mut sender, receiver) = ring::bounded(2);
    let knows = Cells::new(2);
    knows.write(0, 0);
    knows.write(1, 0);
    let mut worker = Worker::new("taker", Idle::Park);
    sender.set_waker(worker.waker());
    worker.add(Taker { receiver, fails_before, knows: knows.clone() });
    (worker, sender, knows)
}

/// Starts the worker under a supervisor that restarts it whenever it comes back. With `ends`, the other end of its ring,
/// it is recalled, and the ring ends once it has come back.
fn supervised(worker: Worker, mut ends: Option<Sender<usize>>) -> Running {
    let supervise = move |mut ward: Ward| {
        move || {
            if ends.is_some() {
                ward.recall(0);
            }
            loop {
                let seen = ward.news();
                if let Some(mut returned) = ward.returned(0) {
                    assert_eq!(returned.why == WhyReturned::Recalled, ends.take().is_some());
                    returned.holdings.restart(None, 0).unwrap();
                    assert!(ward.relaunch(0, returned.holdings).is_ok());
                }
                if ward.is_finished(0) {
                    return;
                }
                ward.wait(&seen, Duration::MAX, || false);
            }
        }
    };
    start_supervised(vec![worker], PinPolicy::Off, &LowJitter::default(), supervise).unwrap()
}

/// Its ring, and what is in it, is the same for the thread that comes after the one that failed.
pub fn what_is_queued_survives_a_restart() {
    let (worker, mut sender, knows) = worker(Some(1));
    for number in 0..2 {
        assert_eq!(sender.push(number), Ok(()));
    }
    let running = supervised(worker, None);
    drop(sender);
    running.join(Duration::MAX).unwrap();
    assert_eq!((knows.read(0), knows.read(1)), (2, 1));
}

/// A worker that sleeps, or is about to, hands over when it is asked to. Nothing else would wake it.
pub fn a_sleeping_worker_sees_that_it_is_recalled() {
    let (worker, sender, knows) = worker(None);
    let running = supervised(worker, Some(sender));
    running.join(Duration::MAX).unwrap();
    assert_eq!((knows.read(0), knows.read(1)), (0, 1));
}

/// Has items from outside: it ends when it is asked to.
struct Outside {
    ends: bool,
}

impl Stage for Outside {
    fn name(&self) -> &str {
        "outside"
    }

    fn duty_cycle(&mut self) -> Cycle {
        if self.ends { Cycle::Done } else { Cycle::Idle }
    }

    fn end_inputs(&mut self) {
        self.ends = true;
    }
}

/// A worker that sleeps, or is about to, sees that the run is to end.
pub fn a_sleeping_worker_sees_that_the_run_is_stopped() {
    let mut worker = Worker::new("outside", Idle::Park);
    worker.add(Outside { ends: false });
    let running = start(vec![worker], PinPolicy::Off).unwrap();
    running.stop();
    running.join(Duration::MAX).unwrap();
}

/// Whoever watches a heartbeat sees only what was beaten, and never goes back.
pub fn a_heartbeat_is_seen_whole() {
    let pulse = Arc::new(Pulse::new());
    let beaten = Arc::clone(&pulse);
    let worker = spawn_named("worker", move || {
        for cycle in 0..2 {
            beaten.step(cycle, cycle as usize);
            beaten.rest(cycle + 1);
        }
    })
    .unwrap();
    let mut last = 0;
    for _ in 0..2 {
        let Beat { cycles, stepping } = pulse.read();
        assert!(stepping.is_none_or(|stage| stage as u64 == cycles), "stage {stepping:?} in cycle {cycles}");
        assert!(cycles >= last);
        last = cycles;
    }
    worker.join().unwrap();
    assert_eq!(pulse.read(), Beat { cycles: 2, stepping: None });
}
