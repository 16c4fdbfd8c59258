//! Tables as Go's tabwriter makes them with Docker's settings: each column but the last is as wide as its
//! longest cell and three spaces, at least ten; the last is not padded.

const MIN_WIDTH: usize = 10;
const PADDING: usize = 3;

#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Table {
        let mut table = Table { rows: Vec::new() };
        table.row(header);
        table
    }

    pub(crate) fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let longest = self.rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
            (longest.unwrap_or(0) + PADDING).max(MIN_WIDTH)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                if column + 1 == row.len() {
                    writeln!(f, "{cell}")?;
                } else {
                    write!(f, "{cell:<width$}", width = widths[column])?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths() {
        let mut table = Table::new(&["A", "LONG HEADER", "LAST"]);
        table.row(&["a", "b", "a very long last cell"]);
        assert_eq!(
            table.to_string(),
            "A         LONG HEADER   LAST\na         b             a very long last cell\n"
        );
    }

    #[test]
    fn header_alone() {
        assert_eq!(Table::new(&["VOLUME NAME", "X"]).to_string(), "VOLUME NAME   X\n");
    }
}
