//! Contour lines, by marching squares.

use std::collections::HashMap;

use crate::axis::{Axis, extent};
use crate::frame::Frame;
use crate::number::significant;
use crate::svg::{Anchor, px, width};
use crate::theme::heat;

/// A surface and the levels of its contour lines.
#[derive(Clone, Debug)]
pub struct Contour {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    /// `grid[j][i]` is the value at `x[i]`, `y[j]`.
    pub grid: Vec<Vec<f64>>,
    pub levels: Vec<f64>,
}

impl Contour {
    /// Draws the lines, with a label on the longest line of each level.
    pub fn draw(&self, frame: &mut Frame, x: &Axis, y: &Axis) {
        let (xs, ys): (Vec<f64>, Vec<f64>) = (
            self.x.iter().map(|v| x.at(*v)).collect(),
            self.y.iter().map(|v| y.at(*v)).collect(),
        );
        let (low, high) = extent(self.levels.iter().copied()).unwrap_or((0.0, 1.0));
        let positive = low > 0.0 && high > 20.0 * low;
        let share = |level: f64| match (positive, high > low) {
            (_, false) => 0.0,
            (true, _) => (level / low).ln() / (high / low).ln(),
            (false, _) => (level - low) / (high - low),
        };
        let mut labels: Vec<(f64, f64, String)> = Vec::new();
        for level in &self.levels {
            // The ends of the colour scale are invisible on a white or a dark background.
            let [r, g, b] = heat(0.25 + 0.5 * share(*level));
            let found = lines(&xs, &ys, &self.grid, *level);
            let style = format!(" style=\"stroke:#{r:02x}{g:02x}{b:02x};stroke-width:1.1\"");
            for line in &found {
                frame.svg.polyline("", &style, line.iter().copied());
            }
            let inside = |p: &&(f64, f64)| {
                p.0 > frame.left + 24.0
                    && p.0 < frame.right - 24.0
                    && p.1 > frame.top + 10.0
                    && p.1 < frame.bottom - 10.0
            };
            let text = significant(*level, 3);
            let free = |p: &&(f64, f64)| {
                labels
                    .iter()
                    .all(|l| (l.0 - p.0).abs() > 40.0 || (l.1 - p.1).abs() > 14.0)
            };
            if let Some(line) = found
                .iter()
                .filter(|l| length(l) > 60.0)
                .max_by_key(|l| length(l) as u64)
            {
                let middle = line.len() / 2;
                let outwards = (0..line.len()).map(|k| {
                    if k % 2 == 0 {
                        middle + k / 2
                    } else {
                        middle.wrapping_sub(k / 2 + 1)
                    }
                });
                if let Some(p) = outwards
                    .filter_map(|k| line.get(k))
                    .filter(inside)
                    .find(free)
                {
                    labels.push((p.0, p.1, text));
                }
            }
        }
        for (x, y, text) in &labels {
            let w = width(text, 11.0) + 4.0;
            frame.svg.raw(format_args!(
                "<rect class=\"bg\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"13\"/>",
                px(x - w / 2.0),
                px(y - 6.5),
                px(w)
            ));
            frame.svg.text("m sm", Anchor::Middle, *x, y + 4.0, text);
        }
    }
}

/// An edge of the grid: its lower left node, and whether it runs along x.
type Edge = (usize, usize, bool);

