//! An epoch has exactly its real number of steps: budgets, schedules and training batches agree.

use largebatch_data::Search;
use largebatch_train::Lab;
use largebatch_train::{Controls, Experiment, Observer, RunConfig, Step, TrainError, train};

/// The digits, with 1,150 training examples.
fn open(over: &[&str]) -> Result<Experiment, TrainError> {
    let all = ["dataset=digits", "model=softmax", "lr=1"]
        .iter()
        .chain(over);
    let over = all
        .map(|s| RunConfig::assignment(s))
        .collect::<Result<Vec<_>, _>>()?;
    Experiment::open(
        RunConfig::layered(None, &over)?,
        &Lab::standard(),
        &Search::default(),
    )
}

/// The steps at which the rate drops, and the number of training steps.
fn drops(over: &[&str]) -> (Vec<usize>, u64) {
    let experiment = open(over).unwrap();
    assert_eq!(experiment.holdout.train.len(), 1150);
    let rate = |step| experiment.schedule.lr(step);
    (
        (1..experiment.total_steps as usize)
            .filter(|&step| rate(step) < rate(step - 1))
            .collect(),
        experiment.total_steps,
    )
}

#[test]
fn a_milestone_comes_where_its_epoch_begins() {
    let at_five = |over: &[&str]| {
        drops(
            &[
                &["epochs=10", "schedule=multi-step", "schedule.at.epochs=[5]"],
                over,
            ]
            .concat(),
        )
    };
    assert_eq!(at_five(&["batch_size=1024"]), (vec![10], 20));
    assert_eq!(
        at_five(&["batch_size=600", "data.drop_last=true"]),
        (vec![5], 10)
    );
    assert_eq!(
        at_five(&["batch_size=512", "data.sampling=replacement"]),
        (vec![15], 30)
    );
    assert_eq!(at_five(&["data.sampling=one"]), (vec![5 * 1150], 11_500));
    assert_eq!(at_five(&["data.sampling=full"]), (vec![5], 10));
    assert_eq!(
        at_five(&["data.sampling=full", "data.drop_last=true"]),
        (vec![5], 10)
    );
    // Twelve steps per epoch, six from epoch 2 on, where the batch grows at its own milestone; the
    // rate's milestones take that into account.
    let grows = [
        "batch_size=100",
        "batch_schedule.name=multi-step",
        "batch_schedule.factor=2",
        "batch_schedule.at.epochs=[2]",
    ];
    assert_eq!(at_five(&grows), (vec![2 * 12 + 3 * 6], 2 * 12 + 8 * 6));
    let mut steps = grows.to_vec();
    steps.extend([
        "steps=72",
        "schedule=multi-step",
        "schedule.at.epochs=[2, 5]",
    ]);
    assert_eq!(
        drops(&steps),
        (vec![24, 42], 72),
        "a budget in steps has the same epochs"
    );
}

#[test]
fn a_warmup_has_the_steps_of_its_epochs() {
    let warm =
        |over: &[&str]| open(&[&["schedule=cosine", "schedule.warmup.epochs=5"], over].concat());
    let experiment = warm(&["epochs=10", "batch_size=512"]).unwrap();
    assert_eq!(
        (
            experiment.schedule.warmup_steps(),
            experiment.schedule.lr(3),
            experiment.schedule.lr(15)
        ),
        (15.0, 0.2, 1.0)
    );
    for over in [
        ["epochs=4", "batch_size=1024"],
        ["epochs=5", "batch_size=1024"],
        ["steps=10", "batch_size=1024"],
    ] {
        let message = warm(&over).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(
            message.contains("schedule.warmup of 10 steps ({ epochs = 5 }) does not fit"),
            "{over:?}: {message}"
        );
    }
    assert!(warm(&["epochs=6", "batch_size=1024"]).is_ok());
}

/// The epoch, size and rate of each training step.
#[derive(Default)]
struct Seen(Vec<(usize, usize, f64)>);

impl Observer for Seen {
    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        self.0.push((step.epoch as usize, step.batch, step.lr));
        Ok(())
    }
}

