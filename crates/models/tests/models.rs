//! The table, initial weights, dropout, batch norm and invalid input.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use largebatch_models::layers::Dropout;
use largebatch_models::{
    Builder, ConfigError, Forward, ForwardPass, Io, Labels, Model, Network, StateError, id,
    is_buffer, load_state_dict, standard, state_dict,
};
use largebatch_random::Key;

fn device() -> Device {
    Device::flex().autodiff()
}

fn io(shape: &[usize], classes: usize) -> Io {
    Io {
        shape: shape.to_vec(),
        classes: Some(classes),
    }
}

fn build(
    name: &str,
    parameters: &str,
    io: &Io,
    seed: u64,
    device: &Device,
) -> Result<Model, ConfigError> {
    standard()
        .configure(name, toml::from_str(parameters).unwrap())?
        .build(io, seed, device)
}

fn input(rows: usize, features: usize) -> Tensor<2> {
    let values: Vec<f32> = (0..rows * features)
        .map(|i| (i as f32 * 0.37).sin())
        .collect();
    Tensor::from_data(TensorData::new(values, [rows, features]), &Device::flex())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.inner().into_data().iter::<f32>().collect()
}

/// Data that the model accepts.
fn fitting(name: &str) -> Io {
    match name {
        "linear" => Io {
            shape: vec![1, 12, 12],
            classes: None,
        },
        "logistic" | "perceptron" => io(&[1, 12, 12], 2),
        _ => io(&[1, 12, 12], 3),
    }
}

#[test]
fn parameters_are_the_literatures() {
    let (mnist, cifar) = (io(&[1, 28, 28], 10), io(&[3, 32, 32], 10));
    for (name, parameters, io, count) in [
        ("softmax", "", &mnist, 7_850),
        ("mlp", "widths = [800]", &mnist, 636_010),
        ("mlp", "", &mnist, 669_706),
        (
            "f1",
            "",
            &mnist,
            784 * 512 + 4 * 512 * 512 + 5 * (512 + 1024) + 5_130,
        ),
        ("lenet5", "", &mnist, 61_706),
        ("lenet5", "", &cifar, 62_006), // PyTorch's CIFAR tutorial
        ("simple-cnn", "", &mnist, 3_274_634), // TensorFlow's MNIST example
        (
            "c1",
            "",
            &cifar,
            4_864 + 102_464 + 256 + 4096 * 384 + 384 * 3 + 384 * 192 + 192 * 3 + 1_930,
        ),
        ("resnet8", "", &cifar, 75_290),
        ("resnet20", "", &cifar, 269_722),
        ("resnet20", "shortcut = 'projection'", &cifar, 272_474),
    ] {
        assert_eq!(
            build(name, parameters, io, 0, &device())
                .unwrap()
                .network
                .parameter_count(),
            count,
            "{name} {parameters}"
        );
    }
}

#[test]
fn the_table_says_what_the_code_does() {
    let mut names = BTreeSet::new();
    for entry in standard().iter() {
        let facts = entry.facts();
        assert!(names.insert(facts.name));
        let defaults = entry.configure(toml::Table::new()).unwrap().table();
        let options = entry.options();
        let said: BTreeSet<&str> = options.iter().map(|o| o.name.as_str()).collect();
        let is: BTreeSet<&str> = defaults.keys().map(String::as_str).collect();
        assert_eq!(said, is, "{}", facts.name);
        for option in &options {
            assert!(!option.purpose.is_empty(), "{} {}", facts.name, option.name);
        }
        let again = entry.configure(defaults.clone()).unwrap();
        assert_eq!(again.table(), defaults);
        assert_eq!(again.facts().name, facts.name);
        for text in [facts.summary, facts.input, facts.paper] {
            assert!(!text.is_empty());
        }
    }
    let issue = [
        "linear",
        "logistic",
        "softmax",
        "perceptron",
        "mlp",
        "f1",
        "lenet5",
        "simple-cnn",
        "c1",
        "resnet",
    ];
    assert_eq!(names, issue.into());
    for alias in standard().iter().flat_map(|e| e.facts().aliases) {
        assert!(!alias.1.parse::<toml::Table>().unwrap().is_empty());
        assert!(standard().configure(alias.0, toml::Table::new()).is_ok());
    }
}

