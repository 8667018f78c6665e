//! Restart policies as tables, and what holds for every one of them.
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

use std::time::Duration;

use proptest::prelude::*;
use varpin::supervise::{
    Decision, Ending, Jitter, Restart, RestartPolicy, Restarts, Strategy as Reach, reachable, restarting,
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn after(delay_ms: u64) -> Decision {
    Decision::Restart { after: ms(delay_ms) }
}

fn policy(restart: Restart) -> RestartPolicy {
    RestartPolicy { restart, jitter: 0.0, ..RestartPolicy::default() }
}

#[test]
fn what_is_started_again_after_which_end() {
    use Decision::{Escalate, Leave};
    use Ending::{Failed, Normal};
    let cases = [
        (Restart::Always, Failed, after(100)),
        (Restart::Always, Normal, after(100)),
        (Restart::OnFailure, Failed, after(100)),
        (Restart::OnFailure, Normal, Leave),
        (Restart::Never, Failed, Escalate { restarts: 0 }),
        (Restart::Never, Normal, Leave),
    ];
    for (restart, ending, decision) in cases {
        let mut restarts = Restarts::new(policy(restart), 1);
        assert_eq!(restarts.ended(ms(0), ending), decision, "{restart} {ending:?}");
        assert_eq!(restarts.total(), u64::from(decision == after(100)));
    }
}

/// At these times, in milliseconds, with what becomes of each.
type Failures<'a> = &'a [(u64, Decision)];

#[test]
fn failures_one_after_the_other() {
    let escalate = |restarts| Decision::Escalate { restarts };
    let base = policy(Restart::OnFailure);
    let cases: &[(&str, RestartPolicy, Failures<'_>)] = &[
        (
            "each delay of a series is twice the one before, up to the longest",
            RestartPolicy { max_restarts: 100, backoff_max: ms(500), ..base.clone() },
            &[(0, after(100)), (200, after(200)), (500, after(400)), (1000, after(500)), (1600, after(500))],
        ),
        (
            "one failure more than max_restarts within the window escalates",
            RestartPolicy { max_restarts: 2, ..base.clone() },
            &[(0, after(100)), (5000, after(200)), (9999, escalate(2))],
        ),
        (
            "the window slides: what is as old as it is long does not count",
            RestartPolicy { max_restarts: 2, ..base.clone() },
            &[(0, after(100)), (5000, after(200)), (10_000, after(400)), (14_999, escalate(2))],
        ),
        (
            "a whole window of quiet running ends the series",
            base.clone(),
            &[(0, after(100)), (10_100, after(100)), (20_100, after(200)), (30_300, after(100))],
        ),
        (
            "the wait for a restart is no quiet running",
            RestartPolicy {
                backoff_min: ms(10_000),
                backoff_max: ms(60_000),
                max_restarts: 100,
                ..base.clone()
            },
            &[(0, after(10_000)), (10_001, after(20_000)), (30_002, after(40_000)), (70_003, after(60_000))],
        ),
        (
            "no restarts allowed",
            RestartPolicy { max_restarts: 0, ..base.clone() },
            &[(0, escalate(0)), (100_000, escalate(0))],
        ),
        (
            "without a delay there is none later",
            RestartPolicy { backoff_min: ms(0), ..base.clone() },
            &[(0, after(0)), (0, after(0)), (0, after(0))],
        ),
        (
            "a factor below 1 counts as 1",
            RestartPolicy { backoff_factor: 0.5, ..base.clone() },
            &[(0, after(100)), (200, after(100))],
        ),
        (
            "a longest delay below the shortest counts as the shortest",
            RestartPolicy { backoff_max: ms(50), ..base.clone() },
            &[(0, after(100)), (200, after(100))],
        ),
    ];
    for (promise, policy, failures) in cases {
        let mut restarts = Restarts::new(policy.clone(), 1);
        for &(at_ms, decision) in *failures {
            assert_eq!(restarts.ended(ms(at_ms), Ending::Failed), decision, "{promise}: at {at_ms} ms");
        }
    }
}

#[test]
fn policies_that_can_never_escalate_are_found() {
    let base = policy(Restart::OnFailure);
    let cases = [
        (true, base.clone()),
        (true, policy(Restart::Never)),
        // 5 x 2 s are just as long as the window.
        (false, RestartPolicy { backoff_min: ms(2000), backoff_factor: 1.0, ..base.clone() }),
        (true, RestartPolicy { backoff_min: ms(1999), backoff_factor: 1.0, ..base.clone() }),
        // With jitter they can be shorter.
        (
            true,
            RestartPolicy {
                backoff_min: ms(1000),
                backoff_factor: 2.0,
                max_restarts: 3,
                jitter: 0.9,
                ..base.clone()
            },
        ),
        (false, RestartPolicy { max_restarts: u32::MAX, ..base.clone() }),
        (true, RestartPolicy { max_restarts: u32::MAX, backoff_min: ms(0), ..base }),
    ];
    for (can, policy) in cases {
        assert_eq!(policy.can_escalate(), can, "{policy:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_delays_and_another_one_others() {
    let delays = |seed| {
        let policy = RestartPolicy {
            restart: Restart::OnFailure,
            max_restarts: 100,
            jitter: 0.5,
            backoff_min: ms(1),
            ..RestartPolicy::default()
        };
        let mut restarts = Restarts::new(policy, seed);
        (0..20).map(|at| restarts.ended(ms(at), Ending::Failed)).collect::<Vec<_>>()
    };
    assert_eq!(delays(7), delays(7));
    assert_ne!(delays(7), delays(8));
}

#[test]
fn jitter_is_spread_evenly() {
    let mut jitter = Jitter::new(1);
    let mut tenths = [0; 10];
    for _ in 0..10_000 {
        tenths[(jitter.next_unit() * 10.0) as usize] += 1;
    }
    assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
}

#[test]
fn who_is_restarted_along_with_whom() {
    use Reach::{OneForAll, OneForOne, RestForOne};
    // 0 -> 1 -> 3, 0 -> 2; 4 and 5 feed each other; 6 by itself.
    let reaches = reachable(7, &[(0, 1), (1, 3), (0, 2), (4, 5), (5, 4)]);
    let cases: &[(Reach, usize, &[usize])] = &[
        (OneForOne, 0, &[0]),
        (RestForOne, 0, &[0, 1, 2, 3]),
        (RestForOne, 1, &[1, 3]),
        (RestForOne, 3, &[3]),
        (RestForOne, 4, &[4, 5]),
        (RestForOne, 5, &[4, 5]),
        (RestForOne, 6, &[6]),
        (OneForAll, 6, &[0, 1, 2, 3, 4, 5, 6]),
    ];
    for (strategy, failed, expected) in cases {
        assert_eq!(restarting(*strategy, *failed, &reaches), *expected, "{strategy} {failed}");
    }
}

fn any_policy() -> impl Strategy<Value = RestartPolicy> {
    let restart = prop_oneof![Just(Restart::Always), Just(Restart::OnFailure)];
    (restart, 0..8_u32, 1..5_000_u64, 0..500_u64, 0..2_000_u64, 0.5..4.0_f64, 0.0..1.0_f64).prop_map(
        |(restart, max_restarts, window, min, max, backoff_factor, jitter)| RestartPolicy {
            restart,
            max_restarts,
            restart_window: ms(window),
            backoff_min: ms(min),
            backoff_max: ms(max),
            backoff_factor,
            jitter,
            max_attempts: 1,
        },
    )
}

proptest! {
    /// Never more than `max_restarts` in any window; delays within [min, max] and within the jitter around what the
    /// series asks for; escalation only when the window is full.
    #[test]
    fn restarts_keep_their_bounds(
        policy in any_policy(),
        seed in any::<u64>(),
        gaps in prop::collection::vec(0..3_000_u64, 1..200),
    ) {
        let mut restarts = Restarts::new(policy.clone(), seed);
        let longest = policy.backoff_max.max(policy.backoff_min);
        let (mut now, mut running_since, mut in_series) = (ms(0), ms(0), 0_u32);
        let mut decided: Vec<Duration> = Vec::new();
        for gap in gaps {
            // Nothing ends before it has been started again.
            now = now.max(running_since) + ms(gap);
            if now.saturating_sub(running_since) >= policy.restart_window {
                in_series = 0;
            }
            let recent =
                |decided: &[Duration]| decided.iter().filter(|&&at| now.saturating_sub(at) < policy.restart_window).count();
            match restarts.ended(now, Ending::Failed) {
                Decision::Restart { after } => {
                    decided.push(now);
                    prop_assert!(recent(&decided) <= policy.max_restarts as usize);
                    prop_assert!(after >= policy.backoff_min && after <= longest, "{:?}", after);
                    let middle = policy.delay(in_series).as_secs_f64();
                    let off = (after.as_secs_f64() - middle).abs();
                    prop_assert!(off <= middle * policy.jitter + 1e-6, "{:?} around {}", after, middle);
                    in_series += 1;
                    running_since = now + after;
                }
                Decision::Escalate { restarts } => {
                    prop_assert_eq!(recent(&decided), policy.max_restarts as usize);
                    prop_assert_eq!(restarts, policy.max_restarts);
                }
                Decision::Leave => prop_assert!(false, "a failure is never left alone"),
            }
        }
        prop_assert_eq!(restarts.total(), decided.len() as u64);
    }

    /// What can escalate does, when failures follow each other without a pause and the delays are the shortest.
    #[test]
    fn what_can_never_escalate_never_does(policy in any_policy(), seed in any::<u64>()) {
        let mut restarts = Restarts::new(policy.clone(), seed);
        let mut now = ms(0);
        for _ in 0..200 {
            match restarts.ended(now, Ending::Failed) {
                Decision::Restart { after } => now += after,
                Decision::Escalate { .. } => {
                    prop_assert!(policy.can_escalate(), "{:?}", policy);
                    break;
                }
                Decision::Leave => prop_assert!(false),
            }
        }
    }
}
