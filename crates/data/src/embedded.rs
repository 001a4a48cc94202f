//! The sets that ship inside the binary.

use crate::part::{Block, Bytes};
use crate::table::Encoding;
use crate::{Column, CsvSpec, LabelKind};
use crate::{
    DataError, Dataset, Labels, Normalise, Part, Preprocess, Source, TargetScale, Task, cache,
    formats::csv,
};
use largebatch_datasets::{BuiltIn, Format};
use std::sync::Arc;

/// Reads a built-in set and splits it by its committed test indices.
pub(crate) fn open(set: &BuiltIn) -> Result<Dataset, DataError> {
    let file = format!("built in: {}", set.name);
    let path = std::path::Path::new(&file);
    let (all, task, normalise) = match set.format {
        Format::Records { shape, white } => {
            let size: usize = shape.iter().product();
            let stride = size + 1;
            let labels = set
                .data
                .iter()
                .step_by(stride)
                .map(|&l| u32::from(l))
                .collect::<Vec<_>>();
            let block = Block {
                bytes: Bytes::Owned(Arc::new(set.data.to_vec())),
                start: 1,
                stride,
                count: labels.len(),
            };
            let part =
                Part::from_blocks(vec![block], white, shape.to_vec(), Labels::Classes(labels));
            (part, Task::Classes(set.class_names.len()), Normalise::Unit)
        }
        Format::Csv { label, real } => {
            let labels = Some(match real {
                true => LabelKind::Real,
                false => LabelKind::Classes,
            });
            let spec = CsvSpec {
                name: None,
                train: path.to_path_buf(),
                test: None,
                label: Column::Name(label.into()),
                header: Some(true),
                delimiter: None,
                missing: None,
                labels,
            };
            let rows = csv::read(path, set.data, &spec)?;
            let encoding = Encoding::learn(&rows, labels)?;
            let labels = encoding.apply(&rows)?;
            (rows.part(labels)?, encoding.task(), Normalise::Feature)
        }
    };
    let test: Vec<u32> = set.test.lines().filter_map(|l| l.parse().ok()).collect();
    let mut held = vec![false; all.len()];
    test.iter().for_each(|&i| held[i as usize] = true);
    let train: Vec<u32> = (0..all.len() as u32)
        .filter(|&i| !held[i as usize])
        .collect();
    Ok(Dataset {
        name: set.name.into(),
        task,
        shape: all.shape().to_vec(),
        train: all.select(&train),
        test: all.select(&test),
        sources: vec![Source {
            file,
            sha256: cache::sha256(set.data),
            known: true,
        }],
        class_names: set.class_names.iter().map(|n| n.to_string()).collect(),
        preprocess: Preprocess {
            normalise: Some(normalise),
            targets: TargetScale::of(task),
            ..Preprocess::default()
        },
        warnings: Vec::new(),
    })
}
