//! The suites of data sets and of file formats.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use largebatch_data::{
    DataError, DataSpec, Labels, NamedDataset, Part, Pipeline, Preprocess, Reader, Search, Task,
    dataset_entry, format_entry, formats, open_spec,
};
use largebatch_optim::conformance::Failures;
use toml::Table;

use super::Suite;

/// Checks a data set, with its default options:
///
/// - its options are documented, and an unknown one is refused;
/// - it opens twice to the same examples and labels, none of them NaN or infinite;
/// - both parts have examples, of the shape and with the labels that it states.
///
/// # Errors
/// All [`Failures`], not only the first.
pub fn dataset<D: NamedDataset>() -> Result<(), Failures> {
    let mut suite = Suite::of(D::FACTS);
    suite.options(&dataset_entry::<D>());
    if let Err(error) = dataset_twice(&D::default(), &mut suite) {
        suite.failures.push(error.to_string());
    }
    suite.end()
}

fn dataset_twice(set: &impl NamedDataset, suite: &mut Suite) -> Result<(), DataError> {
    let [one, two] = [set.open(&Search::default())?, set.open(&Search::default())?];
    for (name, part, again) in [
        ("train", &one.train, &two.train),
        ("test", &one.test, &two.test),
    ] {
        suite.expect(!part.is_empty(), format!("its {name} part is empty"));
        suite.expect(
            part.shape() == one.shape,
            format!("its {name} part has another shape than it states"),
        );
        let classes = match (part.labels(), one.task) {
            (Labels::Classes(labels), Task::Classes(n)) => labels.iter().all(|l| (*l as usize) < n),
            (Labels::Targets(targets), Task::Real) => targets.iter().all(|t| t.is_finite()),
            _ => false,
        };
        suite.expect(
            classes,
            format!("the labels of its {name} part do not belong to its task"),
        );
        let values = |part: &Part| {
            let pipeline = Pipeline::fit(Preprocess::default(), part, &[0])?;
            let mut values = Vec::new();
            let all: Vec<u32> = (0..part.len() as u32).collect();
            pipeline.gather(part, &all, None, &mut values);
            Ok::<_, DataError>(values)
        };
        let (first, second) = (values(part)?, values(again)?);
        suite.expect(
            first == second && part.labels() == again.labels(),
            format!("its {name} part differs when it is opened again"),
        );
        suite.expect(
            first.iter().all(|x| x.is_finite()),
            format!("its {name} part has values that are not finite"),
        );
    }
    Ok(())
}

/// Checks a format on files that are good, given as names with their content, and a description of
/// them in TOML without `format`:
///
/// - its keys are documented, and an unknown one is refused;
/// - the files open, to finite values, and the description survives a round trip through TOML;
/// - an empty file is an error;
/// - files that end early at 40 places, or with one of 200 bytes changed, are read or refused, but
///   never end the program.
///
/// # Errors
/// All [`Failures`], not only the first; and a folder for temporary files that cannot be written.
pub fn format<R: Reader>(files: &[(&str, &[u8])], description: &str) -> Result<(), Failures> {
    let mut suite = Suite::of(R::FACTS);
    suite.options(&format_entry::<R>());
    let folder = std::env::temp_dir().join(format!(
        "largebatch-conformance-{}-{}",
        R::FACTS.name,
        std::process::id()
    ));
    if let Err(error) = format_in::<R>(&folder, files, description, &mut suite) {
        suite.failures.push(error.to_string());
    }
    let _ = std::fs::remove_dir_all(&folder);
    suite.end()
}

fn format_in<R: Reader>(
    folder: &Path,
    files: &[(&str, &[u8])],
    description: &str,
    suite: &mut Suite,
) -> anyhow::Result<()> {
    let registry = formats().with(format_entry::<R>());
    let text = format!("{description}\nformat = \"{}\"", R::FACTS.name);
    let spec = DataSpec::read(&registry, text.parse()?)?;
    let written = Table::try_from(&spec)?;
    suite.expect(
        DataSpec::read(&registry, written)? == spec,
        "its description changes when it is written to TOML and read back",
    );
    let search = Search {
        data_dir: Some(folder.into()),
        cache_dir: Some(folder.join("cache")),
    };
    std::fs::create_dir_all(folder)?;
    let write = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content);
    files
        .iter()
        .try_for_each(|(name, content)| write(name, content))?;
    let dataset = open_spec(&spec, &search)?;
    suite.expect(
        !dataset.train.is_empty() && !dataset.test.is_empty(),
        "a part of the good files is empty",
    );
    for (name, content) in files {
        let mut attempt = |what: String, content: &[u8]| -> anyhow::Result<bool> {
            write(name, content)?;
            let opened = catch_unwind(AssertUnwindSafe(|| open_spec(&spec, &search).is_ok()));
            suite.expect(opened.is_ok(), format!("{name} {what} ends the program"));
            Ok(opened.unwrap_or(false))
        };
        let empty = attempt("without content".into(), b"")?;
        for k in 0..40 {
            let end = content.len() * k / 40;
            attempt(format!("cut off after {end} bytes"), &content[..end])?;
        }
        for k in 0..200 {
            let (at, bit) = (k * 7919 % content.len(), k % 8);
            let mut changed = content.to_vec();
            changed[at] ^= 1 << bit;
            attempt(format!("with byte {at} changed"), &changed)?;
        }
        write(name, content)?;
        suite.expect(!empty, format!("{name} without content is not refused"));
    }
    Ok(())
}
