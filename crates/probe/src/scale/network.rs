//! The network between devices.

use largebatch_parallel::Cost;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A network between devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// What it is called.
    pub name: String,
    /// α: the seconds of an exchange of nothing between two processes.
    pub latency: f64,
    /// 1/β: bytes per second, each way at the same time.
    pub bytes_per_second: f64,
    /// The exchanges that were measured: (bytes, seconds). Without them, an exchange of n bytes
    /// takes α + n β.
    #[serde(default)]
    pub exchanges: Vec<(f64, f64)>,
    /// γ: the seconds in which a process adds a byte of one gradient to a byte of another, if it
    /// was measured with the network.
    #[serde(default)]
    pub add_seconds_per_byte: Option<f64>,
    /// Whether the numbers are those of the standard.
    #[serde(default)]
    pub nominal: bool,
    /// The number of processes between which the numbers were measured, if they were.
    #[serde(default)]
    pub processes: Option<usize>,
}

/// Networks by name: usual latency in seconds, and the standard's bytes per second.
const NOMINAL: [(&str, f64, f64); 6] = [
    ("1gbe", 50e-6, 0.125e9),
    ("10gbe", 20e-6, 1.25e9),
    ("25gbe", 10e-6, 3.125e9),
    ("100gbe", 2e-6, 12.5e9),
    ("infiniband-hdr", 1e-6, 25e9),
    ("infiniband-ndr", 1e-6, 50e9),
];

/// The fields of a network's file; those after `processes` are for the reader of `--measure`.
const FIELDS: [&str; 10] = [
    "name",
    "latency",
    "bytes_per_second",
    "exchanges",
    "add_seconds_per_byte",
    "nominal",
    "schema",
    "processes",
    "sums",
    "steps",
];

impl Network {
    /// A network by name, with nominal numbers.
    pub fn nominal(name: &str) -> Option<Network> {
        let known = NOMINAL.iter().find(|known| known.0 == name)?;
        Some(Network {
            name: name.into(),
            latency: known.1,
            bytes_per_second: known.2,
            exchanges: Vec::new(),
            add_seconds_per_byte: None,
            nominal: true,
            processes: None,
        })
    }

    /// The names of nominal networks.
    pub fn names() -> Vec<&'static str> {
        NOMINAL.iter().map(|known| known.0).collect()
    }

    /// A network of which at least two exchanges were measured. Its bandwidth is that of the largest
    /// exchange.
    pub fn measured(name: &str, cost: &Cost, processes: usize) -> Network {
        let all = &cost.exchanges;
        let (first, last) = (all[0], all[all.len() - 1]);
        Network {
            name: name.into(),
            latency: first.1,
            bytes_per_second: last.0 / last.1,
            exchanges: all.clone(),
            add_seconds_per_byte: Some(cost.add),
            nominal: false,
            processes: Some(processes),
        }
    }

    /// Where the numbers are from, in a word or two.
    pub fn source(&self) -> &'static str {
        match (self.nominal, self.processes) {
            (true, _) => "nominal",
            (false, Some(_)) => "measured",
            (false, None) => "as given",
        }
    }

    /// A network from the JSON of a file: that of `--measure`, or one written by hand.
    ///
    /// # Errors
    /// A field that is unknown or missing, or has a value that no network has; the text names it.
    pub fn read(text: &str) -> Result<Network, String> {
        let fields: Value = serde_json::from_str(text)
            .map_err(|e| format!("line {}, column {}: not JSON", e.line(), e.column()))?;
        let Value::Object(fields) = fields else {
            return Err("must be a JSON object, with name, latency and bytes_per_second".into());
        };
        if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            let known = FIELDS.join(", ");
            return Err(format!(
                "`{unknown}` is not a field of a network; take it out (fields: {known})"
            ));
        }
        let get = |key: &str| fields.get(key).filter(|value| !value.is_null());
        let missing = |key: &str| match fields.get(key) {
            Some(_) => format!("{key} = null: "),
            None => format!("`{key}` is missing: "),
        };
        let number = |key: &str, rule: &str| match get(key) {
            None => Err(missing(key) + rule),
            Some(value) => positive(value).ok_or_else(|| format!("{key} = {value}: {rule}")),
        };
        let rule = "must be a text, the name of the network";
        let name = get("name").ok_or_else(|| missing("name") + rule)?;
        let name = name
            .as_str()
            .ok_or_else(|| format!("name = {name}: {rule}"))?;
        let latency = number("latency", "the latency must be a number of seconds above 0")?;
        let rule = "the speed must be a number of bytes a second above 0";
        let bytes_per_second = number("bytes_per_second", rule)?;
        let add = get("add_seconds_per_byte").map(|_| {
            number(
                "add_seconds_per_byte",
                "must be a number of seconds above 0, or absent",
            )
        });
        for (key, rule, right) in [
            (
                "nominal",
                "must be true or false",
                Value::is_boolean as fn(&Value) -> bool,
            ),
            ("schema", "this version reads schema 1", |v| {
                v.as_u64() == Some(1)
            }),
            (
                "processes",
                "must be a whole number above 0, or absent",
                |v| v.as_u64().is_some_and(|k| k > 0),
            ),
        ] {
            if let Some(value) = get(key).filter(|value| !right(value)) {
                return Err(format!("{key} = {value}: {rule}"));
            }
        }
        Ok(Network {
            name: name.into(),
            latency,
            bytes_per_second,
            exchanges: get("exchanges").map_or(Ok(Vec::new()), exchanges)?,
            add_seconds_per_byte: add.transpose()?,
            nominal: get("nominal").is_some_and(|value| value == true),
            processes: get("processes").and_then(Value::as_u64).map(|k| k as usize),
        })
    }

    /// The times of a sum over it; `add` is γ unless the network brings its own.
    pub fn cost(&self, add: f64) -> Cost {
        let add = self.add_seconds_per_byte.unwrap_or(add);
        match self.exchanges.is_empty() {
            true => Cost::linear(self.latency, self.bytes_per_second, add),
            false => Cost {
                exchanges: self.exchanges.clone(),
                add,
            },
        }
    }
}

