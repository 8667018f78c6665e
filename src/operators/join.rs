//! `join` and its siblings: a new event meets every event of the other sides that is not yet forgotten (D23 to D25).
//!
//! Each side keeps its events in buckets by the hash of what they are compared by, one set of buckets for each
//! equality of `.on`. A new event is bound to its side; then the other sides are bound in order, each from the bucket
//! that an equality with a bound side leads to. Hashes only lead there: `==` decides, so null, NaN and no value
//! behave as they do everywhere.
//!
//! A bucket is a list through the events themselves, oldest first, so an event that comes or goes costs no memory of
//! its own. A queue by time says what is forgotten next. In the outer joins an event that met nobody comes out then,
//! with nulls.

use hashbrown::HashTable;

use crate::event::order::{eq, key_hash};
use crate::event::{
    INLINE_FIELDS, Keeps, Map, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Text, Value,
};
use crate::vpl::plan::{InputPlan, JoinPlan, JoinedSlot, RestFrom, SideField};
use crate::vpl::syntax::JoinKind;

use super::due::Due;
use super::emit::{Cause, Emit, Mark};
use super::env::Env;
use super::error::{CompileError, Failure, Fault};
use super::expr::{Compiler, Expr};
use super::filter::Filter;
use super::kept::Unsaved;
use super::limits::Limits;
use super::stream::Through;

/// No side.
const NOWHERE: usize = usize::MAX;
/// No entry.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Join {
    sides: Vec<Side>,
    /// For each equality the two sides and, on each, the place of its value among the values of the side.
    equalities: Vec<[(usize, usize); 2]>,
    /// Where each slot of the joined row comes from.
    slots: Vec<JoinedSlot>,
    window_ns: i64,
    mark: Mark,
    max_rows: usize,
    /// All remembered events of all sides; free places are listed in `free`.
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// What of them is still to be written into a checkpoint.
    unsaved: Unsaved,
    /// For each entry its places in the lists of its side: one list for each equality, then the one of all events.
    links: Vec<Link>,
    /// How many links an entry has.
    lists: usize,
    /// Whether a match may need events to which no equality leads.
    needs_all: bool,
    /// Whether there are two sides, and every equality is between them.
    of_two: bool,
    /// Time, side, arrival and entry of every remembered event.
    by_time: Due<(i64, usize, u64, u32)>,
    arrivals: u64,
    late: u64,
    /// Where the event under way stands: side and entry.
    here: Vec<(usize, u32)>,
    /// Entries bound to the sides in the match under way.
    bound: Vec<Option<u32>>,
    /// Complete matches of the event under way: one entry for each side.
    matches: Vec<u32>,
}

#[derive(Debug)]
struct Side {
    name: usize,
    filter: Option<Filter>,
    /// What its events are compared by.
    by: Vec<Expr>,
    /// For each of `by` the buckets of its remembered events.
    buckets: Vec<HashTable<Bucket>>,
    /// All its remembered events.
    all: List,
    /// Whether one that meets nobody comes out in the end.
    outer: bool,
}

#[derive(Debug)]
struct Bucket {
    hash: u64,
    list: List,
}

/// Entries by arrival.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

/// An entry's place in a list.
#[derive(Debug, Default)]
struct Link {
    before: u32,
    behind: u32,
    /// What the entry is compared by, and its hash, where the list is a bucket.
    hash: u64,
    value: Value,
}

#[derive(Debug)]
struct Entry {
    /// [`NOWHERE`] where the place is free.
    side: usize,
    row: Row,
    arrival: u64,
    matched: bool,
}

impl List {
    const EMPTY: Self = Self { first: NONE, last: NONE };
}

