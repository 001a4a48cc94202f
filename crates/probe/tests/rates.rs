//! Range tests against hand-written gradient descent, and searches for the batch size.

use largebatch_data::{Dataset, Holdout, Labels, Part, Preprocess, Search, Task};
use largebatch_probe::batch_find::{BatchEnd, BatchSearch};
use largebatch_probe::lr_find::{RangeEnd, RangeTest};
use largebatch_probe::rates::{descent, smoothed, steepest, valley};
use largebatch_probe::unwatched;
use largebatch_train::Lab;
use largebatch_train::{Experiment, RunConfig};

fn config(over: &[&str]) -> RunConfig {
    let over: Vec<_> = over
        .iter()
        .map(|s| RunConfig::assignment(s).unwrap())
        .collect();
    RunConfig::layered(None, &over).unwrap()
}

fn digits(over: &[&str]) -> Experiment {
    let all = [
        "dataset=digits",
        "model=softmax",
        "optimizer=sgd",
        "batch_size=64",
    ];
    Experiment::open(
        config(&[&all[..], over].concat()),
        &Lab::standard(),
        &Search::default(),
    )
    .unwrap()
}

const X: [[f64; 2]; 4] = [[1.0, 2.0], [-1.0, 0.5], [0.25, -2.0], [3.0, 1.0]];
const Y: [f64; 4] = [1.0, -2.0, 0.5, 4.0];

/// Hand-written full-batch gradient descent on squared loss with growing rates; it diverges once
/// the rate has been above 2/L for long enough.
#[test]
fn the_curve_is_gradient_descents() {
    let flat = X.concat();
    let part = Part::from_table(flat, vec![2], Labels::Targets(Y.to_vec())).unwrap();
    let dataset = Dataset {
        name: "four".into(),
        task: Task::Real,
        shape: vec![2],
        train: part.clone(),
        test: part,
        sources: Vec::new(),
        class_names: Vec::new(),
        preprocess: Preprocess::default(),
        warnings: Vec::new(),
    };
    let holdout = Holdout {
        train: vec![0, 1, 2, 3],
        validation: vec![],
    };
    let config = config(&[
        "dataset=four",
        "model=linear",
        "model.init=zero",
        "optimizer=sgd",
        "steps=1",
        "data.sampling=full",
    ]);
    let experiment = Experiment::with(config, dataset, holdout, &Lab::standard()).unwrap();
    let test = RangeTest {
        lowest: 1e-3,
        highest: 10.0,
        steps: 60,
        smoothing: 0.5,
        divergence: 4.0,
    };
    let found = test.run(&experiment, &mut unwatched).unwrap();

    let (mut w, mut losses) = ([0.0f64; 3], Vec::new());
    for point in &found.points {
        let error: Vec<f64> = X
            .iter()
            .zip(Y)
            .map(|(x, y)| x[0] * w[0] + x[1] * w[1] + w[2] - y)
            .collect();
        losses.push(error.iter().map(|e| e * e).sum::<f64>() / 4.0);
        let t = losses.len() as f64 - 1.0;
        assert!((point.lr / (1e-3 * 1e4f64.powf(t / 59.0)) - 1.0).abs() < 1e-12);
        // Beyond 2/L, here about 0.3, rounding errors grow with the loss.
        let (loss, exact) = (point.loss.unwrap(), losses[losses.len() - 1]);
        assert!(
            point.lr > 0.3 || (loss - exact).abs() < 1e-5 * exact.max(1.0),
            "{point:?} against {exact}"
        );
        let gradient = |j: usize| {
            X.iter()
                .zip(&error)
                .map(|(x, e)| 2.0 * e * if j < 2 { x[j] } else { 1.0 })
                .sum::<f64>()
                / 4.0
        };
        let g = [gradient(0), gradient(1), gradient(2)];
        w.iter_mut().zip(g).for_each(|(w, g)| *w -= point.lr * g);
    }
    // The Hessian is (2/N) [X 1]ᵀ[X 1]; its largest eigenvalue by power iteration.
    let column = |i: usize, j: usize| if j < 2 { X[i][j] } else { 1.0 };
    let (mut v, mut eigenvalue) = ([1.0, 1.0, 1.0], 0.0);
    for _ in 0..200 {
        let next: Vec<f64> = (0..3)
            .map(|j| {
                (0..4)
                    .map(|i| 0.5 * column(i, j) * (0..3).map(|k| column(i, k) * v[k]).sum::<f64>())
                    .sum()
            })
            .collect();
        eigenvalue = next.iter().map(|x| x * x).sum::<f64>().sqrt();
        v = [
            next[0] / eigenvalue,
            next[1] / eigenvalue,
            next[2] / eigenvalue,
        ];
    }
    let diverged = found.divergence.unwrap();
    println!(
        "2/L = {}, diverged at {diverged}, steepest {:?}, valley {:?}",
        2.0 / eigenvalue,
        found.steepest,
        found.valley
    );
    assert!(
        found.ended == RangeEnd::Diverged
            && diverged > 2.0 / eigenvalue
            && diverged < 20.0 / eigenvalue,
        "{diverged}, {eigenvalue}"
    );
    assert!(found.steepest.unwrap() < 2.0 / eigenvalue && found.valley.unwrap() < 2.0 / eigenvalue);
}

