//! A constant rate.

use super::prelude::*;
use crate::Shape;

/// The peak rate throughout: 1.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {}

impl ShapeConfig for Constant {
    const FACTS: Facts = Facts::new("constant", "the peak rate throughout").formula("1");

    fn curve(&self, _: &Training<'_>) -> Result<Curve, ConfigError> {
        Ok(Arc::new(|_| 1.0))
    }
}

impl Default for Shape {
    fn default() -> Self {
        Constant {}.into()
    }
}
