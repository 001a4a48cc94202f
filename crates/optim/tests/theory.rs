//! Theorems of the papers, measured.

mod common;

use common::{distance, matrix, norm, values, walk};
use largebatch_optim::*;

/// On ½Σλᵢwᵢ² gradient descent gives wᵢ(t) = (1 − ηλᵢ)ᵗ wᵢ(0), and it diverges as soon as η > 2/λ.
#[test]
fn gradient_descent_on_a_quadratic_is_a_power() {
    let lambda = [1.0, 10.0];
    let gradient = |w: &[f64]| vec![lambda[0] * w[0], lambda[1] * w[1]];
    let mut run = walk(&SgdConfig::default(), &[1.0, 1.0]);
    for t in 1..=40 {
        let w = run.step(0.15, gradient);
        for i in 0..2 {
            assert!(
                (w[i] - (1.0 - 0.15 * lambda[i]).powi(t)).abs() < 1e-13,
                "{t} {w:?}"
            );
        }
    }
    for (eta, diverges) in [(0.199, false), (0.201, true)] {
        let mut run = walk(&SgdConfig::default(), &[1.0, 1.0]);
        let w = (0..2000).map(|_| run.step(eta, gradient)).last().unwrap();
        assert_eq!(w[1].abs() > 1e3, diverges, "{eta} {w:?}");
    }
}

/// Heavy ball with α = 4/(√L + √μ)² and β = ((√κ − 1)/(√κ + 1))² contracts by √β a step (Polyak 1964), far better than gradient descent's
/// best (κ − 1)/(κ + 1).
#[test]
fn heavy_ball_reaches_its_rate() {
    let (mu, l) = (1.0f64, 100.0f64);
    let root = (10.0 - 1.0) / (10.0 + 1.0);
    for recipe in [
        MomentumConfig::preset("heavy-ball").unwrap(),
        MomentumConfig::default(),
    ] {
        let recipe = MomentumConfig {
            momentum: root * root,
            ..recipe
        };
        let eta = 4.0 / (l.sqrt() + mu.sqrt()).powi(2);
        let mut run = walk(&recipe, &[1.0, 1.0]);
        let path: Vec<f64> = (0..150)
            .map(|_| norm(&run.step(eta, |w| vec![mu * w[0], l * w[1]])))
            .collect();
        // The contraction is t·√βᵗ for the double root; over many steps the factor t is negligible.
        let measured = (path[149] / path[69]).powf(1.0 / 80.0);
        assert!((measured - root).abs() < 0.02, "{measured} against {root}");
        assert!(measured < (100.0 - 1.0) / (100.0 + 1.0) - 0.1);
    }
}

/// With η = 1/L and β = (√κ − 1)/(√κ + 1): f(w_t) − f* ≤ (L + μ)/2 ‖w₀ − w*‖² (1 − 1/√κ)ᵗ (Nesterov
/// 2004, theorem 2.2.3), in PyTorch's form and in the textbook's.
#[test]
fn nesterov_keeps_its_bound() {
    let lambda = [1.0, 3.0, 40.0, 400.0];
    let f = |w: &[f64]| 0.5 * w.iter().zip(lambda).map(|(w, l)| l * w * w).sum::<f64>();
    let start = [1.0, -1.0, 1.0, 1.0];
    let kappa: f64 = 400.0;
    let recipe = NesterovConfig {
        momentum: (kappa.sqrt() - 1.0) / (kappa.sqrt() + 1.0),
        ..NesterovConfig::preset("textbook").unwrap()
    };
    let mut run = walk(&recipe, &start);
    let mut plain = walk(&SgdConfig::default(), &start);
    let gradient = |w: &[f64]| w.iter().zip(lambda).map(|(w, l)| l * w).collect::<Vec<_>>();
    let (mut accelerated, mut descent) = (0.0, 0.0);
    for t in 1..=300 {
        accelerated = f(&run.step(1.0 / 400.0, gradient));
        descent = f(&plain.step(1.0 / 400.0, gradient));
        let bound = (400.0 + 1.0) / 2.0 * norm(&start).powi(2) * (1.0 - 1.0 / kappa.sqrt()).powi(t);
        assert!(accelerated <= bound, "{t}: {accelerated} above {bound}");
    }
    assert!(
        accelerated < 1e-6 * descent,
        "{accelerated} against {descent}"
    );
}

