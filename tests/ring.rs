//! Promises of the rings that a single thread, or two real ones, can show; what happens in between is model-checked in
//! `loom-tests/`.

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::within;
use proptest::prelude::*;
use varpin::idle::{Idle, IdleState};
use varpin::ring::{self, PopError, PushError, WhenFull, WriteError};

#[test]
fn a_full_ring_hands_the_item_back() {
    let (mut sender, mut receiver) = ring::bounded(1);
    assert_eq!(sender.push("a".to_owned()), Ok(()));
    assert_eq!(sender.push("b".to_owned()), Err(PushError::Full("b".to_owned())));
    assert_eq!(sender.write(1).unwrap_err(), WriteError::Full);
    assert_eq!(receiver.pop(), Ok("a".to_owned()));
    assert_eq!(sender.push("b".to_owned()), Ok(()));
}

#[test]
fn everything_pushed_arrives_before_closed() {
    let (mut sender, mut receiver) = ring::bounded(4);
    assert_eq!(sender.push_slice(&[1, 2, 3]), Ok(3));
    drop(sender);
    assert!(receiver.is_abandoned());
    assert_eq!(receiver.peek(), Ok(&1));
    receiver.read(2).unwrap().commit(2);
    assert_eq!(receiver.pop(), Ok(3));
    assert_eq!(receiver.pop(), Err(PopError::Closed));
    assert_eq!(receiver.peek(), Err(PopError::Closed));
    assert_eq!(receiver.read(2).unwrap_err(), PopError::Closed);
}

#[test]
fn a_gone_receiver_is_reported_before_a_full_ring() {
    let (mut sender, receiver) = ring::bounded(1);
    sender.push(1).unwrap();
    drop(receiver);
    assert_eq!(sender.push(2), Err(PushError::Closed(2)));
    assert_eq!(sender.write(1).unwrap_err(), WriteError::Closed);
    assert_eq!(sender.push_slice(&[2]), Err(WriteError::Closed));
    assert_eq!(sender.push_from(&mut [2].into_iter()), Err(WriteError::Closed));
    assert_eq!(sender.undelivered(), 1);
}

#[test]
fn the_tally_is_known_once_both_ends_are_gone_whichever_leaves_first() {
    for sender_first in [true, false] {
        let (mut sender, mut receiver) = ring::bounded(8);
        let tally = receiver.tally();
        assert_eq!(sender.push_slice(&[1, 2, 3, 4, 5]), Ok(5));
        receiver.read(2).unwrap().commit_all();
        if sender_first {
            drop(sender);
            assert_eq!(tally.undelivered(), None);
            drop(receiver);
        } else {
            drop(receiver);
            assert_eq!(tally.undelivered(), None);
            drop(sender);
        }
        assert_eq!(tally.undelivered(), Some(3));
    }
}

#[test]
fn items_left_in_a_ring_are_dropped_with_it() {
    let item = Arc::new(());
    let (mut sender, receiver) = ring::bounded(4);
    for _ in 0..3 {
        sender.push(Arc::clone(&item)).unwrap();
    }
    assert_eq!(Arc::strong_count(&item), 4);
    drop((sender, receiver));
    assert_eq!(Arc::strong_count(&item), 1);
}

#[test]
fn a_chunk_publishes_nothing_before_its_commit() {
    let (mut sender, mut receiver) = ring::bounded(4);
    let mut chunk = sender.write(8).unwrap();
    assert_eq!(chunk.remaining(), 4);
    chunk.push(1).unwrap();
    assert_eq!(receiver.pop(), Err(PopError::Empty));
    assert_eq!(chunk.commit(), 1);
    assert_eq!(receiver.pop(), Ok(1));
}

#[test]
fn a_chunk_that_is_written_up_hands_items_back() {
    let (mut sender, _receiver) = ring::bounded(4);
    let mut chunk = sender.write(1).unwrap();
    assert_eq!(chunk.push(1), Ok(()));
    assert_eq!(chunk.push(2), Err(2));
    assert!(!chunk.push_with(|_| unreachable!("there is no slot to write")));
}

#[test]
fn a_panic_while_writing_publishes_whole_items_only() {
    let (mut sender, mut receiver) = ring::bounded(4);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut chunk = sender.write(4).unwrap();
        chunk.push("whole".to_owned()).unwrap();
        chunk.push_with(|_| panic!("on purpose"));
    }));
    assert!(outcome.is_err());
    assert_eq!(receiver.pop(), Ok("whole".to_owned()));
    assert_eq!(receiver.pop(), Err(PopError::Empty));
}

#[test]
#[should_panic(expected = "push_with must return the slot")]
fn push_with_refuses_a_reference_to_something_else() {
    let (mut sender, _receiver) = ring::bounded::<u64>(1);
    let elsewhere: &'static mut u64 = Box::leak(Box::new(7));
    sender.write(1).unwrap().push_with(move |_| elsewhere);
}

