//! Where a result can depend on how rings are merged: behind a merge of several rings, an operator whose result
//! depends on the order in which rows arrive. A pure function of the plan; under `deterministic` order no such place
//! matters.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::functions::Aggregate;
use crate::vpl::plan::{Expr, OpPlan, Plan, SourcePlan, Statement, StreamPlan, WindowPlan};

use super::topology::{From, Topology};

/// A stream whose results can depend on the order in which rings are merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderDependence {
    /// The stream, by index.
    pub stream: usize,
    /// What in it depends on the order, and which rings meet before it; in words.
    pub why: String,
}

/// The streams of `plan` whose results can differ from run to run, unless the order is `deterministic`.
///
/// ```
/// use varpin::context::{order_dependence, topology};
/// use varpin::engine::Program;
/// let text = "context a\ncontext b\ncontext c\n\
///     stream A = R.context(a).emit(v: v)\nstream B = R.context(b).emit(v: v)\n\
///     stream Both = merge(A, B).context(c).window(10).aggregate(sum: sum(v))";
/// let program = Program::parse(text)?;
/// let places = order_dependence(program.plan(), &topology(program.plan()));
/// assert_eq!(places.len(), 1);
/// assert!(places[0].why.starts_with("a count window"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn order_dependence(plan: &Plan, topology: &Topology) -> Vec<OrderDependence> {
    let places_of = Places::of(plan, topology);
    let changes_variables = plan.functions.iter().any(|function| changes_variable(&function.body));
    let mut names: Vec<Made> = vec![Made::default(); plan.names.len()];
    let mut places = Vec::new();
    for (index, stream) in plan.streams.iter().enumerate() {
        let stage = places_of.takes[index];
        let mut lanes = BTreeSet::new();
        // The rings that meet in front of it or of a stream before it; none where its rows have one order only.
        let mut behind: Option<Rc<Merge>> = None;
        for input in stream.source.inputs() {
            let made = &names[input.name];
            lanes.extend(made.lanes(stage));
            behind = behind.or_else(|| made.merge.clone());
        }
        if behind.is_none() && lanes.len() > 1 {
            let mut rings: Vec<String> =
                lanes.iter().take(MOST_NAMED).map(|lane| lane_name(topology, *lane)).collect();
            if lanes.len() > MOST_NAMED {
                rings.push("others".to_owned());
            }
            behind = Some(Rc::new(Merge { stage, rings }));
        }
        if let Some(merge) = &behind
            && let Some(what) = depends_on_order(stream, changes_variables)
        {
            let rings = merge.rings.join(" and ");
            let stage = &topology.stages[merge.stage].name;
            places.push(OrderDependence {
                stream: index,
                why: format!("{what} stands behind a merge of the rings from {rings} (in {stage})"),
            });
        }
        for feed in &stream.feeds {
            for &maker in &places_of.makes[index] {
                names[feed.name].add(maker, &lanes, behind.as_ref());
            }
        }
    }
    places
}

/// How many of the rings that meet are named. Hardly more are kept of a stream, so that the time stays linear.
const MOST_NAMED: usize = 8;

/// Rings that meet.
#[derive(Debug)]
struct Merge {
    stage: usize,
    rings: Vec<String>,
}

/// What is known of the rows of a name, when all who make it have been looked at: they stand before those who take it.
#[derive(Clone, Debug, Default)]
struct Made {
    /// The stages that make it, with the rings over which its rows came into each.
    stages: BTreeMap<usize, BTreeSet<From>>,
    /// The first merge that one of its makers stands behind.
    merge: Option<Rc<Merge>>,
}

impl Made {
    /// A stream makes it in `stage`, behind `lanes`.
    fn add(&mut self, stage: usize, lanes: &BTreeSet<From>, behind: Option<&Rc<Merge>>) {
        let known = self.stages.entry(stage).or_default();
        known.extend(lanes);
        while known.len() > MOST_NAMED + 1 {
            known.pop_last();
        }
        if self.merge.is_none() {
            self.merge = behind.cloned();
        }
    }

    /// The rings over which rows of it come to `stage`: enough of them.
    fn lanes(&self, stage: usize) -> Vec<From> {
        if self.stages.is_empty() {
            return vec![From::Input];
        }
        let own = self.stages.get(&stage).into_iter().flatten().copied();
        let others = self.stages.keys().filter(|&&other| other != stage).map(|&other| From::Stage(other));
        own.chain(others.take(MOST_NAMED + 1)).collect()
    }
}

/// The stage that takes a stream's rows, and those that make them: several, where it has a pool.
struct Places {
    takes: Vec<usize>,
    makes: Vec<Vec<usize>>,
}

