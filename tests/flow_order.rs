//! Which lane a merge reads next, as a table; and that merging doesn't depend on how arrivals interleave.

use proptest::prelude::*;
use varpin::flow::{Bound, Choice, Envelope, FanIn, Key, LaneOptions, LaneView, MergeOrder, Ordered, choose};
use varpin::ring::{self, PopError};

fn head(seq: u64, rank: u16, time_ns: i64) -> LaneView {
    LaneView::Head(Key { seq, rank, place: 0, time_ns })
}

fn open(from_seq: u64, from_rank: u16) -> LaneView {
    LaneView::Open { from_seq, from_rank }
}

const ENDED: LaneView = LaneView::Ended;

/// The lane to take, or the one to wait for, if any.
type Expected = Result<usize, Option<usize>>;

fn lane_of(choice: Choice) -> Expected {
    match choice {
        Choice::Take { lane, .. } => Ok(lane),
        Choice::Wait { lane } => Err(Some(lane)),
        Choice::Ended => Err(None),
    }
}

#[test]
fn deterministic_takes_the_smallest_that_nothing_can_undercut() {
    let cases: &[(&[LaneView], Expected)] = &[
        (&[], Err(None)),
        (&[ENDED, ENDED], Err(None)),
        (&[open(0, 0)], Err(Some(0))),
        (&[head(5, 1, 0)], Ok(0)),
        // Sequence number first, then rank, then lane; time plays no part.
        (&[head(5, 1, 0), head(4, 9, 99)], Ok(1)),
        (&[head(5, 2, 0), head(5, 1, 0)], Ok(1)),
        (&[head(5, 1, 9), head(5, 1, 0)], Ok(0)),
        // A lane without a head is waited for unless what can come is greater.
        (&[head(5, 1, 0), open(5, 0)], Err(Some(1))),
        (&[head(5, 1, 0), open(6, 0)], Ok(0)),
        (&[head(5, 1, 0), open(5, 2)], Ok(0)),
        (&[head(5, 1, 0), open(5, 1)], Ok(0)),
        (&[open(5, 1), head(5, 1, 0)], Err(Some(0))),
        (&[head(5, 1, 0), open(0, 0), open(9, 0)], Err(Some(1))),
        (&[head(5, 1, 0), ENDED], Ok(0)),
    ];
    for (lanes, expected) in cases {
        assert_eq!(lane_of(choose(MergeOrder::Deterministic, lanes, 0)), *expected, "{lanes:?}");
    }
}

#[test]
fn timestamp_takes_the_smallest_time_of_what_is_there() {
    let cases: &[(&[LaneView], Expected)] = &[
        (&[], Err(None)),
        (&[open(0, 0), ENDED], Err(Some(0))),
        (&[head(1, 1, 20), head(9, 1, 10)], Ok(1)),
        (&[head(2, 1, 10), head(1, 1, 10)], Ok(1)),
        (&[head(1, 2, 10), head(1, 1, 10)], Ok(1)),
        (&[head(1, 1, 10), head(1, 1, 10)], Ok(0)),
        (&[open(0, 0), head(9, 1, 10)], Ok(1)),
    ];
    for (lanes, expected) in cases {
        assert_eq!(lane_of(choose(MergeOrder::Timestamp, lanes, 0)), *expected, "{lanes:?}");
    }
}

#[test]
fn arrival_goes_round() {
    let lanes = [head(9, 1, 9), open(0, 0), head(1, 1, 1), ENDED];
    let order: Vec<_> = (0..5).map(|turn| lane_of(choose(MergeOrder::Arrival, &lanes, turn))).collect();
    assert_eq!(order, [Ok(0), Ok(2), Ok(2), Ok(0), Ok(0)]);
    assert_eq!(lane_of(choose(MergeOrder::Arrival, &[ENDED, open(0, 0)], 0)), Err(Some(1)));
    assert_eq!(lane_of(choose(MergeOrder::Arrival, &[ENDED], 0)), Err(None));
}

#[test]
fn a_run_ends_where_another_lane_could_come_in() {
    let below = |lanes: &[LaneView]| match choose(MergeOrder::Deterministic, lanes, 0) {
        Choice::Take { below, .. } => below,
        other => panic!("{other:?}"),
    };
    let bound =
        |seq, rank, lane| Bound::of(MergeOrder::Deterministic, Key { seq, rank, place: 0, time_ns: 0 }, lane);
    assert_eq!(below(&[head(1, 1, 0), head(7, 2, 0), head(4, 3, 0)]), bound(4, 3, 2));
    assert_eq!(below(&[head(1, 1, 0), open(3, 0), head(4, 3, 0)]), bound(3, 0, 1));
    assert_eq!(below(&[head(9, 1, 0), head(8, 1, 0), ENDED]), bound(9, 1, 0));
    assert_eq!(below(&[head(1, 1, 0)]), Bound::NONE);
}

