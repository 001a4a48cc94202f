//! The `largebatch` program again, for the black-box tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    largebatch::cli::main(largebatch::Lab::standard())
}
