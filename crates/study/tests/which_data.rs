//! Trials on different data are never treated as comparable.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use largebatch_store::seal;
use largebatch_study::{
    DataFile, Event, Notice, Plan, Results, RunOptions, Runner, SOURCES, Started, Study,
    StudyError, Summary, Trial, TrialResult, Workers, number, run,
};
use serde_json::json;

const STUDY: &str = r#"
name = "data"
set.dataset = { format = "csv", train = "points.csv", label = "y" }
axes.batch_size = [16, 64]
search.lr = [0.1, 0.3, 0.9]
tune.seeds = 2
confirm.seeds = 3
"#;
const TUNE: usize = 2 * 3 * 2;
const ALL: usize = TUNE + 2 * 3;

/// Learns better from the data "b", and fails on "bad".
struct Reader<'a> {
    hash: Option<&'a str>,
}

impl Runner for Reader<'_> {
    fn run(
        &self,
        trial: &Trial,
        emit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<TrialResult, String> {
        if self.hash == Some("bad") {
            return Err("a broken line".into());
        }
        let metric = "validation_accuracy".to_owned();
        let started = Started {
            train_examples: 10,
            epochs: None,
            budget_steps: 1,
            metric: metric.clone(),
            higher_is_better: true,
            constant_loss: None,
        };
        let _ = emit(Event::Started(started));
        let lr = trial.config.get("lr").and_then(number).unwrap();
        let accuracy = if self.hash == Some("b") {
            0.5 + lr / 10.0
        } else {
            0.5 - lr / 10.0
        };
        let sources = self.hash.map(|hash| {
            (
                SOURCES.to_owned(),
                json!([{ "file": "points.csv", "sha256": hash, "known": true }]),
            )
        });
        Ok(TrialResult {
            diverged: false,
            metrics: [(metric, accuracy)].into(),
            steps: 1,
            examples: 10,
            provenance: sources.into_iter().collect(),
        })
    }
}

/// Runs a study whose data are `now` and whose trials report that they read `read`.
fn study(
    dir: &Path,
    now: &str,
    read: Option<&str>,
    shard: Option<&str>,
    accept_data: bool,
) -> Result<(Summary, usize), StudyError> {
    let plan = Plan::new(Study::parse(STUDY, "data.toml", &[]).unwrap(), &|_| Ok(())).unwrap();
    let reads = |config: &toml::Table| {
        assert_eq!(config["dataset"]["train"].as_str(), Some("points.csv"));
        Some(vec![DataFile {
            file: "points.csv".into(),
            sha256: now.into(),
        }])
    };
    let options = RunOptions {
        jobs: 2,
        shard: shard.map(|s| s.parse().unwrap()),
        data: Some(&reads),
        accept_data,
        ..Default::default()
    };
    let mut aside = 0;
    let mut watch =
        |_: &_, notice: &Notice| aside += usize::from(matches!(notice, Notice::Aside(_)));
    run(
        &plan,
        dir,
        Workers::Threads(&Reader { hash: read }),
        options,
        &mut watch,
    )
    .map(|summary| (summary, aside))
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// The files of a folder, except locks.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e != "lock"))
        .collect();
    all.sort();
    all.into_iter()
        .map(|p| (p.display().to_string(), fs::read(p).unwrap()))
        .collect()
}

#[test]
fn trials_of_other_data_are_refused_and_run_anew_where_they_are_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = study(dir.path(), "a", Some("a"), None, false).unwrap();
    assert_eq!((first.ran, first.aside), (ALL, 0));
    assert_eq!(
        study(dir.path(), "a", Some("a"), None, true).unwrap().0.ran,
        0,
        "nothing is stale"
    );
    assert_eq!(Results::open(dir.path()).unwrap().rate(0), Some(0.1));
    let before = files(dir.path());

    let error = study(dir.path(), "b", Some("b"), None, false).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StudyError::OtherData { .. }));
    for part in [
        "points.csv: SHA-256 was a and is b",
        "18 trials: batch_size=16 seed ",
        "and 15 more",
        "--accept-data",
        "other-data.jsonl",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert_eq!(files(dir.path()), before, "nothing changes");

    let (second, aside) = study(dir.path(), "b", Some("b"), None, true).unwrap();
    assert_eq!(
        (second.ran, second.skipped, second.aside, aside),
        (ALL, 0, ALL, ALL)
    );
    assert_eq!(
        (
            lines(&dir.path().join("trials.jsonl")),
            lines(&dir.path().join("other-data.jsonl"))
        ),
        (ALL, ALL)
    );
    let results = Results::open(dir.path()).unwrap();
    assert!(results.conflicts.is_empty() && results.unplanned() == 0);
    assert_eq!(results.rate(0), Some(0.9), "tuned again");
    assert_eq!(
        study(dir.path(), "b", Some("b"), None, false)
            .unwrap()
            .0
            .ran,
        0
    );
}

