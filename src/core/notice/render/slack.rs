//! Messages for Slack: blocks, and a text for what shows no blocks.
//!
//! Invariant: what others wrote stands in `plain_text` only, where nothing is marked up; the fallback text, which is always read as
//! mrkdwn, has it escaped. No text of theirs mentions a person or a channel.

use serde_json::{Value, json};

use super::{Parcel, text};
use crate::core::notice::Notice;

/// Slack's limits of characters: of a header, of the text of a section, of a field.
const HEADER: usize = 150;
const SECTION: usize = 3000;
const FIELD: usize = 2000;
/// The most fields of one section; a fact takes two.
const FIELDS: usize = 10;
/// What a line of a digest may take, so that twenty of them are far from the limit of a message.
const DIGEST_LINE: usize = 500;

/// The body of a POST to an incoming webhook.
pub fn slack(parcel: Parcel<'_>) -> Value {
    let mut blocks = vec![json!({ "type": "header", "text": plain(&parcel.title(), HEADER) })];
    match parcel {
        Parcel::One(notice) => blocks.extend(one(notice)),
        Parcel::Digest(notices) => {
            blocks.extend(parcel.why().map(|why| section(&why, SECTION)));
            blocks.extend(notices.iter().map(|notice| section(&format!("[{}] {}", notice.severity, notice.headline), DIGEST_LINE)));
        }
    }
    let headline = match parcel {
        Parcel::One(notice) => notice.headline.clone(),
        Parcel::Digest(_) => parcel.title(),
    };
    json!({ "text": escape(&text::line(&headline, SECTION)), "blocks": blocks })
}

fn one(notice: &Notice) -> Vec<Value> {
    let mut blocks = vec![section(&notice.headline, SECTION)];
    for facts in notice.facts.chunks(FIELDS / 2) {
        let fields: Vec<Value> = facts
            .iter()
            .flat_map(|(label, value)| [json!({ "type": "mrkdwn", "text": format!("*{label}*") }), plain(value, FIELD)])
            .collect();
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    blocks.extend(notice.advice.iter().map(|advice| section(advice, SECTION)));
    if let Some((what, command)) = &notice.command {
        // Of names and ids that Kubernetes and we made; a backtick would end the code.
        let command = escape(&text::line(command, FIELD)).replace('`', "'");
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": format!("*{what}*: `{command}`") } }));
    }
    blocks
}

fn section(text: &str, limit: usize) -> Value {
    json!({ "type": "section", "text": plain(text, limit) })
}

/// Text that is shown as it is. Slack reads `&`, `<` and `>` as the beginnings of entities and links also here.
fn plain(text: &str, limit: usize) -> Value {
    // Escaped, a character takes five at most; the limit is of what is sent.
    let mut shown = text::line(text, limit);
    while escape(&shown).chars().count() > limit {
        let shorter = shown.chars().count().saturating_mul(4) / 5;
        shown = text::line(&shown, shorter);
    }
    // A text may not be empty.
    let shown = if shown.is_empty() { "-".to_owned() } else { escape(&shown) };
    json!({ "type": "plain_text", "text": shown, "emoji": false })
}

/// As Slack asks for it; and `@channel` and its like, which some settings of a webhook turn into mentions, are taken apart.
fn escape(text: &str) -> String {
    let mut escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for word in ["channel", "here", "everyone", "group"] {
        escaped = escaped.replace(&format!("@{word}"), &format!("@ {word}"));
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_mentions_nobody_and_links_nowhere() {
        assert_eq!(escape("<!channel> & <https://evil|here> @here"), "&lt;!channel&gt; &amp; &lt;https://evil|here&gt; @ here");
    }

    #[test]
    fn a_text_keeps_to_the_limit_also_when_it_is_escaped() {
        let text = plain(&"<".repeat(4000), SECTION)["text"].as_str().unwrap().to_owned();
        assert!(text.chars().count() <= SECTION, "{}", text.len());
        assert!(text.ends_with("&lt;…"), "no entity is cut in two");
        assert_eq!(plain("", 10)["text"], "-");
    }
}
