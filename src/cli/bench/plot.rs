//! `bench plot`: distributions of several runs, or of several programs, in one drawing.

use varpin::metrics::Curve;

use super::args::PlotArgs;
use super::chart::{self, Line};
use super::files;

/// More lines than that cannot be told apart.
const MOST_FILES: usize = 8;

pub(super) fn plot(typed: &PlotArgs) -> Result<(), String> {
    if typed.files.len() > MOST_FILES {
        return Err(format!("a drawing has room for {MOST_FILES} lines"));
    }
    if !typed.unit_ns.is_finite() || typed.unit_ns <= 0.0 {
        return Err("--unit-ns: a unit is longer than nothing".to_owned());
    }
    let mut lines = Vec::with_capacity(typed.files.len());
    for file in &typed.files {
        let (name, path) = match file.split_once('=') {
            Some((name, path)) => (name.to_owned(), path),
            None => (stem(file), file.as_str()),
        };
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
        let curve = Curve::from_hgrm(&text, typed.unit_ns).map_err(|error| format!("{path}, {error}"))?;
        lines.push(Line { name, curve, is_background: false });
    }
    files::put(&typed.svg, &chart::of_lines(&typed.title, &lines)?)
}

fn stem(path: &str) -> String {
    std::path::Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
