//! What a program declares, apart from what its streams do: contexts, settings, event types, globals, functions, and
//! the order of streams.

use std::collections::HashMap;

use crate::event::{FieldType, Shape, ShapeField, Value};
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{ContextPlan, Expr, FunctionPlan, GlobalPlan, NamePlan, SupervisionSettings};
use crate::vpl::suggest::closest;
use crate::vpl::syntax::{
    BindingKind, FieldDecl, Name, OperatorKind, Program, SourceKind, Span, StatementKind, StreamDecl,
    TypeExpr, TypeKind,
};

use super::order::topological;
use super::scope::Scope;
use super::sequence::Pattern;
use super::{Resolver, StreamInfo, settings};

/// The highest CPU number that a context can list.
const MAX_CPU: i64 = 4095;

/// A declared event type: all fields, inherited ones first.
pub(super) struct EventDecl {
    pub(super) fields: Vec<(String, FieldType)>,
}

impl<'a> Resolver<'a> {
    pub(super) fn declarations(&mut self, program: &'a Program) {
        self.contexts(program);
        self.connectors(program);
        self.types(program);
        self.events(program);
        self.declare_functions(program);
        self.globals(program);
        self.functions(program);
        self.patterns(program);
        self.order_streams(program);
        self.configs(program);
        self.refuse_the_rest(program);
    }

    fn contexts(&mut self, program: &'a Program) {
        for statement in &program.statements {
            let StatementKind::Context { name, cores } = &statement.kind else { continue };
            self.plan.threaded = true;
            if self.context_ids.contains_key(name.text.as_str()) {
                self.findings.push(
                    Diagnostic::error(name.span, format!("context `{}` is declared twice", name.text))
                        .label("second declaration"),
                );
                continue;
            }
            let mut cpus: Vec<usize> = Vec::new();
            for &(cpu, span) in cores {
                if !(0..=MAX_CPU).contains(&cpu) {
                    let message = format!("CPU numbers run from 0 to {MAX_CPU}, not {cpu}");
                    self.findings.push(Diagnostic::error(span, message));
                } else if cpus.contains(&(cpu as usize)) {
                    let message = format!("context `{}` lists CPU {cpu} twice", name.text);
                    self.findings.push(Diagnostic::warning(span, message));
                } else {
                    cpus.push(cpu as usize);
                }
            }
            self.context_ids.insert(&name.text, self.plan.contexts.len());
            self.plan.contexts.push(ContextPlan {
                name: name.text.clone(),
                cores: cpus,
                implicit: false,
                settings: crate::vpl::plan::ContextSettings::default(),
            });
        }
    }

    /// The context of streams that name none: a declared `main`, or an implicit one behind the declared ones.
    pub(super) fn main_context(&mut self) -> usize {
        if let Some(&main) = self.context_ids.get("main") {
            return main;
        }
        let main = self.plan.contexts.len();
        self.context_ids.insert("main", main);
        self.plan.contexts.push(ContextPlan {
            name: "main".to_owned(),
            cores: Vec::new(),
            implicit: true,
            settings: crate::vpl::plan::ContextSettings::default(),
        });
        main
    }

    fn configs(&mut self, program: &'a Program) {
        let mut seen: Vec<&str> = Vec::new();
        for statement in &program.statements {
            let StatementKind::Config { name, settings: list } = &statement.kind else { continue };
            let Some(name) = name else {
                self.findings.push(
                    Diagnostic::error(statement.span, "`config:` without a name is not supported")
                        .help("name a context or the engine: `config engine { .. }`"),
                );
                continue;
            };
            if seen.contains(&name.text.as_str()) {
                let message = format!("`{}` is configured twice", name.text);
                self.findings.push(Diagnostic::error(name.span, message));
                continue;
            }
            seen.push(&name.text);
            // `main` can be configured without being declared, where streams run in it.
            if let Some(&context) = self.context_ids.get(name.text.as_str()) {
                self.plan.contexts[context].settings = settings::context(list, &mut self.findings);
            } else if name.text == "engine" {
                self.plan.engine = settings::engine(list, &mut self.findings);
            } else if name.text == "output" {
                self.plan.output = settings::output(list, &mut self.findings);
            } else {
                self.unknown_context(name, "`config` names");
            }
        }
        // What is supervised runs on a thread of its own.
        let own = self.plan.contexts.iter().map(|context| &context.settings.supervision);
        self.plan.threaded |=
            own.chain([&self.plan.engine.supervision]).any(SupervisionSettings::asks_for_a_thread);
    }

