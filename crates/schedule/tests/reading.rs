//! What users write: TOML, its defaults, and the messages for mistakes.

use largebatch_component::Entry;
use largebatch_schedule::*;

fn read(text: &str) -> Result<ScheduleConfig, String> {
    toml::from_str(text).map_err(|e| e.to_string())
}

fn read_batch(text: &str) -> Result<BatchConfig, String> {
    let mut options: toml::Table = text.parse().unwrap();
    let name = options.remove("name").unwrap_or("constant".into());
    batch_schedules()
        .configure(name.as_str().unwrap(), options)
        .map_err(|e| e.to_string())
}

/// The message of a schedule that must be refused when it is read or resolved (100 steps, 10 per
/// epoch).
fn refused(text: &str) -> String {
    match read(text) {
        Ok(config) => config
            .resolve(0.1, 100, &Epochs::even(10))
            .expect_err(text)
            .to_string(),
        Err(message) => message,
    }
}

#[test]
fn every_name_alone_is_a_schedule() {
    for facts in standard().iter().map(Entry::facts) {
        let config = read(&format!("name = '{}'", facts.name)).unwrap();
        assert_eq!(config, ScheduleConfig::named(facts.name).unwrap());
        let rate = config.resolve(0.1, 100, &Epochs::even(10)).unwrap().lr(0);
        assert!(rate > 0.0 && rate <= 0.1, "{}: {rate}", facts.name);
    }
    assert_eq!(read("").unwrap(), ScheduleConfig::default());
}

