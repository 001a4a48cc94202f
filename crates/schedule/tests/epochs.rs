//! Lengths in epochs compared with a loop that counts the steps of a training run: for every
//! schedule, every batch schedule, and both kept and dropped last batches.

use std::f64::consts::PI;

use largebatch_schedule::*;
use proptest::prelude::*;
use serde::Deserialize;

/// A training run to count: its examples, its first batch, and (milestone in epochs, factor,
/// largest batch) if the batch grows.
#[derive(Clone, Debug)]
struct Training {
    n: usize,
    batch: usize,
    grows: Option<(Vec<f64>, f64, usize)>,
    last: LastBatch,
}

/// The number of counted epochs; the lengths in these tests end before.
const COUNTED: usize = 64;

impl Training {
    fn batches(&self) -> BatchSchedule {
        let config = match &self.grows {
            None => BatchConfig::Constant,
            Some((at, factor, max)) => BatchConfig::MultiStep(BatchMultiStep {
                factor: *factor,
                at: Marks::Epochs(at.clone()),
                max: Some(*max),
            }),
        };
        config.resolve(self.batch, self.n, None).unwrap()
    }

    /// The sizes of the batches of each epoch, in the order of training.
    fn count(&self) -> Vec<Vec<usize>> {
        let mut all = Vec::new();
        for epoch in 0..COUNTED {
            let (mut sizes, mut start) = (Vec::new(), 0);
            while start < self.n {
                let mut size = self.batch;
                if let Some((at, factor, max)) = &self.grows {
                    let seen = (epoch * self.n + start) as f64;
                    let grown = at.iter().filter(|at| *at * self.n as f64 <= seen).count();
                    size = (self.batch as f64 * factor.powi(grown as i32))
                        .round()
                        .min(*max as f64) as usize;
                }
                if start + size > self.n && self.last == LastBatch::Drop {
                    break;
                }
                sizes.push(size.min(self.n - start));
                start += size;
            }
            all.push(sizes);
        }
        all
    }
}

/// The counted epochs of a training run: the step at which each begins.
struct Counted(Vec<usize>);

impl Counted {
    fn of(training: &Training) -> Self {
        let mut begins = vec![0];
        training
            .count()
            .iter()
            .for_each(|sizes| begins.push(begins[begins.len() - 1] + sizes.len()));
        Counted(begins)
    }

    fn step(&self, epoch: f64) -> f64 {
        let (whole, part) = (epoch.floor() as usize, epoch.fract());
        self.0[whole] as f64 + part * (self.0[whole + 1] - self.0[whole]) as f64
    }

    fn epoch(&self, step: f64) -> f64 {
        let whole = self
            .0
            .iter()
            .rposition(|&begin| begin as f64 <= step)
            .unwrap();
        whole as f64 + (step - self.0[whole] as f64) / (self.0[whole + 1] - self.0[whole]) as f64
    }

    /// The number of steps of a length that occurs once, from a step on.
    fn steps(&self, span: Span, from: f64, whole: f64) -> f64 {
        match span {
            Span::Fraction(x) => x * whole,
            Span::Steps(n) => n as f64,
            Span::Epochs(x) => self.step(self.epoch(from) + x) - from,
        }
    }
}

/// Tolerance for rounding errors at milestones.
const TINY: f64 = 1e-9;

/// The rate of a step according to the documentation, for a peak of 1.
fn rate(config: &ScheduleConfig, counted: &Counted, total: f64, step: usize) -> f64 {
    let warm = counted.steps(config.warmup.length, 0.0, total);
    if (step as f64) < warm {
        return curve(config, counted, total, warm, warm) * step as f64 / warm;
    }
    curve(config, counted, total, warm, step as f64)
}

