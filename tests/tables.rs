//! The program on the user's own tables: what it refuses, what it warns about, and what it reports
//! to have read. One row per case: a file's text, options beside `dataset.train`, exit code, and
//! words of standard error.

use std::fs;
use std::path::Path;

use largebatch_tests::{Ended, command, ended, folder, json, ok, write};
use serde_json::Value;

/// Lines of numbers with two classes that the first feature does not predict.
fn lines(n: usize) -> String {
    (0..n)
        .map(|i| format!("{},{},{}\n", i * 7 % 13, i * 5 % 11, i % 3 / 2))
        .collect()
}

fn named(n: usize) -> String {
    format!("a,b,y\n{}", lines(n))
}

fn train(dir: &Path, text: &str, set: &[&str], more: &[&str]) -> Ended {
    write(dir, "t.csv", text);
    let set: Vec<String> = set.iter().map(|s| format!("dataset.{s}")).collect();
    let set = set.iter().flat_map(|s| ["--set", s]);
    let common = [
        "train",
        "--set",
        "dataset.format=csv",
        "--set",
        "dataset.train=t.csv",
        "--steps",
        "2",
        "--batch-size",
        "8",
        "--out",
        "out",
    ];
    ended(command(
        dir,
        &common
            .into_iter()
            .chain(["--model", "softmax"])
            .chain(set)
            .chain(more.iter().copied())
            .collect::<Vec<_>>(),
    ))
}

#[test]
fn what_is_refused() {
    let unclosed = named(30).replacen("\n3,", "\n\"3,", 1);
    let double = named(30).replacen("a,b,y", "y,b,y", 1);
    let numbers = format!("0,1,2\n{}", lines(30));
    let hole = format!("?,0.3,1\n{}", lines(30));
    let label = |word: &str| named(30).replacen(",0\n", &format!(",{word}\n"), 1);
    let feature = named(30).replacen("\n7,", "\nNA,", 1);
    let prices = format!(
        "a,y\n{}",
        (0..60)
            .map(|i| format!("{},{}\n", i * 7 % 13, 100 + i * 37 % 41))
            .collect::<String>()
    );
    let decimal = lines(30).replace(',', ";").replacen("0;0;", "0,5;0;", 1);
    let y = "label=y";
    let rows: &[(&str, &[&str], i32, &[&str])] = &[
        (
            &unclosed,
            &[y],
            1,
            &[
                "t.csv, line 8, column 0",
                "a quote opens here",
                "close or remove it",
            ],
        ),
        (
            &double,
            &[y],
            1,
            &[
                "t.csv, line 1",
                "columns 0 and 2 are both named `y`",
                "rename one",
            ],
        ),
        (
            &numbers,
            &["label=2"],
            1,
            &["t.csv, line 1", "dataset.header = true"],
        ),
        (
            &hole,
            &["label=2"],
            1,
            &[
                "t.csv, line 1",
                "the value is missing (`?`)",
                "dataset.missing",
            ],
        ),
        (
            &label("NA"),
            &[y],
            1,
            &[
                "t.csv, line 2, column `y`",
                "the label is missing (`NA`)",
                "give it another name",
            ],
        ),
        (&label("N/A"), &[y], 1, &["line 2", "`N/A`"]),
        (&label("?"), &[y], 1, &["line 2", "`?`"]),
        (&label("NULL"), &[y], 1, &["line 2", "`NULL`"]),
        (&label("nan"), &[y], 1, &["line 2", "`nan`"]),
        (&label(""), &[y], 1, &["line 2", "the label is missing;"]),
        (
            &feature,
            &[y],
            1,
            &[
                "t.csv, line 3, column `a`",
                "the value is missing (`NA`)",
                "\"mean\" or \"drop\"",
            ],
        ),
        (
            &prices,
            &[y],
            2,
            &[
                "labels",
                "41 different labels in 60 rows",
                "labels = \"real\"",
            ],
        ),
        (
            &decimal,
            &["label=2"],
            1,
            &["t.csv, line 1", "`,` and `;`", "dataset.delimiter"],
        ),
        (
            &named(30),
            &["label=z"],
            2,
            &["label = z", "the most similar is"],
        ),
        (&named(30), &["label=1.5"], 2, &["its name in quotes"]),
        (&named(30), &[y, "delimiter=:"], 2, &["delimiter", ":"]),
        (
            &named(30),
            &[y, "missing=median"],
            2,
            &["median", "`mean`", "`drop`"],
        ),
    ];
    for (text, set, code, words) in rows {
        let folder = folder();
        let said = train(folder.path(), text, set, &[]);
        let head: String = text.chars().take(30).collect();
        assert_eq!(said.code, Some(*code), "{head:?} {set:?}: {}", said.stderr);
        assert!(
            said.stderr.starts_with("error: ") && said.stdout.is_empty(),
            "{}",
            said.stderr
        );
        assert!(
            words.iter().all(|w| said.stderr.contains(w)),
            "{head:?}: {} lacks one of {words:?}",
            said.stderr
        );
        assert!(
            !folder.path().join("out").exists(),
            "{head:?}: left a folder"
        );
    }
    let folder = folder();
    let dir = folder.path();
    write(dir, "t.svm", "1 1:1\n1,3 1:2\n3 1:3\n");
    let said = ended(command(
        dir,
        &[
            "train",
            "--set",
            "dataset.format=libsvm",
            "--set",
            "dataset.train=t.svm",
            "--model",
            "softmax",
        ],
    ));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stderr
            .contains("t.svm, line 2: `1,3` is more than one label"),
        "{}",
        said.stderr
    );
}

