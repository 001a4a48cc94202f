use super::super::adam::correction;
use super::{
    FallbackDecay, MuonCoefficients, MuonConfig, MuonEps, MuonFallback, MuonForm, MuonKernels,
    MuonScale,
};
use crate::norm::{finite_ratio, lifted, norm, root_plus_eps, scaled};
use crate::{Decay, Nadam, NadamConfig, NadamCorrection, NadamState, Rule, WeightDecay};
use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};

crate::state! {
    /// The state of [`Muon`].
    pub struct MuonState<const D: usize> {
        /// The momentum m, or the fallback rule's mean of gradients or velocity, of the parameter's shape.
        pub mean: Tensor<D>,
        /// The fallback rule's mean of squared gradients; absent where nothing needs it.
        pub square: Option<Tensor<D>>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`MuonConfig`].
#[derive(Clone, Debug)]
pub struct Muon {
    pub(super) options: MuonConfig,
    pub(super) decay: bool,
    pub(super) orthogonalize: bool,
}

impl Rule for Muon {}

impl Optimizer for Muon {
    type State<const D: usize> = MuonState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<MuonState<D>>,
    ) -> (Tensor<D>, Option<MuonState<D>>) {
        let o = &self.options;
        let mut state = state.unwrap_or_else(|| MuonState {
            mean: w.zeros_like(),
            square: None,
            time: 0,
        });
        state.time += 1;
        if !self.orthogonalize || D < 2 {
            return self.fall_back(lr, w, g, state);
        }
        let time = state.time;
        let (w, g) = self.decay(o.weight_decay).apply(lr, w, g);
        let entering = match o.form {
            MuonForm::Sum => 1.0,
            MuonForm::Average | MuonForm::Corrected => 1.0 - o.momentum,
        };
        let new = g.mul_scalar(entering);
        let mean = state.mean.mul_scalar(o.momentum) + new.clone();
        let c = |t: u64| match o.form {
            MuonForm::Corrected => correction(o.momentum, t),
            MuonForm::Average | MuonForm::Sum => 1.0,
        };
        let direction = match o.nesterov {
            true => {
                mean.clone().mul_scalar(o.momentum / c(time + 1)) + new.mul_scalar(1.0 / c(time))
            }
            false => mean.clone().mul_scalar(1.0 / c(time)),
        };
        let dims = w.dims();
        // Burn's matrices are [inputs, outputs]; all other weights are [outputs, …].
        let (outputs, inputs) = match D {
            2 => (dims[1], dims[0]),
            _ => (dims[0], dims[1..].iter().product()),
        };
        let w = match o.fixed_norm {
            true => {
                let length = norm(&w);
                let wanted = length.full_like((outputs as f64).sqrt());
                scaled(
                    w,
                    finite_ratio(wanted, length.clone(), [length.clone(), length]),
                )
            }
            false => w,
        };
        let (update, scale): (Tensor<D>, f64) = match o.kernels {
            MuonKernels::Batched if D > 2 => {
                let places: usize = dims[2..].iter().product();
                let inputs = dims[1];
                let kernel: Tensor<3> = direction.reshape([outputs, inputs, places]);
                let one = |place| {
                    let matrix = kernel
                        .clone()
                        .narrow(2, place, 1)
                        .reshape([outputs, inputs]);
                    o.orthogonal(matrix).reshape([outputs, inputs, 1])
                };
                let update = Tensor::cat((0..places).map(one).collect(), 2).reshape(dims);
                let scale = o.factor(outputs as f64, inputs as f64, &dims);
                (update, scale / (places as f64).sqrt())
            }
            _ => {
                let matrix = match D {
                    2 => direction.reshape([inputs, outputs]),
                    _ => direction.reshape([outputs, inputs]),
                };
                let scale = o.factor(outputs as f64, inputs as f64, &dims);
                (o.orthogonal(matrix).reshape(dims), scale)
            }
        };
        state.mean = mean;
        (w - update.mul_scalar(lr * scale), Some(state))
    }

    fn to_device<const D: usize>(state: MuonState<D>, device: &Device) -> MuonState<D> {
        state.to_device(device)
    }
}

impl Muon {
    fn decay(&self, rate: f64) -> WeightDecay {
        WeightDecay::new(rate, Decay::Decoupled, self.decay)
    }

