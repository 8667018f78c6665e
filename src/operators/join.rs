//! `join` and its siblings: a new event meets every event of the other sides that is not yet forgotten (D23 to D25).
//!
//! Each side keeps its events in buckets by the hash of what they are compared by, one set of buckets for each
//! equality of `.on`. A new event is bound to its side; then the other sides are bound in order, each from the bucket
//! that an equality with a bound side leads to. Hashes only lead there: `==` decides, so null, NaN and no value
//! behave as they do everywhere.
//!
//! A heap by time says what is forgotten next. In the outer joins an event that met nobody comes out then, with nulls.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use hashbrown::HashTable;

use crate::event::order::{eq, key_hash};
use crate::event::{Map, Row, Text, Value};
use crate::vpl::plan::{InputPlan, JoinPlan, JoinedSlot, RestFrom, SideField};
use crate::vpl::syntax::JoinKind;

use super::emit::{Cause, Emit, Mark};
use super::env::Env;
use super::error::{CompileError, Failure, Fault};
use super::expr::{Compiler, Expr};
use super::filter::Filter;
use super::limits::Limits;
use super::stream::Through;

#[derive(Debug)]
pub(super) struct Join {
    sides: Vec<Side>,
    /// For each equality the two sides and, on each, the place of its value among the values of the side.
    equalities: Vec<[(usize, usize); 2]>,
    /// Where each slot of the joined row comes from.
    slots: Vec<JoinedSlot>,
    window_ns: i64,
    mark: Mark,
    max_rows: usize,
    /// All remembered events of all sides; free places are listed in `free`.
    entries: Vec<Entry>,
    free: Vec<usize>,
    /// Time, side, arrival and entry of every remembered event.
    by_time: BinaryHeap<Reverse<(i64, usize, u64, usize)>>,
    arrivals: u64,
    late: u64,
    /// Complete matches of the event under way: one entry for each side.
    matches: Vec<usize>,
}

#[derive(Debug)]
struct Side {
    name: usize,
    filter: Option<Filter>,
    /// What its events are compared by.
    by: Vec<Expr>,
    /// For each of `by` the buckets of its remembered events.
    buckets: Vec<HashTable<Bucket>>,
    /// Its remembered events by arrival, where there is no equality to lead to them.
    all: VecDeque<usize>,
    /// Whether one that meets nobody comes out in the end.
    outer: bool,
}

#[derive(Debug)]
struct Bucket {
    hash: u64,
    /// By arrival.
    entries: VecDeque<usize>,
}

#[derive(Debug)]
struct Entry {
    row: Row,
    arrival: u64,
    values: Vec<Value>,
    matched: bool,
}

impl Join {
    pub(super) fn compile(
        plan: &JoinPlan,
        mark: Mark,
        limits: &Limits,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        if plan.kind != JoinKind::Inner && plan.sides.len() != 2 {
            return Err(compiler.error("an outer join has two sides"));
        }
        let outer = |side: usize| match plan.kind {
            JoinKind::Inner => false,
            JoinKind::Left => side == 0,
            JoinKind::Right => side == 1,
            JoinKind::Full => true,
        };
        let sides = plan.sides.iter().enumerate().map(|(at, side)| Side::compile(side, outer(at), compiler));
        let mut sides: Vec<Side> = sides.collect::<Result<_, _>>()?;
        let mut equalities = Vec::new();
        for [a, b] in &plan.on {
            let mut end = |(side, by): &(usize, crate::vpl::plan::Expr)| {
                let place = sides.get_mut(*side).ok_or_else(|| compiler.error("`.on` names no side"))?;
                place.by.push(compiler.expr(by)?);
                place.buckets.push(HashTable::new());
                Ok((*side, place.by.len() - 1))
            };
            equalities.push([end(a)?, end(b)?]);
        }
        Ok(Self {
            sides,
            equalities,
            slots: plan.slots.clone(),
            window_ns: plan.window_ns,
            mark,
            max_rows: limits.max_window_rows,
            entries: Vec::new(),
            free: Vec::new(),
            by_time: BinaryHeap::new(),
            arrivals: 0,
            late: 0,
            matches: Vec::new(),
        })
    }

