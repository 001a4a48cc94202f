//! Where the parts of a batch add numbers while they are computed, for batch norm over the whole
//! batch.
//!
//! Each part has a thread, and waits in each layer for the others. The thread that computes the step
//! adds what they give in the order of the tree, over all processes.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use largebatch_kernels::layers::{AllSum, Together};
use largebatch_parallel::{Node, add, finish, push};

use crate::ranks::Ranks;

#[derive(Debug)]
pub(crate) struct Meeting {
    /// The parts that meet here.
    parts: Range<usize>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The numbers of each part that has come to the current sum.
    given: Vec<Option<Vec<f32>>>,
    /// The parts that are still computed.
    at_work: usize,
    /// The number of sums done, and the last one.
    sums: u64,
    total: Vec<f32>,
    /// Whether a part ended before the others did; their sums then mean nothing.
    broken: bool,
}

impl Meeting {
    pub fn new(parts: Range<usize>) -> Arc<Self> {
        let state = State {
            given: vec![None; parts.len()],
            at_work: parts.len(),
            ..State::default()
        };
        Arc::new(Meeting {
            parts,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// One of the parts of a batch of so many examples; [`Leaves`] says when it is done.
    pub fn part(self: &Arc<Self>, part: usize, examples: usize) -> Together {
        Together {
            sums: self.clone(),
            part,
            examples,
        }
    }

    /// Adds what the parts give, until all are done: of this process, and of `ranks`. `parts` is the
    /// number of all parts.
    pub fn serve(&self, parts: usize, mut ranks: Option<&mut Ranks<'_>>) {
        loop {
            let mut given = self.next();
            let n = given.first().map_or(0, |(_, numbers)| numbers.len());
            let most = match ranks.as_deref() {
                Some(ranks) => ranks.numbers(n as u64).into_iter().max().unwrap_or(0) as usize,
                None => n,
            };
            if most == 0 {
                return;
            }
            let total = match ranks.as_deref_mut() {
                Some(ranks) => {
                    let pack = |numbers: &Vec<f32>, flat: &mut [f32]| flat.copy_from_slice(numbers);
                    ranks.sum(parts, most, &given, pack).to_vec()
                }
                None => finish(&mut given, &mut plus).unwrap_or_default(),
            };
            let mut state = self.lock();
            state.total = total;
            state.sums += 1;
            drop(state);
            self.changed.notify_all();
        }
    }

    /// What all parts give next, added as far as this process can; empty if all are done.
    fn next(&self) -> Vec<(Node, Vec<f32>)> {
        loop {
            let mut state = self.lock();
            let waiting = state
                .given
                .iter()
                .filter(|numbers| numbers.is_some())
                .count();
            if waiting == state.at_work {
                if waiting == self.parts.len() {
                    let mut sums = Vec::new();
                    for (part, numbers) in self.parts.clone().zip(&mut state.given) {
                        let numbers = numbers.take().unwrap_or_default();
                        push(&mut sums, Node::part(part), numbers, &mut plus);
                    }
                    return sums;
                }
                if waiting == 0 {
                    return Vec::new();
                }
                state.broken = true;
                state.given.fill(None);
                self.changed.notify_all();
            }
            drop(state);
            // This thread is one of those on which the parts' loops run.
            if rayon::yield_now() != Some(rayon::Yield::Executed) {
                std::thread::sleep(Duration::from_micros(20));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When it is dropped, a part is done.
pub(crate) struct Leaves<'a>(pub &'a Meeting);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.lock().at_work -= 1;
    }
}

impl AllSum for Meeting {
    fn sum(&self, part: usize, numbers: &mut [f32]) {
        let mut state = self.lock();
        if state.broken {
            return;
        }
        let before = state.sums;
        state.given[part - self.parts.start] = Some(numbers.to_vec());
        while state.sums == before && !state.broken {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.broken {
            numbers.copy_from_slice(&state.total);
        }
    }
}

fn plus(mut left: Vec<f32>, right: Vec<f32>) -> Vec<f32> {
    add(&mut left, &right);
    left
}
