//! The choice of a group's best point.

use std::collections::HashMap;

use crate::event::StopReason;
use crate::file::Goal;
use crate::plan::{Plan, Tuned};
use crate::record::TrialRecord;
use crate::statistics::{Censored, mean};
use crate::trial::RunId;

/// A point's rank; lower is better.
#[derive(PartialEq, PartialOrd)]
struct Rank(usize, f64);

impl Plan {
    /// The choice of every group. `None` for a group that tunes nothing, whose tuning is not
    /// complete, or that has no usable point.
    ///
    /// With the goal `best_validation`: among the points with the fewest trials that diverged,
    /// failed or were pruned, the best mean metric. With the goal `fewest_steps`: among the
    /// points with the most seeds that reached the target, the lowest median number of steps. Ties
    /// go to the earlier point.
    pub fn choices(&self, records: &HashMap<RunId, TrialRecord>) -> Vec<Option<Tuned>> {
        (0..self.groups.len())
            .map(|g| self.choice(g, records))
            .collect()
    }

    /// The choice of one group; see [`Plan::choices`].
    pub fn choice(&self, group: usize, records: &HashMap<RunId, TrialRecord>) -> Option<Tuned> {
        let trials: Option<Vec<&TrialRecord>> = self
            .tune_ids(group)
            .iter()
            .map(|id| records.get(id))
            .collect();
        let (trials, seeds) = (trials?, self.study.tune_seed_count());
        let mut best: Option<(Rank, Tuned)> = None;
        for (point, trials) in trials.chunks(seeds).enumerate() {
            let (rank, score) = match self.study.tune.goal {
                Goal::BestValidation => {
                    let values: Vec<f64> = trials
                        .iter()
                        .filter(|t| t.stop.is_measurement())
                        .filter_map(|t| t.validation())
                        .collect();
                    if values.is_empty() {
                        continue;
                    }
                    let score = mean(&values);
                    let cost = if trials[0].higher_is_better {
                        -score
                    } else {
                        score
                    };
                    (Rank(seeds - values.len(), cost), score)
                }
                Goal::FewestSteps => {
                    let steps: Vec<Option<f64>> = trials
                        .iter()
                        .map(|t| (t.stop == StopReason::TargetReached).then_some(t.steps as f64))
                        .collect();
                    let reached = Censored::new(&steps);
                    if reached.reached == 0 {
                        continue;
                    }
                    let score = reached.median.unwrap_or(f64::INFINITY);
                    (Rank(seeds - reached.reached, score), score)
                }
            };
            if best.as_ref().is_none_or(|(b, _)| rank < *b) {
                best = Some((
                    rank,
                    Tuned {
                        point,
                        score,
                        seeds,
                    },
                ));
            }
        }
        best.map(|b| b.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Study;
    use crate::fixture::record;

    /// The point chosen for (stop reason, steps, final metric) of each seed at each point.
    fn chosen<const SEEDS: usize>(
        goal: &str,
        points: &[[(StopReason, u64, f64); SEEDS]],
        higher_is_better: bool,
    ) -> Option<usize> {
        let rates: Vec<String> = (1..=points.len()).map(|i| i.to_string()).collect();
        let text = format!(
            "name='x'\nstop.target=0.9\nsearch.lr=[{}]\ntune={{seeds={SEEDS}, goal='{goal}'}}",
            rates.join(",")
        );
        let plan = Plan::new(Study::parse(&text, "x", &[]).unwrap(), &|_| Ok(())).unwrap();
        let trials = plan.tune_ids(0).into_iter().zip(points.iter().flatten());
        let records = trials.map(|(id, (stop, steps, metric))| {
            let record = TrialRecord {
                id: id.clone(),
                stop: stop.clone(),
                higher_is_better,
                ..record(&[(*steps, 1.0, *metric)])
            };
            (id, record)
        });
        plan.choice(0, &records.collect()).map(|c| c.point)
    }

    #[test]
    fn the_best_mean_wins_but_not_over_divergence() {
        use StopReason::{Diverged, Finished, Pruned};
        let fine = |a, b| [(Finished, 10, a), (Finished, 10, b)];
        assert_eq!(
            chosen(
                "best_validation",
                &[fine(0.5, 0.7), fine(0.6, 0.8), fine(0.6, 0.6)],
                true
            ),
            Some(1)
        );
        assert_eq!(
            chosen(
                "best_validation",
                &[fine(0.5, 0.7), fine(0.6, 0.8), fine(0.6, 0.5)],
                false
            ),
            Some(2)
        );
        assert_eq!(
            chosen(
                "best_validation",
                &[fine(0.5, 0.5), [(Finished, 10, 0.9), (Diverged, 3, 0.99)]],
                true
            ),
            Some(0)
        );
        assert_eq!(
            chosen("best_validation", &[fine(0.5, 0.5), fine(0.5, 0.5)], true),
            Some(0),
            "ties go to the earlier point"
        );
        assert_eq!(
            chosen(
                "best_validation",
                &[[(Pruned, 1, 0.9), (Diverged, 1, 0.9)]],
                true
            ),
            None
        );
    }

    #[test]
    fn the_fewest_steps_win_but_not_over_seeds_that_never_arrive() {
        use StopReason::{Finished, TargetReached};
        let slow = [
            (TargetReached, 90, 0.9),
            (TargetReached, 80, 0.9),
            (TargetReached, 70, 0.9),
        ];
        let rash = [
            (TargetReached, 10, 0.9),
            (TargetReached, 10, 0.9),
            (Finished, 100, 0.8),
        ];
        let never = [
            (Finished, 100, 0.89),
            (Finished, 100, 0.89),
            (Finished, 100, 0.89),
        ];
        assert_eq!(
            chosen("fewest_steps", &[never.clone(), rash.clone(), slow], true),
            Some(2)
        );
        assert_eq!(
            chosen("fewest_steps", &[never.clone(), rash], true),
            Some(1)
        );
        assert_eq!(chosen("fewest_steps", &[never], true), None);
    }
}
