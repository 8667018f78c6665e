//! Which runs an event is offered to, where conditions ask that something of the event equals something that a run has
//! captured (`B where k == a.k`): the runs are found by the hash of that value, and no others are looked at.
//!
//! The *state* of a run is the last step that has captured something. Whatever can happen to it there (its next step,
//! more of an `all`, a `.not`) has a condition. If each of them asks for an equality with the same captured value,
//! which stays as long as the run is in this state, the runs of the state stand in buckets by its hash. Else they stand
//! in one bucket, at which only events look that the state waits for. Hashes only lead to runs: the condition decides
//! as always, so null, NaN and numbers of two types behave as everywhere.
//!
//! Runs of one bucket stand in order of their first events, and so does what is gathered from several.

use hashbrown::HashTable;

use crate::event::order::key_hash;
use crate::event::{Row, Value};
use crate::functions::Builtin;
use crate::vpl::plan::{CapturePlan, Expr, GuardPlan, Selection, SequencePlan};
use crate::vpl::syntax::BinaryOp;

use super::pool::Pool;

/// Runs by what they wait for.
#[derive(Debug)]
pub(super) struct Waiting {
    /// By state.
    found_by: Vec<Option<FoundBy>>,
    /// By input: the states that wait for it, each with the slot of the event whose value leads to its runs, where one
    /// does.
    states_of: Vec<Vec<(usize, Option<usize>)>>,
    table: HashTable<u32>,
    buckets: Vec<Bucket>,
    /// Buckets of which nobody knows.
    free: Vec<u32>,
    /// Buckets that the event under way was led to.
    hit: Vec<u32>,
}

/// What the runs of a state are found by: a field of the first or the last event that a step has captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FoundBy {
    step: usize,
    first: bool,
    slot: usize,
}

#[derive(Debug)]
struct Bucket {
    /// The number of the runs' key.
    key: usize,
    state: usize,
    hash: u64,
    runs: Vec<u32>,
}

impl Waiting {
    /// For a sequence in which it leads anywhere. Not where runs are copied, because then their order is not that of
    /// their first events alone, and not where an event ends the runs that it doesn't satisfy.
    pub(super) fn of(plan: &SequencePlan) -> Option<Self> {
        let states: Vec<_> = (0..plan.steps.len()).map(|state| found_by(plan, state)).collect();
        if plan.selection != Selection::NextMatch || states.iter().all(Option::is_none) {
            return None;
        }
        let mut states_of = vec![Vec::new(); plan.inputs.len()];
        for (state, found_by) in states.iter().enumerate() {
            for (input, states_of) in states_of.iter_mut().enumerate() {
                let mut tests = tests(plan, state).filter(|(of, _)| *of == input).peekable();
                if tests.peek().is_some() {
                    // Every test of the state has the equality; those of one input ask it of the same slot.
                    let slot = found_by.and_then(|found_by| {
                        let equalities = tests.next().map(|(_, guard)| equalities(plan, state, guard))?;
                        equalities.iter().find(|(other, _)| *other == found_by).map(|(_, slot)| *slot)
                    });
                    states_of.push((state, slot));
                }
            }
        }
        let (table, buckets) = (HashTable::new(), Vec::new());
        Some(Self { found_by: states, states_of, table, buckets, free: Vec::new(), hit: Vec::new() })
    }

    /// Moves the runs of a key to `runs` that `row` is to be offered to, in order of their first events.
    #[inline]
    pub(super) fn gather(&mut self, key: usize, input: usize, row: &Row, pool: &Pool, runs: &mut Vec<u32>) {
        for &(state, slot) in &self.states_of[input] {
            let value = slot.map(|slot| row.values().get(slot).unwrap_or(&Value::Missing));
            let hash = hash_of(key, state, value);
            if let Some(&bucket) = find(&self.table, &self.buckets, key, state, hash) {
                self.hit.push(bucket);
                runs.append(&mut self.buckets[bucket as usize].runs);
            }
        }
        if self.hit.len() > 1 {
            runs.sort_unstable_by_key(|&run| pool.run(run).arrival);
        }
    }

