//! Files as bytes that processes share: plain files are mapped in place; compressed files are
//! expanded once into the cache folder and mapped there. A hash is computed once and reused while
//! the file is unchanged, see [`stamp`].

use crate::DataError;
use crate::part::Bytes;
use flate2::read::MultiGzDecoder;
use largebatch_store::NewFile;
use memmap2::Mmap;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file's uncompressed content.
pub struct Content {
    /// The file as the user knows it.
    pub path: PathBuf,
    pub(crate) bytes: Bytes,
    /// SHA-256 of the uncompressed content.
    pub sha256: String,
}

impl Content {
    /// The uncompressed bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The content of a file, plain or gzip.
///
/// # Errors
/// If it cannot be read, is empty or damaged, or the cache cannot be written.
pub(crate) fn content(path: &Path, cache: &Path) -> Result<Content, DataError> {
    let content = |bytes, sha256| Content {
        path: path.to_path_buf(),
        bytes,
        sha256,
    };
    let (stamp, compressed) = (stamp(path)?, is_gzip(path)?);
    let expanded = if compressed {
        cache.join("expanded").join(&stamp)
    } else {
        path.to_path_buf()
    };
    let note = cache.join("hashes").join(&stamp);
    // The note also records the expanded length, so that a file truncated by a crash is not taken
    // as complete.
    if let (Some((length, sha256)), Ok(found)) = (read_note(&note), expanded.metadata())
        && found.len() == length
    {
        return Ok(content(map(&expanded)?, sha256));
    }
    let (length, sha256) = if compressed {
        expand(path, &expanded, None)?
    } else {
        hash_file(path)?
    };
    if length == 0 {
        return Err(DataError::empty(path));
    }
    // Without the note the next start hashes again, which is slower but not wrong. So an unwritable
    // cache is not an error here.
    let _ = write_whole(&note, format!("{length} {sha256}\n").as_bytes());
    Ok(content(map(&expanded)?, sha256))
}

/// A name for the current state of a file. Different content may have the same path, size and time
/// (`cp -p`, `touch -r`), so the name also covers what no program can set: the device, the inode
/// and the inode's change time. If these are not enough, it covers the content.
pub(crate) fn stamp(path: &Path) -> Result<String, DataError> {
    stamp_at(path, SystemTime::now())
}

fn stamp_at(path: &Path, now: SystemTime) -> Result<String, DataError> {
    let meta = fs::metadata(path).map_err(DataError::read(path))?;
    if !meta.is_file() {
        return Err(DataError::Read {
            path: path.to_path_buf(),
            source: io::Error::other("it is not a file"),
        });
    }
    if meta.len() == 0 {
        return Err(DataError::empty(path));
    }
    let full = fs::canonicalize(path).map_err(DataError::read(path))?;
    let changed = meta
        .modified()
        .ok()
        .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |d| d.as_nanos());
    let identity = match identity(&meta, now) {
        Some(identity) => identity,
        None => hash_file(path)?.1,
    };
    Ok(
        sha256(format!("{}\n{}\n{changed}\n{identity}", full.display(), meta.len()).as_bytes())
            [..32]
            .into(),
    )
}

/// The device, the inode and its change time. `None` for a file that was changed just now, since a
/// second change may get the same time: the resolution of a clock is up to two seconds.
#[cfg(unix)]
fn identity(meta: &fs::Metadata, now: SystemTime) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let settled = u64::try_from(meta.ctime()).is_ok_and(|changed| changed + 2 < now);
    settled.then(|| {
        format!(
            "{} {} {} {}",
            meta.dev(),
            meta.ino(),
            meta.ctime(),
            meta.ctime_nsec()
        )
    })
}

/// Other systems report no time that programs cannot set.
#[cfg(not(unix))]
fn identity(_: &fs::Metadata, _: SystemTime) -> Option<String> {
    None
}

fn is_gzip(path: &Path) -> Result<bool, DataError> {
    let mut magic = [0; 2];
    let mut file = File::open(path).map_err(DataError::read(path))?;
    Ok(file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b])
}

/// The content of a file, plain or gzip.
fn content_of(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let compressed = is_gzip(path)?;
    let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(DataError::read(path))?);
    Ok(match compressed {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    })
}

fn read_note(note: &Path) -> Option<(u64, String)> {
    let text = fs::read_to_string(note).ok()?;
    let (length, sha256) = text.trim_end().split_once(' ')?;
    (sha256.len() == 64).then_some((length.parse().ok()?, sha256.into()))
}

