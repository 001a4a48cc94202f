//! The page answers: a browser without a window opens it, clicks and presses keys (`clicks.js`).

#[allow(dead_code, reason = "also contains studies for other tests")]
mod made_up;

use std::path::PathBuf;
use std::process::Command;

use largebatch_report::{Context, Report};
use made_up::{GAP, big, html, results};

/// The first of these programs that is in the search path.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let paths = names
        .iter()
        .flat_map(|name| folders.iter().map(move |f| f.join(name)));
    paths.into_iter().find(|path| path.is_file())
}

/// What a script writes into the element `result` of a page; `None` without a browser.
fn browse(page: &str, script: &str, arguments: &[&str]) -> Option<String> {
    let Some(browser) = browser() else {
        eprintln!("skipped: this test needs chromium");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let page = page.replace("</body>", &format!("<script>{script}</script></body>"));
    let file = dir.path().join("page.html");
    std::fs::write(&file, page).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg("--window-size=1280,1000")
        .args(arguments)
        .arg(format!(
            "--user-data-dir={}",
            dir.path().join("profile").display()
        ))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    let (_, result) = page.rsplit_once("<pre id=\"result\">").expect("a result");
    Some(result.split_once("</pre>").unwrap().0.to_owned())
}

#[test]
fn the_page_answers_clicks_and_keys() {
    let dir = tempfile::tempdir().unwrap();
    let results = results(GAP, dir.path());
    let page = Report::new(&results, &Context::default()).following();
    let result = browse(
        &page,
        include_str!("clicks.js"),
        &["--virtual-time-budget=30000"],
    );
    assert_eq!(result.as_deref().unwrap_or("fine"), "fine");
}

/// 1,000 trials with 100 points each: the page has less than 3 MB, and answers at once. The example
/// `big` writes this page, and one of 10,000 trials.
#[test]
fn a_big_page_answers_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let page = html(&results(&big(1), dir.path()), &Context::default());
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    let Some(result) = browse(&page, include_str!("speed.js"), &[]) else {
        return;
    };
    println!("{} bytes\n{result}", page.len());
    let times = result.lines().filter_map(|line| line.split_once(": "));
    let times: Vec<(&str, &str)> = times.collect();
    assert!(times.len() > 5, "{result}");
    for (what, time) in times {
        // Here 100 ms are enough; a busy machine may be slower.
        let time: f64 = time.trim_end_matches(" ms").parse().unwrap();
        assert!(time < 400.0, "{what}: {time} ms");
    }
}
