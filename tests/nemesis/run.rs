//! Runs the faults, several at a time, and counts how they ended.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use largebatch_random::Key;

use crate::fault::{Dice, Fault, Outcome, Verdict};
use crate::lab::Lab;
use crate::{Asked, MINUTE, disk, input, process};

/// A kind of fault.
struct Kind {
    name: &'static str,
    /// The share of this kind among [`Kind::ALL`]'s sum, after each kind has come twice.
    weight: usize,
    make: fn(&mut Fault) -> Outcome,
}

impl Kind {
    const ALL: [Kind; 13] = [
        Kind {
            name: "killed",
            weight: 20,
            make: process::kill,
        },
        Kind {
            name: "stopped and continued",
            weight: 8,
            make: process::stop,
        },
        Kind {
            name: "asked to end",
            weight: 12,
            make: process::ask,
        },
        Kind {
            name: "two writers",
            weight: 8,
            make: process::writers,
        },
        Kind {
            name: "shards in name spaces",
            weight: 6,
            make: process::shards,
        },
        Kind {
            name: BY_NAME,
            weight: 3,
            make: process::ranks,
        },
        Kind {
            name: "torn tail",
            weight: 14,
            make: disk::torn,
        },
        Kind {
            name: "flipped bit",
            weight: 25,
            make: disk::bit,
        },
        Kind {
            name: "full disk",
            weight: 12,
            make: disk::full,
        },
        Kind {
            name: "calls that fail",
            weight: 20,
            make: disk::calls,
        },
        Kind {
            name: "clock that jumps",
            weight: 5,
            make: disk::clock,
        },
        Kind {
            name: "no locks",
            weight: 2,
            make: disk::no_locks,
        },
        Kind {
            name: "mutated input",
            weight: 120,
            make: input::mutated,
        },
    ];

    /// A dead holder of a weak lock costs twenty seconds: once among the first faults, then rarely.
    const SLOW: Kind = Kind {
        name: "no locks, dead holder",
        weight: 1,
        make: disk::dead_holder,
    };

    /// Every kind twice, the slow one once, then by weight.
    fn of(seed: u64, number: usize) -> &'static Kind {
        let all = &Kind::ALL;
        if number == 0 {
            return &Kind::SLOW;
        }
        if number <= 2 * all.len() {
            return &all[(number - 1) % all.len()];
        }
        let kinds = all.iter().chain([&Kind::SLOW]);
        let mut draw = Dice::new(key(seed, number).word("kind"))
            .below(kinds.clone().map(|kind| kind.weight).sum());
        let hit = |kind: &&Kind| match draw.checked_sub(kind.weight) {
            Some(left) => {
                draw = left;
                false
            }
            None => true,
        };
        kinds.into_iter().find(hit).unwrap_or(&Kind::SLOW)
    }
}

/// Only made if it is named: on a busy machine `mpirun` itself hangs if a process is killed before all
/// have found each other.
const BY_NAME: &str = "ranks killed";

fn key(seed: u64, number: usize) -> Key {
    Key::new(seed).word("nemesis").number(number as u64)
}

/// A line of the summary.
#[derive(Default)]
struct Row {
    faults: usize,
    same: usize,
    refused: usize,
    taken: usize,
    skipped: usize,
    failed: usize,
    seconds: f64,
    why: String,
}

