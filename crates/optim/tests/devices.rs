//! Every preset takes the same steps on flex, on ndarray and on the GPU.

#![cfg(any(feature = "ndarray", feature = "wgpu"))]

use burn::tensor::{DType, Device};
use largebatch_optim::conformance::standard_trajectory;
use largebatch_optim::standard;

#[cfg(feature = "ndarray")]
#[test]
#[allow(deprecated)] // ndarray, which the tests keep as a second backend to compare with
fn flex_and_ndarray_agree() {
    let path = standard_trajectory();
    for entry in standard().iter() {
        for preset in entry.facts().presets {
            let recipe = entry.preset(preset.0, toml::Table::new()).unwrap();
            for (dtype, allowed) in [(DType::F64, 1e-13), (DType::F32, 2e-6)] {
                let on = |device| path.follow(&*recipe, dtype, &device).unwrap();
                let largest = path
                    .deviations(&on(Device::ndarray()), &on(Device::flex()))
                    .into_values()
                    .fold(0.0, f64::max);
                assert!(
                    largest <= allowed,
                    "{} {} {dtype:?}: {largest}",
                    entry.facts().name,
                    preset.0
                );
            }
        }
    }
}

/// The software adapter that the program's tests use, in f32, the only float type it supports.
#[cfg(feature = "wgpu")]
#[test]
fn flex_and_wgpu_agree() {
    use burn::tensor::{DeviceKind, Tensor};
    let there = || Tensor::<1>::zeros([1], &Device::wgpu(DeviceKind::Cpu)).into_data();
    if std::panic::catch_unwind(there).is_err() {
        assert!(
            std::env::var("LARGEBATCH_REQUIRE_WGPU").is_err(),
            "LARGEBATCH_REQUIRE_WGPU is set, but there is no adapter"
        );
        return println!("skipped: no adapter for wgpu");
    }
    let path = standard_trajectory();
    let mut worst = (0.0, String::new());
    for entry in standard().iter() {
        for preset in entry.facts().presets {
            let recipe = entry.preset(preset.0, toml::Table::new()).unwrap();
            let on = |device| path.follow(&*recipe, DType::F32, &device).unwrap();
            let deviations =
                path.deviations(&on(Device::flex()), &on(Device::wgpu(DeviceKind::Cpu)));
            let largest = deviations.into_values().fold(0.0, f64::max);
            assert!(
                largest <= 4e-6,
                "{} {}: {largest}",
                entry.facts().name,
                preset.0
            );
            if largest > worst.0 {
                worst = (largest, format!("{} {}", entry.facts().name, preset.0));
            }
        }
    }
    println!("at most {:.1e}, {}", worst.0, worst.1);
}
