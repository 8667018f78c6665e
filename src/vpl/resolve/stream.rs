//! Streams: the source gives the first layout, each operator takes one and leaves one, and the last is what consumers
//! see.

use std::collections::{HashMap, HashSet};

use crate::event::{FieldType, Shape, ShapeField, Value};
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{
    AggregatePlan, EmitTypePlan, Expr, FeedPlan, InputPlan, LogPlan, OnErrorPlan, OpPlan, ResultPlan,
    SourcePlan, StreamPlan, TICK_FIELD, TimerPlan,
};
use crate::vpl::syntax::{
    self, ExprKind, Name, NamedExpr, OperatorKind, Source, SourceKind, Span, Step, StreamDecl,
};

use super::Resolver;
use super::bounds::{MAX_FIELDS, MAX_SOURCES};
use super::concurrent::PoolDraft;
use super::scope::{Origin, RowScope, Scope};
use super::sequence;

/// The levels of `.log`.
const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error"];

/// A stream while its operators are resolved.
pub(super) struct Draft {
    pub(super) plan: StreamPlan,
    pub(super) scope: Scope,
    /// `.partition_by` behind the window, as long as nothing stands behind it: the aggregate groups by it itself.
    group_by: Option<Expr>,
    context: Option<Span>,
    pub(super) on_error: Option<Span>,
    pub(super) pool: Option<PoolDraft>,
    /// The fields that an operator has fixed, with their slots; none while the source's pass through.
    own_fields: Option<Vec<(String, u16)>>,
    /// `.emit`, `.select`, `.aggregate` or `.process` stands in it: its rows are results whoever consumes them.
    makes_results: bool,
    emit_as: Option<String>,
    process: Option<Vec<EmitTypePlan>>,
    shaped_by: Option<(bool, usize)>,
    merged: Option<usize>,
    pub(super) sides: Vec<(String, usize)>,
    sends_to: Option<(usize, Span)>,
    /// The first `.to`.
    pub(super) to: Option<Span>,
    /// One of them is the console, where results are printed anyway.
    pub(super) to_console: bool,
}

impl Draft {
    pub(super) fn row(&self) -> RowScope {
        self.scope.row.clone().expect("a stream's scope has a row from its source on")
    }

    /// Adds an operator in front of the window or behind it.
    fn push(&mut self, op: OpPlan) {
        self.settle_group();
        if self.plan.window.is_some() { self.plan.after.push(op) } else { self.plan.before.push(op) }
    }

    /// `.partition_by` behind the window.
    fn group_by(&mut self, key: Expr) {
        self.settle_group();
        self.group_by = Some(key);
    }

    /// What stands behind `.partition_by` is no aggregate, or nothing: each row gets its key.
    fn settle_group(&mut self) {
        if let Some(key) = self.group_by.take() {
            self.plan.after.push(OpPlan::PartitionBy(key));
        }
    }
}

impl<'a> Resolver<'a> {
    pub(super) fn streams(&mut self) {
        for rank in 0..self.stream_decls.len() {
            let decl = self.stream_decls[rank].decl;
            let draft = self.stream(decl);
            for input in draft.plan.source.inputs() {
                let consumers = &mut self.plan.names[input.name].consumers;
                if consumers.last() != Some(&rank) {
                    consumers.push(rank);
                }
            }
            let info = &mut self.stream_decls[rank];
            info.shaped_by = draft.shaped_by;
            info.merged = draft.merged;
            info.sides = draft.sides;
            info.sends_to = draft.sends_to;
            self.plan.streams.push(draft.plan);
        }
        self.check_targets();
        self.check_patterns();
    }

