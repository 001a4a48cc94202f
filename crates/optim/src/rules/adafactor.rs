use super::prelude::*;
use crate::norm::{lifted, norm, scaled};

/// Adafactor: the gradient over the root of its mean square, which a tensor keeps as the means over
/// two of its axes.
///
/// With β̂₂ = 1 − t^−c at step t = 1, 2, …: R and C, the means of g² over the second and over the
/// first of the two axes, are averaged by β̂₂; v = R C / mean(R); u = g/√v, divided by
/// max(1, rms(u)/d); w ← w − αu with α = min(η, 1/√t) max(ε₂, rms(w)). Where an axis is too short, v
/// is the average of g² itself. The two axes enter alike, so it does not matter which one of a
/// matrix is the input.
///
/// Shazeer and Stern 2018, arXiv 1804.04235. PyTorch's ε is by default the distance from 1 to the
/// next number of the weights' type; here it is that of f32 for all types. optax computes β̂₂ in f32.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct AdafactorConfig {
    /// Exponent c of the averages' decay rate 1 − t^−c.
    #[schemars(range(min = 0.0), extend("why" = "with a negative value the averages would grow without bound"))]
    pub decay_exponent: f64,
    /// ε, which keeps the denominator above 0.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// Whether ε is added to g², or bounds mean(R), and ε² bounds v, from below.
    pub eps_place: AdafactorEps,
    /// The two axes whose means stand for g².
    pub factored: AdafactorAxes,
    /// The least length of both axes; a tensor with a shorter one keeps the average of g².
    #[schemars(range(min = 1))]
    pub least_side: usize,
    /// Whether the step is multiplied by rms(w), the root of the mean of w².
    pub scale_parameter: bool,
    /// ε₂, the least rms(w) that counts.
    #[schemars(range(min = 0.0), extend("why" = "a factor of the step cannot be negative"))]
    pub least_scale: f64,
    /// Whether the rate is at most 1/√t at step t = 1, 2, ….
    pub cap_rate: bool,
    /// The bound d on the root of the mean of u²; inf for none.
    #[schemars(extend("exclusiveMinimum" = 0.0, "infinite" = true, "why" = "at 0 no weight would move"))]
    pub clip_threshold: f64,
    /// Momentum β of an average of the steps αu; 0 for none.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub momentum: f64,
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `rate`: w ← w − ηλw before the step; `step`: w ← w − αλw; `constant`: w ← w − λw.
    pub decay: AdafactorDecay,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

/// Where ε stands in [`AdafactorConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdafactorEps {
    /// mean(R) ≥ ε, v ≥ ε². PyTorch.
    #[default]
    Floor,
    /// g² + ε. The paper, optax, timm, Keras and Burn.
    Added,
}

/// The two axes in [`AdafactorConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdafactorAxes {
    /// The last two. PyTorch, Keras and Burn; on kernels \[o, i, 3, 3\] that saves nothing.
    #[default]
    Last,
    /// The two longest; of equal ones, the later. optax.
    Longest,
    /// Of ranks above 2 the first two, if both are long enough, else the last two. timm.
    First,
}

/// How weight decay is applied in [`AdafactorConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdafactorDecay {
    /// w ← w − ηλw. PyTorch.
    #[default]
    Rate,
    /// w ← w − αλw, with the step's rate α. timm.
    Step,
    /// w ← w − λw, whatever the rate. optax.
    Constant,
}