    /// Takes back those gathered runs that stay, in the same order.
    #[inline]
    pub(super) fn put_back(&mut self, key: usize, runs: &mut Vec<u32>, pool: &mut Pool) {
        for run in runs.drain(..) {
            let bucket = pool.run(run).bucket;
            if self.buckets[bucket as usize].state == pool.run(run).at {
                self.buckets[bucket as usize].runs.push(run);
            } else {
                self.insert(key, run, pool);
            }
        }
        while let Some(bucket) = self.hit.pop() {
            self.forget_if_empty(bucket);
        }
    }

    /// Adds a run of a key, or one that is in another state now.
    pub(super) fn insert(&mut self, key: usize, run: u32, pool: &mut Pool) {
        let (state, arrival) = (pool.run(run).at, pool.run(run).arrival);
        let value = self.found_by[state].map(|FoundBy { step, first, slot }| {
            let captured = &pool.captured(run)[step];
            let event = if first { captured.first } else { captured.last };
            pool.row(event).values().get(slot).unwrap_or(&Value::Missing)
        });
        let hash = hash_of(key, state, value);
        let bucket = match find(&self.table, &self.buckets, key, state, hash) {
            Some(&bucket) => bucket,
            None => self.new_bucket(key, state, hash),
        };
        let runs = &mut self.buckets[bucket as usize].runs;
        let behind_all = runs.last().is_none_or(|&last| pool.run(last).arrival < arrival);
        let place = if behind_all {
            runs.len()
        } else {
            runs.partition_point(|&other| pool.run(other).arrival < arrival)
        };
        runs.insert(place, run);
        pool.set_bucket(run, bucket);
    }

    /// Takes a run out that has ended.
    pub(super) fn remove(&mut self, run: u32, pool: &Pool) {
        let (bucket, arrival) = (pool.run(run).bucket, pool.run(run).arrival);
        let runs = &mut self.buckets[bucket as usize].runs;
        let place = runs.partition_point(|&other| pool.run(other).arrival < arrival);
        debug_assert_eq!(runs.get(place), Some(&run), "a run stands in its bucket");
        runs.remove(place);
        self.forget_if_empty(bucket);
    }

    fn new_bucket(&mut self, key: usize, state: usize, hash: u64) -> u32 {
        let bucket = if let Some(free) = self.free.pop() {
            let bucket = &mut self.buckets[free as usize];
            (bucket.key, bucket.state, bucket.hash) = (key, state, hash);
            free
        } else {
            self.buckets.push(Bucket { key, state, hash, runs: Vec::new() });
            (self.buckets.len() - 1) as u32
        };
        let buckets = &self.buckets;
        self.table.insert_unique(hash, bucket, |&other| buckets[other as usize].hash);
        bucket
    }

    fn forget_if_empty(&mut self, bucket: u32) {
        let Bucket { hash, runs, .. } = &self.buckets[bucket as usize];
        if !runs.is_empty() {
            return;
        }
        if let Ok(found) = self.table.find_entry(*hash, |&other| other == bucket) {
            found.remove();
            self.free.push(bucket);
        }
    }
}

/// The hash of a bucket. For one key and state, different hashes of values stay different.
#[inline]
fn hash_of(key: usize, state: usize, value: Option<&Value>) -> u64 {
    /// The golden ratio, so that neighbours lie far apart.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let place = (key as u64).wrapping_mul(0x100).wrapping_add(state as u64 + 1).wrapping_mul(SPREAD);
    value.map_or(0, key_hash).wrapping_add(place)
}

#[inline]
fn find<'a>(
    table: &'a HashTable<u32>,
    buckets: &[Bucket],
    key: usize,
    state: usize,
    hash: u64,
) -> Option<&'a u32> {
    table.find(hash, |&bucket| {
        let bucket = &buckets[bucket as usize];
        bucket.hash == hash && bucket.key == key && bucket.state == state
    })
}