impl Join {
    pub(super) fn compile(
        plan: &JoinPlan,
        mark: Mark,
        limits: &Limits,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        if plan.kind != JoinKind::Inner && plan.sides.len() != 2 {
            return Err(compiler.error("an outer join has two sides"));
        }
        let outer = |side: usize| match plan.kind {
            JoinKind::Inner => false,
            JoinKind::Left => side == 0,
            JoinKind::Right => side == 1,
            JoinKind::Full => true,
        };
        let sides = plan.sides.iter().enumerate().map(|(at, side)| Side::compile(side, outer(at), compiler));
        let mut sides: Vec<Side> = sides.collect::<Result<_, _>>()?;
        let mut equalities = Vec::new();
        for [a, b] in &plan.on {
            let mut end = |(side, by): &(usize, crate::vpl::plan::Expr)| {
                let place = sides.get_mut(*side).ok_or_else(|| compiler.error("`.on` names no side"))?;
                place.by.push(compiler.expr(by)?);
                place.buckets.push(HashTable::new());
                Ok((*side, place.by.len() - 1))
            };
            equalities.push([end(a)?, end(b)?]);
        }
        let lists = 1 + sides.iter().map(|side| side.by.len()).max().unwrap_or(0);
        Ok(Self {
            lists,
            of_two: sides.len() == 2
                && !equalities.is_empty()
                && equalities.iter().all(|[(a, _), (b, _)]| a != b),
            needs_all: !is_connected(sides.len(), &equalities),
            here: Vec::new(),
            bound: vec![None; sides.len()],
            sides,
            equalities,
            slots: plan.slots.clone(),
            window_ns: plan.window_ns,
            mark,
            max_rows: limits.max_window_rows.min(NONE as usize),
            entries: Vec::new(),
            free: Vec::new(),
            unsaved: Unsaved::default(),
            links: Vec::new(),
            by_time: Due::new(),
            arrivals: 0,
            late: 0,
            matches: Vec::new(),
        })
    }

    /// The first side that takes `name`.
    pub(super) fn input_of(&self, name: usize) -> Option<usize> {
        self.sides.iter().position(|side| side.name == name)
    }

    /// Events that it remembers.
    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Events that came when they would have been forgotten.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// The least watermark that makes it forget something.
    pub(super) fn due_ns(&self) -> i64 {
        let first = self.by_time.first();
        first.map_or(i64::MAX, |(time, ..)| time.saturating_add(self.window_ns).saturating_add(1))
    }

    /// Takes an event at the side `input`, and at the sides behind it that have the same name (a self join).
    pub(super) fn take<E: Emit>(
        &mut self,
        input: usize,
        row: &Row,
        watermark_ns: i64,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let Some(name) = self.sides.get(input).map(|side| side.name) else { return Ok(()) };
        let late = watermark_ns > row.time_ns().saturating_add(self.window_ns);
        let arrival = self.arrivals;
        self.arrivals += 1;
        let mut here = std::mem::take(&mut self.here);
        here.clear();
        let mut result = Ok(());
        for side in input..self.sides.len() {
            if self.sides[side].name != name {
                continue;
            }
            match self.sides[side].accepts(row, env) {
                Ok(false) => continue,
                Ok(true) if late => {
                    self.late += 1;
                    here.clear();
                    break;
                }
                Ok(true) => {
                    result = self.remember(side, arrival, row, env).map(|entry| here.push((side, entry)));
                }
                Err(failure) => result = Err(failure),
            }
            if result.is_err() {
                here.clear();
                break;
            }
        }
        if !here.is_empty() {
            self.find_matches(&here);
            result = self.send_matches(row, env, through);
        }
        self.here = here;
        result
    }

    fn remember(&mut self, side: usize, arrival: u64, row: &Row, env: &mut Env) -> Result<u32, Failure> {
        if self.by_time.len() >= self.max_rows {
            return Err(Fault::WindowRows(self.max_rows).at("join"));
        }
        let number = self.free.last().copied().unwrap_or(self.entries.len() as u32);
        let first_link = number as usize * self.lists;
        if self.links.len() < first_link + self.lists {
            self.links.resize_with(first_link + self.lists, Link::default);
        }
        for (by, link) in self.sides[side].by.iter().zip(&mut self.links[first_link..]) {
            link.value = by.eval(row, env).map_err(|fault| fault.at("on"))?;
        }
        // Nothing fails from here on.
        self.put(side, number, arrival, row);
        Ok(number)
    }

