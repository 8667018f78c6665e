//! `Checkpoints::commit_on_checkpoint`: a result is handed over when its checkpoint is complete, and not before; none is
//! lost, and a run that failed keeps back what a restart makes anew.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

#[path = "common/watchdog.rs"]
mod watchdog;

use std::fs;
use std::path::Path;
use std::time::Duration;

use varpin::cores::PinPolicy;
use varpin::engine::{CheckpointNews, Checkpoints, Engine, EngineError, Program, Record};
use varpin::event::Value;
use varpin::flow::MergeOrder;
use watchdog::watched;

const ONE_THREAD: &str = "stream All = A.emit(v: v)";
const TWO_CONTEXTS: &str = "context first\ncontext second\n\
    stream Kept = A.context(first).where(v >= 0)\n\
    stream All = Kept.context(second).emit(v: v)";

fn number(result: &Record<'_>) -> i64 {
    match result.get("v") {
        Some(&Value::Int(v)) => v,
        other => panic!("{other:?} is no number"),
    }
}

/// Feeds events and notes what comes.
struct Run {
    engine: Engine,
    got: Vec<i64>,
}

impl Run {
    fn new(program: &str, directory: &Path, checkpoints: impl FnOnce(Checkpoints) -> Checkpoints) -> Self {
        let program = Program::parse(program).unwrap();
        let checkpoints = checkpoints(Checkpoints::in_directory(directory).every_events(1_000_000));
        let builder = Engine::builder(&program).pin(PinPolicy::Off).order(MergeOrder::Deterministic);
        Self { engine: builder.checkpoints(checkpoints).build().unwrap(), got: Vec::new() }
    }

    fn committing(program: &str, directory: &Path) -> Self {
        Self::new(program, directory, |checkpoints| checkpoints.by_hand().commit_on_checkpoint())
    }

    fn feed(&mut self, values: std::ops::Range<i64>) {
        self.try_feed(values).unwrap();
    }

    fn try_feed(&mut self, mut values: std::ops::Range<i64>) -> Result<(), EngineError> {
        let a = self.engine.event_type("A").unwrap();
        let v = a.field("v").unwrap();
        values.try_for_each(|value| {
            let mut event = a.event(value);
            event.set(&v, value).unwrap();
            let got = &mut self.got;
            self.engine.feed(event, |result| got.push(number(&result)))
        })
    }

    fn poll(&mut self) {
        let got = &mut self.got;
        self.engine.poll(|result| got.push(number(&result)));
    }

