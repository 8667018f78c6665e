//! What happens when a ring is full is a policy: under each of them every item is taken, dropped and counted, or left and
//! counted; and the newest survive where the oldest are to be dropped. (In contexts: tests/when_full.rs.)

#[path = "common/outputs.rs"]
mod outputs;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use outputs::all_of;
use proptest::prelude::*;
use varpin::cores::PinPolicy;
use varpin::flow::{
    Envelope, FanIn, Graph, GraphProblem, LaneOptions, Leftovers, MergeOrder, OutPort, StartError,
};
use varpin::ring::{self, PushError, WhenFull};
use watchdog::watched;

const JOIN: Duration = Duration::from_secs(50);

fn policies() -> impl Strategy<Value = WhenFull> {
    prop::sample::select(WhenFull::ALL.to_vec())
}

/// What the two ends of a ring do, by turns.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Send(u64),
    Flush,
    Take(usize),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        3 => (1..8_u64).prop_map(Turn::Send),
        2 => Just(Turn::Flush),
        2 => (1..6_usize).prop_map(Turn::Take),
    ];
    prop::collection::vec(turn, 0..40)
}

/// One sender, one receiver, and what became of the items, which are numbered from 1.
struct Pair {
    port: OutPort<Envelope<u64>>,
    lanes: FanIn<Envelope<u64>>,
    capacity: usize,
    sent: u64,
    taken: Vec<u64>,
    failed: bool,
}

impl Pair {
    fn new(policy: WhenFull, capacity: usize, order: MergeOrder, tells_progress: bool) -> Self {
        let (sender, receiver) = ring::with_policy(capacity, policy);
        let mut port = OutPort::new("a -> b", sender);
        if tells_progress {
            port = port.announces_progress();
        }
        let mut lanes = FanIn::new(order);
        lanes.add_lane(receiver, LaneOptions::default());
        Self { port, lanes, capacity, sent: 0, taken: Vec::new(), failed: false }
    }

    fn send(&mut self, items: u64) {
        for _ in 0..items {
            // A stage takes no more input while it is blocked, or after it has failed.
            if self.port.is_blocked() || self.failed {
                return;
            }
            self.sent += 1;
            let item = Envelope::new(self.sent, 1, self.sent as i64, self.sent);
            self.port.send(&item);
            self.port.note_progress(self.sent);
            assert!(self.port.pending() <= self.capacity, "what pends has a bound");
        }
    }

    fn flush(&mut self) {
        self.failed |= self.port.flush().is_err();
    }

    fn take(&mut self, limit: usize) -> bool {
        let taken = &mut self.taken;
        let drained = self.lanes.drain(limit, |_, item| {
            taken.extend(item.value);
            true
        });
        drained.ended
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Send(items) => self.send(items),
            Turn::Flush => self.flush(),
            Turn::Take(limit) => {
                self.take(limit);
            }
        }
    }

    /// The sender ends; the receiver takes what is left, or (`leaves`) goes first. Returns what was taken, what was
    /// dropped, and what was undelivered.
    fn end(mut self, leaves: bool) -> (u64, Vec<u64>, u64, u64) {
        self.flush();
        let mut leftovers = Leftovers::new();
        if leaves {
            self.lanes.close("b", &mut leftovers);
            self.lanes = FanIn::new(MergeOrder::Arrival);
            self.flush();
        }
        while self.port.is_blocked() {
            // A stage doesn't end before.
            self.take(1);
            self.flush();
        }
        leftovers.ring(self.port.close());
        drop(self.port);
        let mut lanes = self.lanes;
        while !lanes.has_ended() {
            let _ = lanes.drain(3, |_, item| {
                self.taken.extend(item.value);
                true
            });
        }
        drop(lanes);
        let dropped = leftovers.dropped().iter().map(|ring| ring.items).sum();
        let undelivered = leftovers.undelivered().iter().map(|ring| ring.items).sum();
        (self.sent, self.taken, dropped, undelivered)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_item_is_taken_in_order_or_dropped_or_left_and_counted(
        policy in policies(),
        capacity in 1..5_usize,
        order in prop::sample::select(MergeOrder::ALL.to_vec()),
        tells_progress in any::<bool>(),
        turns in turns(),
        leaves in any::<bool>(),
    ) {
        let mut pair = Pair::new(policy, capacity, order, tells_progress);
        for turn in turns {
            pair.turn(turn);
        }
        let newest: Vec<u64> = (pair.sent.saturating_sub(capacity as u64) + 1..=pair.sent).collect();
        let (sent, taken, dropped, undelivered) = pair.end(leaves);
        prop_assert_eq!(taken.len() as u64 + dropped + undelivered, sent);
        prop_assert!(taken.is_sorted_by(|a, b| a < b), "{:?}", taken);
        if !policy.drops() {
            prop_assert_eq!(dropped, 0);
            prop_assert_eq!(&taken, &(1..=taken.len() as u64).collect::<Vec<_>>());
        }
        if !leaves {
            prop_assert!(undelivered == 0 || policy == WhenFull::Error);
        }
        if policy == WhenFull::DropOldest && !leaves {
            prop_assert!(taken.ends_with(&newest), "{:?}", taken);
        }
    }
}

