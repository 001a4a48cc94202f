//! Values are standardised in f64 and rounded last; fitted statistics can be stored and restored
//! bit for bit.

use largebatch_data::{
    DataError, Fitted, Labels, Normalise, Part, Pipeline, Preprocess, TargetScale,
};
use largebatch_random::{Key, below};

const FEATURE: Preprocess = Preprocess {
    normalise: Some(Normalise::Feature),
    flip: false,
    crop_pad: 0,
    translate: 0,
    targets: None,
};

fn column(values: &[f64]) -> Part {
    Part::from_table(
        values.to_vec(),
        vec![1],
        Labels::Classes(vec![0; values.len()]),
    )
    .unwrap()
}

fn all(part: &Part) -> Vec<u32> {
    (0..part.len() as u32).collect()
}

fn gather(pipeline: &Pipeline, part: &Part) -> Vec<f32> {
    let mut out = Vec::new();
    pipeline.gather(part, &all(part), None, &mut out);
    out
}

fn standardised(values: &[f64]) -> Vec<f32> {
    let part = column(values);
    gather(&Pipeline::fit(FEATURE, &part, &all(&part)).unwrap(), &part)
}

/// 0, 1, …, 199 standardise to (i − 99.5) / √((200² − 1)/12), whatever their origin and unit.
#[test]
fn neither_the_origin_nor_the_unit_of_a_column_matters() {
    let exact: Vec<f64> = (0..200)
        .map(|i| (f64::from(i) - 99.5) / (39999f64 / 12.0).sqrt())
        .collect();
    for (origin, unit) in [
        (1.7e9, 1.0),
        (2e10, 1.0),
        (1.7e18, 1024.0),
        (0.0, 1e-40),
        (0.0, 1e-50),
        (0.0, 1e-200),
        (0.0, 1e-290),
        (0.0, 1e200),
        (0.0, 1e300),
        (-1e15, 0.25),
    ] {
        let out = standardised(
            &(0..200)
                .map(|i| origin + unit * f64::from(i))
                .collect::<Vec<_>>(),
        );
        for (x, exact) in out.iter().zip(&exact) {
            assert!(
                (f64::from(*x) - exact).abs() <= 1e-7 * exact.abs().max(0.01),
                "{unit:e} from {origin:e}: {x} against {exact}"
            );
        }
    }
}

/// A column is constant only if its values are equal: one second in a time stamp is not rounding.
#[test]
fn only_equal_values_are_constant() {
    for value in [0.1, 1.7e9, 1e300, -3e-300] {
        assert_eq!(standardised(&[value; 7]), [0.0; 7]);
    }
    for (origin, step) in [(1.7e9, 1e-3), (1e12, 1.0), (1.0, 1e-12)] {
        let out = standardised(&[origin, origin + step, origin, origin + step]);
        assert!(
            out[0] < -0.99 && out[1] > 0.99,
            "{origin} and {step} more: {out:?}"
        );
    }
}

/// Pixels normalised by feature follow the formula in f64, rounded once.
#[test]
fn pixels_are_standardised_in_f64_too() {
    let pixels = [0u8, 255, 3, 255, 7, 254];
    let part =
        Part::from_images(pixels.to_vec(), vec![1, 1, 2], Labels::Classes(vec![0; 3])).unwrap();
    let out = gather(&Pipeline::fit(FEATURE, &part, &[0, 1, 2]).unwrap(), &part);
    for j in 0..2 {
        let x: Vec<f64> = pixels
            .iter()
            .skip(j)
            .step_by(2)
            .map(|&p| f64::from(p))
            .collect();
        let mean = x.iter().sum::<f64>() / 3.0;
        let std = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
        for (i, x) in x.iter().enumerate() {
            assert!((out[2 * i + j] - ((x - mean) / std) as f32).abs() <= 2e-7);
        }
    }
}

