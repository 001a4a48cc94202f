//! Mutated input of every format: bits, bytes, lines and numbers that change, go, come twice, or become absurd.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;

use largebatch_random::Key;
use largebatch_store::seal;
use largebatch_tests::{gzip, images, tree};

use crate::fault::{Dice, Ended, Fault, Outcome, Verdict};
use crate::lab::{Lab, copy};

/// A format: its name, the file that is mutated, what else is needed, and the commands that read it.
struct Format {
    name: &'static str,
    file: &'static str,
    needs: &'static [&'static str],
    commands: &'static [&'static [&'static str]],
    /// Whether a digest says that the file is as it was written: then it is refused, or nothing depends on what has changed.
    sealed: bool,
    /// What is mutated in most cases in place of the whole file, so that mutations get past digests, lengths and checksums.
    inner: Option<Inner>,
}

/// Takes a part out of a file, and puts another in its place.
struct Inner {
    take: fn(&[u8]) -> Vec<u8>,
    put: fn(&[u8], &[u8]) -> Vec<u8>,
}

/// TOML without its digest, as versions before 0.3 wrote it.
const UNSEALED: Inner = Inner { take: |file| until(file, "# digest"), put: |part, _| part.to_vec() };

/// The lines of a journal, with digests of their new content.
const LINES: Inner = Inner {
    take: |file| file.split_inclusive(|b| *b == b'\n').flat_map(|line| [until(line, ",\"digest\""), b"}\n".to_vec()].concat()).collect(),
    put: |part, _| {
        let sealed = |line: &str| if line.ends_with('}') { seal(line) } else { line.to_owned() } + "\n";
        String::from_utf8_lossy(part).lines().map(sealed).collect::<String>().into_bytes()
    },
};

/// A checkpoint's state without digests, as version 0.2 wrote it.
const OLD_STATE: Inner = Inner {
    take: |file| {
        let mut state: serde_json::Value = serde_json::from_slice(file).expect("a state");
        let object = state.as_object_mut().expect("an object");
        ["digest", "model", "optimizer"].iter().for_each(|key| drop(object.remove(*key)));
        object.insert("schema".into(), 1.into());
        serde_json::to_vec_pretty(&state).expect("JSON")
    },
    put: |part, _| part.to_vec(),
};

/// The header of a safetensors file, with its new length.
const HEADER: Inner = Inner {
    take: |file| file[8..header_end(file)].to_vec(),
    put: |part, file| [&(part.len() as u64).to_le_bytes(), part, &file[header_end(file)..]].concat(),
};

/// What is compressed.
const GZIP: Inner = Inner {
    take: |file| {
        let mut part = Vec::new();
        flate2::read::GzDecoder::new(file).read_to_end(&mut part).expect("a whole file");
        part
    },
    put: |part, _| gzip(part),
};

fn until(bytes: &[u8], end: &str) -> Vec<u8> {
    let at = bytes.windows(end.len()).rposition(|window| window == end.as_bytes());
    bytes[..at.unwrap_or(bytes.len())].to_vec()
}

fn header_end(file: &[u8]) -> usize {
    8 + u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize
}

const SHORT: &[&str] = &["--model", "softmax", "--steps", "3", "--out", "new", "--batch-size", "8"];

/// The folder of the prepared files.
const INPUTS: &str = "inputs";

