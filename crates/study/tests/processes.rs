//! Studies as processes: dying workers, killed studies, full disks, shards. This program starts
//! itself again in a role.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use largebatch_random::{Key, normal};
use largebatch_study::{
    Event, Notice, Plan, Results, RunOptions, Runner, Stage, Started, StopReason, Study,
    StudyError, Trial, TrialRecord, TrialResult, Workers, get, number, run, serve,
};

/// The file that a trial's settings name.
fn marker(trial: &Trial) -> PathBuf {
    get(&trial.config, "marker")
        .and_then(|m| m.as_str())
        .unwrap_or_default()
        .into()
}

/// The bytes allocated by a trial that asks for too much memory.
const GREED: usize = 256 << 20;

/// Noisy gradient descent on w²/2 with the noise of a batch; `mode` makes it misbehave.
struct Toy;

impl Runner for Toy {
    fn run(
        &self,
        trial: &Trial,
        emit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<TrialResult, String> {
        let setting = |k: &str| get(&trial.config, k).and_then(number);
        let (lr, batch) = (
            setting("lr").ok_or("no lr")?,
            setting("batch_size").unwrap_or(1.0),
        );
        let steps = setting("steps").unwrap_or(20.0) as u64;
        match get(&trial.config, "mode")
            .and_then(|m| m.as_str())
            .unwrap_or("")
        {
            "error" => return Err("lr = 7 is unlucky".into()),
            "panic" => panic!("this trial panics"),
            "exit" => std::process::exit(3),
            "abort" => std::process::abort(),
            "kill" => kill_self(),
            // More than the machine has.
            "starve" => drop(std::hint::black_box(Vec::<u8>::with_capacity(
                isize::MAX as usize,
            ))),
            // More than its control group may have.
            "greedy" => drop(std::hint::black_box(vec![1u8; GREED])),
            "kill-without" if !marker(trial).exists() => kill_self(),
            "kill-once" if !marker(trial).exists() => {
                fs::write(marker(trial), "").unwrap();
                kill_self();
            }
            "noise" => println!("a library prints, even {{\"json\": 1}}"),
            _ => {}
        }
        if let Some(file) = get(&trial.config, "pids").and_then(|m| m.as_str()) {
            fs::write(Path::new(file).join(std::process::id().to_string()), "").unwrap();
        }
        let sleep = setting("sleep_ms").unwrap_or(0.0) as u64;
        let metric = "validation_accuracy".to_string();
        let _ = emit(Event::Started(Started {
            train_examples: 100,
            epochs: None,
            budget_steps: steps,
            metric: metric.clone(),
            higher_is_better: true,
            constant_loss: Some(1.0),
        }));
        let (mut rng, mut w, mut done) = (Key::new(trial.seed).word("noise").rng(), 1.0f64, 0);
        for step in 1..=steps {
            w -= lr * (w + 0.1 * normal(&mut rng) / batch.sqrt());
            done = step;
            std::thread::sleep(Duration::from_millis(sleep));
            let point = Event::Point {
                step,
                examples: step * batch as u64,
                train_loss: w * w / 2.0,
                validation: Some(1.0 / (1.0 + w * w)),
                fitted_loss: Some(w * w / 2.0),
            };
            if emit(point).is_break() || !(w * w).is_finite() || w.abs() > 1e6 {
                break;
            }
        }
        let mut metrics = BTreeMap::from([
            (metric, 1.0 / (1.0 + w * w)),
            ("train_loss".into(), w * w / 2.0),
        ]);
        if trial.stage == Stage::Confirm {
            metrics.insert("test_accuracy".into(), 0.99 / (1.0 + w * w));
        }
        let provenance = BTreeMap::from([("pid".into(), std::process::id().into())]);
        Ok(TrialResult {
            diverged: w.is_nan() || w.abs() > 1e6,
            metrics,
            steps: done,
            examples: done * batch as u64,
            provenance,
        })
    }
}

fn kill_self() -> ! {
    let _ = Command::new("kill")
        .args(["-9", &std::process::id().to_string()])
        .status();
    loop {
        std::thread::park();
    }
}

const GAP: &str = r#"
name = "toy"
set.steps = 20
tune = { seeds = 2 }
confirm.seeds = 4
[[arm]]
name = "small"
set.batch_size = 4
search.lr = [0.01, 0.1, 0.5, 30.0]
[[arm]]
name = "sqrt"
axes.batch_size = [16, 64]
rate = { scaling = "sqrt", from = "small" }
[[arm]]
name = "tuned"
set.batch_size = 64
search.lr = { log_uniform = [0.01, 1.0], points = 3 }
[[arm]]
name = "fixed"
set = { batch_size = 64, lr = 0.1 }
"#;

fn plan(text: &str) -> Plan {
    Plan::new(Study::parse(text, "toy.toml", &[]).unwrap(), &|_| Ok(())).unwrap()
}

fn me(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(role);
    command
}

fn worker() -> Command {
    me("worker")
}

/// Runs a study in this process with worker processes.
fn study(text: &str, dir: &Path, jobs: usize) -> Result<largebatch_study::Summary, StudyError> {
    run(
        &plan(text),
        dir,
        Workers::Processes(&worker),
        RunOptions {
            jobs,
            ..Default::default()
        },
        &mut |_, _| {},
    )
}

/// Starts a study as a separate process, which prints the identity of every trial that is reported
/// done.
fn spawn_study(file: &Path, dir: &Path, arguments: &[&str]) -> Child {
    me("study")
        .args([file, dir])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn study_process(arguments: &[String]) -> Result<(), StudyError> {
    let jobs = arguments[2].parse().unwrap();
    let shard = arguments.get(3).map(|s| s.parse().unwrap());
    let options = RunOptions {
        jobs,
        shard,
        ..Default::default()
    };
    let text = fs::read_to_string(&arguments[0]).unwrap();
    run(
        &plan(&text),
        Path::new(&arguments[1]),
        Workers::Processes(&worker),
        options,
        &mut |_, notice| {
            if let Notice::Done(record) = notice {
                println!("{}", record.id);
            }
        },
    )
    .map(|_| ())
}

/// The final lines of a study's folder, without provenance.
fn lines(dir: &Path) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    files.sort();
    files
        .iter()
        .flat_map(|f| {
            fs::read_to_string(f)
                .unwrap()
                .lines()
                .map(strip)
                .collect::<Vec<_>>()
        })
        .collect()
}

fn strip(line: &str) -> String {
    let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
    ["provenance", "digest"]
        .iter()
        .for_each(|key| drop(value.as_object_mut().unwrap().remove(*key)));
    value.to_string()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn undisturbed() -> Vec<String> {
    let dir = folder();
    let summary = run(
        &plan(GAP),
        dir.path(),
        Workers::Threads(&Toy),
        RunOptions::default(),
        &mut |_, _| {},
    )
    .unwrap();
    assert_eq!(
        (summary.ran, summary.skipped, summary.diverged),
        (8 + 6 + 5 * 4, 0, 2)
    );
    lines(dir.path())
}

fn any_number_of_jobs_gives_the_same_bits() {
    let expected = undisturbed();
    for jobs in [1, 2, 5] {
        let dir = folder();
        study(GAP, dir.path(), jobs).unwrap();
        assert_eq!(lines(dir.path()), expected, "{jobs} jobs");
        let again = study(GAP, dir.path(), jobs).unwrap();
        assert_eq!((again.ran, again.skipped), (0, 34));
    }
    // The derived arm uses the rate chosen for the small one, times √(64/4) = 4.
    let dir = folder();
    study(GAP, dir.path(), 2).unwrap();
    let results = Results::open(dir.path()).unwrap();
    let chosen = results.choices[0].as_ref().unwrap();
    let base = number(&results.plan.groups[0].points[chosen.point]["lr"]).unwrap();
    let derived = results.reported(2);
    assert_eq!(derived.len(), 4);
    assert!(
        derived
            .iter()
            .all(|r| number(&r.config["lr"]) == Some(base * 4.0)
                && r.metrics.contains_key("test_accuracy"))
    );
    assert!(
        results
            .rows()
            .iter()
            .filter(|r| r.stage == Stage::Tune)
            .all(|r| !r.record.unwrap().metrics.contains_key("test_accuracy"))
    );
    assert_eq!(
        (
            results.rows().len(),
            results.unplanned(),
            results.conflicts.len()
        ),
        (34, 0, 0)
    );
}

fn killed_at_twenty_points_it_ends_with_the_same_bits() {
    let text = GAP.replace("set.steps = 20", "set = { steps = 20, sleep_ms = 3 }");
    let expected: Vec<String> = {
        let dir = folder();
        study(&text, dir.path(), 1).unwrap();
        lines(dir.path())
    };
    let (dir, mut rng) = (folder(), Key::new(4).rng());
    let file = dir.path().join("toy.toml");
    fs::write(&file, &text).unwrap();
    let out = dir.path().join("out");
    let (mut reported, mut kills) = (Vec::new(), 0);
    loop {
        let mut child = spawn_study(&file, &out, &["2"]);
        if kills < 20 {
            std::thread::sleep(Duration::from_millis(u64::from(largebatch_random::below(
                &mut rng, 100,
            ))));
            assert!(
                child.try_wait().unwrap().is_none(),
                "the study ended before it was killed 20 times: it has to be longer"
            );
            kills += 1;
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            reported.extend(
                String::from_utf8(output.stdout)
                    .unwrap()
                    .lines()
                    .map(str::to_string),
            );
            let now = fs::read_to_string(out.join("trials.jsonl")).unwrap_or_default();
            assert!(
                reported.iter().all(|id| now.contains(id.as_str())),
                "a trial that was reported done is lost"
            );
        } else {
            assert!(child.wait().unwrap().success());
            break;
        }
    }
    assert_eq!(lines(&out), expected);
    assert!(!reported.is_empty());
}

fn one(settings: &str) -> TrialRecord {
    let dir = folder();
    study(
        &format!("name = \"one\"\nset = {{ lr = 0.1, {settings} }}\nconfirm.seeds = 1"),
        dir.path(),
        1,
    )
    .unwrap();
    let results = Results::open(dir.path()).unwrap();
    results.records.into_values().next().unwrap()
}

fn a_dying_worker_is_its_trials_outcome() {
    let failed = |mode: &str| match one(&format!("mode = \"{mode}\"")) {
        TrialRecord {
            stop: StopReason::Failed { message },
            provenance,
            ..
        } => (message, provenance),
        other => panic!("{mode}: {other:?}"),
    };
    assert_eq!(failed("error").0, "lr = 7 is unlucky");
    let (message, provenance) = failed("panic");
    assert_eq!(message, "the worker process ended with status 101");
    assert!(
        provenance.stderr.contains("this trial panics"),
        "{}",
        provenance.stderr
    );
    assert_eq!(failed("exit").0, "the worker process ended with status 3");
    let (message, provenance) = failed("kill");
    assert_eq!(
        (message.as_str(), provenance.retries),
        ("the worker process was ended by signal 9, 3 times", 2)
    );
    assert_eq!(
        failed("abort").0,
        "the worker process was ended by signal 6, 3 times"
    );
    let dir = folder();
    let once = one(&format!(
        "mode = \"kill-once\", marker = \"{}\"",
        dir.path().join("marker").display()
    ));
    assert_eq!(
        (once.stop, once.provenance.retries),
        (StopReason::Finished, 1)
    );
    assert_eq!(one("mode = \"noise\"").stop, StopReason::Finished);
    // The other trials of the study continue.
    let dir = folder();
    let summary =
        study("name = \"mixed\"\nset.lr = 0.1\naxes.mode = ['', 'kill', 'panic', 'exit', 'error']\nconfirm.seeds = 2", dir.path(), 2)
            .unwrap();
    assert_eq!((summary.ran, summary.failed.len()), (10, 8));
    // If the program does not exist, the study fails, not the trials.
    let start = || Command::new("no-such-program");
    let result = run(
        &plan(GAP),
        folder().path(),
        Workers::Processes(&start),
        RunOptions::default(),
        &mut |_, _| {},
    );
    assert!(
        matches!(&result, Err(StudyError::Worker { program, .. }) if program == "no-such-program"),
        "{result:?}"
    );
}

fn a_kill_for_memory_is_told_from_a_crash() {
    let TrialRecord {
        stop: StopReason::Failed { message },
        ..
    } = one("mode = \"starve\"")
    else {
        panic!("it failed")
    };
    assert!(
        message.starts_with("the worker process was ended by signal 6, 3 times because memory ran out: fewer trials at a time"),
        "{message}"
    );
    // The system's own out-of-memory killer, if control groups can be made.
    let group = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"]
        .map(|root| Path::new(root).join(format!("largebatch-{}", std::process::id())));
    let limits = ["memory.limit_in_bytes", "memory.max"];
    let limited = |(path, limit): (&PathBuf, &&str)| {
        fs::create_dir(path).and_then(|()| fs::write(path.join(limit), (GREED / 4).to_string()))
    };
    let made: Vec<&PathBuf> = group
        .iter()
        .zip(&limits)
        .filter(|(path, limit)| limited((path, limit)).is_ok())
        .map(|(path, _)| path)
        .collect();
    let Some(place) = made.first() else {
        group.iter().for_each(|path| drop(fs::remove_dir(path)));
        return println!("  SKIPPED: no control group may be made here");
    };
    let start = || {
        let script = format!(
            "echo $$ > {}/cgroup.procs && exec \"$0\" worker",
            place.display()
        );
        let mut command = Command::new("sh");
        command
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap());
        command
    };
    let (dir, text) = (
        folder(),
        "name = \"one\"\nset = { lr = 0.1, mode = \"greedy\" }\nconfirm.seeds = 1",
    );
    let summary = run(
        &plan(text),
        dir.path(),
        Workers::Processes(&start),
        RunOptions::default(),
        &mut |_, _| {},
    );
    group.iter().for_each(|path| drop(fs::remove_dir(path)));
    assert_eq!(summary.unwrap().failed.len(), 1);
    let failure = Results::open(dir.path())
        .unwrap()
        .records
        .into_values()
        .next()
        .unwrap()
        .failure()
        .unwrap();
    assert!(
        failure.starts_with(
            "the worker process was ended by signal 9, 3 times because memory ran out"
        ),
        "{failure}"
    );
}

fn failed_trials_run_again_when_asked() {
    let expected: Vec<String> = undisturbed();
    let (dir, marks) = (folder(), folder());
    let marker = marks.path().join("marker");
    let wanted = format!(
        "set = {{ steps = 20, mode = \"kill-without\", marker = \"{}\" }}",
        marker.display()
    );
    let text = GAP.replace("set.steps = 20", &wanted);
    let again = |retry: bool, shard: Option<&str>| {
        let options = RunOptions {
            jobs: 2,
            retry,
            shard: shard.map(|s| s.parse().unwrap()),
            ..Default::default()
        };
        run(
            &plan(&text),
            dir.path(),
            Workers::Processes(&worker),
            options,
            &mut |_, _| {},
        )
        .unwrap()
    };
    let first = again(false, None);
    assert!(
        first.ran > 0 && first.failed.len() == first.ran,
        "{first:?}"
    );
    fs::write(&marker, "").unwrap();
    // They stay failed until a retry is requested; a shard retries only those in its own journal.
    let same = again(false, None);
    assert_eq!(
        (same.ran, same.skipped, same.failed.len()),
        (0, first.ran, first.ran)
    );
    assert_eq!(again(true, Some("1/2")).retried, 0);
    let retried = again(true, None);
    assert_eq!(
        (retried.retried, retried.failed.len(), retried.diverged),
        (first.ran, 0, 2)
    );
    assert_eq!(
        fs::read_to_string(dir.path().join("failed.jsonl"))
            .unwrap()
            .lines()
            .count(),
        first.ran,
        "their records are kept"
    );
    assert_eq!(
        Results::open(dir.path())
            .unwrap()
            .rows()
            .iter()
            .filter(|r| r.record.is_some())
            .count(),
        expected.len()
    );
}

fn workers_end_with_their_parent() {
    let dir = folder();
    let (file, pids) = (dir.path().join("toy.toml"), dir.path().join("pids"));
    fs::create_dir(&pids).unwrap();
    fs::write(&file, format!("name = \"slow\"\nset = {{ lr = 0.1, sleep_ms = 100000, pids = \"{}\" }}\nconfirm.seeds = 4", pids.display()))
        .unwrap();
    let mut child = spawn_study(&file, &dir.path().join("out"), &["2"]);
    let workers = || {
        fs::read_dir(&pids)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    wait("two workers", || workers().len() == 2);
    // Meanwhile a second process on the folder is refused.
    assert!(matches!(
        study(
            &fs::read_to_string(&file).unwrap(),
            &dir.path().join("out"),
            1
        ),
        Err(StudyError::Locked { .. })
    ));
    child.kill().unwrap();
    child.wait().unwrap();
    // Orphans may stay as zombies if nobody reaps them; they no longer run.
    let ended = |pid: &String| {
        fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |s| s.contains(") Z"))
    };
    wait("the workers' end", || workers().iter().all(ended));
}

fn wait(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "waited in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn an_interrupted_study_gives_up_running_trials_at_once() {
    let (dir, flag) = (folder(), AtomicBool::new(false));
    let slow =
        plan("name = \"slow\"\nset.lr = 0.1\naxes.sleep_ms = [0, 100000]\nconfirm.seeds = 2");
    let begun = Instant::now();
    let options = RunOptions {
        jobs: 2,
        interrupt: Some(&flag),
        ..Default::default()
    };
    let summary = run(
        &slow,
        dir.path(),
        Workers::Processes(&worker),
        options,
        &mut |progress, _| {
            flag.store(progress.done == 2, Ordering::Relaxed);
        },
    )
    .unwrap();
    assert!(
        summary.interrupted && summary.ran == 2 && begun.elapsed() < Duration::from_secs(60),
        "{summary:?}"
    );
    assert_eq!(lines(dir.path()).len(), 2);
}

fn a_full_disk_is_an_error_and_loses_nothing() {
    let dir = folder();
    let file = dir.path().join("toy.toml");
    fs::write(&file, GAP).unwrap();
    let out = dir.path().join("out");
    // Files of at most 12 blocks of 1,024 bytes: a write beyond the limit fails like one on a full
    // disk.
    let output = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 12; exec \"$@\"", "bash"])
        .arg(std::env::current_exe().unwrap())
        .arg("study")
        .args([&file, &out])
        .arg("1")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && error.contains("writing") && error.contains("trials.jsonl"),
        "{error}"
    );
    let kept = fs::read_to_string(out.join("trials.jsonl")).unwrap();
    let reported = String::from_utf8(output.stdout).unwrap();
    assert!(
        kept.ends_with('\n')
            && kept.lines().count() == reported.lines().count()
            && !reported.is_empty()
    );
    // With space again the study continues.
    study(GAP, &out, 2).unwrap();
    assert_eq!(lines(&out), undisturbed());
    // A folder that cannot be created.
    let error = study(GAP, &file.join("below"), 1).unwrap_err().to_string();
    assert!(
        error.contains("creating") && error.contains("below"),
        "{error}"
    );
}

