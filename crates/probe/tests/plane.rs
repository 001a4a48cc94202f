//! Planes: principal components against NumPy's (`plane.py` in this folder), filter normalization
//! and three points against their definitions.

use largebatch_probe::plane::Plane;
use serde_json::Value;

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn path() -> Vec<(String, Vec<f64>)> {
    let point = |t: f64| {
        (0..12)
            .map(|i| (t * f64::from(i + 1) / 3.0).sin() * (-t / 4.0).exp() + 0.1 * f64::from(i))
            .collect()
    };
    (0..9)
        .map(|t| (format!("step {t}"), point(f64::from(t))))
        .collect()
}

#[test]
fn principal_components_are_numpys() {
    let record: Value = serde_json::from_str(include_str!("plane.json")).unwrap();
    let plane = Plane::principal(&path()).unwrap();
    for k in 0..2 {
        let share = plane.explained.unwrap()[k];
        assert!((share - record["explained"][k].as_f64().unwrap()).abs() < 1e-12);
        // The sign of a component is arbitrary.
        let mine: Vec<f64> = plane
            .marks
            .iter()
            .map(|m| if k == 0 { m.a } else { m.b })
            .collect();
        let theirs: Vec<f64> = record["coordinates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c[k].as_f64().unwrap())
            .collect();
        let sign = if mine[0] * theirs[0] < 0.0 { -1.0 } else { 1.0 };
        assert!(
            mine.iter()
                .zip(&theirs)
                .all(|(a, b)| (a - sign * b).abs() < 1e-10),
            "{mine:?}\n{theirs:?}"
        );
    }
    assert_eq!(plane.at(0.0, 0.0), path()[8].1);
    assert!(plane.marks[0].a <= 0.0 && plane.marks[0].b <= 0.0);
}

#[test]
fn three_points_lie_on_their_plane() {
    let (a, b, c) = (
        vec![1.0, 2.0, 0.0, -1.0],
        vec![2.0, 0.5, 1.0, 3.0],
        vec![0.0, 0.0, 0.0, 4.0],
    );
    let plane = Plane::through([("a", &a), ("b", &b), ("c", &c)]).unwrap();
    for (mark, point) in plane.marks.iter().zip([&a, &b, &c]) {
        assert!(
            plane
                .at(mark.a, mark.b)
                .iter()
                .zip(point)
                .all(|(p, q)| (p - q).abs() < 1e-12),
            "{mark:?}"
        );
    }
    assert!((norm(&plane.u) - 1.0).abs() < 1e-12 && (norm(&plane.v) - 1.0).abs() < 1e-12);
    assert!(
        plane
            .u
            .iter()
            .zip(&plane.v)
            .map(|(u, v)| u * v)
            .sum::<f64>()
            .abs()
            < 1e-12
    );
    let [x, y] = plane.window(0.25);
    assert!(
        plane
            .marks
            .iter()
            .all(|m| x.0 < m.a && m.a < x.1 && y.0 < m.b && m.b < y.1)
    );
}

#[test]
fn random_directions_have_their_filters_norms() {
    let shapes = [vec![3, 4], vec![3], vec![2, 3, 2, 2], vec![2]];
    let x: Vec<f64> = (0..12 + 3 + 24 + 2)
        .map(|i| (f64::from(i) * 0.7).cos() * f64::from(1 + i % 5))
        .collect();
    let plane = Plane::random(&x, &shapes, 7).unwrap();
    for d in [&plane.u, &plane.v] {
        for (from, filter, count) in [(0, 4, 3), (15, 12, 2)] {
            for k in 0..count {
                let range = from + k * filter..from + (k + 1) * filter;
                assert!((norm(&d[range.clone()]) / norm(&x[range]) - 1.0).abs() < 1e-12);
            }
        }
        assert!(
            d[12..15].iter().chain(&d[39..]).all(|d| *d == 0.0),
            "biases do not move"
        );
    }
    assert_ne!(plane.u, plane.v);
    assert_eq!(plane, Plane::random(&x, &shapes, 7).unwrap());
    assert_ne!(plane, Plane::random(&x, &shapes, 8).unwrap());
}

#[test]
fn bad_planes_are_named() {
    let a = vec![0.0, 1.0];
    let error = |r: Result<Plane, largebatch_probe::ProbeError>| r.unwrap_err().to_string();
    assert!(
        error(Plane::through([("a", &a), ("b", &a), ("c", &[1.0, 1.0])]))
            .contains("do not span a plane")
    );
    assert!(
        error(Plane::through([
            ("a", &[0.0, 0.0]),
            ("b", &[1.0, 1.0]),
            ("c", &[2.0, 2.0])
        ]))
        .contains("a, b, c")
    );
    assert!(error(Plane::principal(&path()[..2])).contains("three checkpoints"));
    let line: Vec<(String, Vec<f64>)> = (0..5)
        .map(|t| (String::new(), vec![f64::from(t), 2.0 * f64::from(t)]))
        .collect();
    assert!(error(Plane::principal(&line)).contains("one line"));
    assert!(error(Plane::random(&a, &[vec![3]], 0)).contains("shapes = 3"));
}
