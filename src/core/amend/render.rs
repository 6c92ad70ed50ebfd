//! What an amendment changes: as YAML to paste, and as a patch.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::{EgressRule, IngressRule};
use crate::core::model::Direction;

use super::rule::{Rule, rules};
use super::{Advice, Amendment};

/// One rule of both specs.
enum Difference {
    New(Rule),
    Gone(Rule),
    Other(Rule),
}

impl Amendment {
    /// What to change and what is to be known of it: YAML to paste, everything else in comments.
    pub fn to_text(&self) -> String {
        let Advice { notes, by_hand, refused } = &self.advice;
        let line = |title: &str, text: &String| format!("# {title}: {}\n", one_line(text));
        let mut text: String = notes.iter().map(|note| line("note", note)).collect();
        text += &self.to_yaml();
        text.extend(by_hand.iter().map(|what| line("by hand", what)));
        text.extend(refused.iter().map(|why| line("not possible", why)));
        if self.is_empty() && self.is_whole() {
            text += "# nothing to change\n";
        }
        text
    }

    /// What to change, as pieces of YAML under comments that say where each goes; nothing for no change.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        for direction in Direction::BOTH {
            let (mut new, mut other, mut gone) = (Vec::new(), Vec::new(), Vec::new());
            for difference in self.rules(direction) {
                match difference {
                    Difference::New(rule) => new.push(Written::of(direction, rule)),
                    Difference::Other(rule) => other.push(Written::of(direction, rule)),
                    Difference::Gone(rule) => gone.push(rule.name.to_string()),
                }
            }
            piece(&mut text, &format!("add to spec.{direction}:"), &new);
            piece(&mut text, &format!("replace in spec.{direction} what has the same name:"), &other);
            for name in gone {
                let _ = writeln!(text, "# take out of spec.{direction}: rule {name}");
            }
        }
        if self.before.egress_policy != self.after.egress_policy {
            let _ = match &self.after.egress_policy {
                Some(policy) => writeln!(text, "# set in spec:\negressPolicy: {policy}"),
                None => writeln!(text, "# take out of spec: egressPolicy"),
            };
        }
        let (set, removed) = self.tags();
        if !set.is_empty() {
            let _ = write!(text, "# set in spec.tags:\n{}", yaml(&set));
        }
        for key in removed {
            let _ = writeln!(text, "# take out of spec.tags: {}", one_line(&key));
        }
        text
    }

    /// What to change, as a JSON merge patch: lists of rules are replaced as a whole.
    pub fn to_patch(&self) -> Value {
        let mut spec = Map::new();
        for direction in Direction::BOTH {
            if rules(&self.before, direction) != rules(&self.after, direction) {
                let list = rules(&self.after, direction).into_iter().map(|rule| Written::of(direction, rule).as_value()).collect();
                spec.insert(direction.to_string(), Value::Array(list));
            }
        }
        if self.before.egress_policy != self.after.egress_policy {
            spec.insert("egressPolicy".to_owned(), json!(self.after.egress_policy));
        }
        let (set, removed) = self.tags();
        let tags: Map<String, Value> = set
            .into_iter()
            .map(|(key, value)| (key, Value::from(value)))
            .chain(removed.into_iter().map(|key| (key, Value::Null)))
            .collect();
        if !tags.is_empty() {
            spec.insert("tags".to_owned(), Value::Object(tags));
        }
        json!({ "spec": spec })
    }

    /// A list of rules that the patch replaces and that holds, in `stored` (the spec as the apiserver has it), something which
    /// this release does not know: it would be lost.
    pub fn loses(&self, stored: &Value) -> Option<Direction> {
        let replaced = |direction: &Direction| rules(&self.before, *direction) != rules(&self.after, *direction);
        let known = |direction: Direction| {
            let list: Vec<Value> =
                rules(&self.before, direction).into_iter().map(|rule| Written::of(direction, rule).as_value()).collect();
            Value::Array(list)
        };
        let held = |direction: Direction| stored.get(direction.to_string()).cloned().unwrap_or_else(|| json!([]));
        Direction::BOTH.into_iter().filter(replaced).find(|direction| known(*direction) != held(*direction))
    }

    fn rules(&self, direction: Direction) -> Vec<Difference> {
        let (before, after) = (rules(&self.before, direction), rules(&self.after, direction));
        let named = |list: &[Rule], name: &str| list.iter().find(|rule| rule.name.as_str() == name).cloned();
        let change = |rule: &Rule| match named(&before, rule.name.as_str()) {
            None => Some(Difference::New(rule.clone())),
            Some(old) if old != *rule => Some(Difference::Other(rule.clone())),
            Some(_) => None,
        };
        let gone = before.iter().filter(|rule| named(&after, rule.name.as_str()).is_none());
        after.iter().filter_map(change).chain(gone.cloned().map(Difference::Gone)).collect()
    }

    fn tags(&self) -> (BTreeMap<String, String>, Vec<String>) {
        let (before, after) = (&self.before.tags, &self.after.tags);
        let set = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
        let removed = before.keys().filter(|key| !after.contains_key(*key));
        (set.map(|(key, value)| (key.clone(), value.clone())).collect(), removed.cloned().collect())
    }
}

/// A rule as it is serialized, with its fields in the order of the documentation.
#[derive(Serialize)]
#[serde(untagged)]
enum Written {
    Ingress(IngressRule),
    Egress(EgressRule),
}

impl Written {
    fn of(direction: Direction, rule: Rule) -> Self {
        match direction {
            Direction::Ingress => Self::Ingress(rule.into_ingress()),
            Direction::Egress => Self::Egress(rule.into_egress()),
        }
    }

    fn as_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn piece(text: &mut String, title: &str, list: &[Written]) {
    if !list.is_empty() {
        let _ = write!(text, "# {title}\n{}", yaml(&list));
    }
}

/// A comment is one line, whatever is told in it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn yaml(value: &impl Serialize) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}
