//! The works: each is a function that does one unit and returns its time in seconds.

use std::time::Instant;

use burn::module::{Module, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use largebatch::data::{Dataset, Holdout, Labels, Part, Preprocess, Task};
use largebatch::optim::Driver;
use largebatch::train::{Choice, Controls, Experiment, RunConfig, Trainer, train};
use largebatch::{Lab, optim};
use largebatch_random::{Key, unit};
use rayon::prelude::*;

type Unit = Box<dyn FnMut() -> f64>;

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begin = Instant::now();
    let result = work();
    (begin.elapsed().as_secs_f64(), result)
}

/// A step of `largebatch train` with momentum on a batch of random images: fetches it, then forward,
/// loss, backward, step. `on_graph` computes it on Burn's graph even if it could do without.
pub fn step(name: &str, batch: usize, on_graph: bool) -> anyhow::Result<Unit> {
    const RATE: f64 = 1e-3;
    let shape = match name {
        "c1" | "resnet8" | "resnet20" => vec![3, 32, 32],
        _ => vec![1, 28, 28],
    };
    let mut rng = Key::new(0).stream(0);
    let mut part = |n: usize| {
        let pixels = n * shape.iter().product::<usize>();
        let pixels = (0..pixels).map(|_| (256.0 * unit(&mut rng)) as u8);
        let labels = (0..n).map(|i| (i % 10) as _).collect();
        Part::from_images(pixels.collect(), shape.clone(), Labels::Classes(labels))
    };
    let (train, test) = (part(batch)?, part(1)?);
    let dataset = Dataset {
        name: "random".into(),
        task: Task::Classes(10),
        shape,
        train,
        test,
        sources: Vec::new(),
        class_names: Vec::new(),
        preprocess: Preprocess::default(),
        warnings: Vec::new(),
    };
    let holdout = Holdout {
        train: (0..batch as u32).collect(),
        validation: Vec::new(),
    };
    let config = RunConfig {
        model: Choice::plain(name),
        optimizer: Choice::plain("momentum"),
        batch_size: Some(batch),
        lr: Some(RATE),
        ..RunConfig::default()
    };
    // It lives as long as the process, like the trainer that borrows it.
    let experiment: &Experiment = Box::leak(Box::new(Experiment::with(
        config,
        dataset,
        holdout,
        &Lab::standard(),
    )?));
    let network = experiment.initial_model()?.network;
    let mut trainer = Trainer::new(experiment, &network, on_graph)?;
    let (indices, mut network) = (&experiment.holdout.train[..], Some(network));
    Ok(Box::new(move || {
        let Some(before) = network.take() else {
            return f64::NAN;
        };
        let (seconds, after) = timed(|| trainer.step_on(before, (0, indices), RATE));
        network = after.ok().map(|(network, _)| network);
        seconds
    }))
}

/// The 53 convolutions of ResNet-50 (output channels, input channels, kernel): 23.5 million
/// parameters, with the last layer enlarged to make 25 million.
fn shapes() -> Vec<[usize; 4]> {
    let mut shapes = vec![[64, 3, 7, 7]];
    let mut inputs = 64;
    for (width, blocks) in [(64, 3), (128, 4), (256, 6), (512, 3)] {
        for block in 0..blocks {
            shapes.extend([
                [width, inputs, 1, 1],
                [width, width, 3, 3],
                [4 * width, width, 1, 1],
            ]);
            if block == 0 {
                shapes.push([4 * width, inputs, 1, 1]);
            }
            inputs = 4 * width;
        }
    }
    if let Some(last) = shapes.last_mut() {
        *last = [4999, 512, 1, 1];
    }
    shapes
}

#[derive(Module, Debug)]
struct Weights {
    layers: Vec<Param<Tensor<4>>>,
}

