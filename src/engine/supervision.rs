//! What an engine's threads are supervised by: from what the caller and the program declare to policies, a supervisor
//! and a board.

use crossbeam_utils::CachePadded;

use crate::context::{Condemned, From, GateKeeper, Rebuild, Streams, Topology};
use crate::flow::{Running, StartError, Worker, start_supervised, start_with};
use crate::idle::Waker;
use crate::metrics::Place;
use crate::operators::{OperatorError, operator_at};
use crate::supervise::{
    Board, Breaker, Declared, Events, Member, PlaceTeller, Restart, Strategy, Supervised, Supervisor,
};
use crate::sync::{Arc, Mutex};
use crate::vpl::plan::Plan;

use super::build::{Seats, StageCare, worker_of};
use super::builder::Builder;
use super::error::BuildError;
use super::gate::{BreakerGate, SharedBreaker};

/// What is declared about an engine's threads.
#[derive(Debug)]
pub(super) struct Supervision {
    /// For each context.
    pub(super) contexts: Vec<Supervised>,
    strategy: Strategy,
    seed: u64,
    pub(super) events: Events,
}

impl Supervision {
    /// What the builder and its program say; the builder's word counts first, and that for one context before that for
    /// all.
    pub(super) fn of(builder: &Builder) -> Result<Self, BuildError> {
        let plan = &builder.plan;
        for (name, _) in &builder.context_supervision {
            if plan.contexts.iter().all(|context| context.name != *name) {
                return Err(BuildError::Option(format!(
                    "supervise_context: the program has no context `{name}`"
                )));
            }
        }
        let engine = Declared::from(&plan.engine.supervision);
        let contexts: Vec<Supervised> = plan
            .contexts
            .iter()
            .map(|context| {
                let own = builder.context_supervision.iter().find(|(name, _)| *name == context.name);
                let own = own.map(|(_, declared)| declared.clone()).unwrap_or_default();
                let program = Declared::from(&context.settings.supervision);
                own.or(&builder.supervision).or(&program).or(&engine).supervised()
            })
            .collect();
        let strategy = plan.engine.strategy.as_deref().and_then(|strategy| strategy.parse().ok());
        let supervision = Self {
            contexts,
            strategy: builder.strategy.or(strategy).unwrap_or_default(),
            seed: builder.seed,
            events: builder.events.clone(),
        };
        supervision.check()?;
        Ok(supervision)
    }

    fn check(&self) -> Result<(), BuildError> {
        if self.restarts() && cfg!(panic = "abort") {
            return Err(BuildError::PanicAborts);
        }
        Ok(())
    }

    /// Whether any context is to be restarted.
    pub(super) fn restarts(&self) -> bool {
        self.contexts.iter().any(|context| context.restart.restart != Restart::Never)
    }

    /// Whether anything asks for a supervisor.
    pub(super) fn is_needed(&self) -> bool {
        self.events.are_heard() || self.contexts.iter().any(Supervised::needs_supervisor)
    }

    /// What stages need so that they can be supervised; none where nobody asks for it.
    pub(super) fn care(&self, builder: &Builder, topology: &Topology, board: &Arc<Board>) -> Option<Care> {
        self.is_needed().then(|| Care {
            builder: builder.clone(),
            contexts: self.contexts.clone(),
            events: self.events.clone(),
            board: Arc::clone(board),
            breakers: Vec::new(),
            topology: Arc::new(topology.clone()),
        })
    }

    /// What the board is told of a worker.
    pub(super) fn member(&self, name: &str, group: Option<usize>, places: Vec<PlaceTeller>) -> Member {
        member(group.and_then(|group| self.contexts.get(group)), name, places)
    }

    /// What is to be said about policies that can't be meant like this.
    pub(super) fn warnings(&self, plan: &Plan) -> Vec<String> {
        let odd = |(context, worker): (&crate::vpl::plan::ContextPlan, &Supervised)| {
            (!worker.restart.can_escalate()).then(|| {
                format!(
                    "context {}: its restarts can never exceed max_restarts, because so many delays don't fit into \
                     restart_window; it may be restarted for ever",
                    context.name
                )
            })
        };
        plan.contexts.iter().zip(&self.contexts).filter_map(odd).collect()
    }

    /// Starts the workers, under a supervisor if anything asks for one.
    pub(super) fn start(
        self,
        builder: &Builder,
        workers: Vec<Worker>,
        topology: &Topology,
        board: &Arc<Board>,
    ) -> Result<Running, StartError> {
        let running = if self.is_needed() {
            let supervisor = Supervisor {
                groups: self.contexts,
                strategy: self.strategy,
                feeds: feeds(topology),
                seed: self.seed,
                events: self.events,
                board: Arc::clone(board),
                rollback: builder.rollback.clone(),
            };
            start_supervised(workers, builder.pin, &builder.low_jitter, |ward| supervisor.begin(ward))?
        } else {
            start_with(workers, builder.pin, &builder.low_jitter)?
        };
        board.watch(running.watch());
        Ok(running)
    }
}

