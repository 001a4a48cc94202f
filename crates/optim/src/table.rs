//! The open table of optimizers.

use crate::{ConfigError, DynOptimizerConfig, Grouped, OptimizerConfig};
use largebatch_component::{Entry, Kind};

/// The table of optimizers. It is open: [`Registry::with`](largebatch_component::Registry::with)
/// adds one.
pub type Registry = largebatch_component::Registry<Box<dyn DynOptimizerConfig>, ConfigError>;

/// The entry of an optimizer in the [`Registry`].
pub fn entry<C: OptimizerConfig>() -> Entry<Box<dyn DynOptimizerConfig>, ConfigError> {
    let preset = |name: Option<&str>| {
        let optimizer = match name {
            None => Some(C::default()),
            // Until version 0.3 `textbook` was `lecture`.
            Some("lecture") => C::preset("textbook"),
            Some(name) => C::preset(name),
        }?;
        let groups = Vec::new();
        Some(Grouped { optimizer, groups })
    };
    Entry::new(Kind::Optimizer, C::FACTS, preset, |config: Grouped<C>| {
        config.check()?;
        Ok(config.boxed())
    })
}
