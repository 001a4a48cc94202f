//! Study files: the recipes expand to what their headers say, and errors in files say what is wrong
//! and where.

use largebatch_study::{
    Check, Plan, Problem, Stage, Study, StudyError, Tuned, describe, get, number,
};
use toml::Table;

const ANY: Check = &|_| Ok(());

fn recipe(name: &str, overrides: &[&str]) -> Plan {
    let path = format!(
        "{}/../../examples/studies/{name}.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    let overrides: Vec<String> = overrides.iter().map(|o| o.to_string()).collect();
    let study = Study::parse(&std::fs::read_to_string(&path).unwrap(), &path, &overrides)
        .unwrap_or_else(|e| panic!("{e}"));
    Plan::new(study, ANY).unwrap_or_else(|e| panic!("{e}"))
}

fn plan(text: &str) -> Result<Plan, StudyError> {
    Plan::new(Study::parse(text, "file.toml", &[])?, ANY)
}

/// The configuration of each group at its first point, by its labels.
fn configs(plan: &Plan) -> Vec<(String, Table)> {
    let choices: Vec<_> = plan
        .groups
        .iter()
        .map(|g| {
            (!g.points.is_empty()).then_some(Tuned {
                point: 0,
                score: 0.0,
                seeds: 1,
            })
        })
        .collect();
    (0..plan.groups.len())
        .map(|g| {
            (
                describe(&plan.groups[g].labels),
                plan.confirm_trials(g, &choices)[0].config.clone(),
            )
        })
        .collect()
}

fn setting(configs: &[(String, Table)], group: &str, key: &str) -> f64 {
    let config = &configs
        .iter()
        .find(|c| c.0 == group)
        .unwrap_or_else(|| panic!("no group {group}: {configs:?}"))
        .1;
    get(config, key)
        .and_then(number)
        .unwrap_or_else(|| panic!("{key} of {config}"))
}

#[test]
fn gap_derives_and_tunes() {
    let plan = recipe("gap", &[]);
    assert_eq!(
        (plan.groups.len(), plan.tune_count(), plan.confirm_count()),
        (10, 5 * 10 * 3, 10 * 10)
    );
    let c = configs(&plan);
    assert_eq!(setting(&c, "arm=small", "lr"), 0.003);
    for (arm, rate) in [
        ("unscaled", 0.003),
        ("sqrt", 0.003 * 32f64.sqrt()),
        ("linear", 0.096),
        ("linear, warm-up", 0.096),
        ("longer", 0.003 * 32f64.sqrt()),
    ] {
        assert_eq!(setting(&c, &format!("arm={arm}"), "lr"), rate, "{arm}");
    }
    assert_eq!(setting(&c, "arm=lars", "lr"), 0.3);
    assert_eq!(
        setting(&c, "arm=linear, warm-up", "schedule.warmup.start"),
        1.0 / 32.0
    );
    assert_eq!(
        c[4].1["schedule"]["name"].as_str(),
        Some("constant"),
        "a warm-up joins the plain name of its schedule"
    );
    let longer = |configs: &[(String, Table)]| {
        (
            setting(configs, "arm=longer", "budget.epochs"),
            setting(configs, "arm=longer", "budget.at_batch"),
        )
    };
    assert_eq!(
        (longer(&c), setting(&c, "arm=linear", "epochs")),
        ((20.0, 16.0), 20.0)
    );
    let full = configs(&recipe("gap", &["dataset=mnist"]));
    assert_eq!(
        (
            setting(&full, "arm=small", "batch_size"),
            setting(&full, "arm=lamb", "batch_size"),
            longer(&full)
        ),
        (128.0, 4096.0, (10.0, 128.0))
    );
    for (model, epochs) in [
        (&["dataset=cifar-10"][..], 10.0),
        (&["dataset=cifar-10", "model=c1"], 30.0),
    ] {
        let c = configs(&recipe("gap", model));
        assert_eq!(
            (setting(&c, "arm=lamb", "epochs"), longer(&c)),
            (epochs, (epochs, 128.0)),
            "{model:?}"
        );
        assert_eq!(
            (
                setting(&c, "arm=lamb", "data.validation"),
                setting(&c, "arm=small", "batch_size")
            ),
            (9040.0, 128.0),
            "{model:?}"
        );
    }
    assert_eq!(recipe("gap", &["confirm.seeds=[7, 8]"]).confirm_count(), 20);
}

#[test]
fn the_other_recipes_expand() {
    let keskar = recipe("keskar-f1", &[]);
    assert_eq!((keskar.tune_count(), keskar.confirm_count()), (0, 10));
    let c = configs(&keskar);
    assert_eq!(
        (
            setting(&c, "batch_size=256", "epochs"),
            setting(&c, "batch_size=6000", "epochs")
        ),
        (40.0, 150.0)
    );
    assert_eq!(recipe("keskar-c1", &["data.validation=0", "confirm.seeds=5"]).groups[1].config["batch_size"].as_integer(), Some(5000));

    let hoffer = configs(&recipe("hoffer-f1", &[]));
    assert_eq!(
        (
            setting(&hoffer, "arm=large", "lr"),
            setting(&hoffer, "arm=+ sqrt rate", "lr")
        ),
        (0.1, 0.4)
    );
    assert_eq!(
        ["budget.epochs", "budget.at_batch", "ghost_batch"].map(|key| setting(
            &hoffer,
            "arm=+ regime adaptation",
            key
        )),
        [10.0, 128.0, 128.0]
    );

    let goyal = recipe("goyal", &[]);
    assert_eq!(
        (
            goyal.groups.len(),
            goyal.tune_count(),
            goyal.confirm_count()
        ),
        (22, 5, 66)
    );
    let c = configs(&goyal);
    assert_eq!(
        setting(&c, "arm=no warm-up batch_size=8192", "lr"),
        0.003 * 128.0
    );
    assert_eq!(
        setting(
            &c,
            "arm=gradual warm-up batch_size=128",
            "schedule.warmup.start"
        ),
        0.5
    );

    let shallue = recipe("shallue", &[]);
    assert_eq!(
        (
            shallue.groups.len(),
            shallue.tune_count(),
            shallue.confirm_count()
        ),
        (18, 108, 0)
    );
    let rates = |g: usize| {
        shallue.groups[g]
            .points
            .iter()
            .map(|p| number(&p["lr"]).unwrap())
            .collect::<Vec<_>>()
    };
    let lamb = shallue
        .groups
        .iter()
        .position(|g| describe(&g.labels) == "batch_size=32 optimizer=lamb")
        .unwrap();
    assert!(
        rates(lamb).iter().all(|r| (0.0003..0.1).contains(r)),
        "{:?}",
        rates(lamb)
    );

    // The paper's batch size, with a range for each of the six.
    for (dataset, target) in [("mnist", 0.99), ("fashion-mnist", 0.9)] {
        let (dataset, target) = (
            format!("dataset={dataset}"),
            format!("stop.target={target}"),
        );
        let full = recipe(
            "shallue",
            &["model=simple-cnn", "tune.trials=100", &dataset, &target],
        );
        assert_eq!((full.groups.len(), full.tune_count()), (36, 3600));
        for (optimizer, low, high) in [
            ("sgd", 0.01, 3.0),
            ("momentum", 0.003, 1.0),
            ("nesterov", 0.003, 1.0),
            ("adam", 0.0001, 0.03),
            ("lars", 0.3, 300.0),
            ("lamb", 0.0003, 0.1),
        ] {
            let group = full
                .groups
                .iter()
                .find(|g| describe(&g.labels) == format!("batch_size=8192 optimizer={optimizer}"))
                .unwrap();
            let rates: Vec<f64> = group
                .points
                .iter()
                .map(|p| number(&p["lr"]).unwrap())
                .collect();
            assert!(
                rates.iter().all(|r| (low..=high).contains(r))
                    && rates.iter().any(|r| *r > high / 2.0),
                "{optimizer}: {rates:?}"
            );
        }
    }

    let optimizers = recipe("optimizers", &[]);
    assert_eq!(
        (
            optimizers.groups.len(),
            optimizers.tune_count(),
            optimizers.confirm_count()
        ),
        (36, 36 * 20, 360)
    );
}

/// The recipe claims to have all optimizers, so a new rule needs a place in it.
#[test]
fn the_recipe_of_all_optimizers_has_all_optimizers() {
    let rules = format!("{}/../optim/src/rules", env!("CARGO_MANIFEST_DIR"));
    let mut rules: Vec<String> = std::fs::read_dir(&rules)
        .unwrap_or_else(|e| panic!("{rules}: {e}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension().is_some_and(|e| e == "rs")
                && path.file_stem().is_some_and(|s| s != "mod")
        })
        .map(|path| {
            path.file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .replace('_', "-")
        })
        .collect();
    let mut compared: Vec<String> = recipe("optimizers", &[])
        .groups
        .iter()
        .map(|g| {
            get(&g.config, "optimizer")
                .unwrap()
                .as_str()
                .unwrap()
                .to_string()
        })
        .collect();
    rules.sort();
    compared.sort();
    compared.dedup(); // each is there at two batch sizes
    assert_eq!(
        compared, rules,
        "examples/studies/optimizers.toml against the files of crates/optim/src/rules"
    );
}

#[test]
fn stages_have_seeds_of_their_own_and_trials_their_settings() {
    let plan =
        plan("name='x'\nset.a.b = 1\nsplit_seed = 5\nthreads = 3\nsearch.lr = [0.1, 0.2]\ntune.seeds = 2\nconfirm.seeds = 2").unwrap();
    let tune = plan.tune_trials(0);
    assert_eq!(
        tune.iter().map(|t| t.seed).collect::<Vec<_>>(),
        [1_000_000, 1_000_001, 1_000_000, 1_000_001]
    );
    assert_eq!(
        tune.iter().map(|t| t.id.clone()).collect::<Vec<_>>(),
        plan.tune_ids(0)
    );
    assert!(plan.confirm_trials(0, &[None]).is_empty(), "no choice yet");
    let confirm = plan.confirm_trials(
        0,
        &[Some(Tuned {
            point: 1,
            score: 0.0,
            seeds: 2,
        })],
    );
    assert_eq!(
        confirm[1].config.to_string(),
        "lr = 0.2\nseed = 1\nsplit_seed = 5\n\n[a]\nb = 1\n"
    );
    assert_eq!(
        (confirm[1].seed, confirm[1].threads, confirm[1].stage),
        (1, 3, Stage::Confirm)
    );
}

#[test]
fn conditions_change_values_and_fold_axes() {
    // Momentum has no meaning for adam, so its two values give one group there.
    let text = "name='x'\nset.lr=1\naxes.optimizer=['sgd','adam']\naxes.momentum=[0.0,0.9]\nconfirm.seeds=1\n[[when]]\nif.optimizer='adam'\nset.momentum=0";
    let labels: Vec<String> = plan(text)
        .unwrap()
        .groups
        .iter()
        .map(|g| describe(&g.labels))
        .collect();
    assert_eq!(
        labels,
        [
            "momentum=0.0 optimizer=sgd",
            "momentum=0.9 optimizer=sgd",
            "optimizer=adam"
        ]
    );
    // An axis whose values depend on another axis that comes later in the alphabet.
    let text = "name='x'\naxes.lr=[1]\naxes.optimizer=['sgd','lars']\nconfirm.seeds=1\n[[when]]\nif.optimizer='lars'\naxes.lr=[10, 20]";
    let labels: Vec<String> = plan(text)
        .unwrap()
        .groups
        .iter()
        .map(|g| describe(&g.labels))
        .collect();
    assert_eq!(
        labels,
        [
            "lr=1 optimizer=sgd",
            "lr=10 optimizer=lars",
            "lr=20 optimizer=lars"
        ]
    );
    // An axis with a table as value, and a condition on its name.
    let text = "name='x'\nset.lr=1\naxes.schedule=[{name='cosine'}, {name='step', factor=0.1}]\nconfirm.seeds=1\n[[when]]\nif.schedule='step'\nset.lr=2";
    let groups = plan(text).unwrap().groups;
    assert_eq!(
        groups
            .iter()
            .map(|g| describe(&g.labels))
            .collect::<Vec<_>>(),
        ["schedule=cosine", "schedule=step"]
    );
    assert_eq!(
        (
            groups[0].config["lr"].as_integer(),
            groups[1].config["lr"].as_integer()
        ),
        (Some(1), Some(2))
    );
    assert_eq!(
        get(&groups[1].config, "schedule.factor").and_then(number),
        Some(0.1)
    );
    // Options beside a plain name, wherever the name is set.
    let text = "name='x'\nset.lr=1\naxes.optimizer=['sgd','lars']\nconfirm.seeds=1\n[[when]]\nif.optimizer='lars'\nset.optimizer.eps=0.5\nsearch.optimizer.coefficient=[2, 3]\n[[when]]\nif.optimizer.name='sgd'\nset.lr=5";
    let groups = configs(&plan(text).unwrap());
    assert_eq!(groups[0].1["optimizer"].as_str(), Some("sgd"));
    assert_eq!(groups[0].1["lr"].as_integer(), Some(5));
    assert_eq!(
        groups[1].1["optimizer"].to_string(),
        "{ coefficient = 2, eps = 0.5, name = \"lars\" }"
    );
    let text = "name='x'\nset={lr=1, optimizer.decay=2}\naxes.optimizer=['sgd','lars']\nconfirm.seeds=1\n[[when]]\nif.optimizer='lars'\nset.lr=3";
    let groups = configs(&plan(text).unwrap());
    assert_eq!(
        groups
            .iter()
            .map(|g| g.1["optimizer"].to_string())
            .collect::<Vec<_>>(),
        [
            "{ decay = 2, name = \"sgd\" }",
            "{ decay = 2, name = \"lars\" }"
        ]
    );
    // The steps of examples and equal-step budgets depend on the data: the runner gets them as
    // written.
    let text =
        "name='x'\nset.lr=1\naxes.batch_size=[16, 64]\nbudget.examples=1000\nconfirm.seeds=1";
    assert!(
        configs(&plan(text).unwrap())
            .iter()
            .all(|g| g.1["budget"].to_string() == "{ examples = 1000 }")
    );
    let text = text.replace("examples=1000", "epochs=2.5\nbudget.at_batch=16");
    let groups = configs(&plan(&text).unwrap());
    assert_eq!(
        (
            groups[0].1["epochs"].as_float(),
            groups[1].1["budget"].to_string()
        ),
        (Some(2.5), "{ at_batch = 16, epochs = 2.5 }".into())
    );
    // Such a budget replaces another one, and can be replaced.
    let arms = "name='x'\nset={lr=1, batch_size=64}\nbudget.examples=1000\nconfirm.seeds=1\n[[arm]]\nname='a'\nbudget.steps=7\n[[arm]]\nname='b'";
    let groups = configs(&plan(arms).unwrap());
    assert_eq!(
        (groups[0].1.get("budget"), groups[0].1["steps"].as_integer()),
        (None, Some(7))
    );
    assert_eq!(
        (groups[1].1.get("steps"), groups[1].1["budget"].to_string()),
        (None, "{ examples = 1000 }".into())
    );
}

/// The whole chosen point is used, and nothing else is tuned.
#[test]
fn a_derived_arm_takes_every_tuned_setting() {
    let text = "name='x'\nset.optimizer='momentum'\nsearch={lr=[0.5], optimizer.momentum=[0.8, 0.9]}\nconfirm.seeds=1\n[[arm]]\nname='a'\nset.batch_size=2\n[[arm]]\nname='b'\nset.batch_size=8\nrate={from='a', scaling='linear'}";
    let plan = plan(text).unwrap();
    assert_eq!((plan.tune_count(), plan.groups[1].points.len()), (2, 0));
    let choices = [
        Some(Tuned {
            point: 1,
            score: 0.0,
            seeds: 1,
        }),
        None,
    ];
    let config = &plan.confirm_trials(1, &choices)[0].config;
    assert_eq!(config["lr"].as_float(), Some(2.0));
    assert_eq!(
        config["optimizer"].to_string(),
        "{ momentum = 0.9, name = \"momentum\" }"
    );
}

/// The example of the crate's documentation.
#[test]
fn the_documented_study_expands() {
    let docs: String = include_str!("../src/lib.rs")
        .lines()
        .filter_map(|l| l.strip_prefix("//!"))
        .map(|l| format!("{l}\n"))
        .collect();
    let text = docs
        .split("```toml")
        .nth(1)
        .and_then(|t| t.split("```").next())
        .unwrap();
    let plan = plan(text).unwrap();
    let labels: Vec<String> = plan.groups.iter().map(|g| describe(&g.labels)).collect();
    assert_eq!(
        labels,
        [
            "arm=tuned batch_size=64",
            "arm=tuned batch_size=256",
            "arm=tuned batch_size=1024",
            "arm=linear",
            "arm=base"
        ]
    );
    assert_eq!((plan.tune_count(), plan.confirm_count()), (4 * 7 * 2, 50));
    assert_eq!(
        plan.seconds(&|c| get(c, "epochs").and_then(number)),
        Some(106.0 * 20.0)
    );
}

/// A valid study; each line below introduces one error.
const RIGHT: &str = "name = 'x'\nset.batch_size = 32\nbudget.epochs = 2\nconfirm.seeds = 3\n";

#[test]
fn wrong_files_name_the_line() {
    plan(&format!("{RIGHT}set.lr = 1")).unwrap();
    // The targets of diabetes are real, so its metric is not a fraction.
    plan(&format!(
        "{RIGHT}set.lr = 1\nset.dataset = 'diabetes'\nstop.target = 60"
    ))
    .unwrap();
    for (text, line, part) in [
        (
            "axess.lr = [1]",
            5,
            "unknown field `axess`, expected one of",
        ),
        ("axess.lr = [1]", 5, "did you mean `axes`?"),
        ("learning_rate = 1", 5, "belong in `set`"),
        ("set.lr = [", 5, ""),
        (
            "set.lr = 1\naxes.lr = [1, 2]",
            5,
            "is under both `axes` and `set`",
        ),
        (
            "axes.lr = [1, 2]\nsearch.lr = [1, 2]",
            6,
            "fixed, compared or tuned",
        ),
        (
            "set.o.name = 'a'\naxes.o = ['b', 'c']",
            5,
            "both `axes` and `set`",
        ),
        ("set.seed = 1", 5, "confirm.seeds"),
        ("set.split_seed = 1", 5, "top of the file"),
        ("set.lr = nan", 5, "finite"),
        ("axes.lr = [1, 1]", 5, "twice"),
        ("axes.lr = { uniform = [1, 2] }", 5, "points"),
        ("set.epochs = 3", 5, "beside `budget`"),
        (
            "budget.steps = 3",
            3,
            "one of `epochs`, `steps` and `examples`",
        ),
        ("budget.at_batch = 0", 5, "at least one example"),
        ("set.budget.epochs = 5", 5, "`budget` belongs beside `set`"),
        (
            "axes.w = { integer = [1, 9007199254740994] }",
            5,
            "at most 9007199254740992",
        ),
        (
            "axes.w = { integer = [-1e300, 1], points = 2 }",
            5,
            "at most 9007199254740992",
        ),
        ("stop.target = inf", 5, "finite"),
        ("stop.prune.after = 1.5", 5, "fraction of the budget"),
        (
            "stop.plateau = { epochs = 1, improvment = 0.1 }",
            5,
            "did you mean `improvement`",
        ),
        ("threads = 0", 5, "at least one thread"),
        ("tune.seeds = 2", 5, "nothing is tuned"),
        ("search.lr = [1, 2]\ntune.seeds = [2]", 4, "fresh seeds"),
        (
            "search.lr = [1, 2]\ntune.trials = 2",
            6,
            "a grid runs every combination",
        ),
        ("search.lr = [1, 2]\ntune.method = 'sobol'", 6, "`trials`"),
        (
            "search.lr = [1, 2]\ntune.method = 'sobl'",
            6,
            "did you mean `sobol`?",
        ),
        (
            "search.lr = [1, 2]\ntune.goal = 'fewest_steps'",
            6,
            "needs `stop.target`",
        ),
        ("rate = { scaling = 'sqrt' }", 5, "from = "),
        (
            "rate = { scaling = 'sqrt', base_rate = 0.1, base_batch = 0 }",
            5,
            "at least one example",
        ),
        (
            "rate = { base_rate = 0.1, base_batch = 32, warmup = { epochs = 1 } }",
            5,
            "has no effect",
        ),
        ("[[arm]]\nset.lr = 1", 5, "needs a `name`"),
        ("[[arm]]\nname = 'a'\n[[arm]]\nname = 'a'", 8, "two arms"),
        (
            "set.lr = 1\n[[arm]]\nname = 'a b'\n[[arm]]\nname = ' a  b'",
            9,
            "differ only in spaces",
        ),
        (
            "set.lr = 1\n[[arm]]\nname = \"a\\nb\"",
            7,
            "a name on one line",
        ),
        ("axes.lr = [1, 2, 1.0]", 5, "1 and 1.0 are the same value"),
        ("axes.o = [{ name = 'a' }, 'a']", 5, "are the same value"),
        (
            "[[arm]]\nname = 'small'\n[[arm]]\nname = 'b'\nrate.from = 'smal'",
            9,
            "did you mean `small`?",
        ),
        (
            "[[arm]]\nname = 'a'\n[[arm]]\nname = 'b'\nrate.from = 'a'",
            9,
            "neither tunes nor sets `lr`",
        ),
        (
            "[[when]]\nif.batch_sice = 32\nset.lr = 1",
            6,
            "did you mean `batch_size`?",
        ),
        ("[[when]]\nset.lr = 1", 5, "needs `if"),
        (
            "[[arm]]\nname = 'a'\n[[when]]\nif.arm = 'b'\nset.lr = 1",
            8,
            "no arm \"b\"",
        ),
        (
            "search.lr = [1, 2]\n[[when]]\nif.lr = 1\nset.x = 1",
            7,
            "is tuned",
        ),
        // Rules that no trial could ever meet.
        (
            "set.lr = 1\nset.data.validation = 0\nstop.target = 0.9",
            6,
            "holds nothing out",
        ),
        (
            "search.lr = [1, 2]\nset.data.validation = 0",
            6,
            "tuned on held-out examples",
        ),
        (
            "set.lr = 1\nset.dataset = 'digits'\nstop.target = 97",
            7,
            "accuracies are fractions, such as 0.97",
        ),
        (
            "set.lr = 1\nset.dataset = 'digits'\nstop.target = 0",
            7,
            "accuracies are fractions",
        ),
        (
            "set.lr = 1\nstop.plateau = { epochs = 2, improvement = 0.1 }",
            6,
            "within a budget of 2 epochs",
        ),
        (
            "[[arm]]\nname = 'a'\n[[arm]]\nname = 'b'\nset.data.validation = 0\nstop.target = 0.9",
            9,
            "(in the group arm=b)",
        ),
        // Conditions on values that never occur.
        (
            "axes.o = ['lars', 'lamb']\n[[when]]\nif.o = 'lras'\nset.lr = 1",
            7,
            "`o` is never \"lras\" in this file, did you mean `lars`?",
        ),
        (
            "axes.b = [64, 128]\n[[when]]\nif = { b = 77 }\nset.lr = 1",
            7,
            "`b` is never 77 in this file; it is one of 64, 128",
        ),
        (
            "axes.b = [64, 128]\n[[when]]\nif = { b = [64, 77] }\nset.lr = 1",
            7,
            "never 77",
        ),
        (
            "axes.o = [{ name = 'lars', eps = 1 }]\n[[when]]\nif.o.name = 'lamb'\nset.lr = 1",
            7,
            "is never \"lamb\"",
        ),
        // Studies that would be too large.
        (
            "axes.a = { integer = [1, 100000] }\naxes.b = { uniform = [0, 1], points = 337 }",
            5,
            "a (100,000) × b (337) × seeds (3) make 101,100,000 trials: a study has at most 1,000,000",
        ),
        (
            "search.a = { integer = [1, 1000000000000] }",
            5,
            "a (1,000,000,000,000) × seeds (1) make",
        ),
        (
            "search.a = { integer = [1, 1000] }\nsearch.b = { integer = [1, 1001] }",
            5,
            "make 1,001,000 trials",
        ),
        (
            "axes.a = { integer = [1, 1000] }\nsearch.b = { integer = [1, 1001] }",
            5,
            "more than 1,000,000 trials",
        ),
    ] {
        let error = plan(&format!("{RIGHT}{text}\n"))
            .map(|p| p.groups)
            .expect_err(text)
            .to_string();
        assert!(
            error.starts_with(&format!("file.toml, line {line}: ")) && error.contains(part),
            "{text}\n  gives: {error}\n  not line {line}: {part}"
        );
    }
    for (text, part) in [
        ("", "name"),
        ("name = 'x'\nconfirm.seeds = 0", "seeds must be a count"),
        ("name = 'x'", "nothing to run"),
    ] {
        let error = plan(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// Cases that look like contradictions but are valid.
#[test]
fn rules_that_can_be_met_are_taken() {
    for text in [
        "set.lr = 1\nset.data.validation = 10\nstop.target = 0.9",
        "set.lr = 1\nset.dataset = { path = 'x.csv', labels = 'real' }\nstop.target = 97",
        "set.lr = 1\nstop.target = 30",
        "set.lr = 1\nset.dataset = 'digits'\nstop.target = 1",
        "set.lr = 1\nstop.plateau = { epochs = 1, improvement = 0.1 }",
        // A fixed setting, which `--set` may change.
        "set.dataset = 'digits'\n[[when]]\nif.dataset = ['mnist', 'cifar-10']\nset.lr = 1",
        // A value that another condition or an arm sets, and one from a range.
        "axes.o = ['a']\nset.m = 1\n[[when]]\nif.m = 2\naxes.o = ['a', 'b']\n[[when]]\nif.o = 'b'\nset.lr = 1",
        "axes.o = ['a']\n[[arm]]\nname = 'x'\nset.o = 'b'\n[[when]]\nif.o = 'b'\nset.lr = 1",
        "axes.o = { integer = [1, 5] }\n[[when]]\nif.o = 4.0\nset.lr = 1",
        "axes.o = [{ name = 'lars', eps = 1 }]\n[[when]]\nif.o = 'lars'\nset.lr = 1",
    ] {
        plan(&format!("{RIGHT}{text}\n")).unwrap_or_else(|e| panic!("{text}\n  gives: {e}"));
    }
    // A shorter axis leaves conditions without a case, which is not an error of the file.
    assert_eq!(
        recipe("shallue", &["axes.optimizer=['lamb']"]).groups.len(),
        6
    );
}

#[test]
fn contradictions_name_the_override_that_made_them() {
    let wrong = |name: &str, set: &str| {
        let path = format!(
            "{}/../../examples/studies/{name}.toml",
            env!("CARGO_MANIFEST_DIR")
        );
        let study = Study::open(path.as_ref(), &[set.to_string()]).unwrap();
        Plan::new(study, ANY)
            .map(|p| p.groups)
            .unwrap_err()
            .to_string()
    };
    for (name, set, part) in [
        ("shallue", "data.validation=0", "holds nothing out"),
        ("keskar-f1", "stop.target=0.9", "holds nothing out"),
        ("gap", "data.validation=0", "tuned on held-out examples"),
        ("shallue", "stop.target=97", "such as 0.97"),
        ("keskar-f1", "budget.epochs=2", "a plateau of 10 epochs"),
        (
            "keskar-f1",
            "stop.plateau.epochs=40",
            "a plateau of 40 epochs",
        ),
    ] {
        let error = wrong(name, set);
        assert!(
            error.starts_with(&format!("--set {set}: ")) && error.contains(part),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_is_no_text_names_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latin.toml");
    std::fs::write(&path, b"name = 'x'\nabout = 'caf\xe9'\n").unwrap();
    let error = Study::open(&path, &[]).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{}, line 2: the byte 0xe9 at column 13 is not UTF-8: save the file in that encoding",
            path.display()
        )
    );
    let error = Study::open(&dir.path().join("none.toml"), &[]).unwrap_err();
    assert!(
        matches!(
            error,
            StudyError::Io {
                action: "reading",
                ..
            }
        ),
        "{error}"
    );
    let study = Study::parse(
        &format!("{RIGHT}set.lr = 1\nconfirm.probe = [\n'layers',\n'sharpnes']"),
        "file.toml",
        &[],
    )
    .unwrap();
    assert_eq!(
        study.error("confirm.probe.1", "no probe").to_string(),
        "file.toml, line 8: no probe"
    );
}

#[test]
fn the_training_side_is_asked_and_its_answer_has_a_line() {
    let check: Check = &|config| match get(config, "optimizer.momentum").and_then(number) {
        Some(m) if m >= 1.0 => Err(Problem {
            key: Some("optimizer.momentum".into()),
            message: format!("momentum = {m}: below 1"),
        }),
        _ => Ok(()),
    };
    let text = format!(
        "{RIGHT}set.lr = 1\n[[arm]]\nname = 'a'\n[[arm]]\nname = 'b'\nset.optimizer = {{ momentum = 1.5 }}"
    );
    let error = Plan::new(Study::parse(&text, "file.toml", &[]).unwrap(), check)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "file.toml, line 10: momentum = 1.5: below 1 (in the group arm=b)"
    );
    let text = format!("{RIGHT}search.optimizer.momentum = [0.9, 1.0]\nset.lr = 1");
    let error = Plan::new(Study::parse(&text, "file.toml", &[]).unwrap(), check)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("file.toml, line 5: momentum = 1: below 1"),
        "{error}"
    );
}

#[test]
fn overrides_change_settings_and_sections() {
    let study = |overrides: &[&str]| {
        Study::parse(
            &format!("{RIGHT}set.lr = 1"),
            "f",
            &overrides.iter().map(|o| o.to_string()).collect::<Vec<_>>(),
        )
    };
    let config = |overrides: &[&str]| {
        Plan::new(study(overrides).unwrap(), ANY).unwrap().groups[0]
            .config
            .clone()
    };
    assert_eq!(
        config(&["dataset=mnist", "optimizer.eps = 1e-8", "budget.epochs=7"])["dataset"].as_str(),
        Some("mnist")
    );
    assert_eq!(config(&["budget.epochs=7"])["epochs"].as_integer(), Some(7));
    assert_ne!(
        study(&["dataset=mnist"]).unwrap().resolved(),
        study(&[]).unwrap().resolved()
    );
    for (wrong, part) in [
        ("dataset", "key=value"),
        ("confirm.seds=3", "did you mean `seeds`"),
        ("a b=1", "not a dotted key"),
        ("budget.epochs=many", "invalid type"),
        ("=1", "not a dotted key"),
    ] {
        let error = study(&[wrong]).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("--set {wrong}: ")) && error.contains(part),
            "{error}"
        );
    }
}

