//! `varpin run`: lines in, results out, on one thread; what contexts there are run on theirs.
//!
//! A block is read, its complete lines are parsed one after the other into one row, and each is fed to the engine,
//! which hands results back on the same call. Whenever input is not there at once everything goes out first: what was
//! fed is published, and results are written. Nothing grows with the length of the input.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use varpin::clock::SystemClock;
use varpin::engine::{BuildError, ConnectError, Engine, EngineError, Program, log_json};
use varpin::event::Row;
use varpin::flow::keep_supervised_panics_quiet;
use varpin::format::{BadInput, EventSource, InputTypes, Position};
use varpin::supervise::Declared;
use varpin::vpl::plan::SupervisionSettings;

use super::args::{RunArgs, ThreadsArg};
use super::checkpoints::{self, InputPlace, Kept, OutputPlace};
use super::control::Control;
use super::dead_letters::DeadLetters;
use super::doctor;
use super::event_lines::EventLines;
use super::exit::Exit;
use super::faults::Faults;
use super::files::Files;
use super::follow::{Follow, News};
use super::listen::Listener;
use super::messages;
use super::output::{Guarded, Output};
use super::pace::Pace;
use super::progress::Progress;
use super::settings::{EventsFrom, RunSettings};
use super::signals::Signals;
use super::summary::Summary;
use super::wait::readable_within;

mod rollback;

