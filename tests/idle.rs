//! Promises about waiting: which step comes when, what `auto` means where, and that a woken sleeper wakes.

mod common;

use std::thread;
use std::time::Duration;

use common::within;
use varpin::cores::CpuSet;
use varpin::idle::{AutoCase, Idle, IdleState, Parker, Step, choose_auto, next_step};

#[test]
fn steps_follow_the_table() {
    let sleep = |us| Step::Sleep(Duration::from_micros(us));
    let table = [
        (Idle::Spin, 0, Step::Spin),
        (Idle::Spin, u32::MAX, Step::Spin),
        (Idle::Yield, 0, Step::Yield),
        (Idle::Yield, u32::MAX, Step::Yield),
        (Idle::Backoff, 0, Step::Spin),
        (Idle::Backoff, 9, Step::Spin),
        (Idle::Backoff, 10, Step::Yield),
        (Idle::Backoff, 14, Step::Yield),
        (Idle::Backoff, 15, sleep(1)),
        (Idle::Backoff, 16, sleep(2)),
        (Idle::Backoff, 24, sleep(512)),
        (Idle::Backoff, 25, sleep(1000)),
        (Idle::Backoff, u32::MAX, sleep(1000)),
        (Idle::Park, 9, Step::Spin),
        (Idle::Park, 14, Step::Yield),
        (Idle::Park, 15, Step::Announce),
        (Idle::Park, 16, Step::Park),
        (Idle::Park, 17, Step::Announce),
        (Idle::Auto, 15, sleep(1)),
    ];
    for (idle, empty_before, step) in table {
        assert_eq!(next_step(idle, empty_before), step, "{idle} after {empty_before} empty cycles");
    }
}

#[test]
fn a_park_always_comes_right_after_an_announcement() {
    for empty_before in 15..200 {
        let pair = (next_step(Idle::Park, empty_before), next_step(Idle::Park, empty_before + 1));
        assert!(matches!(pair, (Step::Announce, Step::Park) | (Step::Park, Step::Announce)), "{pair:?}");
    }
    // And counting, which ends somewhere, keeps that alternation.
    let mut idle = IdleState::new(Idle::Park).with_longest_park(Duration::from_micros(1));
    let mut before = idle.empty_cycles();
    for _ in 0..200 {
        idle.idle(0);
        assert_eq!(idle.empty_cycles().abs_diff(before), 1);
        before = idle.empty_cycles();
    }
}

#[test]
fn work_starts_the_steps_over() {
    let mut idle = IdleState::new(Idle::Backoff);
    for _ in 0..3 {
        idle.idle(0);
    }
    assert_eq!(idle.empty_cycles(), 3);
    idle.idle(1);
    assert_eq!(idle.empty_cycles(), 0);
}

#[test]
fn only_parking_workers_hand_out_wakers() {
    for idle in Idle::ALL {
        assert_eq!(IdleState::new(idle).waker().is_some(), idle == Idle::Park, "{idle}");
    }
}

#[test]
fn strategies_have_names_and_unknown_ones_are_refused_by_name() {
    for idle in Idle::ALL {
        assert_eq!(idle.to_string().parse(), Ok(idle));
    }
    let message = "snooze".parse::<Idle>().unwrap_err().to_string();
    assert_eq!(message, "`snooze` is no idle strategy; known are auto, spin, yield, backoff, park");
}

#[test]
fn auto_spins_only_where_every_worker_has_a_cpu_of_its_own() {
    let spin = (Idle::Spin, "every worker has a CPU of its own");
    let backoff = |reason| (Idle::Backoff, reason);
    type Workers = &'static [(&'static str, Option<usize>)];
    #[rustfmt::skip]
    let table: [(Workers, usize, &str, Option<f64>, _); 9] = [
        (&[("a", Some(0)), ("b", Some(1))], 0, "0-3", None, spin),
        (&[("a", Some(4)), ("b", Some(6))], 1, "4,6,8", None, spin),
        (&[("a", Some(0)), ("b", Some(1))], 0, "0-3", Some(2.0), spin),
        (&[], 1, "0-3", None, backoff("there are no workers")),
        (&[("a", Some(0)), ("b", None)], 0, "0-3", None, backoff("b is not pinned to a CPU")),
        (&[("a", Some(2))], 0, "0-1", None, backoff("a's CPU 2 is not among those allowed (0-1)")),
        (&[("a", Some(0)), ("b", Some(0))], 0, "0-3", None, backoff("a and b share CPU 0")),
        (&[("a", Some(0)), ("b", Some(1))], 1, "0-1", None, backoff("3 busy threads have 2 CPUs")),
        (&[("a", Some(0)), ("b", Some(1))], 0, "0-3", Some(1.5), backoff("2 busy threads have a CPU quota of 1.5 CPUs")),
    ];
    for (workers, other_busy_threads, allowed, quota_cpus, (idle, reason)) in table {
        let allowed: CpuSet = allowed.parse().unwrap();
        let case = AutoCase { workers, other_busy_threads, allowed: &allowed, quota_cpus };
        assert_eq!(choose_auto(&case), (idle, reason.to_owned()));
    }
}

#[test]
fn a_wake_ends_a_sleep_that_has_no_other_end() {
    within(Duration::from_secs(60), "waking a sleeper", || {
        let mut parker = Parker::new();
        let waker = parker.waker();
        let sleeper = thread::spawn(move || {
            parker.announce();
            // May end early without a reason, but not never.
            parker.park(Duration::from_secs(3600));
        });
        while !sleeper.is_finished() {
            waker.wake();
            thread::yield_now();
        }
        sleeper.join().unwrap();
    });
}

#[test]
fn a_parker_may_move_to_another_thread() {
    within(Duration::from_secs(60), "waking a sleeper that moved", || {
        let mut parker = Parker::new();
        let waker = parker.waker();
        parker.announce();
        parker.cancel();
        let sleeper = thread::spawn(move || {
            parker.announce();
            parker.park(Duration::from_secs(3600));
        });
        while !sleeper.is_finished() {
            waker.wake();
            thread::yield_now();
        }
        sleeper.join().unwrap();
    });
}
