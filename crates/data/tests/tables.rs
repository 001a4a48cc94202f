//! The user's own tables: nothing in a file is lost, leaked or invented silently. Each case is a
//! file's text, its description apart from `format`, `train` and `label`, and the outcome.

use largebatch_data::{
    DataSpec, Dataset, Holdout, Labels, Normalise, Pipeline, Preprocess, Search, majority,
    open_spec,
};

fn open_files(files: &[(&str, &[u8])], spec: &str) -> Result<Dataset, String> {
    let folder = tempfile::tempdir().unwrap();
    files
        .iter()
        .for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    let search = Search {
        data_dir: Some(folder.path().into()),
        cache_dir: Some(folder.path().join("cache")),
    };
    let spec: DataSpec = toml::from_str(spec).map_err(|e| e.to_string())?;
    // The folder's name is irrelevant.
    open_spec(&spec, &search).map_err(|e| e.to_string())
}

/// Opens a text as the training file, and also as the test file so that nothing is split off.
fn open(text: &str, more: &str) -> Result<Dataset, String> {
    open_files(
        &[("t.csv", text.as_bytes())],
        &format!("format = \"csv\"\ntrain = \"t.csv\"\ntest = \"t.csv\"\n{more}"),
    )
}

fn refused(text: &str, more: &str, words: &[&str]) {
    let Err(message) = open(text, more) else {
        panic!("accepted: {text:?} {more}")
    };
    assert!(
        words.iter().all(|w| message.contains(w)) && !message.contains('\n'),
        "{text:?}: {message}\nlacks one of {words:?}"
    );
}

fn opened(text: &str, more: &str) -> Dataset {
    open(text, more).unwrap_or_else(|e| panic!("{text:?} {more}: {e}"))
}

fn values(part: &largebatch_data::Part) -> Vec<f32> {
    let indices: Vec<u32> = (0..part.len() as u32).collect();
    let mut out = Vec::new();
    Pipeline::fit(Preprocess::default(), part, &indices)
        .unwrap()
        .gather(part, &indices, None, &mut out);
    out
}

fn classes(part: &largebatch_data::Part) -> &[u32] {
    let Labels::Classes(classes) = part.labels() else {
        panic!("classes")
    };
    classes
}

fn warns(set: &Dataset, words: &[&str]) {
    let found = set
        .warnings
        .iter()
        .any(|text| words.iter().all(|w| text.contains(w)));
    assert!(found, "no warning with {words:?} in {:#?}", set.warnings);
}

/// Asserts that there are no warnings, except that the two files are the same.
fn quiet(set: &Dataset) {
    let warnings: Vec<_> = set
        .warnings
        .iter()
        .filter(|w| !w.contains("has the same content as another"))
        .collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
}

const Y: &str = "label = \"y\"";

#[test]
fn a_quote_that_is_not_closed() {
    let line = |i: usize| format!("{i},{},{}\n", i * i, i % 2);
    let lines: String = (0..100)
        .map(|i| {
            if i == 50 {
                format!("\"{}", line(i))
            } else {
                line(i)
            }
        })
        .collect();
    refused(
        &format!("a,b,y\n{lines}"),
        Y,
        &["t.csv, line 52, column 0: a quote opens here and is not closed on this line"],
    );
    // A second such quote must not close the first one, with the lines between them in one field.
    let twice: String = (0..100)
        .map(|i| {
            if i == 50 || i == 70 {
                format!("{i},1,\"{}\n", i % 2)
            } else {
                line(i)
            }
        })
        .collect();
    refused(
        &format!("a,b,y\n{twice}"),
        Y,
        &["t.csv, line 52, column 2: a quote opens"],
    );
    let swallowed = "a,y\n1,\"cat\n2,dog\n3,dog\",4\n";
    refused(swallowed, Y, &["line 2, column 1: a quote opens"]);
    refused(
        "a,y\n1,\"cat\" dog\n2,cat\n",
        Y,
        &["line 2, column 1: `dog` follows a closing quote"],
    );
    refused(
        "a,y\n1,cat\"\n2,dog\n",
        Y,
        &["line 2, column 1: `cat\"` contains a quote"],
    );
    let set = opened(
        "a,\"y\"\n \"1\" , \"the \"\"cat\"\", tame\" \n2,\"\"\"\"\n",
        Y,
    );
    assert_eq!(
        (values(&set.train), set.class_names),
        (
            vec![1.0, 2.0],
            vec!["\"".into(), "the \"cat\", tame".to_string()]
        )
    );
}

