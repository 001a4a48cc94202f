//! `largebatch data`.

use anyhow::Result;
use clap::{Args, Subcommand};
use largebatch_data::{DataError, fetch, list, path, verify};
use largebatch_train::{Lab, TrainError};

use super::facts::{self, FactsArgs};
use super::{DataDir, Done, Global, print, print_json, say};

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
        DataCommand::List(args) => show(&args, lab),
        DataCommand::Info(args) => facts::show(args, "data info", &lab.datasets, &[]),
        DataCommand::Fetch(args) => download(&args, global),
        DataCommand::Verify(args) => check(&args),
        DataCommand::Path(args) => {
            match path(&args.name, &args.data_dir.search()).map_err(TrainError::from)? {
                Some(path) => print(path.display()),
                None => print(format_args!("built in: {}", args.name)),
            }
        }
    }
}

fn show(args: &ListArgs, lab: &Lab) -> Result<Done> {
    let sets = list(&lab.datasets, &args.data_dir.search());
    if args.json {
        return print_json(&sets);
    }
    for set in sets {
        let size = match set.bytes {
            0 => String::new(),
            bytes => format!("{:.1} MB, ", bytes as f64 / 1e6),
        };
        let name = &set.name;
        let away = || format!("not on this machine; run: largebatch data fetch {name}");
        let place = set.place.unwrap_or_else(away);
        print(format_args!(
            "{name:<15}{}\n{:15}{size}{place}",
            set.summary, ""
        ))?;
    }
    Ok(Done::Ok)
}

fn download(args: &NameArgs, global: &Global) -> Result<Done> {
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
    let name = &args.name;
    match fetched.map_err(TrainError::from)? {
        Some(folder) => print(format_args!("{name} is complete, in {}", folder.display())),
        None => print(format_args!(
            "{name} is built into this program; nothing to fetch"
        )),
    }
}

fn check(args: &NameArgs) -> Result<Done> {
    let sources = verify(&args.name, &args.data_dir.search()).map_err(TrainError::from)?;
    let mut unknown = Vec::new();
    for source in sources {
        let verdict = match source.known {
            true => "as published",
            false => "NOT the published content",
        };
        print(format_args!(
            "{}  {}  {verdict}",
            source.sha256, source.file
        ))?;
        unknown.extend((!source.known).then_some(source.file));
    }
    match unknown.into_iter().next() {
        None => Ok(Done::Ok),
        Some(file) => Err(TrainError::Data(DataError::Unpublished {
            name: args.name.clone(),
            file,
        })
        .into()),
    }
}
