//! Suites of tests that every model, schedule, data set, format and probe must pass: those of this project,
//! and yours. Optimizers have theirs in [`optim::conformance`](crate::optim::conformance).

use largebatch_component::{ComponentError, Entry, Facts};
use largebatch_optim::conformance::Failures;
use largebatch_schedule::{ConfigError, Epochs, ScheduleConfig, ShapeConfig, Span, Warmup, entry};
use toml::{Table, Value};

mod data;
mod models;
mod probes;

pub use data::{dataset, format};
pub use models::model;
pub use probes::probe;

/// What a suite has found wrong.
struct Suite {
    component: &'static str,
    failures: Vec<String>,
}

impl Suite {
    fn of(facts: Facts) -> Self {
        let mut suite = Suite {
            component: facts.name,
            failures: Vec::new(),
        };
        suite.expect(!facts.summary.is_empty(), "its summary is empty");
        suite
    }

    fn expect(&mut self, good: bool, otherwise: impl Into<String>) {
        if !good {
            self.failures.push(otherwise.into());
        }
    }

    /// Checks that every option is documented, and that others are refused.
    fn options<T, E: From<ComponentError>>(&mut self, entry: &Entry<T, E>) {
        for option in entry.options() {
            let documented = !option.purpose.is_empty() && !option.range.is_empty();
            self.expect(
                documented,
                format!("option `{}` has no doc line", option.name),
            );
        }
        let mut given = entry.defaults(None).unwrap_or_default();
        given.insert("no_such_option".into(), 1.into());
        self.expect(
            entry.configure(given).is_err(),
            "it accepts unknown options; add #[serde(deny_unknown_fields)]",
        );
    }

    fn end(self) -> Result<(), Failures> {
        if self.failures.is_empty() {
            return Ok(());
        }
        Err(Failures {
            component: self.component,
            failures: self.failures,
        })
    }
}

/// Checks a schedule, with its default options:
///
/// - its options are documented;
/// - between the warm-up and the end, each rate is finite, at most the peak and at least the floor,
///   for trainings of 2 to 1,000 steps, with and without a warm-up, and stays finite beyond the end;
/// - a length means the same as a fraction, in epochs and in steps.
///
/// # Errors
/// All [`Failures`], not only the first.
pub fn schedule<S: ShapeConfig>() -> Result<(), Failures> {
    let mut suite = Suite::of(S::FACTS);
    let entry = entry::<S>();
    suite.options(&entry);
    let plain = ScheduleConfig::from(S::default()).with_floor(0.01);
    let warm = plain
        .clone()
        .with_warmup(Warmup::linear(Span::Fraction(0.1)));
    for (config, total) in [&plain, &warm]
        .into_iter()
        .flat_map(|config| [2, 7, 100, 1000].map(|total| (config, total)))
    {
        let schedule = match config.resolve(0.5, total, &Epochs::even(10)) {
            Ok(schedule) => schedule,
            Err(error) => {
                suite.failures.push(format!("{total} steps: {error}"));
                continue;
            }
        };
        let warmup = schedule.warmup_steps();
        let wrong = (0..total).find(|&step| {
            let rate = schedule.lr(step);
            let least = if (step as f64) < warmup { 0.0 } else { 0.005 };
            !(rate >= least * (1.0 - 1e-12) && rate <= 0.5 * (1.0 + 1e-12))
        });
        if let Some(step) = wrong {
            let rate = schedule.lr(step);
            suite.failures.push(format!(
                "of {total} steps, step {step} has the rate {rate}, not one between floor and peak"
            ));
        }
        let finite = [total, 2 * total, usize::MAX].map(|step| schedule.lr(step).is_finite());
        suite.expect(finite == [true; 3], "a rate beyond the end is not finite");
    }
    let units: [(&str, Value); 3] = [
        ("fraction", 0.5.into()),
        ("epochs", 5.0.into()),
        ("steps", 50.into()),
    ];
    let lengths = entry.options().into_iter().filter(|o| {
        let default = format!("v = {}", o.default).parse::<Table>().ok();
        let table = default.and_then(|mut t| t.remove("v"));
        matches!(table, Some(Value::Table(t)) if units.iter().any(|(unit, _)| {
            t.get(*unit).is_some_and(|v| !v.is_array())
        }))
    });
    for length in lengths {
        let rates = units.clone().map(|(unit, value)| {
            let span = Table::from_iter([(unit.to_owned(), value)]);
            let given = Table::from_iter([(length.name.clone(), span.into())]);
            let config = ScheduleConfig {
                shape: entry.configure(given)?,
                ..ScheduleConfig::default()
            };
            let schedule = config.resolve(1.0, 100, &Epochs::even(10))?;
            Ok((0..100).map(|step| schedule.lr(step)).collect::<Vec<_>>())
        });
        let rates: Result<Vec<Vec<f64>>, ConfigError> = rates.into_iter().collect();
        match rates {
            Ok(rates) => suite.expect(
                rates[0] == rates[1] && rates[1] == rates[2],
                format!(
                    "`{}` means different lengths in different units",
                    length.name
                ),
            ),
            Err(error) => suite.failures.push(format!("`{}`: {error}", length.name)),
        }
    }
    suite.end()
}
