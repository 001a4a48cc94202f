//! A run's data, model and update rules, ready to compute with.

use burn::tensor::{Device, Tensor, TensorData};
use largebatch_data::{
    DataSpec, Dataset, Holdout, Labels, Order, Part, Pipeline, Position, Sampling, Search, Task,
    open_named, open_spec,
};
use largebatch_models::{DynModelConfig, Io, Loss, Model, Targets};
use largebatch_optim::{Driver, DynOptimizerConfig};

use crate::Lab;
use largebatch_random::Key;
use largebatch_schedule::{
    BatchConfig, BatchSchedule, Epochs, Planned, Schedule, ScheduleConfig, batch_schedules,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Choice, RunConfig, TrainError, device};

/// A part of the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The training part without the held-out examples.
    Train,
    /// The examples held out of the training part.
    Validation,
    /// The test part: only for the final evaluation.
    Test,
}

/// A run's data, model and update rules: everything that training, evaluation and probes need.
pub struct Experiment {
    /// The resolved configuration.
    pub config: RunConfig,
    /// The data.
    pub dataset: Dataset,
    /// The training and validation parts, as indices into `dataset.train`.
    pub holdout: Holdout,
    /// The device with autodiff.
    pub device: Device,
    /// The model's loss.
    pub loss: Loss,
    /// The learning rate of each step.
    pub schedule: Schedule,
    /// The batch size of each step.
    pub batches: BatchSchedule,
    /// The step at which each epoch begins.
    pub epochs: Epochs,
    /// The number of steps that the budget allows.
    pub total_steps: u64,
    /// The optimizer.
    pub optimizer: Box<dyn DynOptimizerConfig>,
    pub(crate) pipeline: Pipeline,
    model: Box<dyn DynModelConfig>,
    pub(crate) io: Io,
    all_train: Vec<u32>,
    all_test: Vec<u32>,
}

/// Opens the data set that the configuration names.
///
/// # Errors
/// A name that is not in the catalogue, or files that are missing or malformed.
pub fn open(lab: &Lab, dataset: &Choice, search: &Search) -> Result<Dataset, TrainError> {
    match dataset.name.as_str() {
        "" => Err(TrainError::value(
            "dataset",
            "(none)",
            "give one, such as --dataset digits or --set dataset=digits; `largebatch data list` shows them",
        )),
        name => Ok(match spec(lab, dataset)? {
            Some(spec) => open_spec(&spec, search)?,
            None => open_named(&lab.datasets, name, dataset.options.clone(), search)?,
        }),
    }
}

/// The description of the user's own files; `None` for a data set that has a name.
pub(crate) fn spec(lab: &Lab, dataset: &Choice) -> Result<Option<DataSpec>, TrainError> {
    if !dataset.options.contains_key("format") {
        return Ok(None);
    }
    Ok(Some(DataSpec::read(&lab.formats, dataset.table())?))
}

/// The inputs `[n, values]` of some examples, on the device without autodiff; augmented if a key is
/// given.
pub(crate) fn inputs(
    pipeline: &Pipeline,
    device: &Device,
    part: &Part,
    indices: &[u32],
    augment: Option<Key>,
) -> Tensor<2> {
    let mut values = Vec::new();
    pipeline.gather(part, indices, augment, &mut values);
    Tensor::from_data(
        TensorData::new(values, [indices.len(), part.size()]),
        &device.clone().inner(),
    )
}

/// The batch sizes of a training on `examples` examples that begins with `batch`. The batch may
/// differ from the configuration's, to match the steps of another batch size.
///
/// # Errors
/// A batch schedule that is invalid, or that `data.sampling` = `"one"` would ignore.
pub fn batch_schedule(
    config: &RunConfig,
    batch: usize,
    examples: usize,
) -> Result<BatchSchedule, TrainError> {
    let choice = &config.batch_schedule;
    let schedule = batch_schedules().configure(&choice.name, choice.options.clone())?;
    if config.data.sampling == Sampling::One && schedule != BatchConfig::Constant {
        let why = "data.sampling = \"one\" uses one example in every step; leave one of them out";
        return Err(TrainError::value(
            "batch_schedule",
            &config.batch_schedule.name,
            why,
        ));
    }
    Ok(schedule.resolve(batch, examples, config.epochs.map(|e| e as f64))?)
}