#[test]
#[allow(deprecated)]
fn the_same_seed_gives_the_same_weights_on_every_backend() {
    for entry in standard().iter() {
        let name = entry.facts().name;
        let state = |seed, device: Device| {
            state_dict(
                &build(name, "", &fitting(name), seed, &device)
                    .unwrap()
                    .network,
            )
        };
        let flex = state(5, Device::flex());
        assert_eq!(flex, state(5, Device::flex().autodiff()), "{name}");
        #[cfg(feature = "ndarray")]
        assert_eq!(flex, state(5, Device::ndarray()), "{name}");
        assert_ne!(flex, state(6, Device::flex()), "{name}");
    }
}

/// Pinned, because resumed and repeated runs rely on it; layers of the same shape differ.
#[test]
fn initial_weights_are_pinned_and_keyed_by_path() {
    let state: BTreeMap<_, _> = state_dict(
        &build("f1", "width = 4", &io(&[4], 3), 0, &Device::flex())
            .unwrap()
            .network,
    )
    .into_iter()
    .collect();
    let first = |path: &str| state[path].iter::<f32>().take(4).collect::<Vec<_>>();
    assert_ne!(
        first("hidden.0.linear.weight"),
        first("hidden.1.linear.weight")
    );
    assert_ne!(first("hidden.0.linear.bias"), first("hidden.1.linear.bias"));
    assert_eq!(
        first("hidden.0.linear.weight"),
        [0.4228747, 0.23762213, 0.14335227, -0.28770724]
    );
    assert_eq!(
        first("hidden.0.linear.bias"),
        [-0.29628342, -0.050209973, 0.05491254, 0.05061429]
    );
}

#[test]
fn initial_weights_follow_their_rule() {
    let io = io(&[100], 50);
    let moments = |init: &str| {
        let state: BTreeMap<_, _> = state_dict(
            &build(
                "softmax",
                &format!("init = '{init}'"),
                &io,
                1,
                &Device::flex(),
            )
            .unwrap()
            .network,
        )
        .into_iter()
        .collect();
        let weight: Vec<f32> = state["weight"].iter().collect();
        let largest = weight.iter().fold(0f32, |m, v| m.max(v.abs()));
        let deviation = (weight.iter().map(|v| v * v).sum::<f32>() / weight.len() as f32).sqrt();
        (
            largest,
            deviation,
            state["bias"]
                .iter::<f32>()
                .fold(0f32, |m, v| m.max(v.abs())),
        )
    };
    let near = |a: f32, b: f32| assert!((a / b - 1.0).abs() < 0.03, "{a} {b}");
    let (largest, deviation, bias) = moments("kaiming-uniform");
    assert!(largest <= 0.1 && bias <= 0.1 && bias > 0.08);
    near(deviation, 0.1 / 3f32.sqrt());
    let (_, deviation, bias) = moments("kaiming-normal");
    assert_eq!(bias, 0.0);
    near(deviation, 0.02f32.sqrt());
    let (largest, deviation, bias) = moments("xavier-uniform");
    assert!(largest <= 0.2 && bias == 0.0);
    near(deviation, 0.2 / 3f32.sqrt());
    assert_eq!(moments("zero"), (0.0, 0.0, 0.0));
}

#[derive(Default)]
struct Look {
    path: Vec<String>,
    tracked: BTreeMap<String, bool>,
}

impl ModuleVisitor for Look {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        assert_eq!(
            param.id,
            id(&path),
            "{path}: a part's name differs from its field's name"
        );
        self.tracked.insert(path, param.is_require_grad());
    }
}

struct Same;

impl ModuleMapper for Same {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, tensor, mapper)
    }
}

#[test]
fn paths_give_ids_and_buffers_never_ask_for_gradients() {
    for entry in standard().iter() {
        let name = entry.facts().name;
        let network = build(name, "", &fitting(name), 0, &device())
            .unwrap()
            .network;
        let plain = build(name, "", &fitting(name), 0, &Device::flex())
            .unwrap()
            .network;
        for network in [
            network.clone(),
            network.valid().train(),
            network.clone().map(&mut Same),
            plain.train(),
            network.fork(&device()),
        ] {
            let mut look = Look::default();
            network.visit(&mut look);
            look.tracked.iter().for_each(|(path, tracked)| {
                assert_eq!(*tracked, !is_buffer(path), "{name}: {path}")
            });
        }
    }
}