    /// Puts an event where it will be found, at a place where its values are already.
    fn put(&mut self, side: usize, number: u32, arrival: u64, row: &Row) {
        let first_link = number as usize * self.lists;
        if self.free.pop().is_some() {
            self.before_change(number);
            let entry = &mut self.entries[number as usize];
            entry.row.clone_from(row);
            (entry.side, entry.arrival, entry.matched) = (side, arrival, false);
        } else {
            self.entries.push(Entry { side, row: row.clone(), arrival, matched: false });
        }
        let of_side = &mut self.sides[side];
        for (place, buckets) in of_side.buckets.iter_mut().enumerate() {
            let link = &mut self.links[first_link + place];
            link.hash = key_hash(&link.value);
            let hash = link.hash;
            let bucket = buckets
                .entry(hash, |bucket| bucket.hash == hash, |bucket| bucket.hash)
                .or_insert(Bucket { hash, list: List::EMPTY })
                .into_mut();
            append(&mut bucket.list, number, &mut self.links, self.lists, place);
        }
        if self.needs_all {
            append(&mut of_side.all, number, &mut self.links, self.lists, self.lists - 1);
        }
        self.by_time.push((row.time_ns(), side, arrival, number));
    }

    /// An entry, or what it is compared by, is about to change, or to be forgotten.
    #[inline]
    fn before_change(&mut self, number: u32) {
        let Self { unsaved, entries, links, lists, sides, .. } = self;
        unsaved
            .before_change(number as usize, |out| write(number as usize, entries, links, *lists, sides, out));
    }

    /// Finds all matches that the event which stands at `here` is part of, in order of the sources, then of arrival.
    fn find_matches(&mut self, here: &[(usize, u32)]) {
        let mut matches = std::mem::take(&mut self.matches);
        matches.clear();
        if let ([(side, number)], true) = (here, self.of_two) {
            self.find_pairs(*side, *number, &mut matches);
            self.matches = matches;
            return;
        }
        let mut bound = std::mem::take(&mut self.bound);
        // Each match once: by the first side at which it has the event.
        for (place, (side, number)) in here.iter().enumerate() {
            bound[*side] = Some(*number);
            self.bind(&mut bound, &here[..place], &mut matches);
            bound[*side] = None;
        }
        if here.len() > 1 || self.sides.len() > 2 {
            let mut sorted: Vec<&[u32]> = matches.chunks_exact(self.sides.len()).collect();
            // In a self join the event comes as each of its sides in turn, and meets itself as the last of them.
            let comes_as = |found: &[u32]| here.iter().rposition(|(side, number)| found[*side] == *number);
            sorted.sort_by_cached_key(|found| {
                let arrivals = found.iter().map(|number| self.entries[*number as usize].arrival);
                (comes_as(found), arrivals.collect::<Vec<u64>>())
            });
            matches = sorted.concat();
        }
        (self.matches, self.bound) = (matches, bound);
    }

    /// The same for two sides, which nearly all joins have: pairs with the events in one bucket of the other side.
    fn find_pairs(&self, side: usize, number: u32, matches: &mut Vec<u32>) {
        let ends = |equality: &[(usize, usize); 2]| {
            let [a, b] = *equality;
            if a.0 == side { (a.1, b.1) } else { (b.1, a.1) }
        };
        let Some((mine, others)) = self.equalities.first().map(ends) else { return };
        let hash = self.link(number, mine).hash;
        let buckets = &self.sides[1 - side].buckets[others];
        let Some(bucket) = buckets.find(hash, |bucket| bucket.hash == hash) else { return };
        let time_ns = self.entries[number as usize].row.time_ns();
        let mut next = bucket.list.first;
        while next != NONE {
            let other = next;
            next = self.link(other, others).behind;
            let apart_ns = time_ns.abs_diff(self.entries[other as usize].row.time_ns());
            let fits = apart_ns <= self.window_ns.unsigned_abs()
                && self.equalities.iter().map(ends).all(|(mine, others)| {
                    eq(&self.link(number, mine).value, &self.link(other, others).value) == Some(true)
                });
            if fits {
                matches.extend(if side == 0 { [number, other] } else { [other, number] });
            }
        }
    }

