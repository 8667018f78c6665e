//! The circuit breaker as a table, and what holds whatever is asked of it.
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

use std::time::Duration;

use proptest::prelude::*;
use varpin::supervise::{Breaker, BreakerPolicy, BreakerState, CallOutcome, Permit};

use BreakerState::{Closed, HalfOpen, Open};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What is done to a breaker.
#[derive(Clone, Copy, Debug)]
enum Do {
    /// Calls one after the other: let through, and succeeded or failed (`+`, `-`), or was slow (`~`); `0`: not let
    /// through.
    Calls(&'static str),
    /// Time passes.
    Wait(u64),
    /// So many successes at once, without permits.
    Successes(usize),
}

use Do::{Calls, Successes, Wait};

/// What is done, and the state afterwards.
type Steps = &'static [(Do, BreakerState)];

fn policy() -> BreakerPolicy {
    BreakerPolicy { window: 10, min_calls: 4, probes: 2, ..BreakerPolicy::default() }
}

#[test]
fn calls_and_the_state_that_they_lead_to() {
    let slow = BreakerPolicy { slow_call: Some(s(1)), slow_rate: 0.5, ..policy() };
    let cases: &[(&str, BreakerPolicy, Steps)] = &[
        (
            "fewer calls than min_calls never open it",
            policy(),
            &[(Calls("---"), Closed), (Calls("-"), Open), (Calls("0"), Open)],
        ),
        ("the share of failures opens it", policy(), &[(Calls("++-+-+-+-"), Closed), (Calls("-"), Open)]),
        ("below that share it stays closed", policy(), &[(Calls("++-+++-+++-+++-+++-+++-+++-"), Closed)]),
        (
            "failures that came before min_calls count once it is reached by a success",
            policy(),
            &[(Calls("--+"), Closed), (Calls("+"), Open)],
        ),
        (
            "only the last calls count",
            policy(),
            &[(Calls("++++++++++"), Closed), (Calls("----"), Closed), (Calls("-"), Open)],
        ),
        (
            "many successes at once are as many as one by one",
            policy(),
            &[(Successes(3), Closed), (Calls("--"), Closed), (Calls("-"), Open)],
        ),
        (
            "many successes push failures out of the window",
            policy(),
            &[(Calls("+++++----"), Closed), (Successes(1000), Closed), (Calls("----"), Closed)],
        ),
        (
            "failures from before decide when successes at once reach min_calls",
            policy(),
            &[(Calls("--"), Closed), (Successes(9), Open)],
        ),
        (
            "open lets nothing through before its time",
            policy(),
            &[
                (Calls("----000"), Open),
                (Wait(4), Open),
                (Calls("0"), Open),
                (Wait(1), Open),
                (Calls("+"), HalfOpen),
            ],
        ),
        (
            "the probes close it, and what was before is forgotten",
            policy(),
            &[
                (Calls("----"), Open),
                (Wait(5), Open),
                (Calls("++"), Closed),
                (Calls("---"), Closed),
                (Calls("-"), Open),
            ],
        ),
        (
            "one failed probe of two is too many, for a rate of one half",
            policy(),
            &[(Calls("----"), Open), (Wait(5), Open), (Calls("+-"), Open), (Calls("0"), Open)],
        ),
        (
            "open again is open for as long again",
            policy(),
            &[
                (Calls("----"), Open),
                (Wait(6), Open),
                (Calls("--"), Open),
                (Wait(4), Open),
                (Calls("0"), Open),
                (Wait(1), Open),
                (Calls("++"), Closed),
            ],
        ),
        ("slow calls open it", slow.clone(), &[(Calls("+++~"), Closed), (Calls("~~"), Open)]),
        ("slow probes open it again", slow, &[(Calls("~~~~"), Open), (Wait(5), Open), (Calls("+~"), Open)]),
        ("slow calls are nothing where nobody asks for them", policy(), &[(Calls("~~~~~~~~~~~~~~"), Closed)]),
        (
            "min_calls beyond the window count as the window",
            BreakerPolicy { min_calls: 1000, ..policy() },
            &[(Calls("---------"), Closed), (Calls("-"), Open)],
        ),
        (
            "a rate of 1 opens only when nothing succeeds",
            BreakerPolicy { failure_rate: 1.0, ..policy() },
            &[(Calls("+---------"), Closed), (Calls("-"), Open)],
        ),
    ];
    for (promise, policy, steps) in cases {
        let mut breaker = Breaker::new(policy.clone());
        let mut now = s(100);
        for (at, (step, state)) in steps.iter().enumerate() {
            match *step {
                Wait(seconds) => now += s(seconds),
                Successes(count) => {
                    let _ = breaker.record_successes(now, count);
                }
                Calls(calls) => {
                    for call in calls.chars() {
                        let permit = breaker.permit(now).map(|(permit, _)| permit);
                        assert_eq!(permit.is_none(), call == '0', "{promise}: step {at}, {call}");
                        let Some(permit) = permit else { continue };
                        let outcome = if call == '-' { CallOutcome::Failure } else { CallOutcome::Success };
                        let took = if call == '~' { s(1) } else { s(0) };
                        breaker.record(now, permit, outcome, Some(took));
                    }
                }
            }
            assert_eq!(breaker.state(), *state, "{promise}: after step {at}, {step:?}");
        }
    }
}

#[test]
fn outcomes_of_calls_from_before_a_change_change_nothing() {
    let mut breaker = Breaker::new(policy());
    let early: Vec<Permit> = (0..9).map(|_| breaker.permit(s(0)).unwrap().0).collect();
    for permit in &early[..4] {
        breaker.record(s(0), *permit, CallOutcome::Failure, None);
    }
    assert_eq!(breaker.state(), Open);
    assert_eq!(breaker.record(s(0), early[4], CallOutcome::Success, None), None);
    let (probe, change) = breaker.permit(s(5)).unwrap();
    assert_eq!(change.unwrap().to, HalfOpen);
    for permit in &early[5..] {
        assert_eq!(breaker.record(s(5), *permit, CallOutcome::Success, None), None);
    }
    assert_eq!(breaker.state(), HalfOpen, "those were no probes");
    assert_eq!(breaker.record(s(5), probe, CallOutcome::Success, None), None);
    let (probe, _) = breaker.permit(s(5)).unwrap();
    assert_eq!(breaker.record(s(5), probe, CallOutcome::Success, None).unwrap().to, Closed);
}

#[test]
fn a_probe_that_was_not_made_is_given_back() {
    let mut breaker = Breaker::new(BreakerPolicy { min_calls: 1, window: 1, probes: 1, ..policy() });
    let (permit, _) = breaker.permit(s(0)).unwrap();
    let change = breaker.record(s(0), permit, CallOutcome::Failure, None).unwrap();
    assert_eq!((change.to, change.failure_rate), (Open, 1.0));
    let (probe, _) = breaker.permit(s(9)).unwrap();
    assert!(breaker.permit(s(9)).is_none());
    breaker.cancel(probe);
    assert!(breaker.permit(s(9)).is_some());
}

proptest! {
    /// Whatever happens: open lets no call through, half-open exactly the probes, closed every one; it opens only on
    /// a failure, with at least `min_calls` outcomes and a large enough share of failures among the last `window`.
    #[test]
    fn nothing_gets_through_that_should_not(
        window in 1..20_u32,
        min_calls in 1..20_u32,
        probes in 1..5_u32,
        rate in 0.05..1.0_f64,
        // Seconds that pass, and whether the call fails, if it is made; calls under way at a time.
        calls in prop::collection::vec((0..3_u64, any::<bool>(), 1..8_usize), 1..300),
    ) {
        let policy = BreakerPolicy { window, min_calls, probes, failure_rate: rate, ..BreakerPolicy::default() };
        let mut breaker = Breaker::new(policy.clone());
        let (window, min_calls) = (window as usize, min_calls.min(window) as usize);
        let mut now = s(0);
        let mut opened_at = s(0);
        // The outcomes that count in this state, and calls under way, with the number of the state they began in.
        let (mut outcomes, mut under_way, mut era) = (Vec::new(), Vec::new(), 0);
        let mut probes_out = 0;
        for (gap, fails, at_once) in calls {
            now += s(gap);
            let before = breaker.state();
            let permit = breaker.permit(now);
            match before {
                Closed => prop_assert!(permit.is_some()),
                Open => prop_assert_eq!(permit.is_some(), now >= opened_at + policy.open_for),
                HalfOpen => prop_assert_eq!(permit.is_some(), probes_out < probes),
            }
            if let Some((permit, change)) = permit {
                if change.is_some() {
                    prop_assert_eq!((before, breaker.state()), (Open, HalfOpen));
                    (probes_out, era) = (0, era + 1);
                    outcomes.clear();
                }
                probes_out += u32::from(breaker.state() == HalfOpen);
                under_way.push((permit, fails, era));
            }
            // Calls end in any order, some of them late.
            while under_way.len() >= at_once {
                let (permit, fails, begun) = under_way.swap_remove(under_way.len() / 2);
                let outcome = if fails { CallOutcome::Failure } else { CallOutcome::Success };
                let before = breaker.state();
                let change = breaker.record(now, permit, outcome, None);
                if begun != era {
                    prop_assert_eq!(change, None, "a late outcome");
                    continue;
                }
                outcomes.push(fails);
                let count = if before == Closed { window } else { probes as usize };
                let last = &outcomes[outcomes.len().saturating_sub(count)..];
                let failures = last.iter().filter(|fails| **fails).count();
                let is_high = failures > 0 && failures as f64 / last.len() as f64 >= rate;
                let expected = match before {
                    Closed => (is_high && last.len() >= min_calls).then_some(Open),
                    HalfOpen => (last.len() == count).then_some(if is_high { Open } else { Closed }),
                    Open => None,
                };
                prop_assert_eq!(change.map(|change| change.to), expected);
                if change.is_some() {
                    era += 1;
                    outcomes.clear();
                    opened_at = now;
                }
            }
        }
    }

    /// Many successes at once do what as many single ones do.
    #[test]
    fn successes_at_once_are_as_many_one_by_one(
        steps in prop::collection::vec((0..30_usize, any::<bool>()), 1..60),
        window in 1..20_u32,
        min_calls in 1..20_u32,
    ) {
        let policy = BreakerPolicy { window, min_calls, ..BreakerPolicy::default() };
        let (mut one, mut many) = (Breaker::new(policy.clone()), Breaker::new(policy));
        for (successes, fails) in steps {
            for _ in 0..successes {
                if let Some((permit, _)) = one.permit(s(0)) {
                    one.record(s(0), permit, CallOutcome::Success, None);
                }
            }
            let _ = many.record_successes(s(0), successes);
            prop_assert_eq!(one.state(), many.state());
            if fails && one.state() == Closed {
                for breaker in [&mut one, &mut many] {
                    let (permit, _) = breaker.permit(s(0)).unwrap();
                    breaker.record(s(0), permit, CallOutcome::Failure, None);
                }
            }
            prop_assert_eq!(one.state(), many.state());
        }
    }
}
