//! The convolution and its gradients, compared with PyTorch and with Burn's own.

use burn::tensor::{Device, Tensor, TensorData, module, ops::ConvOptions};
use largebatch_kernels::layers::conv2d;
use safetensors::SafeTensors;

/// batch, inputs, outputs, height, width, kernel h, kernel w, stride, padding
type Case = [usize; 9];

/// The cases of tests/golden/conv.py, in its order.
const GOLDEN: [Case; 7] = [
    [1, 1, 1, 1, 1, 1, 1, 1, 0],
    [2, 1, 3, 9, 7, 5, 5, 1, 2],
    [5, 3, 17, 8, 10, 3, 3, 2, 1],
    [3, 4, 5, 7, 7, 1, 1, 2, 0],
    [2, 6, 9, 5, 6, 5, 3, 1, 0],
    [3, 2, 4, 11, 5, 4, 2, 3, 1],
    [18, 2, 3, 4, 4, 3, 3, 1, 1],
];

/// Layers of the models, and unusual cases: more taps than a panel, outputs beyond a tile, a stride
/// larger than the kernel, rows that are not read.
const AGAINST_BURN: [Case; 12] = [
    [3, 1, 32, 28, 28, 5, 5, 1, 2],
    [2, 32, 64, 14, 14, 5, 5, 1, 2],
    [2, 6, 16, 14, 14, 5, 5, 1, 0],
    [1, 3, 64, 32, 32, 5, 5, 1, 2],
    [70, 3, 16, 8, 8, 3, 3, 1, 1],
    [2, 16, 32, 32, 32, 3, 3, 2, 1],
    [2, 32, 64, 16, 16, 1, 1, 2, 0],
    [3, 33, 35, 9, 11, 3, 3, 1, 1],
    [2, 3, 5, 9, 9, 1, 2, 3, 0],
    [2, 3, 5, 10, 8, 3, 3, 2, 2],
    [1, 5, 2, 3, 40, 3, 5, 1, 4],
    [65, 2, 2, 3, 3, 3, 3, 1, 0],
];

fn value(count: usize, salt: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (((i * 97 + salt) % 251) as f32 - 125.0) / 64.0)
        .collect()
}

fn tensor<const D: usize>(salt: usize, dims: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(
        TensorData::new(value(dims.iter().product(), salt), dims),
        device,
    )
}

fn vec<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_to_vec().unwrap()
}

type Convolution = fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, [usize; 2], [usize; 2]) -> Tensor<4>;

fn burns_own(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: [usize; 2],
    padding: [usize; 2],
) -> Tensor<4> {
    module::conv2d(
        x,
        weight,
        bias,
        ConvOptions::new(stride, padding, [1, 1], 1),
    )
}

/// y and the gradients of Σ y r with respect to x, weight and bias.
fn results(convolution: Convolution, case: Case, device: &Device) -> [(&'static str, Vec<f32>); 4] {
    scaled_results(convolution, case, 1.0, device)
}

/// With a factor of x and r that is not a power of two, sums of products are rounded, which reveals
/// the order of addition.
fn scaled_results(
    convolution: Convolution,
    case: Case,
    factor: f32,
    device: &Device,
) -> [(&'static str, Vec<f32>); 4] {
    let [n, c, o, h, w, kh, kw, stride, padding] = case;
    let x = (tensor(1, [n, c, h, w], device) * factor)
        .detach()
        .require_grad();
    let weight = tensor(2, [o, c, kh, kw], device).require_grad();
    let bias = tensor(3, [o], device).require_grad();
    let y = convolution(
        x.clone(),
        weight.clone(),
        Some(bias.clone()),
        [stride; 2],
        [padding; 2],
    );
    let gradients = (y.clone() * (tensor(4, y.dims(), device) * factor))
        .sum()
        .backward();
    [
        ("y", vec(y.inner())),
        ("x", vec(x.grad(&gradients).unwrap())),
        ("weight", vec(weight.grad(&gradients).unwrap())),
        ("bias", vec(bias.grad(&gradients).unwrap())),
    ]
}

/// The largest difference divided by the largest value.
fn error(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = b
        .iter()
        .fold(0.0f32, |m, v| m.max(v.abs()))
        .max(f32::MIN_POSITIVE);
    a.iter()
        .zip(b)
        .map(|(a, b)| {
            if (a - b).is_nan() {
                f32::INFINITY
            } else {
                (a - b).abs()
            }
        })
        .fold(0.0, f32::max)
        / largest
}

#[test]
fn agrees_with_pytorch() {
    let bytes = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/conv.safetensors"
    ))
    .unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    for (number, case) in GOLDEN.into_iter().enumerate() {
        for (name, ours) in results(conv2d, case, &Device::flex().autodiff()) {
            let theirs = golden.tensor(&format!("{number}.{name}")).unwrap();
            let theirs: Vec<f32> = theirs
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect();
            let error = error(&ours, &theirs);
            assert!(error < 1e-5, "{case:?} {name}: {error}");
        }
    }
}

