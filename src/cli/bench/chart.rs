//! Drawings: latency by percentile, on an axis of nines, and latency over time.
//!
//! What rests on fewer than ten samples is drawn faintly: it happened, but it is no percentile.

use plotters::coord::Shift;
use plotters::prelude::*;
use varpin::metrics::Curve;

use crate::cli::gauges::time;

use super::report::{OverTime, Report};

const WIDTH: u32 = 960;
const HEIGHT: u32 = 520;
const OVER_TIME_HEIGHT: u32 = 360;
/// Samples that must lie above a percentile.
const SAMPLES_ABOVE: u64 = 10;
/// Colours that people with any sight can tell apart (Okabe and Ito), the most telling first.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
const GREYS: [RGBColor; 3] = [RGBColor(120, 120, 120), RGBColor(160, 160, 160), RGBColor(190, 190, 190)];
const FAINT: f64 = 0.35;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// A distribution to draw.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) curve: Curve,
    /// It is what others are compared with.
    pub(super) is_background: bool,
}

/// All runs of a report by percentile, beside floor and empty loop, and over time.
pub(super) fn of_report(report: &Report) -> Result<String, String> {
    let mut lines = Vec::new();
    for run in &report.runs {
        let failed = if run.failed { ", FAILED" } else { "" };
        let curve = Curve::of(&run.latency.latencies);
        lines.push(Line { name: format!("{}{failed}", run.label()), curve, is_background: false });
    }
    if let Some(floor) = &report.floor {
        let curve = Curve::of(&floor.one_way.latencies);
        lines.push(Line { name: "floor, core to core".to_owned(), curve, is_background: true });
    }
    // One control is enough to look at: those of all runs went through the same.
    if let Some(hiccups) = report.runs.first().and_then(|run| run.hiccups.first()) {
        let curve = Curve::of(&hiccups.late.latencies);
        lines.push(Line { name: "empty loop".to_owned(), curve, is_background: true });
    }
    let title = format!("varpin bench {}", report.settings.benchmark);
    let over_time: Vec<(String, &OverTime)> =
        report.runs.iter().map(|run| (run.label(), &run.over_time)).collect();
    draw(HEIGHT + OVER_TIME_HEIGHT, |root| {
        let (above, below) = root.split_vertically(HEIGHT);
        by_percentile(&above, &title, &lines)?;
        by_time(&below, &over_time)
    })
}

/// Distributions by percentile.
pub(super) fn of_lines(title: &str, lines: &[Line]) -> Result<String, String> {
    draw(HEIGHT, |root| by_percentile(root, title, lines))
}

fn draw(height: u32, paint: impl Fn(&Area<'_>) -> Result<(), String>) -> Result<String, String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE).map_err(|error| error.to_string())?;
        paint(&root)?;
        root.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

/// How far to the right a percentile stands: one step for each nine.
fn nines(percentile: f64, samples: u64) -> f64 {
    // The longest of n samples stands where one in n lies above.
    let above = (1.0 - percentile / 100.0).max(1.0 / samples.max(1) as f64);
    -above.log10()
}

/// `99.9%`, at a whole number of nines.
fn nines_name(nines: f64) -> String {
    if (nines - nines.round()).abs() > 1e-6 {
        return String::new();
    }
    match nines.round() as i32 {
        0 => "0%".to_owned(),
        1 => "90%".to_owned(),
        2 => "99%".to_owned(),
        more => format!("99.{}%", "9".repeat(usize::try_from(more - 2).unwrap_or(0))),
    }
}

/// `10 us`, where the axis of latencies has a power of ten.
fn decade_name(ns: f64) -> String {
    let name = time(ns.round() as u64);
    match name.split_once(' ') {
        Some((digits, unit)) if digits.contains('.') => {
            format!("{} {unit}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => name,
    }
}

/// The decades around all values.
fn decades(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (least, most) = values
        .filter(|value| *value > 0.0)
        .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
    if most < least {
        return 1.0..10.0;
    }
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    10f64.powf(low)..10f64.powf(high.max(low + 1.0))
}

fn by_percentile(area: &Area<'_>, title: &str, lines: &[Line]) -> Result<(), String> {
    let point = |line: &Line| {
        let total = line.curve.points().last().map_or(0, |last| last.samples);
        let points = line.curve.points().iter();
        points.map(|at| (nines(at.percentile, total), at.latency_ns, total - at.samples)).collect::<Vec<_>>()
    };
    let drawn: Vec<(&Line, Vec<_>)> = lines.iter().map(|line| (line, point(line))).collect();
    let all = || drawn.iter().flat_map(|(_, points)| points);
    let right = all().map(|point| point.0).fold(2.0, f64::max);
    let range = decades(all().map(|point| point.1));
    let paint = || -> Drawn<'_> {
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..right, range.log_scale())?;
        chart
            .configure_mesh()
            .x_labels(right.ceil() as usize + 1)
            .x_label_formatter(&|at| nines_name(*at))
            .y_label_formatter(&|ns| decade_name(*ns))
            .x_desc("percentile")
            .y_desc("latency")
            .light_line_style(RGBColor(240, 240, 240))
            .bold_line_style(RGBColor(215, 215, 215))
            .draw()?;
        let (mut colours, mut greys) = (COLOURS.iter().cycle(), GREYS.iter().cycle());
        for (line, points) in &drawn {
            let colour =
                if line.is_background { greys.next() } else { colours.next() }.copied().unwrap_or(BLACK);
            let width = if line.is_background { 1 } else { 2 };
            // Both parts meet in the last point that is known well.
            let known = points.partition_point(|point| point.2 >= SAMPLES_ABOVE);
            let stroke = colour.stroke_width(width);
            chart
                .draw_series(LineSeries::new(points[..known].iter().map(|point| (point.0, point.1)), stroke))?
                .label(line.name.clone())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(width)));
            let faint = colour.mix(FAINT).stroke_width(width);
            let rest = points[known.saturating_sub(1)..].iter().map(|point| (point.0, point.1));
            chart.draw_series(LineSeries::new(rest, faint))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(215, 215, 215))
            .draw()
    };
    paint().map_err(|error| error.to_string())
}

