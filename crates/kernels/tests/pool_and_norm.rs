//! Max pooling and batch norm with their gradients, compared with PyTorch and with Burn's own.

use burn::tensor::{Device, Tensor, TensorData, activation, module, ops::MaxPoolOptions};
use largebatch_kernels::layers::{batch_norm_train, max_pool2d_relu, subsample_and_widen};
use safetensors::SafeTensors;

/// batch, channels, height, width, kernel, stride, padding, ceiling mode; as in tests/golden/conv.py.
const POOLS: [([usize; 7], bool); 6] = [
    ([2, 3, 28, 28, 2, 2, 0], false),
    ([1, 2, 9, 33, 2, 2, 0], false),
    ([2, 2, 16, 32, 3, 2, 0], true),
    ([2, 2, 15, 17, 3, 2, 1], true),
    ([1, 3, 7, 5, 3, 1, 1], false),
    ([1, 1, 11, 40, 4, 3, 2], true),
];

fn golden() -> Vec<u8> {
    std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/conv.safetensors"
    ))
    .unwrap()
}

fn theirs(golden: &SafeTensors, name: &str) -> Vec<f32> {
    golden
        .tensor(name)
        .unwrap()
        .data()
        .as_chunks()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}

fn tensor<const D: usize>(salt: usize, dims: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = (0..dims.iter().product())
        .map(|i| (((i * 97 + salt) % 251) as f32 - 125.0) / 64.0)
        .collect();
    Tensor::from_data(TensorData::new(values, dims), device)
}

fn vec<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_to_vec().unwrap()
}

fn close(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let largest = theirs.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= 1e-5 * largest, "{what}: {a}, not {b}");
    }
}

#[test]
fn pooling_agrees_with_pytorch_and_burn() {
    let (bytes, device) = (golden(), Device::flex().autodiff());
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    for (number, ([n, c, h, w, kernel, stride, padding], ceil)) in POOLS.into_iter().enumerate() {
        let run = |ours: bool| {
            let x = tensor(1, [n, c, h, w], &device).require_grad();
            let y = if ours {
                max_pool2d_relu(x.clone(), [kernel; 2], [stride; 2], [padding; 2], ceil)
            } else {
                let options = MaxPoolOptions::new([kernel; 2])
                    .with_stride([stride; 2])
                    .with_padding([padding; 2])
                    .with_ceil_mode(ceil);
                activation::relu(module::max_pool2d(x.clone(), options))
            };
            let gradients = (y.clone() * tensor(4, y.dims(), &device)).sum().backward();
            (vec(y.inner()), vec(x.grad(&gradients).unwrap()))
        };
        let ours = run(true);
        assert_eq!(ours, run(false), "{number}");
        assert_eq!(
            ours.0,
            theirs(&golden, &format!("pool.{number}.y")),
            "{number}"
        );
        close(
            &ours.1,
            &theirs(&golden, &format!("pool.{number}.x")),
            &format!("pool {number} x"),
        );
        let plain = max_pool2d_relu(
            tensor(1, [n, c, h, w], &Device::flex()),
            [kernel; 2],
            [stride; 2],
            [padding; 2],
            ceil,
        );
        assert_eq!(vec(plain), ours.0);
    }
}

#[test]
fn nan_goes_through_the_maximum() {
    let x = Tensor::<4>::from_data([[[[1.0, f32::NAN], [3.0, -4.0]]]], &Device::flex());
    assert!(vec(max_pool2d_relu(x, [2, 2], [2, 2], [0, 0], false))[0].is_nan());
    let x = Tensor::<4>::from_data(
        [[[[f32::NEG_INFINITY, -1.0], [-3.0, -4.0]]]],
        &Device::flex(),
    );
    assert_eq!(
        vec(max_pool2d_relu(x, [2, 2], [2, 2], [0, 0], false)),
        [0.0]
    );
}

