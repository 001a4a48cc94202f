//! Records for tests.

use crate::event::{Curves, StopReason};
use crate::record::TrialRecord;
use crate::rules::StopRules;
use crate::runner::unstarted;
use crate::trial::{RunId, Stage, Template, Trial};

/// A trial to confirm, without settings.
pub(crate) fn trial() -> Trial {
    Template::new(
        Stage::Confirm,
        Default::default(),
        1,
        StopRules::default(),
        Default::default(),
    )
    .trial(0)
}

/// A finished record at batch size 32 with these points (step, training loss, validation accuracy).
pub(crate) fn record(points: &[(u64, f64, f64)]) -> TrialRecord {
    let trial = trial();
    let last = points.last().copied().unwrap_or_default();
    TrialRecord {
        stop: StopReason::Finished,
        steps: last.0,
        examples: last.0 * 32,
        train_examples: 320,
        epochs: None,
        budget_steps: last.0,
        metric: "validation_accuracy".into(),
        metrics: [
            ("train_loss".to_string(), last.1),
            ("validation_accuracy".to_string(), last.2),
        ]
        .into(),
        curves: Curves {
            step: points.iter().map(|p| p.0).collect(),
            examples: points.iter().map(|p| p.0 * 32).collect(),
            train_loss: points.iter().map(|p| p.1).collect(),
            validation: points.iter().map(|p| p.2).collect(),
            fitted_loss: points.iter().map(|p| p.1).collect(),
        },
        provenance: Default::default(),
        ..unstarted(&trial)
    }
}

/// A record with this number as identity and seed, and a loss that is not finite.
pub(crate) fn numbered(i: u64) -> TrialRecord {
    TrialRecord {
        id: RunId(format!("{i:032}")),
        seed: i,
        ..record(&[(10, 2.0, 0.5), (20, f64::NAN, 0.7)])
    }
}