const FORMATS: &[Format] = &[
    Format {
        name: "CSV",
        file: "a.csv",
        needs: &[],
        commands: &[
            &["train", "--set", "dataset={format='csv',train='a.csv',label='kind'}"],
            &["train", "--set", "dataset={format='csv',train='a.csv',label=3,missing='mean',header=true}"],
        ],
        sealed: false,
        inner: None,
    },
    Format {
        name: "TSV",
        file: "a.tsv",
        needs: &[],
        commands: &[&["train", "--set", "dataset={format='csv',train='a.tsv',label=0}"]],
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
    Format { name: "IDX images", file: "a-images", needs: &["a-labels"], commands: &[IDX], sealed: false, inner: None },
    Format { name: "IDX labels", file: "a-labels", needs: &["a-images"], commands: &[IDX], sealed: false, inner: None },
    Format {
        name: "IDX.gz",
        file: "a-images.gz",
        needs: &["a-labels"],
        commands: &[&["train", "--set", "dataset={format='idx',train_images='a-images.gz',train_labels='a-labels'}"]],
        sealed: false,
        inner: Some(GZIP),
    },
    Format {
        name: "CSV.gz",
        file: "a.csv.gz",
        needs: &[],
        commands: &[&["train", "--set", "dataset={format='csv',train='a.csv.gz',label='kind'}"]],
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
    Format { name: "study file", file: "plan.toml", needs: &[], commands: &[&["study", "plan", "plan.toml"]], sealed: false, inner: None },
    Format {
        name: "run.toml",
        file: "run/run.toml",
        needs: &["run", "a.csv", "new.csv"],
        commands: &[&["evaluate", "run"], &["train", "--resume", "run"], &["predict", "run", "new.csv"]],
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
            &["predict", "run", "new.csv", "--weights", "run/model.safetensors"],
        ],
        sealed: true,
        inner: None,
    },
    Format {
        name: "PyTorch's weights",
        file: "torch.safetensors",
        needs: &["run", "a.csv", "new.csv"],
        commands: &[
            &["predict", "run", "new.csv", "--weights", "torch.safetensors"],
            &["evaluate", "run", "--weights", "torch.safetensors"],
        ],
        sealed: false,
        inner: Some(HEADER),
    },
    Format {
        name: "rows to predict",
        file: "new.csv",
        needs: &["run"],
        commands: &[&["predict", "run", "new.csv"], &["predict", "run", "new.csv", "--out", "predictions.csv"]],
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
        commands: &[&["study", "status", "study"], &["study", "export", "study", "--format", "jsonl"], &["study", "report", "study"]],
        sealed: false,
        inner: Some(LINES),
    },
];

const IDX: &[&str] = &["train", "--set", "dataset={format='idx',train_images='a-images',train_labels='a-labels'}"];

const CONFIG: &str = r#"
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

const PLAN: &str = r#"
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
hopeless.after = 0.5
[confirm]
seeds = 3
[[arm]]
name = "small"
set.batch_size = 16
[[arm]]
name = "unscaled"
rate = { from = "small" }
"#;

/// Makes the files once, and checks that the program takes each of them.
pub fn prepare(lab: &Lab) -> Result<(), String> {
    let mut fault = lab.fault(INPUTS, Key::new(0));
    let (dir, mut dice) = (fault.work(), Dice::new(Key::new(1).word("inputs")));
    let write = |name: &str, content: &[u8]| fs::write(dir.join(name), content).expect("an input file");
    let (mut csv, mut tsv, mut svm, mut new) = (String::from("width,height,colour,kind\n"), String::new(), String::new(), String::new());
    new += "height,width,colour\n";
    for i in 0..48 {
        let (a, b, c, class) = (dice.unit() * 9.0, dice.unit() - 0.5, dice.below(3), i % 3);
        csv += &format!("{a:.3},{b:.4},{c},{}\n", ["oak", "elm", "ash tree"][class]);
        tsv += &format!("{class}\t{a:.3}\t{b:.4}e-2\t{c}.5\n");
        svm += &format!("{} 1:{a:.3} {}:{b:.4}\n", class + 1, 2 + c);
        new += &format!("{b:.4},{a:.3},{c}\n");
    }
    [("a.csv", &csv), ("a.tsv", &tsv), ("a.svm", &svm), ("new.csv", &new), ("config.toml", &CONFIG.into()), ("plan.toml", &PLAN.into())]
        .iter()
        .for_each(|(name, text)| write(name, text.as_bytes()));
    images(&dir, "a", (48, 8, 4), 1);
    write("a-images.gz", &gzip(&fs::read(dir.join("a-images")).expect("images")));
    write("a.csv.gz", &gzip(csv.as_bytes()));
    fs::create_dir(dir.join("cifar-10")).expect("a folder");
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        let record = |i: usize, dice: &mut Dice| -> Vec<u8> {
            [vec![i as u8], (0..3072).map(|p| ((p * i) % 256) as u8 ^ dice.below(64) as u8).collect()].concat()
        };
        write(&format!("cifar-10/{name}.bin"), &(0..10).flat_map(|i| record(i, &mut dice)).collect::<Vec<u8>>());
    }
    let begun = ["train", "config.toml", "--steps", "6", "--out", "begun"];
    let made: [&[&str]; 3] = [
        &begun,
        &["train", "--set", "dataset={format='csv',train='a.csv',label='kind'}", "--model", "softmax", "--epochs", "1", "--out", "run"],
        &["study", "run", "plan.toml", "--out", "study", "--quiet"],
    ];
    for arguments in made {
        fault.run(arguments)?.expect(&[0], "")?;
    }
    ["result.json", "model.safetensors"].iter().for_each(|name| fs::remove_file(dir.join("begun").join(name)).expect("a finished run"));
    let weights = fs::read(dir.join("run/model.safetensors")).map_err(|e| e.to_string())?;
    write("torch.safetensors", &without_metadata(&weights));
    for format in FORMATS {
        for command in format.commands {
            let mut fault = lab.fault(&format!("whole-{}-{}", format.file.replace('/', "-"), command.join(" ").len()), Key::new(0));
            bring(&fault, format);
            read(&mut fault, command)?.expect(&[0], "").map_err(|e| format!("the program does not take a whole {}\n{e}", format.name))?;
        }
    }
    Ok(())
}

