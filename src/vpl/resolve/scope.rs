//! What a name can mean at a place of the program: locals, the row and its fields, the key and the window.

use std::collections::{HashMap, HashSet};

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
    /// Parameters and locals, innermost last.
    pub locals: Vec<String>,
    /// Where each of them is; of several with one name the innermost last.
    pub local_ids: HashMap<String, Vec<usize>>,
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
    pub fixed: HashSet<usize>,
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
        self.locals.push(name.to_owned());
        self.local_ids.entry(name.to_owned()).or_default().push(local);
        local
    }

    /// The innermost local called `name`.
    pub(super) fn local(&self, name: &str) -> Option<usize> {
        self.local_ids.get(name).and_then(|ids| ids.last().copied())
    }

    /// How many locals there are now.
    pub(super) fn depth(&self) -> usize {
        self.locals.len()
    }

    /// The names of all locals.
    pub(super) fn local_names(&self) -> impl Iterator<Item = &str> {
        self.locals.iter().map(String::as_str)
    }

    /// Forgets the locals declared since there were `depth`. Their places are not used again in this function, so
    /// that a lambda's local can never be overwritten by a sibling's.
    pub(super) fn leave(&mut self, depth: usize) {
        for name in self.locals.drain(depth..) {
            if let Some(ids) = self.local_ids.get_mut(&name) {
                ids.pop();
            }
        }
    }
}
