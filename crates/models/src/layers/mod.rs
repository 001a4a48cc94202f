//! The layers of the models. Parameters are named as in PyTorch.

mod activation;
mod batch_norm;
mod conv;
mod dropout;
mod linear;
mod pool;

pub use activation::Activation;
pub use batch_norm::BatchNorm;
pub use conv::Conv2d;
pub use dropout::Dropout;
pub use linear::Linear;
pub use pool::{Pool, global_average, max_pool_same_relu};
