//! The backends agree, and unavailable ones say what is missing.

use std::path::Path;

use largebatch_tests::{command, distance, ended, folder, json, ok, skipped, weights};

/// ‖w − w'‖ / ‖w'‖ of each tensor after 20 steps. Backends sum in different orders: an error of
/// about 1e-7 per sum, which training multiplies.
/// Measured: at most 5e-7 from ndarray to flex, 1e-6 from wgpu (llvmpipe).
const TOLERANCE: f64 = 1e-5;

/// No Adam with batch norm: the gradient of a bias before batch norm is 0 except for rounding, and
/// Adam turns that into full-length steps.
const TRAININGS: &[(&str, &[&str])] = &[
    (
        "mlp",
        &[
            "--model",
            "mlp",
            "--set",
            "model.widths=[64,32]",
            "--set",
            "model.dropout=0.2",
            "--optimizer",
            "adam",
        ],
    ),
    (
        "norm",
        &[
            "--model",
            "mlp",
            "--set",
            "model.widths=[64]",
            "--set",
            "model.batch_norm=true",
            "--optimizer",
            "momentum",
        ],
    ),
    (
        "cnn",
        &[
            "--model",
            "simple-cnn",
            "--set",
            "model.filters=[8,16]",
            "--set",
            "model.width=64",
            "--optimizer",
            "momentum",
            "--lr",
            "0.05",
        ],
    ),
];

fn agrees_with_flex(dir: &Path, device: &str) {
    for (name, arguments) in TRAININGS {
        let [reference, out] = ["flex", device].map(|d| format!("{name}-{}", d.replace(':', "-")));
        for (device, out) in [("flex", &reference), (device, &out)] {
            if !dir.join(out).exists() {
                ok(
                    dir,
                    &[
                        &[
                            "train",
                            "--dataset",
                            "digits",
                            "--steps",
                            "20",
                            "--seed",
                            "2",
                            "--device",
                            device,
                            "--out",
                            out,
                            "--quiet",
                        ],
                        *arguments,
                    ]
                    .concat(),
                );
            }
        }
        let read = |out: &str| weights(dir.join(out).join("model.safetensors"));
        let apart = distance(&read(&out), &read(&reference));
        assert!(
            apart < TOLERANCE,
            "{name} on {device}: the weights are {apart:.2e} from those of flex"
        );
        let loss = |out: &str| {
            json(dir, &["evaluate", out, "--device", "flex"])["loss"]
                .as_f64()
                .expect("a loss")
        };
        let (a, b) = (loss(&out), loss(&reference));
        assert!(
            (a - b).abs() < 1e-5 * b,
            "{name} on {device}: loss {a}, and {b} on flex"
        );
        // The same weights give the same loss on every backend.
        let there = json(dir, &["evaluate", &out, "--device", device])["loss"]
            .as_f64()
            .expect("a loss");
        assert!(
            (there - a).abs() < 1e-5 * a,
            "{name}: evaluated on {device} the loss is {there}, on flex {a}"
        );
        println!("{name} on {device}: {apart:.2e} from flex");
    }
}

/// Whether this build includes a backend, and how many adapters the machine has for it.
fn offered(dir: &Path, name: &str) -> (bool, usize) {
    let devices = json(dir, &["devices"]);
    let device = devices["devices"]
        .as_array()
        .and_then(|all| all.iter().find(|d| d["name"] == name))
        .expect("it is listed");
    (
        device["compiled"] == true,
        device["adapters"].as_array().expect("a list").len(),
    )
}

#[test]
fn ndarray_agrees_with_flex() {
    let folder = folder();
    match offered(folder.path(), "ndarray") {
        (true, _) => agrees_with_flex(folder.path(), "ndarray"),
        (false, _) => skipped(
            "ndarray_agrees_with_flex",
            "this build lacks ndarray; add --features largebatch/ndarray",
        ),
    }
}

#[test]
fn wgpu_agrees_with_flex() {
    let folder = folder();
    let why = match offered(folder.path(), "wgpu") {
        (false, _) => "this build lacks wgpu; add --features largebatch/wgpu",
        (true, 0) => "no adapter; install mesa-vulkan-drivers and libvulkan1",
        _ => return agrees_with_flex(folder.path(), "wgpu:cpu"),
    };
    assert!(
        std::env::var_os("LARGEBATCH_REQUIRE_WGPU").is_none_or(|v| v != "1"),
        "LARGEBATCH_REQUIRE_WGPU=1, but {why}"
    );
    skipped("wgpu_agrees_with_flex", why);
}

#[test]
fn a_device_that_is_not_there_says_what_to_add() {
    let folder = folder();
    let dir = folder.path();
    let devices = json(dir, &["devices"]);
    let devices = devices["devices"].as_array().expect("a list");
    assert_eq!(
        devices
            .iter()
            .map(|d| d["name"].as_str().unwrap_or(""))
            .collect::<Vec<_>>(),
        ["flex", "ndarray", "wgpu", "cuda"]
    );
    assert_eq!(devices.iter().filter(|d| d["default"] == true).count(), 1);
    for device in devices {
        let name = device["name"].as_str().expect("a name");
        let asked = || {
            ended(command(
                dir,
                &[
                    "train",
                    "--dataset",
                    "digits",
                    "--model",
                    "softmax",
                    "--steps",
                    "1",
                    "--device",
                    name,
                    "--out",
                    "run",
                ],
            ))
        };
        if device["compiled"] == false {
            let refused = asked();
            assert_eq!(refused.code, Some(2), "{refused:?}");
            assert!(
                refused.stderr.contains(&format!("--features {name}")),
                "{}",
                refused.stderr
            );
        } else if device["adapters"].as_array().is_none_or(Vec::is_empty) {
            let refused = asked();
            assert_eq!(refused.code, Some(1), "{refused:?}");
            assert!(refused.stderr.contains("install"), "{}", refused.stderr);
        }
        assert!(!dir.join("run").exists());
    }
    let refused = ended(command(
        dir,
        &[
            "train",
            "--dataset",
            "digits",
            "--model",
            "softmax",
            "--device",
            "flex:7",
        ],
    ));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("flex:7"), "{}", refused.stderr);
}
