//! Faults of processes: killed, stopped, asked to end, two at a time, in separate name spaces.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use largebatch_tests::{launched, launchers, program};

use crate::child::Process;
use crate::fault::{Fault, Outcome, Verdict};
use crate::lab::{Subject, trials};

/// The most workers killed in a row: a trial fails if a signal kills its worker three times.
const WORKERS: usize = 2;

impl Fault<'_> {
    fn begin(&mut self, subject: Subject) -> Process {
        let command = self.program(&subject.arguments());
        self.start(command)
    }

    /// Sends a signal to the whole family, to the parent only, or to one worker, if there is one.
    fn strike(&mut self, process: &mut Process, signal: i32, workers: bool) {
        let mut family = process.family();
        family.retain(|id| *id != process.id());
        let what = match self.dice.below(3) {
            0 => {
                process.signal_all(signal);
                "the group".to_owned()
            }
            1 if workers && !family.is_empty() => {
                let worker = family[self.dice.below(family.len())];
                process.signal(worker, signal);
                "a worker".to_owned()
            }
            _ => {
                process.signal(process.id(), signal);
                "the parent".to_owned()
            }
        };
        self.note(format!("signal {signal} to {what}"));
    }
}

/// SIGKILL at random moments, one to three times, each time followed by the same command.
pub fn kill(fault: &mut Fault) -> Outcome {
    let subject = fault.subject();
    let mut workers = 0;
    for _ in 0..=fault.dice.below(3) {
        let moment = fault.moment(subject);
        let mut process = fault.begin(subject);
        if process.lives(moment) {
            fault.note(format!("after {moment:?}"));
            workers += 1;
            fault.strike(&mut process, libc::SIGKILL, workers <= WORKERS);
        }
        process.sound()?;
    }
    fault.finish(subject)
}

/// SIGSTOP, and SIGCONT some time later.
pub fn stop(fault: &mut Fault) -> Outcome {
    let subject = fault.subject();
    let (moment, pause) = (
        fault.moment(subject),
        Duration::from_millis(20 + fault.dice.below(400) as u64),
    );
    let mut process = fault.begin(subject);
    if process.lives(moment) {
        fault.note(format!("after {moment:?} for {pause:?}"));
        fault.strike(&mut process, libc::SIGSTOP, true);
        process.lives(pause);
        process.signal_all(libc::SIGCONT);
    }
    process.sound()?.expect(&[0], "")?;
    fault.same(subject)
}

/// A signal that asks the program to end, perhaps twice: a checkpoint, exit code 130, and the same
/// command continues.
pub fn ask(fault: &mut Fault) -> Outcome {
    let subject = fault.subject();
    for _ in 0..=fault.dice.below(2) {
        let moment = fault.moment(subject);
        let signal =
            [libc::SIGTERM, libc::SIGUSR1, libc::SIGINT, libc::SIGHUP][fault.dice.below(4)];
        let again = fault
            .dice
            .chance(0.2)
            .then(|| Duration::from_millis(fault.dice.below(30) as u64));
        let mut process = fault.begin(subject);
        if process.lives(moment) {
            fault.note(format!(
                "after {moment:?} signal {signal}, again after {again:?}"
            ));
            process.signal(process.id(), signal);
            if again.is_some_and(|pause| process.lives(pause)) {
                process.signal(process.id(), signal);
            }
        }
        let ended = process.sound()?;
        // Before the program has installed its handlers, a signal has its default effect.
        if ended.signal.is_none() {
            ended.expect(&[0, 130], "")?;
        }
    }
    fault.run(&subject.arguments())?.expect(&[0], "")?;
    // The checkpoint of the interruption replaces an older one.
    fault.same_but(subject, &["checkpoints"])
}

/// Two writers of one folder, and readers at the same time: one writer works, the other is refused
/// or finds everything done.
pub fn writers(fault: &mut Fault) -> Outcome {
    let subject = fault.subject();
    if fault.dice.chance(0.5) {
        // Both then resume a run that has begun.
        let moment = fault.moment(subject);
        let mut process = fault.begin(subject);
        if process.lives(moment) {
            process.signal_all(libc::SIGKILL);
        }
        process.sound()?;
    }
    let mut arguments = subject.arguments();
    if subject == Subject::Train && !fault.out().join("run.toml").exists() && fault.dice.chance(0.5)
    {
        arguments.retain(|a| *a != "--resume");
    }
    let pause = Duration::from_millis(if fault.dice.chance(0.5) {
        0
    } else {
        fault.dice.below(200) as u64
    });
    fault.note(format!("two of `{}`, {pause:?} apart", arguments.join(" ")));
    let mut pair = Vec::new();
    for _ in 0..2 {
        let command = fault.program(&arguments);
        pair.push(fault.start(command));
        std::thread::sleep(pause);
    }
    let readers: &[&[&str]] = match subject {
        Subject::Train => &[
            &["evaluate", "out"],
            &["evaluate", "out", "--part", "test", "--json"],
        ],
        Subject::Study => &[
            &["study", "status", "out"],
            &[
                "study",
                "export",
                "out",
                "--format",
                "csv",
                "--out",
                "../export",
            ],
        ],
    };
    let reader = readers[fault.dice.below(readers.len())];
    fault.run(reader)?.expect(&[0, 1], "")?;
    let ends = pair
        .into_iter()
        .map(Process::sound)
        .collect::<Result<Vec<_>, _>>()?;
    if ends.iter().all(|end| end.code != Some(0)) {
        return Err(ends[0].failure("one of two writers succeeds"));
    }
    for refused in ends.iter().filter(|end| end.code != Some(0)) {
        refused.expect(&[1], "out")?;
    }
    fault.finish(subject)
}

