//! A training that several processes share.
//!
//! Each process computes some parts of every batch; then all have the same gradient, and do the same
//! step. So all have the same weights, without ever sending them.

use std::ops::Range;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use largebatch_models::{Network, Statistic};
use largebatch_parallel::{Node, Peers};

use crate::evaluate::scalar;
use crate::gradients::BatchGradient;
use crate::{Checkpoint, Counters, Experiment, TrainError, to_safetensors};

/// The processes, and the memory of their sums.
pub(crate) struct Ranks<'a> {
    peers: &'a dyn Peers,
    sums: Vec<(Node, Vec<f32>)>,
    scratch: Vec<f32>,
}

/// What the passes over consecutive parts found, besides their gradients: a list by part each.
#[derive(Default)]
pub(crate) struct Passes {
    /// The sums of the losses.
    pub losses: Vec<f32>,
    /// The numbers of correctly classified examples; empty for real targets.
    pub correct: Vec<f32>,
    /// Size and |g|², if wanted, as of [`SquaredNorms`](crate::SquaredNorms).
    pub norms: Vec<(usize, f64)>,
    /// Batch norm's statistics: the number of the running one, and the length of each.
    statistics: Vec<(u64, usize)>,
    /// Their values, one after the other.
    seen: Vec<f32>,
}

