//! `bench pipeline` and `bench program`: events through an engine. One thread feeds them and takes the results, as
//! `varpin run` does; the contexts have theirs.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use varpin::context::FLUSH_SEQ;
use varpin::cores::{PinOutcome, PinPolicy, pin_current};
use varpin::engine::{Engine, Program, Record, RingMetrics};
use varpin::flow::MergeOrder;
use varpin::idle::Idle;
use varpin::metrics::{Latencies, Schedule, Timeline};

use super::args::Rate;
use super::due::Dues;
use super::events::Events;
use super::measured::Measured;
use super::settings::{Kind, Settings};

/// Intervals of the time line.
const INTERVALS: usize = 50;
/// Events after which the engine publishes by itself; whenever none is due it is told to.
const PUBLISH_EVERY: usize = 64;
/// How long the end of a run may take.
const FINISH_WITHIN: Duration = Duration::from_secs(30);
/// Empty looks for results before the CPU is given away, should a context need it.
const LOOKS_BEFORE_YIELD: u32 = 1_000;
/// A stall comes once a second.
const STALL_EVERY_NS: u64 = 1_000_000_000;

/// The text of a chain of contexts that pass events of `payload` bytes on.
pub(super) fn chain(threads: &[(String, Option<usize>)], payload: usize) -> String {
    use std::fmt::Write;
    let fields: Vec<String> = (0..payload / 16).map(|field| format!("f{field}")).collect();
    let passed = fields.iter().map(|field| format!("{field}: {field}")).collect::<Vec<_>>().join(", ");
    let mut text = String::from("event Tick:\n");
    for field in &fields {
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(text, "    {field}: int");
    }
    let contexts = &threads[1..];
    for (name, cpu) in contexts {
        let cores = cpu.map_or_else(String::new, |cpu| format!(" (cores: [{cpu}])"));
        let _ = writeln!(text, "context {name}{cores}");
    }
    let mut source = "Tick".to_owned();
    for (at, (name, _)) in contexts.iter().enumerate() {
        let next = contexts.get(at + 1).map_or_else(String::new, |(next, _)| format!("context: {next}, "));
        let _ = writeln!(text, "stream S{at} = {source}\n    .context({name})\n    .emit({next}{passed})");
        source = format!("S{at}");
    }
    text
}

/// One run.
pub(super) fn measure(settings: &Settings, program: &Program, rate: Rate) -> Result<Measured, String> {
    let mut builder = Engine::builder(program).pin(settings.common.pin).publish_every(PUBLISH_EVERY);
    if let Some(capacity) = settings.common.capacity {
        builder = builder.capacity(NonZeroUsize::get(capacity));
    }
    if let Some(every) = settings.latency_sample {
        builder = builder.latency_sample(every);
    }
    if settings.common.idle != Idle::Auto {
        builder = builder.idle(settings.common.idle);
    }
    if matches!(settings.kind, Kind::Pipeline { .. }) {
        builder = builder.order(MergeOrder::Arrival);
    }
    let mut events = match &settings.kind {
        Kind::Program { events: Some(path), event_type, .. } => {
            Events::read(program, path, event_type.as_deref())?
        }
        _ => Events::made(program)?,
    };
    let mut engine = builder.build().map_err(|error| error.to_string())?;
    let mut warnings = engine.warnings().to_vec();
    warnings.extend(events.warning.take());
    let is_inline = engine.is_inline();
    let cpu = settings.threads.first().and_then(|(_, cpu)| *cpu);
    // A thread of its own: what is pinned stays pinned, and the control behind it must not inherit that.
    let fed = std::thread::scope(|scope| {
        let feeding = std::thread::Builder::new().name("bench feed".to_owned()).spawn_scoped(scope, || {
            let pinned = pin_current("the feeder", cpu, settings.common.pin);
            if let (PinPolicy::Strict, Err(error)) = (settings.common.pin, &pinned) {
                return Err(error.to_string());
            }
            let mut run = Feed::new(settings, rate, &mut engine, &mut events);
            run.go()?;
            Ok((run.fed, run.taker, pinned))
        });
        let feeding = feeding.map_err(|error| format!("cannot start a thread: {error}"))?;
        feeding.join().unwrap_or_else(|_| Err("the feeding thread panicked".to_owned()))
    });
    let (fed, taker, pinned) = fed?;
    let feeder = match pinned {
        Ok(PinOutcome::Pinned(cpu)) => Some(cpu),
        _ => None,
    };
    if taker.lost > 0 {
        warnings.push(format!("{} results came too late to be told whose they are", taker.lost));
    }
    let contexts = engine.stats().contexts;
    let idle = contexts.first().and_then(|context| context.idle.split_once(": "));
    let open = matches!(rate, Rate::Open(_));
    Ok(Measured {
        events: fed.sent,
        results: taker.results,
        seconds: fed.took_ns as f64 / 1e9,
        rate: fed.sent as f64 * 1e9 / fed.took_ns.max(1) as f64,
        measures: match (open, is_inline) {
            (true, _) => "from when an event was due to when its result was taken",
            (false, true) => "from when an event was fed to when its result was taken, on one thread",
            (false, false) => {
                "from when an event was fed to when its result was taken, one of 64; rings are full"
            }
        },
        late_sends: open.then_some(fed.late),
        timeline: taker.timeline,
        hops: engine.metrics().rings.into_iter().filter_map(hop).collect(),
        threads: std::iter::once(("feeder".to_owned(), feeder))
            .chain(contexts.iter().map(|context| (context.context.clone(), context.cpu)))
            .collect(),
        idle: idle.map(|(idle, reason)| (idle.to_owned(), reason.to_owned())),
        warnings,
    })
}

