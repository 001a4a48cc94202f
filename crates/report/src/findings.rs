//! Results of probes on the runs that a study kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::ReportError;

/// Results of probes on the runs that a study kept: the files in `DIR/runs/*/probe/`. May be empty.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Findings {
    pub(crate) runs: Vec<ProbedRun>,
}

/// A run with results of probes.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct ProbedRun {
    /// The run's folder, whose name ends with the start of the trial's identity.
    pub folder: String,
    /// By probe: the object in `NAME.json`, measured on the trained network.
    pub end: BTreeMap<String, Value>,
    /// By probe: the objects in `NAME.jsonl`, measured during training.
    pub during: BTreeMap<String, Vec<Value>>,
}

impl Findings {
    /// Reads them from a study's folder. A study without kept runs has none.
    ///
    /// # Errors
    /// [`ReportError::Io`]; [`ReportError::Encode`] for a file that is not valid JSON.
    pub fn read(folder: &Path) -> Result<Findings, ReportError> {
        let mut runs = Vec::new();
        for folder in entries(&folder.join("runs"))? {
            let mut run = ProbedRun {
                folder: folder
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                ..ProbedRun::default()
            };
            for path in entries(&folder.join("probe"))? {
                let name = path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let read = || fs::read_to_string(&path).map_err(ReportError::io("reading", &path));
                let object = |text: &str| {
                    serde_json::from_str(text)
                        .map_err(|e| ReportError::encode(&path.display().to_string(), e))
                };
                match path.extension().and_then(|e| e.to_str()) {
                    Some("json") => drop(run.end.insert(name, object(&read()?)?)),
                    Some("jsonl") => {
                        // A line without an end is torn, or is being written.
                        let text = read()?;
                        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
                        let lines = whole.lines().map(object).collect::<Result<_, _>>()?;
                        run.during.insert(name, lines);
                    }
                    _ => {}
                }
            }
            runs.push(run);
        }
        Ok(Findings { runs })
    }
}

/// The entries of a folder, sorted by name; none if the folder does not exist.
fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, ReportError> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(ReportError::io("reading", folder))?,
    };
    let mut paths: Vec<_> = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(ReportError::io("reading", folder))?;
    paths.sort();
    Ok(paths)
}
