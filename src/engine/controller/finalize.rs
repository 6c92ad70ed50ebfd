//! The end of an object: delete its group, or let go of it, then let the object go.

use std::collections::BTreeSet;

use crate::api::{DeletionPolicy, Mode, Origin, SecurityGroup, SecurityGroupStatus, Usage};
use crate::core::model::{GroupFacts, Observed, Region, SecurityGroupId};
use crate::core::plan::{self, Ownership};
use crate::core::status::{self, Reason, Standing};
use crate::engine::execute::Failure;
use crate::ports::cloud::{ASSUME_ROLE, CloudError, Ec2Read, ErrorClass, GroupQuery, Interface};
use crate::ports::spans;

use super::locate::{Located, locate};
use super::memory::Absence;
use super::pass::{Next, Pass};
use super::report;
use super::site::{Site, Unreachable, find_account};

/// Name of the group that every VPC has and EC2 does not delete.
const DEFAULT_GROUP: &str = "default";

/// Whether an object goes and takes its group with it.
pub(super) fn takes_its_group(object: &SecurityGroup) -> bool {
    object.metadata.deletion_timestamp.is_some() && matches!(fate(object), Fate::Delete)
}

/// What is to happen to the group.
enum Fate {
    Delete,
    Retain(&'static str),
}

/// Finishes an object that is being deleted. Everything it needs is in status: the spec may be unusable by now.
pub(super) async fn finalize(pass: &mut Pass<'_>) -> Next {
    let status = pass.status();
    let region = status.region.as_ref().and_then(|region| region.parse::<Region>().ok());
    let (Some(region), Fate::Delete) = (region, fate(&pass.object)) else {
        return let_go(pass, status.group_id.as_ref()).await;
    };
    let site = match reach(pass, &status, &region).await {
        Ok(site) => site,
        Err(next) => return next,
    };
    spans::is_in(site.worker.account(), site.region());
    if let Some(next) = pass.wrong_account(&site, None).await {
        return next;
    }
    pass.look_for_suspend(&site);
    if pass.is_suspended() {
        return retain(pass, status.group_id.as_ref(), "reverts and deletions are suspended").await;
    }
    if site.account.mode == Mode::Observe {
        return retain(pass, status.group_id.as_ref(), "its account is in mode Observe, which writes nothing").await;
    }
    let recorded = status::recorded_group(&status);
    match locate(&site.worker, &pass.owner, recorded.as_ref(), None).await {
        Err(error) => call_failed(pass, site.region(), &error).await,
        Ok(Located::Found(listed)) => match site.worker.observe(&listed.group.id).await {
            Ok(Some(observed)) => {
                pass.context.memories.with_account(&pass.key, &pass.uid);
                spans::is_of(&listed.group.id);
                delete(pass, &site, &observed).await
            }
            Ok(None) => absent(pass, &status).await,
            Err(error) => call_failed(pass, site.region(), &error).await,
        },
        Ok(
            Located::RecordedAbsent(_)
            | Located::Nowhere
            | Located::NameTaken(_)
            | Located::Adoptable(_)
            | Located::NothingToAdopt(_),
        ) => absent(pass, &status).await,
        Ok(Located::Ambiguous(ids)) => {
            let ids: Vec<&str> = ids.iter().map(SecurityGroupId::as_str).collect();
            let message = format!("{} all carry the tags of this object; remove them from all but one", ids.join(" and "));
            pass.stop(None, Reason::AmbiguousGroup, message).await
        }
    }
}

/// The way to the group. An account that is gone, or forbids the namespace, is waited for; after an hour the group is let go of.
async fn reach(pass: &mut Pass<'_>, status: &SecurityGroupStatus, region: &Region) -> Result<Site, Next> {
    let name = status.account.clone().unwrap_or_else(|| crate::api::DEFAULT_ACCOUNT.to_owned());
    let account = find_account(pass.context, &name).and_then(|account| {
        if pass.context.admits(&account, &pass.key.namespace) {
            return Ok(account);
        }
        let message = format!("namespace {} may not use account {name} any more", pass.key.namespace);
        Err(Unreachable::Refused(Reason::NamespaceNotAllowed, message))
    });
    let reached = match account {
        Ok(account) => Site::reach(pass.context, account, region).await,
        Err(unreachable) => Err(unreachable),
    };
    match reached {
        Ok(site) => Ok(site),
        Err(Unreachable::Cloud(region, error)) => Err(call_failed(pass, &region, &error).await),
        Err(Unreachable::Refused(reason, message)) => match let_go_in_time(pass, &message).await {
            Some(next) => Err(next),
            None => Err(pass.stop(None, reason, format!("the group cannot be deleted: {message}")).await),
        },
    }
}

/// A call failed. A role that may not be assumed any more is an account that is gone, as far as can be told.
async fn call_failed(pass: &mut Pass<'_>, region: &Region, error: &CloudError) -> Next {
    let refused = error.class == ErrorClass::Credentials && error.operation == ASSUME_ROLE;
    if refused && let Some(next) = let_go_in_time(pass, &error.explain(region)).await {
        return next;
    }
    pass.cloud_failed(None, region, error).await
}

/// The account cannot be used. `Some`: not for so long that the group is let go of.
async fn let_go_in_time(pass: &mut Pass<'_>, why: &str) -> Option<Next> {
    let parts = &pass.context.parts;
    let waited = pass.context.memories.without_account(&pass.key, &pass.uid, parts.clock.instant());
    if waited < parts.timings.account_grace {
        return None;
    }
    let group = pass.status().group_id;
    Some(retain(pass, group.as_ref(), why).await)
}

/// The group does not show. One read proves nothing: a group created moments ago would be left behind for good.
async fn absent(pass: &mut Pass<'_>, status: &SecurityGroupStatus) -> Next {
    let may_exist = status.group_id.is_some() || status.region.is_some();
    if may_exist {
        let now = pass.context.parts.clock.instant();
        if let Absence::Suspected { reads: _, pause } =
            pass.context.memories.absent(&pass.key, &pass.uid, pass.is_settled(), now, &pass.context.parts.timings)
        {
            return Next::soon(pause);
        }
    }
    release(pass).await
}

fn fate(object: &SecurityGroup) -> Fate {
    let spec = &object.spec;
    let status = object.status.as_ref();
    // A word nobody knows must not delete anything.
    let Ok(mode) = spec.mode() else { return Fate::Retain("spec.enforcement.mode cannot be read") };
    // The mode in effect may come from the account.
    let observed = status.and_then(|status| status.mode.as_deref()) == Some(Mode::Observe.as_str());
    if mode == Some(Mode::Observe) || (mode.is_none() && observed) {
        return Fate::Retain("mode Observe writes nothing");
    }
    if status.and_then(|status| status.group_name.as_deref()) == Some(DEFAULT_GROUP) {
        return Fate::Retain("it is the default group of its VPC, which EC2 does not delete");
    }
    match spec.deletion_policy() {
        Ok(Some(DeletionPolicy::Delete)) => Fate::Delete,
        Ok(Some(DeletionPolicy::Retain)) => Fate::Retain("spec.deletionPolicy is Retain"),
        Ok(None) => match status.and_then(|status| status.origin.as_deref()) {
            Some(origin) if origin == Origin::Created.as_str() => Fate::Delete,
            // Pinned but not recorded: we may have created it a moment ago.
            None if status.is_some_and(|status| status.group_id.is_none() && status.region.is_some()) => Fate::Delete,
            Some(_) | None => Fate::Retain("it was not created here"),
        },
        Err(_) => Fate::Retain("spec.deletionPolicy cannot be read"),
    }
}

async fn let_go(pass: &mut Pass<'_>, group: Option<&String>) -> Next {
    match fate(&pass.object) {
        Fate::Retain(why) => retain(pass, group, why).await,
        Fate::Delete => release(pass).await,
    }
}

async fn retain(pass: &mut Pass<'_>, group: Option<&String>, why: &str) -> Next {
    if let Some(id) = group {
        let told = report::done(Reason::Retained, format!("EC2 group {id} stays: {why}"));
        report::tell(pass.context, &pass.object, told).await;
    }
    release(pass).await
}

async fn release(pass: &mut Pass<'_>) -> Next {
    match pass.context.parts.objects.remove_finalizer(&pass.object).await {
        Ok(()) => Next::on_change(),
        Err(error) => pass.store_failed(&error),
    }
}

async fn delete(pass: &mut Pass<'_>, site: &Site, observed: &Observed) -> Next {
    let id = observed.group.id.clone();
    let recorded = status::recorded_group(&pass.status());
    let claimant = match pass.owner.judge(&observed.group.tags) {
        Ownership::Ours | Ownership::Reclaimed { former_uid: _ } => None,
        Ownership::Stripped if recorded.as_ref() == Some(&id) => None,
        Ownership::Stripped => Some("nobody".to_owned()),
        Ownership::Foreign { claimant } => Some(claimant),
    };
    if let Some(claimant) = claimant {
        let note = format!("EC2 group {id} stays: it carries the tags of {claimant}");
        let told = status::Told { warning: true, ..report::done(Reason::OwnershipConflict, note) };
        report::tell(pass.context, &pass.object, told).await;
        return release(pass).await;
    }
    pass.context.memories.present(&pass.key, &pass.uid);
    let mut failure = pass.execute(site, &plan::plan_deletion(observed), (Some(observed), None), false).await.0.failure;
    if is_in_use(failure.as_ref())
        && let Some(partners) = dying_partners(pass, site, observed).await
        && let plan = plan::plan_deletion_of_cycle(observed, &partners)
        // Without rules to take out of the way, the same call would only be refused again.
        && plan.steps.len() > 1
    {
        failure = pass.execute(site, &plan, (Some(observed), None), false).await.0.failure;
    }
    match failure {
        None => {
            let told = report::done(Reason::Deleted, format!("Deleted EC2 group {id}"));
            report::tell(pass.context, &pass.object, told).await;
            release(pass).await
        }
        Some(Failure::Call(error)) if error.class == ErrorClass::InUse => blocked(pass, site, &id, &error.message).await,
        // Gone meanwhile, or a rule of it is: the next look tells.
        Some(Failure::Call(error)) if error.class == ErrorClass::Stale => Next::failed(),
        Some(Failure::Call(error)) => call_failed(pass, site.region(), &error).await,
        Some(Failure::NotVisible { missing: _ } | Failure::Superseded) => Next::soon(pass.context.parts.timings.visible_poll),
    }
}

/// Something holds the group: say who, and leave its rules alone.
async fn blocked(pass: &mut Pass<'_>, site: &Site, id: &SecurityGroupId, why: &str) -> Next {
    let Holders { interfaces, referrers, associations, unread } = holders(site, id).await;
    let by_interfaces = interfaces.as_ref().map(|all| all.iter().map(|one| format!("{} ({})", one.id, one.used_by)).collect());
    let held = some_of(", by interfaces ", by_interfaces.unwrap_or_default())
        + &some_of(", by rules of ", referrers.clone().unwrap_or_default())
        + &some_of(", by associations with ", associations.unwrap_or_default());
    let unread: Vec<String> = unread.iter().map(|error| error.explain(site.region())).collect();
    let unread =
        if unread.is_empty() { String::new() } else { format!("; not all that may hold it can be read: {}", unread.join("; ")) };
    let message = format!("EC2 does not delete group {id} while it is in use{held}: {why}{unread}");
    let previous = pass.status();
    let mut next = pass.failed_status(&previous, None, Standing::DeletionBlocked { message });
    let count = |found: Option<usize>| found.and_then(|count| i32::try_from(count).ok());
    next.usage = Some(Usage {
        network_interfaces: count(interfaces.as_ref().map(Vec::len)),
        referenced_by: count(referrers.as_ref().map(Vec::len)),
    });
    pass.store(next).await.unwrap_or_else(Next::failed)
}

fn is_in_use(failure: Option<&Failure>) -> bool {
    matches!(failure, Some(Failure::Call(error)) if error.class == ErrorClass::InUse)
}

/// Everybody who holds the group, and who holds those, where all of them are being deleted and nothing uses any: then no
/// rule among them allows anybody anything, and each takes its own out of the others' way. In a ring of three nobody has a rule
/// that names who refers to it, so that the whole ring has to be known. `None` when anything else holds one of them, or when that
/// cannot be read.
async fn dying_partners(pass: &Pass<'_>, site: &Site, observed: &Observed) -> Option<BTreeSet<SecurityGroupId>> {
    let own = &observed.group.id;
    let read = site.worker.reader();
    if !is_unused(read.as_ref(), own).await? {
        return None;
    }
    let mut partners = BTreeSet::from([own.clone()]);
    let mut unread = vec![own.clone()];
    while let Some(held) = unread.pop() {
        for group in read.groups(&GroupQuery::Referring(held)).await.ok()? {
            if partners.contains(&group.id) {
                continue;
            }
            if !pass.context.is_going(&group.id) || !is_unused(read.as_ref(), &group.id).await? {
                return None;
            }
            partners.insert(group.id.clone());
            unread.push(group.id);
        }
    }
    Some(partners)
}

/// Whether no interface has the group and no other VPC may use it; `None`: that cannot be read.
async fn is_unused(read: &dyn Ec2Read, id: &SecurityGroupId) -> Option<bool> {
    let lent = read.vpc_associations(std::slice::from_ref(id)).await.ok()?;
    Some(lent.is_empty() && read.interfaces(id).await.ok()?.is_empty())
}

/// Who holds a group, as far as it can be read.
struct Holders {
    interfaces: Option<Vec<Interface>>,
    referrers: Option<Vec<String>>,
    associations: Option<Vec<String>>,
    /// Why not all of it can.
    unread: Vec<CloudError>,
}

async fn holders(site: &Site, id: &SecurityGroupId) -> Holders {
    let read = site.worker.reader();
    let mut unread = Vec::new();
    let interfaces = read.interfaces(id).await.map_err(|error| unread.push(error)).ok();
    let referring = read.groups(&GroupQuery::Referring(id.clone())).await.map_err(|error| unread.push(error)).ok();
    let lent = read.vpc_associations(std::slice::from_ref(id)).await.map_err(|error| unread.push(error)).ok();
    let name = |group: GroupFacts| format!("{} ({})", group.id, group.name);
    Holders {
        interfaces,
        referrers: referring.map(|all| all.into_iter().filter(|group| group.id != *id).map(name).collect()),
        associations: lent.map(|lent| lent.into_values().flatten().map(|(vpc, state)| format!("{vpc} ({state})")).collect()),
        unread,
    }
}

/// The first few of a list, behind what they are; nothing for an empty one.
fn some_of(what: &str, mut names: Vec<String>) -> String {
    names.sort();
    let shown: Vec<String> = names.iter().take(5).cloned().collect();
    match (shown.is_empty(), names.len().saturating_sub(shown.len())) {
        (true, _) => String::new(),
        (false, 0) => format!("{what}{}", shown.join(", ")),
        (false, more) => format!("{what}{} and {more} more", shown.join(", ")),
    }
}
