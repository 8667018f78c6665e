//! Which streams have rows waiting: a set of small numbers that gives the lowest one fast.

/// A set of stream places within a stage.
#[derive(Debug)]
pub(super) struct Dirty {
    words: Box<[u64]>,
    /// How many numbers are in it: mostly none, and then nothing need be looked at.
    count: usize,
}

impl Dirty {
    /// A set for the numbers below `len`.
    pub(super) fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)].into(), count: 0 }
    }

    #[inline]
    pub(super) fn insert(&mut self, at: usize) {
        let (word, bit) = (&mut self.words[at / 64], 1 << (at % 64));
        self.count += usize::from(*word & bit == 0);
        *word |= bit;
    }

    /// Whether no number is in it.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes out the lowest number below `end`.
    pub(super) fn pop_below(&mut self, end: usize) -> Option<usize> {
        for (index, word) in self.words.iter_mut().enumerate() {
            if *word != 0 {
                let at = index * 64 + word.trailing_zeros() as usize;
                if at >= end {
                    return None;
                }
                *word &= *word - 1;
                self.count -= 1;
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Dirty;

    #[test]
    fn lowest_first_and_not_beyond_the_end() {
        let mut dirty = Dirty::new(130);
        for at in [129, 3, 64, 3] {
            dirty.insert(at);
        }
        assert_eq!(dirty.pop_below(130), Some(3));
        assert_eq!(dirty.pop_below(64), None);
        assert_eq!(dirty.pop_below(65), Some(64));
        assert_eq!(dirty.pop_below(usize::MAX), Some(129));
        assert_eq!(dirty.pop_below(usize::MAX), None);
    }
}
