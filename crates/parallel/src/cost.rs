//! What a sum over processes costs: a model, and the times that it needs.

use std::time::{Duration, Instant};

use crate::{Node, Peers};

/// The times of which the cost of a sum is made.
#[derive(Clone, PartialEq, Debug)]
pub struct Cost {
    /// x: the seconds in which two processes send each other as many bytes, at the same time; at two
    /// numbers of bytes or more, in increasing order. Between them, and beyond, x is linear; but
    /// beyond the last it does not fall.
    pub exchanges: Vec<(f64, f64)>,
    /// γ: the seconds of adding a byte of one gradient to a byte of another.
    pub add: f64,
}

impl Cost {
    /// x(n) = α + n β, with α = `latency` in seconds and 1/β = `bytes_per_second`.
    pub fn linear(latency: f64, bytes_per_second: f64, add: f64) -> Cost {
        const MANY: f64 = 1e9;
        let exchanges = vec![(0.0, latency), (MANY, latency + MANY / bytes_per_second)];
        Cost { exchanges, add }
    }

    /// x(`bytes`), in seconds.
    pub fn exchange(&self, bytes: f64) -> f64 {
        let after = self.exchanges.iter().position(|point| point.0 >= bytes);
        let after = after.unwrap_or(self.exchanges.len() - 1).max(1);
        let [low, high] = [self.exchanges[after - 1], self.exchanges[after]];
        let share = (bytes - low.0).max(0.0) / (high.0 - low.0);
        match share > 1.0 {
            // Times that fall with the size are noise: they do not fall on, to below 0.
            true => high.1 + (share - 1.0) * (high.1 - low.1).max(0.0),
            false => low.1 + share * (high.1 - low.1),
        }
    }

    /// The seconds of a sum over `k` processes that have one part each, of M = `bytes` bytes:
    ///
    /// T = 2 Σ x(M / 2^l) + (K − 1)/K · M γ, over l = 1, …, log₂ K,
    ///
    /// if K is a power of two: halves are exchanged and added, then the sums are exchanged back.
    /// Otherwise each process adds one chunk of all gradients:
    ///
    /// T = 2 (K − 1) x(M / K) + (K − 1)/K · M γ.
    ///
    /// Both have 2 (K − 1)/K · M β as their bytes (Thakur et al. 2005, doi 10.1177/1094342005051521).
    pub fn sum(&self, k: usize, bytes: f64) -> f64 {
        let count = k as f64;
        let exchanges: f64 = match k.is_power_of_two() {
            true => (1..=k.ilog2())
                .map(|l| self.exchange(bytes / f64::from(1 << l)))
                .sum(),
            false => (count - 1.0) * self.exchange(bytes / count),
        };
        2.0 * exchanges + bytes * (count - 1.0) / count * self.add
    }

