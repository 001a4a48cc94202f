//! The suites that every component of largebatch must pass.

use largebatch::conformance::{dataset, format, model, schedule};
use largebatch::optim::conformance::{Hand, Reference, check};
use my_lab::{
    json_lines::JsonLines, lion::LionConfig, residual::ResidualConfig, two_moons::TwoMoons,
    wsd::Wsd,
};

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

#[test]
fn the_model_conforms() {
    model::<ResidualConfig>("digits").unwrap_or_else(|failures| panic!("{failures}"));
}

#[test]
fn the_schedule_conforms() {
    schedule::<Wsd>().unwrap_or_else(|failures| panic!("{failures}"));
}

#[test]
fn the_dataset_conforms() {
    dataset::<TwoMoons>().unwrap_or_else(|failures| panic!("{failures}"));
}

#[test]
fn the_format_conforms() {
    let row = |i: usize| format!("{{\"a\": {i}, \"b\": {}, \"y\": \"{}\"}}\n", i % 7, i % 2);
    let text: String = (0..30).map(row).collect();
    let files = [("t.jsonl", text.as_bytes())];
    format::<JsonLines>(&files, "train = \"t.jsonl\"\nlabel = \"y\"")
        .unwrap_or_else(|failures| panic!("{failures}"));
}
