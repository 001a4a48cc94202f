//! The nemesis: faults of every kind from a seed, as many as asked for, against the program as its users run it.
//!
//! Each fault depends only on the seed and its number, except for the moments at which the system
//! runs its processes. Afterwards the program must have left the same trials and the same bits as
//! an undisturbed run, or have reported a clear error; a panic, a hang, an unknown exit code or
//! another result is a failure.
//!
//! ```text
//! cargo test --release --workspace --features largebatch/wgpu --test nemesis                     # a minute
//! cargo test --release --workspace --features largebatch/wgpu --test nemesis -- 7 2000           # 2,000 faults of seed 7
//! cargo test --release --workspace --features largebatch/wgpu --test nemesis -- 7:1234           # one of them again
//! cargo test --release --workspace --features largebatch/wgpu --test nemesis -- 7 500 input      # of one kind
//! cargo test --release --workspace --features largebatch/wgpu --test nemesis -- 7 500 --nocapture # each told
//! ```

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod fault;
#[cfg(target_os = "linux")]
mod format;
#[cfg(target_os = "linux")]
mod input;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod mutate;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod run;

use std::time::Duration;

/// How long faults are started if no count is given.
const MINUTE: Duration = Duration::from_secs(60);

/// What to do.
struct Asked {
    seed: u64,
    /// The first fault's number.
    first: usize,
    count: Option<usize>,
    /// Kinds by a part of their names; empty for all.
    kinds: Vec<String>,
    /// Whether to report each fault.
    tell: bool,
}

/// Reads `[SEED [COUNT] [KIND …]]` or `SEED:NUMBER`. The options of cargo's own test harness and a
/// filter by name are also accepted; `None` if they leave nothing to do.
fn asked(arguments: impl Iterator<Item = String>) -> Option<Asked> {
    const WITH_VALUE: [&str; 7] = [
        "--test-threads",
        "--skip",
        "--format",
        "--color",
        "--logfile",
        "--shuffle-seed",
        "-Z",
    ];
    let (mut asked, mut numbers) = (
        Asked {
            seed: 1,
            first: 0,
            count: None,
            kinds: Vec::new(),
            tell: false,
        },
        0,
    );
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let one = argument
            .split_once(':')
            .and_then(|(seed, number)| Some((seed.parse().ok()?, number.parse().ok()?)));
        if let Some((seed, first)) = one {
            (asked.seed, asked.first, asked.count, numbers) = (seed, first, Some(1), 2);
        } else if let Ok(number) = argument.parse::<u64>() {
            match numbers {
                0 => asked.seed = number,
                _ => asked.count = Some(number as usize),
            }
            numbers += 1;
        } else if argument == "--list" {
            println!("nemesis: test");
            return None;
        } else if argument == "--nocapture" {
            asked.tell = true;
        } else if argument == "--ignored" {
            return None;
        } else if WITH_VALUE.contains(&argument.as_str()) {
            let value = arguments.next();
            if argument == "--skip" && value.is_some_and(|value| "nemesis".contains(&value)) {
                return None;
            }
        } else if !argument.starts_with('-') {
            asked.kinds.push(argument);
        }
    }
    if numbers == 0 && !asked.kinds.is_empty() {
        // A filter of test names.
        let ours = asked
            .kinds
            .iter()
            .any(|filter| "nemesis".contains(filter.as_str()));
        asked.kinds.clear();
        return ours.then_some(asked);
    }
    Some(asked)
}

fn main() -> std::process::ExitCode {
    let Some(asked) = asked(std::env::args().skip(1)) else {
        return std::process::ExitCode::SUCCESS;
    };
    #[cfg(target_os = "linux")]
    return run::run(&asked);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (
            asked.seed,
            asked.first,
            asked.count,
            asked.kinds,
            asked.tell,
            MINUTE,
        );
        largebatch_tests::skipped("nemesis", "its faults are Linux's");
        std::process::ExitCode::SUCCESS
    }
}
