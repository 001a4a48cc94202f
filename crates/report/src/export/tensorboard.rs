//! TensorBoard's event files: records with masked CRC-32C around protocol-buffer `Event`s of scalars.

use largebatch_study::TrialRecord;

use super::parquet::varint;

/// A trial's event file: `train_loss` and the validation metric at the curve's points, and the
/// final metrics under `final/`, including `steps`, the number of steps done (until divergence, if
/// it diverged).
pub(crate) fn events(record: &TrialRecord) -> Vec<u8> {
    let mut out = Vec::new();
    let begun = record.provenance.started as f64;
    frame(&mut out, &event(begun, None, Some("brain.Event:2"), &[]));
    let c = &record.curves;
    let last = record.steps.max(c.step.last().copied().unwrap_or(0));
    // The points have no time stamps, so they are spread evenly over the trial's duration.
    let time = |step: u64| {
        begun
            + record.provenance.seconds
                * if last > 0 {
                    step as f64 / last as f64
                } else {
                    1.0
                }
    };
    let metric = if record.metric.is_empty() {
        "validation"
    } else {
        &record.metric
    };
    for (i, step) in c.step.iter().enumerate() {
        let values = [("train_loss", c.train_loss[i]), (metric, c.validation[i])];
        let values: Vec<(String, f64)> = values
            .into_iter()
            .filter(|v| v.1.is_finite())
            .map(|(k, v)| (k.into(), v))
            .collect();
        if !values.is_empty() {
            frame(&mut out, &event(time(*step), Some(*step), None, &values));
        }
    }
    let finals = record
        .metrics
        .iter()
        .filter(|m| m.1.is_finite())
        .map(|(k, v)| (format!("final/{k}"), *v));
    let finals: Vec<(String, f64)> = finals
        .chain([("final/steps".into(), record.steps as f64)])
        .collect();
    frame(&mut out, &event(time(last), Some(last), None, &finals));
    out
}

/// A record: length, its checksum, data, its checksum.
fn frame(out: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked(data).to_le_bytes());
}

fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// `Event`: 1 wall_time (double), 2 step, 3 file_version, 5 summary { 1 value { 1 tag, 2 simple_value (float) } }.
fn event(
    wall_time: f64,
    step: Option<u64>,
    version: Option<&str>,
    values: &[(String, f64)],
) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend(wall_time.to_le_bytes());
    if let Some(step) = step {
        out.push(2 << 3);
        varint(&mut out, step);
    }
    if let Some(version) = version {
        message(&mut out, 3, version.as_bytes());
    }
    if !values.is_empty() {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut body = Vec::new();
            message(&mut body, 1, tag.as_bytes());
            body.push(2 << 3 | 5);
            body.extend((*value as f32).to_le_bytes());
            message(&mut summary, 1, &body);
        }
        message(&mut out, 5, &summary);
    }
    out
}

fn message(out: &mut Vec<u8>, field: u8, body: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, body.len() as u64);
    out.extend(body);
}

#[cfg(test)]
mod tests {
    /// CRC-32C of a test vector in RFC 3720: 32 zeros give 8a9136aa.
    #[test]
    fn checksums_are_castagnolis() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(
            super::masked(&[0; 32]),
            0x8a91_36aau32.rotate_right(15).wrapping_add(0xa282_ead8)
        );
    }
}
