//! What can be wrong with a component that somebody names or configures.

use crate::Kind;
use crate::words::{backticked, suggestion, unknown};

/// A name or an option of a component that cannot be used. The message names the value, the place and the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The table has no component of this name.
    #[error("{}", unknown(&.kind.to_string(), .name, .known.iter().map(String::as_str)))]
    UnknownName {
        /// What was looked for.
        kind: Kind,
        /// The name that was given.
        name: String,
        /// All known names.
        known: Vec<String>,
    },
    /// The component has no preset of this name.
    #[error("{kind} `{component}` has no preset `{preset}`{}", rest(.preset, .known))]
    UnknownPreset {
        /// The component's kind.
        kind: Kind,
        /// The component's name.
        component: String,
        /// The preset that was given.
        preset: String,
        /// All its presets.
        known: Vec<String>,
    },
    /// The component has no option of this name.
    #[error("{kind} `{component}` has no option `{option}`{}", rest(.option, .known))]
    UnknownOption {
        /// The component's kind.
        kind: Kind,
        /// The component's name.
        component: String,
        /// The option that was given.
        option: String,
        /// All its options.
        known: Vec<String>,
    },
    /// An option that has no default is not given.
    #[error("{kind} `{component}` needs `{option}`: {purpose}")]
    Missing {
        /// The component's kind.
        kind: Kind,
        /// The component's name.
        component: String,
        /// The option.
        option: String,
        /// What it is.
        purpose: String,
    },
    /// An option's value has the wrong type.
    #[error("{kind} `{component}`: `{option}` cannot be {value}: {message}")]
    Type {
        /// The component's kind.
        kind: Kind,
        /// The component's name.
        component: String,
        /// The option.
        option: String,
        /// Its value, as TOML writes it.
        value: String,
        /// What is expected.
        message: String,
    },
    /// An option's value is out of its range.
    #[error("{kind} `{component}`: `{option}` is {value}, but it must be {range}{}", because(.why))]
    Range {
        /// The component's kind.
        kind: Kind,
        /// The component's name.
        component: String,
        /// The option.
        option: String,
        /// Its value.
        value: String,
        /// The range.
        range: String,
        /// Why; empty if it is plain.
        why: String,
    },
}

/// The suggestion, and the list of known names.
fn rest(name: &str, known: &[String]) -> String {
    let names = || known.iter().map(String::as_str);
    match suggestion(name, names()) {
        _ if known.is_empty() => "; it has none".into(),
        none if none.is_empty() => format!("; it has {}", backticked(names())),
        meant => format!("{meant} It has {}", backticked(names())),
    }
}

fn because(why: &str) -> String {
    if why.is_empty() {
        String::new()
    } else {
        format!(": {why}")
    }
}
