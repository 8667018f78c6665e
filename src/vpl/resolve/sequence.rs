//! Sequences: steps from arrows, `sequence(..)` and `pattern`s; conditions that speak of earlier steps; the
//! row of a match.
//!
//! A match has no layout of its own. Whatever the operators behind the sequence (and its conditions) read of
//! the captured events gets a slot on first use: `a.x`, `x` of the last event, `count(cs)`, `last(cs).x`.

use std::rc::Rc;

use crate::event::{FieldType, Shape, ShapeField};
use crate::functions::{Aggregate, Builtin};
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{
    CapturePlan, Emission, Expr, GuardPlan, InputPlan, NotPlan, OpPlan, Selection, SequencePlan, SourcePlan,
    StepPlan,
};
use crate::vpl::syntax::{
    self, ExprKind, Name, NamedExpr, OperatorKind, Program, SourceKind, Span, StatementKind, Step,
    StreamDecl, Trend,
};

use super::Resolver;
use super::bounds::{MAX_FIELDS, MAX_SOURCES};
use super::join::mentioned;
use super::scope::{Origin, RowScope, Scope};
use super::stream::Draft;

/// A `pattern` statement.
pub(super) struct Pattern<'a> {
    name: &'a Name,
    pub(super) steps: &'a [Step],
    within: Option<&'a syntax::Expr>,
    partition_by: Option<&'a Name>,
    used: bool,
}

/// What names mean in a sequence: in its conditions, and behind it.
#[derive(Debug)]
pub(super) struct SequenceScope {
    steps: Rc<[StepScope]>,
    /// How many steps have captured something here.
    visible: usize,
    /// The layout of a match, where the row is one; none in a condition, whose row is the event that is
    /// tested.
    shape: Option<usize>,
    /// What is read, by the text that stands for it.
    captures: Vec<(String, CapturePlan)>,
}

/// A step as other steps see it.
#[derive(Debug)]
struct StepScope {
    alias: Option<String>,
    row: RowScope,
    all: bool,
}

/// A sequence as it is written.
#[derive(Default)]
struct Parts<'a> {
    steps: Vec<Part<'a>>,
    within: Option<&'a syntax::Expr>,
    key: Option<&'a Name>,
    selection: Option<Selection>,
    emission: Option<Emission>,
}

struct Part<'a> {
    alias: Option<&'a Name>,
    source: &'a Name,
    all: bool,
    trend: Option<(Trend, &'a Name)>,
    guard: Option<&'a syntax::Expr>,
    nots: Vec<&'a Step>,
}

/// Which of the events of a step.
#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

impl<'a> Resolver<'a> {
    pub(super) fn patterns(&mut self, program: &'a Program) {
        for statement in &program.statements {
            let StatementKind::Pattern { name, steps, within, partition_by } = &statement.kind else {
                continue;
            };
            let pattern = Pattern {
                name,
                steps,
                within: within.as_ref(),
                partition_by: partition_by.as_ref(),
                used: false,
            };
            if self.events.contains_key(name.text.as_str()) {
                let message = format!("`{}` is declared as an event, too", name.text);
                self.findings.push(Diagnostic::error(name.span, message));
            }
            if self.patterns.insert(&name.text, pattern).is_some() {
                let message = format!("pattern `{}` is declared twice", name.text);
                self.findings.push(Diagnostic::error(name.span, message));
            }
        }
    }

    /// What stands in a pattern is checked where a stream takes it.
    pub(super) fn check_patterns(&mut self) {
        let mut unused: Vec<&Name> =
            self.patterns.values().filter(|pattern| !pattern.used).map(|pattern| pattern.name).collect();
        unused.sort_by_key(|name| name.span.start);
        for name in unused {
            let message = format!("no stream takes the pattern `{}`", name.text);
            self.findings.push(
                Diagnostic::warning(name.span, message)
                    .help(format!("as in stream Matches = {}.emit(..)", name.text)),
            );
        }
        let clash = |decl: &&StreamDecl| self.patterns.contains_key(decl.name.text.as_str());
        let clashes: Vec<&Name> =
            self.stream_decls.iter().map(|info| info.decl).filter(clash).map(|decl| &decl.name).collect();
        for name in clashes {
            let message = format!("`{}` is declared as a pattern, too", name.text);
            self.findings.push(Diagnostic::error(name.span, message));
        }
    }

