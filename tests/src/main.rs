//! The `largebatch` program again, for the black-box tests.

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    // So that a test sees what a panic does.
    if let Ok(ms) = std::env::var("PANIC_AFTER_MS") {
        let ms = ms.parse().expect("a number of milliseconds");
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(ms));
            panic!("a test wants this panic");
        });
    }
    largebatch::cli::main(largebatch::Lab::standard())
}
