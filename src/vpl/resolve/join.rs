//! Joins: `A.x` is a field of a side, `x` that of the first side that has it. The joined row holds what is read of
//! each side.

use crate::event::{FieldType, Shape, ShapeField, Value};
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{Expr, InputPlan, JoinPlan, JoinedSlot, RestFrom, SideField, SourcePlan};
use crate::vpl::syntax::{
    self, BinaryOp, ExprKind, JoinKind, JoinSide, LambdaBody, Name, Span, StreamDecl, WindowSpec,
};

use super::Resolver;
use super::bounds::MAX_FIELDS;
use super::scope::{Origin, RowScope, Scope};
use super::stream::Draft;

/// How many sources a join can have: an event meets every combination of those of the others.
const MAX_SIDES: usize = 64;

impl<'a> Resolver<'a> {
    /// `join(A, stream b = B)`. Conditions can stand behind each side, or in `.on(..)`.
    pub(super) fn join(
        &mut self,
        kind: JoinKind,
        sides: &'a [JoinSide],
        span: Span,
        scope: &mut Scope,
    ) -> (SourcePlan, Option<usize>) {
        if sides.len() < 2 || (kind != JoinKind::Inner && sides.len() > 2) {
            let message = match kind {
                JoinKind::Inner => "`join` needs at least two sources",
                JoinKind::Left | JoinKind::Right | JoinKind::Full => "an outer join has two sources",
            };
            self.findings.push(Diagnostic::error(span, message));
        }
        let most = sides.len().min(MAX_SIDES);
        self.within(sides.len(), MAX_SIDES, "sources of one `join`", span);
        let sides = &sides[..most];
        let mut inputs = Vec::new();
        let mut named: Vec<(String, usize)> = Vec::new();
        for side in sides {
            let (name, row) = self.taken(&side.source);
            let called = side.name.as_ref().unwrap_or(&side.source);
            if named.iter().any(|(known, _)| *known == called.text) {
                let message = format!("two sides of the join are called `{}`", called.text);
                let help = format!("name one of them: stream other = {}", side.source.text);
                self.findings.push(Diagnostic::error(called.span, message).help(help));
            }
            named.push((called.text.clone(), row.shape));
            inputs.push(InputPlan { name, ..InputPlan::default() });
        }
        let joined = self.new_shape(Shape::default());
        let origin = Origin::Join { outer: kind != JoinKind::Inner };
        let row = RowScope { shape: joined, origin, names: Vec::new(), sides: named };
        scope.row = Some(row.clone());
        let mut plan = JoinPlan { kind, sides: inputs, slots: Vec::new(), on: Vec::new(), window_ns: 0 };
        for condition in sides.iter().filter_map(|side| side.on.as_ref()) {
            self.equalities(condition, &row, &mut plan);
        }
        (SourcePlan::Join(plan), Some(joined))
    }

    /// `.on(..)`
    pub(super) fn join_on(&mut self, condition: &syntax::Expr, at: Span, draft: &mut Draft) {
        let row = draft.row();
        match &mut draft.plan.source {
            SourcePlan::Join(join) if !row.sides.is_empty() => self.equalities(condition, &row, join),
            _ => self.findings.push(Diagnostic::error(at, "`.on` belongs directly behind a join")),
        }
    }

    /// An equality of two sides, or several with `and` between them; nothing else can be looked up by key.
    fn equalities(&mut self, condition: &syntax::Expr, row: &RowScope, join: &mut JoinPlan) {
        match &condition.kind {
            ExprKind::Binary(BinaryOp::And, left, right) => {
                self.equalities(left, row, join);
                self.equalities(right, row, join);
            }
            ExprKind::Binary(BinaryOp::Eq, left, right) => {
                let (Some(left_side), Some(right_side)) = (self.side_of(left, row), self.side_of(right, row))
                else {
                    return;
                };
                if left_side == right_side {
                    let message = "an equality of a join compares two different sides";
                    self.findings.push(Diagnostic::error(condition.span, message));
                    return;
                }
                let left = self.over_side(left, left_side, row);
                let right = self.over_side(right, right_side, row);
                join.on.push([(left_side, left), (right_side, right)]);
            }
            _ => self.findings.push(
                Diagnostic::error(condition.span, "`.on` takes equalities of two sides, joined with `and`")
                    .help("put other conditions into `.where(..)` behind the join"),
            ),
        }
    }

    /// The one side that an expression speaks of.
    fn side_of(&mut self, expr: &syntax::Expr, row: &RowScope) -> Option<usize> {
        let mut names: Vec<&str> = Vec::new();
        mentioned(expr, &mut names);
        let mut sides: Vec<usize> = Vec::new();
        for name in names {
            let side = row.sides.iter().position(|(side, _)| side == name).or_else(|| {
                row.sides.iter().position(|&(_, shape)| {
                    !self.plan.shapes[shape].declared || self.plan.shapes[shape].position(name).is_some()
                })
            });
            sides.extend(side);
        }
        sides.sort_unstable();
        sides.dedup();
        if let [side] = sides[..] {
            return Some(side);
        }
        let message = if sides.is_empty() {
            "this side of the equality names no field of the join"
        } else {
            "this side of the equality mixes fields of several sides of the join"
        };
        self.findings.push(Diagnostic::missing(expr.span, message));
        None
    }

