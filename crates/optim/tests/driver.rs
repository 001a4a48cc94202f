//! The driver on Burn's modules: which parameters it moves and excludes, what it saves and refuses.

mod common;

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{DType, Device, Tensor, TensorData};
use common::{matrix, point, values, walk};
use largebatch_optim::*;
use std::collections::BTreeMap;

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    norm: BatchNorm,
    rest: Vec<Linear>,
}

fn net(device: &Device) -> Net {
    let fill = |rows: usize, columns: usize, shift: f64| {
        let v: Vec<f32> = (0..rows * columns)
            .map(|i| (i as f64 * 0.7 + shift).sin() as f32)
            .collect();
        Param::from_tensor(Tensor::<2>::from_data(
            TensorData::new(v, [rows, columns]),
            device,
        ))
    };
    let mut net = Net {
        first: LinearConfig::new(3, 4).init(device),
        norm: BatchNormConfig::new(4).init(device),
        rest: vec![
            LinearConfig::new(4, 4).init(device),
            LinearConfig::new(4, 2).with_bias(false).init(device),
        ],
    };
    net.first.weight = fill(3, 4, 0.1);
    net.first.bias = Some(Param::from_tensor(Tensor::<1>::ones([4], device)));
    net.rest[0].weight = fill(4, 4, 0.3);
    net.rest[0].bias = Some(Param::from_tensor(Tensor::<1>::ones([4], device)));
    net.rest[1].weight = fill(4, 2, 0.5);
    net
}

fn gradients(net: &Net, device: &Device, t: usize) -> GradientsParams {
    let x = Tensor::<2>::from_data(
        [
            [1.0, 0.5, -1.0],
            [0.1, t as f32 * 0.1, 2.0],
            [-0.3, 1.0, 0.2],
        ],
        device,
    );
    let mut y = net.norm.forward(net.first.forward(x));
    for layer in &net.rest {
        y = layer.forward(y).tanh();
    }
    let loss = (y - 0.3).square().mean();
    GradientsParams::from_grads(loss.backward(), net)
}

fn weights(net: &Net) -> BTreeMap<String, Vec<f32>> {
    struct Collect(Vec<String>, BTreeMap<String, Vec<f32>>);
    impl burn::module::ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.insert(
                self.0.join("."),
                param.val().inner().try_into_vec_as::<f32>().unwrap(),
            );
        }
    }
    let mut collect = Collect(vec![], BTreeMap::new());
    net.visit(&mut collect);
    collect.1
}

fn recipe(name: &str, options: &str) -> Box<dyn DynOptimizerConfig> {
    standard()
        .named(name)
        .unwrap()
        .configure(options.parse().unwrap())
        .unwrap()
}

/// Without exclusions, every rule takes the same steps under Burn's `ModuleOptimizer` and under the
/// driver.
#[test]
fn the_rules_work_under_burns_module_optimizer() {
    fn same<R: OptimizerConfig>(recipe: &R) {
        let device = Device::flex().autodiff();
        let (mut ours, mut burns) = (net(&device), net(&device));
        let mut driver = Driver::new(recipe, &ours).unwrap();
        let mut optimizer = ModuleOptimizer::from(recipe.rule().unwrap());
        for t in 0..5 {
            let grads = gradients(&ours, &device, t);
            ours = driver.step(0.05, ours, grads);
            let grads = gradients(&burns, &device, t);
            burns = optimizer.step(0.05, burns, grads);
        }
        assert_eq!(weights(&ours), weights(&burns), "{}", R::FACTS.name);
        // Burn's own way of saving works with our states too.
        let bytes = optimizer.into_bytes().unwrap();
        let mut again = ModuleOptimizer::from(recipe.rule().unwrap())
            .from_bytes(bytes)
            .unwrap();
        let (a, b) = (gradients(&burns, &device, 5), gradients(&burns, &device, 5));
        assert_eq!(
            weights(&optimizer.step(0.05, burns.clone(), a)),
            weights(&again.step(0.05, burns, b)),
            "{}",
            R::FACTS.name
        );
    }
    same(&SgdConfig::default());
    same(&MomentumConfig::default());
    same(&NesterovConfig::default());
    same(&AdagradConfig::default());
    same(&AdamConfig {
        amsgrad: true,
        ..Default::default()
    });
    same(&AdamWConfig::default());
    same(&LarsConfig::default());
    same(&LambConfig::default());
}

