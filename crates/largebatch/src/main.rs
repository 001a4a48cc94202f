//! The `largebatch` program.

use std::process::ExitCode;

/// Keeps freed blocks, so that the temporaries of a training step cause no page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    largebatch::cli::main(largebatch::Lab::standard())
}
