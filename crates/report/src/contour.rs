//! Lines and bands of equal height over a grid, by marching squares.

/// Heights on a grid: `z[j][i]` at (`x[i]`, `y[j]`), both rising.
pub(crate) struct Grid<'a> {
    pub x: &'a [f64],
    pub y: &'a [f64],
    pub z: &'a [Vec<f64>],
}

/// A corner of a polygon.
pub(crate) type Point = (f64, f64);

impl Grid<'_> {
    /// The corners of cell (i, j), counter-clockwise, with their heights; `None` if one is not finite.
    fn cell(&self, i: usize, j: usize) -> Option<[(Point, f64); 4]> {
        let corner = |i: usize, j: usize| ((self.x[i], self.y[j]), self.z[j][i]);
        let corners = [corner(i, j), corner(i + 1, j), corner(i + 1, j + 1), corner(i, j + 1)];
        corners.iter().all(|c| c.1.is_finite()).then_some(corners)
    }

    fn cells(&self) -> impl Iterator<Item = (usize, usize)> {
        let (columns, rows) = (self.x.len().saturating_sub(1), self.y.len().saturating_sub(1));
        (0..rows).flat_map(move |j| (0..columns).map(move |i| (i, j)))
    }

    /// The region of heights from `level` on, as polygons: whole runs of cells in a row, and cut cells.
    pub fn above(&self, level: f64) -> Vec<Vec<Point>> {
        let (mut out, mut run): (Vec<Vec<Point>>, Option<(usize, usize)>) = (Vec::new(), None);
        for (i, j) in self.cells() {
            let Some(corners) = self.cell(i, j) else { continue };
            if corners.iter().all(|c| c.1 >= level) {
                match (run, out.last_mut()) {
                    // The run's last two corners move on by a cell.
                    (Some(end), Some(last)) if end == (i, j) => (last[1].0, last[2].0) = (self.x[i + 1], self.x[i + 1]),
                    _ => out.push(corners.map(|c| c.0).to_vec()),
                }
                run = Some((i + 1, j));
                continue;
            }
            run = None;
            let mut polygon = Vec::new();
            for k in 0..4 {
                let (a, b) = (corners[k], corners[(k + 1) % 4]);
                if a.1 >= level {
                    polygon.push(a.0);
                }
                if (a.1 >= level) != (b.1 >= level) {
                    polygon.push(crossing(a, b, level));
                }
            }
            if polygon.len() > 2 {
                out.push(polygon);
            }
        }
        out
    }

    /// The line of height `level`, as pieces that are joined where they meet.
    pub fn line(&self, level: f64) -> Vec<Vec<Point>> {
        let mut pieces: Vec<Vec<Point>> = Vec::new();
        for (i, j) in self.cells() {
            let Some(corners) = self.cell(i, j) else { continue };
            let cuts: Vec<Point> = (0..4)
                .map(|k| (corners[k], corners[(k + 1) % 4]))
                .filter(|(a, b)| (a.1 >= level) != (b.1 >= level))
                .map(|(a, b)| crossing(a, b, level))
                .collect();
            match cuts.as_slice() {
                [a, b] => pieces.push(vec![*a, *b]),
                // A saddle: the mean says which corners belong together.
                [a, b, c, d] => {
                    let high = corners.iter().map(|c| c.1).sum::<f64>() / 4.0 >= level;
                    let first = corners[0].1 >= level;
                    let pairs = if high == first { [[*a, *b], [*c, *d]] } else { [[*a, *d], [*b, *c]] };
                    pieces.extend(pairs.map(|p| p.to_vec()));
                }
                _ => {}
            }
        }
        join(pieces)
    }
}

/// Where the level lies between two corners; the same to the bit from either side.
fn crossing(a: (Point, f64), b: (Point, f64), level: f64) -> Point {
    let (a, b) = if a.0 <= b.0 { (a, b) } else { (b, a) };
    let t = (level - a.1) / (b.1 - a.1);
    (a.0.0 + t * (b.0.0 - a.0.0), a.0.1 + t * (b.0.1 - a.0.1))
}

/// Joins pieces that share an end.
fn join(pieces: Vec<Vec<Point>>) -> Vec<Vec<Point>> {
    let bits = |p: Point| (p.0.to_bits(), p.1.to_bits());
    let mut ends: std::collections::BTreeMap<(u64, u64), Vec<usize>> = std::collections::BTreeMap::new();
    for (k, piece) in pieces.iter().enumerate() {
        for end in [piece[0], piece[1]] {
            ends.entry(bits(end)).or_default().push(k);
        }
    }
    let mut used = vec![false; pieces.len()];
    let mut out = Vec::new();
    for k in 0..pieces.len() {
        if std::mem::replace(&mut used[k], true) {
            continue;
        }
        let mut line = std::collections::VecDeque::from(pieces[k].clone());
        for front in [false, true] {
            loop {
                let Some(&end) = (if front { line.front() } else { line.back() }) else { break };
                let next = ends[&bits(end)].iter().copied().find(|&n| !used[n]);
                let Some(next) = next else { break };
                used[next] = true;
                let other = if pieces[next][0] == end { pieces[next][1] } else { pieces[next][0] };
                if front { line.push_front(other) } else { line.push_back(other) }
            }
        }
        out.push(line.into());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bowl(n: usize, f: fn(f64, f64) -> f64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let x: Vec<f64> = (0..n).map(|i| -1.0 + 2.0 * i as f64 / (n - 1) as f64).collect();
        let z = x.iter().map(|y| x.iter().map(|x| f(*x, *y)).collect()).collect();
        (x, z)
    }

    fn area(polygons: &[Vec<Point>]) -> f64 {
        let one = |p: &Vec<Point>| (0..p.len()).map(|k| p[k].0 * p[(k + 1) % p.len()].1 - p[(k + 1) % p.len()].0 * p[k].1).sum::<f64>() / 2.0;
        polygons.iter().map(one).sum()
    }

    #[test]
    fn a_circle_has_its_length_and_area() {
        let (x, z) = bowl(81, |x, y| x * x + y * y);
        let grid = Grid { x: &x, y: &x, z: &z };
        let line = grid.line(0.49);
        assert_eq!(line.len(), 1, "one closed line");
        assert_eq!(line[0].first(), line[0].last());
        let length: f64 = line[0].windows(2).map(|w| (w[1].0 - w[0].0).hypot(w[1].1 - w[0].1)).sum();
        let pi = std::f64::consts::PI;
        assert!((length - 2.0 * pi * 0.7).abs() < 0.01, "{length}");
        let above = area(&grid.above(0.49));
        assert!((above - (4.0 - pi * 0.49)).abs() < 0.002, "{above}");
    }

    #[test]
    fn a_plane_is_cut_where_it_should_be_and_saddles_do_not_cross() {
        let (x, z) = bowl(5, |x, y| x + 0.5 * y);
        let grid = Grid { x: &x, y: &x, z: &z };
        assert!(grid.line(0.25).iter().flatten().all(|(x, y)| (x + 0.5 * y - 0.25).abs() < 1e-12));
        assert!((area(&grid.above(0.0)) - 2.0).abs() < 1e-12);
        let (x, z) = bowl(2, |x, y| x * y);
        let lines = Grid { x: &x, y: &x, z: &z }.line(0.25);
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn cells_without_a_height_are_left_out() {
        let (x, mut z) = bowl(3, |x, _| x);
        z[1][1] = f64::NAN;
        assert!(Grid { x: &x, y: &x, z: &z }.line(0.5).is_empty() && Grid { x: &x, y: &x, z: &z }.above(-9.0).is_empty());
    }
}