/// y = 1.7e9 + 10 i, i = 0 to 199, has the mean 1700000995 and the deviation 10 √((200² − 1)/12).
#[test]
fn real_targets_are_standardised_by_the_training_examples() {
    let y: Vec<f64> = (0..201).map(|i| 1.7e9 + 10.0 * f64::from(i)).collect();
    let part = Part::from_table(vec![0.5; 201], vec![1], Labels::Targets(y)).unwrap();
    let config = Preprocess {
        targets: Some(TargetScale::Standardise),
        ..FEATURE
    };
    let pipeline = Pipeline::fit(config, &part, &(0..200).collect::<Vec<_>>()).unwrap();
    let (mean, std) = (1_700_000_995.0, 10.0 * (39999f64 / 12.0).sqrt());
    let target = pipeline.fitted().target.unwrap();
    assert!(
        target.mean == mean && (target.std - std).abs() < 1e-9 * std,
        "{target:?}"
    );
    assert_eq!(pipeline.encode(mean + std), 1.0);
    assert!(
        (pipeline.decode(f64::from(pipeline.encode(1_700_000_010.0))) - 1_700_000_010.0).abs()
            < 1e-4
    );
    // Not scaled unless the configuration asks for it.
    let plain = Pipeline::fit(FEATURE, &part, &[0, 1]).unwrap();
    assert_eq!((plain.encode(0.1), plain.decode(0.1)), (0.1f32, 0.1));
    let classes = column(&[1.0, 2.0]);
    let error = Pipeline::fit(config, &classes, &[0, 1])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("targets = standardise") && error.contains("classes"),
        "{error}"
    );
}

/// All kinds of preprocessing, stored as JSON and restored, give the same bits, also on examples
/// that the fit did not see.
#[test]
fn what_was_fitted_is_restored_to_the_bit() {
    let mut rng = Key::new(3).rng();
    let mut draw = |n: usize, below_: u32| {
        (0..n)
            .map(|_| below(&mut rng, below_))
            .collect::<Vec<u32>>()
    };
    let table: Vec<f64> = draw(300, 1000)
        .iter()
        .map(|&x| 1.7e9 + f64::from(x) / 7.0)
        .collect();
    let targets: Vec<f64> = draw(60, 1000).iter().map(|&x| f64::from(x) / 3.0).collect();
    let table = Part::from_table(table, vec![5], Labels::Targets(targets)).unwrap();
    let pixels: Vec<u8> = draw(60 * 24, 256).iter().map(|&x| x as u8).collect();
    let images = Part::from_images(pixels, vec![2, 3, 4], Labels::Classes(vec![0; 60])).unwrap();
    let seen: Vec<u32> = (0..40).collect();
    let cases = [
        (&table, Normalise::None),
        (&table, Normalise::Feature),
        (&images, Normalise::None),
        (&images, Normalise::Unit),
        (&images, Normalise::Channel),
        (&images, Normalise::Feature),
    ];
    for (part, normalise) in cases {
        let real = matches!(part.labels(), Labels::Targets(_));
        let config = Preprocess {
            normalise: Some(normalise),
            flip: !real,
            crop_pad: usize::from(!real),
            targets: real.then_some(TargetScale::Standardise),
            ..FEATURE
        };
        let pipeline = Pipeline::fit(config, part, &seen).unwrap();
        let text = serde_json::to_string(pipeline.fitted()).unwrap();
        let restored = Pipeline::restore(serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(restored.fitted(), pipeline.fitted());
        let bits = |pipeline: &Pipeline| {
            let mut out = Vec::new();
            let mut pipeline = pipeline.clone();
            let key = Some(Key::new(1).word("augment"));
            pipeline.gather(part, &all(part), key, &mut out);
            let plain = gather(&pipeline, part);
            pipeline.prepare(part).unwrap();
            assert_eq!(
                gather(&pipeline, part),
                plain,
                "prepared at once or each time"
            );
            out.extend(plain);
            out.extend([0.1, 1e3].map(|y| pipeline.encode(y)));
            out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(&restored), bits(&pipeline), "{normalise:?}: {text}");
        assert!(serde_json::to_string(restored.fitted()).unwrap() == text);
    }
    let other = Pipeline::fit(FEATURE, &table, &seen)
        .unwrap()
        .prepare(&images)
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("images") && other.contains("a table of shape [5]"),
        "{other}"
    );
}

#[test]
fn statistics_that_are_none_are_refused() {
    let part = column(&[1.0, 2.0]);
    let good = Pipeline::fit(FEATURE, &part, &[0, 1])
        .unwrap()
        .fitted()
        .clone();
    let refused = |fitted: Fitted| Pipeline::restore(fitted).unwrap_err().to_string();
    for bad in [
        Fitted {
            std: vec![0.0],
            ..good.clone()
        },
        Fitted {
            std: vec![f64::NAN],
            ..good.clone()
        },
        Fitted {
            mean: vec![f64::INFINITY],
            ..good.clone()
        },
        Fitted {
            mean: vec![1.0, 2.0],
            ..good.clone()
        },
        Fitted {
            shape: vec![2],
            ..good.clone()
        },
        Fitted {
            preprocess: Preprocess {
                normalise: Some(Normalise::Unit),
                ..FEATURE
            },
            ..good.clone()
        },
    ] {
        assert!(refused(bad.clone()).contains("edited"), "{bad:?}");
    }
    assert!(Pipeline::restore(good).is_ok());
}

