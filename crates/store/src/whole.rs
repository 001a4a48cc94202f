//! Files and folders that are complete as soon as they exist.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

/// The ending of temporary names of files and folders; [`clear_leftovers`] recognises them by it.
const PARTIAL: &str = ".partial";

/// The prefix `.NAME.` of `.NAME.RANDOM.partial`, the temporary name next to NAME.
fn prefix(path: &Path) -> String {
    format!(
        ".{}.",
        path.file_name().unwrap_or_default().to_string_lossy()
    )
}

/// The folder that contains a path.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Permissions before the user's umask applies, as for every new file; a temporary file would
/// otherwise be readable only by its owner.
#[cfg(unix)]
fn rights(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

/// Writes a file under a random name in the same folder, flushes it to disk, and renames it to its
/// final name.
///
/// # Errors
/// An error of the file system. An old file is then untouched, and no partial file is left.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::beside(path)?;
    file.write_all(bytes)?;
    file.place()
}

/// Like [`write_whole`], but never replaces an existing file: of several concurrent writers, the
/// first one wins.
///
/// # Errors
/// An error of the file system; [`io::ErrorKind::AlreadyExists`] if the file exists.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::beside(path)?;
    file.write_all(bytes)?;
    file.beside.as_file().sync_all()?;
    file.beside.persist_noclobber(path).map_err(|e| e.error)?;
    sync_folder(parent(path))
}

/// A file that is written under a random name in the same folder and then put in place as a whole;
/// it is deleted if it is never placed.
#[must_use = "dropping it deletes the file, unless it was placed"]
pub struct NewFile {
    beside: NamedTempFile,
    place: PathBuf,
}

impl NewFile {
    /// An empty file next to `place`.
    ///
    /// # Errors
    /// An error of the file system.
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

    /// Flushes the file to disk and puts it in place, replacing any file there.
    ///
    /// # Errors
    /// An error of the file system. An old file is then untouched, and no partial file is left.
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

/// Makes new and renamed files of a folder durable, if the system supports it.
///
/// # Errors
/// An error of the file system.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all())
    } else {
        Ok(())
    }
}

/// A folder that is filled under a random name in the same parent and then put in place as a whole;
/// it is deleted with its contents if it is never placed.
#[must_use = "dropping it deletes the folder, unless it was placed"]
pub struct Folder {
    beside: TempDir,
    place: PathBuf,
}

impl Folder {
    /// An empty folder next to `place`; a missing parent is created.
    ///
    /// # Errors
    /// An error of the file system.
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

    /// The temporary folder to write into.
    pub fn path(&self) -> &Path {
        self.beside.path()
    }

    /// Writes a file in the folder and flushes it to disk; missing subfolders are created.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path().join(name);
        fs::create_dir_all(parent(&path))?;
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Puts the folder in place, where nothing may exist yet.
    ///
    /// # Errors
    /// An error of the file system, also if something is already there; nothing partial is left.
    pub fn place(self) -> io::Result<()> {
        fs::rename(self.beside.path(), &self.place)?;
        // The folder was moved, so nothing is left to delete.
        let _ = self.beside.keep();
        sync_folder(parent(&self.place))
    }

    /// Puts the folder in place of an existing one, if there is one. A crash between the two
    /// renames leaves the old folder under a temporary name, and [`clear_leftovers`] restores it.
    ///
    /// # Errors
    /// An error of the file system; the old folder is then back in its place.
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

/// The name of the folder that is being replaced, inside the temporary folder.
const OLD: &str = "old";

/// Removes what killed writers of `path`, a file or a folder, left next to it, and restores a
/// folder that was moved away but never replaced.
///
/// Call this only while holding the lock that protects `path`: it would also delete the files of a
/// living writer. Files that cannot be removed do no harm and stay.
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
        // A folder is in the way: the write is refused, and no partial file is left.
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
        assert!(folder("two").place().is_err(), "something is already there");
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
