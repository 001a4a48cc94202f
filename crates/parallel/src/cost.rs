//! What a sum over processes costs: a model, and the times that it needs.

use std::time::{Duration, Instant};

use crate::{Node, Peers};

/// The times of which the cost of a sum is made, in seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cost {
    /// α: an exchange of nothing between two processes.
    pub message: f64,
    /// β: a byte that two processes send each other at the same time.
    pub byte: f64,
    /// γ: adding a byte of one gradient to a byte of another.
    pub add: f64,
}

impl Cost {
    /// The seconds of a sum over `k` processes that have one part each, of M = `bytes` bytes:
    ///
    /// T = 2 L α + (K − 1)/K · M (2 β + γ),
    ///
    /// with L = log₂ K if K is a power of two: halves are exchanged and added, then the sums are
    /// exchanged back. Otherwise L = K − 1: each process adds one chunk of all gradients. So
    /// every process adds every number of its share once for each other part, and no number is
    /// added by the network (Thakur et al. 2005, doi 10.1177/1094342005051521).
    pub fn sum(&self, k: usize, bytes: f64) -> f64 {
        let messages = match k.is_power_of_two() {
            true => k.ilog2() as usize,
            false => k.saturating_sub(1),
        };
        let share = bytes * (k as f64 - 1.0) / k as f64;
        2.0 * messages as f64 * self.message + share * (2.0 * self.byte + self.add)
    }

    /// The seconds in which each of `k` processes gets the `bytes` bytes of every other one:
    ///
    /// T = ⌈log₂ K⌉ α + (K − 1) · bytes · β.
    pub fn gather(&self, k: usize, bytes: f64) -> f64 {
        (k as f64).log2().ceil() * self.message + (k as f64 - 1.0) * bytes * self.byte
    }

    /// α and β by least squares of the relative errors of α + bytes · β over measured
    /// exchanges, of (bytes, seconds) each; `add` is γ.
    pub fn fit(exchanges: &[(usize, f64)], add: f64) -> Cost {
        // With u = 1/seconds and v = bytes/seconds, α u + β v should be 1.
        let mut sums = [0.0; 5];
        for (bytes, seconds) in exchanges {
            let (u, v) = (1.0 / seconds, *bytes as f64 / seconds);
            for (sum, term) in sums.iter_mut().zip([u * u, u * v, v * v, u, v]) {
                *sum += term;
            }
        }
        let [uu, uv, vv, u, v] = sums;
        let determinant = uu * vv - uv * uv;
        Cost {
            message: ((u * vv - v * uv) / determinant).max(0.0),
            byte: ((v * uu - u * uv) / determinant).max(0.0),
            add,
        }
    }
}

/// A process that is connected to none of the others: exchanges take no time and bring nothing, and
/// the words of the others are its own. Its sums are meaningless; it measures what they cost besides
/// the network.
#[derive(Clone, Copy, Debug)]
pub struct Unconnected {
    /// The number of processes that it believes in.
    pub count: usize,
}

impl Peers for Unconnected {
    fn rank(&self) -> usize {
        0
    }
    fn count(&self) -> usize {
        self.count
    }
    fn exchange(&self, _have: &[f32], _to: usize, _want: &mut [f32], _from: usize) {}
    fn gather(&self, mine: &[u32], all: &mut [u32]) {
        let each = all.chunks_mut(mine.len().max(1));
        each.for_each(|words| words.copy_from_slice(mine));
    }
    fn broadcast(&self, _words: &mut [u32]) {}
    fn wait(&self) {}
}

/// γ on this machine, measured on a sum that needs no network.
pub fn add_seconds_per_byte() -> f64 {
    const N: usize = 1 << 22;
    let peers: &dyn Peers = &Unconnected { count: 2 };
    let (mut mine, mut scratch) = (vec![(Node::part(0), vec![0.0; N])], Vec::new());
    let mut least = f64::INFINITY;
    for _ in 0..9 {
        let started = Instant::now();
        peers.sum(2, N, &mut mine, &mut scratch);
        least = least.min(started.elapsed().as_secs_f64());
    }
    // One process of two adds half of the numbers.
    least / (N * size_of::<f32>() / 2) as f64
}