#[test]
fn two_columns_of_one_name() {
    refused(
        "y,x,y\n0,1,0\n1,2,1\n",
        Y,
        &["t.csv, line 1: columns 0 and 2 are both named `y`; rename one"],
    );
    refused(
        "x,x,y\n0,1,0\n1,2,1\n",
        Y,
        &["columns 0 and 1 are both named `x`"],
    );
    refused(
        "x, x ,y\n0,1,0\n1,2,1\n",
        "label = 2",
        &["columns 0 and 1 are both named `x`"],
    );
}

#[test]
fn the_label_under_another_name() {
    let copy = |name: &str| {
        format!(
            "x,{name},y\n{}",
            (0..20)
                .map(|i| format!("{},{},{}\n", i * 7 % 5, i % 3 * 10, i % 3))
                .collect::<String>()
        )
    };
    warns(
        &opened(&copy("kind"), Y),
        &["column `kind` alone determines the label of every row"],
    );
    let real: String = (0..20)
        .map(|i| format!("{},{},{}\n", i * 7 % 5, i as f64 * 0.5, i as f64 * 0.5))
        .collect();
    warns(
        &opened(
            &format!("a,b,y\n{real}"),
            "label = \"y\"\nlabels = \"real\"",
        ),
        &["column `b` alone determines the label"],
    );
}

/// The reader never guesses whether the first line holds names.
#[test]
fn the_first_line() {
    let unclear = [
        "t.csv, line 1: ",
        "dataset.header = true",
        "false if it is a row",
    ];
    let is_unclear = |text: &str, label: usize, why: &str| {
        refused(
            text,
            &format!("label = {label}"),
            &[&unclear[..], &[why]].concat(),
        )
    };
    is_unclear(
        "0,1,2\n5,3,0\n4,2,1\n",
        2,
        "its fields may be column numbers",
    );
    is_unclear(
        "1,2,3\n5,3,0\n4,2,1\n",
        2,
        "its fields may be column numbers",
    );
    is_unclear(
        "400.5,401,species\n5,3,0\n4,2,1\n",
        2,
        "its label `species` is a word",
    );
    let words: String = (0..12)
        .map(|i| format!("{i},{},{}\n", i * 7 % 5, ["cat", "dog"][i % 2]))
        .collect();
    is_unclear(
        &format!("400.5,401,species\n{words}"),
        2,
        "no other line has the same label",
    );
    let numbers: String = (0..12)
        .map(|i| format!("{i},{},{}\n", i * 7 % 5, ["1", "0.0"][i % 2]))
        .collect();
    is_unclear(
        &format!("2019,2020,7\n{numbers}"),
        2,
        "no other line has the same label",
    );
    assert_eq!(
        opened(&format!("2019,2020,0\n{numbers}"), "label = 2")
            .train
            .len(),
        13
    );
    is_unclear(
        "id,2019,y\n5,3,0\n4,2,1\n",
        2,
        "words (`id`) and numbers (`2019`)",
    );
    is_unclear(
        "0.3x,1,0\n5,3,0\n4,2,1\n",
        2,
        "words (`0.3x`) and numbers (`1`)",
    );
    // Both readings are possible once the description says which one applies.
    let text = "0,1,2\n5,3,0\n4,2,1\n";
    assert_eq!(opened(text, "label = 2\nheader = true").train.len(), 2);
    assert_eq!(opened(text, "label = 2\nheader = false").train.len(), 3);
    // Who says so need not be warned; who names a label that is a number may have meant a column.
    let said = &opened(text, "label = 2\nheader = true").warnings;
    assert!(!said.iter().any(|text| text.contains("line 1")), "{said:?}");
    warns(
        &opened("7,8,9\n5,3,0\n4,2,1\n", "label = \"9\""),
        &[
            "t.csv, line 1: all its fields are numbers",
            "dataset.header = false and dataset.label = 2",
        ],
    );
    // A missing value is not a name.
    refused(
        "?,0.3,1\n1,2,0\n",
        "label = 2",
        &["t.csv, line 1, column 0: the value is missing (`?`)"],
    );
    assert_eq!(
        opened("?,0.3,1\n1,2,0\n3,4,1\n", "label = 2\nmissing = \"drop\"")
            .train
            .len(),
        2
    );
    // Clear cases.
    assert_eq!(opened("a,b,c\n5,3,0\n4,2,1\n", "label = 2").train.len(), 2);
    assert_eq!(opened("5,3,0\n4,2,1\n", "label = 2").train.len(), 2);
    assert_eq!(opened("5,3,cat\n4,2,dog\n", "label = 2").train.len(), 2);
}

