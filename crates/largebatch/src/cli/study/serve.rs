//! `largebatch study serve`: the report of a study as a page that follows it, on this machine only.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use largebatch_report::{Report, escape, side_by_side};
use largebatch_study::Results;
use tiny_http::{Header, Method, Request, Response, Server};

use super::report::{about_of, around};
use super::show;
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
        let study = |encoded: &str| {
            let mut all = studies(self.folder).into_iter();
            all.find(|name| encode(name) == encoded)
        };
        let folder = match (one, name) {
            (true, "") => Some(self.folder.to_owned()),
            (false, name) => study(name).map(|name| self.folder.join(name)),
            _ => None,
        };
        Ok(match (folder, page) {
            (Some(folder), "") => Some((HTML, self.report(&folder)?)),
            (Some(folder), "state") => Some((JSON, state(&folder)?)),
            (None, "") if !one && name.is_empty() => Some((HTML, list(self.folder))),
            (None, "compare") if !one && name.is_empty() => {
                let of = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key));
                // A form writes a space as a plus sign.
                let study = |text: &str| study(&text.replace('+', "%20"));
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

    /// The report, with a script that loads it anew when a trial has ended.
    fn report(&self, folder: &Path) -> Result<String> {
        let results = Results::open(folder)?;
        let (command, about) = about_of(&results, folder);
        let around = around(command, &about, &results, folder, self.lab)?;
        let done = results.progress(1).done;
        let follow = format!(
            "<script>const done = {done};\n{}</script></body>",
            include_str!("follow.js")
        );
        let page = Report::new(&results, &around).html();
        Ok(page.replacen("</body>", &follow, 1))
    }
}

/// How far a study is, for the page's script.
fn state(folder: &Path) -> Result<String> {
    let results = Results::open(folder)?;
    let progress = results.progress(1);
    let left = progress.eta().filter(|_| progress.done < progress.total);
    let left = left.map(|eta| {
        format!(
            "; about {} of computing left",
            show::time(eta.as_secs_f64())
        )
    });
    let text = format!(
        "{} of {} trials done{}",
        progress.done,
        progress.total,
        left.unwrap_or_default()
    );
    Ok(
        serde_json::json!({ "done": progress.done, "total": progress.total, "text": text })
            .to_string(),
    )
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

/// A name as a part of a URL.
fn encode(name: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(b).to_string()
        }
        b => format!("%{b:02X}"),
    };
    name.bytes().map(byte).collect()
}

/// The studies of a folder, each with its progress, and a form to compare two.
fn list(folder: &Path) -> String {
    let names = studies(folder);
    let item = |name: &String| {
        let state = Results::open(&folder.join(name)).map(|results| results.progress(1));
        let state = state.map_or_else(
            |e| e.to_string(),
            |p| format!("{} of {} trials done", p.done, p.total),
        );
        let (link, name, state) = (encode(name), escape(name), escape(&state));
        format!("<li><a href=\"/{link}/\">{name}</a>: {state}</li>")
    };
    let option = |name: &String| format!("<option>{}</option>", escape(name));
    let (items, options): (String, String) = (
        names.iter().map(item).collect(),
        names.iter().map(option).collect(),
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>Studies</title><style>body{{font:16px/1.6 system-ui,sans-serif;max-width:70ch;margin:2em auto;padding:0 1em}}</style></head><body><h1>Studies</h1><ul>{items}</ul>\
         <h2>Two side by side</h2><form action=\"/compare\"><select name=\"a\" aria-label=\"first study\">{options}</select> \
         <select name=\"b\" aria-label=\"second study\">{options}</select> <button>compare</button></form></body></html>\n"
    )
}
