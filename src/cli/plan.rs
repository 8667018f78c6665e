//! `varpin plan`: what would run, before anything starts.

mod dot;
mod json;
mod policies;
mod text;

use varpin::context::{OrderDependence, Topology, order_dependence, topology};
use varpin::engine::Program;
use varpin::vpl::plan::{Plan, ResultPlan, StreamPlan, SupervisionSettings};
use varpin::vpl::plan_print::{Described, PlanPrinter};

use super::args::{PlanArgs, PlanFormat};
use super::exit::Exit;
use super::messages;

/// Prints the plan of a program.
pub(super) fn plan(typed: &PlanArgs) -> Exit {
    let Some(program) = messages::load(&typed.program, false) else { return Exit::Refused };
    let seen = View::new(&program);
    let printed = match typed.format {
        PlanFormat::Text => text::print(&seen),
        PlanFormat::Json => json::print(&seen),
        PlanFormat::Dot => dot::print(&seen),
    };
    messages::print(printed.trim_end());
    Exit::Done
}

/// Whether the program itself asks for `deterministic` order.
pub(super) fn is_deterministic(plan: &Plan) -> bool {
    plan.engine.order.as_deref() == Some("deterministic")
}

/// A plan with everything about it that has to be found out to print it.
struct View<'a> {
    plan: &'a Plan,
    topology: Topology,
    /// What depends on how rings are merged, by stream.
    dependences: Vec<OrderDependence>,
}

impl<'a> View<'a> {
    fn new(program: &'a Program) -> Self {
        let plan = program.plan();
        let topology = topology(plan);
        let dependences = order_dependence(plan, &topology);
        Self { plan, topology, dependences }
    }

    /// Everything that a stream does, in order.
    fn operators(&self, stream: &StreamPlan) -> Vec<Described> {
        let printer = PlanPrinter::new(self.plan);
        let mut all: Vec<Described> = Vec::new();
        for (at, operator) in stream.before.iter().map(Some).chain([None]).enumerate() {
            if let Some(pool) = stream.pool.as_ref().filter(|pool| pool.at == at) {
                all.push(Described { verb: "concurrent".to_owned(), text: printer.pool(pool) });
            }
            all.extend(operator.into_iter().flat_map(|operator| printer.operator(operator)));
        }
        if let Some(window) = &stream.window {
            all.push(Described { verb: "window".to_owned(), text: printer.window(window) });
        }
        all.extend(stream.after.iter().flat_map(|operator| printer.operator(operator)));
        let index = self.plan.streams.iter().position(|other| other.name == stream.name);
        let sinks = self.plan.sinks.iter().filter(|sink| index.is_some_and(|at| sink.streams.contains(&at)));
        all.extend(sinks.map(|sink| Described { verb: "to".to_owned(), text: sink.place().to_owned() }));
        all
    }

    /// The streams that take the rows of `stream`, by index, without repetition.
    fn consumers(&self, stream: &StreamPlan) -> Vec<usize> {
        let mut consumers: Vec<usize> = stream
            .feeds
            .iter()
            .flat_map(|feed| self.plan.names[feed.name].consumers.iter().copied())
            .collect();
        consumers.sort_unstable();
        consumers.dedup();
        consumers
    }

    /// The sinks for which anything can be declared, and what is.
    fn guarded_sinks(&self) -> impl Iterator<Item = (&'a str, &'a SupervisionSettings)> {
        std::iter::once(("output", &self.plan.output))
    }

    fn context_of(&self, stream: &StreamPlan) -> &'a str {
        self.plan.contexts.get(stream.context).map_or("", |context| context.name.as_str())
    }

    /// The names that come from outside, as far as streams take them: those that no stream makes.
    fn inputs(&self) -> Vec<usize> {
        let made = |name: usize| {
            self.plan.streams.iter().any(|stream| stream.feeds.iter().any(|feed| feed.name == name))
        };
        let taken = |&name: &usize| !self.plan.names[name].consumers.is_empty() && !made(name);
        (0..self.plan.names.len()).filter(taken).collect()
    }

    fn dependence(&self, stream: usize) -> Option<&str> {
        self.dependences.iter().find(|place| place.stream == stream).map(|place| place.why.as_str())
    }
}

/// The results of a stream: the type, and the fields in order; no fields: all that there are.
fn results<'a>(stream: &'a StreamPlan) -> Vec<(&'a str, Option<Vec<&'a str>>)> {
    let result = |result: &'a ResultPlan| {
        let fields = result.fields.iter().map(|(name, _)| name.as_str()).collect();
        (result.type_name.as_deref().unwrap_or(&stream.name), result.rest.is_none().then_some(fields))
    };
    stream.results.iter().map(result).collect()
}