    /// Whether a stream takes the matches of a sequence.
    pub(super) fn is_sequence(&self, decl: &StreamDecl) -> bool {
        match &decl.source.kind {
            SourceKind::Sequence(_) => true,
            SourceKind::Step(step) => {
                let makes_one = |kind: &OperatorKind| {
                    matches!(
                        kind,
                        OperatorKind::FollowedBy(_) | OperatorKind::Not(_) | OperatorKind::Trend(..)
                    )
                };
                step.all
                    || step.negated
                    || step.trend.is_some()
                    || self.patterns.contains_key(step.source.text.as_str())
                    || decl.operators.iter().any(|operator| makes_one(&operator.kind))
            }
            SourceKind::Merge(_)
            | SourceKind::Join(..)
            | SourceKind::Timer { .. }
            | SourceKind::From { .. } => false,
        }
    }

    /// The sequence of a stream; its operators are resolved over the rows that `scope` then has.
    pub(super) fn sequence(&mut self, decl: &'a StreamDecl, scope: &mut Scope) -> SourcePlan {
        let mut parts = self.parts(decl);
        let count = parts.steps.iter().map(|part| 1 + part.nots.len()).sum();
        if !self.within(count, MAX_SOURCES, "steps and `.not`s of one sequence", decl.source.span) {
            parts.steps.truncate(1);
            parts.steps.iter_mut().for_each(|part| part.nots.truncate(1));
        }
        let parts = parts;
        let mut inputs: Vec<InputPlan> = Vec::new();
        let mut rows: Vec<RowScope> = Vec::new();
        let mut input_of = |this: &mut Self, source: &Name| {
            let (name, row) = this.taken(source);
            let at = inputs.iter().position(|input| input.name == name).unwrap_or_else(|| {
                inputs.push(InputPlan { name, ..InputPlan::default() });
                rows.push(row.clone());
                inputs.len() - 1
            });
            (at, row)
        };
        let mut steps: Vec<StepScope> = Vec::new();
        let mut taken: Vec<(usize, Vec<(usize, RowScope)>)> = Vec::new();
        for part in &parts.steps {
            let (input, row) = input_of(self, part.source);
            steps.push(StepScope { alias: self.alias(part, &parts), row, all: part.all });
            taken.push((input, part.nots.iter().map(|not| input_of(self, &not.source)).collect()));
        }
        if let Some(maker) = self.makers(&inputs).first() {
            let (stream, made) = (&self.plan.names[maker.name].name, &self.plan.names[maker.makes].name);
            let message = format!("a sequence takes both stream `{stream}` and `{made}`, which it makes");
            let help = format!("one event would fill two steps: name `{stream}` alone, or `{made}` alone");
            self.findings.push(Diagnostic::error(decl.source.span, message).help(help));
        }
        let steps: Rc<[StepScope]> = steps.into();
        let partitioned = parts.key.is_some()
            || decl.operators.iter().any(|operator| matches!(operator.kind, OperatorKind::PartitionBy(_)));
        let mut plans: Vec<StepPlan> = Vec::new();
        for (at, (part, (input, nots))) in parts.steps.iter().zip(taken).enumerate() {
            let own = &steps[at];
            let mut tested = own.row.clone();
            if !part.all {
                tested.names.extend(own.alias.clone());
            }
            // A step with `all` sees what it has captured so far.
            let visible = at + usize::from(part.all);
            let guard = part.guard.map(|guard| self.guard(guard, tested, visible, &steps, partitioned));
            let trend = part.trend.and_then(|(trend, field)| {
                if let Some(Expr::Field(slot, _)) = self.field(own.row.shape, &field.text) {
                    return Some((trend, slot));
                }
                self.unknown_field(&field.text, field.span, &own.row);
                None
            });
            let mut not_plans = Vec::new();
            for (not, (input, mut row)) in part.nots.iter().zip(nots) {
                row.names.extend(not.alias.iter().map(|alias| alias.text.clone()));
                let guard =
                    not.guard.as_ref().map(|guard| self.guard(guard, row, at + 1, &steps, partitioned));
                not_plans.push(NotPlan { input, guard });
            }
            let name = own.alias.clone().unwrap_or_else(|| part.source.text.clone());
            plans.push(StepPlan { name, input, all: part.all, guard, trend, nots: not_plans });
        }
        let within_ns = parts.within.and_then(|within| self.duration(within, "`.within`"));
        self.check_within(decl, &parts, &plans);
        let has_trend = plans.iter().any(|step| step.trend.is_some());
        let default = if has_trend { Emission::Longest } else { Emission::Each };
        let mut plan = SequencePlan {
            inputs,
            steps: plans,
            within_ns,
            selection: parts.selection.unwrap_or_default(),
            emission: parts.emission.unwrap_or(default),
            keys: Vec::new(),
            slots: Vec::new(),
        };
        if let Some(field) = parts.key {
            let key = syntax::Expr { kind: ExprKind::Name(field.text.clone()), span: field.span };
            plan.keys = self.keys(&key, &rows, &steps);
        }
        let shape = self.new_shape(Shape::default());
        self.sequence_shapes.insert(shape);
        scope.row = Some(RowScope { shape, origin: Origin::Open, names: Vec::new(), sides: Vec::new() });
        let visible = steps.len();
        scope.sequence = Some(SequenceScope { steps, visible, shape: Some(shape), captures: Vec::new() });
        scope.partitioned = parts.key.is_some();
        SourcePlan::Sequence(plan)
    }

