//! Creates parameters: the same seed gives the same values on every backend.

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use largebatch_random::{Key, normal, unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How initial weights are drawn, where f = fan-in (the inputs of one output) and o = fan-out.
///
/// | name | weight | bias |
/// | --- | --- | --- |
/// | `kaiming-uniform` | U(−1/√f, 1/√f), PyTorch's default: Kaiming's rule with a = √5 | the same |
/// | `kaiming-normal` | N(0, 2/f) (He et al. 2015, arXiv 1502.01852, for ReLU) | 0 |
/// | `xavier-uniform` | U(−b, b), b = √(6/(f + o)) (Glorot and Bengio 2010) | 0 |
/// | `zero` | 0; only for models without a hidden layer | 0 |
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// Kaiming's rule with a = √5, PyTorch's default.
    #[default]
    KaimingUniform,
    /// Kaiming He's rule for ReLU.
    KaimingNormal,
    /// Xavier Glorot's rule.
    XavierUniform,
    /// All weights are zero.
    Zero,
}

/// The largest number of parameters; a larger model is refused rather than exhausting the memory.
pub(crate) const MOST_PARAMETERS: usize = 1 << 30;

/// Creates a network's parameters, each with a path such as `hidden.0.linear.weight`.
///
/// A parameter's values depend only on the seed and its path, and are drawn on the host. So they
/// are the same on every backend and do not depend on the order in which layers are built. Its
/// [`ParamId`] is a hash of the path, the same in every process.
pub struct Builder {
    key: Key,
    init: Init,
    device: Device,
    path: Vec<String>,
    count: usize,
}

impl Builder {
    /// A builder at the root of a network.
    pub fn new(seed: u64, init: Init, device: &Device) -> Self {
        Builder {
            key: Key::new(seed).word("weights"),
            init,
            device: device.clone(),
            path: Vec::new(),
            count: 0,
        }
    }

    /// Builds a part under a name, which must be the name of its field.
    pub fn part<T>(&mut self, name: impl ToString, build: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_string());
        let part = build(self);
        self.path.pop();
        part
    }

    /// The path of `name` in the current part.
    pub fn path(&self, name: &str) -> String {
        self.path
            .iter()
            .map(String::as_str)
            .chain([name])
            .collect::<Vec<_>>()
            .join(".")
    }

    /// The number of parameters created so far.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// A weight drawn by the rule of `Init`. `shape` is the stored shape; `fans` are fan-in and
    /// fan-out.
    pub fn weight<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        fans: (usize, usize),
    ) -> Param<Tensor<D>> {
        let (fan_in, fan_out) = (fans.0 as f64, fans.1 as f64);
        let key = self.key.word(&self.path(name));
        match self.init {
            Init::KaimingUniform => self.trained(name, shape, uniform(key, 1.0 / fan_in.sqrt())),
            Init::XavierUniform => {
                self.trained(name, shape, uniform(key, (6.0 / (fan_in + fan_out)).sqrt()))
            }
            Init::KaimingNormal => {
                let (mut rng, deviation) = (key.rng(), (2.0 / fan_in).sqrt());
                self.trained(name, shape, || (deviation * normal(&mut rng)) as f32)
            }
            Init::Zero => self.constant(name, shape, 0.0),
        }
    }

    /// A bias drawn by the rule of `Init`.
    pub fn bias(&mut self, name: &str, size: usize, fan_in: usize) -> Param<Tensor<1>> {
        match self.init {
            Init::KaimingUniform => self.trained(
                name,
                [size],
                uniform(
                    self.key.word(&self.path(name)),
                    1.0 / (fan_in as f64).sqrt(),
                ),
            ),
            _ => self.constant(name, [size], 0.0),
        }
    }

    /// A trained parameter whose elements all start at the same value.
    pub fn constant<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        value: f32,
    ) -> Param<Tensor<D>> {
        self.trained(name, shape, || value)
    }

    /// A value without gradient that belongs to the network's state, such as a running mean.
    pub fn buffer<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        value: f32,
    ) -> Param<Tensor<D>> {
        let tensor = self.tensor(shape, || value);
        Param::initialized(id(&self.path(name)), tensor)
    }

    fn trained<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
        draw: impl FnMut() -> f32,
    ) -> Param<Tensor<D>> {
        let tensor = self.tensor(shape, draw);
        Param::initialized(id(&self.path(name)), tensor).set_require_grad(true)
    }

    fn tensor<const D: usize>(
        &mut self,
        shape: [usize; D],
        mut draw: impl FnMut() -> f32,
    ) -> Tensor<D> {
        let size = shape
            .iter()
            .fold(1usize, |product, side| product.saturating_mul(*side));
        self.count = self.count.saturating_add(size);
        // Beyond the limit the network is discarded (see `Blueprint::build`), so nothing is
        // allocated.
        let (shape, size) = if self.count > MOST_PARAMETERS {
            ([1; D], 1)
        } else {
            (shape, size)
        };
        let values: Vec<f32> = (0..size).map(|_| draw()).collect();
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}

/// Draws from U(−bound, bound).
fn uniform(key: Key, bound: f64) -> impl FnMut() -> f32 {
    let mut rng = key.rng();
    move || ((2.0 * unit(&mut rng) - 1.0) * bound) as f32
}

/// The identity of the parameter at a path: FNV-1a, 64 bits.
pub fn id(path: &str) -> ParamId {
    ParamId::from(path.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }))
}
