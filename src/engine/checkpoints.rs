//! Checkpoints as an embedder asks for them, and the parts that the ends of an engine have in them.
//!
//! The input begins one: it sends a barrier behind the last event. Each stage, when the barrier has come over all of
//! its rings, begins to write its state down and passes the barrier on; the output comes last. Whoever has written his
//! share hands it to the writer's thread; when those of all who take part are there the checkpoint is written. One is
//! under way at a time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::checkpoint::{KEPT, KillAt, Section};
use crate::context::{SLICE_BYTES, Saver, SnapshotSink};
use crate::event::Snapshot;
use crate::operators::StreamStats;
use crate::ring::{Receiver, Sender};
use crate::sync::Arc;
use crate::vpl::plan::EngineSettings;

use super::writer::{Before, Hub, Share};

/// Events between two looks at the clock.
const LOOK_EVERY: u32 = 64;
/// The time from one checkpoint to the next, where nothing else is asked for.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where an engine keeps checkpoints, and how often it makes one.
///
/// ```
/// use varpin::engine::{Checkpoints, Engine, Program};
/// let directory = std::env::temp_dir().join(format!("varpin-checkpoints-{}", std::process::id()));
/// let program = Program::parse("stream Pairs = A.window(2).aggregate(sum: sum(v))")?;
/// let checkpoints = Checkpoints::in_directory(&directory).every_events(1);
///
/// let mut engine = Engine::builder(&program).checkpoints(checkpoints.clone()).build()?;
/// let a = engine.event_type("A")?;
/// let event = |v: i64| {
///     let mut event = a.event(0);
///     event.set(&a.field("v")?, v).map(|()| event)
/// };
/// engine.feed(event(1)?, |_| unreachable!("the window is half full"))?;
/// engine.poll(|_| {});
/// drop(engine); // as if the process had been killed
///
/// let mut engine = Engine::builder(&program).checkpoints(checkpoints).build()?;
/// let resumed = engine.resumed().expect("there is a checkpoint");
/// assert_eq!(resumed.events, 1); // go on with the second event
/// let mut results = Vec::new();
/// engine.feed(event(2)?, |result| results.push(result.to_json()))?;
/// assert_eq!(results, [r#"{"stream":"Pairs","ts":"1970-01-01T00:00:00.000Z","data":{"sum":3}}"#]);
/// # drop(engine);
/// # std::fs::remove_dir_all(directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoints {
    pub(super) directory: PathBuf,
    every_events: Option<u64>,
    interval: Option<Duration>,
    pub(super) kept: usize,
    pub(super) allows_changed: bool,
    by_hand: bool,
    /// Results are handed over when their checkpoint is complete.
    pub(super) commits: bool,
    slice_bytes: usize,
    pub(super) kill_at: Option<KillAt>,
}

