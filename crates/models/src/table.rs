//! The table of models: names, configuration, and the one enum of networks.

use std::fmt::Debug;

use burn::module::{Devices, Module, ModuleMapper, ModuleVisitor};
use burn::tensor::{Device, Tensor};
use serde::{Serialize, de::DeserializeOwned};

use crate::builder::MOST_PARAMETERS;
use crate::error::nearest;
use crate::{Builder, ConfigError, Init, Io, Loss, Pass, models};

/// What is known of a model beside its code; listings and documentation derive from it.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The word of the command line and of configurations; also the file's name, with `_` for `-`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Which data it takes.
    pub input: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// Where it comes from.
    pub paper: &'static str,
}

/// One parameter of a model; its default stands in the configuration type.
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

/// A network: from a batch of flat examples to outputs.
pub trait Forward: Module {
    /// x is `[batch, features]`, an image row by row within each channel; the result is `[batch, outputs]`.
    fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2>;
}

/// A model's configuration. The type derives serde with `default` and `deny_unknown_fields`.
pub trait Recipe:
    Default + Clone + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The network that it builds.
    type Net: Forward;
    /// The model's row in the table.
    const FACTS: Facts;
    /// Refuse values out of range, and data that the model cannot take.
    ///
    /// # Errors
    /// [`ConfigError::Range`] or [`ConfigError::Data`].
    fn check(&self, io: &Io) -> Result<(), ConfigError>;
    /// How weights are drawn.
    fn init(&self) -> Init;
    /// Build the network; `check` has agreed.
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

/// A configured model of the table, of whatever type.
pub trait Blueprint: Debug + Send + Sync {
    /// The model's row in the table.
    fn facts(&self) -> &'static Facts;
    /// Every parameter with its value, defaults included.
    fn parameters(&self) -> toml::Table;
    /// The loss it is trained with.
    fn loss(&self) -> Loss;
    /// Would [`Blueprint::build`] succeed? (All but the limit on size.)
    ///
    /// # Errors
    /// [`ConfigError::Range`] or [`ConfigError::Data`].
    fn check(&self, io: &Io) -> Result<(), ConfigError>;
    /// Build the network with weights drawn from `seed`. A device with autodiff gives a network that can be trained.
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
        // A configuration is a struct of numbers, words and lists, which TOML can always write.
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
                "it would have {} parameters and at most {MOST_PARAMETERS} are allowed; use smaller widths",
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
    /// What is known of the model.
    pub facts: &'static Facts,
    configure: fn(toml::Table) -> Result<Box<dyn Blueprint>, ConfigError>,
}

impl Entry {
    /// Set parameters; those that are not given keep their default.
    ///
    /// # Errors
    /// [`ConfigError::UnknownParameter`] or [`ConfigError::Type`]. Ranges are checked when the data is known.
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

/// The models in the table's order.
pub fn all() -> &'static [Entry] {
    ALL
}

/// The model of this name.
///
/// # Errors
/// [`ConfigError::UnknownModel`] with the nearest name.
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
        /// The network of any model of the table: [`Module`] is no trait for objects, and so code over models is compiled once.
        #[derive(Clone, Debug)]
        ///
        /// In boxes, because a step moves it several times, and else each would be as large as the largest.
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

        // By hand, because the derived one puts the variant's name in front of every path.
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

// A new model is a file under `models/` and a line here.
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
