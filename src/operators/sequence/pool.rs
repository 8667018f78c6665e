//! Where the runs of a sequence lie: events, captures and runs in three pools, each place used again once
//! nothing refers to it.
//!
//! An event that several runs capture is held once. What a run has captured for a step is a list from the
//! newest event back; a copied run shares the list of its original and grows it separately from there on, so
//! copying costs one count per step.

use crate::event::{Pieces, Row, Snapshot, SnapshotError, SnapshotReader};

use super::super::kept::Unsaved;

/// No place.
pub(super) const NONE: u32 = u32::MAX;
/// The arrival of a run that has ended.
const NOBODY: u64 = u64::MAX;

/// What a run has captured for one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Captured {
    /// The first event.
    pub(super) first: u32,
    /// The last event.
    pub(super) last: u32,
    /// How many there are.
    pub(super) count: u32,
    /// The link of the last event.
    link: u32,
}

impl Captured {
    pub(super) const NOTHING: Self = Self { first: NONE, last: NONE, count: 0, link: NONE };

    /// A selection of what was captured: it refers to events that a run holds.
    pub(super) fn picked(events: &[u32]) -> Self {
        match (events.first(), events.last()) {
            (Some(&first), Some(&last)) => Self { first, last, count: events.len() as u32, link: NONE },
            _ => Self::NOTHING,
        }
    }
}

/// A run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// The last step for which it has captured something.
    pub(super) at: usize,
    /// The place of its first event among all that have started a run.
    pub(super) arrival: u64,
    /// The last time at which it can capture something.
    pub(super) end_ns: i64,
    /// Events that it has captured.
    pub(super) events: usize,
    /// Whether it takes nothing any more, and waits for its end only.
    pub(super) closed: bool,
    /// The number of its key.
    pub(super) key: u32,
    /// Where it stands among those that wait, if runs are found by what they wait for.
    pub(super) bucket: u32,
}

#[derive(Debug)]
struct Held {
    row: Row,
    references: u32,
}

#[derive(Debug)]
struct Link {
    event: u32,
    before: u32,
    references: u32,
}

#[derive(Debug)]
pub(super) struct Pool {
    steps: usize,
    events: Vec<Held>,
    free_events: Vec<u32>,
    links: Vec<Link>,
    free_links: Vec<u32>,
    runs: Vec<Run>,
    free_runs: Vec<u32>,
    /// For each run, what it has captured, step by step.
    captured: Vec<Captured>,
    /// What of them is still to be written into a checkpoint.
    unsaved: UnsavedPool,
}

#[derive(Debug, Default)]
struct UnsavedPool {
    events: Unsaved,
    links: Unsaved,
    /// Runs, with what they have captured.
    runs: Unsaved,
}

