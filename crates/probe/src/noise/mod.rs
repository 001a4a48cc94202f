//! The noise of the stochastic gradient: its bias, its variance at each batch size, and the batch
//! size beyond which more examples save few steps.

mod jackknife;
mod pair;
mod pairs_probe;
mod probe;
mod ratio;
mod sweep;

use largebatch_random::Key;
use largebatch_train::nullable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use pair::{PairNoise, Pairs, pair};
pub use pairs_probe::NoisePairs;
pub use ratio::Interval;
pub use sweep::{BatchPoint, Bias, Sweep};

use crate::vector::{axpy, dot, scale};
use crate::{Examples, Layer, ProbeError, Watch};

/// What is measured of the noise, and how precisely: the options of the probe `noise`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseOptions {
    /// Least number of batches of each size, with and without replacement; 0 skips them.
    pub replicates: usize,
    /// Pairs of batch sizes (16 and 256 examples), as a training can measure them; 0 skips them.
    pub pairs: usize,
    /// For these pairs: examples per micro-batch, and micro-batches per large batch.
    #[serde(skip)]
    pub micro: (usize, usize),
    /// The batch size for which the signal-to-noise ratio is given; the probe takes the run's.
    #[serde(skip)]
    pub batch: usize,
    /// The seed of all random draws; the probe takes that of its sample.
    #[serde(skip)]
    pub seed: u64,
}

impl Default for NoiseOptions {
    fn default() -> Self {
        NoiseOptions {
            replicates: 20,
            pairs: 40,
            micro: (16, 16),
            batch: 64,
            seed: 0,
        }
    }
}

impl NoiseOptions {
    /// The cost in passes of single examples, for a data set of n examples.
    pub fn passes(&self, n: usize) -> u64 {
        let sweep = if self.replicates > 1 {
            2 * sweep::cost(n, &sizes(n), self.replicates)
        } else {
            0
        };
        n as u64 + sweep + (self.pairs * self.micro.0 * self.micro.1) as u64
    }

    /// The number of gradients, of single examples and of batches. Small batches cost almost as
    /// much as large ones.
    pub fn gradients(&self, n: usize) -> u64 {
        let draws = |b: &usize| sweep::draws(n, *b, self.replicates) as u64;
        let sweep = if self.replicates > 1 {
            2 * sizes(n).iter().map(draws).sum::<u64>()
        } else {
            0
        };
        n as u64 + sweep + (self.pairs * self.micro.1) as u64
    }
}

/// The noise of one parameter's gradient.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LayerNoise {
    /// The parameter's path.
    pub path: String,
    /// |G|², the squared norm of this part of the gradient.
    #[serde(with = "nullable")]
    pub gradient_square: f64,
    /// tr Σ, the variance of this part.
    #[serde(with = "nullable")]
    pub trace: f64,
    /// Noise scale tr Σ / |G|²; absent if the gradient is 0.
    pub b_simple: Option<f64>,
    /// Signal-to-noise ratio |G|/√(tr Σ/B) at the run's batch size B; absent without noise.
    pub snr: Option<f64>,
}

/// The noise of the stochastic gradient at a point.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Noise {
    /// The number of examples N.
    pub examples: usize,
    /// |G|², the squared norm of the gradient over all N examples.
    #[serde(with = "nullable")]
    pub gradient_square: f64,
    /// tr Σ = (1/(N − 1)) Σ |gᵢ − G|², the trace of the covariance of single examples' gradients.
    #[serde(with = "nullable")]
    pub trace: f64,
    /// Noise scale B_simple = tr Σ / |G|² of these N examples, exact; absent if the gradient is 0.
    pub b_simple: Option<f64>,
    /// The same for the population from which the examples are a sample: with |G|² minus its bias
    /// tr Σ/N.
    pub b_simple_population: Option<f64>,
    /// Its 95 % interval, by the jackknife over 20 blocks.
    pub interval: Option<Interval>,
    /// The batch size B for which the signal-to-noise ratios are given.
    pub batch: usize,
    /// Signal-to-noise ratio |G|/√(tr Σ/B).
    pub snr: Option<f64>,
    /// The predicted critical batch size: B_simple, rounded. Below it, doubling the batch nearly
    /// halves the number of steps; above it, it saves almost nothing.
    pub critical_batch: Option<u64>,
    /// The noise of each layer.
    pub layers: Vec<LayerNoise>,
    /// Whether the mini-batch gradient is unbiased.
    pub bias: Option<Bias>,
    /// Variance at each batch size, for batches drawn with replacement.
    pub with_replacement: Option<Sweep>,
    /// The same for batches drawn without replacement.
    pub without_replacement: Option<Sweep>,
    /// B_simple from pairs of batch sizes, as it can be measured during training.
    pub pairs: Option<PairNoise>,
}

