//! Mutated input of every format.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;

use largebatch_random::Key;
use largebatch_tests::{gzip, images, tree};

use crate::child::Ended;
use crate::fault::{Dice, Fault, Outcome, Verdict};
use crate::format::{CONFIG, FORMATS, Format, HEADER, PLAN, SHORT};
use crate::lab::{Lab, copy};
use crate::mutate::mutate;

/// The folder of the prepared files.
const INPUTS: &str = "inputs";

/// Makes the files once, and checks that the program accepts each of them.
pub fn prepare(lab: &Lab) -> Result<(), String> {
    let mut fault = lab.fault(INPUTS, Key::new(0));
    let (dir, mut dice) = (fault.work(), Dice::new(Key::new(1).word("inputs")));
    let write =
        |name: &str, content: &[u8]| fs::write(dir.join(name), content).expect("an input file");
    let (mut csv, mut tsv, mut svm, mut new) = (
        String::from("width,height,colour,kind\n"),
        String::new(),
        String::new(),
        String::new(),
    );
    new += "height,width,colour\n";
    for i in 0..48 {
        let (a, b, c, class) = (dice.unit() * 9.0, dice.unit() - 0.5, dice.below(3), i % 3);
        csv += &format!("{a:.3},{b:.4},{c},{}\n", ["oak", "elm", "ash tree"][class]);
        tsv += &format!("{class}\t{a:.3}\t{b:.4}e-2\t{c}.5\n");
        svm += &format!("{} 1:{a:.3} {}:{b:.4}\n", class + 1, 2 + c);
        new += &format!("{b:.4},{a:.3},{c}\n");
    }
    [
        ("a.csv", &csv),
        ("a.tsv", &tsv),
        ("a.svm", &svm),
        ("new.csv", &new),
        ("config.toml", &CONFIG.into()),
        ("plan.toml", &PLAN.into()),
    ]
    .iter()
    .for_each(|(name, text)| write(name, text.as_bytes()));
    images(&dir, "a", (48, 8, 4), 1);
    write(
        "a-images.gz",
        &gzip(&fs::read(dir.join("a-images")).expect("images")),
    );
    write("a.csv.gz", &gzip(csv.as_bytes()));
    fs::create_dir(dir.join("cifar-10")).expect("a folder");
    for name in [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ] {
        let record = |i: usize, dice: &mut Dice| -> Vec<u8> {
            [
                vec![i as u8],
                (0..3072)
                    .map(|p| ((p * i) % 256) as u8 ^ dice.below(64) as u8)
                    .collect(),
            ]
            .concat()
        };
        write(
            &format!("cifar-10/{name}.bin"),
            &(0..10)
                .flat_map(|i| record(i, &mut dice))
                .collect::<Vec<u8>>(),
        );
    }
    let begun = ["train", "config.toml", "--steps", "6", "--out", "begun"];
    let made: [&[&str]; 3] = [
        &begun,
        &[
            "train",
            "--set",
            "dataset={format='csv',train='a.csv',label='kind'}",
            "--model",
            "softmax",
            "--epochs",
            "1",
            "--out",
            "run",
        ],
        &["study", "run", "plan.toml", "--out", "study", "--quiet"],
    ];
    for arguments in made {
        fault.run(arguments)?.expect(&[0], "")?;
    }
    ["result.json", "model.safetensors"]
        .iter()
        .for_each(|name| fs::remove_file(dir.join("begun").join(name)).expect("a finished run"));
    let weights = fs::read(dir.join("run/model.safetensors")).map_err(|e| e.to_string())?;
    write("torch.safetensors", &without_metadata(&weights));
    for format in FORMATS {
        for command in format.commands {
            let mut fault = lab.fault(
                &format!(
                    "whole-{}-{}",
                    format.file.replace('/', "-"),
                    command.join(" ").len()
                ),
                Key::new(0),
            );
            bring(&fault, format);
            read(&mut fault, command)?
                .expect(&[0], "")
                .map_err(|e| format!("the program does not take a whole {}\n{e}", format.name))?;
        }
    }
    Ok(())
}

/// A safetensors file with only its tensors.
fn without_metadata(bytes: &[u8]) -> Vec<u8> {
    let mut header: serde_json::Value =
        serde_json::from_slice(&(HEADER.take)(bytes)).expect("a header");
    header
        .as_object_mut()
        .expect("an object")
        .remove("__metadata__");
    (HEADER.put)(header.to_string().as_bytes(), bytes)
}

/// Copies what a format needs into the fault's folder.
fn bring(fault: &Fault, format: &Format) {
    for name in format
        .needs
        .iter()
        .chain(Some(&format.file))
        .map(|name| name.split('/').next().unwrap_or(name))
    {
        if !fault.work().join(name).exists() {
            copy(
                &fault.lab.folder.path().join(INPUTS).join("work").join(name),
                &fault.work().join(name),
            );
        }
    }
}

/// The largest address space of a program that reads mutated input.
const MEMORY: u64 = 4 << 30;

/// Runs a command that reads input, with limited memory.
fn read(fault: &mut Fault, command: &[&str]) -> Result<Ended, String> {
    let data =
        command[0] == "train" && command.contains(&"--set") || command.contains(&"--dataset");
    let mut command = fault.program(&[command, if data { SHORT } else { &[] }].concat());
    let limit = libc::rlimit {
        rlim_cur: MEMORY,
        rlim_max: MEMORY,
    };
    // SAFETY: setrlimit is only a system call, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(move || {
            if libc::setrlimit(libc::RLIMIT_AS, &limit) == 0 {
                Ok(())
            } else {
                Err(io::Error::last_os_error())
            }
        });
    }
    fault.start(command).sound()
}

/// Mutates a file of a random format and reads it. Any answer is accepted except a panic, a signal,
/// a hang, an unclear error, or half a file.
pub fn mutated(fault: &mut Fault) -> Outcome {
    let format = &FORMATS[fault.dice.below(FORMATS.len())];
    let command = format.commands[fault.dice.below(format.commands.len())];
    bring(fault, format);
    let path = fault.work().join(format.file);
    let whole = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let expected = if format.sealed {
        Some(read(fault, command)?.stdout)
    } else {
        None
    };
    let inner = format.inner.as_ref().filter(|_| fault.dice.chance(0.75));
    let mut bytes = inner.map_or_else(|| whole.clone(), |inner| (inner.take)(&whole));
    let times = if fault.dice.chance(0.6) {
        1
    } else {
        2 + fault.dice.below(3)
    };
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
    end.stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .for_each(|line| fault.note(line));
    if let Some(half) = tree(&fault.work()).keys().find(|path| {
        path.components()
            .any(|c| Path::new(&c).extension().is_some_and(|e| e == "partial"))
    }) {
        return Err(end.failure(&format!("nothing half-written, and not {}", half.display())));
    }
    match (end.code, expected) {
        (Some(1 | 2), _) => Ok(Verdict::Refused),
        (Some(0), Some(expected)) if end.stdout != expected => Err(end.failure(&format!(
            "an error, or what the whole file gives:\n{expected}"
        ))),
        (Some(0), Some(_)) => Ok(Verdict::Same),
        _ => Ok(Verdict::Taken),
    }
}
