//! Columns, as wide as their widest cell.

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// For a terminal.
    Always,
    /// For everything else.
    Never,
}

/// What a cell is coloured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it is.
    Plain,
    /// It is over.
    Quiet,
    /// It calls for a look.
    Notable,
    /// It calls for a look now.
    Urgent,
}

/// One cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// The space between columns, as kubectl has it.
const GAP: &str = "   ";

/// Lays rows out under a header. No line ends in spaces.
pub(super) fn layout<const N: usize>(header: [&str; N], rows: Vec<[Cell; N]>, colour: Colour) -> String {
    let header = header.map(|title| Cell::from(title.to_owned()));
    let lines: Vec<[Cell; N]> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.text.chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for line in &lines {
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text += &painted(cell, colour);
            if index + 1 < N {
                text += &" ".repeat(width.saturating_sub(cell.text.chars().count()));
                text += GAP;
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

fn painted(cell: &Cell, colour: Colour) -> String {
    let code = match (colour, cell.tone) {
        (Colour::Never, _) | (Colour::Always, Tone::Plain) => return cell.text.clone(),
        (Colour::Always, Tone::Quiet) => "2",
        (Colour::Always, Tone::Notable) => "33",
        (Colour::Always, Tone::Urgent) => "31",
    };
    format!("\u{1b}[{code}m{}\u{1b}[0m", cell.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_only_beside_the_words() {
        let rows = || vec![[Cell::from("long text".to_owned()), Cell::toned("pending", Tone::Urgent)]];
        let plain = layout(["A", "B"], rows(), Colour::Never);
        assert_eq!(plain, "A           B\nlong text   pending\n");
        let coloured = layout(["A", "B"], rows(), Colour::Always);
        assert_eq!(coloured.replace("\u{1b}[31m", "").replace("\u{1b}[0m", ""), plain);
        assert_ne!(coloured, plain);
    }
}
