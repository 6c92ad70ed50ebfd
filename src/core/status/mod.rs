//! What an object's status says after a pass: fields, conditions, drift records, and what people are told as Events.
//!
//! Entry points: [`build`] (the status of a group; [`build_account`], [`build_cidr_set`] and [`build_notifier`] those of the other
//! kinds), [`notices`] (the Events), [`track`] (the drift records), [`Reason`]. What the status remembers is read back by
//! [`approval`], [`baseline`] and their like.
//!
//! Invariant: equal facts give an equal status, but for the times at which something changed: no write without news.
//! Invariant: conditions follow kstatus: `Reconciling`, `Stalled`, `Drifted`, `Suspended`, `Limited`, `DeletionBlocked` and
//! `ClockSkewed` are abnormal when True.
//! Invariant: whatever people are to be told once leaves a trace in the status, so that a restart does not tell it again.

mod account;
mod approval;
mod cidr_set;
mod conditions;
mod deep;
mod drift;
mod edits;
mod expiry;
mod lists;
mod notices;
mod notifier;
mod outlook;
mod reason;
mod stance;
mod suspend;
mod transient;

pub use account::{AccountFacts, Credentials, EventsFacts, RegionFacts, Sweep, account_status_due, build_account};
pub use approval::{Pending, Wait, again, approval};
pub use cidr_set::{CidrSetFacts, build_cidr_set};
pub use conditions::{Standing, keep_failure};
pub use deep::{DeepView, note_association_changes};
pub use drift::{Tracking, applied_tags, cut, describe, evict, is_open, track, who};
pub use edits::edits;
pub use expiry::{Expiring, announces, next_news};
pub use lists::{ListChange, list_lines, note_list_changes, recorded_lists};
pub use notices::{Told, notices};
pub use notifier::{NotifierFacts, build_notifier, notifier_status_due};
pub use outlook::{HeldUp, settled_message};
pub use reason::Reason;
pub use suspend::SuspendedUntil;
pub use transient::{TransientEdit, note_transients};

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::api::{
    Approved, DriftRecord, EffectiveMode, MAX_APPLIED_TAGS, MAX_EXPIRED, MAX_EXPIRED_LINE, MAX_PIN, MAX_PINS, MAX_TAGS_BEGUN, Mode,
    Origin, Quota, SecurityGroupStatus, TAG_DIGEST, Usage,
};
use crate::core::desired::{Declaration, Desired, Policy, Problem};
use crate::core::model::{
    AccountId, DEFAULT_RULES_PER_GROUP, Direction, Observed, PrefixListId, PrefixListMark, Region, SecurityGroupId, Tags, Vouched,
    VpcId, Weight,
};
use crate::core::plan::{self, BegunTags, OverQuota, Plan, Report};

/// Where a group is, once everything about that was looked up.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name of the `AwsAccount`.
    pub name: &'a str,
    /// The account.
    pub account: &'a AccountId,
    /// The Region.
    pub region: &'a Region,
    /// The VPC.
    pub vpc: &'a VpcId,
}

/// How far sgwarden goes with a group now.
#[derive(Clone, Copy, Debug)]
pub struct Enforcement<'a> {
    /// What account, namespace and manifest allow.
    pub policy: &'a Policy,
    /// The suspend in effect, or remembered after its end.
    pub suspended: Option<&'a SuspendedUntil>,
    /// Where the account allows less than the manifest asks for: what, and what is in effect instead.
    pub overruled: &'a [String],
}

