//! The line search of Moré and Thuente (1994): safeguarded cubic and quadratic steps to a point
//! that satisfies the strong Wolfe conditions.

/// A trial step's value and slope along the search direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    /// The step.
    pub step: f64,
    /// The function's value there.
    pub value: f64,
    /// Its derivative along the direction there.
    pub slope: f64,
}

/// Sufficient decrease and curvature: f(α) ≤ f(0) + DECREASE · α f'(0) and |f'(α)| ≤ CURVATURE · |f'(0)|; L-BFGS-B's own constants.
const DECREASE: f64 = 1e-3;
const CURVATURE: f64 = 0.9;
/// The search gives up on an interval of this relative width.
const WIDTH: f64 = 0.1 * f64::EPSILON;

/// What the search wants next.
pub(crate) enum Next {
    /// Evaluate here.
    Try(f64),
    /// The last trial satisfies the conditions, or is at the largest step and still descends.
    Done,
    /// Rounding stops progress: take the best step so far.
    Stuck,
}

/// The state of one search on [0, `largest`].
pub(crate) struct Search {
    start: Trial,
    largest: f64,
    best: Trial,
    other: Trial,
    bracketed: bool,
    first_stage: bool,
    low: f64,
    high: f64,
    width: f64,
    width_before: f64,
}

impl Search {
    /// Starts a search from the value and the (negative) slope at step 0. The caller makes the
    /// first trial at `first`.
    pub(crate) fn new(value: f64, slope: f64, first: f64, largest: f64) -> Self {
        let start = Trial {
            step: 0.0,
            value,
            slope,
        };
        Search {
            start,
            largest,
            best: start,
            other: start,
            bracketed: false,
            first_stage: true,
            low: 0.0,
            high: 5.0 * first,
            width: largest,
            width_before: 2.0 * largest,
        }
    }

    /// Processes a trial and returns what to do next.
    pub(crate) fn next(&mut self, now: Trial) -> Next {
        let required = DECREASE * self.start.slope;
        let ceiling = self.start.value + now.step * required;
        if self.first_stage && now.value <= ceiling && now.slope >= 0.0 {
            self.first_stage = false;
        }
        if now.value <= ceiling && now.slope.abs() <= CURVATURE * self.start.slope.abs() {
            return Next::Done;
        }
        if now.step == self.largest && now.value <= ceiling && now.slope <= required {
            return Next::Done;
        }
        let out_of_room = self.bracketed
            && (now.step <= self.low
                || now.step >= self.high
                || self.high - self.low <= WIDTH * self.high);
        if out_of_room || (now.step == 0.0 && (now.value > ceiling || now.slope >= required)) {
            return Next::Stuck;
        }
        // In the first stage the steps use f(α) − DECREASE · α f'(0), whose minimizer satisfies the
        // decrease condition.
        let step = if self.first_stage && now.value <= self.best.value && now.value > ceiling {
            let tilt = |t: Trial| Trial {
                value: t.value - t.step * required,
                slope: t.slope - required,
                ..t
            };
            let untilt = |t: Trial| Trial {
                value: t.value + t.step * required,
                slope: t.slope + required,
                ..t
            };
            (self.best, self.other) = (tilt(self.best), tilt(self.other));
            let step = self.update(tilt(now));
            (self.best, self.other) = (untilt(self.best), untilt(self.other));
            step
        } else {
            self.update(now)
        };
        let mut step = step;
        if self.bracketed {
            let gap = (self.other.step - self.best.step).abs();
            if gap >= 0.66 * self.width_before {
                step = self.best.step + 0.5 * (self.other.step - self.best.step);
            }
            (self.width_before, self.width) = (self.width, gap);
            self.low = self.best.step.min(self.other.step);
            self.high = self.best.step.max(self.other.step);
        } else {
            self.low = step + 1.1 * (step - self.best.step);
            self.high = step + 4.0 * (step - self.best.step);
        }
        step = step.clamp(0.0, self.largest);
        if self.bracketed
            && (step <= self.low || step >= self.high || self.high - self.low <= WIDTH * self.high)
        {
            step = self.best.step;
        }
        Next::Try(step)
    }

