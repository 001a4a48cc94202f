//! Milliseconds of a training step (forward, loss, backward, SGD with momentum) on random images: `step_time MODEL BATCH [STEPS]`.

use std::time::Instant;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use largebatch_models::{Forward, Io, Labels, Pass, named};
use largebatch_optim::{Driver, Registry};
use largebatch_random::{Key, unit};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (name, batch, steps) = (&args[1], args[2].parse().unwrap(), args.get(3).map_or(20, |n| n.parse().unwrap()));
    let shape = if matches!(name.as_str(), "c1" | "resnet8" | "resnet20") { vec![3, 32, 32] } else { vec![1, 28, 28] };
    let io = Io { shape: shape.clone(), classes: Some(10) };
    let device = Device::flex().autodiff();
    let model = named(name).unwrap().configure(toml::Table::new()).unwrap().build(&io, 0, &device).unwrap();
    let (mut network, loss) = (model.network, model.loss);
    let registry = Registry::standard();
    let recipe = registry.named("momentum").unwrap().configure(None, toml::Table::new()).unwrap();
    let mut driver = Driver::new(&*recipe, &network).unwrap();
    let width = shape.iter().product::<usize>();
    let mut rng = Key::new(0).stream(0);
    let inputs: Vec<f32> = (0..batch * width).map(|_| unit(&mut rng) as f32).collect();
    let labels: Vec<_> = (0..batch).map(|i| (i % 10) as _).collect();
    let inputs = Tensor::<2>::from_data(TensorData::new(inputs, [batch, width]), &device.clone().inner());
    let targets = loss.targets(Labels::Classes(&labels), io.classes, &device).unwrap();
    let examples: Vec<u64> = (0..batch as u64).collect();
    let mut times = Vec::new();
    for step in 0..steps {
        let start = Instant::now();
        let mut pass = Pass::train(Key::new(step as u64), &examples, None);
        let outputs = network.forward(inputs.clone(), &mut pass);
        let sum = loss.sum(outputs, &targets, 0.0) / batch as f64;
        let gradients = GradientsParams::from_grads(sum.backward(), &network);
        network = driver.step(1e-3, network, gradients).absorb(pass.into_statistics());
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let mut times = times.split_off(times.len() / 4);
    times.sort_by(f64::total_cmp);
    println!("{name} {batch}: median {:.2} ms, fastest {:.2}", times[times.len() / 2], times[0]);
}
