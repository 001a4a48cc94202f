//! The suite of models.

use std::path::Path;

use largebatch_data::Search;
use largebatch_models::{Forward as _, ForwardPass, ModelConfig, load_state_dict, state_dict};
use largebatch_optim::conformance::Failures;
use largebatch_probe::{Objective as _, Subject, Subset};
use largebatch_train::{
    BACKENDS, Choice, Controls, Experiment, Lab, RunConfig, Split, Stop, TrainError,
    from_safetensors, to_safetensors, train,
};

use super::Suite;

/// Checks a model, with its default options, on a data set that it can take, such as `digits`:
///
/// - its options are documented;
/// - one seed gives one set of weights on every backend of this program, and another seed others;
/// - weights that are saved and loaded have the same bits;
/// - an evaluation repeats to the same bits;
/// - the gradient agrees with differences of the loss, in f64 on flex, at 60 random weights;
/// - a step of every optimizer of this project leaves finite weights.
///
/// # Errors
/// All [`Failures`], not only the first.
pub fn model<C: ModelConfig>(dataset: &str) -> Result<(), Failures> {
    let mut suite = Suite::of(C::FACTS);
    suite.options(&largebatch_models::entry::<C>());
    if let Err(error) = model_on::<C>(dataset, &mut suite) {
        suite.failures.push(error.to_string());
    }
    suite.end()
}

fn model_on<C: ModelConfig>(dataset: &str, suite: &mut Suite) -> anyhow::Result<()> {
    let lab = Lab::standard().model::<C>();
    let config = |optimizer: &str, seed| RunConfig {
        dataset: Choice::plain(dataset),
        model: Choice::plain(C::FACTS.name),
        optimizer: Choice::plain(optimizer),
        steps: Some(1),
        batch_size: Some(32),
        seed,
        ..RunConfig::default()
    };
    let open = |optimizer: &str, seed| -> Result<Experiment, TrainError> {
        Experiment::open(config(optimizer, seed), &lab, &Search::default())
    };
    let experiment = open("sgd", 0)?;
    let network = experiment.initial_model()?.network;
    let weights = state_dict(&network);
    let again = state_dict(&experiment.initial_model()?.network);
    suite.expect(weights == again, "one seed gives two sets of weights");
    let other = open("sgd", 1)?.initial_model()?.network;
    suite.expect(
        weights != state_dict(&other),
        "two seeds give one set of weights; draw them from the builder",
    );
    for backend in BACKENDS.map(|b| b.name) {
        let mut elsewhere = config("sgd", 0);
        elsewhere.device = backend.into();
        // A backend may be left out of this program, or lack its hardware.
        if let Ok(there) = Experiment::open(elsewhere, &lab, &Search::default()) {
            suite.expect(
                weights == state_dict(&there.initial_model()?.network),
                format!("the initial weights on {backend} are others than on flex"),
            );
        }
    }
    let bytes = to_safetensors(&network, None)?;
    let loaded = from_safetensors(other, &bytes, Path::new("saved"))?;
    suite.expect(
        weights == state_dict(&loaded),
        "weights change when saved and loaded",
    );
    load_state_dict(network.clone(), weights.into_iter().collect())?;

    let outputs = || {
        let device = burn::tensor::Device::flex();
        let x = burn::tensor::Tensor::full([3, experiment.dataset.train.size()], 0.25, &device);
        let network = burn::module::Module::valid(&network);
        network.forward(x, &mut ForwardPass::eval()).into_data()
    };
    suite.expect(outputs() == outputs(), "an evaluation does not repeat");

    gradient(&experiment, suite)?;
    for entry in lab.optimizers.iter() {
        let name = entry.facts().name;
        let (outcome, network) = train(&open(name, 0)?, Controls::default())?;
        let finite = state_dict(&network)
            .iter()
            .all(|(_, data)| data.iter::<f32>().all(f32::is_finite));
        suite.expect(
            finite && outcome.stop != Stop::Diverged,
            format!("a step of `{name}` leaves weights that are not finite"),
        );
    }
    Ok(())
}

/// The gradient against central differences of two widths, at random weights; a weight at which the
/// two widths disagree is at a kink and counts for nothing.
fn gradient(experiment: &Experiment, suite: &mut Suite) -> anyhow::Result<()> {
    let network = experiment.initial_model()?.network;
    let some = Subset {
        size: Some(40),
        seed: 0,
    };
    let mut subject = Subject::new(experiment, &network, Split::Train, some)?;
    let mut w = subject.weights().to_vec();
    let (_, gradient) = subject.gradient(&w)?;
    let scale = gradient.iter().fold(1e-6f64, |most, g| most.max(g.abs()));
    let (mut compared, n) = (0, w.len());
    // A stride that is prime to most sizes spreads over all layers.
    for i in (0..60).map(|k| k * 7919 % n) {
        let at = w[i];
        let mut slope = |h: f64| -> anyhow::Result<f64> {
            w[i] = at + h;
            let above = subject.loss(&w)?;
            w[i] = at - h;
            let below = subject.loss(&w)?;
            w[i] = at;
            Ok((above - below) / (2.0 * h))
        };
        let (wide, narrow) = (slope(2e-5)?, slope(1e-5)?);
        if (wide - narrow).abs() > 1e-5 * scale {
            continue;
        }
        compared += 1;
        suite.expect(
            (gradient[i] - narrow).abs() <= 1e-4 * scale,
            format!(
                "the gradient of weight {i} is {}, by differences {narrow}",
                gradient[i]
            ),
        );
    }
    suite.expect(
        compared > 0,
        "the loss has a kink at every weight that was looked at",
    );
    Ok(())
}
