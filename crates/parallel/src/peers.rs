//! Processes that work on the same batch, and the sum over all their parts.

use std::ops::Range;

use rayon::prelude::*;

use crate::loops::{add, add_to_right};
use crate::tree::{Node, finish, push, share};

/// The processes of a job, which all make the same calls in the same order. MPI calls them ranks.
pub trait Peers: Sync {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn count(&self) -> usize;

    /// Sends `have` to `to` while it fills `want` from `from`; either may be empty. What one process
    /// sends is as long as what the other wants.
    fn exchange(&self, have: &[f32], to: usize, want: &mut [f32], from: usize);

    /// Fills `all` with the words of every process, in their order. Each gives the same number.
    fn gather(&self, mine: &[u32], all: &mut [u32]);

    /// Fills `words` with those of process 0.
    fn broadcast(&self, words: &mut [u32]);

    /// Waits for all processes.
    fn wait(&self);
}

/// The bytes of a message, because one of MPI has at most 2³¹ − 1 elements.
const BLOCK: usize = 1 << 24;

impl dyn Peers + '_ {
    /// The words of every process, in their order; their numbers may differ.
    pub fn gather_all(&self, mine: &[u32]) -> Vec<Vec<u32>> {
        let mut lengths = vec![0; self.count()];
        self.gather(&[mine.len() as u32], &mut lengths);
        let most = lengths.iter().max().map_or(0, |n| *n as usize);
        if most == 0 {
            return vec![Vec::new(); lengths.len()];
        }
        let mut padded = mine.to_vec();
        padded.resize(most, 0);
        let mut all = vec![0; most * lengths.len()];
        self.gather(&padded, &mut all);
        let each = all.chunks(most).zip(lengths);
        each.map(|(words, n)| words[..n as usize].to_vec())
            .collect()
    }

    /// The text of every process, in their order.
    pub fn gather_texts(&self, mine: &str) -> Vec<String> {
        let words: Vec<u32> = mine.bytes().map(u32::from).collect();
        let text = |words: Vec<u32>| {
            let bytes: Vec<u8> = words.into_iter().map(|word| word as u8).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        self.gather_all(&words).into_iter().map(text).collect()
    }

    /// The bytes that process 0 gives; those of the others do not matter.
    pub fn broadcast_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut length = [bytes.len() as u32, (bytes.len() >> 32) as u32];
        self.broadcast(&mut length);
        let length = length[0] as usize | (length[1] as usize) << 32;
        let mut all = Vec::with_capacity(length);
        for start in (0..length).step_by(BLOCK) {
            let size = BLOCK.min(length - start);
            let mut words = vec![0; size.div_ceil(4)];
            if let Some(block) = bytes.get(start..start + size).filter(|_| self.rank() == 0) {
                for (word, bytes) in words.iter_mut().zip(block.chunks(4)) {
                    let mut four = [0; 4];
                    four[..bytes.len()].copy_from_slice(bytes);
                    *word = u32::from_le_bytes(four);
                }
            }
            self.broadcast(&mut words);
            let block = words.iter().flat_map(|word| word.to_le_bytes());
            all.extend(block.take(size));
        }
        all
    }

    /// Brings `length` bytes of process `from` to process 0, which gets them; the others get none.
    pub fn bring(&self, bytes: &[u8], from: usize, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for start in (0..length).step_by(BLOCK) {
            let size = BLOCK.min(length - start);
            if self.rank() == from {
                let words = bytes[start..start + size].chunks(4).map(|bytes| {
                    let mut four = [0; 4];
                    four[..bytes.len()].copy_from_slice(bytes);
                    f32::from_bits(u32::from_le_bytes(four))
                });
                self.exchange(&words.collect::<Vec<_>>(), 0, &mut [], 0);
            } else if self.rank() == 0 {
                let mut words = vec![0.0; size.div_ceil(4)];
                self.exchange(&[], from, &mut words, from);
                let block = words.iter().flat_map(|word| word.to_bits().to_le_bytes());
                all.extend(block.take(size));
            }
        }
        all
    }

    /// The parts of a process, consecutive and as even as possible.
    pub fn parts(&self, parts: usize, rank: usize) -> Range<usize> {
        share(parts, self.count(), rank)
    }

    /// Adds `n` numbers over all parts, with the bits of one process that adds them by [`push`] and
    /// [`finish`].
    ///
    /// `mine` is what [`push`] made of this process's parts, or anything without parts. The first
    /// then holds the total, the others nothing of use. `scratch` is memory to keep between calls.
    ///
    /// MPI only moves numbers: its own sums are in an order that depends on the number of processes.
    pub fn sum(
        &self,
        parts: usize,
        n: usize,
        mine: &mut Vec<(Node, Vec<f32>)>,
        scratch: &mut Vec<f32>,
    ) {
        let k = self.count();
        self.wait();
        if k.is_power_of_two() && parts.is_multiple_of(k) && (parts / k).is_power_of_two() {
            self.sum_by_halves(&mut mine[0].1, scratch);
        } else {
            self.sum_by_chunks(parts, n, mine, scratch);
        }
    }

    /// Each process adds one chunk of the numbers over all parts, and gives the sum to the others.
    fn sum_by_chunks(
        &self,
        parts: usize,
        n: usize,
        mine: &mut Vec<(Node, Vec<f32>)>,
        scratch: &mut Vec<f32>,
    ) {
        let (k, r) = (self.count(), self.rank());
        let covers: Vec<Vec<Node>> = (0..k).map(|rank| cover(self.parts(parts, rank))).collect();
        let starts: Vec<usize> = (0..k)
            .map(|rank| covers[..rank].iter().map(Vec::len).sum())
            .collect();
        // As many messages between any two, or some would wait for what nobody sends.
        let most = covers.iter().map(Vec::len).max().unwrap_or(0);
        // Without parts it is only a place for the total.
        mine.resize_with(mine.len().max(1), || (Node::part(0), Vec::new()));
        mine[0].1.resize(n, 0.0);
        let (order, own) = (covers.concat(), share(n, k, r));
        let width = own.len();
        scratch.resize(scratch.len().max(order.len() * width), 0.0);
        let row = |row: usize| row * width..(row + 1) * width;
        for s in 1..k {
            let (to, from) = ((r + s) % k, (r + k - s) % k);
            for i in 0..most {
                let have = match covers[r].get(i) {
                    Some(_) => &mine[i].1[share(n, k, to)],
                    None => &[],
                };
                let want = match covers[from].get(i) {
                    Some(_) => row(starts[from] + i),
                    None => 0..0,
                };
                self.exchange(have, to, &mut scratch[want], from);
            }
        }
        // In blocks that stay in the cache. The first row of this process is where the total goes.
        const WIDTH: usize = 2048;
        let (first, others) = mine.split_at_mut(1);
        let blocks = first[0].1[own.clone()].par_chunks_mut(WIDTH).enumerate();
        let memory = || (Vec::new(), Vec::new());
        blocks.for_each_init(memory, |(stack, spare), (block, out)| {
            let at = block * WIDTH..block * WIDTH + out.len();
            for (i, node) in order.iter().enumerate() {
                let own_row = i.checked_sub(starts[r]);
                let values = match own_row.filter(|i| *i < covers[r].len()) {
                    Some(0) => &out[..],
                    Some(i) => &others[i - 1].1[own.clone()][at.clone()],
                    None => &scratch[row(i)][at.clone()],
                };
                let mut sum: Vec<f32> = spare.pop().unwrap_or_default();
                sum.clear();
                sum.extend(values);
                push(stack, *node, sum, &mut |l, r| plus(l, r, spare));
            }
            if let Some(total) = finish(stack, &mut |l, r| plus(l, r, spare)) {
                out.copy_from_slice(&total);
                spare.push(total);
            }
        });
        let out = &mut mine[0].1;
        for s in 1..k {
            let (to, from) = ((r + s) % k, (r + k - s) % k);
            let (have, want) = two(out, own.clone(), share(n, k, from));
            self.exchange(have, to, want, from);
        }
    }

    /// The same sums if each process has one whole node and their number is a power of two: halves
    /// are exchanged, first with the nearest. It needs 2 log₂ K messages instead of 2 (K − 1).
    fn sum_by_halves(&self, sum: &mut [f32], scratch: &mut Vec<f32>) {
        scratch.resize(scratch.len().max(sum.len().div_ceil(2)), 0.0);
        let (mut kept, mut trail) = (0..sum.len(), Vec::new());
        for level in 0..self.count().ilog2() {
            let partner = self.rank() ^ (1 << level);
            let (is_left, middle) = (self.rank() < partner, kept.start + kept.len() / 2);
            let (low, high) = (kept.start..middle, middle..kept.end);
            let (keep, give) = if is_left { (low, high) } else { (high, low) };
            let theirs = &mut scratch[..keep.len()];
            self.exchange(&sum[give.clone()], partner, theirs, partner);
            match is_left {
                true => add(&mut sum[keep.clone()], theirs),
                false => add_to_right(theirs, &mut sum[keep.clone()]),
            }
            trail.push((partner, keep.clone(), give));
            kept = keep;
        }
        for (partner, keep, give) in trail.into_iter().rev() {
            let (have, want) = two(sum, keep, give);
            self.exchange(have, partner, want, partner);
        }
    }
}

