//! The report of a regression study shows errors, and nothing that applies only to classification.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use largebatch_report::{Context, Format, Report};
use largebatch_study::{
    Event, Plan, Results, RunOptions, Runner, Stage, Started, Study, Trial, TrialResult, Workers,
    get, number, run,
};

/// Errors below 1, which could be mistaken for fractions.
struct Regression;

impl Runner for Regression {
    fn run(
        &self,
        trial: &Trial,
        emit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<TrialResult, String> {
        let batch = get(&trial.config, "batch_size")
            .and_then(number)
            .ok_or("no batch_size")?;
        let lr = get(&trial.config, "lr").and_then(number).ok_or("no lr")?;
        let metric = "validation_rmse".to_string();
        let started = Started {
            train_examples: 64,
            epochs: None,
            budget_steps: 4,
            metric: metric.clone(),
            higher_is_better: false,
            constant_loss: None,
        };
        let _ = emit(Event::Started(started));
        let error = 0.5 + 0.001 * batch + (lr - 0.1).abs() + 0.01 * (trial.seed % 7) as f64;
        for step in 1..=4u64 {
            let (examples, loss) = (16 * step, 1.0 / step as f64);
            let _ = emit(Event::Point {
                step,
                examples,
                train_loss: loss,
                validation: Some(error),
                fitted_loss: Some(loss),
            });
        }
        let mut metrics = BTreeMap::from([
            (metric, error),
            ("train_rmse".into(), 0.9 * error),
            ("train_loss".into(), 0.25),
        ]);
        if trial.stage == Stage::Confirm {
            metrics.extend([
                ("test_rmse".into(), 1.1 * error),
                ("test_examples".into(), 89.0),
            ]);
        }
        Ok(TrialResult {
            diverged: false,
            metrics,
            steps: 4,
            examples: 64,
            provenance: BTreeMap::new(),
        })
    }
}

/// The visible text of the page, without styles, scripts and tags.
fn seen(page: &str) -> String {
    let mut text = page.to_string();
    for (begin, end) in [("<style", "</style>"), ("<script", "</script>")] {
        while let (Some(from), Some(to)) = (text.find(begin), text.find(end)) {
            text.replace_range(from..to + end.len(), "");
        }
    }
    text.split('<')
        .map(|part| part.split_once('>').map_or("", |p| p.1))
        .collect()
}

#[test]
fn real_targets_have_no_hits() {
    let text = "name='real'\naxes.batch_size=[16, 64]\nset.epochs=1\nsearch.lr=[0.01, 0.1, 0.2]\nconfirm.seeds=4";
    let plan = Plan::new(Study::parse(text, "real.toml", &[]).unwrap(), &|_| Ok(())).unwrap();
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(
        &plan,
        dir.path(),
        Workers::Threads(&Regression),
        RunOptions::default(),
        &mut |_, _| {},
    )
    .unwrap();
    let results = Results::open(dir.path()).unwrap();
    let context = Context::default();
    let report = Report::new(&results, &context);
    let (page, table) = (seen(&report.html()), report.terminal(150));
    for text in [&page, &table] {
        let rest = text.replace("95 %", "");
        for word in [
            "McNemar",
            "ccuracy",
            " points",
            "%",
            "binomial",
            "test part",
            "rmse",
        ] {
            assert!(!rest.contains(word), "{word} in {rest}");
        }
        assert!(
            text.contains("test RMSE")
                && text.contains(
                    "resolves: the smallest difference that seeds (Student’s t) can detect."
                )
        );
    }
    assert!(page.contains("Test RMSE and the generalization gap"));
    let names: Vec<String> = report.figures().map(|f| f.name.clone()).collect();
    assert!(
        names.contains(&"rmse-batch".into()) && !names.iter().any(|n| n.contains("accuracy")),
        "{names:?}"
    );
    let folder = out.path().join("csv");
    report.write(&folder, &[Format::Csv]).unwrap();
    let summary = std::fs::read_to_string(folder.join("summary.csv")).unwrap();
    let mut lines = summary.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let at = lines
        .next()
        .unwrap()
        .iter()
        .position(|h| *h == "binomial_error")
        .unwrap();
    assert!(lines.all(|l| l[at].is_empty()), "{summary}");
}