#[test]
fn dropout_belongs_to_the_example() {
    let model = build(
        "mlp",
        "widths = [200]\ndropout = 0.25",
        &io(&[6], 3),
        0,
        &device(),
    )
    .unwrap()
    .network;
    let x = input(4, 6);
    let run = |x: Tensor<2>, examples: &[u64], key: Key| {
        values(model.forward(x, &mut ForwardPass::train(key, examples, None)))
    };
    let key = Key::new(9).number(2);
    let whole = run(x.clone(), &[10, 11, 12, 13], key);
    assert_eq!(
        &whole[3..9],
        run(x.clone().narrow(0, 1, 2), &[11, 12], key),
        "the batch's other examples matter"
    );
    let turned = run(x.clone().flip([0]), &[13, 12, 11, 10], key);
    assert_eq!(
        &whole[0..3],
        &turned[9..12],
        "the place in the batch matters"
    );
    assert_ne!(whole, run(x.clone(), &[10, 11, 12, 13], key.number(1)));
    assert_ne!(whole, run(x.clone(), &[20, 11, 12, 13], key));
    assert_eq!(
        values(model.forward(x.clone(), &mut ForwardPass::eval())),
        values(model.valid().forward(x, &mut ForwardPass::eval()))
    );
}

#[test]
fn dropout_layers_have_masks_of_their_own() {
    let mut builder = Builder::new(0, Default::default(), &Device::flex());
    let mut mask = |name| {
        let layer = builder.part(name, |b| Dropout::new(b, "dropout", 0.5));
        values(layer.forward(
            Tensor::ones([1, 100], &Device::flex()),
            &ForwardPass::train(Key::new(1), &[7], None),
        ))
    };
    assert_ne!(mask("a"), mask("b"));
    assert_eq!(mask("a"), mask("a"));
}

/// The mask itself: a quarter of 20,000 units is 0, and the others are scaled by 4/3.
#[test]
fn dropout_drops_its_share() {
    let mut builder = Builder::new(0, Default::default(), &Device::flex());
    let layer = builder.part("a", |b| Dropout::new(b, "dropout", 0.25));
    let examples: Vec<u64> = (0..20).collect();
    let masked = values(layer.forward(
        Tensor::ones([20, 1000], &Device::flex()),
        &ForwardPass::train(Key::new(1), &examples, None),
    ));
    let dropped = masked.iter().filter(|v| **v == 0.0).count() as f64 / 20_000.0;
    assert!((dropped - 0.25).abs() < 0.012, "{dropped}"); // four standard deviations
    assert!(
        masked
            .iter()
            .all(|v| *v == 0.0 || (*v - 4.0 / 3.0).abs() < 1e-6)
    );
}

/// Ghost batches of 4 are the same as accumulated micro-batches of 4, bit for bit.
#[test]
fn ghost_batch_norm_is_accumulation() {
    for name in ["f1", "c1", "resnet8"] {
        let parameters =
            ["width = 8", "filters = 4\nwidths = [6, 5]", "width = 2"][["f1", "c1", "resnet8"]
                .iter()
                .position(|n| *n == name)
                .unwrap()];
        let network = build(name, parameters, &fitting(name), 0, &device())
            .unwrap()
            .network;
        assert!(network.has_batch_norm());
        let (x, examples) = (input(10, 144), (0..10).collect::<Vec<u64>>());
        let mut ghost = ForwardPass::train(Key::new(0), &examples, Some(4));
        let outputs = values(network.forward(x.clone(), &mut ghost));
        let (mut parts, mut updated) = (Vec::new(), network.clone());
        let mut statistics = Vec::new();
        for (from, to) in [(0, 4), (4, 8), (8, 10)] {
            let mut pass = ForwardPass::train(Key::new(0), &examples[from..to], None);
            parts.extend(values(
                network.forward(x.clone().narrow(0, from, to - from), &mut pass),
            ));
            statistics.extend(pass.into_statistics());
        }
        updated = updated.update_running(statistics);
        let largest = outputs
            .iter()
            .zip(&parts)
            .map(|(a, b)| (a - b).abs())
            .fold(0f32, f32::max);
        assert!(largest < 1e-5, "{name}: {largest}");
        let ghosted = state_dict(&network.clone().update_running(ghost.into_statistics()));
        for ((path, a), (_, b)) in ghosted.iter().zip(state_dict(&updated)) {
            let gap = a
                .iter::<f32>()
                .zip(b.iter::<f32>())
                .map(|(a, b)| (a - b).abs())
                .fold(0f32, f32::max);
            assert!(gap < 1e-5, "{name}: {path} {gap}");
        }
        assert_ne!(
            ghosted,
            state_dict(&network),
            "the running statistics moved"
        );
    }
}

