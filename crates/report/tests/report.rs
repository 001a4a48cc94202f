//! Reports of made-up studies: they agree with the records, and other programs can read them.

#[allow(dead_code, reason = "also contains studies for other tests")]
mod made_up;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use largebatch_report::{Context, Format, Probed, ReportError};
use largebatch_study::{Plan, Results, RunOptions, Study, Workers, run};
use made_up::{BATCHES, GAP, MadeUp, SCALING, figures, html, published, results, terminal, write};

fn recipe(name: &str) -> String {
    std::fs::read_to_string(format!(
        "{}/../../examples/studies/{name}.toml",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

/// Rows of a CSV without quoted fields, by column name.
fn csv(path: &Path) -> Vec<HashMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text
        .lines()
        .map(|l| l.split(',').map(str::to_string).collect::<Vec<_>>());
    let heads = lines.next().unwrap();
    lines
        .map(|l| heads.iter().cloned().zip(l).collect())
        .collect()
}

#[test]
fn the_page_loads_nothing_and_says_what_it_must() {
    let dir = tempfile::tempdir().unwrap();
    let results = results(GAP, dir.path());
    let context = Context {
        command: "largebatch study run gap --set \"a\" <b>".into(),
        environment: vec![("commit".into(), "abc".into())],
        ..Context::default()
    };
    let page = html(&results, &context);
    for outside in ["http:", "https:", "src=", "@import", "<link", "url(http"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for part in [
        "budgets differ, from 20 to 626.67 epochs",
        "largebatch study run gap --set &quot;a&quot; &lt;b&gt;",
        "prefers-color-scheme",
        "@media print",
        "cpu (made up)",
        "abc",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Warnings are above everything that they put in question.
    assert!(page.find("class=\"warnings\"").unwrap() < page.find("id=\"findings\"").unwrap());
    // Every chart states n, its seeds and the device.
    let figures = figures(&results);
    assert!(figures.len() >= 8, "{}", figures.len());
    for f in &figures {
        assert!(
            f.caption.contains("n = ")
                && f.caption.contains("seeds ")
                && f.caption.contains("device cpu"),
            "{}: {}",
            f.name,
            f.caption
        );
    }
    assert_eq!(page.matches("<figure ").count(), figures.len());
    // The linear rule at batch 512 diverges or learns nothing: the axis does not extend to it, and
    // the caption says so.
    let curve = figures
        .iter()
        .find(|f| f.name == "validation-steps-arms")
        .unwrap();
    assert!(
        curve.caption.contains("Worse values are below the axis"),
        "{}",
        curve.caption
    );
}

#[test]
fn page_terminal_and_csv_have_the_same_figures() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let results = results(BATCHES, dir.path());
    let folder = out.path().join("report");
    write(
        &results,
        &Context::default(),
        &folder,
        &[Format::Html, Format::Csv],
    )
    .unwrap();
    let (page, table) = (
        std::fs::read_to_string(folder.join("index.html")).unwrap(),
        terminal(&results, 100),
    );
    let (summary, trials) = (
        csv(&folder.join("summary.csv")),
        csv(&folder.join("trials.csv")),
    );
    assert_eq!(summary.len(), 8);
    for row in &summary {
        // The mean again, from the trials.
        let own = trials
            .iter()
            .filter(|t| t["group"] == row["group"] && t["stage"] == "confirm");
        let values: Vec<f64> = own.map(|t| t["test_accuracy"].parse().unwrap()).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert_eq!(values.len(), 12);
        assert!((mean - row["test_accuracy"].parse::<f64>().unwrap()).abs() < 1e-12);
        let text = format!("{:.2} %", mean * 100.0);
        assert!(
            page.contains(&text) && table.contains(&text),
            "{text}\n{table}"
        );
    }
    // The smallest difference that each comparison can detect is the same in all three.
    let resolved: Vec<f64> = summary
        .iter()
        .filter_map(|row| row["resolves"].parse().ok())
        .collect();
    assert_eq!(resolved.len(), 6);
    for r in resolved {
        let text = format!("{:.2}", 100.0 * r);
        assert!(
            page.contains(&format!("<td data-h=\"resolves\">{text}</td>")) && table.contains(&text),
            "{text}\n{table}"
        );
    }
    // Both explain the heads of the columns.
    for note in [
        "test ±: binomial standard error of the test part",
        "at equal loss: validation accuracy where",
        "resolves: the smallest difference",
    ] {
        assert!(page.contains(note) && table.contains(note), "{note}");
    }
    // The gap of the made-up task grows by 0.0042 with every doubling, with noise of about 0.002 /
    // √12.
    let gap = |group: &str| {
        summary.iter().find(|r| r["group"] == group).unwrap()["gap"]
            .parse::<f64>()
            .unwrap()
    };
    assert!(
        (gap("momentum · batch 256") - gap("momentum · batch 16") - 4.0 * 0.0042).abs() < 0.003
    );
    assert!(
        table
            .lines()
            .all(|l| l.chars().count() <= 100 || l.contains(':')),
        "{table}"
    );
}

/// Every block of a table that is too wide identifies its rows.
#[test]
fn a_wrapped_table_tells_its_rows_apart() {
    let dir = tempfile::tempdir().unwrap();
    let table = terminal(&results(BATCHES, dir.path()), 70);
    let blocks: Vec<&str> = table
        .split("\n\n")
        .filter(|b| b.starts_with("group"))
        .collect();
    assert!(blocks.len() > 1, "{table}");
    for block in blocks {
        assert!(block.lines().next().unwrap().contains("batch"), "{block}");
        let own = |name: &str, batch: &str| {
            block
                .lines()
                .filter(|l| l.split_whitespace().take(2).eq([name, batch]))
                .count()
        };
        assert_eq!(
            (
                own("momentum", "16"),
                own("momentum", "1024"),
                own("lars", "64")
            ),
            (1, 1, 1),
            "{block}"
        );
    }
}

#[test]
fn steps_to_the_target_are_reported_with_their_fit() {
    let dir = tempfile::tempdir().unwrap();
    let results = results(SCALING, dir.path());
    let page = html(&results, &Context::default());
    for part in [
        "id=\"steps-target\"",
        "id=\"heat-lamb\"",
        "id=\"rate-batch\"",
        "perfect scaling",
        "B_crit",
        "maximum useful batch",
        "time to target",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Of S_min (1 + B_crit/B) the arm with the smaller B_crit has fewer steps at every batch.
    let table = terminal(&results, 200);
    let first = table.find("Fewest steps to validation accuracy").unwrap();
    let first = &table[first..];
    let (steps, time) = first.split_once("Least time of training: ").unwrap();
    assert!(steps.contains("at batch 16 sgd, "), "{table}");
    assert!(steps.contains("at batch 4096 sgd, "), "{table}");
    assert!(time.starts_with("at batch 16 sgd, "), "{table}");
}

#[test]
fn our_figures_stand_beside_the_papers() {
    let dir = tempfile::tempdir().unwrap();
    let keskar = published(
        &results(&recipe("keskar-f1"), dir.path()),
        &Probed::default(),
    )
    .remove(0);
    assert_eq!(keskar.rows.len(), 9);
    assert_eq!(
        (keskar.rows[2].what.as_str(), keskar.rows[2].paper.as_str()),
        ("test accuracy, small batch (256 here)", "98.03 ± 0.07 %")
    );
    let measured = |r: &largebatch_report::PaperRow| {
        if r.what.starts_with("sharpness") {
            r.ours.is_empty()
        } else {
            r.ours.contains("n = 5")
        }
    };
    assert!(keskar.rows.iter().all(measured), "{keskar:?}");
    let dir = tempfile::tempdir().unwrap();
    let hoffer = published(
        &results(&recipe("hoffer-f1"), dir.path()),
        &Probed::default(),
    )
    .remove(0);
    assert_eq!(hoffer.rows.len(), 5);
    assert_eq!(
        hoffer.rows[4].what,
        "test accuracy, + regime adaptation (batch 2048 here)"
    );
}

#[test]
fn a_papers_figures_stand_beside_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let other = recipe("keskar-f1")
        .replace("\"mnist\"", "\"digits\"")
        .replace("\"adam\"", "{ name = \"sgd\" }");
    let results = results(&other, dir.path());
    let table = published(&results, &Probed::default()).remove(0);
    assert!(
        table.rows.is_empty()
            && table
                .note
                .contains("are for dataset mnist and optimizer adam"),
        "{table:?}"
    );
    let page = html(&results, &Context::default());
    assert!(page.contains(&table.note) && !page.contains("98.03"));
}

/// A study with a target compares nothing, and for a target out of reach the report says that no
/// trial reached it.
#[test]
fn the_page_says_only_what_the_study_has() {
    let dir = tempfile::tempdir().unwrap();
    let far = SCALING
        .replace("steps = 1500", "steps = 60")
        .replace("[16, 64, 256, 1024, 4096]", "[16, 4096]");
    let results = results(&far, dir.path());
    assert!(
        (0..results.plan.groups.len()).any(|g| results.reported(g).is_empty())
            && !results.records.is_empty()
    );
    let (page, table) = (html(&results, &Context::default()), terminal(&results, 200));
    for text in [&page, &table] {
        assert!(
            text.contains("0 of 16") && text.contains("n are the trials of its search"),
            "{table}"
        );
        assert!(!text.contains("compared with a small one") && !text.contains("resolves"));
    }
}

#[test]
fn rates_at_the_edge_are_not_fitted() {
    let dir = tempfile::tempdir().unwrap();
    let narrow = BATCHES.replace("[0.01, 3.0]", "[0.04, 0.3]");
    let chart = figures(&results(&narrow, dir.path()))
        .into_iter()
        .find(|f| f.name == "rate-batch")
        .unwrap();
    assert!(
        chart.caption.contains("The square-root rule"),
        "{}",
        chart.caption
    );
    let grid = BATCHES
        .replace(
            "log_uniform = [0.01, 3.0]",
            "log_uniform = [0.05, 0.06], points = 2",
        )
        .replace(", method = \"sobol\", trials = 14", "")
        .replace(
            "search.lr = { log_uniform = [1.0, 300.0] }",
            "search.lr = { log_uniform = [1.0, 300.0], points = 9 }",
        );
    let dir = tempfile::tempdir().unwrap();
    let chart = figures(&results(&grid, dir.path()))
        .into_iter()
        .find(|f| f.name == "rate-batch")
        .unwrap();
    assert!(
        chart.caption.contains("momentum not fitted")
            && chart.caption.contains("left out of the fit"),
        "{}",
        chart.caption
    );
}

/// With nothing run, everything failed, one seed or hostile names, a report is still written.
#[test]
fn poor_studies_have_a_report_too() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::new(Study::parse(SCALING, "x", &[]).unwrap(), &|_| Ok(())).unwrap();
    let stop = AtomicBool::new(true);
    let options = RunOptions {
        interrupt: Some(&stop),
        ..Default::default()
    };
    run(
        &plan,
        dir.path(),
        Workers::Threads(&MadeUp),
        options,
        &mut |_, _| {},
    )
    .unwrap();
    let empty = Results::open(dir.path()).unwrap();
    // 15 groups: 8 rates with 2 seeds, and 5 to confirm; the study's status has the same count.
    assert_eq!(empty.progress(1).total, 15 * (8 * 2 + 5));
    assert!(
        html(&empty, &Context::default()).contains("315 of 315 trials are not done")
            && figures(&empty).is_empty()
    );
    assert!(
        terminal(&empty, 100).contains("nothing is confirmed yet")
            && !terminal(&empty, 100).contains("n = 0")
    );
    for text in [
        "name='no rate'\nset.batch_size=16\nconfirm.seeds=2",
        "name='one'\nset={batch_size=16, lr=0.05, epochs=2}\nconfirm.seeds=1",
        "name='diverges'\naxes.batch_size=[16, 32]\nset={lr=1e9, epochs=5}\nconfirm.seeds=3",
        "name='tuned alone'\naxes.batch_size=[16, 32]\nsearch.lr=[0.01, 0.05]\nset.epochs=3",
    ] {
        let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let r = results(text, dir.path());
        write(&r, &Context::default(), &out.path().join("r"), &Format::ALL).unwrap();
        let _ = terminal(&r, 1);
    }
    let dir = tempfile::tempdir().unwrap();
    let hostile = results(
        "name='</title><script>x'\nset={batch_size=16, lr=0.05, epochs=2}\nconfirm.seeds=2\n[[arm]]\nname='<img onerror=1>'",
        dir.path(),
    );
    let page = html(
        &hostile,
        &Context {
            about: "<b>".into(),
            ..Context::default()
        },
    );
    assert!(!page.contains("<script>x") && !page.contains("<img") && !page.contains("<b></p>"));
}

#[test]
fn a_report_replaces_a_report_and_nothing_else() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let r = results(
        "name='one'\nset={batch_size=16, lr=0.05, epochs=2}\nconfirm.seeds=3",
        dir.path(),
    );
    let folder = out.path().join("report");
    write(&r, &Context::default(), &folder, &Format::REPORT).unwrap();
    let files = write(&r, &Context::default(), &folder, &[Format::Csv]).unwrap();
    assert_eq!(files.files.len(), 3);
    assert!(!folder.join("index.html").exists() && folder.join("trials.csv").exists());
    assert_eq!(
        std::fs::read_dir(out.path()).unwrap().count(),
        2,
        "only its lock is next to it"
    );
    let refused = write(&r, &Context::default(), dir.path(), &[Format::Jsonl]);
    assert!(
        matches!(refused, Err(ReportError::Foreign { .. })),
        "{refused:?}"
    );
    assert!(Results::open(dir.path()).unwrap().records.len() == 3);
}

/// A writer that was killed leaves temporary folders next to the report, or only the old report
/// there. The lock shows whether it is alive, not its process id.
#[test]
fn what_killed_writers_left_is_cleared() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let r = results(
        "name='one'\nset={batch_size=16, lr=0.05, epochs=2}\nconfirm.seeds=3",
        dir.path(),
    );
    let folder = out.path().join("report");
    let left = |path: &str| {
        let path = out.path().join(path);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("summary.csv"), "old").unwrap();
        path
    };
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(out.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| name != ".report.lock");
        names.sort();
        names
    };
    left(".report.A1.partial");
    left(".report.B2.partial/old");
    let other = left(".report-of-mine");
    write(&r, &Context::default(), &folder, &[Format::Csv]).unwrap();
    assert_eq!(names(), [".report-of-mine", "report"]);
    std::fs::remove_dir_all(&other).unwrap();
    // A report that was moved away is restored even if the next writer fails, here because of a
    // foreign folder.
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(left(".report.C3.partial/old").join("mine.txt"), "").unwrap();
    assert!(matches!(
        write(&r, &Context::default(), &folder, &[Format::Csv]),
        Err(ReportError::Foreign { .. })
    ));
    assert_eq!(
        (
            names(),
            std::fs::read_to_string(folder.join("summary.csv")).unwrap()
        ),
        (vec!["report".to_string()], "old".to_string())
    );
}