fn norm<const D: usize>(number: usize, dims: [usize; D], add: bool, relu: bool) {
    let (bytes, device) = (golden(), Device::flex().autodiff());
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let x = tensor(1, dims, &device).require_grad();
    let (gamma, beta) = (
        tensor(2, [dims[1]], &device).require_grad(),
        tensor(3, [dims[1]], &device).require_grad(),
    );
    let plus = add.then(|| tensor(5, dims, &device).require_grad());
    let seen = batch_norm_train(
        x.clone(),
        gamma.clone(),
        beta.clone(),
        1e-5,
        plus.clone(),
        relu,
    );
    let gradients = (seen.output.clone() * tensor(4, dims, &device))
        .sum()
        .backward();
    let check = |name: &str, ours: Vec<f32>| {
        let name = format!("norm.{number}.{name}");
        close(&ours, &theirs(&golden, &name), &name);
    };
    check("mean", vec(seen.mean));
    check("variance", vec(seen.variance));
    check("y", vec(seen.output.inner()));
    check("x", vec(x.grad(&gradients).unwrap()));
    check("gamma", vec(gamma.grad(&gradients).unwrap()));
    check("beta", vec(beta.grad(&gradients).unwrap()));
    if let Some(plus) = plus {
        check("plus", vec(plus.grad(&gradients).unwrap()));
    }
    let inner = |t: Tensor<1>| t.inner();
    let plain = batch_norm_train(
        x.inner(),
        inner(gamma),
        inner(beta),
        1e-5,
        add.then(|| tensor(5, dims, &Device::flex())),
        relu,
    );
    check("y", vec(plain.output));
}

/// The cases of tests/golden/conv.py, in its order.
#[test]
fn batch_norm_agrees_with_pytorch() {
    norm(0, [3, 4, 5, 7], false, false);
    norm(1, [2, 3, 4, 4], true, true);
    norm(2, [1, 2, 4, 8], false, true);
    norm(3, [70, 17], false, true);
    norm(4, [129, 16], true, false);
    norm(5, [4, 3], false, true);
}

/// A mean far from zero costs no digits; E(x²) − E(x)² would lose all of them.
#[test]
fn variance_around_a_large_mean() {
    let device = Device::flex();
    let x = tensor(1, [8, 2, 16], &device) + 1000.0;
    let one = || Tensor::<1>::ones([2], &device);
    let values: Vec<f64> = vec(x.clone()).into_iter().map(f64::from).collect();
    let of_first: Vec<f64> = (0..8)
        .flat_map(|n| values[n * 32..n * 32 + 16].to_vec())
        .collect();
    let mean = of_first.iter().sum::<f64>() / 128.0;
    let variance = of_first.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 128.0;
    let seen = batch_norm_train(x, one(), one(), 1e-5, None, false);
    assert!((f64::from(vec(seen.variance)[0]) / variance - 1.0).abs() < 1e-5);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let device = Device::flex().autodiff();
            // Not multiples of a power of two: sums are rounded, which reveals their order.
            let x = (tensor(1, [33, 19, 9, 8], &device) * 0.7)
                .detach()
                .require_grad();
            let gamma = tensor(2, [19], &device).require_grad();
            let seen = batch_norm_train(
                x.clone(),
                gamma.clone(),
                tensor(3, [19], &device),
                1e-5,
                None,
                true,
            );
            let y = max_pool2d_relu(seen.output, [3, 3], [2, 2], [1, 1], true);
            let gradients = (y.clone() * tensor(4, y.dims(), &device)).sum().backward();
            [
                vec(y.inner()),
                vec(x.grad(&gradients).unwrap()),
                vec(gamma.grad(&gradients).unwrap()),
            ]
            .map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
        })
    };
    let one = with(1);
    for threads in [2, 3, 8] {
        assert_eq!(with(threads), one, "{threads}");
    }
}

#[test]
fn subsampling_takes_every_second_pixel() {
    let device = Device::flex().autodiff();
    let x = tensor(1, [2, 3, 5, 6], &device).require_grad();
    let y = subsample_and_widen(x.clone());
    assert_eq!(y.dims(), [2, 6, 3, 3]);
    let values = vec(x.clone().inner());
    let picked = |n: usize, c: usize| {
        (0..5).step_by(2).flat_map(move |i| {
            (0..6)
                .step_by(2)
                .map(move |j| ((n * 3 + c) * 5 + i) * 6 + j)
        })
    };
    let expected: Vec<f32> = (0..2)
        .flat_map(|n| (0..6).map(move |c| (n, c)))
        .flat_map(|(n, c)| {
            if c < 3 {
                picked(n, c).map(|i| values[i]).collect()
            } else {
                vec![0.0; 9]
            }
        })
        .collect();
    assert_eq!(vec(y.clone().inner()), expected);
    let gradients = (y * tensor(4, [2, 6, 3, 3], &device)).sum().backward();
    let weights = vec(tensor(4, [2, 6, 3, 3], &device).inner());
    let mut by_x = vec![0.0; 180];
    for (n, c) in (0..2).flat_map(|n| (0..3).map(move |c| (n, c))) {
        picked(n, c)
            .enumerate()
            .for_each(|(k, i)| by_x[i] = weights[(n * 6 + c) * 9 + k]);
    }
    assert_eq!(vec(x.grad(&gradients).unwrap()), by_x);
    assert_eq!(vec(subsample_and_widen(x.inner())), expected);
}
