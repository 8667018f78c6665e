//! A set of CPU numbers and the text form in which Linux writes it (`0-3,8`).

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// A set of CPUs by the operating system's numbers.
///
/// ```
/// use varpin::cores::CpuSet;
/// let cpus: CpuSet = "0-1,6".parse().unwrap();
/// assert_eq!(cpus.iter().collect::<Vec<_>>(), [0, 1, 6]);
/// assert_eq!(cpus.to_string(), "0-1,6");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuSet {
    /// Ascending, no number twice.
    cpus: Vec<usize>,
}

impl CpuSet {
    /// Linux supports at most this many CPUs; a list that names a higher one is malformed.
    pub const MAX_CPUS: usize = 1 << 16;

    /// True if `cpu` is in the set.
    pub fn contains(&self, cpu: usize) -> bool {
        self.cpus.binary_search(&cpu).is_ok()
    }

    /// How many CPUs the set has.
    pub fn len(&self) -> usize {
        self.cpus.len()
    }

    /// True if the set has no CPU.
    pub fn is_empty(&self) -> bool {
        self.cpus.is_empty()
    }

    /// The CPUs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.cpus.iter().copied()
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        let mut cpus: Vec<usize> = cpus.into_iter().collect();
        cpus.sort_unstable();
        cpus.dedup();
        Self { cpus }
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.cpus.chunk_by(|a, b| a + 1 == *b);
        for (index, run) in runs.enumerate() {
            let separator = if index == 0 { "" } else { "," };
            match run {
                [first, .., last] => write!(f, "{separator}{first}-{last}")?,
                [only] => write!(f, "{separator}{only}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

/// A text that is no list of CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCpuList(String);

impl fmt::Display for BadCpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no list of CPUs such as 0-3,8", self.0)
    }
}

impl Error for BadCpuList {}

impl FromStr for CpuSet {
    type Err = BadCpuList;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let bad = || BadCpuList(text.to_owned());
        let number =
            |digits: &str| digits.parse().ok().filter(|&cpu: &usize| cpu < Self::MAX_CPUS).ok_or_else(bad);
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            // Each part may add at most as many as there can be, and so may the whole list.
            if first > last || cpus.len() + (last - first) >= Self::MAX_CPUS {
                return Err(bad());
            }
            cpus.extend(first..=last);
        }
        Ok(cpus.into_iter().collect())
    }
}
