//! The documents are correct: links lead somewhere, commands run, the README fits on one screen,
//! and the table of crates matches the manifests.
//!
//! A block of commands is a fenced block of `sh`. Its lines that begin with `largebatch ` or `cargo
//! run --release -- ` are run, page by page and in order, in an empty folder. Three comments in a
//! page, each on the line before a block, control the test:
//!
//! - `<!-- not run: WHY -->`: the block is not run.
//! - `<!-- printed by: largebatch ... -->`: the block is what this command prints. With `--markdown`
//!   at the command's end, it is the table that follows.
//! - `<!-- file: NAME -->`: the block is the content of this file, which the commands below it need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use largebatch_tests::{copy, ended, folder, program, shell, write};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are in the repository")
        .to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files under a folder whose names have this ending, in order.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The pages of the book.
fn book() -> Vec<PathBuf> {
    files(&root().join("docs"), ".md")
}

/// Every document whose links are checked.
fn documents() -> Vec<PathBuf> {
    let root = root();
    let mut all = book();
    for name in fs::read_dir(&root)
        .expect("the root")
        .map(|entry| entry.expect("an entry").path())
    {
        if name.extension().is_some_and(|end| end == "md") {
            all.push(name);
        }
    }
    for folder in ["crates", "datasets", "examples", "benches", ".github"] {
        let skip = |path: &Path| {
            path.components()
                .any(|part| matches!(part.as_os_str().to_str(), Some("target" | ".venv")))
        };
        all.extend(
            files(&root.join(folder), ".md")
                .into_iter()
                .filter(|path| !skip(path.strip_prefix(&root).expect("below the root"))),
        );
    }
    all
}

/// A block of a page, fenced by three backticks.
#[derive(Debug)]
struct Block {
    /// The number of its first line, from 1.
    line: usize,
    /// The text after the backticks.
    language: String,
    /// The comment on the line before it, without the comment marks.
    comment: String,
    text: String,
}

/// The language of a table that a command prints.
const TABLE: &str = "a table";

/// A page: its blocks, and its lines outside of blocks.
fn parse(text: &str) -> (Vec<Block>, Vec<(usize, String)>) {
    let (mut blocks, mut prose) = (Vec::new(), Vec::<(usize, String)>::new());
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line)) {
        match (&mut open, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            // A table ends with the first line that is none.
            (Some(block), None) if block.language == TABLE && !line.starts_with('|') => {
                blocks.extend(open.take());
                prose.push((number, line.into()));
            }
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, Some(language)) => {
                let before = prose
                    .last()
                    .map(|(_, line)| line.as_str())
                    .unwrap_or_default();
                let comment = before
                    .strip_prefix("<!-- ")
                    .and_then(|c| c.strip_suffix(" -->"))
                    .unwrap_or_default();
                open = Some(Block {
                    line: number + 1,
                    language: language.into(),
                    comment: comment.into(),
                    text: String::new(),
                });
            }
            (None, None) => {
                prose.push((number, line.into()));
                if let Some(comment) = line
                    .strip_prefix("<!-- ")
                    .and_then(|c| c.strip_suffix(" -->"))
                    .filter(|comment| comment.ends_with("--markdown"))
                {
                    open = Some(Block {
                        line: number + 1,
                        language: TABLE.into(),
                        comment: comment.into(),
                        text: String::new(),
                    });
                }
            }
        }
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    (blocks, prose)
}

/// A line of Markdown without the text in backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The targets of a page's links and pictures: `[..](target)`, and `[..]: target`.
fn links(prose: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose {
        let line = without_code(line);
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            found.push((
                *number,
                target.split(' ').next().unwrap_or_default().to_owned(),
            ));
        }
        if let Some((_, target)) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
        {
            found.push((*number, target.trim().to_owned()));
        }
    }
    found
}

