//! ResNet-20 for CIFAR.

use serde::{Deserialize, Serialize};

use super::resnet::{PARAMETERS, ResNet, Shortcut, Size};
use crate::{Builder, ConfigError, Facts, Init, Io, Recipe};

/// ResNet-20 of He et al. (6n + 2 layers, n = 3 blocks per stage) with shortcuts of option A.
/// 269,722 parameters on CIFAR-10 ("0.27 M" in the paper).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResNet20Config {
    /// Channels of the first stage; the next two have twice and four times as many.
    pub width: usize,
    /// How shortcuts handle a change of size.
    pub shortcut: Shortcut,
    /// How weights are drawn; He's rule by default, as in the paper.
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

impl Recipe for ResNet20Config {
    type Net = ResNet;
    const FACTS: Facts = Facts {
        name: "resnet20",
        summary: "residual network of 20 layers: three blocks in each of three stages",
        input: "images (CIFAR in the paper); 2 or more classes",
        parameters: PARAMETERS,
        paper: "He et al. 2016, arXiv 1512.03385, 4.2",
    };

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
