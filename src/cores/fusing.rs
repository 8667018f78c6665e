//! Which workers share a thread where there are to be no more threads than CPUs: a pure function of where each would
//! run by itself.

/// A thread that steps the stages of several workers in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FusedThread {
    /// The CPU that its workers ask for, if they do.
    pub cpu: Option<usize>,
    /// The workers, by their places in what was given, in that order.
    pub workers: Vec<usize>,
}

/// Deals workers out to `threads` threads at most. `workers` says for each which CPU it is placed on, if any, in the
/// order of flow.
///
/// Workers on one CPU share a thread, and each CPU that is asked for has one, even where that makes more than
/// `threads`. The others are dealt out so that all threads have equally many, as far as that goes, and neighbours in
/// the order of flow stay together: a row then crosses from one thread to another as rarely as can be.
///
/// ```
/// use varpin::cores::fuse;
/// let threads = fuse(&[None, None, None, Some(1)], 2);
/// assert_eq!(threads[0].workers, [0, 3]); // CPU 1
/// assert_eq!(threads[0].cpu, Some(1));
/// assert_eq!(threads[1].workers, [1, 2]); // unpinned
/// ```
pub fn fuse(workers: &[Option<usize>], threads: usize) -> Vec<FusedThread> {
    let mut fused: Vec<FusedThread> = Vec::new();
    for (worker, cpu) in workers.iter().enumerate().filter(|(_, cpu)| cpu.is_some()) {
        match fused.iter_mut().find(|thread| thread.cpu == *cpu) {
            Some(thread) => thread.workers.push(worker),
            None => fused.push(FusedThread { cpu: *cpu, workers: vec![worker] }),
        }
    }
    let free = workers.iter().filter(|cpu| cpu.is_none()).count();
    let unpinned = threads.saturating_sub(fused.len()).min(free);
    fused.resize_with(fused.len() + unpinned, FusedThread::default);
    if free > 0 && fused.is_empty() {
        fused.push(FusedThread::default());
    }
    let room = rooms(&fused, free);
    let mut seats = room.iter().enumerate().flat_map(|(thread, &seats)| std::iter::repeat_n(thread, seats));
    for (worker, _) in workers.iter().enumerate().filter(|(_, cpu)| cpu.is_none()) {
        let thread = seats.next().unwrap_or(0);
        fused[thread].workers.push(worker);
    }
    for thread in &mut fused {
        thread.workers.sort_unstable();
    }
    fused
}

/// How many more workers each thread gets of those that are `free`: always the one that has fewest, the first of them.
fn rooms(fused: &[FusedThread], free: usize) -> Vec<usize> {
    let mut room = vec![0; fused.len()];
    for _ in 0..free {
        let emptiest = (0..fused.len()).min_by_key(|&thread| fused[thread].workers.len() + room[thread]);
        if let Some(thread) = emptiest {
            room[thread] += 1;
        }
    }
    room
}
