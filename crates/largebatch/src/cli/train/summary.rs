//! What `train` prints at the end.

use std::fmt::Write as _;
use std::path::Path;

use largebatch_train::{CrossValidation, Metrics, Outcome, RunConfig, Stop};

use crate::cli::counted;

pub(super) fn summary(outcome: &Outcome) -> String {
    let why = match outcome.stop {
        Stop::Finished => "finished",
        Stop::TargetReached => "reached its target",
        Stop::NoImprovement => "stopped improving",
        Stop::Observer => "was asked to stop",
        Stop::Diverged => "DIVERGED",
        Stop::Interrupted => "was interrupted",
    };
    let o = outcome;
    let lr = if o.peak_lr == o.lr || o.peak_lr == 0.0 {
        o.lr.to_string()
    } else {
        format!("{} ({} scaled with the batch)", o.peak_lr, o.lr)
    };
    let epochs = if o.epochs == 1 { "epoch" } else { "epochs" };
    let mut text = format!(
        "{} · {} · {}, batch {}, lr {lr}, seed {}, {}\n{why} after {} {epochs} ({}) in {:.1} s, {:.0} examples/s\n",
        o.dataset,
        o.model,
        o.optimizer,
        o.batch_size,
        o.seed,
        o.device,
        o.epochs,
        counted(o.steps, "step"),
        o.seconds,
        o.examples_per_second
    );
    if o.stop == Stop::Diverged {
        text += "  the loss diverged: try a smaller --lr, or a warm-up\n";
    }
    let majority = |share: Option<f64>| {
        share.map_or(String::new(), |m| {
            format!(" (majority class {:.2} %)", 100.0 * m)
        })
    };
    let mut part = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name:<12}{value}");
        }
    };
    part(
        "train loss",
        o.train_loss.map(|loss| {
            if loss.abs() < 1e4 {
                format!("{loss:.4}")
            } else {
                format!("{loss:.3e}")
            }
        }),
    );
    let measured = |metrics: Option<Metrics>, share| {
        let of = |m: Metrics| format!("{} of {}{}", m.headline(), m.n, majority(share));
        metrics.map(of)
    };
    let validation = measured(o.validation, o.validation_majority_accuracy);
    part("validation", validation);
    part("test", measured(o.test, o.test_majority_accuracy));
    part("saved in", o.out.clone());
    text.trim_end().to_owned()
}

/// The training loss of a run as a line of blocks, on a logarithmic scale, with its first and last
/// value; `None` of fewer than two points.
pub(super) fn curve(run: &Path) -> Option<String> {
    let text = std::fs::read_to_string(run.join("events.jsonl")).ok()?;
    let loss = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let loss = line.get("recent_loss")?.as_f64()?;
        (loss > 0.0).then_some(loss)
    };
    let losses: Vec<f64> = text.lines().filter_map(loss).collect();
    let blocks = blocks(&losses, 48)?;
    let (first, last) = (losses.first()?, losses.last()?);
    Some(format!(
        "  loss        {blocks} {first:.3} → {last:.3}, logarithmic"
    ))
}

/// Values above 0 as at most `most` blocks, each the geometric mean of its share of them.
fn blocks(values: &[f64], most: usize) -> Option<String> {
    let logs: Vec<f64> = values.iter().map(|x| x.ln()).collect();
    let share = logs.len().div_ceil(most).max(1);
    let means: Vec<f64> = logs
        .chunks(share)
        .map(|c| c.iter().sum::<f64>() / c.len() as f64)
        .collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let block = |x: &f64| {
        let level = if high > low {
            7.0 * (x - low) / (high - low)
        } else {
            0.0
        };
        ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][level.round() as usize]
    };
    (means.len() > 1).then(|| means.iter().map(block).collect())
}

pub(super) fn cross_summary(config: &RunConfig, result: &CrossValidation) -> String {
    let (r, k) = (result.repeats, result.folds);
    let mut text = format!(
        "{} · {} · {}, {r} × {k}-fold cross-validation\n",
        config.dataset.name, config.model.name, config.optimizer.name
    );
    for (i, metrics) in result.per_repeat.iter().enumerate() {
        let _ = writeln!(
            text,
            "  repeat {}    {} of {}",
            i + 1,
            metrics.headline(),
            metrics.n
        );
    }
    if let Some(accuracy) = result.accuracy {
        let spread = result.accuracy_std.map_or(String::new(), |std| {
            format!(" ± {:.2} (standard deviation over repeats)", 100.0 * std)
        });
        let _ = writeln!(text, "  accuracy    {:.2} %{spread}", 100.0 * accuracy);
    }
    if let Some(majority) = result.majority_accuracy {
        let _ = writeln!(
            text,
            "  majority    {:.2} % by always predicting the most frequent class",
            100.0 * majority
        );
    }
    if let Some(rmse) = result.rmse {
        let _ = writeln!(text, "  RMSE        {rmse:.4}");
    }
    if result.diverged > 0 {
        let _ = writeln!(
            text,
            "  {} trainings diverged; their predictions count as wrong",
            result.diverged
        );
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_falls_from_the_highest_block_to_the_lowest() {
        assert_eq!(blocks(&[8.0, 4.0, 2.0, 1.0], 4).unwrap(), "█▆▃▁");
        assert_eq!(blocks(&[4.0, 1.0, 1.0, 1.0], 2).unwrap(), "█▁");
        assert_eq!(blocks(&[1.0], 4), None);
    }
}