    /// Puts the parts together that make the sequence of a stream.
    fn parts(&mut self, decl: &'a StreamDecl) -> Parts<'a> {
        let mut parts = Parts::default();
        match &decl.source.kind {
            SourceKind::Sequence(items) => {
                for (at, item) in items.iter().enumerate() {
                    parts.steps.push(Part {
                        alias: Some(&item.alias),
                        source: &item.source,
                        all: false,
                        trend: None,
                        guard: item.filter.as_ref(),
                        nots: Vec::new(),
                    });
                    if let Some(within) = &item.within {
                        if at + 1 < items.len() {
                            let message = "`.within` in front of the last step is not supported yet";
                            self.findings.push(
                                Diagnostic::error(within.span, message)
                                    .help("behind the last step it bounds the whole sequence"),
                            );
                        }
                        parts.within = Some(within);
                    }
                }
                if items.is_empty() {
                    let message = "`sequence` needs at least one step";
                    self.findings.push(Diagnostic::error(decl.source.span, message));
                }
            }
            SourceKind::Step(step) => match self.patterns.get_mut(step.source.text.as_str()) {
                Some(pattern) => {
                    pattern.used = true;
                    (parts.within, parts.key) = (pattern.within, pattern.partition_by);
                    let steps = pattern.steps;
                    for step in steps {
                        self.add_step(step, &mut parts);
                    }
                    if step.all || step.negated || step.trend.is_some() || step.guard.is_some() {
                        let message = format!("`{}` is a pattern, no single step", step.source.text);
                        self.findings.push(Diagnostic::error(step.span, message));
                    } else if let Some(alias) = &step.alias {
                        let message =
                            format!("a match has no alias; the pattern `{}` names its own", step.source.text);
                        self.findings.push(Diagnostic::error(alias.span, message));
                    }
                }
                None => self.add_step(step, &mut parts),
            },
            SourceKind::Merge(_)
            | SourceKind::Join(..)
            | SourceKind::Timer { .. }
            | SourceKind::From { .. } => {}
        }
        self.sequence_operators(decl, &mut parts);
        parts
    }

    /// The operators that belong to the sequence itself. They stand in front of those that take its matches.
    fn sequence_operators(&mut self, decl: &'a StreamDecl, parts: &mut Parts<'a>) {
        let (mut behind_step, mut behind_matches) = (true, false);
        for operator in &decl.operators {
            let at = operator.name_span;
            if belongs_to_sequence(&operator.kind) && behind_matches {
                let message =
                    "what belongs to a sequence stands in front of the operators that take its matches";
                self.findings.push(Diagnostic::error(at, message));
            }
            match &operator.kind {
                OperatorKind::FollowedBy(step) => {
                    if !behind_step && !behind_matches {
                        self.findings.push(
                            Diagnostic::error(at, "`->` stands directly behind a step")
                                .help("`.within` and the like come behind the last step"),
                        );
                    }
                    self.add_step(step, parts);
                }
                OperatorKind::Not(step) => self.add_not(step, parts),
                OperatorKind::Trend(trend, field) => {
                    let all = parts.steps.last_mut().filter(|part| part.all && part.trend.is_none());
                    match all {
                        Some(part) => part.trend = Some((*trend, field)),
                        None => self.trend_without_all(at),
                    }
                }
                OperatorKind::Within(within) => {
                    behind_step = false;
                    if parts.within.replace(within).is_some() {
                        self.findings.push(Diagnostic::error(at, "a sequence has one `.within`"));
                    }
                }
                OperatorKind::Strict => self.choose(&mut parts.selection, Selection::Strict, at),
                OperatorKind::Stnm => self.choose(&mut parts.selection, Selection::NextMatch, at),
                OperatorKind::Stam => self.choose(&mut parts.selection, Selection::AnyMatch, at),
                OperatorKind::Each => self.choose(&mut parts.emission, Emission::Each, at),
                OperatorKind::Longest => self.choose(&mut parts.emission, Emission::Longest, at),
                OperatorKind::Subsets => self.choose(&mut parts.emission, Emission::Subsets, at),
                OperatorKind::PartitionBy(_)
                | OperatorKind::Context(_)
                | OperatorKind::Watermark(_)
                | OperatorKind::AllowedLateness(_) => behind_step = false,
                _ => (behind_step, behind_matches) = (false, true),
            }
        }
    }

    fn choose<T>(&mut self, place: &mut Option<T>, choice: T, at: Span) {
        if place.replace(choice).is_some() {
            let message = "a sequence has one of `.stnm .strict .stam`, and one of `.each .longest .subsets`";
            self.findings.push(Diagnostic::error(at, message));
        }
    }

    fn add_step(&mut self, step: &'a Step, parts: &mut Parts<'a>) {
        if step.negated {
            return self.add_not(step, parts);
        }
        if step.trend.is_some() && !step.all {
            self.trend_without_all(step.span);
        }
        parts.steps.push(Part {
            alias: step.alias.as_ref(),
            source: &step.source,
            all: step.all,
            trend: step.trend.as_ref().map(|(trend, field)| (*trend, field)),
            guard: step.guard.as_ref(),
            nots: Vec::new(),
        });
    }

    fn trend_without_all(&mut self, at: Span) {
        self.findings.push(
            Diagnostic::error(at, "`.increasing` and `.decreasing` belong to a step with `all`, once")
                .help("as in all Tick.increasing(price) as ticks"),
        );
    }

    /// `.not(X where c)`, or `NOT X` as a step.
    fn add_not(&mut self, step: &'a Step, parts: &mut Parts<'a>) {
        if step.all || step.trend.is_some() {
            let message =
                "what must not come is one event; `all`, `.increasing` and `.decreasing` mean nothing here";
            self.findings.push(Diagnostic::error(step.span, message));
        }
        if let Some(part) = parts.steps.last_mut() {
            part.nots.push(step);
        } else {
            let message = "a sequence cannot begin with what must not come";
            self.findings.push(Diagnostic::error(step.span, message));
        }
    }

    /// The name of a step: its alias; without one its source's, where no other step could be meant.
    fn alias(&mut self, part: &Part<'a>, parts: &Parts<'a>) -> Option<String> {
        let Some(alias) = part.alias else {
            let text = part.source.text.as_str();
            let same = |other: &&Part<'_>| {
                other.alias.map_or(other.source.text.as_str(), |alias| alias.text.as_str()) == text
            };
            return (parts.steps.iter().filter(same).count() == 1).then(|| text.to_owned());
        };
        let first = parts.steps.iter().filter_map(|other| other.alias).find(|other| other.text == alias.text);
        if first.is_some_and(|first| first.span.start != alias.span.start) {
            let message = format!("two steps are called `{}`", alias.text);
            self.findings.push(Diagnostic::error(alias.span, message));
        }
        Some(alias.text.clone())
    }

