//! A run's data, model and rules, ready to compute with.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use largebatch_data::{DataSpec, Dataset, Labels, Order, Part, Pipeline, Search, Split, Task};
use largebatch_models::{Blueprint, Forward, Io, Loss, Model, Network, Pass, Targets};
use largebatch_optim::{Driver, DynRecipe, Registry};
use largebatch_random::Key;
use largebatch_schedule::{BatchConfig, BatchSchedule, LastBatch, Schedule, ScheduleConfig};

use crate::{Choice, Metrics, ModelData, RunConfig, TrainError, device};

/// Examples that one evaluation pass takes at once; fixed, so that the sums are the same for every batch size.
const EVALUATION_BATCH: usize = 1000;

/// Which part of the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// The training part without what is held out.
    Train,
    /// What is held out of the training part.
    Validation,
    /// The test part: only for the final evaluation.
    Test,
}

/// A run's data, model and rules: what a training, an evaluation or a probe computes with.
pub struct Experiment {
    /// The configuration, resolved.
    pub config: RunConfig,
    /// The data.
    pub dataset: Dataset,
    /// The training and the validation part, as indices of `dataset.train`.
    pub split: Split,
    /// The device with autodiff.
    pub device: Device,
    /// The model's loss.
    pub loss: Loss,
    /// The rate of each step.
    pub schedule: Schedule,
    /// The batch size of each step.
    pub batches: BatchSchedule,
    /// The number of steps that the budget allows.
    pub total_steps: u64,
    /// The optimizer.
    pub optimizer: Box<dyn DynRecipe>,
    pipeline: Pipeline,
    model: Box<dyn Blueprint>,
    io: Io,
    all_train: Vec<u32>,
    all_test: Vec<u32>,
}

/// A data set from its place in the configuration.
///
/// # Errors
/// A name that the catalogue lacks, files that are missing or broken.
pub fn open(dataset: &Choice, search: &Search) -> Result<Dataset, TrainError> {
    match dataset.name.as_str() {
        "" => Err(TrainError::value(
            "dataset",
            "(none)",
            "give one, such as --dataset digits or --set dataset=digits; `largebatch data list` shows them",
        )),
        name if dataset.options.is_empty() => Ok(largebatch_data::open(name, search)?),
        _ => {
            let spec: DataSpec = toml::Value::Table(dataset.table())
                .try_into()
                .map_err(|e: toml::de::Error| TrainError::Config { place: "dataset".into(), message: crate::config::explain(&e) })?;
            Ok(largebatch_data::open_spec(&spec, search)?)
        }
    }
}

impl Experiment {
    /// Opens the data, takes the validation split, and checks every setting.
    ///
    /// # Errors
    /// The first setting, name or file that is wrong.
    pub fn open(config: RunConfig, registry: &Registry, search: &Search) -> Result<Self, TrainError> {
        let dataset = open(&config.dataset, search)?;
        let held = config.data.validation.unwrap_or_else(|| dataset.default_validation());
        let split = largebatch_data::split(dataset.train.labels(), held, config.split_seed)?;
        Self::with(config, dataset, split, registry)
    }