/// Number of blocks of the jackknife.
const BLOCKS: usize = 20;

/// Batch sizes for n examples: 1, 2, 4, … up to half of them.
fn sizes(n: usize) -> Vec<usize> {
    (0..)
        .map(|i| 1usize << i)
        .take_while(|b| *b <= n / 2)
        .collect()
}

/// Measures the noise of the gradient at w, over all the examples of `objective`.
///
/// First computes the gradient of each example (N passes of one example, which give G and Σ
/// exactly), then those of batches of growing size, with and without replacement. `layers` may be
/// empty. The cost is [`NoiseOptions::passes`]. If `watch` returns `false`, returns the results so
/// far and `false`.
///
/// McCandlish, Kaplan, Amodei et al. 2018, arXiv 1812.06162. Caveats: B_simple assumes a Hessian
/// that is a multiple of the identity, and plain gradient descent; it predicts the critical batch
/// of the paper's adaptive optimizers to within a small factor. It grows during training. For a
/// network with batch norm it holds for frozen statistics; real batch statistics couple the
/// examples of a batch.
///
/// # Errors
/// Fewer than two examples, because one has no variance; errors of the model.
pub fn noise(
    objective: &mut impl Examples,
    w: &[f64],
    layers: &[Layer],
    options: &NoiseOptions,
    watch: Watch,
) -> Result<(Noise, bool), ProbeError> {
    let (n, d) = (objective.count(), objective.dim());
    if n < 2 {
        let why = "a variance needs at least 2 examples";
        return Err(ProbeError::value("subset", n, why));
    }
    if options.batch == 0 {
        return Err(ProbeError::value("batch", 0, "a batch needs an example"));
    }
    if options.pairs > 0 && (options.micro.0 == 0 || options.micro.1 < 2) {
        let value = format!("{} x {}", options.micro.0, options.micro.1);
        let why = "the unbiased estimator compares two batch sizes, so it needs at least 2 micro-batches of at least 1 example";
        return Err(ProbeError::value("micro", value, why));
    }
    let key = Key::new(options.seed).word("noise");
    let all = options.passes(n);
    let whole = [Layer {
        path: String::new(),
        shape: vec![d],
        range: 0..d,
    }];
    let layers = if layers.is_empty() {
        &whole[..]
    } else {
        layers
    };

    // Single examples, in random order, in blocks for the jackknife.
    let order = key.word("blocks").permutation(n);
    let blocks = BLOCKS.min(n);
    let mut sums: Vec<Vec<f64>> = Vec::with_capacity(blocks);
    let mut squares: Vec<(f64, usize)> = Vec::with_capacity(blocks);
    let mut layer_squares = vec![0.0; layers.len()];
    let mut done = 0;
    let mut proceed = true;
    for block in 0..blocks {
        let members = &order[block * n / blocks..(block + 1) * n / blocks];
        let (mut sum, mut square) = (vec![0.0; d], 0.0);
        for &i in members {
            let (_, g) = objective.batch_gradient(w, &[i as usize])?;
            axpy(1.0, &g, &mut sum);
            for (layer, total) in layers.iter().zip(&mut layer_squares) {
                let part = &g[layer.range.clone()];
                let s = dot(part, part);
                *total += s;
                square += s;
            }
            done += 1;
            proceed = watch(done, all);
        }
        if !square.is_finite() {
            return Err(ProbeError::NotFinite {
                what: "gradient of an example",
                value: square,
            });
        }
        sums.push(sum);
        squares.push((square, members.len()));
        if !proceed {
            break;
        }
    }
    let seen: usize = squares.iter().map(|s| s.1).sum();
    let mut gradient = vec![0.0; d];
    sums.iter().for_each(|s| axpy(1.0, s, &mut gradient));
    scale(1.0 / seen as f64, &mut gradient);
    let mut found = exact(&gradient, &layer_squares, layers, seen, options.batch);
    (found.b_simple_population, found.interval) = jackknife::jackknife(&sums, &squares, &gradient);
    drop(sums);
    if !proceed {
        return Ok((found, false));
    }

    if options.replicates > 1 {
        let population = sweep::Population {
            w,
            gradient: &gradient,
            variance: found.trace * (n as f64 - 1.0) / n as f64,
        };
        let sizes = sizes(n);
        for replace in [true, false] {
            let part = key.word(if replace { "with" } else { "without" });
            let (sweep, along, on) = sweep::sweep(
                objective,
                &population,
                &sizes,
                options.replicates,
                replace,
                part,
                &mut |d, _| watch(done + d, all),
            )?;
            done += sweep::cost(n, &sizes, options.replicates);
            proceed = on;
            if replace {
                found.bias = sweep::bias(&along);
                found.with_replacement = Some(sweep);
            } else {
                found.without_replacement = Some(sweep);
            }
            if !proceed {
                break;
            }
        }
    }
    if proceed && options.pairs > 0 {
        let (small, parts) = options.micro;
        let mut pairs = Pairs::default();
        for step in 0..options.pairs {
            let mut rng = key.word("pairs").number(step as u64).rng();
            let (mut mean, mut square) = (vec![0.0; d], 0.0);
            for _ in 0..parts {
                let places: Vec<usize> = (0..small)
                    .map(|_| largebatch_random::below(&mut rng, n as u32) as usize)
                    .collect();
                let (_, g) = objective.batch_gradient(w, &places)?;
                square += dot(&g, &g) / parts as f64;
                axpy(1.0 / parts as f64, &g, &mut mean);
            }
            pairs.push(
                small as f64,
                square,
                (small * parts) as f64,
                dot(&mean, &mean),
            );
            done += (small * parts) as u64;
            proceed = watch(done, all);
            if !proceed {
                break;
            }
        }
        found.pairs = pairs.noise();
    }
    Ok((found, proceed))
}

