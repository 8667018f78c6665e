//! What a check says: how bad it is, what was found, what is wanted and why, and what mends it.

use serde::Serialize;

use crate::cli::tree::{Tree, Unread};

/// How bad a finding is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Severity {
    /// It can stop a pinned thread for a millisecond or longer, or spoils every measurement.
    Severe,
    /// It costs tens of microseconds now and then, or something all the time.
    Warning,
    /// It costs little, or matters only with some settings.
    Note,
    /// The system does not tell.
    Unknown,
    /// As it should be.
    Ok,
}

impl Severity {
    pub(super) const ALL: [Self; 5] = [Self::Severe, Self::Warning, Self::Note, Self::Unknown, Self::Ok];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Severe => "severe",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::Ok => "ok",
        }
    }
}

/// What is looked at: its name, how it should be, and why.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) id: &'static str,
    pub(super) wanted: &'static str,
    pub(super) why: &'static str,
}

/// What is to say about what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) severity: Severity,
    /// Empty where nothing is known: then the files that could not be read are named.
    pub(super) found: String,
    pub(super) mend: Vec<String>,
}

impl Verdict {
    pub(super) fn new(severity: Severity, found: impl Into<String>) -> Self {
        Self { severity, found: found.into(), mend: Vec::new() }
    }

    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self::new(Severity::Ok, found)
    }

    /// Nothing could be read that says anything.
    pub(super) fn unknown() -> Self {
        Self::new(Severity::Unknown, "")
    }

    /// A command that mends it, or a way in words; several are alternatives.
    pub(super) fn mend(mut self, way: impl Into<String>) -> Self {
        self.mend.push(way.into());
        self
    }
}

/// A file that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Reading {
    pub(super) path: String,
    /// What stands there, or the part that matters; none where it could not be read.
    pub(super) text: Option<String>,
    /// Why it could not be read.
    pub(super) problem: Option<String>,
}

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Finding {
    pub(in crate::cli) id: &'static str,
    pub(in crate::cli) severity: Severity,
    pub(in crate::cli) found: String,
    pub(super) wanted: &'static str,
    pub(super) why: &'static str,
    pub(super) mend: Vec<String>,
    pub(super) read: Vec<Reading>,
}

/// Reads files for one check and remembers what was read.
#[derive(Debug)]
pub(super) struct Readings<'a> {
    tree: &'a Tree,
    all: Vec<Reading>,
}

/// Characters of a file that are quoted.
const QUOTED: usize = 120;

impl<'a> Readings<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, all: Vec::new() }
    }

    pub(super) fn tree(&self) -> &'a Tree {
        self.tree
    }

    /// The text of a file.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        self.part(path, |text| Some(quoted(text)))
    }

    /// The text of a file, of which `quote` gives the part that matters.
    pub(super) fn part(&mut self, path: &str, quote: impl FnOnce(&str) -> Option<String>) -> Option<String> {
        let read = self.tree.read(path);
        let told = read.as_ref().map(|text| quote(text).unwrap_or_else(|| "nothing about it".to_owned()));
        self.remember(path, told.map_err(Clone::clone));
        read.ok()
    }

    /// The value of a line `NAME: VALUE` of a file.
    pub(super) fn field(&mut self, path: &str, name: &str) -> Option<String> {
        let value = |text: &str| crate::cli::machine::field(text, name).map(str::to_owned);
        let text = self.part(path, |text| value(text).map(|value| format!("{name}: {value}")))?;
        value(&text)
    }

    /// The texts of the files of some CPUs, `BEFORE` number `AFTER`; CPUs whose files say the same are remembered
    /// together.
    pub(super) fn per_cpu(
        &mut self,
        cpus: impl IntoIterator<Item = usize>,
        before: &str,
        after: &str,
    ) -> Vec<(usize, Option<String>)> {
        let mut groups: Vec<(Result<String, Unread>, Vec<usize>)> = Vec::new();
        let mut texts = Vec::new();
        for cpu in cpus {
            let read = self.tree.read(&format!("{before}{cpu}{after}"));
            texts.push((cpu, read.clone().ok()));
            match groups.iter_mut().find(|(text, _)| *text == read) {
                Some((_, members)) => members.push(cpu),
                None => groups.push((read, vec![cpu])),
            }
        }
        for (read, members) in groups {
            let path = format!("{before}{}{after}", braces(&members));
            self.remember(&path, read.map(|text| quoted(&text)));
        }
        texts
    }

    /// Remembers what was read of several files in words of one's own.
    pub(super) fn remember(&mut self, path: &str, read: Result<String, Unread>) {
        let (text, problem) = match read {
            Ok(text) => (Some(text), None),
            Err(Unread::Absent) => (None, Some("absent".to_owned())),
            Err(Unread::Forbidden) => (None, Some("forbidden".to_owned())),
            Err(Unread::Failed(reason)) => (None, Some(reason)),
        };
        self.all.push(Reading { path: format!("/{path}"), text, problem });
    }

    pub(super) fn conclude(self, check: &Check, verdict: Verdict) -> Finding {
        let found = if verdict.found.is_empty() { self.what_is_missing() } else { verdict.found };
        Finding {
            id: check.id,
            severity: verdict.severity,
            found,
            wanted: check.wanted,
            why: check.why,
            mend: verdict.mend,
            read: self.all,
        }
    }

    fn what_is_missing(&self) -> String {
        let missing = |reading: &Reading| {
            let problem = reading.problem.as_deref()?;
            Some(match problem {
                "absent" => format!("there is no {}", reading.path),
                "forbidden" => format!("{} may not be read", reading.path),
                other => format!("{}: {other}", reading.path),
            })
        };
        let missing: Vec<String> = self.all.iter().filter_map(missing).collect();
        if missing.is_empty() { "what was read is not understood".to_owned() } else { missing.join("; ") }
    }
}

/// A text on one line and not too long.
fn quoted(text: &str) -> String {
    let line = text.lines().map(str::trim).collect::<Vec<_>>().join("; ");
    // Nothing that steers a terminal.
    let mut shown: String = line.chars().take(QUOTED).map(|c| if c.is_control() { '?' } else { c }).collect();
    if line.chars().nth(QUOTED).is_some() {
        shown.push_str("..");
    }
    shown
}

/// Numbers as a shell expands them: `2`, `{2..5}`, `{1,4}`.
pub(super) fn braces(numbers: &[usize]) -> String {
    let runs: Vec<String> = numbers
        .chunk_by(|a, b| a + 1 == *b)
        .flat_map(|run| match run {
            [first, _, .., last] => vec![format!("{{{first}..{last}}}")],
            few => few.iter().map(ToString::to_string).collect(),
        })
        .collect();
    match runs.as_slice() {
        [one] => one.clone(),
        several => format!("{{{}}}", several.join(",")),
    }
}
