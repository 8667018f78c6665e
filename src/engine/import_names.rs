//! `import "file.vpl" as x`: in expressions of the file that imports it so, `x.name` is the function, `let`, `const` or
//! `var` called `name` of that file.
//!
//! The name `x` can mean nothing else there, so that nobody has to know which of two meanings wins. Types, events,
//! streams and contexts have no form `x.Name` in the grammar; their names are used as they are, as without `as`.

use std::collections::HashSet;

use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::rewrite::{self, Rewrite};
use crate::vpl::suggest::closest;
use crate::vpl::syntax::{Expr, ExprKind, Literal, Span, Statement};

/// An import with a name.
pub(super) struct Named {
    pub(super) alias: String,
    /// The path as written.
    pub(super) path: String,
    /// Functions and values of the file.
    pub(super) values: HashSet<String>,
}

/// Puts `name` in the place of `x.name` in a statement of the file that imports.
pub(super) fn resolve(statement: &mut Statement, imports: &[Named], findings: &mut Vec<Diagnostic>) {
    rewrite::statement(statement, &mut Qualified { imports, findings });
}

struct Qualified<'a> {
    imports: &'a [Named],
    findings: &'a mut Vec<Diagnostic>,
}

impl Rewrite for Qualified<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        let ExprKind::Member { object, name, .. } = &expr.kind else { return };
        let ExprKind::Name(alias) = &object.kind else { return };
        let Some(import) = self.imports.iter().find(|import| import.alias == *alias) else { return };
        if import.values.contains(&name.text) {
            expr.kind = ExprKind::Name(name.text.clone());
            return;
        }
        let message = format!("\"{}\" declares no function or value `{}`", import.path, name.text);
        let mut finding = Diagnostic::missing(name.span, message);
        if let Some(near) = closest(&name.text, import.values.iter().map(String::as_str)) {
            finding = finding.help(format!("did you mean `{alias}.{near}`?"));
        }
        self.findings.push(finding);
        // It has been said; nothing more is to be said of it.
        expr.kind = ExprKind::Literal(Literal::Null);
    }

    fn name(&mut self, text: &mut String, span: Span) {
        if let Some(import) = self.imports.iter().find(|import| import.alias == *text) {
            let message =
                format!("`{text}` is the name of the import \"{}\", and nothing else here", import.path);
            let help =
                format!("{text}.name is a function or value of that file; call the import something else");
            self.findings.push(Diagnostic::error(span, message).help(help));
        }
    }
}
