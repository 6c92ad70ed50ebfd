//! What can be made to go wrong: errors, throttling, latency, stale reads, cut connections, a service that stops.
//!
//! Entry point: [`Faults`], through [`Sim::faults`](super::Sim::faults) or `/_sim/faults`.
//!
//! Invariant: faults act around the world, never inside it; with none set, nothing differs from EC2.

use super::pipeline::Caller;
use super::world::ids::IdMint;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When a fault strikes: before the call has done anything, or after it has done everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// The call has no effect.
    #[default]
    Before,
    /// The call has taken effect, and the caller is told that it failed.
    After,
}

/// How the caller learns of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// An error reply.
    #[default]
    Error,
    /// The connection is closed without a byte of reply.
    Drop,
    /// The connection is closed in the middle of the reply.
    Cut,
}

/// One fault. `Fault::default()` answers every call with 500 `InternalError` before it has an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// An action's name, `*`, `reads` or `writes`.
    pub action: String,
    /// How many calls of these it strikes; all of them if absent.
    pub times: Option<u64>,
    /// How many of these calls it lets pass first.
    pub skip: u64,
    /// Before or after the call takes effect.
    pub when: When,
    /// Error reply or broken connection.
    pub effect: Effect,
    /// Error code.
    pub code: String,
    /// HTTP status.
    pub status: u16,
    /// Message; one is made up if absent.
    pub message: Option<String>,
    /// Only calls of this account.
    pub account: Option<String>,
    /// Only calls in this Region.
    pub region: Option<String>,
    /// Only calls signed with this access key.
    pub access_key: Option<String>,
    /// Only calls that have a parameter of this value, such as a group's id.
    pub about: Option<String>,
    /// Strikes with this probability; always if absent.
    pub probability: Option<f64>,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            action: "*".into(),
            times: None,
            skip: 0,
            when: When::Before,
            effect: Effect::Error,
            code: "InternalError".into(),
            status: 500,
            message: None,
            account: None,
            region: None,
            access_key: None,
            about: None,
            probability: None,
        }
    }
}

impl Fault {
    /// An error on every call of an action (or `*`, `reads`, `writes`).
    pub fn error(action: &str, code: &str, status: u16) -> Self {
        Self { action: action.into(), code: code.into(), status, ..Self::default() }
    }

    /// 503 `RequestLimitExceeded`, as EC2 throttles.
    pub fn throttle(action: &str) -> Self {
        Self::error(action, "RequestLimitExceeded", 503)
    }

    /// A connection closed without a reply.
    pub fn drop_connection(action: &str) -> Self {
        Self { action: action.into(), effect: Effect::Drop, ..Self::default() }
    }

    /// The same fault for the next `n` calls only.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.times = Some(n);
        self
    }

    /// The same fault, letting `n` calls pass first.
    #[must_use]
    pub fn skip(mut self, n: u64) -> Self {
        self.skip = n;
        self
    }

    /// The same fault, but the call takes effect first.
    #[must_use]
    pub fn after_applying(mut self) -> Self {
        self.when = When::After;
        self
    }
}

/// How long replies take, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Latency {
    /// An action's name, `*`, `reads` or `writes`.
    pub action: String,
    /// The shortest.
    pub min_ms: u64,
    /// The longest, all between being equally likely; `min_ms` if it is shorter.
    pub max_ms: u64,
    /// Added with an exponential distribution of this mean, for a long tail.
    pub tail_ms: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { action: "*".into(), min_ms: 0, max_ms: 0, tail_ms: 0 }
    }
}

/// Reads that show the world as it was up to so long ago.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct StaleReads {
    /// An action's name or `reads`.
    pub action: String,
    /// The most that a read lags behind.
    pub max_ms: u64,
    /// Every stale read lags by exactly `max_ms`; otherwise by anything up to it.
    pub fixed: bool,
    /// The share of reads that are stale.
    pub probability: f64,
    /// Writes may also meet a server that does not know yet what was made so lately, and answers that it is not found: what
    /// EC2 does right after `CreateSecurityGroup`.
    pub writes: bool,
}

impl Default for StaleReads {
    fn default() -> Self {
        Self { action: "reads".into(), max_ms: 5000, fixed: false, probability: 1.0, writes: false }
    }
}

/// The service goes silent once so many writes have been answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct StopAfter {
    /// Writes still answered.
    pub writes: u64,
    /// Close connections, or answer 503 `Unavailable`.
    pub effect: Effect,
}

