//! Every model compared with PyTorch: outputs, loss, all gradients and running statistics.
//! `tests/golden/models.py` made the reference values.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use largebatch_models::{
    Forward, ForwardPass, Io, Labels, Network, is_buffer, load_state_dict, standard, state_dict,
};
use largebatch_random::Key;
use safetensors::SafeTensors;

/// Case name, model, parameters, shape, classes, label smoothing, ghost batch.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static [usize],
    Option<usize>,
    f64,
    Option<usize>,
);

const CASES: &[Case] = &[
    ("linear", "linear", "", &[5], None, 0.0, None),
    ("logistic", "logistic", "", &[5], Some(2), 0.0, None),
    ("perceptron", "perceptron", "", &[5], Some(2), 0.0, None),
    ("softmax", "softmax", "", &[3, 2, 2], Some(4), 0.0, None),
    ("softmax-smooth", "softmax", "", &[12], Some(4), 0.1, None),
    ("mlp", "mlp", "widths = [7, 5]", &[6], Some(3), 0.0, None),
    (
        "mlp-two-classes",
        "mlp",
        "widths = [7]",
        &[6],
        Some(2),
        0.0,
        None,
    ),
    (
        "mlp-tanh",
        "mlp",
        "widths = [7, 5]\nactivation = 'tanh'",
        &[6],
        Some(3),
        0.0,
        None,
    ),
    (
        "mlp-gelu-norm",
        "mlp",
        "widths = [7, 5]\nactivation = 'gelu'\nbatch_norm = true",
        &[6],
        Some(3),
        0.0,
        None,
    ),
    (
        "mlp-sigmoid",
        "mlp",
        "widths = [7, 5]\nactivation = 'sigmoid'",
        &[6],
        Some(3),
        0.0,
        None,
    ),
    (
        "mlp-ghost",
        "mlp",
        "widths = [7, 5]\nbatch_norm = true",
        &[6],
        Some(3),
        0.0,
        Some(4),
    ),
    ("f1", "f1", "width = 8", &[1, 4, 4], Some(4), 0.0, None),
    ("lenet5", "lenet5", "", &[1, 12, 12], Some(3), 0.0, None),
    (
        "lenet5-classic",
        "lenet5",
        "activation = 'tanh'\npool = 'average'",
        &[2, 17, 14],
        Some(3),
        0.0,
        None,
    ),
    (
        "simple-cnn",
        "simple-cnn",
        "filters = [3, 4]\nwidth = 10\ndropout = 0.0",
        &[2, 9, 8],
        Some(5),
        0.0,
        None,
    ),
    (
        "c1",
        "c1",
        "filters = 4\nwidths = [6, 5]\ndropout = 0.0",
        &[3, 9, 8],
        Some(5),
        0.0,
        None,
    ),
    (
        "resnet8",
        "resnet8",
        "width = 4",
        &[3, 9, 8],
        Some(5),
        0.0,
        None,
    ),
    (
        "resnet8-ghost",
        "resnet8",
        "width = 2",
        &[3, 8, 8],
        Some(5),
        0.0,
        Some(3),
    ),
    (
        "resnet8-projection",
        "resnet8",
        "width = 4\nshortcut = 'projection'",
        &[3, 9, 8],
        Some(5),
        0.0,
        None,
    ),
    (
        "resnet20",
        "resnet20",
        "width = 2",
        &[3, 8, 8],
        Some(5),
        0.0,
        None,
    ),
];

#[test]
fn flex_agrees_with_pytorch() {
    CASES.iter().for_each(|case| compare(case, &Device::flex()));
}

#[cfg(feature = "ndarray")]
#[test]
#[allow(deprecated)]
fn ndarray_agrees_with_pytorch() {
    CASES
        .iter()
        .for_each(|case| compare(case, &Device::ndarray()));
}

