//! The connectors of an engine: opened when it is built, given to those of its ends that read and write them.

use crate::connect::{ConnectError, Interrupted, Outcome, Places, Sinks, Sources};
use crate::event::Row;
use crate::format::SourceOptions;
use crate::supervise::{Declared, SinkGuard, SinkMember};
use crate::sync::Arc;

use super::builder::Builder;
use super::delivery::Delivery;
use super::error::BuildError;
use super::program::input_types;
use super::record::Layouts;
use super::rollback::Legacy;

/// Open connectors.
pub(super) struct Connectors {
    pub(super) delivery: Delivery,
    pub(super) sources: Option<Sources>,
    pub(super) outcome: Outcome,
    /// The sinks that have breakers.
    pub(super) members: Vec<Arc<SinkMember>>,
}

impl Connectors {
    pub(super) fn open(builder: &Builder, layouts: &Arc<Layouts>) -> Result<Self, ConnectError> {
        let plan = &builder.plan;
        let outcome = builder.outcome.clone().unwrap_or_else(|| Outcome::new(builder.keeps_dead_letters));
        let mut places = builder.directory.clone().map(Places::new);
        if let Some(places) = &mut places {
            for (file, what) in &builder.reserved {
                places.reserve(file, what);
            }
        }
        let live = builder.clock.is_some();
        let mut options = SourceOptions::default();
        if live {
            options.untimed_ns = Row::UNTIMED;
        }
        let types = input_types(plan);
        let skip = builder.skip_bad_lines;
        let sources = Sources::open(plan, &types, places.as_mut(), &options, skip, outcome.clone())?;
        let mut members = Vec::new();
        let sinks = Sinks::open(
            plan,
            places.as_mut(),
            &builder.writers,
            builder.prints_results,
            outcome.clone(),
            &mut |place| guard(builder, place, &mut members),
        )?;
        Ok(Self {
            delivery: Delivery::new(Arc::clone(layouts), sinks, outcome.clone()),
            sources: sources.map(|sources| sources.first(live)),
            outcome,
            members,
        })
    }
}

impl Connectors {
    /// Of an engine that may be rolled back: how long the files of its sinks are at the beginning; none where it begins
    /// `at_checkpoint`, which says so itself. After a rollback, files are cut back to what was said then.
    pub(super) fn originate(
        &mut self,
        legacy: Option<&Legacy>,
        at_checkpoint: bool,
    ) -> Result<Option<Vec<u8>>, BuildError> {
        let Some(Legacy { origin, .. }) = legacy else {
            return Ok((!at_checkpoint).then(|| self.delivery.sink_lengths()));
        };
        if !at_checkpoint {
            let Some(origin) = origin else {
                let message = "there is no checkpoint any more, although the run has begun at one";
                return Err(BuildError::Option(message.to_owned()));
            };
            let unknown = |error| BuildError::Option(format!("what sinks have written is unknown: {error}"));
            self.delivery.cut_sinks(origin).map_err(unknown)?;
        }
        Ok(origin.clone())
    }
}

/// The breaker around the sink of this place, where the program declares any for what leaves it.
fn guard(
    builder: &Builder,
    place: &str,
    members: &mut Vec<Arc<SinkMember>>,
) -> Option<(SinkGuard, Option<Interrupted>)> {
    let declared = Declared::from(&builder.plan.output);
    if declared == Declared::default() {
        return None;
    }
    let member = SinkMember::new(place);
    members.push(Arc::clone(&member));
    // Sinks that fail together are not tried again at the same moment.
    let seed = builder.seed.wrapping_add(members.len() as u64);
    let guard = SinkGuard::new(member, builder.events.clone(), &declared.supervised(), seed);
    let interrupted = builder.interrupt.clone().map(|interrupt| {
        let interrupted: Interrupted = Arc::new(move || interrupt.is_asked());
        interrupted
    });
    Some((guard, interrupted))
}
