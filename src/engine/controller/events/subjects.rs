//! What an event is about: the objects that have to be looked at for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api::{SecurityGroup, SecurityGroupStatus};
use crate::core::activity::{Event, What};
use crate::core::attribution::groups;
use crate::core::model::{AccountId, PrefixListId, Region, SecurityGroupId};
use crate::core::status::{recorded_group, recorded_lists};
use crate::engine::region::Worker;
use crate::ports::cloud::{CloudError, VpcQuery};
use crate::ports::objects::Key;

use super::super::context::Context;

/// An object and its group.
pub(super) type Subject = (Key, SecurityGroupId);

/// The objects whose groups an event is about. After a start the workers do not know them all; then the objects say. They also
/// know which group of theirs was deleted, when there is another in its place.
pub(super) fn of_groups(context: &Context, workers: &[Arc<Worker>], event: &Event) -> BTreeSet<Subject> {
    let held = |group: &SecurityGroupId| -> Vec<Subject> {
        workers.iter().flat_map(|worker| worker.holders(group)).map(|key| (key, group.clone())).collect()
    };
    let known: BTreeSet<Subject> = event.groups.iter().flat_map(held).collect();
    if !known.is_empty() || event.groups.is_empty() {
        return known;
    }
    let former = |group: &SecurityGroupId, status: &SecurityGroupStatus| {
        status.drift.iter().any(|record| groups(group, record).iter().any(|group| event.groups.contains(group)))
    };
    recorded(context, |group, status| event.groups.contains(group) || former(group, status))
}

/// The objects with rules whose peers are prefix lists that an event changed.
pub(super) fn of_lists(context: &Context, workers: &[Arc<Worker>], event: &Event) -> BTreeSet<Subject> {
    let lists: BTreeSet<&PrefixListId> = event.changes.iter().filter_map(|change| changed_list(&change.what)).collect();
    if lists.is_empty() {
        return BTreeSet::new();
    }
    let users: BTreeSet<Key> = workers.iter().flat_map(|worker| lists.iter().flat_map(|list| worker.users(list))).collect();
    // Who has not looked yet in this process is known by what the one before wrote down.
    let noted = |status: &SecurityGroupStatus| recorded_lists(status).keys().any(|list| lists.contains(list));
    let mut all = recorded(context, |_, status| noted(status));
    all.extend(users.into_iter().filter_map(|key| {
        let group = recorded_group(context.look_up(&key)?.status.as_ref()?)?;
        Some((key, group))
    }));
    all
}

/// The prefix list that a change changed.
pub(super) fn changed_list(what: &What) -> Option<&PrefixListId> {
    match what {
        What::PrefixListChanged { list, version: _ } => list.as_ref(),
        What::PrefixListDeleted(_)
        | What::Added
        | What::Removed
        | What::Modified(_)
        | What::Described
        | What::Tagged(_)
        | What::Untagged(_)
        | What::GroupCreated
        | What::GroupDeleted
        | What::VpcAssociated(_)
        | What::VpcDisassociated(_) => None,
    }
}

/// The group of ours that is meant where a call says a name alone: EC2 takes that for a group of the default VPC. `None`: none of
/// ours is.
pub(super) async fn named_group(
    context: &Context,
    worker: &Worker,
    event: &Event,
    name: &str,
) -> Result<Option<SecurityGroupId>, CloudError> {
    let found = worker.vpcs(&VpcQuery::Default).await?;
    let [vpc] = found.as_slice() else { return Ok(None) };
    let is_meant = |status: &SecurityGroupStatus| {
        status.vpc_id.as_deref() == Some(vpc.id.as_str())
            && status.group_name.as_deref() == Some(name)
            && is_in(status, &event.account, &event.region)
    };
    let meant: BTreeSet<SecurityGroupId> =
        recorded(context, |_, status| is_meant(status)).into_iter().map(|(_, group)| group).collect();
    // A name is unique in a VPC. Where two objects say otherwise, one of them speaks of a group that is gone.
    Ok(if meant.len() == 1 { meant.into_iter().next() } else { None })
}

fn is_in(status: &SecurityGroupStatus, account: &AccountId, region: &Region) -> bool {
    status.owner_id.as_deref() == Some(account.as_str()) && status.region.as_deref() == Some(region.as_str())
}

/// Objects by what their status says.
fn recorded(context: &Context, is_wanted: impl Fn(&SecurityGroupId, &SecurityGroupStatus) -> bool) -> BTreeSet<Subject> {
    let subject = |object: &SecurityGroup| {
        let status = object.status.as_ref()?;
        let group = recorded_group(status).filter(|group| is_wanted(group, status))?;
        Some((Key::of(&object.metadata)?, group))
    };
    let objects = context.stores.groups.state();
    objects.iter().filter_map(|object| subject(object.0.as_ref().ok()?)).collect()
}