/// Two shards of a study, each in its own process-number name space, where both are process 1; one
/// may be killed and resumed.
pub fn shards(fault: &mut Fault) -> Outcome {
    if let Err(why) = &fault.lab.processes {
        return Ok(Verdict::Skipped(why.clone()));
    }
    let subject = fault.bring(Subject::Study);
    const APART: [&str; 5] = ["unshare", "-p", "-f", "--mount-proc", "--kill-child=KILL"];
    let shard = |fault: &mut Fault, which: &str| {
        let command = fault.behind(
            &APART,
            &[&subject.arguments()[..], &["--shard", which]].concat(),
        );
        fault.start(command)
    };
    let mut first = shard(fault, "1/2");
    let second = shard(fault, "2/2");
    if fault.dice.chance(0.5) {
        let moment = fault.moment(subject);
        if first.lives(moment) {
            fault.note(format!("the first killed after {moment:?}"));
            first.signal_all(libc::SIGKILL);
        }
        first.sound()?;
        first = shard(fault, "1/2");
    }
    first.sound()?.expect(&[0], "")?;
    second.sound()?.expect(&[0], "")?;
    // Together they have no more than the whole.
    fault.run(&subject.arguments())?.expect(&[0], "")?;
    fault.run(&["study", "report", "out"])?.expect(&[0], "")?;
    let read =
        |path: &Path| trials(&fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?);
    let mut found = BTreeSet::new();
    for name in ["trials.jsonl", "trials-1of2.jsonl", "trials-2of2.jsonl"] {
        found.extend(read(&fault.out().join(name))?);
    }
    let whole: BTreeSet<String> = read(&fault.lab.reference(subject).out.join("trials.jsonl"))?
        .into_iter()
        .collect();
    if found == whole {
        return Ok(Verdict::Same);
    }
    let (missing, more) = (
        whole.difference(&found).count(),
        found.difference(&whole).count(),
    );
    Err(format!(
        "expected: the undisturbed run's {} trials\nfound: {missing} missing, {more} more or different",
        whole.len()
    ))
}

/// A training over MPI, one to three times a rank killed, or all asked to end; each time another number
/// of processes continues, with the optimizer's state whole or in shares.
pub fn ranks(fault: &mut Fault) -> Outcome {
    let Some((_, launcher)) = launchers().into_iter().next() else {
        return Ok(Verdict::Skipped("there is no mpirun".into()));
    };
    let subject = fault.bring(Subject::Train);
    let start = |fault: &mut Fault| {
        let (k, shard) = (1 + fault.dice.below(4), fault.dice.chance(0.5));
        fault.note(format!("{k} processes, shard_optimizer {shard}"));
        let (program, shard) = (program(), format!("shard_optimizer={shard}"));
        let program = program.to_string_lossy();
        let mut words = vec![&*program];
        words.extend(subject.arguments());
        words.extend(["--set", &shard]);
        let command = launched(&launcher, k, &words);
        let mut process = fault.start(command);
        // Processes that outnumber the cores wait for each other many times in each step.
        process.limit *= 2;
        process
    };
    for _ in 0..=fault.dice.below(3) {
        // The processes take up to a second to find each other.
        let wait = fault.dice.unit();
        let moment = fault.moment(subject) + Duration::from_secs_f64(wait);
        let mut process = start(fault);
        if process.lives(moment) {
            let mut ranks = process.family();
            ranks.retain(|id| {
                let exe = fs::read_link(format!("/proc/{id}/exe"));
                exe.is_ok_and(|exe| exe == program())
            });
            if ranks.is_empty() {
                fault.note(format!("nothing after {moment:?}"));
            } else if fault.dice.chance(0.7) {
                let at = fault.dice.below(ranks.len());
                fault.note(format!("rank {at} killed after {moment:?}"));
                process.signal(ranks[at], libc::SIGKILL);
            } else {
                fault.note(format!("SIGUSR1 after {moment:?}"));
                ranks
                    .iter()
                    .for_each(|id| process.signal(*id, libc::SIGUSR1));
            }
        }
        process.end()?;
    }
    start(fault).end()?.expect(&[0], "")?;
    // The checkpoint of an interruption replaces an older one, and the first command may differ.
    fault.same_but(subject, &["checkpoints", "run.toml"])
}