    /// The first side that takes `name`.
    pub(super) fn input_of(&self, name: usize) -> Option<usize> {
        self.sides.iter().position(|side| side.name == name)
    }

    /// Events that it remembers.
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Events that came when they would have been forgotten.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// The least watermark that makes it forget something.
    pub(super) fn due_ns(&self) -> i64 {
        let first = self.by_time.peek();
        first.map_or(i64::MAX, |Reverse((time, ..))| time.saturating_add(self.window_ns).saturating_add(1))
    }

    /// Takes an event at the side `input`, and at the sides behind it that have the same name (a self join).
    pub(super) fn take<E: Emit>(
        &mut self,
        input: usize,
        row: &Row,
        watermark_ns: i64,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let Some(name) = self.sides.get(input).map(|side| side.name) else { return Ok(()) };
        let late = watermark_ns > row.time_ns().saturating_add(self.window_ns);
        let arrival = self.arrivals;
        self.arrivals += 1;
        // Where the event now stands: side and entry.
        let mut here: Vec<(usize, usize)> = Vec::with_capacity(self.sides.len());
        for side in input..self.sides.len() {
            if self.sides[side].name != name || !self.sides[side].accepts(row, env)? {
                continue;
            }
            if late {
                self.late += 1;
                return Ok(());
            }
            here.push((side, self.remember(side, arrival, row, env)?));
        }
        self.find_matches(&here);
        self.send_matches(row, env, through)
    }

    fn remember(&mut self, side: usize, arrival: u64, row: &Row, env: &mut Env) -> Result<usize, Failure> {
        if self.by_time.len() >= self.max_rows {
            return Err(Fault::WindowRows(self.max_rows).at("join"));
        }
        let mut values = Vec::with_capacity(self.sides[side].by.len());
        for by in &self.sides[side].by {
            values.push(by.eval(row, env).map_err(|fault| fault.at("on"))?);
        }
        let entry = Entry { row: row.clone(), arrival, values, matched: false };
        let number = if let Some(free) = self.free.pop() {
            self.entries[free] = entry;
            free
        } else {
            self.entries.push(entry);
            self.entries.len() - 1
        };
        let side_state = &mut self.sides[side];
        for (value, buckets) in self.entries[number].values.iter().zip(&mut side_state.buckets) {
            let hash = key_hash(value);
            if let Some(bucket) = buckets.find_mut(hash, |bucket| bucket.hash == hash) {
                bucket.entries.push_back(number);
            } else {
                let entries = VecDeque::from([number]);
                buckets.insert_unique(hash, Bucket { hash, entries }, |bucket| bucket.hash);
            }
        }
        side_state.all.push_back(number);
        self.by_time.push(Reverse((row.time_ns(), side, arrival, number)));
        Ok(number)
    }

    /// Finds all matches that the event which stands at `here` is part of, in order of the sources, then of arrival.
    fn find_matches(&mut self, here: &[(usize, usize)]) {
        let mut matches = std::mem::take(&mut self.matches);
        matches.clear();
        let mut bound = vec![None; self.sides.len()];
        // Each match once: by the first side at which it has the event.
        for (place, (side, number)) in here.iter().enumerate() {
            bound[*side] = Some(*number);
            self.bind(&mut bound, &here[..place], &mut matches);
            bound[*side] = None;
        }
        if here.len() > 1 || self.sides.len() > 2 {
            let mut sorted: Vec<&[usize]> = matches.chunks_exact(self.sides.len()).collect();
            // In a self join the event comes as each of its sides in turn, and meets itself as the last of them.
            let comes_as = |found: &[usize]| here.iter().rposition(|(side, number)| found[*side] == *number);
            sorted.sort_by_cached_key(|found| {
                let arrivals = found.iter().map(|number| self.entries[*number].arrival);
                (comes_as(found), arrivals.collect::<Vec<u64>>())
            });
            matches = sorted.concat();
        }
        self.matches = matches;
    }

