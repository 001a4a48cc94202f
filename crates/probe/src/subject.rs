//! A network of a run, with examples to measure it on.

use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor, TensorData};
use largebatch_data::{Labels, Search};
use largebatch_models::{Forward, Network, Pass, Targets};
use largebatch_optim::Registry;
use largebatch_random::Key;
use largebatch_train::{Checkpoint, Experiment, RunFolder, TrainError, Which, load_network};

use safetensors::SafeTensors;

use crate::vector::scale;
use crate::{Examples, Objective, ProbeError};

/// Examples of one pass; fixed, so that the sums are the same for every subset that contains them in this order.
const MICROBATCH: usize = 250;
/// Inputs are kept on the device up to so many numbers in all; beyond it they are gathered anew for each gradient.
const KEPT: usize = 1 << 24;

/// A run that was opened for probing: its data, its model and its weights.
pub struct Run {
    /// Data, model and rules.
    pub experiment: Experiment,
    /// The network at the run's weights.
    pub network: Network,
    /// The run's folder.
    pub folder: PathBuf,
    /// Where the weights were read.
    pub weights: PathBuf,
    /// Optimizer steps behind these weights, where the run knows.
    pub step: Option<u64>,
    /// The optimizer's state at these weights, as [`largebatch_optim::Driver::save`] writes it: a checkpoint has it, a finished run has not.
    pub optimizer: Option<Vec<u8>>,
}

impl Run {
    /// Opens a run's folder, or one checkpoint in it (`RUN/checkpoints/step-N`). `weights` names another safetensors file, `device` another device.
    ///
    /// # Errors
    /// A folder that is none, weights of another model, data that cannot be had.
    pub fn open(
        path: &Path,
        weights: Option<&Path>,
        device: Option<&str>,
        registry: &Registry,
        mut search: Search,
    ) -> Result<Self, ProbeError> {
        let is_checkpoint = !path.join("run.toml").exists() && path.join("state.json").exists();
        let root = match path.canonicalize().ok().as_deref().and_then(|p| p.ancestors().nth(2)) {
            Some(root) if is_checkpoint => root.to_owned(),
            _ => path.to_owned(),
        };
        let (folder, file) = RunFolder::open(&root)?;
        let mut config = file.config;
        if let Some(device) = device {
            config.device = device.into();
        }
        search.data_dir = search.data_dir.or(file.provenance.data_dir);
        let experiment = Experiment::open(config, registry, &search)?;
        let mut optimizer = None;
        let (bytes, place, step) = match weights {
            Some(path) => (std::fs::read(path).map_err(TrainError::io(path, "read"))?, path.to_owned(), None),
            None => match folder.outcome()?.filter(|_| !is_checkpoint) {
                Some(outcome) => (folder.weights()?, path.to_owned(), Some(outcome.steps)),
                None => {
                    let checkpoint = if is_checkpoint { Some(Checkpoint::load(path)?) } else { Checkpoint::newest(&folder.checkpoints())? };
                    let Some(checkpoint) = checkpoint else {
                        let message = "has no weights yet: it has neither ended nor written a checkpoint".into();
                        return Err(TrainError::Folder { path: root, message }.into());
                    };
                    optimizer = Some(checkpoint.optimizer);
                    (checkpoint.model, path.to_owned(), Some(checkpoint.progress.step))
                }
            },
        };
        let network = load_network(&experiment, &bytes, &place)?;
        Ok(Run { experiment, network, folder: root, weights: place, step, optimizer })
    }

    /// The learning rate at these weights: that of the step after them, or the last of a run that has ended.
    pub fn rate(&self) -> f64 {
        let last = self.experiment.total_steps.saturating_sub(1);
        self.experiment.schedule.lr(self.step.unwrap_or(last).min(last) as usize)
    }