#[test]
fn lengths_name_their_unit() {
    let config =
        read("name = 'cosine'\nfloor = 0\nlength = { epochs = 4 }\nwarmup.epochs = 5").unwrap();
    assert_eq!(
        config.shape,
        Shape::from(Cosine {
            length: Span::Epochs(4.0)
        })
    );
    assert_eq!(config.warmup, Warmup::linear(Span::Epochs(5.0)));
    let config = read("name = 'multi-step'\nat.epochs = [30, 60, 80]").unwrap();
    assert_eq!(
        config.shape,
        Shape::from(MultiStep {
            factor: 0.1,
            at: Marks::Epochs(vec![30.0, 60.0, 80.0])
        })
    );
    for (text, part) in [
        ("name = 'cosine'\nlength = 5", "a length with its unit"),
        ("name = 'cosine'\nlength = {}", "has none"),
        (
            "name = 'cosine'\nlength = { epochs = 1, steps = 2 }",
            "epochs and steps",
        ),
        (
            "warmup = { epochs = 1, fraction = 0.1 }",
            "fraction and epochs",
        ),
        (
            "name = 'cosine'\nlength = { minutes = 1 }",
            "unknown field `minutes`",
        ),
        ("name = 'cosine'\nlength = { steps = -1 }", "-1"),
        ("warmup = 5", "a warm-up such as"),
        ("name = 'multi-step'\nat = [1, 2]", "a length with its unit"),
        (
            "name = 'cosine'\nlength = [0.5, 1, 2]",
            "a length with its unit",
        ),
    ] {
        let message = refused(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn warmups_have_defaults() {
    let warmup = |text: &str| read(text).unwrap().warmup;
    assert_eq!(
        warmup("warmup.name = 'linear'"),
        Warmup::linear(Span::Fraction(0.05))
    );
    assert_eq!(
        warmup("warmup.name = 'constant'"),
        Warmup::constant(0.1, Span::Fraction(0.05))
    );
    assert_eq!(
        warmup("warmup = { name = 'none', epochs = 5 }").kind,
        WarmupKind::None
    );
    assert_eq!(
        warmup("warmup = { start = 0.5, steps = 7 }"),
        Warmup {
            start: 0.5,
            ..Warmup::linear(Span::Steps(7))
        }
    );
    let off = read("name = 'cosine'\nwarmup.epochs = 0")
        .unwrap()
        .resolve(1.0, 10, &Epochs::even(1))
        .unwrap();
    assert_eq!(off.lr(0), 1.0);
}

/// Every schedule refuses a key that no schedule has, or that only another one has, and the message
/// lists the existing keys.
#[test]
fn no_schedule_ignores_a_key() {
    let registry = standard();
    let all: Vec<_> = registry.iter().flat_map(Entry::options).collect();
    for entry in registry.iter() {
        let name = entry.facts().name;
        let own: Vec<String> = entry
            .options()
            .into_iter()
            .chain(common_options())
            .map(|o| o.name)
            .collect();
        let message = refused(&format!("name = '{name}'\nmomentum = 1"));
        assert!(
            message.contains("no option `momentum`") && message.contains("`warmup`"),
            "{message}"
        );
        for o in all.iter().filter(|o| !own.contains(&o.name)) {
            let value = if o.default == "none" {
                "{ steps = 1 }"
            } else {
                &o.default
            };
            let message = refused(&format!("name = '{name}'\n{} = {value}", o.name));
            let expected = format!("schedule `{name}` has no option `{}`", o.name);
            assert!(
                message.contains(&expected)
                    && own.iter().all(|key| message.contains(&format!("`{key}`"))),
                "{message}"
            );
        }
        assert!(
            refused(&format!(
                "name = '{name}'\nwarmup = {{ epochs = 1, end = 2 }}"
            ))
            .contains("unknown field `end`")
        );
    }
    for text in [
        "name = 'constant'\nfactor = 2",
        "name = 'constant'\nmax = 2",
        "factor = 2",
        "name = 'multi-step'\nsize = 1",
    ] {
        let message = read_batch(text).unwrap_err();
        assert!(message.contains("has no option `"), "{message}");
    }
}

#[test]
fn unknown_names_list_the_known() {
    let message = refused("name = 'cosin'");
    assert!(
        message.contains(
            "unknown schedule `cosin`, did you mean `cosine`? The schedules are `constant`, "
        ),
        "{message}"
    );
    assert!(standard().names().all(|name| message.contains(name)));
    let message = read_batch("name = 'grow'").unwrap_err();
    assert!(
        message.contains("unknown batch schedule `grow`")
            && batch_schedules().names().all(|name| message.contains(name)),
        "{message}"
    );
    assert!(
        read_batch("name = 'multi-step'\nfactor = 0.5")
            .unwrap_err()
            .contains("`factor` is 0.5, but it must be at least 1: the batch only grows")
    );
    for name in ["", "Cosine", "cosine ", "one_cycle"] {
        assert!(ScheduleConfig::named(name).is_err());
    }
}

#[test]
fn values_out_of_range_are_named() {
    for (text, part) in [
        ("floor = -0.1", "`floor` is -0.1"),
        ("floor = nan", "`floor` is NaN"),
        ("floor = 1.5", "0 ≤ x ≤ 1"),
        ("name = 'polynomial'\npower = 0", "`power` is 0"),
        ("name = 'polynomial'\npower = inf", "`power` is inf"),
        ("name = 'power-law'\nexponent = -1", "`exponent` is -1"),
        ("name = 'step'\nfactor = 0", "`factor` is 0"),
        ("name = 'exponential'\nfactor = 1.1", "`factor` is 1.1"),
        ("name = 'step'\nevery.steps = 0", "`every` is { steps = 0 }"),
        (
            "name = 'cosine'\nlength.fraction = 1.5",
            "`length` is { fraction = 1.5 }",
        ),
        (
            "name = 'cosine'\nlength.epochs = inf",
            "`length` is { epochs = inf }",
        ),
        (
            "name = 'linear'\nlength.epochs = nan",
            "`length` is { epochs = nan }",
        ),
        ("name = 'cosine-restarts'\ngrowth = 0.5", "`growth` is 0.5"),
        (
            "name = 'cosine-restarts'\nfirst.epochs = 0",
            "`first` is { epochs = 0.0 }",
        ),
        ("name = 'cyclic'\nlow = 2", "`low` is 2"),
        ("name = 'cyclic'\nfall.steps = 0", "`fall` is { steps = 0 }"),
        ("name = 'cyclic'\nmode = 'square'", "triangular2"),
        ("name = 'one-cycle'\nstart = -1", "`start` is -1"),
        ("name = 'one-cycle'\nend = 2", "`end` is 2"),
        (
            "name = 'one-cycle'\nrise.fraction = 1",
            "shorter than the training",
        ),
        (
            "name = 'multi-step'\nat.epochs = [1, -1]",
            "`at` is { epochs = [1.0, -1.0] }",
        ),
        ("warmup = { epochs = -5 }", "`warmup.epochs` is -5"),
        (
            "warmup = { epochs = 1, start = -0.1 }",
            "`warmup.start` is -0.1",
        ),
        (
            "warmup = { epochs = 10 }",
            "does not fit into a training of 100 steps",
        ),
        ("warmup = { fraction = 1 }", "does not fit"),
        (
            "name = 'multi-step'\nat.epochs = [2, 5]\nwarmup.epochs = 3",
            "schedule.at: the drop at step 20 is inside the warm-up of 30 steps",
        ),
        (
            "name = 'step'\nevery.epochs = 1\nwarmup.epochs = 3",
            "schedule.every: the drop at step 10",
        ),
    ] {
        let message = refused(text);
        assert!(message.contains(part), "{text}: {message}");
    }
    let config = ScheduleConfig::default();
    for (peak, total, part) in [
        (-0.1, 10, "lr = -0.1"),
        (f64::NAN, 10, "lr = NaN"),
        (f64::INFINITY, 10, "lr = inf"),
        (0.1, 0, "steps = 0"),
    ] {
        let message = config
            .resolve(peak, total, &Epochs::even(1))
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{message}");
    }
    let fine = |peak, total| config.resolve(peak, total, &Epochs::even(1)).is_ok();
    assert!(
        fine(50.0, 10) && fine(0.0, 1),
        "a rate above 1 and a rate of 0 are allowed"
    );
    for text in ["[]", "[[1, 0, 5]]", "[[0, 0, 0]]", "[[0, 0, 3], [0, 0, 2]]"] {
        let message = serde_json::from_str::<Epochs>(text)
            .unwrap_err()
            .to_string();
        assert!(message.contains("from epoch 0 on"), "{message}");
    }
}

/// A schedule recorded by a run is read back unchanged.
#[test]
fn written_and_read_is_the_same() {
    let warmups = [
        Warmup::NONE,
        Warmup::linear(Span::Epochs(2.0)),
        Warmup::constant(0.2, Span::Steps(3)),
        Warmup::linear(Span::Fraction(0.1)),
    ];
    for facts in standard().iter().map(Entry::facts) {
        for warmup in warmups {
            let config = ScheduleConfig::named(facts.name)
                .unwrap()
                .with_floor(0.01)
                .with_warmup(warmup);
            let text = toml::to_string(&config).unwrap();
            assert_eq!(read(&text).unwrap(), config, "{text}");
            assert_eq!(
                serde_json::from_str::<ScheduleConfig>(&serde_json::to_string(&config).unwrap())
                    .unwrap(),
                config
            );
        }
    }
    let cyclic = read("name = 'cyclic'\nfall.epochs = 3").unwrap();
    assert_eq!(read(&toml::to_string(&cyclic).unwrap()).unwrap(), cyclic);
    assert_eq!(
        read_batch("name = 'multi-step'\nfactor = 5\nat.epochs = [60, 120]\nmax = 512").unwrap(),
        BatchConfig::MultiStep(BatchMultiStep {
            factor: 5.0,
            at: Marks::Epochs(vec![60.0, 120.0]),
            max: Some(512),
        })
    );
    for (scaling, name) in [
        (Scaling::None, "none"),
        (Scaling::Sqrt, "sqrt"),
        (Scaling::Linear, "linear"),
    ] {
        assert_eq!(serde_json::to_value(scaling).unwrap(), name);
    }
}
