//! The statements of functions and lambdas to text.

use super::super::syntax::{BlockStatement, BlockStatementKind, Expr};
use super::Printer;

impl Printer {
    /// The lines of a block, one step deeper.
    pub(super) fn block(&mut self, statements: &[BlockStatement]) {
        self.indented(|printer| {
            for statement in statements {
                printer.block_statement(statement);
            }
        });
    }

    pub(super) fn block_statement(&mut self, statement: &BlockStatement) {
        match &statement.kind {
            BlockStatementKind::Binding(binding) => self.line(|printer| printer.binding(binding)),
            BlockStatementKind::Assign { name, value } => {
                self.line(|printer| printer.assignment(name, value));
            }
            BlockStatementKind::If { branches, otherwise } => {
                for (index, (condition, body)) in branches.iter().enumerate() {
                    self.header(if index == 0 { "if " } else { "elif " }, condition);
                    self.block(body);
                }
                if let Some(body) = otherwise {
                    self.line(|printer| printer.put("else:"));
                    self.block(body);
                }
            }
            BlockStatementKind::For { variable, range, body } => {
                self.header(&format!("for {} in ", variable.text), range);
                self.block(body);
            }
            BlockStatementKind::While { condition, body } => {
                self.header("while ", condition);
                self.block(body);
            }
            BlockStatementKind::Break => self.line(|printer| printer.put("break")),
            BlockStatementKind::Continue => self.line(|printer| printer.put("continue")),
            BlockStatementKind::Return(None) => self.line(|printer| printer.put("return")),
            BlockStatementKind::Return(Some(value)) => self.line(|printer| {
                printer.put("return ");
                printer.statement_expr(value);
            }),
            BlockStatementKind::Emit { event_type, fields } => self.line(|printer| {
                printer.put("emit ");
                printer.items(&event_type.text, fields);
            }),
            BlockStatementKind::Expr(value) => self.line(|printer| printer.statement_expr(value)),
        }
    }

    /// The line that opens a block.
    pub(super) fn header(&mut self, words: &str, value: &Expr) {
        self.line(|printer| {
            printer.put(words);
            printer.expr(value);
            printer.put(":");
        });
    }
}
