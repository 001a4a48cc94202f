use largebatch_plot::{Plot, Scale, Section, Table, significant};
use largebatch_study::statistics::paired;
use serde_json::Value;

use super::{Probed, at, text};
use crate::analysis::Analysis;
use crate::findings::ProbedRun;

/// A number in the probe's result, with its path in the object.
struct Kind {
    words: String,
    path: String,
}

impl Kind {
    fn of(&self, run: &ProbedRun) -> Option<f64> {
        at(run.end.get("sharpness")?, &self.path)
    }
}

fn kinds(object: &Value) -> Vec<Kind> {
    let boxes = object["result"]["boxes"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(i, b)| {
            let space = match at(b, "/space/random/directions") {
                Some(n) => format!("{n} random directions"),
                None => "full space".into(),
            };
            Kind {
                words: format!("box ε = {}, {space}", b["epsilon"]),
                path: format!("/result/boxes/{i}/sharpness"),
            }
        });
    let balls = [
        ("ball", "SAM’s ball: rise of the loss"),
        ("adaptive", "adaptive ball: rise of the loss"),
    ];
    let balls = balls
        .iter()
        .filter(|(key, _)| object["result"][*key].is_object());
    let balls = balls.map(|(key, words)| Kind {
        words: (*words).into(),
        path: format!("/result/{key}/rise"),
    });
    boxes.chain(balls).collect()
}

/// A group's sharpness in the box of size 0.001: in the full space, or in the random subspace. Values by seed.
pub(crate) fn keskar(probed: &Probed, group: usize, random: bool) -> Vec<(u64, f64)> {
    probed.values(group, |run| {
        let boxes = run.end.get("sharpness")?["result"]["boxes"].as_array()?;
        let wanted = |b: &&Value| {
            at(b, "/epsilon") == Some(1e-3) && b.pointer("/space/random").is_some() == random
        };
        at(boxes.iter().find(wanted)?, "/sharpness")
    })
}

pub(super) fn section(a: &Analysis, probed: &Probed) -> Option<Section> {
    let object = probed.first("sharpness")?.end.get("sharpness")?;
    let kinds = kinds(object);
    let groups: Vec<usize> = (0..a.groups.len())
        .filter(|g| !probed.values(*g, |run| kinds.first()?.of(run)).is_empty())
        .collect();
    let heads = ["".to_owned(), "n".to_owned()]
        .into_iter()
        .chain(kinds.iter().map(|k| k.words.clone()))
        .collect();
    let mut rows: Vec<Vec<String>> = groups
        .iter()
        .map(|&g| {
            let n = probed.values(g, |run| kinds.first()?.of(run)).len();
            let cells = kinds
                .iter()
                .map(|k| text(&probed.values(g, |run| k.of(run))));
            [a.groups[g].label.clone(), n.to_string()]
                .into_iter()
                .chain(cells)
                .collect()
        })
        .collect();
    for c in a
        .comparisons
        .iter()
        .filter(|c| groups.contains(&c.small) && groups.contains(&c.large))
    {
        let ratio = |kind: &Kind| {
            let logs =
                |g: usize| probed.values(g, |run| kind.of(run).filter(|x| *x > 0.0).map(f64::ln));
            paired(&logs(c.large), &logs(c.small)).map_or("–".into(), |p| {
                let times = |x: f64| significant(x.exp(), 3);
                let ends = p.difference.interval.map_or(String::new(), |(low, high)| {
                    format!(" [{}, {}]", times(low), times(high))
                });
                format!("× {}{ends}", times(p.difference.mean))
            })
        };
        let label = format!("{} ÷ {}", a.groups[c.large].label, a.groups[c.small].label);
        let n = probed.values(c.large, |run| kinds.first()?.of(run)).len();
        rows.push(
            [label, n.to_string()]
                .into_iter()
                .chain(kinds.iter().map(ratio))
                .collect(),
        );
    }
    let note = format!(
        "{}. Ratios are geometric means, paired by seed.{}",
        probed.small_print(a, "sharpness"),
        match object["result"]["batch_statistics"].as_bool() {
            Some(true) => " Batch norm uses the statistics of each batch.",
            Some(false) => " Batch norm is frozen at its running statistics.",
            None => "",
        }
    );
    let mut plot = Plot::new("sharpness", "Sharpness")
        .x("sharpness", Scale::Log)
        .y_names(groups.iter().map(|g| a.groups[*g].label.clone()));
    for kind in kinds.iter().filter(|k| k.path.contains("boxes")) {
        let points = groups.iter().enumerate().flat_map(|(i, &g)| {
            probed
                .values(g, |run| kind.of(run))
                .into_iter()
                .map(move |v| (v.1, i as f64))
        });
        plot = plot.points(&kind.words, points.collect::<Vec<_>>());
    }
    Some(Section {
        title: "Sharpness".into(),
        text: "How far the loss can rise near the trained weights: 100 (max f − f(x)) / (1 + f(x)) in Keskar’s box, of size ε (|x| + 1) along each axis; and the rise \
        of f in SAM’s ball and in the adaptive ball, which is relative to the weights. Only the adaptive ball does not depend on how a network is scaled (Dinh et al. 2017)."
            .into(),
        tables: vec![Table { heads, rows, note: note.clone() }],
        figures: vec![plot.caption(&format!("Each mark is a run. {note}")).figure()],
    })
}
