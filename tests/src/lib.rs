//! Shared by the black-box tests: running the program, reading its files, small data sets.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use largebatch_random::{Key, below};
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

/// The program under test: cargo puts it next to the folder of the tests, and builds it before
/// them.
///
/// # Panics
/// If it does not exist.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("tests are in target/PROFILE/deps");
    let program = folder.join(format!(
        "largebatch-under-test{}",
        std::env::consts::EXE_SUFFIX
    ));
    assert!(
        program.exists(),
        "{} is missing; run the tests by `cargo test`, which builds it",
        program.display()
    );
    program
}

/// A folder to run in, deleted at the end.
///
/// # Panics
/// If it cannot be created.
pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

/// Writes a file in a folder and returns the folder's path again.
///
/// # Panics
/// If it cannot be written.
pub fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(folder.join(name), content).unwrap_or_else(|e| panic!("{name}: {e}"));
}

/// The program with its arguments, in a folder, isolated from the user's settings and caches.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    isolated(&mut command, folder).args(arguments);
    command
}

/// A shell command in which `$LARGEBATCH` is the program.
pub fn shell(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    isolated(&mut command, folder)
        .args(["-c", script])
        .env("LARGEBATCH", program());
    command
}

fn isolated<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command
        .current_dir(folder)
        .env_remove("LARGEBATCH_DATA_DIR")
        .env("LARGEBATCH_CACHE_DIR", folder.join("cache"))
        // Without this variable graphics libraries complain on standard error; the program must
        // keep them quiet.
        .env_remove("XDG_RUNTIME_DIR")
        .stdin(Stdio::null())
}

/// The launchers of MPI on this machine that take `-n K`, each with its name.
pub fn launchers() -> Vec<(&'static str, Command)> {
    let mut found = Vec::new();
    for (name, version, programs) in [
        ("Open MPI", "Open MPI", ["mpirun.openmpi", "mpirun"]),
        ("MPICH", "HYDRA", ["mpiexec.mpich", "mpiexec.hydra"]),
    ] {
        let works = |program: &&&str| {
            let output = Command::new(program).arg("--version").output();
            output.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains(version))
        };
        match programs.iter().find(works) {
            Some(program) => found.push((name, Command::new(program))),
            None => eprintln!("skipped for {name}: there is no {}", programs[0]),
        }
    }
    found
}

/// `k` processes of a command, for at most two minutes; also for root, with more processes than cores,
/// and in a container.
pub fn launched(launcher: &Command, k: usize, command: &[&str]) -> Command {
    let mut job = Command::new("timeout");
    job.args(["-k", "5", "120"])
        .arg(launcher.get_program())
        .args(["-n", &k.to_string()])
        .args(command)
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .env("OMPI_MCA_hwloc_base_binding_policy", "none")
        .env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    job
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; absent after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started, or panics.
pub fn ended(mut command: Command) -> Ended {
    let ended = Ended::from(command.output().expect("the program starts"));
    assert!(
        !ended.stderr.contains("panicked"),
        "{command:?} panicked:\n{}",
        ended.stderr
    );
    ended
}

/// Runs the program, which must succeed.
///
/// # Panics
/// If its exit code is not 0.
pub fn ok(folder: &Path, arguments: &[&str]) -> Ended {
    let ended = ended(command(folder, arguments));
    assert_eq!(
        ended.code,
        Some(0),
        "{arguments:?}\n{}{}",
        ended.stdout,
        ended.stderr
    );
    ended
}

/// Runs the program with `--json` and reads its one line.
///
/// # Panics
/// If it fails, or does not print exactly one line of JSON.
pub fn json(folder: &Path, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    one_json(&ok(folder, &arguments).stdout)
}

/// The single line of JSON in a text.
///
/// # Panics
/// If there are more lines, or other text.
pub fn one_json(text: &str) -> Value {
    assert!(
        text.ends_with('\n') && text.matches('\n').count() == 1,
        "one line of JSON expected:\n{text}"
    );
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}:\n{text}"))
}

