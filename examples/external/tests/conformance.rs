//! The tests that every optimizer of largebatch must pass: facts, options, references, resuming
//! with the same bits, unusual shapes and magnitudes, two minima.

use largebatch::optim::conformance::{Hand, Reference, check};
use my_optimizer::LionConfig;

/// The paper's Algorithm 2 on plain numbers: the expected steps, written a second time. Numbers
/// from another implementation are even better; a `Reference` can hold them directly.
fn lion(decay: f64) -> impl FnMut(Hand) {
    move |p| {
        if p.memory.is_empty() {
            p.memory.push(vec![0.0; p.w.len()]);
        }
        for ((w, g), m) in p.w.iter_mut().zip(p.g).zip(&mut p.memory[0]) {
            let c = 0.9 * *m + (1.0 - 0.9) * g;
            let sign = if c == 0.0 { 0.0 } else { c.signum() };
            *w -= p.lr * (sign + decay * *w);
            *m = 0.99 * *m + (1.0 - 0.99) * g;
        }
    }
}

#[test]
fn lion_conforms() {
    let references = [
        Reference::by_hand("Chen et al. 2023, Algorithm 2", lion(0.0)),
        Reference::by_hand("Chen et al. 2023, Algorithm 2", lion(0.1)).option("weight_decay", 0.1),
    ];
    match check::<LionConfig>(&references) {
        Ok(report) => println!("{report}"),
        Err(failures) => panic!("{failures}"),
    }
}