fn a_changed_study_is_refused_with_a_diff() {
    let dir = folder();
    study(GAP, dir.path(), 2).unwrap();
    let before = lines(dir.path());
    let error = study(&GAP.replace("[16, 64]", "[16, 32]"), dir.path(), 2).unwrap_err();
    let StudyError::Changed { diff, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        diff, "- arm.sqrt.axes.batch_size = [16, 64]\n+ arm.sqrt.axes.batch_size = [16, 32]",
        "{error}"
    );
    assert_eq!(lines(dir.path()), before);
    // Another text of the same study is accepted.
    assert_eq!(
        study(
            &format!("about = 'other words'\n# and a comment\n{GAP}"),
            dir.path(),
            1
        )
        .unwrap()
        .ran,
        0
    );
}

fn shards_are_the_same_study() {
    let expected = undisturbed();
    let compare = |dir: &Path| {
        let results = Results::open(dir).unwrap();
        let mut all: Vec<String> = results
            .rows()
            .iter()
            .map(|r| strip(&serde_json::to_string(r.record.unwrap()).unwrap()))
            .collect();
        let mut expected = expected.clone();
        all.sort();
        expected.sort();
        assert_eq!(all, expected);
        assert!(results.conflicts.is_empty());
    };
    let file_dir = folder();
    let file = file_dir.path().join("toy.toml");
    fs::write(&file, GAP).unwrap();
    let shard = |dir: &Path, s: &str| spawn_study(&file, dir, &["1", s]);
    // One after the other in one folder: nothing runs twice.
    let dir = folder();
    for s in ["1/3", "2/3", "3/3"] {
        assert!(shard(dir.path(), s).wait().unwrap().success());
    }
    assert_eq!(lines(dir.path()).len(), expected.len());
    compare(dir.path());
    // All at the same time in one folder.
    let dir = folder();
    let children: Vec<Child> = ["1/3", "2/3", "3/3"]
        .iter()
        .map(|s| shard(dir.path(), s))
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    compare(dir.path());
    // Without tuning the trials themselves are dealt out: each shard runs only its own.
    let fixed = plan("name = 'fixed'\nset.lr = 0.1\naxes.batch_size = [1, 2]\nconfirm.seeds = 5");
    let seeds: Vec<Vec<u64>> = ["1/3", "2/3", "3/3"]
        .iter()
        .map(|s| {
            let (dir, options) = (
                folder(),
                RunOptions {
                    shard: Some(s.parse().unwrap()),
                    ..Default::default()
                },
            );
            run(
                &fixed,
                dir.path(),
                Workers::Threads(&Toy),
                options,
                &mut |_, _| {},
            )
            .unwrap();
            let results = Results::open(dir.path()).unwrap();
            results
                .rows()
                .iter()
                .filter(|r| r.record.is_some())
                .map(|r| r.seed)
                .collect()
        })
        .collect();
    assert_eq!(seeds, [vec![0, 3, 1, 4], vec![1, 4, 2], vec![2, 0, 3]]);
    // On machines that do not see each other, with the files collected afterwards.
    let dir = folder();
    for s in ["3/3", "1/3", "2/3"] {
        let other = folder();
        assert!(shard(other.path(), s).wait().unwrap().success());
        for entry in fs::read_dir(other.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    compare(dir.path());
}

/// They should take less than 10 ms each, which is only printed: the time of a test depends on the
/// machine.
fn a_thousand_trivial_trials() {
    for jobs in [1, 2] {
        let (dir, pids, begun) = (folder(), folder(), Instant::now());
        let set = format!(
            "set = {{ lr = 0.1, steps = 2, pids = \"{}\" }}",
            pids.path().display()
        );
        let summary = study(
            &format!("name = \"many\"\n{set}\nconfirm.seeds = 1000"),
            dir.path(),
            jobs,
        )
        .unwrap();
        println!(
            "  1,000 trials, {jobs} jobs: {:.3} ms each",
            begun.elapsed().as_secs_f64()
        );
        // One process per job, not one per trial.
        assert_eq!(
            (
                summary.ran,
                lines(dir.path()).len(),
                fs::read_dir(pids.path()).unwrap().count()
            ),
            (1000, 1000, jobs)
        );
    }
}

fn a_reader_sees_the_study_while_it_runs() {
    let dir = folder();
    let file = dir.path().join("toy.toml");
    fs::write(
        &file,
        GAP.replace("set.steps = 20", "set = { steps = 20, sleep_ms = 2 }"),
    )
    .unwrap();
    let out = dir.path().join("out");
    let mut child = spawn_study(&file, &out, &["2"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while let Some(Ok(id)) = lines.next() {
        let results = Results::open(&out).unwrap();
        assert!(results.records.keys().any(|k| k.0 == id));
        seen += 1;
        let progress = results.progress(2);
        assert!(
            progress.total == 34 && progress.done >= seen && progress.eta().is_some(),
            "{progress:?}"
        );
    }
    assert!(child.wait().unwrap().success() && seen == 34);
    let progress = Results::open(&out).unwrap().progress(2);
    assert_eq!(
        (progress.done, progress.diverged, progress.eta()),
        (34, 2, Some(Duration::ZERO))
    );
    assert!(progress.best.unwrap().value > 0.9);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("worker") => serve(&Toy),
        Some("study") => {
            if let Err(error) = study_process(&arguments[1..]) {
                eprintln!("{error}");
                std::process::exit(1);
            }
            return;
        }
        _ => {}
    }
    let tests: [(&str, fn()); 12] = [
        (
            "any_number_of_jobs_gives_the_same_bits",
            any_number_of_jobs_gives_the_same_bits,
        ),
        (
            "killed_at_twenty_points_it_ends_with_the_same_bits",
            killed_at_twenty_points_it_ends_with_the_same_bits,
        ),
        (
            "a_dying_worker_is_its_trials_outcome",
            a_dying_worker_is_its_trials_outcome,
        ),
        (
            "a_kill_for_memory_is_told_from_a_crash",
            a_kill_for_memory_is_told_from_a_crash,
        ),
        (
            "failed_trials_run_again_when_asked",
            failed_trials_run_again_when_asked,
        ),
        (
            "workers_end_with_their_parent",
            workers_end_with_their_parent,
        ),
        (
            "an_interrupted_study_gives_up_running_trials_at_once",
            an_interrupted_study_gives_up_running_trials_at_once,
        ),
        (
            "a_full_disk_is_an_error_and_loses_nothing",
            a_full_disk_is_an_error_and_loses_nothing,
        ),
        (
            "a_changed_study_is_refused_with_a_diff",
            a_changed_study_is_refused_with_a_diff,
        ),
        ("shards_are_the_same_study", shards_are_the_same_study),
        ("a_thousand_trivial_trials", a_thousand_trivial_trials),
        (
            "a_reader_sees_the_study_while_it_runs",
            a_reader_sees_the_study_while_it_runs,
        ),
    ];
    let filter = arguments
        .iter()
        .find(|a| !a.starts_with('-'))
        .cloned()
        .unwrap_or_default();
    for (name, test) in tests.iter().filter(|(name, _)| name.contains(&filter)) {
        let begun = Instant::now();
        test();
        println!(
            "test {name} ... ok ({:.1} s)",
            begun.elapsed().as_secs_f64()
        );
    }
}
