//! A distribution as a curve of percentiles, for plots: from a histogram, or from a `.hgrm` file of any HdrHistogram.

use std::error::Error;
use std::fmt;

use super::Latencies;

/// Points for each halving of what lies above: fine enough for a line that looks smooth.
const POINTS_A_HALVING: u32 = 5;

/// One point: so many percent of the samples are no longer than that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// 0 to 100.
    pub percentile: f64,
    /// In nanoseconds.
    pub latency_ns: f64,
    /// How many samples are no longer than that.
    pub samples: u64,
}

/// A distribution, from its shortest latency to its longest.
///
/// ```
/// use varpin::metrics::{Curve, Latencies};
/// let mut latencies = Latencies::new();
/// (1..=1000).for_each(|ns| latencies.record_ns(ns));
/// let curve = Curve::of(&latencies);
/// assert_eq!(curve.points().last().map(|point| (point.percentile, point.samples)), Some((100.0, 1000)));
/// assert_eq!(Curve::from_hgrm(&latencies.to_hgrm(), 1_000.0)?.points().len(), curve.points().len());
/// # Ok::<(), varpin::metrics::HgrmError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve(Vec<CurvePoint>);

/// A text that is no `.hgrm` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HgrmError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for HgrmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl Error for HgrmError {}

impl Curve {
    /// The curve of recorded latencies; empty without any.
    pub fn of(latencies: &Latencies) -> Self {
        let histogram = latencies.histogram();
        let mut samples = 0;
        let mut points: Vec<CurvePoint> = Vec::new();
        for at in histogram.iter_quantiles(POINTS_A_HALVING) {
            samples += at.count_since_last_iteration();
            points.push(CurvePoint {
                percentile: at.quantile_iterated_to() * 100.0,
                latency_ns: at.value_iterated_to() as f64,
                samples,
            });
        }
        Self(points)
    }

    /// Reads a `.hgrm` file in which one unit is so many nanoseconds: 1,000 in those of varpin.
    pub fn from_hgrm(text: &str, unit_ns: f64) -> Result<Self, HgrmError> {
        let mut points: Vec<CurvePoint> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let cells: Vec<&str> = line.split_whitespace().collect();
            match cells[..] {
                [] => {}
                [first, ..] if first == "Value" || first.starts_with('#') => {}
                [value, quantile, samples] | [value, quantile, samples, _] => {
                    let point = point(value, quantile, samples, unit_ns);
                    let point = point.map_err(|reason| HgrmError { line: number + 1, reason })?;
                    if points.last().is_some_and(|last| last.percentile > point.percentile) {
                        let reason = "its percentile is below that of the line before".to_owned();
                        return Err(HgrmError { line: number + 1, reason });
                    }
                    points.push(point);
                }
                _ => {
                    let reason = "is no line of value, percentile and count".to_owned();
                    return Err(HgrmError { line: number + 1, reason });
                }
            }
        }
        if points.is_empty() {
            let reason = "there is no percentile in it".to_owned();
            return Err(HgrmError { line: text.lines().count().max(1), reason });
        }
        Ok(Self(points))
    }

    /// Its points, by percentile.
    pub fn points(&self) -> &[CurvePoint] {
        &self.0
    }
}

fn point(value: &str, quantile: &str, samples: &str, unit_ns: f64) -> Result<CurvePoint, String> {
    let number = |text: &str, what: &str| {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| format!("`{text}` is no {what}"))
    };
    let quantile = number(quantile, "percentile")?;
    if quantile > 1.0 {
        return Err(format!("a percentile is a fraction up to 1 here, not {quantile}"));
    }
    Ok(CurvePoint {
        percentile: quantile * 100.0,
        latency_ns: number(value, "value")? * unit_ns,
        samples: samples.parse().map_err(|_| format!("`{samples}` is no count"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_percentiles_are_told_with_their_place() {
        let cases = [
            ("", 1, "there is no percentile in it"),
            ("Value Percentile TotalCount 1/(1-Percentile)\n", 1, "there is no percentile in it"),
            ("1.0 0.5\n", 1, "is no line of value, percentile and count"),
            ("1.0 0.5 3\n2.0 0.4 9\n", 2, "its percentile is below that of the line before"),
            ("1.0 50 3\n", 1, "a percentile is a fraction up to 1 here, not 50"),
            ("\n-1 0.5 3\n", 2, "`-1` is no value"),
            ("1 0.5 x\n", 1, "`x` is no count"),
        ];
        for (text, line, reason) in cases {
            let error = Curve::from_hgrm(text, 1.0).unwrap_err();
            assert_eq!((error.line, error.reason.as_str()), (line, reason), "{text:?}");
        }
    }
}
