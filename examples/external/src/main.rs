//! The command line of largebatch with one more optimizer.
//!
//! ```text
//! cargo run --release -- optimizers lion
//! cargo run --release -- train --dataset digits --model mlp --optimizer lion --lr 0.0003
//! ```

use std::process::ExitCode;

use largebatch::Lab;

fn main() -> ExitCode {
    largebatch::cli::main(Lab::standard().optimizer::<my_optimizer::LionConfig>())
}
