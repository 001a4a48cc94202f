//! Trainings that several processes share, over the MPIs of this machine (Debian: openmpi-bin,
//! mpich): the bits of one process, also over a break, and clear ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use largebatch_tests::{
    Ended, command, folder, launched, launchers, ok, program, shell, tree, write,
};

/// Batch norm, dropout, augmentation, clipping, a growing batch and last batches of 14 examples or
/// fewer. It needs no graph.
const MLP: &str = r#"
dataset = "digits"
model = { name = "mlp", widths = [24, 20], dropout = 0.2, batch_norm = true }
optimizer = { name = "lamb", weight_decay = 0.01 }
batch_schedule = { name = "multi-step", factor = 2, at = { epochs = [1] } }
batch_size = 96
lr = 0.02
epochs = 2
clip_norm = 0.5
seed = 4
checkpoint = { every_steps = 7, keep = 9 }
[data]
preprocess = { normalise = "unit", crop_pad = 1, flip = true }
[log]
every_steps = 3
layers_every_steps = 5
"#;

/// On Burn's graph, with the noise scale of pairs.
const CNN: &str = r#"
dataset = "digits"
model = { name = "simple-cnn", filters = [4, 4], width = 16, dropout = 0.3 }
optimizer = { name = "momentum", momentum = 0.9 }
batch_size = 50
lr = 0.05
steps = 8
seed = 6
checkpoint = { every_steps = 3, keep = 9 }
"#;

/// `K` processes of a shell command in which `$LARGEBATCH` is the program.
fn job(launcher: &Command, k: usize, dir: &Path, script: &str) -> Command {
    let mut command = launched(launcher, k, &["sh", "-c", script]);
    command
        .current_dir(dir)
        .env("LARGEBATCH", program())
        .env("LARGEBATCH_CACHE_DIR", dir.join("cache"))
        .stdin(Stdio::null());
    command
}

/// Every test uses both cores, and one at a time is measured.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn run(mut command: Command) -> Ended {
    Ended::from(command.output().expect("the launcher starts"))
}

/// The files of a run that do not depend on time or machine; `state.json` without its seconds.
fn files(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = tree(run);
    files.retain(|path, content| {
        let named = |name: &str| path.file_name().is_some_and(|n| n == name);
        if named("state.json") || named("result.json") {
            let mut value: serde_json::Value = serde_json::from_slice(content).expect("JSON");
            let object = value.as_object_mut().expect("an object");
            for key in ["seconds", "examples_per_second", "out", "digest"] {
                object.remove(key);
            }
            *content = value.to_string().into_bytes();
        }
        !named("run.toml") && !named("lock")
    });
    for name in ["model.safetensors", "events.jsonl", "result.json"] {
        assert!(files.contains_key(Path::new(name)), "{name} is compared");
    }
    files
}

fn same(a: &Path, b: &Path) {
    let (left, right) = (files(a), files(b));
    assert_eq!(
        left.keys().collect::<Vec<_>>(),
        right.keys().collect::<Vec<_>>()
    );
    for (path, content) in &left {
        let what = format!("{} of {} and {}", path.display(), a.display(), b.display());
        assert!(*content == right[path], "{what} differ");
    }
}

#[test]
fn any_number_of_processes_gives_the_same_bits() {
    let _alone = alone();
    let folder = folder();
    let dir = folder.path();
    write(dir, "mlp.toml", MLP);
    write(dir, "cnn.toml", CNN);
    let launchers = launchers();
    if launchers.is_empty() {
        return;
    }
    let (sync, shard) = ("--set sync_batch_norm=true", "--set shard_optimizer=true");
    for (model, parts, both, ranks, counts) in [
        ("mlp", 8, "", "", &[2, 4, 8][..]),
        ("mlp", 6, "", shard, &[4]),
        ("mlp", 7, "", "", &[2]),
        ("mlp", 12, "", shard, &[5]),
        ("mlp", 5, sync, shard, &[2, 3]),
        ("cnn", 8, "", shard, &[2, 3]),
        // Two ranks without parts.
        ("cnn", 2, "", "", &[4]),
    ] {
        let train = format!("train {model}.toml --set parts={parts} {both} --threads");
        let alone = dir.join(format!("{model}-{parts}"));
        let mut words: Vec<&str> = train.split_whitespace().collect();
        let out = alone.display().to_string();
        words.extend(["2", "--out", &out]);
        ok(dir, &words);
        for (i, k) in counts.iter().enumerate() {
            let (name, launcher) = &launchers[i % launchers.len()];
            let (threads, out) = (1 + i % 2, format!("{model}-{parts}-on-{k}"));
            let script = format!("$LARGEBATCH {train} {threads} {ranks} --out {out}");
            let ended = run(job(launcher, *k, dir, &script));
            assert_eq!(ended.code, Some(0), "{name}: {script}\n{}", ended.stderr);
            let idle = ended.stderr.contains("have nothing to compute");
            assert_eq!(idle, *k > parts, "{}", ended.stderr);
            assert_eq!(ended.stdout.matches("validation").count(), 1);
            let state = ended
                .stderr
                .contains("B, of which a process keeps at most ");
            assert_eq!(state, ranks == shard, "{}", ended.stderr);
            same(&dir.join(out), &alone);
        }
    }
    assert!(
        files(&dir.join("mlp-8"))[Path::new("model.safetensors")]
            != files(&dir.join("mlp-7"))[Path::new("model.safetensors")],
        "the comparison would see another number of parts"
    );
}

