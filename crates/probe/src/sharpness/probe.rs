//! The probe `sharpness`.

use largebatch_report::times;

use super::{Ball, ITERATIONS, Keskar, Sharpness, Space, adaptive, ball, keskar};
use crate::Objective;
use crate::prelude::*;

/// The options of the probe `sharpness`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SharpnessOptions {
    /// Sizes of Keskar's box.
    #[schemars(length(min = 1))]
    pub epsilon: Vec<f64>,
    /// Directions of the random subspace; 0 skips it. By default 100, or fewer for a smaller model.
    pub directions: Option<usize>,
    /// Iterations of L-BFGS-B.
    #[schemars(range(min = 1))]
    pub iterations: usize,
    /// Radius of SAM's ball.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub radius: f64,
    /// Radius of the adaptive ball.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub adaptive_radius: f64,
    /// Batch norm: frozen running statistics, or the statistics of each 250 examples, as in the
    /// training loss.
    pub batch_norm: BatchNorm,
    /// Ascent steps in each ball.
    #[schemars(range(min = 1))]
    pub steps: usize,
}

/// What batch norm does while the sharpness is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchNorm {
    /// Its running statistics are frozen.
    Frozen,
    /// It uses the statistics of each 250 examples.
    Batch,
}

impl Default for SharpnessOptions {
    fn default() -> Self {
        SharpnessOptions {
            epsilon: vec![1e-3, 5e-4],
            directions: None,
            iterations: ITERATIONS,
            radius: 0.05,
            adaptive_radius: 0.5,
            batch_norm: BatchNorm::Frozen,
            steps: 10,
        }
    }
}

impl SharpnessOptions {
    fn spaces(&self, dim: usize) -> Vec<Space> {
        let directions = self.directions.unwrap_or(dim.min(100));
        let random = (directions > 0).then_some(Space::Random { directions });
        [Some(Space::Full), random].into_iter().flatten().collect()
    }
}

