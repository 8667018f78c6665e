//! Streams to text: sources, the steps of sequences, operators.

use super::super::syntax::{
    Branch, Expr, JoinKind, JoinSide, Name, NamedExpr, Operator, OperatorKind, OrderKey, SequenceItem,
    Source, SourceKind, Step, StreamDecl, Trend, WindowSpec,
};
use super::Printer;

impl Printer {
    pub(super) fn stream(&mut self, stream: &StreamDecl) {
        self.line(|printer| {
            printer.put("stream ");
            printer.name(&stream.name);
            printer.type_after_colon(stream.ty.as_ref());
            printer.put(" = ");
            printer.source(&stream.source);
        });
        self.indented(|printer| {
            for operator in &stream.operators {
                printer.line(|printer| printer.operator(operator));
            }
        });
    }

    pub(super) fn source(&mut self, source: &Source) {
        match &source.kind {
            SourceKind::Merge(branches) => {
                self.within("merge(", ")", |printer| printer.commas(branches, Self::branch));
            }
            SourceKind::Join(kind, sides) => {
                let word = match kind {
                    JoinKind::Inner => "join(",
                    JoinKind::Left => "left_join(",
                    JoinKind::Right => "right_join(",
                    JoinKind::Full => "full_join(",
                };
                self.within(word, ")", |printer| printer.commas(sides, Self::join_side));
            }
            SourceKind::Timer { interval, initial_delay } => self.within("timer(", ")", |printer| {
                printer.expr(interval);
                if let Some(delay) = initial_delay {
                    printer.put(", initial_delay: ");
                    printer.expr(delay);
                }
            }),
            SourceKind::Sequence(items) => {
                self.within("sequence(", ")", |printer| printer.commas(items, Self::sequence_item));
            }
            SourceKind::From { event_type, connector, settings } => {
                self.name(event_type);
                self.within(".from(", ")", |printer| {
                    printer.name(connector);
                    for entry in settings {
                        printer.put(", ");
                        printer.setting_entry(entry);
                    }
                });
            }
            SourceKind::Step(step) => self.step(step),
        }
    }

    pub(super) fn inline_name(&mut self, name: Option<&Name>) {
        if let Some(name) = name {
            self.put("stream ");
            self.name(name);
            self.put(" = ");
        }
    }

    pub(super) fn branch(&mut self, branch: &Branch) {
        self.inline_name(branch.name.as_ref());
        self.name(&branch.source);
        if let Some(filter) = &branch.filter {
            self.call(".where", filter);
        }
    }

    pub(super) fn join_side(&mut self, side: &JoinSide) {
        self.inline_name(side.name.as_ref());
        self.name(&side.source);
        if let Some(on) = &side.on {
            self.call(".on", on);
        }
    }

