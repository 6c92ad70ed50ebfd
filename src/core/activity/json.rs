//! Reading JSON that may be anything: absent, of another type, one where many were meant.
//!
//! Names are looked up in any case: the dialects differ in nothing else there (`groupId`, `GroupId`).

use serde_json::Value;

/// The most characters that are kept of a text people read; what is longer ends in `…`.
pub const MAX_TEXT: usize = 400;
/// The most bytes of an id. A longer one is none: cut, it might be taken for another.
const MAX_ID: usize = 128;

/// A member of an object that is there and not null.
pub(super) fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let members = value.as_object()?;
    let exact = members.get(name);
    let found = exact.or_else(|| members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value));
    found.filter(|value| !value.is_null())
}

/// A member of a member, and so on.
pub(super) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| member(value, name))
}

/// A list in any of its forms: `{"items": […]}`, `{}` for none, an array, or one element that stands for itself.
pub(super) fn each<'v>(list: Option<&'v Value>) -> &'v [Value] {
    let Some(list) = list else { return &[] };
    let within = |members: &'v serde_json::Map<String, Value>| ["items", "item"].iter().find_map(|name| members.get(*name));
    let list = list.as_object().and_then(within).unwrap_or(list);
    match list {
        Value::Null => &[],
        Value::Array(elements) => elements,
        Value::Object(members) if members.is_empty() => &[],
        Value::Object(_) | Value::String(_) | Value::Number(_) | Value::Bool(_) => std::slice::from_ref(list),
    }
}

/// A text, or a number as text; an empty one is none.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A member as text to be read by a parser.
pub(super) fn word(value: &Value, name: &str) -> Option<String> {
    member(value, name).and_then(scalar)
}

/// The member of that name, or the value itself where a list holds plain texts instead of objects.
pub(super) fn word_or_self(value: &Value, name: &str) -> Option<String> {
    if value.is_object() { word(value, name) } else { scalar(value) }
}

/// A member as one of the model's types.
pub(super) fn parsed<T: std::str::FromStr>(value: &Value, name: &str) -> Option<T> {
    word(value, name)?.parse().ok()
}

/// A member as text for people: of bounded length, without what moves a terminal's cursor or turns the direction of writing.
pub(super) fn shown(value: &Value, name: &str) -> Option<String> {
    word(value, name).map(|text| cut(&text))
}

/// A member as an id of a request or event.
pub(super) fn id(value: &Value, name: &str) -> Option<String> {
    word(value, name).filter(|id| id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// A member as a number, which may be written as text.
pub(super) fn number(value: &Value, name: &str) -> Option<i32> {
    match member(value, name)? {
        Value::Number(number) => number.as_i64().and_then(|number| i32::try_from(number).ok()),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A member as a truth value, which may be written as text.
pub(super) fn truth(value: &Value, name: &str) -> Option<bool> {
    match member(value, name)? {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Value::Null | Value::String(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A text for people; see [`shown`].
pub fn cut(text: &str) -> String {
    let mut characters = text.chars().map(harmless);
    let mut kept: String = characters.by_ref().take(MAX_TEXT).collect();
    if characters.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// A character that moves no cursor, ends no line and turns no text around.
pub fn harmless(c: char) -> char {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_a_list_in_every_form() {
        for (list, expected) in [
            (json!({"items": [1, 2]}), 2),
            (json!({"items": {"a": 1}}), 1),
            (json!({}), 0),
            (json!({"items": null}), 0),
            (json!([1, 2, 3]), 3),
            (json!({"a": 1}), 1),
            (json!("one"), 1),
            (json!(null), 0),
        ] {
            assert_eq!(each(Some(&list)).len(), expected, "{list}");
        }
        assert!(each(None).is_empty());
    }

    #[test]
    fn names_are_found_in_any_case_and_texts_may_be_numbers() {
        let value = json!({"GroupId": "sg-1", "FromPort": "22", "toPort": 23, "IpProtocol": -1, "null": null, "return": "true"});
        assert_eq!(word(&value, "groupId").unwrap(), "sg-1");
        assert_eq!((number(&value, "fromPort"), number(&value, "ToPort")), (Some(22), Some(23)));
        assert_eq!(word(&value, "ipProtocol").unwrap(), "-1");
        assert_eq!((member(&value, "null"), truth(&value, "Return")), (None, Some(true)));
    }

    #[test]
    fn what_people_read_is_short_and_cannot_move_the_cursor() {
        assert_eq!(cut("a\u{1b}[2Jb\n\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
        let long = cut(&"x".repeat(1000));
        assert!(long.chars().count() == MAX_TEXT && long.ends_with('…'));
        assert_eq!(cut(&"x".repeat(MAX_TEXT)).chars().last(), Some('x'));
    }
}
