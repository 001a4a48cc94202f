use crate::layers::correlate::Plan;
use crate::layers::level::Level;
use crate::layers::product::{Matrix, Product, product};
use crate::layers::shape::Shape;
use crate::layers::weight_gradient::weight_gradient;

pub(crate) fn value(count: usize, salt: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (((i * 97 + salt) % 251) as f32 - 125.0) / 64.0)
        .collect()
}

/// The four results computed by definition, in f64.
fn by_definition(
    s: &Shape,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    gradient: &[f32],
) -> [Vec<f64>; 4] {
    let mut y: Vec<f64> = Vec::new();
    let (mut by_x, mut by_weight, mut by_bias) = (
        vec![0.0; x.len()],
        vec![0.0; weight.len()],
        vec![0.0; bias.len()],
    );
    for n in 0..s.batch {
        for o in 0..s.outputs {
            for p in 0..s.out_pixels() {
                let g = f64::from(gradient[y.len()]);
                let mut sum = f64::from(bias[o]);
                by_bias[o] += g;
                for c in 0..s.inputs {
                    for k in 0..s.kernel_area() {
                        let row = (p / s.out[1] * s.stride[0] + k / s.kernel[1])
                            .wrapping_sub(s.padding[0]);
                        let column = (p % s.out[1] * s.stride[1] + k % s.kernel[1])
                            .wrapping_sub(s.padding[1]);
                        if row < s.size[0] && column < s.size[1] {
                            let (i, j) = (
                                ((n * s.inputs + c) * s.size[0] + row) * s.size[1] + column,
                                (o * s.inputs + c) * s.kernel_area() + k,
                            );
                            sum += f64::from(x[i]) * f64::from(weight[j]);
                            by_x[i] += f64::from(weight[j]) * g;
                            by_weight[j] += f64::from(x[i]) * g;
                        }
                    }
                }
                y.push(sum);
            }
        }
    }
    [y, by_x, by_weight, by_bias]
}

fn shape(case: [usize; 9]) -> Shape {
    let [n, c, o, h, w, kh, kw, stride, padding] = case;
    Shape::new([n, c, h, w], [o, c, kh, kw], [stride; 2], [padding; 2]).unwrap()
}

/// With a factor that is not a power of two, sums of products are rounded, which reveals the order
/// of addition.
fn results(s: &Shape, level: Level, factor: f32) -> [Vec<f32>; 4] {
    let scaled = |count, salt| {
        value(count, salt)
            .iter()
            .map(|v| v * factor)
            .collect::<Vec<_>>()
    };
    let x = scaled(s.batch * s.inputs * s.pixels(), 1);
    let weight = value(s.outputs * s.inputs * s.kernel_area(), 2);
    let bias = value(s.outputs, 3);
    let gradient = scaled(s.batch * s.outputs * s.out_pixels(), 4);
    let (by_weight, by_bias) = weight_gradient(s, &x, &gradient, level);
    let y = Plan::forward(s, &weight, level).run(&x, Some(&bias));
    [
        y,
        Plan::input_gradient(s, &weight, level).run(&gradient, None),
        by_weight,
        by_bias,
    ]
}

/// batch, inputs, outputs, height, width, kernel h, kernel w, stride, padding
const CASES: [[usize; 9]; 6] = [
    [1, 1, 1, 1, 1, 1, 1, 1, 0],
    [5, 3, 17, 8, 10, 3, 3, 2, 1],
    [2, 33, 9, 7, 6, 3, 3, 1, 1],
    [3, 2, 4, 11, 5, 4, 2, 3, 1],
    [67, 1, 2, 4, 4, 3, 3, 1, 1],
    [2, 2, 33, 9, 37, 2, 5, 1, 3],
];

#[test]
fn every_level_agrees_with_the_definition() {
    for case in CASES {
        let s = shape(case);
        let x = value(s.batch * s.inputs * s.pixels(), 1);
        let weight = value(s.outputs * s.inputs * s.kernel_area(), 2);
        let gradient = value(s.batch * s.outputs * s.out_pixels(), 4);
        let expected = by_definition(&s, &x, &weight, &value(s.outputs, 3), &gradient);
        for level in Level::all() {
            for (i, (ours, expected)) in results(&s, level, 1.0).iter().zip(&expected).enumerate() {
                assert_eq!(ours.len(), expected.len());
                let largest = expected.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
                for (a, b) in ours.iter().zip(expected) {
                    assert!(
                        (f64::from(*a) - b).abs() <= 2e-6 * largest,
                        "{case:?} {level:?}, result {i}: {a} {b}"
                    );
                }
            }
        }
    }
}

