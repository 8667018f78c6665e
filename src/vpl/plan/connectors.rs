//! What streams write to and events come from, beside the engine's own ends: files and the console.

use crate::format::Format;

/// Where rows of streams are written (`.to`).
#[derive(Clone, Debug, PartialEq)]
pub struct SinkPlan {
    /// The connector's name; its kind, where `.to(file, ..)` names none.
    pub name: String,
    /// What it is.
    pub target: SinkTarget,
    /// The streams whose rows it takes, by index, ascending.
    pub streams: Vec<usize>,
}

/// What a sink is.
#[derive(Clone, Debug, PartialEq)]
pub enum SinkTarget {
    /// The console: JSON lines on standard output.
    Console,
    /// A file.
    File {
        /// Its path as written, relative to the program's directory.
        path: String,
        /// What its lines look like.
        format: Format,
        /// Whether what is there stays, and rows are put behind it.
        append: bool,
    },
}

impl SinkPlan {
    /// What messages call it.
    pub fn place(&self) -> &str {
        match &self.target {
            SinkTarget::Console => "the console",
            SinkTarget::File { path, .. } => path,
        }
    }
}

/// A file that is read as one more input (`.from`).
#[derive(Clone, Debug, PartialEq)]
pub struct SourceFilePlan {
    /// Its path as written, relative to the program's directory.
    pub path: String,
    /// What its lines look like.
    pub format: Format,
    /// The type in front of `.from`: that of every event of a CSV file.
    pub event_type: String,
}

/// Standard input, where a program asks for it (`.from(console)`).
#[derive(Clone, Debug, PartialEq)]
pub struct ConsoleSourcePlan {
    /// What its lines look like.
    pub format: Format,
    /// The type in front of `.from`: that of every event, where the lines are CSV.
    pub event_type: String,
}
