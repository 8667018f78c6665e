//! One ring under load: how long items take from one thread to another, and how many get through.
//!
//! Three kinds of load:
//!
//! - *open*: an item is due every so often, whatever became of those before it, and its latency counts from when it was
//!   due. Each item carries that time with it.
//! - *round trips*: one item is under way, over two rings; a hop is half of that. Nothing ever queues, so this shows
//!   the shortest hop there is, and hides every stall but the one item that meets it.
//! - *flood*: as many as the ring takes. Latencies here say how long a full ring is, so one item of each chunk is
//!   enough.
//!
//! The sender spins, being the world outside; how the taker waits is what is measured.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::rounds::{Gate, Stopwatch, Waiting, panicked, spawn};
use super::{Latencies, Schedule, Timeline};
use crate::cores::{PinError, PinOutcome, PinPolicy};
use crate::idle::{Idle, IdleState};
use crate::ring::{self, PopError, PushError, Receiver, Sender, WriteError};

/// Intervals of the time line.
const INTERVALS: usize = 50;
/// The most slots of a ring, and bytes of an item.
const MOST_SLOTS: usize = 1 << 24;
const PAYLOADS: [usize; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];
/// A stall comes in the middle of each second.
const STALL_EVERY_NS: u64 = 1_000_000_000;

/// How items are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Load {
    /// So many a second, whatever becomes of them.
    Open(f64),
    /// The next one when the last is back.
    RoundTrips,
    /// As fast as the ring takes them.
    Flood,
}

/// A measurement of one ring.
///
/// ```
/// use std::time::Duration;
/// use varpin::metrics::{Load, RingLoad};
/// let mut load = RingLoad::new(Load::Open(1_000.0));
/// (load.warm_up, load.duration) = (Duration::ZERO, Duration::from_millis(20));
/// let outcome = load.run()?;
/// assert_eq!((outcome.wanted, outcome.latencies.total().samples()), (20, outcome.taken));
/// # Ok::<(), varpin::metrics::RingLoadError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RingLoad {
    /// How items are sent.
    pub load: Load,
    /// The most items that are sent and taken at once.
    pub batch: usize,
    /// How long is not measured, at the beginning.
    pub warm_up: Duration,
    /// How long is measured.
    pub duration: Duration,
    /// Slots of the ring.
    pub capacity: usize,
    /// Size of an item: a power of two from 8 to 1024.
    pub payload_bytes: usize,
    /// How the taker waits; `auto` counts as `backoff`.
    pub idle: Idle,
    /// The CPUs of sender and taker.
    pub cpus: [Option<usize>; 2],
    /// What to do where they cannot be had.
    pub pin: PinPolicy,
    /// The taker stands still for so long in the middle of each second (or of the run, if that is shorter): a drill
    /// that shows whether latencies are honest.
    pub stall: Option<Duration>,
}

/// What a [`RingLoad`] has measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RingOutcome {
    /// Items that were due in the measured time; as many as were sent where the load is not open.
    pub wanted: u64,
    /// Items sent in the measured time.
    pub sent: u64,
    /// Items taken of those.
    pub taken: u64,
    /// How long it took to send them, in nanoseconds; at least the measured time.
    pub took_ns: u64,
    /// From when each item was due (open), its way there and back halved (round trips), or from when it was sent
    /// (flood) to when it was taken.
    pub latencies: Timeline,
    /// How late items were sent, against when they were due. Of an open load only.
    pub late_sends: Latencies,
    /// The CPUs that sender and taker were pinned to.
    pub cpus: [Option<usize>; 2],
}

impl RingOutcome {
    /// Items a second, as sent.
    pub fn rate(&self) -> f64 {
        self.sent as f64 * 1e9 / self.took_ns.max(1) as f64
    }
}

/// Why nothing was measured.
#[derive(Debug)]
#[non_exhaustive]
pub enum RingLoadError {
    /// A setting is out of its range.
    Setting(String),
    /// A CPU cannot be had, and the policy is strict.
    Pin(PinError),
    /// A thread couldn't be started or has panicked.
    Thread(String),
}

impl fmt::Display for RingLoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(message) => f.write_str(message),
            Self::Pin(error) => error.fmt(f),
            Self::Thread(message) => write!(f, "a thread of the measurement: {message}"),
        }
    }
}

impl Error for RingLoadError {}

