use std::rc::Rc;

/// A table in columns, from which CSV and Parquet are written.
pub(crate) struct Columns {
    pub columns: Vec<(String, Data)>,
    pub rows: usize,
}

/// A column; `None` is a missing value.
#[derive(Clone)]
pub(crate) enum Data {
    Text(Vec<Option<Rc<str>>>),
    Whole(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Flag(Vec<Option<bool>>),
}

impl Data {
    pub fn text(values: impl Iterator<Item = Option<String>>) -> Data {
        Data::Text(values.map(|v| v.map(Rc::from)).collect())
    }

    pub fn whole(values: impl Iterator<Item = Option<u64>>) -> Data {
        // Counts of steps or examples never reach 2⁶³.
        Data::Whole(values.map(|v| v.map(|v| v as i64)).collect())
    }

    /// Numbers. A value that is not finite counts as missing.
    pub fn real(values: impl Iterator<Item = Option<f64>>) -> Data {
        Data::Real(values.map(|v| v.filter(|v| v.is_finite())).collect())
    }
}

impl Columns {
    pub fn new(rows: usize) -> Self {
        Columns {
            columns: Vec::new(),
            rows,
        }
    }

    pub fn text(&mut self, name: &str, values: impl Iterator<Item = Option<String>>) {
        self.columns.push((name.into(), Data::text(values)));
    }

    pub fn whole(&mut self, name: &str, values: impl Iterator<Item = Option<u64>>) {
        self.columns.push((name.into(), Data::whole(values)));
    }

    pub fn real(&mut self, name: &str, values: impl Iterator<Item = Option<f64>>) {
        self.columns.push((name.into(), Data::real(values)));
    }

    /// Repeats row i `times[i]` times. The repetitions share their texts.
    pub fn repeat(&mut self, times: &[usize]) {
        fn each<T: Clone>(values: &mut Vec<Option<T>>, times: &[usize]) {
            *values = values
                .iter()
                .zip(times)
                .flat_map(|(v, n)| std::iter::repeat_n(v.clone(), *n))
                .collect();
        }
        for (_, data) in &mut self.columns {
            match data {
                Data::Text(v) => each(v, times),
                Data::Whole(v) => each(v, times),
                Data::Real(v) => each(v, times),
                Data::Flag(v) => each(v, times),
            }
        }
        self.rows = times.iter().sum();
    }
}
