//! What an object's status says after a pass: fields, conditions, drift records, and what people are told as Events.
//!
//! Entry points: [`build`] (the status), [`notices`] (the Events), [`track`] (the drift records), [`Reason`].
//!
//! Invariant: equal facts give an equal status, but for the times at which something changed: no write without news.
//! Invariant: conditions follow kstatus: `Reconciling`, `Stalled`, `Drifted` and `DeletionBlocked` are abnormal when True.

mod conditions;
mod drift;
mod notices;
mod reason;

pub use conditions::{Standing, keep_failure, settled_message};
pub use drift::{Tracking, applied_tags, cut, describe, evict, is_open, track};
pub use notices::{Told, notices};
pub use reason::Reason;

use jiff::Timestamp;

use crate::api::{DriftRecord, MAX_APPLIED_TAGS, MAX_PLAN_STEPS, MAX_TEXT, Mode, Origin, PlanSummary, Quota, SecurityGroupStatus};
use crate::core::desired::{Declaration, Desired};
use crate::core::model::{AccountId, DEFAULT_RULES_PER_GROUP, Observed, Region, SecurityGroupId, Tags, Vouched, VpcId};
use crate::core::plan::{self, Plan, Report};

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
    /// The mode in effect.
    pub mode: Mode,
    /// Where the group is: set once everything about it was looked up.
    pub place: Option<Place<'a>>,
    /// The desired state.
    pub desired: Option<&'a Desired>,
    /// The group as last read.
    pub observed: Option<&'a Observed>,
    /// What still differs, and how it would be put right.
    pub remaining: Option<(&'a Plan, &'a Report)>,
    /// The set we vouch for.
    pub vouched: Option<Vouched>,
    /// The drift records.
    pub drift: Vec<DriftRecord>,
    /// How the object stands.
    pub standing: Standing,
}

/// The status to be written.
pub fn build(facts: Facts<'_>) -> SecurityGroupStatus {
    let mut status = facts.previous.clone();
    status.observed_generation = Some(facts.generation);
    if let Some(declaration) = facts.declaration {
        status.mode = Some(facts.mode.into());
        if let Some(place) = facts.place {
            pin(&mut status, declaration, place);
        }
    }
    if let Some(observed) = facts.observed {
        status.group_id = Some(observed.group.id.to_string());
        status.arn.clone_from(&observed.group.arn);
        status.owner_id = Some(observed.group.owner.to_string());
        // The tag is foreign input, and anybody's to edit: it counts only where status says nothing.
        let tagged = observed.group.tags.get(plan::TAG_ORIGIN).and_then(|origin| Origin::parse(origin).ok());
        status.origin = status.origin.or(Some(tagged.unwrap_or(Origin::Created).into()));
        if let Some(desired) = facts.desired {
            let tags = applied_tags(facts.previous.tags.as_ref(), &desired.tags, &observed.group.tags);
            status.tags = Some(tags.into_iter().take(MAX_APPLIED_TAGS).collect());
        }
    }
    if let Some((plan, report)) = facts.remaining {
        status.rule_count = i32::try_from(report.live_declared).ok();
        if facts.desired.is_some() {
            status.quota = Some(quota(report));
        }
        let observing = facts.mode == Mode::Observe;
        status.plan = (observing && !plan.is_empty()).then(|| summarise(plan));
    }
    status.rules = facts.vouched.as_ref().map(Vouched::to_lines);
    status.drift = facts.drift;
    conditions::set(&mut status, &facts.standing, facts.generation, facts.now);
    status
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
    if !keep_place {
        status.account = None;
        status.owner_id = None;
        status.region = None;
    }
}

fn quota(report: &Report) -> Quota {
    let figure = |count: u32| i32::try_from(count).ok();
    Quota {
        ingress_ipv4: figure(report.quota.ingress.ipv4),
        ingress_ipv6: figure(report.quota.ingress.ipv6),
        egress_ipv4: figure(report.quota.egress.ipv4),
        egress_ipv6: figure(report.quota.egress.ipv6),
        limit: figure(DEFAULT_RULES_PER_GROUP),
    }
}

fn summarise(plan: &Plan) -> PlanSummary {
    let lines = plan::lines(plan);
    PlanSummary {
        hash: None,
        count: i32::try_from(lines.len()).ok(),
        steps: lines.iter().take(MAX_PLAN_STEPS).map(|line| cut(line, MAX_TEXT)).collect(),
    }
}

/// The set a status vouches for. `None`: no baseline, also when a line of it cannot be read.
pub fn baseline(status: &SecurityGroupStatus) -> Option<Vouched> {
    let lines = status.rules.as_ref()?;
    Vouched::from_lines(lines.iter().map(String::as_str)).ok()
}

/// The group a status records.
pub fn recorded_group(status: &SecurityGroupStatus) -> Option<SecurityGroupId> {
    status.group_id.as_ref()?.parse().ok()
}

/// The tags a status says we applied.
pub fn recorded_tags(status: &SecurityGroupStatus) -> Option<Tags> {
    status.tags.clone()
}
