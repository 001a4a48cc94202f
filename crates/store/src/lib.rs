//! What lies on disk: files and folders that are written whole, locks, digests.
//!
//! - [`write_whole`], [`write_new`], [`NewFile`] and [`Folder`] put a file or a folder in place in one step. Their temporary names are random and created exclusively, so that two writers never share
//!   one, on whatever hosts or in whatever containers they run.
//! - [`Lock`] says whether a writer lives. The system frees it when the process ends, however it ends; process numbers are never asked. What a killed writer
//!   left is removed by whoever holds the lock next: [`clear_leftovers`].
//! - [`seal`] and [`unseal`] add a digest to a line of JSON and check it, [`seal_text`] and [`unseal_text`] to a file in TOML; [`digest`] is the digest of whole files.
#![warn(missing_docs)]

mod lock;
mod seal;
mod whole;

pub use lock::{Lock, LockError};
pub use seal::{Seal, digest, seal, seal_text, unseal, unseal_text};
pub use whole::{Folder, NewFile, clear_leftovers, sync_folder, write_new, write_whole};
