//! From a completed run to its results: one with all that was captured, one per prefix, or one per subset.

use crate::event::{INLINE_FIELDS, Row, Value};
use crate::vpl::plan::{Emission, SequencePlan};

use super::super::emit::{Cause, Emit, Mark};
use super::super::env::Env;
use super::super::error::{CompileError, Failure};
use super::super::expr::Compiler;
use super::super::limits::Limits;
use super::super::stream::Through;
use super::capture::Capture;
use super::choices::{next_choice, prefixes};
use super::pool::{Captured, Pool};

/// How many choices may be looked at for each that can be given.
const LOOKS_PER_RESULT: usize = 64;

#[derive(Debug)]
pub(super) struct Matches {
    pub(super) emission: Emission,
    /// Results that were not given, because one run may not have so many.
    pub(super) dropped: u64,
    slots: Vec<Capture>,
    mark: Mark,
    max_subsets: usize,
    /// The `all` steps.
    all: Vec<usize>,
    /// Steps whose events the results need one by one.
    listed: Vec<usize>,
    /// What stands in the result under way, step by step.
    picked: Vec<Captured>,
    lists: Vec<Vec<u32>>,
    /// What a run has captured for each of its `all`s.
    whole: Vec<Vec<u32>>,
}

/// Where results go, when, and why.
struct Way<'a, 'b, E> {
    time_ns: i64,
    cause: Cause,
    /// The run's key: `_partition` is that for each result, whatever an operator behind the sequence makes of
    /// it.
    key: Value,
    pool: &'a Pool,
    env: &'a mut Env,
    through: &'a mut Through<'b, E>,
}

impl Matches {
    pub(super) fn compile(
        plan: &SequencePlan,
        mark: Mark,
        limits: &Limits,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let slots = plan.slots.iter().map(|slot| Capture::compile(slot, compiler));
        let slots: Vec<Capture> = slots.collect::<Result<_, _>>()?;
        let steps = plan.steps.len();
        let mut listed: Vec<usize> = slots.iter().filter_map(Capture::lists).collect();
        listed.sort_unstable();
        listed.dedup();
        Ok(Self {
            emission: plan.emission,
            dropped: 0,
            slots,
            mark,
            max_subsets: limits.max_subsets,
            all: (0..steps).filter(|&step| plan.steps[step].all).collect(),
            listed,
            picked: Vec::new(),
            lists: vec![Vec::new(); steps],
            whole: vec![Vec::new(); steps],
        })
    }

    /// All results of a run.
    pub(super) fn send_all<E: Emit>(
        &mut self,
        run: u32,
        time_ns: i64,
        cause: Cause,
        pool: &Pool,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        self.send(run, false, Way { time_ns, cause, key: env.key.clone(), pool, env, through })
    }

    /// The results of a run that its newest event adds, where the last step is `all`.
    pub(super) fn send_newest<E: Emit>(
        &mut self,
        run: u32,
        time_ns: i64,
        cause: Cause,
        pool: &Pool,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        if self.emission == Emission::Longest {
            return Ok(()); // Given when the run ends.
        }
        self.send(run, true, Way { time_ns, cause, key: env.key.clone(), pool, env, through })
    }

    fn send<E: Emit>(&mut self, run: u32, newest: bool, mut way: Way<'_, '_, E>) -> Result<(), Failure> {
        self.picked.clear();
        self.picked.extend_from_slice(way.pool.captured(run));
        for &step in &self.listed {
            way.pool.list(&self.picked[step], &mut self.lists[step]);
        }
        // The prefix that ends in the newest event is all of the last step.
        let fixed = usize::from(newest && self.emission == Emission::Each);
        let free = self.all.len() - fixed.min(self.all.len());
        match self.emission {
            _ if free == 0 => self.give(&mut way),
            Emission::Longest => self.give(&mut way),
            Emission::Each if free == 1 => self.give_prefixes(self.all[0], &mut way),
            Emission::Each => self.give_prefixes_of_several(free, &mut way),
            Emission::Subsets => self.give_subsets(newest, &mut way),
        }
    }

    fn give_prefixes<E: Emit>(&mut self, step: usize, way: &mut Way<'_, '_, E>) -> Result<(), Failure> {
        let mut whole = std::mem::take(&mut self.whole[step]);
        way.pool.list(&self.picked[step], &mut whole);
        let mut result = Ok(());
        self.lists[step].clear();
        for (at, &event) in whole.iter().enumerate() {
            self.lists[step].push(event);
            self.picked[step] = Captured::picked(&whole[..=at]);
            result = result.and(self.give(way));
        }
        self.whole[step] = whole;
        result
    }

