//! Losses and linear models, compared with their formulas.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use largebatch_models::layers::Linear;
use largebatch_models::{
    ConfigError, Forward, ForwardPass, Io, Labels, Loss, Model, load_state_dict, standard,
};

fn device() -> Device {
    Device::flex().autodiff()
}

fn model_on(device: &Device, name: &str, parameters: &str, io: &Io) -> Model {
    standard()
        .configure(name, toml::from_str(parameters).unwrap())
        .unwrap()
        .build(io, 3, device)
        .unwrap()
}

/// A linear model with these weights and no bias.
fn with_weights(name: &str, parameters: &str, weights: &[f32]) -> Model {
    with_weights_on(&device(), name, parameters, weights)
}

fn with_weights_on(device: &Device, name: &str, parameters: &str, weights: &[f32]) -> Model {
    let classes = if name == "linear" { None } else { Some(2) };
    let model = model_on(
        device,
        name,
        &format!("bias = false\n{parameters}"),
        &Io {
            shape: vec![weights.len()],
            classes,
        },
    );
    let state = [(
        "weight".to_string(),
        TensorData::new(weights.to_vec(), vec![1, weights.len()]),
    )]
    .into();
    Model {
        network: load_state_dict(model.network, state).unwrap(),
        ..model
    }
}

/// The loss of one example and its gradient with respect to the weights.
fn step(model: &Model, x: &[f32], labels: Labels<'_>) -> (f32, Vec<f32>) {
    let device = model.network.devices()[0].clone();
    let input = Tensor::from_data(TensorData::new(x.to_vec(), [1, x.len()]), &device);
    let outputs = model.network.forward(input, &mut ForwardPass::eval());
    let targets = model.loss.targets(labels, Some(2), &device).unwrap();
    let loss = model.loss.sum(outputs, &targets, 0.0);
    let gradients = loss.backward();
    let net = model
        .network
        .downcast_ref::<Linear>()
        .expect("a linear model");
    let gradient = net
        .weight
        .val()
        .grad(&gradients)
        .unwrap()
        .into_data()
        .iter::<f32>()
        .collect();
    (loss.into_scalar(), gradient)
}

#[test]
fn linear_is_the_squared_error() {
    let (loss, gradient) = step(
        &with_weights("linear", "", &[0.5, -2.0]),
        &[3.0, 1.0],
        Labels::Real(&[2.0]),
    );
    // o = −0.5, o − y = −2.5.
    assert_eq!(
        (loss, gradient),
        (6.25, vec![2.0 * -2.5 * 3.0, 2.0 * -2.5 * 1.0])
    );
}

#[test]
#[allow(deprecated)]
fn logistic_is_its_formula_at_every_margin() {
    logistic_on(&device());
    #[cfg(feature = "ndarray")]
    logistic_on(&Device::ndarray().autodiff());
}

fn logistic_on(device: &Device) {
    for (w, class) in [
        (0.0, 1),
        (0.0, 0),
        (1.3, 1),
        (1.3, 0),
        (-20.0, 1),
        (60.0, 1),
        (60.0, 0),
        (-800.0, 1),
        (800.0, 1),
    ] {
        let (loss, gradient) = step(
            &with_weights_on(device, "logistic", "", &[w]),
            &[0.5],
            Labels::Classes(&[class]),
        );
        let (y, x) = (if class == 1 { 1.0f64 } else { -1.0 }, 0.5);
        let margin = y * f64::from(w) * x;
        let truth = if margin > 0.0 {
            (-margin).exp().ln_1p()
        } else {
            margin.exp().ln_1p() - margin
        };
        assert!(
            (f64::from(loss) - truth).abs() <= 1e-6 * (1.0 + truth),
            "w {w}, y {y}: {loss} {truth}"
        );
        let truth = -y * x / (1.0 + margin.exp());
        assert!(
            (f64::from(gradient[0]) - truth).abs() <= 1e-7,
            "w {w}, y {y}: {} {truth}",
            gradient[0]
        );
    }
}