impl Default for StopAfter {
    fn default() -> Self {
        Self { writes: 0, effect: Effect::Drop }
    }
}

/// Everything that is set to go wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Faults {
    /// Errors and broken connections; the first that fits a call strikes.
    pub errors: Vec<Fault>,
    /// Slow replies; the first that fits a call counts.
    pub latency: Vec<Latency>,
    /// Reads of the past.
    pub stale: Option<StaleReads>,
    /// A service that stops.
    pub stop: Option<StopAfter>,
    /// EC2's token buckets, by account, Region and action.
    pub throttling: bool,
    /// How long after a write its rules come into force: what [`Sim::effective_rules`](super::Sim::effective_rules) shows.
    pub data_plane_lag_ms: u64,
}

/// What strikes one call.
#[derive(Debug, Clone)]
pub(crate) struct Strike {
    pub(crate) effect: Effect,
    pub(crate) when: When,
    pub(crate) code: String,
    pub(crate) status: u16,
    pub(crate) message: Option<String>,
}

/// True for actions that change nothing.
pub(crate) fn is_read(action: &str) -> bool {
    action.starts_with("Describe") || action.starts_with("Get") || action.starts_with("Lookup")
}

fn fits(target: &str, action: &str) -> bool {
    match target {
        "*" => true,
        "reads" => is_read(action),
        "writes" => !is_read(action),
        name => name == action,
    }
}

impl Faults {
    /// The fault that strikes this call, counting the call against every fault that could.
    pub(crate) fn strike(&mut self, action: &str, caller: &Caller, mint: &mut IdMint) -> Option<Strike> {
        let (account, region) = (caller.place.account.as_str(), caller.place.region.as_str());
        for fault in &mut self.errors {
            let here = fault.account.as_deref().is_none_or(|only| only == account)
                && fault.region.as_deref().is_none_or(|only| only == region)
                && fault.access_key.as_ref().is_none_or(|only| *only == caller.access_key)
                && fault.about.as_ref().is_none_or(|only| caller.params.values().any(|value| value == only));
            if !here || !fits(&fault.action, action) || fault.times == Some(0) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.probability.is_some_and(|share| mint.fraction() >= share) {
                continue;
            }
            fault.times = fault.times.map(|left| left - 1);
            return Some(Strike {
                effect: fault.effect,
                when: fault.when,
                code: fault.code.clone(),
                status: fault.status,
                message: fault.message.clone(),
            });
        }
        None
    }

    /// How long this call's reply takes.
    pub(crate) fn delay(&self, action: &str, mint: &mut IdMint) -> Duration {
        let Some(latency) = self.latency.iter().find(|latency| fits(&latency.action, action)) else { return Duration::ZERO };
        let spread = latency.max_ms.saturating_sub(latency.min_ms);
        let even = Duration::from_millis(latency.min_ms + mint.below(spread.saturating_add(1)));
        let tail = Duration::from_millis(latency.tail_ms).mul_f64(-(1.0 - mint.fraction()).ln());
        even + tail
    }

    /// The moment that a read shows, or a write is judged by, if it is to be one of the past.
    pub(crate) fn as_of(&self, action: &str, now: Timestamp, mint: &mut IdMint) -> Option<Timestamp> {
        let stale = self.stale.as_ref().filter(|stale| {
            let read = is_read(action);
            (read && fits(&stale.action, action)) || (!read && stale.writes)
        })?;
        if mint.fraction() >= stale.probability {
            return None;
        }
        let age = if stale.fixed { stale.max_ms } else { mint.below(stale.max_ms.saturating_add(1)) };
        now.checked_sub(Duration::from_millis(age)).ok()
    }

    /// How far back the past may be asked for, if at all.
    pub(crate) fn horizon(&self) -> Option<Duration> {
        let stale = self.stale.as_ref().map(|stale| stale.max_ms);
        let lag = Some(self.data_plane_lag_ms).filter(|lag| *lag > 0);
        stale.max(lag).map(Duration::from_millis)
    }

    /// How a stopped service treats a call, counting writes down until it stops.
    pub(crate) fn stopped(&mut self, action: &str) -> Option<Effect> {
        let stop = self.stop.as_mut()?;
        if stop.writes == 0 {
            return Some(stop.effect);
        }
        if !is_read(action) {
            stop.writes -= 1;
        }
        None
    }
}
