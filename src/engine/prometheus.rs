//! What a running engine tells of itself, as the text that Prometheus scrapes.

use crate::metrics::Exposition;
use crate::supervise::{Activity, BreakerState, Component, ComponentHealth, Health, Status};

use super::metrics::{Metrics, RingMetrics, WorkerMetrics};
use super::stats::StreamCounts;

/// [`Metrics`] and [`Health`] in Prometheus' text format; times in seconds.
///
/// ```
/// use varpin::engine::{Engine, Program, prometheus};
/// let program = Program::parse("context work\nstream S = R.context(work).emit(v: v)")?;
/// let engine = Engine::builder(&program).build()?;
/// let text = prometheus(&engine.metrics_reader().read(), &engine.health());
/// assert!(text.contains("\nvarpin_stream_events_total{context=\"work\",stream=\"S\"} 0\n"), "{text}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prometheus(metrics: &Metrics, health: &Health) -> String {
    let mut text = Exposition::new();
    text.gauge("varpin_uptime_seconds", "Time since the engine was built.").add(&[], metrics.uptime_s);
    text.counter("varpin_events_total", "Events that came in.").add(&[], metrics.events as f64);
    text.counter("varpin_results_total", "Results that were taken.").add(&[], metrics.results as f64);
    text.counter("varpin_dead_letters_total", "Events on which a stream failed.")
        .add(&[], metrics.dead_letters as f64);
    text.counter("varpin_rollbacks_total", "How often everything went back to a checkpoint.")
        .add(&[], health.rollbacks as f64);
    streams(&mut text, &metrics.streams);
    workers(&mut text, &metrics.workers);
    rings(&mut text, &metrics.rings);
    let mut latency =
        text.summary("varpin_latency_seconds", "From an event to a result of it, of those sampled.");
    if let Some(told) = &metrics.latency {
        latency.add_latencies(&[], &told.latencies);
    }
    components(&mut text, health);
    text.finish()
}

fn streams(text: &mut Exposition, streams: &[StreamCounts]) {
    type Count = fn(&StreamCounts) -> u64;
    let counts: [(&str, &str, Count); 6] = [
        ("varpin_stream_events_total", "Events that reached the stream.", |stream| stream.events),
        ("varpin_stream_rows_total", "Rows that left the stream.", |stream| stream.rows),
        ("varpin_stream_late_total", "Events that came after all their windows had closed.", |stream| {
            stream.late
        }),
        ("varpin_stream_failed_total", "Events on which an operator failed.", |stream| stream.failed),
        ("varpin_stream_retried_total", "Attempts beyond the first, where a stream retries.", |stream| {
            stream.retried
        }),
        ("varpin_stream_runs_dropped_total", "Runs of sequences that could not start.", |stream| {
            stream.runs_dropped
        }),
    ];
    for (name, help, count) in counts {
        let mut family = text.counter(name, help);
        for stream in streams {
            family.add(&labels(stream), count(stream) as f64);
        }
    }
    let mut keys = text.gauge("varpin_stream_keys", "Keys that the stream holds state for.");
    for stream in streams {
        keys.add(&labels(stream), stream.keys as f64);
    }
}

fn labels(stream: &StreamCounts) -> [(&str, &str); 2] {
    [("context", &stream.context), ("stream", &stream.stream)]
}

fn workers(text: &mut Exposition, workers: &[WorkerMetrics]) {
    let mut idle = text.gauge("varpin_worker_idle_ratio", "Share of its time without work, since it began.");
    for worker in workers {
        idle.add(&[("worker", &worker.worker)], 1.0 - worker.busy_share);
    }
    type Time = fn(&WorkerMetrics) -> u64;
    let times: [(&str, &str, Time); 4] = [
        ("varpin_worker_elapsed_seconds_total", "Time since it began.", |worker| worker.load.elapsed_ns),
        ("varpin_worker_asleep_seconds_total", "Time asleep.", |worker| worker.load.slept_ns),
        ("varpin_worker_timed_working_seconds_total", "Of the cycles timed: those with work.", |worker| {
            worker.load.worked_ns
        }),
        ("varpin_worker_timed_waiting_seconds_total", "Of the cycles timed: those without.", |worker| {
            worker.load.waited_ns
        }),
    ];
    for (name, help, time_ns) in times {
        let mut family = text.counter(name, help);
        for worker in workers {
            family.add(&[("worker", &worker.worker)], time_ns(worker) as f64 / 1e9);
        }
    }
}