    /// The step of a parameter that is not orthogonalised; its number is counted already.
    fn fall_back<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        mut state: MuonState<D>,
    ) -> (Tensor<D>, Option<MuonState<D>>) {
        let (o, lr) = (&self.options, lr * self.options.fallback_rate);
        let weight_decay = self.decay(match o.fallback_weight_decay {
            FallbackDecay::Same(_) => o.weight_decay,
            FallbackDecay::Rate(rate) => rate,
        });
        let (beta1, beta2, eps) = (o.fallback_beta1, o.fallback_beta2, o.fallback_eps);
        if o.fallback == MuonFallback::Nesterov {
            let decay = WeightDecay {
                decay: Decay::L2,
                ..weight_decay
            };
            let (w, g) = decay.apply(lr, w, g);
            state.mean = state.mean.mul_scalar(beta1) + g.clone();
            let update = g + state.mean.clone().mul_scalar(beta1);
            return (w - update.mul_scalar(lr), Some(state));
        }
        let square = state.square.unwrap_or_else(|| w.zeros_like());
        let form = match o.fallback {
            MuonFallback::NadamwOne => Some(NadamCorrection::One),
            MuonFallback::Nadamw => Some(NadamCorrection::Next),
            MuonFallback::Adamw | MuonFallback::AdamwRawEps | MuonFallback::Nesterov => None,
        };
        if let Some(correction) = form {
            let rule = Nadam {
                options: NadamConfig {
                    beta1,
                    beta2,
                    eps,
                    correction,
                    ..NadamConfig::default()
                },
                weight_decay,
            };
            let past = NadamState {
                mean: state.mean,
                square,
                product: 1.0,
                time: state.time - 1,
            };
            let (w, new) = rule.step(lr, w, g, Some(past));
            let state = new.map(|new| MuonState {
                mean: new.mean,
                square: Some(new.square),
                time: new.time,
            });
            return (w, state);
        }
        let (w, g) = weight_decay.apply(lr, w, g);
        let time = state.time;
        let mean = state.mean.mul_scalar(beta1) + g.clone().mul_scalar(1.0 - beta1);
        let square = square.mul_scalar(beta2) + g.square().mul_scalar(1.0 - beta2);
        let (c1, c2) = (correction(beta1, time), correction(beta2, time));
        let (divisor, rate) = match o.fallback {
            MuonFallback::AdamwRawEps => (root_plus_eps(square.clone(), eps), lr * c2.sqrt() / c1),
            _ => (root_plus_eps(square.clone().div_scalar(c2), eps), lr / c1),
        };
        let update = mean.clone() / divisor;
        (state.mean, state.square) = (mean, Some(square));
        (w - update.mul_scalar(rate), Some(state))
    }
}

impl MuonConfig {
    /// NS(X): the iterations on the matrix with at least as many columns as rows.
    fn orthogonal(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, columns] = x.dims();
        let is_tall = rows > columns;
        let mut x = if is_tall { x.transpose() } else { x };
        let length = norm(&x);
        let divisor = match self.eps_place {
            MuonEps::Added => length.add_scalar(self.eps),
            MuonEps::Floor => length.clamp_min(self.eps),
        };
        x = scaled(x, lifted(divisor).recip());
        for step in 0..self.steps {
            let [a, b, c] = self.coefficients.of(step);
            let square = x.clone().matmul(x.clone().transpose());
            let fourth = square.clone().matmul(square.clone());
            let polynomial = square.mul_scalar(b) + fourth.mul_scalar(c);
            x = x.clone().mul_scalar(a) + polynomial.matmul(x);
        }
        if is_tall { x.transpose() } else { x }
    }

    fn factor(&self, outputs: f64, inputs: f64, dims: &[usize]) -> f64 {
        let aspect = |above: f64, below: f64| (above / below).max(1.0).sqrt();
        match (self.scale, dims) {
            (MuonScale::Kernel, [_, .., height, width]) if dims.len() > 2 => {
                aspect(*height as f64, *width as f64)
            }
            (MuonScale::Aspect | MuonScale::Kernel, _) => aspect(outputs, inputs),
            (MuonScale::Rms, _) => 0.2 * outputs.max(inputs).sqrt(),
            (MuonScale::Spectral, _) => (outputs / inputs).sqrt(),
            (MuonScale::None, _) => 1.0,
        }
    }
}

impl MuonCoefficients {
    /// (a, b, c) of an iteration, from 0.
    fn of(self, step: usize) -> [f64; 3] {
        const TUNED: [[f64; 3]; 5] = [
            [4.0848, -6.8946, 2.9270],
            [3.9505, -6.3029, 2.6377],
            [3.7418, -5.5913, 2.3037],
            [2.8769, -3.1427, 1.2046],
            [2.8366, -3.0525, 1.2012],
        ];
        match self {
            MuonCoefficients::Quintic => [3.4445, -4.7750, 2.0315],
            MuonCoefficients::Tuned => TUNED[step.min(TUNED.len() - 1)],
        }
    }
}
