//! The part of a study that one machine runs.

use std::str::FromStr;

use crate::error::StudyError;
use crate::plan::Plan;

/// The part of a study that one machine runs: `2/8` is the second of eight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// The shard's number, from 1.
    pub index: usize,
    /// The number of shards.
    pub count: usize,
}

impl FromStr for Shard {
    type Err = StudyError;
    fn from_str(text: &str) -> Result<Self, StudyError> {
        let parts = text
            .split_once('/')
            .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if 1 <= index && index <= count && count <= 10_000 => {
                Ok(Shard { index, count })
            }
            _ => Err(StudyError::Argument(format!(
                "shard {text}: write i/n with 1 ≤ i ≤ n ≤ 10000, such as 2/8"
            ))),
        }
    }
}

/// The work of one shard.
pub(crate) struct Units {
    /// Groups to tune.
    pub tune: Vec<usize>,
    /// Groups to confirm, with the indices of their seeds.
    pub confirm: Vec<(usize, Vec<usize>)>,
}

impl Plan {
    /// The units of a shard: the plan's units, numbered in order, are dealt to the shards in turn.
    pub(crate) fn units(&self, shard: Option<Shard>) -> Units {
        let mut next = 0;
        let mut mine = || {
            next += 1;
            shard.is_none_or(|s| (next - 1) % s.count == s.index - 1)
        };
        let (mut units, seeds) = (
            Units {
                tune: Vec::new(),
                confirm: Vec::new(),
            },
            self.confirm_seeds().len(),
        );
        for group in 0..self.groups.len() {
            if let Some(decider) = self.tuned_by(group) {
                if mine() {
                    if decider == group {
                        units.tune.push(group);
                    }
                    units.confirm.push((group, (0..seeds).collect()));
                }
            } else {
                let seeds: Vec<usize> = (0..seeds).filter(|_| mine()).collect();
                if !seeds.is_empty() {
                    units.confirm.push((group, seeds));
                }
            }
        }
        units.confirm.retain(|(_, seeds)| !seeds.is_empty());
        units
    }
}