/// At a constant rate, the weights of PyTorch's Nesterov are the textbook's shifted points: w_torch
/// = w − βv.
#[test]
fn torch_writes_the_points_that_the_textbook_looks_ahead_to() {
    let gradient = |w: &[f64]| vec![w[0] - 2.0 * w[1], 3.0 * w[1] + w[0] * w[0]];
    let mut torch = walk(&NesterovConfig::preset("torch").unwrap(), &[1.0, -0.5]);
    let mut textbook = walk(&NesterovConfig::preset("textbook").unwrap(), &[1.0, -0.5]);
    assert!(
        textbook.driver.ahead(&textbook.point).is_none(),
        "before the first step there is no velocity to look ahead along"
    );
    assert!(torch.driver.ahead(&torch.point).is_none());
    for _ in 0..50 {
        let w = torch.step(0.02, gradient);
        let before = textbook.step(0.02, gradient);
        let ahead = values(&textbook.driver.ahead(&textbook.point).unwrap());
        assert!(distance(&w, &ahead) <= 1e-13 * norm(&w), "{w:?} {ahead:?}");
        assert!(
            distance(&w, &before) > 1e-9,
            "the stored weights are not the shifted ones"
        );
    }
}

/// v ← βv + (1 − β)g with rate α is heavy ball with rate α(1 − β), as long as the rate is constant.
#[test]
fn the_moving_average_is_heavy_ball_at_another_rate() {
    let gradient = |w: &[f64]| vec![w[0] + w[1], 4.0 * w[1] - w[0]];
    let mut ema = walk(&MomentumConfig::preset("textbook").unwrap(), &[1.0, 2.0]);
    let mut ball = walk(&MomentumConfig::preset("heavy-ball").unwrap(), &[1.0, 2.0]);
    let rates = |t: usize| if t < 60 { 0.2 } else { 0.05 };
    for t in 0..100 {
        let (a, b) = (
            ema.step(rates(t), gradient),
            ball.step(rates(t) * (1.0 - 0.9), gradient),
        );
        if t < 60 {
            assert!(distance(&a, &b) < 1e-13, "{t}");
        } else if t == 61 {
            assert!(distance(&a, &b) > 1e-4, "they differ once the rate changes");
        }
    }
}

/// Regret on f_t(x) = |x − z_t| is at most (D²/(2η) + η)·√ΣG for any sequence (Duchi et al. 2011,
/// theorem 5), and grows like √T on coin flips.
#[test]
fn adagrads_regret_grows_like_the_root_of_time() {
    let horizons = [100usize, 400, 1600, 6400];
    let mut mean = [0.0; 4];
    let seeds = 12;
    for seed in 0..seeds {
        let mut state = 88172645463325252u64.wrapping_add(seed * 7919);
        let mut flip = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state & (1 << 40) == 0 { -1.0 } else { 1.0 }
        };
        let mut run = walk(&AdagradConfig::default(), &[0.0]);
        let (eta, mut x, mut loss, mut sum, mut far) = (1.0, 0.0f64, 0.0, 0.0f64, 0.0f64);
        for t in 1..=horizons[3] {
            let z: f64 = flip();
            loss += (x - z).abs();
            sum += z;
            far = far.max(x.abs());
            x = run.step(eta, |w| vec![if w[0] > z { 1.0 } else { -1.0 }])[0];
            if let Some(i) = horizons.iter().position(|h| *h == t) {
                // The best fixed point is an end of [−1, 1]: its loss is T − |Σz|.
                let regret = loss - (t as f64 - sum.abs());
                let diameter = far + 1.0;
                let bound = (diameter * diameter / (2.0 * eta) + eta) * (t as f64).sqrt();
                assert!(regret <= bound, "{regret} above {bound} at {t}");
                mean[i] += regret / seeds as f64;
            }
        }
    }
    let slope = (mean[3] / mean[0]).ln() / (64f64).ln();
    assert!((0.35..0.65).contains(&slope), "{mean:?}: exponent {slope}");
}

