//! The status of an `AwsAccount`: whether its credentials are good, its Regions are looked at, and the clocks agree.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::conditions::{CLOCK_SKEWED, CREDENTIALS_VALID, DELETION_BLOCKED, EVENTS_HEALTHY, READY, SWEEP_HEALTHY};
use crate::api::{AwsAccountStatus, RegionStatus};
use crate::core::desired::Problem;
use crate::core::model::Region;

use super::conditions::{Draft, draft, finish, not_ready, unseen};
use super::reason::Reason;
use super::{problems_message, whole_second};

/// The most Regions a status takes, as its schema says.
const MAX_REGIONS: usize = 40;
/// From this difference of the clocks on, EC2's is gone by.
const SKEWED: Duration = Duration::from_secs(30);
/// As many sweep intervals without a sweep, and something is wrong.
const OVERDUE: i32 = 3;
/// News is written no more often than this.
const NEWS: SignedDuration = SignedDuration::from_mins(1);
/// Times alone are written no more often than this.
const TIMES: SignedDuration = SignedDuration::from_mins(5);

/// What AWS says of the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Not asked yet.
    Unknown,
    /// They are good, and of the account that the spec names.
    Valid,
    /// They are not.
    Failed {
        /// Why, from the closed list.
        reason: Reason,
        /// Why, in words.
        message: String,
    },
}

/// How the events of an account arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsFacts {
    /// No queue was asked yet.
    Unknown,
    /// All queues answer.
    Healthy,
    /// Something is wrong.
    Failed(Reason, String),
}

/// A look at all groups of a Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// When it ended.
    pub at: Timestamp,
    /// Groups seen.
    pub groups: usize,
    /// Groups kept.
    pub managed: usize,
    /// Rules of the groups kept.
    pub rules: usize,
    /// Groups that drifted and are not put right yet.
    pub drifted: usize,
    /// Stale rules of the groups kept, where a deep sweep has counted them.
    pub stale_rules: Option<usize>,
}

/// What is known of a Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionFacts<'a> {
    /// The Region.
    pub region: &'a Region,
    /// Since when it is looked after.
    pub since: Timestamp,
    /// The last sweep that went well.
    pub sweep: Option<Sweep>,
    /// Why the last try failed, if it did.
    pub failure: Option<(Reason, String)>,
    /// What of it is not looked at, and why: of what changes rarely, so that the account is no less ready.
    pub incomplete: Option<String>,
}

/// What is known of an account.
#[derive(Clone, Debug)]
pub struct AccountFacts<'a> {
    /// The object's generation.
    pub generation: i64,
    /// Now.
    pub now: Timestamp,
    /// The status before.
    pub previous: &'a AwsAccountStatus,
    /// Why the spec cannot be used, if it cannot.
    pub problems: &'a [Problem],
    /// Whether the account is in mode Observe: nothing is written in it.
    pub observing: bool,
    /// What AWS says of the credentials.
    pub credentials: Credentials,
    /// How its events arrive; `None`: it names no queue.
    pub events: Option<EventsFacts>,
    /// EC2's clock minus ours, where an answer told.
    pub skew: Option<SignedDuration>,
    /// The time from one sweep to the next.
    pub sweep_interval: SignedDuration,
    /// Each Region of the spec, in its order. None where the spec cannot be used.
    pub regions: &'a [RegionFacts<'a>],
    /// The object is being deleted, and this many groups are still kept in the account.
    pub held_by: Option<usize>,
}

/// The status to be written, once [`account_status_due`].
pub fn build_account(facts: &AccountFacts<'_>) -> AwsAccountStatus {
    let mut status = facts.previous.clone();
    status.observed_generation = Some(facts.generation);
    if facts.problems.is_empty() {
        status.regions = facts.regions.iter().take(MAX_REGIONS).map(|region| entry(facts.previous, region)).collect();
        let sum = |of: fn(&RegionStatus) -> Option<i32>| status.regions.iter().filter_map(of).reduce(i32::saturating_add);
        (status.managed, status.drifted) = (sum(|region| region.managed), sum(|region| region.drifted));
    }
    status.conditions = conditions(&status, facts);
    status
}