/// How long events were on their way over a ring, as far as the engine has measured it. The warm-up is part of it.
fn hop(ring: RingMetrics) -> Option<(String, Latencies)> {
    let latencies = ring.hop?.latencies;
    (latencies.samples() > 0).then_some((ring.ring, latencies))
}

/// What was fed in the measured time.
#[derive(Default)]
struct Fed {
    sent: u64,
    took_ns: u64,
    late: Latencies,
}

/// A run: feeds, and takes results meanwhile.
struct Feed<'a> {
    engine: &'a mut Engine,
    events: &'a mut Events,
    rate: Rate,
    warm_ns: u64,
    end_ns: u64,
    give_up_ns: u64,
    fed: Fed,
    taker: Taker,
}

/// Takes results.
struct Taker {
    started: Instant,
    warm_ns: u64,
    dues: Dues,
    timeline: Timeline,
    results: u64,
    /// Results of which nothing is known any more.
    lost: u64,
    stall_ns: u64,
    next_stall_ns: u64,
}

impl Taker {
    #[inline]
    fn take(&mut self, record: &Record<'_>) {
        // What is flushed at the end belongs to no event.
        if record.seq() >= FLUSH_SEQ {
            return;
        }
        let due_ns = match self.dues.of(record.seq()) {
            Some(due_ns) => due_ns,
            None if self.dues.has_lost(record.seq()) => {
                self.lost += 1;
                return;
            }
            // Not one of those that are looked at.
            None => {
                self.results += 1;
                return;
            }
        };
        if due_ns < self.warm_ns {
            return;
        }
        self.results += 1;
        let now_ns = self.started.elapsed().as_nanos() as u64;
        self.timeline.record_ns(due_ns - self.warm_ns, now_ns.saturating_sub(due_ns));
        if now_ns >= self.next_stall_ns {
            self.stand_still(now_ns);
        }
    }

    #[cold]
    fn stand_still(&mut self, now_ns: u64) {
        self.next_stall_ns = now_ns.saturating_add(STALL_EVERY_NS);
        while (self.started.elapsed().as_nanos() as u64) < now_ns + self.stall_ns {
            varpin::sync::spin_loop();
        }
    }
}

