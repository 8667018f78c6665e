//! Which of the events that `all` has captured stand in a result, where there is a choice: prefixes of
//! several steps, and subsets. Shortest first, then by place; at most so many as the bound says.

/// Lengths of prefixes, one of each list, by their sum; at most `limit` of them. Returned one behind another.
pub(super) fn prefixes(lengths: &[usize], limit: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let most: usize = lengths.iter().sum();
    for sum in lengths.len()..=most {
        let mut chosen = Vec::with_capacity(lengths.len());
        split(lengths, sum, limit * lengths.len(), &mut chosen, &mut found);
    }
    found
}

fn split(lengths: &[usize], sum: usize, limit: usize, chosen: &mut Vec<usize>, found: &mut Vec<usize>) {
    let Some((&length, rest)) = lengths.split_first() else {
        if sum == 0 && found.len() < limit {
            found.extend_from_slice(chosen);
        }
        return;
    };
    let others: usize = rest.iter().sum();
    // Each of the others takes at least one, and at most all that it has.
    let least = sum.saturating_sub(others).max(1);
    let most = length.min(sum.saturating_sub(rest.len()));
    for first in least..=most {
        if found.len() >= limit {
            return;
        }
        chosen.push(first);
        split(rest, sum - first, limit, chosen, found);
        chosen.pop();
    }
}

/// The next choice of `chosen.len()` places of `0..of`, ascending; false where there is none.
pub(super) fn next_choice(chosen: &mut [usize], of: usize) -> bool {
    let count = chosen.len();
    let Some(at) = (0..count).rev().find(|&at| chosen[at] < of - count + at) else { return false };
    chosen[at] += 1;
    for behind in at + 1..count {
        chosen[behind] = chosen[behind - 1] + 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_come_by_their_length() {
        assert_eq!(prefixes(&[2, 2], 10), [1, 1, 1, 2, 2, 1, 2, 2]);
        assert_eq!(prefixes(&[3], 2), [1, 2]);
    }

    #[test]
    fn choices_come_by_place() {
        let mut chosen = [0, 1];
        let mut all = vec![chosen];
        while next_choice(&mut chosen, 4) {
            all.push(chosen);
        }
        assert_eq!(all, [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
    }
}
