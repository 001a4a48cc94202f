//! The table of models: names, configurations, and the enum of all networks.

use std::fmt::Debug;

use burn::module::{Devices, Module, ModuleMapper, ModuleVisitor};
use burn::tensor::{Device, Tensor};
use serde::{Serialize, de::DeserializeOwned};

use crate::builder::MOST_PARAMETERS;
use crate::error::nearest;
use crate::{Builder, ConfigError, Init, Io, Loss, Pass, models};

/// Facts about a model that are not code; listings and documentation are generated from them.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The name on the command line and in configurations; also the file's name, with `_` for `-`.
    pub name: &'static str,
    /// A one-line summary.
    pub summary: &'static str,
    /// The data it accepts.
    pub input: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// The paper or book that introduced it.
    pub paper: &'static str,
}

/// One parameter of a model; its default is in the configuration type.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// The configuration key.
    pub name: &'static str,
    /// What it does.
    pub purpose: &'static str,
    /// The allowed values.
    pub range: &'static str,
}

impl Parameter {
    pub(crate) const fn new(
        name: &'static str,
        purpose: &'static str,
        range: &'static str,
    ) -> Self {
        Parameter {
            name,
            purpose,
            range,
        }
    }
}

/// A network: maps a batch of flat examples to outputs.
pub trait Forward: Module {
    /// `x` is `[batch, features]`, with images row by row within each channel; the result is
    /// `[batch, outputs]`.
    fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2>;
}

/// A model's configuration. The type derives serde's traits with `default` and
/// `deny_unknown_fields`.
pub trait Recipe:
    Default + Clone + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The network that it builds.
    type Net: Forward;
    /// The model's row in the table.
    const FACTS: Facts;
    /// Refuses values out of range, and data that the model cannot take.
    ///
    /// # Errors
    /// [`ConfigError::Range`] or [`ConfigError::Data`].
    fn check(&self, io: &Io) -> Result<(), ConfigError>;
    /// How weights are drawn.
    fn init(&self) -> Init;
    /// Builds the network; called only after `check` has succeeded.
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

/// A configured model of any type.
pub trait Blueprint: Debug + Send + Sync {
    /// The model's row in the table.
    fn facts(&self) -> &'static Facts;
    /// Every parameter with its value, defaults included.
    fn parameters(&self) -> toml::Table;
    /// The loss it is trained with.
    fn loss(&self) -> Loss;
    /// Checks whether [`Blueprint::build`] would succeed, except for the limit on the number of
    /// parameters.
    ///
    /// # Errors
    /// [`ConfigError::Range`] or [`ConfigError::Data`].
    fn check(&self, io: &Io) -> Result<(), ConfigError>;
    /// Builds the network with weights drawn from `seed`. On a device with autodiff the network can
    /// be trained.
    ///
    /// # Errors
    /// [`ConfigError::Range`] or [`ConfigError::Data`].
    fn build(&self, io: &Io, seed: u64, device: &Device) -> Result<Model, ConfigError>;
}

#[derive(Debug)]
struct Configured<R: Recipe> {
    recipe: R,
    wrap: fn(R::Net) -> Network,
}

impl<R: Recipe> Blueprint for Configured<R> {
    fn facts(&self) -> &'static Facts {
        &R::FACTS
    }

    fn parameters(&self) -> toml::Table {
        // A configuration contains only numbers, words and lists, which TOML can always represent.
        toml::Table::try_from(&self.recipe).unwrap_or_default()
    }

    fn loss(&self) -> Loss {
        self.recipe.loss()
    }

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        io.check(R::FACTS.name)?;
        self.recipe.check(io)
    }

    fn build(&self, io: &Io, seed: u64, device: &Device) -> Result<Model, ConfigError> {
        self.check(io)?;
        let mut builder = Builder::new(seed, self.recipe.init(), device);
        let network = (self.wrap)(self.recipe.build(io, &mut builder));
        if builder.count() > MOST_PARAMETERS {
            let reason = format!(
                "it would have {} parameters, but at most {MOST_PARAMETERS} are allowed; use smaller widths",
                builder.count()
            );
            return Err(ConfigError::Data {
                model: R::FACTS.name,
                reason,
            });
        }
        Ok(Model {
            network,
            loss: self.recipe.loss(),
        })
    }
}

/// One row of the table.
pub struct Entry {
    /// The facts about the model.
    pub facts: &'static Facts,
    configure: fn(toml::Table) -> Result<Box<dyn Blueprint>, ConfigError>,
}

