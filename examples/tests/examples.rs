//! Runs every example as a user would, in its small mode: it succeeds, and its accuracy is above
//! chance.
//!
//! MNIST and CIFAR-10 are replaced by small generated files of the same format, so that the tests
//! run everywhere. If `LARGEBATCH_DATA_DIR` names a folder with the real files, these are tested
//! too.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The program of an example. `cargo test` builds the examples with the tests; `cargo test --test
/// examples` does not.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let release = test.ancestors().nth(2).unwrap();
    let program = release
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is missing; build it with the same flags: cargo build --examples",
        program.display()
    );
    program
}

/// The output of an example. It runs in `place`, which also holds its cache, and finds data sets in
/// `data`.
fn output(name: &str, args: &[&str], data: &Path, place: &Path) -> String {
    let mut command = Command::new(program(name));
    command
        .args(args)
        .current_dir(place)
        .env("LARGEBATCH_DATA_DIR", data)
        .env("LARGEBATCH_CACHE_DIR", place.join("cache"));
    let done = command.output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(
        done.status.success(),
        "{name} {args:?} ended with {}\n{out}\n{err}",
        done.status
    );
    println!("{out}");
    out.into_owned()
}

/// The percentages before ` % of` in lines that contain `marker`.
fn percentages(text: &str, marker: &str) -> Vec<f64> {
    let number = |line: &str| line.split(" % of").next()?.rsplit(' ').next()?.parse().ok();
    text.lines()
        .filter(|line| line.contains(" % of") && line.contains(marker))
        .filter_map(number)
        .collect()
}

/// The folder of the real data sets, if it contains this one.
fn real(name: &str, file: &str) -> Option<PathBuf> {
    let data = PathBuf::from(std::env::var_os("LARGEBATCH_DATA_DIR")?);
    let places = [
        data.join(name),
        data.clone(),
        data.join("cifar-10-batches-bin"),
        data.join(name).join("cifar-10-batches-bin"),
    ];
    places
        .iter()
        .any(|p| p.join(file).is_file() || p.join(format!("{file}.gz")).is_file())
        .then_some(data)
}

/// Pixel noise from 0 to 63, without a pattern.
fn noise(image: usize, place: usize) -> u8 {
    (image.wrapping_mul(7919) ^ place.wrapping_mul(104_729)).wrapping_mul(2_654_435_761) as u8 / 4
}

/// MNIST's four files with generated images: the height of a bright bar shows the class.
fn write_mnist(folder: &Path) {
    for (name, n) in [("train", 2000), ("t10k", 500)] {
        let header = |magic: u32, sizes: &[u32]| {
            [magic]
                .iter()
                .chain(sizes)
                .flat_map(|v| v.to_be_bytes())
                .collect::<Vec<u8>>()
        };
        let mut images = header(0x803, &[n, 28, 28]);
        let pixel = |i: usize, p: usize| {
            if p / 28 * 10 / 28 == i % 10 {
                180 + noise(i, p)
            } else {
                noise(i, p)
            }
        };
        images.extend((0..n as usize).flat_map(|i| (0..28 * 28).map(move |p| pixel(i, p))));
        let mut labels = header(0x801, &[n]);
        labels.extend((0..n).map(|i| (i % 10) as u8));
        std::fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        std::fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
}

/// CIFAR-10's six files with generated images: a colour between red and green shows the class, also
/// after crops and flips.
fn write_cifar(folder: &Path) {
    let names = [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ];
    for (file, name) in names.iter().enumerate() {
        let colour =
            |class: usize, channel: usize| [20 * class as u8, 180 - 20 * class as u8, 0][channel];
        let record = |i: usize| {
            let image =
                (0..3 * 32 * 32).map(move |p| colour(i % 10, p / 1024) + noise(i + 1000 * file, p));
            std::iter::once((i % 10) as u8).chain(image)
        };
        std::fs::write(
            folder.join(format!("{name}.bin")),
            (0..100).flat_map(record).collect::<Vec<u8>>(),
        )
        .unwrap();
    }
}

#[test]
fn mnist() {
    let place = TempDir::new().unwrap();
    write_mnist(place.path());
    let found = percentages(
        &output("mnist", &["--steps", "20"], place.path(), place.path()),
        "test digits",
    );
    assert!(
        found.len() == 3 && found.iter().all(|&p| p > 90.0),
        "{found:?}"
    );
}

#[test]
fn mnist_on_the_real_digits() {
    let Some(data) = real("mnist", "train-images-idx3-ubyte") else {
        eprintln!("SKIPPED: LARGEBATCH_DATA_DIR does not name a folder with MNIST");
        return;
    };
    let place = TempDir::new().unwrap();
    let found = percentages(
        &output("mnist", &["--steps", "50"], &data, place.path()),
        "of 10000 test digits",
    );
    assert!(
        found.len() == 3 && found.iter().all(|&p| p > 75.0),
        "{found:?}"
    );
}

#[test]
fn cifar10() {
    let place = TempDir::new().unwrap();
    write_cifar(place.path());
    let found = percentages(
        &output("cifar10", &["--steps", "30"], place.path(), place.path()),
        "of 100 test images",
    );
    assert!(found.len() == 1 && found[0] > 30.0, "{found:?}");
}

#[test]
fn cifar10_on_the_real_pictures() {
    let Some(data) = real("cifar-10", "data_batch_1.bin") else {
        eprintln!("SKIPPED: LARGEBATCH_DATA_DIR does not name a folder with CIFAR-10");
        return;
    };
    let place = TempDir::new().unwrap();
    let found = percentages(
        &output("cifar10", &["--steps", "20"], &data, place.path()),
        "of 10000 test images",
    );
    assert!(found.len() == 1 && found[0] > 15.0, "{found:?}");
}

#[test]
fn new_optimizer() {
    let place = TempDir::new().unwrap();
    let run = |args: &[&str]| output("new_optimizer", args, place.path(), place.path());
    assert!(run(&["optimizers"]).contains("signum"));
    let train = run(&[
        "train",
        "--dataset",
        "digits",
        "--model",
        "mlp",
        "--optimizer",
        "signum",
        "--lr",
        "0.0003",
        "--epochs",
        "10",
    ]);
    let test = percentages(&train.replace("test ", "\ntest "), "test ");
    assert!(test.len() == 1 && test[0] > 90.0, "{test:?}");
}

#[cfg(feature = "learner")]
#[test]
fn burn_learner() {
    let place = TempDir::new().unwrap();
    let found = percentages(
        &output("burn_learner", &[], place.path(), place.path()),
        "held-out digits",
    );
    assert!(
        found.len() == 2 && found.iter().all(|&p| p > 90.0),
        "{found:?}"
    );
}
