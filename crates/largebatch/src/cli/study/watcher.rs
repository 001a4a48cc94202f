//! The progress of a running study, on standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use largebatch_study::{Notice, Progress, key, title};

use super::show::{self, InPlace};
use crate::cli::{Global, say, to_stderr, warn};

/// Shows a study's progress on standard error: a table of its arms on a terminal, a line
/// every ten seconds elsewhere.
pub(super) struct Watcher {
    table: InPlace,
    quiet: bool,
    verbose: bool,
    lines: bool,
    /// The last line or table.
    last: Option<Instant>,
}

impl Watcher {
    pub(super) fn new(global: &Global) -> Self {
        Watcher {
            table: InPlace::default(),
            quiet: global.quiet,
            verbose: global.verbose,
            lines: !std::io::stderr().is_terminal(),
            last: None,
        }
    }

    pub(super) fn see(&mut self, progress: &Progress, notice: &Notice) {
        if let Notice::Warning(text) = notice {
            to_stderr(&self.table.clear());
            return warn(text);
        }
        if self.quiet {
            return;
        }
        if let (Notice::Done(record), true) = (notice, self.verbose) {
            let metric = record.metrics.get(&record.metric);
            let metric = metric.map(|value| format!(" {} {value:.4}", record.metric));
            let rate = record
                .config
                .get(key::RATE)
                .map(|rate| format!(" lr={rate}"));
            let (metric, rate) = (metric.unwrap_or_default(), rate.unwrap_or_default());
            let (group, seconds) = (title(&record.labels), record.provenance.seconds);
            let text = format!(
                "{group}{rate} seed {}: {}{metric} in {seconds:.1} s",
                record.seed, record.stop
            );
            to_stderr(&self.table.clear());
            say(&text);
        }
        if matches!(notice, Notice::Aside(_)) {
            return;
        }
        if !matches!(notice, Notice::Done(_)) && self.lines {
            return;
        }
        let pause = Duration::from_millis(if self.lines { 10_000 } else { 100 });
        let due = self.last.is_none_or(|at| at.elapsed() > pause);
        if !due && progress.done != progress.total {
            return;
        }
        self.last = Some(Instant::now());
        if self.lines {
            let message = show::progress(progress);
            let eta = progress.eta().map_or(String::new(), |eta| {
                format!(" · ETA {}", show::time(eta.as_secs_f64()))
            });
            say(&format!(
                "{}/{} trials{eta} {message}",
                progress.done, progress.total
            ));
        } else {
            let table = show::table(progress, show::terminal());
            to_stderr(&self.table.draw(&table));
        }
    }

    pub(super) fn end(&mut self) {
        to_stderr(&self.table.clear());
    }
}