impl Entry {
    /// Sets parameters; those that are not given keep their defaults.
    ///
    /// # Errors
    /// [`ConfigError::UnknownParameter`] or [`ConfigError::Type`]. Ranges are checked once the data
    /// is known.
    pub fn configure(&self, parameters: toml::Table) -> Result<Box<dyn Blueprint>, ConfigError> {
        (self.configure)(parameters)
    }
}

fn configure<R: Recipe>(
    parameters: toml::Table,
    wrap: fn(R::Net) -> Network,
) -> Result<Box<dyn Blueprint>, ConfigError> {
    let known = || R::FACTS.parameters.iter().map(|p| p.name);
    if let Some(name) = parameters
        .keys()
        .find(|key| known().all(|k| k != key.as_str()))
    {
        return Err(ConfigError::UnknownParameter {
            model: R::FACTS.name,
            name: name.clone(),
            nearest: nearest(name, known()),
            known: known().collect::<Vec<_>>().join(", "),
        });
    }
    let message = |e: toml::de::Error| ConfigError::Type {
        model: R::FACTS.name,
        message: e.to_string().trim().replace('\n', " "),
    };
    Ok(Box::new(Configured {
        recipe: parameters.try_into::<R>().map_err(message)?,
        wrap,
    }))
}

/// All models, in the table's order.
pub fn all() -> &'static [Entry] {
    ALL
}

/// The model with this name.
///
/// # Errors
/// [`ConfigError::UnknownModel`] with the most similar name.
pub fn named(name: &str) -> Result<&'static Entry, ConfigError> {
    let known = || ALL.iter().map(|e| e.facts.name);
    ALL.iter()
        .find(|e| e.facts.name == name)
        .ok_or_else(|| ConfigError::UnknownModel {
            name: name.into(),
            nearest: nearest(name, known()),
            known: known().collect::<Vec<_>>().join(", "),
        })
}

macro_rules! table {
    ($($config:ident => $variant:ident),* $(,)?) => {
        /// The network of any model of the table. An enum, since [`Module`] is not dyn-compatible;
        /// code over models is then compiled once.
        ///
        /// The variants are boxed: a step moves the network several times, and an unboxed enum is
        /// as large as its largest variant.
        #[derive(Clone, Debug)]
        #[allow(missing_docs)]
        pub enum Network { $($variant(Box<<models::$config as Recipe>::Net>)),* }

        static ALL: &[Entry] = &[$(Entry {
            facts: &<models::$config as Recipe>::FACTS,
            configure: |parameters| configure::<models::$config>(parameters, |net| Network::$variant(Box::new(net))),
        }),*];

        impl Forward for Network {
            fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
                match self { $(Network::$variant(n) => n.forward(x, pass)),* }
            }
        }

        // Implemented by hand, because the derived implementation puts the variant's name before
        // every path.
        impl Module for Network {
            fn collect_devices(&self, devices: Devices) -> Devices {
                match self { $(Network::$variant(n) => n.collect_devices(devices)),* }
            }
            fn fork(self, device: &Device) -> Self {
                match self { $(Network::$variant(n) => Network::$variant(Box::new(n.fork(device)))),* }
            }
            fn to_device(self, device: &Device) -> Self {
                match self { $(Network::$variant(n) => Network::$variant(Box::new(n.to_device(device)))),* }
            }
            fn train(self) -> Self {
                match self { $(Network::$variant(n) => Network::$variant(Box::new(n.train()))),* }
            }
            fn valid(&self) -> Self {
                match self { $(Network::$variant(n) => Network::$variant(Box::new(n.valid()))),* }
            }
            fn materialize(self) -> Self {
                match self { $(Network::$variant(n) => Network::$variant(Box::new(n.materialize()))),* }
            }
            fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
                match self { $(Network::$variant(n) => n.visit(visitor)),* }
            }
            fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
                match self { $(Network::$variant(n) => Network::$variant(Box::new(n.map(mapper)))),* }
            }
        }
    };
}

// To add a model, add a file under `models/` and a line here.
table! {
    LinearConfig => Linear,
    LogisticConfig => Logistic,
    SoftmaxConfig => Softmax,
    PerceptronConfig => Perceptron,
    MlpConfig => Mlp,
    F1Config => F1,
    LeNet5Config => LeNet5,
    SimpleCnnConfig => SimpleCnn,
    C1Config => C1,
    ResNet8Config => ResNet8,
    ResNet20Config => ResNet20,
}