fn rings(text: &mut Exposition, rings: &[RingMetrics]) {
    type Rows = fn(&RingMetrics) -> u64;
    let gauges: [(&str, &str, Rows); 4] = [
        ("varpin_ring_capacity_rows", "Slots of the ring.", |ring| ring.capacity),
        ("varpin_ring_occupancy_rows", "Rows in the ring.", |ring| ring.occupancy),
        ("varpin_ring_high_water_rows", "The most rows that have been in the ring.", |ring| ring.high_water),
        ("varpin_ring_pending_rows", "Rows that wait in front of the ring.", |ring| ring.pending),
    ];
    for (name, help, rows) in gauges {
        let mut family = text.gauge(name, help);
        for ring in rings {
            family.add(&[("ring", &ring.ring)], rows(ring) as f64);
        }
    }
    let counts: [(&str, &str, Rows); 2] = [
        ("varpin_ring_taken_total", "Rows and notices that were taken from the ring.", |ring| ring.taken),
        ("varpin_ring_dropped_total", "Rows that were dropped because the ring was full.", |ring| {
            ring.dropped
        }),
    ];
    for (name, help, rows) in counts {
        let mut family = text.counter(name, help);
        for ring in rings {
            family.add(&[("ring", &ring.ring)], rows(ring) as f64);
        }
    }
    let mut hops =
        text.summary("varpin_hop_latency_seconds", "From one end of the ring to the other, sampled.");
    for ring in rings {
        if let Some(hop) = &ring.hop {
            hops.add_latencies(&[("ring", &ring.ring)], &hop.latencies);
        }
    }
}

fn components(text: &mut Exposition, health: &Health) {
    let flag = |is_so: bool| f64::from(u8::from(is_so));
    text.gauge("varpin_live", "Whether nothing is beyond help.").add(&[], flag(health.is_live));
    text.gauge("varpin_ready", "Whether everything runs, and no breaker is open.")
        .add(&[], flag(health.is_ready));
    let all = &health.components;
    let mut status = text.gauge("varpin_component_status", "1 for the status that the component has.");
    for component in all {
        for known in [Status::Up, Status::Degraded, Status::Down] {
            let [kind, name] = named(component);
            status.add(&[kind, name, ("status", known.name())], flag(component.status == known));
        }
    }
    let contexts = || all.iter().filter(|component| matches!(component.component, Component::Context(_)));
    let mut restarts = text.counter("varpin_restarts_total", "How often the thread was started again.");
    for context in contexts() {
        restarts.add(&[("context", context.component.name())], context.restarts as f64);
    }
    let mut failures = text.counter("varpin_failures_total", "How often the component has failed.");
    for component in all {
        failures.add(&named(component), component.failures as f64);
    }
    let mut stalled = text.gauge("varpin_stalled", "Whether the thread is stuck in a duty cycle.");
    for context in contexts() {
        stalled.add(&[("context", context.component.name())], flag(context.activity == Activity::Stalled));
    }
    breakers(text, all);
}

fn breakers(text: &mut Exposition, all: &[ComponentHealth]) {
    let breakers = || all.iter().filter_map(|component| Some((named(component), component.breaker?)));
    let mut states = text.gauge("varpin_breaker_state", "1 for the state that the breaker is in.");
    for ([kind, name], breaker) in breakers() {
        for known in [BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Open] {
            let is_in = f64::from(u8::from(breaker.state == known));
            states.add(&[kind, name, ("state", known.name())], is_in);
        }
    }
    type Count = fn(&crate::supervise::BreakerHealth) -> u64;
    let counts: [(&str, &str, Count); 4] = [
        ("varpin_breaker_opened_total", "How often the breaker has opened.", |breaker| breaker.opened),
        ("varpin_breaker_held_total", "How often work was held up while it was open.", |breaker| {
            breaker.held
        }),
        ("varpin_breaker_dead_lettered_total", "Work that went to the dead letters instead.", |breaker| {
            breaker.dead_lettered
        }),
        ("varpin_breaker_dropped_total", "Work that was dropped instead.", |breaker| breaker.dropped),
    ];
    for (name, help, count) in counts {
        let mut family = text.counter(name, help);
        for (labels, breaker) in breakers() {
            family.add(&labels, count(&breaker) as f64);
        }
    }
}

fn named(component: &ComponentHealth) -> [(&str, &str); 2] {
    [("kind", component.component.kind()), ("name", component.component.name())]
}
