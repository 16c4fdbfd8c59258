//! Tables of figures whose cells are known.

use super::tab;

#[derive(Debug)]
pub(crate) struct Table {
    text: String,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Table {
        let mut table = Table { text: String::new() };
        table.row(header);
        table
    }

    pub(crate) fn row(&mut self, cells: &[&str]) {
        self.text.push_str(&cells.join("\t"));
        self.text.push('\n');
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&tab::align(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_under_their_header() {
        let mut table = Table::new(&["A", "B"]);
        table.row(&["a", "b"]);
        assert_eq!(table.to_string(), "A         B\na         b\n");
    }
}
