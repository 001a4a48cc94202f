//! Fetching from a local server that misbehaves on request.

use super::*;
use flate2::{Compression, write::GzEncoder};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The server's answer to the n-th request; the last one is repeated for all later requests.
#[derive(Clone)]
enum Act {
    Serve(Vec<u8>),
    /// Announces the whole length, sends this many bytes, and closes.
    Cut(Vec<u8>, usize),
    /// Sends the header and then nothing.
    Silent,
    Status(u16),
    /// Ignores ranges, as simple servers do.
    Whole(Vec<u8>),
}

struct Server {
    url: String,
    /// The requested ranges, "" without one.
    ranges: Arc<Mutex<Vec<String>>>,
}

fn server(acts: Vec<Act>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let log = ranges.clone();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let act = acts[n.min(acts.len() - 1)].clone();
            answer(stream.unwrap(), act, &log);
        }
    });
    Server { url, ranges }
}

fn answer(mut stream: TcpStream, act: Act, log: &Mutex<Vec<String>>) {
    let lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok)
        .take_while(|l| !l.is_empty());
    let range = lines
        .filter_map(|l| {
            l.to_lowercase()
                .strip_prefix("range: bytes=")
                .map(str::to_string)
        })
        .last()
        .unwrap_or_default();
    let from: usize = range.trim_end_matches('-').parse().unwrap_or(0);
    log.lock().unwrap().push(range);
    let (whole, cut) = match &act {
        Act::Serve(all) => (false, (all.as_slice(), all.len())),
        Act::Cut(all, n) => (false, (all.as_slice(), *n)),
        Act::Whole(all) => (true, (all.as_slice(), all.len())),
        Act::Silent => (true, ([0; 100].as_slice(), 0)),
        Act::Status(status) => {
            let _ = write!(
                stream,
                "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return;
        }
    };
    let (all, n) = cut;
    if !whole && from >= all.len() {
        let _ = write!(
            stream,
            "HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        return;
    }
    let head = if whole || from == 0 {
        format!("200 OK\r\nContent-Length: {}", all.len())
    } else {
        format!(
            "206 Partial\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}",
            all.len() - from,
            all.len() - 1,
            all.len()
        )
    };
    let _ = write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
    let from = if whole { 0 } else { from };
    let _ = stream.write_all(&all[from..(from + n).min(all.len())]);
    if matches!(act, Act::Silent) {
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Incompressible bytes, so that a cut leaves half of them.
fn content() -> Vec<u8> {
    let mut rng = largebatch_random::Key::new(0).rng();
    (0..200_000)
        .map(|_| largebatch_random::below(&mut rng, 256) as u8)
        .collect()
}

fn entry(mirrors: &[&str]) -> Entry {
    let mirrors: Vec<String> = mirrors
        .iter()
        .map(|url| format!("{{ url = \"{url}\", tried = false }}"))
        .collect();
    let text = format!(
        "schema = 1\n[[set]]\nname = \"toy\"\nsummary = \"\"\nformat = \"idx\"\nshape = [1, 1, 1]\nclasses = []\nlicence = \"\"\ncitation = \"\"\n\
         mirrors = [{}]\nfile = [{{ name = \"f\", role = \"train\", size = 1, sha256 = \"{}\" }}]\n",
        mirrors.join(", "),
        cache::sha256(&content())
    );
    largebatch_datasets::parse(&text).unwrap().remove(0)
}

/// The outcome, the content of the final file if it exists, and whether a partial file was left.
fn run(mirrors: &[&str], part: &[u8]) -> (Result<(), DataError>, Option<Vec<u8>>, bool) {
    let folder = tempfile::tempdir().unwrap();
    if !part.is_empty() {
        fs::write(folder.path().join("f.gz.part"), part).unwrap();
    }
    let result =
        Fetcher::new(Duration::from_millis(300)).fetch(&entry(mirrors), folder.path(), &mut |p| {
            assert!(p.total.is_none_or(|total| p.done <= total));
        });
    (
        result,
        fs::read(folder.path().join("f")).ok(),
        folder.path().join("f.gz.part").exists(),
    )
}

#[test]
fn a_cut_connection_is_resumed() {
    let body = gzip(&content());
    let s = server(vec![Act::Cut(body.clone(), 70_000), Act::Serve(body)]);
    let (result, file, part) = run(&[&s.url], &[]);
    result.unwrap();
    assert!(file == Some(content()) && !part);
    assert_eq!(*s.ranges.lock().unwrap(), ["", "70000-"]);
}

#[test]
fn a_part_of_an_earlier_run_is_continued() {
    let body = gzip(&content());
    let s = server(vec![Act::Serve(body.clone())]);
    let (result, file, _) = run(&[&s.url], &body[..50_000]);
    result.unwrap();
    assert_eq!(
        (file, s.ranges.lock().unwrap().join(" ")),
        (Some(content()), "50000-".into())
    );
}

#[test]
fn a_server_without_ranges_starts_over() {
    let body = gzip(&content());
    let s = server(vec![Act::Whole(body.clone())]);
    let (result, file, _) = run(&[&s.url], &body[..50_000]);
    result.unwrap();
    assert_eq!(file, Some(content()));
}

/// A partial file of other content, or one that is too long, does not block the download.
#[test]
fn a_wrong_part_is_thrown_away() {
    let body = gzip(&content());
    for part in [vec![7; 1000], vec![7; body.len() + 10]] {
        let s = server(vec![Act::Serve(body.clone())]);
        let (result, file, _) = run(&[&s.url], &part);
        result.unwrap();
        assert_eq!(file, Some(content()));
    }
}

#[test]
fn a_wrong_checksum_goes_to_the_next_mirror() {
    let (bad, good) = (
        server(vec![Act::Serve(gzip(b"something else"))]),
        server(vec![Act::Serve(gzip(&content()))]),
    );
    let (result, file, _) = run(&[&bad.url, &good.url], &[]);
    result.unwrap();
    assert_eq!(file, Some(content()));
    let (result, file, part) = run(&[&bad.url], &[]);
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("SHA-256 is") && file.is_none() && !part,
        "{error}"
    );
}

#[test]
fn a_damaged_download_goes_to_the_next_mirror() {
    let body = gzip(&content());
    let (bad, good) = (
        server(vec![Act::Serve(body[..body.len() - 100].to_vec())]),
        server(vec![Act::Serve(body)]),
    );
    let (result, file, _) = run(&[&bad.url, &good.url], &[]);
    result.unwrap();
    assert_eq!(file, Some(content()));
}

#[test]
fn a_404_goes_to_the_next_mirror() {
    let (bad, good) = (
        server(vec![Act::Status(404)]),
        server(vec![Act::Serve(gzip(&content()))]),
    );
    let (result, file, _) = run(&[&bad.url, &good.url], &[]);
    result.unwrap();
    assert_eq!(file, Some(content()));
}

#[test]
fn a_silent_server_goes_to_the_next_mirror() {
    let (bad, good) = (
        server(vec![Act::Silent]),
        server(vec![Act::Serve(gzip(&content()))]),
    );
    let (result, file, _) = run(&[&bad.url, &good.url], &[]);
    result.unwrap();
    assert_eq!(file, Some(content()));
}

/// What was received before all mirrors failed is kept for the next call.
#[test]
fn a_part_is_kept() {
    let body = gzip(&content());
    let s = server(vec![Act::Cut(body, 70_000), Act::Status(503)]);
    let (result, file, part) = run(&[&s.url], &[]);
    let error = result.unwrap_err().to_string();
    assert!(
        file.is_none() && part && error.contains("the server answered 503"),
        "{error}"
    );
}

/// CIFAR's case: the archive is verified, expanded and deleted; its files count as known until one
/// changes.
#[test]
fn an_archive_is_expanded_and_vouches_for_its_files() {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, label) in [("toy/a.bin", 1), ("toy/b.bin", 0), ("toy/readme.html", 0)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(3073);
        header.set_cksum();
        tar.append_data(
            &mut header,
            name,
            [[label].as_slice(), &[9; 3072]].concat().as_slice(),
        )
        .unwrap();
    }
    let body = gzip(&tar.into_inner().unwrap());
    let s = server(vec![Act::Cut(body.clone(), 50), Act::Serve(body.clone())]);
    let text = format!(
        "schema = 1\n[[set]]\nname = \"toy\"\nsummary = \"\"\nformat = \"cifar\"\nshape = [3, 32, 32]\nlicence = \"\"\ncitation = \"\"\n\
         classes = [\"0\", \"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\", \"9\"]\nmirrors = [{{ url = \"{}\", tried = false }}]\n\
         archive = {{ name = \"toy.tar.gz\", folder = \"toy\", size = 1, sha256 = \"{}\" }}\n\
         file = [{{ name = \"a.bin\", role = \"train\", size = 3073 }}, {{ name = \"b.bin\", role = \"test\", size = 3073 }}]\n",
        s.url,
        cache::sha256(&body)
    );
    let entry = largebatch_datasets::parse(&text).unwrap().remove(0);
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("data/toy");
    Fetcher::new(Duration::from_secs(1))
        .fetch(&entry, &folder, &mut |_| ())
        .unwrap();
    assert!(!folder.join("toy.tar.gz.part").exists() && !folder.join("toy/readme.html").exists());

    let search = crate::Search {
        data_dir: Some(cache.path().join("nothing")),
        cache_dir: Some(cache.path().into()),
    };
    let set = crate::catalogued::open(&entry, &search).unwrap();
    assert!(
        set.sources.iter().all(|s| s.known)
            && set.train.labels() == &crate::Labels::Classes(vec![1])
    );
    fs::write(folder.join("toy/a.bin"), [1; 3073]).unwrap();
    let known: Vec<bool> = crate::catalogued::open(&entry, &search)
        .unwrap()
        .sources
        .iter()
        .map(|s| s.known)
        .collect();
    assert_eq!(known, [false, true]);
    // Fetching again repairs it; a further fetch has nothing to do.
    Fetcher::new(Duration::from_secs(1))
        .fetch(&entry, &folder, &mut |_| ())
        .unwrap();
    assert!(
        crate::catalogued::open(&entry, &search)
            .unwrap()
            .sources
            .iter()
            .all(|s| s.known)
    );
    let asked = s.ranges.lock().unwrap().len();
    Fetcher::new(Duration::from_secs(1))
        .fetch(&entry, &folder, &mut |_| ())
        .unwrap();
    assert_eq!((asked, s.ranges.lock().unwrap().len()), (3, 3));

    // The same archive, put into the data folder by hand.
    let by_hand = cache.path().join("by hand");
    fs::create_dir(&by_hand).unwrap();
    fs::write(by_hand.join("toy.tar.gz"), &body).unwrap();
    let search = crate::Search {
        data_dir: Some(by_hand.clone()),
        cache_dir: Some(cache.path().into()),
    };
    assert!(
        crate::catalogued::open(&entry, &search)
            .unwrap()
            .sources
            .iter()
            .all(|s| s.known)
    );
    // Another archive with the same files: readable, but its files do not count as known.
    fs::write(
        by_hand.join("toy.tar.gz"),
        [body.clone(), gzip(&[0; 512])].concat(),
    )
    .unwrap();
    assert!(
        crate::catalogued::open(&entry, &search)
            .unwrap()
            .sources
            .iter()
            .all(|s| !s.known)
    );
    fs::write(by_hand.join("toy.tar.gz"), &body[..body.len() - 20]).unwrap();
    let error = crate::catalogued::open(&entry, &search).err().unwrap();
    assert!(matches!(error, DataError::Compressed { .. }), "{error}");
}

/// Without any server, the error says what to fetch by hand and where to put it.
#[test]
fn no_network_says_what_to_do() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (result, file, _) = run(&[&format!("http://{closed}/")], &[]);
    let error = result.unwrap_err().to_string();
    assert!(
        file.is_none()
            && error.contains(&format!("http://{closed}/f.gz"))
            && error.contains("put it into"),
        "{error}"
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = file.path().join("below a file");
    let error = Fetcher::new(Duration::from_secs(1))
        .fetch(&entry(&["http://127.0.0.1:1/"]), &folder, &mut |_| ())
        .unwrap_err();
    assert!(
        matches!(&error, DataError::Write { path, .. } if *path == folder),
        "{error}"
    );
}