    fn stream(&mut self, decl: &'a StreamDecl) -> Draft {
        if let Some(ty) = &decl.ty {
            self.refuse(ty.span, "the type of a stream");
        }
        let mut scope = Scope::default();
        let is_sequence = self.is_sequence(decl);
        let (source, merged) = if is_sequence {
            (self.sequence(decl, &mut scope), None)
        } else {
            self.source(&decl.name.text, &decl.source, &mut scope)
        };
        let mut draft = Draft {
            plan: StreamPlan {
                name: decl.name.text.clone(),
                span: decl.name.span,
                context: 0,
                source,
                before: Vec::new(),
                window: None,
                after: Vec::new(),
                out_of_order_ns: 0,
                allowed_lateness_ns: 0,
                shape: 0,
                on_error: OnErrorPlan::default(),
                pool: None,
                results: Vec::new(),
                written: Vec::new(),
                feeds: Vec::new(),
            },
            scope,
            group_by: None,
            context: None,
            on_error: None,
            pool: None,
            own_fields: None,
            makes_results: false,
            emit_as: None,
            process: None,
            shaped_by: None,
            merged,
            sides: Vec::new(),
            sends_to: None,
            to: None,
            to_console: false,
        };
        draft.sides = draft.row().sides;
        if draft.scope.partitioned {
            draft.push(sequence::keyed());
        }
        for operator in &decl.operators {
            if !(is_sequence && sequence::belongs_to_sequence(&operator.kind)) {
                self.operator(operator, &mut draft);
            }
        }
        if draft.context.is_none() {
            draft.plan.context = self.context_ids.get("main").copied().unwrap_or_default();
        }
        draft.settle_group();
        self.finish(decl, &mut draft);
        draft
    }

    /// Fields that leave a join or a sequence as they are do so under their own names.
    fn name_fields(&mut self, draft: &mut Draft) {
        let (verb, value) = match self.all_fields_of_match(&mut draft.scope, draft.plan.span) {
            Some(value) => ("sequence", value),
            None if !draft.row().sides.is_empty() => {
                ("join", self.all_fields(&mut draft.scope, draft.plan.span))
            }
            None => return,
        };
        match value {
            Expr::AllFields { fields, rest: None } => {
                let fields = fields.into_iter().map(|(name, slot)| (name.clone(), Expr::Field(slot, name)));
                self.project(verb, fields.collect(), draft);
            }
            value => self.replace(value, draft),
        }
    }

    /// What the stream leaves: its layout, its results, the names it feeds.
    fn finish(&mut self, decl: &StreamDecl, draft: &mut Draft) {
        self.check_join(decl, draft);
        self.check_retry(draft);
        self.name_fields(draft);
        self.finish_pool(draft);
        Self::finish_sequence(draft);
        if draft.own_fields.is_some() {
            // Another operator has made rows of what functions emitted.
            draft.process = None;
        }
        let consumed = self.consumed.contains(decl.name.text.as_str());
        let is_result = draft.makes_results || !consumed || draft.to_console;
        let shape = draft.row().shape;
        draft.plan.shape = shape;
        if is_result {
            draft.plan.results = self.results(draft, shape);
        }
        draft.plan.written = self.written(draft, shape);
        // Rows under the stream's name have the stream's layout. Where an `event` of the same name is declared,
        // events from outside come under it too, and bring its fields.
        let name = self.row_name(&decl.name.text);
        let declared = self.plan.names[name].shape;
        if self.plan.names[name].declared {
            for field in self.plan.shapes[declared].fields.clone() {
                let shape = &mut self.plan.shapes[shape];
                match shape.position(&field.name) {
                    Some(position) if shape.fields[position].ty == FieldType::Any => {
                        shape.fields[position].ty = field.ty;
                    }
                    Some(_) => {}
                    None => shape.fields.push(ShapeField { slot: None, ..field }),
                }
            }
        }
        self.plan.names[name].shape = shape;
        let mut feeds: Vec<(usize, Option<u16>)> = Vec::new();
        if consumed {
            feeds.push((name, None));
        }
        if let Some(emit_as) = &draft.emit_as
            && self.consumed.contains(emit_as.as_str())
            && *emit_as != decl.name.text
        {
            feeds.push((self.row_name(emit_as), None));
        }
        for (lane, emitted) in draft.process.iter().flatten().enumerate() {
            if self.consumed.contains(emitted.type_name.as_str()) && emitted.type_name != decl.name.text {
                feeds.push((self.row_name(&emitted.type_name), Some(lane as u16)));
            }
        }
        draft.plan.feeds =
            feeds.into_iter().map(|(name, lane)| FeedPlan { name, remap: None, lane }).collect();
    }

    pub(super) fn results(&mut self, draft: &Draft, shape: usize) -> Vec<ResultPlan> {
        let other_type = |ty: &String| (*ty != draft.plan.name).then(|| ty.clone());
        if let Some(emits) = &draft.process
            && draft.own_fields.is_none()
        {
            let result = |emitted: &EmitTypePlan| ResultPlan {
                type_name: other_type(&emitted.type_name),
                fields: emitted.fields.clone(),
                rest: None,
            };
            return emits.iter().map(result).collect();
        }
        let fields = match &draft.own_fields {
            Some(fields) => fields.clone(),
            None => self.keep_all(shape, draft.plan.span),
        };
        let rest = if draft.own_fields.is_some() { None } else { self.plan.shapes[shape].rest };
        vec![ResultPlan { type_name: draft.emit_as.as_ref().and_then(other_type), fields, rest }]
    }

