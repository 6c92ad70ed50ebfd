//! How the queues of events stand, for condition `EventsHealthy`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::core::desired::{Account, QueueAddress};
use crate::core::status::{EventsFacts, Reason};
use crate::ports::cloud::CloudError;

use super::super::context::Context;
use super::super::failure::reason_of;

/// `CloudTrail`'s events come within minutes. When that of a write of our own is this late, and no other has come since, there is
/// something wrong between EC2 and the queue.
const SILENCE: SignedDuration = SignedDuration::from_mins(15);

/// How each queue stands.
#[derive(Debug, Default)]
pub(in crate::engine::controller) struct Hearings(Mutex<BTreeMap<QueueAddress, Result<Timestamp, CloudError>>>);

impl Hearings {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<QueueAddress, Result<Timestamp, CloudError>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue answered, with messages or without. Whether that is news.
    pub(super) fn answered(&self, address: &QueueAddress, now: Timestamp) -> bool {
        !matches!(self.lock().insert(address.clone(), Ok(now)), Some(Ok(_)))
    }

    /// The queue cannot be read. Whether that is news.
    pub(super) fn failed(&self, address: &QueueAddress, error: &CloudError) -> bool {
        let before = self.lock().insert(address.clone(), Err(error.clone()));
        !matches!(before, Some(Err(known)) if known.class == error.class && known.message == error.message)
    }

    pub(super) fn retain(&self, wanted: &BTreeSet<QueueAddress>) {
        self.lock().retain(|address, _| wanted.contains(address));
    }

    fn of(&self, address: &QueueAddress) -> Option<Result<Timestamp, CloudError>> {
        self.lock().get(address).cloned()
    }
}

/// How events reach us from an account; `None`: it names no queue.
pub(in crate::engine::controller) fn standing(context: &Context, account: &Account) -> Option<EventsFacts> {
    if account.queues.is_empty() {
        return None;
    }
    let answers: Vec<(&QueueAddress, Option<Result<Timestamp, CloudError>>)> =
        account.queues.iter().map(|address| (address, context.hearings.of(address))).collect();
    let failed = answers.iter().find_map(|(address, answer)| Some((address, answer.as_ref()?.as_ref().err()?)));
    if let Some((address, error)) = failed {
        let reason = reason_of(error);
        let message = format!("queue {}: {}: {}; edits are found by sweeps", address.url, error.operation, error.message);
        return Some(EventsFacts::Failed(reason, message));
    }
    if answers.iter().any(|(_, answer)| answer.is_none()) {
        return Some(EventsFacts::Unknown);
    }
    let now = context.parts.clock.now();
    let silent = account.regions.iter().find_map(|region| {
        let since = context.regions.trail(account.id.as_ref()?, region)?.silent_since()?;
        (now.duration_since(since) > SILENCE).then_some((region, since))
    });
    Some(match silent {
        Some((region, since)) => EventsFacts::Failed(
            Reason::EventsSilent,
            format!(
                "{region}: sgwarden wrote to EC2 at {since}, and no event of it has come; see whether the trail records management \
                 events and the rule of EventBridge sends them to the queue; edits are found by sweeps"
            ),
        ),
        None => EventsFacts::Healthy,
    })
}