/// An item: when it was due, and what else it carries.
#[derive(Clone, Copy)]
struct Item<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Item<WORDS> {
    #[inline]
    fn due(due_ns: u64) -> Self {
        let mut words = [due_ns; WORDS];
        // The last word is not the first, so that nobody can do with half an item.
        if let [_, .., last] = &mut words[..] {
            *last = !due_ns;
        }
        Self(words)
    }

    /// Reads first and last word, as a receiver would.
    #[inline]
    fn due_ns(&self) -> u64 {
        let last = self.0[WORDS - 1];
        debug_assert!(WORDS == 1 || last == !self.0[0], "an item arrives whole");
        std::hint::black_box(last);
        self.0[0]
    }
}

/// What each thread hands back.
struct Side<T> {
    of: T,
    pinned: Result<PinOutcome, PinError>,
}

/// The sender's counts of the measured time.
#[derive(Default)]
struct Sent {
    wanted: u64,
    items: u64,
    took_ns: u64,
    late: Latencies,
}

/// The taker's.
struct Taken {
    items: u64,
    timeline: Timeline,
}

/// Times in nanoseconds from the start.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "times have their unit in their name")]
struct Times {
    warm_ns: u64,
    end_ns: u64,
    /// After this nothing is sent any more.
    give_up_ns: u64,
}

impl RingLoad {
    /// One item at a time, 8 bytes each, through a ring of 1024 slots between threads that are not pinned; a second,
    /// after a tenth of it that is not measured.
    pub fn new(load: Load) -> Self {
        Self {
            load,
            batch: 1,
            warm_up: Duration::from_millis(100),
            duration: Duration::from_secs(1),
            capacity: 1024,
            payload_bytes: 8,
            idle: Idle::Spin,
            cpus: [None; 2],
            pin: PinPolicy::BestEffort,
            stall: None,
        }
    }

    /// Measures.
    pub fn run(&self) -> Result<RingOutcome, RingLoadError> {
        if self.batch == 0 || self.capacity == 0 || self.capacity > MOST_SLOTS {
            let message = format!("a ring has 1 to {MOST_SLOTS} slots, and a batch at least one item");
            return Err(RingLoadError::Setting(message));
        }
        if self.duration.is_zero() {
            return Err(RingLoadError::Setting("no time would be measured".to_owned()));
        }
        match self.payload_bytes {
            8 => self.run_sized::<1>(),
            16 => self.run_sized::<2>(),
            32 => self.run_sized::<4>(),
            64 => self.run_sized::<8>(),
            128 => self.run_sized::<16>(),
            256 => self.run_sized::<32>(),
            512 => self.run_sized::<64>(),
            1024 => self.run_sized::<128>(),
            bytes => {
                let known = PAYLOADS.map(|known| known.to_string()).join(", ");
                let message = format!("an item cannot have {bytes} bytes here; known are {known}");
                Err(RingLoadError::Setting(message))
            }
        }
    }

