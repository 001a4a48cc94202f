//! Elementary functions of f32, computed without branches so that the compiler vectorizes a loop
//! over them.
//!
//! Products and sums are rounded one by one, also where the processor could fuse them: portable code
//! on x86 cannot, and so AVX-512, AVX2 and portable code give the same bits. The system's `expf` and
//! `logf` would differ from machine to machine.
//!
//! The polynomials minimize the greatest relative error (Remez's criterion, fitted in f64). The
//! errors stated are the greatest over all arguments, measured against f64.

/// The polynomial with these coefficients, that of the highest power first.
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[0];
    for c in &coefficients[1..] {
        sum = sum * x + c;
    }
    sum
}

/// e^x = 2^n (1 + p) with |p| < 0.42: n as the two factors of 2^n, and p. x must be in [−104, 89],
/// or NaN, which p passes on.
#[inline(always)]
fn parts_of_exp(x: f32) -> ([f32; 2], f32) {
    /// Adding it rounds to an integer, which is then in the last bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts: the first has few bits, so that n times it is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let q = [
        1.381_446_5e-3,
        8.368_781e-3,
        4.166_839_3e-2,
        0.166_665_2,
        0.499_999_94,
    ];
    let p = r + r * r * polynomial(r, q);
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) << 23) as u32);
    // Two factors, because 2^n alone may be too large or too small for f32.
    ([power(n >> 1), power(n.wrapping_sub(n >> 1))], p)
}

/// e^x, within 1 ulp; subnormal results too. 0 below −104, ∞ above 88.73, NaN for NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let ([a, b], p) = parts_of_exp(x);
    (1.0 + p) * a * b
}

/// ln(1 + x) for x in [0, 2²⁴), within 1 ulp, and NaN for NaN (Tang 1990; the reduction of FreeBSD's
/// `log1pf`).
#[inline(always)]
pub(crate) fn ln_1p(x: f32) -> f32 {
    const LN_2: [f32; 2] = [0.693_138_1, 9.058_001e-6];
    /// √½.
    const LEAST: u32 = 0x3f35_04f3;
    let u = 1.0 + x;
    // u = 2^n m, m in [√½, √2).
    let bits = u.to_bits().wrapping_add(1f32.to_bits() - LEAST);
    let n = ((bits >> 23) as i32 - 127) as f32;
    let m = f32::from_bits((bits & 0x007f_ffff) + LEAST);
    let rounded = (x - (u - 1.0)) / u;
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let half = 0.5 * f * f;
    let r = z * polynomial(z, [0.298_730_76, 0.399_774_97, 0.666_667_76]);
    n * LN_2[0] - ((half - (s * (half + r) + (n * LN_2[1] + rounded))) - f)
}

/// tanh x, within 2.5 ulp.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // tanh |x| = −t / (2 + t), t = e^(−2|x|) − 1, which is −1 in f32 from |x| = 9.1 on.
    let y = -2.0 * x.abs();
    let y = if y < -40.0 { -40.0 } else { y };
    let ([a, b], p) = parts_of_exp(y);
    let power = a * b;
    let t = power * p + (power - 1.0);
    (-t / (2.0 + t)).copysign(x)
}

/// 1 / (1 + e^(−x)), within 2.5 ulp.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    (if x > 0.0 { 1.0 } else { e }) / (1.0 + e)
}