impl<'a> Feed<'a> {
    fn new(settings: &Settings, rate: Rate, engine: &'a mut Engine, events: &'a mut Events) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4);
        let (warm_ns, measured_ns) = (ns(settings.common.warmup), ns(settings.common.duration));
        let end_ns = warm_ns + measured_ns;
        let stall_ns = settings.common.stall.map_or(0, ns);
        Self {
            engine,
            events,
            rate,
            warm_ns,
            end_ns,
            // What was due is still sent for a while, so that the last latencies are not the ones that are missing.
            give_up_ns: end_ns + measured_ns / 10 + 100_000_000,
            fed: Fed::default(),
            taker: Taker {
                warm_ns,
                dues: match rate {
                    Rate::Open(rate) => Dues::scheduled(Schedule::per_second(rate)),
                    Rate::Max => Dues::sampled(),
                },
                timeline: Timeline::new(measured_ns, INTERVALS),
                results: 0,
                lost: 0,
                stall_ns,
                next_stall_ns: if stall_ns == 0 {
                    u64::MAX
                } else {
                    warm_ns + measured_ns.min(STALL_EVERY_NS) / 2
                },
                started: Instant::now(),
            },
        }
    }

    fn ns(&self) -> u64 {
        self.taker.started.elapsed().as_nanos() as u64
    }

    fn go(&mut self) -> Result<(), String> {
        self.taker.started = Instant::now();
        match self.rate {
            Rate::Open(rate) => self.open(Schedule::per_second(rate))?,
            Rate::Max => self.closed()?,
        }
        let taker = &mut self.taker;
        let finished = self.engine.finish_within(FINISH_WITHIN, |record| taker.take(&record));
        finished.map(drop).map_err(|error| error.to_string())
    }

    /// Feeds each event when it is due, or as soon after that as the engine takes it.
    fn open(&mut self, schedule: Schedule) -> Result<(), String> {
        let (warm, all) = (schedule.events_in(self.warm_ns), schedule.events_in(self.end_ns));
        let mut number = 0;
        let mut unpublished = false;
        let mut looks = 0_u32;
        while number < all {
            let due_ns = schedule.due_ns(number);
            let now_ns = self.ns();
            if now_ns >= due_ns {
                if now_ns >= self.give_up_ns {
                    break;
                }
                if number >= warm {
                    self.fed.late.record_ns(now_ns - due_ns);
                }
                self.feed(number, due_ns)?;
                number += 1;
                unpublished = true;
                continue;
            }
            // Nothing is due: what was fed goes out, and what is there comes in.
            let taker = &mut self.taker;
            let taken = self.engine.poll(|record| taker.take(&record));
            looks = if taken > 0 || std::mem::take(&mut unpublished) { 0 } else { looks + 1 };
            if looks.is_multiple_of(LOOKS_BEFORE_YIELD) && looks > 0 {
                std::thread::yield_now();
            }
        }
        self.fed.sent = number.saturating_sub(warm);
        self.fed.took_ns = self.ns().max(self.end_ns) - self.warm_ns;
        Ok(())
    }

    /// Feeds as fast as the engine takes events.
    fn closed(&mut self) -> Result<(), String> {
        let mut number = 0;
        let mut warm = 0;
        let mut now_ns = self.ns();
        while now_ns < self.end_ns {
            if now_ns < self.warm_ns {
                warm = number + 1;
            }
            self.feed(number, now_ns)?;
            number += 1;
            // One look at the clock for each event whose latency is looked at.
            if Dues::is_sampled(number) {
                now_ns = self.ns();
                let taker = &mut self.taker;
                self.engine.poll(|record| taker.take(&record));
            }
        }
        self.fed.sent = number - warm;
        self.fed.took_ns = self.ns().max(self.end_ns) - self.warm_ns;
        Ok(())
    }

    #[inline]
    fn feed(&mut self, number: u64, due_ns: u64) -> Result<(), String> {
        let row = self.events.row(number, due_ns);
        let taker = &mut self.taker;
        taker.dues.feeding(number, due_ns);
        let fed = self.engine.feed_row(row, |record| taker.take(&record));
        fed.map_err(|error| error.to_string())?;
        taker.dues.fed(self.engine.last_seq());
        Ok(())
    }
}