    /// The safeguarded step of the paper's four cases, and the new interval of uncertainty.
    fn update(&mut self, now: Trial) -> f64 {
        let (best, other) = (self.best, self.other);
        let sign = now.slope * best.slope.signum();
        let toward = now.step - best.step;
        let cubic = |a: Trial, b: Trial| {
            let theta = 3.0 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope;
            let scale = theta.abs().max(a.slope.abs()).max(b.slope.abs());
            (
                theta,
                scale,
                (theta / scale).powi(2) - (a.slope / scale) * (b.slope / scale),
            )
        };
        let (low, high) = (self.low, self.high.min(self.largest));
        let step;
        if now.value > best.value {
            // A higher value: the minimum is bracketed.
            let (theta, scale, inside) = cubic(best, now);
            let gamma =
                scale * inside.max(0.0).sqrt() * if now.step < best.step { -1.0 } else { 1.0 };
            let r = ((gamma - best.slope) + theta) / (((gamma - best.slope) + gamma) + now.slope);
            let by_cubic = best.step + r * toward;
            let by_quadratic = best.step
                + best.slope / ((best.value - now.value) / toward + best.slope) / 2.0 * toward;
            step = if (by_cubic - best.step).abs() < (by_quadratic - best.step).abs() {
                by_cubic
            } else {
                by_cubic + (by_quadratic - by_cubic) / 2.0
            };
            self.bracketed = true;
        } else if sign < 0.0 {
            // A lower value and slopes of opposite signs: bracketed too.
            let (theta, scale, inside) = cubic(best, now);
            let gamma =
                scale * inside.max(0.0).sqrt() * if now.step > best.step { -1.0 } else { 1.0 };
            let r = ((gamma - now.slope) + theta) / (((gamma - now.slope) + gamma) + best.slope);
            let by_cubic = now.step - r * toward;
            let by_secant =
                now.step + now.slope / (now.slope - best.slope) * (best.step - now.step);
            step = if (by_cubic - now.step).abs() > (by_secant - now.step).abs() {
                by_cubic
            } else {
                by_secant
            };
            self.bracketed = true;
        } else if now.slope.abs() < best.slope.abs() {
            // A lower value, the same sign, a smaller slope: the cubic may have no minimum in this direction.
            let (theta, scale, inside) = cubic(best, now);
            let gamma =
                scale * inside.max(0.0).sqrt() * if now.step > best.step { -1.0 } else { 1.0 };
            let r = ((gamma - now.slope) + theta) / ((gamma + (best.slope - now.slope)) + gamma);
            let by_cubic = if r < 0.0 && gamma != 0.0 {
                now.step - r * toward
            } else if now.step > best.step {
                high
            } else {
                low
            };
            let by_secant =
                now.step + now.slope / (now.slope - best.slope) * (best.step - now.step);
            let cubic_is_nearer = (by_cubic - now.step).abs() < (by_secant - now.step).abs();
            if self.bracketed {
                let chosen = if cubic_is_nearer { by_cubic } else { by_secant };
                let limit = now.step + 0.66 * (other.step - now.step);
                step = if now.step > best.step {
                    chosen.min(limit)
                } else {
                    chosen.max(limit)
                };
            } else {
                let chosen = if cubic_is_nearer { by_secant } else { by_cubic };
                step = chosen.clamp(low.min(high), high);
            }
        } else if self.bracketed {
            // A lower value, the same sign, a slope that does not decrease.
            let (theta, scale, inside) = cubic(now, other);
            let gamma =
                scale * inside.max(0.0).sqrt() * if now.step > other.step { -1.0 } else { 1.0 };
            let r = ((gamma - now.slope) + theta) / (((gamma - now.slope) + gamma) + other.slope);
            step = now.step + r * (other.step - now.step);
        } else {
            step = if now.step > best.step { high } else { low };
        }
        if now.value > best.value {
            self.other = now;
        } else {
            if sign < 0.0 {
                self.other = best;
            }
            self.best = now;
        }
        step
    }
}