#[test]
fn missing_labels_are_no_classes() {
    for word in [
        "NA", "N/A", "n/a", "?", "NULL", "null", "nan", "NaN", "<NA>", "#N/A", "", "\"\"", "  ",
    ] {
        for others in [["cat", "dog"], ["0", "1"]] {
            let text = format!(
                "x,y\n1,{}\n2,{}\n3,{word}\n4,{}\n",
                others[0], others[1], others[1]
            );
            refused(
                &text,
                Y,
                &[
                    "t.csv, line 4, column `y`: the label is missing",
                    "fill it in, remove the line",
                    "missing = \"drop\"",
                ],
            );
            refused(
                &text,
                "label = \"y\"\nmissing = \"mean\"",
                &["line 4, column `y`: the label is missing"],
            );
            let set = opened(&text, "label = \"y\"\nmissing = \"drop\"");
            assert_eq!((set.train.len(), set.class_names.len()), (3, 2), "{word}");
            warns(
                &set,
                &["t.csv: 1 of 4 rows were dropped because a value is missing (line 4)"],
            );
        }
        let real = format!("x,y\n1,0.5\n2,0.7\n3,{word}\n");
        refused(
            &real,
            "label = \"y\"\nlabels = \"real\"",
            &["line 4, column `y`: the label is missing"],
        );
    }
    refused(
        "x,y\n1,NA\n2,SA\n",
        Y,
        &["(`NA`)", "if `NA` is a class, give it another name"],
    );
    warns(
        &opened("x,y\n1,0\n2,1\n3,None\n4,0\n", Y),
        &["line 4: the label `None` is a word, and others are numbers"],
    );
    warns(
        &opened("x,y\n1,cat\n2,Cat\n3,dog\n", Y),
        &["`Cat` and `cat` differ only in upper and lower case"],
    );
}

