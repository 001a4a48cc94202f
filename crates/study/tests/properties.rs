//! Properties of the statistics and identities that hold for all numbers.

use largebatch_study::statistics::{Censored, Hyperbola, estimate, hyperbola, paired, power_law};
use largebatch_study::{Plan, Study};
use proptest::prelude::*;

proptest! {
    /// A censored median is the median with infinity for "never".
    #[test]
    fn censored_medians(values in prop::collection::vec(prop::option::of(1.0..1e6f64), 1..20)) {
        let mut all: Vec<f64> = values.iter().map(|v| v.unwrap_or(f64::INFINITY)).collect();
        all.sort_by(f64::total_cmp);
        let n = all.len();
        let median = (all[(n - 1) / 2] + all[n / 2]) / 2.0;
        let ours = Censored::new(&values);
        prop_assert_eq!(ours.median.unwrap_or(f64::INFINITY), median);
        prop_assert_eq!((ours.reached, ours.n), (values.iter().flatten().count(), n));
    }

    /// Shifting and scaling the data shifts and scales the mean and the interval.
    #[test]
    fn estimates_follow_units(values in prop::collection::vec(-1.0..1.0f64, 2..15), shift in -5.0..5.0f64, scale in 0.1..10.0f64) {
        let (a, b) = (estimate(&values).unwrap(), estimate(&values.iter().map(|v| scale * v + shift).collect::<Vec<_>>()).unwrap());
        let near = |x: f64, y: f64| (x - y).abs() < 1e-9 * (1.0 + y.abs());
        let ((low, high), (low_b, high_b)) = (a.interval.unwrap(), b.interval.unwrap());
        prop_assert!(near(b.mean, scale * a.mean + shift) && near(b.sd, scale * a.sd));
        prop_assert!(near(low_b, scale * low + shift) && near(high_b, scale * high + shift), "{a:?} {b:?}");
        prop_assert!(low <= a.mean && a.mean <= high);
    }

    /// The fits recover the laws from exact data, wherever the bend is among the batch sizes.
    #[test]
    fn laws_come_back(s_min in 1.0..1e5f64, b_crit in 20.0..1000.0f64, exponent in -2.0..2.0f64) {
        let sizes = [16.0, 64.0, 256.0, 1024.0, 4096.0];
        let truth = Hyperbola { s_min, e_min: s_min * b_crit, b_crit };
        let fit = hyperbola(&sizes.map(|b| (b, truth.steps(b)))).unwrap();
        prop_assert!((fit.s_min / s_min - 1.0).abs() < 1e-5 && (fit.b_crit / b_crit - 1.0).abs() < 1e-5, "{fit:?}");
        let fit = power_law(&sizes.map(|b| (b, s_min * b.powf(exponent)))).unwrap();
        prop_assert!((fit.exponent - exponent).abs() < 1e-9);
    }

    /// Swapping the groups changes only the sign of a paired difference.
    #[test]
    fn pairs_are_antisymmetric(values in prop::collection::vec((-1.0..1.0f64, -1.0..1.0f64), 2..9)) {
        let side = |pick: fn(&(f64, f64)) -> f64| values.iter().enumerate().map(|(i, v)| (i as u64, pick(v))).collect::<Vec<_>>();
        let (a, b) = (side(|v| v.0), side(|v| v.1));
        let (ab, ba) = (paired(&a, &b).unwrap(), paired(&b, &a).unwrap());
        prop_assert!((ab.difference.mean + ba.difference.mean).abs() < 1e-12 && (ab.difference.sd - ba.difference.sd).abs() < 1e-12);
    }

    /// All trials of a grid are distinct, and every search draws within its range.
    #[test]
    fn trials_are_different(rates in prop::collection::btree_set(1u32..1000, 1..6), seeds in 1u32..5, trials in 1usize..40, method in prop::sample::select(vec!["random", "halton", "sobol"])) {
        let rates: Vec<String> = rates.iter().map(|r| format!("{r}e-4")).collect();
        let plan = |text: String| Plan::new(Study::parse(&text, "x", &[]).unwrap(), &|_| Ok(())).unwrap();
        let grid = plan(format!("name='x'\nsearch.lr=[{}]\ntune.seeds={seeds}", rates.join(",")));
        let mut ids = grid.tune_ids(0);
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), rates.len() * seeds as usize);
        let search = plan(format!("name='x'\nsearch.a={{log_uniform=[1e-4,1e2]}}\nsearch.b={{integer=[-3,3]}}\ntune={{method='{method}',trials={trials}}}"));
        prop_assert_eq!(search.groups[0].points.len(), trials);
        for point in &search.groups[0].points {
            prop_assert!((1e-4..=1e2).contains(&point["a"].as_float().unwrap()) && (-3..=3).contains(&point["b"].as_integer().unwrap()));
        }
    }
}
