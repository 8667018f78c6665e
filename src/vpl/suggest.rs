//! "Did you mean": the known word that is nearest to a misspelt one.

/// The candidate that `word` most likely was meant to be, if one is near enough.
///
/// Near is up to one edit (insert, delete, replace, swap of neighbours) for every three characters, at least one; or
/// one word begins with the other (`wherever`, `part`), from three characters on. Ties go to the earlier candidate.
/// `word` itself is never suggested: who asks has found that it is wrong.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().collect();
    // A long word is no typo of anything, and the distance takes quadratic time.
    if word.is_empty() || word.len() > 64 {
        return None;
    }
    let allowed = (word.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other: Vec<char> = candidate.chars().collect();
        let distance = if other.len().abs_diff(word.len()) > allowed {
            None
        } else {
            Some(edits(&word, &other))
                .filter(|distance| (1..=allowed).contains(distance) && *distance < other.len())
        };
        let shared = word.len().min(other.len());
        let begins = shared >= 3 && word.len() != other.len() && word[..shared] == other[..shared];
        // A shared beginning is weaker than any accepted number of edits.
        let rank = distance.or(begins.then_some(allowed + 1));
        if let Some(rank) = rank
            && best.is_none_or(|(least, _)| rank < least)
        {
            best = Some((rank, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits between two words: the optimal string alignment distance. Case counts half, that is: not at all for equal
/// words but one edit, so that `Where` is one edit from `where` however many letters differ in case.
fn edits(a: &[char], b: &[char]) -> usize {
    let same = |x: char, y: char| x.eq_ignore_ascii_case(&y);
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &y) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(!same(x, y));
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && same(x, b[j - 1]) && same(a[i - 1], y) {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    match last[b.len()] {
        0 if a != b => 1,
        distance => distance,
    }
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let known = ["where", "window", "emit", "to", "map", "partition_by"];
        assert_eq!(closest("wher", known), Some("where"));
        assert_eq!(closest("wherever", known), Some("where"));
        assert_eq!(closest("Where", known), Some("where"));
        assert_eq!(closest("wnidow", known), Some("window"));
        assert_eq!(closest("partitionby", known), Some("partition_by"));
        assert_eq!(closest("where", ["where"]), None, "the word itself is no suggestion");
        assert_eq!(closest("xy", known), None, "two edits of two letters are another word");
        assert_eq!(closest("forecast", known), None);
        assert_eq!(closest("", known), None);
    }
}
