//! Who did it: events of `CloudTrail` read, kept and joined with drift (ec2.md §6).
//!
//! - `events`: each message of `cloudtrail/` and what is read from it, as a golden; every kind of caller;
//! - `fuzz`: the same messages, spoilt in every way;
//! - `join`: which event made a difference, as a table; `properties`: the same for any events at all; `people`: held against who
//!   really did it;
//! - `kept`: what is kept, and what goes first; `own`: our calls told from others'; `gone`: what no read of EC2 shows.

mod events;
mod fuzz;
mod gone;
mod join;
mod kept;
mod own;
mod people;
mod properties;

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use sgwarden::core::activity::{Becomes, Change, Event, EventName, Failure, Own, TagEdit, What, parse};
use sgwarden::core::model::{Atom, RuleId, SecurityGroupId};

/// The messages, beside this folder.
pub(crate) fn folder() -> PathBuf {
    let beside = Path::new(file!()).parent().unwrap().parent().unwrap().join("cloudtrail");
    if beside.is_absolute() { beside } else { Path::new(env!("CARGO_MANIFEST_DIR")).join(beside) }
}

/// Every message with its name, in the order of their names.
pub(crate) fn messages() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "json") && name != "identities.json" {
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    assert!(found.len() > 35, "only {} messages", found.len());
    found
}

pub(crate) fn message(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

pub(crate) const ROLE: &str = "arn:aws:iam::210987654321:role/warden/keeper";
pub(crate) const SESSION: &str = "arn:aws:sts::210987654321:assumed-role/keeper/sgwarden";

pub(crate) fn group() -> SecurityGroupId {
    "sg-7d0c5e91b3a24f680".parse().unwrap()
}

pub(crate) fn elsewhere() -> SecurityGroupId {
    "sg-1f2e3d4c5b6a79880".parse().unwrap()
}

pub(crate) fn rule(n: u8) -> RuleId {
    format!("sgr-5a5a5a5a5a5a5{n:04x}").parse().unwrap()
}

pub(crate) fn atom(text: &str) -> Atom {
    text.parse().unwrap()
}

/// So many seconds after six.
pub(crate) fn at(seconds: i64) -> Timestamp {
    "2027-01-05T06:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

pub(crate) fn own() -> Own {
    let mut own = Own::default();
    own.act_as(SESSION);
    own.sent("ours", at(0));
    own
}

/// An event to be changed: what somebody of this name did to the group, successfully.
pub(crate) fn event(id: &str, who: &str, seconds: i64, changes: Vec<Change>) -> Event {
    let mut event = parse(&message("10-authorize-console.json")).unwrap();
    event.id = id.into();
    event.request_id = Some(format!("request of {id}"));
    event.time = at(seconds);
    event.actor.name = who.into();
    event.actor.session = Some(who.into());
    event.actor.arn = Some(format!("arn:aws:sts::210987654321:assumed-role/ops/{who}"));
    event.actor.role_arn = None;
    event.name = match changes.first().map(|change| &change.what) {
        Some(What::Added) | None => EventName::AuthorizeSecurityGroupIngress,
        Some(What::Removed) => EventName::RevokeSecurityGroupIngress,
        Some(What::Modified(_)) => EventName::ModifySecurityGroupRules,
        Some(What::Described) => EventName::UpdateSecurityGroupRuleDescriptionsIngress,
        Some(What::Tagged(_)) => EventName::CreateTags,
        Some(What::Untagged(_)) => EventName::DeleteTags,
        Some(What::GroupCreated) => EventName::CreateSecurityGroup,
        Some(What::GroupDeleted) => EventName::DeleteSecurityGroup,
        Some(What::VpcAssociated(_)) => EventName::AssociateSecurityGroupVpc,
        Some(What::VpcDisassociated(_)) => EventName::DisassociateSecurityGroupVpc,
        Some(What::PrefixListChanged { list: _, version: _ }) => EventName::ModifyManagedPrefixList,
        Some(What::PrefixListDeleted(_)) => EventName::DeleteManagedPrefixList,
    };
    event.groups = changes.iter().filter_map(|change| change.group.clone()).collect();
    event.groups.sort();
    event.groups.dedup();
    event.rules = changes.iter().filter_map(|change| change.rule_id.clone()).collect();
    let list = |change: &Change| match &change.what {
        What::PrefixListChanged { list, version: _ } | What::PrefixListDeleted(list) => list.clone(),
        What::Added
        | What::Removed
        | What::Modified(_)
        | What::Described
        | What::Tagged(_)
        | What::Untagged(_)
        | What::GroupCreated
        | What::GroupDeleted
        | What::VpcAssociated(_)
        | What::VpcDisassociated(_) => None,
    };
    event.lists = changes.iter().filter_map(list).collect();
    event.account_wide = event.groups.is_empty() && event.lists.is_empty();
    event.changes = changes;
    event
}

/// The same, but AWS did not let them.
pub(crate) fn failing(mut event: Event, failure: Failure) -> Event {
    event.failure = Some(failure);
    event
}

fn change(id: Option<u8>, atom: Option<Atom>, what: What) -> Change {
    Change { rule_id: id.map(rule), atom, ..Change::new(Some(group()), what) }
}

pub(crate) fn added(id: Option<u8>, text: Option<&str>) -> Change {
    change(id, text.map(atom), What::Added)
}

pub(crate) fn removed(id: Option<u8>, text: Option<&str>) -> Change {
    change(id, text.map(atom), What::Removed)
}

pub(crate) fn described(id: Option<u8>, text: Option<&str>) -> Change {
    change(id, text.map(atom), What::Described)
}

pub(crate) fn modified(id: Option<u8>, into: Option<&str>) -> Change {
    let becomes = into.map(atom).map(|atom| Becomes { traffic: atom.traffic, peer: atom.peer, description: None });
    change(id, None, What::Modified(becomes))
}

/// The same change, which says what description the rule has by it.
pub(crate) fn as_text(change: Change, text: &str) -> Change {
    Change { description: Some(text.into()), ..change }
}

pub(crate) fn associated(vpc: &str) -> Change {
    change(None, None, What::VpcAssociated(Some(vpc.parse().unwrap())))
}

pub(crate) fn disassociated(vpc: &str) -> Change {
    change(None, None, What::VpcDisassociated(Some(vpc.parse().unwrap())))
}

/// Of a prefix list: it belongs to no group.
pub(crate) fn listed(list: &str, version: Option<i64>) -> Change {
    Change::new(None, What::PrefixListChanged { list: Some(list.parse().unwrap()), version })
}

pub(crate) fn tagged(key: &str, value: &str) -> Change {
    change(None, None, What::Tagged(Some(TagEdit { key: key.into(), value: Some(value.into()) })))
}

pub(crate) fn untagged(key: Option<&str>) -> Change {
    change(None, None, What::Untagged(key.map(|key| TagEdit { key: key.into(), value: None })))
}