    fn guard(
        &mut self,
        guard: &syntax::Expr,
        tested: RowScope,
        visible: usize,
        steps: &Rc<[StepScope]>,
        partitioned: bool,
    ) -> GuardPlan {
        let sequence = SequenceScope { steps: Rc::clone(steps), visible, shape: None, captures: Vec::new() };
        let mut scope =
            Scope { row: Some(tested), sequence: Some(sequence), partitioned, ..Scope::default() };
        let condition = self.expr(guard, &mut scope);
        let captures = scope.sequence.map(|sequence| sequence.captures).unwrap_or_default();
        GuardPlan { captured: captures.into_iter().map(|(_, capture)| capture).collect(), condition }
    }

    fn check_within(&mut self, decl: &StreamDecl, parts: &Parts<'a>, steps: &[StepPlan]) {
        if parts.within.is_some() {
            return;
        }
        let span = decl.source.span;
        let finding = if steps.last().is_some_and(|last| !last.nots.is_empty()) {
            Diagnostic::error(span, "`.not` behind the last step needs `.within(..)`")
                .help("until when must it not come?")
        } else {
            Diagnostic::warning(span, "the sequence has no `.within(..)`")
                .label("an event that starts it is remembered until it is complete")
                .help("as in .within(5m): how far apart its first and last event can be")
        };
        self.findings.push(finding);
    }