/// What can happen to a run in this state: the input and the condition of each.
fn tests(plan: &SequencePlan, state: usize) -> impl Iterator<Item = (usize, Option<&GuardPlan>)> {
    let here = &plan.steps[state];
    let next = plan.steps.get(state + 1).map(|step| (step.input, step.guard.as_ref()));
    let more = here.all.then_some((here.input, here.guard.as_ref()));
    let nots = here.nots.iter().map(|not| (not.input, not.guard.as_ref()));
    next.into_iter().chain(more).chain(nots)
}

/// A captured value with which every test of the state asks for an equality, those of one input with one slot of their
/// event.
fn found_by(plan: &SequencePlan, state: usize) -> Option<FoundBy> {
    let of_tests: Vec<_> =
        tests(plan, state).map(|(input, guard)| (input, equalities(plan, state, guard))).collect();
    let (_, candidates) = of_tests.first()?;
    let slot_of = |input: usize, found_by: FoundBy| {
        let mut of_input = of_tests.iter().filter(|(other, _)| *other == input);
        let slot = |equalities: &[(FoundBy, usize)]| {
            equalities.iter().find(|(other, _)| *other == found_by).map(|(_, slot)| *slot)
        };
        let first = of_input.next().and_then(|(_, equalities)| slot(equalities));
        first.filter(|_| of_input.all(|(_, equalities)| slot(equalities) == first))
    };
    let is_key = |input: usize, slot: usize| match plan.keys.get(input) {
        Some(Expr::Field(key, _)) => usize::from(*key) == slot,
        _ => false,
    };
    candidates.iter().map(|(found_by, _)| *found_by).find(|&found_by| {
        let mut slots = of_tests.iter().map(|(input, _)| (*input, slot_of(*input, found_by)));
        // An equality that repeats the key leads to what the key leads to.
        let mut repeats_key = is_key(plan.steps[found_by.step].input, found_by.slot);
        slots.all(|(input, slot)| {
            repeats_key &= slot.is_some_and(|slot| is_key(input, slot));
            slot.is_some()
        }) && !repeats_key
    })
}

/// The equalities that a condition asks for between a captured value that stays what it is in this state and a slot of
/// the event. None of a condition that does more than compare: it has to be asked of every run.
fn equalities(plan: &SequencePlan, state: usize, guard: Option<&GuardPlan>) -> Vec<(FoundBy, usize)> {
    let mut found = Vec::new();
    if let Some(guard) = guard.filter(|guard| does_nothing_else(guard)) {
        conjuncts(plan, state, guard, &guard.condition, &mut found);
    }
    found
}

fn conjuncts(
    plan: &SequencePlan,
    state: usize,
    guard: &GuardPlan,
    condition: &Expr,
    found: &mut Vec<(FoundBy, usize)>,
) {
    match condition {
        Expr::Binary(BinaryOp::And, a, b) => {
            conjuncts(plan, state, guard, a, found);
            conjuncts(plan, state, guard, b, found);
        }
        Expr::Binary(BinaryOp::Eq, a, b) => {
            if let (Expr::Field(slot, _), Expr::Captured(index, _))
            | (Expr::Captured(index, _), Expr::Field(slot, _)) = (&**a, &**b)
                && let Some(found_by) =
                    guard.captured.get(*index).and_then(|value| lasting(plan, state, value))
            {
                found.push((found_by, usize::from(*slot)));
            }
        }
        _ => {}
    }
}

/// A captured value that stays as long as the run is in this state.
fn lasting(plan: &SequencePlan, state: usize, value: &CapturePlan) -> Option<FoundBy> {
    let (step, first, slot) = match *value {
        CapturePlan::First(step, slot) => (step, true, slot),
        // The first is the last where there is one only.
        CapturePlan::Last(step, slot) => (step, !plan.steps.get(step)?.all, slot),
        _ => return None,
    };
    let grows = step == state && !first;
    (step <= state && !grows).then_some(FoundBy { step, first, slot: usize::from(slot) })
}