#[test]
fn names_are_read_as_they_are_printed() {
    for order in MergeOrder::ALL {
        assert_eq!(order.to_string().parse(), Ok(order));
    }
    let error = "random".parse::<MergeOrder>().expect_err("no such order");
    assert_eq!(error.to_string(), "`random` is no merge order; known are arrival, timestamp, deterministic");
}

type Item = Envelope<(usize, u64)>;

fn item(seq: u64, rank: u16, time_ns: i64, value: (usize, u64)) -> Item {
    Envelope::new(seq, rank, time_ns, value)
}

/// What arrives at a merge, and when.
#[derive(Clone, Debug)]
struct Arrivals {
    /// Per lane the items and progress notices in order.
    lanes: Vec<Vec<Item>>,
    /// Which lane brings its next one, or `None` for a look by the merge with this limit.
    script: Vec<(Option<usize>, usize)>,
}

fn arrivals() -> impl Strategy<Value = Arrivals> {
    let step = (0..3_u64, 0..3_u16, any::<bool>());
    let lane = prop::collection::vec(step, 0..20);
    let script = prop::collection::vec((prop::option::of(0..4_usize), 1..5_usize), 0..200);
    (prop::collection::vec(lane, 1..4), script).prop_map(|(lanes, script)| {
        let lanes = lanes.into_iter().enumerate().map(|(lane, steps)| {
            let (mut seq, mut rank) = (1, 0);
            let items = steps.into_iter().enumerate().map(move |(n, (seq_step, rank_step, is_progress))| {
                if seq_step > 0 {
                    seq += seq_step;
                    rank = 0;
                }
                rank += rank_step;
                if is_progress {
                    let progress = Item::progress(seq);
                    seq += 1;
                    rank = 0;
                    progress
                } else {
                    item(seq, rank, 0, (lane, n as u64))
                }
            });
            items.collect()
        });
        Arrivals { lanes: lanes.collect(), script }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn deterministic_order_is_sorted_however_arrivals_interleave(arrivals in arrivals()) {
        let mut expected: Vec<(u64, u16, usize, u64)> = Vec::new();
        for (lane, items) in arrivals.lanes.iter().enumerate() {
            expected.extend(items.iter().filter_map(|i| Some((i.seq, i.rank, lane, i.value?.1))));
        }
        expected.sort_unstable();

        let mut merged = FanIn::new(MergeOrder::Deterministic);
        let mut lanes: Vec<_> = arrivals.lanes.iter().map(|items| {
            let (sender, receiver) = ring::bounded(64);
            merged.add_lane(receiver, LaneOptions::default());
            (Some(sender), items.iter())
        }).collect();
        let mut taken: Vec<(u64, u16, usize, u64)> = Vec::new();
        let mut look = |merged: &mut FanIn<Item>, limit| {
            let drained = merged.drain(limit, |lane, item| {
                taken.extend(item.value.map(|(_, n)| (item.seq, item.rank, lane, n)));
                true
            });
            assert!(drained.taken <= limit);
            let frontier = merged.frontier();
            assert!(taken.last().is_none_or(|last| last.0 <= frontier.saturating_add(1)));
            // Everything up to the frontier has been taken.
            let due = expected.iter().filter(|e| e.0 <= frontier).count();
            assert!(taken.len() >= due, "{frontier}: {taken:?}");
            drained
        };
        for (lane, limit) in arrivals.script {
            match lane {
                Some(lane) if lane < lanes.len() => {
                    let (sender, items) = &mut lanes[lane];
                    match (items.next(), &mut *sender) {
                        (Some(item), Some(sender)) => sender.push(*item).expect("there is room for all"),
                        _ => *sender = None,
                    }
                }
                _ => { let _ = look(&mut merged, limit); }
            }
        }
        for (sender, items) in &mut lanes {
            for item in items {
                sender.as_mut().expect("it ends after its last item").push(*item).expect("there is room");
            }
            *sender = None;
        }
        while !look(&mut merged, 3).ended {}
        prop_assert_eq!(taken, expected);
        prop_assert_eq!(merged.frontier(), u64::MAX);
    }
}

#[test]
fn timestamp_order_interleaves_what_is_there() {
    let mut merged = FanIn::new(MergeOrder::Timestamp);
    let mut senders = Vec::new();
    for lane in 0..2_usize {
        let (mut sender, receiver) = ring::bounded(8);
        merged.add_lane(receiver, LaneOptions::default());
        for n in 0..4_u64 {
            let time_ns = (n * 10 + lane as u64) as i64;
            sender.push(item(n + 1, 0, time_ns, (lane, n))).expect("there is room");
        }
        senders.push(sender);
    }
    let mut times = Vec::new();
    let drained = merged.drain(7, |_, item| {
        times.push(item.time_ns);
        true
    });
    assert_eq!((drained.taken, drained.ended), (7, false));
    assert_eq!(times, [0, 1, 10, 11, 20, 21, 30]);
    assert_eq!((merged.lane_last_time(0), merged.lane_last_time(1)), (Some(30), Some(21)));
    // A lane without an item is not waited for, unlike in deterministic order.
    assert_eq!(merged.pop().map(|item| item.time_ns), Ok(31));
    assert_eq!(merged.pop(), Err(PopError::Empty));
    senders[0].push(item(9, 0, 5, (0, 9))).expect("there is room");
    assert_eq!(merged.pop().map(|item| item.time_ns), Ok(5));
    drop(senders);
    assert_eq!(merged.pop(), Err(PopError::Closed));
}

#[test]
fn arrival_order_lets_no_lane_starve() {
    let mut merged = FanIn::new(MergeOrder::Arrival);
    let mut senders = Vec::new();
    for lane in 0..2_usize {
        let (mut sender, receiver) = ring::bounded(1000);
        merged.add_lane(receiver, LaneOptions::default());
        for n in 0..1000 {
            sender.push(item(n + 1, 0, 0, (lane, n))).expect("there is room");
        }
        senders.push(sender);
    }
    let mut taken = [0, 0];
    let drained = merged.drain(256, |lane, _| {
        taken[lane] += 1;
        true
    });
    assert_eq!((drained.taken, taken), (256, [128, 128]));
}

#[test]
fn enough_means_no_greater_sequence_number_in_deterministic_order() {
    let mut merged = FanIn::new(MergeOrder::Deterministic);
    let mut senders = Vec::new();
    for _ in 0..2 {
        let (sender, receiver) = ring::bounded(8);
        merged.add_lane(receiver, LaneOptions::default());
        senders.push(sender);
    }
    let seqs = [(0, 1), (0, 2), (0, 2), (0, 3), (1, 2), (1, 3)];
    for (n, (lane, seq)) in seqs.into_iter().enumerate() {
        let rank = lane as u16;
        senders[lane].push(item(seq, rank, 0, (lane, n as u64))).expect("there is room");
    }
    let mut taken = Vec::new();
    let mut take = |merged: &mut FanIn<Item>, blocked: bool| {
        let mut handle = |_: usize, item: &Item| {
            taken.push((item.seq, item.rank));
            item.seq < 2
        };
        let drained =
            if blocked { merged.finish_started(100, &mut handle) } else { merged.drain(100, &mut handle) };
        drained.taken
    };
    assert_eq!(take(&mut merged, false), 4);
    // What comes of the same sequence number later is still taken, the next is not.
    assert_eq!(take(&mut merged, true), 0);
    senders.clear();
    assert_eq!(take(&mut merged, true), 0);
    assert_eq!(take(&mut merged, false), 2);
    assert_eq!(taken, [(1, 0), (2, 0), (2, 0), (2, 1), (3, 0), (3, 1)]);
}

#[test]
fn a_panic_leaves_the_item_that_caused_it_in_the_ring() {
    let (mut sender, receiver) = ring::bounded(8);
    let mut merged = FanIn::new(MergeOrder::Deterministic);
    merged.add_lane(receiver, LaneOptions::default());
    for seq in 1..=4 {
        sender.push(item(seq, 0, 0, (0, seq))).expect("there is room");
    }
    let mut seen = Vec::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        merged.drain(100, |_, item| {
            assert!(item.seq != 3, "expected by the test");
            seen.push(item.seq);
            true
        })
    }));
    assert!(panicked.is_err());
    let drained = merged.drain(100, |_, item| {
        seen.push(item.seq);
        true
    });
    assert_eq!((seen.as_slice(), drained.taken), (&[1, 2, 3, 4][..], 2));
}
