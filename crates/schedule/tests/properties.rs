//! Properties of every schedule: bounds, the warm-up, the end, monotonicity, independence of the
//! batch size.

use largebatch_component::Entry;
use largebatch_schedule::*;
use proptest::prelude::*;

/// Lengths that fit into any training run of these tests (20 to 3000 steps).
fn span() -> impl Strategy<Value = Span> {
    prop_oneof![
        (0.01..1.0).prop_map(Span::Fraction),
        (1u64..500).prop_map(Span::Steps),
        (0.05..30.0).prop_map(Span::Epochs)
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    let factor = || 0.01..1.0;
    let mode = || prop_oneof![Just(CycleMode::Triangular), Just(CycleMode::Triangular2)];
    let anneal = || prop_oneof![Just(Anneal::Cosine), Just(Anneal::Linear)];
    // Milestones after any warm-up of `config`, which takes at most 0.4.
    let marks = || prop::collection::vec(0.41..1.0, 0..5).prop_map(Marks::Fraction);
    prop_oneof![
        Just(Shape::from(Constant {})),
        (0.0..3.0, span()).prop_map(|(exponent, every)| Shape::from(PowerLaw { exponent, every })),
        (0.1..5.0, span()).prop_map(|(power, length)| Shape::from(Polynomial { power, length })),
        (factor(), 0.41..1.0).prop_map(|(factor, x)| Shape::from(Step {
            factor,
            every: Span::Fraction(x)
        })),
        (factor(), marks()).prop_map(|(factor, at)| Shape::from(MultiStep { factor, at })),
        (factor(), span()).prop_map(|(factor, every)| Shape::from(Exponential { factor, every })),
        span().prop_map(|length| Shape::from(Cosine { length })),
        (span(), prop_oneof![Just(1.0), Just(2.0), 1.0..4.0])
            .prop_map(|(first, growth)| Shape::from(CosineRestarts { first, growth })),
        (mode(), span(), prop::option::of(span()), 0.0..1.0).prop_map(|(mode, rise, fall, low)| {
            Shape::from(Cyclic {
                mode,
                rise,
                fall,
                low,
            })
        }),
        (0.01..0.99, 0.0..1.0, 0.0..1.0, anneal()).prop_map(|(x, start, end, anneal)| {
            Shape::from(OneCycle {
                rise: Span::Fraction(x),
                start,
                end,
                anneal,
            })
        }),
        span().prop_map(|length| Shape::from(Linear { length })),
    ]
}

fn warmup() -> impl Strategy<Value = Warmup> {
    let length = || {
        prop_oneof![
            (0.0..0.4).prop_map(Span::Fraction),
            (0u64..8).prop_map(Span::Steps)
        ]
    };
    prop_oneof![
        Just(Warmup::NONE),
        (0.0..=1.0, length()).prop_map(|(start, length)| Warmup {
            start,
            ..Warmup::linear(length)
        }),
        (0.0..=1.0, length()).prop_map(|(start, length)| Warmup::constant(start, length)),
    ]
}

/// Equal epochs, and those of a growing batch.
fn epochs() -> impl Strategy<Value = Epochs> {
    let grows = (
        1usize..20,
        1.0..4.0,
        prop::collection::vec(0.1..20.0, 1..4),
        any::<bool>(),
    )
        .prop_map(|(batch, factor, at, keep)| {
            let grow = BatchConfig::MultiStep(BatchMultiStep {
                factor,
                at: Marks::Epochs(at),
                max: None,
            });
            grow.resolve(batch, 20 * batch, None)
                .unwrap()
                .epochs(if keep {
                    LastBatch::Keep
                } else {
                    LastBatch::Drop
                })
        });
    prop_oneof![(1u64..200).prop_map(Epochs::even), grows]
}

fn config() -> impl Strategy<Value = ScheduleConfig> {
    let floor = prop_oneof![Just(0.0), 0.0..1.0];
    (shape(), floor, warmup()).prop_map(|(shape, floor, warmup)| ScheduleConfig {
        shape,
        floor,
        warmup,
    })
}

/// Schedules that never rise after the warm-up.
fn falls(shape: &Shape) -> bool {
    !matches!(
        shape.facts().name,
        "cosine-restarts" | "cyclic" | "one-cycle"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_global_rejects: 100_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn rates_lie_between_floor_and_peak(config in config(), peak in 1e-6..100.0, total in 20usize..3000, epochs in epochs()) {
        let schedule = config.resolve(peak, total, &epochs).unwrap();
        prop_assert_eq!(schedule.total_steps(), total);
        prop_assert!(schedule.warmup_steps() < total as f64);
        for step in 0..total + 50 {
            let rate = schedule.lr(step);
            prop_assert!(rate.is_finite() && rate >= 0.0 && rate <= peak * (1.0 + 1e-12), "{rate} at {step}");
            let warm = (step as f64) < schedule.warmup_steps();
            prop_assert!(warm || rate >= config.floor * peak * (1.0 - 1e-12), "{rate} at {step} below the floor");
        }
        for step in [usize::MAX, usize::MAX / 3, 1 << 40] {
            prop_assert!(schedule.lr(step).is_finite());
        }
    }

    #[test]
    fn schedules_that_fall_never_rise(config in config().prop_filter("falls", |c| falls(&c.shape)), total in 20usize..3000, epochs in epochs()) {
        let schedule = config.resolve(1.0, total, &epochs).unwrap();
        for step in schedule.warmup_steps().ceil() as usize..total {
            prop_assert!(schedule.lr(step + 1) <= schedule.lr(step) * (1.0 + 1e-12), "at {step}");
        }
    }

    /// A linear warm-up rises in equal steps from its start to the curve's first rate, which is the curve without a warm-up at 0.
    #[test]
    fn warmup_meets_the_curve(shape in shape(), floor in 0.0..1.0, start in 0.0..1.0, length in 1u64..8, total in 40usize..3000) {
        let warmup = Warmup { start, ..Warmup::linear(Span::Steps(length)) };
        let bare = ScheduleConfig { shape, floor, warmup: Warmup::NONE };
        let warm = bare.clone().with_warmup(warmup).resolve(0.3, total, &Epochs::even(500)).unwrap();
        let first = bare.resolve(0.3, total, &Epochs::even(500)).unwrap().lr(0);
        prop_assert!((warm.lr(0) - start * first).abs() < 1e-12);
        let end = length as usize;
        prop_assert!((warm.lr(end) - first).abs() < 1e-12, "{} for {first}", warm.lr(end));
        let rise = first * (1.0 - start) / length as f64;
        for step in 0..end {
            prop_assert!((warm.lr(step + 1) - warm.lr(step) - rise).abs() < 1e-12);
        }
        prop_assert!((warm.lr_at(length as f64 - 1e-9) - warm.lr(end)).abs() < 1e-8, "a jump at the end of the warm-up");
    }

    /// Only step, multi-step and restarts jump: everywhere else a millionth of a step changes the rate by little.
    #[test]
    fn curves_are_continuous(config in config(), total in 20usize..3000, at in 0.0..1.2) {
        let smooth = !matches!(config.shape.facts().name, "step" | "multi-step" | "cosine-restarts");
        let smooth = smooth && config.warmup.kind != largebatch_schedule::WarmupKind::Constant;
        // A power below 1 gives an infinite slope at the end of the polynomial.
        let smooth = smooth && config.shape.table().get("power").is_none_or(|p| p.as_float() >= Some(1.0));
        prop_assume!(smooth);
        let schedule = config.resolve(1.0, total, &Epochs::even(50)).unwrap();
        let t = at * total as f64;
        // The shortest length here is 0.12 steps, so no slope exceeds 40 per step.
        prop_assert!((schedule.lr_at(t + 1e-6) - schedule.lr_at(t)).abs() < 1e-4);
    }

    /// Ten times the batch means a tenth of the steps: with lengths in fractions and epochs, the
    /// rate at the same fraction of training is the same.
    #[test]
    fn fractions_and_epochs_do_not_depend_on_the_batch(config in config(), steps in 2usize..300, each in 1u64..40, part in 0usize..300) {
        let text = serde_json::to_string(&config).unwrap();
        prop_assume!(!text.contains("\"steps\""));
        let part = part.min(steps);
        let small = config.resolve(1.0, 10 * steps, &Epochs::even(10 * each)).unwrap();
        let large = config.resolve(1.0, steps, &Epochs::even(each)).unwrap();
        // A jump exactly at a step may round to either side.
        let jump = (small.lr_at(10.0 * part as f64 + 1e-6) - small.lr_at(10.0 * part as f64 - 1e-6)).abs() > 1e-3;
        prop_assert!(jump || (small.lr(10 * part) - large.lr(part)).abs() < 1e-6);
    }

    /// The peak scales the whole schedule.
    #[test]
    fn rates_are_proportional_to_the_peak(config in config(), peak in 1e-3..100.0, total in 20usize..1000, step in 0usize..1000) {
        let one = config.resolve(1.0, total, &Epochs::even(50)).unwrap().lr(step);
        let rate = config.resolve(peak, total, &Epochs::even(50)).unwrap().lr(step);
        prop_assert!((rate - one * peak).abs() <= 1e-12 * peak);
    }

    #[test]
    fn what_is_written_is_read(config in config()) {
        let text = toml::to_string(&config).unwrap();
        prop_assert_eq!(toml::from_str::<ScheduleConfig>(&text).unwrap(), config);
    }
}

/// Schedules of length 1 end at the floor when training ends, whatever the warm-up; each has its
/// peak where it should.
#[test]
fn ends_are_reached() {
    for facts in standard().iter().map(Entry::facts) {
        for warmup in [
            Warmup::NONE,
            Warmup::linear(Span::Fraction(0.1)),
            Warmup::linear(Span::Epochs(3.3)),
        ] {
            let schedule = ScheduleConfig::named(facts.name)
                .unwrap()
                .with_floor(0.02)
                .with_warmup(warmup)
                .resolve(2.0, 90, &Epochs::even(9))
                .unwrap();
            let end = match facts.name {
                "constant" => 2.0,
                "polynomial" | "linear" | "cosine" | "one-cycle" => 0.04,
                _ => continue,
            };
            assert!(
                (schedule.lr(90) - end).abs() < 1e-12,
                "{}: {}",
                facts.name,
                schedule.lr(90)
            );
            assert!(
                (schedule.lr(1000) - end).abs() < 1e-12,
                "{} stays",
                facts.name
            );
        }
    }
    let cycle = ScheduleConfig::named("one-cycle")
        .unwrap()
        .with_warmup(Warmup::linear(Span::Steps(10)))
        .resolve(1.0, 110, &Epochs::even(10))
        .unwrap();
    assert!((cycle.lr(10) - 0.04).abs() < 1e-12 && cycle.lr(40) == 1.0);
    let restarts = ScheduleConfig::named("cosine-restarts")
        .unwrap()
        .resolve(1.0, 70, &Epochs::even(10))
        .unwrap();
    assert_eq!([0, 10, 30].map(|step| restarts.lr(step)), [1.0; 3]);
    assert!([9, 29, 69].iter().all(|&step| restarts.lr(step) < 0.03));
}

/// Goyal et al. 2017: 0.1 at epochs 30, 60, 80 of 90, five epochs of warm-up from 1/k of the rate; batch 8192, linear rule, 1,281,167 images.
#[test]
fn the_recipe_of_goyal_et_al() {
    use largebatch_schedule::Scaling;
    let config: ScheduleConfig = toml::from_str(
        "name = 'multi-step'\nat.epochs = [30, 60, 80]\nwarmup = { start = 0.03125, epochs = 5 }",
    )
    .unwrap();
    let per_epoch = 157; // ⌈1,281,167 / 8192⌉
    let schedule = config
        .resolve(
            Scaling::Linear.peak(0.1, 8192, 256),
            90 * per_epoch,
            &Epochs::even(per_epoch as u64),
        )
        .unwrap();
    let rate = |epoch: f64| schedule.lr((epoch * per_epoch as f64) as usize);
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
    near(rate(0.0), 0.1);
    for (epoch, wanted) in [
        (5.0, 3.2),
        (29.99, 3.2),
        (30.0, 0.32),
        (60.0, 0.032),
        (80.0, 0.0032),
        (89.99, 0.0032),
    ] {
        near(rate(epoch), wanted);
    }
}

/// A milestone of 0.07 of 100 steps is step 7, although 0.07 · 100 is 7.000000000000001; every third of 90 steps is 30, 60.
#[test]
fn milestones_do_not_slip() {
    let schedule = ScheduleConfig::from(MultiStep {
        factor: 0.5,
        at: Marks::Fraction(vec![0.07]),
    })
    .resolve(1.0, 100, &Epochs::even(1))
    .unwrap();
    assert_eq!((schedule.lr(6), schedule.lr(7)), (1.0, 0.5));
    let schedule = ScheduleConfig::named("step")
        .unwrap()
        .resolve(1.0, 90, &Epochs::even(1))
        .unwrap();
    assert_eq!([29, 30, 59].map(|step| schedule.lr(step)), [1.0, 0.1, 0.1]);
    let schedule = ScheduleConfig::from(Step {
        factor: 0.5,
        every: Span::Epochs(0.1),
    })
    .resolve(1.0, 1000, &Epochs::even(33))
    .unwrap();
    let drops: Vec<usize> = (1..100)
        .filter(|&step| schedule.lr(step) < schedule.lr(step - 1))
        .collect();
    let wanted: Vec<usize> = (1..=30usize).map(|k| (33 * k).div_ceil(10)).collect();
    assert_eq!(drops, wanted);
}
