//! A training that several processes share.
//!
//! Each process computes some parts of every batch; then all have the same gradient, and do the same
//! step. So all have the same weights, without ever sending them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use burn::module::{Module, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use largebatch_models::{Network, Statistic};
use largebatch_optim::{Driver, LayerTrace};
use largebatch_parallel::{Node, Peers, copy};

use crate::agree::{same, same_training};
use crate::gradients::BatchGradient;
use crate::packed::{Layout, Pack, Read, Replace, Unpack};
use crate::passes::{Passes, joined, long};
use crate::{Checkpoint, Counters, Experiment, TrainError, to_safetensors};

/// The processes, and the memory of their sums.
pub(crate) struct Ranks<'a> {
    peers: &'a dyn Peers,
    sums: Vec<(Node, Vec<f32>)>,
    scratch: Vec<f32>,
    /// The path and the owner of each parameter, in the network's order; empty if each process has
    /// the whole state of the optimizer.
    owners: Vec<(String, usize)>,
}

impl<'a> Ranks<'a> {
    /// # Errors
    /// A process that trains something else, or would give other bits.
    pub fn new(peers: &'a dyn Peers, experiment: &Experiment) -> Result<Self, TrainError> {
        same_training(peers, experiment)?;
        Ok(Ranks {
            peers,
            sums: Vec::new(),
            scratch: Vec::new(),
            owners: Vec::new(),
        })
    }

    /// # Errors
    /// A process that has other weights.
    pub fn compare(&self, network: &Network) -> Result<(), TrainError> {
        let hash = blake3::hash(&to_safetensors(network, None)?);
        let what = "the hash of the weights".to_owned();
        same(self.peers, &[(what, hash.to_string())].into())
    }

    /// The parts that this process computes.
    pub fn parts(&self, parts: usize) -> Range<usize> {
        self.peers.parts(parts, self.peers.rank())
    }

    /// Sets the flags that any process has set.
    pub fn agree<const N: usize>(&self, flags: [&mut bool; N]) {
        let mine = flags.each_ref().map(|flag| u32::from(**flag));
        let mut all = vec![0; N * self.peers.count()];
        self.peers.gather(&mine, &mut all);
        for (i, flag) in flags.into_iter().enumerate() {
            *flag = all.iter().skip(i).step_by(N).any(|set| *set > 0);
        }
    }

    /// What the passes of all processes found.
    pub fn gather(&self, mine: &Passes) -> Passes {
        let mut all = Passes::default();
        for words in self.peers.gather_all(&mine.to_words()) {
            all.read(&mut words.into_iter());
        }
        all
    }

    /// The total over all parts. `mine` are the sums of this process; each is packed as `n` numbers.
    pub fn sum<G>(
        &mut self,
        parts: usize,
        n: usize,
        mine: &[(Node, G)],
        pack: impl Fn(&G, &mut [f32]),
    ) -> &[f32] {
        // Without parts it keeps a place for the total.
        self.sums
            .resize_with(mine.len().max(1), || (Node::part(0), Vec::new()));
        for ((node, flat), (of, sum)) in self.sums.iter_mut().zip(mine) {
            *node = *of;
            flat.resize(n, 0.0);
            pack(sum, flat);
        }
        self.peers.sum(parts, n, &mut self.sums, &mut self.scratch);
        &self.sums[0].1
    }

    /// From here on, each process steps some of the parameters.
    pub fn shard(&mut self, driver: &mut Driver, network: &Network) {
        self.owners = driver.share(network, self.peers.rank(), self.peers.count());
    }

    /// Replaces the values of each parameter, in the network's order, by those of its owner.
    pub fn spread(&mut self, tensors: &mut [Vec<f32>]) {
        if self.owners.is_empty() {
            return;
        }
        let (k, r) = (self.peers.count(), self.peers.rank());
        let owned = |rank| {
            let all = self.owners.iter().enumerate();
            all.filter(move |(_, (_, owner))| *owner == rank)
                .map(|(at, _)| at)
        };
        // The memory of the sums, which are not needed any more.
        self.sums
            .resize_with(self.sums.len().max(1), || (Node::part(0), Vec::new()));
        let (mine, theirs) = (&mut self.sums[0].1, &mut self.scratch);
        mine.clear();
        owned(r).for_each(|at| mine.extend(&tensors[at]));
        self.peers.wait();
        for s in 1..k {
            let (to, from) = ((r + s) % k, (r + k - s) % k);
            let n = owned(from).map(|at| tensors[at].len()).sum();
            theirs.resize(theirs.len().max(n), 0.0);
            self.peers.exchange(mine, to, &mut theirs[..n], from);
            let mut rest = &theirs[..n];
            for at in owned(from) {
                let (these, others) = rest.split_at(tensors[at].len());
                copy(these, &mut tensors[at]);
                rest = others;
            }
        }
    }

    /// The network with the parameters of their owners.
    pub fn spread_network(&mut self, network: Network) -> Network {
        if self.owners.is_empty() {
            return network;
        }
        let rank = self.peers.rank();
        let own = self.owners.iter().map(|(_, owner)| *owner == rank);
        let mut read = Read {
            own: &mut own.clone(),
            tensors: Vec::new(),
        };
        network.visit(&mut read);
        let (mut tensors, own) = (read.tensors, own.collect::<Vec<_>>());
        self.spread(&mut tensors);
        let mut own = own.into_iter();
        let mut others = tensors
            .into_iter()
            .map(|values| own.next().is_some_and(|own| !own).then_some(values));
        network.map(&mut Replace(&mut others))
    }

