//! Names who made the edits in drift records, at once where an event has come, and later where it is late.

use jiff::{SignedDuration, Timestamp};

use crate::api::DriftRecord;
use crate::core::attribution::{Author, is_untold, unknown};

use super::super::pass::{Next, Pass};
use super::super::site::Site;

/// How long an event of an edit is waited for.
const WAIT: SignedDuration = SignedDuration::from_mins(2);
/// Events are kept so long: an older record stays as it is.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

impl Pass<'_> {
    /// The records with their authors, as far as events tell by now.
    pub(in crate::engine::controller) fn with_authors(&self, site: &Site, mut records: Vec<DriftRecord>) -> Vec<DriftRecord> {
        let Some(group) = crate::core::status::recorded_group(&self.status()) else { return records };
        let now = self.context.parts.clock.now();
        for record in &mut records {
            let Some(seen) = detected(record).filter(|seen| now.duration_since(*seen) < KEPT) else { continue };
            match site.worker.trail().author(&group, record, site.worker.last_well(&self.key)) {
                Author::Told(actor) => record.actor = Some(*actor),
                Author::Untold(_) if !is_untold(record) => {}
                Author::Untold(_) if site.account.queues.is_empty() => {
                    let why = format!("account {} names no queue of CloudTrail events (spec.events)", site.account.name);
                    record.actor = Some(unknown(&why));
                }
                Author::Untold(why) if now.duration_since(seen) >= self.patience() => {
                    record.actor = Some(unknown(&why.to_string()));
                }
                Author::Untold(_) => {}
            }
        }
        records
    }

    /// Names who is known by now, before anything else is looked at. `Some`: the status could not be stored.
    pub(in crate::engine::controller) async fn complete_authors(&mut self, site: &Site) -> Option<Next> {
        let mut status = self.status();
        let records = self.with_authors(site, status.drift.clone());
        if records == status.drift {
            return None;
        }
        status.drift = records;
        self.store(status).await
    }

    /// When somebody is to be called unknown, if nothing comes before.
    pub(in crate::engine::controller) fn next_author(&self, records: &[DriftRecord]) -> Option<Timestamp> {
        let now = self.context.parts.clock.now();
        let waiting = records.iter().filter(|record| record.actor.is_none());
        let due = waiting.filter_map(|record| detected(record)?.checked_add(self.patience()).ok());
        due.filter(|due| now.duration_since(*due) < KEPT).min()
    }

    fn patience(&self) -> SignedDuration {
        let wait = self.context.parts.timings.scaled(WAIT.unsigned_abs());
        SignedDuration::try_from(wait).unwrap_or(WAIT)
    }
}

fn detected(record: &DriftRecord) -> Option<Timestamp> {
    record.detected_at.as_ref()?.parse().ok()
}
