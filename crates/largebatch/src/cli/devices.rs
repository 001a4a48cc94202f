//! `largebatch devices`.

use anyhow::Result;
use clap::Args;
use largebatch_parallel::Mpi;
use largebatch_train::{BACKENDS, adapters};
use serde_json::json;

use super::{Done, print, print_json};

/// List the devices that this program can compute on, and what this machine offers
#[derive(Args)]
pub(super) struct DevicesArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: DevicesArgs) -> Result<Done> {
    let mut rows = Vec::new();
    for backend in &BACKENDS {
        let found: Vec<String> = adapters(backend).iter().map(adapter).collect();
        rows.push((backend, found));
    }
    if args.json {
        let devices: Vec<_> = rows
            .iter()
            .map(|(b, found)| json!({"name": b.name, "compiled": b.compiled, "adapters": found, "default": b.name == BACKENDS[0].name}))
            .collect();
        let mpi: Vec<_> = Mpi::installed()
            .into_iter()
            .map(|(library, version)| json!({"library": library, "version": version}))
            .collect();
        return print_json(
            &json!({ "threads": largebatch_train::threads(), "devices": devices, "mpi": mpi }),
        );
    }
    for (backend, found) in rows {
        let state = match (backend.compiled, found.len()) {
            (false, _) => format!(
                "not compiled in; `cargo build --release --features {}` adds it",
                backend.feature
            ),
            (true, 0) => "compiled in, but this machine offers no adapter".into(),
            (true, _) if matches!(backend.name, "flex" | "ndarray") => {
                format!("{} threads", largebatch_train::threads())
            }
            (true, _) => found.join(", "),
        };
        print(format_args!(
            "{:<9}{}\n         {state}",
            backend.name, backend.summary
        ))?;
    }
    let found: Vec<String> = Mpi::installed()
        .iter()
        .map(|(library, version)| format!("{version} ({library})"))
        .collect();
    let state = match found.is_empty() {
        true => "none on this machine; `apt-get install openmpi-bin` adds one on Debian".to_owned(),
        false => found.join(", "),
    };
    print(format_args!(
        "{:<9}processes that train together: mpirun -n 4 largebatch train …\n         {state}",
        "mpi"
    ))
}

/// Burn's description of a device, without the names of its wrappers: `kind: Cpu, backend: Auto`.
fn adapter(device: &burn::tensor::Device) -> String {
    let text = format!("{device:?}");
    let inner = text
        .rsplit_once(['{', '('])
        .map_or(text.as_str(), |(_, inner)| inner);
    inner
        .trim_matches(|c: char| "<>(){} ".contains(c))
        .to_owned()
}
