//! Finite in, finite out: over shapes, scales, rates, presets and options.

use burn::tensor::{DType, Device};
use largebatch_optim::*;
use proptest::prelude::*;

/// Any preset of any optimizer, with a few options changed.
fn recipes() -> impl Strategy<Value = (String, String, toml::Table)> {
    let all: Vec<(String, String)> = standard()
        .iter()
        .flat_map(|e| {
            e.facts()
                .presets
                .iter()
                .map(|p| (e.facts().name.to_string(), p.0.to_string()))
        })
        .collect();
    let decay = prop_oneof![Just(0.0), Just(0.01), 0.0..1.0];
    let eps = prop_oneof![Just(0.0), Just(1e-8), 1e-12..1.0];
    (
        prop::sample::select(all),
        prop::option::of(decay),
        prop::option::of(eps),
        prop::option::of(0.0..0.999),
        any::<bool>(),
        0usize..3,
    )
        .prop_map(|((name, preset), decay, eps, beta, flag, exclude)| {
            let known = standard()
                .named(&name)
                .unwrap()
                .defaults(Some(&preset))
                .unwrap();
            let mut options = toml::Table::new();
            let mut set = |key: &str, value: Option<toml::Value>| {
                if let (true, Some(value)) = (known.contains_key(key), value) {
                    options.insert(key.into(), value);
                }
            };
            set("weight_decay", decay.map(Into::into));
            set("eps", eps.map(Into::into));
            set("momentum", beta.filter(|b| *b > 0.0).map(Into::into));
            set("beta1", beta.map(Into::into));
            set("amsgrad", flag.then(|| true.into()));
            set("trust_clip", flag.then(|| true.into()));
            set("pre_normalize", flag.then(|| true.into()));
            set(
                "exclude_from_layer_adaptation",
                Some(["none", "vectors", "w"][exclude].into()),
            );
            (name, preset, options)
        })
}

fn trajectories() -> impl Strategy<Value = Trajectory> {
    let shape = prop::collection::vec(1usize..4, 0..6);
    // Exponents of the weights and of the gradients; `None` means all zeros.
    let scale = prop::option::of(-15i32..=15);
    (
        prop::collection::vec((shape, scale.clone(), scale), 1..4),
        1usize..12,
        any::<u64>(),
        -6f64..1.0,
    )
        .prop_map(|(parameters, steps, seed, rate)| {
            let mut seed = seed;
            let mut draw = move || {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
            };
            let named = parameters
                .into_iter()
                .enumerate()
                .map(|(i, (shape, w, g))| {
                    let n = shape.iter().product::<usize>();
                    let mut draws = |e: Option<i32>| {
                        (0..n)
                            .map(|_| e.map_or(0.0, |e| draw() * 10f64.powi(e)))
                            .collect::<Vec<f64>>()
                    };
                    Named {
                        name: format!("w{i}"),
                        shape,
                        init: draws(w),
                        grads: (0..steps).map(|_| draws(g)).collect(),
                    }
                });
            let parameters = named.collect();
            Trajectory {
                rates: (0..steps)
                    .map(|t| 10f64.powf(rate) * t as f64 / steps as f64)
                    .collect(),
                parameters,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn finite_in_finite_out((name, preset, options) in recipes(), path in trajectories(), wide in any::<bool>()) {
        let recipe = standard().named(&name).unwrap().preset(&preset, options);
        prop_assume!(recipe.is_ok());       // contradictions, such as Nesterov without momentum
        let dtype = if wide { DType::F64 } else { DType::F32 };
        let found = path.follow(&*recipe.unwrap(), dtype, &Device::flex()).unwrap();
        for (t, step) in found.iter().enumerate() {
            for (p, w) in path.parameters.iter().zip(step) {
                prop_assert_eq!(w.len(), p.init.len());
                prop_assert!(w.iter().all(|x| x.is_finite()), "{} after step {}: {:?}", p.name, t, w);
            }
        }
    }

    /// Every configuration that passes its check survives a round trip through TOML.
    #[test]
    fn configurations_go_through_toml((name, preset, options) in recipes()) {
        if let Ok(recipe) = standard().named(&name).unwrap().preset(&preset, options) {
            let text = toml::to_string(&recipe.table()).unwrap();
            let again = standard().named(&name).unwrap().preset(&preset, text.parse().unwrap()).unwrap();
            prop_assert_eq!(recipe.table(), again.table());
        }
    }
}
