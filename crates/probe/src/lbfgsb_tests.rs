//! L-BFGS-B against the minima that SciPy finds on the same functions (`tests/lbfgsb.py`).

use super::{Ended, LbfgsB, Minimum};
use crate::unwatched;
use serde_json::Value;
use std::convert::Infallible;

fn rosenbrock(x: &[f64]) -> (f64, Vec<f64>) {
    let (mut f, mut g) = (0.0, vec![0.0; x.len()]);
    for i in 0..x.len() - 1 {
        let d = x[i + 1] - x[i] * x[i];
        f += 100.0 * d * d + (1.0 - x[i]).powi(2);
        g[i] += -400.0 * x[i] * d - 2.0 * (1.0 - x[i]);
        g[i + 1] += 200.0 * d;
    }
    (f, g)
}

fn beale(x: &[f64]) -> (f64, Vec<f64>) {
    let (mut f, mut g) = (0.0, vec![0.0; 2]);
    for (i, c) in [1.5, 2.25, 2.625].into_iter().enumerate() {
        let k = i as i32;
        let t = c - x[0] * (1.0 - x[1].powi(k + 1));
        f += t * t;
        g[0] -= 2.0 * t * (1.0 - x[1].powi(k + 1));
        g[1] += 2.0 * t * x[0] * f64::from(k + 1) * x[1].powi(k);
    }
    (f, g)
}

fn quadratic(x: &[f64]) -> (f64, Vec<f64>) {
    let n = x.len();
    let (mut f, mut g) = (0.0, vec![0.0; n]);
    for i in 0..n {
        let mut ax = (2.1 + (i % 3) as f64) * x[i];
        ax -= if i > 0 { x[i - 1] } else { 0.0 };
        ax -= if i + 1 < n { x[i + 1] } else { 0.0 };
        let b = 3.0 * (i as f64 + 1.0).sin();
        f += 0.5 * x[i] * ax - b * x[i];
        g[i] = ax - b;
    }
    (f, g)
}

fn styblinski(x: &[f64]) -> (f64, Vec<f64>) {
    let f = x
        .iter()
        .map(|x| 0.5 * (x.powi(4) - 16.0 * x * x + 5.0 * x))
        .sum();
    (
        f,
        x.iter()
            .map(|x| 0.5 * (4.0 * x.powi(3) - 32.0 * x + 5.0))
            .collect(),
    )
}

fn himmelblau(x: &[f64]) -> (f64, Vec<f64>) {
    let (a, b) = (x[0] * x[0] + x[1] - 11.0, x[0] + x[1] * x[1] - 7.0);
    (
        a * a + b * b,
        vec![4.0 * x[0] * a + 2.0 * b, 2.0 * a + 4.0 * x[1] * b],
    )
}

fn more_quartic(x: &[f64]) -> (f64, Vec<f64>) {
    let s = x.iter().sum::<f64>() - x.len() as f64;
    let weighted = x.iter().enumerate().map(|(i, x)| ((i + 1) as f64, x - 1.0));
    let f = weighted.clone().map(|(w, d)| w * d.powi(4)).sum::<f64>() + s * s;
    (
        f,
        weighted
            .map(|(w, d)| 4.0 * w * d.powi(3) + 2.0 * s)
            .collect(),
    )
}

struct Case {
    name: String,
    function: fn(&[f64]) -> (f64, Vec<f64>),
    start: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    record: Value,
}

