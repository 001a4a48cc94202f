//! The built-in sets against scikit-learn's loaders: `datasets/data/expected.json`, written by `datasets/make.py`.

use largebatch_data::{
    DataError, Dataset, Labels, Normalise, Part, Pipeline, Preprocess, Search, Task, open,
};
use sha2::{Digest, Sha256};

fn all() -> [(Dataset, serde_json::Value); 3] {
    let expected: serde_json::Value =
        serde_json::from_str(include_str!("../../../datasets/data/expected.json")).unwrap();
    ["digits", "breast-cancer", "diabetes"].map(|name| {
        (
            open(name, &Search::default()).unwrap(),
            expected[name].clone(),
        )
    })
}

fn raw(part: &Part) -> Vec<f32> {
    let indices: Vec<u32> = (0..part.len() as u32).collect();
    let mut out = Vec::new();
    Pipeline::fit(Preprocess::default(), part, &indices)
        .unwrap()
        .gather(part, &indices, None, &mut out);
    out
}

#[test]
fn values_are_scikit_learns() {
    for (set, expected) in all() {
        for (part, which) in [(&set.train, "train"), (&set.test, "test")] {
            assert_eq!(
                part.len(),
                expected[which].as_u64().unwrap() as usize,
                "{} {which}",
                set.name
            );
            assert_eq!(part.size(), expected["features"].as_u64().unwrap() as usize);
            let bytes: Vec<u8> = raw(part).iter().flat_map(|x| x.to_le_bytes()).collect();
            let hash: String = Sha256::digest(&bytes)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(
                hash,
                expected[format!("sha256_{which}")],
                "{} {which}",
                set.name
            );
            let sum: f64 = match part.labels() {
                Labels::Classes(l) => l.iter().map(|&x| f64::from(x)).sum(),
                Labels::Targets(l) => l.iter().sum(),
            };
            assert_eq!(
                sum,
                expected[format!("label_sum_{which}")].as_f64().unwrap(),
                "{} {which}",
                set.name
            );
        }
    }
}

#[test]
fn shapes_and_tasks() {
    let [digits, cancer, diabetes] = all().map(|(set, _)| set);
    assert_eq!(
        (
            digits.task,
            digits.shape.as_slice(),
            digits.class_names.len()
        ),
        (Task::Classes(10), [1, 8, 8].as_slice(), 10)
    );
    assert_eq!(
        (cancer.task, cancer.shape.as_slice(), cancer.class_names),
        (
            Task::Classes(2),
            [30].as_slice(),
            vec!["malignant".into(), "benign".into()]
        )
    );
    assert_eq!(
        (diabetes.task, diabetes.shape.as_slice()),
        (Task::Real, [10].as_slice())
    );
    // 212 malignant, 357 benign: scikit-learn's description of the set.
    let count = |part: &Part| {
        if let Labels::Classes(l) = part.labels() {
            l.iter().filter(|&&c| c == 0).count()
        } else {
            0
        }
    };
    assert_eq!(count(&cancer.train) + count(&cancer.test), 212);
}

/// A fifth of every class is held out, to within one example.
#[test]
fn test_parts_are_stratified() {
    for (set, _) in all() {
        let (Labels::Classes(train), Labels::Classes(test)) =
            (set.train.labels(), set.test.labels())
        else {
            continue;
        };
        for class in 0..set.class_names.len() as u32 {
            let count = |l: &[u32]| l.iter().filter(|&&c| c == class).count() as f64;
            assert!(
                (count(test) - (count(train) + count(test)) / 5.0).abs() <= 1.0,
                "{} {class}",
                set.name
            );
        }
    }
}

/// Standardisation: the mean and deviation of each training feature are 0 and 1.
#[test]
fn defaults_standardise_tables_and_scale_pixels() {
    let [digits, cancer, _] = all().map(|(set, _)| set);
    assert_eq!(
        (digits.preprocess.normalise, cancer.preprocess.normalise),
        (Some(Normalise::Unit), Some(Normalise::Feature))
    );
    let (mut out, indices) = (
        Vec::new(),
        (0..cancer.train.len() as u32).collect::<Vec<_>>(),
    );
    Pipeline::fit(cancer.preprocess, &cancer.train, &indices)
        .unwrap()
        .gather(&cancer.train, &indices, None, &mut out);
    for j in 0..30 {
        let column: Vec<f64> = out
            .iter()
            .skip(j)
            .step_by(30)
            .map(|&x| f64::from(x))
            .collect();
        let n = column.len() as f64;
        let mean = column.iter().sum::<f64>() / n;
        let variance = column.iter().map(|x| x * x).sum::<f64>() / n - mean * mean;
        assert!(
            mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5,
            "feature {j}: {mean} {variance}"
        );
    }
    Pipeline::fit(digits.preprocess, &digits.train, &[0])
        .unwrap()
        .gather(&digits.test, &[0, 1], None, &mut out);
    let largest = out.iter().copied().fold(0.0, f32::max);
    assert!(
        out.len() == 128 && out.iter().all(|x| (x * 16.0).fract() == 0.0) && largest == 1.0,
        "{largest}"
    );
}

#[test]
fn an_unknown_name_gets_the_nearest() {
    let error = open("digit", &Search::default()).err().unwrap();
    assert!(matches!(&error, DataError::UnknownSet { .. }), "{error}");
    assert!(
        error.to_string().contains("did you mean `digits`?"),
        "{error}"
    );
    assert!(
        open("zzz", &Search::default())
            .err()
            .unwrap()
            .to_string()
            .starts_with("unknown data set `zzz`; the data sets are `digits`, ")
    );
}
