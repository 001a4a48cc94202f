//! The configuration of a run: the keys of a TOML file, of `--set` and of `run.toml`.

use largebatch_data::{Preprocess, Sampling};
use largebatch_schedule::{LastBatch, Scaling};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Value;

use largebatch_component::violation;

use crate::{Choice, TrainError, defaults, device::MAX_THREADS};

/// Everything that determines a run. Absent keys take their defaults; [`RunConfig::resolve`] fills
/// in those that depend on other keys.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// The data set: a name from the catalogue, or a table that describes files.
    pub dataset: Choice,
    /// The model and its options.
    pub model: Choice,
    /// The optimizer, with its `preset` and options.
    pub optimizer: Choice,
    /// Examples per step; absent: 64. `data.sampling` = `"full"` sets it to all, `"one"` to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub batch_size: Option<usize>,
    /// The base learning rate, before it is scaled with the batch size; absent: by optimizer and
    /// model, measured for those of this project.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0), extend("why" = "at 0 nothing is learned, below it the loss rises"))]
    pub lr: Option<f64>,
    /// Passes over the training part, in place of `steps`; absent: by data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub epochs: Option<u64>,
    /// Optimizer steps, in place of `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub steps: Option<u64>,
    /// The learning rate's schedule.
    pub schedule: Choice,
    /// How the rate grows with the batch size: the peak is lr · f(batch_size / base_batch).
    pub scaling: Scaling,
    /// The batch size at which the peak rate is `lr`; absent: 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub base_batch: Option<usize>,
    /// How the batch grows during training, in place of a decaying rate (Smith et al. 2018).
    pub batch_schedule: Choice,
    /// The seed of the initial weights, batch order, augmentation and dropout.
    pub seed: u64,
    /// The seed of the validation split; separate, so that runs with different seeds share one
    /// split.
    pub split_seed: u64,
    /// Where to compute: `flex`, `ndarray`, `wgpu`, `wgpu:cpu`, `cuda`, `cuda:1`.
    pub device: String,
    /// CPU threads; absent: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_THREADS))]
    pub threads: Option<usize>,
    /// Parts into which each batch is cut, and whose gradients are added in a fixed order; absent:
    /// accumulate × workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub parts: Option<usize>,
    /// Parts that one step computes one after another, for each worker; in place of `parts`.
    #[schemars(range(min = 1))]
    pub accumulate: usize,
    /// Parts of a batch that are computed at the same time.
    #[schemars(range(min = 1))]
    pub workers: usize,
    /// Whether each of several processes keeps the optimizer's state of some parameters only, and
    /// steps these (ZeRO-1, Rajbhandari et al. 2020). The bits are the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shard_optimizer: bool,
    /// Bound on the gradient's global l2 norm: g ← g · min(1, clip_norm / (‖g‖ + 1e-6)), as PyTorch's `clip_grad_norm_`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub clip_norm: Option<f64>,
    /// Bound on each component of the gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub clip_value: Option<f64>,
    /// Weight of the uniform distribution in a classifier's targets, in [0, 1).
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub label_smoothing: f64,
    /// Examples per batch-normalisation statistic (ghost batch norm, Hoffer et al. 2017); absent:
    /// the whole micro-batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub ghost_batch: Option<usize>,
    /// Whether batch norm's statistics are those of the whole batch, over all its parts and
    /// processes, as PyTorch's `SyncBatchNorm`; else each part has its own. On `flex`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sync_batch_norm: bool,
    /// Data: split, order and preprocessing.
    pub data: DataConfig,
    /// When to stop before the budget is spent.
    pub stop: StopConfig,
    /// Checkpoints.
    pub checkpoint: CheckpointConfig,
    /// What is measured and logged during training.
    pub log: LogConfig,
}

/// Holdout, order and preprocessing.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Examples held out of the training part for validation; absent: the data set's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<usize>,
    /// How batches are drawn.
    pub sampling: Sampling,
    /// Whether an epoch's last batch is dropped when it is smaller than the others.
    pub drop_last: bool,
    /// Normalisation and augmentation; absent: the data set's normalisation, no augmentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<Preprocess>,
}

