//! A study whose truth is known: its statistics must find it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use largebatch_random::{Key, normal};
use largebatch_study::statistics::{
    Hyperbola, UsefulBatch, at_train_loss, common_train_loss, estimate, examples_to_target, finals,
    gaps, hyperbola, paired, power_law, smallest_difference, steps_to_target, useful_batch,
    warnings,
};
use largebatch_study::{
    Event, Plan, Results, RunOptions, Runner, Stage, Started, Study, Summary, Trial, TrialResult,
    Workers, describe, get, number, run,
};

/// The best rate is 0.02 · √(B/16). The validation accuracy falls with the squared distance to it
/// in the logarithm, and training diverges above four times the best rate. The test accuracy of a
/// batch size B is lower than the training accuracy by 0.01 · log2(B/16), plus noise that a seed
/// has for all B. At the best rate the accuracy 0.9 is reached after S_min (1 + B_crit/B) steps,
/// with S_min = 100 and B_crit = 200.
struct Known;

impl Runner for Known {
    fn run(
        &self,
        trial: &Trial,
        emit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<TrialResult, String> {
        let setting = |k: &str| get(&trial.config, k).and_then(number);
        let (lr, batch) = (
            setting("lr").ok_or("no lr")?,
            setting("batch_size").ok_or("no batch_size")?,
        );
        let miss = (lr / (0.02 * (batch / 16.0).sqrt())).ln();
        let noise = 0.002 * normal(&mut Key::new(trial.seed).word("seed").rng());
        let steps = (3000.0 * setting("epochs").ok_or("no epochs")? / batch) as u64;
        let started = Started {
            train_examples: 3000,
            epochs: None,
            budget_steps: steps,
            metric: "validation_accuracy".into(),
            higher_is_better: true,
            constant_loss: Some(2.3),
        };
        let _ = emit(Event::Started(started));
        let needed = 100.0 * (1.0 + 200.0 / batch) * miss.abs().exp();
        let accuracy = |step: f64| 0.95 * (1.0 - (-step / needed * (19f64).ln()).exp());
        let mut done = 0;
        for step in 1..=steps {
            done = step;
            let validation = accuracy(step as f64);
            if emit(Event::Point {
                step,
                examples: step * batch as u64,
                train_loss: 2.0 * (1.0 - validation),
                validation: Some(validation),
                fitted_loss: Some(2.0 * (1.0 - validation)),
            })
            .is_break()
            {
                break;
            }
        }
        let diverged =
            miss > 4f64.ln() || setting("unlucky").is_some_and(|s| s == trial.seed as f64);
        let fit = 0.95 - 0.02 * miss * miss + noise;
        let mut metrics = BTreeMap::from([
            ("validation_accuracy".into(), fit),
            ("train_accuracy".into(), 0.99 + noise),
        ]);
        if trial.stage == Stage::Confirm {
            metrics.insert(
                "test_accuracy".into(),
                0.99 + 2.0 * noise - 0.01 * (batch / 16.0).log2(),
            );
        }
        Ok(TrialResult {
            diverged,
            metrics,
            steps: done,
            examples: done * batch as u64,
            provenance: BTreeMap::from([("version".into(), "1".into())]),
        })
    }
}

const STUDY: &str = r#"
name = "known"
axes.batch_size = [16, 64, 256, 1024]
search.lr = { log_uniform = [0.00125, 1.28], points = 11 }
tune.seeds = 2
confirm.seeds = 12
budget.epochs = 16
"#;

fn results(text: &str) -> (Results, Summary) {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::new(Study::parse(text, "known.toml", &[]).unwrap(), &|_| Ok(())).unwrap();
    let summary = run(
        &plan,
        dir.path(),
        Workers::Threads(&Known),
        RunOptions {
            jobs: 2,
            ..Default::default()
        },
        &mut |_, _| {},
    )
    .unwrap();
    (Results::open(dir.path()).unwrap(), summary)
}

#[test]
fn best_rates_exponents_and_gaps_are_found() {
    let (results, summary) = results(STUDY);
    assert_eq!(
        (summary.ran, summary.failed.len(), summary.untunable.len()),
        (4 * 11 * 2 + 4 * 12, 0, 0)
    );
    let [series] = &results.series()[..] else {
        panic!("one series")
    };
    // The grid has a factor of 2 between rates, so it contains the best rates 0.02, 0.04, 0.08 and
    // 0.16.
    let rates: Vec<(f64, f64)> = series
        .groups
        .iter()
        .map(|(batch, group)| (*batch, results.rate(*group).unwrap()))
        .collect();
    assert_eq!(
        rates,
        [(16.0, 0.02), (64.0, 0.04), (256.0, 0.08), (1024.0, 0.16)]
    );
    assert!((power_law(&rates).unwrap().exponent - 0.5).abs() < 1e-12);

    let gap = |group: usize| gaps(results.reported(group), "train_accuracy", "test_accuracy");
    let (small, large) = (gap(0), gap(3));
    let low = estimate(&small.iter().map(|g| g.1).collect::<Vec<_>>()).unwrap();
    assert!(
        low.n == 12
            && low.mean.abs() < 0.002
            && low.interval.unwrap().0 < 0.0
            && low.interval.unwrap().1 > 0.0,
        "{low:?}"
    );
    // Both have the same noise per seed, and differ by exactly 0.06: pairing finds it.
    let pair = paired(&large, &small).unwrap();
    assert!(
        (pair.difference.mean - 0.06).abs() < 1e-12
            && pair.difference.sd < 1e-12
            && smallest_difference(&pair).unwrap() < 1e-12
    );
    assert_eq!(finals(results.reported(1), "test_accuracy").len(), 12);
    assert_eq!(warnings(&results), [] as [String; 0]);
    // At equal training loss the groups are equal, because here the accuracy is a function of the
    // loss.
    let all: Vec<_> = (0..4).flat_map(|g| results.reported(g)).collect();
    let level = common_train_loss(all.iter().copied()).unwrap();
    let values: Vec<f64> = all
        .iter()
        .map(|r| at_train_loss(r, level + 0.1).unwrap())
        .collect();
    assert!(
        values.iter().all(|v| (v - values[0]).abs() < 1e-9),
        "{values:?}"
    );
}

#[test]
fn steps_to_the_target_give_the_critical_batch() {
    let (results, _) = results(
        "name='x'\naxes.batch_size=[16,32,64,128,256,512]\nsearch.lr={log_uniform=[0.00125, 1.28], points=11}\nbudget.epochs=100\nconfirm.seeds=3\nstop.target=0.9\ntune.goal='fewest_steps'",
    );
    let points: Vec<(f64, f64)> = results.series()[0]
        .groups
        .iter()
        .map(|(batch, group)| {
            (
                *batch,
                steps_to_target(results.reported(*group), 0.9)
                    .median
                    .unwrap(),
            )
        })
        .collect();
    let Hyperbola { s_min, b_crit, .. } = hyperbola(&points).unwrap();
    // Steps are whole, and for every other batch size the rate grid misses the best rate by up to
    // √2.
    assert!(
        (s_min / 100.0 - 1.0).abs() < 0.45 && (b_crit / 200.0 - 1.0).abs() < 0.25,
        "{points:?} {s_min} {b_crit}"
    );
    assert!(
        matches!(useful_batch(&points), Some(UsefulBatch::At(b)) if (100.0..400.0).contains(&b)),
        "{:?}",
        useful_batch(&points)
    );
    let examples = examples_to_target(results.reported(0), 0.9);
    assert_eq!(
        (examples.median.unwrap(), examples.reached, examples.n),
        (points[0].1 * 16.0, 3, 3)
    );
    assert!(
        results
            .reported(0)
            .iter()
            .all(|r| r.steps as f64 == points[0].1),
        "a trial ends at its target"
    );
}

/// Without a stage confirm: at batch 16 some rate reaches the target, at 1024 no rate does in the
/// few steps. That must count as 0 of 6, not as nothing.
#[test]
fn censored_searches_count_what_was_tried() {
    let (results, _) = results(
        "name='x'\naxes.batch_size=[16,1024]\nsearch.lr={log_uniform=[0.01, 0.32], points=6}\nbudget.epochs=16\nstop.target=0.9\ntune.goal='fewest_steps'",
    );
    let (few, all) = results.reached(0).unwrap();
    assert!(
        all == 6 && (1..=6).contains(&few) && results.reported(0).len() == 1,
        "{few} of {all}"
    );
    assert_eq!(
        (results.reached(1), results.reported(1).len()),
        (Some((0, 6)), 0)
    );
    let none = self::results("name='x'\nset.batch_size=16\nsearch.lr=[0.02]\nbudget.epochs=1").0;
    assert_eq!(none.reached(0), None, "no target");
}

/// A folder begun by an earlier version opens even if its study would be refused today.
#[test]
fn old_studies_open() {
    let text = "name='x'\nset={data.validation=0, dataset='digits'}\naxes.batch_size=[16]\nsearch.lr=[0.02]\nbudget.epochs=1\nstop={target=97, plateau={epochs=3, improvement=0.1}}\n[[when]]\nif.batch_size=77\nset.x=1";
    assert!(Study::parse(text, "x", &[]).is_err());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("study.toml"), text).unwrap();
    assert_eq!(Results::open(dir.path()).unwrap().plan.tune_count(), 1);
    std::fs::write(dir.path().join("study.toml"), b"name = 'x'\n# \xff").unwrap();
    let error = Results::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("line 2: the byte 0xff"), "{error}");
}

#[test]
fn every_warning_is_given() {
    let (results, summary) = results(
        "name='w'\nsplit_seed=1\n[confirm]\nseeds=2\n[[arm]]\nname='edge'\nset.batch_size=16\nset.epochs=1\nsearch.lr=[0.001,0.002]\n[[arm]]\nname='all diverge'\nset.batch_size=16\nset.epochs=1\nsearch.lr=[5.0, 9.0]\n[[arm]]\nname='unlucky'\nset={batch_size=16, lr=0.02, unlucky=1, epochs=3}",
    );
    assert_eq!((summary.untunable, summary.diverged), (vec![1], 3));
    let texts = warnings(&results);
    for part in [
        "edge: the best lr = 0.002 is the largest one tried",
        "2 groups: 2 seeds say little about the spread",
        "all diverge: nothing could be chosen, as of 2 tuning trials 2 diverged; change the search",
        "unlucky: 1 of 2 trials diverged",
        "budgets differ, from 1 to 3 epochs",
    ] {
        assert!(texts.iter().any(|t| t.contains(part)), "{part}: {texts:#?}");
    }
    assert_eq!(texts.len(), 5, "{texts:#?}");
    assert_eq!(describe(&results.plan.groups[1].labels), "arm=all diverge");
}
