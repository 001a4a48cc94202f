//! The figure and the table of a model.

use super::{Devices, Scaling};
use crate::prelude::*;

impl Scaling {
    /// Efficiency against the number of devices.
    pub fn figure(&self) -> Figure {
        let line = |rows: &[Devices]| -> Vec<(f64, f64)> {
            let points = rows.iter().map(|r| (r.devices as f64, r.efficiency));
            points.collect()
        };
        let mut plot = Plot::new("scale", &format!("Efficiency: {}", self.what))
            .x("devices", Scale::Log)
            .y("efficiency", Scale::Linear)
            .x_ticks(self.weak.iter().step_by(2).map(|r| r.devices as f64))
            .y_range(0.0, 1.05);
        for (label, rows, bound) in [
            ("own batch each (weak)", &self.weak, self.weak_bound),
            (
                "one batch for all (strong)",
                &self.strong,
                self.strong_bound,
            ),
        ] {
            plot = plot.line(label, line(rows)).points(label, line(rows));
            if let Some(k) = bound {
                let kind = if rows == &self.weak { "weak" } else { "strong" };
                plot = plot.guide_x(&format!("network binds ({kind})"), k as f64);
            }
        }
        let text = format!(
            "A model, not a measurement: steps of {} examples measured on {} with {} threads, and the network {}.",
            self.batch_size,
            self.device,
            self.threads,
            self.network_line()
        );
        plot.caption(&text).figure()
    }

    fn network_line(&self) -> String {
        let kind = if self.network.nominal {
            "nominal"
        } else {
            "measured"
        };
        format!(
            "{}: {} µs, {} GB/s ({kind})",
            self.network.name,
            significant(1e6 * self.network.latency, 3),
            significant(1e-9 * self.network.bytes_per_second, 3)
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
            format!("one batch of {} (strong)", self.batch_size),
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
                "{:>10} {:>9.1} % {:>12.0}",
                significant(1e3 * row.seconds_per_step, 4),
                1e2 * row.efficiency,
                row.examples_per_second
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
                    "  {kind:<9} from {k} devices on, the reduction takes longer than computing"
                ),
                (None, Some(last)) => writeln!(
                    text,
                    "  {kind:<9} computing takes longer than the reduction up to {} devices",
                    last.devices
                ),
                (None, None) => Ok(()),
            };
        }
        let _ = match self.noise_scale {
            Some(noise) => {
                let mut above = self.weak.iter().filter(|row| row.batch_size as f64 > noise);
                match above.next() {
                    Some(row) => write!(
                        text,
                        "  B_simple  {noise:.0}: from {} devices on, the batch of weak scaling is larger, and saves few steps",
                        row.devices
                    ),
                    None => write!(text, "  B_simple  {noise:.0}: above all batches here"),
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
