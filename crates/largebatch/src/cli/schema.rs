//! `largebatch schema`.

use anyhow::Result;
use clap::{Args, ValueEnum};
use largebatch_component::schema;
use largebatch_study::Study;
use largebatch_train::Lab;
use serde_json::Value;

use super::{Done, print};

const EXAMPLES: &str = "\
Examples:
  largebatch schema run > run.schema.json
      Then `#:schema run.schema.json` as the first line of a TOML file lets an editor with taplo, such
      as VS Code's Even Better TOML, complete keys and check values.

  taplo lint --schema file://$PWD/run.schema.json digits.toml
      The same check on the command line.";

/// Print the JSON Schema of a file, with the optimizers, models and schedules of this program
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SchemaArgs {
    /// Which file
    #[arg(value_enum, value_name = "FILE")]
    of: File,
}

#[derive(Clone, Copy, ValueEnum)]
enum File {
    /// The configuration of a training run
    Run,
    /// A study
    Study,
}

pub(super) fn run(args: SchemaArgs, lab: &Lab) -> Result<Done> {
    let schema = match args.of {
        File::Run => lab.run_schema(),
        File::Study => study(lab),
    };
    print(serde_json::to_string_pretty(&schema)?)
}

/// The schema of a study, whose settings are those of a run, with names that may come from elsewhere
/// in the file.
fn study(lab: &Lab) -> Value {
    let mut schema = schema::<Study>();
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "a study of largebatch".into();
    let mut set = lab.run_schema();
    let settings = set["properties"].take();
    let settings = loosened(settings);
    let replace = |part: &mut Value| {
        part["properties"]["set"]["properties"] = settings.clone();
        part["properties"]["set"]["additionalProperties"] = false.into();
    };
    replace(&mut schema);
    for parts in ["arm", "when"] {
        replace(&mut schema["properties"][parts]["items"]);
    }
    schema
}

/// Components whose name is not required: an arm may change an option of one that is named above.
fn loosened(mut settings: Value) -> Value {
    for key in [
        "model",
        "optimizer",
        "schedule",
        "batch_schedule",
        "dataset",
    ] {
        let alternatives = settings[key]["anyOf"].as_array_mut();
        for one in alternatives.into_iter().flatten() {
            if let Some(object) = one.as_object_mut() {
                object.remove("required");
            }
        }
    }
    settings
}
