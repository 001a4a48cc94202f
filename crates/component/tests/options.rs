//! Options as types state them: what is listed, what is read, and what is refused.

use largebatch_component::{
    ComponentError, Entry, Facts, Kind, Registry, check, options, read, schema,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A component with an option of each sort.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Momentum μ.
    ///
    /// The listing leaves this paragraph out.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "at 1 nothing is forgotten"))]
    momentum: f64,
    /// The largest norm, over
    /// two lines.
    #[schemars(extend("exclusiveMinimum" = 0.0, "infinite" = true))]
    max_norm: f64,
    /// Units of each layer.
    #[schemars(length(min = 1, max = 3), inner(range(min = 1, max = 64)))]
    widths: Vec<usize>,
    /// Which form.
    form: Form,
    /// A seed, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<f64>,
    /// A switch.
    on: bool,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Form {
    /// The first.
    HeavyBall,
    /// The second.
    Ema,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            momentum: 0.9,
            max_norm: f64::INFINITY,
            widths: vec![8, 8],
            form: Form::HeavyBall,
            seed: None,
            on: false,
        }
    }
}

fn parsed(text: &str) -> Result<Config, ComponentError> {
    read(
        Kind::Model,
        "net",
        toml::Table::try_from(Config::default()).unwrap(),
        text.parse().unwrap(),
    )
}

#[test]
fn a_type_lists_its_options() {
    let rows: Vec<_> = options(&Config::default())
        .into_iter()
        .map(|o| [o.name, o.default, o.purpose, o.range].join(" | "))
        .collect();
    assert_eq!(
        rows,
        [
            "momentum | 0.9 | Momentum μ | 0 ≤ x < 1",
            "max_norm | inf | The largest norm, over two lines | above 0, or inf",
            "widths | [8, 8] | Units of each layer | 1 to 3 values, each a whole number, 1 ≤ x ≤ 64",
            "form | \"heavy-ball\" | Which form | \"heavy-ball\", \"ema\"",
            "seed | none | A seed, if any | any number",
            "on | false | A switch | true, false",
        ]
    );
}

#[test]
fn given_values_stand_over_the_base() {
    let config = parsed("momentum = 0\nform = \"ema\"\nseed = 3").unwrap();
    assert_eq!(
        config,
        Config {
            momentum: 0.0,
            form: Form::Ema,
            seed: Some(3.0),
            ..Config::default()
        }
    );
    assert_eq!(parsed("max_norm = inf").unwrap(), Config::default());
}

#[test]
fn every_mistake_names_the_option() {
    for (text, message) in [
        (
            "momentum = 1.0",
            "model `net`: `momentum` is 1, but it must be 0 ≤ x < 1: at 1 nothing is forgotten",
        ),
        (
            "momentum = nan",
            "model `net`: `momentum` is NaN, but it must be a finite number, 0 ≤ x < 1: at 1 nothing is forgotten",
        ),
        (
            "max_norm = 0",
            "model `net`: `max_norm` is 0, but it must be above 0, or inf",
        ),
        (
            "seed = inf",
            "model `net`: `seed` is inf, but it must be a finite number",
        ),
        (
            "widths = []",
            "model `net`: `widths` is a list of 0, but it must be 1 to 3 values, each a whole number, 1 ≤ x ≤ 64",
        ),
        (
            "widths = [8, 65]",
            "model `net`: `widths` is 65, but it must be 1 to 3 values, each a whole number, 1 ≤ x ≤ 64",
        ),
        (
            "momentun = 1",
            "model `net` has no option `momentun`, did you mean `momentum`? It has `momentum`, `max_norm`, `widths`, `form`, `seed`, `on`",
        ),
        (
            "zzz = 1",
            "model `net` has no option `zzz`; it has `momentum`, `max_norm`, `widths`, `form`, `seed`, `on`",
        ),
    ] {
        assert_eq!(parsed(text).unwrap_err().to_string(), message);
    }
    for (text, parts) in [
        (
            "form = \"heavy\"",
            ["model `net`: `form` cannot be \"heavy\"", "heavy-ball"],
        ),
        ("on = 1", ["model `net`: `on` cannot be 1", "boolean"]),
        (
            "widths = 8",
            ["model `net`: `widths` cannot be 8", "sequence"],
        ),
    ] {
        let message = parsed(text).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
    assert!(check(Kind::Model, "net", &Config::default()).is_ok());
}

#[test]
fn the_schema_is_draft_7_with_everything_inlined() {
    let schema = schema::<Config>();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["momentum"]["default"], 0.9);
    assert_eq!(schema["properties"]["momentum"]["exclusiveMaximum"], 1.0);
    assert!(!schema.to_string().contains("$ref"));
}

