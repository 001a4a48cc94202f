//! The page answers: a browser without a window opens it, clicks and presses keys (`clicks.js`).

#[allow(dead_code, reason = "also contains studies for other tests")]
mod made_up;

use std::path::PathBuf;
use std::process::Command;

use largebatch_report::Context;
use made_up::{GAP, html, results};

/// The first of these programs that is in the search path.
fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let paths = names
        .iter()
        .flat_map(|name| folders.iter().map(move |f| f.join(name)));
    paths.into_iter().find(|path| path.is_file())
}

#[test]
fn the_page_answers_clicks_and_keys() {
    let Some(browser) = browser() else {
        eprintln!("skipped: the_page_answers_clicks_and_keys needs chromium");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let page = html(&results(GAP, dir.path()), &Context::default());
    let clicks = include_str!("clicks.js");
    let page = page.replace("</body>", &format!("<script>{clicks}</script></body>"));
    let file = dir.path().join("page.html");
    std::fs::write(&file, page).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--window-size=1280,1000", "--virtual-time-budget=30000"])
        .arg(format!(
            "--user-data-dir={}",
            dir.path().join("profile").display()
        ))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    let (_, result) = page.rsplit_once("<pre id=\"result\">").expect("a result");
    let (result, _) = result.split_once("</pre>").unwrap();
    assert_eq!(result, "fine");
}
