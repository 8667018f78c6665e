//! Claim 5: no lost wake-up. A worker here is the shipped one in small: duty cycle, [`IdleState::idle`], and again.
//! A sleep has no time limit under loom, so a wake-up that is lost is a deadlock, which loom reports.

use varpin::idle::{Idle, IdleState};
use varpin::ring::{self, PopError, PushError, Receiver, Sender};
use varpin::sync::spawn_named;

/// Takes items one by one until the end of the stream.
fn pop_all(mut receiver: Receiver<usize>, mut idle: IdleState) -> usize {
    let mut taken = 0;
    loop {
        match receiver.pop() {
            Ok(item) => {
                assert_eq!(item, taken);
                taken += 1;
                idle.idle(1);
            }
            Err(PopError::Empty) => idle.idle(0),
            Err(PopError::Closed) => return taken,
        }
    }
}

/// Pushes items one by one until all are through or nobody takes any more; how many went in.
fn push_all(mut sender: Sender<usize>, mut idle: IdleState, items: usize) -> usize {
    let mut pushed = 0;
    while pushed < items {
        match sender.push(pushed) {
            Ok(()) => {
                pushed += 1;
                idle.idle(1);
            }
            Err(PushError::Full(_)) => idle.idle(0),
            Err(PushError::Closed(_)) => break,
        }
    }
    pushed
}

pub fn sleeping_receiver_sees_items_and_the_end() {
    let (mut sender, receiver) = ring::bounded(2);
    let idle = IdleState::new(Idle::Park);
    sender.set_waker(idle.waker());
    let consumer = spawn_named("consumer", move || pop_all(receiver, idle)).unwrap();
    for item in 0..2 {
        assert_eq!(sender.push(item), Ok(()));
    }
    drop(sender);
    assert_eq!(consumer.join().unwrap(), 2);
}

pub fn sleeping_receiver_sees_a_chunk() {
    sleeping_receiver_sees(|sender| {
        let mut chunk = sender.write(2).unwrap();
        assert_eq!((chunk.push(0), chunk.push(1)), (Ok(()), Ok(())));
        chunk.commit();
    });
}

pub fn sleeping_receiver_sees_a_slice() {
    sleeping_receiver_sees(|sender| assert_eq!(sender.push_slice(&[0, 1]), Ok(2)));
}

pub fn sleeping_receiver_sees_an_iterators_items() {
    sleeping_receiver_sees(|sender| assert_eq!(sender.push_from(&mut (0..2)), Ok(2)));
}

/// The sender stays until the receiver is through, so only what it published can have woken the receiver.
fn sleeping_receiver_sees(publish_two: fn(&mut Sender<usize>)) {
    let (mut sender, mut receiver) = ring::bounded(2);
    let mut idle = IdleState::new(Idle::Park);
    sender.set_waker(idle.waker());
    let consumer = spawn_named("consumer", move || {
        let mut taken = 0;
        while taken < 2 {
            match receiver.read(2) {
                Ok(chunk) => {
                    taken += chunk.len();
                    idle.idle(chunk.len());
                    chunk.commit_all();
                }
                Err(_) => idle.idle(0),
            }
        }
    })
    .unwrap();
    publish_two(&mut sender);
    consumer.join().unwrap();
    drop(sender);
}

pub fn sleeping_sender_sees_freed_space() {
    let (sender, mut receiver) = ring::bounded(1);
    let idle = IdleState::new(Idle::Park);
    receiver.set_waker(idle.waker());
    let producer = spawn_named("producer", move || push_all(sender, idle, 2)).unwrap();
    let mut taken = 0;
    for _ in 0..2 {
        taken += usize::from(receiver.pop().is_ok());
    }
    if taken > 0 {
        // The receiver stays, so only the space that it freed can have woken the sender.
        assert_eq!(producer.join().unwrap(), 2);
        drop(receiver);
    } else {
        drop(receiver);
        producer.join().unwrap();
    }
}

pub fn sleeping_sender_sees_a_commit() {
    sleeping_sender_sees(|receiver| receiver.read(1).unwrap().commit_all());
}

pub fn sleeping_sender_sees_a_drain() {
    sleeping_sender_sees(|receiver| assert_eq!(receiver.read(1).unwrap().drain().next(), Some(9)));
}

/// The ring is full, and the receiver stays until the sender is through, so only the space that it freed can have
/// woken the sender.
fn sleeping_sender_sees(free_one: fn(&mut Receiver<usize>)) {
    let (mut sender, mut receiver) = ring::bounded(1);
    assert_eq!(sender.push(9), Ok(()));
    let idle = IdleState::new(Idle::Park);
    receiver.set_waker(idle.waker());
    let producer = spawn_named("producer", move || push_all(sender, idle, 1)).unwrap();
    free_one(&mut receiver);
    assert_eq!(producer.join().unwrap(), 1);
    drop(receiver);
}

pub fn sleeping_sender_sees_the_receiver_leave() {
    let (sender, mut receiver) = ring::bounded(1);
    let idle = IdleState::new(Idle::Park);
    receiver.set_waker(idle.waker());
    let producer = spawn_named("producer", move || push_all(sender, idle, 2)).unwrap();
    drop(receiver);
    assert!(producer.join().unwrap() <= 1, "nobody took the first");
}

pub fn both_sleep() {
    let (mut sender, mut receiver) = ring::bounded(1);
    let receiver_idle = IdleState::new(Idle::Park);
    let sender_idle = IdleState::new(Idle::Park);
    sender.set_waker(receiver_idle.waker());
    receiver.set_waker(sender_idle.waker());
    let consumer = spawn_named("consumer", move || pop_all(receiver, receiver_idle)).unwrap();
    assert_eq!(push_all(sender, sender_idle, 2), 2);
    assert_eq!(consumer.join().unwrap(), 2);
}

pub fn two_senders_wake_one_sleeper() {
    let mut idle = IdleState::new(Idle::Park);
    let mut receivers = Vec::new();
    let mut producers = Vec::new();
    for _ in 0..2 {
        let (mut sender, receiver) = ring::bounded(1);
        sender.set_waker(idle.waker());
        receivers.push(receiver);
        producers.push(spawn_named("producer", move || assert_eq!(sender.push(0), Ok(()))).unwrap());
    }
    let mut taken = 0;
    while !receivers.is_empty() {
        let mut work = 0;
        receivers.retain_mut(|receiver| match receiver.pop() {
            Ok(_) => {
                work += 1;
                true
            }
            Err(PopError::Empty) => true,
            Err(PopError::Closed) => false,
        });
        taken += work;
        if !receivers.is_empty() {
            idle.idle(work);
        }
    }
    assert_eq!(taken, 2);
    for producer in producers {
        producer.join().unwrap();
    }
}