/// The anchors of a page's headings, as code forges and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let (_, prose) = parse(text);
    let mut found = BTreeSet::new();
    for (_, line) in prose.iter().filter(|(_, line)| line.starts_with('#')) {
        let title = line
            .trim_start_matches('#')
            .trim()
            .replace('`', "")
            .to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        found.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    found
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[test]
fn the_readme_is_one_screen() {
    let text = read(&root().join("README.md"));
    let lines = text.lines().count();
    assert!(
        lines <= 120,
        "README.md has {lines} lines; at most 120 are allowed, so move something to docs/"
    );
    for (i, line) in text.lines().enumerate() {
        let width = line.chars().count();
        assert!(
            width <= 100,
            "README.md, line {}: {width} characters; at most 100 are allowed:\n{line}",
            i + 1
        );
    }
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in documents() {
        let text = read(&page);
        let (_, prose) = parse(&text);
        for (line, target) in links(&prose) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() {
                page.clone()
            } else {
                normal(&page.parent().expect("a folder").join(file))
            };
            if !path.exists() {
                wrong.push(format!(
                    "{}:{line}: {target}: there is no {}",
                    shown(&page),
                    shown(&path)
                ));
            } else if !anchor.is_empty() && !anchors(&read(&path)).contains(anchor) {
                wrong.push(format!(
                    "{}:{line}: {target}: no heading of {} has this anchor",
                    shown(&page),
                    shown(&path)
                ));
            } else if page.starts_with(root().join("docs"))
                && !path.starts_with(root().join("docs"))
            {
                wrong.push(format!(
                    "{}:{line}: {target}: it leads out of the book, which is also read without the repository",
                    shown(&page)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_summary_lists_every_page_once() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let (_, prose) = parse(&read(&summary));
    let mut listed: Vec<PathBuf> = links(&prose)
        .into_iter()
        .map(|(_, target)| docs.join(target))
        .collect();
    listed.sort();
    let pages: Vec<PathBuf> = book().into_iter().filter(|page| *page != summary).collect();
    assert_eq!(
        listed, pages,
        "docs/SUMMARY.md lists every page of docs/ once"
    );
}

#[test]
fn every_figure_is_used_and_small() {
    let figures = root().join("docs/figures");
    let pages: String = book().iter().map(|page| read(page)).collect();
    for entry in fs::read_dir(&figures).expect("figures") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        assert!(
            pages.contains(&format!("figures/{name}")),
            "no page shows docs/figures/{name}"
        );
        let size = fs::metadata(&path).expect("a file").len();
        assert!(
            size < 200_000,
            "docs/figures/{name} has {size} bytes; at most 200 kB are allowed"
        );
    }
    let copied = |name: &str| read(&root().join(name));
    assert_eq!(
        copied("docs/figures/scaling.svg"),
        copied("benches/scaling.svg"),
        "the book shows the newest figure of benches/scaling"
    );
}

/// Runs before the commands of a page: defines the program under its name, in a small mode. Studies
/// have few seeds and short trainings, networks are small, and probes use few examples.
const PRELUDE: &str = r#"set -e
largebatch() {
    case "$1 $2" in
        "study run") set -- "$@" --set confirm.seeds=1 --set tune.seeds=1 --set budget.epochs=2 --set 'model.widths=[8]' ;;
        "probe noise") set -- "$@" --subset 40 --replicates 2 --pairs 4 ;;
        "probe curvature") set -- "$@" --subset 40 --iterations 10 --samples 2 --vectors 1 ;;
        "probe sharpness" | "probe surface" | "probe line") set -- "$@" --subset 40 ;;
        "probe batch-find") set -- "$@" --seconds 0.01 ;;
        "train "*)
            case "$*" in
                *model.widths*) ;;
                *"--model mlp"* | *-mlp.toml*) set -- "$@" --set 'model.widths=[32]' ;;
            esac ;;
    esac
    "$LARGEBATCH" "$@"
}
"#;

/// The commands of a block for the program, one per line.
fn commands(block: &Block) -> Vec<String> {
    let joined = block.text.replace("\\\n", " ");
    let ours = |line: &str| {
        Some(format!(
            "largebatch {}",
            line.strip_prefix("largebatch ")
                .or(line.strip_prefix("cargo run --release -- "))?
        ))
    };
    joined
        .lines()
        .filter_map(|line| ours(line.trim()))
        .collect()
}

/// Runs a page's commands, and returns how many there were.
fn run(page: &Path) -> usize {
    let folder = folder();
    let here = folder.path();
    let text = read(page);
    for name in ["examples/train", "examples/studies/results/gap-mnist"] {
        if text.contains(name) {
            copy(&root().join(name), &here.join(name));
        }
    }
    let mut count = 0;
    for block in parse(&text).0 {
        if let Some(name) = block.comment.strip_prefix("file: ") {
            write(here, name, &block.text);
        }
        if let Some(command) = block.comment.strip_prefix("printed by: ") {
            let printed = ended(shell(here, &format!("{PRELUDE}{command}"))).stdout;
            let place = format!("{}, the block from line {}", shown(page), block.line);
            assert_eq!(
                block.text.trim_end(),
                printed.trim_end(),
                "{place}: `{command}` prints now\n\n{printed}"
            );
        }
        if block.language != "sh" || block.comment.starts_with("not run: ") {
            continue;
        }
        for command in commands(&block) {
            let ended = ended(shell(here, &format!("{PRELUDE}{command}")));
            let place = format!("{}, the block from line {}", shown(page), block.line);
            assert_eq!(
                ended.code,
                Some(0),
                "{place}:\n{command}\n{}{}",
                ended.stdout,
                ended.stderr
            );
            count += 1;
        }
    }
    count
}

