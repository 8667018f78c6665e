//! Contexts may feed each other in circles: whatever circles there are, and however small the rings, every run ends,
//! with what the program gives on one thread.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

#[path = "common/cases.rs"]
mod cases;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cases::cases;
use proptest::prelude::*;
use varpin::engine::{Engine, Program};
use varpin::event::Value;
use varpin::flow::MergeOrder;
use varpin::idle::Idle;
use watchdog::watched;

/// What a stream takes and where it runs. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
struct Stream {
    sources: Vec<u8>,
    context: u8,
    modulus: u8,
    window: Option<u8>,
}

#[derive(Clone, Debug)]
struct Streams {
    contexts: u8,
    streams: Vec<Stream>,
}

impl Streams {
    /// The streams that stream `at` takes; none: events.
    fn sources(&self, at: usize) -> BTreeSet<usize> {
        self.streams[at].sources.iter().filter(|_| at > 0).map(|&source| usize::from(source) % at).collect()
    }

    fn context(&self, at: usize) -> u8 {
        self.streams[at].context % self.contexts
    }

    /// Whether some context feeds itself through another one.
    fn has_cycle(&self) -> bool {
        let mut feeds: BTreeSet<(u8, u8)> = BTreeSet::new();
        for to in 0..self.streams.len() {
            for from in self.sources(to) {
                feeds.insert((self.context(from), self.context(to)));
            }
        }
        feeds.retain(|(from, to)| from != to);
        for middle in 0..self.contexts {
            let through: Vec<_> = feeds
                .iter()
                .filter(|(_, to)| *to == middle)
                .flat_map(|(from, _)| {
                    feeds.iter().filter(|(by, _)| *by == middle).map(|(_, to)| (*from, *to))
                })
                .collect();
            feeds.extend(through);
        }
        (0..self.contexts).any(|context| feeds.contains(&(context, context)))
    }

    fn text(&self, in_contexts: bool) -> String {
        let mut text = String::new();
        for context in (0..self.contexts).filter(|_| in_contexts) {
            writeln!(text, "context c{context}").unwrap();
        }
        for (at, stream) in self.streams.iter().enumerate() {
            let sources: Vec<String> = self.sources(at).iter().map(|source| format!("S{source}")).collect();
            let source = match &sources[..] {
                [] => "E".to_owned(),
                [one] => one.clone(),
                several => format!("merge({})", several.join(", ")),
            };
            write!(text, "stream S{at} = {source}").unwrap();
            if in_contexts {
                write!(text, ".context(c{})", self.context(at)).unwrap();
            }
            // What is many times what came in would only take long.
            write!(text, ".where(v % {} != 0 and v < 1000000)", 2 + stream.modulus % 7).unwrap();
            if let Some(window) = stream.window {
                write!(text, ".window({}).aggregate(v: sum(v))", 1 + window % 3).unwrap();
            }
            writeln!(text, ".emit(v: v + {at})").unwrap();
        }
        text
    }
}

fn streams() -> impl Strategy<Value = Streams> {
    let stream = (
        prop::collection::vec(any::<u8>(), 1..3),
        any::<u8>(),
        any::<u8>(),
        prop::option::weighted(0.3, any::<u8>()),
    )
        .prop_map(|(sources, context, modulus, window)| Stream { sources, context, modulus, window });
    (2..6_u8, prop::collection::vec(stream, 3..10))
        .prop_map(|(contexts, streams)| Streams { contexts, streams })
        .prop_filter("some contexts feed each other in a circle", Streams::has_cycle)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threads {
    Dedicated,
    Fused,
}

fn run(text: &str, order: MergeOrder, threads: Threads, capacity: usize, idle: Idle) -> Vec<String> {
    let program = Program::parse(text).unwrap();
    watched(move || {
        let builder = Engine::builder(&program).order(order).capacity(capacity).publish_every(1).idle(idle);
        let mut engine = match threads {
            Threads::Dedicated => builder,
            Threads::Fused => builder.fused(),
        }
        .build()
        .unwrap();
        let ty = engine.event_type("E").unwrap();
        let mut lines = Vec::new();
        for n in 0..120 {
            engine
                .feed(ty.event_with(n, [("v", Value::from(n))]).unwrap(), |result| {
                    lines.push(result.to_json());
                })
                .unwrap();
        }
        engine.finish(|result| lines.push(result.to_json())).unwrap();
        lines
    })
}

fn config(default: u32) -> ProptestConfig {
    ProptestConfig { cases: cases(default), max_shrink_iters: 200, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn contexts_in_circles_end_with_the_results_of_one_thread(
        streams in streams(),
        capacity in prop::sample::select(vec![1_usize, 1, 2, 64]),
        idle in prop::sample::select(vec![Idle::Yield, Idle::Backoff, Idle::Park]),
    ) {
        let order = MergeOrder::Deterministic;
        let expected = run(&streams.text(false), order, Threads::Dedicated, 64, idle);
        for threads in [Threads::Dedicated, Threads::Fused] {
            let came = run(&streams.text(true), order, threads, capacity, idle);
            prop_assert_eq!(&came, &expected, "{:?}", threads);
        }
    }

    #[test]
    fn contexts_in_circles_end_in_the_orders_that_do_not_wait(
        streams in streams(),
        order in prop::sample::select(vec![MergeOrder::Arrival, MergeOrder::Timestamp]),
        threads in prop::sample::select(vec![Threads::Dedicated, Threads::Fused]),
    ) {
        // Without windows, which may get their rows in another order, all results are the same but for their order.
        let mut streams = streams;
        for stream in &mut streams.streams {
            stream.window = None;
        }
        let mut expected = run(&streams.text(false), order, Threads::Dedicated, 64, Idle::Backoff);
        let mut came = run(&streams.text(true), order, threads, 1, Idle::Backoff);
        expected.sort();
        came.sort();
        prop_assert_eq!(came, expected);
    }
}