/// With a gradient of 0 only the decay moves a parameter, so a parameter that moved was not
/// excluded.
#[test]
fn exclusions_go_by_rank_path_and_layer_type() {
    let moved = |exclude: &str| -> Vec<String> {
        let device = Device::flex().autodiff();
        let module = net(&device);
        let before = weights(&module);
        let recipe = recipe(
            "sgd",
            &format!("weight_decay = 0.5\nexclude_from_weight_decay = {exclude}"),
        );
        let mut driver = Driver::new(&*recipe, &module).unwrap();
        let mut grads = gradients(&module, &device, 0);
        grads = clip_by_value(grads, &module, 0.0);
        let after = weights(&driver.step(0.1, module, grads));
        before
            .keys()
            .filter(|k| before[*k] != after[*k])
            .cloned()
            .collect()
    };
    let matrices = ["first.weight", "rest.0.weight", "rest.1.weight"];
    // Batch norm's shift starts at 0, so its decay is not visible; its scale shows it.
    assert_eq!(
        moved("\"none\""),
        [
            "first.bias",
            "first.weight",
            "norm.gamma",
            "rest.0.bias",
            "rest.0.weight",
            "rest.1.weight"
        ]
    );
    assert_eq!(moved("\"vectors\""), matrices);
    assert_eq!(moved("[\"layer:BatchNorm\", \"bias$\"]"), matrices);
    assert_eq!(
        moved("\"layer:BatchNorm\""),
        [
            "first.bias",
            "first.weight",
            "rest.0.bias",
            "rest.0.weight",
            "rest.1.weight"
        ]
    );
    assert_eq!(
        moved("\"^rest\""),
        ["first.bias", "first.weight", "norm.gamma"]
    );
    assert_eq!(moved("\"layer:Linear\""), ["norm.gamma"]);
}

