//! Bad input: each case is refused with an error that names the value, the place and the remedy.

use flate2::{Compression, write::GzEncoder};
use largebatch_data::{
    DataError, DataSpec, Dataset, Labels, Normalise, Order, Part, Pipeline, Preprocess, Sampling,
    Search, folds, hold_out, open, open_spec,
};
use largebatch_random::Key;
use std::io::Write;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Folder {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    fn search(&self) -> Search {
        Search {
            data_dir: Some(self.0.path().into()),
            cache_dir: Some(self.0.path().join("cache")),
        }
    }

    fn spec(&self, text: &str) -> Result<Dataset, DataError> {
        open_spec(&toml::from_str::<DataSpec>(text).unwrap(), &self.search())
    }
}

/// The error's text contains all of these words and is one paragraph.
fn says(result: Result<Dataset, DataError>, words: &[&str]) {
    let Err(error) = result else {
        panic!("it was accepted; expected an error with {words:?}")
    };
    let text = error.to_string();
    assert!(
        words.iter().all(|w| text.contains(w)) && !text.contains('\n'),
        "{text}\nlacks one of {words:?}"
    );
}

fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const IDX: &str = "format = \"idx\"\ntrain_images = \"i\"\ntrain_labels = \"l\"\n";
const CSV: &str = "format = \"csv\"\ntrain = \"t.csv\"\nlabel = \"y\"\n";
const SVM: &str = "format = \"libsvm\"\ntrain = \"t.svm\"\n";

fn pair(images: Vec<u8>, labels: Vec<u8>, more: &str) -> Result<Dataset, DataError> {
    Folder::new()
        .with("i", images)
        .with("l", labels)
        .spec(&format!("{IDX}{more}"))
}

fn csv(text: &str) -> Result<Dataset, DataError> {
    Folder::new().with("t.csv", text).spec(CSV)
}

fn svm(text: &str, more: &str) -> Result<Dataset, DataError> {
    Folder::new()
        .with("t.svm", text)
        .spec(&format!("{SVM}{more}"))
}

#[test]
fn a_truncated_gzip() {
    let whole = gzip(&idx(&[6, 2, 2], &[1; 24]));
    says(
        pair(whole[..whole.len() - 6].to_vec(), idx(&[6], &[0; 6]), ""),
        &["i is not a complete gzip file", "fetch it again"],
    );
    let mut damaged = whole.clone();
    let middle = damaged.len() - 5; // in the checksum
    damaged[middle] ^= 1;
    says(
        pair(damaged, idx(&[6], &[0; 6]), ""),
        &["i is not a complete gzip file"],
    );
}

#[test]
fn a_wrong_magic_number() {
    says(
        pair(b"\x89PNG\r\n".to_vec(), idx(&[6], &[0; 6]), ""),
        &["i: the magic number is 0x89504e47", "0x000008NN"],
    );
    says(
        pair(vec![0, 0], idx(&[6], &[0; 6]), ""),
        &["the length is 2, but at least 4 bytes"],
    );
}

#[test]
fn dimensions_that_do_not_fit_the_file() {
    says(
        pair(idx(&[6, 2, 2], &[1; 23]), idx(&[6], &[0; 6]), ""),
        &["the length is 39, but 40 bytes"],
    );
    says(
        pair(
            idx(&[u32::MAX, u32::MAX, u32::MAX], &[1; 24]),
            idx(&[6], &[0; 6]),
            "",
        ),
        &["the length is 40, but a length that fits"],
    );
    says(
        pair(idx(&[0, 2, 2], &[]), idx(&[6], &[0; 6]), ""),
        &["the shape is [0, 2, 2]"],
    );
    says(
        pair(idx(&[6], &[0; 6]), idx(&[6], &[0; 6]), ""),
        &["the number of dimensions is 1"],
    );
    says(
        pair(vec![0, 0, 8, 3, 0], idx(&[6], &[0; 6]), ""),
        &["the length is 5, but at least 16 bytes"],
    );
}

#[test]
fn counts_of_images_and_labels_that_differ() {
    says(
        pair(idx(&[6, 2, 2], &[1; 24]), idx(&[5], &[0; 5]), ""),
        &["i holds 6 examples, but", "l holds 5 labels"],
    );
}

