//! The probe `curvature`.

use std::fmt::Write as _;

use largebatch_component::Facts;
use largebatch_plot::{Figure, Plot, Scale, Section, Table, significant};
use largebatch_report::median_interval;
use largebatch_train::{Experiment, RunConfig};

use super::{Curvature, CurvatureOptions, Edge, curvature};
use crate::found::or_dash;
use crate::probe::{AtStep, Cost, Probe, Target};
use crate::{Found, FoundRun, Objective, Point, ProbeError, Record, Watch, cost, subject};

impl Probe for CurvatureOptions {
    const FACTS: Facts = Facts::new(
        "curvature",
        "Measure the largest eigenvalues, trace and density of the loss's Hessian, and the largest stable learning rate",
    )
    .paper("Cohen et al. 2021, arXiv 2103.00065");
    const TARGET: Target = Target::Network;
    const HELP: &'static str = "\
Hessian-vector products are central differences of gradients in f64. The Lanczos method finds the largest eigenvalues; the trace comes from random \
signs (Hutchinson) and Hutch++, the density from stochastic Lanczos quadrature. The edge of stability is that of the run's optimizer at its current rate: \
2/λ for gradient descent, and so on. For Adam and Adagrad it is that of the preconditioned Hessian, which needs a checkpoint with their state \
(RUN/checkpoints/step-N).";
    type Record = Record<Curvature>;

    fn in_training() -> Option<Self> {
        Some(CurvatureOptions {
            top: 2,
            iterations: 40,
            tolerance: 1e-3,
            samples: 0,
            vectors: 0,
            ..CurvatureOptions::default()
        })
    }

