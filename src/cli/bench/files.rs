//! What a measurement leaves in files: distributions for HdrHistogram's tools, and the drawing.

use std::path::{Path, PathBuf};

use varpin::metrics::IntervalLog;

use super::args::CommonArgs;
use super::chart;
use super::report::Report;

/// Tries whether the files can be written, before anything is measured.
pub(super) fn begin(common: &CommonArgs) -> Result<(), String> {
    for path in [&common.hgrm, &common.hlog, &common.svg].into_iter().flatten() {
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
        opened.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Writes the files.
pub(super) fn write(common: &CommonArgs, report: &Report) -> Result<(), String> {
    if let Some(path) = &common.hgrm {
        for run in &report.runs {
            let path = if report.runs.len() == 1 { path.clone() } else { beside(path, run.wanted_rate) };
            put(&path, &run.latency.latencies.to_hgrm())?;
        }
    }
    if let Some(path) = &common.hlog {
        put(path, &interval_log(report))?;
    }
    if let Some(path) = &common.svg {
        put(path, &chart::of_report(report)?)?;
    }
    Ok(())
}

pub(super) fn put(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// A rate in names.
fn rate_name(rate: Option<f64>) -> String {
    rate.map_or_else(|| "max".to_owned(), |rate| rate.to_string())
}

/// Where the distribution of one of several runs goes: the rate stands in front of the extension.
fn beside(path: &Path, rate: Option<f64>) -> PathBuf {
    let rate = rate_name(rate);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{rate}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{rate}"),
    };
    path.with_file_name(name)
}

/// All runs over time, one behind the other; the tag of a line is the rate of its run.
fn interval_log(report: &Report) -> String {
    let mut log = IntervalLog::new(report.started_s);
    let mut start_s = 0.0;
    for run in &report.runs {
        let tag = rate_name(run.wanted_rate);
        let length_s = run.timeline.interval_ns() as f64 / 1e9;
        for (at, interval) in run.timeline.intervals().iter().enumerate() {
            log.add(&tag, start_s + at as f64 * length_s, length_s, interval);
        }
        start_s += run.timeline.intervals().len() as f64 * length_s;
    }
    log.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_several_runs_have_the_rate_in_their_name() {
        let cases = [
            ("a/b.hgrm", Some(1e6), "a/b-1000000.hgrm"),
            ("b", None, "b-max"),
            ("c.x.hgrm", Some(0.5), "c.x-0.5.hgrm"),
        ];
        for (path, rate, wanted) in cases {
            assert_eq!(beside(Path::new(path), rate), Path::new(wanted));
        }
    }
}