#[test]
fn what_is_said() {
    let indexed: String = format!(
        ",a,b,y\n{}",
        lines(30)
            .lines()
            .enumerate()
            .map(|(i, l)| format!("{i},{l}\n"))
            .collect::<String>()
    );
    let single = format!("{}5,5,2\n", named(30));
    let hole = named(30).replacen("\n7,", "\nNA,", 1);
    let tabs = named(30).replace(',', "\t");
    let year = named(30).replacen("a,b,y", "2022,2023,2024", 1);
    let read = "read t: 30 examples of 2 features; 20 to train on, 4 held out for validation, 6 for the test";
    let counts = "2 classes: `0` 20, `1` 10; always predicting `0` is right for";
    let rows: &[(&str, &[&str], &[&str])] = &[
        (&named(30), &["label=y"], &[read, counts]),
        (
            &indexed,
            &["label=y"],
            &[
                read,
                counts,
                "warning: ",
                "column 0 has no name and numbers the rows",
            ],
        ),
        (
            &single,
            &["label=y"],
            &[
                "3 classes: `0` 20, `1` 10, `2` 1",
                "t.csv, line 32: class `2` has a single example",
            ],
        ),
        (
            &hole,
            &["label=y", "missing=mean"],
            &[
                read,
                "1 missing value is replaced by the training part's means",
            ],
        ),
        (
            &hole,
            &["label=y", "missing=drop"],
            &[
                "read t: 29 examples",
                "1 of 30 rows were dropped because a value is missing (line 3)",
            ],
        ),
        (&tabs, &["label=y"], &[read, counts]),
        (&tabs, &["label=y", "delimiter=tab"], &[read, counts]),
        (
            &year,
            &["label=2024"],
            &[read, counts, "line 1: all its fields are numbers"],
        ),
        (&year, &["label=2", "header=true"], &[read, counts]),
    ];
    for (text, set, words) in rows {
        let folder = folder();
        let said = train(folder.path(), text, set, &[]);
        let head: String = text.chars().take(30).collect();
        assert_eq!(said.code, Some(0), "{head:?} {set:?}: {}", said.stderr);
        assert!(
            words.iter().all(|w| said.stderr.contains(w)),
            "{head:?}: {} lacks one of {words:?}",
            said.stderr
        );
        assert_eq!(
            said.stderr.matches("read t: ").count(),
            1,
            "{}",
            said.stderr
        );
    }
    // With --quiet only the warnings are printed.
    let folder = folder();
    let said = train(folder.path(), &indexed, &["label=y"], &["--quiet"]);
    assert!(
        said.code == Some(0)
            && said
                .stderr
                .lines()
                .all(|line| line.starts_with("warning: "))
            && said.stderr.lines().count() == 1,
        "{}",
        said.stderr
    );
}

