//! Text that others wrote, made harmless.

/// One line of at most so many characters: what would break a line or hide what follows becomes a space.
pub(super) fn line(text: &str, limit: usize) -> String {
    let tame = |c: char| if c.is_control() || is_invisible(c) { ' ' } else { c };
    let text: String = text.chars().map(tame).collect();
    crate::core::status::cut(text.trim(), limit)
}

/// Characters that turn the direction of what is read, or are not seen at all.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_a_line_or_turns_it_around() {
        assert_eq!(line("a\r\nb\u{202e}c\u{200b}d\u{7f}", 100), "a  b c d");
        assert_eq!(line("abcdef", 4), "abc…");
    }
}
