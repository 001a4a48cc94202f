//! Growing batches and scaling rules.

use largebatch_schedule::{BatchConfig, BatchMultiStep, LastBatch, Marks, Planned, Scaling};
use proptest::prelude::*;

fn grow(factor: f64, at: Marks, max: Option<usize>) -> BatchConfig {
    BatchConfig::MultiStep(BatchMultiStep { factor, at, max })
}

/// Smith et al. 2018 on CIFAR-10 multiply 128 by 5 at epochs 60, 120 and 160 of 200; here with an
/// upper bound of 5120, which takes effect in the last stage.
#[test]
fn the_recipe_of_smith_et_al() {
    let n = 50_000;
    let config = grow(5.0, Marks::Epochs(vec![60.0, 120.0, 160.0]), Some(5120));
    let schedule = config.resolve(128, n, Some(200.0)).unwrap();
    let size = |epoch: u64| schedule.size(epoch * n as u64);
    assert_eq!(
        [0, 59, 60, 119, 120, 159, 160, 199].map(size),
        [128, 128, 640, 640, 3200, 3200, 5120, 5120]
    );
    let rate = |epoch: u64| schedule.rate_factor(epoch * n as u64);
    assert_eq!([0, 60, 159].map(rate), [1.0; 3]);
    assert_eq!(rate(160), 0.32); // 5120 of the planned 16000: the rate makes up for the rest
    // 60 ⌈50000/128⌉ + 60 ⌈50000/640⌉ + 40 ⌈50000/3200⌉ + 40 ⌈50000/5120⌉
    assert_eq!(
        schedule.total_steps(200, LastBatch::Keep),
        60 * 391 + 60 * 79 + 40 * 16 + 40 * 10
    );
    assert_eq!(
        schedule.total_steps(200, LastBatch::Drop),
        60 * 390 + 60 * 78 + 40 * 15 + 40 * 9
    );
    let fractions = grow(5.0, Marks::Fraction(vec![0.3, 0.6, 0.8]), Some(5120))
        .resolve(128, n, Some(200.0))
        .unwrap();
    assert_eq!(fractions, schedule);
}

#[test]
fn a_milestone_inside_an_epoch_acts_at_the_next_batch() {
    let schedule = grow(2.0, Marks::Epochs(vec![0.5]), None)
        .resolve(3, 10, None)
        .unwrap();
    let plan: Vec<_> = schedule
        .plan(2, LastBatch::Keep)
        .map(|b| (b.epoch, b.start, b.size))
        .collect();
    assert_eq!(
        plan,
        [(0, 0, 3), (0, 3, 3), (0, 6, 4), (1, 0, 6), (1, 6, 4)]
    );
    let plan: Vec<_> = schedule
        .plan(2, LastBatch::Drop)
        .map(|b| (b.epoch, b.start, b.size))
        .collect();
    assert_eq!(plan, [(0, 0, 3), (0, 3, 3), (1, 0, 6)]);
}

#[test]
fn sizes_stop_at_the_training_set() {
    let schedule = grow(10.0, Marks::Fraction(vec![0.1; 400]), None)
        .resolve(7, 100, Some(10.0))
        .unwrap();
    assert_eq!(
        (
            schedule.size(99),
            schedule.size(100),
            schedule.size(u64::MAX)
        ),
        (7, 100, 100)
    );
    assert!(schedule.rate_factor(u64::MAX) >= 0.0);
    assert_eq!(schedule.total_steps(10, LastBatch::Drop), 14 + 9);
}

#[test]
fn what_is_wrong_is_named() {
    let n = 100;
    for (config, size, epochs, part) in [
        (BatchConfig::Constant, 0, Some(1.0), "batch_size = 0"),
        (BatchConfig::Constant, 101, Some(1.0), "batch_size = 101"),
        (
            grow(0.5, Marks::Epochs(vec![1.0]), None),
            10,
            Some(1.0),
            "batch_schedule.factor = 0.5",
        ),
        (
            grow(f64::NAN, Marks::Epochs(vec![1.0]), None),
            10,
            Some(1.0),
            "batch_schedule.factor = NaN",
        ),
        (
            grow(2.0, Marks::Epochs(vec![1.0]), Some(9)),
            10,
            Some(1.0),
            "batch_schedule.max = 9",
        ),
        (
            grow(2.0, Marks::Steps(vec![9]), None),
            10,
            Some(1.0),
            "milestones in steps would depend on the batch sizes",
        ),
        (
            grow(2.0, Marks::Fraction(vec![0.5]), None),
            10,
            None,
            "give the milestones in epochs",
        ),
        (
            grow(2.0, Marks::Fraction(vec![1.5]), None),
            10,
            Some(1.0),
            "batch_schedule.at = { fraction = 1.5 }",
        ),
        (
            grow(2.0, Marks::Epochs(vec![-1.0]), None),
            10,
            Some(1.0),
            "batch_schedule.at = { epochs = -1 }",
        ),
    ] {
        let message = config.resolve(size, n, epochs).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn scaling_rules() {
    let all = [Scaling::None, Scaling::Sqrt, Scaling::Linear];
    let peaks = all.map(|scaling| scaling.peak(0.1, 4096, 256));
    assert_eq!(peaks, [0.1, 0.4, 1.6]);
    assert_eq!(Scaling::Sqrt.factor(64, 256), 0.5);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// The plan covers every epoch from its start without gaps, its sizes never shrink except for
    /// the last batch of an epoch, and its length is the number of steps.
    #[test]
    fn plans_cover_the_epochs(
        n in 1usize..200, part in 0.0..1.0, factor in 1.0..4.0, at in prop::collection::vec(0.0001..1.0, 0..4), epochs in 1usize..6, keep: bool
    ) {
        let size = 1 + (part * (n - 1) as f64) as usize;
        let last = if keep { LastBatch::Keep } else { LastBatch::Drop };
        let schedule = grow(factor, Marks::Fraction(at.clone()), None).resolve(size, n, Some(epochs as f64)).unwrap();
        let plan: Vec<Planned> = schedule.plan(epochs, last).collect();
        prop_assert_eq!(plan.len(), schedule.total_steps(epochs, last));
        let mut largest = 0;
        for epoch in 0..epochs {
            let batches: Vec<_> = plan.iter().filter(|b| b.epoch == epoch).collect();
            let mut start = 0;
            for (i, batch) in batches.iter().enumerate() {
                prop_assert_eq!(batch.start, start);
                let full = schedule.size((epoch * n + start) as u64);
                prop_assert!(batch.size == full || (keep && i + 1 == batches.len() && batch.size < full));
                prop_assert!(full >= largest && full <= n);
                largest = full;
                start += batch.size;
            }
            prop_assert!(start == n || (!keep && start < n));
            prop_assert!(!batches.is_empty());
        }
        prop_assert!(plan.is_sorted_by_key(|b| (b.epoch, b.start)));
        let constant = BatchConfig::Constant.resolve(size, n, None).unwrap();
        prop_assert_eq!(constant.total_steps(epochs, last), constant.plan(epochs, last).count());
    }
}