fn curve(config: &ScheduleConfig, counted: &Counted, total: f64, warm: f64, step: f64) -> f64 {
    let (floor, left) = (config.floor, total - warm);
    // The time since the warm-up and a repeated length; both in epochs if the length is.
    let repeated = |every: Span| match every {
        Span::Epochs(x) => (counted.epoch(step) - counted.epoch(warm), x),
        span => (step - warm, counted.steps(span, warm, left)),
    };
    let once = |span: Span| ((step - warm) / counted.steps(span, warm, left)).min(1.0);
    let down = |x: f64| floor + (1.0 - floor) * x;
    let wave = |u: f64| (1.0 + (PI * u).cos()) / 2.0;
    match &described(&config.shape) {
        Described::Constant => 1.0,
        Described::PowerLaw { exponent, every } => {
            let (t, every) = repeated(*every);
            (1.0 + t / every).powf(-exponent).max(floor)
        }
        Described::Exponential { factor, every } => {
            let (t, every) = repeated(*every);
            factor.powf(t / every).max(floor)
        }
        Described::Polynomial { power, length } => down((1.0 - once(*length)).powf(*power)),
        Described::Linear { length } => down(1.0 - once(*length)),
        Described::Cosine { length } => down(wave(once(*length))),
        Described::Step { factor, every } => {
            let mut drops = 0;
            while match every {
                Span::Epochs(x) => counted.step(f64::from(drops + 1) * x),
                span => f64::from(drops + 1) * counted.steps(*span, 0.0, total),
            } <= step + TINY
            {
                drops += 1;
            }
            factor.powi(drops).max(floor)
        }
        Described::MultiStep { factor, at } => {
            let places = at
                .spans()
                .into_iter()
                .map(|mark| counted.steps(mark, 0.0, total));
            factor
                .powi(places.filter(|place| *place <= step + TINY).count() as i32)
                .max(floor)
        }
        Described::CosineRestarts { first, growth } => {
            let (mut t, mut cycle) = repeated(*first);
            while t >= cycle - TINY {
                (t, cycle) = (t - cycle, cycle * growth);
            }
            down(wave((t / cycle).max(0.0)))
        }
        Described::Cyclic {
            mode,
            rise,
            fall,
            low,
        } => {
            let (mut t, up) = repeated(*rise);
            let down = fall.map_or(up, |fall| match (rise, fall) {
                (Span::Epochs(_), Span::Epochs(x)) => x,
                (Span::Epochs(_), span) => {
                    let from = counted.step(counted.epoch(warm) + up);
                    counted.epoch(from + counted.steps(span, from, left)) - counted.epoch(from)
                }
                (_, span) => counted.steps(span, warm + up, left),
            });
            let mut scale = 1.0;
            while t >= up + down {
                t -= up + down;
                scale *= if *mode == CycleMode::Triangular {
                    1.0
                } else {
                    0.5
                };
            }
            let height = if t <= up {
                t / up
            } else {
                (up + down - t) / down
            };
            (low + (1.0 - low) * height * scale).max(floor)
        }
        Described::OneCycle {
            rise,
            start,
            end,
            anneal,
        } => {
            let (t, rise) = (step - warm, counted.steps(*rise, warm, left));
            let (a, b, u) = if t <= rise {
                (*start, 1.0, t / rise)
            } else {
                (1.0, *end, ((t - rise) / (left - rise)).min(1.0))
            };
            let value = if *anneal == Anneal::Linear {
                a + (b - a) * u
            } else {
                b + (a - b) * wave(u)
            };
            value.max(floor)
        }
    }
}

/// The shapes with their options, as they are written.
#[derive(Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
enum Described {
    Constant,
    PowerLaw {
        exponent: f64,
        every: Span,
    },
    Exponential {
        factor: f64,
        every: Span,
    },
    Polynomial {
        power: f64,
        length: Span,
    },
    Linear {
        length: Span,
    },
    Cosine {
        length: Span,
    },
    Step {
        factor: f64,
        every: Span,
    },
    MultiStep {
        factor: f64,
        at: Marks,
    },
    CosineRestarts {
        first: Span,
        growth: f64,
    },
    Cyclic {
        mode: CycleMode,
        rise: Span,
        fall: Option<Span>,
        low: f64,
    },
    OneCycle {
        rise: Span,
        start: f64,
        end: f64,
        anneal: Anneal,
    },
}

fn described(shape: &Shape) -> Described {
    let mut table = shape.table();
    table.insert("name".into(), shape.facts().name.into());
    table.try_into().unwrap()
}