#[test]
fn shards_of_different_data_are_not_mixed() {
    let dir = tempfile::tempdir().unwrap();
    let ran = study(dir.path(), "a", Some("a"), Some("1/2"), false)
        .unwrap()
        .0
        .ran;
    assert_eq!(ran, ALL / 2);
    let text = study(dir.path(), "b", Some("b"), Some("2/2"), false)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("SHA-256 was a and is b") && text.contains("9 trials"),
        "{text}"
    );
    assert_eq!(lines(&dir.path().join("trials-2of2.jsonl")), 0);
    let (summary, _) = study(dir.path(), "b", Some("b"), Some("2/2"), true).unwrap();
    assert_eq!((summary.ran, summary.aside), (ALL / 2, ALL / 2));
    assert_eq!(lines(&dir.path().join("trials-1of2.jsonl")), 0);
    // Trials that were set aside count as never run.
    let results = Results::open(dir.path()).unwrap();
    let progress = results.progress(1);
    assert_eq!((progress.done, progress.total), (ALL / 2, ALL));
    assert_eq!(
        study(dir.path(), "b", Some("b"), Some("1/2"), false)
            .unwrap()
            .0
            .ran,
        ALL / 2
    );
    assert_eq!(Results::open(dir.path()).unwrap().progress(1).done, ALL);
}

/// Two machines, whose journals are copied into one folder.
#[test]
fn a_report_of_different_data_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    study(one.path(), "a", Some("a"), Some("1/2"), false).unwrap();
    study(two.path(), "b", Some("b"), Some("2/2"), false).unwrap();
    fs::copy(
        two.path().join("trials-2of2.jsonl"),
        one.path().join("trials-2of2.jsonl"),
    )
    .unwrap();
    let text = Results::open(one.path()).unwrap_err().to_string();
    for part in [
        "points.csv with SHA-256 a (9 trials: ",
        "points.csv with SHA-256 b (9 trials: ",
        "--accept-data",
        "must not be compared",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    // The remedy that the message gives.
    assert_eq!(
        study(one.path(), "b", Some("b"), None, true).unwrap().0.ran,
        ALL / 2
    );
    assert_eq!(Results::open(one.path()).unwrap().progress(1).done, ALL);
    // Journals that another process is writing are not changed.
    fs::write(
        one.path().join("trials-1of2.jsonl"),
        fs::read(one.path().join("trials.jsonl")).unwrap(),
    )
    .unwrap();
    let lock = fs::File::create(one.path().join("trials-1of2.lock")).unwrap();
    lock.lock().unwrap();
    let before = files(one.path());
    assert!(matches!(
        study(one.path(), "c", Some("c"), None, true),
        Err(StudyError::Locked { .. })
    ));
    assert_eq!(files(one.path()), before);
}

#[test]
fn data_that_change_while_a_study_runs_stop_it() {
    let dir = tempfile::tempdir().unwrap();
    let error = study(dir.path(), "a", Some("b"), None, false).unwrap_err();
    assert!(matches!(error, StudyError::DataChanged { .. }));
    let text = error.to_string();
    assert!(
        text.contains("SHA-256 was a and is b") && text.contains("batch_size=16 seed"),
        "{text}"
    );
    assert_eq!(lines(&dir.path().join("trials.jsonl")), 0);
}

/// Records of early versions and of failed trials do not say which data they ran on.
#[test]
fn records_without_data_still_count() {
    let dir = tempfile::tempdir().unwrap();
    study(dir.path(), "a", Some("a"), None, false).unwrap();
    let path = dir.path().join("trials.jsonl");
    let without: String = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["provenance"]
                .as_object_mut()
                .unwrap()
                .remove(SOURCES);
            record.as_object_mut().unwrap().remove("digest").unwrap();
            seal(&record.to_string()) + "\n"
        })
        .collect();
    fs::write(&path, without).unwrap();
    assert_eq!(
        study(dir.path(), "b", Some("b"), None, true).unwrap().0.ran,
        0
    );
    assert_eq!(Results::open(dir.path()).unwrap().progress(1).done, ALL);

    // A failure records the data at that time, so that repaired data are noticed.
    let dir = tempfile::tempdir().unwrap();
    let failed = study(dir.path(), "a", Some("bad"), None, false).unwrap().0;
    assert_eq!((failed.failed.len(), failed.ran), (TUNE, TUNE));
    assert!(
        study(dir.path(), "b", Some("b"), None, false)
            .unwrap_err()
            .to_string()
            .contains("12 trials")
    );
    assert_eq!(
        study(dir.path(), "b", Some("b"), None, true).unwrap().0.ran,
        ALL
    );
}