#[test]
fn an_override_beats_conditions_but_for_those_on_arms() {
    let plan = recipe(
        "gap",
        &[
            "dataset=mnist",
            "model=mlp",
            "batch_size=4096",
            "budget.epochs=5",
        ],
    );
    let configs = configs(&plan);
    for (group, config) in &configs {
        assert_eq!(config["model"].as_str(), Some("mlp"), "{group}");
    }
    assert_eq!(
        (
            setting(&configs, "arm=small", "batch_size"),
            setting(&configs, "arm=small", "epochs")
        ),
        (128.0, 5.0)
    );
    assert_eq!(
        (
            setting(&configs, "arm=lamb", "batch_size"),
            setting(&configs, "arm=lamb", "epochs")
        ),
        (4096.0, 5.0)
    );
    assert_eq!(setting(&configs, "arm=longer", "budget.epochs"), 10.0);
    assert_eq!(setting(&configs, "arm=small", "data.validation"), 10848.0);
    let epochs = |overrides: &[&str]| {
        setting(
            &self::configs(&recipe("keskar-f1", overrides)),
            "batch_size=6000",
            "epochs",
        )
    };
    assert_eq!(
        (
            epochs(&[]),
            epochs(&["budget.epochs=2", "stop.plateau.epochs=1"])
        ),
        (150.0, 2.0)
    );
}