/// The results that follow from the mean gradient and the sums of squares.
fn exact(
    gradient: &[f64],
    layer_squares: &[f64],
    layers: &[Layer],
    n: usize,
    batch: usize,
) -> Noise {
    let count = n as f64;
    let ratio = |a: f64, b: f64| (b > 0.0).then(|| a / b);
    let each: Vec<LayerNoise> = layers
        .iter()
        .zip(layer_squares)
        .map(|(layer, square)| {
            let part = &gradient[layer.range.clone()];
            let gradient_square = dot(part, part);
            let trace = ((square - count * gradient_square) / (count - 1.0)).max(0.0);
            LayerNoise {
                path: layer.path.clone(),
                gradient_square,
                trace,
                b_simple: ratio(trace, gradient_square),
                snr: ratio(batch as f64 * gradient_square, trace).map(f64::sqrt),
            }
        })
        .collect();
    let gradient_square: f64 = each.iter().map(|l| l.gradient_square).sum();
    let trace: f64 = each.iter().map(|l| l.trace).sum();
    let b_simple = ratio(trace, gradient_square);
    Noise {
        examples: n,
        gradient_square,
        trace,
        b_simple,
        batch,
        snr: ratio(batch as f64 * gradient_square, trace).map(f64::sqrt),
        critical_batch: b_simple.map(|b| b.round().max(1.0) as u64),
        layers: if each.len() == 1 && each[0].path.is_empty() {
            Vec::new()
        } else {
            each
        },
        ..Noise::default()
    }
}