/// Everything a pass knows about its object when it writes the status. What it does not know stays as it was.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The object's generation.
    pub generation: i64,
    /// Now.
    pub now: Timestamp,
    /// The status before.
    pub previous: &'a SecurityGroupStatus,
    /// The manifest, if it could be used.
    pub declaration: Option<&'a Declaration>,
    /// How far sgwarden goes: set once the account is known.
    pub enforcement: Option<Enforcement<'a>>,
    /// Where the group is: set once everything about it was looked up.
    pub place: Option<Place<'a>>,
    /// The desired state.
    pub desired: Option<&'a Desired>,
    /// The group as last read.
    pub observed: Option<&'a Observed>,
    /// The group that was compared as if it were taken over, which mode Observe does not do.
    pub would_adopt: Option<&'a SecurityGroupId>,
    /// What still differs, and how it would be put right.
    pub remaining: Option<(&'a Plan, &'a Report)>,
    /// The plan that is told and not carried out.
    pub pending: Option<Pending<'a>>,
    /// What is desired does not fit: nothing but reverts was done.
    pub over_quota: Option<OverQuota>,
    /// Removals that the account's limit holds up.
    pub held_up: Option<HeldUp>,
    /// The most rules the group may have in a direction and family, as far as is known.
    pub rules_per_group: Option<u32>,
    /// The set we vouch for.
    pub vouched: Option<Vouched>,
    /// The drift records.
    pub drift: Vec<DriftRecord>,
    /// The edit that is made again as often as it is reverted.
    pub war: Option<&'a str>,
    /// The ids behind names in AWS, each a line for `status.pins`.
    pub pins: Option<&'a BTreeSet<String>>,
    /// The prefix lists that rules use, as this pass takes note of them. One that is noted for the first time is no news alone: a
    /// status of an older release has none.
    pub prefix_lists: Option<&'a BTreeMap<PrefixListId, PrefixListMark>>,
    /// What the last deep sweep showed of the group.
    pub deep: Option<&'a DeepView>,
    /// Names in AWS that stand for other ids than those they are pinned to, each in a sentence.
    pub moved: &'a [String],
    /// Expiries that were acted on, each a line for `status.expired`.
    pub expired: Option<&'a BTreeSet<String>>,
    /// What is going to expire.
    pub expiring: Option<&'a Expiring>,
    /// The approval under which the plan is carried out; see [`approval`].
    pub approved: Option<Approved>,
    /// Who uses the group. Alone it is no news, and is not written.
    pub usage: Option<Usage>,
    /// The object's uid. Alone it is no news either: a status of an older release has none.
    pub uid: Option<&'a str>,
    /// How the object stands.
    pub standing: Standing,
}

impl<'a> Facts<'a> {
    /// Facts of a pass that knows nothing but how the object stands. The set we vouch for and the drift records have to be set: without
    /// them there are none.
    pub fn of(previous: &'a SecurityGroupStatus, generation: i64, now: Timestamp, standing: Standing) -> Self {
        Self {
            generation,
            now,
            previous,
            declaration: None,
            enforcement: None,
            place: None,
            desired: None,
            observed: None,
            would_adopt: None,
            remaining: None,
            pending: None,
            over_quota: None,
            held_up: None,
            rules_per_group: None,
            vouched: None,
            drift: Vec::new(),
            war: None,
            pins: None,
            prefix_lists: None,
            deep: None,
            moved: &[],
            expired: None,
            expiring: None,
            approved: None,
            usage: None,
            uid: None,
            standing,
        }
    }
}

/// The status to be written.
pub fn build(mut facts: Facts<'_>) -> SecurityGroupStatus {
    let mut status = facts.previous.clone();
    status.observed_generation = Some(facts.generation);
    if let Some(enforcement) = &facts.enforcement {
        status.mode = Some(effective_mode(enforcement, &facts).into());
        status.suspended_since = enforcement.suspended.map(|suspended| suspended.since.to_string());
        status.suspended_until = enforcement.suspended.map(|suspended| suspended.until.to_string());
    }
    if let (Some(declaration), Some(place)) = (facts.declaration, facts.place) {
        pin(&mut status, declaration, place);
    }
    if let Some(observed) = facts.observed {
        see(&mut status, observed, &facts);
    }
    if let Some((_, report)) = facts.remaining {
        status.rule_count = i32::try_from(report.live_declared).ok();
        status.tags_begun = tags_begun(&status).and_then(|begun| in_status(&begun.outstanding(report)));
        status.plan = None;
    }
    if let (Some(desired), Some(_)) = (facts.desired, facts.remaining) {
        status.quota = Some(quota(desired, facts.rules_per_group));
    }
    if let Some(pending) = facts.pending {
        status.plan = Some(approval::summarise(pending));
    }
    approve(&mut status, &facts);
    let bounded =
        |lines: &BTreeSet<String>, most: usize, longest: usize| lines.iter().take(most).map(|line| cut(line, longest)).collect();
    if let Some(pins) = facts.pins {
        status.pins = bounded(pins, MAX_PINS, MAX_PIN);
    }
    if let Some(expired) = facts.expired {
        status.expired = bounded(expired, MAX_EXPIRED, MAX_EXPIRED_LINE);
    }
    if let Some(expiring) = facts.expiring {
        status.expiring = expiry::soon(expiring, facts.now);
    }
    if let Some(deep) = facts.deep {
        deep.tell(&mut status);
    }
    status.rules = facts.vouched.as_ref().map(Vouched::to_lines);
    status.drift = std::mem::take(&mut facts.drift);
    conditions::set(&mut status, &facts);
    let lists = facts.prefix_lists.map(list_lines);
    let outdated = lists.as_ref().is_some_and(|lines| status.prefix_lists.iter().any(|line| !lines.contains(line)));
    if status != *facts.previous || outdated {
        status.prefix_lists = lists.unwrap_or(status.prefix_lists);
        status.vpc_associations = facts.deep.and_then(|deep| deep.associations.clone()).or(status.vpc_associations);
        status.usage = facts.usage.or(status.usage);
        status.uid = facts.uid.map(str::to_owned).or(status.uid);
    }
    status
}

