//! Pages: `report` draws runs, and `study serve` shows its study and nothing else, to nobody but this machine, while the study runs;
//! killing it harms nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use largebatch_tests::{command, folder, ok, write};

const STUDY: &str = "name = 'small'\nset = { dataset = 'breast-cancer', model = 'logistic', lr = 0.1, epochs = 2 }\naxes.batch_size = [8, 32]\nconfirm.seeds = 3\n";

/// The server of a folder, and its port, which it says on standard error.
fn server(dir: &Path, arguments: &[&str]) -> (Child, u16) {
    let mut server = command(dir, arguments);
    let mut server = server
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut port = None;
    for line in BufReader::new(server.stderr.as_mut().unwrap()).lines() {
        let line = line.unwrap();
        port = line
            .split_once("http://127.0.0.1:")
            .and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
        if port.is_some() {
            break;
        }
    }
    (server, port.expect("the address"))
}

fn get(port: u16, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_server_shows_its_studies_and_nothing_else() {
    let dir = folder();
    let dir = dir.path();
    write(dir, "small.toml", STUDY);
    write(dir, "other.toml", STUDY.replace("0.1", "0.05"));
    ok(
        dir,
        &["study", "run", "small.toml", "--out", "all/one", "--quiet"],
    );
    ok(
        dir,
        &[
            "study",
            "run",
            "other.toml",
            "--out",
            "all/the #2? 50%+ \"other\"",
            "--quiet",
        ],
    );
    let journal = std::fs::read(dir.join("all/one/trials.jsonl")).unwrap();

    let (mut one, port) = server(dir, &["study", "serve", "all/one"]);
    let own = format!("127.0.0.1:{port}");
    for (path, host, status, part) in [
        ("/", own.as_str(), "200", "const done = 6"),
        ("/state", &format!("localhost:{port}"), "200", "\"done\":6"),
        ("/trials.jsonl", &own, "404", ""),
        ("/../small.toml", &own, "404", ""),
        ("/", "example.org", "403", ""),
        ("/state", &format!("example.org:{port}"), "403", ""),
    ] {
        let text = get(port, path, host);
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.contains(status) && text.contains(part),
            "{path} {host}: {first}"
        );
    }
    one.kill().unwrap();
    one.wait().unwrap();
    assert_eq!(
        std::fs::read(dir.join("all/one/trials.jsonl")).unwrap(),
        journal
    );

    let (mut both, port) = server(dir, &["study", "serve", "all"]);
    let own = format!("127.0.0.1:{port}");
    for (path, status, part) in [
        (
            "/",
            "200",
            "href=\"/the%20%232%3F%2050%25%2B%20%22other%22/\"",
        ),
        ("/", "200", "<td>6 of 6 trials done</td>"),
        (
            "/the%20%232%3F%2050%25%2B%20%22other%22/",
            "200",
            "const done = 6",
        ),
        (
            "/compare?a=one&b=the+%232%3F+50%25%2B+%22other%22",
            "200",
            "<td>0.05</td>",
        ),
        (
            "/compare?a=one&b=the+%232%3F+50%25%2B+%22other%22",
            "200",
            "href=\"/the%20%232%3F",
        ),
        ("/compare?a=one&b=%", "404", ""),
        ("/compare?a=one&b=none", "404", ""),
        ("/..%2f/", "404", ""),
    ] {
        let text = get(port, path, &own);
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.contains(status) && text.contains(part),
            "{path}: {first}\n{text}"
        );
    }
    both.kill().unwrap();
    both.wait().unwrap();
}

#[test]
fn a_running_study_is_served_until_it_ends() {
    let dir = folder();
    write(dir.path(), "small.toml", STUDY);
    let (mut study, port) = server(
        dir.path(),
        &["study", "run", "small.toml", "--out", "out", "--serve"],
    );
    // Before its folder is there, the server says so.
    let text = get(port, "/state", &format!("127.0.0.1:{port}"));
    assert!(text.contains(" 200 ") || text.contains(" 503 "), "{text}");
    std::io::copy(study.stderr.as_mut().unwrap(), &mut std::io::sink()).unwrap();
    assert!(study.wait().unwrap().success());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let status = ok(dir.path(), &["study", "status", "out", "--watch"]);
    assert!(
        status.stdout.contains("6 of 6 trials done"),
        "{}",
        status.stdout
    );
}

/// A study of two trials that take a while.
const LONG: &str = "name = 'long'\nset = { dataset = 'breast-cancer', model = 'logistic', batch_size = 4, epochs = 20000, log.evaluate_every_steps = 10000 }\naxes.lr = [0.1, 0.2]\nconfirm.seeds = 1\n";

#[test]
fn running_trials_are_shown_with_their_curves() {
    let dir = folder();
    write(dir.path(), "long.toml", LONG);
    let arguments = ["study", "run", "long.toml", "--out", "out", "--serve"];
    let (mut study, port) = server(dir.path(), &arguments);
    let begun = std::time::Instant::now();
    let shown = loop {
        let text = get(port, "/state", &format!("127.0.0.1:{port}"));
        if text.contains("\"share\":0.") && text.contains("\"loss\":[0.") {
            break text;
        }
        assert!(begun.elapsed().as_secs() < 60, "{text}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    assert!(
        shown.contains("running") && shown.contains("\"rate\":0."),
        "{shown}"
    );
    let status = ok(dir.path(), &["study", "status", "out"]);
    assert!(status.stdout.contains("running"), "{}", status.stdout);
    std::io::copy(study.stderr.as_mut().unwrap(), &mut std::io::sink()).unwrap();
    assert!(study.wait().unwrap().success());
    assert!(!dir.path().join("out/running.json").exists());
}

#[test]
fn runs_have_a_page() {
    let dir = folder();
    let dir = dir.path();
    let train = [
        "train",
        "--dataset",
        "breast-cancer",
        "--model",
        "logistic",
        "--trace",
        "layers",
        "--quiet",
    ];
    for (name, rate) in [("slow", "0.01"), ("fast", "0.1")] {
        ok(dir, &[&train[..], &["--lr", rate, "--out", name]].concat());
    }
    ok(dir, &["probe", "noise", "fast", "--quiet"]);
    ok(dir, &["report", "slow", "fast", "--out", "both.html"]);
    let page = std::fs::read_to_string(dir.join("both.html")).unwrap();
    for part in [
        "id=\"loss\"",
        "id=\"rate\"",
        "id=\"weights-1\"",
        "data-lines=\"step\ttraining loss",
        "<h2>Gradient noise",
        "data-n=\"slow\"",
        "data-n=\"fast\"",
        "<td>0.01</td>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("http"));
}
