//! The one-pass kernels, which flex uses in f32, against the same rules composed of tensor
//! operations, which ndarray uses.

use burn::tensor::{DType, Device};
use largebatch_component::Entry;
use largebatch_optim::*;

/// Four steps of a parameter that is large enough for several threads, with prime dimensions, and
/// of a small one.
fn path() -> Trajectory {
    let mut seed = 3u64;
    let mut draw = |n: usize| -> Vec<f64> {
        let mut one = || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        (0..n).map(|_| one()).collect()
    };
    let mut named = |name: &str, shape: &[usize]| {
        let n = shape.iter().product();
        Named {
            name: name.into(),
            shape: shape.into(),
            init: draw(n),
            grads: (0..4).map(|_| draw(n)).collect(),
        }
    };
    Trajectory {
        rates: vec![0.1, 0.03, 0.7, 0.2],
        parameters: vec![
            named("large.weight", &[331, 613]),
            named("small.bias", &[77]),
        ],
    }
}

fn bits(recipe: &dyn DynOptimizerConfig, device: Device) -> Vec<u64> {
    path()
        .follow(recipe, DType::F32, &device)
        .unwrap()
        .into_iter()
        .flatten()
        .flatten()
        .map(f64::to_bits)
        .collect()
}

/// Each variant of the rule, with its options switched on and off.
fn variants(
    entry: &Entry<Box<dyn DynOptimizerConfig>, ConfigError>,
) -> Vec<Box<dyn DynOptimizerConfig>> {
    let mut all = Vec::new();
    for preset in entry.facts().presets {
        for options in [
            toml::Table::new(),
            toml::toml! { weight_decay = 0.01 },
            toml::toml! { weight_decay = 0.01 decay = "decoupled" },
        ] {
            all.extend(entry.preset(preset.0, options));
        }
    }
    assert!(all.len() >= 2);
    all
}

#[cfg(feature = "ndarray")]
#[test]
#[allow(deprecated)] // ndarray, which the tests keep as a second backend to compare with
fn elementwise_rules_give_the_same_bits() {
    for name in [
        "sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "adamax",
        "nadam", "nadamw", "lion",
    ] {
        for recipe in variants(standard().named(name).unwrap()) {
            assert!(
                bits(&*recipe, Device::flex()) == bits(&*recipe, Device::ndarray()),
                "{}",
                toml::to_string(&recipe.table()).unwrap()
            );
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for name in [
        "momentum", "adam", "adadelta", "adamax", "nadamw", "lion", "lars", "lamb",
    ] {
        for recipe in variants(standard().named(name).unwrap()) {
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                pool.install(|| bits(&*recipe, Device::flex()))
            };
            let alone = with(1);
            assert!(
                with(2) == alone && with(3) == alone,
                "{}",
                toml::to_string(&recipe.table()).unwrap()
            );
        }
    }
}
