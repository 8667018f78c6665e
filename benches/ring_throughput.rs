//! How many items per second go from one thread to another: one by one and in chunks, for a number and for something as
//! big as a row of events, ours beside raw rtrb. Both write and read chunks in place.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use varpin::cores::{PinPolicy, allowed_cpus, pin_current};
use varpin::ring;
use varpin::sync;

const CAPACITY: usize = 1024;
const CHUNKS: [usize; 3] = [16, 64, 256];

/// Something to send: made from a number, and a number is got out of it.
trait Item: Copy + Send + 'static {
    fn make(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Item for u64 {
    fn make(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

/// 160 bytes.
type Big = [u64; 20];

impl Item for Big {
    fn make(number: u64) -> Self {
        [number; 20]
    }

    fn number(&self) -> u64 {
        self[19]
    }
}

/// Pins the current thread to the allowed CPU of that place in the list, if there is one.
fn pin(place: usize) {
    let cpu = allowed_cpus().ok().and_then(|cpus| cpus.iter().nth(place));
    let _ = pin_current("bench", cpu, PinPolicy::BestEffort);
}

/// Waits a little; should both threads have to share a CPU, each gives it away in the end.
fn pause(spins: &mut u32) {
    *spins += 1;
    if spins.is_multiple_of(1_000) {
        sync::yield_now();
    } else {
        sync::spin_loop();
    }
}

/// Runs `send` on a thread of its own and `receive` on this one, for `items` items.
fn transfer<S: Send + 'static>(
    items: u64,
    mut end: S,
    send: impl FnOnce(&mut S, u64) + Send + 'static,
    receive: impl FnOnce(u64) -> u64,
) -> Duration {
    let producer = thread::spawn(move || {
        pin(1);
        send(&mut end, items);
        // Handed back, so that the ring is not taken down while it is measured.
        end
    });
    let started = Instant::now();
    let sum = receive(items);
    let elapsed = started.elapsed();
    assert_eq!(sum, (0..items).fold(0, u64::wrapping_add), "every item once");
    drop(producer.join().expect("the producer ends after its items"));
    elapsed
}

fn varpin_single<T: Item>(items: u64) -> Duration {
    let (sender, mut receiver) = ring::bounded::<T>(CAPACITY);
    let send = |sender: &mut ring::Sender<T>, items| {
        let mut spins = 0;
        for number in 0..items {
            while sender.push(T::make(number)).is_err() {
                pause(&mut spins);
            }
        }
    };
    transfer(items, sender, send, move |items| {
        let (mut sum, mut spins) = (0_u64, 0);
        for _ in 0..items {
            let item = loop {
                match receiver.pop() {
                    Ok(item) => break item,
                    Err(_) => pause(&mut spins),
                }
            };
            sum = sum.wrapping_add(item.number());
        }
        sum
    })
}

fn rtrb_single<T: Item>(items: u64) -> Duration {
    let (producer, mut consumer) = rtrb::RingBuffer::<T>::new(CAPACITY);
    let send = |producer: &mut rtrb::Producer<T>, items| {
        let mut spins = 0;
        for number in 0..items {
            while producer.push(T::make(number)).is_err() {
                pause(&mut spins);
            }
        }
    };
    transfer(items, producer, send, move |items| {
        let (mut sum, mut spins) = (0_u64, 0);
        for _ in 0..items {
            let item = loop {
                match consumer.pop() {
                    Ok(item) => break item,
                    Err(_) => pause(&mut spins),
                }
            };
            sum = sum.wrapping_add(item.number());
        }
        sum
    })
}

fn varpin_chunks<T: Item>(items: u64, chunk_size: usize) -> Duration {
    let (sender, mut receiver) = ring::bounded::<T>(CAPACITY);
    let send = move |sender: &mut ring::Sender<T>, items| {
        let (mut number, mut spins) = (0, 0);
        while number < items {
            match sender.write(chunk_size.min((items - number) as usize)) {
                Ok(mut chunk) => {
                    while chunk.push_with(|slot| slot.write(T::make(number))) {
                        number += 1;
                    }
                    chunk.commit();
                }
                Err(_) => pause(&mut spins),
            }
        }
    };
    transfer(items, sender, send, move |items| {
        let (mut sum, mut taken, mut spins) = (0_u64, 0, 0);
        while taken < items {
            match receiver.read(chunk_size) {
                Ok(chunk) => {
                    sum = chunk.iter().fold(sum, |sum, item| sum.wrapping_add(black_box(item).number()));
                    taken += chunk.len() as u64;
                    chunk.commit_all();
                }
                Err(_) => pause(&mut spins),
            }
        }
        sum
    })
}

fn rtrb_chunks<T: Item>(items: u64, chunk_size: usize) -> Duration {
    let (producer, mut consumer) = rtrb::RingBuffer::<T>::new(CAPACITY);
    let send = move |producer: &mut rtrb::Producer<T>, items| {
        let (mut number, mut spins) = (0, 0);
        while number < items {
            let free = producer.slots().min(chunk_size).min((items - number) as usize);
            match producer.write_chunk_uninit(free) {
                Ok(chunk) if free > 0 => {
                    let numbers = number..number + free as u64;
                    number += chunk.fill_from_iter(numbers.map(T::make)) as u64;
                }
                _ => pause(&mut spins),
            }
        }
    };
    transfer(items, producer, send, move |items| {
        let (mut sum, mut taken, mut spins) = (0_u64, 0, 0);
        while taken < items {
            let filled = consumer.slots().min(chunk_size);
            match consumer.read_chunk(filled) {
                Ok(chunk) if filled > 0 => {
                    let (first, second) = chunk.as_slices();
                    let items = first.iter().chain(second);
                    sum = items.fold(sum, |sum, item| sum.wrapping_add(black_box(item).number()));
                    taken += filled as u64;
                    chunk.commit_all();
                }
                _ => pause(&mut spins),
            }
        }
        sum
    })
}

fn throughput_of<T: Item>(criterion: &mut Criterion, name: &str) {
    let mut group = criterion.benchmark_group(format!("ring_throughput/{name}"));
    group.throughput(Throughput::Elements(1));
    group.bench_function("single/varpin", |bencher| bencher.iter_custom(varpin_single::<T>));
    group.bench_function("single/rtrb", |bencher| bencher.iter_custom(rtrb_single::<T>));
    for size in CHUNKS {
        group.bench_function(BenchmarkId::new("chunks/varpin", size), |bencher| {
            bencher.iter_custom(|items| varpin_chunks::<T>(items, size));
        });
        group.bench_function(BenchmarkId::new("chunks/rtrb", size), |bencher| {
            bencher.iter_custom(|items| rtrb_chunks::<T>(items, size));
        });
    }
    group.finish();
}

fn throughput(criterion: &mut Criterion) {
    pin(0);
    throughput_of::<u64>(criterion, "u64");
    throughput_of::<Big>(criterion, "160_bytes");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = throughput
}
criterion_main!(benches);
