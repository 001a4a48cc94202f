//! `largebatch predict`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use largebatch_report::quote;
use largebatch_train::{Lab, Prediction, Predictor, TrainError, model_data};

use super::network::NetworkArgs;
use super::{Done, Global, counted, say, write_whole};

const EXAMPLES: &str = "\
Examples:
  largebatch predict runs/iris new.csv --out predictions.csv
      For each row of new.csv, in order: its class, and the probability of every class.

  gzip -dc images-idx3-ubyte.gz | largebatch predict runs/mnist - | head
      The classes of images in MNIST's format, from standard input.";

/// Predict the rows of a file with the model of a run: a class with the probability of each class,
/// or a value
///
/// The file must have the format of the run's training data: CSV, LIBSVM or IDX images, plain or
/// .gz. It may leave out the labels. The columns of a CSV file are matched by the features' names,
/// in any order, and other columns are ignored; if the training file had no names, columns are
/// matched by position. The training data are needed only for runs of versions before 0.3, whose
/// weights do not say how features were scaled: the data must then still be there and unchanged.
///
/// The output is CSV, with one row for each row of the file, in order: `prediction`, and for
/// classes a column `p_CLASS` for each class (the perceptron has no probabilities).
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PredictArgs {
    #[command(flatten)]
    network: NetworkArgs,
    /// File with the rows to predict, plain or .gz; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// CSV file to write [default: standard output]
    #[arg(long, value_name = "CSV")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: PredictArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let same = |a: &Path, b: &Path| {
        a.canonicalize()
            .is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
    };
    if let Some(out) = args.out.as_deref().filter(|out| same(out, &args.file)) {
        let why = "this is the file with the rows to predict, which would be overwritten; give another file";
        return Err(TrainError::value("--out", out.display(), why).into());
    }
    let run = args.network.open()?;
    let mut data = model_data(&run.weights, &run.place)?;
    // Weights from elsewhere, such as PyTorch, are used with the run's data.
    if let (None, Some(_), Ok(own)) = (&data, &args.network.weights, run.folder.weights()) {
        data = model_data(&own, &args.network.run)?;
    }
    let data = match data {
        Some(data) => data,
        None => args.network.experiment(&run, lab)?.model_data(),
    };
    let predictor = Predictor::new(lab, &run.config, data, &run.weights, &run.place)?;
    let (part, notes) = predictor.read(&args.file)?;
    let predictions = predictor.predict(&part)?;
    let text = table(&predictor, &predictions);
    match &args.out {
        Some(out) => write_whole(out, text.as_bytes())?,
        None => std::io::stdout().write_all(text.as_bytes())?,
    }
    if !global.quiet {
        notes.iter().for_each(|note| say(note));
        say(&format!(
            "predicted {} with {}",
            counted(part.len(), "row"),
            counted(part.size(), "feature")
        ));
    }
    Ok(Done::Ok)
}

/// The predictions as CSV.
fn table(predictor: &Predictor, predictions: &[Prediction]) -> String {
    let names: Vec<String> = predictor.class_names();
    let mut text = String::from("prediction");
    for name in names.iter().filter(|_| predictor.has_probabilities()) {
        text += &format!(",{}", quote(&format!("p_{name}")));
    }
    let classes: Vec<String> = names.iter().map(|name| quote(name)).collect();
    for prediction in predictions {
        text.push('\n');
        match prediction {
            Prediction::Value(value) => text += &format!("{value:?}"),
            Prediction::Class {
                class,
                probabilities,
            } => {
                text += &classes[*class as usize];
                probabilities
                    .iter()
                    .for_each(|p| text += &format!(",{p:?}"));
            }
        }
    }
    text.push('\n');
    text
}
