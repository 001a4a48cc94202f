//! Writes reports of made-up studies into a folder, for inspection: `cargo run --release -p
//! largebatch-report --example made_up -- FOLDER`.

#[allow(dead_code, reason = "also contains studies for tests")]
#[path = "../tests/made_up/mod.rs"]
mod made_up;

use std::path::PathBuf;

use largebatch_report::{Context, Format, Report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    let recipes = |name: &str| {
        std::fs::read_to_string(format!(
            "{}/../../examples/studies/{name}.toml",
            env!("CARGO_MANIFEST_DIR")
        ))
    };
    for (name, text) in [
        ("gap", recipes("gap")?),
        ("scaling", made_up::SCALING.to_string()),
        ("batches", made_up::BATCHES.to_string()),
        ("keskar-f1", recipes("keskar-f1")?),
    ] {
        let study = tempfile::tempdir()?;
        let results = made_up::results(&text, study.path());
        let about = toml::from_str::<toml::Table>(&text)?
            .get("about")
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
            .to_string();
        let context = Context {
            command: format!("largebatch study run {name} --out {name}"),
            about,
            ..Context::default()
        };
        let report = Report::new(&results, &context);
        report.write(&folder.join(name), &Format::ALL)?;
        println!("{}", report.terminal(120));
    }
    Ok(())
}
