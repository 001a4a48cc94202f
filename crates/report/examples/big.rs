//! Writes the pages of made-up studies of 1,000 and of 10,000 trials with 100 points each into a
//! folder, to see how large and how quick they are: `cargo run --release -p largebatch-report
//! --example big -- FOLDER`.

#[allow(dead_code, reason = "also contains studies for tests")]
#[path = "../tests/made_up/mod.rs"]
mod made_up;

use std::path::PathBuf;
use std::time::Instant;

use largebatch_report::Context;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    std::fs::create_dir_all(&folder)?;
    for times in [1, 10] {
        let study = tempfile::tempdir()?;
        let results = made_up::results(&made_up::big(times), study.path());
        let begin = Instant::now();
        let page = made_up::html(&results, &Context::default());
        let file = folder.join(format!("{}.html", 1000 * times));
        std::fs::write(&file, &page)?;
        println!(
            "{}: {:.1} MB, written in {:.1} s",
            file.display(),
            page.len() as f64 / 1e6,
            begin.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