/// A safetensors file with its tensors alone.
fn without_metadata(bytes: &[u8]) -> Vec<u8> {
    let mut header: serde_json::Value = serde_json::from_slice(&(HEADER.take)(bytes)).expect("a header");
    header.as_object_mut().expect("an object").remove("__metadata__");
    (HEADER.put)(header.to_string().as_bytes(), bytes)
}

/// Copies what a format needs into the fault's folder.
fn bring(fault: &Fault, format: &Format) {
    for name in format.needs.iter().chain(Some(&format.file)).map(|name| name.split('/').next().unwrap_or(name)) {
        if !fault.work().join(name).exists() {
            copy(&fault.lab.folder.path().join(INPUTS).join("work").join(name), &fault.work().join(name));
        }
    }
}

/// The most address space of a program that reads mutated input.
const MEMORY: u64 = 4 << 30;

/// Runs a command that reads input, with bounded memory.
fn read(fault: &mut Fault, command: &[&str]) -> Result<Ended, String> {
    let data = command[0] == "train" && command.contains(&"--set") || command.contains(&"--dataset");
    let mut command = fault.program(&[command, if data { SHORT } else { &[] }].concat());
    let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
    // SAFETY: setrlimit is a system call and nothing else, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(move || if libc::setrlimit(libc::RLIMIT_AS, &limit) == 0 { Ok(()) } else { Err(io::Error::last_os_error()) });
    }
    fault.start(command).sound()
}

/// Mutates a file of some format, and reads it: any answer but a panic, a signal, a hang, an unclear error, or half a file.
pub fn mutated(fault: &mut Fault) -> Outcome {
    let format = &FORMATS[fault.dice.below(FORMATS.len())];
    let command = format.commands[fault.dice.below(format.commands.len())];
    bring(fault, format);
    let path = fault.work().join(format.file);
    let whole = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let expected = if format.sealed { Some(read(fault, command)?.stdout) } else { None };
    let inner = format.inner.as_ref().filter(|_| fault.dice.chance(0.75));
    let mut bytes = inner.map_or_else(|| whole.clone(), |inner| (inner.take)(&whole));
    let times = if fault.dice.chance(0.6) { 1 } else { 2 + fault.dice.below(3) };
    for _ in 0..times {
        let what = mutate(&mut bytes, &mut fault.dice);
        fault.note(format!("{}: {what}", format.file));
    }
    if let Some(inner) = inner {
        bytes = (inner.put)(&bytes, &whole);
        fault.note("put back");
    }
    fs::write(&path, &bytes).map_err(|e| e.to_string())?;
    fault.note(command.join(" "));
    let end = read(fault, command)?;
    end.stderr.lines().filter(|line| line.starts_with("error: ")).for_each(|line| fault.note(line));
    if let Some(half) =
        tree(&fault.work()).keys().find(|path| path.components().any(|c| Path::new(&c).extension().is_some_and(|e| e == "partial")))
    {
        return Err(end.failure(&format!("nothing half-written, and not {}", half.display())));
    }
    match (end.code, expected) {
        (Some(1 | 2), _) => Ok(Verdict::Refused),
        (Some(0), Some(expected)) if end.stdout != expected => {
            Err(end.failure(&format!("an error, or what the whole file gives:\n{expected}")))
        }
        (Some(0), Some(_)) => Ok(Verdict::Same),
        _ => Ok(Verdict::Taken),
    }
}

