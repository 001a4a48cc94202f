//! Replaying a file: what it writes, and what it refuses.

use burn::tensor::{DType, Device};
use largebatch_optim::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;
use std::path::Path;

type Entries = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

fn write(path: &Path, entries: &Entries, dtype: Dtype) {
    let bytes: BTreeMap<&String, (Vec<usize>, Vec<u8>)> = entries
        .iter()
        .map(|(k, (shape, v))| {
            let bytes = v.iter().flat_map(|x| {
                if dtype == Dtype::F64 {
                    x.to_le_bytes().to_vec()
                } else {
                    (*x as f32).to_le_bytes().to_vec()
                }
            });
            (k, (shape.clone(), bytes.collect()))
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(k, (shape, b))| (k, TensorView::new(dtype, shape.clone(), b).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn entries() -> Entries {
    let mut all = Entries::new();
    for t in 0..3 {
        all.insert(
            format!("lr/{t}"),
            (
                if t == 1 { vec![1] } else { vec![] },
                vec![0.1 / (t + 1) as f64],
            ),
        );
        all.insert(
            format!("net/fc.weight/grad/{t}"),
            (vec![2, 1], vec![0.3, t as f64]),
        );
        all.insert(format!("scale/grad/{t}"), (vec![], vec![-1.0]));
    }
    all.insert("net/fc.weight/init".into(), (vec![2, 1], vec![1.0, 2.0]));
    all.insert("scale/init".into(), (vec![], vec![0.5]));
    all
}

#[test]
fn a_replay_writes_the_weights_after_each_step() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (
        folder.path().join("in.safetensors"),
        folder.path().join("out.safetensors"),
    );
    for stored in [Dtype::F64, Dtype::F32] {
        write(&input, &entries(), stored);
        for (dtype, expected) in [(DType::F64, Dtype::F64), (DType::F32, Dtype::F32)] {
            let replayed = replay(&input, &SgdConfig::default(), dtype, &Device::flex()).unwrap();
            replayed.save(&output).unwrap();
            let bytes = std::fs::read(&output).unwrap();
            let file = SafeTensors::deserialize(&bytes).unwrap();
            let mut names = file.names();
            names.sort();
            assert_eq!(
                names,
                [
                    "net/fc.weight/0",
                    "net/fc.weight/1",
                    "net/fc.weight/2",
                    "scale/0",
                    "scale/1",
                    "scale/2"
                ]
            );
            let (view, scale) = (
                file.tensor("net/fc.weight/2").unwrap(),
                file.tensor("scale/2").unwrap(),
            );
            assert_eq!((view.dtype(), view.shape()), (expected, [2, 1].as_slice()));
            assert_eq!(scale.shape(), [0usize; 0]);
            if expected == Dtype::F64 && stored == Dtype::F64 {
                let values: Vec<f64> = view
                    .data()
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f64::from_le_bytes(*b))
                    .collect();
                let rates = [0.1, 0.05, 0.1 / 3.0];
                let first = 1.0 - 0.3 * rates.iter().sum::<f64>();
                let second = 2.0 - rates[1] - 2.0 * rates[2];
                assert!(
                    (values[0] - first).abs() < 1e-15 && (values[1] - second).abs() < 1e-15,
                    "{values:?}"
                );
            }
            assert_eq!(
                std::fs::read_dir(folder.path()).unwrap().count(),
                2,
                "no partial file is left"
            );
        }
    }
    let replayed = replay(
        &input,
        &LambConfig::preset("timm").unwrap(),
        DType::F64,
        &Device::flex(),
    )
    .unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&serde_json::to_string(&replayed).unwrap()).unwrap();
    assert_eq!(json["optimizer"], "lamb");
    let layer = &json["steps"][2]["layers"][0];
    assert_eq!(layer["path"], "net/fc.weight");
    assert!(layer["trust_ratio"].as_f64().unwrap() > 0.0 && layer["w"].as_f64().unwrap() > 0.0);
    // timm's global clipping: the rule receives gradients of global norm 1 at most.
    let seen: f64 = json["steps"][2]["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["g"].as_f64().unwrap().powi(2))
        .sum();
    assert!((seen - 1.0).abs() < 1e-6, "{seen}");
}

#[test]
fn a_bad_file_is_an_error_that_names_the_entry() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.safetensors");
    let attempt = |change: &dyn Fn(&mut Entries)| {
        let mut all = entries();
        change(&mut all);
        write(&input, &all, Dtype::F64);
        replay(&input, &SgdConfig::default(), DType::F64, &Device::flex())
            .unwrap_err()
            .to_string()
    };
    let remove = |name: &'static str| move |all: &mut Entries| drop(all.remove(name));
    let put = |name: &'static str, shape: Vec<usize>, values: Vec<f64>| {
        move |all: &mut Entries| drop(all.insert(name.into(), (shape.clone(), values.clone())))
    };
    for (message, parts) in [
        (
            attempt(&put("scale/grad/1", vec![], vec![f64::NAN])),
            vec!["`scale/grad/1`", "NaN", "finite"],
        ),
        (
            attempt(&put("lr/1", vec![], vec![f64::INFINITY])),
            vec!["`lr/1`", "inf"],
        ),
        (
            attempt(&put("lr/1", vec![2], vec![1.0, 2.0])),
            vec!["`lr/1`", "[2]", "one element"],
        ),
        (
            attempt(&remove("scale/grad/1")),
            vec!["`scale/grad/1`", "missing"],
        ),
        (
            attempt(&remove("scale/grad/2")),
            vec!["`scale/grad/2`", "missing"],
        ),
        (attempt(&remove("lr/1")), vec!["`lr/1`", "missing"]),
        (attempt(&remove("lr/2")), vec!["`lr/2`", "missing"]),
        (
            attempt(&remove("scale/init")),
            vec!["`scale/init`", "missing"],
        ),
        (
            attempt(&put("scale/grad/0", vec![1], vec![1.0])),
            vec!["`scale/grad/0`", "[1]", "[]"],
        ),
        (
            attempt(&put("scale/gard/0", vec![], vec![1.0])),
            vec!["`scale/gard/0`", "PARAM/init"],
        ),
        (attempt(&|all| all.clear()), vec!["no such entry"]),
        (
            attempt(&|all| all.retain(|k, _| !k.starts_with("lr"))),
            vec!["`lr/0`"],
        ),
    ] {
        for part in parts {
            assert!(message.contains(part), "`{message}` lacks `{part}`");
        }
    }
    std::fs::write(&input, b"no").unwrap();
    let e = replay(&input, &SgdConfig::default(), DType::F64, &Device::flex())
        .unwrap_err()
        .to_string();
    assert!(
        e.contains("not a safetensors file") && e.contains("in.safetensors"),
        "{e}"
    );
    let e = replay(
        &folder.path().join("none"),
        &SgdConfig::default(),
        DType::F64,
        &Device::flex(),
    )
    .unwrap_err()
    .to_string();
    assert!(e.contains("cannot read"), "{e}");

    write(&input, &entries(), Dtype::F64);
    let replayed = replay(&input, &SgdConfig::default(), DType::F64, &Device::flex()).unwrap();
    let e = replayed
        .save(&input.join("under/a/file"))
        .unwrap_err()
        .to_string();
    assert!(e.contains("cannot write"), "{e}");
    #[cfg(target_os = "linux")]
    assert!(
        replayed
            .save(Path::new("/dev/full"))
            .unwrap_err()
            .to_string()
            .contains("/dev/full")
    );
}