/// Φ(x) and φ(x), the normal distribution and its density; the absolute errors are below 1.2e-7.
#[inline(always)]
pub(crate) fn normal(x: f32) -> [f32; 2] {
    const FRAC_1_SQRT_2_PI: f32 = 0.398_942_3;
    let (t, square) = (x.abs(), x * x);
    let e = exp(-0.5 * square);
    // Φ(x) = ½ + x P(x²) for |x| < 1.
    let near = [
        9.247_298e-5,
        -1.165_361_8e-3,
        9.964_175_5e-3,
        -6.648_873_5e-2,
        0.398_942_2,
    ];
    let near = 0.5 + x * polynomial(square, near);
    // Φ(−t) = e^(−t²/2) u Q(u), u = 1 / (1 + t/4), for larger t: the factor falls like 1/t.
    let far = [
        -4.652_741_6e-2,
        0.108_626_28,
        -2.166_285_2e-2,
        9.187_466e-2,
        7.367_367e-2,
        9.459_127e-2,
        9.965_555e-2,
        9.973_748e-2,
    ];
    let u = 1.0 / (1.0 + 0.25 * t);
    let tail = e * (u * polynomial(u, far));
    let far = if x > 0.0 { 1.0 - tail } else { tail };
    [if t < 1.0 { near } else { far }, FRAC_1_SQRT_2_PI * e]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spacing of f32 at a number, which is that of subnormal numbers at least.
    fn ulp(x: f64) -> f64 {
        2f64.powf((x.abs().log2().floor() - 23.0).max(-149.0))
    }

    /// Every 3,001st f32 from `from` to `to`, which have the same sign.
    fn some(from: f32, to: f32) -> impl Iterator<Item = f32> {
        let ends = [from.to_bits(), to.to_bits()];
        (ends[0].min(ends[1])..=ends[0].max(ends[1]))
            .step_by(3001)
            .map(f32::from_bits)
    }

    /// The greatest error in the given unit.
    fn error(
        xs: impl Iterator<Item = f32>,
        ours: impl Fn(f32) -> f32,
        truth: impl Fn(f64) -> f64,
        unit: impl Fn(f64) -> f64,
    ) -> f64 {
        xs.map(|x| {
            let expected = truth(f64::from(x));
            let found = f64::from(ours(x));
            if found == expected {
                return 0.0;
            }
            (found - expected).abs() / unit(expected)
        })
        .fold(0.0, |worst, e| if e <= worst { worst } else { e })
    }

    #[test]
    fn errors_are_as_stated() {
        let sigmoid_in_f64 = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (x, ours, truth, most) in [
            (
                some(0.0, 88.7),
                exp as fn(f32) -> f32,
                f64::exp as fn(f64) -> f64,
                1.0,
            ),
            (some(-0.0, -200.0), exp, f64::exp, 1.0),
            (some(0.0, 1.6e7), ln_1p, f64::ln_1p, 1.0),
            (some(0.0, f32::INFINITY), tanh, f64::tanh, 2.5),
            (some(-0.0, -30.0), tanh, f64::tanh, 2.5),
            (some(0.0, f32::INFINITY), sigmoid, sigmoid_in_f64, 2.5),
            (some(-0.0, -200.0), sigmoid, sigmoid_in_f64, 2.5),
        ] {
            let found = error(x, ours, truth, ulp);
            assert!(found <= most, "{found}");
        }
        let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
        // Φ(x) − ½ = φ(x) Σ x^(2k+1) / (1 · 3 · … · (2k+1)).
        let cdf = |x: f64| {
            let terms = (1..400).scan(x, |term, k| {
                let this = *term;
                *term *= x * x / f64::from(2 * k + 1);
                Some(this)
            });
            0.5 + density(x) * terms.sum::<f64>()
        };
        for x in [(0.0, 12.0), (-0.0, -12.0)] {
            let xs = || some(x.0, x.1);
            assert!(error(xs(), |x| normal(x)[0], cdf, |_| 1.2e-7) <= 1.0);
            assert!(error(xs(), |x| normal(x)[1], density, |_| 1.2e-7) <= 1.0);
        }
    }

    #[test]
    fn extremes_are_exact() {
        let (infinite, nan) = (f32::INFINITY, f32::NAN);
        for (x, expected) in [
            (0.0, [1.0, 0.0, 0.5, 0.5]),
            (infinite, [infinite, 1.0, 1.0, 1.0]),
            (-infinite, [0.0, -1.0, 0.0, 0.0]),
            (1e30, [infinite, 1.0, 1.0, 1.0]),
            (-1e30, [0.0, -1.0, 0.0, 0.0]),
        ] {
            assert_eq!([exp(x), tanh(x), sigmoid(x), normal(x)[0]], expected, "{x}");
        }
        assert_eq!(exp(-103.9), f32::from_bits(1));
        assert_eq!(ln_1p(0.0), 0.0);
        assert!(tanh(-0.0).is_sign_negative());
        let of_nan = [
            exp(nan),
            ln_1p(nan),
            tanh(nan),
            sigmoid(nan),
            normal(nan)[0],
        ];
        assert!(of_nan.iter().all(|y| y.is_nan()));
    }
}
