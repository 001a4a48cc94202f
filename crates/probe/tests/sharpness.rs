//! Sharpness against closed forms, and Dinh's caveat: a rescaled network that computes the same
//! function has another sharpness, but the same adaptive sharpness.

use largebatch_probe::sharpness::{Space, adaptive, ball, keskar};
use largebatch_probe::{Objective, ProbeError, unwatched};

/// f(w) = c + gᵀw + ½ Σ h_i w_i².
struct Quadratic {
    constant: f64,
    linear: Vec<f64>,
    curvature: Vec<f64>,
}

impl Objective for Quadratic {
    fn dim(&self) -> usize {
        self.linear.len()
    }

    fn loss(&mut self, w: &[f64]) -> Result<f64, ProbeError> {
        Ok(self.gradient(w)?.0)
    }

    fn gradient(&mut self, w: &[f64]) -> Result<(f64, Vec<f64>), ProbeError> {
        let terms = w.iter().zip(&self.linear).zip(&self.curvature);
        let value = self.constant
            + terms
                .clone()
                .map(|((w, g), h)| g * w + 0.5 * h * w * w)
                .sum::<f64>();
        Ok((value, terms.map(|((w, g), h)| g + h * w).collect()))
    }
}

/// Two layers with ReLU: 2 inputs, 3 hidden units, 1 output, squared loss on fixed examples.
/// Parameters: W1 (3×2), b1 (3), W2 (3), b2.
struct Relu;

const EXAMPLES: [([f64; 2], f64); 6] = [
    ([0.5, -1.0], 0.3),
    ([1.5, 0.2], -0.7),
    ([-0.8, 0.9], 1.1),
    ([0.1, 1.2], 0.4),
    ([-1.1, -0.6], -0.2),
    ([0.9, 0.7], 0.8),
];
const WEIGHTS: [f64; 13] = [
    0.7, -0.4, 0.3, 0.9, -0.8, 0.5, 0.1, -0.2, 0.3, 0.6, -0.9, 0.8, 0.05,
];

impl Objective for Relu {
    fn dim(&self) -> usize {
        13
    }

    fn loss(&mut self, w: &[f64]) -> Result<f64, ProbeError> {
        Ok(self.gradient(w)?.0)
    }

    fn gradient(&mut self, w: &[f64]) -> Result<(f64, Vec<f64>), ProbeError> {
        let (mut loss, mut g) = (0.0, vec![0.0; 13]);
        let n = EXAMPLES.len() as f64;
        for (x, y) in EXAMPLES {
            let before: Vec<f64> = (0..3)
                .map(|k| w[2 * k] * x[0] + w[2 * k + 1] * x[1] + w[6 + k])
                .collect();
            let error = (0..3).map(|k| w[9 + k] * before[k].max(0.0)).sum::<f64>() + w[12] - y;
            loss += error * error / n;
            let d = 2.0 * error / n;
            g[12] += d;
            for k in 0..3 {
                g[9 + k] += d * before[k].max(0.0);
                if before[k] > 0.0 {
                    for (i, x) in x.iter().enumerate() {
                        g[2 * k + i] += d * w[9 + k] * x;
                    }
                    g[6 + k] += d * w[9 + k];
                }
            }
        }
        Ok((loss, g))
    }
}

/// The first layer multiplied by α, the second layer's weights divided by it.
fn rescaled(alpha: f64) -> Vec<f64> {
    let factor = |i: usize| match i {
        0..9 => alpha,
        9..12 => 1.0 / alpha,
        _ => 1.0,
    };
    WEIGHTS
        .iter()
        .enumerate()
        .map(|(i, w)| w * factor(i))
        .collect()
}