    /// Adam's mean of squares v as a flat vector and its number of steps, from the optimizer's state; `None` where that is not at hand, as in a
    /// finished run, which keeps no state.
    ///
    /// # Errors
    /// A state that is not Adam's.
    pub fn adam_squares(&self) -> Result<Option<(Vec<f64>, u64)>, ProbeError> {
        let Some(bytes) = &self.optimizer else { return Ok(None) };
        let unfit = |message: String| TrainError::Folder { path: self.weights.clone(), message };
        let file = SafeTensors::deserialize(bytes).map_err(|e| unfit(format!("its optimizer's state is not a safetensors file ({e})")))?;
        let (layers, weights) = flatten(&self.network);
        let mut squares = vec![0.0; weights.len()];
        let mut time = 0;
        for layer in &layers {
            // A parameter that never had a gradient has no state, and keeps v = 0.
            let Ok(view) = file.tensor(&format!("{}.square", layer.path)) else { continue };
            let values: Vec<f64> = match view.dtype() {
                safetensors::Dtype::F32 => {
                    view.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
                }
                other => return Err(unfit(format!("{}.square of its optimizer's state is {other:?}; f32 is read", layer.path)).into()),
            };
            if values.len() != layer.range.len() {
                return Err(unfit(format!(
                    "{}.square of its optimizer's state has {} numbers, not {}",
                    layer.path,
                    values.len(),
                    layer.range.len()
                ))
                .into());
            }
            squares[layer.range.clone()].copy_from_slice(&values);
            let count = file
                .tensor(&format!("{}.time", layer.path))
                .map_err(|e| unfit(format!("{}.time of its optimizer's state: {e}", layer.path)))?;
            let mut bytes = [0; 8];
            let data = count.data();
            let width = data.len().min(8);
            bytes[..width].copy_from_slice(&data[..width]);
            time = time.max(u64::from_le_bytes(bytes));
        }
        Ok((time > 0).then_some((squares, time)))
    }

    /// The network on a part of the data, or on a subset of it.
    ///
    /// # Errors
    /// Those of [`Subject::new`], and weights that are not finite.
    pub fn subject(&self, which: Which, subset: Subset) -> Result<Subject<'_>, ProbeError> {
        let subject = Subject::new(&self.experiment, &self.network, which, subset)?;
        subject.check(&self.weights)?;
        Ok(subject)
    }
}

/// Which examples of a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Subset {
    /// How many; `None` or more than there are: all.
    pub size: Option<usize>,
    /// The seed of the draw. Classes keep their shares, to within one example.
    pub seed: u64,
}

/// A parameter in the flat vector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layer {
    /// Its path, PyTorch's `state_dict` name.
    pub path: String,
    /// Its shape as stored; weights of rank 2 are `[in, out]`, PyTorch's transposed.
    pub shape: Vec<usize>,
    /// Its place in the flat vector, row by row.
    pub range: Range<usize>,
}

struct Batch {
    inputs: Tensor<2>,
    targets: Targets,
}

/// L(w) of a network as a function of its flat parameters: the mean training loss (label smoothing as in the run, no weight decay) over some
/// examples, without augmentation, with dropout off and batch norm frozen at its running statistics, so that it is one smooth function of w.
///
/// The parameters stand in the network's order. On the CPU devices everything is computed in f64; elsewhere in f32. A gradient takes microbatches of
/// 250 examples: memory does not grow with the number of examples.
pub struct Subject<'a> {
    experiment: &'a Experiment,
    which: Which,
    examples: Vec<u32>,
    dtype: DType,
    layers: Vec<Layer>,
    weights: Vec<f64>,
    network: Network,
    /// The weights that `network` stands at.
    at: Vec<f64>,
    kept: Vec<Batch>,
    gradients: u64,
    passes: u64,
    batch_statistics: bool,
}

impl<'a> Subject<'a> {
    /// A network of an experiment on a part of its data.
    ///
    /// # Errors
    /// An empty part or subset.
    pub fn new(experiment: &'a Experiment, network: &Network, which: Which, subset: Subset) -> Result<Self, ProbeError> {
        let (part, all) = experiment.indices(which);
        if all.is_empty() {
            return Err(ProbeError::value("part", format!("{which:?}").to_lowercase(), "the run has no examples in it; take another part"));
        }
        if subset.size == Some(0) {
            return Err(ProbeError::value("subset", 0, "at least one example is needed"));
        }
        let examples = draw(part.labels(), all, subset);
        let double = matches!(experiment.config.device.split(':').next(), Some("flex" | "ndarray"));
        let dtype = if double { DType::F64 } else { DType::F32 };
        // Batch norm's running statistics included: everything is of one type.
        let network = network.clone().map(&mut Cast(dtype));
        let (layers, values) = flatten(&network);
        Ok(Subject {
            experiment,
            which,
            examples,
            dtype,
            layers,
            at: values.clone(),
            weights: values,
            network,
            kept: Vec::new(),
            gradients: 0,
            passes: 0,
            batch_statistics: false,
        })
    }

