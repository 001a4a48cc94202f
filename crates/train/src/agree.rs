//! What the processes of a shared training must have in common.

use std::collections::{BTreeMap, BTreeSet};

use largebatch_component::settings::flatten;
use largebatch_parallel::Peers;
use toml::Table;

use crate::{Experiment, RunConfig, TrainError};

/// Named values, as a user should read them.
pub type Facts = BTreeMap<String, String>;

impl RunConfig {
    /// All settings under their dotted keys.
    pub fn facts(&self) -> Facts {
        let leaves = flatten(&Table::try_from(self).unwrap_or_default());
        let shown = leaves.into_iter().map(|(key, v)| (key, v.to_string()));
        shown.collect()
    }
}

/// The facts that differ, with both values; `whose` says where these were found, as in "there" and
/// "here".
pub fn differences(a: &Facts, b: &Facts, whose: [&str; 2]) -> String {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let show = |of: &Facts, key| of.get(key).map_or("not set".to_owned(), String::clone);
    let differ = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
    let differ = differ.map(|key| {
        let [first, second] = whose;
        format!(
            "{key} ({} {first}, {} {second})",
            show(a, key),
            show(b, key)
        )
    });
    differ.collect::<Vec<_>>().join(", ")
}

/// Makes sure that these facts are the same in all processes, which all call it.
///
/// # Errors
/// [`TrainError::Rank`], the same in all processes: the first that differs from process 0, and in
/// what.
pub fn same(peers: &dyn Peers, facts: &Facts) -> Result<(), TrainError> {
    let text: Vec<&str> = facts.iter().flat_map(|(key, v)| [&**key, v]).collect();
    let text = text.join("\0");
    let hash = blake3::hash(text.as_bytes());
    let words = hash.as_bytes().chunks(4);
    let words = words.map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]));
    let hashes = peers.gather_all(&words.collect::<Vec<_>>());
    let Some(rank) = hashes.iter().position(|hash| *hash != hashes[0]) else {
        return Ok(());
    };
    let texts = peers.gather_texts(&text);
    let [first, other] = [0, rank].map(|rank| {
        let words: Vec<String> = texts[rank].split('\0').map(str::to_owned).collect();
        let pairs = words.chunks_exact(2);
        pairs
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect::<Facts>()
    });
    let whose = format!("in rank {rank}");
    let what = differences(&first, &other, ["in rank 0", &whose]);
    Err(TrainError::Rank { rank, what })
}

/// Makes sure that all processes train the same, with the same bits. Only then should anything be
/// written.
///
/// # Errors
/// [`TrainError::Rank`]: see [`same`].
pub fn same_training(peers: &dyn Peers, experiment: &Experiment) -> Result<(), TrainError> {
    let config = RunConfig {
        threads: None,
        // Not of the result, but of what the processes send.
        shard_optimizer: experiment.config.shard_optimizer,
        ..experiment.config.identity()
    };
    let mut facts = config.facts();
    let data = &experiment.dataset;
    // By number, because the files may be elsewhere on each machine.
    for (i, file) in data.sources.iter().enumerate() {
        let what = format!("the SHA-256 of data file {}", i + 1);
        facts.insert(what, file.sha256.clone());
    }
    for (what, fact) in [
        (
            "the version of the program",
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
        (
            "the vector instructions of the processor",
            largebatch_kernels::vectors()
                .unwrap_or_default()
                .to_string(),
        ),
        ("training examples", data.train.len().to_string()),
        ("test examples", data.test.len().to_string()),
    ] {
        facts.insert(what.to_owned(), fact);
    }
    same(peers, &facts)
}