/// A finite number above 0.
fn positive(value: &Value) -> Option<f64> {
    value.as_f64().filter(|x| x.is_finite() && *x > 0.0)
}

/// Pairs of bytes and seconds.
fn exchanges(value: &Value) -> Result<Vec<(f64, f64)>, String> {
    let rows = value.as_array().filter(|rows| rows.len() != 1);
    let rows = rows.ok_or_else(|| {
        format!("exchanges = {value}: must be a list of two or more pairs [bytes, seconds]")
    })?;
    let mut all = Vec::<(f64, f64)>::new();
    for (i, row) in rows.iter().enumerate() {
        let wrong = |why: &str| format!("exchanges[{i}] = {row}: {why}");
        let pair = row.as_array().filter(|pair| pair.len() == 2);
        let pair = pair.ok_or_else(|| wrong("must be a pair [bytes, seconds]"))?;
        let bytes = pair[0].as_f64().filter(|bytes| *bytes >= 0.0);
        let bytes = bytes.ok_or_else(|| wrong("the bytes must be a number, 0 or above"))?;
        let seconds = positive(&pair[1]);
        let seconds = seconds.ok_or_else(|| wrong("the seconds must be a number above 0"))?;
        if all.last().is_some_and(|before| before.0 >= bytes) {
            return Err(wrong(
                "the bytes must be more than those before; sort the pairs",
            ));
        }
        all.push((bytes, seconds));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file's error names the field, its value and what is right.
    #[test]
    fn files_that_describe_no_network_are_refused() {
        let with = |more: &str| {
            let text =
                format!(r#"{{"name": "lab", "latency": 1e-5, "bytes_per_second": 1e9{more}}}"#);
            Network::read(&text)
        };
        let found = with(r#", "exchanges": [[4, 1e-5], [1000, 5e-6]]"#).unwrap();
        // Times that fall are noise, and never below the last one.
        let cost = found.cost(0.0);
        assert!(cost.sum(2, 1e9) >= 2.0 * 5e-6 && cost.gather(4096, 4.0) > 0.0);
        assert_eq!(with("").unwrap().processes, None);
        let measured = Network::measured("job", &found.cost(1e-10), 2);
        let text = serde_json::to_string(&measured).unwrap();
        assert_eq!(Network::read(&text), Ok(measured));
        for (more, words) in [
            (r#", "latencies": 1"#, "`latencies` is not a field"),
            (r#", "latency": 0"#, "latency = 0: "),
            (r#", "latency": -1e-6"#, "latency = -1e-6: "),
            (r#", "latency": "2 µs""#, "latency = \"2 µs\": "),
            (r#", "bytes_per_second": null"#, "bytes_per_second = null: "),
            (
                r#", "add_seconds_per_byte": -1"#,
                "add_seconds_per_byte = -1: ",
            ),
            (r#", "name": 3"#, "name = 3: "),
            (r#", "nominal": 1"#, "nominal = 1: "),
            (r#", "processes": 0"#, "processes = 0: "),
            (r#", "schema": 2"#, "schema = 2: "),
            (r#", "exchanges": 3"#, "exchanges = 3: "),
            (r#", "exchanges": [[4, 1e-5]]"#, "two or more"),
            (r#", "exchanges": [[4, 1e-5], [8]]"#, "exchanges[1] = [8]: "),
            (
                r#", "exchanges": [[-4, 1e-5], [8, 1e-5]]"#,
                "exchanges[0] = [-4,",
            ),
            (
                r#", "exchanges": [[4, 0], [8, 1e-5]]"#,
                "exchanges[0] = [4,0]: ",
            ),
            (
                r#", "exchanges": [[8, 1e-5], [4, 1e-5]]"#,
                "exchanges[1] = [4,",
            ),
            (",", "line 1"),
        ] {
            let why = with(more).unwrap_err();
            assert!(why.contains(words), "{words} in {why}");
        }
        let why = Network::read("{}").unwrap_err();
        assert!(why.contains("`name` is missing"), "{why}");
        assert!(Network::read("[]").is_err());
    }

    #[test]
    fn networks_have_names() {
        assert!(
            Network::names()
                .into_iter()
                .all(|name| Network::nominal(name).is_some())
        );
        assert_eq!(Network::nominal("token-ring"), None);
    }
}
