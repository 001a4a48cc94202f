//! The network between devices.

use largebatch_parallel::Cost;
use serde::{Deserialize, Serialize};

/// A network between devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// What it is called.
    pub name: String,
    /// α: the seconds of an exchange of nothing between two processes.
    pub latency: f64,
    /// 1/β: bytes per second, each way at the same time.
    pub bytes_per_second: f64,
    /// The exchanges that were measured: (bytes, seconds). Without them, an exchange of n bytes
    /// takes α + n β.
    #[serde(default)]
    pub exchanges: Vec<(f64, f64)>,
    /// γ: the seconds in which a process adds a byte of one gradient to a byte of another, if it
    /// was measured with the network.
    #[serde(default)]
    pub add_seconds_per_byte: Option<f64>,
    /// Whether the numbers are those of the standard, rather than measured.
    #[serde(default)]
    pub nominal: bool,
}

/// Networks by name: usual latency in seconds, and the standard's bytes per second.
const NOMINAL: [(&str, f64, f64); 6] = [
    ("1gbe", 50e-6, 0.125e9),
    ("10gbe", 20e-6, 1.25e9),
    ("25gbe", 10e-6, 3.125e9),
    ("100gbe", 2e-6, 12.5e9),
    ("infiniband-hdr", 1e-6, 25e9),
    ("infiniband-ndr", 1e-6, 50e9),
];

impl Network {
    /// A network by name, with nominal numbers.
    pub fn nominal(name: &str) -> Option<Network> {
        let known = NOMINAL.iter().find(|known| known.0 == name)?;
        Some(Network {
            name: name.into(),
            latency: known.1,
            bytes_per_second: known.2,
            exchanges: Vec::new(),
            add_seconds_per_byte: None,
            nominal: true,
        })
    }

    /// The names of nominal networks.
    pub fn names() -> Vec<&'static str> {
        NOMINAL.iter().map(|known| known.0).collect()
    }

    /// A network of which at least two exchanges were measured. Its bandwidth is that of the largest
    /// exchange.
    pub fn measured(name: &str, cost: &Cost) -> Network {
        let all = &cost.exchanges;
        let (first, last) = (all[0], all[all.len() - 1]);
        Network {
            name: name.into(),
            latency: first.1,
            bytes_per_second: (last.0 - first.0) / (last.1 - first.1),
            exchanges: all.clone(),
            add_seconds_per_byte: Some(cost.add),
            nominal: false,
        }
    }

    /// Whether the numbers can be those of a network.
    pub fn is_valid(&self) -> bool {
        let all = &self.exchanges;
        self.latency >= 0.0
            && self.bytes_per_second > 0.0
            && all.len() != 1
            && all.is_sorted_by(|a, b| a.0 < b.0)
            && all.iter().all(|(_, seconds)| *seconds >= 0.0)
    }

    /// The times of a sum over it; `add` is γ unless the network brings its own.
    pub fn cost(&self, add: f64) -> Cost {
        let add = self.add_seconds_per_byte.unwrap_or(add);
        match self.exchanges.is_empty() {
            true => Cost::linear(self.latency, self.bytes_per_second, add),
            false => Cost {
                exchanges: self.exchanges.clone(),
                add,
            },
        }
    }
}