    /// The seconds in which each of `k` processes gets the `bytes` bytes of every other one, by
    /// doubling what it has: Σ x(min(2^l, K − 2^l) · bytes), over l from 0 while 2^l < K.
    pub fn gather(&self, k: usize, bytes: f64) -> f64 {
        let had = std::iter::successors(Some(1), |had| Some(2 * had)).take_while(|had| *had < k);
        had.map(|had| self.exchange(had.min(k - had) as f64 * bytes))
            .sum()
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
    /// the job away: (bytes, seconds). It is the least time of at most 15 rounds, since other work on
    /// the machines only adds, in the slowest process.
    pub fn time_exchanges(&self) -> Vec<(f64, f64)> {
        let (k, r) = (self.count(), self.rank());
        let (to, from) = ((r + k / 2) % k, (r + k - k / 2) % k);
        let time = |numbers: usize| {
            let (have, mut want) = (vec![0.0; numbers], vec![0.0; numbers]);
            let repeats = ((1 << 17) / numbers).clamp(1, 100);
            let seconds = self.least(15, || {
                (0..repeats).for_each(|_| self.exchange(&have, to, &mut want, from));
            });
            (
                (numbers * size_of::<f32>()) as f64,
                seconds / repeats as f64,
            )
        };
        (0..9).map(|i| time(1 << (3 * i))).collect()
    }

    /// The least seconds of at most `rounds` steps in which a pause takes the place of computing, and the sum of
    /// `n` numbers over a part of each process follows, in the slowest process.
    pub fn time_pauses(&self, pause: Duration, n: usize, rounds: usize) -> f64 {
        let mut mine = vec![(Node::part(self.rank()), vec![0.0; n])];
        let mut scratch = Vec::new();
        self.least(rounds, || {
            std::thread::sleep(pause);
            self.sum(self.count(), n, &mut mine, &mut scratch);
        })
    }

    /// The least of so many rounds, or fewer, but three, if they take longer than a second.
    fn least(&self, rounds: usize, mut work: impl FnMut()) -> f64 {
        work(); // The first round gets memory and connections.
        let (mut least, mut total, mut done) = (f64::INFINITY, 0.0, 0);
        while done < rounds && (done < 3 || total < 1.0) {
            self.wait();
            let started = Instant::now();
            work();
            let seconds = self.slowest(started.elapsed().as_secs_f64());
            (least, total, done) = (least.min(seconds), total + seconds, done + 1);
        }
        least
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    fn cost() -> Cost {
        Cost::linear(3e-6, 0.5e9, 1e-10)
    }

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
                let model = |latency, bytes_per_second| {
                    let cost = Cost::linear(latency, bytes_per_second, 0.0);
                    cost.sum(count, 4.0 * n as f64)
                };
                assert_eq!(
                    messages as f64,
                    model(1.0, f64::INFINITY),
                    "{count} processes"
                );
                let shared = model(0.0, 1.0);
                assert!((bytes as f64 - shared).abs() <= 40.0, "{bytes}, {shared}");
            }
        }
    }

    #[test]
    fn the_model_is_the_closed_form() {
        // Two exchanges of half of the numbers, half of which are added.
        let two = 2.0 * 3e-6 + 1e6 * 2e-9 + 0.5e6 * 1e-10;
        assert!((cost().sum(2, 1e6) - two).abs() < 1e-15);
        assert_eq!(cost().sum(1, 1e6), 0.0);
        assert_eq!(cost().gather(1, 100.0), 0.0);
        // Adding one device more than a power of two costs messages, not bytes.
        let more = cost().sum(5, 1e6) - cost().sum(4, 1e6);
        let bytes = (0.8 - 0.75) * 1e6 * (2.0 * 2e-9 + 1e-10);
        assert!((more - bytes - 2.0 * 2.0 * 3e-6).abs() < 1e-15);
        // For many devices the bytes cost what two exchanges of all do.
        let all = cost().sum(1 << 20, 1e9) / (1e9 * (2.0 * 2e-9 + 1e-10));
        assert!((all - 1.0).abs() < 1e-4, "{all}");
    }

    #[test]
    fn measured_exchanges_are_on_lines() {
        let exchanges = vec![(4.0, 1.0), (8.0, 3.0), (16.0, 4.0)];
        let cost = Cost {
            exchanges,
            add: 0.0,
        };
        let found = [0.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0].map(|bytes| cost.exchange(bytes));
        assert_eq!(found, [1.0, 1.0, 2.0, 3.0, 3.5, 4.0, 5.0]);
        let falling = Cost {
            exchanges: vec![(4.0, 2.0), (8.0, 1.0)],
            add: 0.0,
        };
        assert_eq!(
            [6.0, 8.0, 1e6].map(|b| falling.exchange(b)),
            [1.5, 1.0, 1.0]
        );
        // Two processes exchange half of the bytes twice.
        assert_eq!(cost.sum(2, 16.0), 2.0 * 3.0);
        // 8 bytes, then 4.
        assert_eq!(cost.sum(4, 16.0), 2.0 * (3.0 + 1.0));
        // Five processes get 1, 2 and 1 times 4 bytes.
        assert_eq!(cost.gather(5, 4.0), 1.0 + 3.0 + 1.0);
    }

    /// A process that is a thread of this one. An exchange takes its time: both sleep.
    struct Delayed<'a> {
        rank: usize,
        cost: &'a Cost,
        /// By sender and receiver.
        wires: &'a [Vec<Wire>],
    }

    type Wire = (Mutex<Sender<Vec<f32>>>, Mutex<Receiver<Vec<f32>>>);

    impl Peers for Delayed<'_> {
        fn rank(&self) -> usize {
            self.rank
        }
        fn count(&self) -> usize {
            self.wires.len()
        }
        fn exchange(&self, have: &[f32], to: usize, want: &mut [f32], from: usize) {
            let there = self.wires[self.rank][to].0.lock().unwrap();
            there.send(have.to_vec()).unwrap();
            let here = self.wires[from][self.rank].1.lock().unwrap();
            want.copy_from_slice(&here.recv().unwrap());
            let seconds = self.cost.exchange(size_of_val(want) as f64);
            std::thread::sleep(Duration::from_secs_f64(seconds));
        }
        fn gather(&self, mine: &[u32], all: &mut [u32]) {
            // Only for the slowest process; here the first stands for it.
            let each = all.chunks_mut(mine.len());
            each.for_each(|words| words.copy_from_slice(mine));
        }
        fn broadcast(&self, _: &mut [u32]) {}
        fn wait(&self) {}
    }

    /// Steps in which a pause takes the place of computing, over a network whose delays are
    /// injected: what `docs/clusters.md` shows. `--nocapture` prints it.
    #[test]
    fn the_model_holds_for_injected_delays() {
        const N: usize = 1 << 20;
        let pause = Duration::from_millis(200);
        let cost = Cost::linear(5e-3, 70e6, add_seconds_per_byte());
        println!(
            "| devices | measured, ms/step | by the model | efficiency, measured | by the model |"
        );
        for k in [1, 2, 3, 4, 6, 8] {
            let wire = || {
                let (sender, receiver) = channel();
                (Mutex::new(sender), Mutex::new(receiver))
            };
            let wires: Vec<Vec<Wire>> = (0..k).map(|_| (0..k).map(|_| wire()).collect()).collect();
            let (wires, cost) = (&wires[..], &cost);
            let times: Vec<f64> = std::thread::scope(|scope| {
                let step = |rank: usize| {
                    let peers: &dyn Peers = &Delayed { rank, cost, wires };
                    peers.time_pauses(pause, N, 3)
                };
                let threads: Vec<_> = (0..k).map(|r| scope.spawn(move || step(r))).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            let measured = times.into_iter().fold(0.0, f64::max);
            let model = pause.as_secs_f64() + cost.sum(k, (N * size_of::<f32>()) as f64);
            let [a, b] = [measured, model].map(|step| 100.0 * pause.as_secs_f64() / step);
            println!(
                "| {k} | {:.0} | {:.0} | {a:.1} % | {b:.1} % |",
                1e3 * measured,
                1e3 * model
            );
            // Sleeping and adding may take longer, also on a busy machine, but not less.
            assert!(
                measured > 0.99 * model && measured < 1.5 * model,
                "{measured}, {model}"
            );
        }
    }

    #[test]
    fn adding_takes_time() {
        let seconds = add_seconds_per_byte();
        assert!(seconds > 1e-12 && seconds < 1e-7, "{seconds}");
    }
}