impl Pool {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            steps,
            events: Vec::new(),
            free_events: Vec::new(),
            links: Vec::new(),
            free_links: Vec::new(),
            runs: Vec::new(),
            free_runs: Vec::new(),
            captured: Vec::new(),
            unsaved: UnsavedPool::default(),
        }
    }

    /// An event, to be changed.
    #[inline]
    fn change_event(&mut self, number: u32) -> &mut Held {
        let event = &mut self.events[number as usize];
        self.unsaved.events.before_change(number as usize, |out| event.write_at(number as usize, out));
        event
    }

    /// A link, to be changed.
    #[inline]
    fn change_link(&mut self, number: u32) -> &mut Link {
        let link = &mut self.links[number as usize];
        self.unsaved.links.before_change(number as usize, |out| link.write_at(number as usize, out));
        link
    }

    /// A run and what it has captured, to be changed.
    #[inline]
    fn change_run(&mut self, number: u32) -> (&mut Run, &mut [Captured]) {
        let Self { runs, captured, steps, unsaved, .. } = self;
        let at = number as usize;
        let (run, captured) = (&mut runs[at], &mut captured[at * *steps..][..*steps]);
        unsaved.runs.before_change(at, |out| run.write_at(at, captured, out));
        (run, captured)
    }

    /// Events that are held.
    pub(super) fn events(&self) -> usize {
        self.events.len() - self.free_events.len()
    }

    /// Runs that are open.
    pub(super) fn runs(&self) -> usize {
        self.runs.len() - self.free_runs.len()
    }

    /// Holds a copy of `row` until it is released.
    pub(super) fn hold(&mut self, row: &Row) -> u32 {
        if let Some(free) = self.free_events.pop() {
            let held = self.change_event(free);
            held.row.clone_from(row);
            held.references = 1;
            return free;
        }
        self.events.push(Held { row: row.clone(), references: 1 });
        (self.events.len() - 1) as u32
    }

    pub(super) fn release(&mut self, event: u32) {
        let held = self.change_event(event);
        held.references -= 1;
        if held.references == 0 {
            // So that no shared value lives on in a free place.
            held.row.clear();
            self.free_events.push(event);
        }
    }

    pub(super) fn row(&self, event: u32) -> &Row {
        &self.events[event as usize].row
    }

    /// A run that has captured nothing.
    pub(super) fn start(&mut self, arrival: u64, end_ns: i64, key: usize) -> u32 {
        let key = key as u32;
        self.place(Run { at: 0, arrival, end_ns, events: 0, closed: false, key, bucket: NONE })
    }

    fn place(&mut self, run: Run) -> u32 {
        if let Some(free) = self.free_runs.pop() {
            *self.change_run(free).0 = run;
            return free;
        }
        self.runs.push(run);
        self.captured.resize(self.runs.len() * self.steps, Captured::NOTHING);
        (self.runs.len() - 1) as u32
    }

    pub(super) fn run(&self, run: u32) -> &Run {
        &self.runs[run as usize]
    }

    /// A run takes nothing any more.
    pub(super) fn close(&mut self, run: u32) {
        self.change_run(run).0.closed = true;
    }

    /// The number of a run's key is another one.
    pub(super) fn set_key(&mut self, run: u32, key: u32) {
        self.change_run(run).0.key = key;
    }

    /// A run waits in another bucket. No checkpoint says where it does.
    pub(super) fn set_bucket(&mut self, run: u32, bucket: u32) {
        self.runs[run as usize].bucket = bucket;
    }

    /// Whether `run` is still the one that was started by that event.
    pub(super) fn is_open(&self, run: u32, arrival: u64) -> bool {
        self.runs[run as usize].arrival == arrival
    }

    /// What a run has captured, step by step.
    pub(super) fn captured(&self, run: u32) -> &[Captured] {
        let from = run as usize * self.steps;
        &self.captured[from..from + self.steps]
    }

    /// Adds an event to what a run has captured for a step.
    pub(super) fn capture(&mut self, run: u32, step: usize, event: u32) {
        self.change_event(event).references += 1;
        // The reference that the run had to the link before is the new link's from here on.
        let link = Link { event, before: self.captured(run)[step].link, references: 1 };
        let number = if let Some(free) = self.free_links.pop() {
            *self.change_link(free) = link;
            free
        } else {
            self.links.push(link);
            (self.links.len() - 1) as u32
        };
        let (run, captured) = self.change_run(run);
        let place = &mut captured[step];
        place.link = number;
        place.last = event;
        if place.count == 0 {
            place.first = event;
        }
        place.count += 1;
        run.at = step;
        run.events += 1;
    }

    /// A second run that has captured what `run` has.
    pub(super) fn copy(&mut self, run: u32) -> u32 {
        let copy = self.place(self.runs[run as usize]);
        for step in 0..self.steps {
            let captured = self.captured(run)[step];
            if captured.link != NONE {
                self.change_link(captured.link).references += 1;
            }
            self.change_run(copy).1[step] = captured;
        }
        copy
    }

    /// Ends a run.
    pub(super) fn end(&mut self, run: u32) {
        for step in 0..self.steps {
            let mut link = std::mem::replace(&mut self.change_run(run).1[step], Captured::NOTHING).link;
            while link != NONE {
                let shared = self.change_link(link);
                shared.references -= 1;
                if shared.references > 0 {
                    break;
                }
                let (event, before) = (shared.event, shared.before);
                self.free_links.push(link);
                self.release(event);
                link = before;
            }
        }
        self.change_run(run).0.arrival = NOBODY;
        self.free_runs.push(run);
    }

    /// Puts the events of a step into `list`, first to last.
    pub(super) fn list(&self, captured: &Captured, list: &mut Vec<u32>) {
        list.clear();
        let mut link = captured.link;
        while link != NONE {
            let Link { event, before, .. } = &self.links[link as usize];
            list.push(*event);
            link = *before;
        }
        list.reverse();
    }
}

