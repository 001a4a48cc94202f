//! Statistics over seeds, batch sizes and rates: pure functions of numbers, or of a study's
//! [`Row`](crate::Row)s.

mod fit;
mod gap;
mod good_rates;
mod interval;
mod steps;
mod warnings;

pub use fit::{
    Hyperbola, PowerLaw, UsefulBatch, hyperbola, perfect_scaling, power_law, useful_batch,
};
pub use gap::{common_train_loss, finals, gaps};
pub use good_rates::{GoodRates, good_rates};
pub use interval::{
    Estimate, Method, Paired, binomial_error, estimate, median_interval, paired,
    smallest_difference, smallest_resolved,
};
pub use steps::{Censored, at_train_loss, examples_to_target, seconds_to_target, steps_to_target};
pub use warnings::warnings;

/// The arithmetic mean.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