    /// The source, and the layout of its rows where it has one of its own.
    fn source(&mut self, stream: &str, source: &'a Source, scope: &mut Scope) -> (SourcePlan, Option<usize>) {
        // Exhaustive over SourceKind: what the language names gets its meaning, or is refused by name.
        match &source.kind {
            SourceKind::Step(step) if !step.all && !step.negated && step.trend.is_none() => {
                return (self.single(step, scope), None);
            }
            SourceKind::Merge(branches) if branches.is_empty() => {
                self.findings.push(Diagnostic::error(source.span, "`merge` needs at least one branch"));
            }
            SourceKind::Merge(branches) => {
                let most = branches.len().min(MAX_SOURCES);
                self.within(branches.len(), MAX_SOURCES, "branches of one `merge`", source.span);
                return self.merge(&branches[..most], source.span, scope);
            }
            SourceKind::Step(step) => drop(self.refuse(step.span, "this step")),
            SourceKind::Join(kind, sides) => return self.join(*kind, sides, source.span, scope),
            SourceKind::Timer { interval, initial_delay } => {
                return (self.timer(stream, interval, initial_delay.as_ref(), scope), None);
            }
            SourceKind::Sequence(_) => drop(self.refuse(source.span, "`sequence`")),
            SourceKind::From { event_type, connector, settings } => {
                return (self.from(event_type, connector, settings, source.span, scope), None);
            }
        }
        // Refused: the operators are still resolved, over rows that can have any field, for their own findings.
        let shape = self.new_shape(Shape::default());
        scope.row = Some(RowScope { shape, origin: Origin::Open, names: Vec::new(), sides: Vec::new() });
        (SourcePlan::Merge(Vec::new()), None)
    }

    /// `timer(interval)`: an input of its own, whose events have no field but `timestamp`.
    fn timer(
        &mut self,
        stream: &str,
        interval: &syntax::Expr,
        initial_delay: Option<&syntax::Expr>,
        scope: &mut Scope,
    ) -> SourcePlan {
        let interval_ns = self.duration(interval, "`timer`").unwrap_or(1);
        if interval_ns == 0 {
            self.findings
                .push(Diagnostic::error(interval.span, "the interval of a `timer` is greater than 0"));
        }
        let initial_delay_ns =
            initial_delay.and_then(|delay| self.duration(delay, "`initial_delay`")).unwrap_or(0);
        // No event from outside can be called this.
        let name = self.row_name(&format!("timer of {stream}"));
        let shape = self.plan.names[name].shape;
        let field = ShapeField { name: TICK_FIELD.to_owned(), ty: FieldType::Timestamp, slot: None };
        self.plan.shapes[shape] = Shape { declared: true, fields: vec![field], ..Shape::default() };
        self.plan.timers.push(TimerPlan { name, interval_ns: interval_ns.max(1), initial_delay_ns });
        let origin = Origin::Event("timer".to_owned());
        scope.row = Some(RowScope { shape, origin, names: Vec::new(), sides: Vec::new() });
        SourcePlan::Name(InputPlan { name, ..InputPlan::default() })
    }

    fn single(&mut self, step: &Step, scope: &mut Scope) -> SourcePlan {
        let (name, mut row) = self.taken(&step.source);
        row.names.extend(step.alias.iter().map(|alias| alias.text.clone()));
        scope.row = Some(row);
        let filter = step.guard.as_ref().map(|guard| self.expr(guard, scope));
        SourcePlan::Name(InputPlan { name, filter, ..InputPlan::default() })
    }

    /// The rows under a name, as a consumer sees them.
    pub(super) fn taken(&mut self, source: &Name) -> (usize, RowScope) {
        if self.patterns.contains_key(source.text.as_str()) {
            let message = format!("the pattern `{}` can only be all of a stream's source", source.text);
            self.findings.push(Diagnostic::error(source.span, message));
        }
        let name = self.row_name(&source.text);
        let (shape, declared) = (self.plan.names[name].shape, self.plan.names[name].declared);
        let origin = if !self.plan.shapes[shape].declared {
            Origin::Open
        } else if self.stream_ids.contains_key(source.text.as_str()) || !declared {
            Origin::Stream(source.text.clone())
        } else {
            Origin::Event(source.text.clone())
        };
        (name, RowScope { shape, origin, names: Vec::new(), sides: Vec::new() })
    }

