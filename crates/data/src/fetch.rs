//! Fetching the sets of the catalogue: tries the mirrors in turn, resumes a partial download,
//! verifies the content, and puts the files in place at the end.

use crate::cache;
use crate::{DataError, archive};
use largebatch_datasets::{Archive, Entry, Mirror};
use largebatch_store::{Lock, LockError, clear_leftovers};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The progress of a download.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Download {
    /// The file.
    pub file: String,
    /// The address it comes from.
    pub address: String,
    /// Bytes received, including those of an earlier, interrupted download.
    pub done: u64,
    /// Total number of bytes, if the server reports it.
    pub total: Option<u64>,
}

/// Downloads sets.
pub(crate) struct Fetcher {
    agent: ureq::Agent,
}

/// A file to download, and what to do with it.
struct Item<'a> {
    remote: String,
    part: PathBuf,
    mirrors: &'a [Mirror],
    what: What<'a>,
    /// The final file or folder.
    to: PathBuf,
}

enum What<'a> {
    Archive(&'a Entry, &'a Archive),
    /// A gzip file, and the SHA-256 of its content.
    Content(&'a str),
}

/// How long to wait for another process that fetches the same set.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How often an interrupted download is resumed from the same mirror.
const RESUMES: usize = 3;

impl Fetcher {
    /// A connection that sends nothing for as long as `stall` is given up.
    pub(crate) fn new(stall: Duration) -> Fetcher {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(stall))
            .timeout_per_read(Some(stall))
            .http_status_as_error(false)
            .user_agent(concat!("largebatch/", env!("CARGO_PKG_VERSION")))
            .build();
        Fetcher {
            agent: config.new_agent(),
        }
    }

    /// Fetches those parts of the set that are missing in `folder` or damaged.
    pub(crate) fn fetch(
        &self,
        entry: &Entry,
        folder: &Path,
        progress: &mut dyn FnMut(Download),
    ) -> Result<(), DataError> {
        fs::create_dir_all(folder).map_err(DataError::write(folder))?;
        // One process at a time; the others find the files when it is done. The system frees the
        // lock in any case.
        let lock_path = folder.join(".lock");
        let _lock = Lock::take(&lock_path, PATIENCE).map_err(|error| match error {
            LockError::Held { by } => DataError::write(&lock_path)(io::Error::other(format!(
                "{by} has been fetching for a day"
            ))),
            LockError::Io(error) => DataError::write(&lock_path)(error),
        })?;
        let items = items(entry, folder);
        items.iter().for_each(|item| clear_leftovers(&item.to));
        for item in items.iter().filter(|item| !item.is_here()) {
            self.item(entry, folder, item, progress)?;
        }
        Ok(())
    }

    fn item(
        &self,
        entry: &Entry,
        folder: &Path,
        item: &Item,
        progress: &mut dyn FnMut(Download),
    ) -> Result<(), DataError> {
        let mut attempts = Vec::new();
        for mirror in item.mirrors {
            let address = format!("{}{}", mirror.url, item.remote);
            let mut fail = |why: String| {
                let note = if mirror.tried {
                    ""
                } else {
                    " (not yet tested by this project)"
                };
                attempts.push(format!("{address}{note}: {why}"))
            };
            let mut tries = 0..=RESUMES;
            while tries.next().is_some() {
                let before = size(&item.part);
                match self.download(&address, item, progress) {
                    Ok(()) => match item.finish() {
                        Ok(()) => {
                            return fs::remove_file(&item.part)
                                .map_err(DataError::write(&item.part));
                        }
                        Err(error @ (DataError::Write { .. } | DataError::Read { .. })) => {
                            return Err(error);
                        }
                        Err(error) => {
                            // The content is wrong. If an older partial download was continued,
                            // that may be the reason: try once more from the start.
                            fs::remove_file(&item.part).map_err(DataError::write(&item.part))?;
                            fail(error.to_string());
                            if before == 0 {
                                break;
                            }
                        }
                    },
                    Err(Failure::Ours(error)) => return Err(error),
                    Err(Failure::Refused(why)) => {
                        fail(why);
                        break;
                    }
                    Err(Failure::Cut(why)) => {
                        fail(why);
                        if size(&item.part) == before {
                            break;
                        }
                    }
                }
            }
        }
        Err(DataError::Fetch {
            name: entry.name.clone(),
            file: item.remote.clone(),
            attempts,
            folder: folder.to_path_buf(),
        })
    }

    /// Downloads into the partial file, from where an earlier download ended.
    fn download(
        &self,
        address: &str,
        item: &Item,
        progress: &mut dyn FnMut(Download),
    ) -> Result<(), Failure> {
        let have = size(&item.part);
        let ours = |e| Failure::Ours(DataError::write(&item.part)(e));
        let mut response = self.ask(address, have)?;
        if response.status() == 416 {
            // The server has no bytes from there on, so the partial download is not of this file.
            response = self.ask(address, 0)?;
        }
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        let mut options = OpenOptions::new();
        let (mut done, options) = match response.status().as_u16() {
            200 => (0, options.write(true).create(true).truncate(true)),
            206 if header("Content-Range")
                .is_some_and(|r| r.starts_with(&format!("bytes {have}-"))) =>
            {
                (have, options.append(true))
            }
            status => return Err(Failure::Refused(format!("the server answered {status}"))),
        };
        let total = header("Content-Length")
            .and_then(|l| l.parse::<u64>().ok())
            .map(|l| done + l);
        let mut out = options.open(&item.part).map_err(ours)?;
        let (mut body, mut buffer) = (response.into_body().into_reader(), vec![0; 1 << 16]);
        loop {
            progress(Download {
                file: item.remote.clone(),
                address: address.into(),
                done,
                total,
            });
            match body.read(&mut buffer) {
                Ok(0) if total.is_some_and(|total| done < total) => {
                    return Err(Failure::Cut(format!(
                        "the connection ended after {done} of {} bytes",
                        total.unwrap_or(0)
                    )));
                }
                Ok(0) => return Ok(()),
                Ok(n) => {
                    out.write_all(&buffer[..n]).map_err(ours)?;
                    done += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Failure::Cut(format!("after {done} bytes: {e}"))),
            }
        }
    }

    /// Asks for the file from byte `have` on.
    fn ask(&self, address: &str, have: u64) -> Result<ureq::http::Response<ureq::Body>, Failure> {
        // The server must not encode the content: we need the file's own bytes.
        let mut request = self
            .agent
            .get(address)
            .header("Accept-Encoding", "identity");
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        request.call().map_err(|e| Failure::Refused(e.to_string()))
    }
}