    /// Refuses weights that are not finite.
    ///
    /// # Errors
    /// The first such weight; `place` is its file in the message.
    pub fn check(&self, place: &Path) -> Result<(), ProbeError> {
        let Some(i) = self.weights.iter().position(|w| !w.is_finite()) else { return Ok(()) };
        let layer = self.layers.iter().find(|l| l.range.contains(&i));
        let (path, start) = layer.map_or((String::new(), 0), |l| (l.path.clone(), l.range.start));
        Err(ProbeError::Weights { path: place.to_owned(), layer: path, index: i - start, value: self.weights[i] })
    }

    /// The network's own weights, where it was opened.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The parameters in the order of the flat vector.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The data, model and rules.
    pub fn experiment(&self) -> &'a Experiment {
        self.experiment
    }

    /// The examples, as indices of the part.
    pub fn examples(&self) -> &[u32] {
        &self.examples
    }

    /// The part of the data.
    pub fn part(&self) -> Which {
        self.which
    }

    /// Whether everything is computed in f64.
    pub fn is_double(&self) -> bool {
        self.dtype == DType::F64
    }

    /// From now on computes the loss as training does: batch norm by the statistics of each microbatch of 250, through which the gradient goes too, and dropout
    /// with masks that stay the same. Frozen statistics make a network with batch norm much more sensitive to its weights than training sees it.
    pub fn use_batch_statistics(&mut self) {
        self.batch_statistics = true;
    }

    /// Refuses single precision, for instruments that take differences of gradients.
    ///
    /// # Errors
    /// The device.
    pub fn need_double(&self) -> Result<(), ProbeError> {
        if self.is_double() { Ok(()) } else { Err(ProbeError::Precision { device: self.experiment.config.device.clone() }) }
    }

    /// Gradient evaluations so far: over all examples, or over one batch.
    pub fn gradients(&self) -> u64 {
        self.gradients
    }

    /// Single examples that went forward and backward so far: the cost of everything, in units that do not depend on the batch.
    pub fn example_gradients(&self) -> u64 {
        self.passes
    }

    /// The network at w, in the subject's precision, with the original's batch-norm statistics.
    ///
    /// # Errors
    /// A vector of another length.
    pub fn network_at(&mut self, w: &[f64]) -> Result<&Network, ProbeError> {
        if w.len() != self.weights.len() {
            return Err(ProbeError::Length { expected: self.weights.len(), found: w.len() });
        }
        if self.at != w {
            let network = self.network.clone();
            self.network = network.map(&mut Unflatten { values: w, next: 0, dtype: self.dtype });
            self.at.copy_from_slice(w);
        }
        Ok(&self.network)
    }

    /// The mean loss at w and, for classes, the share of examples that are classified correctly.
    ///
    /// # Errors
    /// A vector of another length; labels that the loss cannot take.
    pub fn measure(&mut self, w: &[f64]) -> Result<(f64, Option<f64>), ProbeError> {
        let network = self.network_at(w)?.valid();
        let (mut sum, mut correct) = (0.0, None);
        for i in 0..self.examples.len().div_ceil(MICROBATCH) {
            let Batch { inputs, targets } = self.batch(i)?;
            let rows = rows(&inputs);
            let outputs = network.forward(inputs, &mut self.pass(&rows));
            if let Some(right) = self.experiment.loss.correct(&outputs, &targets) {
                *correct.get_or_insert(0.0) += right.into_scalar::<f64>();
            }
            sum += self.experiment.loss.sum(outputs, &targets, self.experiment.config.label_smoothing).into_scalar::<f64>();
        }
        let n = self.examples.len() as f64;
        Ok((sum / n, correct.map(|c| c / n)))
    }

    /// The `i`-th microbatch of the subject's own examples.
    fn batch(&mut self, i: usize) -> Result<Batch, ProbeError> {
        let all = self.examples.len();
        if self.kept.is_empty() {
            let (part, _) = self.experiment.indices(self.which);
            if all * part.size() <= KEPT {
                self.kept = self.examples.chunks(MICROBATCH).map(|some| self.load(some)).collect::<Result<_, _>>()?;
            }
        }
        match self.kept.get(i) {
            Some(batch) => Ok(Batch { inputs: batch.inputs.clone(), targets: batch.targets.clone() }),
            None => self.load(&self.examples[i * MICROBATCH..all.min((i + 1) * MICROBATCH)]),
        }
    }

    fn pass<'b>(&self, rows: &'b [u64]) -> Pass<'b> {
        if self.batch_statistics { Pass::train(Key::new(0).word("probe dropout"), rows, None) } else { Pass::eval() }
    }

    fn load(&self, examples: &[u32]) -> Result<Batch, ProbeError> {
        let (part, _) = self.experiment.indices(self.which);
        let (inputs, targets) = self.experiment.batch(part, examples, None)?;
        Ok(Batch { inputs: inputs.cast(self.dtype), targets })
    }

    /// Adds ∇ Σ ℓ of one microbatch to `gradient`, and returns Σ ℓ. The division by the number of examples is the caller's: Burn 0.22 rounds the
    /// scalar of a division to f32 on the way back.
    fn add(&mut self, batch: Batch, gradient: &mut [f64]) -> f64 {
        let rows = rows(&batch.inputs);
        self.passes += rows.len() as u64;
        let outputs = self.network.forward(batch.inputs, &mut self.pass(&rows));
        let sum = self.experiment.loss.sum(outputs, &batch.targets, self.experiment.config.label_smoothing);
        let loss = sum.clone().inner().into_scalar::<f64>();
        let gradients = GradientsParams::from_grads(sum.backward(), &self.network);
        self.network.visit(&mut AddGradient { gradients: &gradients, sum: gradient, next: 0 });
        loss
    }
}