#[test]
fn the_boxs_maximum_of_a_separable_quadratic_is_at_its_corner() {
    let mut f = Quadratic {
        constant: 0.5,
        linear: vec![0.1, -0.2, 0.3],
        curvature: vec![1.0, 4.0, 0.5],
    };
    let x = [0.3, -0.5, 2.0];
    let epsilon = 1e-2;
    let result = keskar(&mut f, &x, Space::Full, epsilon, 10, 0, &mut unwatched).unwrap();
    // A convex function of one variable has its maximum at an end of the interval.
    let (mut highest, mut loss) = (f.constant, f.constant);
    for i in 0..3 {
        let one = |w: f64| f.linear[i] * w + 0.5 * f.curvature[i] * w * w;
        let size = epsilon * (f64::abs(x[i]) + 1.0);
        highest += one(x[i] - size).max(one(x[i] + size));
        loss += one(x[i]);
    }
    assert!(
        (result.loss - loss).abs() < 1e-14 && (result.highest - highest).abs() < 1e-14,
        "{result:?} against {highest}"
    );
    assert!((result.sharpness - 100.0 * (highest - loss) / (1.0 + loss)).abs() < 1e-10);
}

/// f is linear, so its maximum over the subspace's box is f(x) + Σ_j |a_jᵀ g| ε (|(A⁺x)_j| + 1);
/// with one direction a of signs, a⁺x = aᵀx / n.
#[test]
fn a_random_subspace_is_searched_alone() {
    let n = 200;
    let linear: Vec<f64> = (0..n).map(|i| (f64::from(i)).sin()).collect();
    let x: Vec<f64> = (0..n).map(|i| (f64::from(i) * 0.3).cos()).collect();
    let mut f = Quadratic {
        constant: 30.0,
        linear: linear.clone(),
        curvature: vec![0.0; n as usize],
    };
    let one = keskar(
        &mut f,
        &x,
        Space::Random { directions: 1 },
        1e-3,
        10,
        5,
        &mut unwatched,
    )
    .unwrap();
    let full = keskar(&mut f, &x, Space::Full, 1e-3, 10, 5, &mut unwatched).unwrap();
    let bound: f64 = linear
        .iter()
        .zip(&x)
        .map(|(g, x)| g.abs() * 1e-3 * (x.abs() + 1.0))
        .sum();
    assert!(
        (full.highest - full.loss - bound).abs() < 1e-10,
        "{full:?} against {bound}"
    );
    assert!(one.highest > one.loss && one.highest - one.loss < bound);
    let same = keskar(
        &mut f,
        &x,
        Space::Random { directions: 1 },
        1e-3,
        10,
        5,
        &mut unwatched,
    )
    .unwrap();
    let other = keskar(
        &mut f,
        &x,
        Space::Random { directions: 1 },
        1e-3,
        10,
        6,
        &mut unwatched,
    )
    .unwrap();
    assert_eq!(one, same);
    assert_ne!(one.highest, other.highest);
}

/// As many directions as weights span the whole space, A A⁺ x = x. The maximum of f = gᵀw is at a
/// corner, f(x) + Σ_j |a_jᵀ g| ε (|(A⁺x)_j| + 1), so it is at least f(x) + ε |gᵀx|, for any seed.
#[test]
fn a_random_basis_of_few_weights_is_one() {
    for n in 1..=6 {
        let linear: Vec<f64> = (0..n).map(|i| 0.3 + i as f64).collect();
        let x: Vec<f64> = (0..n).map(|i| 1.0 - 0.7 * i as f64).collect();
        let mut f = Quadratic {
            constant: 30.0,
            linear: linear.clone(),
            curvature: vec![0.0; n],
        };
        for seed in 0..100 {
            let found = keskar(
                &mut f,
                &x,
                Space::Random { directions: n },
                1e-3,
                10,
                seed,
                &mut unwatched,
            )
            .unwrap();
            let along: f64 = linear.iter().zip(&x).map(|(g, x)| g * x).sum();
            assert!(
                found.highest - found.loss >= 1e-3 * along.abs() && found.sharpness > 0.0,
                "{n} weights, seed {seed}: {found:?}"
            );
        }
    }
}

