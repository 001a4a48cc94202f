//! The losses and their gradients, compared with their formulas in f64 and with Burn's operations.

use burn::tensor::{Device, Tensor, TensorData};
use largebatch_kernels::layers::{correct, cross_entropy, logistic};

/// Examples and classes: one of each, a part, more than a part.
const CASES: [[usize; 2]; 5] = [[1, 1], [7, 10], [64, 3], [65, 10], [1000, 17]];

fn outputs([n, classes]: [usize; 2]) -> Vec<f32> {
    (0..n * classes)
        .map(|i| (((i * 97 + 31) % 251) as f32 - 125.0) / 16.0)
        .collect()
}

/// Rows that sum to 1, as label smoothing makes them.
fn smoothed([n, classes]: [usize; 2]) -> Vec<f32> {
    (0..n * classes).map(|i| if i % classes == i / classes % classes { 0.9 } else { 0.0 } + 0.1 / classes as f32).collect()
}

fn signs(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| if i % 3 == 0 { 1.0 } else { -1.0 })
        .collect()
}

/// A loss of outputs and targets.
type Loss = fn(Tensor<2>, Tensor<2>) -> Tensor<1>;

/// The loss, and the gradient of 0.37 times the loss.
fn results(loss: Loss, o: &[f32], t: &[f32], dims: [usize; 2], device: &Device) -> (f32, Vec<f32>) {
    let o = Tensor::<2>::from_data(TensorData::new(o.to_vec(), dims), device).require_grad();
    let t = Tensor::from_data(TensorData::new(t.to_vec(), dims), &device.clone().inner());
    let sum = loss(o.clone(), t);
    let gradients = (sum.clone() * 0.37).backward();
    (
        sum.into_scalar(),
        o.grad(&gradients)
            .unwrap()
            .into_data()
            .try_to_vec()
            .unwrap(),
    )
}

fn close(ours: &(f32, Vec<f32>), truth: &(f64, Vec<f64>), what: &str) {
    assert!(
        (f64::from(ours.0) - truth.0).abs() <= 3e-7 * truth.0.abs(),
        "{what}: {} {}",
        ours.0,
        truth.0
    );
    assert_eq!(ours.1.len(), truth.1.len());
    for (a, b) in ours.1.iter().zip(&truth.1) {
        assert!((f64::from(*a) - b).abs() <= 3e-7, "{what}: {a} {b}");
    }
}

/// Another backend, which uses Burn's own operations.
#[cfg(feature = "ndarray")]
#[allow(deprecated)]
fn elsewhere() -> Device {
    Device::ndarray().autodiff()
}

#[test]
fn cross_entropy_is_its_formula() {
    for dims @ [n, classes] in CASES {
        let (o, t) = (outputs(dims), smoothed(dims));
        let mut truth = (0.0, Vec::new());
        for i in 0..n {
            let row = |v: &[f32]| {
                v[i * classes..][..classes]
                    .iter()
                    .map(|v| f64::from(*v))
                    .collect::<Vec<_>>()
            };
            let (o, t) = (row(&o), row(&t));
            let (sum, weight) = (
                o.iter().map(|o| o.exp()).sum::<f64>(),
                t.iter().sum::<f64>(),
            );
            truth.0 += o
                .iter()
                .zip(&t)
                .map(|(o, t)| t * (sum.ln() - o))
                .sum::<f64>();
            truth.1.extend(
                o.iter()
                    .zip(&t)
                    .map(|(o, t)| 0.37 * (weight * o.exp() / sum - t)),
            );
        }
        let flex = results(cross_entropy, &o, &t, dims, &Device::flex().autodiff());
        close(&flex, &truth, "flex");
        #[cfg(feature = "ndarray")]
        {
            let other = results(cross_entropy, &o, &t, dims, &elsewhere());
            assert!((flex.0 - other.0).abs() <= 1e-5 * flex.0.abs());
            assert!(
                flex.1
                    .iter()
                    .zip(&other.1)
                    .all(|(a, b)| (a - b).abs() <= 1e-6)
            );
        }
    }
}

#[test]
fn logistic_is_its_formula() {
    for [n, _] in CASES {
        let (o, t) = (outputs([n, 1]), signs(n));
        let margin = |i: usize| f64::from(o[i]) * f64::from(t[i]);
        let truth = (
            (0..n).map(|i| (-margin(i)).exp().ln_1p()).sum(),
            (0..n)
                .map(|i| -0.37 * f64::from(t[i]) / (1.0 + margin(i).exp()))
                .collect(),
        );
        let flex = results(logistic, &o, &t, [n, 1], &Device::flex().autodiff());
        close(&flex, &truth, "flex");
        #[cfg(feature = "ndarray")]
        assert!(
            (flex.0 - results(logistic, &o, &t, [n, 1], &elsewhere()).0).abs()
                <= 1e-5 * flex.0.abs()
        );
    }
}

/// Large outputs do not overflow, and NaN is propagated.
#[test]
fn extremes() {
    let device = Device::flex().autodiff();
    let (loss, gradient) = results(
        cross_entropy,
        &[300.0, -300.0, 1e30, 0.0],
        &[0.0, 1.0, 1.0, 0.0],
        [2, 2],
        &device,
    );
    assert_eq!((loss, gradient), (600.0, vec![0.37, -0.37, 0.0, 0.0]));
    let (loss, gradient) = results(logistic, &[-500.0, 500.0], &[1.0, 1.0], [2, 1], &device);
    assert_eq!((loss, gradient), (500.0, vec![-0.37, 0.0]));
    for loss in [cross_entropy as Loss, logistic] {
        let (loss, gradient) = results(loss, &[f32::NAN], &[1.0], [1, 1], &device);
        assert!(loss.is_nan() && gradient[0].is_nan());
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let dims = [1000, 17];
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            results(
                cross_entropy,
                &outputs(dims),
                &smoothed(dims),
                dims,
                &Device::flex().autodiff(),
            )
        })
    };
    let one = with(1);
    assert!(with(2) == one && with(3) == one);
}

#[test]
fn correct_are_where_the_greatest_is() {
    if largebatch_kernels::vectors() == Some("kernels off") {
        return;
    }
    let device = Device::flex();
    let count = |o: &[f32], t: &[f32], n: usize| {
        let tensor = |v: &[f32]| {
            Tensor::<2>::from_data(TensorData::new(v.to_vec(), [v.len() / n, n]), &device)
        };
        correct(&tensor(o), &tensor(t))
            .unwrap()
            .into_scalar::<f32>()
    };
    // In a tie the first one counts.
    assert_eq!(
        count(
            &[1.0, 2.0, 2.0, 5.0, 1.0, 1.0, 0.0, 0.0, 0.0],
            &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0],
            3
        ),
        2.0
    );
    assert_eq!(
        count(&[0.5, 0.0, -1.0, 2.0], &[1.0, -1.0, 1.0, 1.0], 1),
        3.0
    );
}
