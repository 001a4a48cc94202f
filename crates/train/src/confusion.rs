//! Which classes a model confuses, and how well it finds each.

use serde::{Deserialize, Serialize};

/// The confusion matrix: `counts[true class][predicted class]`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Confusion {
    /// A row for each true class, a column for each predicted class.
    pub counts: Vec<Vec<u64>>,
}

/// Shares from 0 to 1; a share whose denominator is 0 is undefined and absent.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Scores {
    /// Precision: the share of the examples predicted as the class that belong to it.
    pub precision: Option<f64>,
    /// Recall: the share of the examples of the class that are predicted as it.
    pub recall: Option<f64>,
    /// F1, the harmonic mean of precision and recall where both are defined: 2 tp / (2 tp + fp +
    /// fn).
    pub f1: Option<f64>,
}

/// How well one class is recognised.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassScore {
    /// Examples of the class.
    pub n: u64,
    /// Precision, recall and F1.
    #[serde(flatten)]
    pub scores: Scores,
}

impl Confusion {
    /// Counts the pairs (true class, predicted class), each below `classes`; other pairs are left
    /// out.
    pub fn of(classes: usize, pairs: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut counts = vec![vec![0; classes]; classes];
        for (truth, predicted) in pairs {
            if let Some(count) = counts
                .get_mut(truth as usize)
                .and_then(|row| row.get_mut(predicted as usize))
            {
                *count += 1;
            }
        }
        Confusion { counts }
    }

    /// Precision, recall and F1 of each class.
    pub fn classes(&self) -> Vec<ClassScore> {
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let score = |class: usize| {
            let correct = self.counts[class][class];
            let n: u64 = self.counts[class].iter().sum();
            let predicted: u64 = self.counts.iter().map(|row| row[class]).sum();
            let scores = Scores {
                precision: share(correct, predicted),
                recall: share(correct, n),
                f1: share(2 * correct, n + predicted),
            };
            ClassScore { n, scores }
        };
        (0..self.counts.len()).map(score).collect()
    }

    /// Macro averages: unweighted means over the classes. A class where a score is undefined is
    /// left out of that score's mean.
    pub fn macro_average(&self) -> Scores {
        let classes = self.classes();
        let mean = |of: &dyn Fn(&Scores) -> Option<f64>| {
            let defined: Vec<f64> = classes
                .iter()
                .filter_map(|class| of(&class.scores))
                .collect();
            (!defined.is_empty()).then(|| defined.iter().sum::<f64>() / defined.len() as f64)
        };
        Scores {
            precision: mean(&|s| s.precision),
            recall: mean(&|s| s.recall),
            f1: mean(&|s| s.f1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn's numbers, from `confusion.py` in the folder `tests`.
    #[test]
    fn scores_are_scikit_learns() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../tests/confusion.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        for case in cases {
            let numbers =
                |key: &str| -> Vec<u32> { serde_json::from_value(case[key].clone()).unwrap() };
            let classes = case["classes"].as_u64().unwrap() as usize;
            let confusion = Confusion::of(
                classes,
                numbers("truth").into_iter().zip(numbers("predicted")),
            );
            assert_eq!(
                serde_json::to_value(&confusion.counts).unwrap(),
                case["confusion"]
            );
            let same = |ours: Option<f64>, theirs: &serde_json::Value, what: &str| match (
                ours,
                theirs.as_f64(),
            ) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 1e-12, "{what}: {a} and {b}"),
                (a, b) => assert!(a.is_none() && b.is_none(), "{what}: {a:?} and {b:?}"),
            };
            let all = confusion.classes();
            for (key, mean) in [
                ("precision", confusion.macro_average().precision),
                ("recall", confusion.macro_average().recall),
                ("f1", confusion.macro_average().f1),
            ] {
                same(mean, &case["macro"][key], key);
                for (class, score) in all.iter().enumerate() {
                    let ours = match key {
                        "precision" => score.scores.precision,
                        "recall" => score.scores.recall,
                        _ => score.scores.f1,
                    };
                    same(ours, &case[key][class], &format!("{key} of class {class}"));
                }
            }
            assert!(
                all.iter().map(|c| c.n).eq(case["support"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|n| n.as_u64().unwrap()))
            );
        }
        assert!(cases.len() == 3);
    }
}
