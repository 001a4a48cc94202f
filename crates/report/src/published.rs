//! What papers report, beside what was measured here.

use crate::analysis::{Analysis, Facts};
use crate::context::{PaperRow, PaperTable};
use crate::number::Measure;

pub(crate) fn tables(a: &Analysis) -> Vec<PaperTable> {
    match a.results.plan.study.name.as_str() {
        "keskar-f1" => vec![keskar(a, "F1 on MNIST", ["99.66", "99.92"], ["98.03 ± 0.07", "97.81 ± 0.07"], "0.22")],
        "keskar-c1" => vec![keskar(a, "C1 on CIFAR-10", ["99.89", "99.66"], ["80.04 ± 0.12", "77.26 ± 0.42"], "2.78")],
        "hoffer-f1" => vec![hoffer(a)],
        _ => Vec::new(),
    }
}

fn percent(key: &str) -> Measure {
    Measure { key: key.into(), words: String::new(), percent: true, higher: true }
}

fn ours(f: &Facts, train: bool) -> String {
    let e = if train { f.train } else { f.score };
    e.map_or(String::new(), |e| format!("{} (n = {})", percent("").estimate(&e), e.n))
}

/// Keskar et al. 2017 (arXiv 1609.04836), table 2; the smaller batch first.
fn keskar(a: &Analysis, net: &str, train: [&str; 2], test: [&str; 2], loss: &str) -> PaperTable {
    let mut groups: Vec<&Facts> = a.groups.iter().filter(|g| g.batch.is_some()).collect();
    groups.sort_by(|p, q| p.batch.partial_cmp(&q.batch).unwrap_or(std::cmp::Ordering::Equal));
    let mut rows = Vec::new();
    let ends = [("small batch", groups.first()), ("large batch", groups.get(1..).and_then(|g| g.last()))];
    for (what, figures, is_train) in [("training accuracy", train, true), ("test accuracy", test, false)] {
        for ((size, group), paper) in ends.iter().zip(figures) {
            let batch = group.and_then(|g| g.batch).map_or(String::new(), |b| format!(" ({b} here)"));
            rows.push(PaperRow {
                what: format!("{what}, {size}{batch}"),
                paper: format!("{paper} %"),
                ours: group.map_or(String::new(), |g| ours(g, is_train)),
            });
        }
    }
    let difference = a.comparisons.last().and_then(|c| c.end).map(|p| p.difference);
    rows.push(PaperRow {
        what: "test accuracy, small − large".into(),
        paper: format!("{loss} points"),
        ours: difference.map_or(String::new(), |e| format!("{} points (n = {} pairs)", percent("").difference(&e), e.n)),
    });
    PaperTable {
        title: format!("Keskar et al. 2017, table 2: {net}"),
        note: "The paper: Adam, batch 256 against 10 % of the data, until the loss stops improving; ± is over its 5 runs. Here: mean and 95 % interval.".into(),
        rows,
    }
}

/// Hoffer et al. 2017 (arXiv 1705.08741), table 2. Its figures for the two middle arms are left out, because we have not read them in the paper itself.
fn hoffer(a: &Analysis) -> PaperTable {
    let named = |arm: &str| {
        let at = a.results.plan.groups.iter().position(|g| g.labels.get("arm").and_then(toml::Value::as_str) == Some(arm));
        at.map(|i| &a.groups[i])
    };
    let arms =
        [("small", "98.27 %"), ("large", "97.05 %"), ("+ sqrt rate", "–"), ("+ ghost batch norm", "–"), ("+ regime adaptation", "98.53 %")];
    let row = |(arm, paper): (&str, &str)| {
        let g = named(arm)?;
        let batch = g.batch.map_or(String::new(), |b| format!(" (batch {b} here)"));
        Some(PaperRow { what: format!("test accuracy, {arm}{batch}"), paper: paper.into(), ours: ours(g, false) })
    };
    PaperTable {
        title: "Hoffer et al. 2017, table 2: F1 on MNIST".into(),
        note: "The paper: batch 128 against 4,096, 50 epochs, with crops and flips. A dash: we have not read the paper’s figure ourselves. Here: mean and 95 % interval.".into(),
        rows: arms.into_iter().filter_map(row).collect(),
    }
}