#[test]
fn agrees_with_burn() {
    let device = Device::flex().autodiff();
    for case in AGAINST_BURN {
        for ((name, ours), (_, theirs)) in results(conv2d, case, &device)
            .into_iter()
            .zip(results(burns_own, case, &device))
        {
            let error = error(&ours, &theirs);
            assert!(error < 1e-5, "{case:?} {name}: {error}");
        }
    }
}

#[test]
fn constants_and_parameters_mix() {
    let device = Device::flex().autodiff();
    let case = [2, 3, 4, 6, 5, 3, 3, 1, 1];
    let [(_, y), (_, by_x), (_, by_weight), _] = results(conv2d, case, &device);
    let (x, weight, bias) = (
        tensor(1, [2, 3, 6, 5], &device.clone().inner()),
        tensor(2, [4, 3, 3, 3], &device),
        tensor(3, [4], &device),
    );

    // A plain image, as in a first layer; views that are not contiguous.
    let w = weight.clone().require_grad();
    let turned = x.clone().swap_dims(2, 3).mul_scalar(1.0).swap_dims(2, 3);
    let ours = conv2d(turned, w.clone(), Some(bias.clone()), [1, 1], [1, 1]);
    assert_eq!(vec(ours.clone().inner()), y);
    let gradients = (ours * tensor(4, [2, 4, 6, 5], &device)).sum().backward();
    assert_eq!(vec(w.grad(&gradients).unwrap()), by_weight);

    // No bias.
    let tracked = Tensor::<4>::from_inner(x.clone()).require_grad();
    let ours = conv2d(tracked.clone(), weight.clone(), None, [1, 1], [1, 1]);
    let with_bias = ours.clone().inner() + bias.clone().inner().reshape([1, 4, 1, 1]);
    assert!(error(&vec(with_bias), &y) < 1e-6);
    let gradients = (ours * tensor(4, [2, 4, 6, 5], &device)).sum().backward();
    assert_eq!(vec(tracked.grad(&gradients).unwrap()), by_x);

    // No graph.
    let ours = conv2d(x, weight.inner(), Some(bias.inner()), [1, 1], [1, 1]);
    assert_eq!(vec(ours), y);
}

#[cfg(feature = "ndarray")]
#[test]
#[expect(
    deprecated,
    reason = "Burn will drop ndarray; until then it is the other CPU backend"
)]
fn other_backends_take_burns_own() {
    let case = [2, 3, 4, 6, 5, 3, 3, 2, 1];
    let flex = results(conv2d, case, &Device::flex().autodiff());
    for ((name, a), (_, b)) in results(conv2d, case, &Device::ndarray().autodiff())
        .into_iter()
        .zip(flex)
    {
        assert!(error(&a, &b) < 1e-5, "{name}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for case in AGAINST_BURN.into_iter().chain(GOLDEN) {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| scaled_results(conv2d, case, 0.7, &Device::flex().autodiff()))
                .map(|(_, v)| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        };
        let one = with(1);
        for threads in [2, 3, 8] {
            assert_eq!(with(threads), one, "{case:?} {threads}");
        }
    }
}
