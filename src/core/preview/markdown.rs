//! Plans for a comment in a pull request.

use std::fmt::Write;

use super::{Finding, Preview, Totals, header};
use crate::core::activity::presentable;
use crate::core::plan::{Row, Sheet};

/// What a comment may hold, with room for what others put around it: GitHub takes 65,536 characters.
const MOST: usize = 60_000;

/// Every group that changes as a foldable diff, the sum of all first. Groups that do not fit are counted.
pub fn markdown(previews: &[Preview]) -> String {
    let totals = Totals::of(previews);
    let mut text = format!("### sgwarden plan\n\n{}\n", totals.sentence().replace("Plan: ", ""));
    let mut left_out = 0_usize;
    for preview in previews {
        let Some(section) = section(preview) else { continue };
        if text.len() + section.len() > MOST {
            left_out += 1;
        } else {
            text.push_str(&section);
        }
    }
    if left_out > 0 {
        let _ = write!(text, "\n{left_out} more groups do not fit here: see the plan's own output.\n");
    }
    text
}

fn section(preview: &Preview) -> Option<String> {
    let (lines, open) = match &preview.finding {
        Finding::Planned(planned) if !planned.changes() => return None,
        Finding::Planned(planned) => (diff(&planned.sheet()), !planned.plan.is_empty()),
        Finding::Invalid(problems) => {
            (problems.iter().map(|problem| format!("! {}  {}", problem.path, presentable(&problem.message))).collect(), true)
        }
        Finding::Stopped { reason, message } => (vec![format!("! {reason}: {}", presentable(message))], true),
    };
    let header = header(preview);
    let (first, rest) = header.split_first()?;
    let rest: Vec<String> = rest.iter().map(|part| format!("`{}`", code(part))).collect();
    let open = if open { " open" } else { "" };
    let fence = fence(&lines);
    Some(format!(
        "\n<details{open}><summary><b>{}</b></summary>\n\n{}\n\n{fence}diff\n{}\n{fence}\n</details>\n",
        html(first),
        rest.join(" · "),
        lines.join("\n")
    ))
}

/// As a diff, whose signs GitHub and GitLab colour.
fn diff(sheet: &Sheet) -> Vec<String> {
    let mut lines = Vec::new();
    let mut section = None;
    for Row { direction, sign, subject, rule, why } in &sheet.rows {
        if section.replace(*direction) != Some(*direction) {
            lines.push(format!("@@ {} @@", direction.map_or_else(|| "group".to_owned(), |direction| direction.to_string())));
        }
        let sign = match sign {
            '=' => ' ',
            sign => *sign,
        };
        lines.push(format!("{sign} {}", presentable(format!("{subject}   {rule}   {why}").trim_end())));
    }
    lines.extend(sheet.notes.iter().map(|(word, note)| format!("# {word}: {}", presentable(note))));
    lines
}

/// A fence that nothing in the lines ends.
fn fence(lines: &[String]) -> String {
    let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or_default();
    "`".repeat(longest.max(2) + 1)
}

fn code(text: &str) -> String {
    presentable(text).replace('`', "'")
}

fn html(text: &str) -> String {
    presentable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
