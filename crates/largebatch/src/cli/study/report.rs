//! The report of a study, and its exports.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use largebatch_probe::probed;
use largebatch_report::{Context as Around, Format, Outline, Report};
use largebatch_study::{Results, Study};
use terminal_size::terminal_size_of;

use super::{FolderArgs, RunArgs, WhatArgs, recipes};
use crate::Lab;
use crate::cli::{Done, Global, print, version, warn};

#[derive(Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    study: FolderArgs,
    /// Folder of the report [default: DIR/report]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    study: FolderArgs,
    /// csv, parquet, jsonl, tensorboard, html, svg or png
    #[arg(long, value_name = "NAME")]
    format: Format,
    /// Folder to write, new or empty [default: DIR/export/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn report(args: &ReportArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let folder = &args.study.folder;
    let results = Results::open(folder)?;
    let (command, about) = about_of(&results, folder);
    let out = args.out.clone().unwrap_or_else(|| folder.join("report"));
    let around = around(command, &about, &results, folder, lab)?;
    write_report(&results, &around, &out, global)?;
    Ok(Done::Ok)
}

/// The command that continues the study in a folder, and what the study is about.
pub(super) fn about_of(results: &Results, folder: &Path) -> (String, String) {
    // The folder keeps the whole study except what it is about, which a recipe knows.
    let study = &results.plan.study;
    let recipe = recipes::study(&study.name, &[])
        .ok()
        .filter(|recipe| recipe.resolved() == study.resolved());
    let about = recipe.map_or(String::new(), |recipe| recipe.about);
    let file = folder.join("study.toml").display().to_string();
    (shell(&["study".into(), "run".into(), file], folder), about)
}

pub(super) fn export(args: &ExportArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let folder = &args.study.folder;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| folder.join("export").join(args.format.name()));
    if let Some(parent) = out.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("creating {}", parent.display()))?;
    }
    let results = Results::open(folder)?;
    let around = around(String::new(), "", &results, folder, lab)?;
    let written = Report::new(&results, &around).write(&out, &[args.format])?;
    say_undrawn(&written.undrawn);
    if global.quiet {
        return Ok(Done::Ok);
    }
    let n = written.files.len();
    print(format_args!("{n} files in {}", out.display()))
}

/// Warns about characters that are missing in the PNG figures.
fn say_undrawn(characters: &str) {
    if !characters.is_empty() {
        warn(&format!(
            "no font on this machine has {characters}: the PNG figures show `?` instead; install a font that has them, or use the SVG figures"
        ));
    }
}

/// Writes the report and prints its summary.
pub(super) fn write_report(
    results: &Results,
    around: &Around,
    out: &Path,
    global: &Global,
) -> Result<()> {
    let report = Report::new(results, around);
    say_undrawn(&report.write(out, &Format::REPORT)?.undrawn);
    if !global.quiet {
        let columns = std::env::var("COLUMNS").ok().and_then(|n| n.parse().ok());
        let terminal = terminal_size_of(std::io::stdout()).map(|(w, _)| w.0.into());
        let text = report.terminal(columns.or(terminal).unwrap_or(150));
        print(format!(
            "{}\nreport: {}",
            terminal.map_or(text.clone(), |width| wrapped(&text, width)),
            out.join("index.html").display()
        ))?;
    }
    Ok(())
}

pub(super) fn around(
    command: String,
    about: &str,
    results: &Results,
    folder: &Path,
    lab: &Lab,
) -> Result<Around> {
    let environment = vec![("program".into(), format!("largebatch {}", version()))];
    Ok(Around {
        command,
        about: about.trim().into(),
        environment,
        probed: probed(&lab.probes, folder, &Outline::new(results))?,
    })
}

/// The command that repeats a study; without --jobs, which changes no result, and --data-dir, which
/// depends on the machine.
pub(super) fn repeats(args: &RunArgs, folder: &Path) -> String {
    let what = ["study".into(), "run".into(), args.what.study.clone()].into_iter();
    let set = args
        .what
        .set
        .iter()
        .flat_map(|s| ["--set".into(), s.clone()]);
    shell(&what.chain(set).collect::<Vec<_>>(), folder)
}

/// A command with its folder, quoted for a shell.
fn shell(words: &[String], folder: &Path) -> String {
    let folder = folder.display().to_string();
    let words = ["largebatch"]
        .into_iter()
        .chain(words.iter().map(String::as_str))
        .chain(["--out", &folder]);
    words
        .map(|word| shlex::try_quote(word).map_or_else(|_| word.into(), |word| word.into_owned()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// What a study is about: its own text, preceded by a note if `--set` has changed the study.
pub(super) fn about(study: &Study, what: &WhatArgs) -> String {
    if what.set.is_empty() {
        return study.about.clone();
    }
    format!(
        "Changed by {}. About the unchanged study: {}",
        what.set.join(", "),
        study.about.trim()
    )
}

/// The text with its lines broken between words, except those of tables, which fit.
fn wrapped(text: &str, width: usize) -> String {
    let options =
        textwrap::Options::new(width).word_splitter(textwrap::WordSplitter::NoHyphenation);
    let lines = text
        .lines()
        .map(|line| textwrap::fill(line, &options) + "\n");
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_quoted_where_it_must_be() {
        let words = ["study", "run", "gap", "--set", "axes.optimizer=[\"sgd\"]"].map(String::from);
        let command = shell(&words, Path::new("qu ote"));
        assert_eq!(
            shlex::split(&command).unwrap(),
            [
                "largebatch",
                "study",
                "run",
                "gap",
                "--set",
                &words[4],
                "--out",
                "qu ote"
            ]
        );
        assert!(
            shell(&words[..3], Path::new("studies/gap"))
                == "largebatch study run gap --out studies/gap"
        );
    }
}
