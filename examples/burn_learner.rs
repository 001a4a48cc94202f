//! LARS and LAMB in an ordinary Burn project, with Burn's `Learner`, modules, data loaders and
//! metrics.
//!
//! Shows what largebatch adds to a project with its own training loop: the optimizers, with biases
//! excluded through Burn's parameter groups, and a schedule that starts at 0 and may peak above 1,
//! which Burn's own schedules refuse. The digits come from largebatch, because they need no
//! download.
//!
//! ```text
//! cargo run --release -p largebatch-examples --features learner --example burn_learner   (a
//! second; Burn prints its progress, the results come last)
//! ```

use std::sync::Arc;

use anyhow::bail;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder, batcher::Batcher};
use burn::data::dataset::InMemDataset;
use burn::module::ParamGroup;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig, Relu};
use burn::optim::ModuleOptimizer;
use burn::prelude::*;
use burn::tensor::TensorData;
use burn::train::{
    ClassificationOutput, InferenceStep, Learner, SupervisedTraining, TrainOutput, TrainStep,
};
use largebatch::BurnScheduler;
use largebatch::data::{self, Labels, Part, Pipeline, Search};
use largebatch::optim::{self, LambConfig, LarsConfig, OptimizerConfig};
use largebatch::schedule::{Epochs, ScheduleConfig, Span, Warmup};

const BATCH: usize = 512;
const EPOCHS: usize = 30;

#[derive(Clone, Debug)]
struct Digit {
    pixels: Vec<f32>,
    label: i64,
}

#[derive(Clone, Debug)]
struct Digits {
    images: Tensor<2>,
    labels: Tensor<1, Int>,
}

struct Stack;

impl Batcher<Digit, Digits> for Stack {
    fn batch(&self, digits: Vec<Digit>, device: &Device) -> Digits {
        let n = digits.len();
        let labels: Vec<i64> = digits.iter().map(|d| d.label).collect();
        let pixels: Vec<f32> = digits.into_iter().flat_map(|d| d.pixels).collect();
        let images = Tensor::from_data(
            TensorData::new(pixels.clone(), [n, pixels.len() / n.max(1)]),
            device,
        );
        Digits {
            images,
            labels: Tensor::from_data(TensorData::new(labels, [n]), device),
        }
    }
}

#[derive(Module, Debug)]
struct Mlp {
    hidden: Linear,
    output: Linear,
    relu: Relu,
}

impl Mlp {
    fn new(device: &Device) -> Self {
        Mlp {
            hidden: LinearConfig::new(64, 256).init(device),
            output: LinearConfig::new(256, 10).init(device),
            relu: Relu::new(),
        }
    }

    fn classify(&self, digits: Digits) -> ClassificationOutput {
        let scores = self
            .output
            .forward(self.relu.forward(self.hidden.forward(digits.images)));
        let loss = CrossEntropyLossConfig::new()
            .init(&scores.device())
            .forward(scores.clone(), digits.labels.clone());
        ClassificationOutput::new(loss, scores, digits.labels)
    }
}

impl TrainStep for Mlp {
    type Input = Digits;
    type Output = ClassificationOutput;
    fn step(&self, digits: Digits) -> TrainOutput<ClassificationOutput> {
        let output = self.classify(digits);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Mlp {
    type Input = Digits;
    type Output = ClassificationOutput;
    fn step(&self, digits: Digits) -> ClassificationOutput {
        self.classify(digits)
    }
}

/// The rule for weights; the same without weight decay and trust ratio for biases.
fn optimizer(config: &impl OptimizerConfig) -> Result<ModuleOptimizer, optim::ConfigError> {
    let bare = config.rule_for(optim::ParameterGroup {
        decay: false,
        adapt: false,
    });
    let biases = ParamGroup::from_predicate("bias");
    Ok(ModuleOptimizer::from(config.rule()?).with_group(biases, bare, None))
}

fn items(part: &Part, indices: &[u32], pipeline: &Pipeline) -> anyhow::Result<Vec<Digit>> {
    let Labels::Classes(labels) = part.labels() else {
        bail!("the digits have classes")
    };
    let mut pixels = Vec::new();
    pipeline.gather(part, indices, None, &mut pixels);
    let images = pixels.chunks_exact(part.size()).zip(indices);
    Ok(images
        .map(|(pixels, &i)| Digit {
            pixels: pixels.to_vec(),
            label: labels[i as usize].into(),
        })
        .collect())
}

fn main() -> anyhow::Result<()> {
    let digits = data::open("digits", &Search::default())?;
    let split = data::hold_out(digits.train.labels(), digits.default_validation(), 0)?;
    let pipeline = Pipeline::fit(digits.preprocess, &digits.train, &split.train)?;
    let device = Device::flex();
    let load = |items: Vec<Digit>| -> Arc<dyn DataLoader<Digits>> {
        DataLoaderBuilder::new(Stack)
            .batch_size(BATCH)
            .shuffle(0)
            .set_device(device.clone())
            .build(InMemDataset::new(items))
    };
    let train = items(&digits.train, &split.train, &pipeline)?;
    let validation = items(&digits.train, &split.validation, &pipeline)?;
    // The rates below were chosen by hand on these held-out digits, so the test part is not used.
    let held_out = Stack.batch(validation.clone(), &device);

    let steps = EPOCHS * train.len().div_ceil(BATCH);
    let shape =
        ScheduleConfig::named("polynomial")?.with_warmup(Warmup::linear(Span::Fraction(0.1)));
    let lars = LarsConfig {
        trust_coefficient: 0.1,
        weight_decay: 1e-4,
        ..LarsConfig::default()
    };
    let lamb = LambConfig::default();
    let mut findings = Vec::new();
    for (name, optimizer, rate) in [
        ("LARS", optimizer(&lars)?, 0.5),
        ("LAMB", optimizer(&lamb)?, 0.05),
    ] {
        let schedule = shape.resolve(rate, steps, &Epochs::even((steps / EPOCHS) as u64))?;
        device.seed(0);
        let learner = Learner::new(
            Mlp::new(&device.clone().autodiff()),
            optimizer,
            BurnScheduler::from(schedule),
        );
        let folder = std::env::temp_dir().join("largebatch-burn-learner");
        let training =
            SupervisedTraining::new(folder, load(train.clone()), load(validation.clone()));
        let result = training
            .num_epochs(EPOCHS)
            .with_application_logger(None)
            .launch(learner);
        if let Some(error) = result.error {
            bail!("{name}: {error}");
        }
        let scores = result.model.classify(held_out.clone()).output;
        let right = scores
            .argmax(1)
            .squeeze::<1>()
            .equal(held_out.labels.clone())
            .int()
            .sum()
            .into_scalar::<i64>();
        let [n] = held_out.labels.dims();
        let accuracy = 100.0 * right as f64 / n as f64;
        findings.push(format!("{name}: {accuracy:.2} % of {n} held-out digits after {steps} steps in batches of {BATCH}"));
    }
    println!("\n{}", findings.join("\n"));
    Ok(())
}
