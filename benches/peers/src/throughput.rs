//! How many items a second go from one thread to another, one by one and in chunks, for a number and for something as big as a row
//! of events. Both ends work in place where the contender lets them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::hop::runtime;
use crate::machine::{on_cpu, pause, spin_until};
use crate::report::{Outcome, Table};

const CAPACITY: usize = 1024;
pub const CHUNKS: [usize; 3] = [16, 64, 256];

pub const RTRB: &str = "rtrb";
pub const VARPIN: &str = "varpin ring";

/// Something to send: made from a number, and a number is got out of it.
trait Item: Copy + Default + Send + Sync + 'static {
    const NAME: &'static str;
    fn make(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Item for u64 {
    const NAME: &'static str = "u64";

    #[inline]
    fn make(number: u64) -> Self {
        number
    }

    #[inline]
    fn number(&self) -> u64 {
        *self
    }
}

/// 160 bytes, as a row of events.
type Big = [u64; 20];

impl Item for Big {
    const NAME: &'static str = "160 bytes";

    #[inline]
    fn make(number: u64) -> Self {
        [number; 20]
    }

    #[inline]
    fn number(&self) -> u64 {
        self[19]
    }
}

/// The name of a case.
pub fn case(item: &str, chunk: Option<usize>) -> String {
    match chunk {
        None => format!("{item}, one by one"),
        Some(size) => format!("{item}, chunks of {size}"),
    }
}

/// Runs `send` and `receive` on two threads, for `items` items; items a second.
fn transfer<S: Send + 'static>(
    items: u64,
    send: impl FnOnce(u64) -> S + Send + 'static,
    receive: impl FnOnce(u64) -> u64 + Send + 'static,
) -> Result<Outcome, String> {
    // The sending end is handed back, so that nothing is taken down while it is measured.
    let sender = on_cpu(1, move || send(items));
    let receiver = on_cpu(0, move || {
        let started = Instant::now();
        let sum = receive(items);
        (started.elapsed(), sum)
    });
    let (elapsed, sum): (Duration, u64) = receiver.join().map_err(|_| "the receiving thread panicked")?;
    drop(sender.join().map_err(|_| "the sending thread panicked")?);
    if sum != items * (items - 1) / 2 {
        return Err("items were lost or doubled".to_owned());
    }
    Ok((items as f64 / elapsed.as_secs_f64()).into())
}

fn rtrb_single<T: Item>(items: u64) -> Result<Outcome, String> {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<T>::new(CAPACITY);
    transfer(
        items,
        move |items| {
            let mut spins = 0;
            for number in 0..items {
                while producer.push(T::make(number)).is_err() {
                    pause(&mut spins);
                }
            }
            producer
        },
        move |items| (0..items).map(|_| spin_until(|| consumer.pop().ok()).number()).sum(),
    )
}

fn rtrb_chunks<T: Item>(items: u64, size: usize) -> Result<Outcome, String> {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<T>::new(CAPACITY);
    transfer(
        items,
        move |items| {
            let (mut number, mut spins) = (0, 0);
            while number < items {
                let free = producer.slots().min(size).min((items - number) as usize);
                match producer.write_chunk_uninit(free) {
                    Ok(chunk) if free > 0 => {
                        number += chunk.fill_from_iter((number..).map(T::make)) as u64;
                    }
                    _ => pause(&mut spins),
                }
            }
            producer
        },
        move |items| {
            let (mut sum, mut taken, mut spins) = (0_u64, 0, 0);
            while taken < items {
                let filled = consumer.slots().min(size);
                match consumer.read_chunk(filled) {
                    Ok(chunk) if filled > 0 => {
                        let (first, second) = chunk.as_slices();
                        sum += first.iter().chain(second).map(|item| black_box(item).number()).sum::<u64>();
                        taken += filled as u64;
                        chunk.commit_all();
                    }
                    _ => pause(&mut spins),
                }
            }
            sum
        },
    )
}

fn varpin_single<T: Item>(items: u64) -> Result<Outcome, String> {
    let (mut sender, mut receiver) = varpin::ring::bounded::<T>(CAPACITY);
    transfer(
        items,
        move |items| {
            let mut spins = 0;
            for number in 0..items {
                while sender.push(T::make(number)).is_err() {
                    pause(&mut spins);
                }
            }
            sender
        },
        move |items| (0..items).map(|_| spin_until(|| receiver.pop().ok()).number()).sum(),
    )
}

fn varpin_chunks<T: Item>(items: u64, size: usize) -> Result<Outcome, String> {
    let (mut sender, mut receiver) = varpin::ring::bounded::<T>(CAPACITY);
    transfer(
        items,
        move |items| {
            let (mut number, mut spins) = (0, 0);
            while number < items {
                let wanted = size.min((items - number) as usize);
                match sender.push_from(&mut (number..).map(T::make).take(wanted)) {
                    Ok(pushed) => number += pushed as u64,
                    Err(_) => pause(&mut spins),
                }
            }
            sender
        },
        move |items| {
            let (mut sum, mut taken, mut spins) = (0_u64, 0, 0);
            while taken < items {
                match receiver.read(size) {
                    Ok(chunk) => {
                        sum += chunk.iter().map(|item| black_box(item).number()).sum::<u64>();
                        taken += chunk.len() as u64;
                        chunk.commit_all();
                    }
                    Err(_) => pause(&mut spins),
                }
            }
            sum
        },
    )
}

