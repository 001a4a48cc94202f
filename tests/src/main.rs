//! The `largebatch` program again, for the black-box tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    largebatch::cli::main_with(largebatch::optim::Registry::standard())
}