fn effective_mode(enforcement: &Enforcement<'_>, facts: &Facts<'_>) -> EffectiveMode {
    // A pass that did not get to its end does not know whether changes still wait.
    let waited = facts.previous.mode.as_deref() == Some(EffectiveMode::AwaitingApproval.as_str());
    let waits = match facts.remaining {
        Some(_) => facts.pending.is_some_and(|pending| pending.wait.is_some()),
        None => waited && facts.approved.is_none(),
    };
    if enforcement.policy.mode == Mode::Observe {
        EffectiveMode::Observe
    } else if enforcement.suspended.is_some_and(|suspended| suspended.in_effect(facts.now)) {
        EffectiveMode::Suspended
    } else if waits {
        EffectiveMode::AwaitingApproval
    } else {
        EffectiveMode::Enforce
    }
}

/// What a look at the group tells about it.
fn see(status: &mut SecurityGroupStatus, observed: &Observed, facts: &Facts<'_>) {
    let id = observed.group.id.to_string();
    if status.group_id.as_ref().is_some_and(|known| *known != id) {
        // They are another group's.
        status.vpc_associations = None;
        status.stale_rules = Vec::new();
    }
    status.group_id = Some(id);
    status.arn.clone_from(&observed.group.arn);
    status.owner_id = Some(observed.group.owner.to_string());
    // It counts only where status says nothing. Without it a group that is to be taken over is one that was there before, and of
    // any other it is not known: such a group outlives its object.
    let tagged = origin_of(&observed.group.tags);
    let adopting = facts.declaration.is_some_and(|declaration| declaration.adopt.is_some());
    let origin = tagged.or(adopting.then_some(Origin::Adopted));
    status.origin = status.origin.take().or(origin.map(Into::into));
    if let Some(desired) = facts.desired {
        let (begun, live) = (tags_begun(facts.previous).unwrap_or_default(), &observed.group.tags);
        let before = facts.previous.tags.as_ref().map(|applied| begun.applied(applied, live));
        let tags = applied_tags(before.as_ref(), &desired.tags, live);
        status.tags = Some(tags.into_iter().take(MAX_APPLIED_TAGS).collect());
    }
}

/// An approval is noted before its plan is carried out, and spent when that is done.
fn approve(status: &mut SecurityGroupStatus, facts: &Facts<'_>) {
    if let Some(approved) = &facts.approved {
        status.approved = Some(Approved { generation: None, ..approved.clone() });
    }
    if let (Some(approved), Standing::Done) = (&mut status.approved, &facts.standing) {
        approved.generation = approved.generation.or(Some(facts.generation));
    }
}

/// Fixes what EC2 fixes at creation. The first pass that looked everything up decides, later ones agree or are refused.
fn pin(status: &mut SecurityGroupStatus, declaration: &Declaration, place: Place<'_>) {
    let Place { name, account, region, vpc } = place;
    let fix = |slot: &mut Option<String>, value: String| {
        slot.get_or_insert(value);
    };
    fix(&mut status.account, name.to_owned());
    fix(&mut status.owner_id, account.to_string());
    fix(&mut status.region, region.to_string());
    fix(&mut status.vpc_id, vpc.to_string());
    fix(&mut status.group_name, declaration.group_name.clone());
    fix(&mut status.description, declaration.description.clone());
}

