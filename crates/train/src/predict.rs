//! Predictions by a trained network, without the data that it was trained on.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use largebatch_data::{DataSpec, Part, Pipeline, read_features};
use largebatch_models::{Io, Loss, Network};

use crate::evaluate::outputs;
use crate::experiment::spec;
use crate::{Lab, ModelData, RunConfig, TrainError, device, from_safetensors};

/// A trained network with everything needed to predict: the contents of run.toml and of its weights
/// file.
pub struct Predictor {
    data: ModelData,
    spec: Option<DataSpec>,
    pipeline: Pipeline,
    network: Network,
    loss: Loss,
    device: Device,
    place: PathBuf,
}

/// A network's prediction for one example.
#[derive(Clone, PartialEq, Debug)]
pub enum Prediction {
    /// The index of a class.
    Class {
        /// The class, numbered as in an evaluation.
        class: u32,
        /// One probability per class; empty for the perceptron, which gives none.
        probabilities: Vec<f64>,
    },
    /// A real number, in the target's own unit.
    Value(f64),
}

impl Predictor {
    /// Builds the network of a run's configuration with its weights. `data` is what the weights
    /// file says about the data, see [`model_data`](crate::model_data), or
    /// [`Experiment::model_data`](crate::Experiment::model_data) of the reopened run. `place` names
    /// the file in errors.
    ///
    /// # Errors
    /// A device that is not available, or a model or weights that do not match `data`.
    pub fn new(
        lab: &Lab,
        config: &RunConfig,
        data: ModelData,
        weights: &[u8],
        place: &Path,
    ) -> Result<Self, TrainError> {
        let device = device(&config.device)?.autodiff();
        let model = lab
            .models
            .configure(&config.model.name, config.model.options.clone())?;
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
            spec: spec(lab, &config.dataset)?,
            loss: model.loss(),
            data,
            pipeline,
            network,
            device,
            place: place.to_owned(),
        })
    }

    /// Reads a file in the format of the training file; its labels may be missing, see
    /// [`read_features`].
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

    /// The names of the classes, in the order of their indices; empty for real targets.
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

    /// One prediction per example, in order; the same as in an evaluation.
    ///
    /// # Errors
    /// Examples of another shape, values outside the range of 32-bit numbers, and outputs that are
    /// not finite, as from weights that have diverged.
    pub fn predict(&self, part: &Part) -> Result<Vec<Prediction>, TrainError> {
        let mut pipeline = self.pipeline.clone();
        pipeline.prepare(part)?;
        let indices: Vec<u32> = (0..part.len() as u32).collect();
        let outputs = outputs(&self.network, &pipeline, &self.device, part, &indices);
        let one = |(i, row): (usize, &[f32])| {
            if let Some(output) = row.iter().find(|o| !o.is_finite()) {
                let message = format!(
                    "the network's output for row {} (counted from 1) is {output}, which is not a usable prediction: its training diverged, or the row's values \
                     are far outside those of training; choose other weights with --weights, or correct the row",
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
