//! One walk through an expression of the plan before it is compiled: what does it need to run, and is it too deep?

use crate::vpl::plan;

/// How deep an expression may nest; beyond, compiling and running it would need too much stack.
pub(super) const MAX_DEPTH: usize = 1_000;

/// What an expression needs to run, found by walking through it once.
#[derive(Default)]
pub(super) struct Survey {
    /// Whether it calls functions of the program, or has statements, which may loop.
    pub(super) calls: bool,
    /// One more than the greatest local that it names.
    pub(super) locals: usize,
    /// Whether it names a bound of the window.
    pub(super) bounds: bool,
    /// Levels of the deepest place.
    pub(super) height: usize,
}

impl Survey {
    pub(super) fn expr(&mut self, expr: &plan::Expr, depth: usize) {
        self.height = self.height.max(depth);
        if depth > MAX_DEPTH {
            return; // Too deep already; walking on would itself need the stack.
        }
        let depth = depth + 1;
        match expr {
            plan::Expr::Const(_)
            | plan::Expr::Field(..)
            | plan::Expr::RestField(..)
            | plan::Expr::AllFields { .. }
            | plan::Expr::Time
            | plan::Expr::Key
            | plan::Expr::Global(_)
            | plan::Expr::Captured(..)
            | plan::Expr::Aggregate(_) => {}
            plan::Expr::WindowStart | plan::Expr::WindowEnd => self.bounds = true,
            plan::Expr::Local(local) => self.local(*local),
            plan::Expr::Unary(_, inner) | plan::Expr::Member(inner, _) => self.expr(inner, depth),
            plan::Expr::OrElse(a, b)
            | plan::Expr::Binary(_, a, b)
            | plan::Expr::Range(a, b, _)
            | plan::Expr::Index(a, b) => {
                self.expr(a, depth);
                self.expr(b, depth);
            }
            plan::Expr::If(a, b, c) => {
                self.expr(a, depth);
                self.expr(b, depth);
                self.expr(c, depth);
            }
            plan::Expr::Slice(object, from, to) => {
                self.expr(object, depth);
                for bound in [from, to].into_iter().flatten() {
                    self.expr(bound, depth);
                }
            }
            plan::Expr::Array(items) | plan::Expr::Call(_, items) => {
                for item in items {
                    self.expr(item, depth);
                }
            }
            plan::Expr::Map(entries) => {
                for (_, value) in entries {
                    self.expr(value, depth);
                }
            }
            plan::Expr::UserCall(_, args) => {
                self.calls = true;
                for arg in args {
                    self.expr(arg, depth);
                }
            }
            plan::Expr::MapItems(array, local, body) | plan::Expr::FilterItems(array, local, body) => {
                self.local(*local);
                self.expr(array, depth);
                self.expr(body, depth);
            }
            plan::Expr::Block(statements, result) => {
                self.calls = true;
                self.statements(statements, depth);
                self.expr(result, depth);
            }
        }
    }

    pub(super) fn statements(&mut self, statements: &[plan::Statement], depth: usize) {
        self.height = self.height.max(depth);
        if depth > MAX_DEPTH {
            return;
        }
        let depth = depth + 1;
        for statement in statements {
            match statement {
                plan::Statement::SetLocal(local, value) => {
                    self.local(*local);
                    self.expr(value, depth);
                }
                plan::Statement::SetGlobal(_, value) | plan::Statement::Expr(value) => {
                    self.expr(value, depth);
                }
                plan::Statement::If(branches, otherwise) => {
                    for (condition, body) in branches {
                        self.expr(condition, depth);
                        self.statements(body, depth);
                    }
                    self.statements(otherwise, depth);
                }
                plan::Statement::For(local, items, body) => {
                    self.local(*local);
                    self.expr(items, depth);
                    self.statements(body, depth);
                }
                plan::Statement::While(condition, body) => {
                    self.expr(condition, depth);
                    self.statements(body, depth);
                }
                plan::Statement::Break | plan::Statement::Continue => {}
                plan::Statement::Return(value) => {
                    if let Some(value) = value {
                        self.expr(value, depth);
                    }
                }
                plan::Statement::Emit { fields, .. } => {
                    for (_, value) in fields {
                        self.expr(value, depth);
                    }
                }
            }
        }
    }

    fn local(&mut self, local: usize) {
        self.locals = self.locals.max(local + 1);
    }
}