    /// Binds the sides that are left in every way that fits what is bound already.
    fn bind(&self, bound: &mut [Option<u32>], not_again: &[(usize, u32)], matches: &mut Vec<u32>) {
        let unbound = || (0..self.sides.len()).filter(|side| bound[*side].is_none());
        // A side to which an equality leads has few candidates.
        let led = unbound().find_map(|side| self.leads_to(side, bound).map(|link| (side, Some(link))));
        let Some((side, led)) = led.or_else(|| unbound().next().map(|side| (side, None))) else {
            matches.extend(bound.iter().flatten());
            return;
        };
        let (list, place) = match led {
            None => (self.sides[side].all, self.lists - 1),
            Some((place, Link { hash, .. })) => {
                match self.sides[side].buckets[place].find(*hash, |bucket| bucket.hash == *hash) {
                    Some(bucket) => (bucket.list, place),
                    None => return,
                }
            }
        };
        let mut next = list.first;
        while next != NONE {
            let number = next;
            next = self.link(number, place).behind;
            let seen = not_again.iter().any(|(_, other)| *other == number);
            if !seen && self.fits(side, number, bound) {
                bound[side] = Some(number);
                self.bind(bound, not_again, matches);
                bound[side] = None;
            }
        }
    }

    fn link(&self, entry: u32, place: usize) -> &Link {
        &self.links[entry as usize * self.lists + place]
    }

    /// An equality between `side` and a side that is bound: the place of its values on `side`, and the value there is
    /// to find.
    fn leads_to(&self, side: usize, bound: &[Option<u32>]) -> Option<(usize, &Link)> {
        let ends = self.equalities.iter().flat_map(|[a, b]| [(*a, *b), (*b, *a)]);
        let mut ends = ends.filter(|(mine, _)| mine.0 == side);
        ends.find_map(|((_, place), (other, other_place))| {
            bound[other].map(|number| (place, self.link(number, other_place)))
        })
    }

    /// Whether the event `number` of `side` joins with all that are bound.
    fn fits(&self, side: usize, number: u32, bound: &[Option<u32>]) -> bool {
        let time_ns = |entry: u32| self.entries[entry as usize].row.time_ns();
        let near = |other: &u32| time_ns(number).abs_diff(time_ns(*other)) <= self.window_ns.unsigned_abs();
        if !bound.iter().flatten().all(near) {
            return false;
        }
        let value = |at: (usize, usize)| {
            let entry = if at.0 == side { Some(number) } else { bound[at.0] };
            entry.map(|entry| &self.link(entry, at.1).value)
        };
        self.equalities.iter().all(|[a, b]| {
            if a.0 != side && b.0 != side {
                return true;
            }
            match (value(*a), value(*b)) {
                (Some(a), Some(b)) => eq(a, b) == Some(true),
                _ => true, // Its other end is not bound yet.
            }
        })
    }

    fn send_matches<E: Emit>(
        &mut self,
        row: &Row,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        for at in (0..self.matches.len()).step_by(self.sides.len()) {
            let found = &self.matches[at..at + self.sides.len()];
            let joined = self.joined(row.time_ns(), Cause::of(row), |side| Some(found[side]));
            for place in at..at + self.sides.len() {
                let number = self.matches[place];
                if !self.entries[number as usize].matched {
                    self.before_change(number);
                    self.entries[number as usize].matched = true;
                }
            }
            result = result.and(through.run(&joined, env));
        }
        result
    }

    /// Forgets what is older than the window, once the watermark is beyond it.
    pub(super) fn advance<E: Emit>(
        &mut self,
        watermark_ns: i64,
        cause: Cause,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        while let Some(&(time_ns, side, _, number)) = self.by_time.first() {
            let end_ns = time_ns.saturating_add(self.window_ns);
            // At the end of the input nothing stays, also where times are so great that the addition saturates.
            if watermark_ns <= end_ns && watermark_ns != i64::MAX {
                break;
            }
            self.by_time.pop();
            self.before_change(number);
            self.forget(side, number);
            if self.sides[side].outer && !self.entries[number as usize].matched {
                let alone = self.joined(end_ns, cause, |of| (of == side).then_some(number));
                result = result.and(through.run(&alone, env));
            }
            // Its values may be shared, and must not live on in a free place.
            let entry = &mut self.entries[number as usize];
            entry.row.clear();
            entry.side = NOWHERE;
            self.free.push(number);
        }
        result
    }