    /// An expression over the rows of one side.
    fn over_side(&mut self, expr: &syntax::Expr, side: usize, row: &RowScope) -> Expr {
        let (name, shape) = row.sides[side].clone();
        let origin = Origin::Event(name.clone());
        let row = RowScope { shape, origin, names: vec![name], sides: Vec::new() };
        self.expr(expr, &mut Scope { row: Some(row), ..Scope::default() })
    }

    /// The first `.window` behind a join is the join's own. False where it is not.
    pub(super) fn join_window(&mut self, spec: &WindowSpec, span: Span, draft: &mut Draft) -> bool {
        let SourcePlan::Join(join) = &mut draft.plan.source else { return false };
        if join.window_ns != 0 {
            return false;
        }
        join.window_ns = 1;
        let size = match spec {
            WindowSpec::Size { size, sliding: None, policy: None } => self.constant(size),
            WindowSpec::Size { .. } | WindowSpec::Session { .. } => None,
        };
        match (size, &mut draft.plan.source) {
            (Some(Value::Duration(ns)), SourcePlan::Join(join)) if ns > 0 => join.window_ns = ns,
            _ => {
                let message = "the `.window` of a join is a constant duration greater than 0";
                self.findings.push(Diagnostic::error(span, message));
            }
        }
        true
    }

    /// A join needs `.on` and `.window`: without them it would have to remember everything.
    pub(super) fn check_join(&mut self, decl: &StreamDecl, draft: &Draft) {
        let SourcePlan::Join(join) = &draft.plan.source else { return };
        if join.on.is_empty() && !self.findings.any(|finding| inside(finding.span, decl)) {
            self.findings.push(
                Diagnostic::error(decl.source.span, "a join needs `.on(..)`").help("as in .on(A.id == B.id)"),
            );
        }
        if join.window_ns == 0 {
            self.findings.push(
                Diagnostic::error(decl.source.span, "a join needs `.window(..)`")
                    .help("as in .window(10s): how far apart two events can be"),
            );
        }
    }

    /// Where each slot of the joined row comes from, when the sides' layouts are known.
    pub(super) fn joined_slots(&mut self, rank: usize, joined: usize) {
        let sides = self.stream_decls[rank].sides.clone();
        let outer = matches!(&self.plan.streams[rank].source,
            SourcePlan::Join(join) if join.kind != JoinKind::Inner);
        let mut slots = vec![JoinedSlot::First(Vec::new()); usize::from(self.plan.shapes[joined].slots)];
        for field in self.plan.shapes[joined].fields.clone() {
            let Some(slot) = field.slot else { continue };
            slots[usize::from(slot)] = match field.name.split_once('.') {
                Some((side, name)) => {
                    let at = sides.iter().position(|(known, _)| known == side);
                    let Some(&(_, shape)) = at.and_then(|at| sides.get(at)) else { continue };
                    let Some(Expr::Field(from, _)) = self.field(shape, name) else { continue };
                    JoinedSlot::Of(at.unwrap_or_default(), from)
                }
                None => self.first_of_sides(&sides, &field.name, outer),
            };
        }
        if let Some(rest) = self.plan.shapes[joined].rest {
            let span = self.plan.streams[rank].span;
            let from = sides.iter().map(|&(_, shape)| {
                let fields = self.keep_all(shape, span);
                self.plan.shapes[shape].rest.map_or(RestFrom::Fields(fields), RestFrom::Slot)
            });
            slots[usize::from(rest)] = JoinedSlot::All(from.collect());
        }
        if let SourcePlan::Join(join) = &mut self.plan.streams[rank].source {
            join.slots = slots;
        }
    }

    /// The sides that can have `name`, up to the one that always has it.
    fn first_of_sides(&mut self, sides: &[(String, usize)], name: &str, outer: bool) -> JoinedSlot {
        let mut choices: Vec<SideField> = Vec::new();
        for (side, &(_, shape)) in sides.iter().enumerate() {
            if let Some(Expr::Field(slot, _)) = self.field(shape, name) {
                let declared = self.plan.shapes[shape].declared;
                choices.push(SideField { side, slot, declared });
                if declared && !outer {
                    break;
                }
            }
        }
        match choices[..] {
            [SideField { side, slot, .. }] if !outer => JoinedSlot::Of(side, slot),
            _ => JoinedSlot::First(choices),
        }
    }

    /// `side.name` in the joined row.
    pub(super) fn field_of_side(&mut self, side: &str, name: &Name, row: &RowScope) -> Expr {
        let shape = row.sides.iter().find(|(known, _)| known == side).map_or(row.shape, |&(_, shape)| shape);
        if self.field(shape, &name.text).is_some() {
            return self.joined(format!("{side}.{}", name.text), row.shape, name.span);
        }
        let fields = self.plan.shapes[shape].fields.iter().map(|field| field.name.as_str());
        let mut finding = Diagnostic::missing(name.span, format!("`{side}` has no field `{}`", name.text));
        if let Some(near) = self.near(&name.text, fields) {
            finding = finding.help(format!("did you mean `{side}.{near}`?"));
        }
        self.findings.push(finding);
        Expr::Const(Value::Missing)
    }

