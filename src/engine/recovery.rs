//! Going on from a checkpoint: whether it is one of this program, and what each part of the engine finds in it.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};

use crate::checkpoint::{Checkpoint, Fingerprint, Found, GentleDisk, KillingDisk, Store};
use crate::context::Saved;
use crate::event::{Snapshot, SnapshotError, SnapshotReader};
use crate::ring::WhenFull;
use crate::supervise::{Supervised, WhileOpen};
use crate::vpl::plan::{Plan, StreamPlan};

use super::builder::Builder;
use super::checkpoints::{Checkpoints, MEETING, OUTPUT, Resumed, input_section};
use super::error::{BuildError, RecoveryError};
use super::supervision::Supervision;
use super::uncommitted::Waiting;
use super::writer::Writer;

/// What of a program is not of one stream.
const DECLARATIONS: &str = "functions and variables";
const TIMERS: &str = "timers";
const ORDER: &str = "merge order";
const INPUTS: &str = "number of inputs";
const FILES: &str = "connectors";

/// A directory of checkpoints, open, and what there was in it.
pub(super) struct Recovery {
    pub(super) writer: Writer,
    pub(super) settings: Checkpoints,
    pub(super) found: Option<Restored>,
}

/// A checkpoint, taken apart.
pub(super) struct Restored {
    pub(super) saved: Saved,
    /// Of each input: its position, and what else it wrote down.
    pub(super) inputs: Vec<(Vec<u8>, Vec<u8>)>,
    /// What the stage wrote down in which several inputs meet.
    pub(super) meeting: Vec<u8>,
    /// What the output wrote down, behind its position, its count and what waited.
    pub(super) output: Vec<u8>,
    /// Rows that waited for this checkpoint.
    pub(super) waiting: Waiting,
    pub(super) resumed: Resumed,
    /// Streams with state, and for how many keys.
    pub(super) keys: BTreeMap<String, u64>,
    /// The timers are those that they were.
    pub(super) keeps_timers: bool,
}

impl Recovery {
    /// Opens the directory that the builder names, unless `store` has it open; none if it names none. Refuses what
    /// cannot be written down.
    pub(super) fn open(
        builder: &Builder,
        supervision: &Supervision,
        store: Option<Store>,
    ) -> Result<Option<Self>, BuildError> {
        let Some(settings) = &builder.checkpoints else {
            if builder.plan.engine.commits_on_checkpoint {
                let message = "the program says `commit_on_checkpoint: true`, and nobody says where checkpoints are \
                               kept";
                return Err(BuildError::Option(message.to_owned()));
            }
            return Ok(None);
        };
        refuse(builder, supervision)?;
        let is_handed_on = store.is_some();
        let mut store = match store {
            Some(store) => store,
            None => Store::open(&settings.directory, settings.kept).map_err(RecoveryError::from)?,
        };
        let prints = fingerprints(builder);
        let found = store.newest().map_err(RecoveryError::from)?;
        let found = found.map(|found| restored(found, &prints, settings.allows_changed)).transpose()?;
        let writer = Writer::start(prints, |hub| match settings.kill_at {
            // It goes on counting.
            Some(_) if is_handed_on => store,
            Some(kill_at) => store.on(KillingDisk::new(kill_at)),
            None => store.on(GentleDisk::new(move || hub.is_stopping())),
        });
        let writer = writer.map_err(RecoveryError::Thread)?;
        Ok(Some(Self { writer, settings: settings.clone(), found }))
    }
}

impl Restored {
    /// What is wrong with what it has of somebody.
    pub(super) fn nonsense(&self, error: SnapshotError) -> BuildError {
        RecoveryError::Content { path: format!("checkpoint {}", self.resumed.checkpoint), error }.into()
    }

    /// Gives each pool as many workers as it had.
    pub(super) fn size_pools(&self, plan: &mut Plan) {
        for (name, workers) in self.saved.pools() {
            let stream = plan.streams.iter_mut().find(|stream| stream.name == name);
            if let Some(pool) = stream.and_then(|stream| stream.pool.as_mut()) {
                pool.workers = workers;
            }
        }
    }
}

/// What keeps state that is in no checkpoint must not be run as if it were.
fn refuse(builder: &Builder, supervision: &Supervision) -> Result<(), BuildError> {
    let option = |message: String| Err(BuildError::Option(message));
    if let Some(policy) = builder.plan.output.breaker_open.as_deref().filter(|policy| *policy != "hold") {
        return option(format!(
            "checkpoints: the output says `breaker_open: {policy}`, and what it could not take is given up anew in \
             another place after a restart; it has to say `hold`"
        ));
    }
    for (at, context) in builder.plan.contexts.iter().enumerate() {
        if builder.when_full(at) != WhenFull::Block {
            let name = &context.name;
            return option(format!(
                "checkpoints: context {name} says `when_full: {}`, and what is dropped is dropped anew in another \
                 place after a restart; it has to say `block`",
                builder.when_full(at)
            ));
        }
        let supervised: Option<&Supervised> = supervision.contexts.get(at);
        let breaker = supervised.and_then(|supervised| supervised.breaker.as_ref());
        if let Some(breaker) = breaker.filter(|breaker| breaker.while_open != WhileOpen::Hold) {
            return option(format!(
                "checkpoints: context {} says `breaker_open: {}`, and what its circuit breaker keeps out is kept out \
                 anew in another place after a restart; it has to say `hold`",
                context.name, breaker.while_open
            ));
        }
    }
    Ok(())
}

