//! Go's tabwriter with Docker's settings (least width 10, padding 3, spaces): a cell ends with a tab; consecutive lines
//! that have a cell in a column share its width; what follows the last tab of a line is not padded.

/// How wide cells are at the least, and how far apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Widths {
    pub(crate) least: usize,
    pub(crate) padding: usize,
}

const USUAL: Widths = Widths { least: 10, padding: 3 };

/// Lines with tabs become columns.
pub(crate) fn align(text: &str) -> String {
    align_to(text, USUAL)
}

/// The same with other widths.
pub(crate) fn align_to(text: &str, settings: Widths) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    let widths = widened(&lines, widths, settings);
    let mut out = String::with_capacity(text.len() * 2);
    for (index, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if index > 0 {
            out.push('\n');
        }
        for (column, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            let width = widths.get(column).copied().unwrap_or(0);
            out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
    }
    out
}

/// The width of each cell that ends with a tab: that of its block.
fn widened(lines: &[Vec<&str>], mut widths: Vec<Vec<usize>>, settings: Widths) -> Vec<Vec<usize>> {
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut line = 0;
        while line < lines.len() {
            let block = widths[line..].iter().take_while(|cells| cells.len() > column).count();
            let longest = lines[line..line + block].iter().map(|cells| cells[column].chars().count()).max();
            let width = (longest.unwrap_or(0) + settings.padding).max(settings.least);
            widths[line..line + block].iter_mut().for_each(|cells| cells[column] = width);
            line += block.max(1);
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        assert_eq!(
            align("A\tLONG HEADER\tLAST\na\tb\ta very long last cell\n"),
            "A         LONG HEADER   LAST\na         b             a very long last cell\n"
        );
        assert_eq!(align("VOLUME NAME\tX\n"), "VOLUME NAME   X\n");
    }

    #[test]
    fn a_line_without_tabs_begins_new_columns() {
        assert_eq!(
            align("a long first cell\tx\n\nb\ty\tz\n"),
            "a long first cell   x\n\nb         y         z\n"
        );
    }

    #[test]
    fn characters_count_not_bytes() {
        assert_eq!(align("äöüäöüäöü\tx\nb\ty"), "äöüäöüäöü   x\nb           y");
    }
}
