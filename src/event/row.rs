//! A row: one event on its way, with its fields in slots. Up to eight fields travel in place.
//!
//! Layout: 32 bytes of header, then eight slots of 16 bytes, aligned to 32. Only the slots in use are ever copied, so a
//! four-field event moves 96 bytes, and since rows lie 160 bytes apart at multiples of 32, those 96 bytes always lie
//! within two cache lines of 64. A wider row keeps its values in one shared allocation behind slot 0.
#![allow(unsafe_code)] // slots behind `len` are not initialised: that is what makes copying a prefix enough

use std::fmt;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

use super::Value;

/// How many fields a row holds without an allocation.
pub const INLINE_FIELDS: usize = 8;

/// What a row is on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// An event.
    Event = 0,
    /// No event: everything with this sequence number or a smaller one has been sent.
    Progress = 1,
    /// No event: the watermark of the stream that a pool runs has come as far as the row's time.
    Watermark = 2,
    /// No event: live, the clock has come to the row's time. It stands behind all else with its sequence number.
    Clock = 3,
    /// No event: from here on a pool has another number of workers. Everything with this sequence number or a smaller
    /// one has been sent.
    Resize = 4,
    /// No event: the barrier of a checkpoint. Everything with this sequence number or a smaller one has been sent.
    Checkpoint = 5,
}

/// Set where some slot holds a value behind a pointer, so that copying and dropping need more than bytes.
const SHARED: u8 = 1;
/// Set where slot 0 holds an array with all values, because there are more than `INLINE_FIELDS`.
const WIDE: u8 = 2;

/// One event: where it belongs (type, sequence number, rank), its time, and its fields by slot.
///
/// ```
/// use varpin::event::{Row, Value};
/// let mut row = Row::new(3, 1_000_000_000, 2);
/// row.set(0, Value::Int(7));
/// assert!(matches!(row.get(0), Value::Int(7)));
/// assert!(row.get(1).is_missing());
/// ```
#[repr(C, align(32))]
pub struct Row {
    seq: u64,
    time_ns: i64,
    type_id: u32,
    rank: u16,
    len: u16,
    flags: u8,
    signal: Signal,
    /// Which input of its stream an event takes; free for the engine's use.
    lane: u16,
    /// Free for the engine's use: when the event was due, for latency samples.
    stamp: u32,
    /// `slots[..used]` are initialised, where `used` is `len`, or 1 if the row is wide.
    slots: [MaybeUninit<Value>; INLINE_FIELDS],
}

const _: () = assert!(size_of::<Row>() == 160);

impl Row {
    /// The time of an event that brings none and gets the clock's when it enters a live engine.
    pub const UNTIMED: i64 = i64::MIN;

    /// A row of `fields` slots without values, for an event of type `type_id` at `time_ns` since the epoch.
    #[inline]
    pub fn new(type_id: u32, time_ns: i64, fields: usize) -> Self {
        let mut row = Self::header(type_id, time_ns);
        if fields <= INLINE_FIELDS {
            for slot in &mut row.slots[..fields] {
                slot.write(Value::Missing);
            }
        } else {
            row.slots[0].write(Value::array(vec![Value::Missing; fields]));
            row.flags = SHARED | WIDE;
        }
        row.len = fields as u16;
        row
    }

    /// Makes this row what [`Row::new`] gives, in its place: a caller that reads event after event into one row
    /// copies none.
    #[inline]
    pub fn reset(&mut self, type_id: u32, time_ns: i64, fields: usize) {
        if self.flags != 0 || fields > INLINE_FIELDS {
            *self = Self::new(type_id, time_ns, fields);
            return;
        }
        // No value is shared, so none of the old ones needs to be dropped. All slots are written, because a loop over a
        // number known only at run time takes longer.
        self.slots = [const { MaybeUninit::new(Value::Missing) }; INLINE_FIELDS];
        self.seq = 0;
        self.time_ns = time_ns;
        self.type_id = type_id;
        self.rank = 0;
        self.len = fields as u16;
        self.signal = Signal::Event;
        self.lane = 0;
        self.stamp = 0;
    }

