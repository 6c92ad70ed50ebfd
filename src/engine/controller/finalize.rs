//! The end of an object: delete its group, or let go of it, then let the object go.

use std::collections::BTreeSet;

use crate::api::{DeletionPolicy, Mode, Origin, SecurityGroup, SecurityGroupStatus};
use crate::core::model::{Observed, Region, SecurityGroupId};
use crate::core::plan::{self, Ownership};
use crate::core::status::{self, Reason, Standing};
use crate::engine::execute::Failure;
use crate::ports::cloud::{Ec2, ErrorClass, GroupQuery};

use super::locate::{Located, locate};
use super::memory::Absence;
use super::reconcile::{Next, Pass};
use super::report;

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
    let status = pass.object.status.clone().unwrap_or_default();
    let region = status.region.as_ref().and_then(|region| region.parse::<Region>().ok());
    let (Some(region), Fate::Delete) = (region, fate(&pass.object)) else {
        return let_go(pass, status.group_id.as_ref()).await;
    };
    let ec2 = match pass.context.parts.connect.connect(&region).await {
        Ok(ec2) => ec2,
        Err(error) => return pass.cloud_failed(None, &region, &error).await,
    };
    if let Some(next) = pass.wrong_account(&ec2, None).await {
        return next;
    }
    let recorded = status::recorded_group(&status);
    match locate(&ec2, &pass.owner, recorded.as_ref(), None).await {
        Err(error) => pass.cloud_failed(None, &ec2.region, &error).await,
        Ok(Located::Found(observed)) => delete(pass, &ec2, &observed).await,
        Ok(Located::RecordedAbsent(_) | Located::Nowhere | Located::NameTaken(_)) => absent(pass, &status).await,
        Ok(Located::Ambiguous(ids)) => {
            let ids: Vec<&str> = ids.iter().map(SecurityGroupId::as_str).collect();
            let message = format!("{} all carry the tags of this object; remove them from all but one", ids.join(" and "));
            pass.stop(None, Reason::AmbiguousGroup, message).await
        }
    }
}

/// The group does not show. One read proves nothing: a group created moments ago would be left behind for good.
async fn absent(pass: &mut Pass<'_>, status: &SecurityGroupStatus) -> Next {
    let may_exist = status.group_id.is_some() || status.region.is_some();
    if may_exist {
        let now = pass.context.parts.clock.instant();
        if let Absence::Suspected { reads: _, pause } =
            pass.context.memories.absent(&pass.key, &pass.uid, now, &pass.context.parts.timings)
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
    if mode == Some(Mode::Observe) {
        return Fate::Retain("mode Observe writes nothing");
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
    if let (Some(id), Fate::Retain(why)) = (group, fate(&pass.object)) {
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

async fn delete(pass: &mut Pass<'_>, ec2: &Ec2, observed: &Observed) -> Next {
    let id = observed.group.id.clone();
    let recorded = pass.object.status.as_ref().and_then(status::recorded_group);
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
    let mut failure = pass.execute(ec2, &plan::plan_deletion(observed)).await.0.failure;
    if is_in_use(failure.as_ref())
        && let Some(partners) = dying_partners(pass, ec2, observed).await
        && let plan = plan::plan_deletion_of_cycle(observed, &partners)
        // Without rules to take out of the way, the same call would only be refused again.
        && plan.steps.len() > 1
    {
        failure = pass.execute(ec2, &plan).await.0.failure;
    }
    match failure {
        None => {
            let told = report::done(Reason::Deleted, format!("Deleted EC2 group {id}"));
            report::tell(pass.context, &pass.object, told).await;
            release(pass).await
        }
        Some(Failure::Call(error)) if error.class == ErrorClass::InUse => {
            let message =
                format!("EC2 does not delete group {id} while it is in use{}: {}", holders(ec2, observed).await, error.message);
            pass.finish(None, Standing::DeletionBlocked { message }, Next::failed()).await
        }
        // Gone meanwhile, or a rule of it is: the next look tells.
        Some(Failure::Call(error)) if error.class == ErrorClass::Stale => Next::failed(),
        Some(Failure::Call(error)) => pass.cloud_failed(None, &ec2.region, &error).await,
        Some(Failure::NotVisible { missing: _ } | Failure::Superseded) => Next::soon(pass.context.parts.timings.visible_poll),
    }
}

fn is_in_use(failure: Option<&Failure>) -> bool {
    matches!(failure, Some(Failure::Call(error)) if error.class == ErrorClass::InUse)
}

/// The other groups of a cycle that goes as a whole: they refer to this group, are being deleted too, and neither they nor this
/// one has an interface. `None` when anything else holds the group, or when that cannot be read.
async fn dying_partners(pass: &Pass<'_>, ec2: &Ec2, observed: &Observed) -> Option<BTreeSet<SecurityGroupId>> {
    let own = &observed.group.id;
    if !ec2.read.interfaces(own).await.ok()?.is_empty() {
        return None;
    }
    let mut partners = BTreeSet::new();
    for group in ec2.read.groups(&GroupQuery::Referring(own.clone())).await.ok()? {
        if group.id == *own {
            continue;
        }
        if !pass.context.is_going(&group.id) || !ec2.read.interfaces(&group.id).await.ok()?.is_empty() {
            return None;
        }
        partners.insert(group.id);
    }
    Some(partners)
}

/// Who holds the group, as far as it can be read.
async fn holders(ec2: &Ec2, observed: &Observed) -> String {
    let id = &observed.group.id;
    let mut held = String::new();
    if let Ok(interfaces) = ec2.read.interfaces(id).await {
        held.push_str(&some_of(", by interfaces ", interfaces.iter().map(|one| format!("{} ({})", one.id, one.used_by)).collect()));
    }
    if let Ok(referring) = ec2.read.groups(&GroupQuery::Referring(id.clone())).await {
        let others = referring.iter().filter(|group| group.id != *id);
        held.push_str(&some_of(", by rules of ", others.map(|group| format!("{} ({})", group.id, group.name)).collect()));
    }
    held
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