fn training() -> impl Strategy<Value = Training> {
    let grows = (
        prop::collection::vec((1u32..40).prop_map(|k| f64::from(k) / 4.0), 1..4),
        1.0..4.0,
        0.0..1.0,
    );
    (
        2usize..200,
        0.0..1.0,
        prop::option::of(grows),
        any::<bool>(),
    )
        .prop_map(|(n, part, grows, keep)| {
            let batch = 1 + (part * (n - 1) as f64) as usize;
            let grows = grows.map(|(at, factor, room): (Vec<f64>, f64, f64)| {
                (at, factor, batch + (room * (n - batch) as f64) as usize)
            });
            Training {
                n,
                batch,
                grows,
                last: if keep {
                    LastBatch::Keep
                } else {
                    LastBatch::Drop
                },
            }
        })
}

/// Lengths in quarters of epochs, eighths of training, and steps.
fn span(most: u32) -> impl Strategy<Value = Span> {
    prop_oneof![
        2 => (1..=4 * most).prop_map(|k| Span::Epochs(f64::from(k) / 4.0)),
        1 => (1u32..=8).prop_map(|k| Span::Fraction(f64::from(k) / 8.0)),
        1 => (1u64..30).prop_map(Span::Steps),
    ]
}

/// Every curve, with lengths in every unit. Drops come after the second epoch, which is after any
/// warm-up here.
fn shape() -> impl Strategy<Value = Shape> {
    let factor = || 0.1..1.0;
    let late = || (8u32..60).prop_map(|k| f64::from(k) / 4.0);
    prop_oneof![
        Just(Shape::from(Constant {})),
        (0.1..2.0, span(4)).prop_map(|(exponent, every)| Shape::from(PowerLaw { exponent, every })),
        (0.5..3.0, span(9)).prop_map(|(power, length)| Shape::from(Polynomial { power, length })),
        span(9).prop_map(|length| Shape::from(Linear { length })),
        (factor(), late()).prop_map(|(factor, x)| Shape::from(Step {
            factor,
            every: Span::Epochs(x)
        })),
        (factor(), prop::collection::vec(late(), 0..4)).prop_map(|(factor, at)| Shape::from(
            MultiStep {
                factor,
                at: Marks::Epochs(at)
            }
        )),
        (factor(), span(4)).prop_map(|(factor, every)| Shape::from(Exponential { factor, every })),
        span(9).prop_map(|length| Shape::from(Cosine { length })),
        (span(4), 1u32..3).prop_map(|(first, growth)| Shape::from(CosineRestarts {
            first,
            growth: growth.into()
        })),
        (any::<bool>(), span(3), prop::option::of(span(3)), 0.0..1.0).prop_map(
            |(same, rise, fall, low)| Shape::from(Cyclic {
                mode: if same {
                    CycleMode::Triangular
                } else {
                    CycleMode::Triangular2
                },
                rise,
                fall,
                low
            })
        ),
        (1u32..8, 0.0..1.0, 0.0..1.0, any::<bool>()).prop_map(|(k, start, end, line)| {
            Shape::from(OneCycle {
                rise: Span::Epochs(f64::from(k) / 4.0),
                start,
                end: end * start,
                anneal: if line { Anneal::Linear } else { Anneal::Cosine },
            })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..Default::default() })]

    /// The clock, the number of steps and the plan agree with a counting loop.
    #[test]
    fn epochs_are_counted(training in training(), quarter in 0usize..240, examples in 1usize..4000) {
        let (batches, counted) = (training.batches(), Counted::of(&training));
        let epochs = batches.epochs(training.last);
        for (epoch, begin) in counted.0.iter().enumerate() {
            prop_assert_eq!(epochs.step(epoch as f64), *begin as f64);
            prop_assert_eq!(epochs.epoch(*begin as f64), epoch as f64);
            prop_assert_eq!(batches.total_steps(epoch, training.last), *begin);
        }
        let place = quarter as f64 / 4.0;
        prop_assert!((epochs.step(place) - counted.step(place)).abs() < 1e-9);
        prop_assert!((epochs.epoch(counted.step(place)) - place).abs() < 1e-9);
        // The plan, step by step, and the steps that see so many examples.
        let sizes: Vec<(usize, usize)> =
            training.count().into_iter().enumerate().flat_map(|(epoch, sizes)| sizes.into_iter().map(move |size| (epoch, size))).collect();
        prop_assert_eq!(&batches.plan(COUNTED, training.last).map(|b| (b.epoch, b.size)).collect::<Vec<_>>(), &sizes);
        let step = quarter.min(sizes.len() - 1);
        let planned = batches.at_step(step as u64, training.last);
        prop_assert_eq!((planned.epoch, planned.size), sizes[step]);
        let mut seen = 0;
        if let Some(before) = sizes.iter().position(|(_, size)| { seen += size; seen >= examples }) {
            prop_assert_eq!(batches.steps_for(examples as u64, training.last), before as u64 + 1);
        }
        let written = serde_json::to_string(&epochs).unwrap();
        prop_assert_eq!(serde_json::from_str::<Epochs>(&written).unwrap(), epochs);
    }

    /// Every rate of every schedule follows the documented formula with counted epochs.
    #[test]
    fn schedules_follow_the_counted_epochs(
        training in training(), shape in shape(), floor in prop_oneof![Just(0.0), 0.0..0.5], warm in 0u32..8, length in 4usize..12,
    ) {
        let counted = Counted::of(&training);
        let total = counted.0[length];
        let warmup = Warmup::linear(Span::Epochs(f64::from(warm) / 4.0));
        let config = ScheduleConfig { shape, floor, warmup };
        let schedule = config.resolve(1.0, total, &training.batches().epochs(training.last)).unwrap();
        for step in 0..total {
            let (ours, wanted) = (schedule.lr(step), rate(&config, &counted, total as f64, step));
            prop_assert!((ours - wanted).abs() < 1e-7, "{ours} for {wanted} at step {step} of {total}, epochs begin at {:?}", &counted.0[..=length]);
        }
    }
}

