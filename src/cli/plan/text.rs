//! A plan for people.

use std::fmt::Write;

use varpin::context::From;
use varpin::vpl::plan::ContextPlan;
use varpin::vpl::plan_print::{Described, PlanPrinter};

use super::{View, policies, results};

pub(super) fn print(view: &View<'_>) -> String {
    let mut out = String::new();
    if view.plan.threaded {
        threads(&mut out, view);
        rings(&mut out, view);
    } else {
        out.push_str(
            "no contexts: everything runs on the thread that reads the input; no other thread, no ring\n",
        );
    }
    files(&mut out, view);
    sinks(&mut out, view);
    streams(&mut out, view);
    out
}

/// What comes in beside the events that the command is given.
fn files(out: &mut String, view: &View<'_>) {
    if !view.plan.source_files.is_empty() {
        out.push_str("\nfiles that are read, merged by time with the other events\n");
    }
    for source in &view.plan.source_files {
        let _ = writeln!(out, "  {}", source.path);
    }
    if view.plan.console_source.is_some() {
        out.push_str("\nthe events come from standard input\n");
    }
}

/// What becomes of what sinks cannot take.
fn sinks(out: &mut String, view: &View<'_>) {
    for (name, settings) in view.guarded_sinks() {
        let policies = policies::of_sink(settings);
        for (nth, line) in policies.iter().flat_map(policies::sink_lines).enumerate() {
            // Writing into a string cannot fail.
            let _ = if nth == 0 { write!(out, "\n{name}\n") } else { Ok(()) };
            let _ = writeln!(out, "  {line}");
        }
    }
}

fn threads(out: &mut String, view: &View<'_>) {
    let order = view.plan.engine.order.as_deref().unwrap_or("timestamp");
    out.push_str("threads\n");
    for (index, context) in view.plan.contexts.iter().enumerate() {
        let width = longest(view.plan.contexts.iter().map(|context| &context.name));
        let stages: Vec<&str> = view
            .topology
            .stages
            .iter()
            .filter(|stage| stage.context == index && stage.worker.is_none())
            .map(|stage| stage.name.as_str())
            .collect();
        // Writing into a string cannot fail, here and below.
        let _ = write!(out, "  {:width$}  {}", context.name, cpus(context));
        let _ = write!(out, "; {}", settings(view, context));
        if stages.len() > 1 {
            let _ = write!(out, "; as stages {}, because rows come back to it", stages.join(", "));
        }
        out.push('\n');
        pools(out, view, index, width);
        let policies = policies::of_context(view.plan, context);
        for line in policies.iter().flat_map(policies::lines) {
            let _ = writeln!(out, "  {:width$}    {line}", "");
        }
    }
    let along = match policies::strategy(view.plan) {
        _ if policies::rolls_back(view.plan) => {
            "a restart: everything goes back to the last checkpoint, whatever the strategy"
        }
        Some("rest_for_one") => "one that fails is restarted with those behind it (rest_for_one)",
        Some("one_for_all") => "one that fails is restarted with all others (one_for_all)",
        Some(_) => "one that fails is restarted alone (one_for_one)",
        None => "",
    };
    if !along.is_empty() {
        let _ = writeln!(out, "  {along}");
    }
    let _ =
        writeln!(out, "  rows of several rings are merged by {order} order, unless --order says otherwise");
}

