//! A report for people.

use std::fmt::Write;

use varpin::metrics::PERCENTILES;

use crate::cli::gauges::time;

use super::report::{Report, Run, Series, grouped, name_of};

/// The whole report.
pub(super) fn text(report: &Report) -> String {
    let settings = &report.settings;
    let mut out = String::new();
    // Writing into a string cannot fail, here and below.
    let _ = writeln!(out, "machine    {}", report.machine);
    let _ = write!(out, "{:<11}", settings.benchmark);
    if let Some(program) = &settings.program {
        let _ = write!(out, "{program}, ");
    }
    if let Some(contexts) = settings.contexts {
        let _ = write!(out, "{contexts} contexts, ");
    }
    let _ = write!(out, "rings of {} slots", settings.capacity);
    if let Some(bytes) = settings.payload_bytes {
        let _ = write!(out, ", {bytes} bytes");
    }
    if let Some(batch) = settings.batch.filter(|&batch| batch > 1) {
        let _ = write!(out, ", batches of up to {batch}");
    }
    let _ = writeln!(out, ", {} s after {} s of warm-up", settings.duration_s, settings.warmup_s);
    let threads = settings.threads.iter().map(|(role, cpu)| match cpu {
        Some(cpu) => format!("{role} on CPU {cpu}"),
        None => format!("{role} on any CPU"),
    });
    let threads = threads.collect::<Vec<_>>();
    if !threads.is_empty() {
        let _ = writeln!(out, "threads    {}", threads.join(", "));
    }
    let _ = writeln!(out, "idle       {}: {}", settings.idle, settings.idle_reason);
    if let Some(stall_ns) = settings.stall_ns {
        let _ = writeln!(out, "drill      the receiver stands still for {} once a second", time(stall_ns));
    }
    for warning in &report.warnings {
        let _ = writeln!(out, "warning    {warning}");
    }
    let mut rows = vec![header()];
    if let Some(floor) = &report.floor {
        let [from, to] = floor.cpus;
        rows.push(row(&format!("floor, CPU {from} to {to}"), String::new(), &floor.one_way));
    }
    for run in &report.runs {
        let failed = if run.failed { " FAILED" } else { "" };
        rows.push(row(&format!("{}{failed}", run.label()), grouped(run.rate), &run.latency));
        rows.extend(run.hops.iter().map(|hop| row(&format!("  {}", hop.name), String::new(), hop)));
        // The latencies of a load that was not kept up say nothing of the way.
        if !run.times_floor.is_empty() && !run.failed {
            rows.push(ratios(run));
        }
        rows.extend(run.late_sends.iter().map(|late| row("  of it sent late", String::new(), late)));
        rows.extend(run.hiccups.iter().map(|hiccups| {
            let cpu = hiccups.cpu.map_or_else(|| "any CPU".to_owned(), |cpu| format!("CPU {cpu}"));
            row(&format!("  empty loop {}, {cpu}", hiccups.when), String::new(), &hiccups.late)
        }));
    }
    out.push('\n');
    align(&mut out, &rows);
    out.push('\n');
    let mut said = Vec::new();
    for run in report.runs.iter().filter(|run| !run.measures.is_empty()) {
        if !said.contains(&run.measures) {
            let _ = writeln!(out, "latency    {}", run.measures);
            said.push(run.measures);
        }
    }
    let _ = writeln!(out, "n/a        fewer than ten samples lie above");
    for run in report.runs.iter().filter(|run| run.failed) {
        let wanted = run.wanted_rate.unwrap_or_default();
        let _ = writeln!(
            out,
            "FAILED     {} events/s were wanted and {} sent, {:.1} % too few: the latencies are those of another load",
            grouped(wanted),
            grouped(run.rate),
            100.0 * (1.0 - run.rate / wanted)
        );
    }
    out
}

fn header() -> Vec<String> {
    let mut cells = vec!["rate".to_owned(), "sent/s".to_owned()];
    cells.extend(PERCENTILES.iter().map(|&percentile| name_of(percentile)));
    cells.push("max".to_owned());
    cells
}

fn row(name: &str, rate: String, series: &Series) -> Vec<String> {
    let known = |ns: Option<u64>| ns.map_or_else(|| "n/a".to_owned(), time);
    let mut cells = vec![name.to_owned(), rate];
    cells.extend(series.percentiles_ns.0.iter().map(|&ns| known(ns)));
    cells.push(known(series.max_ns));
    cells
}

fn ratios(run: &Run) -> Vec<String> {
    let mut cells = vec!["  times the floor".to_owned(), String::new()];
    cells.extend(PERCENTILES.iter().map(|&percentile| {
        run.times_floor.get(&name_of(percentile)).map_or_else(String::new, |ratio| format!("{ratio:.1}"))
    }));
    cells.push(String::new());
    cells
}

/// Rows below each other: the first column to the left, the others to the right.
fn align(out: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let _ =
                if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
