//! Measured defaults: the batch size, epochs and rate used when the user gives none.

use std::sync::LazyLock;

use serde::Deserialize;
use std::collections::BTreeMap;

use crate::Choice;

/// The values a run uses when the configuration gives none.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Default {
    /// Examples per step.
    pub batch_size: usize,
    /// Passes over the training part.
    pub epochs: u64,
    /// The base learning rate.
    pub lr: f64,
}

/// The form of `defaults.toml`, whose rates `crates/train/tune-defaults.py` measures: see its
/// header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    batch_size: usize,
    /// By data set; `""` for all others.
    epochs: BTreeMap<String, u64>,
    /// By optimizer, then by `MODEL/DATASET` or by model; `""` for all others.
    lr: BTreeMap<String, BTreeMap<String, f64>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("defaults.toml"))
        .expect("defaults.toml is tested to have this form")
});

/// The defaults for a data set, a model and an optimizer, at batch size 64.
pub fn of(dataset: &str, model: &Choice, optimizer: &Choice) -> Default {
    let name = model.name.as_str();
    // A network of `resnet` with 20 layers is `resnet20`.
    let deep = model.options.get("depth");
    let deep = deep.map_or(String::new(), |depth| format!("{name}{depth}"));
    let pair = format!("{name}/{dataset}");
    let other = |map: &BTreeMap<String, f64>| {
        [&deep, pair.as_str(), name, ""]
            .into_iter()
            .filter(|key| !deep.is_empty() || *key != deep)
            .find_map(|key| map.get(key))
            .copied()
    };
    let lr = TABLE
        .lr
        .get(optimizer.name.as_str())
        .or_else(|| TABLE.lr.get(""))
        .and_then(other);
    let epochs = TABLE
        .epochs
        .get(dataset)
        .or_else(|| TABLE.epochs.get(""))
        .copied();
    Default {
        batch_size: TABLE.batch_size,
        epochs: epochs.unwrap_or(1),
        lr: lr.unwrap_or(0.01),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_and_covers_everything() {
        assert!(
            TABLE.epochs.contains_key("")
                && TABLE.lr.values().all(|models| models.contains_key(""))
        );
        for entry in largebatch_optim::standard().iter() {
            assert!(
                TABLE.lr.contains_key(entry.facts().name),
                "no default rate for {}",
                entry.facts().name
            );
        }
    }
}
