//! The connectors of an engine: opened when it is built, given to those of its ends that read and write them.

use crate::connect::{ConnectError, Outcome, Places, Sinks, Sources};
use crate::event::Row;
use crate::format::SourceOptions;
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
}

impl Connectors {
    pub(super) fn open(builder: &Builder, layouts: &Arc<Layouts>) -> Result<Self, ConnectError> {
        let plan = &builder.plan;
        let outcome = Outcome::default();
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
        let sinks =
            Sinks::open(plan, places.as_mut(), &builder.writers, builder.prints_results, outcome.clone())?;
        Ok(Self {
            delivery: Delivery::new(Arc::clone(layouts), sinks),
            sources: sources.map(|sources| sources.first(live)),
            outcome,
        })
    }
}