impl DataConfig {
    /// What is done with an epoch's last batch.
    pub fn last_batch(&self) -> LastBatch {
        if self.drop_last {
            LastBatch::Drop
        } else {
            LastBatch::Keep
        }
    }
}

/// When to stop before the budget is spent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StopConfig {
    /// Stop when validation reaches this: an accuracy (a fraction) or above, or for real targets a
    /// mean squared error, in the target's own unit squared, or below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// A training has diverged when its loss exceeds this many times a constant prediction's.
    ///
    /// The loss is averaged over 1,000 examples (or an epoch, if that is shorter) and at least 10
    /// steps. It is compared with the training loss of the best constant prediction, or of the initial
    /// weights if that is larger. NaN and infinity count at once. They are the only criterion for the
    /// perceptron, whose loss grows with its weights, and for data whose targets are all equal.
    #[schemars(extend("exclusiveMinimum" = 1.0, "infinite" = true, "why" = "it multiplies the loss of a constant prediction"))]
    pub divergence: f64,
    /// Evaluations without a better validation loss before training stops; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub patience: Option<u64>,
}

/// Checkpoints.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Steps between checkpoints; absent: none by step count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub every_steps: Option<u64>,
    /// Minutes between checkpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "infinite" = true))]
    pub every_minutes: Option<f64>,
    /// How many of the newest checkpoints are kept.
    #[schemars(range(min = 1))]
    pub keep: usize,
}

/// What is measured and logged during training.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Steps between step lines in `events.jsonl`.
    #[schemars(range(min = 1))]
    pub every_steps: u64,
    /// Steps between evaluations on the validation part; absent: at the end of each epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub evaluate_every_steps: Option<u64>,
    /// Steps between rows of `layers.csv` (‖w‖, ‖g‖, ‖Δw‖, trust ratio and effective rate of each
    /// parameter); absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub layers_every_steps: Option<u64>,
}