/// A Region that was not looked at since this process began keeps what was known.
fn entry(previous: &AwsAccountStatus, facts: &RegionFacts<'_>) -> RegionStatus {
    let name = facts.region.as_str();
    let known = previous.regions.iter().find(|known| known.region == name);
    let Some(sweep) = &facts.sweep else {
        return known.cloned().unwrap_or_else(|| RegionStatus { region: name.to_owned(), ..RegionStatus::default() });
    };
    let Sweep { at, groups, managed, rules, drifted, stale_rules } = sweep;
    let figure = |count: &usize| i32::try_from(*count).ok();
    RegionStatus {
        region: name.to_owned(),
        last_sweep_time: Some(whole_second(*at).to_string()),
        groups: figure(groups),
        managed: figure(managed),
        rules: figure(rules),
        drifted: figure(drifted),
        stale_rules: stale_rules.as_ref().map_or_else(|| known.and_then(|known| known.stale_rules), figure),
    }
}

fn conditions(status: &AwsAccountStatus, facts: &AccountFacts<'_>) -> Vec<Condition> {
    let previous = &facts.previous.conditions;
    let sweeps = sweeps(facts);
    let mut drafts = ready(status, facts, &sweeps);
    match &facts.credentials {
        Credentials::Unknown => {}
        Credentials::Valid => drafts.push(draft(
            CREDENTIALS_VALID,
            "True",
            Reason::Succeeded,
            "AWS accepts the credentials, and they are of this account",
        )),
        Credentials::Failed { reason, message } => drafts.push(draft(CREDENTIALS_VALID, "False", *reason, message)),
    }
    match sweeps {
        Sweeps::Pending => {}
        Sweeps::Healthy => {
            drafts.push(draft(SWEEP_HEALTHY, "True", Reason::Succeeded, "all groups of every Region were looked at lately"));
        }
        Sweeps::Incomplete(message) => drafts.push(draft(SWEEP_HEALTHY, "False", Reason::SweepIncomplete, message)),
        Sweeps::Failed(reason, message) => drafts.push(draft(SWEEP_HEALTHY, "False", reason, message)),
    }
    match &facts.events {
        None | Some(EventsFacts::Unknown) => {}
        Some(EventsFacts::Healthy) => {
            drafts.push(draft(EVENTS_HEALTHY, "True", Reason::Succeeded, "every queue of events answers"));
        }
        Some(EventsFacts::Failed(reason, message)) => drafts.push(draft(EVENTS_HEALTHY, "False", *reason, message)),
    }
    drafts.extend(facts.skew.and_then(skewed));
    if let Some(groups) = facts.held_by.filter(|groups| *groups > 0) {
        let message =
            if groups == 1 { "1 group is still kept in it".to_owned() } else { format!("{groups} groups are still kept in it") };
        drafts.push(draft(DELETION_BLOCKED, "True", Reason::InUse, message));
    }
    // What this process was not told yet stays as another one told it, or is not known.
    for (kind, message) in [
        (CREDENTIALS_VALID, "AWS was not asked yet whose credentials these are"),
        (SWEEP_HEALTHY, "not every Region was looked at yet"),
        (EVENTS_HEALTHY, "the queues of events were not asked yet"),
    ] {
        let asked = kind != EVENTS_HEALTHY || facts.events.is_some();
        if asked && drafts.iter().all(|draft| draft.kind != kind) && previous.iter().all(|known| known.type_ != kind) {
            drafts.push(draft(kind, "Unknown", Reason::NotLookedAt, message));
        }
    }
    let unjudged: &[&str] = if facts.events.is_some() {
        &[CREDENTIALS_VALID, SWEEP_HEALTHY, EVENTS_HEALTHY]
    } else {
        &[CREDENTIALS_VALID, SWEEP_HEALTHY]
    };
    finish(&drafts, previous, unjudged, facts.generation, facts.now)
}

/// How the Regions are looked at.
enum Sweeps {
    /// Some were not looked at since this process began, and it is early yet.
    Pending,
    Healthy,
    /// All groups were looked at, but not at everything that changes rarely.
    Incomplete(String),
    Failed(Reason, String),
}