    /// The same on data and a split that the caller brings, such as a fold of a cross-validation.
    ///
    /// # Errors
    /// The first setting or name that is wrong.
    pub fn with(mut config: RunConfig, dataset: Dataset, split: Split, registry: &Registry) -> Result<Self, TrainError> {
        config.data.validation = Some(split.validation.len());
        let preprocess = config.data.preprocess.get_or_insert(dataset.preprocess);
        preprocess.targets = preprocess.targets.or(dataset.preprocess.targets);
        let preprocess = *preprocess;
        let mut config = config.resolve(split.train.len())?;
        let device = device(&config.device)?.autodiff();
        let classes = match dataset.task {
            Task::Classes(n) => Some(n),
            Task::Real => None,
        };
        let io = Io { shape: dataset.shape.clone(), classes };
        if config.model.name.is_empty() {
            return Err(TrainError::value(
                "model",
                "(none)",
                "give one, such as --model mlp or --set model=mlp; `largebatch models` shows them",
            ));
        }
        let model = largebatch_models::named(&config.model.name)?.configure(config.model.options.clone())?;
        model.check(&io)?;
        let loss = model.loss();
        if config.label_smoothing > 0.0 && !loss.takes_label_smoothing() {
            let why = format!("the loss of model {} has no label smoothing; leave it out", config.model.name);
            return Err(TrainError::value("label_smoothing", config.label_smoothing, why));
        }
        let mut options = config.optimizer.options.clone();
        let preset = match options.remove("preset") {
            None => None,
            Some(toml::Value::String(preset)) => Some(preset),
            Some(other) => return Err(TrainError::value("optimizer.preset", other, "a preset is a word")),
        };
        let optimizer = registry.named(&config.optimizer.name)?.configure(preset.as_deref(), options)?;
        // The resolved configuration holds every option, so that a later change of a default does not change a recorded run.
        config.model.options = model.parameters();
        config.optimizer.options = optimizer.table();
        config.optimizer.options.extend(preset.map(|preset| ("preset".to_owned(), preset.into())));
        let mut pipeline = Pipeline::fit(preprocess, &dataset.train, &split.train)?;
        [&dataset.train, &dataset.test].into_iter().try_for_each(|part| pipeline.prepare(part))?;

        for (kind, name, facts) in [
            ("schedule", &config.schedule.name, largebatch_schedule::facts()),
            ("batch schedule", &config.batch_schedule.name, largebatch_schedule::batch_facts()),
        ] {
            if facts.iter().all(|f| f.name != name) {
                return Err(TrainError::unknown(kind, name, facts.iter().map(|f| f.name)));
            }
        }
        let choice = |what: &'static str, choice: &Choice| (what, toml::Value::Table(choice.table()));
        let unread = |what: &str| {
            let place = what.to_owned();
            move |e: toml::de::Error| TrainError::Config { place, message: crate::config::explain(&e) }
        };
        let (what, value) = choice("schedule", &config.schedule);
        let schedule: ScheduleConfig = value.try_into().map_err(unread(what))?;
        let (what, value) = choice("batch_schedule", &config.batch_schedule);
        let batches: BatchConfig = value.try_into().map_err(unread(what))?;
        let (n, batch) = (split.train.len(), config.batch_size.unwrap_or(1));
        let batches = batches.resolve(batch, n, config.epochs.map(|e| e as f64))?;
        let last = if config.data.drop_last { LastBatch::Drop } else { LastBatch::Keep };
        let total_steps = match (config.steps, config.epochs) {
            (Some(steps), _) => steps,
            (None, epochs) => batches.total_steps(epochs.unwrap_or(1) as usize, last) as u64,
        };
        let schedule = schedule.resolve(config.peak_lr().unwrap_or(0.0), total_steps as usize, n as f64 / batch as f64)?;
        let experiment = Experiment {
            all_train: (0..dataset.train.len() as u32).collect(),
            all_test: (0..dataset.test.len() as u32).collect(),
            config,
            dataset,
            split,
            device,
            loss,
            schedule,
            batches,
            total_steps,
            optimizer,
            pipeline,
            model,
            io,
        };
        let part = batch / (experiment.config.accumulate * experiment.config.workers);
        let ghost = experiment.config.ghost_batch;
        if (part == 1 || ghost == Some(1)) && experiment.initial_model()?.network.has_batch_norm() {
            let (key, size) = ghost.filter(|&n| n == 1).map_or(("batch_size", batch), |n| ("ghost_batch", n));
            let why = "batch norm needs at least 2 examples in each micro-batch: take a larger batch, fewer workers, or a model without batch norm";
            return Err(TrainError::value(key, size, why));
        }
        // The optimizer resolves its exclusions on the network's paths.
        let excluded = experiment.optimizer.exclusions();
        if excluded.weight_decay.is_by_path() || excluded.layer_adaptation.is_by_path() {
            Driver::new(&*experiment.optimizer, &experiment.initial_model()?.network)?;
        }
        Ok(experiment)
    }

    /// The model with the initial weights of the run's seed.
    ///
    /// # Errors
    /// A model that does not suit the data; [`Experiment::open`] has checked it.
    pub fn initial_model(&self) -> Result<Model, TrainError> {
        Ok(self.model.build(&self.io, self.config.seed, &self.device)?)
    }

    /// The key of the run's seed for a purpose.
    pub fn key(&self, purpose: &str) -> Key {
        Key::new(self.config.seed).word(purpose)
    }

    /// The order of the training examples, at its start.
    ///
    /// # Errors
    /// If there is nothing to train on.
    pub fn order(&self) -> Result<Order, TrainError> {
        Ok(Order::new(self.split.train.clone(), self.config.data.sampling, self.config.data.drop_last, self.key("order"))?)
    }

    /// From stored examples to what the model reads, and from its outputs back to the target's unit.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Warnings about the data, one a line: columns whose values 32 bits cannot tell apart.
    pub fn notes(&self) -> Vec<String> {
        self.pipeline.notes(&self.dataset.train, &self.split.train)
    }