    /// Makes a checkpoint, and waits for what becomes of it.
    fn checkpoint(&mut self) -> CheckpointNews {
        while !self.engine.checkpoint(&[]) {
            self.poll();
        }
        loop {
            self.poll();
            if self.engine.at_checkpoint() {
                self.engine.cut(&[]);
            }
            if let Some(news) = self.engine.take_checkpoint_news().pop() {
                self.poll();
                return news;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn finish(&mut self) -> Result<(), EngineError> {
        let got = &mut self.got;
        self.engine.finish(|result| got.push(number(&result))).map(drop)
    }
}

/// Both on one thread and on several.
fn each(test: fn(&str)) {
    watched(move || [ONE_THREAD, TWO_CONTEXTS].into_iter().for_each(test));
}

#[test]
fn results_come_with_their_checkpoint_and_the_rest_at_the_end() {
    each(|program| {
        let directory = tempfile::tempdir().unwrap();
        let mut run = Run::committing(program, directory.path());
        run.feed(0..100);
        (0..20).for_each(|_| run.poll());
        assert_eq!(run.got, [0; 0], "no checkpoint has them");
        assert!(matches!(run.checkpoint(), CheckpointNews::Written { .. }));
        assert_eq!(run.got, (0..100).collect::<Vec<_>>());
        run.feed(100..150);
        assert_eq!(run.got.len(), 100);
        run.finish().unwrap();
        assert_eq!(run.got, (0..150).collect::<Vec<_>>());
        assert_eq!((run.engine.stats().results, run.engine.stats().uncommitted), (150, 0));
    });
}

#[test]
fn a_run_that_goes_on_begins_with_what_waited_for_its_checkpoint() {
    each(|program| {
        for commits in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let mut run = Run::committing(program, directory.path());
            run.feed(0..10);
            run.checkpoint();
            run.feed(10..30);
            run.checkpoint();
            run.feed(30..40);
            drop(run);
            let mut run = Run::new(program, directory.path(), |checkpoints| {
                if commits { checkpoints.commit_on_checkpoint() } else { checkpoints }
            });
            assert_eq!(run.engine.resumed().unwrap().events, 30);
            assert_eq!(run.engine.resumed().unwrap().results, 10);
            run.feed(30..50);
            run.finish().unwrap();
            assert_eq!(run.got, (10..50).collect::<Vec<_>>(), "commits: {commits}");
        }
    });
}

#[test]
fn what_a_sink_has_counted_does_not_come_again() {
    each(|program| {
        let directory = tempfile::tempdir().unwrap();
        let mut run = Run::committing(program, directory.path());
        run.feed(0..10);
        run.checkpoint();
        drop(run);
        let mut run = Run::committing(program, directory.path());
        assert!(run.engine.resume_from(7));
        run.feed(10..12);
        run.finish().unwrap();
        assert_eq!(run.got, [7, 8, 9, 10, 11]);
    });
}

#[test]
fn where_a_checkpoint_cannot_be_written_results_wait_for_the_next() {
    each(|program| {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept");
        let mut run = Run::committing(program, &kept);
        run.feed(0..10);
        fs::rename(&kept, directory.path().join("away")).unwrap();
        assert!(matches!(run.checkpoint(), CheckpointNews::Failed { .. }));
        run.feed(10..20);
        run.poll();
        assert_eq!(run.got, [0; 0]);
        fs::rename(directory.path().join("away"), &kept).unwrap();
        assert!(matches!(run.checkpoint(), CheckpointNews::Written { .. }));
        assert_eq!(run.got, (0..20).collect::<Vec<_>>());
        run.finish().unwrap();
    });
}

#[test]
fn a_run_that_fails_keeps_back_what_no_checkpoint_has() {
    watched(|| {
        for program in [
            "fn deep(v: int) -> int:\n    return if v == 15 then deep(v) else v\n\
             stream All = A.on_error(fail).emit(v: deep(v))",
            "fn deep(v: int) -> int:\n    return if v == 15 then deep(v) else v\n\
             context first\ncontext second\n\
             stream Kept = A.context(first).on_error(fail).where(deep(v) < 100)\n\
             stream All = Kept.context(second).emit(v: v)",
        ] {
            let directory = tempfile::tempdir().unwrap();
            let mut run = Run::committing(program, directory.path());
            run.feed(0..5);
            run.checkpoint();
            assert_eq!(run.got.len(), 5);
            // Threads tell it later.
            let _ = run.try_feed(5..20);
            assert!(run.finish().is_err(), "its calls are too deep");
            assert_eq!(run.got.len(), 5, "{program}");
            assert_eq!(run.engine.stats().uncommitted, 10, "{program}");
        }
    });
}

#[test]
fn many_results_do_not_wait_for_a_checkpoint_that_is_not_due() {
    each(|program| {
        let directory = tempfile::tempdir().unwrap();
        let mut run = Run::new(program, directory.path(), Checkpoints::commit_on_checkpoint);
        run.feed(0..400_000);
        // The next is due behind a million events.
        assert!(run.got.len() > 50_000, "{} of 400,000 were handed over", run.got.len());
        run.finish().unwrap();
        assert!(run.got == (0..400_000).collect::<Vec<_>>());
    });
}

#[test]
fn more_results_than_can_wait_end_the_run() {
    watched(|| {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept");
        let mut run = Run::committing(ONE_THREAD, &kept);
        let a = run.engine.event_type("A").unwrap();
        let refused = (0..2_000_000).find_map(|at| run.engine.feed(a.event(at), |_| {}).err());
        assert!(refused.is_some(), "it goes on for ever");
        let error = run.finish().unwrap_err().to_string();
        assert!(error.contains("1048576 results wait for their checkpoint"), "{error}");
    });
}

#[test]
fn what_a_program_promises_needs_a_directory() {
    let program =
        Program::parse("config engine { commit_on_checkpoint: true }\nstream S = A.emit(v: v)").unwrap();
    let error = Engine::builder(&program).build().unwrap_err().to_string();
    assert!(error.contains("nobody says where checkpoints are kept"), "{error}");
}

#[test]
fn a_run_to_be_gone_on_with_can_keep_back_the_rest() {
    each(|program| {
        let directory = tempfile::tempdir().unwrap();
        let mut run = Run::committing(program, directory.path());
        run.feed(0..10);
        run.engine.withhold_uncommitted();
        run.finish().unwrap();
        assert_eq!((run.got.len(), run.engine.stats().uncommitted), (0, 10));
    });
}