/// The workers of the context's pools, with the CPUs that are left for them.
fn pools(out: &mut String, view: &View<'_>, context: usize, width: usize) {
    let workers =
        view.topology.stages.iter().filter(|stage| stage.context == context && stage.worker.is_some());
    let mut workers: Vec<_> = workers.collect();
    workers.sort_by_key(|stage| stage.worker.map(|worker| worker.thread));
    for (at, stage) in workers.iter().enumerate() {
        let cpu = match view.plan.contexts[context].cores.get(at + 1) {
            Some(cpu) => format!("on CPU {cpu}"),
            None => "on any CPU".to_owned(),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(out, "  {:width$}  {cpu}; a worker of its pool", stage.name);
    }
}

fn cpus(context: &ContextPlan) -> String {
    match &context.cores[..] {
        [] if context.implicit => "for streams without a context; on any CPU".to_owned(),
        [] => "on any CPU".to_owned(),
        [own] => format!("on CPU {own}"),
        [own, others @ ..] => {
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            format!("on CPU {own} ({} listed too, for pools)", others.join(", "))
        }
    }
}

fn settings(view: &View<'_>, context: &ContextPlan) -> String {
    let (own, engine) = (&context.settings, &view.plan.engine);
    let idle = own.idle.as_deref().or(engine.idle.as_deref()).unwrap_or("auto");
    let capacity =
        own.capacity.or(engine.capacity).map_or_else(|| "1024".to_owned(), |rows| rows.to_string());
    let when_full = own.when_full.as_deref().unwrap_or("block");
    format!("idle {idle}; rings of {capacity} rows, when full: {when_full}")
}

fn rings(out: &mut String, view: &View<'_>) {
    let stages = &view.topology.stages;
    let from = |from: From| match from {
        From::Input => "input",
        From::Stage(stage) => &stages[stage].name,
    };
    let mut rows: Vec<(String, String)> = Vec::new();
    for edge in &view.topology.edges {
        let mut names: Vec<&str> = Vec::new();
        let fed = edge.feeds.iter().map(|&(stream, feed)| view.plan.streams[stream].feeds[feed].name);
        // What comes from outside under a stream's name goes along; it is not what the ring is for.
        let made = |name: &&usize| !view.inputs().contains(name);
        let relayed = edge.relays.iter().filter(|name| !made(name)).copied();
        let scattered =
            edge.scatters.map(|stream| format!("rows of {} for its pool", view.plan.streams[stream].name));
        for name in fed.chain(relayed) {
            let name = view.plan.names[name].name.as_str();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.extend(scattered.as_deref());
        let names =
            if names.is_empty() { "(nothing but the end of the input)".to_owned() } else { names.join(", ") };
        rows.push((format!("{} -> {}", from(edge.from), stages[edge.to].name), names));
    }
    for stage in stages {
        let results = stage.results(view.plan).map(|stream| view.plan.streams[stream].name.as_str());
        let results: Vec<&str> = results.collect();
        if !results.is_empty() {
            rows.push((format!("{} -> output", stage.name), results.join(", ")));
        }
    }
    out.push_str("\nrings\n");
    let width = longest(rows.iter().map(|(ends, _)| ends));
    for (ends, names) in &rows {
        let _ = writeln!(out, "  {ends:width$}  {names}");
    }
}

fn streams(out: &mut String, view: &View<'_>) {
    out.push_str("\nstreams, in the order in which they run\n");
    for (index, stream) in view.plan.streams.iter().enumerate() {
        let context =
            if view.plan.threaded { format!(" in {}", view.context_of(stream)) } else { String::new() };
        let _ = writeln!(out, "  {}. {}{context}", index + 1, stream.name);
        let mut lines = vec![line("from", PlanPrinter::new(view.plan).source(&stream.source))];
        lines.extend(view.operators(stream));
        if stream.out_of_order_ns > 0 || stream.allowed_lateness_ns > 0 {
            let time = |ns: i64| format!("{} ms", ns as f64 / 1e6);
            lines.push(line(
                "watermark",
                format!(
                    "{} behind the latest event; windows stay open for {} more",
                    time(stream.out_of_order_ns),
                    time(stream.allowed_lateness_ns)
                ),
            ));
        }
        for (type_name, fields) in results(stream) {
            let fields = fields.map_or_else(|| "all fields".to_owned(), |fields| fields.join(", "));
            lines.push(line("result", format!("{type_name} {{{fields}}}")));
        }
        let consumers = view.consumers(stream);
        if !consumers.is_empty() {
            let consumers: Vec<&str> =
                consumers.iter().map(|&consumer| view.plan.streams[consumer].name.as_str()).collect();
            lines.push(line("feeds", consumers.join(", ")));
        } else if !stream.leaves_engine() {
            lines.push(line("feeds", "nothing, and has no results: it does nothing".to_owned()));
        }
        if let Some(why) = view.dependence(index) {
            let sure = "unless the order is deterministic, results can differ from run to run";
            lines.push(line("order", format!("{why}: {sure}")));
        }
        let width = longest(lines.iter().map(|line| &line.verb));
        for Described { verb, text } in lines {
            let _ = writeln!(out, "       {verb:width$}  {text}");
        }
    }
    if view.plan.streams.is_empty() {
        out.push_str("  none: the program does nothing\n");
    }
}

fn line(verb: &str, text: String) -> Described {
    Described { verb: verb.to_owned(), text }
}

fn longest<'a>(texts: impl Iterator<Item = &'a String>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}
