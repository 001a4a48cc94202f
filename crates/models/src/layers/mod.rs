//! The layers that the models are made of. Parameters are named as PyTorch's.

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
