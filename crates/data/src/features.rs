//! Files to predict: the features are as in training, and labels are optional.

use crate::cache::Content;
use crate::part::Bytes;
use crate::{DataError, DataSpec, Fitted, Known, Part, formats::csv, formats::idx};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads a file, plain or .gz, or standard input (`-`), in the format of a training file: every row
/// becomes an example, in order. Labels are not read, if there are any: the result has class 0 for
/// every example.
///
/// `spec` describes the training file, if it is one of the user's own. `names` are the features'
/// names, by which the columns of a CSV file are found. If `names` is empty, columns are taken by
/// position, and one extra column must hold the label: one of `classes`, which are the class names
/// in the training file, or a number if `classes` is empty. `like` is the preprocessing that was
/// fitted to the training data. Also returns a sentence for everything that was left out or filled
/// in.
///
/// # Errors
/// If the file cannot be read, has another format, lacks a feature, or has a missing value for
/// which training stored no mean.
pub fn read_features(
    path: &Path,
    spec: Option<&DataSpec>,
    names: &[String],
    classes: &[String],
    like: &Fitted,
) -> Result<(Part, Vec<String>), DataError> {
    let file = content(path)?;
    let known = Known {
        names,
        classes,
        shape: &like.shape,
        white: like.white,
    };
    match (spec, like.white) {
        (Some(spec), _) => spec.0.features(&file, &known),
        (None, Some(white)) => Ok((idx::read_features(&file, known.shape, white)?, Vec::new())),
        (None, None) => csv::read_features(&file.path, &file.bytes, None, &known)?.unlabelled(),
    }
}

/// A file in memory, decompressed; nothing is written to the cache.
fn content(path: &Path) -> Result<Content, DataError> {
    let (mut bytes, mut path) = (Vec::new(), path.to_path_buf());
    if path.as_os_str() == "-" {
        path = PathBuf::from("standard input");
        io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(DataError::read(&path))?;
    } else {
        File::open(&path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(DataError::read(&path))?;
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut whole = Vec::new();
        MultiGzDecoder::new(bytes.as_slice())
            .read_to_end(&mut whole)
            .map_err(DataError::compressed(&path))?;
        bytes = whole;
    }
    if bytes.is_empty() {
        return Err(DataError::Empty { path });
    }
    Ok(Content {
        path,
        bytes: Bytes::Owned(Arc::new(bytes)),
        sha256: String::new(),
    })
}