/// Measurements that all processes make together.
impl dyn Peers + '_ {
    /// Times exchanges of 4 bytes to 64 MiB, all processes at once, each with the one that is half
    /// the job away: (bytes, seconds). The time is the median of 11 rounds in the slowest process.
    pub fn time_exchanges(&self) -> Vec<(usize, f64)> {
        let (k, r) = (self.count(), self.rank());
        let (to, from) = ((r + k / 2) % k, (r + k - k / 2) % k);
        let sizes = (0..9).map(|i| 1_usize << (3 * i));
        let time = |numbers: usize| {
            let (have, mut want) = (vec![0.0; numbers], vec![0.0; numbers]);
            let repeats = ((1 << 17) / numbers).clamp(1, 100);
            let mut round = || {
                self.wait();
                let started = Instant::now();
                (0..repeats).for_each(|_| self.exchange(&have, to, &mut want, from));
                started.elapsed().as_secs_f64() / repeats as f64
            };
            round();
            let seconds = median((0..11).map(|_| round()).collect());
            (numbers * size_of::<f32>(), self.slowest(seconds))
        };
        sizes.map(time).collect()
    }

    /// The median seconds of `steps` steps in which a pause takes the place of computing, and the sum
    /// of `n` numbers over a part of each process follows, in the slowest process.
    pub fn time_pauses(&self, pause: Duration, n: usize, steps: usize) -> f64 {
        let mut mine = vec![(Node::part(self.rank()), vec![0.0; n])];
        let mut scratch = Vec::new();
        let mut step = || {
            let started = Instant::now();
            std::thread::sleep(pause);
            self.sum(self.count(), n, &mut mine, &mut scratch);
            started.elapsed().as_secs_f64()
        };
        step();
        self.slowest(median((0..steps).map(|_| step()).collect()))
    }

    /// The largest of the numbers of all processes, none of which is negative.
    pub fn slowest(&self, seconds: f64) -> f64 {
        let words = [seconds.to_bits() as u32, (seconds.to_bits() >> 32) as u32];
        let mut all = vec![0; words.len() * self.count()];
        self.gather(&words, &mut all);
        let number = |w: &[u32]| f64::from_bits(u64::from(w[0]) | u64::from(w[1]) << 32);
        all.chunks(2).map(number).fold(0.0, f64::max)
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const COST: Cost = Cost {
        message: 3e-6,
        byte: 2e-9,
        add: 1e-10,
    };

    /// Counts the messages and bytes of a sum of process `rank`.
    struct Counting {
        rank: usize,
        count: usize,
        seen: Mutex<(usize, usize)>,
    }

    impl Peers for Counting {
        fn rank(&self) -> usize {
            self.rank
        }
        fn count(&self) -> usize {
            self.count
        }
        fn exchange(&self, have: &[f32], _: usize, want: &mut [f32], _: usize) {
            let mut seen = self.seen.lock().unwrap();
            // The model's exchanges are as long in both directions; shares differ by one number.
            assert!(have.len().abs_diff(want.len()) <= 1);
            seen.0 += 1;
            seen.1 += size_of_val(want);
        }
        fn gather(&self, _: &[u32], _: &mut [u32]) {}
        fn broadcast(&self, _: &mut [u32]) {}
        fn wait(&self) {}
    }

    /// The model's messages and bytes are those that the sum sends.
    #[test]
    fn the_model_counts_what_a_sum_does() {
        let n = 9240; // 3 · 5 · 7 · 8 · 11
        for count in [1, 2, 3, 4, 5, 8, 11, 16] {
            for rank in [0, count - 1] {
                let seen = Mutex::default();
                let counting = Counting { rank, count, seen };
                let peers: &dyn Peers = &counting;
                let mut mine = vec![(Node::part(rank), vec![0.0; n])];
                peers.sum(count, n, &mut mine, &mut Vec::new());
                let (messages, bytes) = *counting.seen.lock().unwrap();
                let model = |message, byte| {
                    let add = 0.0;
                    Cost { message, byte, add }.sum(count, 4.0 * n as f64)
                };
                assert_eq!(messages as f64, model(1.0, 0.0), "{count} processes");
                let shared = model(0.0, 1.0);
                assert!((bytes as f64 - shared).abs() <= 40.0, "{bytes}, {shared}");
            }
        }
    }

    #[test]
    fn the_model_is_the_closed_form() {
        // Two exchanges of half of the numbers, half of which are added.
        let two = 2.0 * 3e-6 + 1e6 * 2e-9 + 0.5e6 * 1e-10;
        assert!((COST.sum(2, 1e6) - two).abs() < 1e-15);
        assert_eq!(COST.sum(1, 1e6), 0.0);
        assert_eq!(COST.gather(1, 100.0), 0.0);
        // Adding one device more than a power of two costs messages, not bytes.
        let more = COST.sum(5, 1e6) - COST.sum(4, 1e6);
        let bytes = (0.8 - 0.75) * 1e6 * (2.0 * 2e-9 + 1e-10);
        assert!((more - bytes - 2.0 * 2.0 * 3e-6).abs() < 1e-15);
        // For many devices the bytes cost what two exchanges of all do.
        let all = COST.sum(1 << 20, 1e9) / (1e9 * (2.0 * 2e-9 + 1e-10));
        assert!((all - 1.0).abs() < 1e-4, "{all}");
    }

    #[test]
    fn the_fit_finds_what_made_the_times() {
        let exact: Vec<(usize, f64)> = (0..9)
            .map(|i| 4 << (3 * i))
            .map(|bytes| (bytes, COST.message + bytes as f64 * COST.byte))
            .collect();
        let found = Cost::fit(&exact, COST.add);
        assert!((found.message / COST.message - 1.0).abs() < 1e-9);
        assert!((found.byte / COST.byte - 1.0).abs() < 1e-9);
        // Each time counts alike, whatever its length.
        let off: Vec<_> = exact.iter().map(|(b, s)| (*b, 1.1 * s)).collect();
        assert!((Cost::fit(&off, 0.0).message / COST.message - 1.1).abs() < 1e-9);
    }

    #[test]
    fn adding_takes_time() {
        let seconds = add_seconds_per_byte();
        assert!(seconds > 1e-12 && seconds < 1e-7, "{seconds}");
    }
}