#[test]
fn after_an_overload_the_newest_come_and_nothing_else() {
    for capacity in [1, 2, 3, 8, 1024] {
        for order in MergeOrder::ALL {
            let mut pair = Pair::new(WhenFull::DropOldest, capacity, order, true);
            for _ in 0..10_000 {
                pair.send(1);
                pair.flush();
            }
            assert_eq!(pair.port.pending(), capacity, "as many again wait in front of the ring");
            let (sent, taken, dropped, undelivered) = pair.end(false);
            assert_eq!(taken, (sent - capacity as u64 + 1..=sent).collect::<Vec<_>>());
            assert_eq!((dropped, undelivered), (sent - capacity as u64, 0));
        }
    }
}

#[test]
fn an_overload_that_ends_without_the_sender_ending_brings_the_newest_with_further_flushes() {
    let mut pair = Pair::new(WhenFull::DropOldest, 4, MergeOrder::Deterministic, true);
    pair.send(100);
    while !(pair.port.is_settled() && pair.port.has_told()) {
        pair.flush();
        pair.take(2);
    }
    pair.take(10);
    pair.take(10);
    assert_eq!((&pair.taken[..], pair.port.dropped()), (&[97, 98, 99, 100][..], 96));
    assert_eq!(pair.lanes.frontier(), 100, "how far the sender has come is known");
    // And then as if nothing had been.
    pair.send(3);
    pair.flush();
    pair.take(10);
    assert_eq!((&pair.taken[4..], pair.port.dropped()), (&[101, 102, 103][..], 96));
}

#[test]
fn drop_newest_keeps_what_came_first() {
    let mut pair = Pair::new(WhenFull::DropNewest, 3, MergeOrder::Arrival, false);
    pair.send(10);
    pair.take(10);
    pair.send(2);
    let (sent, taken, dropped, undelivered) = pair.end(false);
    assert_eq!((sent, taken, dropped, undelivered), (12, vec![1, 2, 3, 11, 12], 7, 0));
}

/// However much is dropped, a merge learns how far the lane has come.
#[test]
fn a_merge_does_not_wait_for_what_was_dropped() {
    for policy in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let (sender, receiver) = ring::with_policy(2, policy);
        let (other_sender, other_receiver) = ring::bounded(64);
        let mut ports = [
            OutPort::new("lossy", sender).announces_progress(),
            OutPort::new("other", other_sender).announces_progress(),
        ];
        let mut merged = FanIn::new(MergeOrder::Deterministic);
        merged.add_lane(receiver, LaneOptions::default());
        merged.add_lane(other_receiver, LaneOptions::default());
        for seq in 1..=20 {
            for port in &mut ports {
                port.send(&Envelope::new(seq, 1, 0, seq));
                port.note_progress(seq);
                port.flush().expect("nothing fails");
            }
        }
        let mut taken = [0, 0];
        while !ports[0].is_settled() || !ports[0].has_told() || merged.frontier() < 20 {
            ports[0].flush().expect("nothing fails");
            let _ = merged.drain(100, |lane, _| {
                taken[lane] += 1;
                true
            });
        }
        assert_eq!(taken, [2, 20], "{policy}");
    }
}

