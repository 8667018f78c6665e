//! Claim 8: the barrier of a checkpoint divides what several rings bring; whoever writes it learns of each who takes part
//! that his share is there, whole, or that it will never be; and whoever learns that a checkpoint is no longer being
//! written knows whether it was.
//!
//! Alignment is the shipped [`FanIn`]'s. The hand-over is the protocol of `engine/writer`, over the shipped rings and the
//! shipped sleep: a stage passes the barrier on and hands its share to the writer when it has written it, which may be
//! before or after the output has handed over his; the writer sleeps until it has all of them.

use varpin::flow::{FanIn, LaneOptions, MergeOrder, Ordered, OutPort, Verdict, Verdicts};
use varpin::idle::{Idle, IdleState};
use varpin::ring::{self, PopError, Receiver, Sender};
use varpin::sync::{Arc, JoinHandle, spawn_named};

use crate::watch::Cells;

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

/// Where a line to the writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    Awaited,
    /// It is there, with this content.
    There(u64),
    /// Whoever was to send it is gone.
    Never,
}

/// Looks whether a share has come; true if something is known now that was not before.
fn look(line: &mut Receiver<u64>, share: &mut Share) -> bool {
    let before = *share;
    if before == Share::Awaited {
        *share = match line.pop() {
            Ok(content) => Share::There(content),
            Err(PopError::Empty) => Share::Awaited,
            Err(PopError::Closed) => Share::Never,
        };
    }
    *share != before
}

/// A stage that passes the barrier on and hands its share over behind that, if it lives so long; an output that hands
/// its own over at the barrier; and a writer that sleeps until it knows of both.
fn hand_over(lives: bool) {
    let mut idle = IdleState::new(Idle::Park);
    let (mut share, mut shares): (Sender<u64>, _) = ring::bounded(1);
    let (mut last, mut lasts): (Sender<u64>, _) = ring::bounded(1);
    share.set_waker(idle.waker());
    last.set_waker(idle.waker());
    let (mut barrier, mut barriers): (Sender<u64>, _) = ring::bounded(1);
    let state = Cells::new(1);
    let written = state.clone();
    let stage = spawn_named("stage", move || {
        barrier.push(1).unwrap();
        if lives {
            written.write(0, 7);
            share.push(7).unwrap();
            // Its end of the line stays: only the share can have woken the writer.
            return (barrier, Some(share));
        }
        // The barrier's ring lives until the output has looked.
        (barrier, None)
    });
    let output = spawn_named("output", move || {
        if let Some(checkpoint) = take(&mut barriers, 2) {
            last.push(checkpoint).unwrap();
        }
        barriers
    });
    let (mut of_stage, mut of_output) = (Share::Awaited, Share::Awaited);
    while of_stage == Share::Awaited || of_output == Share::Awaited {
        let came = look(&mut shares, &mut of_stage) | look(&mut lasts, &mut of_output);
        idle.idle(usize::from(came));
    }
    // Whole or not at all, and never a share that was half written.
    if lives {
        assert_eq!(state.read(0), 7);
    }
    assert_eq!(of_stage, if lives { Share::There(7) } else { Share::Never });
    assert!(matches!(of_output, Share::There(1) | Share::Never));
    stage.unwrap().join().unwrap();
    output.unwrap().join().unwrap();
}

pub fn shares_that_come_in_any_order_complete_it() {
    hand_over(true);
}

pub fn nobody_waits_for_a_share_that_never_comes() {
    hand_over(false);
}
