//! Promises about what the operating system is asked for: nothing by default, what is had is reported, what is refused is an
//! error with its reason, and a real-time priority never stops a machine by accident.
#![allow(unsafe_code, clippy::unwrap_used, missing_docs)] // page faults are counted with a system call; a test that fails panics

#[path = "common/watchdog.rs"]
mod watchdog;

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use varpin::cores::{
    CpuSet, LowJitter, LowJitterError, PinPolicy, Realtime, RealtimeCase, RealtimeObstacle, allowed_cpus,
    isolated_cpus, realtime_obstacle,
};
use varpin::flow::{Graph, LowJitterReport, Report, StartError};
use varpin::idle::Idle;
use varpin::ring;
use watchdog::watched;

fn set(text: &str) -> CpuSet {
    text.parse().unwrap()
}

/// A stage that is pinned (to the last CPU that there is) and one that isn't.
fn run(low_jitter: LowJitter) -> Result<Report, StartError> {
    let cpu = allowed_cpus().unwrap().iter().last().unwrap();
    let mut graph =
        Graph::new().idle(Idle::Backoff).low_jitter(low_jitter).pin_policy(PinPolicy::Strict).capacity(512);
    let (mut input, numbers) = graph.input::<u64>("numbers");
    let passed = graph.stage("pinned", &numbers, |n: &u64, out| out.send(*n));
    graph.sink("free", &passed, |_: &u64| {});
    graph.pin("pinned", cpu);
    let running = graph.start()?;
    input.push(1).unwrap();
    input.close();
    Ok(running.join(Duration::from_secs(60)).unwrap())
}

fn realtime(priority: u8, force: bool) -> LowJitter {
    let mut low_jitter = LowJitter::default();
    low_jitter.realtime = Some(Realtime { priority, force });
    low_jitter
}

#[test]
fn nothing_is_asked_for_by_default() {
    let report = watched(|| run(LowJitter::default()).unwrap());
    assert_eq!(report.low_jitter, LowJitterReport::default());
    for worker in &report.workers {
        assert_eq!((worker.thread.realtime_priority, worker.thread.timer_slack_ns), (None, None));
    }
}

