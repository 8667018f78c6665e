//! A plan for graphviz: `varpin plan --format dot p.vpl | dot -Tsvg`. Contexts are boxes around their streams; bold
//! edges are rings.

use std::fmt::Write;

use super::View;

pub(super) fn print(view: &View<'_>) -> String {
    let plan = view.plan;
    let mut out =
        String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n");
    // Writing into a string cannot fail, here and below.
    for name in view.inputs() {
        let _ = writeln!(out, "  n{name} [label=\"{}\", shape=oval];", escaped(&plan.names[name].name));
    }
    for (index, context) in plan.contexts.iter().enumerate().filter(|_| plan.threaded) {
        let cores: Vec<String> = context.cores.iter().map(ToString::to_string).collect();
        let cores = if cores.is_empty() { String::new() } else { format!(" (cores {})", cores.join(", ")) };
        let label = escaped(&format!("{}{cores}", context.name));
        let _ = writeln!(out, "  subgraph cluster{index} {{\n    label=\"{label}\";");
        for (at, stream) in plan.streams.iter().enumerate().filter(|(_, stream)| stream.context == index) {
            let _ = writeln!(out, "    s{at} [label=\"{}\"];", label_of(view, stream));
        }
        out.push_str("  }\n");
    }
    for (at, stream) in plan.streams.iter().enumerate().filter(|_| !plan.threaded) {
        let _ = writeln!(out, "  s{at} [label=\"{}\"];", label_of(view, stream));
    }
    let ring = |crosses: bool| if crosses { " [style=bold]" } else { "" };
    for name in view.inputs() {
        for consumer in &plan.names[name].consumers {
            let _ = writeln!(out, "  n{name} -> s{consumer}{};", ring(plan.threaded));
        }
    }
    for (at, sink) in plan.sinks.iter().enumerate() {
        let _ = writeln!(out, "  sink{at} [label=\"{}\", shape=note];", escaped(sink.place()));
        for stream in &sink.streams {
            let _ = writeln!(out, "  s{stream} -> sink{at};");
        }
    }
    for (at, source) in plan.source_files.iter().enumerate() {
        let _ = writeln!(out, "  source{at} [label=\"{}\", shape=note];", escaped(&source.path));
        for name in view.inputs().into_iter().filter(|&name| plan.names[name].name == source.event_type) {
            let _ = writeln!(out, "  source{at} -> n{name};");
        }
    }
    let mut any_results = false;
    for (at, stream) in plan.streams.iter().enumerate() {
        for consumer in view.consumers(stream) {
            let _ = writeln!(
                out,
                "  s{at} -> s{consumer}{};",
                ring(plan.streams[consumer].context != stream.context)
            );
        }
        if !stream.results.is_empty() {
            any_results = true;
            let _ = writeln!(out, "  s{at} -> output{};", ring(plan.threaded));
        }
    }
    if any_results {
        out.push_str("  output [label=\"results\", shape=oval];\n");
    }
    out.push_str("}\n");
    out
}

/// Name and operators, one a line, to the left.
fn label_of(view: &View<'_>, stream: &varpin::vpl::plan::StreamPlan) -> String {
    let mut label = format!("{}\\l", escaped(&stream.name));
    for described in view.operators(stream) {
        let _ = write!(label, "{} {}\\l", escaped(&described.verb), escaped(&described.text));
    }
    label
}

/// Text inside double quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}
