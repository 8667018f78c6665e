//! The rows of one closed window on their way through the operators behind it.

use crate::event::order::key_cmp;
use crate::event::{Row, Value};

use super::env::Env;
use super::error::Fault;

/// Rows, and the key of each where `.partition_by` stands behind the window; else all have the window's key, and
/// `keys` is empty.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    pub(super) keys: Vec<Value>,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.keys.clear();
    }

    /// Calls `visit` for each row, with its key in the environment.
    pub(super) fn each(
        &mut self,
        env: &mut Env,
        mut visit: impl FnMut(&mut Row, &mut Env) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for (place, row) in self.rows.iter_mut().enumerate() {
            if let Some(key) = self.keys.get(place) {
                env.key.clone_from(key);
            }
            visit(row, env)?;
        }
        Ok(())
    }

    /// Keeps the rows for which `keep` is true.
    pub(super) fn retain(
        &mut self,
        env: &mut Env,
        mut keep: impl FnMut(&Row, &mut Env) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let mut kept = 0;
        for place in 0..self.rows.len() {
            if let Some(key) = self.keys.get(place) {
                env.key.clone_from(key);
            }
            if keep(&self.rows[place], env)? {
                self.rows.swap(kept, place);
                if !self.keys.is_empty() {
                    self.keys.swap(kept, place);
                }
                kept += 1;
            }
        }
        self.rows.truncate(kept);
        self.keys.truncate(kept);
        Ok(())
    }

    /// Brings rows of one key together, keys ascending; within a key they stay in their order.
    pub(super) fn group(&mut self) {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by(|a, b| key_cmp(&self.keys[*a], &self.keys[*b]));
        self.permute(&mut order);
    }

    /// Brings the rows into `order`: at each place the row that is to come there. Uses `order` up.
    pub(super) fn permute(&mut self, order: &mut [usize]) {
        for start in 0..order.len() {
            // Follow the cycle through `start`; places that are done point at themselves.
            let mut place = start;
            loop {
                let from = std::mem::replace(&mut order[place], place);
                if from == start || from == place {
                    break;
                }
                self.rows.swap(place, from);
                if !self.keys.is_empty() {
                    self.keys.swap(place, from);
                }
                place = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permute_brings_each_row_to_its_place() {
        let mut seed = 7_u64;
        for len in 0..20 {
            let mut order: Vec<usize> = (0..len).collect();
            for place in (1..len).rev() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                order.swap(place, (seed >> 33) as usize % (place + 1));
            }
            let rows = (0..len).map(|at| Row::new(0, at as i64, 0)).collect();
            let mut batch = Batch { rows, keys: Vec::new() };
            let want: Vec<i64> = order.iter().map(|at| *at as i64).collect();
            batch.permute(&mut order);
            assert_eq!(batch.rows.iter().map(Row::time_ns).collect::<Vec<_>>(), want);
        }
    }
}
