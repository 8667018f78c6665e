//! Cases, contenders and rounds: who is measured, in which order, and what is printed of it.
//!
//! The contenders of a case run by turns (A B C A B C ..), so that whatever else the machine does hits all of them. A figure is the
//! median of its rounds, beside the lowest and the highest; a ratio is the median of the ratios *within* each round.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What one run of a contender gave: one number for each column of its table, and perhaps something to say about it.
pub struct Outcome {
    pub figures: Vec<f64>,
    pub remark: Option<String>,
}

impl From<f64> for Outcome {
    fn from(figure: f64) -> Self {
        Self { figures: vec![figure], remark: None }
    }
}

/// One run.
pub type Run = Box<dyn FnMut() -> Result<Outcome, String>>;

/// What is compared within a table.
struct Contender {
    name: String,
    run: Run,
    rounds: Vec<Vec<f64>>,
    remark: Option<String>,
}

/// Contenders that do the same work.
struct Case {
    name: String,
    contenders: Vec<Contender>,
}

/// Cases with the same columns.
pub struct Table {
    title: &'static str,
    /// How it is measured.
    note: String,
    columns: &'static [&'static str],
    cases: Vec<Case>,
}

/// Lowest, median and highest of the rounds.
#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// `None` where there is nothing.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }

    fn json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

impl Table {
    pub fn new(title: &'static str, note: String, columns: &'static [&'static str]) -> Self {
        Self { title, note, columns, cases: Vec::new() }
    }

    /// Adds a contender to the case `case`.
    pub fn add(
        &mut self,
        case: &str,
        contender: &str,
        run: impl FnMut() -> Result<Outcome, String> + 'static,
    ) {
        if self.cases.last().is_none_or(|last| last.name != case) {
            self.cases.push(Case { name: case.to_owned(), contenders: Vec::new() });
        }
        let contenders = &mut self.cases.last_mut().expect("one was just pushed").contenders;
        contenders.push(Contender {
            name: contender.to_owned(),
            run: Box::new(run),
            rounds: Vec::new(),
            remark: None,
        });
    }

    /// Runs every case for so many rounds. A contender that fails is not run again.
    pub fn run(&mut self, rounds: usize) {
        eprintln!("== {}", self.title);
        for case in &mut self.cases {
            for round in 1..=rounds {
                for contender in &mut case.contenders {
                    if round > 1 && contender.rounds.is_empty() {
                        continue;
                    }
                    match (contender.run)() {
                        Ok(outcome) => {
                            contender.rounds.push(outcome.figures);
                            contender.remark = outcome.remark;
                        }
                        Err(error) => {
                            contender.rounds.clear();
                            contender.remark = Some(format!("FAILED: {error}"));
                        }
                    }
                    let figures = contender.rounds.last().map(|figures| {
                        figures.iter().map(|&figure| short(figure)).collect::<Vec<_>>().join(" / ")
                    });
                    eprintln!(
                        "   {} | {} | round {round}: {}",
                        case.name,
                        contender.name,
                        figures
                            .as_deref()
                            .unwrap_or_else(|| contender.remark.as_deref().unwrap_or("nothing"))
                    );
                }
            }
        }
    }

    fn contender(&self, case: &str, name: &str) -> Option<&Contender> {
        let case = self.cases.iter().find(|known| known.name == case)?;
        case.contenders.iter().find(|known| known.name == name)
    }

    /// The spread of a contender's figure in the column of that place.
    pub fn figure(&self, case: &str, contender: &str, column: usize) -> Option<Spread> {
        let contender = self.contender(case, contender)?;
        Spread::of(contender.rounds.iter().map(|figures| figures[column]).collect())
    }

    /// By how much `above` exceeds `below` in that column, round by round.
    pub fn ratio(&self, case: &str, above: &str, below: &str, column: usize) -> Option<Spread> {
        let (above, below) = (self.contender(case, above)?, self.contender(case, below)?);
        let rounds = above.rounds.iter().zip(&below.rounds);
        Spread::of(rounds.map(|(above, below)| above[column] / below[column]).collect())
    }

    pub fn markdown(&self, out: &mut String) {
        let _ = writeln!(out, "\n## {}\n\n{}\n", self.title, self.note);
        let _ = writeln!(out, "| case | contender | {} | |", self.columns.join(" | "));
        let _ = writeln!(out, "|---|---|{}---|", "---:|".repeat(self.columns.len()));
        for case in &self.cases {
            for contender in &case.contenders {
                let _ = write!(out, "| {} | {} |", case.name, contender.name);
                for column in 0..self.columns.len() {
                    let _ = match self.figure(&case.name, &contender.name, column) {
                        Some(Spread { median, min, max }) => {
                            write!(out, " **{}** ({} to {}) |", short(median), short(min), short(max))
                        }
                        None => write!(out, " n/a |"),
                    };
                }
                let _ = writeln!(out, " {} |", contender.remark.as_deref().unwrap_or(""));
            }
        }
    }

    pub fn json(&self) -> Value {
        let contender = |case: &Case, contender: &Contender| {
            let figures = self.columns.iter().enumerate().map(|(column, name)| {
                let spread = self.figure(&case.name, &contender.name, column);
                ((*name).to_owned(), spread.map_or(Value::Null, Spread::json))
            });
            json!({
                "contender": contender.name,
                "figures": Value::Object(figures.collect()),
                "rounds": contender.rounds,
                "remark": contender.remark,
            })
        };
        let cases = self.cases.iter().map(|case| {
            let contenders: Vec<Value> = case.contenders.iter().map(|known| contender(case, known)).collect();
            json!({ "case": case.name, "contenders": contenders })
        });
        json!({
            "title": self.title,
            "note": self.note,
            "columns": self.columns,
            "cases": cases.collect::<Vec<_>>(),
        })
    }
}

/// A target of the project and how far it is met.
pub struct Target {
    pub name: String,
    /// Whether it is a lower bound.
    pub at_least: bool,
    pub bound: f64,
    /// `None` where it could not be measured.
    pub found: Option<Spread>,
}

impl Target {
    pub fn at_least(name: impl Into<String>, bound: f64, found: Option<Spread>) -> Self {
        Self { name: name.into(), at_least: true, bound, found }
    }

    pub fn at_most(name: impl Into<String>, bound: f64, found: Option<Spread>) -> Self {
        Self { name: name.into(), at_least: false, bound, found }
    }

    pub fn is_met(&self) -> bool {
        self.found.is_some_and(|found| {
            if self.at_least { found.median >= self.bound } else { found.median <= self.bound }
        })
    }

    /// What was wanted and what was found, in one line.
    pub fn line(&self) -> String {
        let bound = if self.at_least { ">=" } else { "<=" };
        let found = self.found.map_or_else(
            || "not measured".to_owned(),
            |Spread { median, min, max }| format!("{} ({} to {})", short(median), short(min), short(max)),
        );
        format!("{}: wanted {bound} {}, found {found}", self.name, short(self.bound))
    }

    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "wanted": if self.at_least { "at least" } else { "at most" },
            "bound": self.bound,
            "found": self.found.map(Spread::json),
            "met": self.is_met(),
        })
    }
}

/// Three digits that count, with thousands and millions by letter.
pub fn short(value: f64) -> String {
    if value.is_nan() {
        return "n/a".to_owned();
    }
    let (scaled, letter) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{letter}")
}
