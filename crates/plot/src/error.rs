use std::path::{Path, PathBuf};

/// Why a figure could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// A file or folder could not be written.
    #[error("{doing} {path}: {source}; check the folder's permissions and free space")]
    Io {
        /// The action that failed, such as `writing`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The name of a figure's file does not end in a known format.
    #[error("cannot write a figure to {0}: the file name must end in .svg or .png")]
    Extension(PathBuf),
    /// A figure could not be drawn as a PNG.
    #[error("cannot draw {figure}: {message}; this is a bug in largebatch-plot, please report it")]
    Draw {
        /// The name of the figure.
        figure: String,
        /// What is wrong with it.
        message: String,
    },
}

impl PlotError {
    pub(crate) fn io(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> PlotError + use<> {
        let path = path.to_path_buf();
        move |source| PlotError::Io {
            doing,
            path,
            source,
        }
    }
}