/// Events after which the engine publishes what was fed; it also does so before every wait.
const PUBLISH_EVERY: usize = 64;
/// Events after which dead letters are fetched, before there are more than the engine keeps.
const FETCH_LETTERS_EVERY: u32 = 256;
/// The shortest and the longest wait for input while threads may still bring results.
const WAIT_WITH_THREADS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(10)];
/// The wait for input where nothing else can happen; a signal is seen after it at the latest.
const WAIT_ALONE: Duration = Duration::from_millis(100);
/// The same in a live run, where the clock is to be told.
const WAIT_LIVE: Duration = Duration::from_millis(10);
/// The longest sleep until the next event is due.
const PACE_SLEEP: Duration = Duration::from_millis(10);
/// Events of the program's own files that are fed before results are written and signals seen.
const SOURCE_EVENTS: usize = 256;
/// One event in so many is measured where somebody may ask for latencies, and nothing else is said.
const LISTENING_SAMPLE: u32 = 256;
/// How long the first checkpoint may take before events are fed all the same.
const FIRST_CHECKPOINT_WITHIN: Duration = Duration::from_secs(10);
/// How long a run that was told to stop may take for a last checkpoint.
const LAST_CHECKPOINT_WITHIN: Duration = Duration::from_secs(5);
/// How long a run that was told to stop may take for what it has been fed.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// Runs a program over events.
pub(super) fn run(typed: &RunArgs) -> Exit {
    let Some(program) = messages::load(&typed.program, typed.strict) else { return Exit::Refused };
    let settings = match RunSettings::new(typed, program.plan()) {
        Ok(settings) => settings,
        Err(message) => return refuse(message),
    };
    let faults = match Faults::of(&typed.fault) {
        Ok(faults) => faults,
        Err(message) => return refuse(message),
    };
    let files = match Files::open(&settings) {
        Ok(files) => files,
        Err(message) => return refuse(message),
    };
    let listener = match typed.listen.map(Listener::bind).transpose() {
        Ok(listener) => listener,
        Err(message) => return refuse(message),
    };
    let mut builder = Engine::builder(&program)
        .pin(typed.pin)
        .publish_every(PUBLISH_EVERY)
        .low_jitter(typed.low_jitter.value());
    if let Some(order) = typed.order {
        builder = builder.order(order);
    }
    if let Some(capacity) = typed.capacity {
        builder = builder.capacity(capacity.get());
    }
    if let Some(idle) = typed.idle {
        builder = builder.idle(idle);
    }
    if typed.threads == ThreadsArg::Fused {
        builder = builder.fused();
    }
    let of_program = program.plan().engine.latency_sample;
    let by_default = typed.listen.and(Some(LISTENING_SAMPLE)).filter(|_| of_program.is_none());
    if let Some(every) = typed.latency_sample.or(by_default) {
        builder = builder.latency_sample(every);
    }
    if settings.live {
        builder = builder.live(SystemClock::new());
    }
    if settings.skip_bad_input {
        builder = builder.skip_bad_lines();
    }
    if settings.output.is_none() {
        builder = builder.prints_results();
    }
    for (file, what) in settings.files() {
        builder = builder.reserve(file, what);
    }
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return refuse(format_args!("cannot catch signals: {error}")),
    };
    builder = faults.build(builder);
    keep_supervised_panics_quiet();
    let stopped = signals.clone();
    builder = builder.interrupt_when(move || stopped.caught().is_some());
    if files.dead_letters.is_some() {
        builder = builder.keep_dead_letters();
    }
    let lines = EventLines::default();
    if files.supervision.is_some() {
        let lines = lines.clone();
        builder = builder.on_event(move |event| lines.take(event));
    }
    match checkpoints::asked(typed, program.plan(), &settings) {
        Ok(Some(checkpoints)) => builder = builder.checkpoints(checkpoints),
        Ok(None) => {}
        Err(message) => return refuse(message),
    }
    let building = Instant::now();
    let engine = match builder.build() {
        Ok(engine) => engine,
        Err(error @ BuildError::Connector(_)) => {
            messages::error(error);
            return Exit::Failed;
        }
        Err(error) => return refuse(error),
    };
    engine.warnings().iter().for_each(messages::warning);
    if typed.low_jitter.value().realtime.is_some() {
        doctor::warn_of_throttling();
    }
    let built_in = building.elapsed();
    let mut kept = Kept::default();
    if engine.keeps_checkpoints() {
        match Kept::new(&settings, &files, engine.resumed(), built_in) {
            Ok(read) => {
                let declared = program.plan().engine.checkpoint_events.map(|events| events as u64);
                kept = read.asking_for(typed.checkpoint_events.map(NonZeroU64::get).or(declared));
            }
            Err(message) => return refuse(message),
        }
    }
    if let Err(message) = files.begin(&settings, &kept.output()) {
        return refuse(message);
    }
    if let Some(file) = &files.supervision {
        match file.try_clone() {
            Ok(file) => lines.open(file),
            Err(error) => return refuse(format_args!("cannot write events of supervision: {error}")),
        }
    }
    let types = InputTypes::new(program.input_types());
    let mut place = kept.resumed.as_ref().and_then(|(input, _)| input.position());
    let reader = match &settings.events {
        EventsFrom::File(path) if settings.follow => match follow(path, &mut kept) {
            Ok(follow) => Reader::Follow(follow),
            Err(error) => return refuse(format_args!("cannot follow {}: {error}", path.display())),
        },
        _ => Reader::Once(&files.events),
    };
    // It may be another file by now.
    place = place.filter(|place| *place == kept.position);
    let mut source = match EventSource::new(reader, settings.format, types, settings.source.clone()) {
        Ok(source) => source,
        Err(missing) => return refuse(missing),
    };
    if let Some(place) = place.filter(|_| matches!(settings.events, EventsFrom::File(_)))
        && let Err(error) = source.seek(place)
    {
        return refuse(format_args!("cannot go on in {}: {error}", settings.events.name()));
    }
    let control =
        match typed.control.as_deref().map(|path| Control::listen(path, engine.metrics_reader())).transpose()
        {
            Ok(control) => control,
            Err(message) => return refuse(message),
        };
    let run = Run::new(settings, &program, &faults, &files, engine, signals, control, kept);
    if let Some(listener) = listener {
        // Only now, so that nobody is told of a part of the components.
        match listener.serve(run.engine.metrics_reader(), run.engine.board()) {
            Ok(at) => messages::say(format_args!("note: health and metrics at http://{at}/")),
            Err(message) => return refuse(message),
        }
    }
    run.go(source)
}

fn refuse(message: impl std::fmt::Display) -> Exit {
    messages::error(message);
    Exit::Refused
}