    /// The key, over the layout of each input.
    fn keys(&mut self, key: &syntax::Expr, rows: &[RowScope], steps: &[StepScope]) -> Vec<Expr> {
        let mut names = Vec::new();
        mentioned(key, &mut names);
        let alias = steps.iter().filter_map(|step| step.alias.as_deref()).find(|alias| names.contains(alias));
        if let Some(alias) = alias {
            let message = format!("the key of a sequence is taken from every event, not only from `{alias}`");
            self.findings.push(Diagnostic::error(key.span, message).help("name the field without an alias"));
            return Vec::new();
        }
        let over = |row: &RowScope| self.expr(key, &mut Scope { row: Some(row.clone()), ..Scope::default() });
        rows.iter().map(over).collect()
    }

    /// `.partition_by` directly behind a sequence is the key of its runs. False where it is not that.
    pub(super) fn sequence_key(&mut self, key: &syntax::Expr, at: Span, draft: &mut Draft) -> bool {
        let on_matches = draft.row().shape;
        let Some(sequence) = draft.scope.sequence.as_ref().filter(|it| it.shape == Some(on_matches)) else {
            return false;
        };
        let steps = Rc::clone(&sequence.steps);
        let SourcePlan::Sequence(plan) = &draft.plan.source else { return false };
        if draft.plan.window.is_some() {
            return false;
        }
        if draft.scope.partitioned {
            self.findings.push(Diagnostic::error(at, "a sequence has one key"));
            return true;
        }
        let rows: Vec<RowScope> = plan.inputs.iter().map(|input| self.row_of(input.name)).collect();
        let keys = self.keys(key, &rows, &steps);
        if let SourcePlan::Sequence(plan) = &mut draft.plan.source {
            plan.keys = keys;
        }
        true
    }

