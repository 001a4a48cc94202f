//! Studies: many training runs as one experiment that is reproducible, resumable and can be spread
//! over processes and machines.
//!
//! This crate treats a trial as data and knows no optimizer. The trainer provides two functions: a
//! [`Check`] that validates a configuration while a study is planned, and a [`Runner`] that trains
//! one. The crate expands a study file into trials ([`Study`], [`Plan`]), runs them
//! ([`run`](run()), in worker processes that [`serve`]), stores their records ([`TrialRecord`], a
//! line of `trials.jsonl` each), and reads and analyses them ([`Results`], [`statistics`]).
//!
//! # Study files
//! ```toml
//! name = "linear-rule"
//! about = "What the paper did, what differs here, how long it takes."
//! threads = 1                       # of each trial, independent of the number of jobs
//! split_seed = 0                    # which examples are held out; the same for all trials
//!
//! [set]                             # settings of every training run, any keys, dotted or nested
//! dataset = "digits"
//! optimizer = "momentum"
//!
//! [axes]                            # what is compared: each combination is a group
//! batch_size = [64, 256, 1024]
//!
//! [search]                          # what is tuned within each group
//! lr = { log_uniform = [0.001, 1.0], points = 7 }
//!
//! [budget]                          # one of epochs, steps, examples
//! epochs = 20
//!
//! [stop]                            # rules that look only at the trial itself
//! target = 0.97                     # of the validation metric; accuracies are fractions
//! plateau = { epochs = 10, improvement = 0.01 }
//! prune = { after = 0.2 }           # from then on, a loss above a constant predictor's ends the trial
//!
//! [tune]                            # stage tune: on validation, with its own seeds
//! seeds = 2
//! method = "grid"                   # or random, halton, sobol with `trials` and `search_seed`
//! goal = "best_validation"          # or fewest_steps, to `stop.target`
//!
//! [confirm]                         # stage confirm: the chosen settings, fresh seeds, the test part
//! seeds = 10
//! probe = ["layers:every=50", "sharpness"]   # probes that measure these trials; their runs are kept in `runs/`
//!
//! [[arm]]                           # named cases: each may give set, axes, search, rate, budget, stop
//! name = "tuned"
//!
//! [[arm]]
//! name = "linear"
//! set.batch_size = 1024
//! rate = { from = "base", scaling = "linear", warmup = { epochs = 5 } }
//!
//! [[arm]]
//! name = "base"
//! set.batch_size = 64
//!
//! [[when]]                          # conditions: each may give the same keys as an arm
//! if = { optimizer = ["lars", "lamb"] }
//! search.lr = { log_uniform = [0.1, 100.0], points = 7 }
//! ```
//! Later parts win: the top level, then the arm, then the conditions that hold, in order. A
//! setting, an axis, a search and a `rate` of the same key replace each other, and `rate.from`
//! replaces every search, because it takes the other arm's whole chosen point. A table whose `name`
//! changes drops the old name's options. A `--set` changes the top level and replaces what
//! conditions say about the same key, except conditions on arms. An arm can override an axis with a
//! setting, and then has one group for it.
//!
//! A group is named after its arm and its values on the axes ([`title`]). Tables with the same
//! `name` are also distinguished by the options in which they differ: `momentum 0.5` and
//! `momentum 0.99`.
//!
//! A condition may ask for values that something in the file takes. It may also ask for any value
//! of a fixed setting, and then waits for a `--set`. A study has at most 1,000,000 trials
//! ([`Plan::MAX_TRIALS`]).
//!
//! `rate` derives the peak rate from a base batch size: `from` another arm, whose chosen rate and
//! batch size are the base, or from `base_rate` and `base_batch`. Its `warmup` is written to
//! `schedule.warmup` with `start` = base rate / peak rate, the gradual warm-up of Goyal et al.
//! `budget.at_batch` gives every batch size as many steps as `epochs` have at that batch size. The
//! number of steps of a budget depends on the data: a runner finds the budget in its configuration
//! as `epochs` or `steps`, or, as it was written, below `budget` ([`key::BUDGET`]).
//!
//! # A study from code
//! ```
//! use std::ops::ControlFlow;
//! use largebatch_study::{Event, TrialResult, Plan, Results, RunOptions, Runner, Started, Study, Trial, Workers, get, number, run};
//!
//! struct Parabola;
//! impl Runner for Parabola {
//!     fn run(&self, trial: &Trial, emit: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<TrialResult, String> {
//!         let lr = get(&trial.config, "lr").and_then(number).ok_or("no lr")?;
//!         let accuracy = 1.0 - (lr - 0.3).powi(2) + 1e-3 * trial.seed as f64 / 1e6;
//!         let _ = emit(Event::Started(Started {
//!             train_examples: 10, epochs: None, budget_steps: 1, metric: "validation_accuracy".into(), higher_is_better: true, constant_loss: None,
//!         }));
//!         let _ = emit(Event::Point { step: 1, examples: 10, train_loss: 0.1, validation: Some(accuracy), fitted_loss: None });
//!         let metrics = [("validation_accuracy".to_string(), accuracy)].into();
//!         Ok(TrialResult { diverged: false, metrics, steps: 1, examples: 10, provenance: Default::default() })
//!     }
//! }
//!
//! let text = "name = 'parabola'\nsearch.lr = [0.1, 0.3, 0.9]\nconfirm.seeds = 5";
//! let plan = Plan::new(Study::parse(text, "parabola.toml", &[])?, &|_| Ok(()))?;
//! let folder = tempfile::tempdir().unwrap();
//! let summary = run(&plan, folder.path(), Workers::Threads(&Parabola), RunOptions::default(), &mut |_, _| {})?;
//! assert_eq!(summary.ran, 3 + 5);
//! let results = Results::open(folder.path())?;
//! assert_eq!(results.rate(0), Some(0.3));
//! assert_eq!(results.reported(0).len(), 5);
//! # Ok::<(), largebatch_study::StudyError>(())
//! ```
//!
//! # On disk
//! A study's folder contains `study.toml` (the study with overrides), a journal (`trials.jsonl`, or
//! a `trials-2of8.jsonl` for each shard), and a lock file beside each journal. A line of a journal
//! is one finished trial; it is on disk before it is reported as done. A line that is incomplete
//! after a crash is ignored, and cut off at the next run. When a run is complete its journal is
//! sorted into the plan's order, so that it does not depend on the number of jobs or on
//! interruptions. Only a record's `provenance` may differ between two runs of a trial. It lists the
//! files that the trial read ([`SOURCES`]): if a study's data have changed, it is refused, or its
//! records are moved to `other-data.jsonl` and the trials run again ([`RunOptions::accept_data`]).
//! The same holds for an incomplete study that an old version began with settings that have another
//! meaning now.
//!
//! While a study runs, `running.json` (of a shard, `running-2of8.json`) has its running trials and
//! their curves so far ([`running()`]).
//!
//! A study with `confirm.probe` also keeps a folder for each reported trial, `runs/` and
//! [`run_folder`], with the probes' results; the trainer writes it.