impl Checkpoints {
    /// Checkpoints in `directory`, which is made if it is not there: one every second, the last three are kept.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            every_events: None,
            interval: None,
            kept: KEPT,
            allows_changed: false,
            by_hand: false,
            commits: false,
            slice_bytes: SLICE_BYTES,
            kill_at: None,
        }
    }

    /// One after so many events; and after some time only if [`interval`](Self::interval) is asked for as well.
    #[must_use]
    pub fn every_events(mut self, events: u64) -> Self {
        self.every_events = Some(events.max(1));
        self
    }

    /// One after this time, if an event has come meanwhile.
    #[must_use]
    pub fn interval(mut self, time: Duration) -> Self {
        self.interval = Some(time);
        self
    }

    /// How many are kept; at least one.
    #[must_use]
    pub fn keep(mut self, checkpoints: usize) -> Self {
        self.kept = checkpoints.max(1);
        self
    }

    /// Goes on behind a checkpoint of another program: streams that are the same keep their state, the others begin
    /// anew. Default: it is refused, with the streams that have changed.
    #[must_use]
    pub fn allow_changed(mut self) -> Self {
        self.allows_changed = true;
        self
    }

    /// The embedder says when: [`Engine::checkpoint`](super::Engine::checkpoint) begins one and says where the input
    /// is, and [`Engine::cut`](super::Engine::cut) says where the sink is, once all results before the barrier have
    /// been handed over. No result behind a barrier is handed over before that.
    #[must_use]
    pub fn by_hand(mut self) -> Self {
        self.by_hand = true;
        self
    }

    /// A result is handed over when the checkpoint behind it is complete, and not before: so nobody is ever given one
    /// that a restart would make anew. Those in front of the checkpoint are part of it; a run that goes on from it
    /// begins with handing them over, so a sink may get them twice, and always as the same ([`Record::id`]). At the
    /// end of a run that has ended well the rest is handed over.
    ///
    /// With many results waiting a checkpoint is made before it is due. If none can be written, and a million wait, the
    /// run fails.
    ///
    /// [`Record::id`]: super::Record::id
    ///
    /// ```
    /// use varpin::engine::{Checkpoints, Engine, Program};
    /// let directory = std::env::temp_dir().join(format!("varpin-commits-{}", std::process::id()));
    /// let program = Program::parse("stream All = A.emit(v: v)")?;
    /// let checkpoints = Checkpoints::in_directory(&directory).every_events(100).commit_on_checkpoint();
    ///
    /// let mut engine = Engine::builder(&program).checkpoints(checkpoints).build()?;
    /// let a = engine.event_type("A")?;
    /// engine.feed(a.event(0), |_| unreachable!("no checkpoint has it"))?;
    /// let mut results = 0;
    /// engine.finish(|_| results += 1)?;
    /// assert_eq!(results, 1);
    /// # drop(engine);
    /// # std::fs::remove_dir_all(directory)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn commit_on_checkpoint(mut self) -> Self {
        self.commits = true;
        self
    }

    /// How many bytes of state are written between two things that a stage does. For tests, which make it small so
    /// that much happens between.
    #[doc(hidden)]
    #[must_use]
    pub fn slice_bytes(mut self, bytes: usize) -> Self {
        self.slice_bytes = bytes;
        self
    }

    /// How often the program says, where the caller says nothing.
    pub(super) fn declared(&mut self, settings: &EngineSettings) {
        self.commits |= settings.commits_on_checkpoint;
        if self.every_events.is_none() && self.interval.is_none() {
            self.every_events = settings.checkpoint_events.map(|events| events as u64);
            let interval = settings.checkpoint_interval_ns;
            self.interval = interval.map(|ns| Duration::from_nanos(ns.unsigned_abs()));
        }
    }

    /// For drills: the process is killed there.
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn kill_at(mut self, kill_at: KillAt) -> Self {
        self.kill_at = Some(kill_at);
        self
    }
}

/// The checkpoint that an engine has gone on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumed {
    /// Its number.
    pub checkpoint: u64,
    /// When it was made, in nanoseconds since the epoch.
    pub created_ns: i64,
    /// Events that had come in: the next to feed is the one behind them.
    pub events: u64,
    /// The last sequence number: results with this one or a smaller one are before the checkpoint.
    pub seq: u64,
    /// Results that had been handed over.
    pub results: u64,
    /// What [`Engine::checkpoint`](super::Engine::checkpoint) was told of the input.
    pub input: Vec<u8>,
    /// What [`Engine::cut`](super::Engine::cut) was told of the sink.
    pub output: Vec<u8>,
    /// Newer checkpoints that were passed over because they are damaged: each file, and what is wrong with it.
    pub passed_over: Vec<String>,
    /// What of the program has changed since, where that is allowed: its streams begin anew.
    pub changed: Vec<String>,
    /// Results of streams that have changed since, which had waited for this checkpoint
    /// ([`Checkpoints::commit_on_checkpoint`]) and cannot be handed over any more.
    pub lost: usize,
}

/// What became of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointNews {
    /// It is on disk.
    Written {
        /// Its number.
        checkpoint: u64,
        /// Its size in bytes.
        bytes: u64,
        /// How long writing has taken, in nanoseconds.
        took_ns: u64,
    },
    /// It could not be written; the ones before are still there.
    Failed {
        /// Why.
        message: String,
    },
}

/// The line from one who takes part to the writer, and back.
pub(super) struct Line {
    shares: Sender<Share>,
    /// Chunks that were written.
    used: Receiver<Vec<Vec<u8>>>,
}

impl Line {
    pub(super) fn new(shares: Sender<Share>, used: Receiver<Vec<Vec<u8>>>) -> Self {
        Self { shares, used }
    }

    fn chunks(&mut self) -> Vec<Vec<u8>> {
        self.used.pop().unwrap_or_default()
    }

    /// One that is empty.
    fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.chunks().pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// One checkpoint is under way at a time, so there is room; if there were none, the writer would miss the share
    /// and give the checkpoint up.
    fn send(&mut self, share: Share) {
        let sent = self.shares.push(share);
        debug_assert!(sent.is_ok(), "a ring has room for two shares, and one is under way");
    }
}