/// Forty shards that end together each write the report, one at a time, and none mistakes the
/// folder of a living writer for an abandoned one.
#[test]
fn writers_of_one_report_wait_for_each_other() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let r = results(
        "name='one'\nset={batch_size=16, lr=0.05, epochs=2}\nconfirm.seeds=3",
        dir.path(),
    );
    let folder = out.path().join("report");
    std::thread::scope(|s| {
        for _ in 0..40 {
            s.spawn(|| write(&r, &Context::default(), &folder, &[Format::Csv]).unwrap());
        }
    });
    let names: Vec<_> = std::fs::read_dir(out.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "the report and its lock: {names:?}");
}

/// TensorBoard, PyArrow and Pillow can read our files. `LARGEBATCH_PYTHON` names a Python that has
/// them.
#[test]
fn other_programs_read_the_files() {
    let Ok(python) = std::env::var("LARGEBATCH_PYTHON") else {
        eprintln!(
            "skipped: LARGEBATCH_PYTHON does not name a Python with tensorboard, pyarrow and pillow"
        );
        return;
    };
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = out.path().join("report");
    write(
        &results(GAP, dir.path()),
        &Context::default(),
        &folder,
        &Format::ALL,
    )
    .unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers.py");
    let output = Command::new(python)
        .arg(script)
        .arg(&folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("190 trials"),
        "{text}"
    );
}