mod adopt;
mod axis;
mod check;
mod choice;
mod conditions;
mod contradictions;
mod data;
mod draft;
mod error;
mod event;
mod expand;
mod file;
#[cfg(test)]
mod fixture;
mod folder;
mod group;
mod journal;
mod meaning;
mod names;
mod parse;
mod places;
mod plan;
mod progress;
mod record;
mod records;
mod renamed;
mod results;
mod rules;
mod run;
mod runner;
mod running;
mod sequence;
mod session;
mod shard;
pub mod statistics;
mod trial;
mod worker;

pub use axis::{Axes, Axis, Spread};
pub use data::{DataFile, Reads, SOURCES};
pub use error::StudyError;
pub use event::{Curves, Event, Started, StopReason};
pub use file::{Budget, Confirm, Goal, Overlay, Rate, Seeds, Study, Tune};
pub use group::{Derived, Group};
pub use largebatch_component::settings::{flatten, get, number};
pub use largebatch_schedule::Epochs;
pub use plan::{Check, Plan, Problem, Tuned};
pub use progress::{Arm, Best, Notice, Progress};
pub use record::{FAILED_PROBES, Provenance, SCHEMA, TrialRecord};
pub use results::{Results, Row, Series};
pub use rules::{Plateau, Prune, StopRules};
pub use run::{RunOptions, run};
pub use runner::{Runner, TrialResult};
pub use running::{Running, running};
pub use sequence::Method;
pub use session::{Summary, Workers};
pub use shard::Shard;
pub use trial::{Labels, RunId, Stage, Trial, describe, key, run_folder, title};
pub use worker::{Start, serve};