/// The consumer sleeps 1 ms for each item; the source goes at full speed.
#[test]
fn a_slow_consumer_under_a_fast_source_and_every_item_is_accounted_for() {
    for policy in WhenFull::ALL {
        watched(move || {
            let capacity = 16;
            // Blocking takes its time, as it should.
            let items: u64 = if policy.drops() { 200_000 } else { 300 };
            let mut graph = Graph::new().capacity(capacity).pin_policy(PinPolicy::Off);
            let (mut input, numbers) = graph.input::<u64>("source");
            let (send, receive) = std::sync::mpsc::channel();
            graph.sink("slow", &numbers, move |n: &u64| {
                thread::sleep(Duration::from_millis(1));
                send.send(*n).expect("the test listens");
            });
            graph.when_full("slow", policy);
            let running = graph.start().expect("the graph is sound");
            let (mut pushed, mut given_back) = (0, 0);
            for n in 1..=items {
                match input.push(n) {
                    Ok(()) => pushed += 1,
                    Err(PushError::Full(back)) => {
                        assert_eq!((back, policy), (n, WhenFull::Error));
                        given_back += 1;
                    }
                    Err(PushError::Closed(_)) => panic!("nobody leaves before the end"),
                }
            }
            input.close();
            let report = running.join(JOIN).expect("every stage was done");
            let taken: Vec<u64> = receive.iter().collect();
            assert!(taken.is_sorted_by(|a, b| a < b));
            assert_eq!(
                taken.len() as u64 + report.dropped_items() + report.undelivered_items(),
                pushed,
                "{report:?}"
            );
            assert_eq!((report.undelivered_items(), pushed + given_back), (0, items));
            match policy {
                WhenFull::Block => assert_eq!(taken, (1..=items).collect::<Vec<_>>()),
                WhenFull::DropNewest => {
                    assert_eq!(taken[..capacity], (1..=capacity as u64).collect::<Vec<_>>());
                }
                WhenFull::DropOldest => {
                    let newest: Vec<u64> = (items - capacity as u64 + 1..=items).collect();
                    assert!(taken.ends_with(&newest), "{taken:?}");
                }
                _ => assert!(given_back > 0, "a full ring gives back"),
            }
            if policy.drops() {
                assert_eq!(report.dropped[0].ring, "source -> slow");
                assert!(report.dropped_items() > items / 2, "{report:?}");
            }
        });
    }
}

/// A stage that feeds a slow one: the one between ends as it should, and so does the whole.
#[test]
fn a_stage_in_front_of_a_lossy_ring_is_never_held_up() {
    for policy in [WhenFull::DropNewest, WhenFull::DropOldest] {
        for order in MergeOrder::ALL {
            watched(move || {
                let mut graph = Graph::new().capacity(8).order(order).pin_policy(PinPolicy::Off);
                let (mut input, numbers) = graph.input::<u64>("source");
                let copied = graph.stage("copy", &numbers, |n: &u64, out| (0..3).for_each(|_| out.send(*n)));
                let shown = graph.stage("show", &copied, |n: &u64, out| {
                    thread::sleep(Duration::from_millis(1));
                    out.send(*n);
                });
                let mut output = graph.output("screen", [&shown]);
                graph.when_full("show", policy);
                let running = graph.start().expect("the graph is sound");
                for n in 1..=20_000 {
                    input.push(n).expect("nobody leaves before the end");
                }
                input.close();
                let shown = all_of(&mut output);
                let report = running.join(JOIN).expect("every stage was done");
                assert_eq!(shown.len() as u64 + report.dropped_items(), 60_000);
                assert!(shown.is_sorted());
                if policy == WhenFull::DropOldest {
                    assert!(
                        shown.ends_with(&[19_998, 19_998, 19_999, 19_999, 19_999, 20_000, 20_000, 20_000])
                    );
                }
            });
        }
    }
}

