//! A study as an array of Slurm jobs: `examples/slurm/study.sbatch`, on a real one-node Slurm if
//! this machine has one (Debian: slurm-wlm, munge; as root), and everywhere in a loop that sets
//! Slurm's variables.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use largebatch_tests::{Ended, command, ended, folder, ok, program, write};
use serde_json::Value;
use tempfile::TempDir;

const STUDY: &str = r#"
name = "small"
[set]
dataset = "digits"
model = "softmax"
[axes]
batch_size = [32, 256]
[search]
lr = [0.1, 0.5]
[budget]
epochs = 1
[tune]
seeds = 1
[confirm]
seeds = 2
"#;
const TRIALS: usize = 8;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/slurm/study.sbatch")
}

/// The trials in a study's folder, sorted, without the parts that may differ between two runs.
fn trials(study: &Path) -> Vec<String> {
    let mut lines: Vec<String> = std::fs::read_dir(study)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .flat_map(|path| {
            std::fs::read_to_string(path)
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .map(|line| {
            let mut trial: Value = serde_json::from_str(&line).unwrap();
            ["provenance", "digest"]
                .iter()
                .for_each(|key| drop(trial.as_object_mut().unwrap().remove(*key)));
            trial.to_string()
        })
        .collect();
    lines.sort();
    lines
}

/// A folder with the study, run undisturbed; and its trials.
fn undisturbed() -> (TempDir, Vec<String>) {
    let place = folder();
    write(place.path(), "small.toml", STUDY);
    ok(
        place.path(),
        &["study", "run", "small.toml", "--out", "whole"],
    );
    let whole = trials(&place.path().join("whole"));
    assert_eq!(whole.len(), TRIALS);
    (place, whole)
}

/// One task of an array that begins at 0.
fn task(place: &Path, id: usize, tasks: usize, last: usize) -> Ended {
    let mut task = Command::new("bash");
    task.current_dir(place)
        .arg(script())
        .args(["small.toml", "shards"])
        .env("LARGEBATCH", program());
    let variables = [("ID", id), ("COUNT", tasks), ("MIN", 0), ("MAX", last)];
    task.envs(
        variables.map(|(name, value)| (format!("SLURM_ARRAY_TASK_{name}"), value.to_string())),
    );
    ended(task)
}

#[test]
fn the_tasks_of_an_array_make_one_study() {
    let (place, whole) = undisturbed();
    for id in [1, 0] {
        let task = task(place.path(), id, 2, 1);
        assert_eq!(task.code, Some(0), "{}", task.stderr);
    }
    assert_eq!(trials(&place.path().join("shards")), whole);
    let status = ok(place.path(), &["study", "status", "shards"]);
    assert!(status.stdout.contains("8"), "{}", status.stdout);
}

#[test]
fn an_array_with_gaps_is_refused() {
    let (place, _) = undisturbed();
    let task = task(place.path(), 0, 2, 4);
    assert_eq!(task.code, Some(2));
    assert!(
        task.stderr.contains("gaps") && !place.path().join("shards").exists(),
        "{}",
        task.stderr
    );
}

#[test]
fn a_real_slurm_runs_the_array() {
    let slurm = |program: &str| {
        Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .is_ok_and(|o| o.status.success())
    };
    let installed = ["slurmctld", "slurmd", "sbatch", "munged"]
        .into_iter()
        .all(slurm);
    let cluster = if installed {
        Cluster::start()
    } else {
        Err("no Slurm here (Debian: slurm-wlm, munge)".into())
    };
    let cluster = match cluster {
        Ok(cluster) => cluster,
        Err(why) => {
            assert!(
                std::env::var_os("LARGEBATCH_REQUIRE_SLURM").is_none(),
                "{why}"
            );
            eprintln!("skipped: {why}");
            return;
        }
    };
    let (place, whole) = undisturbed();
    let mut submit = cluster.command("sbatch");
    submit
        .current_dir(place.path())
        .args(["--parsable", "--array=1-2", "--cpus-per-task=1"])
        .arg(script());
    submit
        .args(["small.toml", "shards"])
        .env("LARGEBATCH", program());
    let submitted = ended(submit);
    assert_eq!(submitted.code, Some(0), "{}", submitted.stderr);

    cluster.wait();
    let logs: Vec<_> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "log"))
        .collect();
    let log: String = logs
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert_eq!(logs.len(), 2, "a log for each task\n{log}");
    assert_eq!(trials(&place.path().join("shards")), whole, "{log}");
    assert_eq!(
        ended(command(place.path(), &["study", "report", "shards"])).code,
        Some(0)
    );
    // A training with a process for each task.
    let mut try_pmix = cluster.command("srun");
    try_pmix.args(["--mpi=pmix", "true"]);
    if !slurm("mpirun.openmpi") || ended(try_pmix).code != Some(0) {
        eprintln!("skipped: no training on several tasks (Debian: openmpi-bin, libpmix-dev)");
        return;
    }
    let config = "dataset = 'digits'\nmodel = 'mlp'\nsteps = 9\nparts = 3\n";
    write(place.path(), "run.toml", config);
    ok(place.path(), &["train", "run.toml", "--out", "one"]);
    let mut submit = cluster.command("sbatch");
    submit
        .current_dir(place.path())
        .args(["--ntasks=2", "--cpus-per-task=1", "--output=train.txt"])
        .arg(script().with_file_name("train.sbatch"))
        .args(["run.toml", "two"])
        .env("LARGEBATCH", program());
    let submitted = ended(submit);
    assert_eq!(submitted.code, Some(0), "{}", submitted.stderr);
    cluster.wait();
    let log = std::fs::read_to_string(place.path().join("train.txt")).unwrap();
    assert!(log.contains("2 processes, Open MPI"), "{log}");
    let weights = |run: &str| std::fs::read(place.path().join(run).join("model.safetensors"));
    assert!(weights("two").unwrap() == weights("one").unwrap(), "{log}");
}

/// A one-node Slurm on the loopback interface, stopped at the end.
struct Cluster {
    folder: TempDir,
}

impl Cluster {
    fn start() -> Result<Cluster, String> {
        let cluster = Cluster { folder: folder() };
        let up = ended(cluster.script("up"));
        if up.code == Some(0) {
            Ok(cluster)
        } else {
            Err(format!("Slurm does not start: {}{}", up.stdout, up.stderr))
        }
    }

    /// Waits until the queue is empty.
    fn wait(&self) {
        let begin = Instant::now();
        loop {
            let mut queue = self.command("squeue");
            queue.args(["--noheader", "--format=%i %T %R"]);
            let queue = ended(queue).stdout;
            if queue.trim().is_empty() {
                break;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(120),
                "still in the queue:\n{queue}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn script(&self, what: &str) -> Command {
        let mut script = self.command("bash");
        script
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("slurm-node.sh"))
            .arg(what)
            .arg(self.folder.path());
        script
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.folder.path().join("slurm.conf"));
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.script("down").output();
    }
}
