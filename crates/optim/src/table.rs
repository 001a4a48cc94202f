//! The open table of optimizers.

use crate::{
    AdagradConfig, AdamConfig, AdamWConfig, LambConfig, LarsConfig, MomentumConfig, NesterovConfig,
    SgdConfig,
};
use crate::{ConfigError, DynOptimizerConfig, OptimizerConfig};
use largebatch_component::{Component, ComponentError, Facts, Kind, Opt, options, read, schema};
use serde_json::Value;

/// The table of optimizers. It is open: [`Registry::with`](largebatch_component::Registry::with)
/// adds one.
pub type Registry = largebatch_component::Registry<Entry>;

/// The optimizers of this crate. A new one is a file under `rules/` and a line here.
pub fn standard() -> Registry {
    Registry::new(Kind::Optimizer)
        .with(Entry::of::<SgdConfig>())
        .with(Entry::of::<MomentumConfig>())
        .with(Entry::of::<NesterovConfig>())
        .with(Entry::of::<AdagradConfig>())
        .with(Entry::of::<AdamConfig>())
        .with(Entry::of::<AdamWConfig>())
        .with(Entry::of::<LarsConfig>())
        .with(Entry::of::<LambConfig>())
}

type Configure = fn(Option<&str>, toml::Table) -> Result<Box<dyn DynOptimizerConfig>, ConfigError>;

/// One optimizer of the table.
#[derive(Clone, Debug)]
pub struct Entry {
    facts: &'static Facts,
    configure: Configure,
    defaults: fn(Option<&str>) -> Result<toml::Table, ConfigError>,
    options: fn() -> Vec<Opt>,
    schema: fn() -> Value,
}

impl Component for Entry {
    fn facts(&self) -> &'static Facts {
        self.facts
    }
}

impl Entry {
    /// Name, summary, formula, paper, presets.
    pub fn facts(&self) -> &'static Facts {
        self.facts
    }

    /// The entry of an optimizer.
    pub fn of<C: OptimizerConfig>() -> Self {
        Entry {
            facts: C::FACTS,
            configure: |preset, given| {
                let config = read(Kind::Optimizer, C::FACTS.name, &base::<C>(preset)?, given)?;
                C::check(&config)?;
                Ok(Box::new(config))
            },
            // A configuration that TOML cannot write fails its conformance test.
            defaults: |preset| Ok(toml::Table::try_from(base::<C>(preset)?).unwrap_or_default()),
            options: || options(&C::default()),
            schema: schema::<C>,
        }
    }

    /// The optimizer with the options of a preset (by default, the first preset), overridden by
    /// `given`; checked.
    ///
    /// # Errors
    /// An unknown preset or option, a value of the wrong type or out of range, or options that
    /// contradict each other.
    pub fn configure(
        &self,
        preset: Option<&str>,
        given: toml::Table,
    ) -> Result<Box<dyn DynOptimizerConfig>, ConfigError> {
        (self.configure)(preset, given)
    }

    /// Every option of a preset with its value.
    ///
    /// # Errors
    /// An unknown preset.
    pub fn defaults(&self, preset: Option<&str>) -> Result<toml::Table, ConfigError> {
        (self.defaults)(preset)
    }

    /// Its options, with their defaults.
    pub fn options(&self) -> Vec<Opt> {
        (self.options)()
    }

    /// The JSON Schema of its options.
    pub fn schema(&self) -> Value {
        (self.schema)()
    }
}

/// The configuration of a preset; without one, the default.
fn base<C: OptimizerConfig>(preset: Option<&str>) -> Result<C, ComponentError> {
    // Until version 0.3 `textbook` was `lecture`.
    let preset = preset.map(|name| if name == "lecture" { "textbook" } else { name });
    match preset {
        None => Ok(C::default()),
        Some(name) => C::preset(name).ok_or_else(|| ComponentError::UnknownPreset {
            kind: Kind::Optimizer,
            component: C::FACTS.name.into(),
            preset: name.into(),
            known: C::FACTS.presets.iter().map(|p| p.name.into()).collect(),
        }),
    }
}