fn disruptor_single<T: Item>(items: u64) -> Result<Outcome, String> {
    use disruptor::{BusySpin, Producer, build_single_producer};
    let (mut poller, builder) = build_single_producer(CAPACITY, T::default, BusySpin).new_event_poller();
    let mut producer = builder.build();
    transfer(
        items,
        move |items| {
            let mut spins = 0;
            for number in 0..items {
                while producer.try_publish(|slot| *slot = T::make(number)).is_err() {
                    pause(&mut spins);
                }
            }
            producer
        },
        move |items| {
            let next = |_| {
                spin_until(|| {
                    let mut events = poller.take(1).ok()?;
                    (&mut events).next().copied()
                })
                .number()
            };
            (0..items).map(next).sum()
        },
    )
}

fn disruptor_chunks<T: Item>(items: u64, size: usize) -> Result<Outcome, String> {
    use disruptor::{BusySpin, Producer, build_single_producer};
    let (mut poller, builder) = build_single_producer(CAPACITY, T::default, BusySpin).new_event_poller();
    let mut producer = builder.build();
    transfer(
        items,
        move |items| {
            let (mut number, mut spins) = (0, 0);
            while number < items {
                let wanted = size.min((items - number) as usize);
                let published = producer.try_batch_publish(wanted, |slots| {
                    for (slot, number) in slots.zip(number..) {
                        *slot = T::make(number);
                    }
                });
                match published {
                    Ok(_) => number += wanted as u64,
                    Err(_) => pause(&mut spins),
                }
            }
            producer
        },
        move |items| {
            let (mut sum, mut taken, mut spins) = (0_u64, 0, 0);
            while taken < items {
                match poller.take(size as u64) {
                    Ok(mut events) => {
                        for item in &mut events {
                            sum += black_box(item).number();
                            taken += 1;
                        }
                    }
                    Err(_) => pause(&mut spins),
                }
            }
            sum
        },
    )
}

fn crossbeam_single<T: Item>(items: u64) -> Result<Outcome, String> {
    let (sender, receiver) = crossbeam_channel::bounded::<T>(CAPACITY);
    transfer(
        items,
        move |items| {
            let mut spins = 0;
            for number in 0..items {
                while sender.try_send(T::make(number)).is_err() {
                    pause(&mut spins);
                }
            }
            sender
        },
        move |items| (0..items).map(|_| spin_until(|| receiver.try_recv().ok()).number()).sum(),
    )
}

fn tokio_single<T: Item>(items: u64) -> Result<Outcome, String> {
    let (sender, mut receiver) = mpsc::channel::<T>(CAPACITY);
    transfer(
        items,
        move |items| {
            runtime().block_on(async {
                for number in 0..items {
                    let _ = sender.send(T::make(number)).await;
                }
            });
            sender
        },
        move |items| {
            runtime().block_on(async {
                let mut sum = 0;
                for _ in 0..items {
                    sum += receiver.recv().await.map_or(0, |item| item.number());
                }
                sum
            })
        },
    )
}

fn tokio_chunks<T: Item>(items: u64, size: usize) -> Result<Outcome, String> {
    let (sender, mut receiver) = mpsc::channel::<T>(CAPACITY);
    transfer(
        items,
        move |items| {
            runtime().block_on(async {
                let mut number = 0;
                while number < items {
                    let Ok(permits) = sender.reserve_many(size.min((items - number) as usize)).await else {
                        break;
                    };
                    for permit in permits {
                        permit.send(T::make(number));
                        number += 1;
                    }
                }
            });
            sender
        },
        move |items| {
            runtime().block_on(async {
                let (mut sum, mut taken) = (0_u64, 0);
                let mut chunk = Vec::with_capacity(size);
                while taken < items {
                    let count = receiver.recv_many(&mut chunk, size).await;
                    if count == 0 {
                        break;
                    }
                    taken += count as u64;
                    sum += chunk.drain(..).map(|item| black_box(item).number()).sum::<u64>();
                }
                sum
            })
        },
    )
}

fn add_item<T: Item>(table: &mut Table, fast: u64, slow: u64) {
    let single = case(T::NAME, None);
    table.add(&single, RTRB, move || rtrb_single::<T>(fast));
    table.add(&single, VARPIN, move || varpin_single::<T>(fast));
    table.add(&single, "disruptor", move || disruptor_single::<T>(fast));
    table.add(&single, "crossbeam-channel", move || crossbeam_single::<T>(fast));
    table.add(&single, "tokio mpsc", move || tokio_single::<T>(slow));
    for size in CHUNKS {
        let chunks = case(T::NAME, Some(size));
        table.add(&chunks, RTRB, move || rtrb_chunks::<T>(fast, size));
        table.add(&chunks, VARPIN, move || varpin_chunks::<T>(fast, size));
        table.add(&chunks, "disruptor", move || disruptor_chunks::<T>(fast, size));
        table.add(&chunks, "tokio mpsc", move || tokio_chunks::<T>(slow, size));
    }
}

pub fn table(quick: bool) -> Table {
    let (fast, slow) = if quick { (1_000_000, 100_000) } else { (30_000_000, 2_000_000) };
    let note = format!(
        "A ring of {CAPACITY} slots between two CPUs; {fast} items a round ({slow} over tokio). Chunks: rtrb by \
         `write_chunk_uninit` and `read_chunk`, varpin by `push_from` and `read`, disruptor by `try_batch_publish` and `take`, \
         tokio by `reserve_many` and `recv_many`; crossbeam-channel has none. All add up what they receive, and the sum is checked."
    );
    let mut table = Table::new("Throughput of a ring", note, &["items/s"]);
    add_item::<u64>(&mut table, fast, slow);
    add_item::<Big>(&mut table, fast / 3, slow / 2);
    table
}
