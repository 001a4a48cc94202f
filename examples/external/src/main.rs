//! The command line of largebatch with one more optimizer, model, schedule and data format.
//!
//! ```text
//! cargo run --release -- optimizers lion
//! cargo run --release -- train --dataset digits --model residual-mlp --optimizer lion --lr 0.001 --schedule wsd
//! ```

use std::process::ExitCode;

use largebatch::Lab;
use my_lab::json_lines::JsonLines;
use my_lab::lion::LionConfig;
use my_lab::residual::ResidualConfig;
use my_lab::wsd::Wsd;

fn main() -> ExitCode {
    largebatch::cli::main(
        Lab::standard()
            .optimizer::<LionConfig>()
            .model::<ResidualConfig>()
            .schedule::<Wsd>()
            .format::<JsonLines>(),
    )
}