#[test]
fn a_trajectory_that_does_not_fit_is_an_error() {
    let named = |init: Vec<f64>, grads| Named {
        name: "w".into(),
        shape: vec![2, 1],
        init,
        grads,
    };
    let follow = |parameter, rates: Vec<f64>| {
        let trajectory = Trajectory {
            rates,
            parameters: vec![parameter],
        };
        trajectory.follow(&SgdConfig::default(), DType::F64, &Device::flex())
    };
    assert_eq!(
        follow(named(vec![1.0, 2.0], vec![vec![1.0, 0.0]]), vec![0.5]).unwrap(),
        [[[0.5, 2.0]]]
    );
    for (parameter, rates, part) in [
        (
            named(vec![1.0], vec![vec![1.0, 0.0]]),
            vec![0.5],
            "1 numbers are given for the shape [2, 1]",
        ),
        (
            named(vec![1.0, 2.0], vec![vec![1.0]]),
            vec![0.5],
            "1 numbers are given for the shape [2, 1]",
        ),
        (named(vec![1.0, 2.0], vec![]), vec![0.5], "0 gradients"),
        (
            Named {
                shape: vec![1; 9],
                ..named(vec![1.0], vec![vec![1.0]])
            },
            vec![0.5],
            "rank is 9",
        ),
    ] {
        let e = follow(parameter, rates).unwrap_err().to_string();
        assert!(e.contains(part) && e.contains('w'), "{e}");
    }
}