#[test]
fn real_time_needs_isolated_cpus_of_ones_own_and_one_for_the_others() {
    use RealtimeObstacle::{NobodyPinned, NoneLeft, NotIsolated, Shared};
    type Workers = [(&'static str, Option<usize>)];
    let table: [(&Workers, &str, &str, Option<RealtimeObstacle>); 8] = [
        (&[("a", Some(2)), ("b", Some(3))], "2-3", "0-3", None),
        (&[("a", Some(2)), ("b", None)], "2-3", "0-3", None),
        (&[("a", None)], "2-3", "0-3", Some(NobodyPinned)),
        (&[], "2-3", "0-3", Some(NobodyPinned)),
        (&[("a", Some(1)), ("b", Some(2))], "2-3", "0-3", Some(NotIsolated(set("1")))),
        (&[("a", Some(2)), ("b", Some(2))], "2-3", "0-3", Some(Shared(2))),
        (&[("a", Some(2)), ("b", Some(3))], "2-3", "2-3", Some(NoneLeft)),
        (&[("a", Some(2))], "2-3", "2-3", None),
    ];
    for (workers, isolated, allowed, expected) in table {
        let (isolated, allowed) = (set(isolated), set(allowed));
        let case = RealtimeCase { workers, isolated: &isolated, allowed: &allowed };
        assert_eq!(realtime_obstacle(&case), expected, "{workers:?}");
        let check = |force| Realtime { priority: 50, force }.check(&case);
        assert_eq!(check(false).is_ok(), expected.is_none(), "{workers:?}");
        assert_eq!(check(true).is_ok(), expected != Some(NobodyPinned), "{workers:?}");
        for priority in [0, 100] {
            assert_eq!(
                Realtime { priority, force: true }.check(&case),
                Err(LowJitterError::Priority(priority))
            );
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn real_time_is_refused_on_cpus_that_are_not_isolated() {
    let cpu = allowed_cpus().unwrap().iter().last().unwrap();
    if isolated_cpus(Path::new("/")).contains(cpu) {
        println!("skipped: CPU {cpu} is isolated here");
        return;
    }
    let error = watched(|| run(realtime(10, false)).unwrap_err());
    let StartError::LowJitter(LowJitterError::Realtime(RealtimeObstacle::NotIsolated(open))) = &error else {
        panic!("{error}");
    };
    assert_eq!(*open, CpuSet::from_iter([cpu]));
    assert!(error.to_string().contains(&format!("CPU {cpu} is not isolated")), "{error}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_forced_priority_is_given_to_pinned_threads_or_refused_with_the_reason() {
    let report = match watched(|| run(realtime(10, true))) {
        Ok(report) => report,
        Err(error) => {
            // Who may not have it learns what to change.
            let text = error.to_string();
            assert!(text.contains("the thread of pinned") && text.contains("RLIMIT_RTPRIO"), "{text}");
            println!("this process may have no real-time priority: {text}");
            return;
        }
    };
    let priorities: Vec<(&str, Option<u8>)> =
        report.workers.iter().map(|worker| (worker.name.as_str(), worker.thread.realtime_priority)).collect();
    assert_eq!(priorities, [("pinned", Some(10)), ("free", None)]);
}

#[test]
#[cfg(target_os = "linux")]
fn timer_slack_is_set_for_every_worker_and_read_back() {
    let mut low_jitter = LowJitter::default();
    low_jitter.timer_slack_ns = NonZeroU64::new(7);
    let report = watched(move || run(low_jitter).unwrap());
    for worker in &report.workers {
        assert_eq!(worker.thread.timer_slack_ns, Some(7), "{}", worker.name);
    }
    // The caller's own thread is left alone.
    let own = std::fs::read_to_string("/proc/thread-self/timerslack_ns").unwrap_or_default();
    assert_ne!(own.trim(), "7");
}

#[test]
fn the_memory_of_rings_is_touched_and_told_of() {
    let mut low_jitter = LowJitter::default();
    low_jitter.prefault_rings = true;
    low_jitter.huge_pages = true;
    let report = watched(move || run(low_jitter).unwrap());
    let rings = report.low_jitter.rings.unwrap();
    // Two rings of 512 slots.
    assert!(rings.bytes >= 2 * 512 * 8, "{rings:?}");
    assert_eq!(rings.prefaulted_bytes, rings.bytes);
    assert!(rings.advised_bytes == rings.bytes || rings.refusal.is_some(), "{rings:?}");
}

/// Page faults of the current thread that needed no disk.
#[cfg(target_os = "linux")]
fn faults() -> i64 {
    // SAFETY: zeros are a whole `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `rusage`, and this is one.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) }, 0);
    usage.ru_minflt
}

#[test]
#[cfg(target_os = "linux")]
fn the_first_way_round_a_prefaulted_ring_meets_no_page_fault() {
    const SLOTS: usize = 1 << 20;
    // 2048 pages of 4 KiB, which no allocator has lying about.
    let first_way_round = |prefault: bool| {
        let (mut sender, receiver) = ring::bounded::<u64>(SLOTS);
        if prefault {
            assert_eq!(sender.prefault(), SLOTS * 8);
            assert!(receiver.is_empty(), "nothing is published");
        }
        let before = faults();
        for n in 0..SLOTS as u64 {
            sender.push(n).unwrap();
        }
        faults() - before
    };
    let (without, with) = (first_way_round(false), first_way_round(true));
    // With huge pages for everybody there are only four to begin with.
    assert!(without >= 4, "{without} page faults without");
    assert!(with < without.min(16), "{with} page faults, {without} without");
}

#[test]
fn touching_a_ring_changes_nothing_that_is_in_it() {
    let (mut sender, mut receiver) = ring::bounded::<String>(4);
    // Slots in use, and free ones on both sides of the end.
    for n in 0..3 {
        sender.push(n.to_string()).unwrap();
    }
    assert_eq!(receiver.pop().as_deref(), Ok("0"));
    assert_eq!(receiver.pop().as_deref(), Ok("1"));
    assert_eq!(sender.prefault(), 3 * size_of::<String>());
    sender.push("3".to_owned()).unwrap();
    sender.push("4".to_owned()).unwrap();
    sender.push("5".to_owned()).unwrap();
    assert_eq!(sender.prefault(), 0);
    drop(sender);
    for n in 2..6 {
        assert_eq!(receiver.pop(), Ok(n.to_string()));
    }
}

#[cfg(feature = "vpl")]
mod engine {
    use super::{LowJitter, NonZeroU64, realtime, watched};
    use varpin::engine::{BuildError, Engine, Program};
    use varpin::flow::StartError;

    #[test]
    fn without_threads_what_is_of_no_use_is_said_and_real_time_refused() {
        let program = Program::parse("stream S = R.emit(n: n)").unwrap();
        let error = Engine::builder(&program).low_jitter(realtime(10, true)).build().unwrap_err();
        assert!(matches!(error, BuildError::Start(StartError::LowJitter(_))), "{error}");
        let mut low_jitter = LowJitter::default();
        low_jitter.timer_slack_ns = NonZeroU64::new(1);
        low_jitter.prefault_rings = true;
        let engine = Engine::builder(&program).low_jitter(low_jitter).build().unwrap();
        let [slack, rings] = engine.warnings() else { panic!("{:?}", engine.warnings()) };
        assert!(slack.contains("timer slack") && rings.contains("rings"), "{slack}; {rings}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn statistics_say_what_contexts_were_given() {
        let program = Program::parse(
            "context a\ncontext b\nstream S = R.context(a).emit(n: n)\nstream T = S.context(b).emit(n: n)",
        )
        .unwrap();
        let mut low_jitter = LowJitter::default();
        low_jitter.timer_slack_ns = NonZeroU64::new(3);
        low_jitter.prefault_rings = true;
        let stats = watched(move || {
            let mut engine = Engine::builder(&program).low_jitter(low_jitter).capacity(64).build().unwrap();
            engine.finish(|_| {}).unwrap().clone()
        });
        assert!(
            stats.contexts.iter().all(|context| context.timer_slack_ns == Some(3)),
            "{:?}",
            stats.contexts
        );
        let touched = stats.low_jitter.prefaulted_bytes;
        assert!(touched.unwrap() > 0 && touched == stats.low_jitter.ring_bytes, "{:?}", stats.low_jitter);
        assert_eq!(stats.low_jitter.locked_bytes, None);
    }
}
