//! Predictions by a trained network, without the data that it was trained on.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use largebatch_data::{DataSpec, Part, Pipeline, read_features};
use largebatch_models::{Io, Loss, Network};

use crate::experiment::{outputs, spec};
use crate::{ModelData, RunConfig, TrainError, device, from_safetensors};

/// A trained network with all that predictions need: what run.toml and the file of its weights say.
pub struct Predictor {
    data: ModelData,
    spec: Option<DataSpec>,
    pipeline: Pipeline,
    network: Network,
    loss: Loss,
    device: Device,
    place: PathBuf,
}

/// What a network says of one example.
#[derive(Clone, PartialEq, Debug)]
pub enum Prediction {
    /// The number of a class.
    Class {
        /// The class, as an evaluation counts it.
        class: u32,
        /// One probability a class; empty for the perceptron, which has none.
        probabilities: Vec<f64>,
    },
    /// A real number, in the target's own unit.
    Value(f64),
}

impl Predictor {
    /// The network of a run's configuration with its weights. `data` is what the weights' file says of the data, see [`model_data`](crate::model_data), or
    /// [`Experiment::model_data`](crate::Experiment::model_data) of the run opened again; `place` is the file's name in errors.
    ///
    /// # Errors
    /// A device that is not there; a model and weights that do not go with `data`.
    pub fn new(
        config: &RunConfig,
        data: ModelData,
        weights: &[u8],
        place: &Path,
    ) -> Result<Self, TrainError> {
        let device = device(&config.device)?.autodiff();
        let model = largebatch_models::named(&config.model.name)?
            .configure(config.model.options.clone())?;
        let io = Io {
            shape: data.preprocessing.shape.clone(),
            classes: data.classes,
        };
        model.check(&io)?;
        let pipeline = Pipeline::restore(data.preprocessing.clone())?;
        let network = from_safetensors(
            model.build(&io, config.seed, &device)?.network,
            weights,
            place,
        )?;
        Ok(Predictor {
            spec: spec(&config.dataset)?,
            loss: model.loss(),
            data,
            pipeline,
            network,
            device,
            place: place.to_owned(),
        })
    }

    /// Reads a file of the format of the training file, whose labels need not be there, see [`read_features`].
    ///
    /// # Errors
    /// Those of [`read_features`].
    pub fn read(&self, file: &Path) -> Result<(Part, Vec<String>), TrainError> {
        Ok(read_features(
            file,
            self.spec.as_ref(),
            &self.data.feature_names,
            &self.data.class_names,
            self.pipeline.fitted(),
        )?)
    }

    /// The names of the classes, in the order of their numbers; empty for real targets.
    pub fn class_names(&self) -> Vec<String> {
        let name = |class: usize| {
            self.data
                .class_names
                .get(class)
                .cloned()
                .unwrap_or_else(|| class.to_string())
        };
        (0..self.data.classes.unwrap_or(0)).map(name).collect()
    }

    /// Whether predictions come with probabilities.
    pub fn has_probabilities(&self) -> bool {
        matches!(self.loss, Loss::CrossEntropy | Loss::Logistic)
    }

    /// One prediction an example, in order; the same as an evaluation's.
    ///
    /// # Errors
    /// Examples of another shape, values beyond the range of 32 bits, and outputs that are not numbers, as those of weights that have diverged.
    pub fn predict(&self, part: &Part) -> Result<Vec<Prediction>, TrainError> {
        let mut pipeline = self.pipeline.clone();
        pipeline.prepare(part)?;
        let indices: Vec<u32> = (0..part.len() as u32).collect();
        let outputs = outputs(&self.network, &pipeline, &self.device, part, &indices);
        let one = |(i, row): (usize, &[f32])| {
            if let Some(output) = row.iter().find(|o| !o.is_finite()) {
                let message = format!(
                    "the network's output for row {} (counted from 1) is {output}, not a number to predict by: its training diverged, or the row's values \
                     are far beyond those of training; take other weights by --weights, or mend the row",
                    i + 1
                );
                return Err(TrainError::folder(&self.place, message));
            }
            Ok(match self.loss.predicted(row) {
                Some(class) => Prediction::Class {
                    class,
                    probabilities: self.loss.probabilities(row).unwrap_or_default(),
                },
                None => Prediction::Value(self.pipeline.decode(f64::from(row[0]))),
            })
        };
        outputs.rows().enumerate().map(one).collect()
    }
}