/// Writes the content of `from`, plain or gzip, to a file next to `to`, which is then renamed to
/// `to`. Returns the length and SHA-256 of the content. If `expected` is given, content with
/// another hash is refused before the rename.
pub(crate) fn expand(
    from: &Path,
    to: &Path,
    expected: Option<&str>,
) -> Result<(u64, String), DataError> {
    let mut reader = content_of(from)?;
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(DataError::write(folder))?;
    let mut out = NewFile::beside(to).map_err(DataError::write(to))?;
    let (length, sha256) = copy(
        &mut reader,
        &mut out,
        DataError::compressed(from),
        DataError::write(to),
    )?;
    if let Some(expected) = expected.filter(|expected| *expected != sha256) {
        return Err(DataError::Checksum {
            path: from.to_path_buf(),
            found: sha256,
            expected: expected.into(),
        });
    }
    out.place().map_err(DataError::write(to))?;
    Ok((length, sha256))
}

/// Length and SHA-256 of a file.
pub(crate) fn hash_file(path: &Path) -> Result<(u64, String), DataError> {
    let mut file = File::open(path).map_err(DataError::read(path))?;
    copy(
        &mut file,
        &mut io::sink(),
        DataError::read(path),
        DataError::write(path),
    )
}

/// The SHA-256 of a file's uncompressed content, always computed anew.
pub(crate) fn hash_content(path: &Path) -> Result<String, DataError> {
    if !is_gzip(path)? {
        return Ok(hash_file(path)?.1);
    }
    let (damaged, never) = (DataError::compressed(path), DataError::write(path));
    Ok(copy(&mut content_of(path)?, &mut io::sink(), damaged, never)?.1)
}

/// Copies all of `from`; returns the length and the SHA-256.
pub(crate) fn copy(
    from: &mut impl Read,
    to: &mut impl Write,
    cannot_read: impl FnOnce(io::Error) -> DataError,
    cannot_write: impl FnOnce(io::Error) -> DataError,
) -> Result<(u64, String), DataError> {
    let (mut buffer, mut hash, mut length) = (vec![0; 1 << 17], Sha256::new(), 0);
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hash.update(&buffer[..n]);
                length += n as u64;
                if let Err(e) = to.write_all(&buffer[..n]) {
                    return Err(cannot_write(e));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(cannot_read(e)),
        }
    }
    Ok((length, hex(&hash.finalize())))
}

pub(crate) fn write_whole(to: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| largebatch_store::write_whole(to, bytes))
        .map_err(DataError::write(to))
}

fn map(path: &Path) -> Result<Bytes, DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    // SAFETY: the mapping is only ever read. Files in the cache are replaced by renaming, never
    // changed in place, so their pages stay valid. If a user truncates a data file during training,
    // the system stops the process (SIGBUS), as with every program that maps files.
    let map = unsafe { Mmap::map(&file) }.map_err(DataError::read(path))?;
    Ok(Bytes::Mapped(Arc::new(map)))
}

/// The SHA-256 of bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Different content with the same path, size and time gets another stamp, also long after it
    /// was written; an unchanged file keeps its stamp.
    #[test]
    fn a_stamp_sees_other_content_of_equal_size_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for later in [Duration::ZERO, Duration::from_secs(10)] {
            let stamp = || stamp_at(&path, SystemTime::now() + later).unwrap();
            fs::write(&path, "first").unwrap();
            let (time, first) = (fs::metadata(&path).unwrap().modified().unwrap(), stamp());
            assert_eq!(first, stamp());
            // Longer than the resolution of the system's clock, as for a user who changes the file
            // later.
            std::thread::sleep(Duration::from_millis(20));
            fs::write(&path, "other").unwrap();
            let as_before = |path: &Path| {
                File::options()
                    .write(true)
                    .open(path)
                    .and_then(|f| f.set_modified(time))
                    .unwrap()
            };
            as_before(&path);
            let second = stamp();
            assert_ne!(first, second, "overwritten, seen after {later:?}");
            let beside = folder.path().join("beside");
            fs::write(&beside, "third").unwrap();
            as_before(&beside);
            fs::rename(&beside, &path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time);
            assert_ne!(
                second,
                stamp(),
                "another file under the name, seen after {later:?}"
            );
        }
    }
}
