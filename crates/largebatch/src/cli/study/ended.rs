//! How a study ended in this process, and in all of a launcher.

use std::collections::BTreeSet;

use anyhow::Result;
use largebatch_study::{Results, RunId, Summary};

use crate::cli::job;

/// How a study ended.
pub(super) struct Ended {
    /// The trials that ran now.
    pub ran: BTreeSet<RunId>,
    pub summary: Summary,
    /// Whether these are the numbers of several processes.
    several: bool,
}

impl Ended {
    pub(super) fn new(summary: Summary, ran: Vec<RunId>) -> Self {
        Ended {
            ran: ran.into_iter().collect(),
            summary,
            several: false,
        }
    }

    /// As all processes together ended, if a launcher has started several; waits for them. Two of
    /// them may have run the same trial, which counts once.
    pub(super) fn of_all(mut self) -> Result<Self> {
        let Some(job) = job::joined() else {
            return Ok(self);
        };
        let one = &self.summary;
        let mine = (
            &self.ran,
            &one.failed,
            one.aside,
            one.retried,
            one.interrupted,
        );
        let texts = job.peers().gather_texts(&serde_json::to_string(&mine)?);
        let (mut failed, mut aside, mut retried) = (BTreeSet::new(), 0, 0);
        for text in texts {
            type One = (Vec<RunId>, Vec<RunId>, usize, usize, bool);
            let one: One = serde_json::from_str(&text)?;
            self.ran.extend(one.0);
            failed.extend(one.1);
            aside += one.2;
            retried += one.3;
            self.summary.interrupted |= one.4;
        }
        self.summary.failed = failed.into_iter().collect();
        (self.summary.aside, self.summary.retried) = (aside, retried);
        self.several = true;
        Ok(self)
    }

    /// The number of trials that were done before.
    pub(super) fn skipped(&self, results: &Results) -> usize {
        match self.several {
            true => results.progress(0).done.saturating_sub(self.ran.len()),
            false => self.summary.skipped,
        }
    }
}