/// Starts the program without waiting for it.
///
/// # Panics
/// If it cannot be started.
pub fn start(folder: &Path, arguments: &[&str]) -> Child {
    command(folder, arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// The bytes of a file.
///
/// # Panics
/// If it cannot be read.
pub fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All files under a folder except its lock, with their content, by relative path.
///
/// # Panics
/// If it cannot be read.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|e| panic!("{}: {e}", next.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().is_some_and(|name| name != ".lock") {
                found.insert(
                    path.strip_prefix(folder)
                        .expect("it is below the folder")
                        .to_owned(),
                    bytes(&path),
                );
            }
        }
    }
    found
}

/// Rows of a CSV file, by column name.
///
/// # Panics
/// If it cannot be read.
pub fn csv(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let split = |line: &str| {
        let (mut fields, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                c => fields.last_mut().expect("one at least").push(c),
            }
        }
        fields
    };
    let mut lines = text.lines().map(split);
    let heads = lines.next().expect("a head");
    lines
        .map(|fields| heads.iter().cloned().zip(fields).collect())
        .collect()
}

/// Copies all files under a folder except its lock.
///
/// # Panics
/// If it cannot be read, or the copy cannot be written.
pub fn copy(from: &Path, to: &Path) {
    for (name, content) in tree(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("copied");
    }
}

/// The tensors of a safetensors file of f32.
///
/// # Panics
/// If it is not one.
pub fn weights(path: impl AsRef<Path>) -> BTreeMap<String, Vec<f32>> {
    let bytes = bytes(path);
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let values = |data: &[u8]| {
        data.chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect()
    };
    file.tensors()
        .into_iter()
        .map(|(name, view)| (name, values(view.data())))
        .collect()
}

/// The largest ‖a − b‖ / ‖b‖ over the tensors of two models.
///
/// # Panics
/// If they are not weights of the same model.
pub fn distance(a: &BTreeMap<String, Vec<f32>>, b: &BTreeMap<String, Vec<f32>>) -> f64 {
    assert!(!b.is_empty() && a.keys().eq(b.keys()), "the same tensors");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let one = |(name, b): (&String, &Vec<f32>)| {
        let a = &a[name];
        assert_eq!(a.len(), b.len(), "{name}");
        let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
        difference / norm(&mut b.iter().map(|b| f64::from(*b))).max(1e-6)
    };
    b.iter()
        .map(one)
        .fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most })
}

/// An IDX pair of small images that a model can learn: noise with a bright patch whose position
/// gives the class.
///
/// # Panics
/// If it cannot be written.
pub fn images(folder: &Path, name: &str, (n, side, classes): (usize, usize, usize), seed: u64) {
    let mut rng = Key::new(seed).word(name).rng();
    let labels: Vec<u8> = (0..n).map(|i| (i % classes) as u8).collect();
    let mut pixels = Vec::with_capacity(n * side * side);
    for &label in &labels {
        for place in 0..side * side {
            let bright = place * classes / (side * side) == usize::from(label);
            pixels.push(below(&mut rng, 120) as u8 + if bright { 100 } else { 0 });
        }
    }
    write(
        folder,
        &format!("{name}-images"),
        idx(&[n, side, side], &pixels),
    );
    write(folder, &format!("{name}-labels"), idx(&[n], &labels));
}

/// An IDX file of bytes.
pub fn idx(dimensions: &[usize], values: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dimensions.len() as u8];
    dimensions
        .iter()
        .for_each(|&d| file.extend((d as u32).to_be_bytes()));
    file.extend(values);
    file
}

/// Bytes as a .gz file.
///
/// # Panics
/// Never: writing to memory does not fail.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Reports that a test did not run, bypassing the test harness, which swallows what passing tests
/// print.
pub fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {test}: {why}\n");
}
