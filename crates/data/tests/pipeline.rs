//! Normalisation and augmentation, compared with a naive implementation and with closed forms.

use largebatch_data::{Labels, Normalise, Part, Pipeline, Preprocess};
use largebatch_random::{Key, below};
use std::collections::BTreeSet;

fn images(n: usize, shape: [usize; 3]) -> (Part, Vec<u8>) {
    let mut rng = Key::new(5).rng();
    // No black pixels, so that a black border can be distinguished from the image.
    let pixels: Vec<u8> = (0..n * shape.iter().product::<usize>())
        .map(|_| below(&mut rng, 255) as u8 + 1)
        .collect();
    (
        Part::from_images(pixels.clone(), shape.to_vec(), Labels::Classes(vec![0; n])).unwrap(),
        pixels,
    )
}

fn gather(config: Preprocess, part: &Part, indices: &[u32], key: Option<Key>) -> Vec<f32> {
    let mut out = vec![7.0; 3]; // what was there before is overwritten
    Pipeline::fit(config, part, &(0..part.len() as u32).collect::<Vec<_>>())
        .unwrap()
        .gather(part, indices, key, &mut out);
    out
}

/// Padding, then cropping, then flipping, as He et al. describe it, on a padded copy of the image.
fn naive(
    image: &[u8],
    [c, h, w]: [usize; 3],
    pad: usize,
    (down, right): (usize, usize),
    flip: bool,
    mirror: bool,
) -> Vec<f32> {
    let reflect = |i: isize, n: usize| {
        let period = 2 * (n as isize - 1);
        let i = i.rem_euclid(period);
        (if i < n as isize { i } else { period - i }) as usize
    };
    let mut padded = vec![0u8; c * (h + 2 * pad) * (w + 2 * pad)];
    for (i, p) in padded.iter_mut().enumerate() {
        let (k, y, x) = (
            i / ((h + 2 * pad) * (w + 2 * pad)),
            i / (w + 2 * pad) % (h + 2 * pad),
            i % (w + 2 * pad),
        );
        let (y, x) = (y as isize - pad as isize, x as isize - pad as isize);
        if mirror {
            *p = image[(k * h + reflect(y, h)) * w + reflect(x, w)];
        } else if (0..h as isize).contains(&y) && (0..w as isize).contains(&x) {
            *p = image[(k * h + y as usize) * w + x as usize];
        }
    }
    let mut out = Vec::new();
    for k in 0..c {
        for y in 0..h {
            let start = (k * (h + 2 * pad) + y + down) * (w + 2 * pad) + right;
            let mut row: Vec<f32> = padded[start..start + w]
                .iter()
                .map(|&p| f32::from(p))
                .collect();
            if flip {
                row.reverse();
            }
            out.extend(row);
        }
    }
    out
}

/// Every augmented image is one of the (2p+1)² · 2 that padding, cropping and flipping can give,
/// and over many epochs each of them occurs.
#[test]
fn augmentation_gives_every_crop_and_flip_and_nothing_else() {
    let shape = [2, 4, 6]; // wider than 2p + 1, or a reflected image may be its own flip
    let (part, pixels) = images(1, shape);
    for (pad, mirror) in [(2, false), (2, true), (0, false)] {
        let config = Preprocess {
            flip: true,
            crop_pad: if mirror { 0 } else { pad },
            translate: if mirror { pad } else { 0 },
            ..Default::default()
        };
        let mut possible = BTreeSet::new();
        for down in 0..=2 * pad {
            for right in 0..=2 * pad {
                for flip in [false, true] {
                    let image = naive(&pixels, shape, pad, (down, right), flip, mirror);
                    possible.insert(image.iter().map(|x| *x as u8).collect::<Vec<_>>());
                }
            }
        }
        assert_eq!(possible.len(), 2 * (2 * pad + 1) * (2 * pad + 1));
        let mut seen = BTreeSet::new();
        for epoch in 0..1000 {
            let out = gather(
                config,
                &part,
                &[0],
                Some(Key::new(0).word("augment").number(epoch)),
            );
            let image: Vec<u8> = out.iter().map(|x| *x as u8).collect();
            assert!(
                possible.contains(&image),
                "epoch {epoch}, pad {pad}, mirror {mirror}: {out:?}"
            );
            seen.insert(image);
        }
        assert_eq!(seen.len(), possible.len());
    }
}

/// An image's random draws depend only on the key and its index, not on the batch or the number of
/// threads.
#[test]
fn bits_depend_on_the_index_alone() {
    let (part, _) = images(600, [3, 16, 16]);
    let config = Preprocess {
        flip: true,
        crop_pad: 2,
        normalise: Some(Normalise::Channel),
        ..Default::default()
    };
    let (key, all) = (
        Key::new(1).word("augment").number(4),
        (0..600).collect::<Vec<u32>>(),
    );
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| gather(config, &part, &all, Some(key)))
    };
    let whole = run(1);
    assert_eq!(whole, run(5));
    let size = part.size();
    for i in [0u32, 17, 599] {
        assert_eq!(
            gather(config, &part, &[5, i], Some(key))[size..],
            whole[i as usize * size..][..size]
        );
    }
    assert_ne!(
        whole,
        gather(
            config,
            &part,
            &all,
            Some(Key::new(1).word("augment").number(5))
        )
    );
    assert_ne!(whole, gather(config, &part, &all, None));
}

