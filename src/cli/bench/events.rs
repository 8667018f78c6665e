//! The events of a measurement: made or read before it starts, then fed over and over, with times that go on.

use std::fs::File;
use std::path::Path;

use varpin::engine::Program;
use varpin::event::{FieldType, Row, Value};
use varpin::format::{EventSource, InputTypes, SourceOptions};

use crate::cli::messages;
use crate::cli::settings::by_extension;

/// Events made from declarations: as many as stay in the caches, roughly.
const MADE: usize = 4096;
/// The most events that are read from a file.
const MOST_READ: usize = 1 << 18;
/// Different texts and numbers that are made.
const DIFFERENT: u64 = 100;

/// Events to feed.
#[derive(Debug)]
pub(super) struct Events {
    rows: Vec<Row>,
    /// The times of the rows, in nanoseconds; none where their number and the rate say it.
    times_ns: Option<Vec<i64>>,
    /// How much later each pass is than the one before it.
    span_ns: i64,
    /// What a reader should know.
    pub(super) warning: Option<String>,
}

impl Events {
    /// Events of every type that `program` declares and takes, by turns; values are random, and the same each time.
    pub(super) fn made(program: &Program) -> Result<Self, String> {
        let plan = program.plan();
        let taken = |id: &usize| plan.names[*id].declared && !plan.names[*id].consumers.is_empty();
        let types: Vec<usize> = (0..plan.names.len()).filter(taken).collect();
        if types.is_empty() {
            return Err(
                "the program takes no event that it declares, so none can be made: give a file of events"
                    .to_owned(),
            );
        }
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut row_of = |number: usize| {
            let id = types[number % types.len()];
            let shape = &plan.shapes[plan.names[id].shape];
            let mut row = Row::new(id as u32, 0, usize::from(shape.slots));
            for field in &shape.fields {
                if let Some(slot) = field.slot {
                    row.set(usize::from(slot), random.value(&field.ty));
                }
            }
            row
        };
        let rows = (0..MADE).map(&mut row_of).collect();
        Ok(Self { rows, times_ns: None, span_ns: 0, warning: None })
    }

    /// The events of a file, with their own times.
    pub(super) fn read(program: &Program, path: &Path, event_type: Option<&str>) -> Result<Self, String> {
        let name = path.display();
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let mut options = SourceOptions::default();
        options.event_type = event_type.map(str::to_owned);
        let types = InputTypes::new(program.input_types());
        let file = File::open(path).map_err(failed)?;
        let mut source = EventSource::new(file, by_extension(path)?, types, options)
            .map_err(|missing| format!("{name}: {missing}"))?;
        let bad = |bad| messages::bad_input(&name.to_string(), &bad);
        let mut rows = Vec::new();
        let mut row = Row::new(InputTypes::UNKNOWN, 0, 0);
        let mut more = true;
        while more && rows.len() < MOST_READ {
            more = source.fill().map_err(failed)? > 0;
            while let Some(()) =
                if more { source.next(&mut row) } else { source.finish(&mut row) }.map_err(bad)?
            {
                if rows.len() < MOST_READ {
                    rows.push(row.clone());
                }
            }
        }
        let warning = more.then(|| format!("{name}: only its first {} events are fed", rows.len()));
        let times_ns: Vec<i64> = rows.iter().map(Row::time_ns).collect();
        let (Some(first), Some(last)) = (times_ns.iter().min(), times_ns.iter().max()) else {
            return Err(format!("{name}: there is no event in it"));
        };
        let length_ns = last.saturating_sub(*first);
        // One mean distance lies between two passes.
        let span_ns = length_ns.saturating_add((length_ns / (rows.len() as i64 - 1).max(1)).max(1));
        Ok(Self { rows, times_ns: Some(times_ns), span_ns, warning })
    }

    /// The event with this number (from 0), which is due at `due_ns`.
    #[inline]
    pub(super) fn row(&mut self, number: u64, due_ns: u64) -> &mut Row {
        let count = self.rows.len() as u64;
        let at = (number % count) as usize;
        let time_ns = match &self.times_ns {
            Some(times_ns) => {
                times_ns[at].saturating_add(self.span_ns.saturating_mul((number / count) as i64))
            }
            None => due_ns as i64,
        };
        let row = &mut self.rows[at];
        row.set_time_ns(time_ns);
        row
    }
}

/// Random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A value of a declared type.
    fn value(&mut self, ty: &FieldType) -> Value {
        let small = (self.number() % DIFFERENT) as i64;
        match ty {
            FieldType::Int | FieldType::Any => Value::Int(small),
            FieldType::Float => Value::Float(small as f64 + 0.5),
            FieldType::Bool => Value::Bool(small % 2 == 0),
            FieldType::Str => Value::from(format!("v{small}").as_str()),
            FieldType::Timestamp => Value::Timestamp(small * 1_000_000_000),
            FieldType::Duration => Value::Duration(small * 1_000_000),
            FieldType::Array(item) => Value::array((0..3).map(|_| self.value(item)).collect()),
            FieldType::Record(fields) => {
                let entries = fields.iter().map(|(name, ty)| (name.as_str().into(), self.value(ty)));
                Value::map(entries.collect())
            }
            FieldType::Map(item) => {
                let value = self.value(item);
                Value::map(std::iter::once((format!("k{small}").as_str().into(), value)).collect())
            }
        }
    }
}
