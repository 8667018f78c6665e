//! What a program declares, apart from what its streams do: contexts, settings, event types, globals, functions, and
//! the order of streams.

use std::collections::{HashMap, HashSet};

use crate::event::{FieldType, Shape, ShapeField, Value};
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{ContextPlan, Expr, FunctionPlan, GlobalPlan, NamePlan, SupervisionSettings};
use crate::vpl::syntax::{
    BindingKind, FieldDecl, Name, OperatorKind, Program, SourceKind, Span, StatementKind, StreamDecl,
    TypeExpr, TypeKind,
};

use super::bounds::{MAX_FIELDS, MAX_STREAMS, MAX_THREADS};
use super::functions::{Written, written};
use super::order::topological;
use super::scope::Scope;
use super::sequence::Pattern;
use super::{Resolver, StreamInfo, settings};

/// The highest CPU number that a context can list.
const MAX_CPU: i64 = 4095;
/// How many streams of a cycle are named.
const MOST_OF_CYCLE: usize = 20;

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
        self.emitting_globals();
        self.patterns(program);
        self.order_streams(program);
        self.configs(program);
        self.refuse_the_rest(program);
    }

    fn contexts(&mut self, program: &'a Program) {
        for statement in &program.statements {
            let StatementKind::Context { name, cores } = &statement.kind else { continue };
            self.plan.threaded = true;
            if self.plan.contexts.len() == MAX_THREADS {
                let message = format!("more than {MAX_THREADS} contexts: each is a thread of its own");
                self.findings.push(Diagnostic::error(name.span, message).label("one too many"));
                break;
            }
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
        let mut seen: HashSet<&str> = HashSet::new();
        for statement in &program.statements {
            let StatementKind::Config { name, settings: list } = &statement.kind else { continue };
            let Some(name) = name else {
                self.findings.push(
                    Diagnostic::error(statement.span, "`config:` without a name is not supported")
                        .help("name a context or the engine: `config engine { .. }`"),
                );
                continue;
            };
            if !seen.insert(&name.text) {
                let message = format!("`{}` is configured twice", name.text);
                self.findings.push(Diagnostic::error(name.span, message));
                continue;
            }
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
        let declared = self.plan.contexts.iter().filter(|context| !context.implicit);
        let declared = declared.map(|context| context.name.as_str());
        let mut finding =
            Diagnostic::missing(name.span, format!("{verb} context `{}`, which is not declared", name.text))
                .label("no such context");
        if let Some(near) = self.near(&name.text, declared) {
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
                // In an order that is always the same, so that the suggestion is.
                let mut known: Vec<&str> = Vec::new();
                if !self.findings.are_many() {
                    known.extend(self.types.keys());
                    known.sort_unstable();
                }
                if let Some(near) = self.near(name, builtin.into_iter().chain(known)) {
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
        for &event in &order {
            // The bases from the nearest to the farthest that is not known yet; each at most once, or they go in a
            // circle.
            let mut chain: Vec<&'a str> = Vec::new();
            let mut seen: HashSet<&'a str> = HashSet::new();
            let mut next = Some(event);
            while let Some(part) = next.filter(|part| !self.events.contains_key(part)) {
                chain.push(part);
                seen.insert(part);
                next = decls[part].1.and_then(|base| self.base_of(part, base, &seen, &decls, &order));
            }
            let mut base = next;
            for part in chain.into_iter().rev() {
                let (name, _, own) = decls[part];
                let fields = base.map(|base| self.events[base].fields.clone()).unwrap_or_default();
                let fields = self.fields_of(name, fields, own);
                self.events.insert(part, EventDecl { fields });
                base = Some(part);
            }
        }
        for event in order {
            self.row_name(event);
        }
    }

    /// The name of the event that `event` extends, if that can be.
    fn base_of(
        &mut self,
        event: &str,
        base: &'a Name,
        seen: &HashSet<&'a str>,
        decls: &HashMap<&'a str, (&'a Name, Option<&'a Name>, &'a [FieldDecl])>,
        order: &[&'a str],
    ) -> Option<&'a str> {
        if !decls.contains_key(base.text.as_str()) {
            let message = format!("`{event}` extends `{}`, which is no declared event", base.text);
            let mut finding = Diagnostic::error(base.span, message);
            if let Some(near) = self.near(&base.text, order.iter().copied()) {
                finding = finding.help(format!("did you mean `{near}`?"));
            }
            self.findings.push(finding);
            return None;
        }
        if seen.contains(base.text.as_str()) {
            let message = format!("event `{event}` extends itself, by way of `{}`", base.text);
            self.findings.push(Diagnostic::error(base.span, message));
            return None;
        }
        Some(&base.text)
    }

    /// The fields that an event inherits, and behind them its own.
    fn fields_of(
        &mut self,
        event: &Name,
        inherited: Vec<(String, FieldType)>,
        own: &[FieldDecl],
    ) -> Vec<(String, FieldType)> {
        let mut fields = inherited;
        let mut known: HashSet<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        for field in own {
            let ty = self.field_type(&field.ty);
            if !known.insert(field.name.text.clone()) {
                let message = format!("event `{}` has two fields `{}`", event.text, field.name.text);
                self.findings.push(Diagnostic::error(field.name.span, message));
            } else if fields.len() < MAX_FIELDS {
                fields.push((field.name.text.clone(), ty));
            } else {
                let message = format!("event `{}` has more than {MAX_FIELDS} fields", event.text);
                self.findings.push(Diagnostic::error(field.name.span, message).label("one too many"));
                break;
            }
        }
        if !self.make_fields(fields.len(), event.span) {
            fields.clear();
        }
        fields
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
                    if self.global_ids.contains_key(&binding.name.text) {
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
                    self.global_ids.insert(binding.name.text.clone(), self.plan.globals.len());
                    self.global_spans.push(binding.value.span);
                    self.plan.globals.push(GlobalPlan {
                        name: binding.name.text.clone(),
                        value,
                        mutable: binding.kind == BindingKind::Var,
                    });
                }
                // At the top level an assignment runs once, at load: from there on the name has the new value.
                StatementKind::Assign { name, value } => {
                    let new = self.expr(value, &mut Scope::default());
                    match self.global_ids.get(&name.text).copied() {
                        Some(known) if self.plan.globals[known].mutable => {
                            self.global_ids.insert(name.text.clone(), self.plan.globals.len());
                            self.global_spans.push(value.span);
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
            if decls.len() == MAX_STREAMS {
                let message = format!("more than {MAX_STREAMS} streams");
                self.findings.push(Diagnostic::error(decl.name.span, message).label("one too many"));
                break;
            }
            ids.insert(&decl.name.text, decls.len());
            decls.push(decl);
        }
        // Who makes rows under a name: the stream itself, `.emit as`, the `emit` statements of a `.process`.
        let mut producers: HashMap<&'a str, Vec<usize>> = HashMap::new();
        let written = written(program);
        for (index, decl) in decls.iter().enumerate() {
            producers.entry(&decl.name.text).or_default().push(index);
            for emitted in self.emitted_types(decl, &written) {
                producers.entry(emitted).or_default().push(index);
            }
        }
        // Where several make a name, those who take it depend on the name, and that on all who make it: many times many
        // would be too much to write down.
        let mut names: HashMap<&'a str, usize> = HashMap::new();
        let mut depends_on: Vec<Vec<usize>> = Vec::with_capacity(decls.len());
        let mut made_by: Vec<Vec<usize>> = Vec::new();
        for decl in &decls {
            let mut sources: Vec<usize> = Vec::new();
            for source in source_names(decl, &self.patterns) {
                let text = source.text.as_str();
                match producers.get(text).map_or(&[][..], Vec::as_slice) {
                    [] => {}
                    &[one] => sources.push(one),
                    several => sources.push(*names.entry(text).or_insert_with(|| {
                        made_by.push(several.to_vec());
                        decls.len() + made_by.len() - 1
                    })),
                }
            }
            sources.sort_unstable();
            sources.dedup();
            depends_on.push(sources);
        }
        depends_on.append(&mut made_by);
        let order = match topological(&depends_on, decls.len()) {
            Ok(order) => order,
            Err(cycle) => {
                let quoted = |&stream: &usize| format!("`{}`", decls[stream].name.text);
                let mut names: Vec<String> = cycle.iter().take(MOST_OF_CYCLE).map(quoted).collect();
                if cycle.len() > MOST_OF_CYCLE {
                    names.push(format!("({} more)", cycle.len() - MOST_OF_CYCLE));
                }
                names.extend(cycle.first().map(quoted));
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

    /// The types that a stream emits beside its own name.
    fn emitted_types(
        &mut self,
        decl: &'a StreamDecl,
        written: &HashMap<&'a str, Written<'a>>,
    ) -> Vec<&'a str> {
        let mut types = Vec::new();
        for operator in &decl.operators {
            match &operator.kind {
                OperatorKind::Emit { as_type: Some(name), .. } => types.push(name.text.as_str()),
                OperatorKind::Process(call) => types.extend(self.types_emitted_by(call, written)),
                _ => {}
            }
        }
        types
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
