//! Things with numbers that are written into a checkpoint little by little while they go on changing: what is about
//! to change and has not been written yet is written before.
//!
//! So what is written is what there was when the save began, whatever happens meanwhile. Where nothing is being saved
//! a change costs one comparison.

use crate::event::Pieces;

/// What is written early goes into blocks of this size, so that none is copied to grow.
const BLOCK_BYTES: usize = 1 << 14;
/// Bits of a word.
const BITS: usize = u64::BITS as usize;

/// Of things with numbers: which are still to be written.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// Those below are part of the save under way; 0 where there is none.
    end: usize,
    /// Those below have been written.
    next: usize,
    /// For each one whether it was written early. All are clear where there is no save.
    early: Vec<u64>,
    /// What was written early.
    blocks: Vec<Vec<u8>>,
}

impl Unsaved {
    /// All below `len`, as they are now, are to be written.
    pub(super) fn begin(&mut self, len: usize) {
        if self.end > 0 {
            // One that was never ended: nobody wants it any more.
            self.early.fill(0);
        }
        self.blocks.clear();
        (self.end, self.next) = (len, 0);
        if self.early.len() * BITS < len {
            self.early.resize(len.div_ceil(BITS), 0);
        }
    }

    /// To be called before a thing changes: `write` appends it as it is, or nothing, where its number is free.
    #[inline]
    pub(super) fn before_change(&mut self, number: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if number < self.end {
            self.write_early(number, write);
        }
    }

    #[cold]
    fn write_early(&mut self, number: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let (word, bit) = (number / BITS, 1 << (number % BITS));
        if number < self.next || self.early[word] & bit != 0 {
            return;
        }
        self.early[word] |= bit;
        if self.blocks.last().is_none_or(|block| block.len() >= BLOCK_BYTES) {
            // An item more fits behind the last.
            self.blocks.push(Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 8));
        }
        let block = self.blocks.len() - 1;
        write(&mut self.blocks[block]);
    }

    /// Writes more, as one part: `write` appends a thing, or nothing, where its number is free.
    pub(super) fn save_more(&mut self, pieces: &mut Pieces, mut write: impl FnMut(usize, &mut Vec<u8>)) {
        pieces.part(|out| {
            if self.end > 0 {
                let (word, bit) = (self.next / BITS, 1 << (self.next % BITS));
                if self.early[word] & bit == 0 {
                    write(self.next, out);
                }
                self.early[word] &= !bit;
                self.next += 1;
                if self.next == self.end {
                    (self.end, self.next) = (0, 0);
                }
            } else if let Some(block) = self.blocks.pop() {
                out.extend_from_slice(&block);
            }
            self.end > 0 || !self.blocks.is_empty()
        });
    }
}

/// Something that has a number as long as it is not free.
pub(super) trait Item {
    /// Appends it, which has this number; nothing, where it is free.
    fn write(&self, number: usize, out: &mut Vec<u8>);
}

/// Things with numbers. Nobody can change one but through [`change`](Self::change), which sees to it that it has been
/// written.
#[derive(Debug)]
pub(super) struct Kept<T> {
    items: Vec<T>,
    unsaved: Unsaved,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { items: Vec::new(), unsaved: Unsaved::default() }
    }
}

impl<T: Item> Kept<T> {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn reserve(&mut self, more: usize) {
        self.items.reserve(more);
    }

    /// Forgets all of them. Not for what is being saved.
    pub(super) fn clear(&mut self) {
        debug_assert!(self.unsaved.end == 0, "what is saved is not cleared");
        self.items.clear();
    }

    /// Adds one: it has the next number, and is in no save that is under way.
    pub(super) fn push(&mut self, item: T) {
        self.items.push(item);
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&T> {
        self.items.get(number)
    }

    /// One that is going to be changed.
    #[inline]
    pub(super) fn change(&mut self, number: usize) -> &mut T {
        let item = &mut self.items[number];
        self.unsaved.before_change(number, |out| item.write(number, out));
        item
    }

    /// All that are there now are to be written as they are now.
    pub(super) fn begin_save(&mut self) {
        self.unsaved.begin(self.items.len());
    }

    /// Writes more of them, as one part.
    pub(super) fn save_more(&mut self, pieces: &mut Pieces) {
        let items = &self.items;
        self.unsaved.save_more(pieces, |number, out| items[number].write(number, out));
    }
}

impl<T> std::ops::Index<usize> for Kept<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: usize) -> &T {
        &self.items[number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Snapshot, SnapshotReader, parts_of};

    /// A number, and none where it is free.
    impl Item for Option<(u64, u64)> {
        fn write(&self, _number: usize, out: &mut Vec<u8>) {
            if let Some(item) = self {
                item.write(out);
            }
        }
    }

    /// Whatever is done between the slices, and however small they are, what is written is what there was.
    #[test]
    fn what_is_written_is_what_there_was_when_the_save_began() {
        let mut seed = 3_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut kept = Kept::default();
        let mut early = 0;
        for round in 0..500 {
            let was: Vec<_> = (0..kept.len()).filter_map(|number| kept[number]).collect();
            kept.begin_save();
            let mut pieces = Pieces::new();
            loop {
                for _ in 0..random(5) {
                    early += usize::from(!kept.unsaved.blocks.is_empty());
                    let item = (random(4) > 0).then(|| (round, random(1 << 40)));
                    match random(kept.len() as u64 + 2) as usize {
                        number if number < kept.len() => *kept.change(number) = item,
                        _ if kept.len() < 300 => kept.push(item),
                        _ => {}
                    }
                }
                pieces.begin_slice(1 + random(200) as usize);
                pieces.begin_stream(0);
                kept.save_more(&mut pieces);
                if !pieces.has_stopped() {
                    break;
                }
            }
            let bytes = pieces.take().concat();
            let mut written: Vec<(u64, u64)> = Vec::new();
            for piece in parts_of(&bytes, 1).unwrap()[0].iter().flatten() {
                let mut reader = SnapshotReader::new(piece);
                while !reader.is_at_end() {
                    written.push(Snapshot::read(&mut reader).unwrap());
                }
            }
            written.sort_unstable();
            let mut was = was;
            was.sort_unstable();
            assert_eq!(written, was);
        }
        assert!(early > 1000, "{early}: some were written early");
    }
}