    pub(super) fn new_shape(&mut self, shape: Shape) -> usize {
        self.plan.shapes.push(shape);
        self.plan.shapes.len() - 1
    }

    /// One operator. There is no wildcard here: what the language names either gets its meaning or is refused by name.
    fn operator(&mut self, operator: &'a syntax::Operator, draft: &mut Draft) {
        let at = operator.name_span;
        self.check_behind_to(&operator.kind, &construct(&operator.kind), at, draft);
        // Exhaustive over OperatorKind: what the language names gets its meaning, or is refused by name.
        match &operator.kind {
            OperatorKind::Context(name) => self.set_context(name, draft),
            OperatorKind::Where(test) | OperatorKind::Having(test) => {
                let test = self.expr(test, &mut draft.scope);
                draft.push(OpPlan::Where(test));
            }
            OperatorKind::Filter(test) => {
                let test = self.row_lambda(test, draft);
                draft.push(OpPlan::Where(test));
            }
            OperatorKind::Map(value) => self.map(value, draft),
            OperatorKind::Select(items) => {
                let fields = self.named_fields("select", items, draft);
                draft.makes_results = true;
                self.project("select", fields, draft);
            }
            OperatorKind::Emit { as_type, fields } => self.emit(as_type.as_ref(), fields, draft),
            OperatorKind::PartitionBy(key) => self.partition_by(key, at, draft),
            OperatorKind::Window(spec) => self.window(spec, operator.span, at, draft),
            OperatorKind::Aggregate(items) => self.aggregate(items, at, draft),
            OperatorKind::Distinct(by) => {
                let by = match by {
                    Some(by) => vec![self.expr(by, &mut draft.scope)],
                    None => match self.all_fields(&mut draft.scope, draft.plan.span) {
                        Expr::AllFields { fields, rest: None } => {
                            fields.into_iter().map(|(name, slot)| Expr::Field(slot, name)).collect()
                        }
                        all => vec![all],
                    },
                };
                draft.push(OpPlan::Distinct(by));
            }
            OperatorKind::OrderBy(keys) => {
                if draft.plan.window.is_none() {
                    self.findings.push(
                        Diagnostic::error(at, "`.order_by` needs a `.window` before it")
                            .help("a stream without a window has no end that it could be sorted at"),
                    );
                    return;
                }
                let keys = keys
                    .iter()
                    .map(|key| (self.expr(&key.value, &mut draft.scope), key.descending))
                    .collect();
                draft.push(OpPlan::OrderBy(keys));
            }
            OperatorKind::Limit(count) => match self.constant(count) {
                Some(Value::Int(count)) if count >= 0 => {
                    draft.push(OpPlan::Limit(count as u64));
                }
                _ => self
                    .findings
                    .push(Diagnostic::error(count.span, "`.limit` takes a constant int of at least 0")),
            },
            OperatorKind::Watermark(args) => self.watermark(args, at, draft),
            OperatorKind::AllowedLateness(lateness) => {
                if let Some(ns) = self.duration(lateness, "`.allowed_lateness`") {
                    draft.plan.allowed_lateness_ns = ns;
                }
            }
            OperatorKind::On(condition) => self.join_on(condition, at, draft),
            OperatorKind::Print(args) => self.log("print", args, draft),
            OperatorKind::Tap(args) => self.log("tap", args, draft),
            OperatorKind::Log(args) => self.log("log", args, draft),
            OperatorKind::Process(call) => self.process(call, draft),
            OperatorKind::To(args) => self.to(args, at, draft),
            OperatorKind::From(_) => {
                let message = "`.from` stands right behind an event type";
                self.findings
                    .push(Diagnostic::error(at, message).help("as in stream S = Type.from(connector)"));
            }
            OperatorKind::OnError(policy) => self.on_error(policy, at, draft),
            OperatorKind::FollowedBy(_)
            | OperatorKind::Within(_)
            | OperatorKind::Not(_)
            | OperatorKind::Trend(..)
            | OperatorKind::Strict
            | OperatorKind::Stnm
            | OperatorKind::Stam
            | OperatorKind::Each
            | OperatorKind::Longest
            | OperatorKind::Subsets => {
                let message = format!("{} belongs to a sequence", construct(&operator.kind));
                self.findings.push(Diagnostic::error(at, message).help("as in A as a -> B as b .within(5s)"));
            }
            OperatorKind::Concurrent(items) => self.concurrent(items, at, draft),
            OperatorKind::Fork(_) | OperatorKind::Reserved { .. } => {
                let construct = construct(&operator.kind);
                self.refuse(at, &construct);
            }
        }
    }

