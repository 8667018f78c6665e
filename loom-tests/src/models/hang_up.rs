//! Claims 3 and 4: one end leaves, the other learns it, and every item is taken or counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use varpin::ring::{self, PopError, PushError};
use varpin::sync::spawn_named;

pub fn every_single_item_comes_before_closed() {
    let (mut sender, mut receiver) = ring::bounded(2);
    let producer = spawn_named("producer", move || {
        for item in 0..2 {
            assert_eq!(sender.push(item), Ok(()));
        }
    })
    .unwrap();
    let mut taken = 0;
    let mut take = || match receiver.pop() {
        Ok(item) => {
            assert_eq!(item, taken);
            taken += 1;
            true
        }
        Err(PopError::Empty) => false,
        Err(PopError::Closed) => {
            assert_eq!(taken, 2, "closed with items left");
            false
        }
    };
    for _ in 0..3 {
        take();
    }
    producer.join().unwrap();
    while take() {}
    assert_eq!(taken, 2);
    assert_eq!(receiver.pop(), Err(PopError::Closed));
}

pub fn every_chunk_comes_before_closed() {
    let (mut sender, mut receiver) = ring::bounded(2);
    let producer = spawn_named("producer", move || {
        assert_eq!(sender.push(0), Ok(()));
        assert_eq!(sender.push_slice(&[1]), Ok(1));
    })
    .unwrap();
    let mut taken = 0;
    let mut take = || match receiver.read(2) {
        Ok(chunk) => {
            for &item in chunk.iter() {
                assert_eq!(item, taken);
                taken += 1;
            }
            chunk.commit_all();
            true
        }
        Err(PopError::Empty) => false,
        Err(PopError::Closed) => {
            assert_eq!(taken, 2, "closed with items left");
            false
        }
    };
    for _ in 0..3 {
        take();
    }
    producer.join().unwrap();
    while take() {}
    assert_eq!(taken, 2);
    assert!(matches!(receiver.read(2), Err(PopError::Closed)));
}

pub fn sender_learns_that_the_receiver_is_gone() {
    let (mut sender, mut receiver) = ring::bounded(2);
    let consumer = spawn_named("consumer", move || {
        let mut taken = 0;
        for _ in 0..2 {
            taken += usize::from(receiver.pop().is_ok());
        }
        taken
    })
    .unwrap();
    let (mut pushed, mut seen_closed) = (0, None);
    for item in 0..3 {
        match sender.push(item) {
            Ok(()) => pushed += 1,
            Err(PushError::Full(back)) => assert_eq!(back, item, "handed back"),
            Err(PushError::Closed(back)) => {
                assert_eq!(back, item, "handed back");
                seen_closed = Some(sender.undelivered());
                break;
            }
        }
    }
    let taken = consumer.join().unwrap();
    assert_eq!(sender.push(9), Err(PushError::Closed(9)), "gone for good");
    assert_eq!(sender.undelivered(), pushed - taken);
    assert!(seen_closed.is_none_or(|count| count == pushed - taken), "final once the receiver was seen gone");
}

/// An item that counts how often it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub fn what_is_left_is_counted_and_dropped_once() {
    let (mut sender, mut receiver) = ring::bounded(2);
    let tally = sender.tally();
    let drops = Arc::new(AtomicUsize::new(0));
    let dropped = Arc::clone(&drops);
    let producer = spawn_named("producer", move || {
        let mut pushed = 0;
        for _ in 0..2 {
            pushed += usize::from(sender.push(Counted(Arc::clone(&dropped))).is_ok());
        }
        pushed
    })
    .unwrap();
    let taken = usize::from(receiver.pop().is_ok());
    drop(receiver);
    let pushed = producer.join().unwrap();
    assert_eq!(tally.undelivered(), Some(pushed - taken), "exactly one end counts");
    assert_eq!(drops.load(Ordering::Relaxed), 2, "taken, left or handed back: dropped once");
}
