//! Models, schedules, formats and probes of this project pass the suites that yours must pass: those whose
//! defaults fit the data that ship with the program.

#![cfg(feature = "cli")]

use largebatch::conformance::{format, model, probe, schedule};
use largebatch::data::{CsvSpec, LibsvmSpec};
use largebatch::{models::models, probe as probes, schedule as shapes};

#[test]
fn models_conform() {
    let all = [
        model::<models::LinearConfig>("diabetes"),
        model::<models::LogisticConfig>("breast-cancer"),
        model::<models::PerceptronConfig>("breast-cancer"),
        model::<models::SoftmaxConfig>("digits"),
        model::<models::MlpConfig>("digits"),
        model::<models::F1Config>("breast-cancer"),
        model::<models::C1Config>("digits"),
        model::<models::SimpleCnnConfig>("digits"),
        model::<models::ResNetConfig>("digits"),
    ];
    for result in all {
        result.unwrap_or_else(|failures| panic!("{failures}"));
    }
}

#[test]
fn schedules_conform() {
    let all = [
        schedule::<shapes::Constant>(),
        schedule::<shapes::PowerLaw>(),
        schedule::<shapes::Polynomial>(),
        schedule::<shapes::Linear>(),
        schedule::<shapes::Exponential>(),
        schedule::<shapes::Cosine>(),
        schedule::<shapes::CosineRestarts>(),
        schedule::<shapes::Cyclic>(),
        schedule::<shapes::OneCycle>(),
    ];
    for result in all {
        result.unwrap_or_else(|failures| panic!("{failures}"));
    }
}

#[test]
fn formats_conform() {
    let rows = (0..30).map(|i| format!("{i},{},{}\n", i % 7, ["no", "yes"][i % 2]));
    let csv = format!("a,b,y\n{}", rows.collect::<String>());
    let rows = (0..30).map(|i| format!("{} 1:{i} 3:{}\n", i % 2, i % 7));
    let svm: String = rows.collect();
    format::<CsvSpec>(
        &[("t.csv", csv.as_bytes())],
        "train = \"t.csv\"\nlabel = \"y\"",
    )
    .unwrap_or_else(|failures| panic!("{failures}"));
    format::<LibsvmSpec>(&[("t.svm", svm.as_bytes())], "train = \"t.svm\"")
        .unwrap_or_else(|failures| panic!("{failures}"));
}

#[test]
fn probes_conform() {
    let all = [
        probe::<probes::layers::Layers>("digits"),
        probe::<probes::noise::NoiseOptions>("digits"),
        probe::<probes::noise::NoisePairs>("digits"),
        probe::<probes::curvature::CurvatureOptions>("digits"),
        probe::<probes::line::LineOptions>("digits"),
        probe::<probes::sharpness::SharpnessOptions>("digits"),
        probe::<probes::surface::SurfaceOptions>("digits"),
        probe::<probes::lr_find::RangeTest>("digits"),
        probe::<probes::batch_find::BatchSearch>("digits"),
    ];
    for result in all {
        result.unwrap_or_else(|failures| panic!("{failures}"));
    }
}
