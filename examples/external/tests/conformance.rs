//! The suites that every component of largebatch must pass.

use largebatch::conformance::{dataset, format, model, probe, schedule};
use largebatch::optim::conformance::{Hand, Reference, check};
use my_lab::{
    adabelief::AdaBeliefConfig, json_lines::JsonLines, random_rise::RandomRise,
    residual::ResidualConfig, two_moons::TwoMoons, wsd::Wsd,
};

/// The paper's Algorithm 2 on plain numbers: the expected steps, written a second time. Numbers
/// from another implementation are even better; a `Reference` can hold them directly.
fn adabelief(decay: f64) -> impl FnMut(Hand) {
    move |p| {
        if p.memory.is_empty() {
            p.memory
                .extend([vec![0.0; p.w.len()], vec![0.0; p.w.len()]]);
        }
        let (first, second) = p.memory.split_at_mut(1);
        let (c1, c2) = (
            1.0 - 0.9f64.powi(p.t as i32),
            1.0 - 0.999f64.powi(p.t as i32),
        );
        for (i, (w, g)) in p.w.iter_mut().zip(p.g).enumerate() {
            let (m, s) = (&mut first[0][i], &mut second[0][i]);
            *m = 0.9 * *m + (1.0 - 0.9) * g;
            *s = 0.999 * *s + (1.0 - 0.999) * (g - *m).powi(2) + 1e-8;
            *w *= 1.0 - p.lr * decay;
            *w -= p.lr * (*m / c1) / ((*s / c2).sqrt() + 1e-8);
        }
    }
}

#[test]
fn adabelief_conforms() {
    let references = [
        Reference::by_hand("Zhuang et al. 2020, Algorithm 2", adabelief(0.0)),
        Reference::by_hand("Zhuang et al. 2020, Algorithm 2", adabelief(0.1))
            .option("weight_decay", 0.1),
    ];
    match check::<AdaBeliefConfig>(&references) {
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

#[test]
fn the_probe_conforms() {
    probe::<RandomRise>("digits").unwrap_or_else(|failures| panic!("{failures}"));
}
