//! What a name can mean at a place of the program: locals, the row and its fields, the key and the window.

use crate::vpl::plan::AccumulatorPlan;

use super::sequence::SequenceScope;

/// Why a row has the fields it has: decides what an unknown name is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    /// An event type that an `event` statement declares: an unknown field is an error.
    Event(String),
    /// An operator of this stream that fixed the fields: an unknown field is an error.
    Operator(&'static str),
    /// Another stream whose fields are known: an unknown field is a warning and has no value.
    Stream(String),
    /// An undeclared event type: any field is allowed.
    Open,
    /// A join; whether a side of it can be absent.
    Join { outer: bool },
}

/// What names mean here.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The layout of the current row; none in functions and globals.
    pub row: Option<RowScope>,
    /// In the conditions of a sequence, and behind one as long as the rows are its matches.
    pub sequence: Option<SequenceScope>,
    /// Parameters and locals, innermost last, with their index.
    pub locals: Vec<(String, usize)>,
    /// The next free local.
    pub next_local: usize,
    /// The most locals in use at once.
    pub max_locals: usize,
    /// In `.process`: functions that emit may be called.
    pub in_process: bool,
    /// Where a key is set.
    pub partitioned: bool,
    /// Where the rows have left a window.
    pub windowed: bool,
    /// In `.aggregate`: the accumulators found so far.
    pub accumulators: Option<Vec<AccumulatorPlan>>,
    /// Inside a function: its name, for messages.
    pub function: Option<String>,
    /// Locals that `let` and `const` have bound.
    pub fixed: std::collections::HashSet<usize>,
    /// Inside a loop: `break` and `continue` are allowed.
    pub loops: usize,
}

/// The current row.
#[derive(Clone, Debug)]
pub(super) struct RowScope {
    /// Its layout, by index.
    pub shape: usize,
    /// Why it has these fields.
    pub origin: Origin,
    /// Names for the row as a whole: the alias of the source, the parameter of a lambda.
    pub names: Vec<String>,
    /// In a join: the sides, by the name they go under, with their layout.
    pub sides: Vec<(String, usize)>,
}

impl Scope {
    /// Adds a local.
    pub(super) fn declare(&mut self, name: &str) -> usize {
        let local = self.next_local;
        self.next_local += 1;
        self.max_locals = self.max_locals.max(self.next_local);
        self.locals.push((name.to_owned(), local));
        local
    }

    /// The innermost local called `name`.
    pub(super) fn local(&self, name: &str) -> Option<usize> {
        self.locals.iter().rev().find(|(local, _)| local == name).map(|&(_, index)| index)
    }

    /// Forgets the locals declared since there were `depth`. Their places are not used again in this function, so
    /// that a lambda's local can never be overwritten by a sibling's.
    pub(super) fn leave(&mut self, depth: usize) {
        self.locals.truncate(depth);
    }
}
