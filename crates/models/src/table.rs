//! What a model is, and the open table of models.

use std::fmt::Debug;

use burn::tensor::Device;
use largebatch_component::{Config, Entry, Facts, Kind};

use crate::builder::MOST_PARAMETERS;
use crate::{Builder, ConfigError, Forward, Init, Io, Loss, Network};

/// A model's configuration, which says everything about the model. One file each.
///
/// The type derives what a [`Config`] needs.
pub trait ModelConfig: Config + Default {
    /// The network that it builds.
    type Net: Forward;
    /// Name, summary, paper and input.
    const FACTS: Facts;
    /// Refuses data that the model cannot take, and options that contradict each other. Ranges are
    /// checked before.
    ///
    /// # Errors
    /// [`ConfigError::Data`] or [`ConfigError::Option`].
    fn check(&self, io: &Io) -> Result<(), ConfigError>;
    /// How weights are drawn.
    fn init(&self) -> Init;
    /// Builds the network; `check` has passed.
    fn build(&self, io: &Io, b: &mut Builder) -> Self::Net;
    /// The loss it is trained with.
    fn loss(&self) -> Loss {
        Loss::CrossEntropy
    }
}

/// A network together with its loss.
#[derive(Clone, Debug)]
pub struct Model {
    /// The network.
    pub network: Network,
    /// Its loss.
    pub loss: Loss,
}

/// A [`ModelConfig`] behind a pointer, as the [`Registry`] returns it.
pub trait DynModelConfig: Debug + Send + Sync {
    /// See [`ModelConfig::FACTS`].
    fn facts(&self) -> Facts;
    /// Every option with its value, defaults included.
    fn table(&self) -> toml::Table;
    /// See [`ModelConfig::loss`].
    fn loss(&self) -> Loss;
    /// Checks everything that [`DynModelConfig::build`] checks, except the limit on size.
    ///
    /// # Errors
    /// [`ConfigError::Data`] or [`ConfigError::Option`].
    fn check(&self, io: &Io) -> Result<(), ConfigError>;
    /// Builds the network with weights drawn from `seed`. A device with autodiff gives a network
    /// that can be trained.
    ///
    /// # Errors
    /// [`ConfigError::Data`] or [`ConfigError::Option`].
    fn build(&self, io: &Io, seed: u64, device: &Device) -> Result<Model, ConfigError>;
}

impl<C: ModelConfig> DynModelConfig for C {
    fn facts(&self) -> Facts {
        C::FACTS
    }

    fn table(&self) -> toml::Table {
        // A configuration is a struct of numbers, words and lists, which TOML can always write.
        toml::Table::try_from(self).unwrap_or_default()
    }

    fn loss(&self) -> Loss {
        ModelConfig::loss(self)
    }

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        io.check(C::FACTS.name)?;
        ModelConfig::check(self, io)
    }

    fn build(&self, io: &Io, seed: u64, device: &Device) -> Result<Model, ConfigError> {
        DynModelConfig::check(self, io)?;
        let mut builder = Builder::new(seed, self.init(), device);
        let network = Network::new(ModelConfig::build(self, io, &mut builder));
        if builder.count() > MOST_PARAMETERS {
            let reason = format!(
                "it would have {} parameters, but at most {MOST_PARAMETERS} are allowed; use smaller widths",
                builder.count()
            );
            return Err(ConfigError::Data {
                model: C::FACTS.name,
                reason,
            });
        }
        Ok(Model {
            network,
            loss: ModelConfig::loss(self),
        })
    }
}

/// The table of models. It is open: [`Registry::with`](largebatch_component::Registry::with) adds
/// one.
pub type Registry = largebatch_component::Registry<Box<dyn DynModelConfig>, ConfigError>;

/// The entry of a model in the [`Registry`].
pub fn entry<C: ModelConfig>() -> Entry<Box<dyn DynModelConfig>, ConfigError> {
    let defaults = |preset: Option<&str>| preset.is_none().then(C::default);
    Entry::new(Kind::Model, C::FACTS, defaults, |config: C| {
        Ok(Box::new(config) as Box<dyn DynModelConfig>)
    })
}
