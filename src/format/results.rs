//! Results as JSON lines: everything of a line that does not depend on the row is put together beforehand.

use crate::event::json::{write_json, write_str};
use crate::event::time::write_rfc3339;
use crate::event::{Row, Value};

/// What the results of a stream look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultLayout {
    /// The stream.
    pub stream: String,
    /// The type of the results, where it is not the stream's name.
    pub type_name: Option<String>,
    /// The fields in order, with their slots.
    pub fields: Vec<(String, u16)>,
    /// A slot with a map whose entries are the fields; `fields` are then not printed.
    pub rest: Option<u16>,
}

/// Prints the rows of one stream as JSON lines.
///
/// ```
/// use varpin::event::{Row, Value};
/// use varpin::format::{ResultLayout, ResultWriter};
/// let fields = vec![("room".to_owned(), 0), ("celsius".to_owned(), 1)];
/// let mut writer = ResultWriter::new(&ResultLayout { stream: "Hot".into(), fields, ..Default::default() });
/// let mut out = Vec::new();
/// writer.write(&mut out, &Row::with_values(0, 140_000_000, &[Value::from("hall"), Value::Float(31.0)]));
/// assert_eq!(
///     String::from_utf8(out)?,
///     "{\"stream\":\"Hot\",\"ts\":\"1970-01-01T00:00:00.140Z\",\"data\":{\"room\":\"hall\",\"celsius\":31.0}}\n",
/// );
/// # Ok::<(), std::string::FromUtf8Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResultWriter {
    /// Everything up to `data`'s first field: `{"stream":"S","ts":"..","data":{`. The time in it is that of `time_ns`.
    head: Vec<u8>,
    /// How much of `head` stands before the time.
    before_time: usize,
    time_ns: i64,
    fields: Vec<FieldText>,
    rest: Option<usize>,
}

/// A field as it is printed.
#[derive(Clone, Debug)]
struct FieldText {
    /// `,"name":`
    name: Vec<u8>,
    slot: usize,
}

impl ResultWriter {
    /// A writer of results that look as `layout` says.
    pub fn new(layout: &ResultLayout) -> Self {
        let mut head = b"{\"stream\":".to_vec();
        write_str(&mut head, &layout.stream);
        if let Some(type_name) = layout.type_name.as_ref().filter(|&name| *name != layout.stream) {
            head.extend_from_slice(b",\"type\":");
            write_str(&mut head, type_name);
        }
        head.extend_from_slice(b",\"ts\":\"");
        let fields = layout.fields.iter().map(|(name, slot)| {
            let mut text = vec![b','];
            write_str(&mut text, name);
            text.push(b':');
            FieldText { name: text, slot: usize::from(*slot) }
        });
        let mut writer = Self {
            before_time: head.len(),
            head,
            time_ns: 0,
            fields: fields.collect(),
            rest: layout.rest.map(usize::from),
        };
        writer.set_time(0);
        writer
    }

    /// Appends `row` as one line. Fields without a value are left out.
    ///
    /// # Panics
    /// If the row has not the slots that the layout names.
    #[inline]
    pub fn write(&mut self, out: &mut Vec<u8>, row: &Row) {
        // Many events share their time with the one before: those of a batch, of a window, of a file without times.
        if row.time_ns() != self.time_ns {
            self.set_time(row.time_ns());
        }
        out.extend_from_slice(&self.head);
        let values = row.values();
        match self.rest {
            None => {
                let mut first = true;
                for field in &self.fields {
                    let value = &values[field.slot];
                    if !value.is_missing() {
                        out.extend_from_slice(&field.name[usize::from(first)..]);
                        write_json(out, value);
                        first = false;
                    }
                }
            }
            Some(slot) => write_entries(out, &values[slot]),
        }
        out.extend_from_slice(b"}}\n");
    }

    fn set_time(&mut self, time_ns: i64) {
        self.head.truncate(self.before_time);
        write_rfc3339(&mut self.head, time_ns);
        self.head.extend_from_slice(b"\",\"data\":{");
        self.time_ns = time_ns;
    }
}

fn write_entries(out: &mut Vec<u8>, rest: &Value) {
    let Value::Map(map) = rest else {
        debug_assert!(rest.is_missing(), "the slot of all fields holds a map");
        return;
    };
    let mut first = true;
    for (name, value) in map.iter().filter(|(_, value)| !value.is_missing()) {
        if !first {
            out.push(b',');
        }
        first = false;
        write_str(out, name);
        out.push(b':');
        write_json(out, value);
    }
}