    /// Takes an event out of the lists of its side.
    fn forget(&mut self, side: usize, number: u32) {
        let side = &mut self.sides[side];
        if self.needs_all {
            remove(&mut side.all, number, &mut self.links, self.lists, self.lists - 1);
        }
        for (place, buckets) in side.buckets.iter_mut().enumerate() {
            let link = &mut self.links[number as usize * self.lists + place];
            link.value = Value::Missing;
            let hash = link.hash;
            if let Ok(mut found) = buckets.find_entry(hash, |bucket| bucket.hash == hash) {
                remove(&mut found.get_mut().list, number, &mut self.links, self.lists, place);
                if found.get().list.first == NONE {
                    found.remove();
                }
            }
        }
    }

    /// A joined row: of the event that `entry` names for each side, where the side is not absent.
    fn joined(&self, time_ns: i64, cause: Cause, entry: impl Fn(usize) -> Option<u32>) -> Row {
        let values = |side: usize| entry(side).map(|number| self.entries[number as usize].row.values());
        // A wide row has its slots at once, a narrow one gets them one by one.
        let wide = self.slots.len() > INLINE_FIELDS;
        let mut row = Row::new(self.mark.type_id, time_ns, if wide { self.slots.len() } else { 0 });
        row.set_rank(self.mark.rank);
        cause.put(&mut row);
        for (to, from) in self.slots.iter().enumerate() {
            let mut put = |value: &Value| {
                if wide {
                    row.set(to, value.clone());
                } else {
                    row.push(value);
                }
            };
            match from {
                JoinedSlot::Of(side, slot) => match values(*side) {
                    Some(values) => put(values.get(usize::from(*slot)).unwrap_or(&Value::Missing)),
                    None => put(&Value::Null),
                },
                JoinedSlot::First(choices) => put(&first_of(choices, values)),
                JoinedSlot::All(sides) => put(&all_of(sides, values)),
            }
        }
        row
    }
}

/// Appends what is remembered at a place: nothing where it is free.
fn write(number: usize, entries: &[Entry], links: &[Link], lists: usize, sides: &[Side], out: &mut Vec<u8>) {
    let Entry { side, row, arrival, matched } = &entries[number];
    let Some(Side { by, .. }) = sides.get(*side) else { return };
    side.write(out);
    row.write(out);
    arrival.write(out);
    matched.write(out);
    for link in &links[number * lists..][..by.len()] {
        link.value.write(out);
    }
}

/// The remembered events. Their order of arrival is that of every list of them.
impl Keeps for Join {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self {
            sides: _,
            equalities: _,
            slots: _,
            window_ns: _,
            mark: _,
            max_rows: _,
            entries,
            free: _,
            unsaved,
            links: _,
            lists: _,
            needs_all: _,
            of_two: _,
            by_time,
            arrivals,
            late,
            here: _,
            bound: _,
            matches: _,
        } = self;
        arrivals.write(out);
        late.write(out);
        by_time.len().write(out);
        unsaved.begin(entries.len());
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        let Self { unsaved, entries, links, lists, sides, .. } = self;
        unsaved.save_more(pieces, |number, out| write(number, entries, links, *lists, sides, out));
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.arrivals = Snapshot::read(from)?;
        self.late = Snapshot::read(from)?;
        let count: usize = Snapshot::read(from)?;
        let mut remembered: Vec<(Entry, Vec<Value>)> = Vec::new();
        for piece in from.next_part() {
            let mut piece = SnapshotReader::new(piece);
            while !piece.is_at_end() {
                let side = usize::read(&mut piece)?;
                let (row, arrival) = (Row::read(&mut piece)?, u64::read(&mut piece)?);
                let matched = bool::read(&mut piece)?;
                let values = self.sides.get(side).map(|side| side.by.len());
                let values = values.ok_or_else(|| piece.error("side of a join"))?;
                let values = (0..values).map(|_| Snapshot::read(&mut piece)).collect::<Result<_, _>>()?;
                remembered.push((Entry { side, row, arrival, matched }, values));
            }
        }
        if remembered.len() != count {
            return Err(from.error("all events of a join"));
        }
        remembered.sort_by_key(|(entry, _)| (entry.arrival, entry.side));
        for (entry, values) in remembered {
            let number = self.entries.len() as u32;
            self.links.resize_with(self.links.len() + self.lists, Link::default);
            for (link, value) in self.links[number as usize * self.lists..].iter_mut().zip(values) {
                link.value = value;
            }
            self.put(entry.side, number, entry.arrival, &entry.row);
            self.entries[number as usize].matched = entry.matched;
        }
        Ok(())
    }
}

