//! Two functions with a known minimum.

/// A function of two variables.
pub(super) struct Landscape {
    pub name: &'static str,
    pub start: [f64; 2],
    pub value: fn([f64; 2]) -> f64,
    pub gradient: fn([f64; 2]) -> [f64; 2],
    /// Values up to this count as the minimum, which is 0.
    pub enough: f64,
}

pub(super) const LANDSCAPES: [Landscape; 2] = [
    Landscape {
        name: "the parabola ½((x − 1)² + 10(y − 1)²)",
        start: [3.0, -2.0],
        value: |[x, y]| 0.5 * ((x - 1.0).powi(2) + 10.0 * (y - 1.0).powi(2)),
        gradient: |[x, y]| [x - 1.0, 10.0 * (y - 1.0)],
        enough: 1e-3,
    },
    Landscape {
        name: "Rosenbrock's (1 − x)² + 100(y − x²)²",
        start: [-1.2, 1.0],
        value: |[x, y]| (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2),
        gradient: |[x, y]| {
            [
                -2.0 * (1.0 - x) - 400.0 * x * (y - x * x),
                200.0 * (y - x * x),
            ]
        },
        enough: 1e-2,
    },
];