impl Default for RunConfig {
    fn default() -> Self {
        RunConfig {
            dataset: Choice::default(),
            model: Choice::default(),
            optimizer: Choice::plain("sgd"),
            batch_size: None,
            lr: None,
            epochs: None,
            steps: None,
            schedule: Choice::plain("constant"),
            scaling: Scaling::None,
            base_batch: None,
            batch_schedule: Choice::plain("constant"),
            seed: 0,
            split_seed: 0,
            device: "flex".into(),
            threads: None,
            parts: None,
            accumulate: 1,
            workers: 1,
            shard_optimizer: false,
            clip_norm: None,
            clip_value: None,
            label_smoothing: 0.0,
            ghost_batch: None,
            sync_batch_norm: false,
            data: DataConfig::default(),
            stop: StopConfig::default(),
            checkpoint: CheckpointConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for StopConfig {
    fn default() -> Self {
        StopConfig {
            target: None,
            divergence: 1000.0,
            patience: None,
        }
    }
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        CheckpointConfig {
            every_steps: None,
            every_minutes: Some(10.0),
            keep: 2,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            every_steps: 10,
            evaluate_every_steps: None,
            layers_every_steps: None,
        }
    }
}

impl RunConfig {
    /// The learning rate after scaling with the batch size, lr · f(batch_size / base_batch), once
    /// defaults are filled in.
    pub fn peak_lr(&self) -> Option<f64> {
        let (lr, batch) = (self.lr?, self.batch_size?);
        Some(
            self.scaling
                .peak(lr, batch, self.base_batch.unwrap_or(batch)),
        )
    }

    /// The configuration as TOML text.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration has only TOML's types")
    }

    /// The number of parts of a batch: `parts`, or accumulate × workers.
    pub fn parts(&self) -> usize {
        self.parts.unwrap_or(self.accumulate * self.workers)
    }

    /// The configuration without what leaves the result as it is: `shard_optimizer`, and the workers
    /// if `parts` is given.
    pub fn identity(&self) -> RunConfig {
        let mut identity = RunConfig {
            shard_optimizer: false,
            ..self.clone()
        };
        if self.parts.is_some() {
            identity.workers = 1;
        }
        identity
    }

    /// A hash of everything that determines the result, except the versions of the device and the
    /// program.
    pub fn id(&self) -> String {
        let canonical = Value::try_from(self.identity())
            .expect("a configuration has only TOML's types")
            .to_string();
        blake3::hash(canonical.as_bytes()).to_hex()[..16].to_owned()
    }

    /// Fills in the defaults that depend on other keys, and checks ranges.
    ///
    /// `examples` is the size of the training part after the split.
    ///
    /// # Errors
    /// The first value that is out of range or contradicts another.
    pub fn resolve(mut self, examples: usize) -> Result<Self, TrainError> {
        let bad = |key: &str, value: &dyn std::fmt::Display, why: &str| {
            Err(TrainError::value(key, value, why))
        };
        // Before anything is written as TOML, whose whole numbers end there.
        for (key, n) in [
            ("epochs", self.epochs),
            ("steps", self.steps),
            ("seed", Some(self.seed)),
            ("split_seed", Some(self.split_seed)),
            ("threads", self.threads.map(|n| n as u64)),
            ("base_batch", self.base_batch.map(|n| n as u64)),
            ("ghost_batch", self.ghost_batch.map(|n| n as u64)),
            ("checkpoint.every_steps", self.checkpoint.every_steps),
            ("log.every_steps", Some(self.log.every_steps)),
            ("log.evaluate_every_steps", self.log.evaluate_every_steps),
            ("log.layers_every_steps", self.log.layers_every_steps),
            ("stop.patience", self.stop.patience),
        ] {
            if let Some(n) = n.filter(|n| *n > i64::MAX as u64) {
                return bad(key, &n, &format!("must be at most {}", i64::MAX));
            }
        }
        if let Some(wrong) = violation(&self) {
            let why = match &wrong.why {
                none if none.is_empty() => String::new(),
                why => format!(": {why}"),
            };
            let why = format!("it must be {}{why}", wrong.range);
            return Err(TrainError::value(wrong.key, wrong.value, why));
        }
        let default = defaults::of(&self.dataset.name, &self.model, &self.optimizer);
        let size = match self.data.sampling {
            Sampling::Full => examples,
            Sampling::One => 1,
            _ => self.batch_size.unwrap_or(default.batch_size.min(examples)),
        };
        match self.batch_size.replace(size) {
            Some(b) if b != size => {
                return bad(
                    "batch_size",
                    &b,
                    &format!("data.sampling sets it to {size}; leave one of them out"),
                );
            }
            _ if size > examples => {
                let why = format!(
                    "larger than the {examples} training examples; for all of them set data.sampling = \"full\""
                );
                return bad("batch_size", &size, &why);
            }
            _ => {}
        }
        self.lr.get_or_insert(default.lr);
        match (self.epochs, self.steps) {
            (Some(_), Some(steps)) => {
                return bad("steps", &steps, "epochs is given too; give one of them");
            }
            (None, None) => self.epochs = Some(default.epochs),
            _ => {}
        }
        self.base_batch.get_or_insert(default.batch_size);
        let counts = [
            ("parts", self.parts.unwrap_or(1)),
            ("accumulate", self.accumulate),
            ("workers", self.workers),
        ];
        if let Some((key, parts)) = counts.iter().find(|(_, parts)| *parts > size) {
            let why = format!("must be at most the batch size, {size}");
            return bad(key, parts, &why);
        }
        if self.parts.is_some() && self.accumulate > 1 {
            return bad(
                "accumulate",
                &self.accumulate,
                "parts is given too; give one of them",
            );
        }
        if self.parts() > size {
            return bad(
                "workers",
                &self.workers,
                &format!("accumulate × workers exceeds the batch size, {size}"),
            );
        }
        Ok(self)
    }
}
