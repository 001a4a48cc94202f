//! Validation splits and folds, stratified and seeded.

use crate::{DataError, Labels};
use largebatch_random::Key;

/// Two disjoint sets of indices, each in rising order, that together cover all examples.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holdout {
    /// The examples to train on.
    pub train: Vec<u32>,
    /// The examples to choose by.
    pub validation: Vec<u32>,
}

/// Takes `validation` examples out of a training part. Each class gives its share, rounded by
/// largest remainder, so that its count differs from the exact share by less than one example; real
/// targets are stratified by deciles. The same seed takes the same examples.
///
/// # Errors
/// If `validation` leaves nothing to train on.
pub fn hold_out(labels: &Labels, validation: usize, seed: u64) -> Result<Holdout, DataError> {
    let n = labels.len();
    if validation >= n {
        let why = format!("it must be below {n}, the number of training examples");
        return Err(DataError::setting("validation", validation, why));
    }
    let strata = strata(labels);
    // Largest remainder: v·n_c/n rounded down, then one more for the largest remainders, the lower
    // class first in a tie.
    let share = |c: &Vec<u32>| {
        (
            validation as u128 * c.len() as u128 / n as u128,
            validation as u128 * c.len() as u128 % n as u128,
        )
    };
    let mut take: Vec<usize> = strata.iter().map(|c| share(c).0 as usize).collect();
    let mut by_remainder: Vec<usize> = (0..strata.len()).collect();
    by_remainder.sort_by_key(|&c| std::cmp::Reverse(share(&strata[c]).1));
    let missing = validation - take.iter().sum::<usize>();
    by_remainder
        .iter()
        .take(missing)
        .for_each(|&c| take[c] += 1);

    let key = Key::new(seed).word("split");
    let mut held = vec![false; n];
    for (c, members) in strata.iter().enumerate() {
        for &i in &key.number(c as u64).permutation(members.len())[..take[c]] {
            held[members[i as usize] as usize] = true;
        }
    }
    Ok(divide(&held))
}

/// `k` splits for cross-validation: every example is in exactly one validation part. The sizes of
/// the validation parts, and the counts of each class in them, differ by at most one.
///
/// # Errors
/// If `k` is below 2 or above the number of examples.
pub fn folds(labels: &Labels, k: usize, seed: u64) -> Result<Vec<Holdout>, DataError> {
    let n = labels.len();
    if k < 2 || k > n {
        let why = format!("there must be 2 to {n} folds; {n} is the number of examples");
        return Err(DataError::setting("folds", k, why));
    }
    let key = Key::new(seed).word("folds");
    // Deal the shuffled classes one after the other like cards: counts per class, and in total,
    // differ by at most one.
    let mut fold_of = vec![0; n];
    let mut dealt = 0;
    for (c, members) in strata(labels).iter().enumerate() {
        for i in key.number(c as u64).permutation(members.len()) {
            fold_of[members[i as usize] as usize] = dealt % k;
            dealt += 1;
        }
    }
    Ok((0..k)
        .map(|f| divide(&fold_of.iter().map(|&g| g == f).collect::<Vec<_>>()))
        .collect())
}

fn divide(held: &[bool]) -> Holdout {
    let (validation, train) = (0..held.len() as u32).partition(|&i| held[i as usize]);
    Holdout { train, validation }
}

/// The indices of each class, or of each decile of the targets.
fn strata(labels: &Labels) -> Vec<Vec<u32>> {
    match labels {
        Labels::Classes(classes) => {
            let mut strata = vec![Vec::new(); classes.iter().max().map_or(0, |&m| m as usize + 1)];
            (0..)
                .zip(classes)
                .for_each(|(i, &c)| strata[c as usize].push(i));
            strata
        }
        Labels::Targets(targets) => {
            let mut order: Vec<u32> = (0..targets.len() as u32).collect();
            order.sort_by(|&a, &b| targets[a as usize].total_cmp(&targets[b as usize]));
            let tenths = targets.len().min(10);
            (0..tenths)
                .map(|t| order[t * order.len() / tenths..(t + 1) * order.len() / tenths].to_vec())
                .collect()
        }
    }
}
