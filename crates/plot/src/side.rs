//! An axis of a plot, as its builder describes it.

use crate::axis::{Axis, tick_labels};
use crate::number::significant;

/// The scale of an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scale {
    /// Linear: equal differences have equal lengths.
    #[default]
    Linear,
    /// Logarithmic: equal ratios have equal lengths. Only values above 0 are shown.
    Log,
}

/// A horizontal or vertical axis.
#[derive(Clone, Debug, Default)]
pub struct Side {
    pub title: String,
    pub scale: Scale,
    pub range: Option<(f64, f64)>,
    pub ticks: Option<Vec<f64>>,
    pub names: Vec<String>,
    pub guides: Vec<(String, f64)>,
}

impl Side {
    /// The axis over these values, from one pixel to another.
    pub fn axis(&self, values: impl Iterator<Item = f64>, pad: f64, from: f64, to: f64) -> Axis {
        if !self.names.is_empty() {
            return Axis::linear([-0.6, self.names.len() as f64 - 0.4], 0.0, from, to);
        }
        let (values, pad): (Vec<f64>, f64) = match self.range {
            Some((low, high)) => (vec![low, high], 0.0),
            None => (values.chain(self.guides.iter().map(|g| g.1)).collect(), pad),
        };
        match self.scale {
            Scale::Linear => Axis::linear(values, pad, from, to),
            Scale::Log => Axis::log(values, pad, from, to),
        }
    }

    /// Tick marks and their labels.
    pub fn ticks(&self, axis: &Axis, count: usize) -> (Vec<f64>, Vec<String>) {
        if !self.names.is_empty() {
            return (
                (0..self.names.len()).map(|i| i as f64).collect(),
                self.names.clone(),
            );
        }
        match (&self.ticks, self.scale) {
            (Some(ticks), _) => (
                ticks.clone(),
                ticks.iter().map(|t| significant(*t, 5)).collect(),
            ),
            (None, Scale::Linear) => {
                let ticks = axis.ticks(count);
                let labels = tick_labels(&ticks, 1.0);
                (ticks, labels)
            }
            (None, Scale::Log) => {
                let ticks = axis.ticks(count);
                let labels = ticks.iter().map(|t| significant(*t, 3)).collect();
                (ticks, labels)
            }
        }
    }

    /// Whether a value can be on the axis.
    pub fn shows(&self, value: f64) -> bool {
        value.is_finite() && (self.scale == Scale::Linear || value > 0.0)
    }
}
