//! `varpin bench`: measures, and says under which circumstances. What measures is the library's; here it is set up, put
//! beside the floor and an empty loop, and written down.

mod args;
mod chart;
mod control;
mod due;
mod engines;
mod events;
mod files;
mod measured;
mod plot;
mod report;
mod rings;
mod settings;
mod table;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use varpin::engine::Program;
use varpin::metrics::core_to_core;

pub(super) use args::{BenchArgs, time};
use args::{Rate, What};
use measured::Measured;
use report::{FloorReport, OverTime, Report, Run, SCHEMA, Series, has_missed};
use settings::{Kind, Settings, USUAL_CAPACITY};

use super::exit::Exit;
use super::machine::Machine;
use super::messages;

/// Round trips for the floor, and how long they may take.
const FLOOR_TRIPS: u64 = 200_000;
const FLOOR_WITHIN: Duration = Duration::from_millis(500);

/// Measures what was asked for.
pub(super) fn bench(typed: BenchArgs) -> Exit {
    if let What::Plot(plot) = &typed.what {
        return match plot::plot(plot) {
            Ok(()) => Exit::Done,
            Err(message) => refuse(message),
        };
    }
    let mut settings = match Settings::new(typed.what) {
        Ok(settings) => settings,
        Err(message) => return refuse(message),
    };
    let program = match &settings.kind {
        Kind::Program { program, .. } => match messages::load(program, false) {
            Some(program) => Some(program),
            None => return Exit::Refused,
        },
        Kind::Pipeline { payload, .. } => {
            match Program::parse(&engines::chain(&settings.threads, *payload)) {
                Ok(program) => Some(program),
                Err(error) => return refuse(error),
            }
        }
        Kind::Hop { .. } | Kind::Throughput { .. } => None,
    };
    if let Err(message) = files::begin(&settings.common) {
        return refuse(message);
    }
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let floor = floor(&mut settings);
    let mut report = Report {
        schema: SCHEMA,
        started_s: started,
        command: std::env::args().collect(),
        machine: Machine::here(),
        settings: described(&settings),
        floor,
        runs: Vec::new(),
        failed: false,
        warnings: Vec::new(),
    };
    for &rate in &settings.rates {
        let (measured, hiccups, problem) = control::beside(&settings, rate, || match &program {
            None => rings::measure(&settings, rate),
            Some(program) => engines::measure(&settings, program, rate),
        });
        let mut measured = match measured {
            Ok(measured) => measured,
            Err(message) => {
                messages::error(message);
                return Exit::Failed;
            }
        };
        measured.warnings.extend(problem);
        add(&mut report, rate, measured, hiccups);
    }
    report.warnings.splice(0..0, settings.warnings.iter().cloned());
    if cfg!(debug_assertions) {
        report.warnings.insert(0, "this is a debug build: its figures mean nothing".to_owned());
    }
    report.failed = report.runs.iter().any(|run| run.failed);
    if settings.common.json {
        // Numbers, texts and lists always have a form in JSON.
        messages::print(&serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        messages::print(table::text(&report).trim_end());
    }
    if let Err(message) = files::write(&settings.common, &report) {
        messages::error(message);
        return Exit::Failed;
    }
    if report.failed { Exit::Missed } else { Exit::Done }
}

fn refuse(message: impl std::fmt::Display) -> Exit {
    messages::error(message);
    Exit::Refused
}

/// What the first two CPUs need for a hop.
fn floor(settings: &mut Settings) -> Option<FloorReport> {
    let hops = match settings.kind {
        Kind::Hop { .. } | Kind::Throughput { .. } => 1,
        // In, from context to context, and out.
        Kind::Pipeline { contexts, .. } => contexts + 1,
        // Which way events take is the program's business.
        Kind::Program { .. } => 0,
    };
    let [first, second, ..] = settings.pinned_cpus()[..] else { return None };
    match core_to_core([first, second], FLOOR_TRIPS, FLOOR_WITHIN) {
        Ok(floor) => {
            Some(FloorReport { cpus: floor.cpus, one_way: Series::new("floor", floor.one_way), hops })
        }
        Err(error) => {
            settings.warnings.push(format!("the floor was not measured: {error}"));
            None
        }
    }
}

fn described(settings: &Settings) -> report::Settings {
    let common = &settings.common;
    let (payload_bytes, batch, contexts, program) = match &settings.kind {
        Kind::Hop { payload } => (Some(*payload), Some(1), None, None),
        Kind::Throughput { payload, batch } => (Some(*payload), Some(*batch), None, None),
        Kind::Pipeline { contexts, payload } => (Some(*payload), None, Some(*contexts), None),
        Kind::Program { program, .. } => (None, None, None, Some(program.display().to_string())),
    };
    report::Settings {
        benchmark: settings.kind.name(),
        program,
        duration_s: common.duration.as_secs_f64(),
        warmup_s: common.warmup.as_secs_f64(),
        idle: settings.idle.to_string(),
        idle_reason: settings.idle_reason.clone(),
        pin: common.pin.to_string(),
        threads: settings.threads.clone(),
        capacity: common.capacity.map_or(USUAL_CAPACITY, std::num::NonZeroUsize::get),
        payload_bytes,
        batch,
        contexts,
        latency_sample: settings.latency_sample,
        stall_ns: common.stall.map(|stall| stall.as_nanos() as u64),
    }
}

/// Adds a run to the report.
fn add(report: &mut Report, rate: Rate, measured: Measured, hiccups: Vec<report::HiccupReport>) {
    let wanted_rate = match rate {
        Rate::Max => None,
        Rate::Open(rate) => Some(rate),
    };
    report.settings.threads = measured.threads;
    if let Some((idle, reason)) = measured.idle {
        (report.settings.idle, report.settings.idle_reason) = (idle, reason);
    }
    for warning in measured.warnings {
        if !report.warnings.contains(&warning) {
            report.warnings.push(warning);
        }
    }
    let latency = Series::new("latency", measured.timeline.total());
    let times_floor = match &report.floor {
        Some(floor) if floor.hops > 0 => latency.times(&floor.one_way, floor.hops),
        _ => std::collections::BTreeMap::new(),
    };
    report.runs.push(Run {
        mode: if wanted_rate.is_some() { "open" } else { "closed" },
        wanted_rate,
        rate: measured.rate,
        failed: has_missed(wanted_rate, measured.rate),
        events: measured.events,
        results: measured.results,
        seconds: measured.seconds,
        measures: measured.measures,
        latency,
        hops: measured.hops.into_iter().map(|(name, latencies)| Series::new(name, latencies)).collect(),
        late_sends: measured.late_sends.map(|late| Series::new("sent late", late)),
        times_floor,
        hiccups,
        over_time: OverTime::new(&measured.timeline),
        timeline: measured.timeline,
    });
}
