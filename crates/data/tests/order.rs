//! Splits, folds and batch order: properties for every seed, data size and batch size.

use largebatch_data::{Labels, Order, Position, Sampling, folds, hold_out};
use largebatch_random::Key;
use proptest::prelude::*;

fn order(n: u32, sampling: Sampling, drop_last: bool, seed: u64) -> Order {
    // Indices with gaps, so that positions and indices cannot be confused.
    Order::new(
        (0..n).map(|i| 3 * i + 1).collect(),
        sampling,
        drop_last,
        Key::new(seed).word("order"),
    )
    .unwrap()
}

fn count(classes: &[u32], indices: &[u32], class: u32) -> usize {
    indices
        .iter()
        .filter(|&&i| classes[i as usize] == class)
        .count()
}

proptest! {
    /// An epoch contains every example once, in batches of the requested size except the last; with
    /// `drop_last` that one is missing.
    #[test]
    fn shuffled_epochs_are_permutations(n in 1u32..200, batch in 1usize..70, drop_last: bool, seed: u64) {
        let batch = batch.min(n as usize);
        let mut order = order(n, Sampling::Shuffled, drop_last, seed);
        let steps = order.steps_per_epoch(batch);
        prop_assert_eq!(steps, if drop_last { n as usize / batch } else { (n as usize).div_ceil(batch) });
        let mut epochs = Vec::new();
        for epoch in 0..3 {
            let mut seen = Vec::new();
            for step in 0..steps {
                let (e, indices) = order.next(batch);
                prop_assert_eq!(e, epoch);
                prop_assert_eq!(indices.len(), batch.min(n as usize - step * batch));
                seen.extend(indices);
            }
            epochs.push(seen.clone());
            seen.sort();
            seen.dedup();
            prop_assert_eq!(seen.len(), if drop_last { steps * batch } else { n as usize });
            prop_assert!(seen.iter().all(|i| i % 3 == 1 && *i < 3 * n));
        }
        prop_assert!(n < 20 || epochs[0] != epochs[1]);
    }

    /// Seeking to a position gives what the uninterrupted cursor gives, with batch sizes that
    /// change on the way.
    #[test]
    fn seeking_continues_to_the_same_batches(
        n in 1u32..100, batches in prop::collection::vec(1usize..40, 2..30), cut in 0usize..30, drop_last: bool, seed: u64, mode in 0..4,
    ) {
        let sampling = [Sampling::Shuffled, Sampling::Replacement, Sampling::One, Sampling::Full][mode as usize];
        let mut whole = order(n, sampling, drop_last, seed);
        let mut position = Position::default();
        let all: Vec<_> = batches.iter().enumerate().map(|(i, &b)| {
            if i == cut { position = whole.position() }
            whole.next(b)
        }).collect();
        prop_assume!(cut < batches.len());
        let saved = serde_json::to_string(&position).unwrap();
        let mut resumed = order(n, sampling, drop_last, seed);
        resumed.seek(serde_json::from_str(&saved).unwrap());
        let rest: Vec<_> = batches[cut..].iter().map(|&b| resumed.next(b)).collect();
        prop_assert_eq!(&all[cut..], &rest[..]);
    }

    /// No index is lost or repeated, the size is right, and each class gives its share to within
    /// one example.
    #[test]
    fn splits_are_stratified(classes in prop::collection::vec(0u32..5, 1..300), part in 0.0..1.0f64, seed: u64) {
        let n = classes.len();
        let validation = (part * n as f64) as usize;
        let labels = Labels::Classes(classes.clone());
        let s = hold_out(&labels, validation, seed).unwrap();
        prop_assert_eq!(s.validation.len(), validation);
        let mut all = [s.train.clone(), s.validation.clone()].concat();
        all.sort();
        prop_assert_eq!(all, (0..n as u32).collect::<Vec<_>>());
        for class in 0..5 {
            let share = validation as f64 * classes.iter().filter(|&&c| c == class).count() as f64 / n as f64;
            prop_assert!((count(&classes, &s.validation, class) as f64 - share).abs() < 1.0);
        }
        prop_assert_eq!(hold_out(&labels, validation, seed).unwrap(), s);
    }

    /// Each example is held out exactly once; the sizes, and the counts of each class, differ by at
    /// most one between folds.
    #[test]
    fn folds_are_stratified(classes in prop::collection::vec(0u32..4, 10..200), k in 2usize..10, seed: u64) {
        let parts = folds(&Labels::Classes(classes.clone()), k, seed).unwrap();
        let mut held: Vec<u32> = parts.iter().flat_map(|p| p.validation.clone()).collect();
        held.sort();
        prop_assert_eq!(held, (0..classes.len() as u32).collect::<Vec<_>>());
        let spread = |sizes: Vec<usize>| sizes.iter().max().unwrap() - sizes.iter().min().unwrap();
        prop_assert!(spread(parts.iter().map(|p| p.validation.len()).collect()) <= 1);
        for class in 0..4 {
            prop_assert!(spread(parts.iter().map(|p| count(&classes, &p.validation, class)).collect()) <= 1);
        }
        for p in &parts {
            prop_assert_eq!(p.train.len() + p.validation.len(), classes.len());
            prop_assert!(p.train.iter().all(|i| p.validation.binary_search(i).is_err()));
        }
    }
}