/// The nodes into which [`push`] adds consecutive parts.
fn cover(parts: Range<usize>) -> Vec<Node> {
    let mut stack = Vec::new();
    parts.for_each(|part| push(&mut stack, Node::part(part), (), &mut |(), ()| ()));
    stack.into_iter().map(|(node, ())| node).collect()
}

/// left + right, in the memory of `left`; that of `right` is then spare.
fn plus(mut left: Vec<f32>, right: Vec<f32>, spare: &mut Vec<Vec<f32>>) -> Vec<f32> {
    let both = left.iter_mut().zip(&right);
    both.for_each(|(left, right)| *left += right);
    spare.push(right);
    left
}

/// Two ranges of a slice that do not overlap: one to read, one to write.
fn two(all: &mut [f32], read: Range<usize>, write: Range<usize>) -> (&[f32], &mut [f32]) {
    let both = all.get_disjoint_mut([read, write]);
    let [read, write] = both.expect("chunks and halves do not overlap");
    (read, write)
}

#[cfg(test)]
mod tests {
    use crate::in_threads as job;

    use super::*;

    fn plus(mut left: Vec<f32>, right: Vec<f32>) -> Vec<f32> {
        add(&mut left, &right);
        left
    }

    /// Numbers of both signs over 200 powers of two: their sum depends on the order.
    fn gradient(part: usize, n: usize) -> Vec<f32> {
        let mut state = part as u32 * 977 + 1;
        let mut draw = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        (0..n)
            .map(|_| {
                let sign = if draw() % 2 == 0 { 1.0 } else { -1.0 };
                sign * (1.0 + draw() as f32 / 1e7) * 2f32.powi(draw() as i32 % 30 - 15)
            })
            .collect()
    }