/// |Δw| = α·|g|/(|g| + ε): the step is α in every coordinate, whatever the gradient's size.
#[test]
fn adams_first_step_is_alpha() {
    for scale in [1e-3, 1.0, 1e6] {
        let w = walk(&AdamConfig::default(), &[1.0, 1.0]).step(0.01, |_| vec![scale, -scale]);
        assert!(
            (w[0] - 0.99).abs() < 1e-6 && (w[1] - 1.01).abs() < 1e-6,
            "{w:?}"
        );
    }
}

/// Without decay and eps, the size of the gradients does not matter at any step.
#[test]
fn lars_and_lamb_do_not_see_the_gradients_scale() {
    let lars = LarsConfig {
        weight_decay: 0.0,
        trust_coefficient: 0.1,
        ..Default::default()
    };
    let lamb = LambConfig {
        weight_decay: 0.0,
        eps: 0.0,
        ..Default::default()
    };
    let run = |scale: f64, lars: Option<&LarsConfig>| {
        let mut run = match lars {
            Some(recipe) => walk(recipe, &[1.0, -2.0, 0.5]),
            None => walk(&lamb, &[1.0, -2.0, 0.5]),
        };
        (0..30)
            .map(|t| {
                run.step(0.1, |w| {
                    vec![
                        scale * (w[0] + t as f64),
                        scale * (w[1] * w[2] - 1.0),
                        scale,
                    ]
                })
            })
            .last()
            .unwrap()
    };
    for recipe in [Some(&lars), None] {
        for scale in [1e-8, 1e8] {
            let (a, b) = (run(1.0, recipe), run(scale, recipe));
            assert!(distance(&a, &b) < 1e-12 * norm(&a), "{scale} {a:?} {b:?}");
        }
    }
    // The trust ratio causes this: with eps, the size of the gradients matters.
    let seen = LarsConfig { eps: 1e-3, ..lars };
    assert!(distance(&run(1.0, Some(&seen)), &run(1e-8, Some(&seen))) > 1e-3);
}

/// ‖Δw‖ = η·c·‖w‖ at each step of LAMB (c = 1), at each step of LARS without momentum, and at the
/// first step of LARS.
#[test]
fn a_layer_moves_by_its_own_norm() {
    let gradient = |w: &[f64]| vec![w[1] + 3.0, w[0] - 1.0, 0.1];
    let c = 0.02;
    let free = LarsConfig {
        weight_decay: 0.0,
        trust_coefficient: c,
        momentum: 0.0,
        ..Default::default()
    };
    let mut lars = walk(&free, &[1.0, 2.0, -1.0]);
    let mut lamb = walk(&LambConfig::default(), &[1.0, 2.0, -1.0]);
    for t in 0..20 {
        let eta = 0.3 / (t + 1) as f64;
        for (run, c) in [(&mut lars, c), (&mut lamb, 1.0)] {
            let before = values(&run.point);
            let moved = distance(&run.step(eta, gradient), &before);
            assert!(
                (moved / (eta * c * norm(&before)) - 1.0).abs() < 1e-12,
                "{t} {moved}"
            );
        }
    }
    let start = [1.0, 2.0, -1.0];
    let first = walk(
        &LarsConfig {
            momentum: 0.9,
            ..free
        },
        &start,
    )
    .step(0.3, gradient);
    assert!((distance(&first, &start) / (0.3 * c * norm(&start)) - 1.0).abs() < 1e-12);
}