enum Failure {
    /// The mirror does not have the file, or does not answer.
    Refused(String),
    /// The download ended early and can be resumed.
    Cut(String),
    /// An error on this machine.
    Ours(DataError),
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |m| m.len())
}

impl Item<'_> {
    /// Whether the file is present and correct.
    fn is_here(&self) -> bool {
        match self.what {
            What::Content(sha256) => {
                cache::hash_file(&self.to).is_ok_and(|(_, found)| found == sha256)
            }
            What::Archive(entry, _) => entry.file.iter().all(|file| {
                let hash = cache::hash_file(&self.to.join(&file.name));
                hash.is_ok_and(|(_, sha256)| {
                    archive::is_in_archive(entry, &self.to, &file.name, &sha256)
                })
            }),
        }
    }

    /// Verifies the download and puts its content in place.
    fn finish(&self) -> Result<(), DataError> {
        match self.what {
            What::Content(sha256) => cache::expand(&self.part, &self.to, Some(sha256)).map(drop),
            What::Archive(entry, archive) => {
                let found = cache::hash_file(&self.part)?.1;
                if found != archive.sha256 {
                    return Err(DataError::Checksum {
                        path: self.part.clone(),
                        found,
                        expected: archive.sha256.clone(),
                    });
                }
                if self.to.is_dir() {
                    // It is damaged, or `is_here` would have returned true.
                    fs::remove_dir_all(&self.to).map_err(DataError::write(&self.to))?;
                }
                archive::expand(entry, &self.part, &self.to)
            }
        }
    }
}

/// The downloads of a set.
fn items<'a>(entry: &'a Entry, folder: &Path) -> Vec<Item<'a>> {
    let item = |remote: String, to: &str, what| Item {
        part: folder.join(format!("{remote}.part")),
        remote,
        mirrors: &entry.mirrors,
        what,
        to: folder.join(to),
    };
    if let Some(archive) = &entry.archive {
        return vec![item(
            archive.name.clone(),
            &archive.folder,
            What::Archive(entry, archive),
        )];
    }
    let file = |file: &'a largebatch_datasets::File| {
        file.sha256
            .as_ref()
            .map(|hash| item(format!("{}.gz", file.name), &file.name, What::Content(hash)))
    };
    entry.file.iter().filter_map(file).collect()
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
