//! Sets of namespaces: selectors of labels, and who may refer to an object.
//!
//! Invariant: what cannot be understood admits nobody.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::api::{AllowedNamespaces, NamespacesFrom};

use super::problem::Problems;

/// A selector of labels, as Kubernetes means it: all of it must hold, and an empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    labels: BTreeMap<String, String>,
    expressions: Vec<(String, Test)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Understands a selector; the apiserver does not judge those in objects of ours.
    pub(super) fn parse(written: &LabelSelector, path: &str, problems: &mut Problems) -> Self {
        let LabelSelector { match_expressions, match_labels } = written;
        let mut expressions = Vec::new();
        for (index, requirement) in match_expressions.iter().flatten().enumerate() {
            let LabelSelectorRequirement { key, operator, values } = requirement;
            let path = format!("{path}.matchExpressions[{index}]");
            let values: BTreeSet<String> = values.iter().flatten().cloned().collect();
            if key.is_empty() {
                problems.add(format!("{path}.key"), "name the label that the expression is about");
            }
            let test = match (operator.as_str(), values.is_empty()) {
                ("In", false) => Test::In(values),
                ("NotIn", false) => Test::NotIn(values),
                ("Exists", true) => Test::Exists,
                ("DoesNotExist", true) => Test::DoesNotExist,
                ("In" | "NotIn", true) => {
                    problems.add(format!("{path}.values"), format!("operator {operator} needs values: list at least one"));
                    continue;
                }
                ("Exists" | "DoesNotExist", false) => {
                    problems.add(format!("{path}.values"), format!("operator {operator} takes no values: remove them"));
                    continue;
                }
                (other, _) => {
                    problems.add(format!("{path}.operator"), format!("'{other}' is not one of In, NotIn, Exists, DoesNotExist"));
                    continue;
                }
            };
            expressions.push((key.clone(), test));
        }
        Self { labels: match_labels.clone().unwrap_or_default(), expressions }
    }

    /// Whether these labels are selected. A label that is not there is not in any list of values.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |(key, test): &(String, Test)| {
            let value = labels.get(key);
            match test {
                Test::In(values) => value.is_some_and(|value| values.contains(value)),
                Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Test::Exists => value.is_some(),
                Test::DoesNotExist => value.is_none(),
            }
        };
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value)) && self.expressions.iter().all(holds)
    }
}

/// Who may refer to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Its own namespace.
    Same,
    /// Every namespace.
    All,
    /// Its own, and those with these labels.
    Selector(Selector),
}

impl Allowed {
    /// Understands `allowedNamespaces`; absent, it is the object's own namespace.
    pub(super) fn parse(written: Option<&AllowedNamespaces>, path: &str, problems: &mut Problems) -> Option<Self> {
        let Some(AllowedNamespaces { from, selector }) = written else { return Some(Self::Same) };
        let from = match from.as_deref() {
            None => NamespacesFrom::Same,
            Some(word) => problems.keep(format!("{path}.from"), NamespacesFrom::parse(word))?,
        };
        let selector = checked_selector(from == NamespacesFrom::Selector, selector.as_ref(), path, problems);
        match from {
            NamespacesFrom::Same => Some(Self::Same),
            NamespacesFrom::All => Some(Self::All),
            NamespacesFrom::Selector => selector.map(Self::Selector),
        }
    }
}

/// The selector, which is there with `from: Selector` and only there.
pub(super) fn checked_selector(
    wanted: bool,
    written: Option<&LabelSelector>,
    path: &str,
    problems: &mut Problems,
) -> Option<Selector> {
    let path = format!("{path}.selector");
    match (wanted, written) {
        (true, Some(selector)) => Some(Selector::parse(selector, &path, problems)),
        (true, None) => {
            problems.add(path, "from: Selector needs a selector, such as {matchLabels: {team: shop}}");
            None
        }
        (false, Some(_)) => {
            problems.add(path, "selector goes with from: Selector only: remove it, or write from: Selector");
            None
        }
        (false, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split_terminator(',').map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
    }

    fn selector(yaml: &str) -> Result<Selector, Vec<String>> {
        let mut problems = Problems::default();
        let selector = Selector::parse(&serde_yaml::from_str(yaml).unwrap(), "s", &mut problems);
        problems.settle(Some(selector)).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_selector_selects_as_kubernetes_does() {
        let shop = "team=shop,stage=prod,empty=";
        for (yaml, expected) in [
            ("{}", true),
            ("{matchLabels: {team: shop}}", true),
            ("{matchLabels: {team: shop, stage: test}}", false),
            ("{matchLabels: {nope: \"\"}}", false),
            ("{matchLabels: {empty: \"\"}}", true),
            ("{matchExpressions: [{key: team, operator: In, values: [shop, bank]}]}", true),
            ("{matchExpressions: [{key: team, operator: In, values: [bank]}]}", false),
            ("{matchExpressions: [{key: nope, operator: In, values: [\"\"]}]}", false),
            ("{matchExpressions: [{key: team, operator: NotIn, values: [shop]}]}", false),
            ("{matchExpressions: [{key: team, operator: NotIn, values: [bank]}]}", true),
            ("{matchExpressions: [{key: nope, operator: NotIn, values: [shop]}]}", true),
            ("{matchExpressions: [{key: team, operator: Exists}]}", true),
            ("{matchExpressions: [{key: nope, operator: Exists, values: []}]}", false),
            ("{matchExpressions: [{key: team, operator: DoesNotExist}]}", false),
            ("{matchExpressions: [{key: nope, operator: DoesNotExist}]}", true),
            ("{matchLabels: {team: shop}, matchExpressions: [{key: stage, operator: NotIn, values: [prod]}]}", false),
        ] {
            assert_eq!(selector(yaml).unwrap().matches(&labels(shop)), expected, "{yaml}");
        }
    }

    #[test]
    fn what_kubernetes_would_refuse_in_a_selector_is_a_problem() {
        let problems = selector(
            "{matchExpressions: [{key: a, operator: in, values: [x]}, {key: a, operator: In}, {key: a, operator: NotIn, values: []},
              {key: a, operator: Exists, values: [x]}, {key: \"\", operator: DoesNotExist}]}",
        )
        .unwrap_err();
        insta::assert_snapshot!(problems.join("\n"), @r"
        s.matchExpressions[0].operator: 'in' is not one of In, NotIn, Exists, DoesNotExist
        s.matchExpressions[1].values: operator In needs values: list at least one
        s.matchExpressions[2].values: operator NotIn needs values: list at least one
        s.matchExpressions[3].values: operator Exists takes no values: remove them
        s.matchExpressions[4].key: name the label that the expression is about
        ");
    }
}