/// Follows the file at `path`: that which a checkpoint speaks of, if it is still there.
fn follow(path: &Path, kept: &mut Kept) -> io::Result<Follow> {
    if let Some((input, _)) = &kept.resumed {
        let reopened = match input.followed {
            Some(identity) => Follow::reopen(path, identity, kept.position.offset)?,
            // It was read to its end, and not followed.
            None => Some(Follow::open(path.to_owned())?),
        };
        if let Some(follow) = reopened {
            kept.followed = Some(follow.identity());
            return Ok(follow);
        }
        messages::warning(format_args!(
            "the file that was followed is gone, or was emptied: what it had behind the checkpoint is lost, and {} is \
             read from its start",
            path.display()
        ));
        kept.position = Position::default();
    }
    let follow = Follow::open(path.to_owned())?;
    kept.followed = Some(follow.identity());
    Ok(follow)
}

/// Where lines are read.
enum Reader<'a> {
    /// To the end.
    Once(&'a File),
    /// And on.
    Follow(Follow),
}

/// A run that goes on from a checkpoint begins where that is.
impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Once(file) => file.seek(to),
            Self::Follow(follow) => follow.seek(to),
        }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Once(file) => file.read(buffer),
            Self::Follow(follow) => follow.read(buffer),
        }
    }
}

/// Why reading ended.
enum End {
    /// The input has no more.
    Input,
    /// A signal came.
    Signal(i32),
    /// Nobody reads results any more, or they cannot be written.
    Output,
    /// The engine takes no more: a stage failed.
    Engine(EngineError),
    /// A context has failed, and everything is to be rolled back to the last checkpoint.
    RollBack,
    /// That cannot be done, for this reason.
    Lost(String),
    /// A line is no event, and that is not to be skipped.
    BadInput(BadInput),
    /// The input cannot be read.
    Read(io::Error),
}

impl End {
    /// What an error of the engine amounts to.
    fn of(error: EngineError) -> Self {
        match error {
            EngineError::RollBack(_) => Self::RollBack,
            error => Self::Engine(error),
        }
    }
}

/// A run on its way.
struct Run<'a> {
    settings: RunSettings,
    source_name: String,
    files: &'a Files,
    engine: Engine,
    has_threads: bool,
    signals: Signals,
    output: Output<'a>,
    letters: Rc<RefCell<DeadLetters<'a>>>,
    pace: Option<Pace>,
    fed_since_letters: u32,
    /// Where it stands, and what is wrong with it.
    first_skipped: Option<(String, BadInput)>,
    started: Instant,
    control: Option<Control>,
    kept: Kept,
}

impl<'a> Run<'a> {
    #[expect(clippy::too_many_arguments, reason = "its parts")]
    fn new(
        settings: RunSettings,
        program: &Program,
        faults: &Faults,
        files: &'a Files,
        engine: Engine,
        signals: Signals,
        control: Option<Control>,
        kept: Kept,
    ) -> Self {
        let letters = Rc::new(RefCell::new(DeadLetters::new(files.dead_letters.as_ref())));
        let declared = &program.plan().output;
        let guard = engine.sink_guard("output", &Declared::from(declared));
        // Where nothing is declared a failed write ends the run, and the sink is only shown.
        let guarded = (*declared != SupervisionSettings::default()).then(|| Guarded {
            guard,
            letters: Rc::clone(&letters),
            signals: signals.clone(),
        });
        Self {
            control,
            kept,
            source_name: settings.events.name(),
            files,
            has_threads: !engine.is_inline(),
            signals,
            output: Output::new(&files.output, engine.json_lines(), faults.of_sink(), guarded),
            letters,
            pace: settings.realtime.then(Pace::default),
            fed_since_letters: 0,
            first_skipped: None,
            started: Instant::now(),
            engine,
            settings,
        }
    }

