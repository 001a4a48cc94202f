//! ResNet-8 for CIFAR.

use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HiddenInit;
use super::resnet::{ResNet, Shortcut, Size, WIDEST_STAGE};
use crate::{Builder, ConfigError, Init, Io, ModelConfig};

/// ResNet-8 of Shallue et al.: He's CIFAR network (6n + 2 layers) with n = 1, one block per stage.
/// 75,290 parameters on CIFAR-10.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet8Config {
    /// Channels of the first stage; the next two have twice and four times as many.
    #[schemars(range(min = 1, max = WIDEST_STAGE))]
    pub width: usize,
    /// How shortcuts handle a change of size.
    pub shortcut: Shortcut,
    /// How weights are drawn; He's rule by default, as in the paper.
    #[schemars(with = "HiddenInit")]
    pub init: Init,
}

impl Default for ResNet8Config {
    fn default() -> Self {
        ResNet8Config {
            width: 16,
            shortcut: Shortcut::default(),
            init: Init::KaimingNormal,
        }
    }
}

impl ResNet8Config {
    fn size<'a>(&self, io: &'a Io) -> Size<'a> {
        Size {
            model: Self::FACTS.name,
            blocks: 1,
            width: self.width,
            shortcut: self.shortcut,
            init: self.init,
            io,
        }
    }
}

impl ModelConfig for ResNet8Config {
    type Net = ResNet;
    const FACTS: &'static Facts = &Facts {
        name: "resnet8",
        summary: "residual network of 8 layers: one block in each of three stages",
        formula: "",
        paper: "Shallue et al. 2019, arXiv 1811.03600; He et al. 2016, arXiv 1512.03385",
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