impl<'a> Ranks<'a> {
    /// # Errors
    /// A process that trains something else, or would give other bits.
    pub fn new(peers: &'a dyn Peers, experiment: &Experiment) -> Result<Self, TrainError> {
        let config = {
            let mut config = experiment.config.identity();
            config.threads = None;
            config.to_toml()
        };
        let data = &experiment.dataset;
        let files = data.sources.iter().map(|source| &*source.sha256);
        let sizes = format!("{} {}", data.train.len(), data.test.len());
        let facts = [
            (
                "the version of the program",
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
            ("the configuration", config),
            ("the data", files.collect::<String>() + &sizes),
            (
                "the vector instructions of the processor",
                largebatch_kernels::vectors()
                    .unwrap_or_default()
                    .to_string(),
            ),
        ];
        let hashes = facts
            .each_ref()
            .map(|(what, fact)| (*what, hash(fact.as_bytes())));
        same(peers, &hashes)?;
        Ok(Ranks {
            peers,
            sums: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// # Errors
    /// A process that has other weights.
    pub fn compare(&self, network: &Network) -> Result<(), TrainError> {
        let weights = hash(&to_safetensors(network, None)?);
        same(self.peers, &[("the weights", weights)])
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
        pack: impl Fn(&G, &mut Vec<f32>),
    ) -> &[f32] {
        self.sums
            .resize_with(mine.len(), || (Node::part(0), Vec::new()));
        for ((node, flat), (of, sum)) in self.sums.iter_mut().zip(mine) {
            *node = *of;
            flat.clear();
            pack(sum, flat);
        }
        self.peers.sum(parts, n, &mut self.sums, &mut self.scratch);
        &self.sums[0].1
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
                flat,
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

fn hash(bytes: &[u8]) -> u32 {
    let hash = blake3::hash(bytes);
    let bytes = hash.as_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// # Errors
/// The first process with another hash than process 0, and what differs.
fn same(peers: &dyn Peers, hashes: &[(&'static str, u32)]) -> Result<(), TrainError> {
    let mine: Vec<u32> = hashes.iter().map(|(_, hash)| *hash).collect();
    let all = peers.gather_all(&mine);
    for (rank, other) in all.iter().enumerate() {
        let each = hashes.iter().zip(other.iter().zip(&all[0]));
        if let Some(((what, _), _)) = each.into_iter().find(|(_, (a, b))| a != b) {
            return Err(TrainError::Rank { rank, what });
        }
    }
    Ok(())
}

impl Passes {
    /// Reads from the device.
    fn of(sums: &[(Node, BatchGradient)], norms: Vec<(usize, f64)>) -> Passes {
        let sums = || sums.iter().map(|(_, sum)| sum);
        let read = |x: &Tensor<1>| scalar(x.clone()) as f32;
        let mut passes = Passes {
            losses: sums().flat_map(|sum| &sum.loss).map(read).collect(),
            correct: sums().flat_map(|sum| &sum.correct).map(read).collect(),
            norms,
            ..Passes::default()
        };
        for s in sums().flat_map(|sum| &sum.statistics) {
            passes.add_statistic(s.running.val(), values(s.seen.clone().into_data()));
        }
        passes
    }

    /// Empties the lists, and keeps their memory.
    pub fn clear(&mut self) {
        self.losses.clear();
        self.correct.clear();
        self.norms.clear();
        self.statistics.clear();
        self.seen.clear();
    }

    /// Adds a statistic of batch norm, with the number of the running one.
    pub fn add_statistic(&mut self, running: u64, seen: impl IntoIterator<Item = f32>) {
        let before = self.seen.len();
        self.seen.extend(seen);
        self.statistics.push((running, self.seen.len() - before));
    }

    /// Batch norm's statistics, each with the number of the running one.
    pub fn statistics(&self) -> impl Iterator<Item = (u64, &[f32])> {
        let mut rest = &self.seen[..];
        self.statistics.iter().map(move |(running, n)| {
            let (seen, later) = rest.split_at(*n);
            rest = later;
            (*running, seen)
        })
    }

    fn to_words(&self) -> Vec<u32> {
        let mut words = Vec::new();
        let long = |n: u64| [n as u32, (n >> 32) as u32];
        for list in [&self.losses, &self.correct] {
            words.push(list.len() as u32);
            words.extend(list.iter().map(|x| x.to_bits()));
        }
        words.push(self.norms.len() as u32);
        for (size, square) in &self.norms {
            words.push(*size as u32);
            words.extend(long(square.to_bits()));
        }
        words.push(self.statistics.len() as u32);
        for (id, seen) in self.statistics() {
            words.extend(long(id));
            words.push(seen.len() as u32);
            words.extend(seen.iter().map(|x| x.to_bits()));
        }
        words
    }

    /// Adds those of a later process.
    fn read(&mut self, words: &mut impl Iterator<Item = u32>) {
        let mut next = || words.next().unwrap_or(0);
        for list in [&mut self.losses, &mut self.correct] {
            let n = next();
            list.extend((0..n).map(|_| f32::from_bits(next())));
        }
        for _ in 0..next() {
            let size = next() as usize;
            let square = f64::from_bits(u64::from(next()) | u64::from(next()) << 32);
            self.norms.push((size, square));
        }
        for _ in 0..next() {
            let id = u64::from(next()) | u64::from(next()) << 32;
            let n = next();
            self.add_statistic(id, (0..n).map(|_| f32::from_bits(next())));
        }
    }
}

fn values(data: TensorData) -> Vec<f32> {
    data.iter::<f32>().collect()
}

/// Which parameters have a gradient, in the network's order, and their sizes.
#[derive(Default)]
struct Layout<'a> {
    of: Option<&'a GradientsParams>,
    ids: Vec<ParamId>,
    present: Vec<u32>,
    lengths: Vec<usize>,
}

impl Layout<'_> {
    /// The sizes of the gradients that are present.
    fn sizes(&self) -> impl Iterator<Item = usize> {
        let all = self.present.iter().zip(&self.lengths);
        all.filter(|(present, _)| **present > 0).map(|(_, n)| *n)
    }
}

impl ModuleVisitor for Layout<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let known = self.ids.iter().position(|id| *id == param.id);
        let at = known.unwrap_or_else(|| {
            self.ids.push(param.id);
            self.present.push(0);
            self.lengths.push(param.lazy_shape().num_elements());
            self.ids.len() - 1
        });
        let found = self.of.and_then(|gradients| gradients.get::<D>(param.id));
        self.present[at] |= u32::from(found.is_some());
    }
}

struct Pack<'a> {
    gradients: &'a GradientsParams,
    layout: &'a Layout<'a>,
    at: usize,
    flat: &'a mut Vec<f32>,
}

impl ModuleVisitor for Pack<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (present, n) = (self.layout.present[self.at], self.layout.lengths[self.at]);
        self.at += 1;
        if present == 0 {
            return;
        }
        match self.gradients.get::<D>(param.id) {
            Some(gradient) => self.flat.extend(values(gradient.into_data())),
            // The neutral element of a sum.
            None => self.flat.resize(self.flat.len() + n, -0.0),
        }
    }
}

struct Unpack<'a> {
    total: &'a [f32],
    layout: &'a Layout<'a>,
    at: usize,
    device: &'a Device,
    gradients: GradientsParams,
}

impl ModuleVisitor for Unpack<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (present, n) = (self.layout.present[self.at], self.layout.lengths[self.at]);
        self.at += 1;
        if present == 0 {
            return;
        }
        let (these, rest) = self.total.split_at(n);
        self.total = rest;
        let data = TensorData::new(these.to_vec(), param.lazy_shape());
        let gradient = Tensor::<D>::from_data(data, self.device);
        self.gradients.register(param.id, gradient);
    }
}
