//! Names in a join: `A.x` is a field of a side, `x` that of the first side that has it. The joined row holds what is read.

use crate::event::{FieldType, ShapeField, Value};
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::Expr;
use crate::vpl::suggest::closest;
use crate::vpl::syntax::{Name, Span};

use super::Resolver;
use super::scope::RowScope;

impl Resolver<'_> {
    /// `side.name` in the joined row.
    pub(super) fn field_of_side(&mut self, side: &str, name: &Name, row: &RowScope) -> Expr {
        let shape = row.sides.iter().find(|(known, _)| known == side).map_or(row.shape, |&(_, shape)| shape);
        if self.field(shape, &name.text).is_some() {
            return self.joined(side, &name.text, row.shape);
        }
        let fields = self.plan.shapes[shape].fields.iter().map(|field| field.name.as_str());
        let mut finding = Diagnostic::error(name.span, format!("`{side}` has no field `{}`", name.text));
        if let Some(near) = closest(&name.text, fields) {
            finding = finding.help(format!("did you mean `{side}.{near}`?"));
        }
        self.findings.push(finding);
        Expr::Const(Value::Missing)
    }

    /// The slot of the joined row for `side.name`; it is made on first use.
    fn joined(&mut self, side: &str, name: &str, shape: usize) -> Expr {
        let qualified = format!("{side}.{name}");
        let shape = &mut self.plan.shapes[shape];
        let position = shape.position(&qualified).unwrap_or_else(|| {
            shape.fields.push(ShapeField { name: qualified.clone(), ty: FieldType::Any, slot: None });
            shape.fields.len() - 1
        });
        Expr::Field(shape.keep(position), qualified)
    }

    /// An unqualified name: the field of the first side that has it (D25). A side of an undeclared type can have any field,
    /// so behind it the others still count where it has none.
    pub(super) fn field_of_sides(
        &mut self,
        name: &str,
        span: Span,
        row: &RowScope,
        hidden: Option<Expr>,
    ) -> Expr {
        let mut choices: Vec<Expr> = Vec::new();
        for (side, shape) in &row.sides {
            if self.field(*shape, name).is_some() {
                choices.push(self.joined(side, name, row.shape));
                if self.plan.shapes[*shape].declared {
                    break;
                }
            }
        }
        choices.extend(hidden);
        let Some(last) = choices.pop() else {
            self.findings.push(Diagnostic::error(span, format!("no side of the join has a field `{name}`")));
            return Expr::Const(Value::Missing);
        };
        choices.into_iter().rfold(last, |rest, choice| Expr::OrElse(Box::new(choice), Box::new(rest)))
    }

    /// All fields of all sides, the first side's winning.
    pub(super) fn all_fields_of_sides(&mut self, row: &RowScope, span: Span) -> Expr {
        let mut fields: Vec<(String, u16)> = Vec::new();
        for (side, shape) in &row.sides {
            if !self.plan.shapes[*shape].declared {
                let message =
                    format!("all fields of the join are asked for, and `{side}` does not declare its fields");
                self.findings.push(
                    Diagnostic::error(span, message)
                        .help(format!("declare `event {side}:` or name the fields")),
                );
                return Expr::Const(Value::Missing);
            }
            for (name, _) in self.keep_all(*shape) {
                if fields.iter().all(|(known, _)| *known != name)
                    && let Expr::Field(slot, _) = self.joined(side, &name, row.shape)
                {
                    fields.push((name, slot));
                }
            }
        }
        Expr::AllFields { fields, rest: None }
    }
}