fn restored(found: Found, prints: &[Fingerprint], allows_changed: bool) -> Result<Restored, RecoveryError> {
    let Found { mut checkpoint, path, passed_over } = found;
    let changed = changes(&checkpoint.fingerprints, prints);
    // Where the program's own files are read and written cannot be told of others.
    let is_fatal = changed.iter().any(|change| change.starts_with(FILES) || change.starts_with(INPUTS));
    if !changed.is_empty() && (!allows_changed || is_fatal) {
        return Err(RecoveryError::Changed { path: path.display().to_string(), changed });
    }
    let nonsense = |error| RecoveryError::Content { path: path.display().to_string(), error };
    let is_same = |part: &str| {
        let print =
            |prints: &[Fingerprint]| prints.iter().find(|print| print.part == part).map(|print| print.print);
        print(prints).is_some() && print(prints) == print(&checkpoint.fingerprints)
    };
    let mut saved = Saved::default();
    for section in checkpoint.sections.iter_mut().filter(|section| section.name.starts_with("stage ")) {
        // Moved, and not copied: it may be great.
        saved.add(std::mem::take(&mut section.bytes)).map_err(nonsense)?;
    }
    let mut keys: BTreeMap<String, u64> = BTreeMap::new();
    for holding in checkpoint.sections.iter().flat_map(|section| &section.holdings) {
        *keys.entry(holding.stream.clone()).or_default() += holding.keys;
    }
    let declared = is_same(DECLARATIONS);
    saved.retain(|stream| declared && is_same(&part_of(stream)));
    let empty = Vec::new();
    let bytes = |name: &str| checkpoint.section(name).map_or(&empty, |section| &section.bytes);
    let mut inputs = Vec::new();
    while let Some(section) = checkpoint.section(&input_section(inputs.len())) {
        let mut input = SnapshotReader::new(&section.bytes);
        let position: Vec<u8> = Snapshot::read(&mut input).map_err(nonsense)?;
        inputs.push((position, input.rest().to_vec()));
    }
    let meeting = bytes(MEETING).clone();
    let mut output = SnapshotReader::new(bytes(OUTPUT));
    let sink: Vec<u8> = Snapshot::read(&mut output).map_err(nonsense)?;
    let results = Snapshot::read(&mut output).map_err(nonsense)?;
    let waiting =
        Waiting::read(&mut output, |stream| declared && is_same(&part_of(stream))).map_err(nonsense)?;
    let Checkpoint { id, created_ns, events, seq, .. } = checkpoint;
    let resumed = Resumed {
        checkpoint: id,
        created_ns,
        events,
        seq,
        results,
        input: inputs.first().map(|(position, _)| position.clone()).unwrap_or_default(),
        output: sink,
        passed_over: passed_over
            .iter()
            .map(|(path, damage)| format!("{}: {damage}", path.display()))
            .collect(),
        changed,
        lost: waiting.lost,
    };
    Ok(Restored {
        keys,
        saved,
        waiting,
        inputs,
        meeting,
        output: output.rest().to_vec(),
        resumed,
        keeps_timers: is_same(TIMERS),
    })
}

/// What differs between two programs, in words.
fn changes(then: &[Fingerprint], now: &[Fingerprint]) -> Vec<String> {
    let find = |prints: &[Fingerprint], part: &str| {
        prints.iter().find(|print| print.part == part).map(|print| print.print)
    };
    let mut changes = Vec::new();
    for Fingerprint { part, print } in now {
        match find(then, part) {
            None => changes.push(format!("{part} is new")),
            Some(was) if was != *print => changes.push(format!("{part} has changed")),
            Some(_) => {}
        }
    }
    changes.extend(
        then.iter()
            .filter(|then| find(now, &then.part).is_none())
            .map(|then| format!("{} is gone", then.part)),
    );
    changes
}

fn part_of(stream: &str) -> String {
    format!("stream {stream}")
}

/// The program, part by part. A stream is the same if its operators, its place in the program and the layouts of its
/// rows are: rows in its state say by number what they are, and have their fields by slot.
fn fingerprints(builder: &Builder) -> Vec<Fingerprint> {
    let plan = &builder.plan;
    let print = |part: String, of: &dyn Debug| Fingerprint { part, print: hash(of) };
    let mut prints = vec![
        print(DECLARATIONS.to_owned(), &(&plan.functions, &plan.globals, &plan.deciders)),
        print(TIMERS.to_owned(), &plan.timers),
        print(ORDER.to_owned(), &(builder.effective_order(), builder.clock.is_some())),
        print(INPUTS.to_owned(), &builder.inputs),
        print(FILES.to_owned(), &(&plan.sinks, &plan.source_files)),
    ];
    for (rank, stream) in plan.streams.iter().enumerate() {
        // Where it stands in the text is nobody's business.
        let stream = StreamPlan { span: crate::vpl::syntax::Span::default(), ..stream.clone() };
        let inputs = stream.source.inputs();
        let taken: Vec<_> = inputs.iter().map(|input| (input.name, &plan.names[input.name])).collect();
        let layouts: Vec<_> = taken.iter().map(|(_, name)| &plan.shapes[name.shape]).collect();
        let names: Vec<_> = taken.iter().map(|(at, name)| (*at, &name.name)).collect();
        let context = plan.contexts.get(stream.context).map(|context| &context.name);
        let of = (rank, &stream, names, layouts, &plan.shapes[stream.shape], context);
        prints.push(print(part_of(&stream.name), &of));
    }
    prints
}

/// FNV-1a over what `{:?}` prints: the same in every build.
fn hash(of: &dyn Debug) -> u64 {
    struct Fnv(u64);
    impl Write for Fnv {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            for byte in text.bytes() {
                self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            Ok(())
        }
    }
    let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
    // Hashing text does not fail.
    let _ = write!(fnv, "{of:?}");
    fnv.0
}