    /// Everything from the first line to the exit code.
    fn go(mut self, mut source: EventSource<Reader<'a>>) -> Exit {
        let (end, finished) = self.read_and_finish(&mut source);
        if let Err(EngineError::Connector(ConnectError::BadLine(bad))) = &finished {
            self.letters.borrow_mut().bad_input(&bad.place, &bad.line);
        }
        self.kept.finish();
        let Self { settings, source_name, files, engine, output, letters, first_skipped, started, .. } = self;
        let mut exit = match end {
            End::Signal(signal) => Exit::Signal(signal),
            _ => Exit::Done,
        };
        let mut fail = |how: Exit, message: &dyn std::fmt::Display| {
            messages::error(message);
            // What a context failed with says more than what came of it.
            if exit == Exit::Done || how == Exit::Escalated {
                exit = how;
            }
        };
        let (rejected, written) = output.finish();
        if let Err(error) = written {
            fail(Exit::Failed, &format_args!("cannot write results: {error}"));
        }
        let mut letters = letters.borrow_mut();
        if let Err(error) = letters.finish() {
            fail(Exit::Failed, &format_args!("cannot write dead letters: {error}"));
        }
        match end {
            End::BadInput(bad) => fail(Exit::Failed, &messages::bad_input(&source_name, &bad)),
            End::Read(error) => fail(Exit::Failed, &format_args!("cannot read {source_name}: {error}")),
            End::Engine(ref error) if finished.is_ok() => fail(Exit::from(error), error),
            End::Lost(message) => fail(Exit::Failed, &message),
            End::Input | End::Signal(_) | End::Output | End::Engine(_) | End::RollBack => {}
        }
        match finished {
            Ok(()) => {}
            Err(EngineError::Connector(ConnectError::BadLine(bad))) => {
                fail(Exit::Failed, &messages::bad_input(&bad.place, &bad.line));
            }
            Err(error) => fail(Exit::from(&error), &error),
        }
        let metrics = engine.metrics_reader().read();
        let stats = engine.stats();
        let mut summary = Summary::new(stats, metrics, letters.bad_lines(), rejected, started.elapsed());
        if settings.stats || settings.stats_json.is_some() {
            summary.examine_cpus();
        }
        if let Some(mut file) = files.stats_json.as_ref()
            && let Err(error) = file.write_all(summary.to_json().as_bytes())
        {
            fail(Exit::Failed, &format_args!("cannot write statistics: {error}"));
        }
        if let Some((place, first)) = first_skipped {
            messages::warning(format_args!(
                "{} lines that are no events were skipped, the first: {}",
                letters.bad_lines(),
                messages::bad_input(&place, &first)
            ));
        }
        summary.warn(&letters);
        if settings.stats {
            messages::say(summary.to_text().trim_end());
        }
        exit
    }

    /// Ends the run: hands over all results that are left, and waits for the threads.
    fn finish(&mut self, end: &End) -> Result<(), EngineError> {
        let deadline = match end {
            End::Signal(_) => DRAIN_WITHIN,
            _ => Duration::MAX,
        };
        match end {
            End::Input => {}
            // What was read is not read again: it is kept, if it can be.
            End::Signal(_) => {
                self.last_checkpoint();
                self.engine.withhold_uncommitted();
            }
            _ => self.engine.withhold_uncommitted(),
        }
        let output = &mut self.output;
        let finished = self.engine.finish_within(deadline, |result| output.take(&result)).map(drop);
        self.fetch_letters();
        finished
    }

    /// Reads and feeds until there is a reason to stop.
    fn read(&mut self, source: &mut EventSource<Reader<'a>>) -> End {
        let files = self.files;
        let known_end = files.events_bytes.filter(|_| !self.settings.follow);
        let progress = Progress::new(known_end, self.settings.output.is_none());
        let mut row = Row::new(InputTypes::UNKNOWN, 0, 0);
        self.kept.begin(source.position());
        self.first_checkpoint(source);
        // Live nobody waits for another: what is in files already comes first.
        if self.settings.live
            && let Some(end) = self.feed_sources(source)
        {
            return end;
        }
        let end = loop {
            let waited = match source.input_mut() {
                Reader::Once(_) => self.wait_for_input(&files.events),
                Reader::Follow(_) => self.wait_for_growth(source, &mut row),
            };
            if let Some(end) = waited {
                break end;
            }
            match source.fill() {
                Ok(0) if self.settings.follow => continue,
                Ok(0) => {
                    let last = self.feed_all(source, EventSource::finish, &mut row);
                    break last.or_else(|| self.feed_sources(source)).unwrap_or(End::Input);
                }
                Ok(_) => {}
                Err(error) => break End::Read(error),
            }
            if let Some(end) = self.feed_all(source, EventSource::next, &mut row) {
                break end;
            }
            self.poll();
            self.output.write_if_late();
            progress.at(source.offset());
        };
        progress.end();
        end
    }

