use crate::figure::Figure;

/// Text, tables and figures under one heading of a page.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// What the section shows and how to read it; may be empty.
    pub text: String,
    /// Tables, above the figures.
    pub tables: Vec<Table>,
    /// Figures.
    pub figures: Vec<Figure>,
}

/// A table whose first column names the rows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Table {
    /// The heads of the columns.
    pub heads: Vec<String>,
    /// The rows, each with a cell for every head.
    pub rows: Vec<Vec<String>>,
    /// The line below: n, seeds, intervals and device.
    pub note: String,
}