/// Rosenblatt's rule, computed by hand: twelve examples, batch size 1, rate 0.5.
#[test]
fn sgd_of_batch_one_is_the_perceptron_rule() {
    let examples: Vec<([f32; 2], u32)> = (0..12)
        .map(|i| {
            (
                [((i * 7) % 5) as f32 - 2.0, ((i * 3) % 4) as f32 - 1.0],
                (i % 3 == 0) as u32,
            )
        })
        .collect();
    for (parameters, on_tie) in [("", false), ("update_on_tie = true", true)] {
        let mut w = [0.25f32, -0.75];
        let mut moved = 0;
        for (x, class) in &examples {
            let (_, gradient) = step(
                &with_weights("perceptron", parameters, &w),
                x,
                Labels::Classes(&[*class]),
            );
            let y = if *class == 1 { 1.0 } else { -1.0 };
            let margin = y * (w[0] * x[0] + w[1] * x[1]);
            let expected = if margin < 0.0 || (on_tie && margin == 0.0) {
                [w[0] + 0.5 * y * x[0], w[1] + 0.5 * y * x[1]]
            } else {
                w
            };
            let stepped = [w[0] - 0.5 * gradient[0], w[1] - 0.5 * gradient[1]];
            assert_eq!(stepped, expected);
            moved += (stepped != w) as usize;
            w = stepped;
        }
        assert!(moved > 2 && moved < 12);
    }
}

#[test]
fn a_tie_moves_the_perceptron_only_when_asked() {
    let tie = |parameters| {
        step(
            &with_weights("perceptron", parameters, &[0.0, 0.0]),
            &[1.0, -2.0],
            Labels::Classes(&[1]),
        )
    };
    assert_eq!(tie("").1, [0.0, 0.0]);
    assert_eq!(tie("update_on_tie = true").1, [-1.0, 2.0]);
    assert_eq!(tie("update_on_tie = true").0, 0.0);

    let io = Io {
        shape: vec![2],
        classes: Some(2),
    };
    let zero = |parameters: &str| {
        standard()
            .configure("perceptron", toml::from_str(parameters).unwrap())
            .unwrap()
            .build(&io, 0, &device())
    };
    let error = zero("init = 'zero'").unwrap_err();
    assert!(
        matches!(error, ConfigError::Option { option: "init", .. })
            && error.to_string().contains("update_on_tie"),
        "{error}"
    );
    zero("init = 'zero'\nupdate_on_tie = true").unwrap();
    zero("").unwrap();
}

#[test]
fn losses_are_sums_so_that_parts_add_up() {
    let io = Io {
        shape: vec![4],
        classes: Some(3),
    };
    let model = model_on(&device(), "mlp", "widths = [5]", &io);
    let x = Tensor::<2>::from_data(
        TensorData::new(
            (0..24).map(|v| (v as f32 * 0.7).sin()).collect::<Vec<_>>(),
            [6, 4],
        ),
        &device(),
    );
    let classes = [0, 2, 1, 1, 0, 2];
    let sum = |from: usize, to: usize| -> f32 {
        let outputs = model.network.valid().forward(
            x.clone().inner().narrow(0, from, to - from),
            &mut ForwardPass::eval(),
        );
        let targets = model
            .loss
            .targets(Labels::Classes(&classes[from..to]), Some(3), &device())
            .unwrap();
        model.loss.sum(outputs, &targets, 0.1).into_scalar()
    };
    assert!((sum(0, 6) - sum(0, 4) - sum(4, 6)).abs() < 1e-5);
}

#[test]
fn correct_counts() {
    let outputs = |v: &[f32], n| {
        Tensor::<2>::from_data(TensorData::new(v.to_vec(), [v.len() / n, n]), &device())
    };
    let count = |loss: Loss, outputs: Tensor<2>, classes: &[u32], n| {
        let targets = loss
            .targets(Labels::Classes(classes), Some(n), &device())
            .unwrap();
        loss.correct(&outputs, &targets)
            .map(|c| c.into_scalar::<f32>())
    };
    assert_eq!(
        count(
            Loss::CrossEntropy,
            outputs(&[1., 2., 0., 5., 1., 1.], 3),
            &[1, 2],
            3
        ),
        Some(1.0)
    );
    assert_eq!(
        count(
            Loss::Logistic,
            outputs(&[1., -2., 0., 0.], 1),
            &[1, 0, 0, 1],
            2
        ),
        Some(3.0)
    );
    let real = Loss::Squared
        .targets(Labels::Real(&[1.0]), None, &device())
        .unwrap();
    assert!(Loss::Squared.correct(&outputs(&[1.0], 1), &real).is_none());
}

#[test]
fn bad_labels_are_errors() {
    let refused = |loss: Loss, labels: Labels<'_>, classes| {
        loss.targets(labels, classes, &device())
            .unwrap_err()
            .to_string()
    };
    assert!(
        refused(Loss::CrossEntropy, Labels::Classes(&[0, 1, 10]), Some(10))
            .contains("label 10 of example 2")
    );
    assert!(
        refused(Loss::Logistic, Labels::Classes(&[0, 2]), Some(2)).contains("label 2 of example 1")
    );
    assert!(refused(Loss::Squared, Labels::Classes(&[0]), Some(2)).contains("softmax"));
    assert!(refused(Loss::CrossEntropy, Labels::Real(&[0.5]), None).contains("linear"));
}