    /// The rows under a name.
    pub(super) fn row_of(&self, name: usize) -> RowScope {
        let plan = &self.plan.names[name];
        let origin = if self.plan.shapes[plan.shape].declared {
            if plan.declared && !self.stream_ids.contains_key(plan.name.as_str()) {
                Origin::Event(plan.name.clone())
            } else {
                Origin::Stream(plan.name.clone())
            }
        } else {
            Origin::Open
        };
        RowScope { shape: plan.shape, origin, names: Vec::new(), sides: Vec::new() }
    }

    /// What the row of a match holds is known when all operators behind it are.
    pub(super) fn finish_sequence(draft: &mut Draft) {
        let captures = draft.scope.sequence.take().map(|sequence| sequence.captures).unwrap_or_default();
        if let SourcePlan::Sequence(plan) = &mut draft.plan.source {
            plan.slots = captures.into_iter().map(|(_, capture)| capture).collect();
        }
    }

    /// All fields of a match: those of its last event. None where the row is no match.
    pub(super) fn all_fields_of_match(&mut self, scope: &mut Scope, span: Span) -> Option<Expr> {
        let sequence = scope.sequence.as_ref()?;
        if sequence.shape? != scope.row.as_ref()?.shape {
            return None;
        }
        let last = sequence.steps.len().checked_sub(1)?;
        let shape = sequence.steps[last].row.shape;
        let mut slot_of = |this: &mut Self, slot, name: &str| match this.captured(
            CapturePlan::Last(last, slot),
            name.to_owned(),
            span,
            scope,
        ) {
            Expr::Field(slot, _) => slot,
            // More are read than a match can hold: that has been told.
            _ => 0,
        };
        let fields = self.keep_all(shape, span);
        let rest = self.plan.shapes[shape].rest.map(|rest| slot_of(self, rest, "all fields"));
        let fields = fields.into_iter().map(|(name, slot)| (name.clone(), slot_of(self, slot, &name)));
        Some(Expr::AllFields { fields: fields.collect(), rest })
    }

    /// An unqualified name, where it means something in a sequence.
    pub(super) fn name_in_sequence(&mut self, name: &str, span: Span, scope: &mut Scope) -> Option<Expr> {
        if let Some(step) = self.step_called(name, span, scope)? {
            let help = if scope.sequence.as_ref()?.steps[step].all {
                format!("as in last({name}).field, count({name}), sum({name}.field)")
            } else {
                format!("as in {name}.field")
            };
            let message = format!("`{name}` is a whole event (or several); name a field of it");
            return Some(self.fail(Diagnostic::error(span, message).help(help)));
        }
        let sequence = scope.sequence.as_ref()?;
        sequence.shape?;
        let row = scope.row.as_ref()?;
        if row.names.iter().any(|alias| alias == name) {
            return self.all_fields_of_match(scope, span);
        }
        if name == "match_duration_ms" {
            return Some(self.captured(CapturePlan::DurationMs, name.to_owned(), span, scope));
        }
        let last = sequence.steps.len().checked_sub(1)?;
        Some(self.field_of_step(last, End::Last, name, span, name.to_owned(), scope))
    }

