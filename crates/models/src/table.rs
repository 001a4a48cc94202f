//! What a model is, and the open table of models.

use std::fmt::Debug;

use burn::tensor::Device;
use largebatch_component::{Component, Facts, Kind, Opt, options, read, schema};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::builder::MOST_PARAMETERS;
use crate::{Builder, ConfigError, Forward, Init, Io, Loss, Network, models};

/// A model's configuration, which says everything about the model. One file each.
///
/// The type derives serde with `default` and `deny_unknown_fields`, and [`JsonSchema`]: each field
/// is an option, with its doc line and range.
pub trait ModelConfig:
    Default
    + Clone
    + PartialEq
    + Debug
    + Serialize
    + DeserializeOwned
    + JsonSchema
    + Send
    + Sync
    + 'static
{
    /// The network that it builds.
    type Net: Forward;
    /// Name, summary and paper.
    const FACTS: &'static Facts;
    /// Which data it takes, in words.
    const INPUT: &'static str;
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

/// A [`ModelConfig`] behind a pointer: what [`Entry::configure`] returns.
pub trait DynModelConfig: Debug + Send + Sync {
    /// See [`ModelConfig::FACTS`].
    fn facts(&self) -> &'static Facts;
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
    fn facts(&self) -> &'static Facts {
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

type Configure = fn(toml::Table) -> Result<Box<dyn DynModelConfig>, ConfigError>;

/// One model of the table.
#[derive(Clone, Debug)]
pub struct Entry {
    facts: &'static Facts,
    input: &'static str,
    configure: Configure,
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

    /// The entry of a model.
    pub fn of<C: ModelConfig>() -> Self {
        Entry {
            facts: C::FACTS,
            input: C::INPUT,
            configure: |given| {
                let config: C = read(Kind::Model, C::FACTS.name, &C::default(), given)?;
                Ok(Box::new(config))
            },
            options: || options(&C::default()),
            schema: schema::<C>,
        }
    }

    /// Sets options; the others keep their defaults.
    ///
    /// # Errors
    /// [`ConfigError::Component`]: an unknown option, a value of the wrong type or out of range.
    pub fn configure(&self, given: toml::Table) -> Result<Box<dyn DynModelConfig>, ConfigError> {
        (self.configure)(given)
    }

    /// Which data it takes, in words.
    pub fn input(&self) -> &'static str {
        self.input
    }

    /// Its options.
    pub fn options(&self) -> Vec<Opt> {
        (self.options)()
    }

    /// The JSON Schema of its options.
    pub fn schema(&self) -> Value {
        (self.schema)()
    }
}

/// The table of models. It is open: [`Registry::with`](largebatch_component::Registry::with) adds
/// one.
pub type Registry = largebatch_component::Registry<Entry>;

/// The models of this crate. A new one is a file under `models/` and a line here.
pub fn standard() -> Registry {
    Registry::new(Kind::Model)
        .with(Entry::of::<models::LinearConfig>())
        .with(Entry::of::<models::LogisticConfig>())
        .with(Entry::of::<models::SoftmaxConfig>())
        .with(Entry::of::<models::PerceptronConfig>())
        .with(Entry::of::<models::MlpConfig>())
        .with(Entry::of::<models::F1Config>())
        .with(Entry::of::<models::LeNet5Config>())
        .with(Entry::of::<models::SimpleCnnConfig>())
        .with(Entry::of::<models::C1Config>())
        .with(Entry::of::<models::ResNet8Config>())
        .with(Entry::of::<models::ResNet20Config>())
}