impl Experiment {
    /// Opens the data, takes the validation split, and checks every setting.
    ///
    /// # Errors
    /// The first setting, name or file that is wrong.
    pub fn open(config: RunConfig, lab: &Lab, search: &Search) -> Result<Self, TrainError> {
        let dataset = open(lab, &config.dataset, search)?;
        let held = config
            .data
            .validation
            .unwrap_or_else(|| dataset.default_validation());
        let holdout = largebatch_data::hold_out(dataset.train.labels(), held, config.split_seed)?;
        Self::with(config, dataset, holdout, lab)
    }

    /// As [`Experiment::open`], on data and a split from the caller, such as a fold of a
    /// cross-validation.
    ///
    /// # Errors
    /// The first setting or name that is wrong.
    pub fn with(
        mut config: RunConfig,
        dataset: Dataset,
        holdout: Holdout,
        lab: &Lab,
    ) -> Result<Self, TrainError> {
        config.data.validation = Some(holdout.validation.len());
        let preprocess = config.data.preprocess.get_or_insert(dataset.preprocess);
        preprocess.normalise = preprocess.normalise.or(dataset.preprocess.normalise);
        preprocess.targets = preprocess.targets.or(dataset.preprocess.targets);
        let preprocess = *preprocess;
        let mut config = config.resolve(holdout.train.len())?;
        let device = device(&config.device)?.autodiff();
        let classes = match dataset.task {
            Task::Classes(n) => Some(n),
            Task::Real => None,
        };
        let io = Io {
            shape: dataset.shape.clone(),
            classes,
        };
        if config.model.name.is_empty() {
            return Err(TrainError::value(
                "model",
                "(none)",
                "give one, such as --model mlp or --set model=mlp; `largebatch models` shows them",
            ));
        }
        let model = lab
            .models
            .configure(&config.model.name, config.model.options.clone())?;
        model.check(&io)?;
        let loss = model.loss();
        if config.label_smoothing > 0.0 && !loss.takes_label_smoothing() {
            let why = format!(
                "the loss of model {} does not support label smoothing; leave it out",
                config.model.name
            );
            return Err(TrainError::value(
                "label_smoothing",
                config.label_smoothing,
                why,
            ));
        }
        let optimizer = lab
            .optimizers
            .configure(&config.optimizer.name, config.optimizer.options.clone())?;
        // The resolved configuration records every option, so that a later change of a default does
        // not change a recorded run.
        let alias = model.facts().alias(&config.model.name);
        config.model.options = model.table();
        config
            .model
            .options
            .retain(|key, value| alias.get(key) != Some(value));
        if let Ok(set) = lab.datasets.named(&config.dataset.name)
            && !config.dataset.options.contains_key("format")
        {
            let given = std::mem::replace(&mut config.dataset.options, set.defaults(None)?);
            config.dataset.options.extend(given);
        }
        let preset = config.optimizer.options.remove_entry("preset");
        config.optimizer.options = optimizer.table();
        config.optimizer.options.extend(preset);
        let mut pipeline = Pipeline::fit(preprocess, &dataset.train, &holdout.train)?;
        [&dataset.train, &dataset.test]
            .into_iter()
            .try_for_each(|part| pipeline.prepare(part))?;

        let schedule = ScheduleConfig::read(
            &lab.schedules,
            &config.schedule.name,
            config.schedule.options.clone(),
        )?;
        let (n, batch) = (holdout.train.len(), config.batch_size.unwrap_or(1));
        let batches = batch_schedule(&config, batch, n)?;
        let epochs = batches.epochs(config.data.last_batch());
        let (key, budget, steps) = match (config.steps, config.epochs.unwrap_or(1)) {
            (Some(steps), _) => ("steps", steps, steps as f64),
            (None, whole) => ("epochs", whole, epochs.step(whole as f64)),
        };
        if steps > Epochs::MOST_STEPS as f64 {
            return Err(TrainError::value(
                key,
                budget,
                format!("a training has at most {} steps", Epochs::MOST_STEPS),
            ));
        }
        let total_steps = steps as u64;
        let schedule = schedule.resolve(
            config.peak_lr().unwrap_or(0.0),
            total_steps as usize,
            &epochs,
        )?;
        let experiment = Experiment {
            all_train: (0..dataset.train.len() as u32).collect(),
            all_test: (0..dataset.test.len() as u32).collect(),
            config,
            dataset,
            holdout,
            device,
            loss,
            schedule,
            batches,
            epochs,
            total_steps,
            optimizer,
            pipeline,
            model,
            io,
        };
        let sync = experiment.config.sync_batch_norm;
        let part = batch / if sync { 1 } else { experiment.config.parts() };
        let ghost = experiment.config.ghost_batch;
        let refused = match () {
            () if ghost.is_some() => Some("ghost_batch is given too; give one of them"),
            () if experiment.config.device != "flex" => Some("only the device flex has it"),
            () if !largebatch_kernels::enabled() => Some("LARGEBATCH_KERNELS is off"),
            () => None,
        };
        if let Some(why) = refused.filter(|_| sync) {
            return Err(TrainError::value("sync_batch_norm", sync, why));
        }
        if (part == 1 || ghost == Some(1)) && experiment.initial_model()?.network.has_batch_norm() {
            let (key, size) = ghost
                .filter(|&n| n == 1)
                .map_or(("batch_size", batch), |n| ("ghost_batch", n));
            let why = "batch norm needs at least 2 examples in each part: take a larger batch, fewer parts, or a model without batch norm";
            return Err(TrainError::value(key, size, why));
        }
        // The optimizer matches its groups and exclusions against the network's parameter paths.
        let excluded = experiment.optimizer.exclusions();
        if excluded.weight_decay.is_by_path()
            || excluded.layer_adaptation.is_by_path()
            || !experiment.optimizer.groups()?.is_empty()
        {
            Driver::new(&*experiment.optimizer, &experiment.initial_model()?.network)?;
        }
        Ok(experiment)
    }

