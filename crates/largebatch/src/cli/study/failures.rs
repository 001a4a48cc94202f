//! What is said at the end of a study of what failed.

use std::fmt::Write as _;

use largebatch_study::{StopReason, TrialRecord};

/// Lists what failed, grouped by cause, with the remedy.
pub(super) fn failures(failed: &[&TrialRecord], of: usize, unseen: &[String]) -> String {
    let mut causes: Vec<(String, Vec<String>)> = Vec::new();
    for record in failed {
        let cause = record.failure().unwrap_or_default();
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, trials)) => trials.push(record.name()),
            None => causes.push((cause, vec![record.name()])),
        }
    }
    let unmade = |record: &&&TrialRecord| matches!(record.stop, StopReason::Failed { .. });
    let unmade = failed.iter().filter(unmade).count();
    let mut text = match (unmade, failed.len() - unmade) {
        (0, 0) => "a probe failed".to_owned(),
        (0, probed) => format!("a probe failed at {probed} of {of} trials"),
        (unmade, 0) => format!("{unmade} of {of} trials failed"),
        (unmade, probed) => format!("{unmade} of {of} trials failed, and a probe at {probed} more"),
    };
    for (cause, trials) in &mut causes {
        trials.sort_unstable();
        let more = match trials.len().saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        let _ = write!(
            text,
            "\n  {}{more}: {cause}",
            trials[..trials.len().min(SHOWN)].join(", ")
        );
    }
    text.extend(unseen.iter().map(|cause| format!("\n  {cause}")));
    if !failed.is_empty() {
        text += "\nFix the cause, then run them again with the same command and --retry";
    }
    text
}

/// How many failed trials of one cause are named.
const SHOWN: usize = 5;
