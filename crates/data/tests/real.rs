//! MNIST, Fashion-MNIST and CIFAR-10 from the folder LARGEBATCH_DATA_DIR; without it these tests
//! print that they are skipped and check nothing.

use std::io::Write;

use largebatch_data::{
    DATA_DIR, DataError, Dataset, Labels, Normalise, Part, Pipeline, Preprocess, Search, hold_out,
    open,
};

/// Bypasses the capture of test output, so that the message is visible when the test passes.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED, NOTHING CHECKED: {why}");
}

fn set(name: &str) -> Option<Dataset> {
    if std::env::var_os(DATA_DIR).is_none() {
        skipped(&format!("{DATA_DIR} names no folder with {name}"));
        return None;
    }
    match open(name, &Search::default()) {
        Ok(set) => Some(set),
        Err(error @ DataError::Missing { .. }) => {
            skipped(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn counts(part: &Part) -> Vec<usize> {
    let Labels::Classes(labels) = part.labels() else {
        panic!("classes")
    };
    let mut counts = vec![0; 10];
    labels.iter().for_each(|&l| counts[l as usize] += 1);
    counts
}

fn first(part: &Part, n: usize) -> Vec<u32> {
    let Labels::Classes(labels) = part.labels() else {
        panic!("classes")
    };
    labels[..n].to_vec()
}

/// Mean and deviation of each channel of the pixels scaled to 0 to 1, computed differently than in
/// the crate.
fn moments(set: &Dataset) -> Vec<(f64, f64)> {
    let all: Vec<u32> = (0..set.train.len() as u32).collect();
    let pipeline = Pipeline::fit(
        Preprocess {
            normalise: Some(Normalise::Unit),
            ..Default::default()
        },
        &set.train,
        &all,
    )
    .unwrap();
    let (channels, plane) = (set.shape[0], set.shape[1] * set.shape[2]);
    let (mut sums, mut out) = (vec![(0.0, 0.0); channels], Vec::new());
    for batch in all.chunks(1000) {
        pipeline.gather(&set.train, batch, None, &mut out);
        for (i, plane) in out.chunks_exact(plane).enumerate() {
            let (s, q) = &mut sums[i % channels];
            plane.iter().for_each(|&x| {
                *s += f64::from(x);
                *q += f64::from(x) * f64::from(x);
            });
        }
    }
    let n = (all.len() * plane) as f64;
    sums.iter()
        .map(|(s, q)| (s / n, (q / n - s / n * (s / n)).sqrt()))
        .collect()
}

/// After the default preprocessing of the training examples, each channel has mean 0 and deviation 1.
fn is_standardised(set: &Dataset, indices: &[u32]) {
    let pipeline = Pipeline::fit(set.preprocess, &set.train, indices).unwrap();
    let mut out = Vec::new();
    pipeline.gather(&set.train, indices, None, &mut out);
    let (n, sum) = (
        out.len() as f64,
        out.iter().map(|&x| f64::from(x)).sum::<f64>(),
    );
    let square: f64 = out.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    assert!(
        (sum / n).abs() < 0.01 && (square / n - 1.0).abs() < 0.01,
        "{} {}",
        sum / n,
        square / n
    );
}

#[test]
fn mnist_is_the_original() {
    let Some(set) = set("mnist") else { return };
    assert!(set.sources.len() == 4 && set.sources.iter().all(|s| s.known));
    assert_eq!(
        (set.shape.as_slice(), set.default_validation()),
        ([1, 28, 28].as_slice(), 5000)
    );
    // LeCun's order: the training labels begin 5 0 4 1 9, the test labels 7 2 1 0 4.
    assert_eq!(
        (first(&set.train, 5), first(&set.test, 5)),
        (vec![5, 0, 4, 1, 9], vec![7, 2, 1, 0, 4])
    );
    assert_eq!(
        counts(&set.train),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    );
    assert_eq!(
        counts(&set.test),
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    );
    // The statistics in common use: 0.1307 and 0.3081.
    let (mean, std) = moments(&set)[0];
    assert!(
        (mean - 0.1307).abs() < 5e-5 && (std - 0.3081).abs() < 5e-5,
        "{mean} {std}"
    );
    let parts = hold_out(set.train.labels(), 5000, 0).unwrap();
    assert_eq!((parts.train.len(), parts.validation.len()), (55_000, 5000));
    is_standardised(&set, &parts.train);
}

#[test]
fn fashion_mnist_is_the_original() {
    let Some(set) = set("fashion-mnist") else {
        return;
    };
    assert!(set.sources.iter().all(|s| s.known));
    assert_eq!(
        (first(&set.train, 5), first(&set.test, 5)),
        (vec![9, 0, 0, 3, 0], vec![9, 2, 1, 1, 6])
    );
    assert_eq!(
        (counts(&set.train), counts(&set.test)),
        (vec![6000; 10], vec![1000; 10])
    );
    let (mean, std) = moments(&set)[0];
    assert!(
        (mean - 0.2860).abs() < 5e-5 && (std - 0.3530).abs() < 5e-5,
        "{mean} {std}"
    );
}

/// The JPEG version differs from the catalogue's, so its hashes are unknown; its statistics are
/// close to those published for the original.
#[test]
fn cifar_10_reads() {
    let Some(set) = set("cifar-10") else { return };
    assert_eq!(
        (set.sources.len(), set.shape.as_slice()),
        (6, [3, 32, 32].as_slice())
    );
    assert_eq!(
        (counts(&set.train), counts(&set.test)),
        (vec![5000; 10], vec![1000; 10])
    );
    let published = [(0.4914, 0.2470), (0.4822, 0.2435), (0.4465, 0.2616)];
    for ((mean, std), (m, s)) in moments(&set).into_iter().zip(published) {
        assert!(
            (mean - m).abs() < 5e-4 && (std - s).abs() < 3e-3,
            "{mean} {std}"
        );
    }
    is_standardised(&set, &(0..50_000).collect::<Vec<_>>());
}

/// One set's files under another's name are refused; both sets use the same file names.
#[test]
fn fashion_is_not_taken_for_mnist() {
    let Some(_) = set("fashion-mnist") else {
        return;
    };
    let folder =
        std::path::PathBuf::from(std::env::var_os(DATA_DIR).unwrap()).join("fashion-mnist");
    let Err(error) = open(
        "mnist",
        &Search {
            data_dir: Some(folder),
            ..Default::default()
        },
    ) else {
        panic!("it was taken")
    };
    assert!(
        error
            .to_string()
            .contains("the content is fashion-mnist's, but mnist's"),
        "{error}"
    );
}
