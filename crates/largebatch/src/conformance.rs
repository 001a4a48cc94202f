//! Suites of tests that every model, schedule, data set, format and probe must pass: those of this project,
//! and yours. Optimizers have theirs in [`optim::conformance`](crate::optim::conformance).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use largebatch_component::Facts;
use largebatch_data::{
    DataError, DataSpec, Labels, NamedDataset, Part, Pipeline, Preprocess, Reader, Search, Task,
    dataset_entry, format_entry, formats, open_spec,
};
use largebatch_models::Forward as _;
use largebatch_models::{ForwardPass, ModelConfig, load_state_dict, state_dict};
use largebatch_optim::conformance::Failures;
use largebatch_probe::{Objective as _, Subject, Subset};
use largebatch_schedule::Span;
use largebatch_schedule::{Epochs, ScheduleConfig, ShapeConfig, Warmup, entry};
use largebatch_train::{
    BACKENDS, Choice, Controls, Experiment, Lab, RunConfig, Split, Stop, TrainError,
    from_safetensors, to_safetensors, train,
};
use toml::{Table, Value};

mod probes;

pub use probes::probe;

/// What a suite has found wrong.
struct Suite {
    component: &'static str,
    failures: Vec<String>,
}

impl Suite {
    fn of(facts: Facts) -> Self {
        let mut suite = Suite {
            component: facts.name,
            failures: Vec::new(),
        };
        suite.expect(!facts.summary.is_empty(), "its summary is empty");
        suite
    }

    fn expect(&mut self, good: bool, otherwise: impl Into<String>) {
        if !good {
            self.failures.push(otherwise.into());
        }
    }

    fn documented(&mut self, options: &[largebatch_component::Opt]) {
        for option in options {
            let documented = !option.purpose.is_empty() && !option.range.is_empty();
            self.expect(
                documented,
                format!("option `{}` has no doc line", option.name),
            );
        }
    }

    fn end(self) -> Result<(), Failures> {
        if self.failures.is_empty() {
            return Ok(());
        }
        Err(Failures {
            component: self.component,
            failures: self.failures,
        })
    }
}

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
    suite.documented(&largebatch_models::entry::<C>().options());
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

/// Checks a schedule, with its default options:
///
/// - its options are documented;
/// - between the warm-up and the end, each rate is finite, at most the peak and at least the floor,
///   for trainings of 2 to 1,000 steps, with and without a warm-up, and stays finite beyond the end;
/// - a length means the same as a fraction, in epochs and in steps.
///
/// # Errors
/// All [`Failures`], not only the first.
pub fn schedule<S: ShapeConfig>() -> Result<(), Failures> {
    let mut suite = Suite::of(S::FACTS);
    let entry = entry::<S>();
    let options = entry.options();
    suite.documented(&options);
    let plain = ScheduleConfig::from(S::default()).with_floor(0.01);
    let warm = plain
        .clone()
        .with_warmup(Warmup::linear(Span::Fraction(0.1)));
    for (config, total) in [&plain, &warm]
        .into_iter()
        .flat_map(|config| [2, 7, 100, 1000].map(|total| (config, total)))
    {
        let schedule = match config.resolve(0.5, total, &Epochs::even(10)) {
            Ok(schedule) => schedule,
            Err(error) => {
                suite.failures.push(format!("{total} steps: {error}"));
                continue;
            }
        };
        let warmup = schedule.warmup_steps();
        let wrong = (0..total).find(|&step| {
            let rate = schedule.lr(step);
            let least = if (step as f64) < warmup { 0.0 } else { 0.005 };
            !(rate >= least * (1.0 - 1e-12) && rate <= 0.5 * (1.0 + 1e-12))
        });
        if let Some(step) = wrong {
            let rate = schedule.lr(step);
            suite.failures.push(format!(
                "of {total} steps, step {step} has the rate {rate}, not one between floor and peak"
            ));
        }
        let finite = [total, 2 * total, usize::MAX].map(|step| schedule.lr(step).is_finite());
        suite.expect(finite == [true; 3], "a rate beyond the end is not finite");
    }
    let units: [(&str, Value); 3] = [
        ("fraction", 0.5.into()),
        ("epochs", 5.0.into()),
        ("steps", 50.into()),
    ];
    let lengths = options.iter().filter(|o| {
        let default = format!("v = {}", o.default).parse::<Table>().ok();
        let table = default.and_then(|mut t| t.remove("v"));
        matches!(table, Some(Value::Table(t)) if units.iter().any(|(unit, _)| {
            t.get(*unit).is_some_and(|v| !v.is_array())
        }))
    });
    for length in lengths {
        let rates = units.clone().map(|(unit, value)| {
            let span = Table::from_iter([(unit.to_owned(), value)]);
            let given = Table::from_iter([(length.name.clone(), span.into())]);
            let config = ScheduleConfig {
                shape: entry.configure(given)?,
                ..ScheduleConfig::default()
            };
            let schedule = config.resolve(1.0, 100, &Epochs::even(10))?;
            Ok((0..100).map(|step| schedule.lr(step)).collect::<Vec<_>>())
        });
        let rates: Result<Vec<Vec<f64>>, largebatch_schedule::ConfigError> =
            rates.into_iter().collect();
        match rates {
            Ok(rates) => suite.expect(
                rates[0] == rates[1] && rates[1] == rates[2],
                format!(
                    "`{}` means different lengths in different units",
                    length.name
                ),
            ),
            Err(error) => suite.failures.push(format!("`{}`: {error}", length.name)),
        }
    }
    suite.end()
}

