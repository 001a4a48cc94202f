//! The probes against PyTorch, NumPy and SciPy on the same weights and examples; the numbers come
//! from `reference/reference.py`.

use std::path::{Path, PathBuf};

use largebatch_probe::curvature::{CurvatureOptions, Hessian, curvature, hutch_plus_plus};
use largebatch_probe::layers::{layer_table, planned_update};
use largebatch_probe::noise::{NoiseOptions, noise};
use largebatch_probe::sharpness::{Space, ball, keskar};
use largebatch_probe::{Objective, Subject, Subset, unwatched};
use largebatch_random::Key;
use largebatch_train::Lab;
use largebatch_train::{Experiment, RunConfig, Split, load_network};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reference")
}

fn experiment(activation: &str) -> Experiment {
    let text = format!(
        "dataset = {{ name = \"own\", format = \"csv\", train = {0:?}, test = {0:?}, label = \"digit\" }}\n\
         model = {{ name = \"mlp\", widths = [12], activation = \"{activation}\" }}\n\
         optimizer = \"sgd\"\nbatch_size = 10\nlr = 0.1\nepochs = 1\n\
         [data]\nvalidation = 0\npreprocess = {{ normalise = \"none\" }}\n",
        folder().join("digits.csv")
    );
    let config = RunConfig::layered(Some((Path::new("reference"), &text)), &[]).unwrap();
    Experiment::open(config, &Lab::standard(), &Default::default()).unwrap()
}

/// Calls `test` with each network of the reference.
fn each(test: impl Fn(&Experiment, &largebatch_models::Network, &mut Subject<'_>, &Value)) {
    let text = std::fs::read_to_string(folder().join("reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    for wanted in reference["networks"].as_array().unwrap() {
        let name = wanted["network"].as_str().unwrap();
        let experiment = experiment(name);
        let path = folder().join(format!("{name}.safetensors"));
        let network = load_network(&experiment, &std::fs::read(&path).unwrap(), &path).unwrap();
        let mut subject =
            Subject::new(&experiment, &network, Split::Train, Subset::default()).unwrap();
        assert_eq!(
            subject.examples().len() as u64,
            reference["examples"].as_u64().unwrap(),
            "all examples are in the training part"
        );
        assert_eq!(subject.dim() as u64, wanted["parameters"].as_u64().unwrap());
        test(&experiment, &network, &mut subject, wanted);
    }
}

#[track_caller]
fn close(what: &str, found: f64, wanted: &Value, tolerance: f64) {
    let wanted = wanted.as_f64().unwrap();
    assert!(
        (found / wanted - 1.0).abs() < tolerance,
        "{what}: {found}, PyTorch says {wanted}"
    );
}

#[test]
fn loss_and_layer_table() {
    each(|experiment, network, subject, wanted| {
        let w = subject.weights().to_vec();
        let (loss, gradient) = subject.gradient(&w).unwrap();
        close("loss", loss, &wanted["loss"], 1e-12);
        close(
            "loss without gradient",
            subject.loss(&w).unwrap(),
            &wanted["loss"],
            1e-12,
        );
        let update = planned_update(experiment, network, &gradient, None, 0.1).unwrap();
        let table = layer_table(subject.layers(), &w, &gradient, Some(&update)).unwrap();
        for (row, wanted) in table.rows.iter().zip(wanted["layers"].as_array().unwrap()) {
            assert_eq!(row.path, wanted["path"].as_str().unwrap());
            close("weight", row.weight, &wanted["weight"], 1e-12);
            close("gradient", row.gradient, &wanted["gradient"], 1e-10);
            close("ratio", row.ratio.unwrap(), &wanted["ratio"], 1e-10);
            // The optimizer computes its step in f32.
            close(
                "update",
                row.relative_update.unwrap(),
                &wanted["relative_update"],
                1e-4,
            );
        }
        let least = wanted["layers"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|l| l["path"].as_str().unwrap().ends_with("weight"));
        let least = least
            .min_by(|a, b| {
                a["ratio"]
                    .as_f64()
                    .unwrap()
                    .total_cmp(&b["ratio"].as_f64().unwrap())
            })
            .unwrap();
        assert_eq!(table.bounding.as_deref(), least["path"].as_str());
    });
}

#[test]
fn eigenvalues_and_trace() {
    each(|_, _, subject, wanted| {
        let w = subject.weights().to_vec();
        let options = CurvatureOptions {
            iterations: 120,
            tolerance: 1e-6,
            samples: 0,
            vectors: 0,
            ..CurvatureOptions::default()
        };
        let (found, complete) = curvature(subject, &w, &options, &mut unwatched).unwrap();
        assert!(complete && found.converged, "{found:?}");
        for (value, wanted) in found
            .eigenvalues
            .iter()
            .zip(wanted["eigenvalues"].as_array().unwrap())
        {
            close("eigenvalue", *value, wanted, 1e-5);
        }
        assert!(
            found.least >= wanted["least_eigenvalue"].as_f64().unwrap(),
            "no Ritz value is below the smallest eigenvalue"
        );
        // With a sketch as large as the space, Hutch++ is exact.
        let d = subject.dim();
        let trace = hutch_plus_plus(
            &mut Hessian::new(subject, &w),
            3 * d,
            Key::new(1),
            &mut unwatched,
        )
        .unwrap()
        .unwrap();
        close("trace", trace.value, &wanted["hessian_trace"], 1e-4);
    });
}

#[test]
fn noise_scale() {
    each(|_, _, subject, wanted| {
        let (w, layers) = (subject.weights().to_vec(), subject.layers().to_vec());
        let options = NoiseOptions {
            replicates: 0,
            pairs: 0,
            ..NoiseOptions::default()
        };
        let (found, _) = noise(subject, &w, &layers, &options, &mut unwatched).unwrap();
        close(
            "|G|²",
            found.gradient_square,
            &wanted["gradient_square"],
            1e-10,
        );
        close("tr Σ", found.trace, &wanted["noise_trace"], 1e-10);
        close(
            "B_simple",
            found.b_simple.unwrap(),
            &wanted["b_simple"],
            1e-10,
        );
        for (layer, wanted) in found
            .layers
            .iter()
            .zip(wanted["layers"].as_array().unwrap())
        {
            close(&layer.path, layer.trace, &wanted["noise"], 1e-10);
        }
    });
}

/// The sharpness in Keskar's box as SciPy's L-BFGS-B finds it without the limit of ten iterations,
/// and the loss after SAM's step.
#[test]
fn sharpness_is_scipys() {
    each(|_, _, subject, wanted| {
        let w = subject.weights().to_vec();
        for wanted in wanted["sharpness"].as_array().unwrap() {
            let epsilon = wanted["epsilon"].as_f64().unwrap();
            let found = keskar(subject, &w, Space::Full, epsilon, 500, 0, &mut unwatched).unwrap();
            close("sharpness", found.sharpness, &wanted["value"], 1e-4);
        }
        let sam = &wanted["sam"];
        let found = ball(subject, &w, sam["rho"].as_f64().unwrap(), 1, &mut unwatched).unwrap();
        close("SAM's step", found.first, &sam["loss"], 1e-10);
    });
}