    /// `object.name`, where it means something in a sequence.
    pub(super) fn member_in_sequence(
        &mut self,
        object: &syntax::Expr,
        name: &Name,
        scope: &mut Scope,
    ) -> Option<Expr> {
        let (whole, end) = match &object.kind {
            ExprKind::Name(whole) => (whole, None),
            ExprKind::Member { object, name: end, .. } => match &object.kind {
                ExprKind::Name(whole) => (whole, Some(end_called(&end.text)?)),
                _ => return None,
            },
            ExprKind::Call { callee, args } => match (&callee.kind, args.as_slice()) {
                (ExprKind::Name(function), [NamedExpr { name: None, value }]) => match &value.kind {
                    ExprKind::Name(whole) => (whole, Some(end_called(function)?)),
                    _ => return None,
                },
                _ => return None,
            },
            _ => return None,
        };
        let Some(step) = self.step_called(whole, object.span, scope)? else {
            // The parameter of a lambda over matches: its members are what an unqualified name would be.
            let sequence = scope.sequence.as_ref()?;
            sequence.shape?;
            let is_match = end.is_none() && scope.row.as_ref()?.names.contains(whole);
            return if is_match { self.name_in_sequence(&name.text, name.span, scope) } else { None };
        };
        let all = scope.sequence.as_ref()?.steps[step].all;
        let (end, text) = match (end, all) {
            (None, true) => {
                let message = format!("`{whole}` is all events of its step, not one");
                let field = &name.text;
                return Some(self.fail(Diagnostic::error(name.span, message).help(format!(
                    "as in last({whole}).{field}, first({whole}).{field}, max({whole}.{field}); \
                     inside the step itself, plain `{field}` is the field of the event at hand"
                ))));
            }
            (None, false) => (End::Last, format!("{whole}.{}", name.text)),
            // `a.first.x` of a single event is a member of its field `first`.
            (Some(_), false) if matches!(object.kind, ExprKind::Member { .. }) => return None,
            (Some(End::First), _) => (End::First, format!("first({whole}).{}", name.text)),
            (Some(End::Last), _) => (End::Last, format!("last({whole}).{}", name.text)),
        };
        Some(self.field_of_step(step, end, &name.text, name.span, text, scope))
    }

    /// An aggregate over the events of a step.
    pub(super) fn call_in_sequence(
        &mut self,
        function: &str,
        args: &[NamedExpr],
        span: Span,
        scope: &mut Scope,
    ) -> Option<Expr> {
        let aggregate = Aggregate::lookup(function)?;
        if Builtin::lookup(function).is_some() && args.len() != 1 {
            return None; // `min(a, b)` is the function, as in `.aggregate` (D19).
        }
        let mut names = Vec::new();
        for arg in args {
            mentioned(&arg.value, &mut names);
        }
        let mut over: Option<(usize, &str)> = None;
        let mut mixed = false;
        for name in names {
            let Some(step) = self.step_called(name, span, scope)? else { continue };
            mixed |= over.is_some_and(|(other, _)| other != step);
            if over.is_none() || scope.sequence.as_ref()?.steps[step].all {
                over = Some((step, name));
            }
        }
        let (step, alias) = over?;
        let place = &scope.sequence.as_ref()?.steps[step];
        if !place.all {
            return None;
        }
        if mixed {
            let message = format!("`{function}` goes over the events of one step");
            return Some(self.fail(Diagnostic::error(span, message)));
        }
        if let [NamedExpr { value, .. }] = args
            && matches!(&value.kind, ExprKind::Name(_))
        {
            if aggregate == Aggregate::Count {
                return Some(self.captured(CapturePlan::Count(step), format!("count({alias})"), span, scope));
            }
            let message = format!("`{function}({alias})` names no field");
            let help = match aggregate {
                Aggregate::First | Aggregate::Last => format!("as in {function}({alias}).field"),
                _ => format!("as in {function}({alias}.field)"),
            };
            return Some(self.fail(Diagnostic::error(span, message).help(help)));
        }
        let mut row = place.row.clone();
        row.names.push(alias.to_owned());
        let mut inner = Scope { row: Some(row), accumulators: Some(Vec::new()), ..Scope::default() };
        self.aggregate_call(function, args, span, &mut inner)?;
        let Some(plan) = inner.accumulators.and_then(|mut found| found.pop()) else {
            return Some(Expr::Const(crate::event::Value::Missing)); // There is a finding.
        };
        let number = scope.sequence.as_ref()?.captures.len();
        let text = format!("{function}({alias}, {number})");
        Some(self.captured(CapturePlan::Aggregate(step, plan), text, span, scope))
    }

