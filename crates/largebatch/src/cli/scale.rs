//! `largebatch scale`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use largebatch_parallel::{Cost, add_seconds_per_byte};
use largebatch_plot::{fixed, significant, whole};
use largebatch_probe::scale::{Network, Scaling, scale};
use largebatch_train::{TrainError, compute_here};
use serde_json::{Value, json};

use super::job::{self, Job};
use super::probe::{Place, Settings, proceed};
use super::{
    Done, Global, aligned, print, print_json, say, tell_data, watch_interrupts, write_whole,
};
use crate::Lab;

const EXAMPLES: &str = "\
Examples:
  largebatch scale runs/a --network 10gbe
  largebatch scale --set dataset=digits --set model=mlp --set batch_size=1024 --out scale.png
  mpirun -n 2 largebatch scale --measure --out cluster.json
  largebatch scale runs/a --network cluster.json
  mpirun -n 8 largebatch scale runs/a --measure

The step of one device is measured here, for each batch size that the devices' shares need. What the sum of the \
gradients adds is computed from the network's latency and bandwidth; docs/clusters.md has the formula. A \
network that is given by name has nominal numbers, which TCP and switches may not reach.";

/// Compute what a training would cost on 1 to 4,096 devices: speed, efficiency, and where the
/// network binds
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ScaleArgs {
    /// Folder of a run, or a training configuration in TOML
    #[arg(value_name = "RUN|FILE")]
    run: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Network between the devices: 1gbe, 10gbe, 25gbe, 100gbe, infiniband-hdr, infiniband-ndr, or
    /// a file: that of --measure, or one written by hand as in docs/clusters.md
    #[arg(
        long,
        value_name = "NAME|FILE",
        default_value = "100gbe",
        help_heading = "What"
    )]
    network: String,
    /// Measure the network between the processes that mpirun has started. With a run, also do steps
    /// on them in which a pause takes the place of computing, beside the model
    #[arg(long, conflicts_with = "network", help_heading = "What")]
    measure: bool,
    /// Seconds of timed steps at each batch size; at least five steps are timed, and the least
    /// counts
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 1.0,
        help_heading = "What"
    )]
    seconds: f64,
    #[command(flatten)]
    place: Place,
    /// File of the figure, .svg or .png [default: RUN/scale.svg]; with --measure, file of the
    /// network, .json [default: network.json]
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    out: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long, help_heading = "Results")]
    json: bool,
}

pub(super) fn run(mut args: ScaleArgs, global: &Global, lab: &Lab) -> Result<Done> {
    if let Some(out) = args.out.as_ref().filter(|_| args.measure)
        && out.extension() != Some("json".as_ref())
    {
        let why =
            "with --measure, this is the file of the network; give it a name that ends in .json";
        return Err(TrainError::value("out", out.display(), why).into());
    }
    watch_interrupts()?;
    match (job::join()?, args.measure) {
        (Some(job), true) => {
            let threads = args.settings.threads.unwrap_or(job::threads() as u64);
            args.settings.threads = Some(threads);
            compute_here(Some(threads as usize));
            measure(&args, job, global, lab)
        }
        (None, false) => predict(&args, global, lab),
        (Some(_), false) => anyhow::bail!(
            "this is computed by one process: start it without a launcher, or with --measure"
        ),
        (None, true) => {
            let why = "a network connects processes: mpirun -n 2 largebatch scale --measure";
            Err(TrainError::value("measure", true, why).into())
        }
    }
}

/// The model, from steps measured here.
fn predict(args: &ScaleArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let network = network(&args.network)?;
    let folder = args.run.as_deref().filter(|run| run.is_dir());
    let folder = folder.unwrap_or(Path::new(""));
    let out = args.out.clone().unwrap_or_else(|| folder.join("scale.svg"));
    if !["svg", "png"]
        .map(|e| out.extension() == Some(e.as_ref()))
        .contains(&true)
    {
        return Err(largebatch_plot::PlotError::Extension(out).into());
    }
    let Some(scaling) = of_run(args, network, global, lab)? else {
        say("interrupted: nothing is computed from some of the batch sizes");
        return Ok(Done::Interrupted);
    };
    scaling.figure().write(&out)?;
    if args.json {
        return print_json(&scaling);
    }
    if global.quiet {
        return Ok(Done::Ok);
    }
    print(format_args!(
        "{}\nwritten: {}",
        scaling.summary(),
        out.display()
    ))
}

/// The model of the run or settings; `None` if it was interrupted.
fn of_run(
    args: &ScaleArgs,
    network: Network,
    global: &Global,
    lab: &Lab,
) -> Result<Option<Scaling>> {
    let mut run = args.settings.open(args.run.as_ref(), &args.place, lab)?;
    tell_data(&run.experiment.dataset, &run.experiment.holdout, global);
    let found = scale(&mut run.experiment, network, args.seconds, &mut proceed)?;
    Ok(found.map(|found| found.with_noise_scale_of(&run.folder)))
}

