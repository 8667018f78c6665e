//! Claim 6: whatever is to happen when a ring is full, every item is taken, dropped and counted, or left and counted; after
//! an overload under `drop_oldest` the newest survive, as many as there are slots, in order.
//!
//! Both ends are the shipped ones, [`OutPort`] and [`FanIn`]. Items are numbered from 1.

use varpin::flow::{Envelope, FanIn, LaneOptions, MergeOrder, OutPort, RingLeft};
use varpin::ring::{self, WhenFull};
use varpin::sync::{JoinHandle, spawn_named};

type Port = OutPort<Envelope<u64>>;

/// The reading end of a ring, and what came out of it.
struct Taker {
    lanes: FanIn<Envelope<u64>>,
    taken: Vec<u64>,
}

impl Taker {
    /// Takes what is there, up to `limit`; what that was.
    fn take(&mut self, limit: usize) -> Vec<u64> {
        let mut now = Vec::new();
        let _ = self.lanes.drain(limit, |_, item| {
            now.extend(item.value);
            true
        });
        self.taken.extend(&now);
        assert!(self.taken.is_sorted_by(|a, b| a < b), "in order, none twice: {:?}", self.taken);
        now
    }

    fn take_all(&mut self) {
        while !self.lanes.has_ended() {
            self.take(4);
        }
    }
}

fn pair(policy: WhenFull, capacity: usize) -> (Port, Taker) {
    let (sender, receiver) = ring::with_policy(capacity, policy);
    let mut lanes = FanIn::new(MergeOrder::Arrival);
    lanes.add_lane(receiver, LaneOptions::default());
    (OutPort::new("a -> b", sender), Taker { lanes, taken: Vec::new() })
}

fn send(port: &mut Port, item: u64) {
    port.send(&Envelope::new(item, 1, 0, item));
}

fn produce<R: Send + 'static>(
    mut port: Port,
    work: impl FnOnce(&mut Port) -> R + Send + 'static,
) -> JoinHandle<(Port, R)> {
    let producer = spawn_named("producer", move || {
        let result = work(&mut port);
        (port, result)
    });
    producer.unwrap()
}

/// What was left, counted: nothing of it is in the ring any more, or somebody counts it there.
fn counts(left: &RingLeft) -> (u64, u64) {
    (left.dropped(), left.undelivered().expect("both ends are gone"))
}

pub fn block_keeps_everything() {
    let (port, mut taker) = pair(WhenFull::Block, 1);
    let producer = produce(port, |port| {
        let mut sent = 0;
        for _ in 0..3 {
            if sent < 2 && !port.is_blocked() {
                sent += 1;
                send(port, sent);
            }
            port.flush().unwrap();
            assert!(port.pending() <= 1, "a blocked port is sent nothing more");
        }
        sent
    });
    taker.take(1);
    taker.take(1);
    let (mut port, sent) = producer.join().unwrap();
    while port.is_blocked() {
        taker.take(1);
        port.flush().unwrap();
    }
    let left = port.close();
    drop(port);
    taker.take_all();
    assert_eq!(taker.taken, (1..=sent).collect::<Vec<_>>());
    drop(taker);
    assert_eq!(counts(&left), (0, 0));
}

pub fn drop_newest_counts_what_it_drops() {
    let (port, mut taker) = pair(WhenFull::DropNewest, 1);
    let producer = produce(port, |port| {
        for item in 1..=3 {
            send(port, item);
            port.flush().unwrap();
        }
    });
    taker.take(1);
    taker.take(1);
    let (mut port, ()) = producer.join().unwrap();
    let left = port.close();
    drop(port);
    taker.take_all();
    let taken = taker.taken.len() as u64;
    assert_eq!(taker.taken[0], 1, "what came first had room");
    drop(taker);
    assert_eq!(counts(&left), (3 - taken, 0));
}

pub fn error_fails_at_once_and_counts_the_rest() {
    let (port, mut taker) = pair(WhenFull::Error, 1);
    let producer = produce(port, |port| {
        for item in 1..=3 {
            send(port, item);
            if port.flush().is_err() {
                return item;
            }
        }
        3
    });
    taker.take(1);
    taker.take(1);
    let (mut port, sent) = producer.join().unwrap();
    let left = port.close();
    drop(port);
    taker.take_all();
    let taken = taker.taken.len() as u64;
    assert_eq!(taker.taken, (1..=taken).collect::<Vec<_>>(), "no gap");
    drop(taker);
    assert_eq!(counts(&left), (0, sent - taken));
}