fn incomplete(facts: &AccountFacts<'_>) -> Option<String> {
    let told = facts.regions.iter().filter_map(|facts| Some(format!("{}: {}", facts.region, facts.incomplete.as_ref()?)));
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn sweeps(facts: &AccountFacts<'_>) -> Sweeps {
    let patience = facts.sweep_interval.checked_mul(OVERDUE).unwrap_or(SignedDuration::MAX);
    let mut troubles: Vec<(Reason, String)> = Vec::new();
    for RegionFacts { region, since, sweep, failure, incomplete: _ } in facts.regions {
        let last = sweep.as_ref().map_or(*since, |sweep| sweep.at.max(*since));
        if let Some((reason, message)) = failure {
            troubles.push((*reason, format!("{region}: {message}")));
        } else if facts.now.duration_since(last) > patience {
            let last = whole_second(last);
            troubles.push((Reason::SweepOverdue, format!("{region}: its groups were not looked at since {last}")));
        }
    }
    let all: Vec<&str> = troubles.iter().map(|(_, message)| message.as_str()).collect();
    match troubles.first() {
        Some((reason, _)) => Sweeps::Failed(*reason, all.join("; ")),
        None if facts.regions.iter().any(|region| region.sweep.is_none()) => Sweeps::Pending,
        None => match incomplete(facts) {
            Some(message) => Sweeps::Incomplete(message),
            None => Sweeps::Healthy,
        },
    }
}

fn ready(status: &AwsAccountStatus, facts: &AccountFacts<'_>, sweeps: &Sweeps) -> Vec<Draft> {
    if !facts.problems.is_empty() {
        return not_ready(Reason::InvalidSpec, &problems_message(facts.problems));
    }
    if let Credentials::Failed { reason, message } = &facts.credentials {
        return not_ready(*reason, message);
    }
    if let Sweeps::Failed(reason, message) = sweeps {
        return not_ready(*reason, message);
    }
    // After a restart nothing is known for a moment; an account that was ready then is not called anything else.
    let was = facts.previous.conditions.iter().any(|known| known.type_ == READY && known.status == "True");
    let known = facts.credentials == Credentials::Valid && matches!(sweeps, Sweeps::Healthy | Sweeps::Incomplete(_));
    if !known && !was {
        return unseen(&[READY], "sgwarden has not looked at every Region of the account yet");
    }
    let groups = match status.managed.unwrap_or(0) {
        1 => "1 group is kept".to_owned(),
        groups => format!("{groups} groups are kept"),
    };
    if facts.observing {
        let message = format!("mode Observe: nothing is written in this account, whatever its objects say; {groups}");
        return vec![draft(READY, "True", Reason::Observing, message)];
    }
    vec![draft(READY, "True", Reason::Succeeded, groups)]
}

/// In tens of seconds: a message that changes with every answer would be written with every answer.
fn skewed(skew: SignedDuration) -> Option<Draft> {
    if skew.unsigned_abs() <= SKEWED {
        return None;
    }
    let seconds = skew.unsigned_abs().as_secs() / 10 * 10;
    let way = if skew.is_negative() { "ahead of" } else { "behind" };
    let message = format!(
        "the clock of this host is about {seconds} s {way} EC2's; expiries and suspends go by EC2's. Set the host's clock right"
    );
    Some(draft(CLOCK_SKEWED, "True", Reason::ClockSkewed, message))
}

/// Whether a status is to be written now: news once a minute, times alone every five.
pub fn account_status_due(
    before: &AwsAccountStatus,
    after: &AwsAccountStatus,
    last_written: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    if before == after {
        return false;
    }
    let timeless = |status: &AwsAccountStatus| {
        let mut status = status.clone();
        status.regions.iter_mut().for_each(|region| region.last_sweep_time = None);
        status
    };
    let pause = if timeless(before) == timeless(after) { TIMES } else { NEWS };
    // A clock that was set back must not silence us until it has caught up.
    last_written.is_none_or(|last| last > now || now.duration_since(last) >= pause)
}
