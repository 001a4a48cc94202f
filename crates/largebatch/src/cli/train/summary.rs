//! What `train` prints at the end.

use std::fmt::Write as _;

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
