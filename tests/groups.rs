//! Names of groups in `study`: they contain what differs, in the plan, tables, figures and exports,
//! whatever the groups are called.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use largebatch_tests::{Ended, command, csv, ended, folder, ok, write};

/// Groups whose names would be the same if only kind and name counted.
const TWINS: &str = r#"
name = "twins"
[set]
dataset = "digits"
model = { name = "mlp", widths = [8] }
lr = 0.05
batch_size = 256
[axes]
optimizer = [
  { name = "momentum", momentum = 0.5 }, { name = "momentum", momentum = 0.99 },
  { name = "lamb", preset = "timm" }, { name = "lamb", preset = "nvlamb" },
]
schedule = [{ name = "cosine" }, { name = "cosine", warmup = { epochs = 1 } }]
[budget]
epochs = 2
[confirm]
seeds = 2
"#;

const NAMES: [&str; 8] = [
    "momentum 0.5 · cosine",
    "momentum 0.5 · cosine, warm-up 1 epoch",
    "momentum 0.99 · cosine",
    "momentum 0.99 · cosine, warm-up 1 epoch",
    "lamb timm · cosine",
    "lamb timm · cosine, warm-up 1 epoch",
    "lamb nvlamb · cosine",
    "lamb nvlamb · cosine, warm-up 1 epoch",
];

/// A small study of one arm or more, in a folder `out`.
fn study(dir: &Path, text: &str) -> Ended {
    write(dir, "study.toml", text);
    ok(
        dir,
        &["study", "run", "study.toml", "--out", "out", "--jobs", "2"],
    )
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|e| e.expect("an entry").path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn no_two_groups_share_a_name() {
    let dir = folder();
    let printed = study(dir.path(), TWINS).stdout;
    let plan = ok(dir.path(), &["study", "plan", "study.toml"]).stdout;
    for name in NAMES {
        // A table that is too wide is continued below.
        let count = |text: &str| {
            text.lines()
                .filter(|l| l.starts_with(&format!("{name}  ")))
                .count()
        };
        assert_eq!(
            (count(&plan), count(&printed)),
            (1, printed.matches("\ngroup  ").count()),
            "{name}\n{plan}\n{printed}"
        );
    }
    // In a table of trials, a group's name and its full settings select the same rows.
    let report = dir.path().join("out/report");
    let mut settings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in csv(&report.join("trials.csv")) {
        let setting: Vec<&String> = row
            .iter()
            .filter(|(k, _)| k.starts_with("config."))
            .map(|(_, v)| v)
            .collect();
        settings
            .entry(row["group"].clone())
            .or_default()
            .insert(format!("{setting:?}"));
    }
    assert_eq!(
        settings.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        BTreeSet::from(NAMES)
    );
    assert!(settings.values().all(|all| all.len() == 1), "{settings:?}");
    assert_eq!(
        settings.values().flatten().collect::<BTreeSet<_>>().len(),
        8
    );
    let groups: Vec<String> = csv(&report.join("summary.csv"))
        .iter()
        .map(|r| r["group"].clone())
        .collect();
    assert_eq!(groups, NAMES);
    let page = fs::read_to_string(report.join("index.html")).expect("a page");
    assert!(
        NAMES
            .iter()
            .all(|name| page.contains(&format!("<th scope=\"row\">{name}</th>")))
    );
    // Every row of the figure of arms has a different name, although its labels are short.
    let figure = fs::read_to_string(report.join("figures/accuracy-arms.svg")).expect("a figure");
    let labels: Vec<&str> = figure
        .split("<text class=\"t\" text-anchor=\"end\" x=\"160\"")
        .skip(1)
        .collect();
    let labels: BTreeSet<&str> = labels
        .iter()
        .filter_map(|l| l.split_once('>')?.1.split('<').next())
        .collect();
    assert_eq!(labels.len(), 8, "{labels:?}");
    // The names in warnings too: two seeds are few, and every warning names its own group.
    let journal = fs::read_to_string(dir.path().join("out/trials.jsonl")).expect("a journal");
    assert_eq!(journal.matches("\"optimizer\":\"momentum 0.5\"").count(), 4);
}

#[test]
fn names_that_look_the_same_are_refused() {
    let dir = folder();
    let base = "name='x'\nset={dataset='digits', model='softmax', lr=0.1}\nconfirm.seeds=1\n";
    for (text, line, part) in [
        (
            "[[arm]]\nname='a'\n[[arm]]\nname='a'",
            7,
            "two arms are named \"a\"",
        ),
        (
            "[[arm]]\nname='a'\n[[arm]]\nname=' a'",
            7,
            "differ only in spaces",
        ),
        ("axes.clip_norm=[1, 1.0]", 4, "1 and 1.0 are the same value"),
        (
            "axes.optimizer=['sgd', {name='sgd'}]",
            4,
            "are the same value",
        ),
    ] {
        write(dir.path(), "s.toml", format!("{base}{text}"));
        let run = ended(command(dir.path(), &["study", "plan", "s.toml"]));
        let place = format!("s.toml, line {line}:");
        assert!(
            run.code != Some(0) && run.stderr.contains(part) && run.stderr.contains(&place),
            "{text}: {}",
            run.stderr
        );
    }
}

/// An arm of 300 characters, arms in other scripts, and one with every character that file systems
/// refuse.
#[test]
fn any_name_can_be_exported() {
    let dir = folder();
    let arms = [
        "x".repeat(299) + "a",
        "x".repeat(299) + "b",
        "Скорость".into(),
        "学習率".into(),
        "../a/b\\\\c:*?<>|".into(),
    ];
    let arms: String = arms
        .iter()
        .map(|arm| format!("[[arm]]\nname = \"{arm}\"\naxes.batch_size = [64, 128]\n"))
        .collect();
    let set = "name = 'names'\nset = { dataset = 'digits', model = 'softmax', lr = 0.1, epochs = 1 }\nconfirm.seeds = 1\n";
    let run = study(dir.path(), &format!("{set}{arms}"));
    // A machine need not have fonts for these scripts; then the characters are named.
    assert!(
        run.stderr.contains("warning: no font on this machine has")
            || files(Path::new("/usr/share/fonts")).len() > 1,
        "{}",
        run.stderr
    );
    ok(
        dir.path(),
        &[
            "study",
            "export",
            "out",
            "--format",
            "tensorboard",
            "--out",
            "tb",
        ],
    );
    let runs: BTreeSet<String> = fs::read_dir(dir.path().join("tb/tensorboard"))
        .expect("runs")
        .map(|e| e.expect("a run").file_name().into_string().expect("UTF-8"))
        .collect();
    assert_eq!(runs.len(), 10, "{runs:?}");
    for part in [
        "04-скорость-batch-64",
        "06-学習率-batch-64",
        "08-a-b-c-batch-64",
    ] {
        assert!(runs.contains(part), "{part} in {runs:?}");
    }
    for kind in ["svg", "png"] {
        ok(
            dir.path(),
            &["study", "export", "out", "--format", kind, "--out", kind],
        );
        let names = files(&dir.path().join(kind));
        // Loss and accuracy in steps and in epochs, for each of the five arms or of the two batch
        // sizes, and more.
        assert!(names.len() >= 9, "{names:?}");
    }
}

/// The scalars of an event file by tag: protocol buffers in frames of length, checksum, data, checksum.
fn scalars(path: &Path) -> BTreeMap<String, Vec<(u64, f32)>> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }
    /// The fields of a message by number; fixed-size ones as bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let (value, length) = match key & 7 {
                0 => (varint(&mut bytes), 0),
                1 => (0, 8),
                5 => (0, 4),
                _ => (0, varint(&mut bytes) as usize),
            };
            out.push((key >> 3, value, &bytes[..length]));
            bytes = &bytes[length..];
        }
        out
    }
    let content = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut rest, mut out) = (&content[..], BTreeMap::<String, Vec<(u64, f32)>>::new());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().expect("8 bytes")) as usize;
        let event = fields(&rest[12..12 + length]);
        rest = &rest[16 + length..];
        let step = event.iter().find(|f| f.0 == 2).map_or(0, |f| f.1);
        for value in event
            .iter()
            .filter(|f| f.0 == 5)
            .flat_map(|f| fields(f.2))
            .map(|f| fields(f.2))
        {
            let tag = String::from_utf8(value[0].2.to_vec()).expect("UTF-8");
            out.entry(tag).or_default().push((
                step,
                f32::from_le_bytes(value[1].2.try_into().expect("4 bytes")),
            ));
        }
    }
    out
}

