use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How weight decay is applied in a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// L2: the gradient of the penalty ½λ‖w‖² is added first, g ← g + λw.
    #[default]
    L2,
    /// Decoupled from the gradient: w ← w − ηλw before the step (Loshchilov and Hutter, arXiv
    /// 1711.05101). As in PyTorch, λ is multiplied by the learning rate η.
    Decoupled,
}

/// The weight decay of one parameter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WeightDecay {
    /// Weight decay λ, 0 or more; 0 for an excluded parameter.
    pub rate: f64,
    /// How the decay is applied.
    pub decay: Decay,
}

impl WeightDecay {
    /// Weight decay `rate` if `on`, else 0, for an excluded parameter.
    pub fn new(rate: f64, decay: Decay, on: bool) -> Self {
        WeightDecay {
            rate: if on { rate } else { 0.0 },
            decay,
        }
    }

    /// The λ of the term λw that is added to the gradient; 0 for decoupled decay.
    pub fn l2(&self) -> f64 {
        if self.decay == Decay::L2 {
            self.rate
        } else {
            0.0
        }
    }

    /// The two factors of [`WeightDecay::apply`]: λ of the term λw in the gradient, and the factor
    /// that shrinks the weight.
    pub(crate) fn factors(&self, lr: f64) -> (f32, f32) {
        match self.decay {
            _ if self.rate == 0.0 => (0.0, 1.0),
            Decay::L2 => (self.rate as f32, 1.0),
            Decay::Decoupled => (0.0, (1.0 - lr * self.rate) as f32),
        }
    }

    /// Applies the decay and returns weight and gradient; `lr` is this step's learning rate η.
    pub fn apply<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
    ) -> (Tensor<D>, Tensor<D>) {
        match self.decay {
            _ if self.rate == 0.0 => (w, g),
            Decay::L2 => {
                let g = g + w.clone().mul_scalar(self.rate);
                (w, g)
            }
            Decay::Decoupled => (w.mul_scalar(1.0 - lr * self.rate), g),
        }
    }
}