    /// Binds the sides that are left in every way that fits what is bound already.
    fn bind(&self, bound: &mut [Option<usize>], not_again: &[(usize, usize)], matches: &mut Vec<usize>) {
        let unbound = || (0..self.sides.len()).filter(|side| bound[*side].is_none());
        // A side to which an equality leads has few candidates.
        let next = unbound().find(|side| self.leads_to(*side, bound).is_some()).or_else(|| unbound().next());
        let Some(side) = next else {
            matches.extend(bound.iter().flatten());
            return;
        };
        let candidates = match self.leads_to(side, bound) {
            None => &self.sides[side].all,
            Some((place, value)) => {
                let hash = key_hash(value);
                match self.sides[side].buckets[place].find(hash, |bucket| bucket.hash == hash) {
                    Some(bucket) => &bucket.entries,
                    None => return,
                }
            }
        };
        for &number in candidates {
            let seen = not_again.iter().any(|(_, other)| *other == number);
            if !seen && self.fits(side, number, bound) {
                bound[side] = Some(number);
                self.bind(bound, not_again, matches);
                bound[side] = None;
            }
        }
    }

    /// An equality between `side` and a side that is bound: the place of its values on `side`, and the value there is
    /// to find.
    fn leads_to(&self, side: usize, bound: &[Option<usize>]) -> Option<(usize, &Value)> {
        let ends = self.equalities.iter().flat_map(|[a, b]| [(*a, *b), (*b, *a)]);
        let mut ends = ends.filter(|(mine, _)| mine.0 == side);
        ends.find_map(|((_, place), (other, other_place))| {
            bound[other].map(|number| (place, &self.entries[number].values[other_place]))
        })
    }

    /// Whether the event `number` of `side` joins with all that are bound.
    fn fits(&self, side: usize, number: usize, bound: &[Option<usize>]) -> bool {
        let entry = &self.entries[number];
        let time_ns = entry.row.time_ns();
        let near = |other: &usize| {
            time_ns.abs_diff(self.entries[*other].row.time_ns()) <= self.window_ns.unsigned_abs()
        };
        if !bound.iter().flatten().all(near) {
            return false;
        }
        let value = |at: (usize, usize)| {
            let entry = if at.0 == side { Some(number) } else { bound[at.0] };
            entry.map(|entry| &self.entries[entry].values[at.1])
        };
        self.equalities.iter().all(|[a, b]| {
            if a.0 != side && b.0 != side {
                return true;
            }
            match (value(*a), value(*b)) {
                (Some(a), Some(b)) => eq(a, b) == Some(true),
                _ => true, // Its other end is not bound yet.
            }
        })
    }

    fn send_matches<E: Emit>(
        &mut self,
        row: &Row,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        for at in (0..self.matches.len()).step_by(self.sides.len()) {
            let found = &self.matches[at..at + self.sides.len()];
            let joined = self.joined(row.time_ns(), Cause::of(row), |side| Some(found[side]));
            for number in found {
                self.entries[*number].matched = true;
            }
            result = result.and(through.run(&joined, env));
        }
        result
    }

    /// Forgets what is older than the window, once the watermark is beyond it.
    pub(super) fn advance<E: Emit>(
        &mut self,
        watermark_ns: i64,
        cause: Cause,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        while let Some(&Reverse((time_ns, side, _, number))) = self.by_time.peek() {
            let end_ns = time_ns.saturating_add(self.window_ns);
            // At the end of the input nothing stays, also where times are so great that the addition saturates.
            if watermark_ns <= end_ns && watermark_ns != i64::MAX {
                break;
            }
            self.by_time.pop();
            self.sides[side].forget(number, &self.entries[number].values);
            if self.sides[side].outer && !self.entries[number].matched {
                let alone = self.joined(end_ns, cause, |of| (of == side).then_some(number));
                result = result.and(through.run(&alone, env));
            }
            // Its values may be shared; the row is replaced by an empty one, so that nothing lives on in a free place.
            self.entries[number].row = Row::new(0, 0, 0);
            self.entries[number].values.clear();
            self.free.push(number);
        }
        result
    }