/// A parameter excluded from adaptation moves as under the base optimizer: heavy ball, PyTorch's
/// momentum, Adam.
#[test]
fn what_is_left_out_moves_as_the_base_optimizer() {
    fn same(a: &impl OptimizerConfig, b: &impl OptimizerConfig) {
        let (mut a, mut b) = (walk(a, &[1.0, -2.0]), walk(b, &[1.0, -2.0]));
        for t in 0..30 {
            let gradient = |w: &[f64]| vec![w[0] - 0.3 * t as f64, w[1] * w[0]];
            let eta = 0.02 + 0.001 * t as f64;
            assert!(
                distance(&a.step(eta, gradient), &b.step(eta, gradient)) < 1e-13,
                "{t}"
            );
        }
    }
    let all = Exclude::patterns(["."]).unwrap();
    let excluded = |rate| LarsConfig {
        rate,
        exclude_from_layer_adaptation: all.clone(),
        weight_decay: 0.01,
        ..Default::default()
    };
    let ball = |form| MomentumConfig {
        form,
        weight_decay: 0.01,
        ..Default::default()
    };
    same(&excluded(RatePlace::Inside), &ball(MomentumForm::HeavyBall));
    same(&excluded(RatePlace::Outside), &ball(MomentumForm::Torch));
    same(&excluded(RatePlace::Velocity), &ball(MomentumForm::Torch));
    let lamb = LambConfig {
        exclude_from_layer_adaptation: all.clone(),
        exclude_from_weight_decay: all.clone(),
        ..Default::default()
    };
    same(
        &lamb,
        &AdamConfig {
            eps: 1e-6,
            ..Default::default()
        },
    );
    let lamb = LambConfig {
        exclude_from_layer_adaptation: all.clone(),
        decay: LambDecay::Decoupled,
        ..Default::default()
    };
    same(
        &lamb,
        &AdamWConfig {
            eps: 1e-6,
            ..Default::default()
        },
    );
}

/// NAdam without momentum is RMSprop with a corrected mean of squares, in each of its forms.
#[test]
fn nadam_without_momentum_is_corrected_rmsprop() {
    for correction in [
        NadamCorrection::Product,
        NadamCorrection::Next,
        NadamCorrection::One,
    ] {
        let recipe = NadamConfig {
            beta1: 0.0,
            beta2: 0.9,
            correction,
            ..NadamConfig::default()
        };
        let mut run = walk(&recipe, &[1.0]);
        let (mut w, mut v) = (1.0f64, 0.0f64);
        for t in 1..=30 {
            let g = (0.7 * f64::from(t)).sin() + 0.3 * w;
            v = 0.9 * v + (1.0 - 0.9) * g * g;
            w -= 0.01 * g / ((v / (1.0 - 0.9f64.powi(t))).sqrt() + 1e-8);
            let found = run.step(0.01, |_| vec![g]);
            assert!((found[0] - w).abs() < 1e-13, "{correction:?}, {t}");
        }
    }
}

/// On ½w² a rule with a preconditioner P is stable up to η = bound · P. Here ε is far above the
/// gradients, so that P does not move.
#[test]
fn the_newer_rules_are_stable_up_to_their_bounds() {
    fn ends<C: OptimizerConfig>(config: &C, field: f64, factor: f64) -> f64 {
        let stability = config.stability().unwrap();
        let divisor = stability.preconditioner.unwrap().divisor;
        let rate = factor * stability.bound * divisor(field, 1_000_000);
        let mut run = walk(config, &[1e-9]);
        // First without moving: the corrections of the first steps make them longer.
        for _ in 0..300 {
            run.step(0.0, <[f64]>::to_vec);
        }
        let mut last = 0.0;
        for _ in 0..3000 {
            last = run.step(rate, <[f64]>::to_vec)[0].abs();
            if last > 1e-3 {
                break;
            }
        }
        last
    }
    fn check<C: OptimizerConfig>(name: &str, config: &C, field: f64) {
        assert!(ends(config, field, 0.98) < 1e-9, "{name} is not stable");
        assert!(ends(config, field, 1.02) > 1e-3, "{name} does not diverge");
    }
    let eps = 1e3;
    check(
        "rmsprop",
        &RmspropConfig::default().with_momentum(0.5).with_eps(eps),
        0.0,
    );
    // Its ε is inside of the largest gradient.
    check("adamax", &AdamaxConfig::default().with_eps(eps), eps);
    check(
        "nadamw",
        &NadamWConfig::default().with_eps(eps).with_weight_decay(0.0),
        0.0,
    );
}