    fn set_context(&mut self, name: &Name, draft: &mut Draft) {
        if draft.context.replace(name.span).is_some() {
            let message = format!("stream `{}` has two contexts", draft.plan.name);
            self.findings.push(Diagnostic::error(name.span, message));
        }
        match self.context_ids.get(name.text.as_str()) {
            Some(&context) if !self.plan.contexts[context].implicit => draft.plan.context = context,
            _ => self.unknown_context(name, "`.context` names"),
        }
    }

    /// The body of `x => ..` with `x` for the row, or a plain expression.
    fn row_lambda(&mut self, value: &syntax::Expr, draft: &mut Draft) -> Expr {
        let ExprKind::Lambda { params, body } = &value.kind else {
            return self.expr(value, &mut draft.scope);
        };
        let [param] = params.as_slice() else {
            self.findings.push(Diagnostic::error(value.span, "the lambda takes one parameter, the event"));
            return Expr::Const(Value::Missing);
        };
        // The parameter is the row: its members are fields, and no map is built unless it is used whole.
        if let Some(row) = &mut draft.scope.row {
            row.names.push(param.text.clone());
        }
        let body = self.lambda_body(body, &mut draft.scope);
        if let Some(row) = &mut draft.scope.row {
            row.names.pop();
        }
        body
    }

    fn map(&mut self, value: &syntax::Expr, draft: &mut Draft) {
        if !matches!(value.kind, ExprKind::Lambda { .. }) {
            self.findings.push(Diagnostic::error(value.span, "`.map` takes a lambda: .map(x => {..})"));
            return;
        }
        match self.row_lambda(value, draft) {
            Expr::Map(fields) => self.project("map", last_of_each(fields), draft),
            value => self.replace(value, draft),
        }
    }

    /// A new row with the entries of the map that `value` is, whichever these are.
    fn replace(&mut self, value: Expr, draft: &mut Draft) {
        let shape = self.new_shape(Shape::default());
        draft.push(OpPlan::Replace { value, fields: Vec::new(), rest: None, slots: 0 });
        Self::shaped(shape, Origin::Open, draft);
        draft.own_fields = None;
    }

    /// A new row with these fields.
    fn project(&mut self, verb: &'static str, fields: Vec<(String, Expr)>, draft: &mut Draft) {
        let fields = self.bounded(fields, verb, draft);
        let slots = fields.len() as u16;
        draft.own_fields =
            Some(fields.iter().enumerate().map(|(slot, (name, _))| (name.clone(), slot as u16)).collect());
        let shape = self.fixed_shape(fields.iter().map(|(name, _)| name));
        draft.push(OpPlan::Project { verb, fields, slots });
        Self::shaped(shape, Origin::Operator(verb), draft);
    }

    /// The fields that `verb` makes, not more than a layout can have.
    fn bounded(&mut self, mut fields: Vec<(String, Expr)>, verb: &str, draft: &Draft) -> Vec<(String, Expr)> {
        let what = format!("fields of `.{verb}` in stream `{}`", draft.plan.name);
        if !self.within(fields.len(), MAX_FIELDS, &what, draft.plan.span) {
            fields.truncate(MAX_FIELDS);
        }
        if !self.make_fields(fields.len(), draft.plan.span) {
            fields.clear();
        }
        fields
    }

