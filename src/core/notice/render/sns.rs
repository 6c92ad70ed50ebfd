//! Messages for a topic of Amazon SNS: a subject, which a mail has, and a plain text.

use super::{Parcel, text};
use crate::core::notice::Notice;

/// The most characters of a subject: ASCII, and fewer than 100 of them.
const SUBJECT: usize = 99;
/// What a line of the text may take: twenty notices stay far below SNS's 256 KiB.
const LINE: usize = 4000;

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnsMessage {
    /// The subject.
    pub subject: String,
    /// The text.
    pub message: String,
}

/// The message to publish.
pub fn sns(parcel: Parcel<'_>) -> SnsMessage {
    let ascii = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let subject: String = format!("sgwarden {}", parcel.title()).chars().map(ascii).take(SUBJECT).collect();
    let mut lines: Vec<String> = parcel.why().into_iter().collect();
    for notice in parcel.notices() {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(body(notice));
    }
    SnsMessage { subject: subject.trim_end().to_owned(), message: lines.join("\n") }
}

fn body(notice: &Notice) -> Vec<String> {
    let mut lines = vec![text::line(&notice.headline, LINE)];
    lines.extend(notice.facts.iter().map(|(label, value)| format!("{label}: {}", text::line(value, LINE))));
    lines.extend(notice.advice.iter().map(|advice| (*advice).to_owned()));
    lines.extend(notice.command.as_ref().map(|(what, command)| format!("{what}: {}", text::line(command, LINE))));
    lines
}
