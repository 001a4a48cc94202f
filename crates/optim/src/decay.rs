use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How weight decay enters a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// As the gradient of the penalty ½λ‖w‖²: g ← g + λw, before everything else.
    #[default]
    L2,
    /// Apart from the gradient: w ← w − ηλw, before the step (Loshchilov and Hutter, arXiv 1711.05101; as in PyTorch, λ is multiplied by the rate).
    Decoupled,
}

/// The weight decay of one parameter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WeightDecay {
    /// λ; 0 where the parameter is left out.
    pub rate: f64,
    /// How it enters.
    pub decay: Decay,
}

impl WeightDecay {
    /// Weight decay `rate` of a parameter that has it (`on`) or is left out.
    pub fn new(rate: f64, decay: Decay, on: bool) -> Self {
        WeightDecay {
            rate: if on { rate } else { 0.0 },
            decay,
        }
    }

    /// The λ that is added to the gradient as λw.
    pub fn l2(&self) -> f64 {
        if self.decay == Decay::L2 {
            self.rate
        } else {
            0.0
        }
    }

    /// What [`WeightDecay::apply`] multiplies the weight by: λ for the gradient, and the factor that shrinks the weight.
    pub(crate) fn factors(&self, lr: f64) -> (f32, f32) {
        match self.decay {
            _ if self.rate == 0.0 => (0.0, 1.0),
            Decay::L2 => (self.rate as f32, 1.0),
            Decay::Decoupled => (0.0, (1.0 - lr * self.rate) as f32),
        }
    }

    /// Weight and gradient with the decay applied; `lr` is η of this step.
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