    pub(super) fn fixed_shape<'n>(&mut self, names: impl Iterator<Item = &'n String>) -> usize {
        let mut shape = Shape { declared: true, ..Shape::default() };
        for (slot, name) in names.enumerate() {
            shape.fields.push(ShapeField { name: name.clone(), ty: FieldType::Any, slot: Some(slot as u16) });
            shape.slots += 1;
        }
        self.new_shape(shape)
    }

    /// The operator pushed last has left rows of another layout.
    fn shaped(shape: usize, origin: Origin, draft: &mut Draft) {
        let behind = draft.plan.window.is_some();
        let ops = if behind { &draft.plan.after } else { &draft.plan.before };
        draft.shaped_by = Some((behind, ops.len() - 1));
        draft.scope.row = Some(RowScope { shape, origin, names: Vec::new(), sides: Vec::new() });
    }

    /// Fields of `.select`: a bare name is a field of the same name.
    fn named_fields(&mut self, verb: &str, items: &[NamedExpr], draft: &mut Draft) -> Vec<(String, Expr)> {
        let mut fields = Vec::new();
        for item in items {
            let name = match (&item.name, &item.value.kind) {
                (Some(name), _) => name.text.clone(),
                (None, ExprKind::Name(name)) => name.clone(),
                (None, ExprKind::Member { name, .. }) => name.text.clone(),
                (None, _) => {
                    let message = format!("a field of `.{verb}` needs a name: field: value");
                    self.findings.push(Diagnostic::error(item.value.span, message));
                    continue;
                }
            };
            fields.push((name, self.expr(&item.value, &mut draft.scope)));
        }
        last_of_each(fields)
    }

    fn emit(&mut self, as_type: Option<&'a Name>, items: &'a [NamedExpr], draft: &mut Draft) {
        draft.makes_results = true;
        if let Some(name) = as_type
            && draft.emit_as.replace(name.text.clone()).is_some()
        {
            self.findings.push(Diagnostic::error(name.span, "a stream has one `.emit as`"));
        }
        let mut rest: Vec<NamedExpr> = Vec::new();
        for item in items {
            match (&item.name, &item.value.kind) {
                (Some(name), ExprKind::Name(target)) if name.text == "context" => {
                    let target = Name { text: target.clone(), span: item.value.span };
                    match self.context_ids.get(target.text.as_str()) {
                        Some(&context) if !self.plan.contexts[context].implicit => {
                            draft.sends_to = Some((context, item.value.span));
                        }
                        _ => self.unknown_context(&target, "`.emit` sends to"),
                    }
                }
                _ => rest.push(item.clone()),
            }
        }
        if rest.is_empty() {
            // `.emit()` passes the current fields on; those of a join are put together when the stream is finished.
            return;
        }
        let fields = self.named_fields("emit", &rest, draft);
        self.project("emit", fields, draft);
    }

    fn partition_by(&mut self, key: &syntax::Expr, at: Span, draft: &mut Draft) {
        if self.sequence_key(key, at, draft) {
            if !std::mem::replace(&mut draft.scope.partitioned, true) {
                draft.push(sequence::keyed());
            }
            return;
        }
        let resolved = self.expr(key, &mut draft.scope);
        draft.scope.partitioned = true;
        if draft.plan.window.is_none() {
            draft.push(OpPlan::PartitionBy(resolved));
        } else {
            draft.group_by(resolved);
        }
    }

    pub(super) fn constant_text(&mut self, expr: &syntax::Expr) -> Option<String> {
        match self.constant(expr)? {
            Value::Str(text) => Some(text.to_string()),
            _ => None,
        }
    }

    fn aggregate(&mut self, items: &[NamedExpr], at: Span, draft: &mut Draft) {
        if draft.plan.window.is_none() {
            self.findings.push(
                Diagnostic::error(at, "`.aggregate` needs a `.window` before it").label("over which events?"),
            );
        }
        if items.is_empty() {
            self.findings.push(Diagnostic::error(at, "`.aggregate` needs at least one item"));
        }
        draft.scope.accumulators = Some(Vec::new());
        let mut fields = Vec::new();
        for item in items {
            let name = match (&item.name, &item.value.kind) {
                (Some(name), _) => name.text.clone(),
                (None, ExprKind::Name(name)) => name.clone(),
                (None, ExprKind::Call { callee, .. }) if matches!(&callee.kind, ExprKind::Name(_)) => {
                    match &callee.kind {
                        ExprKind::Name(name) => name.clone(),
                        _ => continue,
                    }
                }
                (None, _) => {
                    let message = "this item of `.aggregate` needs a name: field: value";
                    self.findings.push(Diagnostic::error(item.value.span, message));
                    continue;
                }
            };
            fields.push((name, self.expr(&item.value, &mut draft.scope)));
        }
        let fields = self.bounded(last_of_each(fields), "aggregate", draft);
        let accumulators = draft.scope.accumulators.take().unwrap_or_default();
        let shape = self.fixed_shape(fields.iter().map(|(name, _)| name));
        draft.own_fields =
            Some(fields.iter().enumerate().map(|(slot, (name, _))| (name.clone(), slot as u16)).collect());
        let slots = fields.len() as u16;
        let group_by = draft.group_by.take();
        draft.push(OpPlan::Aggregate(AggregatePlan { accumulators, fields, group_by, slots }));
        draft.makes_results = true;
        Self::shaped(shape, Origin::Operator("aggregate"), draft);
    }

    /// `.print`, `.log`, `.tap`: what is written, and at which level.
    fn log(&mut self, verb: &'static str, args: &[NamedExpr], draft: &mut Draft) {
        let mut log = LogPlan { verb, level: "info".to_owned(), parts: Vec::new() };
        for arg in args {
            match &arg.name {
                Some(name) if verb == "log" && name.text == "level" => {
                    let level = match (&arg.value.kind, self.constant_text(&arg.value)) {
                        (_, Some(text)) => text,
                        (ExprKind::Name(name), None) => name.clone(),
                        _ => String::new(),
                    };
                    if !LEVELS.contains(&level.as_str()) {
                        let finding = Diagnostic::error(arg.value.span, "unknown level of `.log`");
                        self.findings.push(finding.help(format!("one of: {}", LEVELS.join(", "))));
                    }
                    log.level = level;
                }
                name => {
                    let value = self.expr(&arg.value, &mut draft.scope);
                    log.parts.push((name.as_ref().map(|name| name.text.clone()), value));
                }
            }
        }
        if log.parts.is_empty() {
            log.parts.push((None, self.all_fields(&mut draft.scope, draft.plan.span)));
        }
        self.plan.logs = true;
        draft.push(OpPlan::Log(log));
    }

    /// `.process(f(x))`: a layout with all fields of all types that the function emits.
    fn process(&mut self, call: &syntax::Expr, draft: &mut Draft) {
        draft.scope.in_process = true;
        let resolved = self.expr(call, &mut draft.scope);
        draft.scope.in_process = false;
        if !matches!(resolved, Expr::UserCall(..)) {
            self.findings.push(
                Diagnostic::missing(call.span, "`.process` takes a call of a function of the program")
                    .help("the function's `emit Type(field: value)` statements are what comes out"),
            );
            return;
        }
        let mut emitted = self.emits_of(&resolved, call.span);
        if !self.within(emitted.len(), MAX_SOURCES, "types that one function emits", call.span) {
            emitted.truncate(MAX_SOURCES);
        }
        if emitted.is_empty() {
            let message = "the function of `.process` never emits anything";
            self.findings.push(Diagnostic::warning(call.span, message));
        }
        let mut names: Vec<String> = Vec::new();
        let mut slots: HashMap<String, u16> = HashMap::new();
        let count = emitted.iter().map(|(_, fields)| fields.len()).sum::<usize>() + emitted.len();
        if !self.make_fields(count, call.span) {
            emitted.clear();
        }
        for name in emitted.iter().flat_map(|(_, fields)| fields) {
            if !slots.contains_key(name) && names.len() <= MAX_FIELDS {
                slots.insert(name.clone(), names.len() as u16);
                names.push(name.clone());
            }
        }
        self.within(names.len(), MAX_FIELDS, "fields of all types that one function emits", call.span);
        let slot = |name: &String| slots.get(name).copied().unwrap_or_default();
        let emits: Vec<EmitTypePlan> = emitted
            .iter()
            .map(|(type_name, fields)| EmitTypePlan {
                type_name: type_name.clone(),
                fields: fields.iter().map(|name| (name.clone(), slot(name))).collect(),
            })
            .collect();
        let shape = self.fixed_shape(names.iter());
        draft.push(OpPlan::Process { call: resolved, emits: emits.clone() });
        draft.makes_results = true;
        draft.process = Some(emits);
        Self::shaped(shape, Origin::Operator("process"), draft);
        draft.own_fields = None;
    }

    fn watermark(&mut self, args: &[NamedExpr], at: Span, draft: &mut Draft) {
        match args {
            [NamedExpr { name: Some(name), value }] if name.text == "out_of_order" => {
                if let Some(ns) = self.duration(value, "`out_of_order`") {
                    draft.plan.out_of_order_ns = ns;
                }
            }
            _ => self.findings.push(Diagnostic::error(at, "`.watermark` takes `out_of_order: <duration>`")),
        }
    }

    /// The constant duration that `expr` is; at least 0.
    pub(super) fn duration(&mut self, expr: &syntax::Expr, what: &str) -> Option<i64> {
        match self.constant(expr) {
            Some(Value::Duration(ns)) if ns >= 0 => Some(ns),
            _ => {
                self.findings.push(Diagnostic::error(
                    expr.span,
                    format!("{what} takes a constant duration, as in 5s"),
                ));
                None
            }
        }
    }

    /// `.emit(context: c)` where nothing in c consumes the stream: legal, and surely not what was meant.
    fn check_targets(&mut self) {
        // Names, and the contexts that they are taken in.
        let mut taken: HashSet<(usize, usize)> = HashSet::new();
        for (name, spec) in self.plan.names.iter().enumerate() {
            taken.extend(spec.consumers.iter().map(|&stream| (name, self.plan.streams[stream].context)));
        }
        for rank in 0..self.stream_decls.len() {
            let info = &self.stream_decls[rank];
            let Some((context, span)) = info.sends_to else { continue };
            let names = [Some(info.decl.name.text.as_str()), info.emit_as];
            let consumed_there = names
                .into_iter()
                .flatten()
                .any(|name| self.name_ids.get(name).is_some_and(|&name| taken.contains(&(name, context))));
            if !consumed_there {
                let context = &self.plan.contexts[context].name;
                let stream = &info.decl.name.text;
                self.findings.push(
                    Diagnostic::warning(
                        span,
                        format!(
                            "stream `{stream}` sends its events to context `{context}`, \
                             which runs no stream that consumes `{stream}`"
                        ),
                    )
                    .label("nobody takes them there"),
                );
            }
        }
    }
}