/// The field of the first side that is there and has it.
fn first_of<'r>(choices: &[SideField], values: impl Fn(usize) -> Option<&'r [Value]>) -> Value {
    for choice in choices {
        let Some(values) = values(choice.side) else { continue };
        match values.get(usize::from(choice.slot)) {
            None | Some(Value::Missing) if choice.declared => return Value::Missing,
            None | Some(Value::Missing) => {}
            Some(value) => return value.clone(),
        }
    }
    Value::Missing
}

/// All fields of the sides that are there; of a name that several have, the first side's.
fn all_of<'r>(sides: &[RestFrom], values: impl Fn(usize) -> Option<&'r [Value]>) -> Value {
    let mut all = Map::default();
    for (side, from) in sides.iter().enumerate() {
        let Some(values) = values(side) else { continue };
        let known = all.len();
        let mut add = |name: Text, value: &Value| {
            if all.iter().take(known).all(|(other, _)| *other != name) {
                all.insert(name, value.clone());
            }
        };
        match from {
            RestFrom::Slot(slot) => {
                if let Some(Value::Map(fields)) = values.get(usize::from(*slot)) {
                    fields.iter().for_each(|(name, value)| add(name.clone(), value));
                }
            }
            RestFrom::Fields(fields) => {
                for (name, slot) in fields {
                    match values.get(usize::from(*slot)) {
                        None | Some(Value::Missing) => {}
                        Some(value) => add(Text::new(name), value),
                    }
                }
            }
        }
    }
    Value::map(all)
}

impl Side {
    fn compile(plan: &InputPlan, outer: bool, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        Ok(Self {
            name: plan.name,
            filter: plan.filter.as_ref().map(|filter| Filter::compile(filter, compiler)).transpose()?,
            by: Vec::new(),
            buckets: Vec::new(),
            all: List::EMPTY,
            outer,
        })
    }

    fn accepts(&self, row: &Row, env: &mut Env) -> Result<bool, Failure> {
        match &self.filter {
            None => Ok(true),
            Some(filter) => filter.keeps(row, env).map_err(|fault| fault.at("where")),
        }
    }
}

/// Whether equalities lead from each side to every other one.
fn is_connected(sides: usize, equalities: &[[(usize, usize); 2]]) -> bool {
    let mut reached: Vec<bool> = (0..sides).map(|side| side == 0).collect();
    // Each round reaches one more, or there is nothing more to reach.
    for _ in 0..sides {
        for [(a, _), (b, _)] in equalities {
            let either = reached[*a] || reached[*b];
            (reached[*a], reached[*b]) = (either, either);
        }
    }
    reached.into_iter().all(|reached| reached)
}

/// Puts an entry at the end of a list: of the list at `place` among the `lists` of each entry.
fn append(list: &mut List, entry: u32, links: &mut [Link], lists: usize, place: usize) {
    let before = std::mem::replace(&mut list.last, entry);
    let link = &mut links[entry as usize * lists + place];
    (link.before, link.behind) = (before, NONE);
    if before == NONE {
        list.first = entry;
    } else {
        links[before as usize * lists + place].behind = entry;
    }
}

/// Takes an entry out of a list.
fn remove(list: &mut List, entry: u32, links: &mut [Link], lists: usize, place: usize) {
    let Link { before, behind, .. } = links[entry as usize * lists + place];
    if before == NONE {
        list.first = behind;
    } else {
        links[before as usize * lists + place].behind = behind;
    }
    if behind == NONE {
        list.last = before;
    } else {
        links[behind as usize * lists + place].before = before;
    }
}
