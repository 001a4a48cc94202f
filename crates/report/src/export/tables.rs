use std::collections::BTreeSet;

use largebatch_study::{Row, StopReason, TrialRecord, flatten};
use toml::{Table, Value};

use super::columns::{Columns, Data};
use crate::analysis::{Analysis, stage};

/// A row for each ended trial of each group, in the plan's order; settings under `config.`, final
/// metrics under their names.
pub(crate) fn trials(a: &Analysis) -> Columns {
    let rows = done(a);
    let mut t = Columns::new(rows.len());
    let of = || rows.iter();
    identity(&mut t, a, &rows);
    t.text("stop", of().map(|(_, r)| Some(stop(&r.stop).0.into())));
    t.text("message", of().map(|(_, r)| stop(&r.stop).1));
    t.whole("steps", of().map(|(_, r)| Some(r.steps)));
    t.whole("examples", of().map(|(_, r)| Some(r.examples)));
    t.whole("train_examples", of().map(|(_, r)| Some(r.train_examples)));
    t.whole("budget_steps", of().map(|(_, r)| Some(r.budget_steps)));
    let names: BTreeSet<&String> = of().flat_map(|(_, r)| r.metrics.keys()).collect();
    for name in names {
        t.real(name, of().map(|(_, r)| r.metrics.get(name).copied()));
    }
    let mut configs: Vec<Table> = of().map(|(_, r)| flatten(&r.config)).collect();
    // A choice may be a plain name or a table with options; its name goes into the same column in
    // both cases.
    let keys: BTreeSet<String> = configs.iter().flat_map(Table::keys).cloned().collect();
    for name in keys.iter().filter(|k| {
        k.strip_suffix(".name")
            .is_some_and(|choice| keys.contains(choice))
    }) {
        for config in &mut configs {
            if let Some(plain) = name
                .strip_suffix(".name")
                .and_then(|choice| config.remove(choice))
            {
                config.insert(name.clone(), plain);
            }
        }
    }
    let keys: BTreeSet<&String> = configs.iter().flat_map(Table::keys).collect();
    for key in keys {
        let values = configs.iter().map(|c| c.get(key).cloned());
        t.columns
            .push((format!("config.{key}"), column(values.collect())));
    }
    t.whole("threads", of().map(|(_, r)| Some(u64::from(r.threads))));
    t.real("seconds", of().map(|(_, r)| Some(r.provenance.seconds)));
    t.whole("started", of().map(|(_, r)| Some(r.provenance.started)));
    t.whole(
        "retries",
        of().map(|(_, r)| Some(u64::from(r.provenance.retries))),
    );
    let other: BTreeSet<&String> = of().flat_map(|(_, r)| r.provenance.other.keys()).collect();
    for name in other {
        let values: Vec<Option<Value>> = of()
            .map(|(_, r)| plain(r.provenance.other.get(name)?))
            .collect();
        // The system reports memory with its unit.
        let memory = |v: &Value| {
            v.as_str()?
                .strip_suffix(" kB")?
                .trim()
                .parse()
                .ok()
                .map(Value::Integer)
        };
        let kilobytes: Vec<Option<Value>> =
            values.iter().map(|v| v.as_ref().and_then(memory)).collect();
        if values.iter().flatten().count() == kilobytes.iter().flatten().count()
            && values.iter().any(Option::is_some)
        {
            t.columns
                .push((format!("provenance.{name}_kb"), column(kilobytes)));
        } else {
            t.columns
                .push((format!("provenance.{name}"), column(values)));
        }
    }
    t
}

/// A row for each point of each trial's curves.
pub(crate) fn curves(a: &Analysis) -> Columns {
    let rows = done(a);
    let mut t = Columns::new(rows.len());
    identity(&mut t, a, &rows);
    t.repeat(
        &rows
            .iter()
            .map(|(_, r)| r.curves.step.len())
            .collect::<Vec<_>>(),
    );
    let of = || rows.iter().map(|(_, r)| &r.curves);
    t.whole("step", of().flat_map(|c| c.step.iter().map(|s| Some(*s))));
    t.whole(
        "examples",
        of().flat_map(|c| c.examples.iter().map(|e| Some(*e))),
    );
    t.real(
        "train_loss",
        of().flat_map(|c| c.train_loss.iter().map(|l| Some(*l))),
    );
    t.real(
        "validation",
        of().flat_map(|c| c.validation.iter().map(|v| Some(*v))),
    );
    t
}