    /// A row that holds `values` in order.
    pub fn with_values(type_id: u32, time_ns: i64, values: &[Value]) -> Self {
        let mut row = Self::new(type_id, time_ns, values.len());
        for (slot, value) in values.iter().enumerate() {
            row.set(slot, value.clone());
        }
        row
    }

    /// The signal that everything up to `seq` has been sent.
    pub fn progress(seq: u64) -> Self {
        let mut row = Self::header(0, 0);
        row.seq = seq;
        row.signal = Signal::Progress;
        row
    }

    /// The signal that the clock has come to `now_ns`, which is an input of its own with the number `seq`.
    pub fn clock(seq: u64, now_ns: i64) -> Self {
        let mut row = Self::header(0, now_ns);
        row.seq = seq;
        row.rank = u16::MAX;
        row.signal = Signal::Clock;
        row
    }

    /// The signal that a pool has another number of workers, behind everything with this sequence number, when the
    /// stream's watermark has come to `watermark_ns`.
    pub fn resize(seq: u64, watermark_ns: i64) -> Self {
        let mut row = Self::header(0, watermark_ns);
        row.seq = seq;
        row.signal = Signal::Resize;
        row
    }

    /// The barrier of the checkpoint with this number, behind everything with this sequence number.
    pub fn checkpoint(seq: u64, checkpoint: u64) -> Self {
        let mut row = Self::header(0, checkpoint as i64);
        row.seq = seq;
        row.rank = u16::MAX;
        row.signal = Signal::Checkpoint;
        row
    }

    /// The signal that a stream's watermark has come to `watermark_ns`, by the event with this sequence number.
    pub fn watermark(seq: u64, watermark_ns: i64) -> Self {
        let mut row = Self::header(0, watermark_ns);
        row.seq = seq;
        row.signal = Signal::Watermark;
        row
    }

    #[inline]
    fn header(type_id: u32, time_ns: i64) -> Self {
        Self {
            seq: 0,
            time_ns,
            type_id,
            rank: 0,
            len: 0,
            flags: 0,
            signal: Signal::Event,
            lane: 0,
            stamp: 0,
            slots: [const { MaybeUninit::uninit() }; INLINE_FIELDS],
        }
    }

    /// The sequence number: that of the input event which this one comes from.
    #[inline]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Sets the sequence number.
    #[inline]
    pub fn set_seq(&mut self, seq: u64) {
        self.seq = seq;
    }

    /// Event time in nanoseconds since the epoch.
    #[inline]
    pub fn time_ns(&self) -> i64 {
        self.time_ns
    }

    /// Sets the event time.
    #[inline]
    pub fn set_time_ns(&mut self, time_ns: i64) {
        self.time_ns = time_ns;
    }

    /// The name (event type or stream) that this row travels under; an index into the plan's names.
    #[inline]
    pub fn type_id(&self) -> u32 {
        self.type_id
    }

    /// Sets the name.
    #[inline]
    pub fn set_type_id(&mut self, type_id: u32) {
        self.type_id = type_id;
    }

    /// The rank of the producer: 0 for an input, 1 + the stream's place in topological order otherwise.
    #[inline]
    pub fn rank(&self) -> u16 {
        self.rank
    }

    /// Sets the rank of the producer.
    #[inline]
    pub fn set_rank(&mut self, rank: u16) {
        self.rank = rank;
    }

    /// The engine's own small tag.
    #[inline]
    pub fn lane(&self) -> u16 {
        self.lane
    }

    /// Sets the engine's own small tag.
    #[inline]
    pub fn set_lane(&mut self, lane: u16) {
        self.lane = lane;
    }

    /// The latency stamp.
    #[inline]
    pub fn stamp(&self) -> u32 {
        self.stamp
    }

    /// Sets the latency stamp.
    #[inline]
    pub fn set_stamp(&mut self, stamp: u32) {
        self.stamp = stamp;
    }

