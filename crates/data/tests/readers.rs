//! The user's own files: variants of CSV, LIBSVM and IDX.

use flate2::{Compression, write::GzEncoder};
use largebatch_data::{DataSpec, Dataset, Labels, Pipeline, Preprocess, Search, Task, open_spec};
use std::io::Write;
use std::path::Path;

/// Writes files into a folder and opens a description of them.
fn opened(files: &[(&str, &[u8])], spec: &str) -> Dataset {
    let folder = tempfile::tempdir().unwrap();
    files
        .iter()
        .for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    let search = Search {
        data_dir: Some(folder.path().into()),
        cache_dir: Some(folder.path().join("cache")),
    };
    open_spec(&toml::from_str::<DataSpec>(spec).unwrap(), &search).unwrap()
}

fn values(part: &largebatch_data::Part) -> Vec<f32> {
    let indices: Vec<u32> = (0..part.len() as u32).collect();
    let mut out = Vec::new();
    Pipeline::fit(Preprocess::default(), part, &indices)
        .unwrap()
        .gather(part, &indices, None, &mut out);
    out
}

fn classes(labels: &[u32]) -> Labels {
    Labels::Classes(labels.to_vec())
}

#[test]
fn csv_with_names_and_words() {
    let train = b"\xef\xbb\xbfwidth, kind ,height\r\n1,\"cat, tame\",2\r\n3,ant,4\r\n5,bee,6\r\n";
    let spec = "format = \"csv\"\ntrain = \"pets.csv\"\ntest = \"pets2.csv\"\nlabel = \"kind\"";
    let set = opened(
        &[
            ("pets.csv", train),
            ("pets2.csv", b"width,kind,height\n7,bee,8\n"),
        ],
        spec,
    );
    assert_eq!(
        (set.name.as_str(), set.task, set.shape.as_slice()),
        ("pets", Task::Classes(3), [2].as_slice())
    );
    assert_eq!(set.class_names, ["ant", "bee", "cat, tame"]);
    assert_eq!(
        (set.train.labels(), set.test.labels()),
        (&classes(&[2, 0, 1]), &classes(&[1]))
    );
    assert_eq!(
        (values(&set.train), values(&set.test)),
        (vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![7.0, 8.0])
    );
}

/// A description is written as it is read, into `run.toml`.
#[test]
fn descriptions_are_written_and_read() {
    for text in [
        "name = \"pets\"\nformat = \"csv\"\ntrain = \"t\"\nlabel = 3",
        "format = \"libsvm\"\ntrain = \"t\"",
        "format = \"idx\"\ntrain_images = \"i\"\ntrain_labels = \"l\"",
    ] {
        let spec: DataSpec = toml::from_str(text).unwrap();
        assert_eq!(
            toml::from_str::<DataSpec>(&toml::to_string(&spec).unwrap()).unwrap(),
            spec
        );
    }
    let set = opened(
        &[("t.csv", b"1,0\n2,1\n")],
        "name = \"pets\"\nformat = \"csv\"\ntrain = \"t.csv\"\ntest = \"t.csv\"\nlabel = 1",
    );
    assert_eq!(set.name, "pets");
}