impl Snapshot for Captured {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { first, last, count, link } = self;
        for number in [first, last, count, link] {
            number.write(out);
        }
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let (first, last) = (Snapshot::read(from)?, Snapshot::read(from)?);
        Ok(Self { first, last, count: Snapshot::read(from)?, link: Snapshot::read(from)? })
    }
}

impl Snapshot for Run {
    fn write(&self, out: &mut Vec<u8>) {
        // Where it waits is found out anew.
        let Self { at, arrival, end_ns, events, closed, key, bucket: _ } = self;
        at.write(out);
        arrival.write(out);
        end_ns.write(out);
        events.write(out);
        closed.write(out);
        key.write(out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let (at, arrival) = (Snapshot::read(from)?, Snapshot::read(from)?);
        let (end_ns, events) = (Snapshot::read(from)?, Snapshot::read(from)?);
        let (closed, key) = (Snapshot::read(from)?, Snapshot::read(from)?);
        Ok(Self { at, arrival, end_ns, events, closed, key, bucket: NONE })
    }
}

impl Snapshot for Held {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { row, references } = self;
        references.write(out);
        if *references > 0 {
            row.write(out);
        }
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let references = u32::read(from)?;
        Ok(Self { row: if references > 0 { Row::read(from)? } else { Row::new(0, 0, 0) }, references })
    }
}

impl Snapshot for Link {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { event, before, references } = self;
        for number in [event, before, references] {
            number.write(out);
        }
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let (event, before) = (Snapshot::read(from)?, Snapshot::read(from)?);
        Ok(Self { event, before, references: Snapshot::read(from)? })
    }
}

impl Held {
    fn write_at(&self, number: usize, out: &mut Vec<u8>) {
        if self.references > 0 {
            number.write(out);
            self.write(out);
        }
    }
}

impl Link {
    fn write_at(&self, number: usize, out: &mut Vec<u8>) {
        if self.references > 0 {
            number.write(out);
            self.write(out);
        }
    }
}

impl Run {
    fn is_over(&self) -> bool {
        self.arrival == NOBODY
    }

    fn write_at(&self, number: usize, captured: &[Captured], out: &mut Vec<u8>) {
        if !self.is_over() {
            number.write(out);
            self.write(out);
            for captured in captured {
                captured.write(out);
            }
        }
    }
}

/// Old numbers of things that have been put together anew; the place of each is its new number.
pub(super) struct Places(Vec<u32>);

impl Places {
    /// The new number; that of nothing stays.
    pub(super) fn of(&self, number: u32) -> Option<u32> {
        if number == NONE {
            return Some(NONE);
        }
        self.0.binary_search(&number).ok().map(|place| place as u32)
    }
}

/// Things refer to each other by their numbers, which will be others: free ones are not written.
impl Pool {
    /// Begins to write all of it, as it is now.
    pub(super) fn save(&mut self, out: &mut Vec<u8>) {
        let (events, links, runs) = (self.events.len(), self.links.len(), self.runs.len());
        let counts = [self.events(), links - self.free_links.len(), self.runs()];
        for count in counts {
            count.write(out);
        }
        let UnsavedPool { events: of_events, links: of_links, runs: of_runs } = &mut self.unsaved;
        of_events.begin(events);
        of_links.begin(links);
        of_runs.begin(runs);
    }

