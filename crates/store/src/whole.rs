use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

/// What temporary names of files and folders end in; [`clear_leftovers`] goes by it.
const PARTIAL: &str = ".partial";

/// `.NAME.` of `.NAME.RANDOM.partial`, which stands beside NAME.
fn prefix(path: &Path) -> String {
    format!(
        ".{}.",
        path.file_name().unwrap_or_default().to_string_lossy()
    )
}

/// The folder that a path stands in.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Rights that the user's mask narrows, as for every new file; a temporary file's own would be for the owner alone.
#[cfg(unix)]
fn rights(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

/// Writes a file beside its place under a random name, flushes it to the disk, and renames it into place.
///
/// # Errors
/// The file system's. The old file, if any, is then untouched, and nothing half-written stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::beside(path)?;
    file.write_all(bytes)?;
    file.place()
}

/// As [`write_whole`], but a file that is there already stays: of several writers at the same moment the first one wins.
///
/// # Errors
/// The file system's; [`io::ErrorKind::AlreadyExists`] where a file is there.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::beside(path)?;
    file.write_all(bytes)?;
    file.beside.as_file().sync_all()?;
    file.beside.persist_noclobber(path).map_err(|e| e.error)?;
    sync_folder(parent(path))
}

/// A file that is written beside its place under a random name, and then put in place as a whole; deleted if it never is.
pub struct NewFile {
    beside: NamedTempFile,
    place: PathBuf,
}

impl NewFile {
    /// An empty file beside `place`.
    ///
    /// # Errors
    /// The file system's.
    pub fn beside(place: &Path) -> io::Result<Self> {
        let prefix = prefix(place);
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(PARTIAL);
        #[cfg(unix)]
        builder.permissions(rights(0o666));
        Ok(NewFile {
            beside: builder.tempfile_in(parent(place))?,
            place: place.to_owned(),
        })
    }

    /// Flushes the file to the disk and puts it in its place, also over the file that stands there.
    ///
    /// # Errors
    /// The file system's. The old file, if any, is then untouched, and nothing half-written stays.
    pub fn place(self) -> io::Result<()> {
        self.beside.as_file().sync_all()?;
        self.beside.persist(&self.place).map_err(|e| e.error)?;
        sync_folder(parent(&self.place))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.beside.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.beside.flush()
    }
}

/// Makes new and renamed files of a folder durable, where the system can.
///
/// # Errors
/// The file system's.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all())
    } else {
        Ok(())
    }
}

/// A folder that is filled beside its place under a random name, and then put in place as a whole; deleted with its content if it never is.
pub struct Folder {
    beside: TempDir,
    place: PathBuf,
}

impl Folder {
    /// An empty folder beside `place`, whose parent is made if it is missing.
    ///
    /// # Errors
    /// The file system's.
    pub fn beside(place: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent(place))?;
        let prefix = prefix(place);
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(PARTIAL);
        #[cfg(unix)]
        builder.permissions(rights(0o777));
        Ok(Folder {
            beside: builder.tempdir_in(parent(place))?,
            place: place.to_owned(),
        })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        self.beside.path()
    }

    /// Writes a file of the folder and flushes it to the disk; missing folders above it are made.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path().join(name);
        fs::create_dir_all(parent(&path))?;
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Puts the folder in its place, where nothing may stand.
    ///
    /// # Errors
    /// The file system's, also where something stands there; nothing half-written stays.
    pub fn place(self) -> io::Result<()> {
        fs::rename(self.beside.path(), &self.place)?;
        // It has moved away: nothing is left to delete.
        let _ = self.beside.keep();
        sync_folder(parent(&self.place))
    }

    /// Puts the folder in the place of the one that stands there, if one does. Between its two renames a crash leaves the old one under a temporary name, from where
    /// [`clear_leftovers`] brings it back.
    ///
    /// # Errors
    /// The file system's; the old folder is then in its place again.
    pub fn replace(self) -> io::Result<()> {
        if !self.place.exists() {
            return self.place();
        }
        let old = Folder::beside(&self.place)?;
        let moved = old.path().join(OLD);
        fs::rename(&self.place, &moved)?;
        let place = self.place.clone();
        match self.place() {
            Ok(()) => Ok(()),
            Err(error) => {
                fs::rename(&moved, &place).inspect_err(|_| drop(old.beside.keep()))?;
                Err(error)
            }
        }
    }
}

/// The name under which a folder that is being replaced waits in a temporary one.
const OLD: &str = "old";

/// Removes what killed writers of `path`, a file or a folder, have left beside it, and puts a folder back that was moved away and never replaced.
///
/// Only for whoever holds the lock under which `path` is written: a living writer's files would go too. What cannot be removed does no harm and stays.
pub fn clear_leftovers(path: &Path) {
    let Ok(entries) = fs::read_dir(parent(path)) else {
        return;
    };
    let prefix = prefix(path);
    for entry in entries.flatten() {
        if !entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(&prefix) && name.ends_with(PARTIAL))
        {
            continue;
        }
        let leftover = entry.path();
        if leftover.join(OLD).exists() && !path.exists() {
            let _ = fs::rename(leftover.join(OLD), path);
        }
        let _ = if leftover.is_dir() {
            fs::remove_dir_all(&leftover)
        } else {
            fs::remove_file(&leftover)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(
            write_new(&path, b"three").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(dir.path()), ["a.json"]);
        // A folder in its place: refused, and nothing stays.
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("b/c"), "").unwrap();
        assert!(write_whole(&dir.path().join("b"), b"x").is_err());
        assert_eq!(names(dir.path()), ["a.json", "b"]);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_the_mask_lets_them() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ordinary"), "").unwrap();
        write_whole(&dir.path().join("whole"), b"").unwrap();
        let mode = |name| {
            fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!(mode("whole"), mode("ordinary"));
    }

    #[test]
    fn forty_writers_of_one_file_never_meet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::thread::scope(|s| {
            for i in 0..40u8 {
                let path = &path;
                s.spawn(move || write_whole(path, &[i; 10_000]).unwrap());
            }
        });
        let found = fs::read(&path).unwrap();
        assert!(found.len() == 10_000 && found.iter().all(|b| *b == found[0]));
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    fn a_folder_is_placed_once_and_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report");
        let folder = |text: &str| {
            let folder = Folder::beside(&path).unwrap();
            folder.write("figures/a.svg", text.as_bytes()).unwrap();
            folder
        };
        folder("one").place().unwrap();
        assert!(folder("two").place().is_err(), "something stands there");
        assert_eq!(fs::read(path.join("figures/a.svg")).unwrap(), b"one");
        folder("three").replace().unwrap();
        assert_eq!(fs::read(path.join("figures/a.svg")).unwrap(), b"three");
        drop(folder("never placed"));
        assert_eq!(names(dir.path()), ["report"]);
    }

    #[test]
    fn what_killed_writers_left_goes_and_a_report_that_was_moved_away_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report");
        fs::create_dir_all(dir.path().join(".report.Xy1.partial/old")).unwrap();
        fs::write(dir.path().join(".report.Xy1.partial/old/index.html"), "old").unwrap();
        fs::create_dir_all(dir.path().join(".report.Xy2.partial/figures")).unwrap();
        fs::write(dir.path().join(".other.Xy3.partial"), "of another file").unwrap();
        clear_leftovers(&path);
        assert_eq!(fs::read(path.join("index.html")).unwrap(), b"old");
        assert_eq!(names(dir.path()), [".other.Xy3.partial", "report"]);
    }
}