/// The step of a run's newest checkpoint, 0 without one.
fn newest(run: &Path) -> u64 {
    let list = std::fs::read_dir(run.join("checkpoints"));
    let names = list.into_iter().flatten().flatten().map(|e| e.file_name());
    let step = |name: std::ffi::OsString| {
        let name = name.to_string_lossy();
        name.strip_prefix("step-").and_then(|n| n.parse().ok())
    };
    names.filter_map(step).max().unwrap_or(0)
}

/// Waits until a run has a checkpoint after `step`, and returns its processes.
fn ranks(run: &Path, step: u64) -> Vec<String> {
    let started = Instant::now();
    while newest(run) <= step {
        assert!(started.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    let out = run.display().to_string();
    let processes = std::fs::read_dir("/proc").expect("a list of processes");
    let ours = processes.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let exe = std::fs::read_link(entry.path().join("exe")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        (exe == program() && line.contains(&out)).then_some(pid)
    });
    ours.collect()
}

/// A killed rank ends the job; SIGUSR1 leaves a checkpoint. Then another number of processes
/// continues, and ends with the bits of an undisturbed run.
#[test]
fn a_run_resumes_on_another_number_of_processes() {
    let _alone = alone();
    let folder = folder();
    let dir = folder.path();
    let config = MLP.replace("epochs = 2", "epochs = 60");
    write(
        dir,
        "mlp.toml",
        config.replace("every_steps = 7, keep = 9", "every_steps = 7"),
    );
    let Some((_, launcher)) = launchers()
        .into_iter()
        .find(|(name, _)| *name == "Open MPI")
    else {
        return;
    };
    let train = "train mlp.toml --set parts=6 --quiet";
    let words: Vec<&str> = train.split_whitespace().collect();
    ok(dir, &[&words[..], &["--out", "whole"]].concat());

    let out = dir.join("broken");
    let script = format!("$LARGEBATCH {train} --out {} --resume", out.display());
    let start = |k: usize| {
        let shard = format!("{script} --set shard_optimizer={}", k.is_multiple_of(2));
        let mut job = job(&launcher, k, dir, &shard);
        job.stdout(Stdio::piped()).stderr(Stdio::piped());
        job.spawn().expect("the launcher starts")
    };
    let job = start(3);
    let pids = ranks(&out, 0);
    assert_eq!(pids.len(), 3);
    let killed = Instant::now();
    let kill = ["-9", &pids[1]];
    Command::new("kill").args(kill).status().expect("kill");
    let ended = Ended::from(job.wait_with_output().expect("an end"));
    assert!(ended.code != Some(0), "{ended:?}");
    let seconds = killed.elapsed().as_secs_f64();
    assert!(seconds < 5.0, "it ended after {seconds} s");

    let job = start(2);
    let pids = ranks(&out, newest(&out));
    assert_eq!(pids.len(), 2);
    for pid in pids {
        Command::new("kill")
            .args(["-USR1", &pid])
            .status()
            .expect("kill");
    }
    let ended = Ended::from(job.wait_with_output().expect("an end"));
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stderr.contains("interrupted; continue"), "{ended:?}");

    let ended = Ended::from(start(4).wait_with_output().expect("an end"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    same(&out, &dir.join("whole"));
    // It has ended: every rank knows.
    let ended = Ended::from(start(2).wait_with_output().expect("an end"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// The trials of a study in a process each, with one report: that of one process.
#[test]
fn a_study_runs_its_shards_at_once() {
    let _alone = alone();
    let folder = folder();
    let dir = folder.path();
    let study = r#"
name = "small"
set = { dataset = "digits", model = "softmax" }
axes = { batch_size = [32, 256] }
search = { lr = [0.1, 0.5] }
budget = { epochs = 1 }
tune = { seeds = 1 }
confirm = { seeds = 2 }
"#;
    write(dir, "study.toml", study);
    ok(
        dir,
        &[
            "study",
            "run",
            "study.toml",
            "--out",
            "alone",
            "--jobs",
            "1",
        ],
    );
    let summary = |run: &str| {
        let path = dir.join(run).join("report/summary.csv");
        let text = std::fs::read_to_string(path).expect("a summary");
        // The last column is seconds.
        let lines = text.lines().filter_map(|line| line.rsplit_once(','));
        let lines: Vec<_> = lines.map(|(line, _)| line.to_owned()).collect();
        assert_eq!(lines.len(), 3);
        lines
    };
    for (name, launcher) in launchers() {
        let script = format!("$LARGEBATCH study run study.toml --out '{name}' --jobs 1");
        let ended = run(job(&launcher, 3, dir, &script));
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        for shard in 1..=3 {
            let journal = format!("trials-{shard}of3.jsonl");
            assert!(dir.join(name).join(&journal).exists(), "{journal}");
        }
        let end = ended.stderr.matches("8 trials ran; see ").count();
        assert_eq!(end, 1, "{}", ended.stderr);
        let ended = run(job(&launcher, 3, dir, &script));
        let end = "0 trials ran now, 8 before; see ";
        assert!(ended.stderr.contains(end), "{name}: {}", ended.stderr);
        assert_eq!(summary(name), summary("alone"), "{name}");
    }
}

/// Everything but times and the digests over them: trials, curves and figures.
fn results(study: &Path) -> BTreeMap<PathBuf, Vec<String>> {
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for (path, content) in tree(study) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = String::from_utf8_lossy(&content);
        if name.starts_with("trials") && name.ends_with("jsonl") {
            let trials = text.lines().map(|line| {
                let mut trial: serde_json::Value = serde_json::from_str(line).expect("JSON");
                let object = trial.as_object_mut().expect("an object");
                object.retain(|key, _| !matches!(key.as_str(), "provenance" | "digest"));
                trial.to_string()
            });
            let all = files.entry("trials".into()).or_default();
            all.extend(trials);
            all.sort();
            // Two shards may both need a tuned rate, and compute it.
            all.dedup();
        } else if name.ends_with(".svg") {
            files.insert(path, vec![text.into_owned()]);
        }
    }
    files
}

#[test]
fn the_study_gap_over_ranks_is_the_ordinary_one() {
    let _alone = alone();
    let folder = folder();
    let dir = folder.path();
    let Some((_, launcher)) = launchers().into_iter().next() else {
        return;
    };
    let words = "study run gap --jobs 1 --quiet --set budget.epochs=2 --set search.lr.points=2 \
                 --set tune.seeds=1 --set confirm.seeds=2 --out";
    let mut alone: Vec<&str> = words.split_whitespace().collect();
    alone.push("alone");
    ok(dir, &alone);
    let ended = run(job(
        &launcher,
        2,
        dir,
        &format!("$LARGEBATCH {words} ranks"),
    ));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let [alone, ranks] = ["alone", "ranks"].map(|study| results(&dir.join(study)));
    assert!(alone.len() > 5 && alone[Path::new("trials")].len() > 20);
    assert_eq!(
        alone.keys().collect::<Vec<_>>(),
        ranks.keys().collect::<Vec<_>>()
    );
    for (path, lines) in &alone {
        for (line, other) in lines.iter().zip(&ranks[path]) {
            assert_eq!(line, other, "{}", path.display());
        }
        assert_eq!(lines.len(), ranks[path].len());
    }
}

/// A rank that panics ends the job at once.
#[test]
fn a_panic_of_one_rank_ends_all() {
    let _alone = alone();
    let folder = folder();
    let dir = folder.path();
    let rank = "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}";
    for (name, launcher) in launchers() {
        let script = format!(
            "[ {rank} = 1 ] && export PANIC_AFTER_MS=1500; $LARGEBATCH train --dataset digits \
             --model mlp --epochs 100000 --quiet --set parts=3 --out '{name}'"
        );
        let started = Instant::now();
        let ended = run(job(&launcher, 3, dir, &script));
        let seconds = started.elapsed().as_secs_f64();
        assert!(seconds < 10.0, "{name}: it ended after {seconds} s");
        assert_eq!(ended.code, Some(101), "{name}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("a test wants this panic"),
            "{}",
            ended.stderr
        );
    }
}

/// Ranks that would not give the same bits, and errors of one rank, end the job with a line.
#[test]
fn what_does_not_fit_is_refused() {
    let _alone = alone();
    let folder = folder();
    let dir = folder.path();
    let rank = "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}";
    let common = "$LARGEBATCH train --dataset digits --model softmax --quiet --steps 4";
    let rows: String = (0..40)
        .map(|i| format!("{i},{}\n", ["a", "b"][i % 2]))
        .collect();
    write(dir, "table.txt", format!("x,y\n{rows}"));
    let copy = format!("mkdir -p data-{rank}; cp table.txt data-{rank}/table.csv");
    let csv = format!(
        "$LARGEBATCH train --set dataset.format=csv --set dataset.train=table.csv --set \
         dataset.label=y --model softmax --quiet --steps 4 --data-dir data-{rank} --out refused"
    );
    for (name, launcher) in launchers() {
        for (script, code, message) in [
            (
                format!("{common} --seed {rank} --out refused"),
                1,
                "error: rank 1 and rank 0 differ in seed (0 in rank 0, 1 in rank 1): all machines",
            ),
            (
                format!("{common} --out refused-{rank}"),
                1,
                "error: rank 1 and rank 0 differ in --out (refused-0 in rank 0, refused-1 in rank 1)",
            ),
            (
                format!("[ {rank} = 2 ] && r=--resume; {common} --out refused $r"),
                1,
                "error: rank 2 and rank 0 differ in --resume (not set in rank 0, given in rank 2)",
            ),
            (
                format!("{copy}; [ {rank} = 1 ] && rm data-1/table.csv; {csv}"),
                1,
                "rank 1: error: ",
            ),
            (
                format!("{copy}; [ {rank} = 1 ] && echo 1,a >>data-1/table.csv; {csv}"),
                1,
                "rank 1 and rank 0 differ in batch_size (26 in rank 0, 27 in rank 1), the SHA-256 of data file 1 (",
            ),
            (
                "$LARGEBATCH study run gap --out refused --shard 1/3".into(),
                2,
                "leave out --shard",
            ),
            (
                format!("$LARGEBATCH study run gap --out refused-{rank}"),
                1,
                "differ in --out (refused-0 in rank 0",
            ),
            (
                format!("[ {rank} = 1 ] && model=nothing; {common} --model ${{model:-softmax}}")
                    .replace("--model softmax ", ""),
                2,
                "rank 1: error: ",
            ),
            (
                format!("[ {rank} = 1 ] && s=true; {common} --set shard_optimizer=${{s:-false}}"),
                1,
                "error: rank 1 and rank 0 differ in shard_optimizer (not set in rank 0, true in rank 1)",
            ),
            (format!("{common} --lr=-1"), 2, "error: lr = -1"),
            (format!("{common} --nothing"), 2, "argument '--nothing'"),
        ] {
            let started = Instant::now();
            let ended = run(job(&launcher, 3, dir, &script));
            assert_eq!(ended.code, Some(code), "{name}: {script}\n{}", ended.stderr);
            let lines = ended.stderr.lines().filter(|line| line.contains(message));
            assert_eq!(lines.count(), 1, "{name}: {script}\n{}", ended.stderr);
            assert!(started.elapsed() < Duration::from_secs(20), "{script}");
            let left = tree(dir).into_keys().find(|path| {
                let name = path.to_string_lossy();
                name.starts_with("refused") || name.starts_with("runs")
            });
            assert_eq!(left, None, "{script}");
        }
        let version = ok(dir, &["devices"]).stdout;
        assert!(version.contains(name), "{version}");
        for (rest, message) in [
            (
                "--set ghost_batch=9",
                "ghost_batch has no effect: this softmax",
            ),
            ("--set ghost_batch=9 --resume", "continue it with 1 process"),
        ] {
            let script = format!("{common} --out 'quick {name}' {rest}");
            let ended = run(job(&launcher, 2, dir, &script));
            assert_eq!(ended.code, Some(0), "{name}: {script}\n{}", ended.stderr);
            assert!(ended.stderr.contains(message), "{}", ended.stderr);
            let _ = std::fs::remove_file(dir.join(format!("quick {name}/result.json")));
        }
    }
    for (variables, message) in [
        (
            &["SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=3"][..],
            "--mpi=pmix",
        ),
        (
            &["PMI_RANK=0", "PMI_SIZE=2", "LD_LIBRARY_PATH=/nothing"],
            "2 copies",
        ),
    ] {
        let script = common.replace(
            "$LARGEBATCH",
            &format!("{} $LARGEBATCH", variables.join(" ")),
        );
        let ended = run(shell(dir, &script));
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(message), "{ended:?}");
    }
    // Alone, no MPI is loaded.
    let mut alone = command(dir, &["train", "--dataset", "digits", "--model", "softmax"]);
    alone
        .args(["--quiet", "--steps", "2"])
        .env("OMPI_COMM_WORLD_SIZE", "1");
    assert_eq!(run(alone).code, Some(0));
}