#[test]
fn a_label_out_of_range() {
    says(
        pair(
            idx(&[6, 2, 2], &[1; 24]),
            idx(&[6], &[0, 1, 2, 9, 1, 0]),
            "classes = 3",
        ),
        &["l: the label of example 3 (counted from 0) is 9, but the classes are 0 to 2"],
    );
    let folder = Folder::new()
        .with("t.csv", "x,y\n1,0\n2,1\n")
        .with("u.csv", "x,y\n1,0\n2,7\n");
    says(
        folder.spec(&format!("{CSV}test = \"u.csv\"")),
        &[
            "u.csv, line 3: the label `7` is not one of",
            "classes, 0, 1;",
        ],
    );
    let folder = folder.with("v.csv", "x,y\n1,0\n2,0.7\n");
    says(
        folder.spec(&format!("{CSV}test = \"v.csv\"")),
        &[
            "v.csv, line 3: the label `0.7` is not one of",
            "classes, 0, 1;",
        ],
    );
    let mut record = vec![0; 3073];
    record[0] = 10;
    let mut folder = Folder::new();
    for name in [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ] {
        folder = folder.with(&format!("cifar-10/{name}.bin"), &record);
    }
    says(
        open("cifar-10", &folder.search()),
        &[
            "data_batch_1.bin: the label of example 0",
            "is 10, but the classes are 0 to 9",
        ],
    );
    let folder = folder.with("cifar-10/data_batch_1.bin", [0; 3000]);
    says(
        open("cifar-10", &folder.search()),
        &["the length is 3000, but a multiple of 3073"],
    );
}

#[test]
fn an_empty_file() {
    says(pair(vec![], idx(&[6], &[0; 6]), ""), &["i is empty"]);
    says(pair(gzip(&[]), idx(&[6], &[0; 6]), ""), &["i is empty"]);
    says(csv(""), &["t.csv is empty"]);
    says(csv("\n\n"), &["t.csv is empty"]);
    says(csv("x,y\n"), &["the number of examples is 0"]);
    says(svm("", ""), &["t.svm is empty"]);
    says(svm("\n# nothing\n", ""), &["the number of examples is 0"]);
}

#[test]
fn a_csv_file_with_a_hole() {
    says(
        csv("x,z,y\n1,2,0\n1,,1\n"),
        &[
            "t.csv, line 3, column `z`: the value is missing",
            "remove the line",
        ],
    );
    says(
        csv("x,z,y\n1,2,0\n1,2,\n"),
        &["t.csv, line 3, column `y`: the label is missing"],
    );
}

#[test]
fn values_that_are_no_numbers() {
    says(
        csv("x,y\n1,0\nNaN,1\n"),
        &["line 3, column `x`: the value is missing (`NaN`)"],
    );
    says(
        csv("x,y\n1,0\n1e309,1\n"),
        &["line 3, column `x`: the value `1e309` is not finite"],
    );
    says(
        csv("x,y\n1,0\nred,1\n"),
        &["line 3, column `x`: `red` is not a number"],
    );
    says(
        svm("1 1:nan\n0 1:2\n", ""),
        &["t.svm, line 1, column 1: the value `nan` is not finite"],
    );
    assert!(matches!(
        Part::from_table(vec![f64::NAN], vec![1], Labels::Targets(vec![0.0])),
        Err(DataError::Setting { .. })
    ));
}

#[test]
fn a_ragged_csv_file() {
    says(
        csv("x,z,y\n1,2,0\n1,1\n"),
        &["t.csv, line 3: it has 2 fields, but the first line has 3"],
    );
    says(csv("y\n1\n0\n"), &["the number of columns is 1"]);
}

#[test]
fn a_label_column_that_is_not_there() {
    let folder = Folder::new().with("t.csv", "x,species\n1,0\n2,1\n");
    says(
        folder.spec("format = \"csv\"\ntrain = \"t.csv\"\nlabel = \"specie\""),
        &["label = specie", "the most similar is `species`"],
    );
    says(
        folder.spec("format = \"csv\"\ntrain = \"t.csv\"\nlabel = 2"),
        &["label = 2", "has columns 0 to 1"],
    );
    says(
        folder.spec("format = \"csv\"\ntrain = \"t.csv\"\nlabel = \"x\"\nheader = false"),
        &["label = x", "give the column's number"],
    );
}

