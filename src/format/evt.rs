//! The `.evt` form: one event a line, `Type { field: value, .. }` or `Type(value, ..)`.
//!
//! Written by hand because every line of input passes here: a line whose type and field order are those of the line
//! before is compared, not looked up, and its short values go into the row without an allocation.

use std::borrow::Cow;

use super::bad_input::{Parsed, fault};
use super::fill::Filler;
use super::scan::{END, Limits, Scanner};
use super::types::{Field, InputTypes, positional_name};
use crate::event::Row;
use crate::event::time::unit_ns;

const NS_PER_MS: i64 = 1_000_000;

/// What a line was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// An event; it is in the row.
    Event,
    /// A comment, a blank line, a time.
    Nothing,
    /// One that begins with `{`: an event as JSON. It has not been read.
    Json,
}

/// What the lines before have set.
#[derive(Debug)]
pub(super) struct Evt {
    /// The time of lines without one: that of the last `BATCH`.
    pub(super) batch_ns: i64,
    scratch: String,
}

impl Evt {
    /// Before the first `BATCH`, lines without a time get `untimed_ns`.
    pub(super) fn new(untimed_ns: i64) -> Self {
        Self { batch_ns: untimed_ns, scratch: String::new() }
    }

    /// Reads one line into `row`.
    #[inline]
    pub(super) fn line(
        &mut self,
        text: &str,
        types: &mut InputTypes,
        limits: Limits,
        row: &mut Row,
    ) -> Parsed<Line> {
        let mut scanner = Scanner::new(text, limits, &mut self.scratch);
        let mut own_time_ns = None;
        scanner.space();
        match scanner.peek() {
            END | b'#' => return Ok(Line::Nothing),
            b'{' => return Ok(Line::Json),
            b'/' if scanner.rest().starts_with(b"//") => return Ok(Line::Nothing),
            b'@' => {
                own_time_ns = Some(time(&mut scanner)?);
                scanner.space();
            }
            _ => {}
        }
        let time_ns = own_time_ns.unwrap_or(self.batch_ns);
        let start = scanner.at();
        let last = types.at(types.last());
        if let Some(lead) = last.expected(0, scanner.rest()) {
            scanner.skip(lead);
            let mut filler = Filler::new(last, row, time_ns, limits);
            let field = filler.take_expected();
            fields(&mut scanner, start, field, filler)?;
        } else {
            let name = scanner.name("an event type")?;
            scanner.space();
            match scanner.peek() {
                opening @ (b'{' | b'(') => {
                    scanner.skip(1);
                    let place = types.find(name);
                    let filler = Filler::new(types.at(place), row, time_ns, limits);
                    if opening == b'{' {
                        braces(&mut scanner, start, filler)?;
                    } else {
                        parentheses(&mut scanner, filler)?;
                    }
                }
                _ if name == "BATCH" && own_time_ns.is_none() => {
                    let at = scanner.at();
                    let batch_ns =
                        scaled(scanner.int("the time of the batch in milliseconds")?, NS_PER_MS, at)?;
                    end(&mut scanner)?;
                    self.batch_ns = batch_ns;
                    return Ok(Line::Nothing);
                }
                _ => return Err(scanner.unexpected("expected `{` or `(` after the event type")),
            }
        }
        scanner.space();
        if scanner.peek() == b';' {
            scanner.skip(1);
        }
        end(&mut scanner)?;
        Ok(Line::Event)
    }
}

#[inline]
fn end(scanner: &mut Scanner<'_>) -> Parsed<()> {
    scanner.space();
    if scanner.peek() != END {
        return Err(scanner.unexpected("expected the end of the line"));
    }
    Ok(())
}

/// `@TIME`, in nanoseconds.
fn time(scanner: &mut Scanner<'_>) -> Parsed<i64> {
    scanner.skip(1);
    let at = scanner.at();
    let count = scanner.int("a time after `@`")?;
    let unit_at = scanner.at();
    let unit_ns = if scanner.peek().is_ascii_alphabetic() {
        let unit = scanner.name("a unit")?;
        unit_ns(unit)
            .ok_or_else(|| fault(unit_at, format!("`{unit}` is no unit of time (ns, us, ms, s, m, h, d)")))?
    } else {
        NS_PER_MS
    };
    scaled(count, unit_ns, at)
}

fn scaled(count: i64, unit_ns: i64, at: usize) -> Parsed<i64> {
    count
        .checked_mul(unit_ns)
        .ok_or_else(|| fault(at, "the time is out of range: it must fit into 64 bits of nanoseconds"))
}

/// `field: value, .. }`, of an event that begins at `start`.
fn braces(scanner: &mut Scanner<'_>, start: usize, mut filler: Filler<'_>) -> Parsed<()> {
    scanner.space();
    if scanner.peek() == b'}' {
        scanner.skip(1);
        filler.finish();
        return Ok(());
    }
    let field = named(scanner, &mut filler)?;
    filler.remember(scanner.slice(start, scanner.at()), field);
    fields(scanner, start, field, filler)
}

/// `value, field: value, .. }`: the scanner is at the value of `field`, and what stands before it begins at `lead`.
#[inline]
fn fields(
    scanner: &mut Scanner<'_>,
    mut lead: usize,
    mut field: Field,
    mut filler: Filler<'_>,
) -> Parsed<()> {
    loop {
        scanner.space();
        let at = scanner.at();
        let value = scanner.value(field.keep)?;
        filler
            .put(field, value, || Cow::Borrowed(last_name(scanner.slice(lead, at))))
            .map_err(|message| fault(at, message))?;
        lead = scanner.at();
        field = if let Some(len) = filler.expected(scanner.rest()) {
            scanner.skip(len);
            filler.take_expected()
        } else {
            scanner.space();
            match scanner.peek() {
                b',' => scanner.skip(1),
                b'}' => break,
                _ => return Err(scanner.unexpected("expected `,` or `}` after a field")),
            }
            scanner.space();
            let field = named(scanner, &mut filler)?;
            filler.remember(scanner.slice(lead, scanner.at()), field);
            field
        };
    }
    scanner.skip(1);
    filler.finish();
    Ok(())
}

/// The name of a field, up to its value.
fn named(scanner: &mut Scanner<'_>, filler: &mut Filler<'_>) -> Parsed<Field> {
    let at = scanner.at();
    let name = scanner.name("a field")?;
    let field = filler.named(name).map_err(|message| fault(at, message))?;
    scanner.space();
    scanner.expect(b':', "after the name of a field")?;
    scanner.space();
    Ok(field)
}

/// The name in `lead`, which stands between two values.
fn last_name(lead: &str) -> &str {
    let up_to_name = lead.trim_end_matches([' ', '\t', ':']);
    up_to_name
        .rsplit(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .next()
        .unwrap_or(up_to_name)
}

/// `value, ..)`
fn parentheses(scanner: &mut Scanner<'_>, mut filler: Filler<'_>) -> Parsed<()> {
    scanner.space();
    if scanner.peek() != b')' {
        loop {
            let at = scanner.at();
            let place = filler.place();
            let field = filler.positional().map_err(|message| fault(at, message))?;
            let value = scanner.value(field.keep)?;
            filler
                .put(field, value, || Cow::Owned(positional_name(place)))
                .map_err(|message| fault(at, message))?;
            scanner.space();
            match scanner.peek() {
                b',' => scanner.skip(1),
                b')' => break,
                _ => return Err(scanner.unexpected("expected `,` or `)` after a value")),
            }
            scanner.space();
        }
    }
    scanner.skip(1);
    filler.finish();
    Ok(())
}
