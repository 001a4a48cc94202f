//! What a component of the laboratory (an optimizer, a schedule, a model, a data format) says about itself, and the open
//! tables that hold the components of each kind.
//!
//! A component is described in one place, its configuration type: [`Facts`] hold its name, formula and paper; each option is a
//! field with its doc line, its default (by [`Default`]) and its range (by `schemars` attributes). From them come the reader
//! with its errors, the listings, the documentation and the JSON Schema.
//!
//! ```
//! use largebatch_component::{Facts, Kind, read};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct Momentum {
//!     /// Momentum μ.
//!     #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "at 1 the velocity never forgets"))]
//!     momentum: f64,
//! }
//!
//! impl Default for Momentum {
//!     fn default() -> Self {
//!         Momentum { momentum: 0.9 }
//!     }
//! }
//!
//! let base = toml::Table::try_from(Momentum::default()).unwrap();
//! let read = |text: &str| read::<Momentum>(Kind::Optimizer, "momentum", base.clone(), text.parse().unwrap());
//! assert_eq!(read("momentum = 0.5").unwrap().momentum, 0.5);
//! let error = read("momentum = 1.5").unwrap_err().to_string();
//! assert_eq!(error, "optimizer `momentum`: `momentum` is 1.5, but it must be 0 ≤ x < 1: at 1 the velocity never forgets");
//! let error = read("momentun = 0.5").unwrap_err().to_string();
//! assert_eq!(error, "optimizer `momentum` has no option `momentun`, did you mean `momentum`? It has `momentum`");
//! ```
#![warn(missing_docs)]

mod error;
mod facts;
mod options;
mod read;
mod registry;
mod words;

pub mod settings;

/// For `#[derive(JsonSchema)]`.
pub use schemars;

pub use error::ComponentError;
pub use facts::{Facts, Kind};
pub use options::{Opt, Violation, check, listed, options, schema, violation};
pub use read::{Config, read};
pub use registry::{Entry, Registry};
pub use words::{backticked, closest, nearest, shortened, suggestion, unknown};
