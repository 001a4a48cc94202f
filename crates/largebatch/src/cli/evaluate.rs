//! `largebatch evaluate`.

use anyhow::Result;
use clap::Args;
use largebatch_train::{Confusion, Lab, Scores, Split, TrainError, load_network, model_data};
use serde_json::json;

use super::network::NetworkArgs;
use super::{Done, Global, aligned, print, print_json, tell_data};

/// The most classes that the tables show in full.
const CLASSES: usize = 20;

/// Evaluate a run's model on a part of its data: loss and accuracy, and for classes the confusion
/// matrix, precision, recall and F1
#[derive(Args)]
pub(super) struct EvaluateArgs {
    #[command(flatten)]
    network: NetworkArgs,
    /// Part of the data
    #[arg(long, value_parser = ["train", "validation", "test"], default_value = "validation")]
    part: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: EvaluateArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let trained = args.network.open()?;
    let mut experiment = args.network.experiment(&trained, lab)?;
    let (weights, place) = (&trained.weights, &trained.place);
    // Other weights may come from training on data with another scaling.
    if let Some(data) = model_data(weights, place)? {
        experiment.adopt(&data, place)?;
    }
    let network = load_network(&experiment, weights, place)?;
    let name = args.part.as_str();
    let which = match name {
        "train" => Split::Train,
        "test" => Split::Test,
        _ => Split::Validation,
    };
    let Some(metrics) = experiment.evaluate(&network, which)? else {
        let message = format!("its {name} part is empty; choose another --part");
        return Err(TrainError::folder(&args.network.run, message).into());
    };
    let [validation, test] = experiment.dataset.majority_accuracy(&experiment.holdout);
    let confusion = experiment.confusion(&network, which);
    let named = &experiment.dataset.class_names;
    let names = |confusion: &Confusion| -> Vec<String> {
        let name = |class: usize| {
            named
                .get(class)
                .cloned()
                .unwrap_or_else(|| class.to_string())
        };
        (0..confusion.counts.len()).map(name).collect()
    };
    if args.json {
        let mut object = serde_json::to_value(metrics)?;
        object["majority_accuracy"] = match which {
            Split::Train => json!(null),
            Split::Validation => json!(validation),
            Split::Test => json!(test),
        };
        object["part"] = json!(name);
        object["run"] = json!(args.network.run.display().to_string());
        if let Some(confusion) = &confusion {
            let mut classes = json!(confusion.classes());
            for (i, name) in names(confusion).into_iter().enumerate() {
                classes[i]["class"] = json!(name);
            }
            object["confusion"] = json!(confusion.counts);
            object["classes"] = classes;
            object["macro"] = json!(confusion.macro_average());
        }
        print_json(&object)?;
    } else {
        let loss = match metrics.loss {
            loss if loss.is_finite() => format!("{loss:.6}"),
            _ => "too large for f32".to_owned(),
        };
        let (headline, n) = (metrics.headline(), metrics.n);
        print(format_args!("{name}: {headline} of {n}, loss {loss}"))?;
        if let Some(confusion) = &confusion {
            print(tables(confusion, &names(confusion)).trim_end())?;
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
        let short = |name: &String| match name.chars().count() {
            0..=12 => name.clone(),
            _ => format!("{name:.11}…"),
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
        let f1 = |class: usize| all[class].scores.f1.unwrap_or(2.0);
        shown.sort_by(|&a, &b| f1(a).total_cmp(&f1(b)));
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
