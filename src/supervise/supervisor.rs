//! The supervisor: a thread that sleeps until a worker hands over what it holds, and then does what the policies say.
//!
//! States of a worker, for its supervisor:
//!
//! - *running*: on its thread.
//! - *recalled*: another one failed, and the strategy has it restarted along; it was asked to hand over.
//! - *waiting*: its holdings are in hand, made fit again, and start at a known time. Those that restart together start
//!   when all of them are in hand.
//! - *over*.
//!
//! Where checkpoints are kept ([`Rollback`]) nobody waits: a restart means that everything stops, and the shift ends.
//! The next one, of the engine that is built anew, goes on with what this one has put into the [`Memory`].
//!
//! All decisions are made elsewhere, by pure functions; here is only what comes of them.

use std::time::{Duration, Instant};

use super::board::{Activity, Board, Escalation};
use super::declared::Supervised;
use super::event::{Component, EventKind, Events};
use super::restart::{Decision, Ending, Restart, Restarts};
use super::rollback::{Memory, Rollback, RollbackDue};
use super::stall::{StallChange, StallWatch};
use super::strategy::{Strategy, reachable, restarting};
use crate::cores::PinOutcome;
use crate::flow::{GRACE, Holdings, Returned, StateLost, Ward, WhyReturned};
use crate::sync::Arc;

/// How long those that are in hand wait for one that was recalled and does not come.
const RECALL_PATIENCE: Duration = Duration::from_secs(1);
/// How long threads that were told to stop for a rollback are waited for.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long the supervisor sleeps where nothing has to be looked at.
const LONG: Duration = Duration::from_secs(3600);

/// What a supervisor goes by.
#[derive(Debug)]
pub struct Supervisor {
    /// For each group of workers what is declared: a context and its pools are one. For workers without a group, and
    /// groups that are not listed, the defaults hold.
    pub groups: Vec<Supervised>,
    /// Who is restarted along with whom.
    pub strategy: Strategy,
    /// Which group sends to which.
    pub feeds: Vec<(usize, usize)>,
    /// The seed of the jitter.
    pub seed: u64,
    /// Whom to tell.
    pub events: Events,
    /// Where everybody can see.
    pub board: Arc<Board>,
    /// Where checkpoints are kept: how a restart is asked for, and what is known of earlier ones.
    pub rollback: Option<Arc<Rollback>>,
}

/// Where a worker is; see the top of this file.
enum Post {
    Running,
    Recalled { due: Duration, because: usize },
    Waiting { holdings: Box<Holdings>, due: Duration, because: usize, lost: Vec<StateLost> },
    Over,
}

impl Supervisor {
    /// Takes the workers over; what comes back supervises them until every one is over or the run is given up. For
    /// [`start_supervised`](crate::flow::start_supervised).
    pub fn begin(self, ward: Ward) -> impl FnOnce() + Send + 'static {
        let shift = Shift::new(self, ward);
        move || shift.run()
    }
}

/// A supervisor at work.
struct Shift {
    groups: Vec<Supervised>,
    strategy: Strategy,
    reaches: Vec<Vec<bool>>,
    seed: u64,
    events: Events,
    board: Arc<Board>,
    ward: Ward,
    posts: Vec<Post>,
    /// What is declared for each worker.
    workers: Vec<Supervised>,
    restarts: Vec<Restarts>,
    stalls: Vec<StallWatch>,
    started: Instant,
    rollback: Option<Arc<Rollback>>,
    /// The threads were there before a rollback.
    goes_on: bool,
}

impl Shift {
    fn new(supervisor: Supervisor, ward: Ward) -> Self {
        let Supervisor { groups, strategy, feeds, seed, events, board, rollback } = supervisor;
        events.set_deliverer(ward.waker());
        let memory = rollback.as_ref().map(|rollback| rollback.memory().clone()).unwrap_or_default();
        if let Some(rollback) = &rollback {
            rollback.set_supervised(true);
        }
        let mut shift = Self {
            reaches: reachable(groups.len(), &feeds),
            groups,
            strategy,
            seed,
            events,
            board,
            ward,
            posts: Vec::new(),
            workers: Vec::new(),
            restarts: Vec::new(),
            stalls: Vec::new(),
            started: memory.started,
            goes_on: memory.rollbacks() > 0,
            rollback,
        };
        shift.grow_from(memory);
        shift.goes_on = false;
        shift
    }