/// A step of the optimizer's preset that its peers have, over 25 million parameters, or with
/// `NAME:SIDE` over a square matrix, with given gradients that nothing else shares.
pub fn optimizer(name: &str, device: &str) -> anyhow::Result<Unit> {
    let (name, side) = name.split_once(':').unwrap_or((name, ""));
    let shapes = match side {
        "" => shapes(),
        side => vec![[side.parse()?, side.parse()?, 1, 1]],
    };
    let device = largebatch::train::device(device)?;
    let drawn = |shape: [usize; 4], key: Key| {
        let mut rng = key.rng();
        let values: Vec<f32> = (0..shape.iter().product::<usize>())
            .map(|_| unit(&mut rng) as f32 - 0.5)
            .collect();
        TensorData::new(values, shape)
    };
    let key = Key::new(0);
    let gradients: Vec<TensorData> = shapes
        .iter()
        .copied()
        .enumerate()
        .map(|(i, s)| drawn(s, key.word("gradient").number(i as u64)))
        .collect();
    let layers = shapes.into_iter().enumerate().map(|(i, s)| {
        let values = drawn(s, key.word("weight").number(i as u64));
        Param::initialized(ParamId::new(), Tensor::from_data(values, &device))
    });
    let weights = Weights {
        layers: layers.collect(),
    };
    let optimizers = optim::standard();
    let (optimizer, preset, options) = match name {
        "nadamw" => (name, "optax", toml::Table::new()),
        "lans" => (name, "paper", toml::Table::new()),
        "lion" | "novograd" => (name, "timm", toml::Table::new()),
        "lamb" => (name, "timm", toml::toml! { max_grad_norm = inf }),
        "lars" => (
            name,
            "timm",
            toml::toml! { momentum = 0.9 weight_decay = 0.0001 },
        ),
        _ => (name, "torch", toml::Table::new()),
    };
    let mut driver = Driver::new(
        &*optimizers.named(optimizer)?.preset(preset, options)?,
        &weights,
    )?;
    let mut weights = Some(weights);
    Ok(Box::new(move || {
        let Some(before) = weights.take() else {
            return 0.0;
        };
        let mut given = GradientsParams::new();
        for (layer, gradient) in before.layers.iter().zip(&gradients) {
            given.register(layer.id, Tensor::<4>::from_data(gradient.clone(), &device));
        }
        // Only flex computes eagerly.
        let finished = device.sync();
        let (seconds, after) = timed(|| {
            let after = driver.step(1e-4, before, given);
            device.sync().and(finished).map(|()| after)
        });
        let Ok(after) = after else { return f64::NAN };
        weights = Some(after);
        seconds
    }))
}

/// A step of `largebatch train` with SGD: order, gather, gradient, step, loss and accuracy; the mean
/// over 1,000 steps or more, the first of which makes the optimizer's state on Burn's graph. `model` is a name or, for MLPs, the widths of the hidden layers: `mlp:512,512`.
/// `on_graph` computes the steps on Burn's graph even if they could do without.
pub fn train_step(
    dataset: &str,
    model: &str,
    batch: usize,
    on_graph: bool,
) -> anyhow::Result<Unit> {
    let steps = (4096 / batch as u64).max(1000);
    let (name, widths) = model.split_once(':').unwrap_or((model, ""));
    let mut model = Choice::plain(name);
    if !widths.is_empty() {
        let widths: Result<Vec<i64>, _> = widths.split(',').map(str::parse).collect();
        model.options.insert("widths".into(), widths?.into());
    }
    let config = RunConfig {
        dataset: Choice::plain(dataset),
        model,
        batch_size: Some(batch),
        lr: Some(0.01),
        steps: Some(steps),
        ..RunConfig::default()
    };
    let experiment = Experiment::open(config, &Lab::standard(), &Default::default())?;
    Ok(Box::new(move || {
        train(
            &experiment,
            Controls {
                test: false,
                on_graph,
                ..Controls::default()
            },
        )
        .map_or(f64::NAN, |(end, _)| end.seconds / steps as f64)
    }))
}

/// a ← a + b/2 over two arrays of half a gigabyte: one gigabyte read and half a gigabyte written,
/// without reading memory only to overwrite it.
pub fn stream() -> Unit {
    let mut a = vec![1.0_f32; 1 << 27];
    let b = vec![1.0_f32; 1 << 27];
    Box::new(move || {
        let add =
            |(a, b): (&mut [f32], &[f32])| a.iter_mut().zip(b).for_each(|(a, b)| *a += 0.5 * b);
        timed(|| {
            a.par_chunks_mut(1 << 15)
                .zip(b.par_chunks(1 << 15))
                .for_each(add)
        })
        .0
    })
}

/// A square matrix product in f32.
pub fn product() -> Unit {
    let device = Device::flex();
    let matrix = Tensor::<2>::ones([2048, 2048], &device);
    Box::new(move || timed(|| matrix.clone().matmul(matrix.clone()).into_data()).0)
}
