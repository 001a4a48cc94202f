//! Processes that are threads of one process.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::Peers;

/// What `each` gives on every one of `k` processes that are threads of this one, in their order. For
/// tests: MPI is not needed.
///
/// # Panics
/// If one of them panics, or waits for a minute.
pub fn in_threads<T: Send>(k: usize, each: impl Fn(&dyn Peers) -> T + Sync) -> Vec<T> {
    let wire = || {
        let (sender, receiver) = channel();
        (Mutex::new(sender), Mutex::new(receiver))
    };
    let wires: Vec<Vec<Wire>> = (0..k).map(|_| (0..k).map(|_| wire()).collect()).collect();
    let (wires, each) = (&wires[..], &each);
    std::thread::scope(|scope| {
        let start = |rank| scope.spawn(move || each(&Threads { rank, wires }));
        let threads: Vec<_> = (0..k).map(start).collect();
        let ends = threads.into_iter().map(|thread| thread.join());
        ends.map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

struct Threads<'a> {
    rank: usize,
    /// By sender and receiver.
    wires: &'a [Vec<Wire>],
}

type Wire = (Mutex<Sender<Vec<u32>>>, Mutex<Receiver<Vec<u32>>>);

const BROKEN: &str = "another of the processes has ended";

impl Threads<'_> {
    fn send(&self, words: Vec<u32>, to: usize) {
        let wire = self.wires[self.rank][to].0.lock().expect(BROKEN);
        wire.send(words).expect(BROKEN);
    }

    fn receive(&self, from: usize) -> Vec<u32> {
        let wire = self.wires[from][self.rank].1.lock().expect(BROKEN);
        wire.recv_timeout(Duration::from_secs(60)).expect(BROKEN)
    }
}

impl Peers for Threads<'_> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.wires.len()
    }

    fn exchange(&self, have: &[f32], to: usize, want: &mut [f32], from: usize) {
        self.send(have.iter().map(|x| x.to_bits()).collect(), to);
        let found = self.receive(from);
        assert_eq!(found.len(), want.len(), "as long as the other one expects");
        let each = want.iter_mut().zip(found);
        each.for_each(|(want, bits)| *want = f32::from_bits(bits));
    }

    fn gather(&self, mine: &[u32], all: &mut [u32]) {
        (0..self.count()).for_each(|to| self.send(mine.to_vec(), to));
        for (from, all) in all.chunks_mut(mine.len()).enumerate() {
            all.copy_from_slice(&self.receive(from));
        }
    }

    fn broadcast(&self, words: &mut [u32]) {
        if self.rank == 0 {
            (0..self.count()).for_each(|to| self.send(words.to_vec(), to));
        }
        words.copy_from_slice(&self.receive(0));
    }

    fn wait(&self) {
        self.gather(&[0], &mut vec![0; self.count()]);
    }
}
