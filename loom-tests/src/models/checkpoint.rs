//! Claim 8: the barrier of a checkpoint divides what several rings bring, and whoever learns that the last has passed it
//! finds what everybody has handed over; and whoever learns that a checkpoint is no longer being written knows whether it
//! was.
//!
//! Alignment is the shipped [`FanIn`]'s. The hand-over is the protocol of `engine/checkpoints`, over the shipped rings:
//! each stage hands its share to the writer before it passes the barrier on; the output, which gets the barrier from
//! everybody, hands over last.

use varpin::flow::{FanIn, LaneOptions, MergeOrder, Ordered, OutPort, Verdict, Verdicts};
use varpin::ring::{self, Receiver, Sender};
use varpin::sync::{Arc, JoinHandle, spawn_named};

/// An item with a sequence number, progress, or the barrier of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Row(u64),
    Progress(u64),
    /// Behind this sequence number.
    Barrier(u64),
}

impl Ordered for Item {
    fn seq(&self) -> u64 {
        let (Self::Row(seq) | Self::Progress(seq) | Self::Barrier(seq)) = *self;
        seq
    }

    fn rank(&self) -> u16 {
        0
    }

    fn time_ns(&self) -> i64 {
        self.seq() as i64
    }

    fn is_progress(&self) -> bool {
        matches!(self, Self::Progress(_))
    }

    fn checkpoint(&self) -> Option<u64> {
        matches!(self, Self::Barrier(_)).then_some(1)
    }

    fn progress(seq: u64) -> Self {
        Self::Progress(seq)
    }
}

impl varpin::flow::CloneInto for Item {}

/// A ring into `lanes`, and a thread that sends `items` over it and goes.
fn source(lanes: &mut FanIn<Item>, capacity: usize, items: &'static [Item]) -> JoinHandle<()> {
    let (sender, receiver) = ring::bounded(capacity);
    lanes.add_lane(receiver, LaneOptions::default());
    let mut port = OutPort::new("a -> b", sender).announces_progress();
    let sending = spawn_named("source", move || {
        for item in items {
            port.send(item);
            port.note_progress(item.seq().saturating_sub(1));
            let _ = port.flush();
        }
        // What found no room is left to the other end.
        port.close();
    });
    sending.unwrap()
}

/// Two rings, one of which may be ahead: nothing that is behind the barrier on one is taken before everything in front
/// of it on the other.
fn divides(order: MergeOrder) {
    let mut lanes = FanIn::new(order);
    let first = source(&mut lanes, 3, &[Item::Row(1), Item::Barrier(1), Item::Row(2)]);
    let second = source(&mut lanes, 3, &[Item::Barrier(1), Item::Row(3)]);
    let mut taken = Vec::new();
    let mut passed = false;
    let look = |lanes: &mut FanIn<Item>, taken: &mut Vec<u64>, passed: &mut bool| {
        let _ = lanes.drain(4, |_, item| {
            assert!(item.checkpoint().is_none(), "the barrier is handed to nobody");
            taken.push(item.seq());
            true
        });
        if !*passed {
            assert!(taken.iter().all(|seq| *seq <= 1), "{taken:?} came before the barrier was passed");
            if lanes.checkpoint() == Some(1) {
                assert_eq!(*taken, [1], "all that is in front of the barrier has come");
                assert_eq!(lanes.frontier(), 1, "the barrier tells how far the input has come");
                lanes.pass_checkpoint();
                *passed = true;
            }
        }
    };
    for _ in 0..2 {
        look(&mut lanes, &mut taken, &mut passed);
    }
    first.join().unwrap();
    second.join().unwrap();
    // Everything is there now: a lane that is never let go would be looked at without end.
    for _ in 0..8 {
        look(&mut lanes, &mut taken, &mut passed);
    }
    assert!(passed && lanes.has_ended(), "the barrier is passed, and both lanes end");
    taken.sort_unstable();
    assert_eq!(taken, [1, 2, 3], "nothing is lost and nothing twice");
}

pub fn a_barrier_divides_what_comes_in_any_order() {
    divides(MergeOrder::Arrival);
}

pub fn a_barrier_divides_what_is_merged() {
    divides(MergeOrder::Deterministic);
}

/// Takes one item, if it comes within a few looks.
fn take<T>(receiver: &mut Receiver<T>, looks: usize) -> Option<T> {
    (0..looks).find_map(|_| receiver.pop().ok())
}

pub fn who_sees_that_it_was_decided_knows_how() {
    let verdicts = Arc::new(Verdicts::default());
    let (mut row, mut rows): (Sender<u64>, _) = ring::bounded(1);
    let deciding = Arc::clone(&verdicts);
    let writer = spawn_named("writer", move || {
        deciding.decide(1, true);
        deciding.decide(2, false);
        // Whoever hears of it asks, and is told.
        row.push(2).unwrap();
        row
    });
    // It waits for the first; then for the second. The verdict on an earlier one is nobody's business any more.
    assert_ne!(verdicts.of(1), Verdict::Failure, "what has succeeded is never taken for a failure");
    assert_ne!(verdicts.of(2), Verdict::Success);
    if rows.pop() == Ok(2) {
        assert_eq!(verdicts.of(2), Verdict::Failure);
    }
    writer.unwrap().join().unwrap();
}

pub fn who_has_the_last_share_has_them_all() {
    let (mut share, mut shares): (Sender<u64>, _) = ring::bounded(1);
    let (mut barrier, mut barriers): (Sender<u64>, _) = ring::bounded(1);
    let (mut last, mut lasts): (Sender<u64>, _) = ring::bounded(1);
    let stage = spawn_named("stage", move || {
        share.push(7).unwrap();
        barrier.push(1).unwrap();
        // The ends live until the others have looked.
        (share, barrier)
    });
    let output = spawn_named("output", move || {
        if let Some(checkpoint) = take(&mut barriers, 2) {
            last.push(checkpoint).unwrap();
        }
        (barriers, last)
    });
    if take(&mut lasts, 2) == Some(1) {
        assert_eq!(shares.pop(), Ok(7), "the stage handed its share over before it passed the barrier on");
    }
    stage.unwrap().join().unwrap();
    output.unwrap().join().unwrap();
}