#[test]
fn commands_run() {
    program();
    let pages: Vec<PathBuf> = std::iter::once(root().join("README.md"))
        .chain(book())
        .collect();
    // Two at a time: each page has its own folder.
    let next = std::sync::Mutex::new(pages.iter());
    let ran: usize = std::thread::scope(|scope| {
        let work = || {
            let mut ran = 0;
            while let Some(page) = { next.lock().map_or(None, |mut pages| pages.next()) } {
                ran += run(page);
            }
            ran
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .sum()
    });
    assert!(ran > 40, "only {ran} commands were found");
}

/// Each crate's dependencies within the workspace, by the crate's name, without those of tests.
fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let root = root();
    let mut paths: Vec<PathBuf> = fs::read_dir(root.join("crates"))
        .expect("crates")
        .map(|entry| entry.expect("an entry").path().join("Cargo.toml"))
        .collect();
    paths
        .extend(["datasets/Cargo.toml", "examples/studies/Cargo.toml"].map(|path| root.join(path)));
    let mut found = BTreeMap::new();
    for path in paths {
        let (mut section, mut name, mut needs) = (String::new(), String::new(), BTreeSet::new());
        for line in read(&path).lines() {
            if let Some(head) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = head.to_owned();
            } else if section == "package" && line.starts_with("name = ") {
                name = line.split('"').nth(1).expect("a name in quotes").to_owned();
            } else if section == "dependencies"
                && let Some((key, _)) = line.split_once(" = ")
                && (key == "burn" || key.starts_with("largebatch"))
            {
                needs.insert(key.trim().trim_start_matches("largebatch-").to_owned());
            }
        }
        found.insert(name.trim_start_matches("largebatch-").to_owned(), needs);
    }
    found
}

#[test]
fn the_table_of_crates_is_that_of_the_manifests() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| crate | "))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut table = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let names = |cell: &str| {
            cell.split(',')
                .map(|name| name.trim().trim_matches('`').to_owned())
                .filter(|name| !name.is_empty())
                .collect()
        };
        table.insert(
            cells[0].trim_matches('`').to_owned(),
            names(cells.last().expect("cells")),
        );
    }
    let manifests: BTreeMap<String, BTreeSet<String>> = manifests();
    assert_eq!(
        table, manifests,
        "the table of crates in ARCHITECTURE.md, left, and the manifests, right"
    );
}

/// SECURITY.md names every source file with unsafe code, and no other.
#[test]
fn unsafe_code_is_listed() {
    let root = root();
    let text = read(&root.join("SECURITY.md"));
    let (_, section) = text.split_once("## Unsafe code").expect("a section");
    let mut listed = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).expect("a cell");
        let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let folder = Path::new(names[0]).parent().expect("a folder");
        listed.insert(PathBuf::from(names[0]));
        listed.extend(names[1..].iter().map(|name| folder.join(name)));
    }
    let code = |path: &PathBuf| {
        read(path).lines().any(|line| {
            let line = line.trim_start();
            !line.starts_with("//")
                && line
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|word| word == "unsafe")
        })
    };
    let found: BTreeSet<PathBuf> = files(&root.join("crates"), ".rs")
        .into_iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "src"))
        .filter(code)
        .map(|path| path.strip_prefix(&root).expect("below the root").to_owned())
        .collect();
    assert_eq!(listed, found, "SECURITY.md, left, and the code, right");
}

/// A release changes the version everywhere at once; between releases the places must agree.
#[test]
fn versions_agree() {
    let version = env!("CARGO_PKG_VERSION");
    let citation = read(&root().join("CITATION.cff"));
    assert!(
        citation.contains(&format!("\nversion: {version}\n")),
        "CITATION.cff is of another version than {version}"
    );
    let changelog = read(&root().join("CHANGELOG.md"));
    let newest = changelog
        .lines()
        .find(|line| line.starts_with("## "))
        .expect("a section");
    assert!(
        newest.contains(version),
        "CHANGELOG.md begins with {newest}"
    );
    let minor = version.rsplit_once('.').expect("three numbers").0;
    let template = read(&root().join("examples/external/Cargo.toml"));
    assert!(
        template.contains(&format!("largebatch = \"{minor}\"")),
        "the template names another version than {minor}"
    );
}