    /// What it is: an event or a signal.
    #[inline]
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// How many slots it has.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether it has no slot.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values by slot.
    #[inline]
    pub fn values(&self) -> &[Value] {
        if self.flags & WIDE == 0 {
            // SAFETY: `slots[..len]` are initialised where the row is not wide; every constructor and `set` keep that.
            unsafe { &*(ptr::from_ref(&self.slots[..usize::from(self.len)]) as *const [Value]) }
        } else {
            self.wide()
        }
    }

    #[cold]
    fn wide(&self) -> &[Value] {
        // SAFETY: a wide row's slot 0 is initialised by `new`, the only place that sets WIDE.
        match unsafe { self.slots[0].assume_init_ref() } {
            Value::Array(values) => values,
            _ => unreachable!("slot 0 of a wide row is written by `new` alone, with an array"),
        }
    }

    /// The value in `slot`.
    ///
    /// # Panics
    /// If the row has no such slot.
    #[inline]
    pub fn get(&self, slot: usize) -> &Value {
        &self.values()[slot]
    }

    /// Puts `value` into `slot`.
    ///
    /// # Panics
    /// If the row has no such slot.
    #[inline]
    pub fn set(&mut self, slot: usize, value: Value) {
        let len = usize::from(self.len);
        if self.flags == 0 {
            // No value is shared, so the old one needs no drop.
            if value.is_shared() {
                self.flags = SHARED;
            }
            self.slots[..len][slot].write(value);
        } else {
            self.set_shared(slot, value);
        }
    }

    #[inline(never)]
    fn set_shared(&mut self, slot: usize, value: Value) {
        if self.flags & WIDE != 0 {
            return self.set_wide(slot, value);
        }
        let len = usize::from(self.len);
        // SAFETY: the slots below `len` are initialised (see `values`), so the assignment drops a real old value.
        unsafe {
            *self.slots[..len][slot].assume_init_mut() = value;
        }
    }

    #[cold]
    fn set_wide(&mut self, slot: usize, value: Value) {
        // SAFETY: as in `wide`.
        match unsafe { self.slots[0].assume_init_mut() } {
            Value::Array(values) => Arc::make_mut(values)[slot] = value,
            _ => unreachable!("slot 0 of a wide row is written by `new` alone, with an array"),
        }
    }

    /// Adds a slot with a copy of `value`: cheaper than making the slot first and setting it then.
    ///
    /// ```
    /// use varpin::event::{Row, Value};
    /// let mut row = Row::new(3, 0, 0);
    /// row.push(&Value::Int(7));
    /// assert!(matches!(row.values(), [Value::Int(7)]));
    /// ```
    #[inline]
    pub fn push(&mut self, value: &Value) {
        let len = usize::from(self.len);
        if len >= INLINE_FIELDS {
            return self.push_wide(value);
        }
        if value.is_shared() {
            self.flags |= SHARED;
            self.slots[len].write(value.clone());
        } else {
            // SAFETY: a value that is not shared owns nothing, so a copy of its bytes is a copy of it; both are whole
            // values, and `self` is exclusive, so they do not overlap.
            unsafe { ptr::copy_nonoverlapping(ptr::from_ref(value), self.slots[len].as_mut_ptr(), 1) };
        }
        // A row below INLINE_FIELDS slots is not wide, so `slots[..len]` were initialised, and now one more is.
        self.len += 1;
    }

    #[cold]
    fn push_wide(&mut self, value: &Value) {
        let mut values = self.values().to_vec();
        values.push(value.clone());
        let mut wide = Self::new(self.type_id, self.time_ns, values.len());
        wide.seq = self.seq;
        wide.rank = self.rank;
        wide.signal = self.signal;
        wide.lane = self.lane;
        wide.stamp = self.stamp;
        for (slot, value) in values.into_iter().enumerate() {
            wide.set(slot, value);
        }
        *self = wide;
    }

    /// How many slots are initialised.
    #[inline]
    fn used(&self) -> usize {
        if self.flags & WIDE == 0 { usize::from(self.len) } else { 1 }
    }

