//! A laboratory for large-batch training on the [Burn](https://burn.dev) framework.
//!
//! With the feature `cli` (default) this crate is the command line and everything under it: data
//! sets, models, training, studies. Without default features it is only the optimizers and
//! schedules, for your own Burn project.
//!
//! Your own optimizer joins the command line with one line in your own `main`:
//! ```no_run
//! # #[cfg(feature = "cli")] {
//! let lab = largebatch::Lab::standard(); // .optimizer::<MyConfig>()
//! largebatch::cli::main(lab);
//! # }
//! ```

pub use largebatch_component as component;
pub use largebatch_optim as optim;
pub use largebatch_schedule as schedule;

mod burn_scheduler;
pub use burn_scheduler::BurnScheduler;

#[cfg(feature = "cli")]
pub use {
    largebatch_data as data, largebatch_models as models, largebatch_plot as plot,
    largebatch_probe as probe, largebatch_random as random, largebatch_report as report,
    largebatch_study as study, largebatch_train as train,
};

#[cfg(feature = "cli")]
mod lab;
#[cfg(feature = "cli")]
pub use lab::Lab;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod conformance;

/// Runs the examples of the book as tests.
#[cfg(all(doctest, feature = "cli"))]
mod book {
    #[doc = include_str!("../../../docs/burn.md")]
    struct Burn;
    #[doc = include_str!("../../../docs/extending.md")]
    struct Extending;
}
