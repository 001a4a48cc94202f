//! `largebatch evaluate`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use largebatch_train::{
    Confusion, Lab, RunFolder, Scores, Split, TrainError, load_network, model_data,
};
use serde_json::json;

use super::{
    AcceptData, DataDir, Done, Global, PartArg, aligned, print_json, tell_data, warn_of_divergence,
};

/// The most classes that the tables show in full.
const CLASSES: usize = 20;

/// Evaluate a run's model on a part of its data: loss and accuracy, and for classes the confusion
/// matrix, precision, recall and F1
#[derive(Args)]
pub(super) struct EvaluateArgs {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Part of the data
    #[arg(long, value_enum, default_value = "validation")]
    part: PartArg,
    /// Weights to use instead of the run's: a safetensors file, such as one from PyTorch
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Device to compute on instead of the run's
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    accept: AcceptData,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: EvaluateArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let (folder, file) = RunFolder::open(&args.run)?;
    let mut config = file.config.clone();
    if let Some(device) = args.device {
        config.device = device;
    }
    let mut experiment = file.reopen(
        &args.run,
        config,
        lab,
        args.data_dir.search(),
        args.accept.other(),
    )?;
    let (weights, place) = match &args.weights {
        Some(path) => (
            std::fs::read(path).map_err(TrainError::io(path, "read"))?,
            path.clone(),
        ),
        None => (folder.weights()?, args.run.clone()),
    };
    if args.weights.is_none() {
        warn_of_divergence(&folder)?;
    }
    // Other weights may come from training on data with another scaling.
    if let Some(data) = model_data(&weights, &place)? {
        experiment.adopt(&data, &place)?;
    }
    let network = load_network(&experiment, &weights, &place)?;
    let (which, name) = args.part.which();
    let Some(metrics) = experiment.evaluate(&network, which)? else {
        let message = format!("its {name} part is empty; choose another --part");
        return Err(TrainError::Folder {
            path: args.run,
            message,
        }
        .into());
    };
    let [validation, test] = experiment.dataset.majority_accuracy(&experiment.holdout);
    let confusion = experiment.confusion(&network, which);
    let named = &experiment.dataset.class_names;
    let names = |confusion: &Confusion| -> Vec<String> {
        (0..confusion.counts.len())
            .map(|class| {
                named
                    .get(class)
                    .cloned()
                    .unwrap_or_else(|| class.to_string())
            })
            .collect()
    };
    if args.json {
        let mut object = serde_json::to_value(metrics)?;
        object["majority_accuracy"] = match which {
            Split::Train => json!(null),
            Split::Validation => json!(validation),
            Split::Test => json!(test),
        };
        object["part"] = json!(name);
        object["run"] = json!(args.run.display().to_string());
        if let Some(confusion) = &confusion {
            let classes =
                names(confusion)
                    .into_iter()
                    .zip(confusion.classes())
                    .map(|(name, score)| {
                        let mut class = serde_json::to_value(score)?;
                        class["class"] = json!(name);
                        Ok(class)
                    });
            object["confusion"] = json!(confusion.counts);
            object["classes"] = classes.collect::<Result<_>>()?;
            object["macro"] = json!(confusion.macro_average());
        }
        print_json(&object)?;
    } else {
        let loss = if metrics.loss.is_finite() {
            format!("{:.6}", metrics.loss)
        } else {
            "too large for f32".to_owned()
        };
        writeln!(
            std::io::stdout(),
            "{name}: {} of {}, loss {loss}",
            metrics.headline(),
            metrics.n
        )?;
        if let Some(confusion) = &confusion {
            writeln!(
                std::io::stdout(),
                "{}",
                tables(confusion, &names(confusion)).trim_end()
            )?;
        }
    }
    tell_data(&experiment.dataset, &experiment.holdout, global);
    Ok(Done::Ok)
}

/// The confusion matrix, and precision, recall and F1 of each class. If there are many classes,
/// only those with the lowest F1.
fn tables(confusion: &Confusion, names: &[String]) -> String {
    let (all, mut text) = (confusion.classes(), String::new());
    let mut shown: Vec<usize> = (0..all.len()).collect();
    if all.len() <= CLASSES {
        let short = |name: &String| {
            if name.chars().count() > 12 {
                format!("{:.11}…", name)
            } else {
                name.clone()
            }
        };
        let mut rows = vec![
            std::iter::once("true \\ predicted".to_owned())
                .chain(names.iter().map(short))
                .collect::<Vec<_>>(),
        ];
        for (name, counts) in names.iter().zip(&confusion.counts) {
            rows.push(
                std::iter::once(short(name))
                    .chain(counts.iter().map(u64::to_string))
                    .collect(),
            );
        }
        text += &format!("\n{}", aligned(&rows));
    } else {
        shown.sort_by(|&a, &b| {
            all[a]
                .scores
                .f1
                .unwrap_or(2.0)
                .total_cmp(&all[b].scores.f1.unwrap_or(2.0))
        });
        shown.truncate(CLASSES / 2);
        text += &format!(
            "\nthe {} of {} classes with the lowest F1; --json prints all, and the confusion matrix\n",
            shown.len(),
            all.len()
        );
    }
    let share = |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{share:.4}"));
    let row = |name: &str, n: u64, s: Scores| {
        vec![
            name.to_owned(),
            n.to_string(),
            share(s.precision),
            share(s.recall),
            share(s.f1),
        ]
    };
    let mut rows = vec![
        ["class", "examples", "precision", "recall", "F1"]
            .map(String::from)
            .to_vec(),
    ];
    rows.extend(
        shown
            .iter()
            .map(|&class| row(&names[class], all[class].n, all[class].scores)),
    );
    rows.push(row(
        "macro average",
        all.iter().map(|class| class.n).sum(),
        confusion.macro_average(),
    ));
    text + "\n" + &aligned(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_few_and_of_many_classes() {
        let names = ["setosa", "a name that is too long", "none"].map(String::from);
        let few = Confusion {
            counts: vec![vec![4, 1, 0], vec![0, 5, 0], vec![0, 0, 0]],
        };
        assert_eq!(
            tables(&few, &names),
            "
true \\ predicted  setosa  a name that…  none
setosa                 4             1     0
a name that…           0             5     0
none                   0             0     0

class                    examples  precision  recall      F1
setosa                          5     1.0000  0.8000  0.8889
a name that is too long         5     0.8333  1.0000  0.9091
none                            0          –       –       –
macro average                  10     0.9167  0.9000  0.8990
"
        );
        let mut counts = vec![vec![0; 30]; 30];
        (0..30).for_each(|i| counts[i][i] = 1);
        counts[7][3] = 9;
        let many = tables(
            &Confusion { counts },
            &(0..30).map(|i| format!("c{i}")).collect::<Vec<_>>(),
        );
        let lines: Vec<&str> = many.lines().collect();
        assert!(
            lines[1].contains("10 of 30 classes")
                && lines[4].starts_with("c3 ")
                && lines[5].starts_with("c7 "),
            "{many}"
        );
        assert_eq!(lines.len(), 4 + 10 + 1);
    }
}