#[test]
fn the_baseline_is_in_results() {
    let folder = folder();
    let dir = folder.path();
    let said = train(dir, &named(30), &["label=y"], &[]);
    let result: Value =
        serde_json::from_slice(&fs::read(dir.join("out/result.json")).expect("a result"))
            .expect("JSON");
    // 20 of class 0 and 10 of class 1: 4 and 2 in the test part, 3 and 1 among the 4 for
    // validation.
    let share = |key: &str| result[key].as_f64().expect("a share");
    assert!(
        (share("test_majority_accuracy") - 4.0 / 6.0).abs() < 1e-12,
        "{result}"
    );
    assert!(
        (share("validation_majority_accuracy") - 0.75).abs() < 1e-12,
        "{result}"
    );
    assert!(
        said.stdout.contains("(majority class 66.67 %)"),
        "{}",
        said.stdout
    );
    let evaluated = ok(dir, &["evaluate", "out", "--part", "test"]);
    assert!(
        evaluated
            .stderr
            .contains("read t: 30 examples of 2 features"),
        "{}",
        evaluated.stderr
    );
    let object = json(dir, &["evaluate", "out", "--part", "test"]);
    assert!(
        (object["majority_accuracy"].as_f64().expect("a share") - 4.0 / 6.0).abs() < 1e-12,
        "{object}"
    );
    assert!(ok(dir, &["evaluate", "out", "--quiet"]).stderr.is_empty());

    // A result of version 0.2.0, which had no baseline, can still be read.
    let mut old = result.clone();
    let fields = old.as_object_mut().expect("an object");
    fields
        .remove("test_majority_accuracy")
        .expect("it was there");
    fields
        .remove("validation_majority_accuracy")
        .expect("it was there");
    write(dir, "out/result.json", old.to_string());
    assert!(
        ok(dir, &["train", "--resume", "out"])
            .stdout
            .contains("has already ended")
    );

    let crossed = [
        "--set",
        "dataset.format=csv",
        "--set",
        "dataset.train=t.csv",
        "--set",
        "dataset.label=y",
        "--model",
        "softmax",
    ];
    let crossed = [
        &[
            "train",
            "--steps",
            "2",
            "--batch-size",
            "8",
            "--cross-validate",
            "1x3",
        ],
        &crossed[..],
    ]
    .concat();
    assert!(
        ok(dir, &crossed)
            .stderr
            .contains("read t: 30 examples of 2 features; 30 to train on\n")
    );
    let object = json(dir, &crossed);
    assert!(
        (object["majority_accuracy"].as_f64().expect("a share") - 2.0 / 3.0).abs() < 1e-12,
        "{object}"
    );
}

#[test]
fn the_baseline_is_in_a_study_s_report() {
    let folder = folder();
    let dir = folder.path();
    write(dir, "t.csv", named(30));
    let study = "name = 'small'\n[set]\nmodel = 'softmax'\nbatch_size = 8\n\
                 dataset = { name = 't', format = 'csv', train = 't.csv', label = 'y' }\n\
                 [search]\nlr = { log_uniform = [0.1, 0.2], points = 2 }\n[budget]\nepochs = 1\n[tune]\nseeds = 1\n[confirm]\nseeds = 2\n";
    write(dir, "small.toml", study);
    let said = ok(dir, &["study", "run", "small.toml", "--jobs", "1"]);
    assert!(
        said.stderr.contains("read t: 30 examples of 2 features"),
        "{}",
        said.stderr
    );
    let line = "majority-class baseline, which always predicts the most frequent class: test accuracy 66.67 %.";
    assert!(said.stdout.contains(line), "{}", said.stdout);
    assert!(
        fs::read_to_string(dir.join("studies/small/report/index.html"))
            .expect("a report")
            .contains(line)
    );
}
