//! ResNet-20 for CIFAR.

use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HiddenInit;
use super::resnet::{ResNet, Shortcut, Size, WIDEST_STAGE};
use crate::{Builder, ConfigError, Init, Io, ModelConfig};

/// ResNet-20 of He et al. (6n + 2 layers, n = 3 blocks per stage) with shortcuts of option A.
/// 269,722 parameters on CIFAR-10 ("0.27 M" in the paper).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet20Config {
    /// Channels of the first stage; the next two have twice and four times as many.
    #[schemars(range(min = 1, max = WIDEST_STAGE))]
    pub width: usize,
    /// How shortcuts handle a change of size.
    pub shortcut: Shortcut,
    /// How weights are drawn; He's rule by default, as in the paper.
    #[schemars(with = "HiddenInit")]
    pub init: Init,
}

impl Default for ResNet20Config {
    fn default() -> Self {
        ResNet20Config {
            width: 16,
            shortcut: Shortcut::default(),
            init: Init::KaimingNormal,
        }
    }
}

impl ResNet20Config {
    fn size<'a>(&self, io: &'a Io) -> Size<'a> {
        Size {
            model: Self::FACTS.name,
            blocks: 3,
            width: self.width,
            shortcut: self.shortcut,
            init: self.init,
            io,
        }
    }
}

impl ModelConfig for ResNet20Config {
    type Net = ResNet;
    const FACTS: &'static Facts = &Facts {
        name: "resnet20",
        summary: "residual network of 20 layers: three blocks in each of three stages",
        formula: "",
        paper: "He et al. 2016, arXiv 1512.03385, 4.2",
        presets: &[],
    };
    const INPUT: &'static str = "images (CIFAR in the paper); 2 or more classes";

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        self.size(io).check()
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> ResNet {
        self.size(io).build(b)
    }
}
