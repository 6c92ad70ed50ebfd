//! What objects refer to: whether it is there, and whether it may be referred to.

use std::collections::BTreeMap;

use crate::api::{ACCOUNT_ANNOTATION, DEFAULT_ACCOUNT, Notifier, Peer};
use crate::core::desired::{Referent, ReferentKind, may_refer};

use super::Findings;
use super::set::{Found, Group, Known, Set, rules};

/// Something that is not here, by what it is called, with the places that refer to it.
type Missing = BTreeMap<String, Vec<(usize, String, String)>>;

/// The references of all groups: to groups, sets and accounts.
pub(super) fn of_groups(set: &Set<'_>, findings: &mut Findings) {
    let mut missing = Missing::new();
    for group in &set.groups {
        for (path, rule) in rules(group.object) {
            for (index, peer) in rule.peers.iter().enumerate() {
                if let Some((field, name)) = referred(peer, group) {
                    let path = format!("{path}.{}[{index}].{field}", rule.direction.peers_field());
                    judge(group, path, &name, set, &mut missing, findings);
                }
            }
        }
        account(group, set, &mut missing);
    }
    tell(missing, findings);
}

/// The account of a notifier that publishes to SNS.
pub(super) fn of_notifier(number: usize, notifier: &Notifier, set: &Set<'_>, findings: &mut Findings) {
    let Some(name) = notifier.spec.sns.as_ref().and_then(|sns| sns.account.as_ref()) else { return };
    if matches!(set.account(name), Found::Missing) {
        findings.unless_elsewhere(number, "spec.sns.account", absent(&format!("AwsAccount {name}"), findings.complete, ""));
    }
}

/// The object that a peer stands for, other than the group itself, and the field that names it.
fn referred(peer: &Peer, group: &Group<'_>) -> Option<(&'static str, Referent)> {
    let (field, kind, reference) = match (&peer.cidr_set, &peer.security_group) {
        (Some(reference), _) => ("cidrSet", ReferentKind::CidrSet, reference),
        (None, Some(reference)) => ("securityGroup", ReferentKind::SecurityGroup, reference),
        (None, None) => return None,
    };
    let namespace = reference.namespace.as_ref().unwrap_or(&group.name.namespace).clone();
    let name = Referent { kind, namespace, name: reference.name.clone() };
    (name != group.name).then_some((field, name))
}

fn judge(group: &Group<'_>, path: String, name: &Referent, set: &Set<'_>, missing: &mut Missing, findings: &mut Findings) {
    match set.find(name) {
        Found::Here(known) => {
            admitted(group, &path, name, known, set, findings);
            if let (Some(here), Some(there)) = (set.region(group), &known.region)
                && here != *there
            {
                findings.error(
                    group.number,
                    path,
                    format!("{name} is in {there}, this group in {here}: a rule can only name groups of its own Region"),
                );
            }
        }
        Found::Unusable => {}
        Found::Missing => {
            let namesakes = set.namesakes(name);
            let hint = match namesakes.first() {
                Some(other) if namesakes.len() == 1 => format!("; there is one in namespace {other}: is it meant?"),
                Some(_) | None => String::new(),
            };
            missing.entry(name.to_string()).or_default().push((group.number, path, hint));
        }
    }
}

/// Whether the object lets this namespace refer to it.
fn admitted(group: &Group<'_>, path: &str, name: &Referent, known: &Known<'_>, set: &Set<'_>, findings: &mut Findings) {
    let from = &group.name.namespace;
    let labels = set.labels(from);
    let by_labels = known.allowed.is_some_and(|allowed| allowed.selector.is_some());
    // A selector can ask for a label to be absent: without the labels nothing can be told.
    let (allowed, unknown) = match &labels {
        None if by_labels => (None, true),
        None | Some(_) => (known.allowed, false),
    };
    if may_refer(from, &labels.unwrap_or_default(), name, allowed, set.grants.iter().copied()) {
        return;
    }
    if unknown {
        let message =
            format!("whether {name} allows it depends on the labels of namespace {from}, which these files do not declare");
        findings.warning(group.number, path, message);
        return;
    }
    let remedy = format!("allow it in its allowedNamespaces, or by a ReferenceGrant in namespace {}", name.namespace);
    let doubt = if findings.complete { "" } else { ", which may lie elsewhere" };
    findings.unless_elsewhere(
        group.number,
        path,
        format!("{name} does not allow references from namespace {from}: {remedy}{doubt}"),
    );
}

fn account(group: &Group<'_>, set: &Set<'_>, missing: &mut Missing) {
    let Some(name) = set.account_name(group) else { return };
    // With no account at all, the credentials of the process are the default one.
    if !matches!(set.account(&name), Found::Missing) || (name == DEFAULT_ACCOUNT && !set.has_accounts()) {
        return;
    }
    let hint = match &group.object.spec.account {
        Some(_) => String::new(),
        None if name == DEFAULT_ACCOUNT => {
            format!(
                "; name another in spec.account, or in the annotation {ACCOUNT_ANNOTATION} of namespace {}",
                group.name.namespace
            )
        }
        None => format!("; the annotation {ACCOUNT_ANNOTATION} of namespace {} names it", group.name.namespace),
    };
    missing.entry(format!("AwsAccount {name}")).or_default().push((group.number, "spec.account".to_owned(), hint));
}

/// One line for each thing that may be elsewhere, at the first place that refers to it; every place, where it can be nowhere.
fn tell(missing: Missing, findings: &mut Findings) {
    for (what, places) in missing {
        let more = places.len().saturating_sub(1);
        for (object, field, hint) in places {
            let others = match more {
                0 => String::new(),
                1 => " (referred to in 1 more place)".to_owned(),
                more => format!(" (referred to in {more} more places)"),
            };
            if findings.complete {
                findings.error(object, field, absent(&what, true, &hint));
            } else {
                findings.warning(object, field, format!("{}{others}", absent(&what, false, &hint)));
                break;
            }
        }
    }
}

fn absent(what: &str, complete: bool, hint: &str) -> String {
    let remedy =
        if complete { "declare it, or correct the name" } else { "if it is nowhere else either, declare it or correct the name" };
    format!("there is no {what} in these files: {remedy}{hint}")
}
