//! Options of the command line from those of a probe's configuration type.

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches};
use largebatch_component::{ComponentError, Entry, Kind, Opt, listed, schema};
use largebatch_probe::{Asked, DynProbe, ProbeError, Sample, Target};
use largebatch_train::TrainError;
use serde_json::Value;
use toml::Table;

/// The options of a probe and, if it measures a network on some examples, those of the sample: each
/// with its schema and the heading under which the help shows it.
fn options(entry: &Entry<Arc<dyn DynProbe>>) -> Vec<(Opt, Value, &'static str)> {
    let of = |schema: Value, defaults: Table, heading| {
        let all = listed(&schema, &defaults).into_iter();
        let all = all.map(move |option| (schema["properties"][&option.name].clone(), option));
        all.map(move |(schema, option)| (option, schema, heading))
    };
    let own = of(
        entry.schema(),
        entry.defaults(None).unwrap_or_default(),
        "What",
    );
    let takes_sample = entry
        .configure(Table::new())
        .is_ok_and(|probe| probe.target() == Target::Network);
    let sample = takes_sample.then(|| {
        let defaults = Table::try_from(Sample::default()).unwrap_or_default();
        of(schema::<Sample>(), defaults, "On what")
    });
    own.chain(sample.into_iter().flatten()).collect()
}

/// An argument for each option of a probe.
pub(super) fn arguments(entry: &Entry<Arc<dyn DynProbe>>) -> Vec<Arg> {
    options(entry).into_iter().map(argument).collect()
}

fn argument((option, schema, heading): (Opt, Value, &'static str)) -> Arg {
    let long = option.name.replace('_', "-");
    let arg = Arg::new(option.name).long(long).help_heading(heading);
    let arg = match schema["alias"].as_str() {
        Some(alias) => arg.alias(alias.to_owned()),
        None => arg,
    };
    if schema["type"] == "boolean" {
        return arg.action(ArgAction::SetTrue).help(option.purpose);
    }
    let default = option.default.replace(['"', '[', ']', ' '], "");
    let arg = arg
        .allow_negative_numbers(true)
        .help(match default.as_str() {
            "none" => option.purpose,
            default => format!("{} [default: {default}]", option.purpose),
        });
    let Some(values) = schema["oneOf"].as_array() else {
        return arg.value_name(if is(&schema, "integer") { "N" } else { "VALUE" });
    };
    let words = values.iter().filter_map(|value| value["const"].as_str());
    arg.value_name("NAME")
        .value_parser(words.map(str::to_owned).collect::<Vec<_>>())
}

/// The probe that the arguments ask for.
///
/// # Errors
/// A value that an option does not take.
pub(super) fn asked(
    entry: &Entry<Arc<dyn DynProbe>>,
    matches: &ArgMatches,
) -> Result<Asked, ComponentError> {
    let mut given = Table::new();
    for (option, schema, _) in options(entry) {
        if schema["type"] == "boolean" {
            if matches.get_flag(&option.name) {
                given.insert(option.name, true.into());
            }
        } else if let Some(text) = matches.get_one::<String>(&option.name) {
            given.insert(option.name.clone(), value(text, &schema));
        }
    }
    Asked::new(entry, given)
}

/// Whether values of a schema can be of this type.
fn is(schema: &Value, kind: &str) -> bool {
    let types = &schema["type"];
    let all = types.as_array().map_or(&[][..], Vec::as_slice);
    types == kind || all.contains(&kind.into())
}

/// A number or a list of numbers if the option takes one, or else the text.
fn value(text: &str, schema: &Value) -> toml::Value {
    let toml = match text {
        list if is(schema, "array") => format!("v = [{list}]"),
        number => format!("v = {number}"),
    };
    let parsed: Option<toml::Value> = toml.parse::<Table>().ok().and_then(|mut t| t.remove("v"));
    let is_text = is(schema, "string") && !is(schema, "integer");
    parsed
        .filter(|value| !is_text && (value.is_array() || value.is_integer() || value.is_float()))
        .unwrap_or_else(|| text.into())
}

/// The probe that words such as `sharpness --subset 500` ask for.
///
/// # Errors
/// An unknown probe or option, or a value that an option does not take.
pub(in crate::cli) fn read(
    words: &[String],
    probes: &largebatch_probe::Registry,
) -> Result<Asked, ProbeError> {
    let name = words.first().map_or("", String::as_str);
    let entry = probes.named(name)?;
    let matches = clap::Command::new(name.to_owned())
        .disable_help_flag(true)
        .args(arguments(entry))
        .try_get_matches_from(words)
        .map_err(|error| {
            let text = error.to_string();
            let line = text.lines().find(|line| !line.trim().is_empty());
            let why = line.unwrap_or_default().trim_start_matches("error: ");
            let why = format!("{why}; see `largebatch probe {name} --help`");
            TrainError::value(Kind::Probe.to_string(), words.join(" "), why)
        })?;
    Ok(asked(entry, &matches)?)
}