/// Training follows the plan batch by batch, so a training of three epochs ends with the third,
/// even if the batch grows with an epoch whose predecessor dropped its last batch.
#[test]
fn a_training_takes_the_batches_of_its_plan() {
    let grow =
        |at: &'static str, factor: &'static str| vec!["batch_schedule.name=multi-step", at, factor];
    let grown = |at, max| [grow(at, "batch_schedule.factor=1.5"), vec![max]].concat();
    for over in [
        vec!["batch_size=512"],
        vec!["batch_size=600", "data.drop_last=true"],
        grown("batch_schedule.at.epochs=[1]", "batch_size=600"),
        [
            grown("batch_schedule.at.epochs=[1]", "batch_size=600"),
            vec!["data.drop_last=true"],
        ]
        .concat(),
        [
            grown("batch_schedule.at.epochs=[0.5, 1, 1.9]", "batch_size=170"),
            vec!["data.drop_last=true"],
        ]
        .concat(),
        [
            grown("batch_schedule.at.fraction=[0.2, 0.5]", "batch_size=300"),
            vec!["batch_schedule.max=400"],
        ]
        .concat(),
        vec!["data.sampling=full"],
        vec![
            "batch_size=400",
            "data.sampling=replacement",
            "data.drop_last=true",
        ],
    ] {
        let experiment = open(&[&["epochs=3", "schedule=cosine"], &over[..]].concat()).unwrap();
        let mut seen = Seen::default();
        let (outcome, _) = train(
            &experiment,
            Controls {
                observers: vec![&mut seen],
                ..Controls::default()
            },
        )
        .unwrap();
        let last = experiment.config.data.last_batch();
        let planned: Vec<_> = experiment.batches.plan(3, last).collect();
        let wanted: Vec<_> = planned
            .iter()
            .enumerate()
            .map(|(i, b)| (b.epoch, b.size, experiment.lr(i as u64, b)))
            .collect();
        assert_eq!(seen.0, wanted, "{over:?}");
        assert_eq!(
            (outcome.steps, outcome.epochs),
            (planned.len() as u64, 3),
            "{over:?}"
        );
        for (step, batch) in planned.iter().enumerate() {
            assert_eq!(
                experiment.batches.at_step(step as u64, last),
                *batch,
                "{over:?}"
            );
        }
    }
}

#[test]
fn lengths_beyond_all_numbers_are_named() {
    let huge = "9223372036854775807";
    for (over, words) in [
        (
            vec!["epochs=9223372036854775807"],
            ["epochs", huge, "at most 9007199254740992 steps"],
        ),
        (
            vec!["epochs=500000000000000", "batch_size=16"],
            [
                "epochs",
                "500000000000000",
                "at most 9007199254740992 steps",
            ],
        ),
        (
            vec!["steps=9223372036854775807"],
            ["steps", huge, "at most 9007199254740992 steps"],
        ),
        (
            vec![
                "epochs=2",
                "batch_schedule.name=multi-step",
                "data.sampling=one",
            ],
            ["batch_schedule", "multi-step", "one example"],
        ),
    ] {
        let message = open(&over).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{over:?}: {message}"
        );
    }
    // A program can pass values that TOML cannot represent.
    for (key, config) in [
        (
            "seed",
            RunConfig {
                seed: u64::MAX,
                ..RunConfig::default()
            },
        ),
        (
            "split_seed",
            RunConfig {
                split_seed: 1 << 63,
                ..RunConfig::default()
            },
        ),
        (
            "epochs",
            RunConfig {
                epochs: Some(u64::MAX),
                ..RunConfig::default()
            },
        ),
        (
            "threads",
            RunConfig {
                threads: Some(usize::MAX),
                ..RunConfig::default()
            },
        ),
    ] {
        let message = config.resolve(1150).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("{key} = ")) && message.contains("at most"),
            "{message}"
        );
    }
    // Long, but a valid training.
    assert_eq!(
        open(&["epochs=1000000000000", "batch_size=512"])
            .unwrap()
            .total_steps,
        3_000_000_000_000
    );
}
