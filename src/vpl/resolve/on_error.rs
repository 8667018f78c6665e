//! `.on_error(..)`: what becomes of an event on which an operator of the stream fails.

use crate::event::Value;
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{FAILURE_FIELDS, OnErrorPlan, OpPlan, SourcePlan};
use crate::vpl::suggest::closest;
use crate::vpl::syntax::{self, ExprKind, LambdaBody, Name, NamedExpr, Span};

use super::Resolver;
use super::scope::{Origin, RowScope, Scope};
use super::stream::Draft;

/// How often an event may be tried again.
const MAX_RETRIES: i64 = 100;

impl Resolver<'_> {
    pub(super) fn on_error(&mut self, value: &syntax::Expr, at: Span, draft: &mut Draft) {
        if draft.on_error.replace(value.span).is_some() {
            self.findings.push(Diagnostic::error(at, "a stream has one `.on_error`"));
        }
        let finding = match &value.kind {
            ExprKind::Name(name) => match name.as_str() {
                "dead_letter" => return draft.plan.on_error = OnErrorPlan::DeadLetter,
                "skip" => return draft.plan.on_error = OnErrorPlan::Skip,
                "fail" => return draft.plan.on_error = OnErrorPlan::Fail,
                other => {
                    let finding =
                        Diagnostic::error(value.span, format!("`.on_error` does not know `{other}`"));
                    match closest(other, ["skip", "dead_letter", "fail", "retry"]) {
                        Some(near) => finding.help(format!("did you mean `{near}`?")),
                        None => finding.help("one of: skip, dead_letter, fail, retry(n)"),
                    }
                }
            },
            ExprKind::Call { callee, args } if matches!(&callee.kind, ExprKind::Name(name) if name == "retry") =>
            {
                let count = match args.as_slice() {
                    [NamedExpr { name: None, value }] => self.constant(value),
                    _ => None,
                };
                match count {
                    Some(Value::Int(count)) if (1..=MAX_RETRIES).contains(&count) => {
                        return draft.plan.on_error = OnErrorPlan::Retry(count as u32);
                    }
                    _ => Diagnostic::error(
                        value.span,
                        format!("`retry` takes how often: a constant int from 1 to {MAX_RETRIES}"),
                    ),
                }
            }
            ExprKind::Lambda { params, body } => match params.as_slice() {
                [param] => return self.decider(param, body, draft),
                _ => {
                    Diagnostic::error(value.span, "the lambda of `.on_error` has one parameter, the failure")
                }
            },
            _ => Diagnostic::error(
                value.span,
                "`.on_error` takes skip, dead_letter, fail, retry(n) or a lambda",
            ),
        };
        self.findings.push(finding);
    }

    /// `x => ..`, where `x` is what a dead letter would hold.
    fn decider(&mut self, param: &Name, body: &LambdaBody, draft: &mut Draft) {
        // The lambda may speak of any field of the event.
        let names: Vec<usize> = draft.plan.source.inputs().iter().map(|input| input.name).collect();
        for name in names {
            self.keep_all(self.plan.names[name].shape, param.span);
        }
        let names = FAILURE_FIELDS.map(str::to_owned);
        let shape = self.fixed_shape(names.iter());
        let origin = Origin::Operator("on_error");
        let row = RowScope { shape, origin, names: vec![param.text.clone()], sides: Vec::new() };
        let mut scope = Scope { row: Some(row), ..Scope::default() };
        let decider = self.lambda_body(body, &mut scope);
        draft.plan.on_error = OnErrorPlan::Decide(self.plan.deciders.len());
        self.plan.deciders.push(decider);
    }

    /// An event can be tried again where the stream has kept nothing of the attempt that failed.
    pub(super) fn check_retry(&mut self, draft: &Draft) {
        let (OnErrorPlan::Retry(_), Some(span)) = (draft.plan.on_error, draft.on_error) else { return };
        let keeps = |op: &OpPlan| match op {
            OpPlan::Distinct(_) => Some("`.distinct` remembers"),
            OpPlan::Limit(_) => Some("`.limit` counts"),
            OpPlan::Log(_) => Some("the log has"),
            OpPlan::Process { .. } => Some("`.process` has sent on what came of"),
            OpPlan::Aggregate(_) | OpPlan::OrderBy(_) => Some("the window holds"),
            OpPlan::Where(_) | OpPlan::Project { .. } | OpPlan::Replace { .. } | OpPlan::PartitionBy(_) => {
                None
            }
        };
        if let Some((who, variable)) = self.changes_variable(&draft.plan) {
            let message =
                format!("`retry` cannot be done here: {who} changes `var {variable}` again at each attempt");
            let help = "let a stream of its own change it, behind this one";
            self.findings.push(Diagnostic::error(span, message).help(help));
            return;
        }
        let kept = match &draft.plan.source {
            SourcePlan::Name(_) | SourcePlan::Merge(_) if draft.plan.window.is_some() => {
                Some("the window holds")
            }
            SourcePlan::Name(_) | SourcePlan::Merge(_) => draft.plan.before.iter().find_map(keeps),
            SourcePlan::Join(_) | SourcePlan::Sequence(_) => Some("the source remembers"),
        };
        if let Some(kept) = kept {
            let message =
                format!("`retry` cannot be done here: {kept} the event already when it is tried again");
            self.findings.push(
                Diagnostic::error(span, message)
                    .help("put what may fail into a stream of its own, in front of this one"),
            );
        }
    }
}
