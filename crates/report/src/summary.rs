//! The summary in columns and in sentences, the same for the page, the terminal and the CSV.

use largebatch_plot::{duration, significant, whole};
use largebatch_study::statistics::{Censored, Estimate, GoodRates};

use crate::analysis::{Analysis, words};
use crate::comparison::Comparison;
use crate::export::columns::{Columns, Data};
use crate::facts::Facts;
use crate::fastest::time;
use crate::figures::good_rates::region;
use crate::sentences::{headline, sentences};

/// The summary of a report.
pub(crate) struct Summary {
    /// Heads and rows, as the page and the terminal show them.
    pub heads: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// The table of `summary.csv`: a row for each group.
    pub csv: Columns,
    /// Sentences that explain the columns, where the heads are not enough.
    pub notes: Vec<String>,
    /// The main result, in one sentence.
    pub headline: Option<String>,
    /// The results of the comparisons, each with its sign.
    pub sentences: Vec<(char, String)>,
}

impl Summary {
    pub fn new(a: &Analysis) -> Self {
        let columns = columns(a);
        let is_shown = |c: &&Column| c.cells.iter().any(Option::is_some);
        let shown = || columns.iter().filter(is_shown);
        let cell = |c: &Column, i: usize| c.cells[i].clone().unwrap_or("–".into());
        let row = |i| shown().map(|c| cell(c, i)).collect();
        let unreached = |g: &Facts| g.records.is_empty() && g.steps.is_some_and(|s| s.n > 0);
        let unequal = |c: &Comparison| c.end.is_some() && !c.equal_epochs;
        let more = [
            a.groups.iter().any(unreached).then(|| {
                "0 of n: no rate reached the target; n are the trials of its search.".into()
            }),
            baseline(a),
            a.groups
                .iter()
                .any(|g| g.lost > 0)
                .then(|| "†: trials that failed or were pruned.".into()),
            a.comparisons
                .iter()
                .any(unequal)
                .then(|| "‡: the two have different budgets in epochs.".into()),
        ];
        let notes = shown().filter_map(|c| c.note.clone());
        Summary {
            heads: shown().map(|c| c.head.clone()).collect(),
            rows: (0..a.groups.len()).map(row).collect(),
            notes: notes.chain(more.into_iter().flatten()).collect(),
            headline: headline(a),
            sentences: sentences(a),
            csv: Columns {
                columns: columns.into_iter().flat_map(|c| c.csv).collect(),
                rows: a.groups.len(),
            },
        }
    }
}

/// The accuracy of always predicting the training part's most frequent class, on the reported part.
fn baseline(a: &Analysis) -> Option<String> {
    let key = a.measure.key.replace("_accuracy", "_majority_accuracy");
    let shares = a
        .results
        .records
        .values()
        .filter_map(|r| r.metrics.get(&key).filter(|_| key != a.measure.key));
    let (low, high) = shares.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &s| {
        (low.min(s), high.max(s))
    });
    let range = if low == high {
        a.measure.value(low)
    } else {
        format!("{} to {}", a.measure.bare(low), a.measure.value(high))
    };
    (low <= high).then(|| {
        format!(
            "majority-class baseline, which always predicts the most frequent class: {} {range}.",
            a.measure.words
        )
    })
}

/// A group as a row of the summary, with the comparison in which it is the larger batch.
struct Row<'a> {
    g: &'a Facts<'a>,
    c: Option<&'a Comparison>,
    /// Its region of good learning rates, if it tunes the rate.
    good: Option<GoodRates>,
}

/// A column of the summary: its head and its cells, and its columns in `summary.csv`. The page and
/// the terminal show it if a group has a value.
struct Column {
    head: String,
    cells: Vec<Option<String>>,
    csv: Vec<(String, Data)>,
    /// A sentence that explains it, if the head is not enough.
    note: Option<String>,
}

impl Column {
    fn note(self, text: String) -> Self {
        let note = Some(text);
        Column { note, ..self }
    }
}