/// Lets go of what was pinned for a group that was never created, so that the manifest can be corrected. With `keep_place`,
/// account and Region stay: a group of ours may exist there all the same, and its deletion has to look for it.
pub fn unpin(status: &mut SecurityGroupStatus, keep_place: bool) {
    if status.group_id.is_some() {
        return;
    }
    status.vpc_id = None;
    status.group_name = None;
    status.description = None;
    status.rules = None;
    status.vpc_associations = None;
    if !keep_place {
        status.account = None;
        status.owner_id = None;
        status.region = None;
    }
}

fn quota(desired: &Desired, rules_per_group: Option<u32>) -> Quota {
    let figure = |count: u32| i32::try_from(count).ok();
    let of = |direction| Weight::of_all(desired.rules.iter().map(|(atom, _)| atom), direction, &desired.weights);
    let (ingress, egress) = (of(Direction::Ingress), of(Direction::Egress));
    Quota {
        ingress_ipv4: figure(ingress.ipv4),
        ingress_ipv6: figure(ingress.ipv6),
        egress_ipv4: figure(egress.ipv4),
        egress_ipv6: figure(egress.ipv6),
        limit: figure(rules_per_group.unwrap_or(DEFAULT_RULES_PER_GROUP)),
    }
}

/// What is wrong with a manifest, the first ten of it in one sentence each.
pub fn problems_message(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().take(10).map(ToString::to_string).collect();
    let more = problems.len().saturating_sub(lines.len());
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{rest}", lines.join("; "))
}

/// Times in status have whole seconds, as conditions do.
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Whether a status was written for this object, and not for an earlier one of its name with which it was restored.
pub fn is_written_for(status: &SecurityGroupStatus, uid: &str) -> bool {
    status.uid.as_deref().is_none_or(|written| written == uid)
}

/// The set a status vouches for. `None`: no baseline, also when a line of it cannot be read.
pub fn baseline(status: &SecurityGroupStatus) -> Option<Vouched> {
    let lines = status.rules.as_ref()?;
    Vouched::from_lines(lines.iter().map(String::as_str)).ok()
}

/// The changes of tags that a status says were begun.
pub fn tags_begun(status: &SecurityGroupStatus) -> Option<BegunTags> {
    let digits: Vec<char> = status.tags_begun.as_deref()?.chars().collect();
    Some(BegunTags::of(digits.chunks(TAG_DIGEST).map(|digest| digest.iter().collect())))
}

/// The changes of tags that are to be in status before `plan` writes.
pub fn tags_begun_before(status: &SecurityGroupStatus, plan: &Plan, report: &Report) -> Option<String> {
    in_status(&tags_begun(status).unwrap_or_default().before(plan, report))
}

fn in_status(begun: &BegunTags) -> Option<String> {
    Some(begun.digests().take(MAX_TAGS_BEGUN).collect()).filter(|text: &String| !text.is_empty())
}

/// What holds changes or reverts back: approval, limits, wars, suspends.
pub const RESTRAINTS: [Reason; 6] = [
    Reason::AwaitingApproval,
    Reason::MassChange,
    Reason::RevocationLimit,
    Reason::RevertWar,
    Reason::QuotaExceeded,
    Reason::Suspended,
];

/// Whether a group is held back for this reason.
pub fn is_restrained(status: &SecurityGroupStatus, reason: Reason) -> bool {
    let of = |known: &str| known == reason.as_str() || (reason == Reason::Suspended && known == Reason::SuspendEndsSoon.as_str());
    status.conditions.iter().any(|condition| of(&condition.reason))
}

/// The group a status records.
pub fn recorded_group(status: &SecurityGroupStatus) -> Option<SecurityGroupId> {
    status.group_id.as_ref()?.parse().ok()
}

/// How a group came to us, as its tag tells: foreign input, and anybody's to edit.
pub fn origin_of(tags: &Tags) -> Option<Origin> {
    tags.get(plan::TAG_ORIGIN).and_then(|origin| Origin::parse(origin).ok())
}

/// The tags a status says we applied.
pub fn recorded_tags(status: &SecurityGroupStatus) -> Option<Tags> {
    status.tags.clone()
}
