//! The small real data sets that ship inside `largebatch`, and the catalogue of those that are fetched.
//!
//! `make.py` made the files of `data/` from scikit-learn's; README.md says where they come from and under which licence.

mod catalogue;

pub use catalogue::{Archive, Entry, File, FileFormat, Mirror, Role, catalogue, parse};

/// A data set inside the binary.
pub struct BuiltIn {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// Where it comes from, and its licence.
    pub origin: &'static str,
    /// Its file.
    pub data: &'static [u8],
    /// What that file looks like.
    pub format: Format,
    /// One name a class, in the order of their numbers; empty for a real target.
    pub class_names: &'static [&'static str],
    /// The examples of the test part: one number a line, counted from 0, rising.
    pub test: &'static str,
}

/// The form of a built-in file.
#[derive(Clone, Copy)]
pub enum Format {
    /// Equally long records: one byte of label, then the pixels.
    Records {
        /// Channels, height, width.
        shape: [usize; 3],
        /// The largest pixel value.
        white: u8,
    },
    /// Comma-separated values under a line of names.
    Csv {
        /// The name of the label's column.
        label: &'static str,
        /// Whether it is a real target.
        real: bool,
    },
}

/// All sets inside the binary.
pub static BUILT_IN: [BuiltIn; 3] = [
    BuiltIn {
        name: "digits",
        summary: "1,797 handwritten digits of 8 x 8 pixels, 10 classes",
        origin: "UCI, Optical Recognition of Handwritten Digits (test set), Alpaydin and Kaynak 1998; CC BY 4.0; through scikit-learn (BSD-3-Clause)",
        data: include_bytes!("../data/digits.bin"),
        format: Format::Records {
            shape: [1, 8, 8],
            white: 16,
        },
        class_names: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        test: include_str!("../data/digits.test.txt"),
    },
    BuiltIn {
        name: "breast-cancer",
        summary: "569 tumours of 30 measurements, malignant or benign",
        origin: "UCI, Breast Cancer Wisconsin (Diagnostic), Wolberg, Street and Mangasarian 1995; CC BY 4.0; through scikit-learn (BSD-3-Clause)",
        data: include_bytes!("../data/breast-cancer.csv"),
        format: Format::Csv {
            label: "class",
            real: false,
        },
        class_names: &["malignant", "benign"],
        test: include_str!("../data/breast-cancer.test.txt"),
    },
    BuiltIn {
        name: "diabetes",
        summary: "442 patients of 10 measurements, and the progression of the disease after a year",
        origin: "Efron, Hastie, Johnstone and Tibshirani 2004, Least Angle Regression; no licence of its own stated; through scikit-learn (BSD-3-Clause)",
        data: include_bytes!("../data/diabetes.csv"),
        format: Format::Csv {
            label: "progression",
            real: true,
        },
        class_names: &[],
        test: include_str!("../data/diabetes.test.txt"),
    },
];