impl Objective for Subject<'_> {
    fn dim(&self) -> usize {
        self.weights.len()
    }

    fn loss(&mut self, w: &[f64]) -> Result<f64, ProbeError> {
        Ok(self.measure(w)?.0)
    }

    fn gradient(&mut self, w: &[f64]) -> Result<(f64, Vec<f64>), ProbeError> {
        self.network_at(w)?;
        self.gradients += 1;
        let (mut loss, mut gradient) = (0.0, vec![0.0; w.len()]);
        let n = self.examples.len();
        for i in 0..n.div_ceil(MICROBATCH) {
            let batch = self.batch(i)?;
            loss += self.add(batch, &mut gradient);
        }
        scale(1.0 / n as f64, &mut gradient);
        Ok((loss / n as f64, gradient))
    }
}

impl Examples for Subject<'_> {
    fn count(&self) -> usize {
        self.examples.len()
    }

    fn batch_gradient(&mut self, w: &[f64], places: &[usize]) -> Result<(f64, Vec<f64>), ProbeError> {
        if places.is_empty() {
            return Err(ProbeError::value("batch", 0, "a gradient needs at least one example"));
        }
        self.network_at(w)?;
        self.gradients += 1;
        let examples: Vec<u32> = places.iter().map(|&p| self.examples[p]).collect();
        let (mut loss, mut gradient) = (0.0, vec![0.0; w.len()]);
        for some in examples.chunks(MICROBATCH) {
            let batch = self.load(some)?;
            loss += self.add(batch, &mut gradient);
        }
        scale(1.0 / examples.len() as f64, &mut gradient);
        Ok((loss / examples.len() as f64, gradient))
    }
}

/// The numbers of a batch's rows, by which dropout draws its masks.
fn rows(inputs: &Tensor<2>) -> Vec<u64> {
    (0..inputs.dims()[0] as u64).collect()
}