/// The part of a stage.
pub(super) struct StagePart {
    hub: Arc<Hub>,
    line: Line,
    name: String,
    slice_bytes: usize,
    rests: bool,
}

impl StagePart {
    pub(super) fn new(settings: &Checkpoints, hub: &Arc<Hub>, stage: &str) -> Self {
        let name = section_of(stage);
        let line = hub.line(Some(name.clone()));
        Self { hub: Arc::clone(hub), line, name, slice_bytes: settings.slice_bytes, rests: true }
    }

    /// Its thread may be one that sleeps until it is woken.
    pub(super) fn may_park(mut self, may_park: bool) -> Self {
        self.rests = !may_park;
        self
    }
}

impl SnapshotSink for StagePart {
    fn chunks(&mut self) -> Vec<Vec<u8>> {
        self.line.chunks()
    }

    fn slice_bytes(&self) -> usize {
        self.slice_bytes
    }

    fn rests(&self) -> bool {
        self.rests
    }

    fn hand_over(&mut self, checkpoint: u64, state: Vec<Vec<u8>>, holds: Vec<(String, StreamStats)>) {
        let holding = |(stream, stats): (String, StreamStats)| crate::checkpoint::Holding {
            stream,
            keys: stats.keys as u64,
            items: (stats.window_rows + stats.distinct_values) as u64,
        };
        let holdings = holds.into_iter().map(holding).collect();
        let section = Section { name: self.name.clone(), holdings, bytes: Vec::new(), further: state };
        self.line.send(Share { checkpoint, section, ..Share::default() });
    }

    fn ended(&mut self) {
        self.hub.ended(&self.name);
    }
}

/// The part of the stage in which several inputs meet: what stands behind all of them.
pub(super) struct MeetingPart {
    hub: Arc<Hub>,
    line: Line,
}

impl MeetingPart {
    pub(super) fn new(hub: &Arc<Hub>) -> Self {
        Self { hub: Arc::clone(hub), line: hub.line(Some(MEETING.to_owned())) }
    }

    /// Every input has come to the barrier.
    pub(super) fn hand_over(
        &mut self,
        checkpoint: u64,
        events: u64,
        seq: u64,
        save: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut bytes = self.line.buffer();
        save(&mut bytes);
        let section = Section { name: MEETING.to_owned(), bytes, ..Section::default() };
        self.line.send(Share { checkpoint, section, events, seq, ..Share::default() });
    }

    /// All inputs have ended, and everything has been sent.
    pub(super) fn ended(&mut self) {
        self.hub.ended(MEETING);
    }
}

/// The part of an input: when one is due, to begin it, and to join one that another input has begun.
pub(super) struct InputPart {
    hub: Arc<Hub>,
    line: Line,
    /// The name of its section.
    name: String,
    /// There are other inputs.
    has_others: bool,
    /// The last that it has begun or joined.
    joined: u64,
    /// What the embedder said last of where it is.
    position: Vec<u8>,
    every_events: Option<u64>,
    interval: Option<Duration>,
    by_hand: bool,
    since: Instant,
    events_then: u64,
    /// Events when it was asked last.
    asked_at: u64,
    countdown: u32,
}

impl InputPart {
    /// Of the `number`th of so many `inputs`, which has seen so many events.
    pub(super) fn new(
        settings: &Checkpoints,
        hub: &Arc<Hub>,
        (number, inputs): (usize, usize),
        events: u64,
    ) -> Self {
        let name = input_section(number);
        hub.add_input(&name);
        let interval = match (settings.every_events, settings.interval) {
            (None, None) => Some(INTERVAL),
            (_, interval) => interval,
        };
        Self {
            line: hub.line(None),
            hub: Arc::clone(hub),
            name,
            has_others: inputs > 1,
            joined: 0,
            position: Vec::new(),
            every_events: settings.every_events,
            interval,
            by_hand: settings.by_hand,
            since: Instant::now(),
            events_then: events,
            asked_at: events,
            countdown: LOOK_EVERY,
        }
    }

    /// Whether one is due behind so many events, and can begin.
    #[inline]
    pub(super) fn is_due(&mut self, events: u64) -> bool {
        // Where no event has come since, there is time for a look.
        self.countdown = if events == self.asked_at { 0 } else { self.countdown - 1 };
        self.asked_at = events;
        let by_events = self.every_events.is_some_and(|every| events - self.events_then >= every);
        if !by_events && self.countdown > 0 {
            return false;
        }
        self.look(by_events, events)
    }