/// The average with bias correction: Σ β^(t−i) ℓ_i / Σ β^(t−i).
#[test]
fn smoothing_is_the_weighted_mean() {
    let losses = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0];
    for (t, s) in smoothed(&losses, 0.7).into_iter().enumerate() {
        let weights: Vec<f64> = (0..=t).map(|i| 0.7f64.powi((t - i) as i32)).collect();
        let mean = weights.iter().zip(&losses).map(|(w, l)| w * l).sum::<f64>()
            / weights.iter().sum::<f64>();
        assert!((s - mean).abs() < 1e-12);
    }
    assert_eq!(smoothed(&losses, 0.0), losses);
}

#[test]
fn suggestions_are_where_the_curve_says() {
    let curve = [5.0, 5.0, 4.9, 4.0, 2.0, 1.5, 1.4, 1.45, 3.0];
    assert_eq!(
        steepest(&curve),
        Some(3),
        "(2.0 − 4.9)/2 is the smallest central difference"
    );
    assert_eq!(steepest(&curve[..5]), Some(4), "2.0 − 4.0 at the edge");
    // 5.0, 4.9, 4.0, 2.0, 1.5, 1.4 decreases from index 1 to 6: a third is 1, half of that 0.
    assert_eq!(valley(&curve), Some(2));
    let long: Vec<f64> = (0..=90).map(|i| f64::from(-i)).collect();
    assert_eq!(
        valley(&long),
        Some(45),
        "the middle of a curve that falls throughout"
    );
    assert_eq!(
        (steepest(&[1.0, 2.0, 3.0]), valley(&[1.0, 2.0, 3.0])),
        (None, None)
    );
    assert_eq!(
        (steepest(&[]), valley(&[]), steepest(&[1.0]), valley(&[1.0])),
        (None, None, None, None)
    );
}

/// In a fall from 20 to 10, a twentieth is done at 19.5: everything before is noise or negligible.
#[test]
fn a_descent_begins_where_it_matters() {
    assert_eq!(
        descent(&[20.0, 20.1, 19.9, 19.8, 19.6, 19.4, 15.0, 10.0]),
        4
    );
    assert_eq!(
        descent(&[20.0, 19.0, 25.0, 10.0]),
        2,
        "a rise comes before the descent"
    );
    assert_eq!(
        (descent(&[]), descent(&[3.0]), descent(&[3.0, 3.0])),
        (0, 0, 1)
    );
}

/// At batch size 1, the losses of single examples differ a hundredfold, so the curve and the
/// suggestions come from many examples: every seed has suggestions, and their median trains well.
#[test]
fn a_range_test_of_small_batches_finds_the_valley() {
    for (batch, seeds) in [(1, 12), (2, 4), (8, 4)] {
        let (mut valleys, mut steepest) = (Vec::new(), Vec::new());
        for seed in 0..seeds {
            let over = ["dataset=diabetes", "model=linear", "optimizer=sgd"];
            let (batch, seed) = (format!("batch_size={batch}"), format!("seed={seed}"));
            let config = config(&[&over[..], &[&batch, &seed]].concat());
            let experiment =
                Experiment::open(config, &Lab::standard(), &Search::default()).unwrap();
            let found = RangeTest::default()
                .run(&experiment, &mut unwatched)
                .unwrap();
            valleys.push(found.valley.unwrap());
            steepest.push(found.steepest.unwrap());
            assert!(
                found
                    .divergence
                    .is_some_and(|rate| (0.1..1.5).contains(&rate)),
                "{batch}, {seed}: {:?}",
                found.divergence
            );
        }
        valleys.sort_by(f64::total_cmp);
        steepest.sort_by(f64::total_cmp);
        let middle = valleys.len() / 2;
        assert!(
            (0.005..0.06).contains(&valleys[middle]) && (0.01..0.3).contains(&steepest[middle]),
            "{batch}: {valleys:?}, {steepest:?}"
        );
    }
}