/// A subset of `all` that keeps the classes' shares, in increasing order.
fn draw(labels: &Labels, all: &[u32], subset: Subset) -> Vec<u32> {
    let size = subset.size.unwrap_or(all.len());
    if size >= all.len() {
        return all.to_vec();
    }
    let key = Key::new(subset.seed).word("probe subset");
    let shuffled: Vec<u32> = key.permutation(all.len()).into_iter().map(|i| all[i as usize]).collect();
    let mut chosen: Vec<u32> = match labels {
        Labels::Targets(_) => shuffled[..size].to_vec(),
        Labels::Classes(classes) => {
            // Sorted by class, every (all/size)-th: each class has its share, rounded down or up.
            let mut by_class = shuffled;
            by_class.sort_by_key(|&i| classes[i as usize]);
            (0..size).map(|k| by_class[k * all.len() / size]).collect()
        }
    };
    chosen.sort_unstable();
    chosen
}

#[derive(Default)]
struct Flatten {
    path: Vec<String>,
    layers: Vec<Layer>,
    values: Vec<f64>,
}

impl ModuleVisitor for Flatten {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let value = param.val().inner();
        let start = self.values.len();
        let shape = value.dims().to_vec();
        self.values.extend(host(value));
        self.layers.push(Layer { path: self.path.join("."), shape, range: start..self.values.len() });
    }
}

/// The parameters of a network and their flat vector.
pub(crate) fn flatten(network: &Network) -> (Vec<Layer>, Vec<f64>) {
    let mut flatten = Flatten::default();
    network.visit(&mut flatten);
    (flatten.layers, flatten.values)
}

/// A flat gradient in the form that an optimizer takes, in f32 as the network.
pub(crate) fn gradients_of(network: &Network, gradient: &[f64]) -> GradientsParams {
    let mut gather = Gather { gradient, next: 0, gradients: GradientsParams::new() };
    network.visit(&mut gather);
    gather.gradients
}

struct Gather<'a> {
    gradient: &'a [f64],
    next: usize,
    gradients: GradientsParams,
}

impl ModuleVisitor for Gather<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let value = param.val().inner();
        let size = value.shape().num_elements();
        let part = self.gradient[self.next..self.next + size].to_vec();
        self.next += size;
        let part = Tensor::<D>::from_data(TensorData::new(part, value.dims()), (&value.device(), value.dtype()));
        self.gradients.register(param.id, part);
    }
}

/// The numbers of a tensor, row by row.
fn host<const D: usize>(value: Tensor<D>) -> Vec<f64> {
    value.into_data().iter::<f64>().collect()
}

struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let trained = value.is_require_grad();
        let cast = Tensor::from_inner(value.inner().cast(self.0));
        Param::from_mapped_value(id, if trained { cast.require_grad() } else { cast }, mapper)
    }
}

struct Unflatten<'a> {
    values: &'a [f64],
    next: usize,
    dtype: DType,
}

impl ModuleMapper for Unflatten<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() {
            return param;
        }
        let (id, value, mapper) = param.consume();
        let shape = value.dims();
        let size: usize = shape.iter().product();
        let new = &self.values[self.next..self.next + size];
        self.next += size;
        let device = value.device().inner();
        let new = Tensor::<D>::from_data(TensorData::new(new.to_vec(), shape), (&device, self.dtype));
        Param::from_mapped_value(id, Tensor::from_inner(new).require_grad(), mapper)
    }
}

struct AddGradient<'a> {
    gradients: &'a GradientsParams,
    sum: &'a mut [f64],
    next: usize,
}

impl ModuleVisitor for AddGradient<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let size = param.lazy_shape().num_elements();
        let sum = &mut self.sum[self.next..self.next + size];
        self.next += size;
        // A parameter that the loss does not depend on has no gradient.
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let data = gradient.into_data();
            match data.as_slice::<f64>() {
                Ok(terms) => sum.iter_mut().zip(terms).for_each(|(s, t)| *s += t),
                Err(_) => sum.iter_mut().zip(data.iter::<f64>()).for_each(|(s, t)| *s += t),
            }
        }
    }
}
