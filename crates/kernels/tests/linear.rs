//! The fully connected layer and its gradients, compared with sums in f64.

use burn::tensor::{Device, Tensor, TensorData, activation, module};
use largebatch_kernels::layers::linear;

/// batch, inputs, outputs: single elements, edges of tiles, blocks and panels, more terms than fit
/// into a panel.
const CASES: [[usize; 3]; 8] = [
    [1, 1, 1],
    [3, 5, 2],
    [8, 32, 32],
    [33, 257, 31],
    [129, 40, 265],
    [64, 784, 10],
    [70, 600, 17],
    [300, 9, 1],
];

fn values(count: usize, salt: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (((i * 97 + salt) % 251) as f32 - 125.0) / 64.0)
        .collect()
}

fn tensor<const D: usize>(salt: usize, dims: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(
        TensorData::new(values(dims.iter().product(), salt), dims),
        device,
    )
}

fn vec<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_to_vec().unwrap()
}

/// y, and the gradients of Σ y r with respect to x, weight and bias. With a factor of x and r that
/// is not a power of two, sums of products are rounded, which reveals the order of addition.
fn results([n, inputs, outputs]: [usize; 3], relu: bool, factor: f32) -> [Vec<f32>; 4] {
    let device = Device::flex().autodiff();
    let x = (tensor(1, [n, inputs], &device) * factor)
        .detach()
        .require_grad();
    let (weight, r) = (
        tensor(2, [inputs, outputs], &device).require_grad(),
        tensor(4, [n, outputs], &device) * factor,
    );
    let bias = tensor(3, [outputs], &device).require_grad();
    let y = linear(x.clone(), weight.clone(), Some(bias.clone()), relu);
    let gradients = (y.clone() * r).sum().backward();
    let by = |g: Option<Tensor<2>>| vec(g.unwrap());
    [
        vec(y.inner()),
        by(x.grad(&gradients)),
        by(weight.grad(&gradients)),
        vec(bias.grad(&gradients).unwrap()),
    ]
}

fn by_definition([n, inputs, outputs]: [usize; 3], relu: bool) -> [Vec<f64>; 4] {
    let get = |count, salt| {
        values(count, salt)
            .into_iter()
            .map(f64::from)
            .collect::<Vec<_>>()
    };
    let (x, w, b, r) = (
        get(n * inputs, 1),
        get(inputs * outputs, 2),
        get(outputs, 3),
        get(n * outputs, 4),
    );
    let [mut y, mut dx, mut dw, mut db] =
        [n * outputs, n * inputs, inputs * outputs, outputs].map(|count| vec![0.0; count]);
    for i in 0..n {
        for o in 0..outputs {
            let sum = b[o]
                + (0..inputs)
                    .map(|k| x[i * inputs + k] * w[k * outputs + o])
                    .sum::<f64>();
            if relu && sum <= 0.0 {
                continue;
            }
            y[i * outputs + o] = sum;
            let g = r[i * outputs + o];
            db[o] += g;
            for k in 0..inputs {
                dx[i * inputs + k] += g * w[k * outputs + o];
                dw[k * outputs + o] += g * x[i * inputs + k];
            }
        }
    }
    [y, dx, dw, db]
}

#[test]
fn agrees_with_the_definition() {
    for case in CASES {
        for relu in [false, true] {
            for (name, (ours, expected)) in ["y", "x", "weight", "bias"].iter().zip(
                results(case, relu, 1.0)
                    .iter()
                    .zip(by_definition(case, relu)),
            ) {
                assert_eq!(ours.len(), expected.len());
                let largest = expected.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
                for (a, b) in ours.iter().zip(&expected) {
                    assert!(
                        (f64::from(*a) - b).abs() <= 5e-6 * largest,
                        "{case:?} {relu} {name}: {a}, not {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn agrees_with_burn_outside_a_graph_and_without_bias() {
    let device = Device::flex();
    let (x, weight) = (tensor(1, [40, 50], &device), tensor(2, [50, 60], &device));
    let theirs = vec(activation::relu(module::linear(
        x.clone(),
        weight.clone(),
        None,
    )));
    for (a, b) in vec(linear(x.clone(), weight.clone(), None, true))
        .iter()
        .zip(theirs)
    {
        assert!((a - b).abs() < 1e-4, "{a}, not {b}");
    }
    // A plain input and a parameter; an input that is not contiguous.
    let weight = Tensor::<2>::from_inner(weight).require_grad();
    let turned = x.transpose().mul_scalar(1.0).transpose();
    let y = linear(turned.clone(), weight.clone(), None, false);
    let gradient = weight.grad(&y.clone().sum().backward()).unwrap();
    let y = vec(y.inner());
    assert_eq!(y, vec(linear(turned.clone(), weight.inner(), None, false)));
    // ∂ Σ y / ∂ W is the sum of x over the batch, in every column.
    let sums = vec(turned.sum_dim(0));
    for (a, b) in vec(gradient).chunks(60).zip(sums) {
        assert!(a.iter().all(|a| (a - b).abs() < 1e-4), "{a:?}, not {b}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            CASES.map(|case| {
                results(case, true, 0.7).map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
            })
        })
    };
    let one = with(1);
    for threads in [2, 3, 8] {
        assert_eq!(with(threads), one, "{threads}");
    }
}
