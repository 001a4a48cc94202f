//! `largebatch models`, `optimizers` and `schedules`: the tables, and the details of one entry.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use clap::Args;
use largebatch_component::{Facts, Opt};
use largebatch_train::{Lab, TrainError};
use serde_json::{Value, json};

use super::{Done, print_json};

#[derive(Args)]
pub(super) struct FactsArgs {
    /// Show the details of this entry
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One row of any of the tables.
struct Row {
    name: &'static str,
    summary: &'static str,
    /// Texts with a label, such as the formula and the paper.
    texts: Vec<(&'static str, String)>,
    options: Vec<Opt>,
    /// Name, summary, and the options that differ from the defaults.
    presets: Vec<(&'static str, &'static str, toml::Table)>,
}

pub(super) fn optimizers(args: FactsArgs, lab: &Lab) -> Result<Done> {
    let mut rows = Vec::new();
    for entry in lab.optimizers.iter() {
        let options = |preset| entry.defaults(preset).map_err(TrainError::from);
        let (facts, defaults) = (entry.facts(), options(None)?);
        let mut presets = Vec::new();
        for preset in facts.presets {
            let mut own = options(Some(preset.name))?;
            own.retain(|key, value| defaults.get(key) != Some(value));
            presets.push((preset.name, preset.summary, own));
        }
        rows.push(Row {
            presets,
            ..Row::of(facts, entry.options())
        });
    }
    show(args, "optimizer", rows)
}

pub(super) fn models(args: FactsArgs, lab: &Lab) -> Result<Done> {
    let row = |entry: &largebatch_models::Entry| {
        let mut row = Row::of(entry.facts(), entry.options());
        row.texts.insert(0, ("Input", entry.input().into()));
        row
    };
    show(args, "model", lab.models.iter().map(row).collect())
}

pub(super) fn schedules(args: FactsArgs, lab: &Lab) -> Result<Done> {
    let row = |entry: &largebatch_schedule::Entry| {
        let mut options = entry.options();
        options.extend(largebatch_schedule::common_options());
        Row::of(entry.facts(), options)
    };
    show(args, "schedule", lab.schedules.iter().map(row).collect())
}

pub(super) fn formats(args: FactsArgs, lab: &Lab) -> Result<Done> {
    let row = |entry: &largebatch_data::Entry| Row::of(entry.facts(), entry.options());
    show(args, "format", lab.formats.iter().map(row).collect())
}

fn show(args: FactsArgs, kind: &'static str, rows: Vec<Row>) -> Result<Done> {
    let rows = match &args.name {
        None => rows,
        Some(name) => {
            let found: Vec<Row> = {
                let known: Vec<&str> = rows.iter().map(|r| r.name).collect();
                if !known.contains(&name.as_str()) {
                    return Err(TrainError::unknown(kind, name, known.into_iter()).into());
                }
                rows.into_iter().filter(|r| r.name == name).collect()
            };
            found
        }
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        let objects: Vec<Value> = rows.iter().map(Row::json).collect();
        return print_json(&objects).map(|()| Done::Ok);
    }
    if args.name.is_some() {
        for row in &rows {
            write!(
                out,
                "{}",
                row.page(
                    terminal_size::terminal_size_of(std::io::stdout())
                        .map_or(100, |(width, _)| width.0.into())
                )
            )?;
        }
    } else {
        let width = rows.iter().map(|r| r.name.len()).max().unwrap_or(0);
        for row in &rows {
            writeln!(out, "{:<width$}  {}", row.name, row.summary)?;
        }
        writeln!(out, "\nDetails: largebatch {kind}s NAME")?;
    }
    Ok(Done::Ok)
}

impl Row {
    fn of(facts: &Facts, options: Vec<Opt>) -> Self {
        Row {
            name: facts.name,
            summary: facts.summary,
            texts: [("Formula", facts.formula), ("Paper", facts.paper)]
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(label, text)| (label, text.to_owned()))
                .collect(),
            options,
            presets: Vec::new(),
        }
    }

    fn json(&self) -> Value {
        let mut object = json!({ "name": self.name, "summary": self.summary });
        for (label, text) in &self.texts {
            object[label.to_lowercase()] = text.clone().into();
        }
        object["parameters"] = json!(self.options);
        if !self.presets.is_empty() {
            object["presets"] =
                self.presets.iter().map(|(name, summary, options)| json!({"name": name, "summary": summary, "options": options})).collect();
        }
        object
    }

    /// The text of the page, in lines of at most `room` characters.
    fn page(&self, room: usize) -> String {
        let mut page = wrapped("", &format!("{}: {}", self.name, self.summary), room);
        for (label, text) in self.texts.iter().filter(|(_, text)| !text.is_empty()) {
            let _ = writeln!(page, "\n{label}");
            for line in text.lines() {
                page.push_str(&wrapped("  ", line.trim_end(), room));
            }
        }
        if !self.options.is_empty() {
            page.push_str("\nParameters\n");
            let width = self
                .options
                .iter()
                .map(|o| o.name.len() + o.default.len() + 3);
            let width = width.max().unwrap_or(0);
            for o in &self.options {
                page.push_str(&wrapped(
                    &format!("  {:<width$}  ", format!("{} = {}", o.name, o.default)),
                    &format!("{} [{}]", o.purpose, o.range),
                    room,
                ));
            }
        }
        if !self.presets.is_empty() {
            page.push_str("\nPresets, and how they differ from the defaults above\n");
            let width = self
                .presets
                .iter()
                .map(|(name, ..)| name.len())
                .max()
                .unwrap_or(0);
            for (i, (name, summary, options)) in self.presets.iter().enumerate() {
                let default = if i == 0 { " (default)" } else { "" };
                page.push_str(&wrapped(
                    &format!("  {name:<width$}  "),
                    &format!("{summary}{default}"),
                    room,
                ));
                let options: Vec<String> = options
                    .iter()
                    .map(|(key, value)| format!("{key} = {value}"))
                    .collect();
                if !options.is_empty() {
                    page.push_str(&wrapped(
                        &format!("  {:<width$}  ", ""),
                        &options.join(", "),
                        room,
                    ));
                }
            }
        }
        page
    }
}

/// A text after a head, wrapped to at most `width` characters unless the head is too long for that.
fn wrapped(head: &str, text: &str, width: usize) -> String {
    let indent = " ".repeat(textwrap::core::display_width(head));
    if width < indent.len() + 20 {
        return format!("{head}{text}\n");
    }
    textwrap::fill(
        text,
        textwrap::Options::new(width)
            .initial_indent(head)
            .subsequent_indent(&indent)
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .break_words(false),
    ) + "\n"
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn long_lines_go_on_below_their_text() {
        assert_eq!(
            wrapped("  η = 1  ", "the rate of the longest of steps", 30),
            "  η = 1  the rate of the\n         longest of steps\n"
        );
        let line = "the rate of the longest of steps";
        assert_eq!(wrapped("  ", line, usize::MAX), format!("  {line}\n"));
        assert_eq!(
            wrapped("a head that leaves no room: ", line, 30),
            format!("a head that leaves no room: {line}\n")
        );
    }
}