#[test]
fn a_trial_that_diverged_shows_its_way_there() {
    let dir = folder();
    let text = "name = 'away'\nset = { dataset = 'digits', model = 'mlp', optimizer = 'sgd', epochs = 3, batch_size = 32 }\naxes.lr = [0.1, 1e4]\nconfirm.seeds = 1\n";
    study(dir.path(), text);
    ok(
        dir.path(),
        &[
            "study",
            "export",
            "out",
            "--format",
            "tensorboard",
            "--out",
            "tb",
        ],
    );
    let trials = csv(&dir.path().join("out/report/trials.csv"));
    let steps = |stop: &str| {
        trials
            .iter()
            .find(|t| t["stop"] == stop)
            .unwrap_or_else(|| panic!("{stop}"))["steps"]
            .parse::<u64>()
            .expect("steps")
    };
    let mut events = files(&dir.path().join("tb"));
    events.sort();
    let (trained, diverged) = (scalars(&events[0]), scalars(&events[1]));
    assert_eq!(trained["final/steps"][0].1 as u64, steps("finished"));
    // It diverged within its first epoch, before any evaluation.
    let last = steps("diverged");
    assert_eq!(diverged["final/steps"], [(last, last as f32)]);
    let loss = &diverged["train_loss"];
    assert!(
        loss[0].0 == 1 && (2.0..3.0).contains(&loss[0].1),
        "{loss:?}"
    );
    assert!(
        loss.iter().all(|(step, _)| *step <= last) && loss.last() > loss.first(),
        "{loss:?}"
    );
}

/// A report on real targets has nothing that applies only to classes.
#[test]
fn real_targets_have_a_report_of_their_own() {
    let dir = folder();
    let text = "name = 'real'\nset = { dataset = 'diabetes', model = 'linear', epochs = 3 }\naxes.batch_size = [16, 64]\nsearch.lr = [0.001, 0.01, 0.1]\nconfirm.seeds = 3\n";
    let printed = study(dir.path(), text);
    let page = fs::read_to_string(dir.path().join("out/report/index.html")).expect("a page");
    let (body, _) = page.split_once("<script>").expect("a script");
    let body = &body[body.find("<body>").expect("a body")..];
    // The text that a reader sees, without tags.
    let body: String = body
        .split('<')
        .map(|part| part.split_once('>').map_or("", |p| p.1))
        .collect();
    for text in [&printed.stdout, &body] {
        let rest = text.replace("95 %", "");
        for word in ["McNemar", "ccuracy", " points", "%", "binomial", "rmse"] {
            assert!(!rest.contains(word), "{word} in {rest}");
        }
        assert!(text.contains("test RMSE"), "{text}");
    }
    let plan = ok(
        dir.path(),
        &["study", "plan", "study.toml", "--set", "stop.target=60"],
    );
    assert!(plan.stdout.contains("12 trials"), "{}", plan.stdout);
}
