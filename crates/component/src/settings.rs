//! Settings under dotted keys: `schedule.warmup.epochs = 5`.

use toml::{Table, Value};

/// The leaves of a table under their dotted keys, in order. Arrays are leaves, and so are empty
/// tables.
pub fn flatten(table: &Table) -> Table {
    fn walk(prefix: &str, table: &Table, out: &mut Table) {
        for (k, v) in table {
            let path = if prefix.is_empty() {
                k.clone()
            } else {
                format!("{prefix}.{k}")
            };
            match v {
                Value::Table(t) if !t.is_empty() => walk(&path, t, out),
                v => {
                    out.insert(path, v.clone());
                }
            }
        }
    }
    let mut out = Table::new();
    walk("", table, &mut out);
    out
}

/// The nested table of dotted keys; the inverse of [`flatten`].
pub fn nest(flat: &Table) -> Table {
    let mut out = Table::new();
    for (path, value) in flat {
        insert(&mut out, path, value.clone());
    }
    out
}

/// Sets a dotted key of a nested table. A string on the way becomes the `name` in a new table; any
/// other value is replaced.
pub fn insert(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.into(), value);
        }
        Some((head, rest)) => {
            let slot = table
                .entry(head)
                .or_insert_with(|| Value::Table(Table::new()));
            match slot {
                Value::Table(_) => {}
                Value::String(name) => {
                    *slot = Value::Table(Table::from_iter([(
                        "name".to_string(),
                        Value::String(std::mem::take(name)),
                    )]))
                }
                _ => *slot = Value::Table(Table::new()),
            }
            if let Value::Table(inner) = slot {
                insert(inner, rest, value);
            }
        }
    }
}

/// The value at a dotted key of a nested table.
pub fn get<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((head, rest)) => get(table.get(head)?.as_table()?, rest),
    }
}

/// Removes a dotted key of a nested table, with everything below it.
pub fn remove(table: &mut Table, path: &str) {
    match path.split_once('.') {
        None => {
            table.remove(path);
        }
        Some((head, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(head) {
                remove(inner, rest);
            }
        }
    }
}

/// A number, whole or not.
pub fn number(value: &Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_integer().map(|i| i as f64))
}

/// Overrides the settings `old` with `new`, both flat. A later value replaces an earlier one.
///
/// A choice such as `optimizer` is a plain name, or a table with `name` and options, and the two
/// forms combine. An option turns a plain name into a table. A name that changes drops the old
/// one's options. A name that stays the same, or is the first one, keeps the options that are
/// there.
pub fn overlay(old: &mut Table, new: &Table) {
    let mut laid = Vec::new();
    for (path, value) in new {
        let named = format!("{path}.name");
        let mut path = path.clone();
        if let Some(parent) = path.strip_suffix(".name")
            && old
                .get(&path)
                .or_else(|| old.get(parent))
                .is_some_and(|v| v != value)
        {
            old.retain(|k, _| k != parent && !is_below(k, parent));
        } else if value.is_str()
            && old.keys().any(|k| is_below(k, &path))
            && old.get(&named).is_none_or(|v| v == value)
        {
            path = named;
        }
        make_room(old, &path);
        laid.push((path, value.clone()));
    }
    old.extend(laid);
}

/// Removes what a value at `path` makes meaningless: everything below it, and plain values above
/// it, of which a string becomes the `name` beside it.
fn make_room(flat: &mut Table, path: &str) {
    flat.retain(|k, _| !is_below(k, path));
    let above: Vec<String> = flat.keys().filter(|k| is_below(path, k)).cloned().collect();
    for k in above {
        if let Some(name @ Value::String(_)) = flat.remove(&k) {
            flat.insert(format!("{k}.name"), name);
        }
    }
}

/// Whether `key` is below `parent`: `a.b.c` is below `a.b` and `a`.
pub fn is_below(key: &str, parent: &str) -> bool {
    key.strip_prefix(parent)
        .is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn nesting_inverts_flattening() {
        let t = table("a = 1\nb.c = [1, 2]\nb.d.e = 'x'");
        assert_eq!(nest(&flatten(&t)), t);
        assert_eq!(get(&t, "b.d.e"), Some(&Value::String("x".into())));
        assert_eq!(get(&t, "a.d"), None);
    }

    #[test]
    fn later_settings_win_and_a_new_name_drops_the_old_options() {
        let lay = |a, b| {
            let mut old = flatten(&table(a));
            overlay(&mut old, &flatten(&table(b)));
            nest(&old)
        };
        assert_eq!(
            lay("a.b = 1\na.c = 2", "a.b = 3"),
            table("a.b = 3\na.c = 2")
        );
        assert_eq!(
            lay("s = { name = 'step', every = 3 }", "s.name = 'cosine'"),
            table("s.name = 'cosine'")
        );
        assert_eq!(
            lay(
                "s = { name = 'step', every = 3 }",
                "s = { name = 'step', factor = 2 }"
            ),
            table("s = { every = 3, name = 'step', factor = 2 }")
        );
        assert_eq!(
            lay("o = 'sgd'", "o.name = 'lars'"),
            table("o.name = 'lars'")
        );
        assert_eq!(
            lay("o.name = 'lars'\no.eps = 1", "o = 'sgd'"),
            table("o = 'sgd'")
        );
        assert_eq!(
            lay("o = 'lars'", "o.eps = 1"),
            table("o = { name = 'lars', eps = 1 }")
        );
        assert_eq!(
            lay("o = 'lars'", "o = { name = 'lamb', eps = 1 }"),
            table("o = { name = 'lamb', eps = 1 }")
        );
        assert_eq!(
            lay("o.eps = 1", "o = 'lars'"),
            table("o = { name = 'lars', eps = 1 }")
        );
        assert_eq!(
            lay("o = { name = 'lars', eps = 1 }", "o = 'lars'"),
            table("o = { name = 'lars', eps = 1 }")
        );
        assert_eq!(lay("o = 3", "o.eps = 1"), table("o.eps = 1"));
        let mut nested = table("o = 'lars'");
        insert(&mut nested, "o.eps", Value::Integer(1));
        assert_eq!(nested, table("o = { name = 'lars', eps = 1 }"));
    }
}