/// The fields of which each name is the last one written (a name twice: the last wins).
fn last_of_each(fields: Vec<(String, Expr)>) -> Vec<(String, Expr)> {
    let mut last: HashMap<String, usize> = HashMap::with_capacity(fields.len());
    for (at, (name, _)) in fields.iter().enumerate() {
        last.insert(name.clone(), at);
    }
    let kept = fields.into_iter().enumerate().filter(|(at, (name, _))| last.get(name) == Some(at));
    kept.map(|(_, field)| field).collect()
}

/// How a refused operator is called in its message.
fn construct(kind: &OperatorKind) -> String {
    let name = match kind {
        OperatorKind::Print(_) => "print",
        OperatorKind::Log(_) => "log",
        OperatorKind::Tap(_) => "tap",
        OperatorKind::Process(_) => "process",
        OperatorKind::OnError(_) => "on_error",
        OperatorKind::Concurrent(_) => "concurrent",
        OperatorKind::To(_) => "to",
        OperatorKind::From(_) => "from",
        OperatorKind::On(_) => "on",
        OperatorKind::FollowedBy(_) => return "a sequence (`->`)".to_owned(),
        OperatorKind::Within(_) => "within",
        OperatorKind::Not(_) => "not",
        OperatorKind::Trend(syntax::Trend::Increasing, _) => "increasing",
        OperatorKind::Trend(syntax::Trend::Decreasing, _) => "decreasing",
        OperatorKind::Strict => "strict",
        OperatorKind::Stnm => "stnm",
        OperatorKind::Stam => "stam",
        OperatorKind::Each => "each",
        OperatorKind::Longest => "longest",
        OperatorKind::Subsets => "subsets",
        OperatorKind::Fork(_) => "fork",
        OperatorKind::Reserved { name, .. } => name,
        OperatorKind::Context(_) => "context",
        OperatorKind::Where(_) => "where",
        OperatorKind::Filter(_) => "filter",
        OperatorKind::Map(_) => "map",
        OperatorKind::Select(_) => "select",
        OperatorKind::Emit { .. } => "emit",
        OperatorKind::PartitionBy(_) => "partition_by",
        OperatorKind::Window(_) => "window",
        OperatorKind::Aggregate(_) => "aggregate",
        OperatorKind::Having(_) => "having",
        OperatorKind::Distinct(_) => "distinct",
        OperatorKind::OrderBy(_) => "order_by",
        OperatorKind::Limit(_) => "limit",
        OperatorKind::Watermark(_) => "watermark",
        OperatorKind::AllowedLateness(_) => "allowed_lateness",
    };
    format!("`.{name}`")
}
