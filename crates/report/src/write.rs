use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use largebatch_plot::{Figure, Painter, PlotError, stem};
use largebatch_store::{Folder, Lock, LockError, clear_leftovers};

use crate::analysis::stage;
use crate::error::ReportError;
use crate::export::{csv::csv, parquet::parquet, tables, tensorboard};
use crate::format::Format;
use crate::report::Report;

/// What a report's folder may contain. A folder with anything else is not replaced.
const OURS: [&str; 9] = [
    "index.html",
    "figures",
    "summary.csv",
    "trials.csv",
    "curves.csv",
    "trials.jsonl",
    "trials.parquet",
    "curves.parquet",
    "tensorboard",
];

/// The result of [`Report::write`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// The files, relative to the folder.
    pub files: Vec<PathBuf>,
    /// Characters that no font on this machine has: PNG figures show `?` instead. SVG and HTML use
    /// the reader's fonts.
    pub undrawn: String,
}

/// How long a writer waits for another writer of the same folder. A report takes a second or two.
const PATIENCE: Duration = Duration::from_secs(600);

impl Report<'_> {
    /// Writes a report or an export in one step: into a temporary folder next to `folder`, which is
    /// then renamed. An existing report is replaced as a whole. Several writers take turns.
    ///
    /// # Errors
    /// [`ReportError::Foreign`] for a folder that contains anything else, [`ReportError::Io`],
    /// [`ReportError::Encode`].
    pub fn write(&self, folder: &Path, formats: &[Format]) -> Result<Written, ReportError> {
        let io = |doing| ReportError::io(doing, folder);
        let parent = folder
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(io("creating the parent folder of"))?;
        let name = folder
            .file_name()
            .map_or_else(|| "report".into(), |n| n.to_string_lossy().into_owned());
        let lock = parent.join(format!(".{name}.lock"));
        let _lock = Lock::take(&lock, PATIENCE).map_err(|e| match e {
            LockError::Held { by } => ReportError::Busy {
                folder: folder.into(),
                by,
            },
            LockError::Io(e) => ReportError::io("locking", &lock)(e),
        })?;
        clear_leftovers(folder);
        refuse_foreign(folder)?;
        let new = Folder::beside(folder).map_err(io("creating a temporary folder next to"))?;
        let written = fill(self, new.path(), formats)?;
        new.replace().map_err(io("replacing"))?;
        Ok(written)
    }
}

fn refuse_foreign(folder: &Path) -> Result<(), ReportError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(ReportError::io("reading", folder)(e)),
    };
    for entry in entries {
        let name = entry
            .map_err(ReportError::io("reading", folder))?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !OURS.contains(&name.as_str()) {
            return Err(ReportError::Foreign {
                folder: folder.into(),
                entry: name,
            });
        }
    }
    Ok(())
}

fn fill(r: &Report, folder: &Path, formats: &[Format]) -> Result<Written, ReportError> {
    let a = &r.analysis;
    let (mut files, mut undrawn) = (Vec::new(), String::new());
    let mut put = |name: String, bytes: &[u8]| -> Result<(), ReportError> {
        let path = folder.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(ReportError::io("creating", parent))?;
        }
        fs::write(&path, bytes).map_err(ReportError::io("writing", &path))?;
        files.push(PathBuf::from(name));
        Ok(())
    };
    for format in Format::ALL.into_iter().filter(|f| formats.contains(f)) {
        match format {
            Format::Html => put("index.html".into(), r.html().as_bytes())?,
            Format::Svg => {
                for f in r.figures() {
                    put(format!("figures/{}.svg", f.name), f.svg().as_bytes())?;
                }
            }
            Format::Png => {
                let painter = Painter::default();
                let figures: Vec<&Figure> = r.figures().collect();
                for (f, picture) in figures.iter().zip(pictures(&figures, &painter)) {
                    put(format!("figures/{}.png", f.name), &picture?)?;
                }
                undrawn = painter.undrawn();
            }
            Format::Csv => {
                put("summary.csv".into(), csv(&r.summary.csv).as_bytes())?;
                put("trials.csv".into(), csv(&tables::trials(a)).as_bytes())?;
                put("curves.csv".into(), csv(&tables::curves(a)).as_bytes())?;
            }
            Format::Jsonl => {
                let mut seen = std::collections::HashSet::new();
                let mut text = String::new();
                for (_, record) in tables::done(a)
                    .into_iter()
                    .filter(|(row, _)| seen.insert(row.id.clone()))
                {
                    text += &serde_json::to_string(record)
                        .map_err(|e| ReportError::encode("trials.jsonl", e))?;
                    text.push('\n');
                }
                put("trials.jsonl".into(), text.as_bytes())?;
            }
            Format::Parquet => {
                put("trials.parquet".into(), &parquet(&tables::trials(a)))?;
                put("curves.parquet".into(), &parquet(&tables::curves(a)))?;
            }
            Format::TensorBoard => {
                for (row, record) in tables::done(a) {
                    let point = row.point.map_or(String::new(), |p| format!("-point{p}"));
                    let group = stem(&a.groups[row.group].label);
                    let run = format!(
                        "{:02}-{group}/{}{point}-seed{}",
                        row.group,
                        stage(row.stage),
                        row.seed
                    );
                    let file = format!(
                        "events.out.tfevents.{}.{}",
                        record.provenance.started, row.id
                    );
                    put(
                        format!("tensorboard/{run}/{file}"),
                        &tensorboard::events(record),
                    )?;
                }
            }
        }
    }
    Ok(Written { files, undrawn })
}

/// The PNG of each figure, drawn on all cores.
fn pictures(figures: &[&Figure], painter: &Painter) -> Vec<Result<Vec<u8>, PlotError>> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let each = figures.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let some = figures.chunks(each).map(|figures| {
            let draw = || figures.iter().map(|f| f.png(painter)).collect::<Vec<_>>();
            scope.spawn(draw)
        });
        let threads: Vec<_> = some.collect();
        let drawn = threads.into_iter().flat_map(|thread| match thread.join() {
            Ok(drawn) => drawn,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        drawn.collect()
    })
}
