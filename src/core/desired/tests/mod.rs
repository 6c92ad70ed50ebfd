//! What a manifest becomes, and what is said of one that cannot be used. Here: manifests, and what is behind their references.

mod anything;
mod parse;
mod resolve;

use super::*;
use crate::api::SecurityGroup;
use crate::core::model::Atom;

fn object(spec: &str) -> SecurityGroup {
    let yaml =
        format!("apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: web, namespace: shop}}\nspec:\n{spec}");
    serde_yaml::from_str(&yaml).unwrap()
}

fn referent(kind: ReferentKind, text: &str) -> Referent {
    let (namespace, name) = text.split_once('/').unwrap();
    Referent { kind, namespace: namespace.to_owned(), name: name.to_owned() }
}

pub(super) fn group(text: &str) -> Referent {
    referent(ReferentKind::SecurityGroup, text)
}

pub(super) fn set(text: &str) -> Referent {
    referent(ReferentKind::CidrSet, text)
}

/// The ranges of a set: `range`, or `range | description`, or `range @ expiry`.
pub(super) fn ranges(entries: &[&str]) -> Lookup {
    let one = |entry: &&str| {
        let (range, description) = entry.split_once(" | ").map_or((*entry, None), |(range, text)| (range, Some(text.to_owned())));
        let (range, at) = range.split_once(" @ ").map_or((range, None), |(range, at)| (range, Some(at.parse().unwrap())));
        Range { net: range.parse().unwrap(), description, expires_at: at }
    };
    Lookup::Ranges(entries.iter().map(one).collect())
}

pub(super) fn lookups() -> Lookups {
    let id = |text: &str| text.parse().unwrap();
    Lookups {
        own: Some(id("sg-00000000000000001")),
        account: "111122223333".parse().unwrap(),
        vpc: "vpc-0a1b2c3d".parse().unwrap(),
        vpc_ipv6: true,
        objects: BTreeMap::from([
            (group("shop/db"), Lookup::Group(id("sg-00000000000000002"), None)),
            (group("data/db"), Lookup::Group(id("sg-00000000000000003"), Some("444455556666".parse().unwrap()))),
            (group("data/own"), Lookup::Group(id("sg-00000000000000004"), Some("111122223333".parse().unwrap()))),
            (group("shop/gone"), Lookup::Unknown("no such object".into())),
            (group("bank/vault"), Lookup::Refused("bank does not allow it".into())),
            (set("shop/office"), ranges(&["192.0.2.0/24 | office", "198.51.100.0/24"])),
            (set("shop/mixed"), ranges(&["192.0.2.0/24", "2001:db8::/32"])),
            (set("shop/empty"), ranges(&[])),
        ]),
        prefix_lists: BTreeMap::from([
            ("corp".to_owned(), Ok("pl-0a1b2c3e".parse().unwrap())),
            ("lost".to_owned(), Err("there is no prefix list called 'lost'".to_owned())),
        ]),
        weights: PrefixListWeights::new(),
        default_tags: Tags::new(),
        now: "2026-11-01T00:00:00Z".parse().unwrap(),
        latched: BTreeSet::new(),
    }
}

/// Every atom with its rule and its description.
pub(super) fn lines(desired: &Desired) -> Vec<String> {
    let line = |(atom, declared): (&Atom, &Declared)| {
        format!("{atom} | {} | {}", declared.rule, declared.description.as_deref().unwrap_or("-"))
    };
    desired.rules.iter().map(line).collect()
}

/// Rules with what is said of them.
pub(super) fn said(rules: &BTreeMap<(Direction, RuleName), String>) -> Vec<String> {
    rules.iter().map(|((direction, rule), why)| format!("{direction} {rule}: {why}")).collect()
}

/// The spec of a group with these ingress rules.
fn ingress(rules: &str) -> SecurityGroup {
    object(&format!("  vpc: {{id: vpc-0a1b2c3d}}\n  egressPolicy: DenyAll\n  ingress:\n{rules}"))
}

fn problems(spec: &str) -> Vec<String> {
    parse(&object(spec)).unwrap_err().iter().map(ToString::to_string).collect()
}
