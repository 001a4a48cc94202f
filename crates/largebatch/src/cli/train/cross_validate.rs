//! `train --cross-validate`.

use std::io::Write as _;

use anyhow::Result;
use largebatch_data::{Holdout, Part};
use largebatch_train::{Lab, RunConfig, TrainError, cross_validate};

use super::TrainArgs;
use super::summary::cross_summary;
use crate::cli::progress::bar;
use crate::cli::{Done, Global, INTERRUPT, print_json, tell_data};

pub(super) fn run(
    args: &TrainArgs,
    config: &RunConfig,
    shape: &str,
    global: &Global,
    lab: &Lab,
) -> Result<Done> {
    let parsed = shape
        .split_once('x')
        .and_then(|(r, k)| Some((r.parse::<u64>().ok()?, k.parse::<usize>().ok()?)));
    let Some((repeats, folds)) = parsed.filter(|&(r, k)| r > 0 && k > 1) else {
        let why = "write REPEATSxFOLDS, such as 5x10";
        return Err(TrainError::value("cross-validate", shape, why).into());
    };
    // Read here too, so that the data are reported before hours of training.
    let mut dataset = largebatch_train::open(lab, &config.dataset, &args.data_dir.search())?;
    dataset.train = Part::concat(&dataset.train, &dataset.test).map_err(TrainError::from)?;
    dataset.test = dataset.train.select(&[]);
    let all = Holdout {
        train: (0..dataset.train.len() as u32).collect(),
        validation: Vec::new(),
    };
    tell_data(&dataset, &all, global);
    let bar = bar(
        !global.quiet,
        repeats.saturating_mul(folds as u64),
        "trainings",
    );
    let mut each = |done: u64, _all: u64| bar.set_position(done);
    let result = cross_validate(
        config,
        (repeats, folds),
        lab,
        &args.data_dir.search(),
        &INTERRUPT,
        &mut each,
    )?;
    bar.finish_and_clear();
    let Some(result) = result else {
        return Ok(Done::Interrupted);
    };
    if args.json {
        let mut object = serde_json::to_value(&result)?;
        for (key, name) in [
            ("dataset", &config.dataset.name),
            ("model", &config.model.name),
            ("optimizer", &config.optimizer.name),
        ] {
            object[key] = name.clone().into();
        }
        print_json(&object)?;
    } else if !global.quiet {
        writeln!(std::io::stdout(), "{}", cross_summary(config, &result))?;
    }
    Ok(Done::Ok)
}
