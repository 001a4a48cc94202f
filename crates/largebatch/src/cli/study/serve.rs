//! `largebatch study serve`: the report of a study as a page that follows it, on this machine only.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use largebatch_report::{Report, escape, list, side_by_side, state};
use largebatch_study::{Results, running};
use tiny_http::{Header, Method, Request, Response, Server};

use super::report::{about_of, around};
use crate::Lab;
use crate::cli::{Done, INTERRUPT, say, warn, watch_interrupts};

#[derive(Args)]
pub(super) struct ServeArgs {
    /// Folder of a study, or a folder of such folders
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
}

const HTML: &str = "text/html; charset=utf-8";

pub(super) fn serve(args: &ServeArgs, lab: &Lab) -> Result<Done> {
    watch_interrupts()?;
    let one = is_study(&args.folder);
    if !one && studies(&args.folder).is_empty() {
        return Err(anyhow!(
            "{} is not a study, and holds none: a study has a file study.toml",
            args.folder.display()
        ));
    }
    let pages = Pages::new(&args.folder, one, args.port, lab)?;
    say(&format!("{} shows the study; Ctrl-C ends", pages.address()));
    if args.open {
        pages.open();
    }
    pages.answer(&INTERRUPT);
    Ok(Done::Ok)
}

/// The pages of a study's folder, or of a folder of studies. It reads them anew for each request and
/// changes nothing.
pub(super) struct Pages<'a> {
    server: Server,
    port: u16,
    folder: &'a Path,
    /// Whether the folder is a study, and not a folder of studies.
    one: bool,
    lab: &'a Lab,
}

impl<'a> Pages<'a> {
    /// Listens on a port of the loopback address.
    pub(super) fn new(folder: &'a Path, one: bool, port: u16, lab: &'a Lab) -> Result<Self> {
        let server = Server::http(("127.0.0.1", port))
            .map_err(|e| anyhow!("{e}"))
            .with_context(|| format!("listening on 127.0.0.1:{port}"))?;
        let port = server.server_addr().to_ip().map_or(port, |at| at.port());
        Ok(Pages {
            server,
            port,
            folder,
            one,
            lab,
        })
    }

    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Opens the page in the system's browser.
    pub(super) fn open(&self) {
        let program = if cfg!(target_os = "macos") {
            "open"
        } else {
            "xdg-open"
        };
        let mut command = Command::new(program);
        let command = command.arg(self.address()).stdout(Stdio::null());
        if let Err(e) = command.stderr(Stdio::null()).spawn() {
            warn(&format!("cannot open the browser with {program}: {e}"));
        }
    }

    /// Answers requests until `stop` is set.
    pub(super) fn answer(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if let Ok(Some(request)) = self.server.recv_timeout(Duration::from_millis(200)) {
                let (status, kind, text) = self.reply(&request);
                let mut response = Response::from_string(text).with_status_code(status);
                for (name, value) in [
                    ("Content-Type", kind),
                    ("Content-Security-Policy", include_str!("policy.txt")),
                    ("Cache-Control", "no-store"),
                    ("X-Content-Type-Options", "nosniff"),
                ] {
                    response.add_header(Header::from_bytes(name, value).expect("plain ASCII"));
                }
                // The reader may have gone.
                let _ = request.respond(response);
            }
        }
    }

    fn reply(&self, request: &Request) -> (u16, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        // A page of another site could reach this address by a name of its own, and read the answer.
        let host = request.headers().iter().find(|h| h.field.equiv("Host"));
        let host = host.map(|h| h.value.as_str());
        let own = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", self.port));
        if !own.iter().any(|own| host == Some(own)) {
            return (
                403,
                TEXT,
                "this server answers only to its own address\n".into(),
            );
        }
        if *request.method() != Method::Get {
            return (405, TEXT, "only GET\n".into());
        }
        let (path, query) = request.url().split_once('?').unwrap_or((request.url(), ""));
        match self.page(path, query) {
            Ok(Some((kind, text))) => (200, kind, text),
            Ok(None) => (404, TEXT, "there is no such page\n".into()),
            // A study that has just begun has no folder yet.
            Err(e) => {
                let text = escape(&format!("{e:#}"));
                let again = "<meta http-equiv=\"refresh\" content=\"2\">";
                (
                    503,
                    HTML,
                    format!("<!DOCTYPE html>\n{again}<p>{text}</p>\n"),
                )
            }
        }
    }

    fn page(&self, path: &str, query: &str) -> Result<Option<(&'static str, String)>> {
        const JSON: &str = "application/json";
        let one = self.one;
        let (name, page) = match path.trim_start_matches('/').rsplit_once('/') {
            Some((name, page)) => (name, page),
            None => ("", path.trim_start_matches('/')),
        };
        let study = |text: &str| {
            let asked = decode(text)?;
            studies(self.folder).into_iter().find(|name| *name == asked)
        };
        let folder = match (one, name) {
            (true, "") => Some(self.folder.to_owned()),
            (false, name) => study(name).map(|name| self.folder.join(name)),
            _ => None,
        };
        Ok(match (folder, page) {
            (Some(folder), "") => Some((HTML, self.report(&folder)?)),
            (Some(folder), "state") => {
                Some((JSON, state(&Results::open(&folder)?, &running(&folder))))
            }
            (None, "") if !one && name.is_empty() => Some((HTML, self.list())),
            (None, "compare") if !one && name.is_empty() => {
                let of = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key));
                // A form writes a space as a plus sign.
                let study = |text: &str| study(&text.replace('+', " "));
                let (a, b) = (of("a=").and_then(study), of("b=").and_then(study));
                let Some((a, b)) = a.zip(b) else {
                    return Ok(None);
                };
                let open = |name: &str| Results::open(&self.folder.join(name));
                let (left, right) = (open(&a)?, open(&b)?);
                Some((HTML, side_by_side((&a, &left), (&b, &right))))
            }
            _ => None,
        })
    }

    fn list(&self) -> String {
        let state = |name: String| {
            let progress = Results::open(&self.folder.join(&name)).map(|r| r.progress(1));
            let state = progress.map_or_else(
                |e| e.to_string(),
                |p| format!("{} of {} trials done", p.done, p.total),
            );
            (name, state)
        };
        list(
            &studies(self.folder)
                .into_iter()
                .map(state)
                .collect::<Vec<_>>(),
        )
    }

    /// The report, which follows the study.
    fn report(&self, folder: &Path) -> Result<String> {
        let results = Results::open(folder)?;
        let (command, about) = about_of(&results, folder);
        let around = around(command, &about, &results, folder, self.lab)?;
        Ok(Report::new(&results, &around).following())
    }
}

fn is_study(folder: &Path) -> bool {
    folder.join("study.toml").is_file()
}

/// The names of the studies in a folder.
fn studies(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| is_study(&entry.path()));
    let mut names: Vec<String> = entries
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The name that a part of a URL means; a browser may encode more characters than it must.
fn decode(text: &str) -> Option<String> {
    let (mut bytes, mut out) = (text.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (16 * digit()? + digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}