/// The maximum of a convex quadratic over a ball solves (μI − H) y = g with ‖y‖ = ρ and μ > λ_max (the trust-region problem); bisection finds μ.
#[test]
fn the_balls_maximum_is_the_trust_regions() {
    let (linear, curvature) = (vec![0.4, -0.3, 0.2, 0.05], vec![1.0, 3.0, 0.2, 2.0]);
    let mut f = Quadratic {
        constant: 1.0,
        linear: linear.clone(),
        curvature: curvature.clone(),
    };
    let radius = 0.3;
    let result = ball(&mut f, &[0.0; 4], radius, 200, &mut unwatched).unwrap();
    let step = |mu: f64| -> Vec<f64> {
        linear
            .iter()
            .zip(&curvature)
            .map(|(g, h)| g / (mu - h))
            .collect()
    };
    let (mut low, mut high) = (3.0 + 1e-12, 1e6);
    for _ in 0..200 {
        let mu = 0.5 * (low + high);
        let length = step(mu).iter().map(|y| y * y).sum::<f64>().sqrt();
        if length > radius { low = mu } else { high = mu }
    }
    let exact = f.gradient(&step(low)).unwrap().0;
    assert!(
        (result.highest - exact).abs() < 1e-12,
        "{} against {exact}",
        result.highest
    );
    assert!(result.first <= result.highest && result.first > result.loss);
}

#[test]
fn the_gradient_of_the_test_network_is_right() {
    let (_, gradient) = Relu.gradient(&WEIGHTS).unwrap();
    for i in 0..13 {
        let at = |h: f64| {
            let mut w = WEIGHTS;
            w[i] += h;
            Relu.gradient(&w).unwrap().0
        };
        assert!((gradient[i] - (at(1e-6) - at(-1e-6)) / 2e-6).abs() < 1e-8);
    }
}

/// Dinh et al. 2017: the function and the adaptive sharpness do not change, but the sharpness in
/// the box and in the ball does.
#[test]
fn rescaling_changes_sharpness_but_not_the_adaptive_one() {
    let (plain, scaled) = (WEIGHTS.to_vec(), rescaled(50.0));
    let loss = |w: &[f64]| Relu.gradient(w).unwrap().0;
    assert!(
        (loss(&plain) - loss(&scaled)).abs() < 1e-12,
        "the network computes the same function"
    );
    let box_of = |w: &[f64]| {
        keskar(&mut Relu, w, Space::Full, 1e-3, 10, 0, &mut unwatched)
            .unwrap()
            .sharpness
    };
    let ball_of = |w: &[f64]| ball(&mut Relu, w, 0.05, 20, &mut unwatched).unwrap().rise;
    let adaptive_of = |w: &[f64]| {
        adaptive(&mut Relu, w, 0.05, 20, &mut unwatched)
            .unwrap()
            .rise
    };
    println!("box {} {}", box_of(&plain), box_of(&scaled));
    println!("ball {} {}", ball_of(&plain), ball_of(&scaled));
    println!("adaptive {} {}", adaptive_of(&plain), adaptive_of(&scaled));
    assert!(box_of(&scaled) > 5.0 * box_of(&plain));
    assert!(ball_of(&scaled) > 5.0 * ball_of(&plain));
    assert!((adaptive_of(&scaled) / adaptive_of(&plain) - 1.0).abs() < 1e-9);
    assert!(adaptive_of(&plain) > 0.0);
}

#[test]
fn bad_settings_are_named() {
    let x = WEIGHTS;
    let text = |e: ProbeError| e.to_string();
    assert!(
        text(keskar(&mut Relu, &x, Space::Full, 0.0, 10, 0, &mut unwatched).unwrap_err())
            .contains("epsilon = 0")
    );
    assert!(
        text(
            keskar(
                &mut Relu,
                &x,
                Space::Random { directions: 14 },
                1e-3,
                10,
                0,
                &mut unwatched
            )
            .unwrap_err()
        )
        .contains("1 to 13")
    );
    assert!(
        text(
            keskar(
                &mut Relu,
                &[f64::NAN; 13],
                Space::Full,
                1e-3,
                10,
                0,
                &mut unwatched
            )
            .unwrap_err()
        )
        .contains("NaN")
    );
    let far = [1e200; 13];
    assert!(
        text(keskar(&mut Relu, &far, Space::Full, 1e-3, 10, 0, &mut unwatched).unwrap_err())
            .contains("loss or its gradient")
    );
    assert!(text(ball(&mut Relu, &x, f64::NAN, 5, &mut unwatched).unwrap_err()).contains("radius"));
    assert!(text(adaptive(&mut Relu, &x, 0.1, 0, &mut unwatched).unwrap_err()).contains("steps"));
    assert!(
        text(ball(&mut Relu, &[f64::NAN; 13], 0.1, 5, &mut unwatched).unwrap_err()).contains("NaN")
    );
}