    pub(super) fn unknown_context(&mut self, name: &Name, verb: &str) {
        let mut finding =
            Diagnostic::missing(name.span, format!("{verb} context `{}`, which is not declared", name.text))
                .label("no such context");
        if let Some(near) = closest(&name.text, self.context_ids.keys().copied()) {
            finding = finding.help(format!("did you mean `{near}`?"));
        } else {
            finding = finding.help(format!("declare it: context {}", name.text));
        }
        self.findings.push(finding);
    }

    fn types(&mut self, program: &'a Program) {
        for statement in &program.statements {
            let (name, ty) = match &statement.kind {
                StatementKind::TypeAlias { name, ty } => {
                    let ty = self.field_type(ty);
                    (name, ty)
                }
                StatementKind::TypeRecord { name, fields } => {
                    let mut record: Vec<(String, FieldType)> = Vec::new();
                    for field in fields {
                        if record.iter().any(|(known, _)| *known == field.name.text) {
                            let message =
                                format!("type `{}` has two fields `{}`", name.text, field.name.text);
                            self.findings.push(Diagnostic::error(field.name.span, message));
                        }
                        record.push((field.name.text.clone(), self.field_type(&field.ty)));
                    }
                    (name, FieldType::Record(record))
                }
                _ => continue,
            };
            if self.types.insert(&name.text, ty).is_some() {
                self.findings
                    .push(Diagnostic::error(name.span, format!("type `{}` is declared twice", name.text)));
            }
        }
    }

    fn field_type(&mut self, ty: &TypeExpr) -> FieldType {
        match &ty.kind {
            TypeKind::Int => FieldType::Int,
            TypeKind::Float => FieldType::Float,
            TypeKind::Bool => FieldType::Bool,
            TypeKind::Str => FieldType::Str,
            TypeKind::Timestamp => FieldType::Timestamp,
            TypeKind::Duration => FieldType::Duration,
            // `T?` may be missing or null; so may every other field (D29), hence nothing to remember.
            TypeKind::Optional(inner) => self.field_type(inner),
            TypeKind::Array(item) => FieldType::Array(Box::new(self.field_type(item))),
            TypeKind::Map(key, item) => {
                if self.field_type(key) != FieldType::Str {
                    self.findings.push(Diagnostic::error(key.span, "keys of a map are `str`"));
                }
                FieldType::Map(Box::new(self.field_type(item)))
            }
            TypeKind::Named(name) => {
                if let Some(known) = self.types.get(name.as_str()) {
                    return known.clone();
                }
                let mut finding = Diagnostic::missing(ty.span, format!("unknown type `{name}`"));
                let builtin = ["int", "float", "bool", "str", "timestamp", "duration"];
                if let Some(near) = closest(name, builtin.into_iter().chain(self.types.keys().copied())) {
                    finding = finding.help(format!("did you mean `{near}`?"));
                }
                self.findings.push(finding);
                FieldType::Any
            }
            TypeKind::Tuple(_) => {
                self.refuse(ty.span, "a tuple as the type of a field");
                FieldType::Any
            }
            TypeKind::Stream(_) => {
                self.findings.push(Diagnostic::error(ty.span, "a field cannot hold a stream"));
                FieldType::Any
            }
        }
    }

