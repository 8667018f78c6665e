//! Claim 2: a full ring hands the item back; space freed by the receiver is seen by the sender, with everything that the
//! receiver did before it freed it. And the other way round: what `len` has seen can be taken.

use varpin::ring::{self, PushError};
use varpin::sync::spawn_named;

use crate::watch::Cells;

pub fn freed_by_pop_is_seen_by_push() {
    let (mut sender, mut receiver) = ring::bounded(1);
    let cells = Cells::new(1);
    let seen = cells.clone();
    let consumer = spawn_named("consumer", move || {
        for _ in 0..2 {
            if receiver.peek() == Ok(&0) {
                cells.write(0, 7);
                assert_eq!(receiver.pop(), Ok(0));
            }
        }
        receiver
    })
    .unwrap();
    assert_eq!(sender.push(0), Ok(()));
    let mut second = Err(PushError::Full(1));
    for _ in 0..2 {
        second = second.or_else(|full| sender.push(full.into_inner()));
    }
    match second {
        // The only slot was free, so the first item was taken.
        Ok(()) => assert_eq!(seen.read(0), 7),
        Err(full) => assert_eq!(full, PushError::Full(1), "handed back"),
    }
    let mut receiver = consumer.join().unwrap();
    let first = receiver.pop();
    if second.is_err() && first.is_err() {
        assert_eq!(sender.push(1), Ok(()), "space freed before the join");
    }
}

pub fn freed_by_pop_is_seen_by_slots() {
    let (mut sender, mut receiver) = ring::bounded(1);
    let cells = Cells::new(1);
    let seen = cells.clone();
    assert_eq!(sender.push(0), Ok(()));
    let consumer = spawn_named("consumer", move || {
        cells.write(0, 7);
        assert_eq!(receiver.pop(), Ok(0));
        receiver
    })
    .unwrap();
    if sender.slots() == 1 {
        assert_eq!(seen.read(0), 7);
        assert_eq!(sender.push(1), Ok(()));
    }
    drop(consumer.join().unwrap());
}

pub fn freed_by_commit_is_seen_by_write() {
    let (mut sender, mut receiver) = ring::bounded(2);
    let slots = Cells::new(2);
    let written = slots.clone();
    for item in 0..2 {
        written.write(item, item);
    }
    assert_eq!(sender.push_slice(&[0, 1]), Ok(2));
    let consumer = spawn_named("consumer", move || {
        let chunk = receiver.read(2).unwrap();
        // Only what is committed is given back: the second item stays where it is.
        assert_eq!((slots.read(0), slots.read(1)), (0, 1));
        chunk.commit(1);
        assert_eq!(slots.read(1), 1);
        receiver
    })
    .unwrap();
    if let Ok(mut chunk) = sender.write(2) {
        assert_eq!(chunk.remaining(), 1);
        written.write(2, 2);
        assert_eq!(chunk.push(2), Ok(()));
    }
    let mut receiver = consumer.join().unwrap();
    assert_eq!(receiver.pop(), Ok(1));
}

pub fn filled_is_seen_by_len() {
    let (mut sender, mut receiver) = ring::bounded(2);
    let cells = Cells::new(2);
    let seen = cells.clone();
    let producer = spawn_named("producer", move || {
        for item in 0..2 {
            cells.write(item, item);
            assert_eq!(sender.push(item), Ok(()));
        }
    })
    .unwrap();
    for item in 0..receiver.len() {
        assert_eq!(receiver.pop(), Ok(item));
        assert_eq!(seen.read(item), item);
    }
    producer.join().unwrap();
}
