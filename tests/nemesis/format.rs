//! The formats that the program reads, each with the commands that read it.

use std::io::Read;

use largebatch_store::seal;
use largebatch_tests::gzip;

/// A format: its name, the file that is mutated, the other files needed, and the commands that read
/// it.
pub struct Format {
    pub name: &'static str,
    pub file: &'static str,
    pub needs: &'static [&'static str],
    pub commands: &'static [&'static [&'static str]],
    /// Whether a digest protects the file: then a change is refused, or has no effect.
    pub sealed: bool,
    /// The part that is mutated in most cases instead of the whole file, so that mutations get past
    /// digests, lengths and checksums.
    pub inner: Option<Inner>,
}

/// Takes a part out of a file, and replaces it.
pub struct Inner {
    pub take: fn(&[u8]) -> Vec<u8>,
    pub put: fn(&[u8], &[u8]) -> Vec<u8>,
}

/// TOML without its digest, as versions before 0.3 wrote it.
const UNSEALED: Inner = Inner {
    take: |file| until(file, "# digest"),
    put: |part, _| part.to_vec(),
};

/// The lines of a journal, with digests of their new content.
const LINES: Inner = Inner {
    take: |file| {
        file.split_inclusive(|b| *b == b'\n')
            .flat_map(|line| [until(line, ",\"digest\""), b"}\n".to_vec()].concat())
            .collect()
    },
    put: |part, _| {
        let sealed = |line: &str| if line.ends_with('}') { seal(line) } else { line.to_owned() } + "\n";
        String::from_utf8_lossy(part)
            .lines()
            .map(sealed)
            .collect::<String>()
            .into_bytes()
    },
};

/// A checkpoint's state without digests, as version 0.2 wrote it.
const OLD_STATE: Inner = Inner {
    take: |file| {
        let mut state: serde_json::Value = serde_json::from_slice(file).expect("a state");
        let object = state.as_object_mut().expect("an object");
        ["digest", "model", "optimizer"]
            .iter()
            .for_each(|key| drop(object.remove(*key)));
        object.insert("schema".into(), 1.into());
        serde_json::to_vec_pretty(&state).expect("JSON")
    },
    put: |part, _| part.to_vec(),
};

/// The header of a safetensors file, with its new length.
pub const HEADER: Inner = Inner {
    take: |file| file[8..header_end(file)].to_vec(),
    put: |part, file| {
        [
            &(part.len() as u64).to_le_bytes(),
            part,
            &file[header_end(file)..],
        ]
        .concat()
    },
};

/// The compressed content.
const GZIP: Inner = Inner {
    take: |file| {
        let mut part = Vec::new();
        flate2::read::GzDecoder::new(file)
            .read_to_end(&mut part)
            .expect("a whole file");
        part
    },
    put: |part, _| gzip(part),
};

/// The bytes before the last occurrence of this text.
fn until(bytes: &[u8], end: &str) -> Vec<u8> {
    let at = bytes
        .windows(end.len())
        .rposition(|window| window == end.as_bytes());
    bytes[..at.unwrap_or(bytes.len())].to_vec()
}

/// The end of a safetensors file's header.
fn header_end(file: &[u8]) -> usize {
    8 + u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize
}

/// The arguments that follow a command that names a data set.
pub const SHORT: &[&str] = &[
    "--model",
    "softmax",
    "--steps",
    "3",
    "--out",
    "new",
    "--batch-size",
    "8",
];