    /// Takes up the workers that the ward has and this does not know yet.
    fn grow(&mut self) {
        if self.posts.len() < self.ward.workers() {
            self.grow_from(Memory::default());
        }
    }

    /// The same, of workers that may be remembered.
    fn grow_from(&mut self, mut memory: Memory) {
        for worker in self.posts.len()..self.ward.workers() {
            let declared = self.ward.group(worker).and_then(|group| self.groups.get(group));
            let declared = declared.cloned().unwrap_or_default();
            // Workers that fail together are not started again at the same moment.
            let seed = self.seed.wrapping_add(worker as u64);
            let known = memory.restarts.remove(self.ward.name(worker));
            self.restarts.push(known.unwrap_or_else(|| Restarts::new(declared.restart.clone(), seed)));
            self.workers.push(declared);
            self.posts.push(Post::Running);
            self.stalls.push(StallWatch::default());
            let cpu = match self.ward.pin(worker) {
                PinOutcome::Pinned(cpu) => Some(cpu),
                _ => None,
            };
            let restarted = EventKind::Restarted { lost: Vec::new() };
            self.tell(worker, if self.goes_on { restarted } else { EventKind::Started { cpu } });
        }
    }

    fn run(mut self) {
        loop {
            let seen = self.ward.news();
            self.ward.admit_newcomers();
            self.grow();
            for worker in 0..self.posts.len() {
                while let Some(returned) = self.ward.returned(worker) {
                    self.see_to(worker, returned);
                }
                let on_thread = matches!(self.posts[worker], Post::Running | Post::Recalled { .. });
                if on_thread && self.ward.is_finished(worker) && !self.is_rolling_back() {
                    self.over(worker);
                }
            }
            if self.ward.is_given_up() {
                break;
            }
            self.launch_due();
            self.look_for_stalls();
            self.events.deliver();
            if self.posts.iter().all(|post| matches!(post, Post::Over)) {
                break;
            }
            let limit = self.sleep_limit();
            self.ward.wait(&seen, limit, || self.events.are_waiting());
        }
        for worker in 0..self.posts.len() {
            if !matches!(self.posts[worker], Post::Waiting { .. }) {
                continue;
            }
            if let Post::Waiting { holdings, .. } = std::mem::replace(&mut self.posts[worker], Post::Over) {
                self.ward.retire(worker, *holdings);
            }
        }
        self.take_what_comes_late();
        self.events.deliver();
        if let Some(rollback) = &self.rollback {
            rollback.set_supervised(false);
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn tell(&self, worker: usize, kind: EventKind) {
        if self.events.are_heard() {
            self.events.tell(Component::Context(self.ward.name(worker).to_owned()), kind);
        }
    }

    /// A worker has handed over what it holds.
    fn see_to(&mut self, worker: usize, returned: Returned) {
        let Returned { holdings, why } = returned;
        self.stalls[worker].forget();
        self.board.forget_beat(worker);
        match why {
            WhyReturned::Recalled => match self.posts[worker] {
                Post::Recalled { due, because } => self.make_fit(worker, holdings, None, due, because),
                // Whoever recalled it has thought better of it.
                _ => self.launch(worker, holdings, None),
            },
            WhyReturned::Ended { stage } => self.ended(worker, holdings, stage),
            WhyReturned::Failed { stage, message } => self.failed(worker, holdings, stage, &message),
        }
    }

    fn ended(&mut self, worker: usize, mut holdings: Holdings, stage: usize) {
        let now = self.now();
        match self.restarts[worker].ended(now, Ending::Normal) {
            Decision::Restart { after } if self.rollback.is_some() => {
                self.roll_back(worker, holdings, after, "it ended of its own accord");
            }
            Decision::Restart { after } => {
                let due = now + after;
                self.tell_restarting(worker, after, None);
                self.make_fit(worker, holdings, None, due, worker);
            }
            Decision::Leave => {
                holdings.end(stage);
                self.launch(worker, holdings, None);
            }
            Decision::Escalate { restarts } => {
                let reason = self.too_often(worker, restarts);
                holdings.end(stage);
                self.escalate(worker, &reason, "it ended of its own accord, every time");
                self.launch(worker, holdings, None);
            }
        }
    }

    fn failed(&mut self, worker: usize, mut holdings: Holdings, stage: usize, message: &str) {
        let said = self.note_failure(worker, &holdings, stage, message);
        let now = self.now();
        match self.restarts[worker].ended(now, Ending::Failed) {
            Decision::Restart { .. } if self.rollback.is_some() && self.board.has_escalated() => {
                self.give_up(worker, holdings, stage, "failed while the run was ended", &said);
            }
            Decision::Restart { after } if self.rollback.is_some() => {
                self.note_attempt(worker, &mut holdings, stage, message);
                self.roll_back(worker, holdings, after, &said);
            }
            Decision::Restart { after } => {
                let due = now + after;
                self.tell_restarting(worker, after, None);
                self.make_fit(worker, holdings, Some((stage, message)), due, worker);
                if matches!(self.posts[worker], Post::Waiting { .. }) {
                    self.recall_along(worker, after, due);
                }
            }
            Decision::Leave | Decision::Escalate { restarts: 0 }
                if self.workers[worker].restart.restart == Restart::Never =>
            {
                self.give_up(worker, holdings, stage, "failed, and is not to be restarted", &said);
            }
            Decision::Leave => self.give_up(worker, holdings, stage, "failed", &said),
            Decision::Escalate { restarts } => {
                let reason = self.too_often(worker, restarts);
                self.give_up(worker, holdings, stage, &reason, &said);
            }
        }
    }

    fn is_rolling_back(&self) -> bool {
        self.rollback.as_ref().is_some_and(|rollback| rollback.is_asked())
    }

    /// Remembers what a stage failed on.
    fn note_attempt(&self, worker: usize, holdings: &mut Holdings, stage: usize, message: &str) {
        let Some(rollback) = &self.rollback else { return };
        let name = holdings.stage_name(stage).to_owned();
        if let Some(blamed) = holdings.blamed(stage) {
            let max_attempts = self.workers[worker].restart.max_attempts;
            rollback.memory().failed_on(&name, &blamed, message, max_attempts);
        }
    }

    /// Has everything stop, to begin again at the last checkpoint when the restart of `worker` is due.
    fn roll_back(&mut self, worker: usize, holdings: Holdings, after: Duration, said: &str) {
        let Some(rollback) = self.rollback.clone() else { return };
        self.board.set_activity(worker, Activity::Restarting);
        let restarts = self.board.restarts(worker) + 1;
        self.tell(worker, EventKind::RollingBack { after, restarts });
        self.board.note_restart(worker, &[]);
        let restarts = (0..self.restarts.len())
            .map(|worker| (self.ward.name(worker).to_owned(), self.restarts[worker].clone()));
        rollback.memory().restarts = restarts.collect();
        let now = Instant::now();
        let at = now.checked_add(after).unwrap_or(now);
        let (context, message) = (self.ward.name(worker).to_owned(), said.to_owned());
        rollback.ask(RollbackDue { context, message, at });
        // Only now: it closes the rings of what failed.
        self.ward.give_up();
        self.posts[worker] = Post::Over;
        self.ward.retire(worker, holdings);
    }

    /// Everything was told to stop: takes what those hand over that fail on their way out, so that they end, too.
    fn take_what_comes_late(&mut self) {
        let limit = if self.is_rolling_back() { STOP_WITHIN } else { GRACE };
        let until = Instant::now() + limit;
        loop {
            let seen = self.ward.news();
            for worker in 0..self.posts.len() {
                while let Some(Returned { mut holdings, why }) = self.ward.returned(worker) {
                    self.posts[worker] = Post::Over;
                    match why {
                        WhyReturned::Failed { stage, message } => {
                            self.note_failure(worker, &holdings, stage, &message);
                            self.note_attempt(worker, &mut holdings, stage, &message);
                            holdings.fail(stage, message);
                        }
                        WhyReturned::Ended { stage } => holdings.end(stage),
                        WhyReturned::Recalled => {}
                    }
                    self.ward.retire(worker, holdings);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            let is_gone = |worker| self.ward.is_finished(worker) || matches!(self.posts[worker], Post::Over);
            if left.is_zero() || (0..self.posts.len()).all(is_gone) {
                return;
            }
            self.ward.wait(&seen, left, || false);
        }
    }

    /// Tells that a stage has failed; what it said, and where.
    fn note_failure(&self, worker: usize, holdings: &Holdings, stage: usize, message: &str) -> String {
        let place = holdings.place(stage);
        let said = place.as_ref().map_or_else(|| message.to_owned(), |place| format!("{place}: {message}"));
        self.board.note_failure(worker, &said);
        let name = holdings.stage_name(stage).to_owned();
        self.tell(worker, EventKind::Failed { stage: name, place, message: message.to_owned() });
        said
    }

    fn too_often(&self, worker: usize, restarts: u32) -> String {
        let window = self.workers[worker].restart.restart_window;
        match restarts {
            0 => "failed, and no restart is allowed".to_owned(),
            1 => format!("failed again after 1 restart within {window:?}, which is all that is allowed"),
            _ => format!(
                "failed again after {restarts} restarts within {window:?}, which are all that are allowed"
            ),
        }
    }

    /// Has the holdings made fit to go on, and puts them aside until they are due.
    fn make_fit(
        &mut self,
        worker: usize,
        mut holdings: Holdings,
        failed: Option<(usize, &str)>,
        due: Duration,
        because: usize,
    ) {
        self.board.set_activity(worker, Activity::Restarting);
        match holdings.restart(failed, self.workers[worker].restart.max_attempts) {
            Ok(lost) => {
                let holdings = Box::new(holdings);
                self.posts[worker] = Post::Waiting { holdings, due, because, lost };
            }
            Err(reason) => {
                let (stage, message) = failed.unwrap_or((0, "another context failed"));
                let (reason, message) = (format!("cannot be restarted: {reason}"), message.to_owned());
                self.give_up(worker, holdings, stage, &reason, &message);
            }
        }
    }

    /// Recalls those that the strategy restarts along with `worker`.
    fn recall_along(&mut self, worker: usize, after: Duration, due: Duration) {
        let along: Vec<usize> =
            (0..self.posts.len()).filter(|&other| self.goes_along(worker, other)).collect();
        for along in along {
            match &mut self.posts[along] {
                Post::Running => {
                    self.posts[along] = Post::Recalled { due, because: worker };
                    let because = Some(self.ward.name(worker).to_owned());
                    self.tell_restarting(along, after, because);
                    self.ward.recall(along);
                }
                // It starts no earlier than the one that failed last.
                Post::Recalled { due: own, .. } | Post::Waiting { due: own, .. } => *own = due.max(*own),
                Post::Over => {}
            }
        }
    }

    /// Whether `other` is restarted along with `failed`. The first worker of a group is the context, which feeds the
    /// workers of its pools.
    fn goes_along(&self, failed: usize, other: usize) -> bool {
        let group = |worker: usize| self.ward.group(worker).filter(|&group| group < self.groups.len());
        match (self.strategy, group(failed), group(other)) {
            _ if failed == other => false,
            (Strategy::OneForAll, ..) => true,
            (Strategy::RestForOne, Some(own), Some(others)) => {
                let is_first =
                    (0..self.posts.len()).find(|&worker| group(worker) == Some(own)) == Some(failed);
                restarting(self.strategy, own, &self.reaches).contains(&others)
                    && (own != others || is_first || self.reaches[own][own])
            }
            _ => false,
        }
    }

    fn tell_restarting(&self, worker: usize, after: Duration, because: Option<String>) {
        let restarts = self.board.restarts(worker) + 1;
        self.tell(worker, EventKind::Restarting { after, restarts, because });
    }

    /// The failure ends the run: the stage stays as it is, and everything else ends in good order.
    fn give_up(&mut self, worker: usize, mut holdings: Holdings, stage: usize, reason: &str, message: &str) {
        self.escalate(worker, reason, message);
        self.board.set_activity(worker, Activity::Failed);
        holdings.fail(stage, message.to_owned());
        self.launch(worker, holdings, None);
    }

    fn escalate(&self, worker: usize, reason: &str, message: &str) {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        let context = self.ward.name(worker).to_owned();
        if let Some(rollback) = &self.rollback {
            rollback.ends_otherwise();
        }
        self.board.escalate(Escalation { context, reason: reason.clone(), message: message.clone() });
        self.tell(worker, EventKind::Escalated { reason, message });
        self.ward.end_inputs();
    }

    /// Starts what is due.
    fn launch_due(&mut self) {
        let now = self.now();
        for worker in 0..self.posts.len() {
            let Post::Waiting { due, because, .. } = self.posts[worker] else { continue };
            let is_awaited =
                |post: &Post| matches!(post, Post::Recalled { because: other, .. } if *other == because);
            if due > now || now < due + RECALL_PATIENCE && self.posts.iter().any(is_awaited) {
                continue;
            }
            if let Post::Waiting { holdings, lost, .. } =
                std::mem::replace(&mut self.posts[worker], Post::Running)
            {
                self.launch(worker, *holdings, Some(lost));
            }
        }
    }

    /// Lets a worker go on, if there is anything left of it. `lost` says what a restart has cost.
    fn launch(&mut self, worker: usize, holdings: Holdings, lost: Option<Vec<StateLost>>) {
        if holdings.are_over() {
            self.ward.retire(worker, holdings);
            return self.over(worker);
        }
        self.posts[worker] = Post::Running;
        if let Err((error, holdings)) = self.ward.relaunch(worker, holdings) {
            self.escalate(worker, "failed, and its thread cannot be started", &error.to_string());
            self.board.set_activity(worker, Activity::Failed);
            self.ward.retire(worker, holdings);
            self.posts[worker] = Post::Over;
            return;
        }
        if let Some(lost) = lost {
            self.board.note_restart(worker, &lost);
            self.board.set_activity(worker, Activity::Running);
            self.tell(worker, EventKind::Restarted { lost });
        }
    }

    fn over(&mut self, worker: usize) {
        self.posts[worker] = Post::Over;
        // It may have come back and ended between two looks.
        if let Some(after) = self.stalls[worker].stuck_for(self.board.now()) {
            self.tell(worker, EventKind::Recovered { after });
        }
        if self.board.set_ended(worker) {
            self.tell(worker, EventKind::Ended);
        }
    }

    fn look_for_stalls(&mut self) {
        for worker in 0..self.posts.len() {
            if !matches!(self.posts[worker], Post::Running | Post::Recalled { .. }) {
                continue;
            }
            match self.board.look(worker, &mut self.stalls[worker]) {
                (Some(StallChange::Stalled(since)), Some(stall)) => {
                    let cpu = self.board.cpu(worker);
                    let (stage, place) = (stall.stage.clone(), stall.place.clone());
                    self.tell(worker, EventKind::Stalled { stage, cpu, since, place });
                    if self.workers[worker].stall.escalates {
                        let place = stall.place.unwrap_or_else(|| stall.stage.clone());
                        let message = format!("{place}: not come back for {since:?}");
                        self.escalate(worker, "is stuck", &message);
                    }
                }
                (Some(StallChange::Recovered(after)), _) => self.tell(worker, EventKind::Recovered { after }),
                _ => {}
            }
        }
    }

    /// Until when nothing has to be looked at.
    fn sleep_limit(&self) -> Duration {
        let now = self.now();
        let mut limit = LONG;
        let awaited = self.posts.iter().any(|post| matches!(post, Post::Recalled { .. }));
        for (post, declared) in self.posts.iter().zip(&self.workers) {
            match post {
                Post::Waiting { due, .. } => {
                    let due = if *due > now || !awaited { *due } else { *due + RECALL_PATIENCE };
                    limit = limit.min(due.saturating_sub(now));
                }
                // Often enough to see it before twice the time has passed.
                Post::Running | Post::Recalled { .. } => limit = limit.min(declared.stall.after / 4),
                Post::Over => {}
            }
        }
        limit.max(Duration::from_micros(100))
    }
}