    /// What the network takes from its data, for the file of its weights.
    pub fn model_data(&self) -> ModelData {
        ModelData {
            version: 1,
            dataset: self.dataset.name.clone(),
            classes: self.io.classes,
            class_names: self.dataset.class_names.clone(),
            feature_names: self.dataset.train.feature_names().to_vec(),
            preprocessing: self.pipeline.fitted().clone(),
        }
    }

    /// Inputs `[n, values]` and targets of some examples, on the device without autodiff; augmented where a key is given.
    ///
    /// # Errors
    /// Labels that the model's loss cannot take.
    pub fn batch(&self, part: &Part, indices: &[u32], augment: Option<Key>) -> Result<(Tensor<2>, Targets), TrainError> {
        let mut values = Vec::new();
        self.pipeline.gather(part, indices, augment, &mut values);
        let device = self.device.clone().inner();
        let inputs = Tensor::from_data(TensorData::new(values, [indices.len(), part.size()]), &device);
        let targets = match part.labels() {
            Labels::Classes(all) => {
                let some: Vec<u32> = indices.iter().map(|&i| all[i as usize]).collect();
                self.loss.targets(largebatch_models::Labels::Classes(&some), self.io.classes, &device)?
            }
            Labels::Targets(all) => {
                let some: Vec<f32> = indices.iter().map(|&i| self.pipeline.encode(all[i as usize])).collect();
                self.loss.targets(largebatch_models::Labels::Real(&some), self.io.classes, &device)?
            }
        };
        Ok((inputs, targets))
    }

    /// The examples of a part, as indices of `dataset.train` or, for the test part, of `dataset.test`.
    pub fn indices(&self, which: Which) -> (&Part, &[u32]) {
        match which {
            Which::Train => (&self.dataset.train, &self.split.train),
            Which::Validation => (&self.dataset.train, &self.split.validation),
            Which::Test => (&self.dataset.test, &self.all_test),
        }
    }

    /// All of the training part, what is held out included.
    pub fn all_training_indices(&self) -> &[u32] {
        &self.all_train
    }

    /// The model's means over a part: dropout off, batch norm by its running statistics, no augmentation. `None` for an empty part.
    ///
    /// # Errors
    /// Labels that the model's loss cannot take.
    pub fn evaluate(&self, network: &Network, which: Which) -> Result<Option<Metrics>, TrainError> {
        let (part, indices) = self.indices(which);
        self.means(network, part, indices)
    }

    /// As [`evaluate`](Self::evaluate), over at most `n` examples that are evenly spread over the training part.
    pub(crate) fn fitted(&self, network: &Network, n: usize) -> Result<Option<Metrics>, TrainError> {
        let (part, all) = self.indices(Which::Train);
        let n = n.min(all.len());
        let some: Vec<u32> = (0..n).map(|i| all[i * all.len() / n]).collect();
        self.means(network, part, &some)
    }

    fn means(&self, network: &Network, part: &Part, indices: &[u32]) -> Result<Option<Metrics>, TrainError> {
        if indices.is_empty() {
            return Ok(None);
        }
        let network = network.valid();
        let (mut loss, mut correct, mut squares) = (0.0, None, 0.0);
        for some in indices.chunks(EVALUATION_BATCH) {
            let (inputs, targets) = self.batch(part, some, None)?;
            let outputs = network.forward(inputs, &mut Pass::eval());
            if let Some(right) = self.loss.correct(&outputs, &targets) {
                *correct.get_or_insert(0.0) += scalar(right);
            }
            if let Labels::Targets(all) = part.labels() {
                // In the target's own unit and in f64: what standardising kept is not lost here.
                let error = |(&i, o): (&u32, f64)| all[i as usize] - self.pipeline.decode(o);
                squares += some.iter().zip(outputs.clone().into_data().iter::<f64>()).map(error).map(|e| e * e).sum::<f64>();
            }
            loss += scalar(self.loss.sum(outputs, &targets, 0.0));
        }
        let n = indices.len() as f64;
        let (mut rmse, mut r2) = (None, None);
        if let Labels::Targets(all) = part.labels() {
            let first = all[indices[0] as usize];
            let mean = first + indices.iter().map(|&i| all[i as usize] - first).sum::<f64>() / n;
            let total: f64 = indices.iter().map(|&i| (all[i as usize] - mean).powi(2)).sum();
            rmse = Some((squares / n).sqrt());
            r2 = (total > 0.0).then(|| 1.0 - squares / total);
        }
        Ok(Some(Metrics { n: indices.len() as u64, loss: loss / n, accuracy: correct.map(|c| c / n), rmse, r2 }))
    }
}

/// The one number of a tensor; waits for the device.
pub(crate) fn scalar(tensor: Tensor<1>) -> f64 {
    f64::from(tensor.into_scalar::<f32>())
}
