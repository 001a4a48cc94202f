use super::columns::{Columns, Data};

/// The table as CSV (RFC 4180) with a header. Numbers have the shortest form that reads back as the
/// same value. A missing value is empty, and an empty text is `""`.
pub(crate) fn csv(table: &Columns) -> String {
    let mut out = String::new();
    let heads: Vec<String> = table.columns.iter().map(|(name, _)| quote(name)).collect();
    out += &heads.join(",");
    out.push('\n');
    for row in 0..table.rows {
        for (i, (_, data)) in table.columns.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            match data {
                Data::Text(v) => out += &v[row].as_deref().map_or(String::new(), quote),
                Data::Whole(v) => out += &v[row].map_or(String::new(), |x| x.to_string()),
                Data::Real(v) => out += &v[row].map_or(String::new(), |x| x.to_string()),
                Data::Flag(v) => out += &v[row].map_or(String::new(), |x| x.to_string()),
            }
        }
        out.push('\n');
    }
    out
}

/// A field of a CSV file (RFC 4180), in quotes if it needs them.
pub fn quote(text: &str) -> String {
    if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}