/// Whether asking a condition has no effect, and cannot fail.
fn does_nothing_else(guard: &GuardPlan) -> bool {
    let captured = guard.captured.iter().all(|value| match value {
        CapturePlan::Aggregate(_, aggregate) => aggregate.argument.as_ref().is_none_or(only_computes),
        _ => true,
    });
    captured && only_computes(&guard.condition)
}

fn only_computes(expr: &Expr) -> bool {
    match expr {
        Expr::Const(_)
        | Expr::Field(..)
        | Expr::RestField(..)
        | Expr::AllFields { .. }
        | Expr::Time
        | Expr::Key
        | Expr::Global(_)
        | Expr::Captured(..) => true,
        Expr::Unary(_, inner) | Expr::Member(inner, _) => only_computes(inner),
        Expr::Binary(_, a, b) | Expr::OrElse(a, b) | Expr::Index(a, b) => {
            only_computes(a) && only_computes(b)
        }
        Expr::If(a, b, c) => [a, b, c].into_iter().all(|part| only_computes(part)),
        Expr::Array(items) => items.iter().all(only_computes),
        Expr::Call(builtin, arguments) => *builtin != Builtin::Print && arguments.iter().all(only_computes),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{FoundBy, Waiting};
    use crate::vpl::parser::parse;
    use crate::vpl::plan::SourcePlan;
    use crate::vpl::resolve::resolve;

    /// What the runs of each state are found by.
    fn found_by(sequence: &str) -> Vec<Option<FoundBy>> {
        let events =
            ["A", "B", "C"].map(|name| format!("event {name}:\n    k: int\n    j: int\n    v: float\n"));
        let text = format!("{}stream S = {sequence}.within(1m).emit(k: a.k)", events.concat());
        let (syntax, _) = parse(&text);
        let (plan, _) = resolve(&syntax);
        let SourcePlan::Sequence(sequence) = &plan.streams[0].source else { panic!("{text}") };
        Waiting::of(sequence).map(|waiting| waiting.found_by).unwrap_or_default()
    }

    #[test]
    fn runs_are_found_by_equalities_that_every_test_of_their_state_asks_for() {
        let by = |step, first, slot| Some(FoundBy { step, first, slot });
        let cases = [
            ("A as a -> B where k == a.k as b", vec![by(0, true, 0), None]),
            ("A as a -> B where a.k == k and v > a.v as b", vec![by(0, true, 0), None]),
            ("A as a -> B where k == a.k as b -> C as c", vec![by(0, true, 0), None, None]),
            (
                "A as a -> B where k == a.k as b -> C where k == a.k as c",
                vec![by(0, true, 0), by(0, true, 0), None],
            ),
            // The `all` may take more, and asks for nothing.
            ("A as a -> all B as b -> C where k == a.k as c", vec![]),
            (
                "A as a -> all B where k == a.k as b -> C where k == a.k as c",
                vec![by(0, true, 0), by(0, true, 0), None],
            ),
            // What the `all` has captured last changes while it takes more.
            (
                "A as a -> all B where k == a.k as b -> C where k == b.last.k as c",
                vec![by(0, true, 0), None, None],
            ),
            // The `.not` concerns every run.
            ("A as a .not(C where v > 1.0) -> B where k == a.k as b", vec![]),
            ("A as a .not(C where k == a.k) -> B where k == a.k as b", vec![by(0, true, 0), None]),
            ("A as a -> B where k == a.k or j == a.j as b", vec![]),
            ("A as a -> B where k != a.k as b", vec![]),
            ("A as a -> B where k == a.k and print(v) > 1.0 as b", vec![]),
            ("A as a -> B where k == a.k as b .strict()", vec![]),
            ("A as a -> B where k == a.k as b .stam()", vec![]),
            // The key leads there already.
            ("A as a -> B where k == a.k as b .partition_by(k)", vec![]),
            ("A as a -> B where j == a.j as b .partition_by(k)", vec![by(0, true, 0), None]),
        ];
        for (sequence, expected) in cases {
            assert_eq!(found_by(sequence), expected, "{sequence}");
        }
    }
}
