//! Names who made the edits in drift records, at once where an event has come, and later where it is late.

use jiff::{SignedDuration, Timestamp};

use crate::api::DriftRecord;
use crate::core::attribution::{Author, is_untold, unknown};
use crate::core::status::recorded_group;

use super::super::pass::{Next, Pass};
use super::super::site::Site;

/// How long an event of an edit is waited for.
const WAIT: SignedDuration = SignedDuration::from_mins(2);
/// When `LookupEvents` is asked, after an edit was seen: most events are there after the first, nearly all after the second.
const LOOKUPS: [SignedDuration; 2] = [SignedDuration::from_mins(5), SignedDuration::from_mins(15)];
/// How long before an edit was seen its event is looked for.
const BEFORE: SignedDuration = SignedDuration::from_mins(90);
/// Events are kept so long: an older record stays as it is.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

impl Pass<'_> {
    /// The records with their authors, as far as events tell by now.
    pub(in crate::engine::controller) fn with_authors(&self, site: &Site, mut records: Vec<DriftRecord>) -> Vec<DriftRecord> {
        let Some(group) = recorded_group(&self.status()) else { return records };
        let now = self.context.parts.clock.now();
        for record in &mut records {
            let Some(seen) = detected(record).filter(|seen| now.duration_since(*seen) < KEPT) else { continue };
            match site.worker.trail().author(&group, record, site.worker.last_well(&self.key)) {
                Author::Told(actor) => record.actor = Some(*actor),
                Author::Untold(_) if !is_untold(record) => {}
                Author::Untold(_) if site.account.queues.is_empty() && !site.account.lookup_events => {
                    let why = format!("account {} names no queue of CloudTrail events (spec.events)", site.account.name);
                    record.actor = Some(unknown(&why));
                }
                Author::Untold(why) if now.duration_since(seen) >= self.patience(site) => {
                    record.actor = Some(unknown(&why.to_string()));
                }
                Author::Untold(_) => {}
            }
        }
        records
    }

    /// Names who is known by now, before anything else is looked at. `Some`: the status could not be stored.
    pub(in crate::engine::controller) async fn complete_authors(&mut self, site: &Site) -> Option<Next> {
        self.ask_cloudtrail(site).await;
        let mut status = self.status();
        let records = self.with_authors(site, status.drift.clone());
        if records == status.drift {
            return None;
        }
        status.drift = records;
        self.store(status).await
    }

    /// Asks `CloudTrail` itself for the records of which no event has come, twice in all.
    async fn ask_cloudtrail(&self, site: &Site) {
        let status = self.status();
        let Some(group) = recorded_group(&status).filter(|_| site.account.lookup_events) else { return };
        let now = self.context.parts.clock.now();
        for record in status.drift.iter().filter(|record| is_untold(record)) {
            let Some(seen) = detected(record).filter(|seen| now.duration_since(*seen) < KEPT) else { continue };
            let due = LOOKUPS.iter().filter(|after| now.duration_since(seen) >= self.scaled(**after)).count();
            if !self.context.memories.looks_up(&self.key, &self.uid, &record.id, due) {
                continue;
            }
            let since = seen.checked_sub(BEFORE).unwrap_or(Timestamp::MIN);
            if let Err(error) = site.worker.look_up(&group, since, now).await {
                tracing::warn!(operation = error.operation, code = error.code, "{}", error.explain(site.region()));
            }
        }
    }

    /// When an author is to be looked for, or called unknown, if nothing comes before.
    pub(in crate::engine::controller) fn next_author(&self, site: &Site, records: &[DriftRecord]) -> Option<Timestamp> {
        let now = self.context.parts.clock.now();
        let times: &[SignedDuration] = if site.account.lookup_events { &LOOKUPS } else { &[WAIT] };
        let waiting = records.iter().filter(|record| record.actor.is_none()).filter_map(detected);
        let due = waiting.flat_map(|seen| times.iter().filter_map(move |after| seen.checked_add(self.scaled(*after)).ok()));
        due.filter(|due| *due > now).min()
    }

    /// How long nobody is called unknown.
    fn patience(&self, site: &Site) -> SignedDuration {
        let [.., last] = LOOKUPS;
        self.scaled(if site.account.lookup_events { last } else { WAIT })
    }

    fn scaled(&self, time: SignedDuration) -> SignedDuration {
        SignedDuration::try_from(self.context.parts.timings.scaled(time.unsigned_abs())).unwrap_or(time)
    }
}

fn detected(record: &DriftRecord) -> Option<Timestamp> {
    record.detected_at.as_ref()?.parse().ok()
}