    /// The network at the weights at which the optimizer wants the gradient, from what this process's
    /// parameters want.
    pub fn ahead(&mut self, mine: Option<Network>, network: &Network) -> Option<Network> {
        if self.owners.is_empty() {
            return mine;
        }
        let mut looks = mine.is_some();
        self.agree([&mut looks]);
        looks.then(|| self.spread_network(mine.unwrap_or_else(|| network.clone())))
    }

    /// What a step did to all layers, in the network's order.
    pub fn traces(&self, mine: Vec<LayerTrace>) -> Vec<LayerTrace> {
        if self.owners.is_empty() {
            return mine;
        }
        let mut words = Vec::new();
        for trace in mine {
            let at = self.owners.iter().position(|(path, _)| *path == trace.path);
            words.push(at.unwrap_or(0) as u32);
            words.push(u32::from(trace.trust_ratio.is_some()));
            let ratio = trace.trust_ratio.unwrap_or(0.0);
            for number in [trace.w, trace.g, trace.delta, trace.rate, ratio] {
                words.extend(long(number.to_bits()));
            }
        }
        let all = self.peers.gather_all(&words).concat();
        let trace = |words: &[u32]| {
            let number = |i: usize| f64::from_bits(joined([words[2 + 2 * i], words[3 + 2 * i]]));
            let path = self.owners[words[0] as usize].0.clone();
            let trace = LayerTrace {
                path,
                w: number(0),
                g: number(1),
                delta: number(2),
                rate: number(3),
                trust_ratio: (words[1] > 0).then(|| number(4)),
            };
            (words[0], trace)
        };
        let traces: BTreeMap<u32, LayerTrace> = all.chunks(12).map(trace).collect();
        traces.into_values().collect()
    }

    /// Adds to the driver of process 0 the states that the others keep.
    pub fn gather_states(&self, driver: &mut Driver) -> Result<(), TrainError> {
        if self.owners.is_empty() {
            return Ok(());
        }
        let mine = match self.peers.rank() {
            0 => Vec::new(),
            _ => driver.save(),
        };
        for (rank, length) in self
            .numbers(mine.len() as u64)
            .into_iter()
            .enumerate()
            .skip(1)
        {
            let bytes = self.peers.bring(&mine, rank, length as usize);
            if !bytes.is_empty() {
                driver.add(&bytes)?;
            }
        }
        Ok(())
    }

    /// A number of each process.
    pub fn numbers(&self, mine: u64) -> Vec<u64> {
        let mut all = vec![0; 2 * self.peers.count()];
        self.peers.gather(&long(mine), &mut all);
        let pairs = all.chunks(2);
        pairs.map(|pair| joined([pair[0], pair[1]])).collect()
    }

    /// The checkpoint of process 0.
    pub fn checkpoint(&self, mine: Option<Checkpoint>) -> Result<Option<Checkpoint>, TrainError> {
        let wrong = |e: serde_json::Error| TrainError::folder(Path::new("rank 0"), e.to_string());
        let mut bytes = Default::default();
        if let Some(mine) = mine {
            let progress = serde_json::to_vec(&mine.progress).map_err(wrong)?;
            bytes = [mine.model, mine.optimizer, progress];
        }
        let [model, optimizer, progress] = bytes.map(|bytes| self.peers.broadcast_bytes(&bytes));
        if progress.is_empty() {
            return Ok(None);
        }
        let progress: Counters = serde_json::from_slice(&progress).map_err(wrong)?;
        Ok(Some(Checkpoint {
            model,
            optimizer,
            progress,
        }))
    }

    /// The gradient of the whole batch, from the sums of all processes; all read it on the host,
    /// because a GPU may add small numbers otherwise.
    pub fn gradient(
        &mut self,
        parts: usize,
        mine: Vec<(Node, BatchGradient)>,
        norms: &mut Vec<(usize, f64)>,
        network: &Network,
        device: &Device,
    ) -> BatchGradient {
        let passes = self.gather(&Passes::of(&mine, std::mem::take(norms)));
        let mut layout = Layout::default();
        for (_, sum) in &mine {
            layout.of = Some(&sum.gradients);
            network.visit(&mut layout);
        }
        // A process without parts has seen no gradient.
        layout.of = None;
        network.visit(&mut layout);
        let all = self.peers.gather_all(&layout.present);
        for (i, present) in layout.present.iter_mut().enumerate() {
            *present = all.iter().map(|of| of[i]).max().unwrap_or(0);
        }
        let n = layout.sizes().sum();
        let total = self.sum(parts, n, &mine, |sum, flat| {
            let gradients = &sum.gradients;
            network.visit(&mut Pack {
                gradients,
                layout: &layout,
                at: 0,
                rest: flat,
            });
        });
        let mut unpack = Unpack {
            total,
            layout: &layout,
            at: 0,
            device,
            gradients: GradientsParams::new(),
        };
        network.visit(&mut unpack);
        norms.clone_from(&passes.norms);
        let number = |x: f32| Tensor::from_data([x], device);
        let statistic = |(id, seen): (u64, &[f32])| Statistic {
            running: ParamId::from(id),
            seen: Tensor::from_data(seen, device),
        };
        BatchGradient {
            gradients: unpack.gradients,
            loss: passes.losses.iter().copied().map(number).collect(),
            correct: passes.correct.iter().copied().map(number).collect(),
            statistics: passes.statistics().map(statistic).collect(),
        }
    }
}