pub fn drop_oldest_keeps_the_newest_capacity_1() {
    drop_oldest(1, 3);
}

pub fn drop_oldest_keeps_the_newest_capacity_2() {
    drop_oldest(2, 4);
}

fn drop_oldest(capacity: usize, items: u64) {
    let (port, mut taker) = pair(WhenFull::DropOldest, capacity);
    let producer = produce(port, move |port| {
        for item in 1..=items {
            send(port, item);
            port.flush().unwrap();
            assert!(port.pending() <= port.capacity(), "what waits in front of the ring has a bound");
        }
    });
    taker.take(2);
    let (mut port, ()) = producer.join().unwrap();
    let before = taker.taken.len();
    while !port.is_settled() {
        taker.take(4);
        port.flush().unwrap();
    }
    let left = port.close();
    drop(port);
    taker.take_all();
    let newest: Vec<u64> = (items - capacity as u64 + 1..=items).collect();
    assert!(taker.taken.ends_with(&newest), "the newest survive: {:?}", taker.taken);
    assert!(
        taker.taken.len() - before <= capacity,
        "and nothing else, after the overload: {:?}",
        taker.taken
    );
    let taken = taker.taken.len() as u64;
    drop(taker);
    assert_eq!(counts(&left), (items - taken, 0), "both ends drop, and every item is counted once");
}

/// Item 3 waits in front of the ring together with 4, so that 2 is to be skipped; whoever sees 3 must know that.
pub fn what_is_to_be_skipped_is_known_with_what_comes_after() {
    let (sender, mut receiver) = ring::with_policy(2, WhenFull::DropOldest);
    let producer = produce(OutPort::new("a -> b", sender), |port| {
        (1..=4).for_each(|item| send(port, item));
        let both_wait = port.pending() == 2;
        port.flush().unwrap();
        both_wait
    });
    let tally = receiver.tally();
    let mut mark_beside_3 = None;
    for _ in 0..2 {
        if let Ok(chunk) = receiver.read(2) {
            let sees_3 = chunk.iter().any(|item| item.seq == 3);
            // Looked at after the ring, as it is for each item that is taken.
            let mark = tally.skip_mark();
            mark_beside_3 = mark_beside_3.or(sees_3.then_some(mark));
            chunk.commit(1);
        }
    }
    let (_port, both_wait) = producer.join().unwrap();
    let knew = mark_beside_3.is_none_or(|mark| mark >= 2);
    assert!(!both_wait || knew, "2 was to be skipped before 3 could be seen: {mark_beside_3:?}");
}

/// The sender goes while the ring is full: what waits in front of it comes after what is in it.
pub fn what_a_sender_leaves_comes_last_and_is_not_missed() {
    let (port, mut taker) = pair(WhenFull::DropOldest, 1);
    let producer = spawn_named("producer", move || {
        let mut port = port;
        (1..=3).for_each(|item| send(&mut port, item));
        port.close()
    });
    for _ in 0..3 {
        taker.take(4);
    }
    let left = producer.unwrap().join().unwrap();
    taker.take_all();
    assert_eq!(taker.taken.last(), Some(&3), "the newest");
    let taken = taker.taken.len() as u64;
    drop(taker);
    assert_eq!(counts(&left), (3 - taken, 0));
}

/// The receiver goes first, or at the same time.
pub fn what_nobody_takes_is_counted_once() {
    let (port, mut taker) = pair(WhenFull::DropOldest, 1);
    let producer = spawn_named("producer", move || {
        let mut port = port;
        (1..=2).for_each(|item| send(&mut port, item));
        port.close()
    });
    taker.take(1);
    let taken = taker.taken.len() as u64;
    drop(taker);
    let left = producer.unwrap().join().unwrap();
    let (dropped, undelivered) = counts(&left);
    assert_eq!(taken + dropped + undelivered, 2, "{left:?}");
    assert!(undelivered <= 1, "of what nobody takes only the newest is left: {left:?}");
}
