use largebatch_plot::{Plot, Scale, Section, Table};
use largebatch_study::{key, number};

use super::{Probed, at, or_dash, text};
use crate::analysis::{Analysis, at_points};
use crate::findings::ProbedRun;

pub(super) fn section(a: &Analysis, probed: &Probed) -> Option<Section> {
    probed.first("curvature")?;
    let end = |path: &'static str| {
        move |run: &ProbedRun| {
            let object = run
                .end
                .get("curvature")
                .or_else(|| run.during.get("curvature")?.last())?;
            at(object, path)
        }
    };
    let start = |run: &ProbedRun| {
        let first = run
            .during
            .get("curvature")?
            .first()
            .filter(|line| line["step"] == 0)?;
        at(first, "/result/edge/stable_rate").or_else(|| at(first, "/result/stable_rate"))
    };
    let groups: Vec<usize> = (0..a.groups.len())
        .filter(|g| !probed.values(*g, end("/result/lambda_max")).is_empty())
        .collect();
    let heads = [
        "",
        "n",
        "λ_max",
        "stable rate at step 0",
        "stable rate at the end",
        "rate used",
        "largest rate that trained",
        "smallest that did not",
    ];
    let rows = groups.iter().map(|&g| {
        let lambda = probed.values(g, end("/result/lambda_max"));
        let rate = |run: &ProbedRun| {
            end("/result/edge/stable_rate")(run).or_else(|| end("/result/stable_rate")(run))
        };
        let (trained, lost) = rates(a, g);
        vec![
            a.groups[g].label.clone(),
            lambda.len().to_string(),
            text(&lambda),
            text(&probed.values(g, start)),
            text(&probed.values(g, rate)),
            or_dash(a.groups[g].rate),
            or_dash(trained),
            or_dash(lost),
        ]
    });
    let note = format!("{}.", probed.small_print(a, "curvature"));
    let table = Table {
        heads: heads.map(str::to_owned).to_vec(),
        rows: rows.collect(),
        note: note.clone(),
    };
    let mut edge = Plot::new("edge", "Towards the edge of stability")
        .x("step", Scale::Linear)
        .y("rate × λ_max", Scale::Linear);
    let mut bounds: Vec<f64> = Vec::new();
    let mut any = false;
    for &g in &groups {
        let products = probed.during(g, "curvature", |line| at(line, "/result/edge/product"));
        if !products.is_empty() {
            any = true;
            edge = edge.line(&a.groups[g].label, products);
            let bound = probed.during(g, "curvature", |line| at(line, "/result/edge/bound"));
            bounds.extend(bound.last().map(|b| b.1).filter(|b| !bounds.contains(b)));
        }
    }
    edge = bounds
        .iter()
        .fold(edge, |edge, bound| edge.guide_y("edge", *bound));
    let figures = if any {
        vec![
            edge.caption(&format!("Medians over the runs. {note}"))
                .figure(),
        ]
    } else {
        Vec::new()
    };
    let tuned = if groups
        .iter()
        .all(|g| a.results.plan.groups[*g].points.is_empty())
    {
        ""
    } else {
        " The table also has, from stage tune, the largest rate at which every trial trained, and the smallest at which one diverged or learned nothing."
    };
    Some(Section {
        title: "Curvature and the stable rate".into(),
        text: format!(
            "λ_max is the largest eigenvalue of the Hessian of the training loss (with weight decay for the edge). Near a minimum, gradient descent is stable up to \
            the rate 2/λ_max; other optimizers have other bounds.{tuned} With noisy gradients, or if the loss is not quadratic, the bound is only a guide."
        ),
        tables: vec![table],
        figures,
    })
}

/// The largest rate of a group's search at which all trials trained, and the smallest at which a
/// trial did not.
fn rates(a: &Analysis, group: usize) -> (Option<f64>, Option<f64>) {
    let (mut trained, mut lost) = (None::<f64>, None::<f64>);
    for (point, records) in a.results.plan.groups[group]
        .points
        .iter()
        .zip(at_points(a.results, group))
    {
        let Some(rate) = point
            .get(key::RATE)
            .and_then(number)
            .filter(|_| !records.is_empty())
        else {
            continue;
        };
        if records.iter().all(|r| r.stop.is_measurement()) {
            trained = Some(trained.map_or(rate, |t| t.max(rate)));
        } else {
            lost = Some(lost.map_or(rate, |l| l.min(rate)));
        }
    }
    (trained, lost)
}
