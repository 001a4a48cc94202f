//! The library behind `largebatch data`, with an empty cache and without a network.

use std::path::PathBuf;

use largebatch_data::{DataError, Search, datasets, fetch, list, open, path, verify};

fn search(folder: &tempfile::TempDir) -> Search {
    Search {
        data_dir: Some(folder.path().join("data")),
        cache_dir: Some(folder.path().join("cache")),
    }
}

#[test]
fn the_list_says_what_is_here() {
    let folder = tempfile::tempdir().unwrap();
    let all = list(&datasets(), &search(&folder));
    assert_eq!(
        all.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(),
        datasets().names().collect::<Vec<_>>()
    );
    assert!(all.iter().all(|l| (l.place.is_some())
        == ["digits", "breast-cancer", "diabetes"].contains(&l.name.as_str())));
    assert!(
        all.iter()
            .all(|l| l.bytes > 0 && !l.summary.is_empty() && !l.licence.is_empty())
    );
}

#[test]
fn built_in_sets_need_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let search = search(&folder);
    assert_eq!(path("digits", &search).unwrap(), None);
    assert!(verify("digits", &search).unwrap().iter().all(|s| s.known));
    assert_eq!(
        fetch("digits", &search, &mut |_| panic!("nothing is fetched")).unwrap(),
        None
    );
}

/// Files that are not the original are found and reported as unknown, both by `open` and by
/// `verify`.
#[test]
fn files_of_another_hash_are_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let search = search(&folder);
    assert!(matches!(
        path("mnist", &search),
        Err(DataError::Missing { .. })
    ));
    assert!(
        matches!(path("mnits", &search), Err(error @ DataError::UnknownSet { .. }) if error.to_string().contains("`mnist`?"))
    );
    let here = folder.path().join("data/mnist");
    std::fs::create_dir_all(&here).unwrap();
    for part in ["train", "t10k"] {
        let head = [[0, 0, 8, 3], [0, 0, 0, 2], [0, 0, 0, 28], [0, 0, 0, 28]].concat();
        std::fs::write(
            here.join(format!("{part}-images-idx3-ubyte")),
            [head, vec![9; 2 * 784]].concat(),
        )
        .unwrap();
        std::fs::write(
            here.join(format!("{part}-labels-idx1-ubyte")),
            [0, 0, 8, 1, 0, 0, 0, 2, 3, 9],
        )
        .unwrap();
    }
    assert_eq!(path("mnist", &search).unwrap(), Some(here));
    let sources = verify("mnist", &search).unwrap();
    assert!(sources.len() == 4 && sources.iter().all(|s| !s.known));
    assert_eq!(open("mnist", &search).unwrap().sources, sources);
}

/// The folders in which torchvision stores its files, and the file names of Kaggle's copies.
#[test]
fn files_of_torchvision_and_kaggle_are_found() {
    let write = |folder: &std::path::Path, dot: bool, gz: bool| {
        std::fs::create_dir_all(folder).unwrap();
        for part in ["train", "t10k"] {
            let head = [[0, 0, 8, 3], [0, 0, 0, 2], [0, 0, 0, 28], [0, 0, 0, 28]].concat();
            let images = [head, vec![9; 2 * 784]].concat();
            let labels = vec![0, 0, 8, 1, 0, 0, 0, 2, 3, 9];
            for (name, bytes) in [("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)] {
                let name = format!(
                    "{part}-{}",
                    if dot {
                        name.replace("-idx", ".idx")
                    } else {
                        name.into()
                    }
                );
                if gz {
                    let mut encoder =
                        flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                    std::io::Write::write_all(&mut encoder, &bytes).unwrap();
                    std::fs::write(folder.join(name + ".gz"), encoder.finish().unwrap()).unwrap();
                } else {
                    std::fs::write(folder.join(name), bytes).unwrap();
                }
            }
        }
    };
    for (set, place, dot, gz) in [
        ("mnist", "MNIST/raw", false, false),
        ("mnist", "MNIST/raw", false, true),
        ("mnist", "mnist/MNIST/raw", false, false),
        ("fashion-mnist", "FashionMNIST/raw", false, true),
        ("fashion-mnist", "fashion-mnist", true, false),
        ("mnist", "", true, false),
        ("mnist", "mnist", true, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let search = search(&folder);
        let place = folder.path().join("data").join(place);
        write(&place, dot, gz);
        assert_eq!(
            path(set, &search)
                .unwrap()
                .map(|p| p.components().collect::<PathBuf>()),
            Some(place.components().collect())
        );
        let opened = open(set, &search).unwrap();
        assert!(opened.train.len() == 2 && opened.sources.len() == 4);
        // These made-up files are checked like any others, so they are unknown.
        assert!(verify(set, &search).unwrap().iter().all(|s| !s.known));
    }
    // Both sets in one folder, as torchvision keeps them.
    let folder = tempfile::tempdir().unwrap();
    let search = search(&folder);
    write(&folder.path().join("data/MNIST/raw"), false, false);
    assert!(path("fashion-mnist", &search).is_err());
}
