//! The pieces of a training step, ours and Burn's own operations: `cargo bench --workspace
//! --features largebatch/wgpu --bench pieces`.
//!
//! Each unit is forward, sum and backward on random f32 numbers on flex, with all threads.
//! `benches/compare` measures whole steps against PyTorch.

#![expect(clippy::ptr_arg, reason = "divan hands its arguments on so")]

use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Distribution, Tensor, activation, module};
use divan::Bencher;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn drawn<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::<D>::random(
        shape,
        Distribution::Uniform(-1.0, 1.0),
        &Device::flex().autodiff(),
    )
    .require_grad()
}

/// Repeats forward and backward of `work` on the same numbers.
fn both_ways<const D: usize, const E: usize>(
    bencher: Bencher,
    x: Tensor<D>,
    work: impl Fn(Tensor<D>) -> Tensor<E> + Sync,
) {
    bencher.bench_local(|| drop(work(x.clone()).sum().backward()));
}

/// Input channels, output channels and image side of the two convolutions of simple-cnn, one of C1
/// and one of ResNet-8, at batch 64.
#[divan::bench_group(name = "conv2d 5×5 or 3×3, batch 64", sample_count = 20)]
mod convolution {
    use super::*;

    const SHAPES: [[usize; 4]; 4] = [
        [1, 32, 28, 5],
        [32, 64, 14, 5],
        [64, 64, 16, 5],
        [16, 16, 32, 3],
    ];

    fn tensors([inputs, outputs, side, kernel]: [usize; 4]) -> (Tensor<4>, Tensor<4>, Tensor<1>) {
        (
            drawn([64, inputs, side, side]),
            drawn([outputs, inputs, kernel, kernel]),
            drawn([outputs]),
        )
    }

    #[divan::bench(args = SHAPES.iter().map(|s| s.map(|n| n.to_string()).join(" ")))]
    fn ours(bencher: Bencher, shape: &String) {
        let shape = read(shape);
        let (x, weight, bias) = tensors(shape);
        let padding = [shape[3] / 2; 2];
        both_ways(bencher, x, |x| {
            largebatch_kernels::layers::conv2d(
                x,
                weight.clone(),
                Some(bias.clone()),
                [1, 1],
                padding,
            )
        });
    }

    #[divan::bench(args = SHAPES.iter().map(|s| s.map(|n| n.to_string()).join(" ")))]
    fn burns(bencher: Bencher, shape: &String) {
        let shape = read(shape);
        let (x, weight, bias) = tensors(shape);
        let options = ConvOptions::new([1, 1], [shape[3] / 2; 2], [1, 1], 1);
        both_ways(bencher, x, |x| {
            module::conv2d(x, weight.clone(), Some(bias.clone()), options.clone())
        });
    }

    fn read(text: &str) -> [usize; 4] {
        let numbers: Vec<usize> = text.split(' ').filter_map(|n| n.parse().ok()).collect();
        numbers.try_into().expect("four numbers of SHAPES")
    }
}

#[divan::bench_group(name = "max pooling 2×2 and ReLU, 64×32×28×28", sample_count = 20)]
mod pooling {
    use super::*;

    #[divan::bench]
    fn ours(bencher: Bencher) {
        both_ways(bencher, drawn([64, 32, 28, 28]), |x| {
            largebatch_kernels::layers::max_pool2d_relu(x, [2, 2], [2, 2], [0, 0], false)
        });
    }

    #[divan::bench]
    fn burns(bencher: Bencher) {
        let options = MaxPoolOptions::new([2, 2]).with_stride([2, 2]);
        both_ways(bencher, drawn([64, 32, 28, 28]), |x| {
            activation::relu(module::max_pool2d(x, options.clone()))
        });
    }
}

#[divan::bench_group(name = "batch norm and ReLU, 128×64×32×32", sample_count = 20)]
mod batch_norm {
    use super::*;

    #[divan::bench]
    fn ours(bencher: Bencher) {
        let (gamma, beta) = (drawn([64]), drawn([64]));
        both_ways(bencher, drawn([128, 64, 32, 32]), |x| {
            largebatch_kernels::layers::batch_norm_train(
                x,
                gamma.clone(),
                beta.clone(),
                1e-5,
                None,
                true,
            )
            .output
        });
    }

    #[divan::bench]
    fn burns(bencher: Bencher) {
        let (gamma, beta) = (drawn([64]), drawn([64]));
        both_ways(bencher, drawn([128, 64, 32, 32]), |x| {
            activation::relu(module::batch_norm_train(x, gamma.clone(), beta.clone(), 1e-5).output)
        });
    }
}

#[divan::bench_group(name = "linear 512 to 512 and ReLU, by batch size", sample_count = 20)]
mod linear {
    use super::*;

    #[divan::bench(args = [1, 4, 16, 64, 256, 2048])]
    fn ours(bencher: Bencher, batch: usize) {
        let (weight, bias) = (drawn([512, 512]), drawn([512]));
        both_ways(bencher, drawn([batch, 512]), |x| {
            largebatch_kernels::layers::linear(x, weight.clone(), Some(bias.clone()), true)
        });
    }

    #[divan::bench(args = [1, 4, 16, 64, 256, 2048])]
    fn burns(bencher: Bencher, batch: usize) {
        let (weight, bias) = (drawn([512, 512]), drawn([512]));
        both_ways(bencher, drawn([batch, 512]), |x| {
            activation::relu(module::linear(x, weight.clone(), Some(bias.clone())))
        });
    }
}