#[test]
fn labels_that_do_not_suit_the_task() {
    says(
        csv("x,y\n1,0.5\n2,1\n"),
        &[
            "line 2: the label `0.5` is not a class",
            "labels = \"real\"",
        ],
    );
    says(
        csv("x,y\n1,0\n2,0\n"),
        &["the label column is only `0`", "at least two classes"],
    );
    let folder = Folder::new().with("t.csv", "x,y\n1,tall\n2,1\n");
    says(
        folder.spec(&format!("{CSV}labels = \"real\"")),
        &["line 2: the target `tall` is not a finite number"],
    );
}

#[test]
fn a_test_file_of_other_columns() {
    let folder = Folder::new()
        .with("t.csv", "a,b,y\n1,2,0\n2,1,1\n")
        .with("u.csv", "b,a,y\n1,2,0\n2,1,1\n")
        .with("v.csv", "a,y\n1,0\n");
    says(
        folder.spec(&format!("{CSV}test = \"u.csv\"")),
        &["u.csv: the name of a column is `b`, but `a`"],
    );
    says(
        folder.spec(&format!("{CSV}test = \"v.csv\"")),
        &["v.csv: the number of features is 1, but 2"],
    );
}

#[test]
fn a_bad_libsvm_line() {
    says(
        svm("1 0:1\n0 1:2\n", ""),
        &["t.svm, line 1: `0:1` has index 0"],
    );
    says(
        svm("1 1:1\n0 2:2 2:3\n", ""),
        &["t.svm, line 2: `2:3` comes after index 2"],
    );
    says(
        svm("1 1:1\n0 -3:2\n", ""),
        &["t.svm, line 2: `-3:2` has no whole number before the colon"],
    );
    says(
        svm("1 1\n0 1:2\n", ""),
        &["t.svm, line 1: `1` has no colon"],
    );
    says(
        svm("1:1\n0 1:2\n", ""),
        &["t.svm, line 1: it begins with `1:1`, not with a label"],
    );
    says(
        svm("1 5:1\n0 1:2\n", "features = 4"),
        &["t.svm, line 1: `5:1` is beyond the 4 features"],
    );
    says(svm("1\n0\n", ""), &["no line has a feature"]);
    says(
        svm(&format!("1 {}:1\n0 1:2\n", u64::MAX / 2), ""),
        &["the dense table is 2 rows"],
    );
}

#[test]
fn a_file_that_is_not_text() {
    says(
        Folder::new()
            .with("t.csv", b"x,y\n1,0\n\xff\xfe,1\n")
            .spec(CSV),
        &["t.csv, line 3: it is not UTF-8 text"],
    );
}

#[test]
fn files_that_are_missing() {
    let folder = Folder::new();
    says(
        folder.spec(CSV),
        &["cannot find t.csv", "looked in", "an absolute path"],
    );
    says(
        open("mnist", &folder.search()),
        &[
            "the files of `mnist` were not found",
            "train-images-idx3-ubyte",
            "largebatch data fetch mnist",
        ],
    );
    says(
        open("cifar-10", &folder.search()),
        &["cifar-10-binary.tar.gz"],
    );
    std::fs::create_dir(folder.0.path().join("t.csv")).unwrap();
    says(
        folder.spec(&CSV.replace("t.csv", folder.0.path().join("t.csv").to_str().unwrap())),
        &["it is not a file"],
    );
}

/// The cache folder would be inside a file, so not even root can create it. Plain files need no
/// cache.
#[test]
fn a_cache_that_cannot_be_written() {
    let folder = Folder::new()
        .with("t.csv", "x,y\n1,0\n2,1\n3,0\n4,1\n5,0\n")
        .with("u.csv", gzip(b"x,y\n1,0\n2,1\n"));
    let search = Search {
        cache_dir: Some(folder.0.path().join("t.csv/cache")),
        ..folder.search()
    };
    let spec = |text: &str| open_spec(&toml::from_str::<DataSpec>(text).unwrap(), &search);
    says(
        spec(&CSV.replace("t.csv", "u.csv")),
        &["cannot write", "t.csv/cache", "LARGEBATCH_CACHE_DIR"],
    );
    assert_eq!(spec(CSV).map(|s| s.train.len()).ok(), Some(4));
}