    fn added(parts: Range<usize>, n: usize) -> Vec<(Node, Vec<f32>)> {
        let mut stack = Vec::new();
        parts.for_each(|p| push(&mut stack, Node::part(p), gradient(p, n), &mut plus));
        stack
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn a_sum_has_the_same_bits_on_any_number_of_processes() {
        for parts in [1, 2, 3, 4, 6, 7, 8, 12, 16] {
            for n in [1, 5, 4999] {
                let alone = finish(&mut added(0..parts, n), &mut plus).unwrap();
                for k in 1..=9 {
                    let sums = job(k, |peers| {
                        let mut scratch = Vec::new();
                        let parts_here = peers.parts(parts, peers.rank());
                        // Twice, with the same memory.
                        let mut mine = Vec::new();
                        for _ in 0..2 {
                            mine = added(parts_here.clone(), n);
                            peers.sum(parts, n, &mut mine, &mut scratch);
                        }
                        bits(&mine[0].1)
                    });
                    assert!(
                        sums.iter().all(|sum| *sum == bits(&alone)),
                        "{parts} parts on {k} processes"
                    );
                }
            }
        }
        // The comparison would see another order.
        let left = (0..7)
            .map(|part| gradient(part, 4999))
            .reduce(plus)
            .unwrap();
        let tree = finish(&mut added(0..7, 4999), &mut plus).unwrap();
        assert_ne!(bits(&left), bits(&tree));
    }

    #[test]
    fn words_and_bytes_of_any_length() {
        let bytes: Vec<u8> = (0..70_001u32).map(|i| (i % 251) as u8).collect();
        for length in [0, 1, 4, 7, 70_001] {
            let all = job(3, |peers| {
                let mine = match peers.rank() {
                    0 => &bytes[..length],
                    _ => b"else",
                };
                let words = vec![peers.rank() as u32; 2 * peers.rank()];
                let brought = peers.bring(&bytes[..length], 2, length);
                let has = if peers.rank() == 0 { length } else { 0 };
                assert_eq!(brought, bytes[..has]);
                (peers.broadcast_bytes(mine), peers.gather_all(&words))
            });
            for (found, words) in all {
                assert_eq!(found, bytes[..length]);
                assert_eq!(words, [vec![], vec![1; 2], vec![2; 4]]);
            }
        }
    }
}
