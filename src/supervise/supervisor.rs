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
//! All decisions are made elsewhere, by pure functions; here is only what comes of them.

use std::time::{Duration, Instant};

use super::board::{Activity, Board, Escalation};
use super::declared::Supervised;
use super::event::{Component, EventKind, Events};
use super::restart::{Decision, Ending, Restart, Restarts};
use super::stall::{StallChange, StallWatch};
use super::strategy::{Strategy, reachable, restarting};
use crate::cores::PinOutcome;
use crate::flow::{Holdings, Returned, StateLost, Ward, WhyReturned};
use crate::sync::Arc;

/// How long those that are in hand wait for one that was recalled and does not come.
const RECALL_PATIENCE: Duration = Duration::from_secs(1);
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
}

impl Shift {
    fn new(supervisor: Supervisor, ward: Ward) -> Self {
        let Supervisor { groups, strategy, feeds, seed, events, board } = supervisor;
        events.set_deliverer(ward.waker());
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
            started: Instant::now(),
        };
        shift.grow();
        shift
    }

    /// Takes up the workers that the ward has and this does not know yet.
    fn grow(&mut self) {
        for worker in self.posts.len()..self.ward.workers() {
            let declared = self.ward.group(worker).and_then(|group| self.groups.get(group));
            let declared = declared.cloned().unwrap_or_default();
            // Workers that fail together are not started again at the same moment.
            let seed = self.seed.wrapping_add(worker as u64);
            self.restarts.push(Restarts::new(declared.restart.clone(), seed));
            self.workers.push(declared);
            self.posts.push(Post::Running);
            self.stalls.push(StallWatch::default());
            let cpu = match self.ward.pin(worker) {
                PinOutcome::Pinned(cpu) => Some(cpu),
                _ => None,
            };
            self.tell(worker, EventKind::Started { cpu });
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
                if on_thread && self.ward.is_finished(worker) {
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
            if let Post::Waiting { holdings, .. } = std::mem::replace(&mut self.posts[worker], Post::Over) {
                self.ward.retire(worker, *holdings);
            }
        }
        self.events.deliver();
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

    fn failed(&mut self, worker: usize, holdings: Holdings, stage: usize, message: &str) {
        let place = holdings.place(stage);
        let said = place.as_ref().map_or_else(|| message.to_owned(), |place| format!("{place}: {message}"));
        self.board.note_failure(worker, &said);
        let name = holdings.stage_name(stage).to_owned();
        self.tell(worker, EventKind::Failed { stage: name, place, message: message.to_owned() });
        let now = self.now();
        match self.restarts[worker].ended(now, Ending::Failed) {
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
