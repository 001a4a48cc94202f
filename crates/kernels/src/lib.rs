//! largebatch's kernels for Burn: what Burn 0.22 does in several passes over memory, in one.
//!
//! - [`layers`]: convolution, pooling, batch norm and the fully connected layer on the CPU, differentiable.
//! - [`steps`]: the steps of the optimizers on the CPU and, under the features `wgpu` and `cuda`, on GPUs.
//!
//! Each applies to f32 on the backends that its module names. Everywhere else, and everywhere if the environment variable `LARGEBATCH_KERNELS`
//! is `off`, the caller's composition of Burn's operations runs in its place. The results agree up to rounding, on the CPU with the same bits
//! for any number of threads.

pub mod layers;
pub mod steps;

/// How the kernels compute on this processor: by `AVX-512`, by `AVX2`, without either (none), or not at all (`kernels off`). Each way adds in another
/// order, so that trainings differ in their last bits, and in the end in more.
pub fn vectors() -> Option<&'static str> {
    if enabled() {
        layers::vectors()
    } else {
        Some("kernels off")
    }
}

/// Whether the user wants these kernels.
fn enabled() -> bool {
    const OFF: [&str; 4] = ["off", "0", "false", "no"];
    static ENABLED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        std::env::var_os("LARGEBATCH_KERNELS")
            .is_none_or(|v| !OFF.iter().any(|off| v.eq_ignore_ascii_case(off)))
    });
    *ENABLED
}