fn entry(facts: Facts) -> Entry<Config> {
    Entry::new(
        Kind::Optimizer,
        facts,
        |preset| match preset {
            None => Some(Config::default()),
            Some("ema") => Some(Config {
                form: Form::Ema,
                ..Config::default()
            }),
            Some(_) => None,
        },
        Ok,
    )
}

const ADAM: Facts = Facts::new("adam", "one");
const OTHER: Facts = Facts::new("adam", "another");
const SGD: Facts = Facts::new("sgd", "a third")
    .presets(&[("ema", "the other form")])
    .aliases(&[("asgd", "momentum = 0.5")]);

#[test]
fn a_registry_is_open_and_suggests() {
    let all = Registry::new(Kind::Optimizer)
        .with(entry(ADAM))
        .with(entry(SGD))
        .with(entry(OTHER));
    assert_eq!(all.names().collect::<Vec<_>>(), ["adam", "sgd"]);
    assert_eq!(all.named("adam").ok().unwrap().facts().summary, "another");
    let error = |name| all.named(name).err().unwrap().to_string();
    assert_eq!(
        error("Adma"),
        "unknown optimizer `Adma`, did you mean `adam`? The optimizers are `adam`, `sgd`, `asgd`"
    );
    assert_eq!(
        error("lion-king"),
        "unknown optimizer `lion-king`; the optimizers are `adam`, `sgd`, `asgd`"
    );
}

#[test]
fn presets_and_aliases_set_options() {
    let all = Registry::new(Kind::Optimizer)
        .with(entry(ADAM))
        .with(entry(SGD));
    let read = |name, text: &str| all.configure(name, text.parse().unwrap());
    assert_eq!(read("sgd", "preset = 'ema'").unwrap().form, Form::Ema);
    assert_eq!(read("asgd", "seed = 1").unwrap().momentum, 0.5);
    let error = |name, text| read(name, text).unwrap_err().to_string();
    assert_eq!(
        error("asgd", "momentum = 0.1"),
        "optimizer `asgd`: `momentum` cannot be 0.1: the name sets it to 0.5; use `sgd`"
    );
    assert_eq!(
        error("sgd", "preset = 'emma'"),
        "optimizer `sgd` has no preset `emma`, did you mean `ema`? It has `ema`"
    );
    assert!(error("sgd", "preset = 3").contains("`preset` cannot be 3"));
    assert!(error("adam", "preset = 'ema'").contains("has no option `preset`"));
    let schema = all.schema();
    assert_eq!(
        schema["anyOf"][0]["enum"],
        serde_json::json!(["adam", "sgd", "asgd"])
    );
    assert_eq!(schema["anyOf"][1]["properties"]["name"]["const"], "adam");
}

/// Without a default, an option must be given.
#[test]
fn a_missing_option_is_named_with_its_purpose() {
    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct File {
        /// The file to read.
        path: String,
        /// Its columns.
        #[serde(skip_serializing_if = "Option::is_none")]
        columns: Option<u32>,
    }
    let read = |text: &str| {
        read::<File>(
            Kind::Format,
            "csv",
            Default::default(),
            text.parse().unwrap(),
        )
        .map_err(|e| e.to_string())
    };
    assert_eq!(
        read("columns = 3").unwrap_err(),
        "format `csv` needs `path`: The file to read"
    );
    assert!(
        read("path = 'a'\ncolumns = 'b'")
            .unwrap_err()
            .starts_with("format `csv`: `columns` cannot be \"b\"")
    );
    assert!(read("path = 'a'").is_ok());
}