fn member(declared: Option<&Supervised>, name: &str, places: Vec<PlaceTeller>) -> Member {
    Member {
        name: name.to_owned(),
        places,
        stall: declared.map(|declared| declared.stall).unwrap_or_default(),
        breaker: declared.and_then(|declared| declared.breaker.as_ref()).map(|_| Arc::default()),
    }
}

/// Which context sends to which.
fn feeds(topology: &Topology) -> Vec<(usize, usize)> {
    let feeds = topology.edges.iter().filter_map(|edge| match edge.from {
        From::Input => None,
        From::Stage(from) => Some((topology.stages[from].context, topology.stages[edge.to].context)),
    });
    // What a context sends to its own pools does not make it feed itself.
    feeds.filter(|(from, to)| from != to).collect()
}

/// The board of an engine: a member for each worker, by their names and contexts. `places` are those of the stages, in
/// the topology's order. After a rollback it is the one that there was.
pub(super) fn board(
    builder: &Builder,
    supervision: &Supervision,
    topology: &Topology,
    seats: &Seats,
    places: &[Place],
    workers: &[(String, Option<usize>)],
    known: Option<&Arc<Board>>,
) -> Arc<Board> {
    let plan = &builder.plan;
    let members = workers.iter().enumerate().map(|(worker, (name, group))| {
        let stages = places.iter().enumerate();
        let stages = stages.filter(|(stage, _)| seats.of(plan, topology, From::Stage(*stage)) == worker);
        let mut places: Vec<PlaceTeller> = stages.map(|(_, place)| teller(plan, place)).collect();
        // The stage that merges inputs comes first where it runs, and has no streams.
        if builder.inputs > 1 && seats.of(plan, topology, From::Input) == worker {
            places.insert(0, Box::new(|| None));
        }
        supervision.member(name, *group, places)
    });
    match known {
        Some(board) => {
            board.renew(members.collect());
            Arc::clone(board)
        }
        None => Arc::new(Board::new(members.collect())),
    }
}

/// What the stages of a supervised engine need for that.
pub(super) struct Care {
    builder: Builder,
    contexts: Vec<Supervised>,
    events: Events,
    board: Arc<Board>,
    /// By worker.
    breakers: Vec<Option<SharedBreaker>>,
    /// What it takes to make the streams of a stage anew.
    topology: Arc<Topology>,
}

impl Care {
    /// Stages are made by this topology from now on: it has grown.
    pub(super) fn grow(&mut self, topology: &Topology) {
        self.topology = Arc::new(topology.clone());
    }

    /// What one stage needs.
    pub(super) fn of(&mut self, stage: usize, waker: Option<Waker>) -> StageCare {
        let worker = worker_of(&self.builder.plan, &self.topology, From::Stage(stage));
        let condemned = self.condemned(&self.topology.stages[stage].name);
        StageCare { rebuild: Some(self.rebuild(stage)), gate: self.gate(stage, worker), condemned, waker }
    }

    /// What a stage is not to run again after a rollback.
    fn condemned(&self, stage: &str) -> Option<Box<Condemned>> {
        let rollback = self.builder.rollback.as_ref()?;
        let items = rollback.memory().condemned(stage).into_iter().map(|condemned| {
            let crate::supervise::Condemned { blamed, message, attempts, .. } = condemned;
            let (stream, operator) = (blamed.owner, blamed.operator);
            (blamed.item, OperatorError { stream, operator, message, attempts })
        });
        Condemned::new(items.collect())
    }

    fn rebuild(&self, stage: usize) -> Rebuild {
        let (plan, topology) = (Arc::clone(&self.builder.plan), Arc::clone(&self.topology));
        let (order, limits) = (self.builder.effective_order(), self.builder.limits.with(&plan.engine));
        Box::new(move || Streams::compile(&plan, &topology, stage, order, &limits))
    }

    /// The breaker in front of the stages of a worker, if one is declared.
    fn gate(&mut self, stage: usize, worker: usize) -> Option<Box<dyn GateKeeper>> {
        let policy = self.contexts.get(self.topology.stages[stage].context)?.breaker.clone()?;
        let gauge = self.board.breaker(worker)?;
        if self.breakers.len() <= worker {
            self.breakers.resize(worker + 1, None);
        }
        let fresh = || Arc::new(CachePadded::new(Mutex::new(Breaker::new(policy))));
        let breaker = self.breakers[worker].get_or_insert_with(fresh);
        Some(Box::new(BreakerGate::new(breaker, &gauge, &self.events, &self.board.name(worker))))
    }

    /// A worker has come by a resize, with its first stage.
    pub(super) fn add_worker(&self, name: &str, context: usize, place: &Place) {
        let places = vec![teller(&self.builder.plan, place)];
        self.board.add(member(self.contexts.get(context), name, places));
    }
}

impl std::fmt::Debug for Care {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Care").field("contexts", &self.contexts).finish_non_exhaustive()
    }
}

/// Says in words where a stage is.
fn teller(plan: &Arc<Plan>, place: &Place) -> PlaceTeller {
    let (plan, place) = (Arc::clone(plan), place.clone());
    Box::new(move || {
        let (rank, operator) = operator_at(place.get())?;
        let stream = plan.streams.get(usize::from(rank).checked_sub(1)?)?;
        Some(format!("stream {}, .{operator}", stream.name))
    })
}