/// Every format.
pub const FORMATS: &[Format] = &[
    Format {
        name: "CSV",
        file: "a.csv",
        needs: &[],
        commands: &[
            &[
                "train",
                "--set",
                "dataset={format='csv',train='a.csv',label='kind'}",
            ],
            &[
                "train",
                "--set",
                "dataset={format='csv',train='a.csv',label=3,missing='mean',header=true}",
            ],
        ],
        sealed: false,
        inner: None,
    },
    Format {
        name: "TSV",
        file: "a.tsv",
        needs: &[],
        commands: &[&[
            "train",
            "--set",
            "dataset={format='csv',train='a.tsv',label=0}",
        ]],
        sealed: false,
        inner: None,
    },
    Format {
        name: "LIBSVM",
        file: "a.svm",
        needs: &[],
        commands: &[&["train", "--set", "dataset={format='libsvm',train='a.svm'}"]],
        sealed: false,
        inner: None,
    },
    Format {
        name: "IDX images",
        file: "a-images",
        needs: &["a-labels"],
        commands: &[IDX],
        sealed: false,
        inner: None,
    },
    Format {
        name: "IDX labels",
        file: "a-labels",
        needs: &["a-images"],
        commands: &[IDX],
        sealed: false,
        inner: None,
    },
    Format {
        name: "IDX.gz",
        file: "a-images.gz",
        needs: &["a-labels"],
        commands: &[&[
            "train",
            "--set",
            "dataset={format='idx',train_images='a-images.gz',train_labels='a-labels'}",
        ]],
        sealed: false,
        inner: Some(GZIP),
    },
    Format {
        name: "CSV.gz",
        file: "a.csv.gz",
        needs: &[],
        commands: &[&[
            "train",
            "--set",
            "dataset={format='csv',train='a.csv.gz',label='kind'}",
        ]],
        sealed: false,
        inner: Some(GZIP),
    },
    Format {
        name: "CIFAR-10",
        file: "cifar-10/data_batch_3.bin",
        needs: &["cifar-10"],
        commands: &[&["train", "--dataset", "cifar-10", "--data-dir", "."]],
        sealed: false,
        inner: None,
    },
    Format {
        name: "run file",
        file: "config.toml",
        needs: &["a.csv"],
        commands: &[&["train", "config.toml", "--steps", "3", "--out", "new"]],
        sealed: false,
        inner: None,
    },
    Format {
        name: "study file",
        file: "plan.toml",
        needs: &[],
        commands: &[&["study", "plan", "plan.toml"]],
        sealed: false,
        inner: None,
    },
    Format {
        name: "run.toml",
        file: "run/run.toml",
        needs: &["run", "a.csv", "new.csv"],
        commands: &[
            &["evaluate", "run"],
            &["train", "--resume", "run"],
            &["predict", "run", "new.csv"],
        ],
        sealed: false,
        inner: Some(UNSEALED),
    },
    Format {
        name: "result.json",
        file: "run/result.json",
        needs: &["run", "a.csv"],
        commands: &[&["train", "--resume", "run", "--json"]],
        sealed: false,
        inner: None,
    },
    Format {
        name: "checkpoint",
        file: "begun/checkpoints/step-4/state.json",
        needs: &["begun", "a.csv"],
        commands: &[&["train", "--resume", "begun"]],
        sealed: false,
        inner: Some(OLD_STATE),
    },
    Format {
        name: "weights",
        file: "run/model.safetensors",
        needs: &["run", "a.csv", "new.csv"],
        commands: &[
            &["evaluate", "run"],
            &["predict", "run", "new.csv"],
            &[
                "predict",
                "run",
                "new.csv",
                "--weights",
                "run/model.safetensors",
            ],
        ],
        sealed: true,
        inner: None,
    },
    Format {
        name: "PyTorch's weights",
        file: "torch.safetensors",
        needs: &["run", "a.csv", "new.csv"],
        commands: &[
            &[
                "predict",
                "run",
                "new.csv",
                "--weights",
                "torch.safetensors",
            ],
            &["evaluate", "run", "--weights", "torch.safetensors"],
        ],
        sealed: false,
        inner: Some(HEADER),
    },
    Format {
        name: "rows to predict",
        file: "new.csv",
        needs: &["run"],
        commands: &[
            &["predict", "run", "new.csv"],
            &["predict", "run", "new.csv", "--out", "predictions.csv"],
        ],
        sealed: false,
        inner: None,
    },
    Format {
        name: "study.toml",
        file: "study/study.toml",
        needs: &["study"],
        commands: &[&["study", "status", "study"], &["study", "report", "study"]],
        sealed: false,
        inner: Some(UNSEALED),
    },
    Format {
        name: "journal",
        file: "study/trials.jsonl",
        needs: &["study"],
        commands: &[
            &["study", "status", "study"],
            &["study", "export", "study", "--format", "jsonl"],
            &["study", "report", "study"],
        ],
        sealed: false,
        inner: Some(LINES),
    },
];

const IDX: &[&str] = &[
    "train",
    "--set",
    "dataset={format='idx',train_images='a-images',train_labels='a-labels'}",
];

/// A run's configuration file with many settings.
pub const CONFIG: &str = r#"
model = { name = "mlp", widths = [8, 4], dropout = 0.1, batch_norm = true, activation = "tanh" }
optimizer = { name = "momentum", momentum = 0.9, weight_decay = 0.0001 }
batch_size = 8
epochs = 2
lr = 0.05
seed = 7
workers = 2
threads = 1
label_smoothing = 0.05
clip_norm = 2.5
[dataset]
format = "csv"
train = "a.csv"
label = "kind"
[schedule]
name = "multi-step"
factor = 0.5
at = { fraction = [0.5, 0.75] }
warmup = { steps = 1 }
[data]
validation = 9
preprocess = { normalise = "feature" }
[checkpoint]
every_steps = 2
keep = 3
[log]
every_steps = 2
evaluate_every_steps = 3
[stop]
patience = 4
"#;

/// A study file with many settings.
pub const PLAN: &str = r#"
name = "small"
threads = 1
[set]
dataset = "breast-cancer"
model = { name = "mlp", widths = [4] }
[axes]
batch_size = [32, 64]
optimizer = ["momentum", { name = "lars", trust_coefficient = 0.01 }]
[search]
lr = { log_uniform = [0.01, 1.0], points = 3 }
[budget]
steps = 4
[tune]
seeds = 2
[stop]
prune.after = 0.5
[confirm]
seeds = 3
[[arm]]
name = "small"
set.batch_size = 16
[[arm]]
name = "unscaled"
rate = { from = "small" }
"#;