/// The columns, in their order.
fn columns(a: &Analysis) -> Vec<Column> {
    let compared = |i| a.comparisons.iter().find(|c| c.large == i);
    let rows = a.groups.iter().enumerate().map(|(i, g)| Row {
        g,
        c: compared(i),
        good: region(a, i),
    });
    let rows: Vec<Row> = rows.collect();
    let column = |head: &str, cell: &dyn Fn(&Row) -> Option<String>, csv| Column {
        head: head.into(),
        cells: rows.iter().map(cell).collect(),
        csv,
        note: None,
    };
    let text = |name: &str, of: &dyn Fn(&Row) -> Option<String>| {
        (name.to_string(), Data::text(rows.iter().map(of)))
    };
    let flag = |name: &str, of: &dyn Fn(&Row) -> Option<bool>| {
        (name.to_string(), Data::Flag(rows.iter().map(of).collect()))
    };
    let count = |name: &str, of: &dyn Fn(&Row) -> Option<usize>| {
        let counts = rows.iter().map(|r| of(r).map(|n| n as u64));
        (name.to_string(), Data::whole(counts))
    };
    let real = |name: &str, of: &dyn Fn(&Row) -> Option<f64>| {
        (name.to_string(), Data::real(rows.iter().map(of)))
    };
    let estimate = |name: &str, of: &dyn Fn(&Row) -> Option<Estimate>| {
        vec![
            real(name, &|r| Some(of(r)?.mean)),
            real(&format!("{name}_low"), &|r| Some(of(r)?.interval?.0)),
            real(&format!("{name}_high"), &|r| Some(of(r)?.interval?.1)),
            count(&format!("{name}_n"), &|r| Some(of(r)?.n)),
        ]
    };
    let m = &a.measure;
    let points = if m.percent { ", in points" } else { "" };
    // McNemar's test needs a test part of known size.
    let part = if m.percent && a.groups.iter().any(|g| g.test_examples.is_some()) {
        " and test part (six examples, McNemar)"
    } else {
        ""
    };
    let end = |r: &Row| Some(r.c?.end?.difference);
    let at_loss = |r: &Row| Some(r.c?.at_loss?.1.difference);
    let small = |r: &Row| Some(a.groups[r.c?.small].label.clone());
    let compared = [
        text("compared_with", &small),
        flag("equal_epochs", &|r| Some(r.c?.equal_epochs)),
    ];
    let budget = |r: &Row| r.g.budget.filter(|_| !r.g.records.is_empty());
    vec![
        column(
            "group",
            &|r| Some(r.g.short.clone()),
            vec![text("group", &|r| Some(r.g.label.clone()))],
        ),
        column(
            "batch",
            &|r| Some(significant(r.g.batch?, 7)),
            vec![real("batch_size", &|r| r.g.batch)],
        ),
        column(
            "rate",
            &|r| Some(significant(r.g.rate?, 3)),
            vec![
                real("lr", &|r| r.g.rate),
                real("good_lr_low", &|r| Some(r.good?.low)),
                real("good_lr_high", &|r| Some(r.good?.high)),
            ],
        ),
        column(
            "n",
            &|r| Some(r.g.values.len().to_string()),
            vec![
                count("trials", &|r| Some(r.g.records.len())),
                count("n", &|r| Some(r.g.values.len())),
                count("diverged", &|r| Some(r.g.diverged)),
                count("lost", &|r| Some(r.g.lost)),
            ],
        ),
        column(
            &m.words,
            &|r| Some(m.estimate(&r.g.score?)),
            estimate(&m.key, &|r| r.g.score),
        ),
        column(
            "test ±",
            &|r| Some(m.bare(r.g.binomial?)),
            vec![real("binomial_error", &|r| r.g.binomial)],
        ).note(format!("test ±: binomial standard error of the test part{points}.")),
        column(
            &words(&a.train_key),
            &|r| Some(m.bare(r.g.train?.mean)),
            estimate(&a.train_key, &|r| r.g.train),
        ),
        column(
            "gap",
            &|r| Some(m.difference(&r.g.gap?)),
            estimate("gap", &|r| r.g.gap),
        ).note(format!("gap: {}{points}.", a.gap())),
        column(
            "worse than small",
            &|r| {
                let budget = if r.c?.equal_epochs { "" } else { " ‡" };
                Some(m.difference(&end(r)?) + budget)
            },
            [compared.to_vec(), estimate("worse_at_end", &end)].concat(),
        ).note(format!("worse than small: above 0 if the larger batch is worse{points}.")),
        column(
            "resolves",
            &|r| {
                let least = r.c?.resolves?;
                Some(if m.percent && least > 1.0 {
                    "> 100".into()
                } else {
                    m.bare(least)
                })
            },
            vec![real("resolves", &|r| r.c?.resolves)],
        ).note(format!("resolves: the smallest difference that seeds (Student’s t){part} can detect{points}.")),
        column(
            "at equal loss",
            &|r| Some(a.validation.difference(&at_loss(r)?)),
            [
                vec![real("equal_train_loss", &|r| Some(r.c?.at_loss?.0))],
                estimate("worse_at_equal_train_loss", &at_loss),
            ]
            .concat(),
        ).note(format!("at equal loss: {} where both first reached the lowest training loss that all their trials reached.", a.validation.words)),
        column(
            "steps to target",
            &|r| r.g.steps.as_ref().map(|c| censored(c, |m| whole(m as u64))),
            vec![
                real("target", &|r| r.g.target),
                count("reached_target", &|r| Some(r.g.steps?.reached)),
                real("steps_to_target", &|r| r.g.steps?.median),
                real("steps_to_target_low", &|r| Some(r.g.steps?.interval?.0)),
                real("steps_to_target_high", &|r| Some(r.g.steps?.interval?.1)),
                real("examples_to_target", &|r| r.g.examples?.median),
            ],
        ),
        column(
            "time to target",
            &|r| r.g.training.filter(|c| c.reached > 0).map(|c| censored(&c, time)),
            vec![
                real("seconds_to_target", &|r| r.g.training?.median),
                real("seconds_to_target_low", &|r| Some(r.g.training?.interval?.0)),
                real("seconds_to_target_high", &|r| Some(r.g.training?.interval?.1)),
            ],
        ).note("steps and time to target: medians over all seeds, also those that did not reach it; time: of training alone, without evaluations. epochs and steps: means.".into()),
        column(
            "epochs",
            &|r| budget(r).and(r.g.epochs).map(|e| significant(e, 3)),
            vec![real("epochs", &|r| r.g.epochs)],
        ),
        column(
            "steps",
            &|r| {
                let steps = r.g.records.iter().map(|record| record.steps as f64);
                let mean = steps.sum::<f64>() / r.g.records.len() as f64;
                budget(r).map(|_| whole(mean.round() as u64))
            },
            Vec::new(),
        ),
        column(
            "diverged",
            &|r| {
                let lost = if r.g.lost > 0 {
                    format!(" + {} †", r.g.lost)
                } else {
                    String::new()
                };
                Some(format!("{}{lost}", r.g.diverged))
            },
            Vec::new(),
        ),
        column(
            "time per trial",
            &|r| r.g.seconds.map(duration),
            vec![real("seconds", &|r| r.g.seconds)],
        ),
    ]
}

/// The median of what trials needed, and how many reached the target if not all.
fn censored(c: &Censored, written: impl Fn(f64) -> String) -> String {
    let share = format!("{} of {}", c.reached, c.n);
    match (c.reached, c.median) {
        (0, _) => share,
        (reached, median) => {
            let median = median.map_or("–".into(), written);
            if reached < c.n {
                format!("{median} ({share})")
            } else {
                median
            }
        }
    }
}
