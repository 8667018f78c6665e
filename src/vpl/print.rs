//! The syntax tree to text that parses to the same tree: canonical layout, no parentheses that are not needed.

mod blocks;
pub(super) mod expressions;
mod streams;

use super::literal;
use super::syntax::{
    Binding, BindingKind, Expr, FieldDecl, Name, Program, Setting, SettingKind, Statement, StatementKind,
    TypeExpr, TypeKind,
};

/// The text of a program, one statement after the other, each operator of a stream on a line of its own.
///
/// ```
/// use varpin::vpl::{parser::parse, print::print};
/// let (program, _) = parse("stream Hot=Sensor where(t>80.0).emit(t:(t),)");
/// assert_eq!(print(&program), "stream Hot = Sensor where t > 80.0\n    .emit(t: t)\n");
/// ```
pub fn print(program: &Program) -> String {
    let mut printer = Printer::default();
    for statement in &program.statements {
        printer.statement(statement);
    }
    printer.out
}

#[derive(Default)]
struct Printer {
    out: String,
    /// Steps of four spaces before each line.
    indent: usize,
    /// Within a guard's outermost level, where a method call would end the guard.
    in_guard: bool,
}

impl Printer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn name(&mut self, name: &Name) {
        self.put(&name.text);
    }

    /// One line: the indentation, what `content` puts, and its end.
    fn line(&mut self, content: impl FnOnce(&mut Self)) {
        self.begin_line();
        content(self);
        self.put("\n");
    }

    fn begin_line(&mut self) {
        for _ in 0..self.indent {
            self.put("    ");
        }
    }

    fn indented(&mut self, content: impl FnOnce(&mut Self)) {
        self.indent += 1;
        content(self);
        self.indent -= 1;
    }

    /// Items with commas between them.
    fn commas<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        for (index, value) in items.iter().enumerate() {
            if index > 0 {
                self.put(", ");
            }
            item(self, value);
        }
    }

    /// What stands within brackets, where no guard can end.
    fn within(&mut self, open: &str, close: &str, content: impl FnOnce(&mut Self)) {
        let in_guard = std::mem::take(&mut self.in_guard);
        self.put(open);
        content(self);
        self.put(close);
        self.in_guard = in_guard;
    }

    // Statements.

    fn statement(&mut self, statement: &Statement) {
        match &statement.kind {
            StatementKind::Context { name, cores } => self.line(|printer| {
                printer.put("context ");
                printer.name(name);
                if !cores.is_empty() {
                    printer.put(" (cores: [");
                    printer.commas(cores, |printer, (core, _)| printer.put(&core.to_string()));
                    printer.put("])");
                }
            }),
            StatementKind::Config { name, settings } => self.config(name.as_ref(), settings),
            StatementKind::Connector { name, kind, settings } => self.line(|printer| {
                printer.put("connector ");
                printer.name(name);
                printer.put(" = ");
                printer.name(kind);
                printer.within(" (", ")", |printer| printer.commas(settings, Self::setting_entry));
            }),
            StatementKind::Event { name, extends, fields } => {
                self.line(|printer| {
                    printer.put("event ");
                    printer.name(name);
                    if let Some(base) = extends {
                        printer.put(" extends ");
                        printer.name(base);
                    }
                    printer.put(":");
                });
                self.fields(fields);
            }
            StatementKind::TypeAlias { name, ty } => self.line(|printer| {
                printer.put("type ");
                printer.name(name);
                printer.put(" = ");
                printer.ty(ty);
            }),
            StatementKind::TypeRecord { name, fields } => {
                self.line(|printer| {
                    printer.put("type ");
                    printer.name(name);
                    printer.put(":");
                });
                self.fields(fields);
            }
            StatementKind::Binding(binding) => self.line(|printer| printer.binding(binding)),
            StatementKind::Function { name, params, returns, body } => {
                self.line(|printer| {
                    printer.put("fn ");
                    printer.name(name);
                    printer.within("(", ")", |printer| {
                        printer.commas(params, |printer, param| {
                            printer.name(&param.name);
                            printer.type_after_colon(param.ty.as_ref());
                        });
                    });
                    if let Some(ty) = returns {
                        printer.put(" -> ");
                        printer.ty(ty);
                    }
                    printer.put(":");
                });
                self.block(body);
            }
            StatementKind::Import { path, alias, .. } => self.line(|printer| {
                printer.put("import ");
                printer.put(&literal::string_text(path));
                if let Some(alias) = alias {
                    printer.put(" as ");
                    printer.name(alias);
                }
            }),
            StatementKind::Pattern { name, steps, within, partition_by } => self.line(|printer| {
                printer.put("pattern ");
                printer.name(name);
                printer.put(" = ");
                for (index, step) in steps.iter().enumerate() {
                    if index > 0 {
                        printer.put(" -> ");
                    }
                    printer.step(step);
                }
                if let Some(bound) = within {
                    printer.put(" within ");
                    printer.expr(bound);
                }
                if let Some(field) = partition_by {
                    printer.put(" partition by ");
                    printer.name(field);
                }
            }),
            StatementKind::Stream(stream) => self.stream(stream),
            StatementKind::For { variable, range, body } => {
                self.line(|printer| {
                    printer.put("for ");
                    printer.name(variable);
                    printer.put(" in ");
                    printer.expr(range);
                    printer.put(":");
                });
                self.indented(|printer| {
                    for statement in body {
                        printer.statement(statement);
                    }
                });
            }
            StatementKind::Assign { name, value } => self.line(|printer| printer.assignment(name, value)),
        }
    }

    fn config(&mut self, name: Option<&Name>, settings: &[(Name, Setting)]) {
        self.line(|printer| match name {
            Some(name) => {
                printer.put("config ");
                printer.name(name);
                printer.put(" {");
            }
            None => printer.put("config:"),
        });
        self.indented(|printer| {
            for entry in settings {
                printer.line(|printer| printer.setting_entry(entry));
            }
        });
        if name.is_some() {
            self.line(|printer| printer.put("}"));
        }
    }

    fn setting_entry(&mut self, (name, setting): &(Name, Setting)) {
        self.name(name);
        self.put(": ");
        self.setting(setting);
    }

    fn setting(&mut self, setting: &Setting) {
        match &setting.kind {
            SettingKind::Literal(value) => self.literal(value),
            SettingKind::Name(name) => self.put(name),
            SettingKind::Ratio(above, below) => self.put(&format!("{above}/{below}")),
            SettingKind::List(items) => {
                self.within("[", "]", |printer| printer.commas(items, Self::setting));
            }
        }
    }

    fn binding(&mut self, binding: &Binding) {
        self.put(match binding.kind {
            BindingKind::Let => "let ",
            BindingKind::Var => "var ",
            BindingKind::Const => "const ",
        });
        self.name(&binding.name);
        self.type_after_colon(binding.ty.as_ref());
        self.put(" = ");
        self.expr(&binding.value);
    }

    fn assignment(&mut self, name: &Name, value: &Expr) {
        self.name(name);
        self.put(" := ");
        self.expr(value);
    }

    // Types.

    fn fields(&mut self, fields: &[FieldDecl]) {
        self.indented(|printer| {
            for field in fields {
                printer.line(|printer| {
                    printer.name(&field.name);
                    printer.type_after_colon(Some(&field.ty));
                });
            }
        });
    }

    fn type_after_colon(&mut self, ty: Option<&TypeExpr>) {
        if let Some(ty) = ty {
            self.put(": ");
            self.ty(ty);
        }
    }

    fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeKind::Int => self.put("int"),
            TypeKind::Float => self.put("float"),
            TypeKind::Bool => self.put("bool"),
            TypeKind::Str => self.put("str"),
            TypeKind::Timestamp => self.put("timestamp"),
            TypeKind::Duration => self.put("duration"),
            TypeKind::Named(name) => self.put(name),
            TypeKind::Array(item) => self.within("[", "]", |printer| printer.ty(item)),
            TypeKind::Map(key, value) => self.within("{", "}", |printer| {
                printer.ty(key);
                printer.put(": ");
                printer.ty(value);
            }),
            TypeKind::Tuple(items) => self.within("(", ")", |printer| printer.commas(items, Self::ty)),
            TypeKind::Stream(item) => self.within("Stream<", ">", |printer| printer.ty(item)),
            TypeKind::Optional(inner) => {
                self.ty(inner);
                self.put("?");
            }
        }
    }
}