/// Equal terms, each rounded the same way, in a sum that is too long for f32.
#[test]
fn weight_gradients_of_many_images_lose_nothing() {
    let s = shape([4096, 1, 1, 8, 8, 1, 1, 1, 0]);
    let (x, gradient) = (
        vec![0.7; s.batch * s.inputs * s.pixels()],
        vec![0.3; s.batch * s.outputs * s.out_pixels()],
    );
    let expected = (s.batch * s.out_pixels()) as f64 * f64::from(0.7f32) * f64::from(0.3f32);
    for level in Level::all() {
        let (weight, bias) = weight_gradient(&s, &x, &gradient, level);
        assert!(
            weight
                .iter()
                .all(|v| (f64::from(*v) / expected - 1.0).abs() < 2e-5),
            "{level:?}: {} {expected}",
            weight[0]
        );
        let expected = (s.batch * s.out_pixels()) as f64 * f64::from(0.3f32);
        assert!(
            (f64::from(bias[0]) / expected - 1.0).abs() < 2e-5,
            "{level:?}: {} {expected}",
            bias[0]
        );
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for case in CASES {
        let s = shape(case);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| results(&s, Level::best(), 0.7))
                .map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        let one = with(1);
        for threads in [2, 3, 8] {
            assert_eq!(with(threads), one, "{case:?} {threads}");
        }
    }
}

#[test]
fn every_level_multiplies_matrices() {
    // One row, few rows, few terms, one tile, several blocks.
    for [m, n, k] in [
        [1, 1, 1],
        [1, 300, 70],
        [5, 131, 300],
        [9, 33, 17],
        [13, 40, 300],
        [130, 70, 24],
        [600, 530, 5],
        [570, 600, 31],
    ] {
        let (a, b, bias) = (value(m * k, 1), value(k * n, 2), value(n, 3));
        let term = |i: usize, j: usize, l: usize| f64::from(a[i * k + l]) * f64::from(b[l * n + j]);
        let transposed = |v: &[f32], rows: usize, columns: usize| {
            (0..rows * columns)
                .map(|i| v[i % rows * columns + i / rows])
                .collect::<Vec<_>>()
        };
        let (a_turned, b_turned) = (transposed(&a, m, k), transposed(&b, k, n));
        for level in Level::all() {
            let ways_a = [Matrix::rows(&a, k), Matrix::rows(&a_turned, m).transposed()];
            let ways_b = [Matrix::rows(&b, n), Matrix::rows(&b_turned, k).transposed()];
            for (a, b) in ways_a.iter().flat_map(|a| ways_b.map(|b| (*a, b))) {
                let what = Product {
                    sizes: [m, n, k],
                    a,
                    b,
                    bias: Some(&bias),
                    relu: false,
                };
                let with = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new()
                        .num_threads(threads)
                        .build()
                        .unwrap();
                    pool.install(|| product(level, what))
                };
                let c = with(1);
                assert_eq!(c, with(3), "{level:?} {m} {n} {k}");
                for (i, value) in c.iter().enumerate() {
                    let expected =
                        f64::from(bias[i % n]) + (0..k).map(|l| term(i / n, i % n, l)).sum::<f64>();
                    let error = (f64::from(*value) - expected).abs();
                    assert!(
                        error < 1e-4 * (k as f64).sqrt(),
                        "{level:?} {m} {n} {k}: {value}, not {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn losses_and_activations_have_the_same_bits_at_every_level() {
    use crate::layers::activate::{Activation, apply, gradient};
    use crate::layers::loss;
    let (classes, rows) = (7, 61);
    let (o, mut t) = (value(rows * classes, 1), vec![0.1; rows * classes]);
    t.iter_mut().step_by(3).for_each(|t| *t = 0.7);
    let results = |level: Level| {
        let mut all = Vec::new();
        for part in [loss::cross_entropy, loss::logistic] {
            let (mut sum, mut g) = (0.0, vec![0.0; o.len()]);
            part(level, classes, &o, &t, &mut g, &mut sum);
            all.push(sum.to_bits());
            all.extend(g.iter().map(|g| u64::from(g.to_bits())));
        }
        for f in [
            Activation::Relu,
            Activation::Tanh,
            Activation::Gelu,
            Activation::Sigmoid,
        ] {
            let (mut y, mut by_x) = (vec![0.0; o.len()], vec![0.0; o.len()]);
            apply(level, f, &o, &mut y);
            gradient(level, f, &y, &o, &mut by_x);
            all.extend([y, by_x].concat().iter().map(|v| u64::from(v.to_bits())));
        }
        all
    };
    let best = results(Level::best());
    assert!(Level::all().all(|level| results(level) == best));
}
