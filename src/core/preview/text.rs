//! Plans for a terminal.

use std::fmt::Write;

use super::{Finding, Preview, Totals, header};
use crate::core::activity::presentable;
use crate::core::listing::Colour;
use crate::core::plan::{Row, Sheet};

/// The widest subject and rule that others are aligned to.
const WIDEST: usize = 48;

/// Every group that changes, or of which there is no saying, then the sum of all.
pub fn text(previews: &[Preview], colour: Colour) -> String {
    let mut text = String::new();
    for preview in previews {
        match &preview.finding {
            Finding::Planned(planned) if !planned.changes() => continue,
            Finding::Planned(planned) => {
                title(&mut text, preview, colour);
                sheet(&mut text, &planned.sheet(), colour);
            }
            Finding::Invalid(problems) => {
                title(&mut text, preview, colour);
                for problem in problems {
                    let _ = writeln!(
                        text,
                        "  {}",
                        painted('!', &format!("{}  {}", problem.path, presentable(&problem.message)), colour)
                    );
                }
            }
            Finding::Stopped { reason, message } => {
                title(&mut text, preview, colour);
                let _ = writeln!(text, "  {}", painted('!', &format!("{reason}: {}", presentable(message)), colour));
            }
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}", Totals::of(previews).sentence());
    text
}

fn title(text: &mut String, preview: &Preview, colour: Colour) {
    let parts: Vec<String> = header(preview).iter().map(|part| presentable(part)).collect();
    let line = parts.join("   ");
    let _ = match colour {
        Colour::Always => writeln!(text, "\u{1b}[1m{line}\u{1b}[0m"),
        Colour::Never => writeln!(text, "{line}"),
    };
}

fn sheet(text: &mut String, sheet: &Sheet, colour: Colour) {
    let width = |cell: fn(&Row) -> usize| sheet.rows.iter().map(cell).filter(|width| *width <= WIDEST).max().unwrap_or_default();
    let subjects = width(|row| presentable(&row.subject).chars().count());
    let rules = width(|row| presentable(&row.rule).chars().count());
    let mut section = None;
    for row in &sheet.rows {
        if section.replace(row.direction) != Some(row.direction) {
            let _ = writeln!(text, "  {}", row.direction.map_or_else(|| "group".to_owned(), |direction| direction.to_string()));
        }
        let (subject, rule, why) = (presentable(&row.subject), presentable(&row.rule), presentable(&row.why));
        let line = format!("{} {subject:<subjects$}   {rule:<rules$}   {why}", row.sign);
        let _ = writeln!(text, "  {}", painted(row.sign, line.trim_end(), colour));
    }
    for (word, note) in &sheet.notes {
        let _ = writeln!(text, "  {word:<10} {}", presentable(note));
    }
}

fn painted(sign: char, line: &str, colour: Colour) -> String {
    let code = match (colour, sign) {
        (Colour::Always, '+') => "32",
        (Colour::Always, '~') => "33",
        (Colour::Always, '-') => "31",
        (Colour::Always, '!') => "1;31",
        (Colour::Always, '=') => "2",
        (Colour::Always | Colour::Never, _) => return line.to_owned(),
    };
    format!("\u{1b}[{code}m{line}\u{1b}[0m")
}