    /// Writes more of it.
    pub(super) fn save_more(&mut self, pieces: &mut Pieces) {
        let Self { steps, events, links, runs, captured, unsaved, .. } = self;
        unsaved.events.save_more(pieces, |number, out| events[number].write_at(number, out));
        unsaved.links.save_more(pieces, |number, out| links[number].write_at(number, out));
        unsaved.runs.save_more(pieces, |number, out| {
            runs[number].write_at(number, &captured[number * *steps..][..*steps], out);
        });
    }

    /// Takes it up. Gives back the numbers that runs had.
    pub(super) fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<Places, SnapshotError> {
        let steps = self.steps;
        let nowhere = from.error("runs of a sequence");
        let counts: [usize; 3] = [Snapshot::read(from)?, Snapshot::read(from)?, Snapshot::read(from)?];
        let (events, held) = part(from, Held::read)?;
        let (links, mut linked) = part(from, Link::read)?;
        let (places, runs) = part(from, |from| {
            let run = Run::read(from)?;
            let captured = (0..steps).map(|_| Captured::read(from)).collect::<Result<Vec<_>, _>>()?;
            Ok((run, captured))
        })?;
        if counts != [held.len(), linked.len(), runs.len()] {
            return Err(nowhere);
        }
        for Link { event, before, references: _ } in &mut linked {
            *event = events.of(*event).filter(|event| *event != NONE).ok_or(nowhere)?;
            *before = links.of(*before).ok_or(nowhere)?;
        }
        for (run, captured) in runs {
            for mut captured in captured {
                let Captured { first, last, count, link } = &mut captured;
                for event in [first, last] {
                    *event = events.of(*event).ok_or(nowhere)?;
                }
                *link = links.of(*link).ok_or(nowhere)?;
                if (*count == 0) != (captured.link == NONE)
                    || (captured.count == 0) != (captured.last == NONE)
                {
                    return Err(nowhere);
                }
                self.captured.push(captured);
            }
            if run.at >= steps {
                return Err(nowhere);
            }
            self.runs.push(run);
        }
        (self.events, self.links) = (held, linked);
        Ok(places)
    }

    /// All runs that are open, in order of their first events.
    pub(super) fn by_arrival(&self) -> Vec<u32> {
        let mut runs: Vec<u32> =
            (0..self.runs.len() as u32).filter(|&run| !self.run(run).is_over()).collect();
        runs.sort_by_key(|&run| self.run(run).arrival);
        runs
    }
}

/// The things of the next part, by their numbers, and what those were.
fn part<T>(
    from: &mut SnapshotReader<'_>,
    read: impl Fn(&mut SnapshotReader<'_>) -> Result<T, SnapshotError>,
) -> Result<(Places, Vec<T>), SnapshotError> {
    let mut things: Vec<(u32, T)> = Vec::new();
    for piece in from.next_part() {
        let mut piece = SnapshotReader::new(piece);
        while !piece.is_at_end() {
            things.push((u32::read(&mut piece)?, read(&mut piece)?));
        }
    }
    things.sort_by_key(|(number, _)| *number);
    let (numbers, things) = things.into_iter().unzip();
    Ok((Places(numbers), things))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copies_share_is_let_go_of_with_the_last_of_them() {
        let mut pool = Pool::new(2);
        let [first, second, third] = [1, 2, 3].map(|time_ns| pool.hold(&Row::new(0, time_ns, 0)));
        let run = pool.start(0, 0, 0);
        pool.capture(run, 0, first);
        pool.capture(run, 1, second);
        let copy = pool.copy(run);
        pool.capture(copy, 1, third);
        for event in [first, second, third] {
            pool.release(event);
        }
        let mut list = Vec::new();
        pool.list(&pool.captured(run)[1], &mut list);
        assert_eq!(list, [second]);
        pool.end(run);
        pool.list(&pool.captured(copy)[1], &mut list);
        assert_eq!(list, [second, third]);
        assert_eq!((pool.events(), pool.runs()), (3, 1));
        pool.end(copy);
        assert_eq!((pool.events(), pool.runs()), (0, 0));
    }
}
