//! Files on disk: files and folders that are written as a whole, locks, and digests.
//!
//! - [`write_whole`], [`write_new`], [`NewFile`] and [`Folder`] put a file or a folder in place in
//!   one step. Their temporary names are random and created exclusively, so two writers never share
//!   one, whatever hosts or containers they run on.
//! - [`Lock`] shows whether a writer is alive. The system frees it whenever the process ends;
//!   process numbers are not used. The next holder of the lock removes what a killed writer left:
//!   [`clear_leftovers`].
//! - [`seal`] and [`unseal`] add a digest to a line of JSON and check it; [`seal_text`] and
//!   [`unseal_text`] do so for a TOML file; [`digest`] is the digest of whole files.
#![warn(missing_docs)]

mod lock;
mod seal;
mod whole;

pub use lock::{Lock, LockError};
pub use seal::{Seal, digest, seal, seal_text, unseal, unseal_text};
pub use whole::{Folder, NewFile, clear_leftovers, sync_folder, write_new, write_whole};
