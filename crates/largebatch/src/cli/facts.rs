//! `largebatch models`, `optimizers` and `schedules`: the tables, and the details of one entry.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use clap::Args;
use largebatch_component::{ComponentError, Entry, Facts, Opt, Registry};
use largebatch_train::TrainError;
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
    facts: Facts,
    options: Vec<Opt>,
    /// Name, summary, and the options that differ from the defaults.
    presets: Vec<(&'static str, &'static str, toml::Table)>,
}

/// Prints the table of the components of one kind, or the page of one of them. Each also has the
/// options `common`.
pub(super) fn show<T, E: From<ComponentError>>(
    args: FactsArgs,
    command: &str,
    registry: &Registry<T, E>,
    common: &[Opt],
) -> Result<Done> {
    let row = |entry: &Entry<T, E>| -> Result<Row, TrainError> {
        let facts = *entry.facts();
        let defaults = entry.defaults(None)?;
        let mut presets = Vec::new();
        for (name, summary) in facts.presets {
            let mut own = entry.defaults(Some(name))?;
            own.retain(|key, value| defaults.get(key) != Some(value));
            presets.push((*name, *summary, own));
        }
        let mut options = entry.options();
        options.extend_from_slice(common);
        Ok(Row {
            facts,
            options,
            presets,
        })
    };
    let rows: Vec<Row> = match &args.name {
        Some(name) => vec![row(registry.named(name).map_err(TrainError::from)?)?],
        None => registry.iter().map(row).collect::<Result<_, _>>()?,
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
        let width = rows.iter().map(|r| r.facts.name.len()).max().unwrap_or(0);
        for row in &rows {
            writeln!(out, "{:<width$}  {}", row.facts.name, row.facts.summary)?;
        }
        writeln!(out, "\nDetails: largebatch {command} NAME")?;
    }
    Ok(Done::Ok)
}

impl Row {
    /// Texts with a label, such as the formula and the paper.
    fn texts(&self) -> impl Iterator<Item = (&'static str, String)> {
        let aliases = self.facts.aliases.iter();
        let aliases: Vec<String> = aliases
            .map(|(name, options)| format!("{name}: {options}"))
            .collect();
        [
            ("Input", self.facts.input.to_owned()),
            ("Formula", self.facts.formula.to_owned()),
            ("Paper", self.facts.paper.to_owned()),
            ("Aliases", aliases.join("\n")),
        ]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
    }

    fn json(&self) -> Value {
        let mut object = json!({ "name": self.facts.name, "summary": self.facts.summary });
        for (label, text) in self.texts() {
            object[label.to_lowercase()] = text.into();
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
        let mut page = wrapped(
            "",
            &format!("{}: {}", self.facts.name, self.facts.summary),
            room,
        );
        for (label, text) in self.texts() {
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