#[test]
fn a_ring_that_must_not_be_full_fails_the_stage_that_sends_and_the_rest_is_counted() {
    watched(|| {
        let mut graph = Graph::new().capacity(4).pin_policy(PinPolicy::Off);
        let (mut input, numbers) = graph.input::<u64>("source");
        let copied = graph.stage("copy", &numbers, |n: &u64, out| (0..3).for_each(|_| out.send(*n)));
        let mut output = graph.output("screen", &copied);
        graph.when_full("screen", WhenFull::Error);
        let mut stepper = graph.stepper().expect("the graph is sound");
        for n in 1..=4 {
            input.try_push(n).expect("there is room for four");
        }
        input.close();
        while !stepper.is_done() {
            stepper.step();
        }
        let mut taken = 0;
        while output.pop().is_ok() {
            taken += 1;
        }
        drop(output);
        let error = stepper.finish().expect_err("the ring was full");
        assert!(error.to_string().contains("the ring copy -> screen is full"), "{error}");
        let at_the_screen = error.report.undelivered.iter().find(|ring| ring.ring == "copy -> screen");
        assert_eq!(taken + at_the_screen.map_or(0, |ring| ring.items), 12, "{error:?}");
    });
}

/// A duty cycle takes no more than the ring behind it holds, so a receiver that keeps up finds everything, though its
/// turn comes after the sender's.
#[test]
fn nothing_is_dropped_where_the_receiver_keeps_up() {
    for policy in [WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::Error] {
        let mut graph = Graph::new().capacity(4);
        let (mut input, numbers) = graph.input::<u64>("source");
        let copied = graph.stage("copy", &numbers, |n: &u64, out| out.send(*n));
        let shown = graph.stage("show", &copied, |n: &u64, out| out.send(*n));
        let mut output = graph.output("screen", &shown);
        graph.when_full("show", policy);
        let mut stepper = graph.stepper().expect("the graph is sound");
        let mut shown = Vec::new();
        for n in 1..=1_000 {
            while input.try_push(n).is_err() {
                stepper.step();
                shown.extend(std::iter::from_fn(|| output.pop().ok()));
            }
        }
        input.close();
        while !stepper.is_done() {
            stepper.step();
            shown.extend(std::iter::from_fn(|| output.pop().ok()));
        }
        assert_eq!(shown, (1..=1_000).collect::<Vec<u64>>(), "{policy}");
        assert_eq!(stepper.finish().expect("every stage was done").dropped, []);
    }
}

/// One item for two takers: the one that blocks holds it up, the one that drops doesn't, and one that must not be full
/// gives it back at once.
#[test]
fn a_push_to_several_rings_heeds_each_ones_policy() {
    for (second, outcome) in [
        (WhenFull::DropNewest, Ok(())),
        (WhenFull::DropOldest, Ok(())),
        (WhenFull::Error, Err(PushError::Full(3))),
        (WhenFull::Block, Err(PushError::Full(3))),
    ] {
        let mut graph = Graph::new().capacity(2);
        let (mut input, numbers) = graph.input::<u64>("source");
        let wide = graph.stage("wide", &numbers, |n: &u64, out| out.send(*n));
        let mut wide_output = graph.output("wide output", &wide);
        let mut output = graph.output("output", &numbers);
        graph.when_full("output", second);
        let mut stepper = graph.stepper().expect("the graph is sound");
        assert_eq!((input.try_push(1), input.try_push(2)), (Ok(()), Ok(())));
        input.flush().expect("nobody has left");
        stepper.step(); // `wide` has taken both
        assert_eq!(input.try_push(3), outcome, "{second}");
        if second == WhenFull::Error {
            assert_eq!(input.push(3), Err(PushError::Full(3)), "not waited for");
        }
        assert_eq!(input.dropped(), u64::from(second == WhenFull::DropNewest));
        drop(input);
        stepper.step();
        let taken: Vec<u64> = std::iter::from_fn(|| output.pop().ok()).collect();
        let wide: Vec<u64> = std::iter::from_fn(|| wide_output.pop().ok()).collect();
        let expected: &[u64] = match second {
            WhenFull::DropOldest => &[2, 3],
            _ => &[1, 2],
        };
        assert_eq!(taken, expected, "{second}");
        assert_eq!(wide[..2], [1, 2]);
    }
}

#[test]
fn a_policy_for_nobody_is_refused() {
    for name in ["nobody", "source"] {
        let mut graph = Graph::new();
        let (_input, numbers) = graph.input::<u64>("source");
        graph.sink("slow", &numbers, |_| {});
        graph.when_full(name, WhenFull::DropNewest);
        let Err(StartError::Graph(error)) = graph.start() else { panic!("{name} takes nothing") };
        assert_eq!(error.problems, [GraphProblem::UnknownStage { stage: name.to_owned() }]);
    }
}
