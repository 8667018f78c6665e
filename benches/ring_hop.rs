//! How long one item takes from one thread to another: half a round trip over two rings of one item each, ours beside raw
//! rtrb. On a machine whose CPUs are busy with something else the figures say more about that than about rings.

use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use varpin::cores::{PinPolicy, allowed_cpus, pin_current};
use varpin::ring::{self, PopError};
use varpin::sync;

/// Both threads spin; should they have to share a CPU, each gives it away in the end.
const SPINS_BEFORE_YIELD: u32 = 20_000;

/// Calls `attempt` until it gives something.
#[inline]
fn spin_until<R>(mut attempt: impl FnMut() -> Option<R>) -> R {
    let mut spins = 0;
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        spins += 1;
        if spins % SPINS_BEFORE_YIELD == 0 {
            sync::yield_now();
        } else {
            sync::spin_loop();
        }
    }
}

/// Pins the current thread to the allowed CPU of that place in the list, if there is one.
fn pin(place: usize) {
    let cpu = allowed_cpus().ok().and_then(|cpus| cpus.iter().nth(place));
    let _ = pin_current("bench", cpu, PinPolicy::BestEffort);
}

fn hop_over_varpin(round_trips: u64) -> Duration {
    let (mut there, mut arriving) = ring::bounded::<u64>(64);
    let (mut back, mut returning) = ring::bounded::<u64>(64);
    let echo = thread::spawn(move || {
        pin(1);
        loop {
            let item = spin_until(|| match arriving.pop() {
                Ok(item) => Some(Some(item)),
                Err(PopError::Empty) => None,
                Err(PopError::Closed) => Some(None),
            });
            match item {
                Some(item) => back.push(item).expect("a ring of 64 holds the one item under way"),
                None => break,
            }
        }
    });
    let started = Instant::now();
    for item in 0..round_trips {
        there.push(item).expect("a ring of 64 holds the one item under way");
        assert_eq!(spin_until(|| returning.pop().ok()), item);
    }
    let elapsed = started.elapsed();
    drop(there);
    echo.join().expect("the echo only ends with its input");
    elapsed / 2
}

fn hop_over_rtrb(round_trips: u64) -> Duration {
    let (mut there, mut arriving) = rtrb::RingBuffer::<u64>::new(64);
    let (mut back, mut returning) = rtrb::RingBuffer::<u64>::new(64);
    let echo = thread::spawn(move || {
        pin(1);
        // Raw rtrb tells no end of stream apart from an empty ring, so the count has to do.
        for _ in 0..round_trips {
            let item = spin_until(|| arriving.pop().ok());
            back.push(item).expect("a ring of 64 holds the one item under way");
        }
    });
    let started = Instant::now();
    for item in 0..round_trips {
        there.push(item).expect("a ring of 64 holds the one item under way");
        assert_eq!(spin_until(|| returning.pop().ok()), item);
    }
    let elapsed = started.elapsed();
    echo.join().expect("the echo ends after its round trips");
    elapsed / 2
}

fn hops(criterion: &mut Criterion) {
    pin(0);
    let mut group = criterion.benchmark_group("ring_hop");
    group.bench_function("varpin", |bencher| bencher.iter_custom(hop_over_varpin));
    group.bench_function("rtrb", |bencher| bencher.iter_custom(hop_over_rtrb));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50);
    targets = hops
}
criterion_main!(benches);
