//! `largebatch data`.

use std::io::Write as _;

use anyhow::Result;
use clap::{Args, Subcommand};
use largebatch_data::{DataError, fetch, list, path, verify};
use largebatch_train::{Lab, TrainError};

use super::facts::{self, FactsArgs};
use super::{DataDir, Done, Global, print_json, say};

/// List, fetch and check data sets
#[derive(Subcommand)]
pub(super) enum DataCommand {
    /// List the data sets: built in, on this machine, or available for download
    List(ListArgs),
    /// Show the details of a data set: source, and options if it has any
    Info(FactsArgs),
    /// Download a data set into the cache folder, resuming a partial download, and check it
    Fetch(NameArgs),
    /// Hash the files of a data set and compare them with the catalogue
    Verify(NameArgs),
    /// Print the folder that a data set is read from
    Path(NameArgs),
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    data_dir: DataDir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct NameArgs {
    /// The data set's name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    data_dir: DataDir,
}

pub(super) fn run(command: DataCommand, global: &Global, lab: &Lab) -> Result<Done> {
    match command {
        DataCommand::List(args) => show(&args, lab)?,
        DataCommand::Info(args) => return facts::show(args, "data info", &lab.datasets, &[]),
        DataCommand::Fetch(args) => download(&args, global)?,
        DataCommand::Verify(args) => check(&args)?,
        DataCommand::Path(args) => {
            match path(&args.name, &args.data_dir.search()).map_err(TrainError::from)? {
                Some(path) => writeln!(std::io::stdout(), "{}", path.display())?,
                None => writeln!(std::io::stdout(), "built in: {}", args.name)?,
            }
        }
    }
    Ok(Done::Ok)
}

fn show(args: &ListArgs, lab: &Lab) -> Result<()> {
    let sets = list(&lab.datasets, &args.data_dir.search());
    if args.json {
        return print_json(&sets);
    }
    let mut out = std::io::stdout().lock();
    for set in sets {
        let size = match set.bytes {
            0 => String::new(),
            bytes => format!("{:.1} MB, ", bytes as f64 / 1e6),
        };
        let place = set.place.unwrap_or_else(|| {
            format!(
                "not on this machine; run: largebatch data fetch {}",
                set.name
            )
        });
        writeln!(
            out,
            "{:<15}{}\n{:15}{size}{place}",
            set.name, set.summary, ""
        )?;
    }
    Ok(())
}

fn download(args: &NameArgs, global: &Global) -> Result<()> {
    let bar = super::progress::bar(!global.quiet, 0, "bytes");
    let mut file = String::new();
    let fetched = fetch(&args.name, &args.data_dir.search(), &mut |progress| {
        if file != progress.file {
            file.clone_from(&progress.file);
            if bar.is_hidden() && !global.quiet {
                say(&format!(
                    "fetching {} from {}",
                    progress.file, progress.address
                ));
            }
            bar.set_message(format!("· {}", progress.file));
        }
        bar.set_length(progress.total.unwrap_or(progress.done));
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    match fetched.map_err(TrainError::from)? {
        Some(folder) => writeln!(
            std::io::stdout(),
            "{} is complete, in {}",
            args.name,
            folder.display()
        )?,
        None => writeln!(
            std::io::stdout(),
            "{} is built into this program; nothing to fetch",
            args.name
        )?,
    }
    Ok(())
}

fn check(args: &NameArgs) -> Result<()> {
    let sources = verify(&args.name, &args.data_dir.search()).map_err(TrainError::from)?;
    let mut unknown = Vec::new();
    for source in sources {
        let verdict = if source.known {
            "as published"
        } else {
            "NOT the published content"
        };
        writeln!(
            std::io::stdout(),
            "{}  {}  {verdict}",
            source.sha256,
            source.file
        )?;
        unknown.extend((!source.known).then_some(source.file));
    }
    match unknown.into_iter().next() {
        None => Ok(()),
        Some(file) => Err(TrainError::Data(DataError::Unpublished {
            name: args.name.clone(),
            file,
        })
        .into()),
    }
}