/// Adafactor's rows and columns stand for g² exactly where g² is a column times a row.
#[test]
fn adafactor_is_exact_on_squares_of_rank_one() {
    use burn::optim::Optimizer;
    use burn::tensor::Tensor;
    let (column, row) = ([1.0, -0.5, 3.0], [0.2, 1.0, -4.0, 0.7]);
    let run = |least_side: usize, other: f64| -> Vec<f64> {
        let config = AdafactorConfig::default().with_least_side(least_side);
        let rule = config.rule().unwrap();
        let (mut w, mut state) = (matrix(&[1.0; 12]).reshape([3, 4]), None);
        for t in 0..20 {
            let g: Vec<f64> = (0..12)
                .map(|k| (0.3 + f64::from(t)).sin() * column[k / 4] * row[k % 4])
                .map(|g| g + other * g * g)
                .collect();
            let g: Tensor<2> = matrix(&g).reshape([3, 4]);
            (w, state) = rule.step(0.05, w, g, state);
        }
        w.try_into_vec_as::<f64>().unwrap()
    };
    assert!(distance(&run(1, 0.0), &run(5, 0.0)) < 1e-13);
    assert!(distance(&run(1, 0.1), &run(5, 0.1)) > 1e-2);
}

/// Five iterations bring the singular values of a Gaussian matrix into [0.6, 1.2], and a wide and a tall
/// matrix give transposed steps.
#[test]
fn muon_orthogonalises() {
    use burn::optim::Optimizer;
    use burn::tensor::Tensor;
    let step = |values: &[f64], shape: [usize; 2]| -> Vec<f64> {
        let g = matrix(values).reshape(shape);
        let rule = MuonConfig::default()
            .with_scale(MuonScale::None)
            .rule()
            .unwrap();
        let zero: Tensor<2> = g.zeros_like();
        let (w, _) = rule.step(1.0, zero, g, None);
        w.try_into_vec_as::<f64>().unwrap()
    };
    let (m, n) = (5, 9);
    // Sums of twelve uniform numbers.
    let mut seed = 3u64;
    let mut draw = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1u64 << 53) as f64
    };
    let g: Vec<f64> = (0..m * n)
        .map(|_| (0..12).map(|_| draw()).sum::<f64>() - 6.0)
        .collect();
    let wide = step(&g, [m, n]);
    let transposed: Vec<f64> = (0..m * n).map(|k| g[(k % m) * n + k / m]).collect();
    let tall = step(&transposed, [n, m]);
    for i in 0..m {
        for j in 0..n {
            assert!((wide[i * n + j] - tall[j * m + i]).abs() < 1e-12);
        }
    }
    let gram: Vec<f64> = (0..m * m)
        .map(|k| {
            (0..n)
                .map(|j| wide[k / m * n + j] * wide[k % m * n + j])
                .sum()
        })
        .collect();
    // The largest eigenvalue of A by power iteration, and the smallest by that of 2I − A.
    let largest = |matrix: &dyn Fn(usize, usize) -> f64| {
        let mut x = vec![1.0; m];
        let mut length = 0.0;
        for _ in 0..5000 {
            let y: Vec<f64> = (0..m)
                .map(|i| (0..m).map(|j| matrix(i, j) * x[j]).sum())
                .collect();
            length = norm(&y);
            x = y.iter().map(|y| y / length).collect();
        }
        length
    };
    let top = largest(&|i, j| gram[i * m + j]).sqrt();
    let identity = |i, j| if i == j { 2.0 } else { 0.0 };
    let least = (2.0 - largest(&|i, j| identity(i, j) - gram[i * m + j])).sqrt();
    assert!(0.6 < least && least <= top && top < 1.2, "{least} to {top}");
}
