//! Rates against PyTorch's schedulers and optax's schedules: `golden.json`, made by `golden.py`, which states their versions.

use largebatch_schedule::{Epochs, ScheduleConfig};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    schedule: ScheduleConfig,
    peak: f64,
    total_steps: usize,
    steps_per_epoch: u64,
    rates: Vec<f64>,
}

#[test]
fn rates_are_those_of_pytorch_and_optax() {
    let golden: Golden = serde_json::from_str(include_str!("golden.json")).unwrap();
    assert!(golden.cases.len() >= 30);
    let mut wrong = Vec::new();
    for case in golden.cases {
        let schedule = case
            .schedule
            .resolve(
                case.peak,
                case.total_steps,
                &Epochs::even(case.steps_per_epoch),
            )
            .unwrap();
        assert_eq!(case.rates.len(), case.total_steps);
        for (step, &rate) in case.rates.iter().enumerate() {
            let ours = schedule.lr(step);
            if (ours - rate).abs() > 1e-12 * rate.abs() {
                wrong.push(format!(
                    "{} step {step}: {ours:e} for {rate:e}, {:.1e} relative",
                    case.name,
                    (ours - rate).abs() / rate
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} values differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