    fn times(&self) -> Times {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4);
        let warm_ns = ns(self.warm_up);
        let end_ns = warm_ns.saturating_add(ns(self.duration));
        // What was due is still sent for a while, so that the last latencies are not the ones that are missing.
        let grace_ns = ns(self.duration) / 10 + 100_000_000;
        Times { warm_ns, end_ns, give_up_ns: end_ns.saturating_add(grace_ns) }
    }

    fn run_sized<const WORDS: usize>(&self) -> Result<RingOutcome, RingLoadError> {
        let idle = IdleState::new(self.idle);
        let (mut sender, mut receiver) = ring::bounded::<Item<WORDS>>(self.capacity);
        sender.set_waker(idle.waker());
        receiver.set_waker(None);
        let gate = Gate::new(2);
        let [send_cpu, take_cpu] = self.cpus;
        let gate = &gate;
        std::thread::scope(|scope| {
            let (sending, taking) = if self.load == Load::RoundTrips {
                let (back, returning) = ring::bounded::<Item<WORDS>>(self.capacity);
                (
                    spawn(scope, gate, "bench send", move || {
                        let (clock, pinned) = gate.enter("the sender", send_cpu, self.pin);
                        Side { of: self.ping(clock, sender, returning), pinned }
                    }),
                    spawn(scope, gate, "bench take", move || {
                        let (clock, pinned) = gate.enter("the taker", take_cpu, self.pin);
                        Side { of: self.echo(clock, receiver, back, idle), pinned }
                    }),
                )
            } else {
                (
                    spawn(scope, gate, "bench send", move || {
                        let (clock, pinned) = gate.enter("the sender", send_cpu, self.pin);
                        let sent = match self.load {
                            Load::Open(rate) => self.send_open(clock, Schedule::per_second(rate), sender),
                            Load::RoundTrips | Load::Flood => self.flood(clock, sender),
                        };
                        Side { of: (sent, None), pinned }
                    }),
                    spawn(scope, gate, "bench take", move || {
                        let (clock, pinned) = gate.enter("the taker", take_cpu, self.pin);
                        Side { of: Some(self.take(clock, receiver, idle)), pinned }
                    }),
                )
            };
            let started = |error: std::io::Error| RingLoadError::Thread(error.to_string());
            let (sending, taking) = (sending.map_err(started)?, taking.map_err(started)?);
            let failed =
                |payload: Box<dyn std::any::Any + Send>| RingLoadError::Thread(panicked(payload.as_ref()));
            let Side { of: (sent, back), pinned: sender } = sending.join().map_err(failed)?;
            let Side { of: taken, pinned: taker } = taking.join().map_err(failed)?;
            let cpu = |pinned: Result<PinOutcome, PinError>| match pinned {
                Ok(PinOutcome::Pinned(cpu)) => Ok(Some(cpu)),
                Ok(_) => Ok(None),
                Err(error) => Err(RingLoadError::Pin(error)),
            };
            let cpus = [cpu(sender)?, cpu(taker)?];
            let Some(Taken { items: taken, timeline }) = back.or(taken) else {
                return Err(RingLoadError::Thread("nobody has measured".to_owned()));
            };
            let Sent { wanted, items, took_ns, late } = sent;
            Ok(RingOutcome {
                wanted,
                sent: items,
                taken,
                took_ns,
                latencies: timeline,
                late_sends: late,
                cpus,
            })
        })
    }

    fn timeline(&self) -> Timeline {
        Timeline::new(u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX), INTERVALS)
    }

    /// Sends each item when it is due, or as soon after that as there is room.
    fn send_open<const WORDS: usize>(
        &self,
        clock: Stopwatch,
        schedule: Schedule,
        mut sender: Sender<Item<WORDS>>,
    ) -> Sent {
        let times = self.times();
        let (warm, all) = (schedule.events_in(times.warm_ns), schedule.events_in(times.end_ns));
        let mut sent = Sent { wanted: all - warm, ..Sent::default() };
        let mut waiting = Waiting::default();
        let mut number = 0;
        let mut now_ns = 0;
        while number < all && now_ns < times.give_up_ns {
            let due_ns = schedule.due_ns(number);
            now_ns = clock.ns();
            if now_ns < due_ns {
                waiting.pause_briefly();
                continue;
            }
            let mut next = number;
            let pushed = match push_due(&mut sender, self.batch.min((all - number) as usize), || {
                let due_ns = schedule.due_ns(next);
                next += 1;
                (due_ns <= now_ns).then(|| Item::due(due_ns))
            }) {
                Ok(pushed) => pushed,
                Err(WriteError::Full) => {
                    waiting.pause();
                    continue;
                }
                Err(WriteError::Closed) => break,
            };
            for pushed in number..number + pushed {
                if pushed >= warm {
                    sent.late.record_ns(now_ns - schedule.due_ns(pushed));
                }
            }
            number += pushed;
        }
        sent.items = number.saturating_sub(warm);
        sent.took_ns = clock.ns().max(times.end_ns) - times.warm_ns;
        sent
    }

    /// Sends as much as the ring takes, in chunks.
    fn flood<const WORDS: usize>(&self, clock: Stopwatch, mut sender: Sender<Item<WORDS>>) -> Sent {
        let times = self.times();
        let mut sent = Sent::default();
        let mut waiting = Waiting::default();
        let mut last_ns = times.warm_ns;
        loop {
            let now_ns = clock.ns();
            if now_ns >= times.end_ns {
                break;
            }
            match push_due(&mut sender, self.batch, || Some(Item::due(now_ns))) {
                Ok(pushed) if now_ns >= times.warm_ns => {
                    sent.items += pushed;
                    last_ns = now_ns;
                }
                Ok(_) => {}
                Err(WriteError::Full) => waiting.pause(),
                Err(WriteError::Closed) => break,
            }
        }
        sent.wanted = sent.items;
        sent.took_ns = last_ns.max(times.end_ns) - times.warm_ns;
        sent
    }

    /// Takes items until there will be no more.
    fn take<const WORDS: usize>(
        &self,
        clock: Stopwatch,
        mut receiver: Receiver<Item<WORDS>>,
        mut idle: IdleState,
    ) -> Taken {
        let times = self.times();
        let mut stalls = Stalls::new(self.stall, times);
        let mut taken = Taken { items: 0, timeline: self.timeline() };
        let records_each = self.load != Load::Flood;
        loop {
            let chunk = match receiver.read(self.batch) {
                Ok(chunk) => chunk,
                Err(PopError::Empty) => {
                    idle.idle(0);
                    continue;
                }
                Err(PopError::Closed) => break,
            };
            let now_ns = clock.ns();
            let mut recorded = false;
            for item in chunk.iter() {
                let due_ns = item.due_ns();
                if due_ns < times.warm_ns {
                    continue;
                }
                taken.items += 1;
                if records_each || !recorded {
                    recorded = true;
                    taken.timeline.record_ns(due_ns - times.warm_ns, now_ns.saturating_sub(due_ns));
                }
            }
            chunk.commit_all();
            idle.idle(1);
            stalls.stand_still(clock, now_ns);
        }
        taken
    }

    /// Sends an item, waits until it is back, and so on; a hop is half of that.
    fn ping<const WORDS: usize>(
        &self,
        clock: Stopwatch,
        mut there: Sender<Item<WORDS>>,
        mut back: Receiver<Item<WORDS>>,
    ) -> (Sent, Option<Taken>) {
        let times = self.times();
        let mut sent = Sent::default();
        let mut timeline = self.timeline();
        let mut waiting = Waiting::default();
        let mut before_ns = clock.ns();
        while before_ns < times.end_ns {
            if let Err(PushError::Closed(_)) = there.push(Item::due(before_ns)) {
                break;
            }
            while let Err(PopError::Empty) = back.pop() {
                waiting.pause();
            }
            let now_ns = clock.ns();
            if before_ns >= times.warm_ns {
                timeline.record_ns(before_ns - times.warm_ns, (now_ns - before_ns) / 2);
                sent.items += 1;
            }
            before_ns = now_ns;
        }
        sent.wanted = sent.items;
        sent.took_ns = before_ns.max(times.end_ns) - times.warm_ns;
        let items = sent.items;
        (sent, Some(Taken { items, timeline }))
    }

    /// Sends back what comes.
    fn echo<const WORDS: usize>(
        &self,
        clock: Stopwatch,
        mut there: Receiver<Item<WORDS>>,
        mut back: Sender<Item<WORDS>>,
        mut idle: IdleState,
    ) -> Option<Taken> {
        let mut stalls = Stalls::new(self.stall, self.times());
        loop {
            match there.pop() {
                Ok(item) => {
                    if stalls.can_come() {
                        stalls.stand_still(clock, clock.ns());
                    }
                    // At the end the other side may be gone. There is always room for the one item under way.
                    let _ = back.push(item);
                    idle.idle(1);
                }
                Err(PopError::Empty) => idle.idle(0),
                Err(PopError::Closed) => return None,
            }
        }
    }
}