    fn events(&mut self, program: &'a Program) {
        let mut decls: HashMap<&'a str, (&'a Name, Option<&'a Name>, &'a [FieldDecl])> = HashMap::new();
        let mut order: Vec<&'a str> = Vec::new();
        for statement in &program.statements {
            let StatementKind::Event { name, extends, fields } = &statement.kind else { continue };
            if decls.contains_key(name.text.as_str()) {
                let message = format!("event `{}` is declared twice", name.text);
                self.findings.push(Diagnostic::error(name.span, message).label("second declaration"));
                continue;
            }
            decls.insert(&name.text, (name, extends.as_ref(), fields));
            order.push(&name.text);
        }
        for event in order {
            // The bases from the nearest to the farthest; each at most once, or they go in a circle.
            let mut chain: Vec<&'a str> = vec![event];
            let mut base = decls[event].1;
            while let Some(name) = base {
                let Some(&(_, next, _)) = decls.get(name.text.as_str()) else {
                    let mut finding = Diagnostic::missing(
                        name.span,
                        format!("`{event}` extends `{}`, which is no declared event", name.text),
                    );
                    if let Some(near) = closest(&name.text, decls.keys().copied()) {
                        finding = finding.help(format!("did you mean `{near}`?"));
                    }
                    self.findings.push(finding);
                    break;
                };
                if chain.contains(&name.text.as_str()) {
                    let message = format!("event `{event}` extends itself, by way of `{}`", name.text);
                    self.findings.push(Diagnostic::error(name.span, message));
                    break;
                }
                chain.push(&name.text);
                base = next;
            }
            let mut fields: Vec<(String, FieldType)> = Vec::new();
            for &part in chain.iter().rev() {
                for field in decls[part].2 {
                    let ty = self.field_type(&field.ty);
                    if fields.iter().any(|(known, _)| *known == field.name.text) {
                        // An inherited clash is reported where its own event is resolved.
                        if part == event {
                            let message = format!("event `{event}` has two fields `{}`", field.name.text);
                            self.findings.push(Diagnostic::error(field.name.span, message));
                        }
                    } else {
                        fields.push((field.name.text.clone(), ty));
                    }
                }
            }
            self.events.insert(event, EventDecl { fields });
            self.row_name(event);
        }
    }

    /// The name `text` of rows, made on first use: with the declared fields, or open to any.
    pub(super) fn row_name(&mut self, text: &str) -> usize {
        if let Some(&id) = self.name_ids.get(text) {
            return id;
        }
        let mut shape = Shape::default();
        let declared = self.events.get(text);
        if let Some(event) = declared {
            shape.declared = true;
            shape.fields = event
                .fields
                .iter()
                .map(|(name, ty)| ShapeField { name: name.clone(), ty: ty.clone(), slot: None })
                .collect();
        }
        let id = self.plan.names.len();
        self.plan.names.push(NamePlan {
            name: text.to_owned(),
            shape: self.plan.shapes.len(),
            declared: declared.is_some(),
            consumers: Vec::new(),
        });
        self.plan.shapes.push(shape);
        self.name_ids.insert(text.to_owned(), id);
        id
    }

    /// Functions are known by name before anything is resolved, so that they can call each other.
    fn declare_functions(&mut self, program: &'a Program) {
        for statement in &program.statements {
            let StatementKind::Function { name, params, .. } = &statement.kind else { continue };
            if self.function_ids.contains_key(&name.text) {
                let message = format!("function `{}` is declared twice", name.text);
                self.findings.push(Diagnostic::error(name.span, message));
                continue;
            }
            self.function_ids.insert(name.text.clone(), self.plan.functions.len());
            self.plan.functions.push(FunctionPlan {
                name: name.text.clone(),
                params: params.len(),
                locals: params.len(),
                body: Vec::new(),
            });
        }
    }

    fn globals(&mut self, program: &'a Program) {
        for statement in &program.statements {
            match &statement.kind {
                StatementKind::Binding(binding) => {
                    if self.plan.globals.iter().any(|known| known.name == binding.name.text) {
                        let message = format!("`{}` is declared twice", binding.name.text);
                        self.findings.push(Diagnostic::error(binding.name.span, message));
                    }
                    let mut value = self.expr(&binding.value, &mut Scope::default());
                    // A literal with a sign is a constant too.
                    if let Some(constant) = self.constant(&binding.value) {
                        value = Expr::Const(constant);
                    }
                    if let Some(ty) = &binding.ty {
                        let declared = self.field_type(ty);
                        self.check_constant(&binding.name.text, &declared, &value, binding.value.span);
                    }
                    self.plan.globals.push(GlobalPlan {
                        name: binding.name.text.clone(),
                        value,
                        mutable: binding.kind == BindingKind::Var,
                    });
                }
                // At the top level an assignment runs once, at load: from there on the name has the new value.
                StatementKind::Assign { name, value } => {
                    let new = self.expr(value, &mut Scope::default());
                    match self.plan.globals.iter().rfind(|known| known.name == name.text) {
                        Some(known) if known.mutable => {
                            self.plan.globals.push(GlobalPlan {
                                name: name.text.clone(),
                                value: new,
                                mutable: true,
                            });
                        }
                        Some(_) => {
                            let message = format!("`{}` is no `var`; it cannot be assigned", name.text);
                            self.findings.push(Diagnostic::error(name.span, message));
                        }
                        None => {
                            let message = format!("unknown name `{}`", name.text);
                            self.findings.push(Diagnostic::missing(name.span, message));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// A declared type of a `let` is checked where the value is known at load.
    fn check_constant(&mut self, name: &str, ty: &FieldType, value: &Expr, span: Span) {
        let Expr::Const(value) = value else { return };
        let fits = matches!(
            (ty, value),
            (FieldType::Any, _)
                | (_, Value::Null | Value::Missing)
                | (FieldType::Int, Value::Int(_))
                | (FieldType::Float, Value::Float(_) | Value::Int(_))
                | (FieldType::Bool, Value::Bool(_))
                | (FieldType::Str, Value::Str(_))
                | (FieldType::Timestamp, Value::Timestamp(_))
                | (FieldType::Duration, Value::Duration(_))
        );
        if !fits {
            self.findings
                .push(Diagnostic::error(span, format!("`{name}` is declared as {ty}, and this is none")));
        }
    }

    fn order_streams(&mut self, program: &'a Program) {
        let mut decls: Vec<&'a StreamDecl> = Vec::new();
        let mut ids: HashMap<&'a str, usize> = HashMap::new();
        for statement in &program.statements {
            let StatementKind::Stream(decl) = &statement.kind else { continue };
            if ids.contains_key(decl.name.text.as_str()) {
                let message = format!("stream `{}` is declared twice", decl.name.text);
                self.findings.push(Diagnostic::error(decl.name.span, message).label("second declaration"));
                continue;
            }
            ids.insert(&decl.name.text, decls.len());
            decls.push(decl);
        }
        // Who makes rows under a name: the stream itself, `.emit as`, the `emit` statements of a `.process`.
        let mut producers: HashMap<&'a str, Vec<usize>> = HashMap::new();
        for (index, decl) in decls.iter().enumerate() {
            producers.entry(&decl.name.text).or_default().push(index);
            for emitted in emitted_types(decl, program) {
                producers.entry(emitted).or_default().push(index);
            }
        }
        let depends_on: Vec<Vec<usize>> = decls
            .iter()
            .map(|decl| {
                let mut sources: Vec<usize> = source_names(decl, &self.patterns)
                    .into_iter()
                    .filter_map(|source| producers.get(source.text.as_str()))
                    .flatten()
                    .copied()
                    .collect();
                sources.sort_unstable();
                sources.dedup();
                sources
            })
            .collect();
        let order = match topological(&depends_on) {
            Ok(order) => order,
            Err(cycle) => {
                let names: Vec<String> = cycle
                    .iter()
                    .chain(cycle.first())
                    .map(|&stream| format!("`{}`", decls[stream].name.text))
                    .collect();
                let span = cycle.first().map_or(Span::default(), |&stream| decls[stream].name.span);
                let message = format!("streams consume each other in a cycle: {}", names.join(" -> "));
                self.findings.push(Diagnostic::error(span, message).label("part of the cycle"));
                (0..decls.len()).collect()
            }
        };
        for index in order {
            let decl = decls[index];
            self.consumed
                .extend(source_names(decl, &self.patterns).into_iter().map(|source| source.text.as_str()));
            self.stream_ids.insert(&decl.name.text, self.stream_decls.len());
            let emit_as = decl.operators.iter().find_map(|operator| match &operator.kind {
                OperatorKind::Emit { as_type: Some(name), .. } => Some(name.text.as_str()),
                _ => None,
            });
            self.stream_decls.push(StreamInfo {
                decl,
                emit_as,
                sends_to: None,
                merged: None,
                sides: Vec::new(),
                shaped_by: None,
            });
        }
        let in_main = |decl: &StreamDecl| {
            !decl.operators.iter().any(|operator| matches!(operator.kind, OperatorKind::Context(_)))
        };
        if !self.plan.threaded || decls.iter().any(|decl| in_main(decl)) {
            self.main_context();
        }
    }

    /// Statements that cannot stand where they stand. What else there is has been taken by its own pass.
    fn refuse_the_rest(&mut self, program: &'a Program) {
        for statement in &program.statements {
            // Exhaustive over StatementKind: what the language names gets its meaning, or is refused by name.
            match &statement.kind {
                StatementKind::Import { path_span, .. } => {
                    // Those of a file have been replaced by what they import.
                    self.findings
                        .push(Diagnostic::error(*path_span, "`import` cannot be followed here").help(
                        "it stands outside any `for`, in a program that is loaded from a file, not from text",
                    ));
                }
                StatementKind::For { .. }
                | StatementKind::Context { .. }
                | StatementKind::Config { .. }
                | StatementKind::Connector { .. }
                | StatementKind::Event { .. }
                | StatementKind::TypeAlias { .. }
                | StatementKind::TypeRecord { .. }
                | StatementKind::Binding(_)
                | StatementKind::Function { .. }
                | StatementKind::Pattern { .. }
                | StatementKind::Stream(_)
                | StatementKind::Assign { .. } => {}
            }
        }
    }
}

/// The names that a stream takes.
fn source_names<'a>(decl: &'a StreamDecl, patterns: &HashMap<&'a str, Pattern<'a>>) -> Vec<&'a Name> {
    match &decl.source.kind {
        SourceKind::Merge(branches) => branches.iter().map(|branch| &branch.source).collect(),
        SourceKind::Join(_, sides) => sides.iter().map(|side| &side.source).collect(),
        SourceKind::Timer { .. } => Vec::new(),
        SourceKind::Sequence(items) => items.iter().map(|item| &item.source).collect(),
        SourceKind::From { event_type, .. } => vec![event_type],
        SourceKind::Step(step) => {
            let mut names: Vec<&Name> = match patterns.get(step.source.text.as_str()) {
                Some(pattern) => pattern.steps.iter().map(|step| &step.source).collect(),
                None => vec![&step.source],
            };
            for operator in &decl.operators {
                if let OperatorKind::FollowedBy(step) | OperatorKind::Not(step) = &operator.kind {
                    names.push(&step.source);
                }
            }
            names
        }
    }
}

/// The types that a stream emits beside its own name.
fn emitted_types<'a>(decl: &'a StreamDecl, program: &'a Program) -> Vec<&'a str> {
    let mut types = Vec::new();
    for operator in &decl.operators {
        match &operator.kind {
            OperatorKind::Emit { as_type: Some(name), .. } => types.push(name.text.as_str()),
            OperatorKind::Process(call) => types.extend(super::functions::types_emitted_by(call, program)),
            _ => {}
        }
    }
    types
}