/// A value that does not fit into 32 bits is refused, naming column and value, instead of becoming
/// infinite.
#[test]
fn values_beyond_32_bits_are_named() {
    let part = Part::from_table(
        vec![1.0, 0.0, 2.0, 1e50],
        vec![2],
        Labels::Targets(vec![0.0, 1e60]),
    )
    .unwrap();
    let part = part.named(vec!["a".into(), "far".into()]);
    let message = |config: Preprocess, indices: &[u32]| {
        let mut pipeline = Pipeline::fit(config, &part, indices).unwrap();
        pipeline
            .prepare(&part)
            .err()
            .map(|e| (matches!(e, DataError::Column { .. }), e.to_string()))
    };
    let plain = Preprocess {
        normalise: Some(Normalise::None),
        ..FEATURE
    };
    let (of_column, text) = message(plain, &[0, 1]).unwrap();
    assert!(
        of_column && text.contains("column `far`: the value 1e50") && text.contains("standardise"),
        "{text}"
    );
    // Far outside the range of the training data.
    assert!(
        message(FEATURE, &[0])
            .unwrap()
            .1
            .contains("column `far`: the value 1e50")
    );
    assert!(
        message(FEATURE, &[0, 1])
            .unwrap()
            .1
            .contains("the target: the value 1e60")
    );
    assert_eq!(
        message(
            Preprocess {
                targets: Some(TargetScale::Standardise),
                ..FEATURE
            },
            &[0, 1]
        ),
        None
    );
    let error = Pipeline::fit(FEATURE, &column(&[1.7e308, -1.7e308]), &[0, 1])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("feature 0") && error.contains("1.7e308"),
        "{error}"
    );
}

/// One value far from all others leaves too few bits for them: a warning with the column name and
/// the counts.
#[test]
fn values_that_coincide_in_32_bits_are_told() {
    let mut values: Vec<f64> = (0..100).map(f64::from).collect();
    let notes = |values: &[f64], normalise| {
        let part = column(values).named(vec!["id".into()]);
        Pipeline::fit(
            Preprocess {
                normalise: Some(normalise),
                ..FEATURE
            },
            &part,
            &all(&part),
        )
        .unwrap()
        .notes(&part, &all(&part))
    };
    assert!(
        notes(&values, Normalise::Feature).is_empty() && notes(&values, Normalise::None).is_empty()
    );
    let stamps: Vec<f64> = values.iter().map(|x| 1.7e9 + x).collect();
    assert!(notes(&stamps, Normalise::Feature).is_empty());
    let raw = notes(&stamps, Normalise::None);
    // 2^30 to 2^31 has steps of 128.
    assert!(
        raw.len() == 1
            && raw[0]
                .starts_with("column `id`: 100 distinct values become 2 in 32 bits; standardise"),
        "{raw:?}"
    );
    values.push(1e12);
    let far = notes(&values, Normalise::Feature);
    assert!(
        far.len() == 1
            && far[0]
                .starts_with("column `id`: 101 distinct values become 2 in 32 bits; a few values"),
        "{far:?}"
    );
    // Of 200,000 values between 0 and 1 some share their 32 bits by chance, which does no harm to a
    // model.
    let mut rng = Key::new(0).rng();
    let many: Vec<f64> = (0..200_000)
        .map(|_| (f64::from(below(&mut rng, 1 << 30)) + 0.5) / f64::from(1 << 30))
        .collect();
    assert!(notes(&many, Normalise::Feature).is_empty());
    let part =
        Part::from_table(vec![0.0; 2], vec![1], Labels::Targets(vec![1e9, 1e9 + 1.0])).unwrap();
    let told = |targets| {
        Pipeline::fit(Preprocess { targets, ..FEATURE }, &part, &[0, 1])
            .unwrap()
            .notes(&part, &[0, 1])
    };
    assert!(
        told(None)[0].starts_with("the target: 2 distinct values become 1"),
        "{:?}",
        told(None)
    );
    assert!(told(Some(TargetScale::Standardise)).is_empty());
}

/// A configuration of version 0.2 has no key for targets, and is written without one.
#[test]
fn the_key_for_targets_may_be_absent() {
    let old: Preprocess =
        serde_json::from_str(r#"{"normalise":"feature","flip":false,"crop_pad":0,"translate":0}"#)
            .unwrap();
    assert_eq!(
        (old, serde_json::to_value(old).unwrap().get("targets")),
        (FEATURE, None)
    );
    let new: Preprocess = serde_json::from_str(r#"{"targets":"standardise"}"#).unwrap();
    assert_eq!(new.targets, Some(TargetScale::Standardise));
}