/// Every planned trial that has ended, with its record. A trial that several groups share appears
/// in each.
pub(crate) fn done<'a>(a: &Analysis<'a>) -> Vec<(Row<'a>, &'a TrialRecord)> {
    let rows = a.results.rows().into_iter();
    rows.filter_map(|r| r.record.map(|record| (r, record)))
        .collect()
}

fn identity(t: &mut Columns, a: &Analysis, rows: &[(Row, &TrialRecord)]) {
    let of = || rows.iter();
    t.text("id", of().map(|(row, _)| Some(row.id.to_string())));
    t.text(
        "group",
        of().map(|(row, _)| Some(a.groups[row.group].label.clone())),
    );
    t.text("stage", of().map(|(row, _)| Some(stage(row.stage).into())));
    t.whole("point", of().map(|(row, _)| row.point.map(|p| p as u64)));
    t.whole("seed", of().map(|(row, _)| Some(row.seed)));
}

fn stop(reason: &StopReason) -> (&'static str, Option<String>) {
    match reason {
        StopReason::Finished => ("finished", None),
        StopReason::TargetReached => ("target_reached", None),
        StopReason::Plateau => ("plateau", None),
        StopReason::Diverged => ("diverged", None),
        StopReason::Pruned => ("pruned", None),
        StopReason::Failed { message } => ("failed", Some(message.clone())),
    }
}

/// A value of the provenance in the form of a setting: lists and objects as JSON, and `None` for
/// `null`.
fn plain(value: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    Some(match value {
        Json::Null => return None,
        Json::Bool(b) => Value::Boolean(*b),
        Json::Number(n) => n
            .as_i64()
            .map(Value::Integer)
            .or_else(|| n.as_f64().map(Value::Float))?,
        Json::String(s) => Value::String(s.clone()),
        other => Value::String(other.to_string()),
    })
}

/// A column of integers if all values are integers, else of numbers, else of booleans, else of
/// text.
fn column(values: Vec<Option<Value>>) -> Data {
    let all = |f: fn(&Value) -> bool| values.iter().flatten().all(f);
    if all(Value::is_integer) {
        Data::Whole(values.into_iter().map(|v| v?.as_integer()).collect())
    } else if all(|v| v.is_integer() || v.is_float()) {
        Data::Real(
            values
                .into_iter()
                .map(|v| largebatch_study::number(&v?).filter(|x| x.is_finite()))
                .collect(),
        )
    } else if all(Value::is_bool) {
        Data::Flag(values.into_iter().map(|v| v?.as_bool()).collect())
    } else {
        Data::Text(
            values
                .into_iter()
                .map(|v| {
                    v.map(|v| {
                        v.as_str()
                            .map_or_else(|| v.to_string(), str::to_string)
                            .into()
                    })
                })
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_column_has_the_kind_of_its_values() {
        let kind = |values: Vec<serde_json::Value>| match column(values.iter().map(plain).collect())
        {
            Data::Text(v) => format!("text {v:?}"),
            Data::Whole(v) => format!("whole {v:?}"),
            Data::Real(v) => format!("real {v:?}"),
            Data::Flag(v) => format!("flag {v:?}"),
        };
        assert_eq!(
            kind(vec![json!(381_162.0), json!(null), json!(2.5)]),
            "real [Some(381162.0), None, Some(2.5)]"
        );
        assert_eq!(kind(vec![json!(3), json!(null)]), "whole [Some(3), None]");
        assert_eq!(
            kind(vec![json!(3), json!(0.5)]),
            "real [Some(3.0), Some(0.5)]"
        );
        assert_eq!(
            kind(vec![json!(true), json!(null)]),
            "flag [Some(true), None]"
        );
        assert_eq!(
            kind(vec![json!("a"), json!(1)]),
            "text [Some(\"a\"), Some(\"1\")]"
        );
        assert_eq!(
            kind(vec![json!([1, "x"])]),
            "text [Some(\"[1,\\\"x\\\"]\")]"
        );
    }

    #[test]
    fn an_empty_text_is_not_what_is_not_there() {
        let mut t = Columns::new(2);
        t.text("text", [Some(String::new()), None].into_iter());
        let flags = Data::Flag(vec![Some(true), None]);
        t.columns.push(("flag".into(), flags));
        t.real("real", [Some(0.5), Some(f64::NAN)].into_iter());
        assert_eq!(
            crate::export::csv::csv(&t),
            "text,flag,real\n\"\",true,0.5\n,,\n"
        );
    }
}