/// 1,000 trials of 100 points fit in 3 MB. Of 10 times as many points, one in 7 is drawn, and the
/// page says so.
#[test]
fn a_large_study_has_a_small_page() {
    let dir = tempfile::tempdir().unwrap();
    let study = "name='large'\nset={lr=0.05, epochs=1}\naxes.batch_size=[16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]\nconfirm.seeds=100";
    let mut results = results(study, dir.path());
    assert_eq!(results.records.len(), 1000);
    let mut size = |points: u64| {
        for record in results.records.values_mut() {
            let seed = record.seed as f64;
            let curve = |scale: f64| (0..points).map(move |i| scale / (i as f64 + seed + 1.3));
            record.curves.step = (1..=points).collect();
            record.curves.examples = (1..=points).map(|i| 16 * i).collect();
            record.curves.train_loss = curve(2.3).collect();
            record.curves.validation = curve(0.9).map(|x| 1.0 - x).collect();
        }
        html(&results, &Context::default())
    };
    let page = size(100);
    assert!(
        page.len() < 3_000_000 && page.contains("\"every\":1"),
        "{}",
        page.len()
    );
    let page = size(1000);
    assert!(
        page.len() < 4_000_000 && page.contains("\"every\":7"),
        "{}",
        page.len()
    );
}
