//! Every preset goes the same way on flex and on ndarray.

use burn::tensor::{DType, Device};
use largebatch_optim::Registry;
use largebatch_optim::conformance::standard_trajectory;

#[test]
#[allow(deprecated)] // ndarray, which the project keeps as a second opinion
fn flex_and_ndarray_agree() {
    let path = standard_trajectory();
    for entry in Registry::standard().iter() {
        for preset in entry.facts().presets {
            let recipe = entry.configure(Some(preset.name), toml::Table::new()).unwrap();
            for (dtype, allowed) in [(DType::F64, 1e-13), (DType::F32, 2e-6)] {
                let on = |device| path.follow(&*recipe, dtype, &device).unwrap();
                let largest = path.deviations(&on(Device::ndarray()), &on(Device::flex())).into_values().fold(0.0, f64::max);
                assert!(largest <= allowed, "{} {} {dtype:?}: {largest}", entry.facts().name, preset.name);
            }
        }
    }
}
