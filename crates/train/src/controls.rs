//! What a training needs besides the experiment.

use std::sync::atomic::AtomicBool;

use largebatch_parallel::Peers;

use crate::{Observer, RunFolder};

/// What a training needs besides the experiment.
pub struct Controls<'a> {
    /// The run's folder; without it, nothing is written.
    pub folder: Option<&'a RunFolder>,
    /// Observers to call.
    pub observers: Vec<&'a mut dyn Observer>,
    /// Set by a signal handler: training then writes a checkpoint and returns.
    pub interrupt: &'a AtomicBool,
    /// Whether to evaluate the test part at the end; a trial that only tunes must not see it.
    pub test: bool,
    /// How many training examples, spread evenly over the training part, each evaluation also
    /// measures with the current weights. (The mean loss of the training steps comes from weights
    /// that have changed since.)
    pub fitted: usize,
    /// Whether to use Burn's graph in every step, with the same bits, even if it is not needed.
    pub on_graph: bool,
    /// The processes that share the training. Each calls [`train`](crate::train) with the same experiment, and
    /// computes some parts of every batch; the bits are those of one process. Only rank 0 may have a
    /// folder and observers.
    pub peers: Option<&'a dyn Peers>,
}

impl Default for Controls<'_> {
    fn default() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Controls {
            folder: None,
            observers: Vec::new(),
            interrupt: &NEVER,
            test: true,
            fitted: 0,
            on_graph: false,
            peers: None,
        }
    }
}