#[test]
fn an_uncommitted_read_leaves_everything_and_a_drain_leaves_the_rest() {
    let (mut sender, mut receiver) = ring::bounded(3);
    sender.push_slice(&[1, 2, 3]).unwrap();
    assert_eq!(receiver.read(3).unwrap().len(), 3);
    assert_eq!(receiver.len(), 3);
    assert_eq!(receiver.read(3).unwrap().drain().take(2).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(sender.slots(), 2);
    assert_eq!(receiver.pop(), Ok(3));
}

#[test]
fn chunks_of_nothing_are_full_and_empty() {
    let (mut sender, mut receiver) = ring::bounded(1);
    assert_eq!(sender.write(0).unwrap_err(), WriteError::Full);
    sender.push(1).unwrap();
    drop(sender);
    assert_eq!(receiver.read(0).unwrap_err(), PopError::Empty);
    assert_eq!(receiver.pop(), Ok(1));
}

#[test]
fn policies_have_names_and_unknown_ones_are_refused_by_name() {
    for policy in WhenFull::ALL {
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
    let message = "drop_tail".parse::<WhenFull>().unwrap_err().to_string();
    assert_eq!(
        message,
        "`drop_tail` is no policy for full rings; known are block, drop_newest, drop_oldest, error"
    );
}

/// The same million items through every combination of tiny rings and ways to wait, also with more threads than CPUs.
#[test]
fn two_threads_lose_nothing_at_any_capacity_and_idle_strategy() {
    within(Duration::from_secs(300), "two threads over one ring", || {
        for (capacity, idle, items) in [
            (1, Idle::Park, 20_000),
            (1, Idle::Yield, 20_000),
            (2, Idle::Backoff, 20_000),
            (64, Idle::Park, 1_000_000),
        ] {
            let (mut sender, mut receiver) = ring::bounded(capacity);
            let (mut sending, mut receiving) = (IdleState::new(idle), IdleState::new(idle));
            sender.set_waker(receiving.waker());
            receiver.set_waker(sending.waker());
            let producer = thread::spawn(move || {
                let mut next = 0..items;
                while !next.is_empty() {
                    match sender.push_from(&mut next) {
                        Ok(pushed) => sending.idle(pushed),
                        Err(WriteError::Full) => sending.idle(0),
                        Err(WriteError::Closed) => panic!("the receiver is there"),
                    }
                }
            });
            let mut expected = 0_u64;
            loop {
                match receiver.read(16) {
                    Ok(chunk) => {
                        for &item in chunk.iter() {
                            assert_eq!(item, expected);
                            expected += 1;
                        }
                        receiving.idle(chunk.len());
                        chunk.commit_all();
                    }
                    Err(PopError::Empty) => receiving.idle(0),
                    Err(PopError::Closed) => break,
                }
            }
            assert_eq!(expected, items);
            producer.join().unwrap();
        }
    });
}

#[derive(Clone, Debug)]
enum Action {
    Push(u8),
    WriteChunk(Vec<u8>),
    Pop,
    ReadChunk { max: usize, take: usize },
    Drain { max: usize, take: usize },
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let sizes = || (0_usize..6, 0_usize..6);
    let action = prop_oneof![
        any::<u8>().prop_map(Action::Push),
        prop::collection::vec(any::<u8>(), 1..5).prop_map(Action::WriteChunk),
        Just(Action::Pop),
        sizes().prop_map(|(max, take)| Action::ReadChunk { max, take }),
        sizes().prop_map(|(max, take)| Action::Drain { max, take }),
    ];
    prop::collection::vec(action, 0..60)
}

proptest! {
    /// Whatever is done in whatever order, a ring does what a bounded queue does.
    #[test]
    fn a_ring_is_a_bounded_queue(capacity in 1_usize..5, actions in actions()) {
        let (mut sender, mut receiver) = ring::bounded(capacity);
        let mut model = VecDeque::new();
        for action in actions {
            match action {
                Action::Push(item) => {
                    let fits = model.len() < capacity;
                    prop_assert_eq!(sender.push(item).is_ok(), fits);
                    if fits {
                        model.push_back(item);
                    }
                }
                Action::WriteChunk(items) => {
                    let free = (capacity - model.len()).min(items.len());
                    let chunk = sender.write(items.len());
                    prop_assert_eq!(chunk.is_err(), free == 0);
                    if let Ok(mut chunk) = chunk {
                            prop_assert_eq!(chunk.remaining(), free);
                            for &item in &items[..free] {
                                prop_assert!(chunk.push_with(|slot| slot.write(item)));
                            }
                            prop_assert_eq!(chunk.commit(), free);
                            model.extend(&items[..free]);
                    }
                }
                Action::Pop => prop_assert_eq!(receiver.pop().ok(), model.pop_front()),
                Action::ReadChunk { max, take } => match receiver.read(max) {
                    Ok(chunk) => {
                        let shown: Vec<u8> = chunk.iter().copied().collect();
                        let expected: Vec<u8> = model.iter().copied().take(max).collect();
                        prop_assert_eq!(&shown, &expected);
                        let take = take.min(shown.len());
                        chunk.commit(take);
                        model.drain(..take);
                    }
                    Err(_) => prop_assert!(model.is_empty() || max == 0),
                },
                Action::Drain { max, take } => if let Ok(chunk) = receiver.read(max) {
                    let taken: Vec<u8> = chunk.drain().take(take).collect();
                    let take = taken.len();
                    prop_assert_eq!(taken, model.drain(..take).collect::<Vec<_>>());
                },
            }
            prop_assert_eq!(receiver.len(), model.len());
            prop_assert_eq!(sender.slots(), capacity - model.len());
        }
        let tally = sender.tally();
        drop((sender, receiver));
        prop_assert_eq!(tally.undelivered(), Some(model.len()));
    }
}
