//! Warm-ups.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use crate::epochs::Epochs;
use crate::error::{ConfigError, require};
use crate::span::{Span, Units};

/// How the rate rises at the start of training.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WarmupKind {
    /// No warm-up; start and length are ignored.
    None,
    /// A straight line from `start` · r to r over W steps: rate(t) = r · (start + (1 − start) · t /
    /// W), where r is the curve's first rate.
    ///
    /// The "gradual warm-up" of Goyal et al. 2017 (arXiv 1706.02677), where `start` is 1/k for k
    /// workers. The same as PyTorch's `LinearLR(start_factor, total_iters = W)`, whose
    /// `start_factor` is 1/3 by default, and optax's `linear_schedule`.
    Linear,
    /// `start` · r for W steps, then r at once: the constant warm-up that Goyal et al. compare
    /// with; PyTorch's `ConstantLR`.
    Constant,
}

/// A warm-up: its kind, where it starts and how long it lasts.
///
/// In TOML the length is in the same table: `warmup = { epochs = 5 }`,
/// `warmup = { name = "constant", start = 0.1, fraction = 0.05 }`; on the command line
/// `--set schedule.warmup.epochs=5`. Without `name` the warm-up is linear; without a length it
/// takes 5 % of training; a length of 0 means no warm-up.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "RawWarmup")]
pub struct Warmup {
    /// The kind of warm-up.
    #[serde(rename = "name")]
    pub kind: WarmupKind,
    /// The first rate, as a fraction of the curve's first rate, in [0, 1]; 0 by default for linear, 0.1 for constant.
    pub start: f64,
    /// How long it lasts; a fraction refers to the whole training.
    #[serde(flatten)]
    pub length: Span,
}

impl Warmup {
    /// No warm-up.
    pub const NONE: Warmup = Warmup {
        kind: WarmupKind::None,
        start: 0.0,
        length: Span::Steps(0),
    };

    /// A straight line from zero over `length`.
    pub fn linear(length: Span) -> Self {
        Warmup {
            kind: WarmupKind::Linear,
            start: 0.0,
            length,
        }
    }

    /// A constant fraction `start` of the rate during `length`.
    pub fn constant(start: f64, length: Span) -> Self {
        Warmup {
            kind: WarmupKind::Constant,
            start,
            length,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.kind == WarmupKind::None {
            return Ok(());
        }
        require(
            (0.0..=1.0).contains(&self.start),
            "schedule.warmup.start",
            self.start,
            "a fraction of the rate, between 0 and 1",
        )?;
        self.length.check("schedule.warmup", false)
    }

    /// The length in steps; 0 for none.
    pub(crate) fn steps(&self, total: f64, epochs: &Epochs) -> f64 {
        if self.kind == WarmupKind::None {
            0.0
        } else {
            self.length.steps(total, 0.0, epochs)
        }
    }

    /// The factor of the curve's first rate at `t` steps into a warm-up of `length` > `t` steps.
    pub(crate) fn factor(&self, t: f64, length: f64) -> f64 {
        match self.kind {
            WarmupKind::None => 1.0,
            WarmupKind::Linear => self.start + (1.0 - self.start) * (t / length),
            WarmupKind::Constant => self.start,
        }
    }
}

impl Default for Warmup {
    fn default() -> Self {
        Warmup::NONE
    }
}

impl JsonSchema for Warmup {
    fn schema_name() -> Cow<'static, str> {
        "Warmup".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "name": { "enum": ["none", "linear", "constant"] },
                "start": { "type": "number", "minimum": 0, "maximum": 1 },
                "fraction": { "type": "number", "minimum": 0, "maximum": 1 },
                "epochs": { "type": "number", "minimum": 0 },
                "steps": { "type": "integer", "minimum": 0 }
            },
            "additionalProperties": false,
            "values": "{ name = none | linear | constant, start = 0 to 1, fraction | epochs | steps = length }; { epochs = 5 } is linear from 0"
        })
    }
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a warm-up such as { epochs = 5 } or { name = \"linear\", start = 0.1, fraction = 0.05 }"
)]
struct RawWarmup {
    name: Option<WarmupKind>,
    start: Option<f64>,
    fraction: Option<f64>,
    epochs: Option<f64>,
    steps: Option<u64>,
}

impl TryFrom<RawWarmup> for Warmup {
    type Error = ConfigError;
    fn try_from(raw: RawWarmup) -> Result<Self, ConfigError> {
        let kind = raw.name.unwrap_or(WarmupKind::Linear);
        let start = raw.start.unwrap_or(if kind == WarmupKind::Constant {
            0.1
        } else {
            0.0
        });
        let units = Units::new(raw.fraction, raw.epochs, raw.steps);
        let length = if units.is_empty() {
            Span::Fraction(0.05)
        } else {
            units.try_into()?
        };
        Ok(if kind == WarmupKind::None {
            Warmup::NONE
        } else {
            Warmup {
                kind,
                start,
                length,
            }
        })
    }
}
