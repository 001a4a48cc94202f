//! The scale in which real targets are trained, and what the weights file says about it.

use std::path::Path;

use largebatch_data::{Normalise, Search, TargetScale};
use largebatch_train::Lab;
use largebatch_train::{
    Controls, Experiment, RunConfig, Split, TrainError, load_network, model_data, to_safetensors,
    train,
};

fn open(over: &[&str]) -> Result<Experiment, TrainError> {
    let over: Vec<_> = over
        .iter()
        .map(|s| RunConfig::assignment(s))
        .collect::<Result<_, _>>()?;
    Experiment::open(
        RunConfig::layered(None, &over)?,
        &Lab::standard(),
        &Search::default(),
    )
}

/// A configuration that does not mention targets uses the data set's default, even if it sets other
/// keys of the preprocessing. A configuration for classes does not contain the key, so its identity
/// does not change.
#[test]
fn silence_is_filled_in_where_targets_are_real() {
    let targets = |over: &[&str]| open(over).unwrap().config.data.preprocess.unwrap().targets;
    let diabetes = ["dataset=diabetes", "model=linear"];
    assert_eq!(targets(&diabetes), Some(TargetScale::Standardise));
    assert_eq!(
        targets(&[&diabetes[..], &["data.preprocess.normalise=feature"]].concat()),
        Some(TargetScale::Standardise)
    );
    assert_eq!(
        targets(&[&diabetes[..], &["data.preprocess.targets=none"]].concat()),
        Some(TargetScale::None)
    );
    // Keys that are not given keep the data set's default.
    let normalise = |over: &[&str]| {
        open(over)
            .unwrap()
            .config
            .data
            .preprocess
            .unwrap()
            .normalise
    };
    assert_eq!(
        normalise(&[&diabetes[..], &["data.preprocess.targets=none"]].concat()),
        Some(Normalise::Feature)
    );
    assert_eq!(
        normalise(&[
            "dataset=digits",
            "model=softmax",
            "data.preprocess.translate=1"
        ]),
        Some(Normalise::Unit)
    );
    let digits = open(&[
        "dataset=digits",
        "model=softmax",
        "data.preprocess.normalise=channel",
    ])
    .unwrap()
    .config;
    assert!(
        digits.data.preprocess.unwrap().targets.is_none() && !digits.to_toml().contains("targets")
    );
    let error = open(&[
        "dataset=digits",
        "model=softmax",
        "data.preprocess.targets=standardise",
    ])
    .err()
    .unwrap()
    .to_string();
    assert!(
        error.contains("targets") && error.contains("classes"),
        "{error}"
    );
}

/// The loss is the squared error in deviations of the training targets; RMSE and R² are in the
/// target's own unit, even if targets are not scaled.
#[test]
fn the_loss_and_the_error_have_their_units() {
    for scale in ["standardise", "none"] {
        let scale = format!("data.preprocess.targets={scale}");
        let experiment = open(&[
            "dataset=diabetes",
            "model=linear",
            "lr=0.01",
            "epochs=100",
            "data.preprocess.normalise=feature",
            &scale,
        ])
        .unwrap();
        let (outcome, network) = train(&experiment, Controls::default()).unwrap();
        let test = outcome.test.unwrap();
        let std = experiment.pipeline().fitted().target.map_or(1.0, |t| t.std);
        let rmse = test.rmse.unwrap();
        assert!(
            (rmse / std - test.loss.sqrt()).abs() < 1e-5 * test.loss.sqrt(),
            "{test:?}"
        );
        assert!(
            rmse > 45.0 && rmse < 65.0 && test.r2.unwrap() > 0.3,
            "{test:?}"
        );
        // A target of 1e4 corresponds to an error of 100, in either scale.
        assert!(test.reaches(1e4) && !test.reaches(1e3));
        let bytes = to_safetensors(&network, Some(&experiment.model_data())).unwrap();
        let place = Path::new("memory");
        let data = model_data(&bytes, place).unwrap().unwrap();
        assert_eq!(data, experiment.model_data());
        assert_eq!(
            (
                data.classes,
                data.feature_names.len(),
                data.feature_names[2].as_str()
            ),
            (None, 10, "bmi")
        );
        assert_eq!(
            model_data(&to_safetensors(&network, None).unwrap(), place).unwrap(),
            None
        );
        let again = load_network(&experiment, &bytes, place).unwrap();
        assert_eq!(
            experiment.evaluate(&again, Split::Test).unwrap(),
            Some(test)
        );
    }
}