/// The lines along which the surface has this value, in the coordinates of `x` and `y`. In a saddle
/// cell, the mean of the corners decides.
fn lines(x: &[f64], y: &[f64], grid: &[Vec<f64>], level: f64) -> Vec<Vec<(f64, f64)>> {
    let value = |i: usize, j: usize| {
        grid.get(j)
            .and_then(|row| row.get(i))
            .copied()
            .unwrap_or(f64::NAN)
    };
    // Each edge that the line crosses has at most two neighbours, one in each adjacent cell.
    let mut links: HashMap<Edge, Vec<Edge>> = HashMap::new();
    let mut starts: Vec<Edge> = Vec::new();
    for j in 0..y.len().saturating_sub(1) {
        for i in 0..x.len().saturating_sub(1) {
            let corners = [
                value(i, j),
                value(i + 1, j),
                value(i + 1, j + 1),
                value(i, j + 1),
            ];
            if corners.iter().any(|v| !v.is_finite()) {
                continue;
            }
            let edges: [Edge; 4] = [
                (i, j, true),
                (i + 1, j, false),
                (i, j + 1, true),
                (i, j, false),
            ];
            let above = corners.map(|v| v >= level);
            let crossed: Vec<usize> = (0..4).filter(|k| above[*k] != above[(k + 1) % 4]).collect();
            let pairs: Vec<(usize, usize)> = match crossed[..] {
                [a, b] => vec![(a, b)],
                [_, _, _, _] => {
                    // Either corners 0 and 2 are connected through the middle, or 1 and 3.
                    let middle = corners.iter().sum::<f64>() / 4.0 >= level;
                    if middle == above[0] {
                        vec![(0, 1), (2, 3)]
                    } else {
                        vec![(3, 0), (1, 2)]
                    }
                }
                _ => Vec::new(),
            };
            for (a, b) in pairs {
                for (from, to) in [(edges[a], edges[b]), (edges[b], edges[a])] {
                    links.entry(from).or_default().push(to);
                    starts.push(from);
                }
            }
        }
    }
    let point = |&(i, j, along): &Edge| {
        let (k, l) = if along { (i + 1, j) } else { (i, j + 1) };
        let (a, b) = (value(i, j), value(k, l));
        let share = if b == a { 0.5 } else { (level - a) / (b - a) };
        (x[i] + share * (x[k] - x[i]), y[j] + share * (y[l] - y[j]))
    };
    // Open lines start at an end; the remaining lines are closed.
    let ends: Vec<Edge> = starts
        .iter()
        .copied()
        .filter(|e| links[e].len() == 1)
        .collect();
    let mut lines = Vec::new();
    for start in ends.into_iter().chain(starts) {
        let mut line = Vec::new();
        let mut at = start;
        while let Some(next) = links.get_mut(&at).and_then(Vec::pop) {
            if line.is_empty() {
                line.push(point(&at));
            }
            if let Some(back) = links.get_mut(&next)
                && let Some(k) = back.iter().position(|e| *e == at)
            {
                back.swap_remove(k);
            }
            line.push(point(&next));
            at = next;
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    lines
}

/// The length of a line.
fn length(line: &[(f64, f64)]) -> f64 {
    line.windows(2)
        .map(|w| (w[1].0 - w[0].0).hypot(w[1].1 - w[0].1))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of x² + y² at r² are circles: single closed lines of length 2πr.
    #[test]
    fn circles_are_round_and_closed() {
        let axis: Vec<f64> = (0..=80).map(|i| f64::from(i) / 20.0 - 2.0).collect();
        let grid: Vec<Vec<f64>> = axis
            .iter()
            .map(|y| axis.iter().map(|x| x * x + y * y).collect())
            .collect();
        for r in [0.5f64, 1.0, 1.7] {
            let found = lines(&axis, &axis, &grid, r * r);
            assert_eq!(found.len(), 1, "radius {r}");
            assert_eq!(found[0].first(), found[0].last());
            assert!(found[0].iter().all(|(x, y)| (x.hypot(*y) - r).abs() < 2e-3));
            assert!((length(&found[0]) / (2.0 * std::f64::consts::PI * r) - 1.0).abs() < 2e-3);
        }
    }

    /// xy = c has two branches. A saddle cell loses no line, and a hole in the data only makes a
    /// hole in the lines.
    #[test]
    fn saddles_and_holes() {
        let axis: Vec<f64> = (0..=10).map(|i| f64::from(i) / 5.0 - 1.0).collect();
        let mut grid: Vec<Vec<f64>> = axis
            .iter()
            .map(|y| axis.iter().map(|x| x * y).collect())
            .collect();
        assert_eq!(lines(&axis, &axis, &grid, 0.1).len(), 2);
        grid[9][9] = f64::NAN;
        assert!(lines(&axis, &axis, &grid, 0.1).len() >= 2);
        assert!(lines(&axis, &axis, &[], 0.1).is_empty() && lines(&[], &[], &grid, 0.1).is_empty());
        let saddle = [vec![1.0, 0.0], vec![0.0, 1.0]];
        assert_eq!(lines(&[0.0, 1.0], &[0.0, 1.0], &saddle, 0.4).len(), 2);
    }
}