#[test]
fn a_batch_of_one_trains_without_nan() {
    let network = build("f1", "width = 4", &io(&[6], 3), 0, &device())
        .unwrap()
        .network;
    let mut pass = ForwardPass::train(Key::new(0), &[0], None);
    assert!(
        values(network.forward(input(1, 6), &mut pass))
            .iter()
            .all(|v| v.is_finite())
    );
    assert!(pass.into_statistics().is_empty());
}

#[test]
fn names_and_parameters_that_do_not_exist_are_errors() {
    let error = |name: &str, parameters: &str| {
        build(name, parameters, &io(&[1, 12, 12], 3), 0, &Device::flex())
            .unwrap_err()
            .to_string()
    };
    assert!(
        error("lenet", "").contains("did you mean `lenet5`"),
        "{}",
        error("lenet", "")
    );
    assert!(error("simple_cnn", "").contains("did you mean `simple-cnn`"));
    assert!(error("transformer", "").contains("the models are `linear`, `logistic`"));
    assert!(error("mlp", "width = [3]").contains("did you mean `widths`"));
    assert!(error("softmax", "widths = [3]").contains("it has `bias`, `init`"));
    assert!(
        error("mlp", "widths = 3").contains("widths"),
        "{}",
        error("mlp", "widths = 3")
    );
    assert!(
        error("mlp", "activation = 'rely'").contains("`relu`"),
        "{}",
        error("mlp", "activation = 'rely'")
    );
    assert!(
        error("mlp", "widths = [-1]").contains("widths"),
        "{}",
        error("mlp", "widths = [-1]")
    );
    assert!(
        error("simple-cnn", "filters = [1]").contains("filters"),
        "{}",
        error("simple-cnn", "filters = [1]")
    );
    for (name, parameters, place) in [
        ("mlp", "widths = []", "`widths` is a list of 0"),
        ("mlp", "widths = [0]", "`widths` is 0"),
        ("mlp", "dropout = 1.0", "`dropout` is 1"),
        ("mlp", "dropout = nan", "`dropout` is NaN"),
        ("mlp", "init = 'zero'", "init = zero"),
        ("f1", "width = 0", "`width` is 0"),
        ("c1", "filters = 0", "`filters` is 0"),
        ("resnet8", "width = 0", "`width` is 0"),
        ("resnet", "depth = 21", "the nearest are 20 and 26"),
        ("simple-cnn", "filters = [3, 0]", "`filters` is 0"),
        ("mlp", "widths = [65536, 65536]", "at most 1073741824"),
    ] {
        assert!(
            error(name, parameters).contains(place),
            "{}",
            error(name, parameters)
        );
    }
}

#[test]
fn data_that_does_not_fit_names_the_model_that_does() {
    let error = |name: &str, io: Io| {
        build(name, "", &io, 0, &Device::flex())
            .unwrap_err()
            .to_string()
    };
    assert!(error("logistic", io(&[4], 3)).contains("use model `softmax`"));
    assert!(error("perceptron", io(&[4], 10)).contains("use model `softmax`"));
    assert!(error("linear", io(&[4], 3)).contains("`softmax`"));
    assert!(
        error(
            "mlp",
            Io {
                shape: vec![4],
                classes: None
            }
        )
        .contains("`linear`")
    );
    let digits = error("lenet5", io(&[1, 8, 8], 10));
    assert!(
        digits.contains("8×8") && digits.contains("at least 12×12"),
        "{digits}"
    );
    assert!(error("simple-cnn", io(&[30], 2)).contains("`mlp`"));
}

#[test]
fn no_data_makes_a_model_panic() {
    let shapes: [&[usize]; 13] = [
        &[],
        &[0],
        &[1],
        &[5],
        &[1, 1, 1],
        &[3, 1, 7],
        &[1, 8, 8],
        &[2, 13, 12],
        &[1, 2],
        &[1, 2, 3, 4],
        &[0, 28, 28],
        &[usize::MAX],
        &[1 << 40, 1 << 40, 2],
    ];
    for entry in standard().iter() {
        for shape in shapes {
            for classes in [None, Some(0), Some(1), Some(2), Some(3), Some(usize::MAX)] {
                let io = Io {
                    shape: shape.to_vec(),
                    classes,
                };
                let recipe = entry.configure(toml::Table::new()).unwrap();
                let (checked, built) = (recipe.check(&io), recipe.build(&io, 0, &device()));
                assert_eq!(checked.is_ok(), built.is_ok());
                let Ok(model) = built else { continue };
                let examples = [3, 4, 5];
                for mut pass in [
                    ForwardPass::eval(),
                    ForwardPass::train(Key::new(0), &examples, None),
                ] {
                    let outputs = model.network.forward(input(3, io.features()), &mut pass);
                    let expected =
                        if matches!(entry.facts().name, "linear" | "logistic" | "perceptron") {
                            1
                        } else {
                            classes.unwrap()
                        };
                    assert_eq!(
                        outputs.dims(),
                        [3, expected],
                        "{} {io:?}",
                        entry.facts().name
                    );
                    assert!(values(outputs).iter().all(|v| v.is_finite()));
                }
            }
        }
    }
}