/// A network by name, or one that was measured.
fn network(text: &str) -> Result<Network, TrainError> {
    let path = Path::new(text);
    if let Some(network) = Network::nominal(text) {
        return Ok(network);
    }
    if !path.exists() {
        let why = format!(
            "is neither one of {} nor a file that `mpirun -n 2 largebatch scale --measure` wrote",
            Network::names().join(", ")
        );
        return Err(TrainError::value("network", text, why));
    }
    let bytes = std::fs::read(path).map_err(TrainError::io(path, "read"))?;
    let wrong = |why: String| {
        let text = format!(
            "{why}; or let `mpirun -n 2 largebatch scale --measure` write the file of a network"
        );
        TrainError::folder(path, text)
    };
    Network::read(&String::from_utf8_lossy(&bytes)).map_err(wrong)
}

/// How many numbers are summed to check the model.
const SUMS: [usize; 3] = [10_000, 700_000, 25_000_000];

/// Measures the network between the processes, and the model beside it.
fn measure(args: &ScaleArgs, job: &Job, global: &Global, lab: &Lab) -> Result<Done> {
    let (peers, k) = (job.peers(), job.count());
    let exchanges = peers.time_exchanges();
    peers.wait();
    let cost = Cost {
        exchanges,
        add: peers.slowest(add_seconds_per_byte()),
    };
    let network = Network::measured(&job.describe(), &cost, k);
    let time = |pause: f64, n: usize| {
        let seconds = peers.time_pauses(Duration::from_secs_f64(pause), n, 15);
        let model = pause + cost.sum(k, (n * size_of::<f32>()) as f64);
        json!({ "parameters": n, "seconds": seconds, "model_seconds": model, "pause_seconds": pause })
    };
    let sums = SUMS.map(|n| time(0.0, n));
    let mut steps = None;
    if args.run.is_some() || !args.settings.set.is_empty() {
        let mut known = [0.0, 0.0];
        if job.is_main() {
            let Some(found) = of_run(args, network.clone(), global, lab)? else {
                anyhow::bail!("interrupted"); // It ends the others, too.
            };
            known = [found.step_seconds(), found.parameters as f64];
        }
        // The others wait meanwhile, without using a core.
        peers.wait();
        let [pause, n] = known.map(|number| peers.slowest(number));
        let mut found = time(pause, n as usize);
        for (key, seconds) in [
            ("efficiency", "seconds"),
            ("model_efficiency", "model_seconds"),
        ] {
            found[key] = json!(found[seconds].as_f64().map(|seconds| pause / seconds));
        }
        steps = Some(found);
    }
    if !job.is_main() {
        return Ok(Done::Ok);
    }
    let mut file = serde_json::to_value(&network)?;
    file["schema"] = json!(1);
    file["sums"] = json!(sums);
    file["steps"] = json!(steps);
    let out = args.out.clone().unwrap_or_else(|| "network.json".into());
    write_whole(&out, &serde_json::to_vec_pretty(&file)?)?;
    if args.json {
        return print_json(&file);
    }
    if global.quiet {
        return Ok(Done::Ok);
    }
    write!(std::io::stdout(), "{}", tables(&file))?;
    print(format_args!("written: {}", out.display()))
}

/// What was measured, in text.
fn tables(file: &Value) -> String {
    let number = |of: &Value, scale: f64| fixed(scale * of.as_f64().unwrap_or(f64::NAN), 3);
    let table = |heads: &[&str], rows: &Value, cells: &dyn Fn(&Value) -> Vec<String>| {
        let mut lines = vec![heads.iter().map(|head| (*head).to_owned()).collect()];
        lines.extend(rows.as_array().into_iter().flatten().map(cells));
        aligned(&lines)
    };
    let mut text = format!(
        "{}: {} µs, {} GB/s each way; adding {} GB/s\n\n",
        file["name"].as_str().unwrap_or_default(),
        number(&file["latency"], 1e6),
        number(&file["bytes_per_second"], 1e-9),
        significant(
            1e-9 / file["add_seconds_per_byte"].as_f64().unwrap_or(f64::NAN),
            3
        ),
    );
    text += &table(&["exchange of bytes", "µs"], &file["exchanges"], &|row| {
        vec![
            whole(row[0].as_f64().unwrap_or(0.0) as u64),
            number(&row[1], 1e6),
        ]
    });
    text += "\n";
    text += &table(
        &["sum of numbers", "measured, ms", "model, ms"],
        &file["sums"],
        &|row| {
            let times = [&row["seconds"], &row["model_seconds"]].map(|of| number(of, 1e3));
            [
                vec![whole(row["parameters"].as_u64().unwrap_or(0))],
                times.to_vec(),
            ]
            .concat()
        },
    );
    let steps = &file["steps"];
    if !steps.is_null() {
        text += &format!(
            "\nsteps with a pause of {} ms in place of computing, and {} parameters:\n  measured {} ms, efficiency {} %; by the model {} ms, {} %\n",
            number(&steps["pause_seconds"], 1e3),
            steps["parameters"],
            number(&steps["seconds"], 1e3),
            number(&steps["efficiency"], 1e2),
            number(&steps["model_seconds"], 1e3),
            number(&steps["model_efficiency"], 1e2),
        );
    }
    text
}
