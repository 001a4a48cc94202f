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
    /// γ: the seconds in which a process adds a byte of one gradient to a byte of another, if it
    /// was measured with the network.
    pub add_seconds_per_byte: Option<f64>,
    /// Whether the numbers are those of the standard, rather than measured.
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
            add_seconds_per_byte: None,
            nominal: true,
        })
    }

    /// The names of nominal networks.
    pub fn names() -> Vec<&'static str> {
        NOMINAL.iter().map(|known| known.0).collect()
    }

    /// A measured network; [`Cost::fit`] gives the cost.
    pub fn measured(name: &str, cost: Cost) -> Network {
        Network {
            name: name.into(),
            latency: cost.message,
            bytes_per_second: 1.0 / cost.byte,
            add_seconds_per_byte: Some(cost.add),
            nominal: false,
        }
    }

    /// The times of a sum over it; `add` is γ unless the network brings its own.
    pub fn cost(&self, add: f64) -> Cost {
        Cost {
            message: self.latency,
            byte: 1.0 / self.bytes_per_second,
            add: self.add_seconds_per_byte.unwrap_or(add),
        }
    }
}