/// Pushes up to `most` of the items that `next` gives, published together. Returns how many.
#[inline]
fn push_due<T>(
    sender: &mut Sender<T>,
    most: usize,
    mut next: impl FnMut() -> Option<T>,
) -> Result<u64, WriteError> {
    let mut chunk = sender.write(most)?;
    while chunk.remaining() > 0 {
        let Some(item) = next() else { break };
        // There is room: the loop has just looked.
        let _ = chunk.push(item);
    }
    Ok(chunk.commit() as u64)
}

/// When the taker stands still.
struct Stalls {
    stall_ns: u64,
    next_ns: u64,
}

impl Stalls {
    fn new(stall: Option<Duration>, times: Times) -> Self {
        let stall_ns = stall.map_or(0, |stall| u64::try_from(stall.as_nanos()).unwrap_or(u64::MAX));
        let measured_ns = times.end_ns - times.warm_ns;
        let first_ns = times.warm_ns + measured_ns.min(STALL_EVERY_NS) / 2;
        Self { stall_ns, next_ns: if stall_ns == 0 { u64::MAX } else { first_ns } }
    }

    fn can_come(&self) -> bool {
        self.stall_ns > 0
    }

    /// Stands still if it is time to.
    #[inline]
    fn stand_still(&mut self, clock: Stopwatch, now_ns: u64) {
        if now_ns < self.next_ns {
            return;
        }
        self.next_ns = now_ns.saturating_add(STALL_EVERY_NS);
        let until_ns = now_ns.saturating_add(self.stall_ns);
        while clock.ns() < until_ns {
            crate::sync::spin_loop();
        }
    }
}
