//! Where data sets are looked for.

use std::path::PathBuf;

/// The environment variable that names a folder with data sets.
pub const DATA_DIR: &str = "LARGEBATCH_DATA_DIR";
/// The environment variable that names a cache folder to use in place of the user's.
pub const CACHE_DIR: &str = "LARGEBATCH_CACHE_DIR";

/// Where to look for files. A set named `mnist` is looked for in the subfolder `mnist` of
/// `data_dir`, in `data_dir` itself, and then among the files that `largebatch data fetch` put into
/// the cache.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search {
    /// The folder given with `--data-dir`; by default that of the environment variable
    /// `LARGEBATCH_DATA_DIR`, if it is set.
    pub data_dir: Option<PathBuf>,
    /// The cache folder; by default that of `LARGEBATCH_CACHE_DIR`, else the user's (`~/.cache/largebatch` on Linux).
    pub cache_dir: Option<PathBuf>,
}

impl Search {
    /// The folder that the user named.
    pub fn data_dir(&self) -> Option<PathBuf> {
        self.data_dir.clone().or_else(|| variable(DATA_DIR))
    }

    /// The cache folder, or the system's temporary folder if the user has no home.
    pub fn cache_dir(&self) -> PathBuf {
        let user = || {
            directories::ProjectDirs::from("", "", "largebatch")
                .map(|d| d.cache_dir().to_path_buf())
        };
        self.cache_dir
            .clone()
            .or_else(|| variable(CACHE_DIR))
            .or_else(user)
            .unwrap_or_else(|| std::env::temp_dir().join("largebatch"))
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
}