#[test]
fn csv_without_names() {
    let lines = b"1,2,-1\n3,4,+1\n\n5,6,-1\n";
    let set = opened(
        &[("t.csv", lines), ("u.csv", b"0,0,1\n")],
        "format = \"csv\"\ntrain = \"t.csv\"\ntest = \"u.csv\"\nlabel = 2",
    );
    // -1 becomes class 0, and +1 class 1.
    assert_eq!(
        (set.train.labels(), set.test.labels(), set.class_names),
        (
            &classes(&[0, 1, 0]),
            &classes(&[1]),
            vec!["-1".into(), "1".into()]
        )
    );
    assert_eq!(values(&set.train), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    // Column names that are numbers are read as data unless the description says otherwise.
    let set = opened(
        &[
            ("t.csv", b"1,2,3\n1,2,0\n3,4,1\n"),
            ("u.csv", b"1,2,3\n0,0,1\n"),
        ],
        "format = \"csv\"\ntrain = \"t.csv\"\ntest = \"u.csv\"\nlabel = 3\nheader = true",
    );
    assert_eq!(set.train.len(), 2);
}

#[test]
fn csv_with_whole_numbers_that_are_not_from_zero() {
    let set = opened(
        &[
            ("t.csv", b"x,y\n1,10\n2,9\n3,10.0\n"),
            ("u.csv", b"x,y\n1,9\n"),
        ],
        "format = \"csv\"\ntrain = \"t.csv\"\ntest = \"u.csv\"\nlabel = \"y\"",
    );
    assert_eq!(
        (set.train.labels(), set.class_names),
        (&classes(&[1, 0, 1]), vec!["9".into(), "10".into()])
    );
}

#[test]
fn csv_with_real_targets_in_gzip() {
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(b"x,y\n1,0.5\n2,1e3\n").unwrap();
    let spec = "format = \"csv\"\ntrain = \"t.csv.gz\"\ntest = \"t.csv.gz\"\nlabel = \"y\"\nlabels = \"real\"";
    let set = opened(&[("t.csv.gz", &gz.finish().unwrap())], spec);
    assert_eq!(
        (set.name.as_str(), set.task, set.train.labels()),
        ("t", Task::Real, &Labels::Targets(vec![0.5, 1000.0]))
    );
}

/// Without a test file a fifth is held out: stratified, and the same each time.
#[test]
fn a_fifth_is_held_out() {
    let lines: String = (0..50).map(|i| format!("{i},{}\n", i % 2)).collect();
    let open = || {
        opened(
            &[("t.csv", lines.as_bytes())],
            "format = \"csv\"\ntrain = \"t.csv\"\nlabel = 1",
        )
    };
    let set = open();
    let Labels::Classes(test) = set.test.labels() else {
        panic!("classes")
    };
    assert_eq!(
        (set.train.len(), test.len(), test.iter().sum::<u32>()),
        (40, 10, 5)
    );
    assert_eq!(values(&set.test), values(&open().test));
    let mut all = [values(&set.train), values(&set.test)].concat();
    all.sort_by(f32::total_cmp);
    assert_eq!(all, (0..50).map(|i| i as f32).collect::<Vec<_>>());
}

/// The example from LIBSVM's own description of the format, sparse, with a comment; the test file
/// has one more feature.
#[test]
fn libsvm() {
    let train = b"+1 1:0.7 3:1 # first\n-1 2:-5.5\n\n+1\n";
    let set = opened(
        &[("t", train), ("u", b"-1 4:2\n")],
        "format = \"libsvm\"\ntrain = \"t\"\ntest = \"u\"",
    );
    assert_eq!(
        (set.task, set.shape.as_slice(), set.train.labels()),
        (Task::Classes(2), [4].as_slice(), &classes(&[1, 0, 1]))
    );
    assert_eq!(
        values(&set.train),
        [0.7, 0.0, 1.0, 0.0, 0.0, -5.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    );
    assert_eq!(values(&set.test), [0.0, 0.0, 0.0, 2.0]);
    let set = opened(
        &[("t", b"1.5 1:1\n2 1:2\n")],
        "format = \"libsvm\"\ntrain = \"t\"\ntest = \"t\"\nlabels = \"real\"\nfeatures = 3",
    );
    assert_eq!(
        (set.shape.as_slice(), set.train.labels()),
        ([3].as_slice(), &Labels::Targets(vec![1.5, 2.0]))
    );
}

#[test]
fn idx_of_other_shapes() {
    let idx = |dims: &[u32], values: &[u8]| {
        let dims_bytes: Vec<u8> = dims.iter().flat_map(|d| d.to_be_bytes()).collect();
        [&[0, 0, 8, dims.len() as u8], dims_bytes.as_slice(), values].concat()
    };
    let spec = "format = \"idx\"\ntrain_images = \"i\"\ntrain_labels = \"l\"\ntest_images = \"i\"\ntest_labels = \"l\"";
    let pixels: Vec<u8> = (0..24).collect();
    for (dims, shape) in [
        (vec![2, 12], vec![12]),
        (vec![2, 3, 4], vec![1, 3, 4]),
        (vec![2, 3, 2, 2], vec![3, 2, 2]),
    ] {
        let set = opened(
            &[("i", &idx(&dims, &pixels)), ("l", &idx(&[2], &[3, 0]))],
            spec,
        );
        assert_eq!(
            (set.shape, set.task, set.train.labels()),
            (shape, Task::Classes(4), &classes(&[3, 0]))
        );
        assert_eq!(
            values(&set.train),
            (0..24).map(|x| x as f32).collect::<Vec<_>>()
        );
    }
}

/// An expanded file is found again, and a change of the original is noticed.
#[test]
fn the_cache_follows_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let search = Search {
        data_dir: Some(folder.path().into()),
        cache_dir: Some(folder.path().join("cache")),
    };
    let spec: DataSpec =
        toml::from_str("format = \"csv\"\ntrain = \"t.gz\"\ntest = \"t.gz\"\nlabel = 1").unwrap();
    let put = |text: &str| {
        let mut gz = GzEncoder::new(Vec::new(), Compression::default());
        gz.write_all(text.as_bytes()).unwrap();
        std::fs::write(folder.path().join("t.gz"), gz.finish().unwrap()).unwrap();
    };
    let hash = || open_spec(&spec, &search).unwrap().sources[0].sha256.clone();
    put("1,0\n2,1\n");
    let first = hash();
    assert_eq!(first, hash());
    // A truncated expansion, as a crash may leave it, is replaced.
    let expanded: Vec<_> = std::fs::read_dir(folder.path().join("cache/expanded"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(expanded.len(), 1);
    std::fs::write(&expanded[0], "1,0").unwrap();
    assert_eq!(first, hash());
    assert_eq!(std::fs::read_to_string(&expanded[0]).unwrap(), "1,0\n2,1\n");
    std::thread::sleep(std::time::Duration::from_millis(20));
    put("1,0\n3,1\n");
    assert_ne!(first, hash());
    assert!(Path::new(&open_spec(&spec, &search).unwrap().sources[0].file).ends_with("t.gz"));
}

/// Several readers that open the same compressed file at once all get it complete.
#[test]
fn many_open_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let search = Search {
        data_dir: Some(folder.path().into()),
        cache_dir: Some(folder.path().join("cache")),
    };
    let lines: String = (0..20_000).map(|i| format!("{i},{}\n", i % 2)).collect();
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(lines.as_bytes()).unwrap();
    std::fs::write(folder.path().join("t.gz"), gz.finish().unwrap()).unwrap();
    let spec: DataSpec = toml::from_str("format = \"csv\"\ntrain = \"t.gz\"\nlabel = 1").unwrap();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| open_spec(&spec, &search).unwrap()))
            .collect();
        all.into_iter()
            .for_each(|t| assert_eq!(t.join().unwrap().train.len(), 16_000));
    });
}