    /// The model with the initial weights for the run's seed.
    ///
    /// # Errors
    /// A model that does not suit the data; [`Experiment::open`] has already checked this.
    pub fn initial_model(&self) -> Result<Model, TrainError> {
        Ok(self.model.build(&self.io, self.config.seed, &self.device)?)
    }

    /// The random key that the run's seed gives for a purpose.
    pub fn key(&self, purpose: &str) -> Key {
        Key::new(self.config.seed).word(purpose)
    }

    /// The order of the training examples, at its start.
    ///
    /// # Errors
    /// If there are no training examples.
    pub fn order(&self) -> Result<Order, TrainError> {
        Ok(Order::new(
            self.holdout.train.clone(),
            self.config.data.sampling,
            self.config.data.drop_last,
            self.key("order"),
        )?)
    }

    /// The next training batch at a position of the order.
    pub fn next_batch(&self, position: Position) -> Planned {
        self.batches.next(
            position.epoch as usize,
            position.offset as usize,
            self.config.data.last_batch(),
        )
    }

    /// The learning rate of update number `step`, from 0, on a planned batch: the schedule's,
    /// lowered if the batch could not grow as planned.
    pub fn lr(&self, step: u64, batch: &Planned) -> f64 {
        let seen = batch.epoch as u64 * self.holdout.train.len() as u64 + batch.start as u64;
        self.schedule.lr(step as usize) * self.batches.rate_factor(seen)
    }

    /// The preprocessing: from stored examples to the model's inputs, and from its outputs back to
    /// the target's unit.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Warnings about the data, one per line: columns whose values 32-bit numbers cannot tell
    /// apart.
    pub fn notes(&self) -> Vec<String> {
        self.pipeline
            .notes(&self.dataset.train, &self.holdout.train)
    }

    /// Inputs `[n, values]` and targets of some examples, on the device without autodiff; augmented
    /// if a key is given.
    ///
    /// # Errors
    /// Labels that the model's loss does not accept.
    pub fn batch(
        &self,
        part: &Part,
        indices: &[u32],
        augment: Option<Key>,
    ) -> Result<(Tensor<2>, Targets), TrainError> {
        let inputs = inputs(&self.pipeline, &self.device, part, indices, augment);
        let device = self.device.clone().inner();
        let targets = match part.labels() {
            Labels::Classes(all) => {
                let some: Vec<u32> = indices.iter().map(|&i| all[i as usize]).collect();
                self.loss.targets(
                    largebatch_models::Labels::Classes(&some),
                    self.io.classes,
                    &device,
                )?
            }
            Labels::Targets(all) => {
                let some: Vec<f32> = indices
                    .iter()
                    .map(|&i| self.pipeline.encode(all[i as usize]))
                    .collect();
                self.loss.targets(
                    largebatch_models::Labels::Real(&some),
                    self.io.classes,
                    &device,
                )?
            }
        };
        Ok((inputs, targets))
    }

    /// The examples of a part, as indices into `dataset.train`, or `dataset.test` for the test
    /// part.
    pub fn indices(&self, which: Split) -> (&Part, &[u32]) {
        match which {
            Split::Train => (&self.dataset.train, &self.holdout.train),
            Split::Validation => (&self.dataset.train, &self.holdout.validation),
            Split::Test => (&self.dataset.test, &self.all_test),
        }
    }

    /// The whole training part, with the held-out examples.
    pub fn all_training_indices(&self) -> &[u32] {
        &self.all_train
    }
}
