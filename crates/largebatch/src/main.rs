//! The `largebatch` program.

use std::process::ExitCode;

/// Keeps freed blocks, so that a training step's temporaries cost no page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    largebatch::cli::main_with(largebatch::optim::Registry::standard())
}