/// The first group that has a parameter counts, and its options are those of its own exclusions, too.
#[test]
fn groups_have_rates_and_options_of_their_own() {
    let device = Device::flex().autodiff();
    let module = net(&device);
    let stepped = |options: &str| {
        let recipe = recipe("sgd", options);
        let mut driver = Driver::new(&*recipe, &module).unwrap();
        let grads = gradients(&module, &device, 0);
        weights(&driver.step(0.25, module.clone(), grads))
    };
    let found = stepped(
        r#"groups = [{ parameters = "^rest.1", lr_factor = 0 }, { parameters = "^rest", lr_factor = 2, weight_decay = 0.5, exclude_from_weight_decay = "vectors" }]"#,
    );
    let (before, plain) = (weights(&module), stepped(""));
    let other = stepped(r#"groups = [{ parameters = "vectors", lr_factor = 2 }]"#);
    assert_eq!(found["rest.1.weight"], before["rest.1.weight"]);
    assert_eq!(found["first.weight"], plain["first.weight"]);
    assert_eq!(found["rest.0.bias"], other["rest.0.bias"]);
    for (i, w) in before["rest.0.weight"].iter().enumerate() {
        let moved = 2.0 * (plain["rest.0.weight"][i] - w) - 0.25 * w;
        assert!((found["rest.0.weight"][i] - w - moved).abs() < 1e-6);
    }
}

/// A step reads w and g and writes w, and reads and writes each tensor of the state; norms need
/// further passes.
#[test]
fn the_stated_bytes_are_those_of_the_state() {
    let device = Device::flex().autodiff();
    for entry in standard().iter() {
        let (facts, recipe) = (entry.facts(), recipe(entry.facts().name, ""));
        let module = net(&device);
        let mut driver = Driver::new(&*recipe, &module).unwrap();
        driver.step(0.1, module.clone(), gradients(&module, &device, 0));
        let saved = driver.save();
        let state = safetensors::SafeTensors::deserialize(&saved).unwrap();
        let tensors = (state.iter())
            .filter(|(name, view)| name.starts_with("rest.0.weight.") && view.shape() == [4, 4])
            .count();
        let again = match facts.name {
            "lars" => 8,
            "novograd" => 4,
            "lamb" | "adafactor" => 12,
            "lans" => 20,
            _ => 0,
        };
        let stated = format!("{} bytes and ", 12 + 8 * tensors + again);
        assert!(facts.cost.starts_with(&stated), "{}: {stated}", facts.name);
    }
}

#[test]
fn a_group_of_nothing_is_refused() {
    let module = net(&Device::flex());
    let recipe = recipe("lars", r#"groups = [{ parameters = "^head" }]"#);
    let message = Driver::new(&*recipe, &module).err().unwrap().to_string();
    for part in ["`^head`", "matches no parameter", "rest.1.weight"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn parameters_without_a_gradient_stay_as_they_are() {
    let device = Device::flex().autodiff();
    let module = net(&device);
    let before = weights(&module);
    let mut driver = Driver::new(
        &AdamWConfig {
            weight_decay: 0.5,
            ..Default::default()
        },
        &module,
    )
    .unwrap();
    let mut grads = gradients(&module, &device, 0);
    assert!(grads.remove::<2>(module.rest[0].weight.id).is_some());
    let after = weights(&driver.step(0.1, module, grads));
    assert_eq!(before["rest.0.weight"], after["rest.0.weight"]);
    assert_ne!(before["first.weight"], after["first.weight"]);
    assert_eq!(
        before["norm.running_mean"], after["norm.running_mean"],
        "a buffer is not a parameter"
    );
}

#[test]
fn the_module_stays_trainable_and_keeps_its_ids() {
    let device = Device::flex().autodiff();
    let module = net(&device);
    let id = module.first.weight.id;
    let mut driver = Driver::new(&SgdConfig::default(), &module).unwrap();
    let grads = gradients(&module, &device, 0);
    let module = driver.step(0.1, module, grads);
    assert!(module.first.weight.is_require_grad() && module.first.weight.id == id);
    assert_eq!(gradients(&module, &device, 1).len(), 7);
}

/// A run that restarts at every step in a "new process" (with other parameter ids) ends with the
/// same weights and the same saved bytes.
#[test]
fn a_resumed_run_ends_at_the_same_bits() {
    let device = Device::flex().autodiff();
    for entry in standard().iter() {
        let recipe = entry.configure(toml::Table::new()).unwrap();
        let run = |interrupted: bool| {
            let mut module = net(&device);
            let mut driver = Driver::new(&*recipe, &module).unwrap();
            for t in 0..8 {
                if interrupted {
                    let saved = driver.save();
                    let fresh = net(&device);
                    assert_ne!(fresh.first.weight.id, module.first.weight.id);
                    driver = Driver::new(&*recipe, &fresh).unwrap();
                    driver.load(&saved).unwrap();
                    assert_eq!(driver.save(), saved);
                }
                let grads = gradients(&module, &device, t);
                module = driver.step(0.1, module, grads);
            }
            (weights(&module), driver.save())
        };
        assert!(run(false) == run(true), "{}", entry.facts().name);
    }
}

#[test]
fn a_foreign_state_is_refused_and_changes_nothing() {
    let device = Device::flex().autodiff();
    let module = net(&device);
    let stepped = |recipe: &dyn DynOptimizerConfig| {
        let mut driver = Driver::new(recipe, &module).unwrap();
        driver.step(0.1, module.clone(), gradients(&module, &device, 0));
        driver
    };
    let mut driver = stepped(&LarsConfig::default());
    let before = driver.save();
    let refusals: Vec<(Vec<u8>, &str)> = vec![
        (
            stepped(&LambConfig::default()).save(),
            "the state belongs to optimizer `lamb`, but the run uses `lars`",
        ),
        (
            walk(&LarsConfig::default(), &[1.0]).driver.save(),
            "at parameter `w`: the model has no such parameter",
        ),
        (
            before[..before.len() - 3].to_vec(),
            "not an optimizer state",
        ),
        (b"nonsense".to_vec(), "not an optimizer state"),
        (vec![], "not an optimizer state"),
        (
            stepped(&LarsConfig {
                momentum: 0.0,
                ..Default::default()
            })
            .save(),
            "",
        ),
    ];
    for (bytes, message) in refusals {
        match (driver.load(&bytes), message) {
            (Err(e), _) if !message.is_empty() => assert!(e.to_string().contains(message), "{e}"),
            (result, "") => {
                // A missing velocity starts at 0, as at the first step: no error, no panic.
                result.unwrap();
                driver.load(&before).unwrap();
            }
            (result, _) => panic!("{message}: {result:?}"),
        }
        assert_eq!(driver.save(), before);
    }

    let mut narrow = walk(&AdamConfig::default(), &[1.0, 2.0]);
    narrow.step(0.1, |w| w.to_vec());
    let mut wide = walk(&AdamConfig::default(), &[1.0, 2.0, 3.0]);
    let e = wide
        .driver
        .load(&narrow.driver.save())
        .unwrap_err()
        .to_string();
    assert!(
        e.contains("`w`") && e.contains("[1, 3]") && e.contains("[1, 2]"),
        "{e}"
    );
    let mut driver = Driver::new(&AdamConfig::default(), &module).unwrap();
    let e = driver
        .load(
            &Driver::new(&AdamConfig::default(), &module.first)
                .unwrap()
                .save(),
        )
        .unwrap_err()
        .to_string();
    assert!(e.contains("`bias`"), "{e}");

    let newer = String::from_utf8_lossy(&before).contains("\\\"version\\\":1");
    assert!(newer, "the file contains the schema version");
    let newer: Vec<u8> = replace(&before, b"\\\"version\\\":1", b"\\\"version\\\":9");
    let e = Driver::new(&LarsConfig::default(), &module)
        .unwrap()
        .load(&newer)
        .unwrap_err()
        .to_string();
    assert!(e.contains("schema version 9"), "{e}");
}

/// However the bytes are damaged, loading gives a state or an error.
#[test]
fn damaged_bytes_do_not_panic() {
    let mut run = walk(&LambConfig::default(), &[1.0, 2.0, 3.0]);
    run.step(0.1, |w| w.to_vec());
    let saved = run.driver.save();
    let mut seed = 11usize;
    for _ in 0..4000 {
        let mut bytes = saved.clone();
        for _ in 0..1 + seed % 3 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = (seed >> 33) % bytes.len();
            bytes[at] ^= 1 << (seed >> 20 & 7);
        }
        let _ = walk(&LambConfig::default(), &[1.0, 2.0, 3.0])
            .driver
            .load(&bytes);
    }
    for end in 0..saved.len() {
        assert!(run.driver.load(&saved[..end]).is_err());
    }
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

/// f64 stays f64 when it is saved, and a step in f64 has sixteen digits.
#[test]
fn f64_is_f64() {
    let mut run = walk(&LambConfig::default(), &[1.0 / 3.0, 2.0 / 3.0]);
    run.step(0.1, |w| vec![w[0] / 7.0, w[1] / 11.0]);
    assert_eq!(run.point.w.val().dtype(), DType::F64);
    let mut again = walk(&LambConfig::default(), &values(&run.point));
    again.driver.load(&run.driver.save()).unwrap();
    let next = |w: &[f64]| vec![w[0] / 3.0, w[1] / 13.0];
    let (a, b) = (run.step(0.1, next), again.step(0.1, next));
    assert_eq!(
        a.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        b.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    );
}

/// Half precision is computed in f32: f16 cannot represent an eps of 1e-8 or a sum of squares of
/// 300².
#[test]
fn half_precision_is_stepped_in_f32() {
    let device = Device::flex();
    let start = vec![300.0f64; 64];
    let wide = |w: &[f64]| w.iter().map(|x| x * 0.5).collect::<Vec<f64>>();
    let mut exact = walk(&LambConfig::default(), &start);
    let expected = exact.step(0.1, wide);
    for dtype in [DType::F16, DType::BF16] {
        let mut module = point(&start);
        module.w = module.w.map(|w| w.inner().cast(dtype));
        let mut driver = Driver::new(&LambConfig::default(), &module).unwrap();
        let mut grads = GradientsParams::new();
        grads.register(
            module.w.id,
            matrix(&wide(&start)).to_device(&device).cast(dtype),
        );
        let module = driver.step(0.1, module, grads);
        assert_eq!(module.w.val().dtype(), dtype);
        let found = values(&module);
        assert!(
            found
                .iter()
                .zip(&expected)
                .all(|(a, b)| (a / b - 1.0).abs() < 0.01),
            "{found:?} {expected:?}"
        );
    }
}

#[test]
fn the_trace_tells_what_the_step_did() {
    let device = Device::flex().autodiff();
    let (plain, traced) = (net(&device), net(&device));
    let recipe = LarsConfig {
        trust_coefficient: 0.02,
        exclude_from_layer_adaptation: Exclude::vectors(),
        ..Default::default()
    };
    let mut a = Driver::new(&recipe, &plain).unwrap();
    let mut b = Driver::new(&recipe, &traced).unwrap();
    let grads = gradients(&plain, &device, 0);
    let plain = a.step(0.5, plain, grads);
    let before = weights(&traced);
    let grads = gradients(&traced, &device, 0);
    let g = grads
        .get::<2>(traced.first.weight.id)
        .unwrap()
        .try_into_vec_as::<f64>()
        .unwrap();
    let (traced, trace) = b.step_traced(0.5, traced, grads);
    assert_eq!(weights(&plain), weights(&traced), "tracing changes nothing");
    assert_eq!(trace.len(), 7);
    let layer = trace.iter().find(|l| l.path == "first.weight").unwrap();
    let w: Vec<f64> = before["first.weight"]
        .iter()
        .map(|x| f64::from(*x))
        .collect();
    let (wn, gn) = (common::norm(&w), common::norm(&g));
    let ratio = 0.02 * wn / (gn + 5e-4 * wn);
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-5;
    assert!(
        near(layer.w, wn)
            && near(layer.g, gn)
            && near(layer.trust_ratio.unwrap(), ratio)
            && near(layer.rate, 0.5 * ratio),
        "{layer:?}"
    );
    let after: Vec<f64> = weights(&traced)["first.weight"]
        .iter()
        .map(|x| f64::from(*x))
        .collect();
    assert!(
        (layer.delta / common::distance(&w, &after) - 1.0).abs() < 1e-3,
        "{layer:?}"
    );
    let bias = trace.iter().find(|l| l.path == "first.bias").unwrap();
    assert_eq!((bias.trust_ratio, bias.rate), (None, 0.5));
}

#[test]
fn clipping_by_the_global_norm() {
    let device = Device::flex().autodiff();
    let module = net(&device);
    let flat = |grads: &GradientsParams| {
        let mut all = grads
            .get::<2>(module.first.weight.id)
            .unwrap()
            .try_into_vec_as::<f64>()
            .unwrap();
        all.extend(
            grads
                .get::<1>(module.norm.gamma.id)
                .unwrap()
                .try_into_vec_as::<f64>()
                .unwrap(),
        );
        all
    };
    let (_, n) = clip_by_global_norm(
        gradients(&module, &device, 0),
        &module,
        GlobalClip {
            max_norm: 1e9,
            form: ClipForm::Exact,
        },
    );
    assert!(n > 0.01);
    let plain = flat(&gradients(&module, &device, 0));
    for (form, max, factor) in [
        (ClipForm::Exact, n / 3.0, 1.0 / 3.0),
        (ClipForm::Exact, n * 3.0, 1.0),
        (ClipForm::Torch, n / 3.0, n / 3.0 / (n + 1e-6)),
        (ClipForm::Torch, n * 3.0, 1.0),
        (ClipForm::Normalize, n * 3.0, 3.0),
    ] {
        let (clipped, before) = clip_by_global_norm(
            gradients(&module, &device, 0),
            &module,
            GlobalClip {
                max_norm: max,
                form,
            },
        );
        assert!((before - n).abs() < 1e-6 * n);
        for (a, b) in flat(&clipped).iter().zip(&plain) {
            assert!(
                (a - factor * b).abs() <= 1e-6 * b.abs() + 1e-9,
                "{form:?} {a} {b}"
            );
        }
        assert_eq!(clipped.len(), 7);
    }
    let cut = clip_by_value(gradients(&module, &device, 0), &module, 1e-3);
    assert!(
        flat(&cut)
            .iter()
            .zip(&plain)
            .all(|(a, b)| (a - b.clamp(-1e-3, 1e-3)).abs() < 1e-9)
    );
    let empty = clip_by_global_norm(GradientsParams::new(), &module, GlobalClip::torch(1.0));
    assert!(empty.0.is_empty() && empty.1 == 0.0);
    let timm = recipe("lamb", "max_grad_norm = 2.0");
    assert_eq!(
        Driver::new(&*timm, &module).unwrap().global_clip(),
        Some(GlobalClip {
            max_norm: 2.0,
            form: ClipForm::Exact
        })
    );
}

/// If nothing else holds the weights and the state, they are updated in place: the addresses stay
/// the same.
#[test]
fn weights_are_updated_in_place() {
    let device = Device::flex();
    let address = |t: &Tensor<2>| {
        let flex = t
            .clone()
            .try_into_primitive::<burn::backend::Flex>()
            .unwrap();
        flex.storage::<f32>().as_ptr() as usize
    };
    for entry in standard().iter() {
        let recipe = entry.configure(toml::Table::new()).unwrap();
        let module = LinearConfig::new(64, 64).with_bias(false).init(&device);
        let mut driver = Driver::new(&*recipe, &module).unwrap();
        let mut module = module;
        let mut addresses = Vec::new();
        for t in 0..4 {
            let mut grads = GradientsParams::new();
            grads.register(
                module.weight.id,
                Tensor::<2>::ones([64, 64], &device).mul_scalar(0.1 * (t + 1) as f32),
            );
            module = driver.step(0.01, module, grads);
            addresses.push(address(&module.weight.val()));
        }
        addresses.dedup();
        assert_eq!(
            addresses.len(),
            1,
            "{} moves its weights to new storage",
            entry.facts().name
        );
    }
}
