//! largebatch's kernels for Burn: operations that take Burn 0.22 several passes over memory, done
//! in one.
//!
//! - [`layers`]: convolution, pooling, batch norm, the fully connected layer, activations and
//!   losses on the CPU, differentiable.
//! - [`slices`]: the fully connected layer, activations and losses on slices, without a graph.
//! - [`steps`]: the optimizers' steps on the CPU and, with the features `wgpu` and `cuda`, on GPUs.
//!
//! Each works on f32 and on the backends that its module names. In all other cases, and always if
//! the environment variable `LARGEBATCH_KERNELS` is `off`, Burn's own operations run instead. The
//! results agree up to rounding; on the CPU they have the same bits for any number of threads.

/// Runs a body with a tensor's rank as a constant, as Burn does for ranks up to 8; `else` is for
/// all others.
#[macro_export]
macro_rules! with_rank {
    ($rank:expr, $d:ident => $body:expr, else $other:expr) => {
        $crate::with_rank!(@ $rank, $d, $body, $other, 1 2 3 4 5 6 7 8)
    };
    (@ $rank:expr, $d:ident, $body:expr, $other:expr, $($n:literal)*) => {
        match $rank {
            $($n => { const $d: usize = $n; $body })*
            _ => $other,
        }
    };
}

pub mod layers;
mod scratch;
pub mod slices;
pub mod steps;

/// The instructions that the kernels use on this processor: `AVX-512`, `AVX2`, `None` for portable
/// code, or `kernels off` if they are disabled. Each adds in a different order, so training runs
/// differ in their last bits and, in the end, by more.
pub fn vectors() -> Option<&'static str> {
    if enabled() {
        layers::vectors()
    } else {
        Some("kernels off")
    }
}

/// Whether the kernels are enabled: always, unless the environment variable `LARGEBATCH_KERNELS` is
/// `off`.
pub fn enabled() -> bool {
    const OFF: [&str; 4] = ["off", "0", "false", "no"];
    static ENABLED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        std::env::var_os("LARGEBATCH_KERNELS")
            .is_none_or(|v| !OFF.iter().any(|off| v.eq_ignore_ascii_case(off)))
    });
    *ENABLED
}
