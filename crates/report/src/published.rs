//! Results of papers next to our measurements.

use largebatch_study::get;

use crate::analysis::Analysis;
use crate::context::{PaperRow, PaperTable};
use crate::facts::Facts;
use crate::measure::{Measure, estimated};
use crate::outline::Probed;

pub(crate) fn tables(a: &Analysis, probed: &Probed) -> Vec<PaperTable> {
    let (made_with, table): ([&str; 3], _) = match a.results.plan.study.name.as_str() {
        "keskar-f1" => (["mnist", "f1", "adam"], keskar(a, probed, &F1)),
        "keskar-c1" => (["cifar-10", "c1", "adam"], keskar(a, probed, &C1)),
        "hoffer-f1" => (["mnist", "f1", "momentum"], hoffer(a)),
        _ => return Vec::new(),
    };
    let other = ["dataset", "model", "optimizer"]
        .into_iter()
        .zip(made_with)
        .filter(|(key, paper)| a.groups_differ(key, paper));
    let other: Vec<String> = other.map(|(key, paper)| format!("{key} {paper}")).collect();
    if other.is_empty() {
        return vec![table];
    }
    let note = format!(
        "Not shown: the paper’s figures are for {}, which this study does not use.",
        other.join(" and ")
    );
    vec![PaperTable {
        title: table.title,
        note,
        rows: Vec::new(),
    }]
}

impl Analysis<'_> {
    /// Whether a group has another value than `name` for this setting.
    fn groups_differ(&self, key: &str, name: &str) -> bool {
        let named = |v: &toml::Value| v.as_str().or_else(|| v.get("name")?.as_str()) == Some(name);
        self.results
            .plan
            .groups
            .iter()
            .any(|g| !get(&g.config, key).is_some_and(named))
    }
}

fn percent(key: &str) -> Measure {
    Measure {
        key: key.into(),
        words: String::new(),
        percent: true,
        higher: true,
    }
}

fn ours(f: &Facts, train: bool) -> String {
    let e = if train { f.train } else { f.score };
    e.map_or(String::new(), |e| {
        format!("{} (n = {})", percent("").estimate(&e), e.n)
    })
}

/// The results of Keskar et al. for a network, with the small batch and the large one.
struct Keskar {
    net: &'static str,
    train: [&'static str; 2],
    test: [&'static str; 2],
    difference: &'static str,
    /// Sharpness in the box of size 0.001, in the full space.
    full: [&'static str; 2],
    /// The same in 100 random directions.
    random: [&'static str; 2],
}

const F1: Keskar = Keskar {
    net: "F1 on MNIST",
    train: ["99.66", "99.92"],
    test: ["98.03 ± 0.07", "97.81 ± 0.07"],
    difference: "0.22",
    full: ["1.23 ± 0.83", "205 ± 70"],
    random: ["0.11", "9.22"],
};

const C1: Keskar = Keskar {
    net: "C1 on CIFAR-10",
    train: ["99.89", "99.66"],
    test: ["80.04 ± 0.12", "77.26 ± 0.42"],
    difference: "2.78",
    full: ["28.6 ± 3.1", "707 ± 43"],
    random: ["2.18", "137"],
};

/// Keskar et al. 2017 (arXiv 1609.04836), tables 2 to 4; the smaller batch first.
fn keskar(a: &Analysis, probed: &Probed, paper: &Keskar) -> PaperTable {
    let sized = (0..a.groups.len()).filter_map(|g| Some((a.groups[g].batch?, g)));
    let mut groups: Vec<(f64, usize)> = sized.collect();
    groups.sort_by(|p, q| p.0.total_cmp(&q.0));
    let groups: Vec<usize> = groups.into_iter().map(|p| p.1).collect();
    let mut rows = Vec::new();
    let ends = [
        ("small batch", groups.first()),
        ("large batch", groups.get(1..).and_then(|g| g.last())),
    ];
    let mut row = |what: &str, unit: &str, figures: [&str; 2], here: &dyn Fn(usize) -> String| {
        for ((size, group), figure) in ends.iter().zip(figures) {
            let batch = group
                .and_then(|g| a.groups[*g].batch)
                .map_or(String::new(), |b| format!(" ({b} here)"));
            rows.push(PaperRow {
                what: format!("{what}, {size}{batch}"),
                paper: format!("{figure}{unit}"),
                ours: group.map_or(String::new(), |g| here(*g)),
            });
        }
    };
    row("training accuracy", " %", paper.train, &|g| {
        ours(&a.groups[g], true)
    });
    row("test accuracy", " %", paper.test, &|g| {
        ours(&a.groups[g], false)
    });
    for (what, figures) in [
        ("sharpness, ε = 0.001, full space", paper.full),
        ("sharpness, ε = 0.001, 100 random directions", paper.random),
    ] {
        row(what, "", figures, &|g| {
            let values = probed.numbers.get(g).and_then(|of| of.get(what));
            values.map_or(String::new(), |v| {
                format!("{} (n = {})", estimated(v), v.len())
            })
        });
    }
    let difference = a
        .comparisons
        .last()
        .and_then(|c| c.end)
        .map(|p| p.difference);
    rows.push(PaperRow {
        what: "test accuracy, small − large".into(),
        paper: format!("{} points", paper.difference),
        ours: difference.map_or(String::new(), |e| {
            format!("{} points (n = {} pairs)", percent("").difference(&e), e.n)
        }),
    });
    PaperTable {
        title: format!("Keskar et al. 2017, tables 2 to 4: {}", paper.net),
        note: "The paper: Adam, batch 256 against 10 % of the data, until the loss stops improving; ± is over its 5 runs. Here: mean and 95 % interval.".into(),
        rows,
    }
}

/// Hoffer et al. 2017 (arXiv 1705.08741), table 2. The values of the two middle arms are omitted,
/// because we have not seen them in the paper itself.
fn hoffer(a: &Analysis) -> PaperTable {
    let named = |arm: &str| {
        let at = a
            .results
            .plan
            .groups
            .iter()
            .position(|g| g.labels.get("arm").and_then(toml::Value::as_str) == Some(arm));
        at.map(|i| &a.groups[i])
    };
    let arms = [
        ("small", "98.27 %"),
        ("large", "97.05 %"),
        ("+ sqrt rate", "–"),
        ("+ ghost batch norm", "–"),
        ("+ regime adaptation", "98.53 %"),
    ];
    let row = |(arm, paper): (&str, &str)| {
        let g = named(arm)?;
        let batch = g
            .batch
            .map_or(String::new(), |b| format!(" (batch {b} here)"));
        Some(PaperRow {
            what: format!("test accuracy, {arm}{batch}"),
            paper: paper.into(),
            ours: ours(g, false),
        })
    };
    PaperTable {
        title: "Hoffer et al. 2017, table 2: F1 on MNIST".into(),
        note: "The paper: batch 128 against 4,096, 50 epochs, with crops and flips. A dash: we have not seen this figure in the paper itself. Here: mean and 95 % interval.".into(),
        rows: arms.into_iter().filter_map(row).collect(),
    }
}