const NUMBERS: &[&str] = &[
    "-1",
    "0",
    "-0",
    "1e308",
    "1e999",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "99999999999999999999",
    "1e-320",
    "2147483648",
    "4294967296",
    "-9223372036854775808",
    "18446744073709551615",
    "1000000000",
    "0x10",
    "1_000",
    "٣",
    "",
    "\"1\"",
    "[]",
    "0.1.2",
];

const TEXTS: &[&str] = &[
    "\u{feff}", "\0", "é", "\u{202e}", "\r", "\r\n", "\"", "\"\"", "\t", "💥", "\n\n", "'", ",", "=", "[", "{", "}", "#", "\\", "\\u0000",
    "\u{2028}",
];

const WORDS: [[u8; 4]; 4] = [[0xff; 4], [0x7f, 0xff, 0xff, 0xff], [0x80, 0, 0, 0], [0; 4]];

/// Changes some bytes in one way or another, and says which.
fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) -> String {
    if bytes.is_empty() {
        bytes.extend(b"\0");
        return "one zero byte".into();
    }
    // Headers are short: a third of all changes happen among the first bytes.
    let most = if dice.chance(0.33) { bytes.len().min(64) } else { bytes.len() };
    let (at, more) = (dice.below(most), dice.below(most) + 1);
    let end = (at + if dice.chance(0.8) { more.min(12) } else { more }).min(bytes.len());
    let text = std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0);
    // Text that is no text any more is refused at once; its numbers reach further.
    if text && dice.chance(0.5) {
        return number(bytes, at, dice);
    }
    match dice.below(12) {
        0 => {
            bytes[at] ^= 1 << dice.below(8);
            format!("a bit of byte {at}")
        }
        1 => {
            bytes.drain(at..end);
            format!("bytes {at} to {end} deleted")
        }
        2 => {
            let random: Vec<u8> =
                (0..1 + dice.below(8)).map(|_| if text { 32 + dice.below(95) as u8 } else { dice.below(256) as u8 }).collect();
            let what = format!("{:?} inserted at {at}", String::from_utf8_lossy(&random));
            bytes.splice(at..at, random);
            what
        }
        3 => {
            let copy = bytes[at..end].repeat(1 + dice.below(3));
            bytes.splice(at..at, copy);
            format!("bytes {at} to {end} repeated")
        }
        4 => {
            bytes.truncate(at);
            format!("cut to {at} bytes")
        }
        5 => {
            let other = dice.below(bytes.len());
            bytes.swap(at, other);
            format!("bytes {at} and {other} swapped")
        }
        6 => {
            let word = WORDS[dice.below(4)];
            bytes.iter_mut().skip(at).zip(word).for_each(|(byte, new)| *byte = new);
            format!("{word:?} at {at}")
        }
        7 => {
            let new = dice.pick(TEXTS);
            bytes.splice(at..at, new.bytes());
            format!("{new:?} inserted at {at}")
        }
        8 | 9 => {
            let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            let (a, b) = (dice.below(lines.len()), dice.below(lines.len()));
            let what = dice.below(4);
            match what {
                0 => drop(lines.remove(a)),
                1 => lines.swap(a, b),
                2 => lines.insert(b, lines[a].clone()),
                _ => lines.insert(a, lines[a].repeat(200)),
            }
            *bytes = lines.concat();
            format!(
                "line {a} {}",
                ["deleted".into(), format!("swapped with {b}"), format!("copied to {b}"), "repeated 200 times".into()][what]
            )
        }
        _ => number(bytes, at, dice),
    }
}

/// Puts another number in the place of the next one behind `at`, or of the first.
fn number(bytes: &mut Vec<u8>, at: usize, dice: &mut Dice) -> String {
    let part = |b: &u8| b.is_ascii_digit() || b"+-.eE_".contains(b);
    let begin = (at..bytes.len()).chain(0..at).find(|&i| bytes[i].is_ascii_digit() && (i == 0 || !part(&bytes[i - 1]))).unwrap_or(at);
    let end = begin + bytes[begin..].iter().take_while(|b| part(b)).count();
    let new = dice.pick(NUMBERS);
    let text = format!("{:?} at {begin} becomes {new:?}", String::from_utf8_lossy(&bytes[begin..end]));
    bytes.splice(begin..end, new.bytes());
    text
}
