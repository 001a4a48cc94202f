//! Data parallelism: the parts of a batch, the order in which their gradients are added, and the
//! processes that share them.
//!
//! Adding floating-point numbers in another order gives other bits. Here the order is a balanced
//! binary tree over the parts, which depends on nothing but their number. So the sum is the same,
//! whatever computed the parts: one process, its threads, or processes on many machines
//! ([`Peers`]). [`Cost`] is a model of what the sum costs.

mod cost;
mod error;
mod launcher;
mod loops;
mod mpi;
mod peers;
mod threads;
mod tree;

pub use cost::{Cost, Unconnected, add_seconds_per_byte};
pub use error::ParallelError;
pub use launcher::Launcher;
pub use loops::{add, copy};
pub use mpi::Mpi;
pub use peers::Peers;
pub use threads::in_threads;
pub use tree::{Node, finish, push, share};
