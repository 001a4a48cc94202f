//! A report is written as before, and its figures have only finite coordinates.

#[allow(dead_code, reason = "also contains studies for other tests")]
mod made_up;

use largebatch_report::{Context, Report};
use largebatch_study::Results;
use made_up::results;

/// Two batch sizes, with a name that must be escaped.
const SMALL: &str = r#"
name = "<two> & \"three\""
set = { lr = 0.05, epochs = 2 }
axes.batch_size = [16, 64]
confirm.seeds = 3
"#;

/// The text with every stretch from `from` to `to` cut out.
fn without(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |out, part| {
        let rest = part.split_once(to).map_or("", |(_, rest)| rest);
        format!("{out}{from}…{to}{rest}")
    })
}

/// Page and terminal of a small study. `INSTA_UPDATE=always` writes them anew after a change on
/// purpose.
#[test]
fn a_report_is_written_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = results(SMALL, dir.path());
    for record in results.records.values_mut() {
        (record.provenance.seconds, record.provenance.started) = (1.0, 0);
    }
    let context = Context {
        command: "largebatch study run \"a b\" <c>".into(),
        about: "With `code`, and <b>.".into(),
        ..Context::default()
    };
    let report = Report::new(&results, &context);
    // Style and script are files; numbers by which the page sorts have all their digits.
    let page = [
        ("<style", "</style>"),
        ("<script type", "</script>"),
        ("<script>", "</script>"),
        ("<svg", "</svg>"),
        ("<footer>", "</footer>"),
        ("data-v=\"", "\""),
    ];
    let page = page
        .iter()
        .fold(report.html(), |page, (from, to)| without(&page, from, to));
    insta::assert_snapshot!("page", page.replace("><", ">\n<"));
    insta::assert_snapshot!("terminal", report.terminal(120));
}

/// What is not a number is never drawn: no coordinate of any figure of any committed result is NaN
/// or infinite.
#[test]
fn every_coordinate_is_finite() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/studies/results"
    );
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let study = entry.unwrap().path();
        if !study.join("study.toml").exists() {
            continue;
        }
        let (results, context) = (Results::open(&study).unwrap(), Context::default());
        for figure in Report::new(&results, &context).figures() {
            let svg = figure.svg();
            // A coordinate beyond 10⁵ is cut to it, also an infinite one.
            let wrong = svg.split('<').find(|tag| {
                let tag = tag.split('>').next().unwrap_or_default();
                let mut numbers = tag.split(|c: char| !c.is_ascii_digit());
                tag.contains("NaN") || tag.contains("inf") || numbers.any(|n| n == "100000")
            });
            assert_eq!(wrong, None, "{} of {}", figure.name, study.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} figures");
}