    /// The step that `name` stands for, if it does for one. None where the row at hand has nothing to do with
    /// a sequence.
    #[allow(clippy::option_option)] // the outer one lets `?` leave for the rules that hold everywhere
    fn step_called(&mut self, name: &str, span: Span, scope: &Scope) -> Option<Option<usize>> {
        let sequence = scope.sequence.as_ref()?;
        if sequence.shape.is_some_and(|shape| scope.row.as_ref().is_none_or(|row| row.shape != shape)) {
            return None;
        }
        if scope.local(name).is_some() {
            return None;
        }
        let step = sequence.steps.iter().position(|step| step.alias.as_deref() == Some(name));
        let own = scope.row.as_ref().is_some_and(|row| row.names.iter().any(|own| own == name));
        match step {
            _ if own => Some(None),
            Some(step) if step >= sequence.visible => {
                let message = format!("`{name}` is captured later than this condition is tested");
                self.findings.push(Diagnostic::error(span, message));
                Some(None)
            }
            step => Some(step),
        }
    }

    fn field_of_step(
        &mut self,
        step: usize,
        end: End,
        name: &str,
        span: Span,
        text: String,
        scope: &mut Scope,
    ) -> Expr {
        let Some(sequence) = &scope.sequence else { return Expr::Const(crate::event::Value::Missing) };
        let row = sequence.steps[step].row.clone();
        let unqualified = text == name;
        let special = if unqualified {
            self.special(name, scope)
        } else if name == "timestamp" {
            let time = match end {
                End::First => CapturePlan::FirstTime(step),
                End::Last => CapturePlan::LastTime(step),
            };
            Some(self.captured(time, format!("time of {text}"), span, scope))
        } else {
            None
        };
        let field = match self.field(row.shape, name) {
            Some(Expr::Field(slot, _)) => {
                let capture = match end {
                    End::First => CapturePlan::First(step, slot),
                    End::Last => CapturePlan::Last(step, slot),
                };
                Some(self.captured(capture, text, span, scope))
            }
            other => other,
        };
        match (field, special) {
            (Some(field), Some(special)) if !self.plan.shapes[row.shape].declared => {
                Expr::OrElse(Box::new(field), Box::new(special))
            }
            (Some(field), _) => field,
            (None, Some(special)) => special,
            (None, None) => self.unknown_field(name, span, &row),
        }
    }

    /// The slot for what is read; made on first use.
    fn captured(&mut self, capture: CapturePlan, text: String, span: Span, scope: &mut Scope) -> Expr {
        let Some(sequence) = &mut scope.sequence else { return Expr::Const(crate::event::Value::Missing) };
        let known = sequence.captures.iter().position(|(known, _)| *known == text);
        if known.is_none() && sequence.captures.len() == MAX_FIELDS {
            let message = format!("more than {MAX_FIELDS} things of a sequence are read");
            return self.fail(Diagnostic::error(span, message).label("one too many"));
        }
        let at = known.unwrap_or_else(|| {
            sequence.captures.push((text.clone(), capture));
            sequence.captures.len() - 1
        });
        match sequence.shape {
            None => Expr::Captured(at, text),
            Some(shape) => {
                if known.is_none() {
                    let shape = &mut self.plan.shapes[shape];
                    shape.fields.push(ShapeField { name: text.clone(), ty: FieldType::Any, slot: None });
                    shape.keep(at);
                }
                Expr::Field(at as u16, text)
            }
        }
    }
}

/// Whether an operator is part of a sequence, and so resolved with it.
pub(super) fn belongs_to_sequence(kind: &OperatorKind) -> bool {
    matches!(
        kind,
        OperatorKind::FollowedBy(_)
            | OperatorKind::Within(_)
            | OperatorKind::Not(_)
            | OperatorKind::Trend(..)
            | OperatorKind::Strict
            | OperatorKind::Stnm
            | OperatorKind::Stam
            | OperatorKind::Each
            | OperatorKind::Longest
            | OperatorKind::Subsets
    )
}

fn end_called(name: &str) -> Option<End> {
    match name {
        "first" => Some(End::First),
        "last" => Some(End::Last),
        _ => None,
    }
}

/// Marks the rows behind a sequence with a key as partitioned: its runs set the key of what they give.
pub(super) fn keyed() -> OpPlan {
    OpPlan::PartitionBy(Expr::Key)
}