impl Places {
    fn of(plan: &Plan, topology: &Topology) -> Self {
        let mut places =
            Self { takes: vec![0; plan.streams.len()], makes: vec![Vec::new(); plan.streams.len()] };
        for (index, stage) in topology.stages.iter().enumerate() {
            for &stream in stage.streams.iter().filter(|_| stage.worker.is_none()) {
                places.takes[stream] = index;
            }
            for stream in stage.makes(plan) {
                places.makes[stream].push(index);
            }
        }
        places
    }
}

fn lane_name(topology: &Topology, lane: From) -> String {
    match lane {
        From::Input => "the input".to_owned(),
        From::Stage(stage) => topology.stages[stage].name.clone(),
    }
}

/// What in the stream depends on the order of its rows. Time windows and sessions don't: watermarks follow the part of
/// the input that is complete (see `holdback`), so that at most a row that would have been late is in time.
fn depends_on_order(stream: &StreamPlan, changes_variables: bool) -> Option<&'static str> {
    let window = match &stream.window {
        Some(WindowPlan::Count { .. }) => Some("a count window"),
        Some(WindowPlan::FirstEvent { .. }) => Some("a window from the first event"),
        Some(WindowPlan::Time { .. } | WindowPlan::Session { .. }) | None => None,
    };
    let source = matches!(stream.source, SourcePlan::Sequence(_)).then_some("a sequence");
    let operator = || stream.before.iter().chain(&stream.after).find_map(operator_depends);
    let variable = || (changes_variables && calls_functions(stream)).then_some("a `var`");
    source.or(window).or_else(operator).or_else(variable)
}

fn operator_depends(operator: &OpPlan) -> Option<&'static str> {
    match operator {
        OpPlan::Distinct(_) => Some("`distinct`"),
        OpPlan::Limit(_) => Some("`limit`"),
        OpPlan::Aggregate(aggregate) => aggregate.accumulators.iter().find_map(|item| match item.aggregate {
            Aggregate::First => Some("`first`"),
            Aggregate::Last => Some("`last`"),
            Aggregate::Ema => Some("`ema`"),
            Aggregate::Collect => Some("`collect`"),
            _ => None,
        }),
        _ => None,
    }
}

/// Whether the stream calls a function of the program.
fn calls_functions(stream: &StreamPlan) -> bool {
    // Any call counts, because functions call each other.
    stream.before.iter().chain(&stream.after).any(|operator| match operator {
        OpPlan::Process { .. } => true,
        OpPlan::Where(value) | OpPlan::Replace { value, .. } | OpPlan::PartitionBy(value) => calls(value),
        OpPlan::Project { fields, .. } => fields.iter().any(|(_, value)| calls(value)),
        OpPlan::Aggregate(aggregate) => {
            let arguments = aggregate.accumulators.iter().filter_map(|item| item.argument.as_ref());
            arguments.chain(aggregate.fields.iter().map(|(_, value)| value)).any(calls)
        }
        OpPlan::Distinct(by) => by.iter().any(calls),
        OpPlan::OrderBy(by) => by.iter().any(|(key, _)| calls(key)),
        OpPlan::Limit(_) | OpPlan::Log(_) => false,
    })
}

/// Whether a function of the program is called somewhere in `expr`.
fn calls(expr: &Expr) -> bool {
    let some = |bound: &Option<Box<Expr>>| bound.as_ref().is_some_and(|bound| calls(bound));
    match expr {
        // A block may do anything.
        Expr::UserCall(..) | Expr::Block(..) => true,
        Expr::Unary(_, operand) | Expr::Member(operand, _) => calls(operand),
        Expr::Binary(_, left, right)
        | Expr::OrElse(left, right)
        | Expr::Range(left, right, _)
        | Expr::Index(left, right)
        | Expr::MapItems(left, _, right)
        | Expr::FilterItems(left, _, right) => calls(left) || calls(right),
        Expr::If(condition, then, otherwise) => calls(condition) || calls(then) || calls(otherwise),
        Expr::Slice(of, from, to) => calls(of) || some(from) || some(to),
        Expr::Array(items) | Expr::Call(_, items) => items.iter().any(calls),
        Expr::Map(entries) => entries.iter().any(|(_, value)| calls(value)),
        _ => false,
    }
}

fn changes_variable(body: &[Statement]) -> bool {
    body.iter().any(|statement| match statement {
        Statement::SetGlobal(..) => true,
        Statement::If(branches, otherwise) => {
            branches.iter().any(|(_, body)| changes_variable(body)) || changes_variable(otherwise)
        }
        Statement::For(_, _, body) | Statement::While(_, body) => changes_variable(body),
        _ => false,
    })
}
