//! Claim 1: first in, first out; nothing lost, nothing twice.

use varpin::ring::{self, PushError};
use varpin::sync::spawn_named;

use crate::watch::Cells;

pub fn single_items_capacity_1() {
    single_items(1, 2, 3);
}

pub fn single_items_capacity_2() {
    single_items(2, 3, 3);
}

/// A cell per item, written before its push and read after its pop.
fn single_items(capacity: usize, items: usize, attempts: usize) {
    let (mut sender, mut receiver) = ring::bounded(capacity);
    let cells = Cells::new(items);
    let written = cells.clone();
    let producer = spawn_named("producer", move || {
        let mut pushed = 0;
        for _ in 0..attempts {
            if pushed < items {
                written.write(pushed, pushed + 1);
                match sender.push(pushed) {
                    Ok(()) => pushed += 1,
                    Err(PushError::Full(item)) => assert_eq!(item, pushed, "handed back"),
                    Err(PushError::Closed(_)) => unreachable!("the receiver is there"),
                }
            }
        }
        pushed
    })
    .unwrap();
    let mut taken = 0;
    let mut take = || {
        let popped = receiver.pop();
        if let Ok(item) = popped {
            assert_eq!(item, taken, "in order");
            assert_eq!(cells.read(item), item + 1, "whole");
            taken += 1;
        }
        popped
    };
    for _ in 0..attempts {
        let _ = take();
    }
    let pushed = producer.join().unwrap();
    while take().is_ok() {}
    assert_eq!(taken, pushed);
}

pub fn chunks_capacity_1() {
    chunks(1, 2, 3, false);
}

pub fn chunks_capacity_2() {
    chunks(2, 3, 2, false);
}

pub fn drained_chunks_capacity_1() {
    chunks(1, 2, 2, true);
}

/// A cell per slot, touched while the chunk that holds the slot is open.
fn chunks(capacity: usize, items: usize, attempts: usize, drain: bool) {
    let (mut sender, mut receiver) = ring::bounded(capacity);
    let slots = Cells::new(capacity);
    let written = slots.clone();
    let producer = spawn_named("producer", move || {
        let mut pushed = 0;
        for _ in 0..attempts {
            if pushed < items
                && let Ok(mut chunk) = sender.write(items - pushed)
            {
                while chunk.remaining() > 0 {
                    written.write(pushed, pushed);
                    assert!(chunk.push_with(|slot| slot.write(pushed)));
                    pushed += 1;
                }
                chunk.commit();
            }
        }
        pushed
    })
    .unwrap();
    let mut taken = 0;
    let mut take = || {
        let Ok(chunk) = receiver.read(capacity) else { return false };
        for &item in chunk.iter() {
            assert_eq!(item, taken, "in order");
            assert_eq!(slots.read(taken), taken, "whole");
            taken += 1;
        }
        if drain {
            let count = chunk.len();
            assert_eq!(chunk.drain().count(), count);
        } else {
            chunk.commit_all();
        }
        true
    };
    for _ in 0..attempts {
        take();
    }
    let pushed = producer.join().unwrap();
    while take() {}
    assert_eq!(taken, pushed);
}