    /// A joined row: of the event that `entry` names for each side, where the side is not absent.
    fn joined(&self, time_ns: i64, cause: Cause, entry: impl Fn(usize) -> Option<usize>) -> Row {
        let values = |side: usize| entry(side).map(|number| self.entries[number].row.values());
        let mut row = Row::new(self.mark.type_id, time_ns, self.slots.len());
        row.set_rank(self.mark.rank);
        cause.put(&mut row);
        for (to, from) in self.slots.iter().enumerate() {
            let value = match from {
                JoinedSlot::Of(side, slot) => match values(*side) {
                    Some(values) => values.get(usize::from(*slot)).cloned().unwrap_or_default(),
                    None => Value::Null,
                },
                JoinedSlot::First(choices) => first_of(choices, values),
                JoinedSlot::All(sides) => all_of(sides, values),
            };
            row.set(to, value);
        }
        row
    }
}

/// The field of the first side that is there and has it.
fn first_of<'r>(choices: &[SideField], values: impl Fn(usize) -> Option<&'r [Value]>) -> Value {
    for choice in choices {
        let Some(values) = values(choice.side) else { continue };
        match values.get(usize::from(choice.slot)) {
            None | Some(Value::Missing) if choice.declared => return Value::Missing,
            None | Some(Value::Missing) => {}
            Some(value) => return value.clone(),
        }
    }
    Value::Missing
}

/// All fields of the sides that are there; of a name that several have, the first side's.
fn all_of<'r>(sides: &[RestFrom], values: impl Fn(usize) -> Option<&'r [Value]>) -> Value {
    let mut all = Map::default();
    for (side, from) in sides.iter().enumerate() {
        let Some(values) = values(side) else { continue };
        let known = all.len();
        let mut add = |name: Text, value: &Value| {
            if all.iter().take(known).all(|(other, _)| *other != name) {
                all.insert(name, value.clone());
            }
        };
        match from {
            RestFrom::Slot(slot) => {
                if let Some(Value::Map(fields)) = values.get(usize::from(*slot)) {
                    fields.iter().for_each(|(name, value)| add(name.clone(), value));
                }
            }
            RestFrom::Fields(fields) => {
                for (name, slot) in fields {
                    match values.get(usize::from(*slot)) {
                        None | Some(Value::Missing) => {}
                        Some(value) => add(Text::new(name), value),
                    }
                }
            }
        }
    }
    Value::map(all)
}

impl Side {
    fn compile(plan: &InputPlan, outer: bool, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        Ok(Self {
            name: plan.name,
            filter: plan.filter.as_ref().map(|filter| Filter::compile(filter, compiler)).transpose()?,
            by: Vec::new(),
            buckets: Vec::new(),
            all: VecDeque::new(),
            outer,
        })
    }

    fn accepts(&self, row: &Row, env: &mut Env) -> Result<bool, Failure> {
        match &self.filter {
            None => Ok(true),
            Some(filter) => filter.keeps(row, env).map_err(|fault| fault.at("where")),
        }
    }

    /// Takes an event out of its buckets. It is among the oldest, so it stands near the front of each.
    fn forget(&mut self, number: usize, values: &[Value]) {
        let drop_from = |entries: &mut VecDeque<usize>| {
            if let Some(place) = entries.iter().position(|entry| *entry == number) {
                entries.remove(place);
            }
        };
        drop_from(&mut self.all);
        for (value, buckets) in values.iter().zip(&mut self.buckets) {
            let hash = key_hash(value);
            if let Ok(mut found) = buckets.find_entry(hash, |bucket| bucket.hash == hash) {
                drop_from(&mut found.get_mut().entries);
                if found.get().entries.is_empty() {
                    found.remove();
                }
            }
        }
    }
}