    pub(super) fn sequence_item(&mut self, item: &SequenceItem) {
        self.name(&item.alias);
        self.put(": ");
        self.name(&item.source);
        if let Some(filter) = &item.filter {
            self.put(" where ");
            self.guard(filter);
        }
        if let Some(within) = &item.within {
            self.put(" ");
            self.call(".within", within);
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        if step.all {
            self.put("all ");
        }
        if step.negated {
            self.put("NOT ");
        }
        self.name(&step.source);
        if let Some((trend, field)) = &step.trend {
            self.trend(*trend, field);
        }
        if let Some(alias) = &step.alias {
            self.put(" as ");
            self.name(alias);
        }
        if let Some(guard) = &step.guard {
            self.put(" where ");
            self.guard(guard);
        }
    }

    pub(super) fn trend(&mut self, trend: Trend, field: &Name) {
        self.put(match trend {
            Trend::Increasing => ".increasing(",
            Trend::Decreasing => ".decreasing(",
        });
        self.name(field);
        self.put(")");
    }

    pub(super) fn guard(&mut self, guard: &Expr) {
        let before = std::mem::replace(&mut self.in_guard, true);
        self.expr(guard);
        self.in_guard = before;
    }

    // Operators.

    /// `word(e)`
    pub(super) fn call(&mut self, word: &str, value: &Expr) {
        self.put(word);
        self.within("(", ")", |printer| printer.expr(value));
    }

    /// `word(name: e, ..)`
    pub(super) fn items(&mut self, word: &str, items: &[NamedExpr]) {
        self.put(word);
        self.within("(", ")", |printer| printer.commas(items, Self::named_expr));
    }

    pub(super) fn operator(&mut self, operator: &Operator) {
        match &operator.kind {
            OperatorKind::FollowedBy(step) => {
                self.put("-> ");
                self.step(step);
            }
            OperatorKind::Context(name) => {
                self.put(".context(");
                self.name(name);
                self.put(")");
            }
            OperatorKind::Where(e) => self.call(".where", e),
            OperatorKind::Filter(e) => self.call(".filter", e),
            OperatorKind::Map(e) => self.call(".map", e),
            OperatorKind::Select(items) => self.items(".select", items),
            OperatorKind::Emit { as_type: None, fields } => self.items(".emit", fields),
            OperatorKind::Emit { as_type: Some(ty), fields } => {
                self.put(".emit as ");
                self.name(ty);
                self.items(" ", fields);
            }
            OperatorKind::PartitionBy(e) => self.call(".partition_by", e),
            OperatorKind::Window(window) => self.window(window),
            OperatorKind::Aggregate(items) => self.items(".aggregate", items),
            OperatorKind::Having(e) => self.call(".having", e),
            OperatorKind::Distinct(None) => self.put(".distinct()"),
            OperatorKind::Distinct(Some(e)) => self.call(".distinct", e),
            OperatorKind::OrderBy(keys) => {
                self.within(".order_by(", ")", |printer| printer.commas(keys, Self::order_key));
            }
            OperatorKind::Limit(e) => self.call(".limit", e),
            OperatorKind::Watermark(items) => self.items(".watermark", items),
            OperatorKind::AllowedLateness(e) => self.call(".allowed_lateness", e),
            OperatorKind::Print(items) => self.items(".print", items),
            OperatorKind::Log(items) => self.items(".log", items),
            OperatorKind::Tap(items) => self.items(".tap", items),
            OperatorKind::Process(e) => self.call(".process", e),
            OperatorKind::OnError(e) => self.call(".on_error", e),
            OperatorKind::Concurrent(items) => self.items(".concurrent", items),
            OperatorKind::To(items) => self.items(".to", items),
            OperatorKind::From(items) => self.items(".from", items),
            OperatorKind::On(e) => self.call(".on", e),
            OperatorKind::Within(e) => self.call(".within", e),
            OperatorKind::Not(step) => self.within(".not(", ")", |printer| printer.step(step)),
            OperatorKind::Trend(trend, field) => self.trend(*trend, field),
            OperatorKind::Strict => self.put(".strict()"),
            OperatorKind::Stnm => self.put(".stnm()"),
            OperatorKind::Stam => self.put(".stam()"),
            OperatorKind::Each => self.put(".each()"),
            OperatorKind::Longest => self.put(".longest()"),
            OperatorKind::Subsets => self.put(".subsets()"),
            OperatorKind::Fork(paths) => self.within(".fork(", ")", |printer| {
                printer.commas(paths, |printer, (name, operators)| {
                    printer.name(name);
                    printer.put(":");
                    for operator in operators {
                        printer.put(" ");
                        printer.operator(operator);
                    }
                });
            }),
            OperatorKind::Reserved { name, args } => {
                self.put(".");
                self.items(name, args);
            }
        }
    }

    pub(super) fn order_key(&mut self, key: &OrderKey) {
        self.expr(&key.value);
        if key.descending {
            self.put(" desc");
        }
    }

    pub(super) fn window(&mut self, window: &WindowSpec) {
        self.within(".window(", ")", |printer| match window {
            WindowSpec::Size { size, sliding, policy } => {
                printer.expr(size);
                if let Some(slide) = sliding {
                    printer.put(", sliding: ");
                    printer.expr(slide);
                }
                if let Some(policy) = policy {
                    printer.put(", policy: ");
                    printer.expr(policy);
                }
            }
            WindowSpec::Session { gap } => {
                printer.put("session: ");
                printer.expr(gap);
            }
        });
    }
}