pub fn run(asked: &Asked) -> ExitCode {
    let begun = Instant::now();
    let lab = match Lab::new() {
        Ok(lab) => lab,
        Err(why) => {
            eprintln!("nemesis: no undisturbed run to compare with\n{why}");
            return ExitCode::FAILURE;
        }
    };
    let mut wanted = (asked.first..).filter(|&n| {
        let name = Kind::of(asked.seed, n).name;
        match asked.kinds.is_empty() {
            true => name != BY_NAME,
            false => asked.kinds.iter().any(|part| name.contains(part.as_str())),
        }
    });
    if let Some(part) = asked.kinds.iter().find(|part| {
        !Kind::ALL
            .iter()
            .chain([&Kind::SLOW])
            .any(|kind| kind.name.contains(part.as_str()))
    }) {
        eprintln!("nemesis: no kind of fault is called {part}");
        return ExitCode::FAILURE;
    }
    let (rows, failures, left) = (
        Mutex::new(BTreeMap::<&str, Row>::new()),
        Mutex::new(Vec::new()),
        AtomicUsize::new(asked.count.unwrap_or(usize::MAX)),
    );
    let next = Mutex::new(&mut wanted);
    let work = || {
        while (asked.count.is_some() || begun.elapsed() < MINUTE)
            && left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
        {
            let Some(number) = next.lock().expect("numbers").next() else {
                return;
            };
            let kind = Kind::of(asked.seed, number);
            let (fault, outcome, seconds) = one(&lab, kind, asked.seed, number);
            if asked.tell {
                let end = match &outcome {
                    Ok(Verdict::Same) => "same bits",
                    Ok(Verdict::Refused) => "clear error",
                    Ok(Verdict::Taken) => "taken",
                    Ok(Verdict::Skipped(_)) => "skipped",
                    Err(_) => "FAILED",
                };
                println!(
                    "{}:{number} {}: {end} after {seconds:.1} s: {}",
                    asked.seed,
                    kind.name,
                    fault.notes.join("; ")
                );
            }
            let mut rows = rows.lock().expect("rows");
            let row = rows.entry(kind.name).or_default();
            row.faults += 1;
            row.seconds += seconds;
            match outcome {
                Ok(verdict) => {
                    match verdict {
                        Verdict::Same => row.same += 1,
                        Verdict::Refused => row.refused += 1,
                        Verdict::Taken => row.taken += 1,
                        Verdict::Skipped(why) => {
                            row.skipped += 1;
                            row.why = why;
                        }
                    }
                    let _ = fs::remove_dir_all(&fault.folder);
                }
                Err(what) => {
                    row.failed += 1;
                    let again = format!(
                        "cargo test --release --workspace --features largebatch/wgpu --test nemesis -- {}:{number}",
                        asked.seed
                    );
                    let said = format!(
                        "FAILED {} {}:{number}\n{what}\ndone: {}\nfolder: {}\nagain: {again}\n",
                        kind.name,
                        asked.seed,
                        fault.notes.join("; "),
                        fault.folder.display()
                    );
                    let _ = writeln!(std::io::stderr(), "{said}");
                    failures.lock().expect("failures").push(said);
                }
            }
        }
    };
    // Many faults spend time waiting: for a moment, a heartbeat, the disk.
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get()) + 1;
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (rows, failures) = (
        rows.into_inner().expect("rows"),
        failures.into_inner().expect("failures"),
    );
    print(&rows, asked.seed, begun.elapsed().as_secs_f64());
    if failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\n{} failures:\n", failures.len());
    failures.iter().for_each(|said| println!("{said}"));
    let _ = lab.folder.keep();
    ExitCode::FAILURE
}

/// Runs one fault; a panic here is a failure like any other.
fn one<'a>(lab: &'a Lab, kind: &Kind, seed: u64, number: usize) -> (Fault<'a>, Outcome, f64) {
    let begun = Instant::now();
    let mut fault = lab.fault(&format!("{seed}-{number}"), key(seed, number));
    let outcome =
        catch_unwind(AssertUnwindSafe(|| (kind.make)(&mut fault))).unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(format!(
                "expected: a fault\nfound: the nemesis itself failed: {}",
                text.unwrap_or_default()
            ))
        });
    (fault, outcome, begun.elapsed().as_secs_f64())
}

fn print(rows: &BTreeMap<&str, Row>, seed: u64, seconds: f64) {
    let line = |name: &str, r: &Row| {
        let why = if r.why.is_empty() {
            String::new()
        } else {
            format!("  skipped: {}", r.why)
        };
        println!(
            "{name:<24}{:>7}{:>11}{:>13}{:>7}{:>9}{:>8}{:>9.1}{why}",
            r.faults, r.same, r.refused, r.taken, r.skipped, r.failed, r.seconds
        );
    };
    println!("\nnemesis, seed {seed}, {seconds:.0} s");
    println!(
        "{:<24}{:>7}{:>11}{:>13}{:>7}{:>9}{:>8}{:>9}",
        "kind", "faults", "same bits", "clear error", "taken", "skipped", "failed", "seconds"
    );
    let mut all = Row::default();
    for kind in Kind::ALL.iter().chain([&Kind::SLOW]) {
        let Some(r) = rows.get(kind.name) else {
            continue;
        };
        line(kind.name, r);
        all.faults += r.faults;
        all.same += r.same;
        all.refused += r.refused;
        all.taken += r.taken;
        all.skipped += r.skipped;
        all.failed += r.failed;
        all.seconds += r.seconds;
    }
    line("all", &all);
}
