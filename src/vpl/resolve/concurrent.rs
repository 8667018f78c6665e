//! `.concurrent(..)`: which operators run on the workers of a pool, and which worker takes a row.
//!
//! A pool must not change the answer, so what its workers keep has to be kept by the very key that decides between
//! them. Everything else is refused here, with the reason.

use crate::event::Value;
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{Expr, OpPlan, PoolPlan, Strategy, StreamPlan};
use crate::vpl::suggest::closest;
use crate::vpl::syntax::{self, ExprKind, NamedExpr, Span};

use super::Resolver;
use super::bounds::MAX_THREADS;
use super::stream::Draft;

/// How many workers a pool may have.
const MAX_WORKERS: i64 = 256;

/// `.concurrent(..)` as it was written, until all operators of its stream are known.
pub(super) struct PoolDraft {
    span: Span,
    at: usize,
    workers: usize,
    strategy: Option<(Strategy, Span)>,
    key: Option<(Expr, Span)>,
    shape: usize,
}

impl Resolver<'_> {
    pub(super) fn concurrent(&mut self, items: &[NamedExpr], at: Span, draft: &mut Draft) {
        if draft.pool.is_some() {
            self.findings.push(Diagnostic::error(at, "a stream has one `.concurrent`"));
            return;
        }
        if draft.plan.window.is_some() {
            self.findings
                .push(Diagnostic::error(at, "`.concurrent` stands in front of `.window`, not behind it").help(
                "the rows of one window belong to one worker; for what is behind it, begin another stream",
            ));
            return;
        }
        let mut pool = PoolDraft {
            span: at,
            at: draft.plan.before.len(),
            workers: 0,
            strategy: None,
            key: None,
            shape: draft.row().shape,
        };
        for item in items {
            match item.name.as_ref().map(|name| name.text.as_str()) {
                Some("workers") => pool.workers = self.pool_workers(&item.value),
                Some("strategy") => pool.strategy = self.strategy(&item.value),
                Some("partition_key") => {
                    pool.key = Some((self.expr(&item.value, &mut draft.scope), item.value.span));
                }
                Some(other) => {
                    let span = item.name.as_ref().map_or(at, |name| name.span);
                    let finding = Diagnostic::error(span, format!("`.concurrent` has no `{other}`"));
                    self.findings.push(match closest(other, ["workers", "strategy", "partition_key"]) {
                        Some(near) => finding.help(format!("did you mean `{near}`?")),
                        None => finding.help("it takes workers, strategy and partition_key"),
                    });
                }
                None => self.findings.push(
                    Diagnostic::error(item.value.span, "`.concurrent` takes its settings by name")
                        .help("as in .concurrent(workers: 4, strategy: consistent_hash)"),
                ),
            }
        }
        if pool.workers == 0 && !items.iter().any(|item| is_called(item, "workers")) {
            self.findings.push(
                Diagnostic::error(at, "`.concurrent` does not say how many workers")
                    .help("as in .concurrent(workers: 4)"),
            );
        }
        self.pool_threads += pool.workers;
        let threads = self.plan.contexts.len() + self.pool_threads;
        self.within(threads, MAX_THREADS, "threads for contexts and workers of pools", at);
        draft.pool = Some(pool);
    }

    /// 0 where it is no number of workers.
    fn pool_workers(&mut self, value: &syntax::Expr) -> usize {
        match self.constant(value) {
            Some(Value::Int(workers)) if (1..=MAX_WORKERS).contains(&workers) => workers as usize,
            _ => {
                let message = format!("`workers` is a constant int from 1 to {MAX_WORKERS}");
                self.findings.push(Diagnostic::error(value.span, message));
                0
            }
        }
    }

    fn strategy(&mut self, value: &syntax::Expr) -> Option<(Strategy, Span)> {
        let text = match &value.kind {
            ExprKind::Name(name) => name.clone(),
            _ => self.constant_text(value).unwrap_or_default(),
        };
        let known = Strategy::ALL.into_iter().find(|strategy| strategy.name() == text);
        if known.is_none() {
            let names = Strategy::ALL.map(Strategy::name);
            let finding = Diagnostic::error(value.span, "unknown `strategy` of `.concurrent`");
            self.findings.push(match closest(&text, names) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("one of: {}", names.join(", "))),
            });
        }
        known.map(|strategy| (strategy, value.span))
    }

    /// Settles the pool of a stream whose operators are all known.
    pub(super) fn finish_pool(&mut self, draft: &mut Draft) {
        let Some(pool) = draft.pool.take() else { return };
        let (before, behind) = draft.plan.before.split_at(pool.at);
        let set = before.iter().rposition(|op| matches!(op, OpPlan::PartitionBy(_)));
        let key_in_front = set.and_then(|at| match &before[at] {
            OpPlan::PartitionBy(key) => Some((key, before[at..].iter().any(remakes))),
            _ => None,
        });
        let mut key = pool.key.as_ref().map(|(key, _)| key.clone());
        if let (Some((key, span)), Some((set, remade))) = (&pool.key, &key_in_front)
            && (*remade || !is_same(key, set))
        {
            self.findings.push(
                Diagnostic::error(*span, "`partition_key` is not the key of `.partition_by` in front of it")
                    .help("leave it out: the pool then goes by that key"),
            );
            return;
        }
        if key.is_none() && key_in_front.is_none() {
            // The key that comes next will do, if it can be told from the rows in front of the pool.
            let next = behind.iter().position(|op| matches!(op, OpPlan::PartitionBy(_)));
            if let Some(next) = next.filter(|next| !behind[..*next].iter().any(remakes))
                && let OpPlan::PartitionBy(next) = &behind[next]
            {
                key = Some(next.clone());
            }
        }
        let has_key = key.is_some() || key_in_front.is_some();
        let strategy = match pool.strategy {
            Some((Strategy::ConsistentHash, span)) if !has_key => {
                self.findings.push(
                    Diagnostic::error(span, "`consistent_hash` needs a key, and there is none").help(
                        "put `.partition_by(key)` in front of `.concurrent`, or give `partition_key: key`",
                    ),
                );
                return;
            }
            Some((strategy, _)) => strategy,
            None if has_key => Strategy::ConsistentHash,
            None => Strategy::RoundRobin,
        };
        if let (Some((_, span)), Strategy::RoundRobin | Strategy::Broadcast) = (&pool.key, strategy) {
            let message = format!("`{}` does not go by a key", strategy.name());
            self.findings.push(Diagnostic::error(*span, message).help("leave `partition_key` out"));
            return;
        }
        let routing = key.as_ref().or(key_in_front.map(|(key, _)| key));
        if let Some(reason) =
            changes_the_answer(&draft.plan, pool.at, strategy, routing, key_in_front.is_some())
        {
            let workers = pool.workers;
            let finding =
                Diagnostic::error(pool.span, format!("{workers} workers would change the answer: {reason}"));
            self.findings.push(finding.help(match strategy {
                Strategy::RoundRobin => {
                    "with `.partition_by(key)` in front of `.concurrent` and `strategy: consistent_hash` a key's rows \
                     stay together"
                }
                Strategy::ConsistentHash | Strategy::Broadcast => {
                    "put the `.partition_by` that it is kept by in front of `.concurrent`"
                }
            }));
            return;
        }
        self.plan.threaded = true;
        draft.plan.pool = Some(PoolPlan {
            at: pool.at,
            workers: pool.workers.max(1),
            strategy,
            key: key.filter(|_| strategy == Strategy::ConsistentHash),
            keyed: key_in_front.is_some(),
            shape: pool.shape,
        });
    }
}