    #[cold]
    fn look(&mut self, by_events: bool, events: u64) -> bool {
        self.countdown = LOOK_EVERY;
        if self.is_awaited() {
            return true;
        }
        let by_time = || self.interval.is_some_and(|interval| self.since.elapsed() >= interval);
        let is_due = by_events || self.hub.is_asked() || by_time();
        events > self.events_then && is_due && self.hub.can_begin()
    }

    /// The same, for one who does not count events himself and is asked for nothing by hand.
    #[inline]
    pub(super) fn is_due_by_itself(&mut self, events: u64) -> bool {
        !self.by_hand && self.is_due(events)
    }

    /// Whether the embedder says when, and where the input is then.
    pub(super) fn is_by_hand(&self) -> bool {
        self.by_hand
    }

    /// Whether another input has begun one, which waits for this one to join.
    pub(super) fn is_awaited(&self) -> bool {
        self.has_others && self.hub.last_begun() > self.joined
    }

    /// It is closed: from now on every checkpoint has what `save` writes down.
    pub(super) fn close(&mut self, save: impl FnOnce(&mut Vec<u8>)) {
        if self.has_others {
            let mut bytes = Vec::new();
            self.position.write(&mut bytes);
            save(&mut bytes);
            self.hub.close_input(Section { name: self.name.clone(), bytes, ..Section::default() });
        }
    }

    /// Begins one behind everything that has come in, or joins one that another input has begun: behind so many events
    /// of its own, and of all. `save` writes down what the input knows. Gives back its number,
    /// for the barrier; none if another one is under way.
    pub(super) fn begin(
        &mut self,
        (own_events, events): (u64, u64),
        seq: u64,
        position: &[u8],
        save: impl FnOnce(&mut Vec<u8>),
    ) -> Option<u64> {
        let checkpoint = if self.is_awaited() { self.hub.last_begun() } else { self.hub.begin()? };
        self.joined = checkpoint;
        (self.since, self.events_then) = (Instant::now(), own_events);
        self.position = position.to_vec();
        let mut bytes = self.line.buffer();
        self.position.write(&mut bytes);
        save(&mut bytes);
        let section = Section { name: self.name.clone(), bytes, ..Section::default() };
        self.line.send(Share { checkpoint, section, events, seq, ..Share::default() });
        Some(checkpoint)
    }
}

/// The names of sections that are of no stage. No stage has them, because a stage's begins with `stage `.
pub(super) const INPUT: &str = "input";
pub(super) const OUTPUT: &str = "output";
pub(super) const MEETING: &str = "meeting of inputs";

/// The name of the section of an input.
pub(super) fn input_section(number: usize) -> String {
    if number == 0 { INPUT.to_owned() } else { format!("{INPUT} {number}") }
}

/// The name of a stage's section.
pub(super) fn section_of(stage: &str) -> String {
    format!("stage {stage}")
}

/// The part of the output.
pub(super) struct OutputPart {
    line: Line,
    pub(super) by_hand: bool,
    /// Nothing more is written: barriers are passed, and that is all.
    pub(super) is_closed: bool,
}

impl OutputPart {
    pub(super) fn new(settings: &Checkpoints, hub: &Arc<Hub>) -> Self {
        Self { line: hub.line(None), by_hand: settings.by_hand, is_closed: false }
    }

    /// All results in front of the barrier have been handed over. `save` writes down what else the output knows.
    pub(super) fn complete(
        &mut self,
        checkpoint: u64,
        results: u64,
        position: &[u8],
        mut before: Vec<Before>,
        save: impl FnOnce(&mut Vec<u8>, &mut Vec<Before>),
    ) {
        let mut bytes = self.line.buffer();
        position.to_vec().write(&mut bytes);
        results.write(&mut bytes);
        save(&mut bytes, &mut before);
        let section = Section { name: OUTPUT.to_owned(), bytes, ..Section::default() };
        self.line.send(Share { checkpoint, section, before, ..Share::default() });
    }
}

/// The parts of a program that runs on the caller's thread.
pub(super) struct InlineParts {
    pub(super) input: InputPart,
    pub(super) output: OutputPart,
    pub(super) stage: Saver,
    /// Begun; where the sink is has not been said yet.
    pub(super) under_way: Option<u64>,
}

impl InlineParts {
    pub(super) fn new(settings: &Checkpoints, hub: &Arc<Hub>, events: u64) -> Self {
        Self {
            input: InputPart::new(settings, hub, (0, 1), events),
            output: OutputPart::new(settings, hub),
            stage: Saver::new(Box::new(StagePart::new(settings, hub, "main"))),
            under_way: None,
        }
    }
}