/// All curves of the table are among those compared with a count.
#[test]
fn every_schedule_is_counted() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut missing: Vec<&str> = standard().names().collect();
    for _ in 0..500 {
        let name = shape()
            .new_tree(&mut runner)
            .unwrap()
            .current()
            .facts()
            .name;
        missing.retain(|other| *other != name);
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// The digits data set has 1,150 training examples.
fn digits(batch: usize) -> BatchSchedule {
    BatchConfig::Constant.resolve(batch, 1150, None).unwrap()
}

fn resolve(text: &str, batches: &BatchSchedule, epochs: usize, last: LastBatch) -> Schedule {
    let config: ScheduleConfig = toml::from_str(text).unwrap();
    config
        .resolve(
            1.0,
            batches.total_steps(epochs, last),
            &batches.epochs(last),
        )
        .unwrap()
}

/// The first steps at which the rate is lower than before.
fn drops(schedule: &Schedule) -> Vec<usize> {
    (1..schedule.total_steps())
        .filter(|&step| schedule.lr(step) < schedule.lr(step - 1))
        .collect()
}

#[test]
fn milestones_in_epochs_come_where_the_epoch_begins() {
    let at_five = "name = 'multi-step'\nat.epochs = [5]";
    for (batch, last, total, drop) in [
        (1024, LastBatch::Keep, 20, 10), // two steps an epoch
        (600, LastBatch::Drop, 10, 5),   // one
        (1150, LastBatch::Drop, 10, 5),
        (64, LastBatch::Keep, 180, 90),
        (64, LastBatch::Drop, 170, 85),
    ] {
        let schedule = resolve(at_five, &digits(batch), 10, last);
        assert_eq!(
            (schedule.total_steps(), drops(&schedule)),
            (total, vec![drop]),
            "batch {batch}"
        );
    }
    // A fraction of an epoch is one of its steps: 5.5 epochs of 3 are 16.5.
    let schedule = resolve(
        "name = 'multi-step'\nat.epochs = [5.5]",
        &digits(512),
        10,
        LastBatch::Keep,
    );
    assert_eq!(drops(&schedule), [17]);
    let schedule = resolve(
        "name = 'step'\nevery.epochs = 3",
        &digits(1024),
        10,
        LastBatch::Keep,
    );
    assert_eq!(drops(&schedule), [6, 12, 18]);
}

#[test]
fn a_warmup_takes_its_epochs() {
    let warm = |epochs: usize, batch| {
        let config: ScheduleConfig = toml::from_str("warmup.epochs = 5").unwrap();
        let batches = digits(batch);
        config.resolve(
            1.0,
            batches.total_steps(epochs, LastBatch::Keep),
            &batches.epochs(LastBatch::Keep),
        )
    };
    let schedule = warm(10, 512).unwrap();
    assert_eq!(schedule.warmup_steps(), 15.0);
    assert_eq!(
        [0, 3, 14, 15].map(|step| schedule.lr(step)),
        [0.0, 0.2, 14.0 / 15.0, 1.0]
    );
    let message = warm(4, 1024).unwrap_err().to_string();
    assert!(
        message.contains("10 steps ({ epochs = 5 })") && message.contains("a training of 8 steps"),
        "{message}"
    );
    assert!(warm(5, 1024).is_err() && warm(6, 1024).is_ok());
}

/// The batch grows from 100 to 400 at epoch 2 of a set of 1,000: 10, 10, 3, 3, … steps. The
/// milestones of the rate follow.
#[test]
fn milestones_follow_a_growing_batch() {
    let grow = BatchConfig::MultiStep(BatchMultiStep {
        factor: 4.0,
        at: Marks::Epochs(vec![2.0]),
        max: None,
    });
    // A budget in steps has no number of epochs but the same clock.
    for epochs in [Some(10.0), None] {
        let batches = grow.resolve(100, 1000, epochs).unwrap();
        let schedule = |text| resolve(text, &batches, 10, LastBatch::Keep);
        assert_eq!(schedule("").total_steps(), 20 + 8 * 3);
        assert_eq!(
            drops(&schedule("name = 'multi-step'\nat.epochs = [1, 2, 3, 5.5]")),
            [10, 20, 23, 31]
        );
        assert_eq!(
            drops(&schedule("name = 'step'\nevery.epochs = 2")),
            [20, 26, 32, 38]
        );
        assert_eq!(schedule("warmup.epochs = 4").warmup_steps(), 26.0);
        let restarts = schedule("name = 'cosine-restarts'\nfirst.epochs = 1\ngrowth = 1");
        assert_eq!(
            (0..44)
                .filter(|&step| restarts.lr(step) == 1.0)
                .collect::<Vec<_>>(),
            [0, 10, 20, 23, 26, 29, 32, 35, 38, 41]
        );
        let halves = schedule("name = 'exponential'\nfactor = 0.5\nevery.epochs = 1");
        assert_eq!(
            [10, 20, 23, 26].map(|step| halves.lr(step)),
            [0.5, 0.25, 0.125, 0.0625]
        );
        // The decay ends when the sixth epoch does.
        let line = schedule("name = 'linear'\nlength.epochs = 6");
        assert!(line.lr(31) > 0.0 && line.lr(32) == 0.0);
    }
}

/// Whatever the size of the training run, the answer costs neither time nor memory.
#[test]
fn huge_trainings_have_a_clock() {
    let grow = BatchConfig::MultiStep(BatchMultiStep {
        factor: 2.0,
        at: Marks::Epochs(vec![1.0, 1e9, 1e18, 1e300]),
        max: None,
    });
    let batches = grow.resolve(10, 1000, None).unwrap();
    let epochs = batches.epochs(LastBatch::Keep);
    assert_eq!(epochs.step(1e9), 100.0 + 50.0 * (1e9 - 1.0));
    assert_eq!(epochs.step(1e9 + 2.0), 100.0 + 50.0 * (1e9 - 1.0) + 50.0);
    assert_eq!(batches.total_steps(usize::MAX, LastBatch::Keep), usize::MAX);
    assert!(epochs.step(f64::MAX).is_finite() || epochs.step(f64::MAX) == f64::INFINITY);
    assert!(batches.steps_for(u64::MAX, LastBatch::Drop) > 1 << 53);
}
