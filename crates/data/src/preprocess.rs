//! The settings of preprocessing.

use crate::part::Features;
use crate::{DataError, Part, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How values are scaled. Statistics come only from the training examples, never from validation or
/// test examples.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// As stored.
    #[default]
    None,
    /// Pixels to 0 to 1: x / 255 (x / 16 for `digits`), like torchvision's `ToTensor`.
    Unit,
    /// Each channel to mean 0 and standard deviation 1: (x / 255 − mean) / std, like torchvision's
    /// `Normalize`. Uses the catalogue's statistics of the training part if it lists them; else
    /// they are computed from the training examples.
    Channel,
    /// Each feature to mean 0 and population standard deviation 1, like scikit-learn's
    /// `StandardScaler`: computed in f64, then rounded to 32 bits. A training value becomes 0 if
    /// all training values of the feature are equal.
    Feature,
}

/// How real targets are scaled. The loss is in scaled units, as the model sees them; RMSE and R²
/// are in the target's original unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetScale {
    /// As stored, rounded to 32 bits.
    #[default]
    None,
    /// (y − mean) / std with the moments of the training examples, in f64, then rounded: one
    /// learning rate suits prices as well as fractions.
    Standardise,
}

impl TargetScale {
    /// The default for a task: real targets are standardised.
    pub(crate) fn of(task: Task) -> Option<TargetScale> {
        (task == Task::Real).then_some(TargetScale::Standardise)
    }
}

/// Normalisation and augmentation, as written in a run's configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocess {
    /// How values are scaled; if absent, the default of the data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalise: Option<Normalise>,
    /// Mirror each image left to right with probability 1/2.
    pub flip: bool,
    /// Pad each side with this many black pixels and crop a random window of the original size (He
    /// et al. 2016 use 4 on CIFAR). 0 is off.
    pub crop_pad: usize,
    /// Shift by up to this many pixels in each direction; the border is filled by reflection (as in
    /// airbench). 0 is off.
    pub translate: usize,
    /// How real targets are scaled; if absent, the default of the data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<TargetScale>,
}

impl Preprocess {
    /// Refuses a setting that does not suit the data: augmentation and pixel scaling need images.
    pub(crate) fn check(&self, part: &Part) -> Result<(), DataError> {
        let shape = part.shape();
        let pixels = matches!(part.features, Features::Bytes { .. }) && shape.len() == 3;
        let side = shape.iter().rev().take(2).min().copied().unwrap_or(0);
        for (key, value, limit) in [
            ("flip", self.flip as usize, 1),
            ("crop_pad", self.crop_pad, side),
            ("translate", self.translate, side.saturating_sub(1)),
        ] {
            if value > 0 && !pixels {
                let why = format!(
                    "augmentation needs images, but an example here has the shape {shape:?}; leave it out"
                );
                return Err(DataError::setting(key, value, why));
            }
            if value > limit {
                let why = format!("it must be at most {limit} for examples of the shape {shape:?}");
                return Err(DataError::setting(key, value, why));
            }
        }
        if self.crop_pad > 0 && self.translate > 0 {
            let why = "crop_pad already shifts images; use only one of the two";
            return Err(DataError::setting("translate", self.translate, why));
        }
        let value = match (self.normalise, &part.features) {
            (Some(Normalise::Unit), Features::Table(_)) => "unit",
            (Some(Normalise::Channel), Features::Table(_)) => "channel",
            _ => return Ok(()),
        };
        let why = "it needs images of bytes; for a table of numbers use \"feature\" or \"none\"";
        Err(DataError::setting("normalise", value, why))
    }
}
