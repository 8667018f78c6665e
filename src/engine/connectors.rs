//! The connectors of an engine: opened when it is built, given to those of its ends that read and write them.

use crate::connect::{ConnectError, Interrupted, Outcome, Places, Sinks, Sources};
use crate::event::Row;
use crate::format::SourceOptions;
use crate::supervise::{Declared, SinkGuard, SinkMember};
use crate::sync::Arc;

use super::builder::Builder;
use super::delivery::Delivery;
use super::program::input_types;
use super::record::Layouts;

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
        let outcome = Outcome::new(builder.keeps_dead_letters);
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
