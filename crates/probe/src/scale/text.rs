//! The figure and the table of a model.

use super::{Devices, FEWEST, Scaling};
use crate::prelude::*;

/// Why an efficiency may be above 1.
const ABOVE: &str = "above 100 %: a smaller part may fit the cache, or its time is noise";

impl Scaling {
    /// Efficiency against the number of devices.
    pub fn figure(&self) -> Figure {
        let line = |rows: &[Devices]| -> Vec<(f64, f64)> {
            let points = rows.iter().map(|r| (r.devices as f64, r.efficiency));
            points.collect()
        };
        let rows = self.weak.iter().chain(&self.strong);
        let highest = rows.map(|row| row.efficiency).fold(1.0, f64::max);
        let mut plot = Plot::new("scale", &format!("Efficiency: {}", self.what))
            .x("devices", Scale::Log)
            .y("efficiency", Scale::Linear)
            .x_ticks(self.weak.iter().step_by(2).map(|r| r.devices as f64))
            .y_range(0.0, 1.05 * highest);
        for (label, rows, bound) in [
            ("a batch each (weak)", &self.weak, self.weak_bound),
            ("one shared batch (strong)", &self.strong, self.strong_bound),
        ] {
            plot = plot.line(label, line(rows)).points(label, line(rows));
            if let Some(k) = bound {
                let kind = if rows == &self.weak { "weak" } else { "strong" };
                plot = plot.guide_x(&format!("network binds ({kind})"), k as f64);
            }
        }
        let text = format!(
            "A model: one device's step of up to {} examples, the least of at least {FEWEST} measured on {} with {} threads, and the network {}.{}",
            self.batch_size,
            self.device,
            self.threads,
            self.network_line(),
            if highest >= 1.0005 {
                format!(" Efficiency {ABOVE}.")
            } else {
                String::new()
            }
        );
        plot.caption(&text).figure()
    }

    fn network_line(&self) -> String {
        format!(
            "{}: {} µs, {} GB/s ({})",
            self.network.name,
            significant(1e6 * self.network.latency, 3),
            significant(1e-9 * self.network.bytes_per_second, 3),
            self.network.source()
        )
    }

    /// The table, in text.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{}, {}, {} threads a device; {} parameters\nnetwork {}\n\n",
            self.what,
            self.device,
            self.threads,
            self.parameters,
            self.network_line()
        );
        let (own, shared) = (
            format!("a batch of {} each (weak)", self.batch_size),
            format!("one shared batch of {} (strong)", self.batch_size),
        );
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:7}  {own:^45}  {shared:^35}", "");
        let _ = writeln!(
            text,
            "{:>7}  {:>8} {:>10} {:>11} {:>13}  {:>10} {:>11} {:>12}",
            "devices",
            "batch",
            "ms/step",
            "efficiency",
            "examples/s",
            "ms/step",
            "efficiency",
            "examples/s"
        );
        let cells = |row: &Devices| {
            format!(
                "{:>10} {:>9.1} % {:>12}",
                fixed(1e3 * row.seconds_per_step, 4),
                1e2 * row.efficiency,
                fixed(row.examples_per_second, 4)
            )
        };
        for (i, weak) in self.weak.iter().enumerate() {
            let strong = self.strong.get(i).map(cells).unwrap_or_default();
            let line = format!(
                "{:>7}  {:>8} {:>11} {strong}",
                weak.devices,
                weak.batch_size,
                cells(weak)
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for (kind, bound, rows) in [
            ("weak", self.weak_bound, &self.weak),
            ("strong", self.strong_bound, &self.strong),
        ] {
            let _ = match (bound, rows.last()) {
                (Some(k), _) => writeln!(
                    text,
                    "  {kind:<9} the network binds from {k} devices on: the reduction takes longer than computing"
                ),
                (None, Some(last)) => writeln!(
                    text,
                    "  {kind:<9} the network does not bind up to {} devices: computing takes longer than the reduction",
                    last.devices
                ),
                (None, None) => Ok(()),
            };
        }
        let mut beyond = self
            .weak
            .iter()
            .filter(|row| row.batch_size > self.examples);
        if let Some(row) = beyond.next() {
            let _ = writeln!(
                text,
                "  examples  from {} devices on, the weak batch exceeds the {} training examples",
                row.devices, self.examples
            );
        }
        let _ = writeln!(
            text,
            "  ms/step   one device's step is the least of at least {FEWEST}"
        );
        // As shown, with one decimal.
        if self.strong.iter().any(|row| row.efficiency >= 1.0005) {
            let _ = writeln!(text, "  efficiency {ABOVE}");
        }
        if !self.left_out.is_empty() {
            let _ = writeln!(
                text,
                "  left out  {}: what they cost or save is not in these numbers",
                self.left_out.join(", ")
            );
        }
        let _ = match self.noise_scale {
            Some(noise) => {
                let mut above = self.weak.iter().filter(|row| row.batch_size as f64 > noise);
                match above.next() {
                    Some(row) if row.devices == 1 => write!(
                        text,
                        "  B_simple  {noise:.0}: the batch of one device is larger than this noise scale, so more devices save few steps"
                    ),
                    Some(row) => write!(
                        text,
                        "  B_simple  {noise:.0}: from {} devices on, the weak batch exceeds this noise scale, and saves few steps",
                        row.devices
                    ),
                    None => write!(
                        text,
                        "  B_simple  {noise:.0}: this noise scale is above all batches here"
                    ),
                }
            }
            None => write!(
                text,
                "  B_simple  not measured: `largebatch probe noise` estimates the largest useful batch"
            ),
        };
        text
    }
}