/// A full disk, simulated by a limit on file size: this test runs itself again under `ulimit -f`,
/// with the signal ignored, so that writing fails with an error.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    const WITHIN: &str = "LARGEBATCH_TEST_FULL_DISK";
    if std::env::var_os(WITHIN).is_none() {
        let program = std::env::current_exe().unwrap();
        let script = format!(
            "trap '' XFSZ; ulimit -f 8; exec '{}' --exact a_full_disk",
            program.display()
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .env(WITHIN, "1")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        return;
    }
    let folder = Folder::new()
        .with("i", gzip(&idx(&[1000, 10, 10], &[1; 100_000])))
        .with("l", idx(&[1000], &[0; 1000]));
    says(
        folder.spec(IDX),
        &[
            "cannot write",
            "expanded",
            "File too large",
            "free some space",
        ],
    );
    assert_eq!(
        std::fs::read_dir(folder.0.path().join("cache/expanded"))
            .unwrap()
            .count(),
        0
    );
}

/// The partial output of a failed expansion is removed.
#[test]
fn no_partial_output_stays() {
    let whole = gzip(&idx(&[6, 2, 2], &[1; 24]));
    let folder = Folder::new()
        .with("i", &whole[..whole.len() - 6])
        .with("l", idx(&[6], &[0; 6]));
    assert!(folder.spec(IDX).is_err());
    let left = |name: &str| {
        std::fs::read_dir(folder.0.path().join("cache").join(name)).map_or(0, |d| d.count())
    };
    assert_eq!(left("expanded"), 0);
}

#[test]
fn settings_out_of_range() {
    let message = |e: DataError| e.to_string();
    let labels = Labels::Classes(vec![0, 1, 0, 1]);
    assert!(
        hold_out(&labels, 4, 0)
            .map_err(message)
            .unwrap_err()
            .contains("validation = 4: it must be below 4")
    );
    assert!(
        folds(&labels, 1, 0)
            .map_err(message)
            .unwrap_err()
            .contains("folds = 1: there must be 2 to 4")
    );
    assert!(folds(&labels, 5, 0).is_err());
    assert!(Order::new(vec![], Sampling::Shuffled, false, Key::new(0)).is_err());
    let order = Order::new(vec![0, 1, 2], Sampling::Shuffled, false, Key::new(0)).unwrap();
    assert!(
        order
            .check(0)
            .map_err(message)
            .unwrap_err()
            .contains("batch size = 0: it must be at least 1")
    );
    assert!(
        order
            .check(4)
            .map_err(message)
            .unwrap_err()
            .contains("batch size = 4: it must be at most 3")
    );

    let table = Part::from_table(vec![0.0; 8], vec![2], labels.clone()).unwrap();
    let images = Part::from_images(vec![0; 16], vec![1, 2, 2], labels).unwrap();
    let fit = |config, part| {
        Pipeline::fit(config, part, &[0, 1])
            .map_err(message)
            .err()
            .unwrap_or_default()
    };
    let config = Preprocess::default();
    assert!(
        fit(
            Preprocess {
                flip: true,
                ..config
            },
            &table
        )
        .contains("augmentation needs images")
    );
    assert!(
        fit(
            Preprocess {
                normalise: Some(Normalise::Channel),
                ..config
            },
            &table
        )
        .contains("normalise = channel: it needs images")
    );
    assert!(
        fit(
            Preprocess {
                crop_pad: 3,
                ..config
            },
            &images
        )
        .contains("crop_pad = 3: it must be at most 2")
    );
    assert!(
        fit(
            Preprocess {
                translate: 2,
                ..config
            },
            &images
        )
        .contains("translate = 2: it must be at most 1")
    );
    assert!(
        fit(
            Preprocess {
                translate: 1,
                crop_pad: 1,
                ..config
            },
            &images
        )
        .contains("use only one of the two")
    );
    assert!(Pipeline::fit(config, &images, &[]).is_err());
    assert!(Part::from_images(vec![0; 15], vec![1, 2, 2], Labels::Classes(vec![0; 4])).is_err());
}

#[test]
fn a_misspelt_key() {
    let error = |text: &str| toml::from_str::<DataSpec>(text).unwrap_err().to_string();
    assert!(
        error("format = \"csv\"\ntrain = \"t\"\nlable = 0")
            .contains("format `csv` has no option `lable`, did you mean `label`?")
    );
    assert!(
        error("format = \"csv\"\ntrain = \"t\"")
            .contains("format `csv` needs `label`: The label's column")
    );
    assert!(
        error("format = \"cvs\"\ntrain = \"t\"")
            .contains("unknown format `cvs`, did you mean `csv`?")
    );
    assert!(
        toml::from_str::<Preprocess>("flop = true")
            .unwrap_err()
            .to_string()
            .contains("unknown field `flop`")
    );
}
