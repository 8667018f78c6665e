//! The order in which streams run: topological, ties by order of declaration. A pure function over indices.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Orders the first `count` nodes so that each stands behind those it depends on; among the nodes that could stand
/// next, the lowest comes first. The nodes from `count` on only stand between others, and are not in the result. Fails
/// with the nodes of one cycle, in the order of their dependence.
pub(super) fn topological(depends_on: &[Vec<usize>], count: usize) -> Result<Vec<usize>, Vec<usize>> {
    let mut missing: Vec<usize> = vec![0; depends_on.len()];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); depends_on.len()];
    for (node, sources) in depends_on.iter().enumerate() {
        for &source in sources {
            missing[node] += 1;
            dependents[source].push(node);
        }
    }
    // Those that stand between come at once: what they hold up may be the lowest.
    let place = |node: usize| Reverse((node < count, node));
    let mut ready: BinaryHeap<Reverse<(bool, usize)>> =
        (0..depends_on.len()).filter(|&node| missing[node] == 0).map(place).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(Reverse((is_counted, node))) = ready.pop() {
        if is_counted {
            order.push(node);
        }
        for &dependent in &dependents[node] {
            missing[dependent] -= 1;
            if missing[dependent] == 0 {
                ready.push(place(dependent));
            }
        }
    }
    if order.len() == count { Ok(order) } else { Err(cycle(depends_on, &missing, count)) }
}

/// One cycle among the nodes that could not be ordered: each of them depends on another one of them, so following the
/// dependences must come back.
fn cycle(depends_on: &[Vec<usize>], missing: &[usize], count: usize) -> Vec<usize> {
    let mut path = Vec::new();
    let mut place_of: HashMap<usize, usize> = HashMap::new();
    let mut node = missing.iter().position(|&count| count > 0).unwrap_or(0);
    loop {
        if let Some(start) = place_of.insert(node, path.len()) {
            path.drain(..start);
            path.retain(|&node| node < count);
            path.reverse();
            // Begin with what was declared first.
            let first = path.iter().enumerate().min_by_key(|&(_, node)| *node).map_or(0, |(at, _)| at);
            path.rotate_left(first);
            return path;
        }
        path.push(node);
        match depends_on[node].iter().find(|&&source| missing[source] > 0) {
            Some(&source) => node = source,
            None => return path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::topological;

    #[test]
    fn ties_go_by_declaration_and_cycles_are_named() {
        type Case = (&'static [&'static [usize]], usize, Result<&'static [usize], &'static [usize]>);
        let table: [Case; 7] = [
            (&[], 0, Ok(&[])),
            (&[&[], &[], &[]], 3, Ok(&[0, 1, 2])),
            // The first declared consumes the second: it runs as soon as it can, before the third.
            (&[&[1], &[], &[]], 3, Ok(&[1, 0, 2])),
            // So it does where another node stands between them.
            (&[&[3], &[], &[], &[1]], 3, Ok(&[1, 0, 2])),
            (&[&[1], &[0]], 2, Err(&[0, 1])),
            (&[&[], &[2], &[3], &[1]], 4, Err(&[1, 3, 2])),
            (&[&[2], &[0], &[1, 0]], 2, Err(&[0, 1])),
        ];
        for (depends_on, count, expected) in table {
            let depends_on: Vec<Vec<usize>> = depends_on.iter().map(|row| row.to_vec()).collect();
            assert_eq!(topological(&depends_on, count), expected.map(<[_]>::to_vec).map_err(<[_]>::to_vec));
        }
    }
}
