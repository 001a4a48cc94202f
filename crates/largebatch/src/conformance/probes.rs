//! The suite of a probe.

use std::path::Path;

use largebatch_data::Search;
use largebatch_optim::conformance::Failures;
use largebatch_probe::{
    Asked, AtStep, OptimizerState, Point, Probe, Sample, Size, Steps, Target, entry,
};
use largebatch_train::{
    Choice, Controls, Experiment, Lab, RunConfig, SquaredNorms, TrainError, train,
};
use toml::Table;

use super::Suite;

/// Checks a probe, with its default options, on a short training on a data set that it can measure,
/// such as `digits`:
///
/// - its options are documented, and an unknown one is refused;
/// - a measurement repeats to the same bits, unless it trains and so may measure time;
/// - it makes at most as many gradients as its cost announces;
/// - its record survives a round trip through JSON, and its figures have no NaN;
/// - an interruption at any of the first 20 calls ends it with a record that says so, from which the
///   figures can be drawn;
/// - if it measures during a training, so do its options for one, and the course can be drawn.
///
/// # Errors
/// All [`Failures`], not only the first.
pub fn probe<P: Probe>(dataset: &str) -> Result<(), Failures> {
    let mut suite = Suite::of(P::FACTS);
    suite.options(&entry::<P>());
    if let Err(error) = probe_on::<P>(dataset, &mut suite) {
        suite.failures.push(error.to_string());
    }
    suite.end()
}

fn probe_on<P: Probe>(dataset: &str, suite: &mut Suite) -> anyhow::Result<()> {
    let trained = |seed| -> Result<_, TrainError> {
        let config = RunConfig {
            dataset: Choice::plain(dataset),
            model: Choice::plain("softmax"),
            steps: Some(12),
            batch_size: Some(32),
            accumulate: 2,
            seed,
            ..RunConfig::default()
        };
        let experiment = Experiment::open(config, &Lab::standard(), &Search::default())?;
        let (_, network) = train(&experiment, Controls::default())?;
        Ok((experiment, network))
    };
    let runs = [trained(0)?, trained(1)?];
    let sample = Sample {
        subset: Size(Some(40)),
        ..Sample::default()
    };
    let point = |i: usize| Point {
        experiment: &runs[i].0,
        network: &runs[i].1,
        source: Path::new(["first", "second"][i]),
        folder: Path::new("no folder"),
        rate: 0.1,
        optimizer: OptimizerState::Absent,
        sample,
        steps: None,
    };
    let norms = [SquaredNorms {
        parts: vec![(16, 2.0), (16, 3.0)],
        whole: 1.5,
    }];
    let live = Point {
        steps: Some(Steps {
            before: Some(&runs[1].1),
            norms: &norms,
            examples: 32,
        }),
        ..point(0)
    };
    let at = match P::TARGET {
        Target::Network | Target::Runs | Target::Settings => vec![point(0)],
        Target::TwoRuns => vec![point(0), point(1)],
        Target::Steps => vec![live],
    };
    let entry = entry::<P>();
    let probe = entry.configure(Table::new())?;
    let interrupted_at = |last: usize| {
        let mut calls = 0;
        let found = probe.measure(&at, &mut |_, _| {
            calls += 1;
            calls <= last
        });
        found.map(|found| (found, calls > last))
    };
    let (found, _) = interrupted_at(usize::MAX)?;
    suite.expect(found.complete, "a whole measurement is not complete");
    // One that trains may measure time.
    let repeats = P::TARGET == Target::Settings || found == interrupted_at(usize::MAX)?.0;
    suite.expect(repeats, "a measurement does not repeat");
    let made = &found.record["gradient_evaluations"];
    let most = probe.cost(&at)?.gradients;
    suite.expect(
        made.as_u64().is_none_or(|made| made <= most),
        format!("it makes {made} gradients, but its cost announces {most}"),
    );
    let record: P::Record = serde_json::from_value(found.record.clone())?;
    suite.expect(
        serde_json::to_value(record)? == found.record,
        "its record changes when it is written and read back",
    );
    let mut figures = found.figures;
    for last in 0..20 {
        let (part, was_interrupted) = interrupted_at(last)?;
        suite.expect(
            part.complete != was_interrupted && part.record["complete"] != was_interrupted,
            format!("a measurement interrupted at call {last} does not say so"),
        );
        figures.extend(part.figures);
    }
    if let Some(asked) = Asked::in_training(&entry, Table::new())? {
        let mut line = asked.probe.measure(&[live], &mut |_, _| true)?.record;
        line["step"] = 12.into();
        line["lr"] = 0.1.into();
        serde_json::from_value::<AtStep<P::Record>>(line.clone())?;
        figures.extend(asked.probe.course(&[line], &runs[0].0, &sample));
    }
    suite.expect(
        figures.iter().all(|figure| !figure.svg().contains("NaN")),
        "a figure has NaN",
    );
    Ok(())
}
