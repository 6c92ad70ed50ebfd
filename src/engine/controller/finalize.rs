//! The end of an object: delete its group, or let go of it, then let the object go.

use crate::api::{DeletionPolicy, Mode, Origin, SecurityGroupStatus};
use crate::core::model::{Observed, Region, SecurityGroupId};
use crate::core::plan::{self, Ownership, Plan};
use crate::core::status::{self, Reason, Standing};
use crate::engine::execute::{Executor, Failure};
use crate::ports::cloud::{Ec2, ErrorClass, GroupQuery};

use super::locate::{Located, locate};
use super::memory::Absence;
use super::reconcile::{Next, Pass};
use super::report;

/// What is to happen to the group.
enum Fate {
    Delete,
    Retain(&'static str),
}

/// Finishes an object that is being deleted. Everything it needs is in status: the spec may be unusable by now.
pub(super) async fn finalize(pass: &mut Pass<'_>) -> Next {
    let status = pass.object.status.clone().unwrap_or_default();
    let region = status.region.as_ref().and_then(|region| region.parse::<Region>().ok());
    let (Some(region), Fate::Delete) = (region, fate(pass)) else {
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
    let may_exist = status.group_id.is_some() || status.group_name.is_some();
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

fn fate(pass: &Pass<'_>) -> Fate {
    let spec = &pass.object.spec;
    let status = pass.object.status.as_ref();
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
            None if status.is_some_and(|status| status.group_id.is_none() && status.group_name.is_some()) => Fate::Delete,
            Some(_) | None => Fate::Retain("it was not created here"),
        },
        Err(_) => Fate::Retain("spec.deletionPolicy cannot be read"),
    }
}

async fn let_go(pass: &mut Pass<'_>, group: Option<&String>) -> Next {
    if let (Some(id), Fate::Retain(why)) = (group, fate(pass)) {
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
    let mut failure = carry_out(pass, ec2, &plan::plan_deletion(observed)).await;
    if is_in_use(failure.as_ref())
        && let Some(plan) = plan::plan_deletion_of_self_referring(observed)
        && nothing_else_holds(ec2, observed).await
    {
        failure = carry_out(pass, ec2, &plan).await;
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
        Some(Failure::Call(error)) if error.class == ErrorClass::Stale => Next::soon(pass.context.parts.timings.visible_poll),
        Some(Failure::Call(error)) => pass.cloud_failed(None, &ec2.region, &error).await,
        Some(Failure::NotVisible { missing: _ }) => Next::soon(pass.context.parts.timings.visible_poll),
    }
}

async fn carry_out(pass: &Pass<'_>, ec2: &Ec2, plan: &Plan) -> Option<Failure> {
    let parts = &pass.context.parts;
    let executor =
        Executor { ec2, audit: parts.audit.as_ref(), metrics: &parts.metrics, clock: &parts.clock, timings: &parts.timings };
    executor.execute(plan, &pass.subject()).await.failure
}

fn is_in_use(failure: Option<&Failure>) -> bool {
    matches!(failure, Some(Failure::Call(error)) if error.class == ErrorClass::InUse)
}

/// Whether rules of the group itself are all that holds it. What cannot be read counts as held.
async fn nothing_else_holds(ec2: &Ec2, observed: &Observed) -> bool {
    let id = &observed.group.id;
    let interfaces = ec2.read.interfaces(id).await;
    let referring = ec2.read.groups(&GroupQuery::Referring(id.clone())).await;
    interfaces.is_ok_and(|all| all.is_empty()) && referring.is_ok_and(|all| all.iter().all(|group| group.id == *id))
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
