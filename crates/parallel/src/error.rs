//! Errors of this crate.

/// A job that cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParallelError {
    /// A launcher whose processes cannot work together.
    #[error("{name} has started {count} copies of this program, but {why}")]
    Launcher {
        /// The launcher.
        name: &'static str,
        /// The number of processes that it has started.
        count: usize,
        /// What is missing, and the remedy.
        why: String,
    },
}