fn by_time(area: &Area<'_>, runs: &[(String, &OverTime)]) -> Result<(), String> {
    let seconds = |over: &OverTime| over.interval_s * over.samples.len() as f64;
    let right = runs.iter().map(|(_, over)| seconds(over)).fold(f64::MIN_POSITIVE, f64::max);
    let all = runs.iter().flat_map(|(_, over)| [&over.p50_ns, &over.p99_ns, &over.max_ns]).flatten();
    let range = decades(all.filter_map(|ns| ns.map(|ns| ns as f64)));
    let paint = || -> Drawn<'_> {
        let mut chart = ChartBuilder::on(area)
            .caption("p50 (faint), p99 and longest (thick) of each interval", ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..right, range.log_scale())?;
        chart
            .configure_mesh()
            .y_label_formatter(&|ns| decade_name(*ns))
            .x_desc("seconds, by when events were due")
            .y_desc("latency")
            .light_line_style(RGBColor(240, 240, 240))
            .bold_line_style(RGBColor(215, 215, 215))
            .draw()?;
        for ((name, over), colour) in runs.iter().zip(COLOURS.into_iter().cycle()) {
            let styles = [colour.mix(FAINT).stroke_width(1), colour.stroke_width(1), colour.stroke_width(2)];
            let kinds = [&over.p50_ns, &over.p99_ns, &over.max_ns];
            let last = kinds.len() - 1;
            for (kind, (values, style)) in kinds.into_iter().zip(styles).enumerate() {
                let points = values.iter().enumerate().filter_map(|(at, ns)| {
                    ns.map(|ns| ((at as f64 + 0.5) * over.interval_s, (ns as f64).max(1.0)))
                });
                let series = chart.draw_series(LineSeries::new(points, style))?;
                if kind == last {
                    series.label(name.clone()).legend(move |(x, y)| {
                        PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
                    });
                }
            }
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(215, 215, 215))
            .draw()
    };
    paint().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_has_a_step_for_each_nine() {
        let names: Vec<String> = (0..5).map(|nines| nines_name(f64::from(nines))).collect();
        assert_eq!(names, ["0%", "90%", "99%", "99.9%", "99.99%"]);
        assert_eq!(nines_name(1.5), "");
        assert_eq!(
            [1.0, 100.0, 1e4, 1e5, 1e9].map(decade_name),
            ["1 ns", "100 ns", "10 us", "100 us", "1 s"]
        );
        assert!((nines(99.9, 1_000_000) - 3.0).abs() < 1e-9);
        assert!((nines(100.0, 10_000) - 4.0).abs() < 1e-9, "the longest of all");
    }

    #[test]
    fn values_of_all_sizes_have_decades_around_them() {
        assert_eq!(decades([35.0, 2_500.0].into_iter()), 10.0..10_000.0);
        assert_eq!(decades([100.0].into_iter()), 100.0..1_000.0);
        assert_eq!(decades(std::iter::empty()), 1.0..10.0);
    }
}
