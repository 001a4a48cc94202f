//! `largebatch schema`.

use std::io::Write as _;

use anyhow::Result;
use clap::{Args, ValueEnum};
use largebatch_train::Lab;

use super::Done;

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
}

pub(super) fn run(args: SchemaArgs, lab: &Lab) -> Result<Done> {
    let schema = match args.of {
        File::Run => lab.run_schema(),
    };
    writeln!(
        std::io::stdout(),
        "{}",
        serde_json::to_string_pretty(&schema)?
    )?;
    Ok(Done::Ok)
}