fn is_called(item: &NamedExpr, text: &str) -> bool {
    item.name.as_ref().is_some_and(|name| name.text == text)
}

/// Whether rows behind it have another layout than those in front of it.
fn remakes(op: &OpPlan) -> bool {
    match op {
        OpPlan::Project { .. } | OpPlan::Replace { .. } | OpPlan::Process { .. } | OpPlan::Aggregate(_) => {
            true
        }
        OpPlan::Where(_)
        | OpPlan::PartitionBy(_)
        | OpPlan::Distinct(_)
        | OpPlan::OrderBy(_)
        | OpPlan::Limit(_)
        | OpPlan::Log(_) => false,
    }
}

/// Whether two expressions over one layout are written alike.
fn is_same(one: &Expr, other: &Expr) -> bool {
    // Resolved alike they print alike: slots, names and constants are all in it.
    format!("{one:?}") == format!("{other:?}")
}

/// What the operators behind `at` keep that several workers would keep otherwise.
fn changes_the_answer(
    plan: &StreamPlan,
    at: usize,
    strategy: Strategy,
    routing: Option<&Expr>,
    keyed_in_front: bool,
) -> Option<String> {
    if strategy == Strategy::Broadcast {
        return None;
    }
    let behind = &plan.before[at..];
    let window = plan.window.is_some().then_some("`.window`");
    let mut kept_by_routing = keyed_in_front;
    let mut keyed = keyed_in_front;
    let mut remade = false;
    for (what, op) in behind.iter().map(|op| (stateful(op), Some(op))).chain([(window, None)]) {
        match op {
            Some(OpPlan::PartitionBy(key)) => {
                keyed = true;
                kept_by_routing = !remade && routing.is_some_and(|routing| is_same(routing, key));
            }
            Some(op) => remade |= remakes(op),
            None => {}
        }
        let Some(what) = what else { continue };
        if strategy == Strategy::RoundRobin {
            let state = if keyed { "what it has seen of a key" } else { "what it has seen" };
            return Some(format!(
                "{what} remembers {state}, and by turns that would be spread over all of them"
            ));
        }
        if !keyed {
            return Some(format!("{what} has no key, so it sees all rows"));
        }
        if !kept_by_routing {
            return Some(format!("{what} goes by another key than the pool"));
        }
    }
    None
}

fn stateful(op: &OpPlan) -> Option<&'static str> {
    match op {
        OpPlan::Distinct(_) => Some("`.distinct`"),
        OpPlan::Limit(_) => Some("`.limit`"),
        OpPlan::Aggregate(_) | OpPlan::OrderBy(_) => Some("`.window`"),
        OpPlan::Where(_)
        | OpPlan::Project { .. }
        | OpPlan::Replace { .. }
        | OpPlan::PartitionBy(_)
        | OpPlan::Log(_)
        | OpPlan::Process { .. } => None,
    }
}