    /// Copies this row into `place`, moving no byte behind the last slot in use.
    #[inline]
    pub fn clone_into<'a>(&self, place: &'a mut MaybeUninit<Self>) -> &'a mut Self {
        let target = place.as_mut_ptr();
        if self.flags & SHARED == 0 {
            let bytes = size_of::<Self>() - size_of::<[Value; INLINE_FIELDS]>()
                + usize::from(self.len) * size_of::<Value>();
            // SAFETY: both are rows, so `bytes` (header and initialised slots, at most the size of a row) is in
            // bounds of both; `place` is exclusive, so they do not overlap. No value is shared (SHARED is clear), so
            // a copy of the bytes is a copy of the values. Slots behind `len` stay uninitialised, as the layout allows.
            unsafe {
                ptr::copy_nonoverlapping(ptr::from_ref(self).cast::<u8>(), target.cast::<u8>(), bytes);
            }
        } else {
            place.write(self.clone_shared());
        }
        // SAFETY: both branches have initialised the header and the slots that it speaks of.
        unsafe { place.assume_init_mut() }
    }

    #[cold]
    fn clone_shared(&self) -> Self {
        let mut copy = Self::header(self.type_id, self.time_ns);
        copy.seq = self.seq;
        copy.rank = self.rank;
        copy.len = self.len;
        copy.flags = self.flags;
        copy.signal = self.signal;
        copy.lane = self.lane;
        copy.stamp = self.stamp;
        for (to, from) in copy.slots[..self.used()].iter_mut().zip(&self.slots) {
            // SAFETY: the first `used` slots of `self` are initialised.
            to.write(unsafe { from.assume_init_ref() }.clone());
        }
        copy
    }
}

impl Clone for Row {
    #[inline]
    fn clone(&self) -> Self {
        let mut copy = MaybeUninit::uninit();
        self.clone_into(&mut copy);
        // SAFETY: `clone_into` initialises it.
        unsafe { copy.assume_init() }
    }

    /// Makes this row a copy of `source` where it lies.
    #[inline]
    fn clone_from(&mut self, source: &Self) {
        self.clear();
        // SAFETY: a row is a valid `MaybeUninit` of one, and nothing but `clone_into` writes to it, which leaves a
        // whole row behind. What was here before needs no drop, because it has no slots any more.
        let place = unsafe { &mut *ptr::from_mut(self).cast::<MaybeUninit<Self>>() };
        source.clone_into(place);
    }
}

impl Value {
    /// Makes this a copy of `source`: what `clone_from` does, but copies bytes where nothing is shared.
    #[inline]
    pub(crate) fn assign(&mut self, source: &Self) {
        if self.is_shared() || source.is_shared() {
            self.clone_from(source);
        } else {
            // SAFETY: a value that is not shared owns nothing, so a copy of the bytes of `source` is a copy of it, and
            // what was here needs no drop; both are whole values, and `self` is exclusive, so they do not overlap.
            unsafe { ptr::copy_nonoverlapping(ptr::from_ref(source), ptr::from_mut(self), 1) };
        }
    }
}

impl Drop for Row {
    #[inline]
    fn drop(&mut self) {
        if self.flags & SHARED != 0 {
            self.drop_shared();
        }
    }
}

impl Row {
    /// Lets go of its values: it has no slots any more.
    #[inline]
    pub fn clear(&mut self) {
        if self.flags & SHARED != 0 {
            self.drop_shared();
        }
        self.flags = 0;
        self.len = 0;
    }

    /// Out of line: what most rows never need should not lie in every loop that drops one.
    #[cold]
    #[inline(never)]
    fn drop_shared(&mut self) {
        for slot in 0..self.used() {
            // SAFETY: the first `used` slots are initialised, and nobody reads them afterwards: `drop` and `clear`,
            // which are all that call this, leave no row or none with slots.
            unsafe { self.slots[slot].assume_init_drop() };
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("seq", &self.seq)
            .field("rank", &self.rank)
            .field("type_id", &self.type_id)
            .field("time_ns", &self.time_ns)
            .field("signal", &self.signal)
            .field("values", &self.values())
            .finish_non_exhaustive()
    }
}