#[test]
fn weights_of_another_model_are_refused() {
    let network = || {
        build(
            "mlp",
            "widths = [3]\nbatch_norm = true",
            &io(&[4], 2),
            0,
            &Device::flex(),
        )
        .unwrap()
        .network
    };
    let state = || -> BTreeMap<String, TensorData> { state_dict(&network()).into_iter().collect() };
    let refused =
        |state: BTreeMap<String, TensorData>| load_state_dict(network(), state).unwrap_err();

    let mut changed = state();
    changed.remove("output.bias");
    changed.insert("head.weight".into(), TensorData::from([1f32]));
    let error = refused(changed);
    assert_eq!(
        error,
        StateError::Paths {
            missing: vec!["output.bias".into()],
            extra: vec!["head.weight".into()]
        }
    );
    assert!(
        error
            .to_string()
            .contains("missing output.bias; unknown head.weight"),
        "{error}"
    );

    let mut changed = state();
    changed.insert(
        "output.weight".into(),
        TensorData::new(vec![0f32; 6], vec![3, 2]),
    );
    assert!(
        matches!(refused(changed), StateError::Shape { expected, found, .. } if expected == [2, 3] && found == [3, 2])
    );

    let mut changed = state();
    changed.insert("output.bias".into(), TensorData::from([1i32, 2]));
    assert!(matches!(refused(changed), StateError::Type { .. }));

    let mut same = state();
    same.insert(
        "hidden.0.norm.num_batches_tracked".into(),
        TensorData::from([1i64]),
    );
    assert_eq!(
        state_dict(&load_state_dict(network(), same).unwrap()),
        state_dict(&network())
    );
}

/// `update_running` works on networks with and without autodiff, and does not affect clones.
#[test]
fn clones_do_not_share_running_statistics() {
    let network = build("f1", "width = 4", &io(&[6], 3), 0, &device())
        .unwrap()
        .network;
    let examples: Vec<u64> = (0..5).collect();
    let mut pass = ForwardPass::train(Key::new(0), &examples, None);
    network.forward(input(5, 6), &mut pass);
    let statistics = pass.into_statistics();
    let (before, clone): (_, Network) = (state_dict(&network), network.clone());
    let (plain, tracked) = (
        network.valid().update_running(statistics.clone()),
        network.update_running(statistics),
    );
    assert_eq!(state_dict(&plain), state_dict(&tracked));
    assert_eq!(state_dict(&clone), before);
    assert_ne!(state_dict(&tracked), before);
}

/// A network cast to f64 runs in f64, as probes need for finite differences.
#[test]
fn double_precision_runs_through() {
    struct Double;
    impl ModuleMapper for Double {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let tracked = param.is_require_grad();
            param.map(|t| Tensor::from_inner(t.inner().cast(DType::F64)).set_require_grad(tracked))
        }
    }
    for entry in standard().iter() {
        let (name, io) = (entry.facts().name, fitting(entry.facts().name));
        let model = build(name, "", &io, 0, &device()).unwrap();
        let network = model.network.map(&mut Double);
        let examples = [0, 1];
        let outputs = network.forward(
            input(2, 144).cast(DType::F64),
            &mut ForwardPass::train(Key::new(0), &examples, None),
        );
        assert_eq!(outputs.dtype(), DType::F64, "{name}");
        let labels = if io.classes.is_some() {
            Labels::Classes(&[0, 1])
        } else {
            Labels::Real(&[0.5, 1.5])
        };
        let targets = model.loss.targets(labels, io.classes, &device()).unwrap();
        assert!(
            model
                .loss
                .correct(&outputs, &targets)
                .is_none_or(|c| c.into_scalar::<f64>() <= 2.0)
        );
        let loss = model.loss.sum(outputs, &targets, 0.0);
        assert_eq!(loss.dtype(), DType::F64, "{name}");
        loss.backward();
    }
}