    fn check(&self, experiment: &Experiment) -> Result<(), ProbeError> {
        if self.top > self.iterations {
            let why = format!(
                "must be between 1 and the number of Lanczos iterations, --iterations {}",
                self.iterations
            );
            return Err(ProbeError::value("top", self.top, why));
        }
        subject::need_double(experiment)
    }

    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        let mut subject = at[0].subject()?;
        let preconditioned = at[0].experiment.optimizer.stability();
        let edge = preconditioned.is_some_and(|s| s.preconditioner.is_some());
        let gradients = self.gradients(subject.dim());
        let of_edge = if edge {
            2 * (self.iterations.min(subject.dim()) + 1) as u64
        } else {
            0
        };
        cost::of_gradients(&mut subject, gradients + of_edge, gradients as f64)
    }

    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<(Self::Record, bool), ProbeError> {
        let at = &at[0];
        let mut subject = at.subject()?;
        let w = subject.weights().to_vec();
        let options = CurvatureOptions {
            seed: at.sample.seed,
            ..self.clone()
        };
        let (mut found, mut complete) = curvature(&mut subject, &w, &options, watch)?;
        if complete {
            let watch = &mut |done: u64, all: u64| {
                complete = watch(done, all);
                complete
            };
            found.edge = Edge::at(at, &mut subject, &w, found.lambda_max, &options, watch)?;
        }
        let record = Record::new(Self::FACTS.name, at, &subject, complete, found);
        Ok((record, complete))
    }

    fn figures(&self, record: &Self::Record, at: &[Point<'_>]) -> Vec<Figure> {
        let caption = format!(
            "{}, {} {} examples, {} parameters; {} Lanczos runs of {} steps, smoothed by a hundredth of the range; marks: the {} largest.",
            at[0].what(),
            record.examples,
            record.part,
            record.parameters,
            self.vectors,
            self.steps,
            record.result.eigenvalues.len()
        );
        let c = &record.result;
        let plot = Plot::new("curvature", "Eigenvalues of the Hessian").caption(&caption);
        let Some(density) = &c.density else {
            let points = c
                .eigenvalues
                .iter()
                .enumerate()
                .map(|(i, v)| (i as f64 + 1.0, *v));
            let plot = plot
                .x("rank", Scale::Linear)
                .y("eigenvalue", Scale::Linear)
                .points("largest", points);
            return vec![plot.figure()];
        };
        let ends = density.nodes.iter().chain(&c.eigenvalues).chain([&c.least]);
        let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(*v), h.max(*v))
        });
        let span = (high - low).max(f64::MIN_POSITIVE);
        let sigma = span / 100.0;
        let at: Vec<f64> = (0..=500)
            .map(|i| low - 0.04 * span + 1.08 * span * f64::from(i) / 500.0)
            .collect();
        let smooth = density.smoothed(sigma, &at);
        let top = smooth.iter().fold(0.0f64, |a, b| a.max(*b));
        let floor = 1e-6 * top;
        let mut plot = plot
            .x("eigenvalue λ", Scale::Linear)
            .y("density", Scale::Log)
            .y_range(floor, 2.0 * top)
            .line("density", at.iter().copied().zip(smooth))
            .points(
                "largest eigenvalues",
                c.eigenvalues.iter().map(|v| (*v, 1.6 * floor)),
            );
        if let Some(edge) = c
            .edge
            .as_ref()
            .filter(|e| !e.preconditioned && e.rate > 0.0 && e.bound / e.rate < 3.0 * high)
        {
            plot = plot.guide_x("edge of stability", edge.bound / edge.rate);
        }
        vec![plot.figure()]
    }

    fn summary(&self, record: &Self::Record, at: &[Point<'_>]) -> String {
        let (c, optimizer) = (&record.result, &at[0].experiment.optimizer);
        let (name, stability) = (optimizer.facts().name, optimizer.stability());
        let mut text = String::new();
        let values: Vec<String> = c.eigenvalues.iter().map(|v| format!("{v:.4}")).collect();
        let _ = writeln!(
            text,
            "largest eigenvalues {}{}",
            values.join(", "),
            if c.converged {
                ""
            } else {
                " (not converged: raise --iterations; at a kink of the loss they never converge)"
            }
        );
        let _ = writeln!(text, "smallest eigenvalue at most {:.4}", c.least);
        if let Some(rate) = c.stable_rate {
            let _ = writeln!(
                text,
                "L = {:.4}: gradient descent is stable up to the rate 2/L = {}",
                c.lambda_max,
                significant(rate, 4)
            );
        }
        for (name, trace) in [("Hutchinson", c.trace), ("Hutch++", c.trace_plus)] {
            if let Some(t) = trace {
                let error = t.error.map_or(String::new(), |e| format!(" ± {e:.2}"));
                let _ = writeln!(
                    text,
                    "trace {:.4}{error} ({name}, {} products)",
                    t.value, t.products
                );
            }
        }
        if let Some(e) = &c.edge {
            let word = if e.product < e.bound {
                "below"
            } else {
                "above"
            };
            let _ = writeln!(
                text,
                "{} at rate {}: η λ = {:.4}, {word} the edge of stability at {:.4}{}",
                e.optimizer,
                significant(e.rate, 4),
                e.product,
                e.bound,
                e.stable_rate.map_or(String::new(), |r| format!(
                    "; stable up to rate {}",
                    significant(r, 4)
                ))
            );
        } else if stability.is_some() {
            let _ = writeln!(
                text,
                "the edge of stability of {name} needs its state: name a checkpoint, RUN/checkpoints/step-N"
            );
        } else {
            let _ = writeln!(text, "no edge of stability is known for {name}");
        }
        text.trim_end().to_owned()
    }

    fn course(records: &[AtStep<Self::Record>], _config: &RunConfig) -> Vec<Plot> {
        // An interrupted measurement has too few products to compare with the others.
        let whole = || records.iter().filter(|at| at.record.complete);
        let edges =
            || whole().filter_map(|at| Some((at.step as f64, at.record.result.edge.as_ref()?)));
        let plot = match edges().next_back() {
            Some((_, Edge { bound, .. })) => {
                let products: Vec<_> = edges().map(|(step, edge)| (step, edge.product)).collect();
                // With few gradients seen, a preconditioner takes it far beyond the edge.
                let is_far = products.iter().any(|p| p.1 > 5.0 * bound)
                    && products.iter().all(|p| p.1 > 0.0);
                let scale = if is_far { Scale::Log } else { Scale::Linear };
                let label = if edges().any(|(_, edge)| edge.preconditioned) {
                    "η λ_max of the preconditioned Hessian"
                } else {
                    "η λ_max"
                };
                Plot::new("curvature-course", "Towards the edge of stability")
                    .y("η λ_max", scale)
                    .line(label, products)
                    .guide_y("edge of stability", *bound)
            }
            None => {
                let title = "Largest eigenvalue of the Hessian over training";
                let largest = whole().map(|at| (at.step as f64, at.record.result.lambda_max));
                Plot::new("curvature-course", title)
                    .y("λ_max", Scale::Linear)
                    .line("λ_max", largest)
            }
        };
        vec![plot.x("step", Scale::Linear)]
    }

    fn section(found: &Found<'_, Self::Record>) -> Option<Section> {
        let study = found.study;
        let number = |x: f64| {
            if x.is_infinite() {
                "∞".into()
            } else {
                significant(x, 3)
            }
        };
        // Not a mean: 1/λ has no useful one where λ may be near 0.
        let median = |g: usize, of: &dyn Fn(&FoundRun<Record<Curvature>>) -> Option<f64>| {
            let values = found.runs(g).iter().filter_map(of);
            let values: Vec<f64> = values.filter(|x| !x.is_nan()).collect();
            median_interval(&values).map_or("–".into(), |(median, low, high)| {
                match values.len() {
                    1 => number(median),
                    _ => format!("{} [{}, {}]", number(median), number(low), number(high)),
                }
            })
        };
        // Where λ ≤ 0 every rate is stable.
        let rate = |edge: Option<&Edge>| {
            let edge = edge.filter(|e| !e.lambda_max.is_nan())?;
            Some(edge.stable_rate.unwrap_or(f64::INFINITY))
        };
        let at_step = |g: usize, text: String| match text.as_str() {
            "–" => text,
            _ => text + &found.last_step(g),
        };
        let lambda = |run: &FoundRun<Record<Curvature>>| Some(run.last()?.result.lambda_max);
        let at_start = |run: &FoundRun<Record<Curvature>>| {
            let first = run.during.first().filter(|at| at.step == 0)?;
            rate(first.record.result.edge.as_ref())
        };
        let groups = found.groups();
        let rows = groups.iter().map(|&g| {
            let group = &study.groups[g];
            vec![
                group.label.clone(),
                found.values(g, lambda).len().to_string(),
                at_step(g, median(g, &lambda)),
                median(g, &at_start),
                at_step(g, median(g, &|run| rate(run.last()?.result.edge.as_ref()))),
                or_dash(group.rate),
                or_dash(group.trained),
                or_dash(group.lost),
            ]
        });
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
        let note = format!("{}.", found.small_print());
        let of_table = "Medians over the runs; a bracket is between two order statistics and holds the median with 95 %, or, of fewer than six runs, \
            is from the smallest to the largest. –: no bound is known for the optimizer, or it had no state yet. (step …): the last measurement, if it was before the end.";
        let table = Table {
            heads: heads.map(str::to_owned).to_vec(),
            rows: rows.collect(),
            note: format!("{of_table} {note}"),
        };
        let mut plot = Plot::new("edge", "Towards the edge of stability")
            .x("step", Scale::Linear)
            .y("rate × λ_max", Scale::Linear);
        let mut bounds: Vec<f64> = Vec::new();
        let mut drawn = Vec::new();
        for &g in &groups {
            let edge = |of: fn(&Edge) -> f64| found.during(g, |r| r.result.edge.as_ref().map(of));
            let products = edge(|e| e.product);
            if !products.is_empty() {
                drawn.push(g);
                plot = plot.line(&study.groups[g].label, products);
                let bound = edge(|e| e.bound).last().map(|b| b.1);
                bounds.extend(bound.filter(|b| !bounds.contains(b)));
            }
        }
        let plot = bounds
            .iter()
            .fold(plot, |plot, bound| plot.guide_y("edge", *bound));
        let figure = || {
            plot.caption(&format!(
                "Medians over the runs.{} {note}",
                found.without(&drawn)
            ))
            .figure()
        };
        let tuned = if groups.iter().any(|g| study.groups[*g].is_tuned) {
            " The table also has, from stage tune, the largest rate at which every trial trained, and the smallest at which one diverged or learned nothing."
        } else {
            ""
        };
        Some(Section {
            title: "Curvature and the stable rate".into(),
            text: format!(
                "λ_max is the largest eigenvalue of the Hessian of the training loss (with weight decay for the edge). Near a minimum, gradient descent is stable up to \
                the rate 2/λ_max; other optimizers have other bounds.{tuned} With noisy gradients, or if the loss is not quadratic, the bound is only a guide."
            ),
            tables: vec![table],
            figures: (!drawn.is_empty()).then(figure).into_iter().collect(),
        })
    }
}
