//! The probe `noise`.

use super::{Interval, Noise, NoiseOptions, Sweep, noise};
use crate::Examples;
use crate::found::median;
use crate::prelude::*;

impl Probe for NoiseOptions {
    const FACTS: Facts = Facts::new(
        "noise",
        "Measure the bias and variance of mini-batch gradients, the noise scale, and the critical batch that it predicts",
    )
    .paper("McCandlish et al. 2018, arXiv 1812.06162");
    const TARGET: Target = Target::Network;
    const HELP: &'static str = "\
Measures every example's gradient, which gives G and tr Σ exactly; then batches of 1, 2, 4, … examples with and without replacement; \
then pairs of batch sizes, as a training with accumulation could. B_simple = tr Σ/|G|² predicts the batch above which a larger one saves few steps \
(McCandlish et al. 2018, arXiv 1812.06162).";
    type Record = Record<Noise>;

    fn in_training() -> Option<Self> {
        Some(NoiseOptions {
            replicates: 0,
            pairs: 0,
            ..NoiseOptions::default()
        })
    }

    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        let mut subject = at[0].subject()?;
        let n = subject.count();
        let whole = cost::gradient_seconds(&mut subject, n)?;
        let one = cost::gradient_seconds(&mut subject, 1)?;
        let gradients = self.gradients(n);
        Ok(Cost {
            work: format!("{gradients} gradients of single examples and batches over {n} examples"),
            unit: "examples",
            gradients,
            seconds: self.passes(n) as f64 * whole / n as f64 + gradients as f64 * one,
        })
    }

    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<(Self::Record, bool), ProbeError> {
        let at = &at[0];
        let mut subject = at.subject()?;
        let options = NoiseOptions {
            batch: at.experiment.config.batch_size.unwrap_or(64).max(1),
            seed: at.sample.seed,
            ..self.clone()
        };
        let (w, layers) = (subject.weights().to_vec(), subject.layers().to_vec());
        let (found, complete) = noise(&mut subject, &w, &layers, &options, watch)?;
        let record = Record::new(Self::FACTS.name, at, &subject, complete, found);
        Ok((record, complete))
    }

    fn figures(&self, record: &Self::Record, at: &[Point<'_>]) -> Vec<Figure> {
        let caption = format!(
            "{}, {} {} examples, {} or more batches per point, seed {}; dashed: σ²/B, multiplied by (N − B)/(N − 1) without replacement.",
            at[0].what(),
            record.examples,
            record.part,
            self.replicates,
            at[0].sample.seed
        );
        let noise = &record.result;
        let mut plot = Plot::new("noise", "Variance of the mini-batch gradient")
            .x("batch size B", Scale::Log)
            .y("mean of |g_B − G|²", Scale::Log);
        for (label, sweep) in [
            ("with replacement", &noise.with_replacement),
            ("without replacement", &noise.without_replacement),
        ] {
            let Some(sweep) = sweep else { continue };
            let label = match sweep.exponent {
                Some(p) => format!("{label} (B^{p:.2})"),
                None => label.into(),
            };
            plot = plot.points(
                &label,
                sweep.points.iter().map(|p| (p.batch as f64, p.variance)),
            );
            plot = plot.dashed(
                &label,
                sweep.points.iter().map(|p| (p.batch as f64, p.predicted)),
            );
        }
        if let Some(b) = noise.b_simple {
            plot = plot.guide_x(&format!("B_simple = {b:.0}"), b);
        }
        let plot = plot
            .guide_y("|G|²", noise.gradient_square)
            .caption(&caption);
        vec![plot.figure()]
    }

    fn summary(&self, record: &Self::Record, _: &[Point<'_>]) -> String {
        let noise = &record.result;
        let mut text = String::new();
        let _ = writeln!(
            text,
            "|G|² {:.4e}, tr Σ {:.4e} over {} examples",
            noise.gradient_square, noise.trace, noise.examples
        );
        let range = |i: Interval| match i.high {
            Some(high) => format!("{:.4} to {high:.4}", i.low),
            None => format!("at least {:.4}; more examples are needed", i.low),
        };
        if let Some(b) = noise.b_simple {
            let _ = writeln!(
                text,
                "B_simple {b:.1} of these examples: the predicted critical batch; the run's batch is {}, signal-to-noise ratio {:.3}",
                noise.batch,
                noise.snr.unwrap_or(f64::INFINITY)
            );
        }
        if let (Some(b), Some(i)) = (noise.b_simple_population, noise.interval) {
            let _ = writeln!(
                text,
                "B_simple {b:.1} of the population they sample (95 %: {})",
                range(i)
            );
        }
        if let Some(p) = noise.pairs {
            let b = p
                .b_simple
                .map_or("undefined".to_owned(), |b| format!("{b:.1}"));
            let _ = writeln!(
                text,
                "B_simple {b} from {} pairs of batches{}",
                p.steps,
                p.interval
                    .map_or(String::new(), |i| format!(" (95 %: {})", range(i)))
            );
        }
        if let Some(bias) = noise.bias {
            let word = if bias.is_consistent {
                "unbiased within its error"
            } else {
                "BIASED"
            };
            let _ = writeln!(
                text,
                "mean of {} mini-batch gradients along G: off by {:+.3} % ± {:.3} %: {word}",
                bias.batches,
                100.0 * bias.along,
                100.0 * bias.along_error
            );
        }
        let mut law = |name: &str, sweep: &Option<Sweep>| {
            if let Some((p, e)) = sweep
                .as_ref()
                .and_then(|s| s.exponent.zip(s.exponent_error))
            {
                let _ = writeln!(
                    text,
                    "variance {name} replacement falls as B^({p:.3} ± {e:.3})"
                );
            }
        };
        law("with", &noise.with_replacement);
        law("without", &noise.without_replacement);
        let paths = noise.layers.iter().map(|layer| layer.path.len());
        let wide = paths.fold(9, usize::max);
        let _ = writeln!(
            text,
            "{:<wide$} {:>10} {:>10} {:>10} {:>10}",
            "parameter", "|G|²", "tr Σ", "B_simple", "|G|/noise"
        );
        for l in &noise.layers {
            let number = |x: Option<f64>| x.map_or("–".to_owned(), |x| format!("{x:.3}"));
            let _ = writeln!(
                text,
                "{:<wide$} {:>10.3e} {:>10.3e} {:>10} {:>10}",
                l.path,
                l.gradient_square,
                l.trace,
                number(l.b_simple),
                number(l.snr)
            );
        }
        text.trim_end().to_owned()
    }

    fn course(records: &[AtStep<Self::Record>], config: &RunConfig) -> Vec<Plot> {
        let whole = records.iter().filter(|at| at.record.complete);
        let points = whole.map(|at| {
            (
                at.step,
                at.record.result.b_simple,
                at.record.result.interval,
            )
        });
        let labels = ["B_simple of these examples", "95 % for the population"];
        vec![scale_over_training("noise-course", labels, points, config)]
    }

    fn section(found: &Found<'_, Self::Record>) -> Option<Section> {
        // For the population from which the examples are a sample, if known.
        let scale = |noise: &Noise| noise.b_simple_population.or(noise.b_simple);
        scale_section(found, "Gradient noise", "noise-scale", scale)
    }
}

/// The chart of step, B_simple and interval over a training.
pub(super) fn scale_over_training(
    name: &str,
    [label, interval]: [&str; 2],
    points: impl Iterator<Item = (u64, Option<f64>, Option<Interval>)>,
    config: &RunConfig,
) -> Plot {
    let points: Vec<_> = points.collect();
    // Not a band: an interval may have no upper end, and the upper line is broken there.
    let end = |of: fn(Interval) -> Option<f64>| {
        let ends = points.iter();
        ends.map(move |p| (p.0 as f64, p.2.and_then(of).unwrap_or(f64::NAN)))
    };
    let scales = points.iter();
    Plot::new(name, "Gradient noise scale over training")
        .x("step", Scale::Linear)
        .y("examples", Scale::Log)
        .line(label, scales.filter_map(|p| Some((p.0 as f64, p.1?))))
        .dashed(interval, end(|i| Some(i.low)))
        .dashed(interval, end(|i| i.high))
        .guide_y("batch", config.batch_size.unwrap_or(1) as f64)
}

/// The section on a noise scale, with the figure `name`.
pub(super) fn scale_section<R>(
    found: &Found<'_, Record<R>>,
    title: &str,
    name: &str,
    scale: impl Fn(&R) -> Option<f64>,
) -> Option<Section> {
    let study = found.study;
    let mut plot = Plot::new(name, "Gradient noise scale over training")
        .x("step", Scale::Linear)
        .y("examples", Scale::Log);
    let mut rows = Vec::new();
    let mut drawn = Vec::new();
    for g in found.groups() {
        let label = &study.groups[g].label;
        let during = found.during(g, |record| scale(&record.result));
        let end = found.median(g, |run| scale(&run.end.as_ref()?.result));
        let last = during
            .last()
            .map(|p| format!("{} (step {})", or_dash(Some(p.1)), p.0));
        let end = end.map(|x| or_dash(Some(x))).or(last).unwrap_or("–".into());
        let middle = median(during.iter().map(|p| p.1).collect());
        let sum: f64 = during.iter().map(|p| p.1).sum();
        let mean = (!during.is_empty()).then(|| sum / during.len() as f64);
        let start = during.first().filter(|p| p.0 == 0.0).map(|p| p.1);
        let critical = study.critical.iter().find(|c| c.groups.contains(&g));
        let critical = critical.map(|c| c.examples);
        rows.push([
            ("", label.clone()),
            ("n", found.runs(g).len().to_string()),
            ("at step 0", or_dash(start)),
            ("median over training", or_dash(middle)),
            ("mean over training", or_dash(mean)),
            ("at the end", end),
            ("B_crit from steps", or_dash(critical)),
        ]);
        if !during.is_empty() {
            drawn.push(g);
        }
        plot = match during.len() {
            0 => plot,
            1 => plot.points(label, during),
            _ => plot.line(label, during),
        };
    }
    for critical in &study.critical {
        let of = if study.critical.len() > 1 {
            format!(" of {}", critical.series)
        } else {
            String::new()
        };
        let b_crit = critical.examples;
        plot = plot.guide_y(&format!("B_crit{of} {}", significant(b_crit, 2)), b_crit);
    }
    let note = format!("Medians over the runs. {}.", found.small_print());
    let caption = format!("{note}{}", found.without(&drawn));
    let figure = || plot.caption(&caption).figure();
    Some(Section {
        title: title.into(),
        text: "B_simple = tr Σ / |G|², the batch size at which the variance of a mini-batch’s gradient is as large as the gradient (McCandlish et al. 2018), predicts \
        the batch size beyond which larger ones save few steps. B_crit is the same quantity, fitted to the steps to the target in this study."
            .into(),
        figures: (!drawn.is_empty()).then(figure).into_iter().collect(),
        tables: vec![table(rows, &note)],
    })
}
