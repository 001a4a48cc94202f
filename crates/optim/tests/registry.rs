//! Names, presets, options and their errors.

use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};
use largebatch_component::Facts;
use largebatch_optim::conformance::{Reference, check};
use largebatch_optim::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn error(name: &str, preset: Option<&str>, options: &str) -> String {
    let mut options: toml::Table = options.parse().unwrap();
    options.extend(preset.map(|preset| ("preset".into(), preset.into())));
    standard().configure(name, options).unwrap_err().to_string()
}

#[test]
fn every_mistake_is_named_with_its_remedy() {
    for (name, preset, options, parts) in [
        (
            "lar",
            None,
            "",
            vec!["`lar`", "did you mean `lars`?", "`adamw`"],
        ),
        ("quux", None, "", vec!["`quux`;", "`sgd`"]),
        (
            "lars",
            Some("mlpref"),
            "",
            vec!["`mlpref`", "did you mean `mlperf`?", "`apex-larc`"],
        ),
        (
            "lars",
            None,
            "wieght_decay = 0.1",
            vec!["`wieght_decay`", "did you mean `weight_decay`?"],
        ),
        (
            "sgd",
            None,
            "momentum = 0.9",
            vec!["`sgd` has no option `momentum`", "`weight_decay`"],
        ),
        (
            "momentum",
            None,
            "momentum = 1.0",
            vec!["`momentum` is 1", "0 ≤ x < 1"],
        ),
        (
            "momentum",
            None,
            "momentum = nan",
            vec!["`momentum` is NaN"],
        ),
        (
            "momentum",
            None,
            "dampening = 0.1\nform = \"ema\"",
            vec!["`dampening`", "form"],
        ),
        (
            "momentum",
            None,
            "form = \"hevy-ball\"",
            vec!["`form`", "hevy-ball", "heavy-ball"],
        ),
        ("adam", None, "beta2 = \"high\"", vec!["`beta2`", "high"]),
        ("adam", None, "eps = -1e-8", vec!["`eps` is -0.00000001"]),
        (
            "adam",
            None,
            "weight_decay = inf",
            vec!["`weight_decay` is inf"],
        ),
        (
            "lars",
            None,
            "trust_coefficient = 0",
            vec!["`trust_coefficient` is 0", "no layer would move"],
        ),
        (
            "lars",
            None,
            "nesterov = true\nmomentum = 0.0",
            vec!["`nesterov`", "momentum 0"],
        ),
        (
            "lamb",
            None,
            "ratio_min = 3.0\nratio_max = 2.0",
            vec!["`ratio_min`", "smaller ratio_max"],
        ),
        (
            "lamb",
            None,
            "max_grad_norm = 0",
            vec!["`max_grad_norm`", "inf is no clipping"],
        ),
        (
            "sgd",
            None,
            "exclude_from_weight_decay = \"bias(\"",
            vec!["`bias(`", "regular expression"],
        ),
        (
            "sgd",
            None,
            "exclude_from_weight_decay = [\"none\"]",
            vec!["`none`"],
        ),
        (
            "sgd",
            None,
            "exclude_from_weight_decay = 3",
            vec!["`exclude_from_weight_decay`", "layer:NAME"],
        ),
        (
            "sgd",
            None,
            "groups = [{ lr_factor = 0.1 }]",
            vec!["`groups`", "parameters"],
        ),
        (
            "sgd",
            None,
            "groups = [{ parameters = \"bias\", lr_factor = -1 }]",
            vec!["`groups.lr_factor` is -1", "at least 0"],
        ),
        (
            "momentum",
            None,
            "groups = [{ parameters = \"bias\", momentun = 0.5 }]",
            vec!["`momentun`", "did you mean `momentum`?"],
        ),
        (
            "momentum",
            None,
            "groups = [{ parameters = \"bias\", momentum = 1.5 }]",
            vec!["`momentum` is 1.5", "0 ≤ x < 1"],
        ),
        (
            "momentum",
            None,
            "groups = [{ parameters = \"bias\", form = \"ema\", dampening = 0.5 }]",
            vec!["`dampening`", "form"],
        ),
    ] {
        let message = error(name, preset, options);
        for part in parts {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn options_stand_over_the_preset() {
    let registry = standard();
    let entry = registry.named("lars").unwrap();
    let recipe = entry.preset(
        "timm",
        "momentum = 0.5\nexclude_from_weight_decay = [\"vectors\", \"layer:BatchNorm\"]"
            .parse()
            .unwrap(),
    );
    let table = recipe.unwrap().table();
    assert_eq!(table["momentum"].as_float(), Some(0.5));
    assert_eq!(table["eps"].as_float(), Some(1e-8));
    assert_eq!(
        table["exclude_from_weight_decay"].as_array().unwrap().len(),
        2
    );
    assert_eq!(
        entry.defaults(None).unwrap(),
        entry.defaults(Some("paper")).unwrap()
    );
    assert_eq!(
        entry
            .configure("momentum = 0".parse().unwrap())
            .unwrap()
            .table()["momentum"]
            .as_float(),
        Some(0.0)
    );
    assert_eq!(
        toml::from_str::<LarsConfig>("rate = \"outside\"").unwrap(),
        LarsConfig {
            rate: RatePlace::Outside,
            ..Default::default()
        }
    );
}

/// Groups are written only where there are some, and are read back.
#[test]
fn groups_are_options_of_every_optimizer() {
    for entry in standard().iter() {
        let plain = entry.configure(toml::Table::new()).unwrap().table();
        assert!(!plain.contains_key("groups"));
        let options = toml::toml! { groups = [{ parameters = "^head", lr_factor = 0.1, weight_decay = 0.5 }] };
        let table = entry.configure(options.clone()).unwrap().table();
        assert_eq!(table["groups"], options["groups"]);
        assert_eq!(entry.configure(table.clone()).unwrap().table(), table);
        let listed = entry.options();
        assert_eq!(listed.last().map(|o| o.name.as_str()), Some("groups"));
    }
}

/// The default preset is the paper's where origins differ by more than options, timm's for NAdamW,
/// Keller Jordan's for Muon, and else PyTorch's.
#[test]
fn the_first_preset_is_the_default() {
    for entry in standard().iter() {
        let expected = match entry.facts().name {
            "lars" | "lamb" | "lans" | "lion" | "novograd" => "paper",
            "nadamw" => "timm",
            "muon" => "keller",
            _ => "torch",
        };
        assert_eq!(entry.facts().presets[0].0, expected);
    }
}

/// Sign descent: a complete optimizer, as another crate would define it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SignConfig {
    /// Weight decay λ.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "it is small"))]
    weight_decay: f64,
}

#[derive(Clone)]
struct Sign(f64);

impl OptimizerConfig for SignConfig {
    type Rule = Sign;
    const FACTS: Facts = Facts::new("sign", "a step of the same size in every coordinate")
        .formula("w ← w − η sign(g + λ w)")
        .paper("Bernstein et al. 2018, arXiv 1802.04434")
        .presets(&[("paper", "the paper's")]);
    fn preset(name: &str) -> Option<Self> {
        (name == "paper").then(Self::default)
    }
    fn rule_for(&self, group: ParameterGroup) -> Sign {
        Sign(if group.decay { self.weight_decay } else { 0.0 })
    }
}

impl Rule for Sign {}

impl Optimizer for Sign {
    type State<const D: usize> = ();
    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        _: Option<()>,
    ) -> (Tensor<D>, Option<()>) {
        let g = g + w.clone() * self.0;
        (w - g.sign() * lr, None)
    }
    fn to_device<const D: usize>(_: (), _: &Device) {}
}

fn sign_by_hand(decay: f64) -> Reference {
    Reference::by_hand("the formula", |p| {
        for (w, g) in p.w.iter_mut().zip(p.g) {
            let g = g + decay * *w;
            *w -= if g == 0.0 { 0.0 } else { p.lr * g.signum() };
        }
    })
}

#[test]
fn an_optimizer_from_outside_joins_and_conforms() {
    let registry = standard().with(entry::<SignConfig>());
    assert_eq!(registry.iter().last().unwrap().facts().name, "sign");
    assert_eq!(
        registry
            .named("sign")
            .unwrap()
            .configure(toml::Table::new())
            .unwrap()
            .facts()
            .name,
        "sign"
    );
    // Adding it again replaces the entry.
    assert_eq!(
        registry
            .with(entry::<SignConfig>())
            .iter()
            .filter(|e| e.facts().name == "sign")
            .count(),
        1
    );
    let references = [
        sign_by_hand(0.0),
        sign_by_hand(0.1)
            .option("weight_decay", 0.1)
            .preset("paper"),
    ];
    let report = check::<SignConfig>(&references).unwrap();
    assert_eq!(report.rows.len(), 2);
}

/// The suite fails without a reference, with a wrong one, and on a configuration that documents and
/// refuses nothing.
#[test]
fn the_suite_can_fail() {
    let none = check::<SignConfig>(&[]).unwrap_err();
    assert!(
        none.failures.iter().any(|f| f.contains("no reference")),
        "{none}"
    );
    let wrong = check::<SignConfig>(&[sign_by_hand(1e-3)]).unwrap_err();
    assert!(
        wrong
            .failures
            .iter()
            .any(|f| f.contains("deviates from the formula")),
        "{wrong}"
    );

    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Bad {
        rate_of_climb: f64,
    }
    impl Default for Bad {
        fn default() -> Self {
            Bad { rate_of_climb: 1.0 }
        }
    }
    #[derive(Clone)]
    struct Climb;
    impl Rule for Climb {}
    impl Optimizer for Climb {
        type State<const D: usize> = ();
        fn step<const D: usize>(
            &self,
            lr: f64,
            w: Tensor<D>,
            g: Tensor<D>,
            _: Option<()>,
        ) -> (Tensor<D>, Option<()>) {
            let unit = g.clone() / g.square().sum().sqrt().reshape([1; D]); // not finite at 0
            (w + unit * lr, None)
        }
        fn to_device<const D: usize>(_: (), _: &Device) {}
    }
    impl OptimizerConfig for Bad {
        type Rule = Climb;
        const FACTS: Facts = Facts::new("bad", "")
            .formula("w ← w + η g/‖g‖")
            .paper("none")
            .presets(&[("up", "up")]);
        fn preset(name: &str) -> Option<Self> {
            (name == "up").then_some(Bad { rate_of_climb: 2.0 })
        }
        fn rule_for(&self, _: ParameterGroup) -> Climb {
            Climb
        }
    }
    let bad = check::<Bad>(&[sign_by_hand(0.0)])
        .unwrap_err()
        .failures
        .join("\n");
    for part in [
        "summary is empty",
        "not its first preset",
        "`rate_of_climb` has no doc line",
        "deny_unknown_fields",
        "not finite",
        "parabola",
        "Rosenbrock",
    ] {
        assert!(bad.contains(part), "{bad} lacks {part}");
    }
}
