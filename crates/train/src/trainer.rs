//! One step of a training.

use largebatch_data::{Order, Part, Position};
use largebatch_models::Network;
use largebatch_optim::{
    Driver, GlobalClip, LayerTrace, OptimError, clip_by_global_norm, clip_by_value,
};
use largebatch_parallel::Peers;

use crate::chain::{Chain, obstacle};
use crate::counters::{Counters, Sum, Unread};
use crate::gradients::StepKeys;
use crate::ranks::Ranks;
use crate::{Experiment, Metrics, Split, SquaredNorms, TrainError, Wants};

/// Does one step at a time, network in, network out: takes the next batch and computes its
/// gradient, which is clipped and handed to the optimizer.
///
/// A step is computed on Burn's graph, or without one where that is possible, with the same bits.
/// Without a graph the network that a step returns may be behind the trainer:
/// [`up_to_date`](Self::up_to_date) brings it up to date.
pub struct Trainer<'a> {
    experiment: &'a Experiment,
    /// The processes that share the training.
    ranks: Option<Ranks<'a>>,
    driver: Driver,
    order: Order,
    step: u64,
    /// Why all steps use the graph; `None` if the chain is used where it can.
    graph: Option<&'static str>,
    /// Absent before the first step without a graph.
    chain: Option<Box<Chain>>,
    /// Whether the chain has done a step that the network and the driver have not.
    ahead: bool,
    /// Whether the driver of rank 0 has the states that other processes keep.
    is_whole: bool,
    /// The examples of the last step.
    indices: Vec<u32>,
}

/// A step that was done.
pub(crate) struct Trained {
    /// The epoch of this step, from 0.
    pub epoch: u64,
    /// The number of examples.
    pub batch: usize,
    /// The learning rate.
    pub lr: f64,
    /// The squared norms of the gradients, if they were wanted and the batch was cut.
    pub norms: Option<SquaredNorms>,
    /// What the step did to each layer, if that was wanted.
    pub layers: Option<Vec<LayerTrace>>,
}

impl Trained {
    fn new(epoch: u64, indices: &[u32], lr: f64) -> Self {
        Trained {
            epoch,
            batch: indices.len(),
            lr,
            norms: None,
            layers: None,
        }
    }
}

impl<'a> Trainer<'a> {
    /// A training from the start; `on_graph` keeps all its steps on the graph.
    ///
    /// # Errors
    /// An optimizer whose groups or exclusions do not match the network.
    pub fn new(
        experiment: &'a Experiment,
        network: &Network,
        on_graph: bool,
    ) -> Result<Self, TrainError> {
        let driver = Driver::new(&*experiment.optimizer, network)?;
        let asked = on_graph.then_some("a graph was asked for");
        Ok(Trainer {
            experiment,
            ranks: None,
            graph: asked.or_else(|| obstacle(experiment, network, &driver)),
            driver,
            order: experiment.order()?,
            step: 0,
            chain: None,
            ahead: false,
            is_whole: false,
            indices: Vec::new(),
        })
    }

    /// Shares the training with other processes, which all do the same steps.
    ///
    /// # Errors
    /// A process that trains something else, or would give other bits.
    pub fn with_peers(self, peers: &'a dyn Peers, network: &Network) -> Result<Self, TrainError> {
        let ranks = Ranks::new(peers, self.experiment)?;
        Ok(self.shared(Some(ranks), network))
    }

    /// Shares the training with other processes.
    pub(crate) fn shared(mut self, mut ranks: Option<Ranks<'a>>, network: &Network) -> Self {
        if let Some(ranks) = ranks
            .as_mut()
            .filter(|_| self.experiment.config.shard_optimizer)
        {
            ranks.shard(&mut self.driver, network);
        }
        Trainer { ranks, ..self }
    }

    /// Gives the driver of rank 0 all states until the next step. It must be up to date.
    pub(crate) fn make_whole(&mut self) -> Result<(), TrainError> {
        match &self.ranks {
            Some(ranks) if !std::mem::replace(&mut self.is_whole, true) => {
                ranks.gather_states(&mut self.driver)
            }
            _ => Ok(()),
        }
    }

    /// The size in bytes of the optimizer's state in each process.
    pub(crate) fn state_bytes(&self) -> Vec<u64> {
        let mine = self.driver.state_bytes() as u64;
        match &self.ranks {
            Some(ranks) => ranks.numbers(mine),
            None => vec![mine],
        }
    }

