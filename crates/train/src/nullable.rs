//! Numbers that may be NaN or infinite, for serde: `#[serde(with = "nullable")]`.
//!
//! JSON has neither, and serde_json writes both as `null`, which it then refuses to read as a
//! number. With this module, `null` is read as NaN; the only thing lost is whether the number was
//! NaN or infinite. It works for `f64`, `Option<f64>` (`null` becomes `Some(NaN)`; skip `None` with
//! `skip_serializing_if`, and add `default`) and `Vec<f64>`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number or a collection of numbers, some of which may not be finite.
pub trait Nullable: Sized {
    /// The form in JSON.
    type Json: Serialize + for<'de> Deserialize<'de>;
    /// Replaces numbers that are not finite by `None`.
    fn json(&self) -> Self::Json;
    /// Replaces `None` by NaN.
    fn of(json: Self::Json) -> Self;
}

impl Nullable for f64 {
    type Json = Option<f64>;
    fn json(&self) -> Option<f64> {
        self.is_finite().then_some(*self)
    }
    fn of(json: Option<f64>) -> Self {
        json.unwrap_or(f64::NAN)
    }
}

impl Nullable for Option<f64> {
    type Json = Option<f64>;
    fn json(&self) -> Option<f64> {
        self.filter(|x| x.is_finite())
    }
    fn of(json: Option<f64>) -> Self {
        Some(f64::of(json))
    }
}

impl Nullable for Vec<f64> {
    type Json = Vec<Option<f64>>;
    fn json(&self) -> Vec<Option<f64>> {
        self.iter().map(f64::json).collect()
    }
    fn of(json: Vec<Option<f64>>) -> Self {
        json.into_iter().map(f64::of).collect()
    }
}

/// Writes numbers that are not finite as `null`.
///
/// # Errors
/// The serializer's.
pub fn serialize<T: Nullable, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.json().serialize(serializer)
}

/// Reads `null` as NaN.
///
/// # Errors
/// The deserializer's.
pub fn deserialize<'de, T: Nullable, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::Json::deserialize(deserializer).map(T::of)
}

#[cfg(test)]
mod tests {
    #[derive(serde::Serialize, serde::Deserialize, Debug)]
    struct Three {
        #[serde(with = "super")]
        one: f64,
        #[serde(with = "super", default, skip_serializing_if = "Option::is_none")]
        perhaps: Option<f64>,
        #[serde(with = "super")]
        many: Vec<f64>,
    }

    #[test]
    fn what_is_written_is_read() {
        let through = |three: &Three| {
            serde_json::from_str::<Three>(&serde_json::to_string(three).unwrap()).unwrap()
        };
        let finite = through(&Three {
            one: 0.1,
            perhaps: Some(1e-300),
            many: vec![1.0, 2.5],
        });
        assert_eq!(
            (finite.one, finite.perhaps, finite.many),
            (0.1, Some(1e-300), vec![1.0, 2.5])
        );
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let read = through(&Three {
                one: bad,
                perhaps: Some(bad),
                many: vec![bad, 3.0],
            });
            assert!(
                read.one.is_nan()
                    && read.perhaps.unwrap().is_nan()
                    && read.many[0].is_nan()
                    && read.many[1] == 3.0,
                "{read:?}"
            );
        }
        assert_eq!(
            through(&Three {
                one: 1.0,
                perhaps: None,
                many: vec![]
            })
            .perhaps,
            None
        );
    }
}
