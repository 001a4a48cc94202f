//! `largebatch models`, `optimizers` and `schedules`: the tables, and the details of one entry.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use clap::Args;
use largebatch_component::{ComponentError, Entry, Facts, Opt, Registry, backticked, options};
use largebatch_train::{RunConfig, TrainError};
use serde_json::{Value, json};

use super::{Done, print_json};

#[derive(Args)]
pub(super) struct FactsArgs {
    /// Show only this entry, with its details; for settings, a key or what begins several
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print a table in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
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
        Some(name) => vec![row(registry
            .by_any_name(name)
            .map_err(TrainError::from)?)?],
        None => registry.iter().map(row).collect::<Result<_, _>>()?,
    };
    if args.json {
        let objects: Vec<Value> = rows.iter().map(Row::json).collect();
        return print_json(&objects);
    }
    let mut out = std::io::stdout().lock();
    if args.markdown {
        let table = match (&args.name, &rows[..]) {
            (Some(_), [row]) => options_table(&row.options),
            _ => table(
                ["name", "what it is"],
                rows.iter().map(|row| {
                    let names: Vec<String> = row.facts.names().collect();
                    let names = backticked(names.iter().map(String::as_str));
                    [names, row.facts.summary.into()]
                }),
            ),
        };
        write!(out, "{table}")?;
    } else if args.name.is_some() {
        for row in &rows {
            write!(out, "{}", row.page(room()))?;
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

/// Lists the settings of a training run, or those whose keys begin with a name.
pub(super) fn settings(args: FactsArgs) -> Result<Done> {
    let mut all = options(&RunConfig::default());
    if let Some(name) = &args.name {
        let within = |key: &str| {
            let rest = key.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let (found, others): (Vec<Opt>, Vec<Opt>) = all.into_iter().partition(|o| within(&o.name));
        if found.is_empty() {
            let known = others.iter().map(|o| o.name.as_str());
            return Err(TrainError::unknown("setting", name, known).into());
        }
        all = found;
    }
    if args.json {
        return print_json(&all);
    }
    let text = match args.markdown {
        true => options_table(&all),
        false => options_page(&all, room()),
    };
    write!(std::io::stdout(), "{text}")?;
    Ok(Done::Ok)
}

/// The width of the terminal, or of a page.
fn room() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(100, |(width, _)| width.0.into())
}

/// A table in Markdown.
fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let line = |cells: [String; N]| {
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(head.map(String::from)) + &line([(); N].map(|()| "---".into()));
    rows.for_each(|row| text.push_str(&line(row)));
    text
}

fn options_table(options: &[Opt]) -> String {
    table(
        ["key", "default", "what it is", "values"],
        options.iter().map(|o| {
            let default = match &o.default[..] {
                word @ ("none" | "required") => word.to_owned(),
                value => backticked([value]),
            };
            [
                backticked([o.name.as_str()]),
                default,
                o.purpose.clone(),
                o.range.clone(),
            ]
        }),
    )
}

/// The options in lines of at most `room` characters.
fn options_page(options: &[Opt], room: usize) -> String {
    let head = |o: &Opt| format!("{} = {}", o.name, o.default);
    let width = options.iter().map(|o| head(o).len()).max().unwrap_or(0);
    let line = |o: &Opt| {
        let (head, text) = (head(o), format!("{} [{}]", o.purpose, o.range));
        wrapped(&format!("  {head:<width$}  "), &text, room)
    };
    options.iter().map(line).collect()
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
            ("Cost", self.facts.cost.to_owned()),
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
            page.push_str(&options_page(&self.options, room));
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