    /// Continues where the counters are, with the optimizer's saved state.
    pub(crate) fn seek(&mut self, counters: &Counters, optimizer: &[u8]) -> Result<(), OptimError> {
        self.driver.load(optimizer)?;
        self.order.seek(counters.position);
        self.step = counters.step;
        Ok(())
    }

    /// The processes that share the training.
    pub(crate) fn ranks(&self) -> Option<&Ranks<'a>> {
        self.ranks.as_ref()
    }

    /// The optimizer with its state, up to date as the network is.
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Why all steps use a graph; `None` if they do without where they can.
    pub fn graph(&self) -> Option<&'static str> {
        self.graph
    }

    /// The position of the next batch.
    pub fn position(&self) -> Position {
        self.order.position()
    }

    /// The network with all steps so far; the driver, too, is then up to date.
    pub fn up_to_date(&mut self, network: Network) -> Network {
        match &self.chain {
            Some(chain) if std::mem::take(&mut self.ahead) => chain.give(&mut self.driver, network),
            _ => network,
        }
    }

    /// As [`Experiment::evaluate`], with all steps so far, whether or not `network` has them.
    pub(crate) fn evaluate(
        &mut self,
        network: &Network,
        which: Split,
    ) -> Result<Option<Metrics>, TrainError> {
        let (part, indices) = self.experiment.indices(which);
        self.metrics(network, part, indices)
    }

    /// As [`evaluate`](Self::evaluate), on at most `n` examples spread evenly over the training part.
    pub(crate) fn fitted(
        &mut self,
        network: &Network,
        n: usize,
    ) -> Result<Option<Metrics>, TrainError> {
        let experiment = self.experiment;
        self.metrics(network, &experiment.dataset.train, &experiment.spread(n))
    }

    fn metrics(
        &mut self,
        network: &Network,
        part: &Part,
        indices: &[u32],
    ) -> Result<Option<Metrics>, TrainError> {
        let experiment = self.experiment;
        match &mut self.chain {
            Some(chain) => {
                experiment.metrics(part, indices, |some| chain.sums(experiment, part, some))
            }
            None => experiment.means(network, part, indices),
        }
    }

    /// As [`Experiment::loss_in_training`], with all steps so far.
    ///
    /// # Errors
    /// Those of [`Experiment::loss_in_training`].
    pub fn loss_in_training(&mut self, network: &Network, n: usize) -> Result<f64, TrainError> {
        match &mut self.chain {
            Some(chain) => chain.loss_in_training(self.experiment, n),
            None => self.experiment.loss_in_training(network, n),
        }
    }

    /// One step with learning rate `lr` on these training examples, drawn in this epoch; returns the
    /// mean loss over them, before the step. The order and the schedules of the experiment are not
    /// used.
    ///
    /// # Errors
    /// Labels that the model's loss does not accept.
    pub fn step_on(
        &mut self,
        network: Network,
        (epoch, indices): (u64, &[u32]),
        lr: f64,
    ) -> Result<(Network, f64), TrainError> {
        let mut trained = Trained::new(epoch, indices, lr);
        let (network, unread) = self.advance(network, indices, Wants::NOTHING, &mut trained)?;
        Ok((network, unread.loss.read() / indices.len() as f64))
    }

    /// One step; `wants` says what to measure. The losses may still be on the device. Network and
    /// driver are up to date if `wants` asks for them or for a checkpoint; otherwise call
    /// [`up_to_date`](Self::up_to_date) before using them.
    #[inline]
    pub(crate) fn step(
        &mut self,
        network: Network,
        wants: Wants,
    ) -> Result<(Network, Trained, Unread), TrainError> {
        let experiment = self.experiment;
        let planned = experiment.next_batch(self.order.position());
        let mut indices = std::mem::take(&mut self.indices);
        let epoch = self.order.next_into(planned.size, &mut indices);
        let mut trained = Trained::new(epoch, &indices, experiment.lr(self.step, &planned));
        let (network, unread) = self.advance(network, &indices, wants, &mut trained)?;
        self.indices = indices;
        Ok((network, trained, unread))
    }

    fn advance(
        &mut self,
        network: Network,
        indices: &[u32],
        wants: Wants,
        trained: &mut Trained,
    ) -> Result<(Network, Unread), TrainError> {
        if std::mem::take(&mut self.is_whole) {
            self.driver.forget_others();
        }
        // The first step makes the optimizer's states, and only the driver traces layers.
        let (network, unread) = if self.step == 0 || wants.layers || !self.has_chain(&network) {
            self.step_on_graph(network, indices, wants, trained)?
        } else {
            let unread = self.step_on_chain(indices, wants, trained)?;
            let network = match wants.network || wants.checkpoint {
                true => self.up_to_date(network),
                false => network,
            };
            (network, unread)
        };
        self.step += 1;
        if wants.network {
            self.make_whole()?;
        }
        Ok((network, unread))
    }

    /// Whether there is a chain, which takes the network's weights if it is new.
    fn has_chain(&mut self, network: &Network) -> bool {
        if self.graph.is_none() && self.chain.is_none() {
            let config = &self.experiment.config;
            let workers = config.workers.min(config.parts());
            self.chain = Chain::take(network, &self.driver, workers).map(Box::new);
            if self.chain.is_none() {
                self.graph = Some("a parameter is not of 32 bits");
            }
        }
        self.chain.is_some()
    }

    fn step_on_chain(
        &mut self,
        indices: &[u32],
        wants: Wants,
        trained: &mut Trained,
    ) -> Result<Unread, TrainError> {
        let (experiment, clips) = (self.experiment, self.clips());
        let Some(chain) = &mut self.chain else {
            unreachable!("`step` made it")
        };
        let keys = chain
            .is_random(experiment)
            .then(|| keys(experiment, trained.epoch, self.step));
        let ranks = self.ranks.as_mut();
        let found = chain.gradient(experiment, indices, keys, wants.norms, ranks)?;
        if let Some(bound) = experiment.config.clip_value {
            chain.clip_by_value(bound);
        }
        clips.for_each(|clip| chain.clip_by_global_norm(clip));
        chain.step(trained.lr, self.ranks.as_mut());
        self.ahead = true;
        trained.norms = found.norms;
        Ok(Unread {
            examples: indices.len(),
            loss: Sum::Host(found.loss),
            correct: found.correct.map(Sum::Host),
        })
    }

    fn step_on_graph(
        &mut self,
        network: Network,
        indices: &[u32],
        wants: Wants,
        trained: &mut Trained,
    ) -> Result<(Network, Unread), TrainError> {
        let experiment = self.experiment;
        let network = self.up_to_date(network);
        self.chain = None;
        let keys = keys(experiment, trained.epoch, self.step);
        let mut ahead = self.driver.ahead(&network);
        if let Some(ranks) = &mut self.ranks {
            ahead = ranks.ahead(ahead, &network);
        }
        let at = ahead.as_ref().unwrap_or(&network);
        let ranks = self.ranks.as_mut();
        let (mut gradient, norms) =
            experiment.gradient_over(at, indices, keys, wants.norms, ranks)?;
        trained.norms = norms;
        drop(ahead);
        if let Some(bound) = experiment.config.clip_value {
            gradient.gradients = clip_by_value(gradient.gradients, &network, bound);
        }
        for clip in self.clips() {
            gradient.gradients = clip_by_global_norm(gradient.gradients, &network, clip).0;
        }
        let mut network = if wants.layers {
            let (network, layers) =
                self.driver
                    .step_traced(trained.lr, network, gradient.gradients);
            trained.layers = Some(layers);
            network
        } else {
            self.driver.step(trained.lr, network, gradient.gradients)
        };
        if let Some(ranks) = &mut self.ranks {
            network = ranks.spread_network(network);
            trained.layers = trained.layers.take().map(|mine| ranks.traces(mine));
        }
        let unread = Unread {
            examples: indices.len(),
            loss: Sum::Device(gradient.loss),
            correct: Some(gradient.correct)
                .filter(|terms| !terms.is_empty())
                .map(Sum::Device),
        };
        Ok((network.update_running(gradient.statistics), unread))
    }

    /// Clipping by the global norm: the run's, then the optimizer's.
    fn clips(&self) -> impl Iterator<Item = GlobalClip> + use<> {
        let run = self.experiment.config.clip_norm.map(GlobalClip::torch);
        run.into_iter().chain(self.driver.global_clip())
    }
}

/// The keys of step number `step`, from 0, in `epoch`.
fn keys(experiment: &Experiment, epoch: u64, step: u64) -> StepKeys {
    StepKeys {
        augment: experiment.key("augment").number(epoch),
        dropout: experiment.key("dropout").number(step),
    }
}