impl Default for AdafactorConfig {
    fn default() -> Self {
        AdafactorConfig {
            decay_exponent: 0.8,
            eps: f64::from(f32::EPSILON),
            eps_place: AdafactorEps::Floor,
            factored: AdafactorAxes::Last,
            least_side: 1,
            scale_parameter: true,
            least_scale: 1e-3,
            cap_rate: true,
            clip_threshold: 1.0,
            momentum: 0.0,
            weight_decay: 0.0,
            decay: AdafactorDecay::Rate,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for AdafactorConfig {
    type Rule = Adafactor;

    const FACTS: Facts = Facts::new(
        "adafactor",
        "gradient over the root of its mean square, kept as means of rows and columns",
    )
    .formula(
        "β = 1 − t^−c; R ← β R + (1 − β) mean of g² over columns; C ← β C + (1 − β) mean over rows\n\
         v = R C / mean(R); u = g / √v; u ← u / max(1, rms(u) / d)\n\
         w ← w − α u, α = min(η, 1/√t) max(ε₂, rms(w))",
    )
    .cost("24 bytes and 13 operations a weight: g is read twice more for its means and norm, and w once for its norm")
    .paper("Shazeer and Stern 2018, arXiv 1804.04235")
    .presets(&[
        (
            "torch",
            "PyTorch's Adafactor: the last two axes, a rate of at most 1/√t",
        ),
        (
            "optax",
            "optax.adafactor: the two longest axes if both have at least 128 entries",
        ),
        (
            "timm",
            "timm.optim.Adafactor with a rate: not scaled by the weights",
        ),
    ]);

    fn preset(name: &str) -> Option<Self> {
        let torch = Self::default();
        Some(match name {
            "torch" => torch,
            "optax" => AdafactorConfig {
                eps: 1e-30,
                eps_place: AdafactorEps::Added,
                factored: AdafactorAxes::Longest,
                least_side: 128,
                cap_rate: false,
                decay: AdafactorDecay::Constant,
                ..torch
            },
            "timm" => AdafactorConfig {
                eps: 1e-30,
                eps_place: AdafactorEps::Added,
                factored: AdafactorAxes::First,
                least_side: 17,
                scale_parameter: false,
                cap_rate: false,
                decay: AdafactorDecay::Step,
                ..torch
            },
            _ => return None,
        })
    }

    fn rule_for(&self, group: ParameterGroup) -> Adafactor {
        Adafactor {
            weight_decay: if group.decay { self.weight_decay } else { 0.0 },
            options: self.clone(),
        }
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

crate::state! {
    /// The state of [`Adafactor`].
    pub struct AdafactorState<const D: usize> {
        /// R, of length 1 along the second of the two axes; absent if the parameter is not factored.
        pub rows: Option<Tensor<D>>,
        /// C, of length 1 along the first of the two axes; absent if the parameter is not factored.
        pub columns: Option<Tensor<D>>,
        /// Mean of squared gradients, of the parameter's shape; absent if it is factored.
        pub square: Option<Tensor<D>>,
        /// Mean of steps, of the parameter's shape; only with momentum.
        pub mean: Option<Tensor<D>>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`AdafactorConfig`].
#[derive(Clone, Debug)]
pub struct Adafactor {
    options: AdafactorConfig,
    weight_decay: f64,
}

impl Rule for Adafactor {}

impl Optimizer for Adafactor {
    type State<const D: usize> = AdafactorState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<AdafactorState<D>>,
    ) -> (Tensor<D>, Option<AdafactorState<D>>) {
        let o = &self.options;
        let mut state = state.unwrap_or(AdafactorState {
            rows: None,
            columns: None,
            square: None,
            mean: None,
            time: 0,
        });
        state.time += 1;
        let time = state.time as f64;
        let entering = time.powf(-o.decay_exponent);
        let floor = match o.eps_place {
            AdafactorEps::Floor => o.eps,
            AdafactorEps::Added => 0.0,
        };
        let mut square = g.clone().square();
        if o.eps_place == AdafactorEps::Added {
            square = square.add_scalar(o.eps);
        }
        let average = |past: Option<Tensor<D>>, new: Tensor<D>| match past {
            Some(past) => past.mul_scalar(1.0 - entering) + new.mul_scalar(entering),
            // The first average is the first value: β̂₂ is 0 at t = 1.
            None => new,
        };
        let v = match o.axes(&w.dims()) {
            Some([row, column]) => {
                let rows = average(state.rows, mean(square.clone(), column));
                let columns = average(state.columns, mean(square, row));
                // R over its mean first: the product R C could leave the range of f32.
                let whole = lifted(mean(rows.clone(), row).clamp_min(floor));
                let v = rows.clone() / whole * columns.clone();
                (state.rows, state.columns) = (Some(rows), Some(columns));
                v
            }
            None => {
                let square = average(state.square, square);
                state.square = Some(square.clone());
                square
            }
        };
        let update = g / lifted(v.sqrt().clamp_min(floor));
        let rate = if o.cap_rate {
            lr.min(time.powf(-0.5))
        } else {
            lr
        };
        let clip = rms(&update).div_scalar(o.clip_threshold).clamp_min(1.0);
        let alpha = match o.scale_parameter {
            true => rms(&w).clamp_min(o.least_scale).mul_scalar(rate),
            false => clip.ones_like().mul_scalar(rate),
        };
        let mut update = scaled(update, alpha.clone() / clip);
        if o.momentum > 0.0 {
            let past = state.mean.unwrap_or_else(|| update.zeros_like());
            update = past.mul_scalar(o.momentum) + update.mul_scalar(1.0 - o.momentum);
            state.mean = Some(update.clone());
        }
        let w = match (self.weight_decay, o.decay) {
            (0.0, _) => w,
            (decay, AdafactorDecay::Rate) => w.mul_scalar(1.0 - lr * decay),
            (decay, AdafactorDecay::Constant) => w.mul_scalar(1.0 - decay),
            (decay, AdafactorDecay::Step) => scaled(w, alpha.mul_scalar(-decay).add_scalar(1.0)),
        };
        (w - update, Some(state))
    }

    fn to_device<const D: usize>(state: AdafactorState<D>, device: &Device) -> AdafactorState<D> {
        state.to_device(device)
    }
}

/// The mean along an axis, which stays with length 1.
fn mean<const D: usize>(x: Tensor<D>, axis: usize) -> Tensor<D> {
    let length = x.dims()[axis];
    x.sum_dim(axis).div_scalar(length as f64)
}

/// √(mean of x²), of shape \[1\].
fn rms<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    norm(x).div_scalar((x.shape().num_elements() as f64).sqrt())
}

impl AdafactorConfig {
    /// The two axes by whose means a tensor of this shape is stored, the first one first.
    fn axes(&self, shape: &[usize]) -> Option<[usize; 2]> {
        let rank = shape.len();
        let fit = |axes: &[usize; 2]| axes.iter().all(|axis| shape[*axis] >= self.least_side);
        if rank < 2 {
            return None;
        }
        let last = [rank - 2, rank - 1];
        match self.factored {
            AdafactorAxes::Last => Some(last).filter(fit),
            AdafactorAxes::First if rank > 2 && fit(&[0, 1]) => Some([0, 1]),
            AdafactorAxes::First => Some(last).filter(fit),
            AdafactorAxes::Longest => {
                let mut axes: Vec<usize> = (0..rank).collect();
                axes.sort_by_key(|axis| shape[*axis]);
                Some([axes[rank - 2], axes[rank - 1]]).filter(fit)
            }
        }
    }
}
