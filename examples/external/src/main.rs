//! The command line of largebatch with one more optimizer, model, schedule, data set, file format and probe.
//!
//! ```text
//! cargo run --release -- optimizers adabelief
//! cargo run --release -- train --dataset two-moons --model residual-mlp --optimizer adabelief --lr 0.001 --schedule wsd
//! ```

use std::process::ExitCode;

use largebatch::Lab;
use my_lab::adabelief::AdaBeliefConfig;
use my_lab::json_lines::JsonLines;
use my_lab::random_rise::RandomRise;
use my_lab::residual::ResidualConfig;
use my_lab::two_moons::TwoMoons;
use my_lab::wsd::Wsd;

fn main() -> ExitCode {
    largebatch::cli::main(
        Lab::standard()
            .optimizer::<AdaBeliefConfig>()
            .model::<ResidualConfig>()
            .schedule::<Wsd>()
            .dataset::<TwoMoons>()
            .format::<JsonLines>()
            .probe::<RandomRise>(),
    )
}
