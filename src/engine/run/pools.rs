//! An engine and the sizes of its pools.

use super::super::checkpoints::section_of;
use super::super::elastic::{NewWorker, Resizing};
use super::super::error::ResizeError;
use super::super::writer::Writer;
use super::{Engine, Mode};

impl Engine {
    /// Gives the pool of `stream`, which runs in `context`, another number of workers. Nobody stops: keys that move
    /// take their state along, at a barrier in the rings. Nothing is lost, doubled or reordered per key.
    ///
    /// Returns at once; the engine has to be fed or stepped, and its output polled, for it to happen.
    pub fn resize(&mut self, context: &str, stream: &str, workers: usize) -> Result<Resizing, ResizeError> {
        let no_pool = || ResizeError::NoPool(stream.to_owned());
        let elastic = self.elastic.as_mut().ok_or_else(no_pool)?;
        if !matches!(self.mode, Mode::Threads(_) | Mode::Stepped(_)) {
            return Err(no_pool());
        }
        let (resizing, new) = match &self.writer {
            None => elastic.resize(context, stream, workers)?,
            Some(Writer { hub, .. }) => {
                let before = elastic.workers_of(stream);
                let busy = || ResizeError::AtCheckpoint(stream.to_owned());
                let resized = hub.resize(busy, || {
                    let (resizing, new) = elastic.resize(context, stream, workers)?;
                    Ok::<_, ResizeError>((resizing.clone(), (resizing, new)))
                })?;
                (workers..before).for_each(|left| hub.leaves(&section_of(&format!("{stream}#{left}"))));
                resized
            }
        };
        for NewWorker { mut worker, stage, stats, drops, dead_letters, log } in new {
            match &mut self.mode {
                Mode::Threads(threads) => {
                    worker.add_boxed(stage);
                    threads.running.add(worker)?;
                    self.metrics.registry().set_workers(threads.running.loads());
                    self.board.watch(threads.running.watch());
                    threads.stats.push(stats);
                    threads.drops.extend(drops);
                }
                Mode::Stepped(stepper) => {
                    stepper.stages.push(Some(stage));
                    stepper.stats.push(stats);
                    stepper.drops.extend(drops);
                }
                Mode::Inline(_) | Mode::Over => {}
            }
            self.dead_letters.rings.push(dead_letters);
            self.logs.extend(log);
        }
        Ok(resizing)
    }

    /// The pools, and how many workers each has or will have: context, stream, workers.
    pub fn pools(&self) -> Vec<(&str, &str, usize)> {
        let sizes = self.elastic.iter().flat_map(|elastic| elastic.sizes());
        let named = sizes.map(|(stream, workers)| {
            let spec = &self.plan.streams[stream];
            (self.plan.contexts[spec.context].name.as_str(), spec.name.as_str(), workers)
        });
        named.collect()
    }
}
