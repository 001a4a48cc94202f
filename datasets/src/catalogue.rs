//! The sets that are read from files, and where to fetch them: `catalogue.toml`.

use serde::Deserialize;
use std::sync::LazyLock;

/// A set of the catalogue.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name on the command line.
    pub name: String,
    /// One line about it.
    pub summary: String,
    /// The form of its files.
    pub format: FileFormat,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// One name a class.
    pub classes: Vec<String>,
    /// The mean of each channel of the training part's pixels in 0 to 1, for files of these hashes; empty if not known.
    #[serde(default)]
    pub mean: Vec<f64>,
    /// The population standard deviation, likewise.
    #[serde(default)]
    pub std: Vec<f64>,
    /// The licence, in words.
    pub licence: String,
    /// The paper.
    pub citation: String,
    /// Where to fetch it, the first first.
    pub mirrors: Vec<Mirror>,
    /// One archive with all files, if that is how it is published; else each file is fetched as NAME.gz.
    pub archive: Option<Archive>,
    /// The folder in which torchvision puts the files, where it leaves them as they are.
    pub torchvision: Option<String>,
    /// Its files: those to train on in their order, then those to test on. Of a pair of IDX files the images come first.
    pub file: Vec<File>,
}

/// The form of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Pairs of IDX files, images and labels.
    Idx,
    /// CIFAR's binary version: label bytes (the last of them is the class), then red, green and blue, row by row.
    Cifar,
}

/// A place to fetch from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The address; a file's name is appended.
    pub url: String,
    /// Whether this project has fetched from it.
    pub tried: bool,
}

/// An archive that holds all files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Its name.
    pub name: String,
    /// The folder inside.
    pub folder: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// A file of a set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name, uncompressed.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its size in bytes, uncompressed.
    pub size: u64,
    /// The SHA-256 of its uncompressed content, where published.
    pub sha256: Option<String>,
}

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// To train on.
    Train,
    /// To test on.
    Test,
}

/// All entries of the catalogue.
pub fn catalogue() -> &'static [Entry] {
    static CATALOGUE: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        parse(include_str!("../catalogue.toml"))
            .expect("the catalogue inside the binary, parsed by a test")
    });
    &CATALOGUE
}

/// Parses a catalogue of this form.
///
/// # Errors
/// If it is not of this form.
pub fn parse(text: &str) -> Result<Vec<Entry>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Catalogue {
        #[allow(dead_code, reason = "for readers of a later version")]
        schema: u32,
        set: Vec<Entry>,
    }
    Ok(toml::from_str::<Catalogue>(text)?.set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_sound() {
        let names: Vec<&str> = catalogue().iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["mnist", "fashion-mnist", "cifar-10", "cifar-100"]);
        for entry in catalogue() {
            assert!([10, 100].contains(&entry.classes.len()), "{}", entry.name);
            assert!(entry.mean.len() == entry.std.len() && !entry.mirrors.is_empty());
            for hash in entry
                .file
                .iter()
                .filter_map(|f| f.sha256.as_ref())
                .chain(entry.archive.as_ref().map(|a| &a.sha256))
            {
                assert!(
                    hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
                    "{hash}"
                );
            }
            assert!(
                entry.archive.is_some() || entry.file.iter().all(|f| f.sha256.is_some()),
                "{}",
                entry.name
            );
            assert!(entry.mirrors.iter().all(|m| m.url.ends_with('/')));
            let [train, test] = [Role::Train, Role::Test]
                .map(|r| entry.file.iter().filter(|f| f.role == r).count());
            assert!(
                train > 0
                    && test > 0
                    && (entry.format == FileFormat::Cifar || (train, test) == (2, 2))
            );
        }
    }
}