impl Probe for SharpnessOptions {
    const FACTS: Facts = Facts::new(
        "sharpness",
        "Measure how far the loss can rise near the weights: Keskar's box, SAM's ball, and the adaptive ball",
    )
    .paper("Keskar et al. 2017, arXiv 1609.04836");
    const TARGET: Target = Target::Network;
    const HELP: &'static str = "\
Sharpness is 100 (max f - f(x)) / (1 + f(x)), with the maximum over the box |y_i| <= epsilon (|x_i| + 1) that L-BFGS-B finds in 10 \
iterations from x, in the full space and in a random subspace (Keskar et al. 2017). The balls are those of SAM (Foret et al. 2021) and ASAM \
(Kwon et al. 2021), whose radius is relative to each weight.

Caveat (Dinh et al. 2017): the box and SAM's ball depend on the scale of the weights, although a ReLU network's function does not. Compare runs of \
one model that were trained alike. The adaptive ball is invariant under rescaling.";
    type Record = Record<Sharpness>;

    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        let mut subject = at[0].subject()?;
        let boxes = self.spaces(subject.dim()).len() * self.epsilon.len();
        let balls = 2 * (self.steps + 1);
        let most = boxes * (1 + 3 * self.iterations) + balls;
        // A line search takes little more than one evaluation per iteration.
        let expected = boxes as f64 * (1.0 + 1.5 * self.iterations as f64) + balls as f64;
        cost::of_gradients(&mut subject, most as u64, expected)
    }

    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<(Self::Record, bool), ProbeError> {
        let at = &at[0];
        let mut subject = at.subject()?;
        let by_batch = self.batch_norm == BatchNorm::Batch;
        if by_batch {
            subject.use_batch_statistics();
        }
        let x = subject.weights().to_vec();
        let mut complete = true;
        let mut result = Sharpness {
            batch_statistics: at.network.has_batch_norm().then_some(by_batch),
            ..Sharpness::default()
        };
        for &epsilon in &self.epsilon {
            for space in self.spaces(x.len()) {
                if complete {
                    let (iterations, seed) = (self.iterations, at.sample.seed);
                    let found = keskar(&mut subject, &x, space, epsilon, iterations, seed, watch)?;
                    complete = !found.interrupted();
                    result.boxes.push(found);
                }
            }
        }
        if complete {
            let found = ball(&mut subject, &x, self.radius, self.steps, watch)?;
            complete = !found.interrupted;
            result.ball = Some(found);
        }
        if complete {
            let found = adaptive(&mut subject, &x, self.adaptive_radius, self.steps, watch)?;
            complete = !found.interrupted;
            result.adaptive = Some(found);
        }
        let record = Record::new(Self::FACTS.name, at, &subject, complete, result);
        Ok((record, complete))
    }

    fn figures(&self, record: &Self::Record, _at: &[Point<'_>]) -> Vec<Figure> {
        let s = &record.result;
        let positive = s.boxes.iter().all(|k| k.sharpness > 0.0);
        let scale = if positive { Scale::Log } else { Scale::Linear };
        let mut sizes: Vec<f64> = s.boxes.iter().map(|k| k.epsilon).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        let mut plot = Plot::new("sharpness", "Sharpness against the size of the box")
            .x("ε, size of the box", Scale::Log)
            .y("sharpness φ", scale)
            .x_ticks(sizes);
        let mut spaces: Vec<Space> = s.boxes.iter().map(|k| k.space).collect();
        spaces.dedup();
        for space in [
            Some(Space::Full),
            spaces.into_iter().find(|s| *s != Space::Full),
        ]
        .into_iter()
        .flatten()
        {
            let label = words(space);
            let mut points: Vec<(f64, f64)> = s
                .boxes
                .iter()
                .filter(|k| k.space == space)
                .map(|k| (k.epsilon, k.sharpness))
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            plot = plot.line(&label, points.clone()).points(&label, points);
        }
        let ball = |name: &str, b: &Option<Ball>| {
            b.as_ref()
                .map(|b| {
                    format!(
                        " In {name} of radius {} the loss rises by {:.4}.",
                        b.radius, b.rise
                    )
                })
                .unwrap_or_default()
        };
        let text = "φ = 100 (max f − f(x)) / (1 + f(x)), with the maximum over |y_i| ≤ ε (|x_i| + 1) that L-BFGS-B finds (Keskar et al. 2017).";
        let statistics = match s.batch_statistics {
            None => "",
            Some(true) => " Batch norm uses each batch's statistics.",
            Some(false) => " Batch norm is frozen.",
        };
        let caption = format!(
            "{text}{statistics}{}{}",
            ball("SAM's ball", &s.ball),
            ball("the adaptive ball", &s.adaptive)
        );
        vec![plot.caption(&caption).figure()]
    }

    fn summary(&self, record: &Self::Record, _: &[Point<'_>]) -> String {
        let (r, mut text) = (&record.result, String::new());
        let loss = r
            .boxes
            .first()
            .map(|k| k.loss)
            .or(r.ball.as_ref().map(|b| b.loss));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "loss {:.6} over {} examples of the {} part",
            loss.unwrap_or(f64::NAN),
            record.examples,
            record.part
        );
        for k in &r.boxes {
            let Keskar {
                epsilon,
                sharpness,
                highest,
                iterations,
                evaluations,
                ..
            } = k;
            let space = words(k.space);
            let _ = writeln!(
                text,
                "  box {epsilon:<8} {space:<22} sharpness {sharpness:<12.5} highest loss {highest:.6} ({iterations} iterations, {evaluations} gradients)"
            );
        }
        for (name, b) in [("SAM's ball", &r.ball), ("adaptive ball", &r.adaptive)] {
            if let Some(Ball {
                radius,
                rise,
                first,
                loss,
                evaluations,
                ..
            }) = b
            {
                let one = first - loss;
                let _ = writeln!(
                    text,
                    "  {name} of radius {radius}: the loss rises by {rise:.6} ({one:.6} after one step; {evaluations} gradients)"
                );
            }
        }
        text.trim_end().to_owned()
    }

    fn section(found: &Found<'_, Self::Record>) -> Option<Section> {
        let (first, groups) = (&found.first()?.result, found.groups());
        let (kinds, boxes) = (measures(first).into_iter().enumerate(), first.boxes.len());
        let kinds = kinds.map(|(i, (name, _))| {
            if i < boxes {
                format!("box {name}")
            } else {
                name
            }
        });
        let kinds: Vec<String> = kinds.collect();
        let label = |g: usize| found.study.groups[g].label.as_str();
        let value = |i: usize, run: &FoundRun<Self::Record>| {
            let all = measures(&run.end.as_ref()?.result);
            all.get(i).map(|measured| measured.1)
        };
        let heads = ["", "n"].map(str::to_owned).into_iter();
        let mut rows: Vec<Vec<String>> = Vec::new();
        for &g in &groups {
            let start = [label(g).to_owned(), found.runs(g).len().to_string()];
            let cells = (0..kinds.len()).map(|i| found.mean(g, |run| value(i, run)));
            rows.push(start.into_iter().chain(cells).collect());
        }
        let pairs = found.study.pairs.iter();
        for &(small, large) in pairs.filter(|(s, l)| groups.contains(s) && groups.contains(l)) {
            let name = format!("{} ÷ {}", label(large), label(small));
            let cells = (0..kinds.len()).map(|i| {
                let of = |g: usize| found.values(g, |run| value(i, run));
                times(&of(large), &of(small))
            });
            let start = [name, found.runs(large).len().to_string()];
            rows.push(start.into_iter().chain(cells).collect());
        }
        let note = format!(
            "{}. Ratios are geometric means, paired by seed.{}",
            found.small_print(),
            match first.batch_statistics {
                Some(true) => " Batch norm uses the statistics of each batch.",
                Some(false) => " Batch norm is frozen at its running statistics.",
                None => "",
            }
        );
        let mut plot = Plot::new("sharpness", "Sharpness")
            .x("sharpness", Scale::Log)
            .y_names(groups.iter().map(|g| label(*g).to_owned()));
        for (k, kind) in kinds.iter().enumerate().take(boxes) {
            let points = groups.iter().enumerate().flat_map(|(i, &g)| {
                let values = found.values(g, |run| value(k, run)).into_iter();
                values.map(move |v| (v.1, i as f64))
            });
            plot = plot.points(kind, points);
        }
        Some(Section {
            title: "Sharpness".into(),
            text: "How far the loss can rise near the trained weights: 100 (max f − f(x)) / (1 + f(x)) in Keskar’s box, of size ε (|x| + 1) along each axis; and the rise \
            of f in SAM’s ball and in the adaptive ball, which is relative to the weights. Only the adaptive ball does not depend on how a network is scaled (Dinh et al. 2017)."
                .into(),
            figures: vec![plot.caption(&format!("Each mark is a run. {note}")).figure()],
            tables: vec![Table {
                heads: heads.chain(kinds).collect(),
                rows,
                note,
            }],
        })
    }

    fn numbers(record: &Self::Record) -> Vec<(String, f64)> {
        let n = record.result.boxes.len();
        let boxes = measures(&record.result).into_iter().take(n);
        boxes
            .map(|(name, x)| (format!("sharpness, {name}"), x))
            .collect()
    }
}

fn words(space: Space) -> String {
    match space {
        Space::Full => "full space".into(),
        Space::Random { directions } => format!("{directions} random directions"),
    }
}

/// Each sharpness of a record by name, the boxes first.
fn measures(s: &Sharpness) -> Vec<(String, f64)> {
    let boxes = s.boxes.iter();
    let boxes = boxes.map(|b| {
        (
            format!("ε = {}, {}", b.epsilon, words(b.space)),
            b.sharpness,
        )
    });
    let balls = [("SAM’s ball", &s.ball), ("adaptive ball", &s.adaptive)].into_iter();
    let balls = balls.filter_map(|(name, ball)| {
        Some((format!("{name}: rise of the loss"), ball.as_ref()?.rise))
    });
    boxes.chain(balls).collect()
}