    /// Feeds all that is left of the files that the program itself reads; the reason to stop, if there is one.
    fn feed_sources(&mut self, source: &EventSource<Reader<'a>>) -> Option<End> {
        loop {
            if let Some(end) = self.reason_to_stop() {
                return Some(end);
            }
            if self.pace.is_some() {
                // At the distances of their times; what is left then is nothing.
                if let Some(end) = self.wait_for_turn(i64::MAX) {
                    return Some(end);
                }
            }
            let output = &mut self.output;
            match self.engine.feed_sources(SOURCE_EVENTS, |result| output.take(&result)) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(EngineError::AtCheckpoint) => self.cut(),
                Err(error) => return Some(End::of(error)),
            }
            if self.kept.any {
                self.checkpoint_if_due(source);
            }
            self.poll();
            self.output.write_if_late();
            self.fetch_letters();
        }
    }

    /// Waits until a file that is followed has more, and lets results out meanwhile. Where another file begins, the
    /// last line of the old one is fed as it is. The reason to stop, if there is one.
    fn wait_for_growth(&mut self, source: &mut EventSource<Reader<'a>>, row: &mut Row) -> Option<End> {
        loop {
            if let Some(end) = self.reason_to_stop() {
                return Some(end);
            }
            let Reader::Follow(follow) = source.input_mut() else { return None };
            let what = match follow.look() {
                Ok(News::More) => return None,
                Ok(News::Nothing) => {
                    self.settle();
                    varpin::sync::sleep(WAIT_LIVE);
                    continue;
                }
                Ok(News::Emptied) => "was emptied",
                Ok(News::Replaced) => "was replaced",
                Err(error) => return Some(End::Read(error)),
            };
            if let Some(end) = self.feed_all(source, EventSource::finish, row) {
                return Some(end);
            }
            source.start_over();
            if let Reader::Follow(follow) = source.input_mut() {
                self.kept.followed = Some(follow.identity());
            }
            self.kept.position = source.position();
            messages::say(format_args!("note: {} {what}; it is read from its start", self.source_name));
        }
    }

    /// Feeds what `next` gives until it has no more for now; the reason to stop, if there is one.
    fn feed_all(
        &mut self,
        source: &mut EventSource<Reader<'a>>,
        next: fn(&mut EventSource<Reader<'a>>, &mut Row) -> Result<Option<()>, BadInput>,
        row: &mut Row,
    ) -> Option<End> {
        loop {
            match next(source, row) {
                Ok(Some(())) => {}
                Ok(None) => return self.reason_to_stop(),
                Err(bad) if self.settings.skip_bad_input => {
                    self.letters.borrow_mut().bad_input(&self.source_name, &bad);
                    self.first_skipped.get_or_insert_with(|| (self.source_name.clone(), bad));
                    continue;
                }
                Err(bad) => {
                    self.letters.borrow_mut().bad_input(&self.source_name, &bad);
                    return Some(End::BadInput(bad));
                }
            }
            if self.pace.is_some()
                && let Some(end) = self.wait_for_turn(row.time_ns())
            {
                return Some(end);
            }
            let fed = loop {
                let output = &mut self.output;
                match self.engine.feed_row(row, |result| output.take(&result)) {
                    Err(EngineError::AtCheckpoint) => self.cut(),
                    // This event is not lost, at least.
                    Err(EngineError::RollBack(_)) if !self.kept.can_seek => {
                        if let Err(end) = self.roll_back(source) {
                            return Some(end);
                        }
                    }
                    fed => break fed,
                }
            };
            match fed {
                Ok(()) => {}
                // It waited for room when a signal came.
                Err(EngineError::Interrupted) => return self.reason_to_stop(),
                Err(error) => return Some(End::of(error)),
            }
            if self.kept.any {
                self.checkpoint_if_due(source);
            }
            self.fed_since_letters += 1;
            if self.fed_since_letters == FETCH_LETTERS_EVERY {
                self.fetch_letters();
                if self.output.has_failed() {
                    return Some(End::Output);
                }
            }
        }
    }

    /// Waits until reading would not block, and lets results out meanwhile. The reason to stop, if there is one.
    fn wait_for_input(&mut self, events: &File) -> Option<End> {
        if self.files.events_bytes.is_some() {
            // A regular file is always there.
            return self.reason_to_stop();
        }
        let mut wait = Duration::ZERO;
        loop {
            if let Some(end) = self.reason_to_stop() {
                return Some(end);
            }
            match readable_within(events.as_fd(), wait) {
                Ok(true) => return None,
                Ok(false) => {}
                Err(error) => return Some(End::Read(error)),
            }
            let came = self.settle();
            let [shortest, longest] = WAIT_WITH_THREADS;
            wait = match (self.has_threads, came) {
                (false, _) if self.settings.live => WAIT_LIVE,
                (false, _) => WAIT_ALONE,
                (true, true) => shortest,
                (true, false) => (wait * 2).clamp(shortest, longest),
            };
        }
    }

    /// Waits until an event at `time_ns` is due, after those of the program's own files that are earlier, each when it
    /// is due itself; at `i64::MAX` there is none but those. The reason to stop, if there is one.
    fn wait_for_turn(&mut self, time_ns: i64) -> Option<End> {
        loop {
            let next_ns = match self.engine.next_source_ns() {
                Ok(Some(next_ns)) if next_ns < time_ns => next_ns,
                Ok(_) if time_ns == i64::MAX => return None,
                Ok(_) => return self.wait_until_due(time_ns),
                Err(error) => return Some(End::of(error)),
            };
            if let Some(end) = self.wait_until_due(next_ns) {
                return Some(end);
            }
            let output = &mut self.output;
            match self.engine.feed_sources(1, |result| output.take(&result)) {
                Err(EngineError::AtCheckpoint) => self.cut(),
                Err(error) => return Some(End::of(error)),
                Ok(_) => {}
            }
        }
    }

    /// Waits until an event at `time_ns` is due, and lets results out meanwhile. The reason to stop, if there is one.
    fn wait_until_due(&mut self, time_ns: i64) -> Option<End> {
        loop {
            let left = self.pace.as_mut().and_then(|pace| pace.wait_for(time_ns, Instant::now()))?;
            if let Some(end) = self.reason_to_stop() {
                return Some(end);
            }
            let [shortest, _] = WAIT_WITH_THREADS;
            let longest = if self.settle() { shortest } else { PACE_SLEEP };
            varpin::sync::sleep(left.min(longest));
        }
    }

    fn reason_to_stop(&self) -> Option<End> {
        self.asked_to_stop().or_else(|| self.engine.needs_roll_back().then_some(End::RollBack))
    }

    fn asked_to_stop(&self) -> Option<End> {
        if let Some(signal) = self.signals.caught() {
            return Some(End::Signal(signal));
        }
        self.output.has_failed().then_some(End::Output)
    }

    /// Publishes what was fed and takes the results that are there; whether there were any.
    fn poll(&mut self) -> bool {
        let output = &mut self.output;
        let came = self.engine.poll(|result| output.take(&result)) > 0;
        if self.kept.is_awaited && self.engine.at_checkpoint() {
            self.cut();
        }
        came
    }

    fn input_place(&mut self) -> InputPlace {
        self.kept.bad_lines = self.letters.borrow().bad_lines();
        InputPlace::of(&self.source_name, &self.kept)
    }

    /// A run that begins anew makes a checkpoint before its first event: one that is killed before its next has not
    /// added anything to files that are added to.
    fn first_checkpoint(&mut self, source: &EventSource<Reader<'a>>) {
        if !self.kept.any || self.kept.resumed.is_some() {
            return;
        }
        self.kept.position = source.position();
        let place = self.input_place();
        self.kept.is_awaited = self.engine.checkpoint(&place.bytes());
        let started = Instant::now();
        while started.elapsed() < FIRST_CHECKPOINT_WITHIN && self.reason_to_stop().is_none() {
            self.poll();
            let news = self.engine.take_checkpoint_news();
            if !news.is_empty() {
                return self.kept.tell(news);
            }
            varpin::sync::sleep(Duration::from_millis(1));
        }
    }

    /// A run that was asked to stop is gone on with behind the last event that it has read.
    fn last_checkpoint(&mut self) {
        if !self.kept.any {
            return;
        }
        let place = self.input_place();
        let started = Instant::now();
        let mut has_begun = false;
        let goes_on = |run: &Self| !run.output.has_failed() && !run.engine.needs_roll_back();
        while started.elapsed() < LAST_CHECKPOINT_WITHIN && goes_on(self) {
            // One that is under way has to be over first.
            if !has_begun && !self.kept.is_awaited && self.engine.checkpoint(&place.bytes()) {
                (has_begun, self.kept.is_awaited) = (true, true);
                self.kept.tell(self.engine.take_checkpoint_news());
            }
            self.poll();
            if has_begun && !self.kept.is_awaited {
                let news = self.engine.take_checkpoint_news();
                if !news.is_empty() {
                    self.kept.tell(news);
                    self.poll();
                    return;
                }
            }
            varpin::sync::sleep(Duration::from_millis(1));
        }
    }

    /// Begins a checkpoint behind the event that was fed last, if one is due; what the engine does at once is done.
    #[inline]
    fn checkpoint_if_due(&mut self, source: &EventSource<Reader<'a>>) {
        self.kept.position = source.position();
        self.kept.events_to_look -= 1;
        if self.kept.events_to_look == 0 || self.kept.is_awaited {
            self.kept.events_to_look = self.kept.look_every;
            self.checkpoint_here();
        }
    }

    #[inline]
    fn checkpoint_here(&mut self) {
        // Asked for each event, and nearly always not.
        let is_due = self.engine.checkpoint_due();
        if is_due || self.kept.is_awaited {
            self.move_checkpoint(is_due);
        }
    }

    #[cold]
    fn move_checkpoint(&mut self, is_due: bool) {
        if is_due {
            let place = self.input_place();
            self.kept.is_awaited = self.engine.checkpoint(&place.bytes());
        }
        if self.kept.is_awaited && self.engine.at_checkpoint() {
            self.cut();
        }
    }

    /// All results in front of a checkpoint have come: writes them, and says how long the files are. The file is synced
    /// by the thread that writes checkpoints. Where results cannot be written the run ends, and the checkpoint is not.
    #[cold]
    fn cut(&mut self) {
        self.kept.is_awaited = false;
        self.output.write();
        self.fetch_letters();
        self.letters.borrow_mut().flush();
        let files = self.files;
        let place = OutputPlace::of(files, &self.settings);
        let synced =
            [Some(&files.output).filter(|_| self.settings.output.is_some()), files.dead_letters.as_ref()];
        let synced: io::Result<Vec<File>> = synced.into_iter().flatten().map(File::try_clone).collect();
        let is_written = !self.output.has_failed();
        match (place, synced) {
            (Ok(place), Ok(synced)) => self.engine.cut_after(&place.bytes(), move || {
                if !is_written {
                    return Err(io::Error::other("results could not be written"));
                }
                // Pipes and devices cannot be synced, and need not be.
                let regular = |file: &&File| file.metadata().is_ok_and(|metadata| metadata.is_file());
                synced.iter().filter(regular).try_for_each(File::sync_data)
            }),
            (Err(error), _) | (_, Err(error)) => self.engine.cut_after(&[], move || Err(error)),
        }
    }

    /// Lets everything out; whether results came.
    fn settle(&mut self) -> bool {
        if self.kept.any {
            self.checkpoint_here();
        }
        let came = self.poll();
        self.output.write();
        self.fetch_letters();
        self.letters.borrow_mut().flush();
        came
    }

    fn fetch_letters(&mut self) {
        self.fed_since_letters = 0;
        if self.kept.any {
            self.kept.tell(self.engine.take_checkpoint_news());
        }
        if let Some(control) = &self.control {
            control.obey(&mut self.engine);
        }
        let letters = self.engine.take_dead_letters();
        self.letters.borrow_mut().failed(letters);
        for row in self.engine.take_unwritten_rows() {
            self.letters.borrow_mut().result(&row.sink, row.line.as_bytes(), &row.error, row.attempts);
        }
        self.engine.take_log_lines().iter().for_each(|line| messages::say(log_json(line)));
        for bad in self.engine.take_bad_lines() {
            self.letters.borrow_mut().bad_input(&bad.place, &bad.line);
            self.first_skipped.get_or_insert((bad.place, bad.line));
        }
    }
}
