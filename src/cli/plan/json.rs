//! A plan for programs.
//!
//! One object: `threaded`, `order`, `contexts` (name, cores, implicit, idle, capacity, when_full, policies: what
//! becomes of failures, defaults included; null where the program leaves the choice), `strategy` (where anything is
//! restarted), `rolls_back` (there, if it means that everything goes back to the last checkpoint), `stages` (name,
//! context, streams; worker: its number, in a pool), `rings` (from, to:
//! names of stages, `input` and `output`; names: what goes over it) and `streams` in the order in which they run
//! (name, rank, context, from, operators as verb and text, results as type and fields with null for all fields, feeds,
//! order_dependence with null where the order of rings does not matter). Where the program reads or writes files:
//! `source_files` (paths) and `sinks` (sink, streams). Where any are declared: `sink_policies` (of `output`: what
//! becomes of results that cannot be written).

use std::collections::BTreeMap;

use serde::Serialize;
use varpin::context::From;
use varpin::vpl::plan_print::PlanPrinter;

use super::policies::PoliciesJson;
use super::{View, policies, results};

#[derive(Serialize)]
struct PlanJson<'a> {
    threaded: bool,
    order: Option<&'a str>,
    strategy: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rolls_back: bool,
    contexts: Vec<ContextJson<'a>>,
    stages: Vec<StageJson<'a>>,
    rings: Vec<RingJson<'a>>,
    streams: Vec<StreamJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    source_files: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sinks: Vec<SinkJson<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sink_policies: BTreeMap<&'a str, PoliciesJson>,
}

#[derive(Serialize)]
struct SinkJson<'a> {
    sink: &'a str,
    streams: Vec<&'a str>,
}

#[derive(Serialize)]
struct ContextJson<'a> {
    name: &'a str,
    cores: &'a [usize],
    implicit: bool,
    idle: Option<&'a str>,
    capacity: Option<usize>,
    when_full: Option<&'a str>,
    policies: Option<PoliciesJson>,
}

#[derive(Serialize)]
struct StageJson<'a> {
    name: &'a str,
    context: &'a str,
    streams: Vec<&'a str>,
    worker: Option<usize>,
}

#[derive(Serialize)]
struct RingJson<'a> {
    from: &'a str,
    to: &'a str,
    names: Vec<&'a str>,
}

#[derive(Serialize)]
struct StreamJson<'a> {
    name: &'a str,
    rank: usize,
    context: &'a str,
    from: String,
    operators: Vec<OperatorJson>,
    results: Vec<ResultJson<'a>>,
    feeds: Vec<&'a str>,
    order_dependence: Option<&'a str>,
}

#[derive(Serialize)]
struct OperatorJson {
    verb: String,
    text: String,
}

#[derive(Serialize)]
struct ResultJson<'a> {
    r#type: &'a str,
    fields: Option<Vec<&'a str>>,
}

pub(super) fn print(view: &View<'_>) -> String {
    let plan = view.plan;
    let contexts = plan.contexts.iter().filter(|_| plan.threaded).map(|context| ContextJson {
        name: &context.name,
        cores: &context.cores,
        implicit: context.implicit,
        idle: context.settings.idle.as_deref().or(plan.engine.idle.as_deref()),
        capacity: context.settings.capacity.or(plan.engine.capacity),
        when_full: context.settings.when_full.as_deref(),
        policies: policies::of_context(plan, context).as_ref().map(PoliciesJson::of_context),
    });
    let all = PlanJson {
        threaded: plan.threaded,
        order: plan.engine.order.as_deref(),
        strategy: policies::strategy(plan),
        rolls_back: policies::rolls_back(plan),
        contexts: contexts.collect(),
        stages: if plan.threaded { stages(view) } else { Vec::new() },
        rings: if plan.threaded { rings(view) } else { Vec::new() },
        streams: streams(view),
        source_files: plan.source_files.iter().map(|source| source.path.as_str()).collect(),
        sinks: plan
            .sinks
            .iter()
            .map(|sink| SinkJson {
                sink: sink.place(),
                streams: sink.streams.iter().map(|&stream| plan.streams[stream].name.as_str()).collect(),
            })
            .collect(),
        sink_policies: view
            .guarded_sinks()
            .filter_map(|(name, settings)| Some((name, PoliciesJson::of_sink(&policies::of_sink(settings)?))))
            .collect(),
    };
    // Names, numbers and lists always have a form in JSON.
    serde_json::to_string_pretty(&all).unwrap_or_default()
}

fn stages<'a>(view: &'a View<'_>) -> Vec<StageJson<'a>> {
    let stage = |stage: &'a varpin::context::StageSpec| StageJson {
        name: &stage.name,
        context: &view.plan.contexts[stage.context].name,
        streams: stage.streams.iter().map(|&stream| view.plan.streams[stream].name.as_str()).collect(),
        worker: stage.worker.map(|worker| worker.index),
    };
    view.topology.stages.iter().map(stage).collect()
}

fn rings<'a>(view: &'a View<'_>) -> Vec<RingJson<'a>> {
    let plan = view.plan;
    let stages = &view.topology.stages;
    let mut rings: Vec<RingJson<'a>> = Vec::new();
    for edge in &view.topology.edges {
        let fed = edge.feeds.iter().map(|&(stream, feed)| view.plan.streams[stream].feeds[feed].name);
        let mut names: Vec<&str> = Vec::new();
        for name in fed.chain(edge.relays.iter().copied()) {
            let name = plan.names[name].name.as_str();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let from = match edge.from {
            From::Input => "input",
            From::Stage(stage) => stages[stage].name.as_str(),
        };
        names.extend(edge.scatters.map(|stream| plan.streams[stream].name.as_str()));
        rings.push(RingJson { from, to: &stages[edge.to].name, names });
    }
    for stage in stages {
        let names: Vec<&str> = stage.results(plan).map(|stream| plan.streams[stream].name.as_str()).collect();
        if !names.is_empty() {
            rings.push(RingJson { from: &stage.name, to: "output", names });
        }
    }
    rings
}

fn streams<'a>(view: &'a View<'_>) -> Vec<StreamJson<'a>> {
    let stream = |(index, stream): (usize, &'a varpin::vpl::plan::StreamPlan)| StreamJson {
        name: &stream.name,
        rank: index + 1,
        context: if view.plan.threaded { view.context_of(stream) } else { "" },
        from: PlanPrinter::new(view.plan).source(&stream.source),
        operators: view
            .operators(stream)
            .into_iter()
            .map(|described| OperatorJson { verb: described.verb, text: described.text })
            .collect(),
        results: results(stream).into_iter().map(|(r#type, fields)| ResultJson { r#type, fields }).collect(),
        feeds: view
            .consumers(stream)
            .iter()
            .map(|&consumer| view.plan.streams[consumer].name.as_str())
            .collect(),
        order_dependence: view.dependence(index),
    };
    view.plan.streams.iter().enumerate().map(stream).collect()
}