/// Equal images at different indices are augmented differently: about half of them are flipped.
#[test]
fn examples_draw_for_themselves() {
    let part = Part::from_images(
        [1, 2].repeat(1000),
        vec![1, 1, 2],
        Labels::Classes(vec![0; 1000]),
    )
    .unwrap();
    let out = gather(
        Preprocess {
            flip: true,
            ..Default::default()
        },
        &part,
        &(0..1000).collect::<Vec<_>>(),
        Some(Key::new(0)),
    );
    let flipped = out.chunks(2).filter(|x| x[0] == 2.0).count();
    assert!((450..550).contains(&flipped), "{flipped}"); // 500 ± 3.2 deviations of 15.8
}

/// (x / 255 − mean) / std by channel, with moments computed naively.
#[test]
fn channels_are_normalised() {
    let shape = [3, 8, 8];
    let (part, pixels) = images(40, shape);
    let out = gather(
        Preprocess {
            normalise: Some(Normalise::Channel),
            ..Default::default()
        },
        &part,
        &(0..40).collect::<Vec<_>>(),
        None,
    );
    for c in 0..3 {
        let of_channel = |i: &usize| i / 64 % 3 == c;
        let values: Vec<f64> = (0..pixels.len())
            .filter(of_channel)
            .map(|i| f64::from(pixels[i]) / 255.0)
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let std = (values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>()
            / values.len() as f64)
            .sqrt();
        for (x, i) in values.iter().zip((0..pixels.len()).filter(of_channel)) {
            assert!((out[i] - ((x - mean) / std) as f32).abs() < 1e-5);
        }
    }
}

/// Statistics come only from the indices that `fit` was given.
#[test]
fn statistics_come_from_the_training_indices() {
    let part = Part::from_table(
        vec![0.0, 2.0, 100.0],
        vec![1],
        Labels::Targets(vec![0.0; 3]),
    )
    .unwrap();
    let mut out = Vec::new();
    let pipeline = Pipeline::fit(
        Preprocess {
            normalise: Some(Normalise::Feature),
            ..Default::default()
        },
        &part,
        &[0, 1],
    )
    .unwrap();
    pipeline.gather(&part, &[0, 1, 2], None, &mut out);
    assert_eq!(out, [-1.0, 1.0, 99.0]); // mean 1, deviation 1
    let images = Part::from_images(
        vec![0, 100, 200],
        vec![1, 1, 1],
        Labels::Classes(vec![0; 3]),
    )
    .unwrap();
    Pipeline::fit(
        Preprocess {
            normalise: Some(Normalise::Channel),
            ..Default::default()
        },
        &images,
        &[0, 1],
    )
    .unwrap()
    .gather(&images, &[0, 1, 2], None, &mut out);
    assert_eq!(out, [-1.0, 1.0, 3.0]); // mean 50/255, deviation 50/255
}

/// A constant feature becomes 0, as in scikit-learn, not NaN.
#[test]
fn constant_features_become_zero() {
    let part = Part::from_table(
        vec![0.1, 1.0, 0.1, 3.0, 0.1, 5.0],
        vec![2],
        Labels::Targets(vec![0.0; 3]),
    )
    .unwrap();
    let out = gather(
        Preprocess {
            normalise: Some(Normalise::Feature),
            ..Default::default()
        },
        &part,
        &[0, 1, 2],
        None,
    );
    assert!(
        out.iter().step_by(2).all(|x| x.abs() < 1e-6) && out[3] == 0.0,
        "{out:?}"
    );
    let black = Part::from_images(vec![0; 8], vec![1, 2, 2], Labels::Classes(vec![0; 2])).unwrap();
    for normalise in [Normalise::Channel, Normalise::Feature] {
        assert_eq!(
            gather(
                Preprocess {
                    normalise: Some(normalise),
                    ..Default::default()
                },
                &black,
                &[0, 1],
                None
            ),
            [0.0; 8]
        );
    }
}

/// Two joined parts give the same as the two one after the other.
#[test]
fn parts_are_joined() {
    let (all, pixels) = images(5, [1, 2, 3]);
    let part = |range: std::ops::Range<usize>| {
        Part::from_images(
            pixels[range.start * 6..range.end * 6].to_vec(),
            vec![1, 2, 3],
            Labels::Classes(range.map(|i| i as u32).collect()),
        )
        .unwrap()
    };
    let joined = Part::concat(&part(0..2), &part(2..5)).unwrap();
    assert_eq!(joined.labels(), &Labels::Classes(vec![0, 1, 2, 3, 4]));
    let raw = |part: &Part, indices: &[u32]| gather(Preprocess::default(), part, indices, None);
    assert_eq!(raw(&joined, &[4, 0, 1, 2, 3]), raw(&all, &[4, 0, 1, 2, 3]));
    assert_eq!(raw(&joined.select(&[3, 1]), &[0, 1]), raw(&all, &[3, 1]));
    let table = |x: f64| Part::from_table(vec![x; 2], vec![2], Labels::Targets(vec![x])).unwrap();
    assert_eq!(
        raw(&Part::concat(&table(1.0), &table(2.0)).unwrap(), &[0, 1]),
        [1.0, 1.0, 2.0, 2.0]
    );
    assert!(Part::concat(&all, &table(1.0)).is_err() && all.select(&[]).is_empty());
}