    /// The slot of the joined row for `side.name` or `name`; it is made on first use.
    fn joined(&mut self, name: String, shape: usize, span: Span) -> Expr {
        let shape = &mut self.plan.shapes[shape];
        let position = match shape.position(&name) {
            Some(position) => position,
            None if shape.fields.len() >= MAX_FIELDS => {
                let message = format!("more than {MAX_FIELDS} fields of the join are read");
                return self.fail(Diagnostic::error(span, message).label("one too many"));
            }
            None => {
                shape.fields.push(ShapeField { name: name.clone(), ty: FieldType::Any, slot: None });
                shape.fields.len() - 1
            }
        };
        Expr::Field(shape.keep(position), name)
    }

    /// An unqualified name: the field of the first side that has it (D25). A side that is absent has none.
    pub(super) fn field_of_sides(
        &mut self,
        name: &str,
        span: Span,
        row: &RowScope,
        hidden: Option<Expr>,
    ) -> Expr {
        let shapes: Vec<usize> = row.sides.iter().map(|&(_, shape)| shape).collect();
        let having: Vec<usize> =
            shapes.into_iter().filter(|&shape| self.field(shape, name).is_some()).collect();
        let certain = row.origin == (Origin::Join { outer: false })
            && having.iter().any(|&shape| self.plan.shapes[shape].declared);
        match (having.is_empty(), hidden) {
            (true, Some(hidden)) => hidden,
            (true, None) => {
                let message = format!("no side of the join has a field `{name}`");
                let fields = row.sides.iter().flat_map(|&(_, shape)| &self.plan.shapes[shape].fields);
                let mut finding = Diagnostic::error(span, message);
                if let Some(near) = self.near(name, fields.map(|field| field.name.as_str())) {
                    finding = finding.help(format!("did you mean `{near}`?"));
                }
                self.fail(finding)
            }
            (false, Some(hidden)) if !certain => {
                Expr::OrElse(Box::new(self.joined(name.to_owned(), row.shape, span)), Box::new(hidden))
            }
            (false, _) => self.joined(name.to_owned(), row.shape, span),
        }
    }

    /// All fields of all sides, the first side's winning. Where all of them are known and there, each has its slot.
    pub(super) fn all_fields_of_sides(&mut self, row: &RowScope, span: Span) -> Expr {
        if row.origin == (Origin::Join { outer: true })
            || row.sides.iter().any(|&(_, shape)| !self.plan.shapes[shape].declared)
        {
            let fields = self.keep_all(row.shape, span);
            return Expr::AllFields { fields, rest: self.plan.shapes[row.shape].rest };
        }
        let mut fields: Vec<(String, u16)> = Vec::new();
        for &(_, shape) in &row.sides {
            for (name, _) in self.keep_all(shape, span) {
                if fields.iter().all(|(known, _)| *known != name)
                    && let Expr::Field(slot, _) = self.joined(name.clone(), row.shape, span)
                {
                    fields.push((name, slot));
                }
            }
        }
        Expr::AllFields { fields, rest: None }
    }
}

fn inside(span: Span, decl: &StreamDecl) -> bool {
    let end = decl.operators.last().map_or(decl.source.span.end, |operator| operator.span.end);
    (decl.name.span.start..=end).contains(&span.start)
}

/// The names that an expression begins with at each of its leaves.
pub(super) fn mentioned<'e>(expr: &'e syntax::Expr, names: &mut Vec<&'e str>) {
    match &expr.kind {
        ExprKind::Name(name) => names.push(name),
        ExprKind::Literal(_) => {}
        ExprKind::Unary(_, a) | ExprKind::Member { object: a, .. } => mentioned(a, names),
        ExprKind::Binary(_, a, b) | ExprKind::Index(a, b) | ExprKind::Range { from: a, to: b, .. } => {
            mentioned(a, names);
            mentioned(b, names);
        }
        ExprKind::If { condition, then, otherwise } => {
            for part in [condition, then, otherwise] {
                mentioned(part, names);
            }
        }
        ExprKind::Slice { object, from, to } => {
            mentioned(object, names);
            from.iter().chain(to).for_each(|part| mentioned(part, names));
        }
        // The callee is a function's name, no field's.
        ExprKind::Call { args, .. } => args.iter().for_each(|arg| mentioned(&arg.value, names)),
        ExprKind::Lambda { body: LambdaBody::Expr(body), .. } => mentioned(body, names),
        ExprKind::Lambda { .. } | ExprKind::Match { .. } => {}
        ExprKind::Array(items) => items.iter().for_each(|item| mentioned(item, names)),
        ExprKind::Map(entries) => entries.iter().for_each(|(_, value)| mentioned(value, names)),
    }
}
