//! Gradient descent and SGD at equal numbers of gradient evaluations, for linear regression on the
//! diabetes data.
//!
//! A step of gradient descent costs N gradients ∇f_n, a step of SGD |B| of them. SGD is ahead at
//! first, then stalls at its floor. Gradient descent with η = 1/L overtakes it late and continues
//! to the minimum, below its bound L‖w₀ − w*‖²/(2t). SGD with a falling step also continues, but
//! slowly.

mod program;

use anyhow::ensure;
use burn::optim::Optimizer;
use burn::tensor::Tensor;
use largebatch::data::{Labels, Order, Pipeline, Sampling, Search, open};
use largebatch::optim::{NesterovConfig, OptimizerConfig, Rule, SgdConfig};
use largebatch::plot::{Plot, Scale};
use largebatch::schedule::{Constant, Epochs, PowerLaw, ScheduleConfig, Shape, Span};
use largebatch_random::Key;
use program::{Program, numbers, short, tensor};

const SEED: u64 = 0;

/// f(w) = (1/N) Σ (w·x_n − y_n)².
struct Problem {
    x: Tensor<2>,
    y: Tensor<2>,
    n: usize,
}

impl Problem {
    fn gradient(&self, w: &Tensor<2>) -> Tensor<2> {
        let error = self.x.clone().matmul(w.clone()) - self.y.clone();
        self.x
            .clone()
            .transpose()
            .matmul(error)
            .mul_scalar(2.0 / self.n as f64)
    }
    fn loss(&self, w: &Tensor<2>) -> f64 {
        numbers(&(self.x.clone().matmul(w.clone()) - self.y.clone()))
            .iter()
            .map(|e| e * e)
            .sum::<f64>()
            / self.n as f64
    }
    /// The examples at these indices, as a separate problem.
    fn batch(&self, values: (&[f64], &[f64]), indices: &[u32]) -> Problem {
        let (n, d) = (indices.len(), self.x.dims()[1]);
        let rows = indices
            .iter()
            .flat_map(|&i| values.0[i as usize * d..][..d].to_vec())
            .collect();
        Problem {
            x: tensor(rows, [n, d]),
            y: tensor(
                indices.iter().map(|&i| values.1[i as usize]).collect(),
                [n, 1],
            ),
            n,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("gd_against_sgd")?;
    let passes = program.size(1000, 300);
    let set = open("diabetes", &Search::default())?;
    let (n, d) = (set.train.len(), set.train.size() + 1);
    let all: Vec<u32> = (0..n as u32).collect();
    let mut gathered = Vec::new();
    Pipeline::fit(set.preprocess, &set.train, &all)?.gather(&set.train, &all, None, &mut gathered);
    let x: Vec<f64> = gathered
        .chunks(d - 1)
        .flat_map(|row| row.iter().map(|v| f64::from(*v)).chain([1.0]))
        .collect();
    let Labels::Targets(y) = set.train.labels() else {
        anyhow::bail!("diabetes has real targets")
    };
    let y = y.clone();
    let problem = Problem {
        x: tensor(x.clone(), [n, d]),
        y: tensor(y.clone(), [n, 1]),
        n,
    };

    // L, the largest eigenvalue of the Hessian 2XᵀX/N, by power iteration: the gradient is Hw − b.
    let zero: Tensor<2> = tensor(vec![0.0; d], [d, 1]);
    let (b, mut v, mut l) = (
        problem.gradient(&zero),
        tensor((0..d).map(|i| 1.0 + i as f64).collect(), [d, 1]),
        0.0,
    );
    for _ in 0..500 {
        let hv = problem.gradient(&v) - b.clone();
        l = numbers(&hv.clone().square()).iter().sum::<f64>().sqrt();
        v = hv.div_scalar(l);
    }
    // The minimum, by Nesterov's method, to the last digit.
    let rule = NesterovConfig {
        momentum: 0.96,
        ..NesterovConfig::preset("textbook").unwrap_or_default()
    }
    .rule()?;
    let (mut best, mut state) = (zero.clone(), None);
    for _ in 0..3000 {
        let at = state
            .as_ref()
            .map_or(best.clone(), |s| rule.ahead(best.clone(), s));
        (best, state) = rule.step(1.0 / l, best, problem.gradient(&at), state);
    }
    let (least, first) = (problem.loss(&best), problem.loss(&zero));
    let excess = |w: &Tensor<2>| (problem.loss(w) - least) / (first - least);

    println!(
        "linear regression on diabetes, N = {n}, L = {}, {passes} passes, seed {SEED}; excess loss relative to the start",
        short(l)
    );
    let mut plot = Plot::new("gd_against_sgd", "GD and SGD at equal numbers of gradients");
    plot = plot
        .x("gradient evaluations / N", Scale::Log)
        .y("excess loss / excess loss at the start", Scale::Log)
        .height(280.0);
    let falling = Shape::from(PowerLaw {
        exponent: 0.75,
        every: Span::Epochs(1.0),
    });
    let arms = [
        ("GD, η = 1/L", n, 1.0 / l, Shape::from(Constant {})),
        (
            "SGD, |B| = 1, η constant",
            1,
            0.01,
            Shape::from(Constant {}),
        ),
        ("SGD, |B| = 1, η ~ t^−0.75", 1, 0.01, falling),
    ];
    let mut found: Vec<Vec<f64>> = Vec::new();
    for (label, batch, rate, shape) in arms {
        let (rule, per_pass) = (SgdConfig::default().rule()?, n / batch);
        let schedule = ScheduleConfig {
            shape,
            ..Default::default()
        }
        .resolve(rate, passes * per_pass, &Epochs::even(per_pass as u64))?;
        let mut order = Order::new(
            all.clone(),
            if batch == n {
                Sampling::Full
            } else {
                Sampling::Replacement
            },
            false,
            Key::new(SEED).word("order"),
        )?;
        let (mut w, mut points, mut at_pass) =
            (zero.clone(), vec![(1.0 / n as f64, 1.0)], Vec::new());
        for t in 1..=passes * per_pass {
            let gradient = match batch == n {
                true => problem.gradient(&w),
                false => problem.batch((&x, &y), &order.next(batch).1).gradient(&w),
            };
            (w, _) = rule.step(schedule.lr(t - 1), w, gradient, None);
            // Marks at equal ratios, eight per doubling.
            let place = |t: usize| (8.0 * (t as f64).log2()).floor();
            if t == 1 || place(t) > place(t - 1) {
                points.push((t as f64 / per_pass as f64, excess(&w)));
            }
            if t % per_pass == 0 {
                at_pass.push(excess(&w));
            }
        }
        println!(
            "{label}: {} after 1 pass, {} after 10, {} after {passes}",
            short(at_pass[0]),
            short(at_pass[9]),
            short(at_pass[passes - 1])
        );
        plot = plot.line(label, points);
        found.push(at_pass);
    }
    let distance = numbers(&best.square()).iter().sum::<f64>();
    let bound = l * distance / (2.0 * passes as f64) / (first - least);
    println!(
        "GD at the end divided by its bound L‖w₀ − w*‖²/(2t): {}",
        short(found[0][passes - 1] / bound)
    );
    let passed = found[0]
        .iter()
        .zip(&found[1])
        .rposition(|(gd, sgd)| gd > sgd)
        .map_or(0, |i| i + 2);
    println!(
        "advantage of SGD after 1 pass: {}; GD stays below SGD from pass {passed} on",
        short(found[0][0] / found[1][0])
    );
    ensure!(
        found[0][0] > 3.0 * found[1][0],
        "SGD should be ahead after one pass"
    );
    ensure!(
        found[0][passes - 1] < found[1][passes - 1] && found[0][passes - 1] < bound,
        "GD should be ahead at the end, and below its bound"
    );
    program.finish(plot.caption(&format!(
        "Linear regression on diabetes, N = {n}, training loss, seed {SEED}."
    )))
}
