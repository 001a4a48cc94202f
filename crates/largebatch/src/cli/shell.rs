//! `largebatch completions` and `largebatch man`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use clap_complete::Shell;

use super::{Done, command};
use crate::Lab;

/// Print a shell's completion script
#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write the pages of all subcommands into a folder
#[derive(Args)]
pub(super) struct ManArgs {
    /// Folder for the pages of all subcommands
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn completions(args: CompletionsArgs, lab: &Lab) -> Result<Done> {
    // Written to memory first: the generator panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(lab), "largebatch", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Done::Ok)
}

pub(super) fn man(args: ManArgs, lab: &Lab) -> Result<Done> {
    match args.out {
        None => clap_mangen::Man::new(command(lab)).render(&mut std::io::stdout())?,
        Some(dir) => {
            std::fs::create_dir_all(&dir)
                .with_context(|| format!("{}: cannot create the folder", dir.display()))?;
            clap_mangen::generate_to(command(lab), &dir)
                .with_context(|| format!("{}: cannot write the pages", dir.display()))?;
        }
    }
    Ok(Done::Ok)
}