fn cases() -> Vec<Case> {
    let record: Value = serde_json::from_str(include_str!("../tests/lbfgsb.json")).unwrap();
    let numbers = |v: &Value| {
        v.as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    let cases = record["cases"].as_array().unwrap().iter();
    cases
        .map(|case| {
            let start = numbers(&case["start"]);
            Case {
                name: case["name"].as_str().unwrap().to_owned(),
                function: match case["function"].as_str().unwrap() {
                    "rosenbrock" => rosenbrock,
                    "beale" => beale,
                    "quadratic" => quadratic,
                    "styblinski" => styblinski,
                    "himmelblau" => himmelblau,
                    "more_quartic" => more_quartic,
                    other => panic!("{other}"),
                },
                lower: vec![case["lower"].as_f64().unwrap_or(f64::NEG_INFINITY); start.len()],
                upper: vec![case["upper"].as_f64().unwrap_or(f64::INFINITY); start.len()],
                start,
                record: case.clone(),
            }
        })
        .collect()
}

fn solve(method: &LbfgsB, case: &Case) -> Minimum {
    method
        .minimize(
            |x| Ok::<_, Infallible>((case.function)(x)),
            &case.start,
            [&case.lower, &case.upper],
            &mut unwatched,
        )
        .unwrap()
}

#[test]
fn the_minima_are_scipys() {
    let method = LbfgsB {
        decrease: 1e-15,
        gradient: 1e-10,
        ..LbfgsB::default()
    };
    for case in cases() {
        let minimum = solve(&method, &case);
        let f = case.record["f"].as_f64().unwrap();
        assert!(
            (minimum.value - f).abs() <= 1e-10 * f.abs().max(1.0),
            "{}: f = {} against {f} ({minimum:?})",
            case.name,
            minimum.value
        );
        // The quartic is flat, so its minimizer is known only to the fourth root of the precision.
        let tolerance = if case.name.contains("quartic") {
            1e-2
        } else {
            1e-6
        };
        for (i, (x, reference)) in minimum
            .x
            .iter()
            .zip(case.record["x"].as_array().unwrap())
            .enumerate()
        {
            let reference = reference.as_f64().unwrap();
            assert!(
                (x - reference).abs() <= tolerance * reference.abs().max(1.0),
                "{}: x[{i}] = {x} against {reference}",
                case.name
            );
            assert!(
                (case.lower[i]..=case.upper[i]).contains(x),
                "{}: x[{i}] = {x} is outside its bounds",
                case.name
            );
        }
    }
}

/// It is the same method, not only the same minima: it takes as many evaluations as SciPy, apart
/// from the effect of rounding on the last ones.
#[test]
fn it_costs_what_scipys_costs() {
    for case in cases() {
        let minimum = solve(&LbfgsB::default(), &case);
        let theirs = case.record["default"]["evaluations"].as_f64().unwrap();
        println!(
            "{:34} {:4} evaluations, SciPy {theirs}",
            case.name, minimum.evaluations
        );
        assert!(
            (minimum.evaluations as f64 - theirs).abs() <= 2.0,
            "{}: {} evaluations, SciPy {theirs}",
            case.name,
            minimum.evaluations
        );
    }
}

/// After ten iterations it reaches the same value as SciPy.
#[test]
fn ten_iterations_are_scipys() {
    let method = LbfgsB {
        iterations: 10,
        gradient: 0.0,
        decrease: 0.0,
        ..LbfgsB::default()
    };
    for case in cases() {
        let minimum = solve(&method, &case);
        let (before, theirs) = (
            (case.function)(&case.start).0,
            case.record["ten_iterations_f"].as_f64().unwrap(),
        );
        println!(
            "{:34} {:>22} after 10 iterations, SciPy {theirs} ({:?})",
            case.name, minimum.value, minimum.ended
        );
        assert!(
            minimum.iterations <= 10 && minimum.value < before,
            "{}",
            case.name
        );
        assert!(
            (minimum.value - theirs).abs() <= 1e-8 * theirs.abs().max(1e-3),
            "{}: {} against {theirs}",
            case.name,
            minimum.value
        );
    }
}

#[test]
fn an_error_of_the_function_is_returned() {
    let found =
        LbfgsB::default().minimize(|_| Err("lost"), &[0.0], [&[0.0], &[1.0]], &mut unwatched);
    assert_eq!(found, Err("lost"));
}

/// log x is not finite left of 0: the search turns back.
#[test]
fn a_point_that_is_not_finite_is_left() {
    let f = |x: &[f64]| Ok::<_, Infallible>((x[0] - x[0].ln(), vec![1.0 - 1.0 / x[0]]));
    let minimum = LbfgsB::default()
        .minimize(
            f,
            &[20.0],
            [&[f64::NEG_INFINITY], &[f64::INFINITY]],
            &mut unwatched,
        )
        .unwrap();
    assert!(
        (minimum.x[0] - 1.0).abs() < 1e-4 && minimum.ended != Ended::LineSearch,
        "{minimum:?}"
    );
}

#[test]
fn an_interruption_keeps_the_best_point() {
    let mut calls = 0;
    let mut watch = |_: u64, _: u64| {
        calls += 1;
        calls <= 20
    };
    let f = |x: &[f64]| Ok::<_, Infallible>(rosenbrock(x));
    let minimum = LbfgsB::default()
        .minimize(f, &[-1.2, 1.0], [&[-5.0; 2], &[5.0; 2]], &mut watch)
        .unwrap();
    assert_eq!(
        (minimum.ended, minimum.evaluations),
        (Ended::Interrupted, 21)
    );
    assert!(
        minimum.value < rosenbrock(&[-1.2, 1.0]).0
            && minimum.value > 1e-9
            && rosenbrock(&minimum.x).0 == minimum.value
    );
}
