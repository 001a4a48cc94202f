//! A summary of what was read, and the scores of trivial predictors.

use crate::{Dataset, Holdout, Labels, Task};

/// The most frequent class of some examples, the lowest one in a tie; `None` for real targets.
pub fn majority(labels: &Labels, indices: &[u32]) -> Option<u32> {
    let Labels::Classes(labels) = labels else {
        return None;
    };
    let mut counts = Vec::new();
    for &i in indices {
        let class = labels[i as usize] as usize;
        counts.resize(counts.len().max(class + 1), 0u64);
        counts[class] += 1;
    }
    (0..counts.len())
        .rev()
        .max_by_key(|&c| counts[c])
        .map(|c| c as u32)
}

impl Dataset {
    /// The accuracy of always predicting the most frequent class of the training examples: on the
    /// validation examples of `split`, and on the test part. `None` for real targets and for a part
    /// without examples.
    pub fn majority_accuracy(&self, holdout: &Holdout) -> [Option<f64>; 2] {
        let class = majority(self.train.labels(), &holdout.train);
        let share = |labels: &Labels, indices: &[u32]| {
            let (Some(class), Labels::Classes(labels), 1..) = (class, labels, indices.len()) else {
                return None;
            };
            let right = indices.iter().filter(|&&i| labels[i as usize] == class);
            Some(right.count() as f64 / indices.len() as f64)
        };
        let test: Vec<u32> = (0..self.test.len() as u32).collect();
        [
            share(self.train.labels(), &holdout.validation),
            share(self.test.labels(), &test),
        ]
    }

    /// What was read: the numbers of examples and features, what is held out, and the classes with
    /// their counts or the target's range.
    pub fn summary(&self, holdout: &Holdout) -> String {
        let shape: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let each = match self.shape[..] {
            [1] => "feature",
            [_] => "features",
            _ => "values",
        };
        let parts = [
            (holdout.train.len(), "to train on"),
            (holdout.validation.len(), "held out for validation"),
            (self.test.len(), "for the test"),
        ];
        let parts = parts.iter().filter(|(n, _)| *n > 0);
        let parts: Vec<String> = parts.map(|(n, what)| format!("{n} {what}")).collect();
        let labels = match self.task {
            Task::Classes(classes) => self.classes(classes, holdout),
            Task::Real => self.targets(holdout),
        };
        format!(
            "read {}: {} examples of {} {each}; {}\n  {labels}",
            self.name,
            self.train.len() + self.test.len(),
            shape.join("×"),
            parts.join(", ")
        )
    }

    fn classes(&self, classes: usize, holdout: &Holdout) -> String {
        let mut counts = vec![0usize; classes];
        for part in [&self.train, &self.test] {
            if let Labels::Classes(labels) = part.labels() {
                labels.iter().for_each(|&c| counts[c as usize] += 1);
            }
        }
        let name = |c: usize| {
            self.class_names
                .get(c)
                .cloned()
                .unwrap_or_else(|| c.to_string())
        };
        let say = |c: usize| format!("`{}` {}", name(c), counts[c]);
        let counted = if classes > 3 && counts.iter().all(|n| *n == counts[0]) {
            format!("{} examples each", counts[0])
        } else if classes <= 3 {
            (0..classes).map(say).collect::<Vec<_>>().join(", ")
        } else {
            let largest = (0..classes)
                .rev()
                .max_by_key(|&c| counts[c])
                .map_or(String::new(), say);
            let smallest = (0..classes)
                .min_by_key(|&c| counts[c])
                .map_or(String::new(), say);
            format!("largest {largest}, smallest {smallest}")
        };
        let class = majority(self.train.labels(), &holdout.train)
            .map_or(String::new(), |c| name(c as usize));
        let [validation, test] = self.majority_accuracy(holdout);
        let shares: Vec<String> = [(validation, "validation"), (test, "test")]
            .iter()
            .filter_map(|(share, part)| Some(format!("{:.2} % of {part}", 100.0 * (*share)?)))
            .collect();
        let baseline = match shares.join(" and ") {
            none if none.is_empty() => none,
            shares => format!("; always predicting `{class}` is right for {shares}"),
        };
        format!("{classes} classes: {counted}{baseline}")
    }

    fn targets(&self, holdout: &Holdout) -> String {
        let Labels::Targets(targets) = self.train.labels() else {
            return String::new();
        };
        let values = || holdout.train.iter().map(|&i| targets[i as usize]);
        let n = holdout.train.len() as f64;
        let mean = values().sum::<f64>() / n;
        let std = (values().map(|y| (y - mean) * (y - mean)).sum::<f64>() / n).sqrt();
        let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| {
            (low.min(y), high.max(y))
        });
        format!(
            "real target from {low} to {high}, mean {mean:.6}, standard deviation {std:.6} (the RMSE of always predicting the mean)"
        )
    }
}
