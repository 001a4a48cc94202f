use crate::error::{listing, nearest};
use crate::{
    AdagradConfig, AdamConfig, AdamWConfig, LambConfig, LarsConfig, MomentumConfig, NesterovConfig,
    SgdConfig,
};
use crate::{ConfigError, DynRecipe, Facts, Recipe};

/// The list of optimizers. [`Registry::with`] adds one.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    entries: Vec<Entry>,
}

type Configure = fn(Option<&str>, toml::Table) -> Result<Box<dyn DynRecipe>, ConfigError>;

/// One optimizer in the registry.
#[derive(Clone, Debug)]
pub struct Entry {
    facts: &'static Facts,
    configure: Configure,
    defaults: fn(Option<&str>) -> Result<toml::Table, ConfigError>,
}

impl Registry {
    /// The optimizers of this crate.
    pub fn standard() -> Self {
        Registry::default()
            .with::<SgdConfig>()
            .with::<MomentumConfig>()
            .with::<NesterovConfig>()
            .with::<AdagradConfig>()
            .with::<AdamConfig>()
            .with::<AdamWConfig>()
            .with::<LarsConfig>()
            .with::<LambConfig>()
    }

    /// Adds an optimizer, and replaces one with the same name.
    pub fn with<R: Recipe>(mut self) -> Self {
        self.entries.retain(|e| e.facts.name != R::FACTS.name);
        self.entries.push(Entry {
            facts: R::FACTS,
            configure: configure::<R>,
            defaults: defaults::<R>,
        });
        self
    }

    /// The optimizer with this name.
    pub fn named(&self, name: &str) -> Result<&Entry, ConfigError> {
        let known = || self.entries.iter().map(|e| e.facts.name);
        self.entries
            .iter()
            .find(|e| e.facts.name == name)
            .ok_or_else(|| ConfigError::UnknownOptimizer {
                name: name.into(),
                nearest: nearest(name, known()),
                known: listing(known()),
            })
    }

    /// All optimizers, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

impl Entry {
    /// Name, formula, options, presets, paper.
    pub fn facts(&self) -> &'static Facts {
        self.facts
    }

    /// The optimizer with a preset's options, overridden by `options`, and checked. Without a
    /// preset, the default (the first preset) is used.
    pub fn configure(
        &self,
        preset: Option<&str>,
        options: toml::Table,
    ) -> Result<Box<dyn DynRecipe>, ConfigError> {
        (self.configure)(preset, options)
    }

    /// Every option and its value in a preset.
    pub fn defaults(&self, preset: Option<&str>) -> Result<toml::Table, ConfigError> {
        (self.defaults)(preset)
    }
}

fn defaults<R: Recipe>(preset: Option<&str>) -> Result<toml::Table, ConfigError> {
    let known = || R::FACTS.presets.iter().map(|p| p.name);
    let recipe = match preset {
        None => R::default(),
        Some(name) => R::preset(name).ok_or_else(|| ConfigError::UnknownPreset {
            optimizer: R::FACTS.name,
            preset: name.into(),
            nearest: nearest(name, known()),
            known: listing(known()),
        })?,
    };
    toml::Table::try_from(recipe).map_err(|e| ConfigError::Value {
        optimizer: R::FACTS.name,
        message: e.to_string(),
    })
}

fn configure<R: Recipe>(
    preset: Option<&str>,
    options: toml::Table,
) -> Result<Box<dyn DynRecipe>, ConfigError> {
    let mut table = defaults::<R>(preset)?;
    for (option, value) in options {
        if !table.contains_key(&option) {
            let known = || table.keys().map(String::as_str);
            return Err(ConfigError::UnknownOption {
                optimizer: R::FACTS.name,
                nearest: nearest(&option, known()),
                known: listing(known()),
                option,
            });
        }
        // One option at a time, so that the error for a value of the wrong type names the option.
        let mut one = table.clone();
        one.insert(option.clone(), value.clone());
        one.try_into::<R>().map_err(|e| ConfigError::Value {
            optimizer: R::FACTS.name,
            message: format!("option `{option}` cannot be {value}: {}", e.message()),
        })?;
        table.insert(option, value);
    }
    let recipe: R = table
        .try_into()
        .map_err(|e: toml::de::Error| ConfigError::Value {
            optimizer: R::FACTS.name,
            message: e.message().to_string(),
        })?;
    recipe.check()?;
    Ok(Box::new(recipe))
}