#[test]
fn missing_features() {
    for word in ["NA", "N/A", "?", "NULL", "nan", "", "#N/A"] {
        let text = format!("a,b,y\n1,2,0\n3,{word},1\n5,6,1\n");
        refused(
            &text,
            Y,
            &[
                "t.csv, line 3, column `b`: the value is missing",
                "dataset.missing = \"mean\" or \"drop\"",
            ],
        );
        let set = opened(&text, "label = \"y\"\nmissing = \"drop\"");
        assert_eq!(values(&set.train), [1.0, 2.0, 5.0, 6.0]);
        warns(
            &set,
            &["1 of 3 rows were dropped because a value is missing (line 3)"],
        );
        let set = opened(&text, "label = \"y\"\nmissing = \"mean\"");
        assert_eq!(values(&set.train), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        warns(
            &set,
            &["1 missing value is replaced by the training part's means (1 in column `b`)"],
        );
    }
    refused(
        "a,b,y\n1,,0\n2,,1\n",
        "label = \"y\"\nmissing = \"mean\"",
        &["column `b`: the column has no values; remove it"],
    );
    refused(
        "a,b,y\n1,,0\n2,,1\n",
        "label = \"y\"\nmissing = \"drop\"",
        &["the number of examples is 0"],
    );
    // A word that is not in the list does not count as missing.
    refused(
        "a,b,y\n1,none,0\n2,3,1\n",
        "label = \"y\"\nmissing = \"drop\"",
        &["line 2, column `b`: `none` is not a number"],
    );
}

/// The mean is taken over the training examples only; it also fills in the held-out ones.
#[test]
fn means_are_of_the_training_part() {
    let files: [(&str, &[u8]); 2] = [
        ("t.csv", b"a,y\n1,0\n,1\n5,0\n1000,1\n"),
        ("u.csv", b"a,y\n?,0\n7,1\n"),
    ];
    let set = open_files(
        &files,
        "format = \"csv\"\ntrain = \"t.csv\"\ntest = \"u.csv\"\nlabel = \"y\"\nmissing = \"mean\"",
    )
    .unwrap();
    let fit = |normalise| {
        Pipeline::fit(
            Preprocess {
                normalise: Some(normalise),
                ..Preprocess::default()
            },
            &set.train,
            &[0, 1, 2],
        )
        .unwrap()
    };
    let gather = |pipeline: &Pipeline, part| {
        let mut out = Vec::new();
        pipeline.gather(
            part,
            if std::ptr::eq(part, &set.train) {
                &[0, 1, 2, 3]
            } else {
                &[0, 1]
            },
            None,
            &mut out,
        );
        out
    };
    let plain = fit(Normalise::None);
    assert_eq!(
        (gather(&plain, &set.train), gather(&plain, &set.test)),
        (vec![1.0, 3.0, 5.0, 1000.0], vec![3.0, 7.0])
    );
    // Mean 3 and deviation 2 of 1 and 5: the missing value does not count.
    let scaled = fit(Normalise::Feature);
    assert_eq!(
        (gather(&scaled, &set.train), gather(&scaled, &set.test)),
        (vec![-1.0, 0.0, 1.0, 498.5], vec![0.0, 2.0])
    );
    let none = Pipeline::fit(Preprocess::default(), &set.train, &[1])
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(
        none.contains("column `a`") && none.contains("no value in the training part"),
        "{none}"
    );
}

/// pandas writes its index as a first column without a name.
#[test]
fn a_column_without_a_name() {
    let indexed: String = (0..20)
        .map(|i| format!("{i},{},{}\n", i * 7 % 11, i / 10))
        .collect();
    for name in ["", "Unnamed: 0"] {
        let set = opened(&format!("{name},x,y\n{indexed}"), Y);
        assert_eq!(
            (set.shape.as_slice(), values(&set.train)[1]),
            ([1].as_slice(), 7.0)
        );
        warns(
            &set,
            &[
                "t.csv: column 0 has no name and numbers the rows",
                "left out",
            ],
        );
    }
    // Also if shuffled.
    let set = opened(",x,y\n3,1,0\n17,2,1\n5,5,0\n", Y);
    assert_eq!(values(&set.train), [1.0, 2.0, 5.0]);
    refused(
        ",x,y\n0.5,1,0\n0.25,2,1\n",
        Y,
        &["line 1, column 0: it has no name; name it, or remove the column"],
    );
    refused(
        ",y\n0,1\n1,0\n",
        Y,
        &["the label is the only column with a name"],
    );
    // A delimiter at the end of each line.
    let set = opened("x,y,\n1,0,\n2,1,\n", Y);
    assert_eq!(set.shape, [1]);
    warns(
        &set,
        &["column 2 has no name and no values; it was left out"],
    );
    refused(
        "x,y\n1,0,\n2,1,\n",
        Y,
        &["line 2: it has 3 fields, but the first line has 2"],
    );
    // With a name, or in a file without names, it may be a measurement.
    warns(
        &opened(&format!("id,x,y\n{indexed}"), Y),
        &["column `id` numbers the rows"],
    );
    let bare = indexed.replacen("0,0,0\n", "", 1);
    warns(
        &opened(&bare, "label = 2"),
        &["feature 0 (counted from 0) numbers the rows"],
    );
}

#[test]
fn a_real_target_in_whole_numbers() {
    let prices: String = (0..60)
        .map(|i| format!("{i},{}\n", 100 + i * 37 % 41))
        .collect();
    let text = format!("x,y\n{prices}");
    let words = [
        "labels = (none): ",
        "t.csv has 41 different labels in 60 rows, `100` to `140`",
        "labels = \"real\"",
        "\"classes\"",
    ];
    refused(&text, Y, &words);
    assert_eq!(
        opened(&text, "label = \"y\"\nlabels = \"real\"")
            .class_names
            .len(),
        0
    );
    assert_eq!(
        opened(&text, "label = \"y\"\nlabels = \"classes\"")
            .class_names
            .len(),
        41
    );
    // Years: many examples each, but they do not count from 0 or 1, so they are not classes.
    let years: String = (0..3000)
        .map(|i| format!("{},{}\n", i * 7 % 13, 1922 + i % 89))
        .collect();
    refused(
        &format!("x,y\n{years}"),
        Y,
        &["89 different labels in 3000 rows, `1922` to `2010`"],
    );
    // Names: one per row.
    let names: String = (0..40)
        .map(|i| format!("{},name{i}\n", i * 7 % 13))
        .collect();
    refused(
        &format!("x,y\n{names}"),
        Y,
        &["40 different labels in 40 rows"],
    );
    // A hundred classes that count are classes.
    for from in [0, 1] {
        let classes: String = (0..1000)
            .map(|i| format!("{},{}\n", i * 7 % 13, i % 100 + from))
            .collect();
        quiet(&opened(&format!("x,y\n{classes}"), Y));
    }
    let svm: String = (0..60)
        .map(|i| format!("{} 1:{i}\n", 100 + i * 37 % 41))
        .collect();
    let error = open_files(
        &[("t", svm.as_bytes())],
        "format = \"libsvm\"\ntrain = \"t\"",
    )
    .map(|_| ())
    .unwrap_err();
    assert!(error.contains("41 different labels"), "{error}");
}

#[test]
fn classes_that_a_part_lacks() {
    let text = format!(
        "x,y\n{}9,owl\n",
        (0..20)
            .map(|i| format!("{},{}\n", i * 7 % 13, ["cat", "dog"][i % 2]))
            .collect::<String>()
    );
    let set = open_files(
        &[("t.csv", text.as_bytes())],
        "format = \"csv\"\ntrain = \"t.csv\"\nlabel = \"y\"",
    )
    .unwrap();
    warns(&set, &["t.csv, line 22: class `owl` has a single example"]);
    warns(&set, &["part has no example of class `owl`"]);
    let files: [(&str, &[u8]); 2] = [
        ("t.csv", b"x,y\n1,a\n2,b\n3,c\n1,a\n2,b\n3,c\n"),
        ("u.csv", b"x,y\n1,a\n"),
    ];
    let set = open_files(
        &files,
        "format = \"csv\"\ntrain = \"t.csv\"\ntest = \"u.csv\"\nlabel = \"y\"",
    )
    .unwrap();
    warns(&set, &["the test part has no example of classes `b`, `c`"]);
    let only = [files[0], ("u.csv", b"x,y\n1,a\n4,d\n".as_slice())];
    let error = open_files(
        &only,
        "format = \"csv\"\ntrain = \"t.csv\"\ntest = \"u.csv\"\nlabel = \"y\"",
    )
    .map(|_| ())
    .unwrap_err();
    assert!(
        error.contains(
            "u.csv, line 3: the label `d` is not one of the training file's classes, a, b, c"
        ),
        "{error}"
    );
}

#[test]
fn other_delimiters() {
    for (delimiter, word) in [(';', ";"), ('\t', "tab"), ('|', "|"), (',', ",")] {
        let text = "a,b,y\n1.5,2,0\n3,4,1\n".replace(',', &delimiter.to_string());
        for more in [Y.to_owned(), format!("{Y}\ndelimiter = \"{word}\"")] {
            let set = opened(&text, &more);
            assert_eq!(
                (values(&set.train), classes(&set.train)),
                (vec![1.5, 2.0, 3.0, 4.0], [0, 1].as_slice()),
                "{text} {more}"
            );
        }
    }
    // Decimal commas.
    refused(
        "a;b;y\n1,5;2;0\n3;4;1\n",
        Y,
        &["line 2, column `a`: `1,5` is not a number; write a decimal comma as a point"],
    );
    refused(
        "1,5;2;0\n3,5;4;1\n",
        "label = 2",
        &[
            "t.csv, line 1: it contains `,` and `;`",
            "dataset.delimiter",
        ],
    );
    refused(
        "1,5\t2\t0\n3,5\t4\t1\n",
        "label = 2",
        &["it contains `,` and tabs"],
    );
    refused("\"1,234\",2,0\n3,4,1\n", "label = 2", &["words (`1,234`)"]);
    refused(
        "a,b,y\n\"1,234\",2,0\n3,4,1\n",
        Y,
        &[
            "line 2, column `a`: `1,234` is not a number",
            "commas between thousands",
        ],
    );
    assert_eq!(opened("\"a;b\",y\n1,0\n2,1\n", Y).shape, [1]);
    assert_eq!(
        opened("a;b,y\n1,0\n2,1\n", "label = \"y\"\ndelimiter = \",\"").shape,
        [1]
    );
    refused(
        "a b y\n1 2 0\n2 3 1\n",
        Y,
        &["the number of columns is 1", "`;`, tabs or `|`"],
    );
    let error = open("a,y\n1,0\n", "label = \"y\"\ndelimiter = \":\"")
        .map(|_| ())
        .unwrap_err();
    assert!(error.contains("delimiter = \":\""), "{error}");
}

#[test]
fn a_number_as_a_column_s_name() {
    let text = "2023,2024,x\n1,0,5\n2,1,6\n";
    for label in ["2024", "\"2024\""] {
        let set = opened(text, &format!("label = {label}\nheader = true"));
        assert_eq!(
            (values(&set.train), classes(&set.train)),
            (vec![1.0, 5.0, 2.0, 6.0], [0, 1].as_slice())
        );
    }
    // A number beyond the columns can only be a name, and then the first line holds names.
    assert_eq!(opened(text, "label = 2024").train.len(), 2);
    refused(text, "label = 2025", &["label = 2025", "columns 0 to 2"]);
    // A number within the columns that is also the name of another column is ambiguous.
    let text = "2,a,b\n1,0,5\n2,1,6\n";
    refused(
        text,
        "label = 2\nheader = true",
        &[
            "label = 2: column 2 of",
            "is `b`, and column 0 is named `2`",
            "in quotes",
        ],
    );
    assert_eq!(
        values(&opened(text, "label = \"2\"").train),
        [0.0, 5.0, 1.0, 6.0]
    );
    assert_eq!(
        values(&opened(text, "label = \"b\"").train),
        [1.0, 0.0, 2.0, 1.0]
    );
    assert_eq!(
        values(&opened("4,0\n7,1\n", "label = \"1\"\nheader = false").train),
        [4.0, 7.0]
    );
    for label in ["-1", "1.5", "true", "2024-01-01"] {
        let error = open(text, &format!("label = {label}"))
            .map(|_| ())
            .unwrap_err();
        assert!(error.contains("its name in quotes"), "{label}: {error}");
    }
}

/// Encodings, line endings and numbers that are easily misread.
#[test]
fn bytes_and_numbers() {
    let expected = (vec![1.5, 2.0, 3.0, 4.0], vec![0, 1]);
    for text in [
        "a,b,y\r\n1.5,2,0\r\n3,4,1\r\n",
        "a,b,y\r1.5,2,0\r3,4,1\r",
        "a,b,y\r\r\n1.5,2,0\r\r\n3,4,1\r\r\n",
        "\u{feff}a,b,y\n1.5,2,0\n3,4,1",
        "\n\na,b,y\n\n1.5,2,0\n   \n3,4,1\n\n",
        " a\t, b ,y \n\u{a0}1.5 ,\t2 , 0\n3,+4,1.0\n",
        "a,b,y\n15e-1,2.,0\n3,4,1e0\n",
    ] {
        let more = if text.contains('\t') {
            "label = \"y\"\ndelimiter = \",\""
        } else {
            Y
        };
        let set = opened(text, more);
        assert_eq!(
            (values(&set.train), classes(&set.train).to_vec()),
            expected,
            "{text:?}"
        );
    }
    for (value, why) in [
        ("1e400", "not finite"),
        ("inf", "not finite"),
        ("-Infinity", "not finite"),
        ("1e-400", "too small to distinguish from 0"),
        ("0x1F", "not a number"),
        ("1_000", "not a number"),
        ("1 000", "not a number"),
        ("5%", "not a number"),
        ("true", "not a number"),
    ] {
        refused(
            &format!("a,b,y\n1,2,0\n3,{value},1\n"),
            Y,
            &["t.csv, line 3, column `b`: ", value, why],
        );
    }
    refused(
        "a,b,y\n1,2,0\r3,4,1\n5,6,0\n",
        Y,
        &["line 2: it contains a carriage return in the middle"],
    );
    refused(
        "a,b,y\n1,2,0\n3,\u{0},1\n",
        Y,
        &["line 3: it contains a zero byte"],
    );
    let utf16 = |big: bool, mark: bool| -> Vec<u8> {
        let units = if mark {
            "\u{feff}a,y\n1,0\n2,1\n"
        } else {
            "a,y\n1,0\n2,1\n"
        }
        .encode_utf16();
        units
            .flat_map(|u| {
                if big {
                    u.to_be_bytes()
                } else {
                    u.to_le_bytes()
                }
            })
            .collect()
    };
    for (big, mark) in [(false, true), (true, true), (false, false), (true, false)] {
        let bytes = utf16(big, mark);
        let error = open_files(
            &[("t.csv", &bytes)],
            "format = \"csv\"\ntrain = \"t.csv\"\nlabel = \"y\"",
        )
        .map(|_| ())
        .unwrap_err();
        assert!(
            error.contains("line 1") && error.contains("UTF-16"),
            "{error}"
        );
    }
    // Spreadsheets leave blank lines and lines with only delimiters at the end: these are not rows
    // of zeros.
    refused(
        "a,y\n1,0\n2,1\n,\n",
        Y,
        &["line 4, column `y`: the label is missing"],
    );
}

#[test]
fn libsvm_files() {
    let open = |text: &str, test: Option<&str>| {
        let files: Vec<(&str, &[u8])> = [("t", text.as_bytes())]
            .into_iter()
            .chain(test.map(|t| ("u", t.as_bytes())))
            .collect();
        let more = if test.is_some() { "\ntest = \"u\"" } else { "" };
        open_files(&files, &format!("format = \"libsvm\"\ntrain = \"t\"{more}"))
    };
    for (text, words) in [
        (
            "1 1:1\n1,3 1:2\n3 1:3\n",
            [
                "t, line 2: `1,3` is more than one label",
                "one label per line",
            ],
        ),
        (
            "1,2,0\n3,4,1\n",
            [
                "t, line 1: `1,2,0` is more than one label",
                "format = \"csv\"",
            ],
        ),
        (
            "1 1:1\n? 1:2\n",
            ["t, line 2: the label is missing (`?`)", "remove the line"],
        ),
        (
            "1 1:1 1:2\n0 1:2\n",
            [
                "t, line 1: `1:2` comes after index 1",
                "rising indices from 1",
            ],
        ),
        ("1 0:1\n0 1:2\n", ["t, line 1: `0:1` has index 0", "from 1"]),
        (
            "1 1:\n0 1:2\n",
            [
                "t, line 1, column 1: the value is missing",
                "remove the line",
            ],
        ),
        (
            "1 qid:3 1:1\n0 qid:3 1:2\n",
            ["`qid:3` has no whole number", "write index:value"],
        ),
    ] {
        let error = open(text, None).map(|_| ()).unwrap_err();
        assert!(words.iter().all(|w| error.contains(w)), "{text:?}: {error}");
    }
    let lines = |k: usize| -> String {
        (0..20)
            .map(|i| format!("{} 1:{} {k}:{}\n", i % 2, i * 7 % 11, i * 5 % 3))
            .collect()
    };
    warns(
        &open(&lines(2), Some(&lines(4))).unwrap(),
        &["u: no training example has the features 3 to 4"],
    );
    quiet(&open(&lines(4), Some(&lines(2))).unwrap());
}

#[test]
fn the_test_file_is_another_one() {
    let text = "x,y\n1,0\n2,1\n";
    warns(
        &opened(text, Y),
        &["t.csv has the same content as another of the files"],
    );
}

/// The summary of what was read; and the accuracy of the most frequent class of the training part
/// on the held-out examples.
#[test]
fn a_summary() {
    let lines: String = (0..60)
        .map(|i| format!("{},{}\n", i * 7 % 13, ["cat", "dog", "cat"][i % 3]))
        .collect();
    let set = open_files(
        &[("pets.csv", format!("x,y\n{lines}").as_bytes())],
        "format = \"csv\"\ntrain = \"pets.csv\"\nlabel = \"y\"",
    )
    .unwrap();
    assert_eq!(
        (set.train.len(), set.test.len(), set.default_validation()),
        (48, 12, 9)
    );
    let split = largebatch_data::hold_out(set.train.labels(), 9, 0).unwrap();
    assert_eq!(
        set.summary(&split),
        "read pets: 60 examples of 1 feature; 39 to train on, 9 held out for validation, 12 for the test\n  \
         2 classes: `cat` 40, `dog` 20; always predicting `cat` is right for 66.67 % of validation and 66.67 % of test"
    );
    assert_eq!(
        set.majority_accuracy(&split),
        [Some(2.0 / 3.0), Some(2.0 / 3.0)]
    );
    // The most frequent class is that of the training part, whatever the other parts contain.
    let dogs = Holdout {
        train: (0..48)
            .filter(|&i| classes(&set.train)[i as usize] == 1)
            .collect(),
        validation: vec![0, 1, 2],
    };
    let share = classes(&set.train)[..3].iter().filter(|&&c| c == 1).count() as f64 / 3.0;
    assert_eq!(set.majority_accuracy(&dogs), [Some(share), Some(1.0 / 3.0)]);
    assert_eq!(
        majority(&Labels::Classes(vec![2, 1, 1, 2, 0]), &[0, 1, 2, 3, 4]),
        Some(1)
    );
    assert_eq!(majority(&Labels::Targets(vec![1.0]), &[0]), None);

    let real = open_files(
        &[("r.csv", b"a,b,y\n1,3,10\n2,3,20\n3,1,30\n")],
        "format = \"csv\"\ntrain = \"r.csv\"\ntest = \"r.csv\"\nlabel = 2\nlabels = \"real\"",
    );
    let real = real.unwrap();
    let all = Holdout {
        train: vec![0, 1, 2],
        validation: vec![],
    };
    let text = real.summary(&all);
    assert!(
        text.contains("real target from 10 to 30, mean 20.000000, standard deviation 8.164966"),
        "{text}"
    );
    assert_eq!(real.majority_accuracy(&all), [None, None]);
}
