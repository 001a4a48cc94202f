//! Data for `largebatch`: sets that ship inside the binary, files, downloads, splits, batch order, augmentation.
//!
//! ```
//! use largebatch_data::{hold_out, open, Key, Order, Pipeline, Sampling, Search};
//!
//! let digits = open("digits", &Search::default())?;
//! let parts = hold_out(digits.train.labels(), digits.default_validation(), 0)?;
//! let pipeline = Pipeline::fit(digits.preprocess, &digits.train, &parts.train)?;
//! let mut order = Order::new(parts.train, Sampling::Shuffled, false, Key::new(0).word("order"))?;
//! let (_epoch, batch) = order.next(32);
//! let mut values = Vec::new();
//! pipeline.gather(&digits.train, &batch, None, &mut values);
//! assert_eq!(values.len(), 32 * 64);
//! # Ok::<(), largebatch_data::DataError>(())
//! ```

mod archive;
mod cache;
mod catalogued;
mod cifar;
mod columns;
mod delimited;
mod embedded;
mod error;
mod features;
mod fetch;
mod files;
mod fitted;
mod formats;
mod labels;
mod listing;
mod open;
mod order;
mod part;
mod pipeline;
mod preprocess;
mod search;
mod set;
mod spec;
mod split;
mod summary;
mod suspicion;
mod table;

pub use cache::Content;
pub use columns::Column;
pub use delimited::Delimiter;
pub use error::DataError;
pub use features::read_features;
pub use fetch::Download;
pub use files::Files;
pub use fitted::{Fitted, Moments};
pub use formats::*;
pub use labels::{Labels, Task};
pub use largebatch_random::Key;
pub use listing::{Listing, fetch, list, path, verify};
pub use open::{
    Datasets, NamedDataset, Open, dataset_entry, datasets, open, open_named, open_spec,
};
pub use order::{Order, Position, Sampling};
pub use part::Part;
pub use pipeline::Pipeline;
pub use preprocess::{Normalise, Preprocess, TargetScale};
pub use search::{CACHE_DIR, DATA_DIR, Search};
pub use set::{Dataset, Source};
pub use spec::{DataSpec, Known, Reader, Registry, Unlabelled, format_entry};
pub use split::{Holdout, folds, hold_out};
pub use summary::majority;
pub use table::{LabelKind, Rows, line, number};