/// With a rate that is too high from the first step, nothing falls, and the loss becomes infinite
/// or exceeds the bound after the grace period.
#[test]
fn a_range_test_that_begins_too_high_diverges() {
    for batch in ["batch_size=1", "batch_size=64"] {
        let experiment = digits(&["dataset=diabetes", "model=linear", batch]);
        let found = RangeTest {
            lowest: 5.0,
            highest: 100.0,
            ..RangeTest::default()
        }
        .run(&experiment, &mut unwatched)
        .unwrap();
        assert_eq!(
            (found.ended, found.valley),
            (RangeEnd::Diverged, None),
            "{batch}: {:?}",
            found.valley
        );
        assert!(
            found.points.len() <= 25,
            "{batch}: {} steps",
            found.points.len()
        );
    }
}

#[test]
fn a_range_test_repeats_to_the_bit_and_can_be_stopped() {
    let experiment = digits(&["optimizer=momentum"]);
    let test = RangeTest {
        steps: 40,
        ..RangeTest::default()
    };
    let (a, b) = (
        test.run(&experiment, &mut unwatched).unwrap(),
        test.run(&experiment, &mut unwatched).unwrap(),
    );
    assert_eq!(a.points, b.points);
    assert!(a.steepest.is_some() && a.figure().svg().contains("steepest"));
    let part = test
        .run(&experiment, &mut |done, all| done < 12 && all == 40)
        .unwrap();
    assert_eq!((part.points.len(), part.ended), (12, RangeEnd::Interrupted));
    assert_eq!(part.points, a.points[..12]);
    let text = |test: RangeTest| {
        test.run(&experiment, &mut unwatched)
            .unwrap_err()
            .to_string()
    };
    let usual = RangeTest::default();
    assert!(
        text(RangeTest {
            lowest: 0.0,
            ..usual.clone()
        })
        .contains("`lowest` is 0, but it must be above 0")
    );
    assert!(
        text(RangeTest {
            highest: 1e-7,
            ..usual.clone()
        })
        .contains("above the first")
    );
    assert!(
        text(RangeTest {
            steps: 9,
            ..usual.clone()
        })
        .contains("`steps` is 9")
    );
    assert!(
        text(RangeTest {
            smoothing: 1.0,
            ..usual.clone()
        })
        .contains("0 ≤ x < 1")
    );
    assert!(
        text(RangeTest {
            divergence: f64::NAN,
            ..usual
        })
        .contains("divergence")
    );
}

#[test]
fn batch_sizes_double_up_to_the_data() {
    let experiment = digits(&[]);
    let quick = BatchSearch {
        smallest: 100,
        seconds: 1e-3,
        ..BatchSearch::default()
    };
    let found = quick.run(&experiment, &mut unwatched).unwrap();
    let sizes: Vec<usize> = found.points.iter().map(|p| p.batch_size).collect();
    assert_eq!(sizes, [100, 200, 400, 800, 1150]);
    assert_eq!(
        (found.largest, found.ended, found.examples),
        (Some(1150), BatchEnd::Largest, 1150)
    );
    for p in &found.points {
        assert!(
            p.steps >= 3
                && (p.examples_per_second * p.seconds_per_step - p.batch_size as f64).abs() < 1e-6
        );
    }
    let fastest = found
        .points
        .iter()
        .map(|p| p.examples_per_second)
        .fold(0.0, f64::max);
    let knee = found
        .points
        .iter()
        .find(|p| Some(p.batch_size) == found.knee)
        .unwrap();
    assert!(knee.examples_per_second >= 0.9 * fastest);
    let part = quick.run(&experiment, &mut |done, _| done < 2).unwrap();
    assert_eq!((part.points.len(), part.ended), (2, BatchEnd::Interrupted));
    let text = |search: BatchSearch| {
        search
            .run(&experiment, &mut unwatched)
            .unwrap_err()
            .to_string()
    };
    assert!(
        text(BatchSearch {
            smallest: 0,
            ..quick.clone()
        })
        .contains("smallest = 0")
    );
    assert!(
        text(BatchSearch {
            largest: Some(1151),
            ..quick.clone()
        })
        .contains("1150")
    );
    assert!(
        text(BatchSearch {
            seconds: -1.0,
            ..quick.clone()
        })
        .contains("above 0")
    );
    assert!(text(BatchSearch { knee: 1.5, ..quick }).contains("0 < x ≤ 1"));
}