/// Real targets: every decile contributes a tenth of the validation split.
#[test]
fn real_targets_are_stratified_by_rank() {
    let targets: Vec<f64> = (0..100).map(|i| f64::from((i * 37) % 100)).collect();
    let s = hold_out(&Labels::Targets(targets.clone()), 20, 1).unwrap();
    for tenth in 0..10 {
        assert_eq!(
            s.validation
                .iter()
                .filter(|&&i| targets[i as usize] as usize / 10 == tenth)
                .count(),
            2
        );
    }
}

/// With replacement, an epoch of n draws misses (1 − 1/n)^n ≈ 1/e of the examples: 0.3679; the deviation of that share is below 0.01 here.
#[test]
fn replacement_leaves_out_one_in_e() {
    let mut order = order(5000, Sampling::Replacement, false, 0);
    let (epoch, mut indices) = order.next(5000);
    indices.sort();
    indices.dedup();
    let missed = 1.0 - indices.len() as f64 / 5000.0;
    assert!(
        epoch == 0 && (missed - (-1.0f64).exp()).abs() < 0.02,
        "{missed}"
    );
}

#[test]
fn one_example_and_all_examples() {
    let mut one = order(10, Sampling::One, true, 0);
    assert_eq!(
        (
            one.check(64).unwrap(),
            one.next(64).1.len(),
            one.steps_per_epoch(64)
        ),
        (1, 1, 10)
    );
    let mut full = order(10, Sampling::Full, true, 0);
    assert_eq!((full.check(1).unwrap(), full.steps_per_epoch(1)), (10, 1));
    assert_eq!(
        [full.next(1), full.next(1)],
        [0, 1].map(|epoch| (epoch, (0..10).map(|i| 3 * i + 1).collect()))
    );
}

/// The order is the permutation of `Key(seed).word("order").number(epoch)`, whose generator is pinned in its own crate.
#[test]
fn the_order_is_the_keys_permutation() {
    let mut order = order(10, Sampling::Shuffled, false, 7);
    let expected = |epoch| {
        Key::new(7)
            .word("order")
            .number(epoch)
            .permutation(10)
            .iter()
            .map(|i| 3 * i + 1)
            .collect::<Vec<_>>()
    };
    assert_eq!(order.next(10), (0, expected(0)));
    assert_eq!(order.next(10), (1, expected(1)));
}

#[test]
fn seeds_differ() {
    let labels = Labels::Classes(vec![0; 1000]);
    assert_ne!(
        hold_out(&labels, 500, 0).unwrap(),
        hold_out(&labels, 500, 1).unwrap()
    );
    assert_ne!(
        order(1000, Sampling::Shuffled, false, 0).next(1000),
        order(1000, Sampling::Shuffled, false, 1).next(1000)
    );
}
