//! The JSON Schema of a run's configuration: it has every component with every option, and another
//! program, where there is one, takes all committed files and refuses wrong ones.

use std::process::Command;

use largebatch_tests::{folder, json, ok, write};
use serde_json::Value;

#[test]
fn it_has_every_option_of_every_component() {
    let folder = folder();
    let dir = folder.path();
    let schema: Value = serde_json::from_str(&ok(dir, &["schema", "run"]).stdout).expect("JSON");
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(schema["additionalProperties"], false);
    for (key, table) in [
        ("model", "models"),
        ("optimizer", "optimizers"),
        ("schedule", "schedules"),
        ("batch_schedule", "batch-schedules"),
    ] {
        let alternatives = schema["properties"][key]["anyOf"]
            .as_array()
            .expect("alternatives");
        for object in json(dir, &[table]).as_array().expect("a list") {
            let one = alternatives
                .iter()
                .find(|one| {
                    let name = &one["properties"]["name"];
                    let among = |all: &Vec<Value>| all.contains(&object["name"]);
                    name["const"] == object["name"] || name["enum"].as_array().is_some_and(among)
                })
                .unwrap_or_else(|| panic!("{key} lacks {}", object["name"]));
            for option in object["parameters"].as_array().expect("a list") {
                let name = option["name"].as_str().expect("a name");
                let described = &one["properties"][name];
                assert!(described.is_object(), "{} lacks {name}", object["name"]);
            }
            assert_eq!(one["additionalProperties"], false);
        }
    }
    assert!(schema["properties"]["lr"]["description"].is_string());
}

/// Each is wrong in one place, in the words of the schema alone.
const WRONG: [&str; 12] = [
    "dataste = 'digits'",
    "dataset = 'digit'",
    "model = 'mpl'",
    "model = { name = 'mlp', widths = 8 }",
    "model = { name = 'mlp', widths = [] }",
    "optimizer = { name = 'sgd', momentum = 0.9 }",
    "optimizer = { name = 'momentum', momentum = 1.0 }",
    "optimizer = { name = 'lars', preset = 'mlpref' }",
    "schedule = { name = 'cosine', length = { epochs = -1 } }",
    "schedule = { name = 'cosine', warmup = { epoch = 5 } }",
    "lr = -0.1",
    "epochs = 0",
];

/// The same for studies.
const WRONG_STUDIES: [&str; 11] = [
    "name = 'x'\nstop.prune.after = 2",
    "nmae = 'x'",
    "name = 'x'\nconfirm.seeds = 0",
    "name = 'x'\nconfirm.seeds = [1, 1]",
    "name = 'x'\nset.modle = 'mlp'",
    "name = 'x'\nset.model = 'mpl'",
    "name = 'x'\nset.optimizer = { name = 'sgd', momentum = 0.9 }",
    "name = 'x'\nset.optimizer.momentum = 1.5",
    "name = 'x'\nsearch.lr = { log_uniform = [0.1] }",
    "name = 'x'\naxes.batch_size = 32",
    "name = 'x'\n[[arm]]\nset.schedule = 'cosin'",
];

/// Python's `jsonschema`, where the wide suite has installed it.
#[test]
fn another_program_agrees() {
    let Some(python) = std::env::var_os("LARGEBATCH_PYTHON") else {
        eprintln!("skipped: LARGEBATCH_PYTHON names no Python with jsonschema");
        return;
    };
    let folder = folder();
    let dir = folder.path();
    write(dir, "schema.json", ok(dir, &["schema", "run"]).stdout);
    for (i, text) in WRONG.iter().enumerate() {
        write(dir, &format!("wrong-{i:02}.toml"), text);
    }
    write(dir, "study.json", ok(dir, &["schema", "study"]).stdout);
    for (i, text) in WRONG_STUDIES.iter().enumerate() {
        write(dir, &format!("bad-study-{i:02}.toml"), text);
    }
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let script = r#"
import glob, json, sys, tomllib
import jsonschema
def compare(schema, good, bad):
    schema = json.load(open(schema))
    jsonschema.Draft7Validator.check_schema(schema)
    judge = jsonschema.Draft7Validator(schema)
    assert len(good) >= 8 and len(bad) >= 10, (good, bad)
    for path in good:
        errors = list(judge.iter_errors(tomllib.load(open(path, "rb"))))
        assert not errors, (path, [e.message for e in errors])
    for path in bad:
        assert not judge.is_valid(tomllib.load(open(path, "rb"))), path
examples = sys.argv[1]
compare("schema.json", glob.glob(examples + "/train/*.toml"), glob.glob("wrong-*.toml"))
studies = [p for p in glob.glob(examples + "/studies/*.toml") if not p.endswith("Cargo.toml")]
studies += glob.glob(examples + "/studies/results/*/study.toml")
compare("study.json", studies, glob.glob("bad-study-*.toml"))
"#;
    let output = Command::new(python)
        .args(["-c", script, examples])
        .current_dir(dir)
        .output()
        .expect("a Python");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