fn compare(&(name, model, parameters, shape, classes, smoothing, ghost): &Case, device: &Device) {
    let golden = SafeTensors::deserialize(include_bytes!("golden/models.safetensors")).unwrap();
    let read = |kind: &str| {
        let view = golden
            .tensor(&format!("{name}/{kind}"))
            .unwrap_or_else(|_| panic!("{name}/{kind}"));
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        TensorData::new(values, view.shape().to_vec())
    };
    let under = |kind: &str| {
        let prefix = format!("{name}/{kind}/");
        let paths = golden
            .names()
            .into_iter()
            .filter_map(|n| n.strip_prefix(&prefix).map(String::from))
            .collect::<Vec<_>>();
        paths
            .into_iter()
            .map(|path| (path.clone(), read(&format!("{kind}/{path}"))))
            .collect::<BTreeMap<_, _>>()
    };

    let io = Io {
        shape: shape.to_vec(),
        classes,
    };
    let recipe = standard()
        .configure(model, toml::from_str(parameters).unwrap())
        .unwrap();
    let built = recipe.build(&io, 1, &device.clone().autodiff()).unwrap();
    let before = under("before");
    let network = load_state_dict(built.network, before.clone()).unwrap();
    for (path, data) in state_dict(&network) {
        assert_eq!(data, before[&path], "{name}: {path} is not what was loaded");
    }

    let x = Tensor::<2>::from_data(read("input"), device);
    let target = golden.tensor(&format!("{name}/target")).unwrap();
    let raw: Vec<[u8; 4]> = target
        .data()
        .chunks_exact(4)
        .map(|b| b.try_into().unwrap())
        .collect();
    let (reals, numbers): (Vec<f32>, Vec<u32>) = (
        raw.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        raw.iter().map(|b| u32::from_le_bytes(*b)).collect(),
    );
    let labels = if classes.is_some() {
        Labels::Classes(&numbers)
    } else {
        Labels::Real(&reals)
    };
    let targets = built.loss.targets(labels, classes, device).unwrap();

    let examples: Vec<u64> = (0..x.dims()[0] as u64).collect();
    let mut pass = ForwardPass::train(Key::new(0), &examples, ghost);
    let outputs = network.forward(x.clone(), &mut pass);
    close(
        &outputs.clone().inner().into_data(),
        &read("output"),
        &format!("{name}: outputs"),
    );
    let loss = built.loss.sum(outputs, &targets, smoothing);
    close(
        &loss.clone().inner().into_data(),
        &read("loss"),
        &format!("{name}: loss"),
    );

    let mut gradients = Reader {
        gradients: loss.backward(),
        path: Vec::new(),
        found: BTreeMap::new(),
    };
    network.visit(&mut gradients);
    let expected = under("grad");
    assert_eq!(
        gradients.found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "{name}: which parameters have gradients"
    );
    for (path, gradient) in &expected {
        close(
            &gradients.found[path],
            gradient,
            &format!("{name}: gradient of {path}"),
        );
    }

    let network = network.update_running(pass.into_statistics());
    let after: BTreeMap<String, TensorData> = state_dict(&network).into_iter().collect();
    for (path, value) in under("after").iter().filter(|(path, _)| is_buffer(path)) {
        close(
            &after[path],
            value,
            &format!("{name}: {path} after the step"),
        );
    }
    for network in [
        network.valid(),
        network.clone(),
        Network::train(network.valid()),
    ] {
        let evaluated = network.forward(x.clone(), &mut ForwardPass::eval()).inner();
        close(
            &evaluated.clone().into_data(),
            &read("eval"),
            &format!("{name}: evaluation"),
        );
    }
}

/// Within 1e-4 of the largest entry: f32 against f64, through up to 20 layers of batch norm. The
/// floor is for gradients that are 0, such as those of biases before batch norm.
fn close(ours: &TensorData, theirs: &TensorData, what: &str) {
    assert_eq!(ours.shape(), theirs.shape(), "{what}");
    let (ours, theirs): (Vec<f32>, Vec<f32>) =
        (ours.iter::<f32>().collect(), theirs.iter::<f32>().collect());
    let scale = theirs.iter().fold(1e-1f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        assert!(
            (a - b).abs() <= 1e-4 * scale,
            "{what}: entry {i} is {a}, PyTorch has {b}"
        );
    }
}

struct Reader {
    gradients: Gradients,
    path: Vec<String>,
    found: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(&self.gradients) {
            let gradient = if D == 2 {
                gradient.swap_dims(0, 1)
            } else {
                gradient
            };
            self.found.insert(self.path.join("."), gradient.into_data());
        }
    }
}