/// Checks a data set, with its default options:
///
/// - its options are documented, and an unknown one is refused;
/// - it opens twice to the same examples and labels, none of them NaN or infinite;
/// - both parts have examples, of the shape and with the labels that it states.
///
/// # Errors
/// All [`Failures`], not only the first.
pub fn dataset<D: NamedDataset>() -> Result<(), Failures> {
    let mut suite = Suite::of(D::FACTS);
    let entry = dataset_entry::<D>();
    suite.documented(&entry.options());
    suite.expect(
        entry
            .configure(Table::from_iter([("no_such_key".into(), 1.into())]))
            .is_err(),
        "it accepts unknown keys; add #[serde(deny_unknown_fields)]",
    );
    if let Err(error) = dataset_twice(&D::default(), &mut suite) {
        suite.failures.push(error.to_string());
    }
    suite.end()
}

fn dataset_twice(set: &impl NamedDataset, suite: &mut Suite) -> Result<(), DataError> {
    let [one, two] = [set.open(&Search::default())?, set.open(&Search::default())?];
    for (name, part, again) in [
        ("train", &one.train, &two.train),
        ("test", &one.test, &two.test),
    ] {
        suite.expect(!part.is_empty(), format!("its {name} part is empty"));
        suite.expect(
            part.shape() == one.shape,
            format!("its {name} part has another shape than it states"),
        );
        let classes = match (part.labels(), one.task) {
            (Labels::Classes(labels), Task::Classes(n)) => labels.iter().all(|l| (*l as usize) < n),
            (Labels::Targets(targets), Task::Real) => targets.iter().all(|t| t.is_finite()),
            _ => false,
        };
        suite.expect(
            classes,
            format!("the labels of its {name} part do not belong to its task"),
        );
        let values = |part: &Part| {
            let pipeline = Pipeline::fit(Preprocess::default(), part, &[0])?;
            let mut values = Vec::new();
            let all: Vec<u32> = (0..part.len() as u32).collect();
            pipeline.gather(part, &all, None, &mut values);
            Ok::<_, DataError>(values)
        };
        let (first, second) = (values(part)?, values(again)?);
        suite.expect(
            first == second && part.labels() == again.labels(),
            format!("its {name} part differs when it is opened again"),
        );
        suite.expect(
            first.iter().all(|x| x.is_finite()),
            format!("its {name} part has values that are not finite"),
        );
    }
    Ok(())
}

/// Checks a format on files that are good, given as names with their content, and a description of
/// them in TOML without `format`:
///
/// - its keys are documented, and an unknown one is refused;
/// - the files open, to finite values, and the description survives a round trip through TOML;
/// - an empty file is an error;
/// - files that end early at 40 places, or with one of 200 bytes changed, are read or refused, but
///   never end the program.
///
/// # Errors
/// All [`Failures`], not only the first; and a folder for temporary files that cannot be written.
pub fn format<R: Reader>(files: &[(&str, &[u8])], description: &str) -> Result<(), Failures> {
    let mut suite = Suite::of(R::FACTS);
    suite.documented(&format_entry::<R>().options());
    let folder = std::env::temp_dir().join(format!(
        "largebatch-conformance-{}-{}",
        R::FACTS.name,
        std::process::id()
    ));
    if let Err(error) = format_in::<R>(&folder, files, description, &mut suite) {
        suite.failures.push(error.to_string());
    }
    let _ = std::fs::remove_dir_all(&folder);
    suite.end()
}

fn format_in<R: Reader>(
    folder: &Path,
    files: &[(&str, &[u8])],
    description: &str,
    suite: &mut Suite,
) -> anyhow::Result<()> {
    let registry = formats().with(format_entry::<R>());
    let described = |more: &str| -> anyhow::Result<DataSpec> {
        let text = format!("{description}\nformat = \"{}\"\n{more}", R::FACTS.name);
        Ok(DataSpec::read(&registry, text.parse()?)?)
    };
    suite.expect(
        described("no_such_key = 1").is_err(),
        "it accepts unknown keys; add #[serde(deny_unknown_fields)]",
    );
    let spec = described("")?;
    let written = Table::try_from(&spec)?;
    suite.expect(
        DataSpec::read(&registry, written)? == spec,
        "its description changes when it is written to TOML and read back",
    );
    let search = Search {
        data_dir: Some(folder.into()),
        cache_dir: Some(folder.join("cache")),
    };
    std::fs::create_dir_all(folder)?;
    let write = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content);
    files
        .iter()
        .try_for_each(|(name, content)| write(name, content))?;
    let dataset = open_spec(&spec, &search)?;
    suite.expect(
        !dataset.train.is_empty() && !dataset.test.is_empty(),
        "a part of the good files is empty",
    );
    for (name, content) in files {
        let mut attempt = |what: String, content: &[u8]| -> anyhow::Result<bool> {
            write(name, content)?;
            let opened = catch_unwind(AssertUnwindSafe(|| open_spec(&spec, &search).is_ok()));
            suite.expect(opened.is_ok(), format!("{name} {what} ends the program"));
            Ok(opened.unwrap_or(false))
        };
        let empty = attempt("without content".into(), b"")?;
        for k in 0..40 {
            let end = content.len() * k / 40;
            attempt(format!("cut off after {end} bytes"), &content[..end])?;
        }
        for k in 0..200 {
            let (at, bit) = (k * 7919 % content.len(), k % 8);
            let mut changed = content.to_vec();
            changed[at] ^= 1 << bit;
            attempt(format!("with byte {at} changed"), &changed)?;
        }
        write(name, content)?;
        suite.expect(!empty, format!("{name} without content is not refused"));
    }
    Ok(())
}
