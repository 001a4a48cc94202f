//! A made-up task with a known response to batch size, rate and optimizer, from which test reports
//! are made.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use largebatch_plot::Figure;
use largebatch_random::{Key, normal};
use largebatch_report::{Context, Format, PaperTable, Probed, Report, ReportError, Written};
use largebatch_study::{
    Epochs, Event, Plan, Results, RunOptions, Runner, Stage, Started, Study, Trial, TrialResult,
    Workers, get, key, number, run,
};

/// The best rate grows as √B; steps to a target follow S_min (1 + B_crit / B); the generalization gap grows with log B.
pub struct MadeUp;

impl Runner for MadeUp {
    fn run(
        &self,
        trial: &Trial,
        emit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<TrialResult, String> {
        let setting = |k: &str| get(&trial.config, k).and_then(number);
        let named = |k: &str| {
            get(&trial.config, k)
                .and_then(|v| v.as_str().or_else(|| v.get("name")?.as_str()))
                .unwrap_or("momentum")
        };
        let (lr, batch) = (
            setting("lr").ok_or("no lr")?,
            setting("batch_size").ok_or("no batch_size")?,
        );
        let (factor, critical, kind) = match named("optimizer") {
            "sgd" => (0.4, 60.0, 0.0),
            "lars" => (8.0, 500.0, -0.002),
            "lamb" => (0.01, 700.0, -0.004),
            "adam" => (0.002, 300.0, 0.0),
            _ => (0.05, 200.0, 0.0),
        };
        let warm = get(&trial.config, "schedule.warmup").is_some();
        let miss = (lr / (factor * (batch / 16.0).sqrt())).ln();
        let examples = if named("dataset") == "mnist" {
            6000.0f64
        } else {
            1500.0
        };
        let epoch = |batch: f64| (examples / batch).ceil();
        let equal = setting(key::EQUAL_EPOCHS)
            .zip(setting(key::AT_BATCH))
            .map(|(epochs, at)| epochs * epoch(at));
        let own = || setting("epochs").unwrap_or(20.0) * epoch(batch);
        let steps = setting("steps").or(equal).unwrap_or_else(own).ceil() as u64;
        let _ = emit(Event::Started(Started {
            train_examples: examples as u64,
            epochs: Some(Epochs::even(epoch(batch) as u64)),
            budget_steps: steps,
            metric: "validation_accuracy".into(),
            higher_is_better: true,
            constant_loss: Some(2.303),
        }));
        let luck = normal(&mut Key::new(trial.seed).word("seed").rng());
        let mut rng = Key::new(trial.seed)
            .word("noise")
            .number(batch as u64)
            .number(lr.to_bits())
            .rng();
        let needed = 22.0 * (1.0 + critical / batch) * (0.55 * miss.abs()).exp();
        let gap = 0.004 + 0.0042 * (batch / 16.0).log2() + kind * 2.0;
        let diverges = miss > if warm { 2.6 } else { 1.5 };
        let every = (steps / setting("points").unwrap_or(60.0) as u64).max(1);
        let (mut last, mut done) = ((0.0, 0.0, 2.3), 0);
        for step in 1..=steps {
            done = step;
            if diverges && step > 12 {
                return Ok(TrialResult {
                    diverged: true,
                    metrics: BTreeMap::new(),
                    steps: step,
                    examples: step * batch as u64,
                    provenance: provenance(),
                });
            }
            if step % every != 0 && step != steps {
                continue;
            }
            let p = step as f64 / needed;
            let noise = 0.002 * luck + 0.0015 * normal(&mut rng);
            let train = 0.999 - 0.899 * (-2.6 * p.powf(0.8)).exp();
            let loss = if diverges {
                2.3 * 1.5f64.powi(step as i32)
            } else {
                (2.3 * (1.0 + 5.0 * p).powf(-1.7) + 0.001) * (1.0 + 0.04 * normal(&mut rng))
            };
            let validation = (train - gap * (1.0 - (-p).exp()) + noise).clamp(0.0, 1.0);
            last = (train, validation, loss);
            if emit(Event::Point {
                step,
                examples: step * batch as u64,
                train_loss: loss,
                validation: Some(validation),
                fitted_loss: Some(loss),
            })
            .is_break()
            {
                break;
            }
        }
        let (train, validation, loss) = last;
        let mut metrics = BTreeMap::from([
            ("validation_accuracy".into(), validation),
            ("train_accuracy".into(), train),
            ("train_loss".into(), loss),
        ]);
        if trial.stage == Stage::Confirm {
            metrics.insert(
                "test_accuracy".into(),
                (validation + 0.0015 * normal(&mut rng)).clamp(0.0, 1.0),
            );
            metrics.insert("test_examples".into(), 10_000.0);
        }
        Ok(TrialResult {
            diverged: false,
            metrics,
            steps: done,
            examples: done * batch as u64,
            provenance: provenance(),
        })
    }
}

fn provenance() -> BTreeMap<String, serde_json::Value> {
    let words = [
        ("device", "cpu (made up)"),
        ("version", "0.1.0"),
        ("platform", "linux x86_64"),
        ("peak_memory", "48556 kB"),
    ];
    let words = words.into_iter().map(|(k, v)| (k.into(), v.into()));
    words
        .chain([("examples_per_second".into(), 381_162.0.into())])
        .collect()
}

pub fn results(text: &str, folder: &Path) -> Results {
    let plan = Plan::new(
        Study::parse(text, "made-up.toml", &[]).unwrap(),
        &|_| Ok(()),
    )
    .unwrap();
    run(
        &plan,
        folder,
        Workers::Threads(&MadeUp),
        RunOptions {
            jobs: 2,
            ..Default::default()
        },
        &mut |_, _| {},
    )
    .unwrap();
    Results::open(folder).unwrap()
}

pub fn html(results: &Results, context: &Context) -> String {
    Report::new(results, context).html()
}

pub fn terminal(results: &Results, width: usize) -> String {
    Report::new(results, &Context::default()).terminal(width)
}

pub fn figures(results: &Results) -> Vec<Figure> {
    Report::new(results, &Context::default())
        .figures()
        .cloned()
        .collect()
}

pub fn published(results: &Results, probed: &Probed) -> Vec<PaperTable> {
    let context = Context {
        probed: probed.clone(),
        ..Context::default()
    };
    Report::new(results, &context).papers().to_vec()
}

pub fn write(
    results: &Results,
    context: &Context,
    folder: &Path,
    formats: &[Format],
) -> Result<Written, ReportError> {
    Report::new(results, context).write(folder, formats)
}

/// An earlier version of the recipe `gap`: arms with single batch sizes, one of which trains
/// longer.
#[allow(dead_code, reason = "the example uses the current recipe")]
pub const GAP: &str = include_str!("gap.toml");

/// Three optimizers at six batch sizes, trained to a target.
pub const SCALING: &str = r#"
name = "scaling"
about = "A made-up task with a known answer: steps to the target follow the hyperbola, the best rate the square root of the batch."
[set]
dataset = "mnist"
[axes]
optimizer = ["sgd", "momentum", "lamb"]
batch_size = [16, 64, 256, 1024, 4096]
[search]
lr = { log_uniform = [0.01, 10.0], points = 8 }
[[when]]
if = { optimizer = "lamb" }
search.lr = { log_uniform = [0.001, 1.0], points = 8 }
[budget]
steps = 1500
[stop]
target = 0.95
[tune]
seeds = 2
goal = "fewest_steps"
[confirm]
seeds = 5
"#;

/// Only the batch size varies, at equal epochs.
pub const BATCHES: &str = r#"
name = "batches"
axes = { optimizer = ["momentum", "lars"], batch_size = [16, 64, 256, 1024] }
search.lr = { log_uniform = [0.01, 3.0] }
budget.epochs = 60
tune = { seeds = 2, method = "sobol", trials = 14 }
confirm.seeds = 12
[[when]]
if = { optimizer = "lars" }
search.lr = { log_uniform = [1.0, 300.0] }
"#;

/// A study of 1,000 trials times `times`, each with 100 points.
#[allow(dead_code, reason = "not every test needs it")]
pub fn big(times: usize) -> String {
    format!(
        r#"
name = "big"
about = "A made-up study of {} trials with 100 points each, to measure the page of a report."
set = {{ dataset = "mnist", points = 100 }}
axes = {{ optimizer = ["momentum", "lars"], batch_size = [16, 64, 256, 1024, 4096] }}
search.lr = {{ log_uniform = [0.01, 3.0], points = 8 }}
budget.steps = 1500
tune.seeds = {}
confirm.seeds = {}
[[when]]
if = {{ optimizer = "lars" }}
search.lr = {{ log_uniform = [1.0, 300.0], points = 8 }}
"#,
        1000 * times,
        5 * times,
        60 * times
    )
}
