//! `.window(..)`: which kind it is, and whether its sizes are sizes.

use crate::event::Value;
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::WindowPlan;
use crate::vpl::syntax::{self, ExprKind, Span, WindowSpec};

use super::Resolver;
use super::stream::Draft;

impl Resolver<'_> {
    pub(super) fn window(&mut self, spec: &WindowSpec, span: Span, at: Span, draft: &mut Draft) {
        if self.join_window(spec, span, draft) {
            return;
        }
        if draft.plan.window.is_some() {
            self.findings.push(
                Diagnostic::error(at, "a stream has one `.window`")
                    .help("put the second one into a stream of its own"),
            );
            return;
        }
        let window = match spec {
            WindowSpec::Session { gap } => match self.constant(gap) {
                Some(Value::Duration(gap_ns)) if gap_ns > 0 => Some(WindowPlan::Session { gap_ns }),
                _ => {
                    let message = "the gap of a session `.window` is a constant duration greater than 0";
                    self.findings.push(Diagnostic::error(gap.span, message));
                    None
                }
            },
            WindowSpec::Size { size, sliding, policy } => {
                self.sized_window(size, sliding.as_ref(), policy.as_ref(), span)
            }
        };
        draft.scope.windowed = true;
        // After an error the stream still has some window, so that no operator behind it complains of none.
        draft.plan.window = Some(window.unwrap_or(WindowPlan::Count { size: 1, slide: 1 }));
    }

    fn sized_window(
        &mut self,
        size: &syntax::Expr,
        sliding: Option<&syntax::Expr>,
        policy: Option<&syntax::Expr>,
        span: Span,
    ) -> Option<WindowPlan> {
        let first_event = match policy {
            None => false,
            Some(policy) => {
                let text = match (&policy.kind, self.constant_text(policy)) {
                    (ExprKind::Name(name), _) => name.clone(),
                    (_, text) => text.unwrap_or_default(),
                };
                if text != "first_event" {
                    let finding = Diagnostic::error(policy.span, format!("unknown window policy `{text}`"));
                    self.findings.push(finding.help("the one policy is \"first_event\""));
                    return None;
                }
                if sliding.is_some() {
                    let message = "a window with the policy \"first_event\" cannot slide";
                    self.findings.push(Diagnostic::error(policy.span, message));
                    return None;
                }
                true
            }
        };
        let slide = match sliding {
            None => None,
            Some(sliding) => {
                let Some(value) = self.constant(sliding) else {
                    let message = "the slide of a `.window` is a constant";
                    self.findings.push(Diagnostic::error(sliding.span, message));
                    return None;
                };
                Some((value, sliding.span))
            }
        };
        let Some(value) = self.constant(size) else {
            let message = "the size of a `.window` is a constant duration or int";
            self.findings.push(Diagnostic::error(size.span, message));
            return None;
        };
        let finding = match (value, slide) {
            (Value::Duration(size_ns), None) if size_ns > 0 => {
                return Some(if first_event {
                    WindowPlan::FirstEvent { size_ns }
                } else {
                    WindowPlan::Time { size_ns, slide_ns: size_ns }
                });
            }
            (Value::Duration(size_ns), Some((Value::Duration(slide_ns), at))) if size_ns > 0 => {
                if slide_ns > 0 && slide_ns <= size_ns {
                    return Some(WindowPlan::Time { size_ns, slide_ns });
                }
                Diagnostic::error(at, "the slide of a `.window` is greater than 0 and at most its size")
            }
            (Value::Int(length), None) if length > 0 && !first_event => {
                return Some(WindowPlan::Count { size: length as usize, slide: length as usize });
            }
            (Value::Int(length), Some((Value::Int(slide), at))) if length > 0 => {
                if slide > 0 && slide <= length {
                    return Some(WindowPlan::Count { size: length as usize, slide: slide as usize });
                }
                Diagnostic::error(at, "the slide of a `.window` is greater than 0 and at most its size")
            }
            (Value::Int(_), _) if first_event => {
                Diagnostic::error(span, "a count `.window` cannot have the policy \"first_event\"")
            }
            (Value::Duration(length) | Value::Int(length), _) if length <= 0 => {
                Diagnostic::error(size.span, "the size of a `.window` is greater than 0")
            }
            (Value::Duration(_) | Value::Int(_), Some((_, at))) => Diagnostic::error(
                at,
                "the slide of a `.window` is of the same kind as its size: both durations or both ints",
            ),
            _ => Diagnostic::error(span, "the size of a `.window` is a duration (5s) or an int (10 events)"),
        };
        self.findings.push(finding);
        None
    }
}
