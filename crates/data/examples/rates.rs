//! Measures how fast a set opens and how fast batches are gathered: `rates mnist [batch]`. Set
//! RAYON_NUM_THREADS=1 for one thread.

use largebatch_data::{Order, Pipeline, Preprocess, Sampling, Search, hold_out, open};
use largebatch_random::Key;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (name, batch) = (
        words.next().unwrap_or("mnist".into()),
        words.next().map_or(Ok(512), |b| b.parse())?,
    );
    let start = Instant::now();
    let set = open(&name, &Search::default())?;
    println!("open: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let parts = hold_out(set.train.labels(), set.default_validation(), 0)?;
    println!("split: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let augmented = Preprocess {
        flip: true,
        crop_pad: 4,
        ..set.preprocess
    };
    for (what, config) in [("plain", set.preprocess), ("flip and crop", augmented)] {
        let start = Instant::now();
        let Ok(pipeline) = Pipeline::fit(config, &set.train, &parts.train) else {
            continue;
        };
        println!("{what}: fit {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
        let mut order = Order::new(
            parts.train.clone(),
            Sampling::Shuffled,
            false,
            Key::new(0).word("order"),
        )?;
        let (mut out, mut seen, mut start) = (Vec::new(), 0, Instant::now());
        loop {
            let (epoch, indices) = order.next(batch);
            match epoch {
                0 => start = Instant::now(), // the first epoch brings the file into memory
                1..4 => seen += indices.len(),
                _ => break,
            }
            pipeline.gather(
                &set.train,
                &indices,
                Some(Key::new(0).word("augment").number(epoch)),
                &mut out,
            );
        }
        println!(
            "{what}: {:.0} thousand images/s",
            seen as f64 / start.elapsed().as_secs_f64() / 1e3
        );
    }
    Ok(())
}
