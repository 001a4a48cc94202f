//! The shapes of a model's inputs and outputs.

use crate::ConfigError;

/// The largest number of input features and of classes.
const LARGEST: usize = 1 << 24;

/// The shape of one example, and the kind of target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Io {
    /// `[features]` or `[channels, height, width]`.
    pub shape: Vec<usize>,
    /// The number of classes, or `None` for a real target.
    pub classes: Option<usize>,
}

impl Io {
    /// The number of values per example: the product of the shape.
    pub fn features(&self) -> usize {
        self.shape
            .iter()
            .fold(1, |product, side| product.saturating_mul(*side))
    }

    /// Refuses empty or huge shapes and fewer than two classes.
    pub(crate) fn check(&self, model: &'static str) -> Result<(), ConfigError> {
        let refuse = |reason: String| Err(ConfigError::Data { model, reason });
        if !matches!(self.shape.len(), 1 | 3) {
            return refuse(format!(
                "its shape is {:?}; [features] or [channels, height, width] is needed",
                self.shape
            ));
        }
        if self.features() == 0 || self.features() > LARGEST {
            return refuse(format!(
                "its shape is {:?}; an example must hold 1 to {LARGEST} numbers",
                self.shape
            ));
        }
        match self.classes {
            Some(n @ 0..=1) => refuse(format!(
                "it has {n} classes; a classifier needs at least 2 (check the label column)"
            )),
            Some(n) if n > LARGEST => refuse(format!(
                "it has {n} classes; at most {LARGEST} are allowed (check the label column)"
            )),
            _ => Ok(()),
        }
    }

    /// The number of classes, for a classifier with any number of classes.
    pub fn classes_for(&self, model: &'static str) -> Result<usize, ConfigError> {
        self.classes.ok_or_else(|| ConfigError::Data {
            model,
            reason: format!("`{model}` predicts classes, but the target is a real number; use model `linear`, or give class labels"),
        })
    }

    /// Checks that there are exactly two classes, for a model with ±1 labels.
    pub(crate) fn two_classes(&self, model: &'static str) -> Result<(), ConfigError> {
        match self.classes_for(model)? {
            2 => Ok(()),
            n => Err(ConfigError::Data {
                model,
                reason: format!(
                    "it has {n} classes, but `{model}` separates only two; use model `softmax`"
                ),
            }),
        }
    }

    /// Checks for an image, `[channels, height, width]`, with sides of at least `smallest`.
    pub(crate) fn image(
        &self,
        model: &'static str,
        smallest: usize,
    ) -> Result<[usize; 3], ConfigError> {
        match self.shape[..] {
            [c, h, w] if h >= smallest && w >= smallest => Ok([c, h, w]),
            [_, h, w] => Err(ConfigError::Data {
                model,
                reason: format!(
                    "its images are {h}×{w}, but `{model}` needs at least {smallest}×{smallest}; use `simple-cnn`, `mlp` or `softmax`"
                ),
            }),
            _ => Err(ConfigError::Data {
                model,
                reason: format!(
                    "its examples have shape {:?}, but `{model}` needs images [channels, height, width]; use `mlp` or `softmax`",
                    self.shape
                ),
            }),
        }
    }

    /// The image's shape, after [`Io::image`] has accepted it.
    pub(crate) fn sides(&self) -> [usize; 3] {
        match self.shape[..] {
            [c, h, w] => [c, h, w],
            _ => [1, 1, self.features()],
        }
    }
}