    fn give_prefixes_of_several<E: Emit>(
        &mut self,
        free: usize,
        way: &mut Way<'_, '_, E>,
    ) -> Result<(), Failure> {
        let steps: Vec<usize> = self.all[..free].to_vec();
        let mut lengths = Vec::with_capacity(free);
        for &step in &steps {
            way.pool.list(&self.picked[step], &mut self.whole[step]);
            lengths.push(self.whole[step].len());
        }
        let mut result = Ok(());
        let chosen = prefixes(&lengths, self.max_subsets);
        for chosen in chosen.chunks_exact(free) {
            for (&step, &length) in steps.iter().zip(chosen) {
                let prefix = &self.whole[step][..length];
                self.picked[step] = Captured::picked(prefix);
                self.lists[step].clear();
                self.lists[step].extend_from_slice(prefix);
            }
            result = result.and(self.give(way));
        }
        let all = lengths.iter().fold(1_u64, |product, length| product.saturating_mul(*length as u64));
        self.dropped = self.dropped.saturating_add(all.saturating_sub((chosen.len() / free) as u64));
        result
    }

    /// One result per subset with an event of every `all`; where `newest`, of those with the newest event.
    fn give_subsets<E: Emit>(&mut self, newest: bool, way: &mut Way<'_, '_, E>) -> Result<(), Failure> {
        // The events of all steps with `all`, each with its step.
        let mut events: Vec<(usize, u32)> = Vec::new();
        let mut all = 1_u64;
        for &step in &self.all {
            way.pool.list(&self.picked[step], &mut self.whole[step]);
            events.extend(self.whole[step].iter().map(|&event| (step, event)));
            let of_step = u32::try_from(self.whole[step].len()).unwrap_or(u32::MAX);
            let subsets = 1_u64.checked_shl(of_step).map_or(u64::MAX, |subsets| subsets - 1);
            all = all.saturating_mul(subsets);
        }
        let newest = if newest { events.pop() } else { None };
        if let Some((step, _)) = newest {
            // Of the last step's subsets, those with the newest event: as many as the others have subsets,
            // the empty one too.
            let others = (self.whole[step].len() - 1) as u32;
            let before = self.all.iter().filter(|&&other| other != step).fold(1_u64, |product, &other| {
                let of_step = u32::try_from(self.whole[other].len()).unwrap_or(u32::MAX);
                product.saturating_mul(1_u64.checked_shl(of_step).map_or(u64::MAX, |subsets| subsets - 1))
            });
            all = before.saturating_mul(1_u64.checked_shl(others).unwrap_or(u64::MAX));
        }
        let mut result = Ok(());
        let (mut given, mut looks) = (0, 0);
        let mut chosen: Vec<usize> = Vec::with_capacity(events.len());
        'sizes: for size in usize::from(newest.is_none())..=events.len() {
            chosen.clear();
            chosen.extend(0..size);
            loop {
                if given == self.max_subsets || looks / LOOKS_PER_RESULT >= self.max_subsets {
                    break 'sizes;
                }
                looks += 1;
                if self.pick(chosen.iter().map(|&at| events[at]).chain(newest)) {
                    given += 1;
                    result = result.and(self.give(way));
                }
                if !next_choice(&mut chosen, events.len()) {
                    break;
                }
            }
        }
        self.dropped = self.dropped.saturating_add(all.saturating_sub(given as u64));
        result
    }

    /// Puts these events into the result; false where an `all` would have none.
    fn pick(&mut self, events: impl Iterator<Item = (usize, u32)>) -> bool {
        for &step in &self.all {
            self.lists[step].clear();
        }
        for (step, event) in events {
            self.lists[step].push(event);
        }
        for &step in &self.all {
            self.picked[step] = Captured::picked(&self.lists[step]);
        }
        self.all.iter().all(|&step| self.picked[step].count > 0)
    }

    /// The result with what is picked.
    fn give<E: Emit>(&mut self, way: &mut Way<'_, '_, E>) -> Result<(), Failure> {
        // A wide row has its slots at once, a narrow one gets them one by one.
        let wide = self.slots.len() > INLINE_FIELDS;
        let mut row = Row::new(self.mark.type_id, way.time_ns, if wide { self.slots.len() } else { 0 });
        row.set_rank(self.mark.rank);
        way.cause.put(&mut row);
        for (slot, capture) in self.slots.iter_mut().enumerate() {
            let put = |value: &Value| {
                if wide {
                    row.set(slot, value.clone());
                } else {
                    row.push(value);
                }
            };
            let value = capture.with(&self.picked, &self.lists, way.pool, way.env, put);
            value.map_err(|fault| fault.at("sequence"))?;
        }
        let result = way.through.run(&row, way.env);
        way.env.key.clone_from(&way.key);
        result
    }
}
