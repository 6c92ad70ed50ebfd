//! Names who made the edits in drift records, at once where an event has come, and later where it is late.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::api::{DriftAtom, DriftKind, DriftRecord};
use crate::core::attribution::{Author, is_better, is_untold, lists, unknown};
use crate::core::status::recorded_group;

use super::super::pass::Pass;
use super::super::site::Site;

/// How long an event of an edit is waited for.
const WAIT: SignedDuration = SignedDuration::from_mins(2);
/// When `LookupEvents` is asked, after an edit was seen: most events are there after the first, nearly all after the second.
const LOOKUPS: [SignedDuration; 2] = [SignedDuration::from_mins(5), SignedDuration::from_mins(15)];
/// How long before an edit was seen its event is looked for.
const BEFORE: SignedDuration = SignedDuration::from_mins(90);
/// Clocks differ, and `CloudTrail` counts seconds.
const SLACK: SignedDuration = SignedDuration::from_mins(1);
/// Events are kept so long: an older record stays as it is.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

impl Pass<'_> {
    /// The records with their authors, as far as events tell by now.
    pub(in crate::engine::controller) fn with_authors(&self, site: &Site, mut records: Vec<DriftRecord>) -> Vec<DriftRecord> {
        let Some(group) = recorded_group(&self.status()) else { return records };
        let now = self.context.parts.clock.now();
        for record in &mut records {
            let Some(seen) = detected(record).filter(|seen| now.duration_since(*seen) < KEPT) else { continue };
            let (author, grown) = site.worker.trail().author(&group, record, self.last_without(site, record));
            match author {
                Author::Told(actor) if is_better(record, &actor, grown) => record.actor = Some(*actor),
                Author::Untold(_) if !is_untold(record) => {}
                Author::Untold(_) if site.account.queues.is_empty() && !site.account.lookup_events => {
                    let why = format!("account {} names no queue of CloudTrail events (spec.events)", site.account.name);
                    record.actor = Some(unknown(&why));
                }
                Author::Untold(why) if now.duration_since(seen) >= self.patience(site) => {
                    record.actor = Some(unknown(&why.to_string()));
                }
                Author::Told(_) | Author::Untold(_) => {}
            }
        }
        records
    }

    /// When the last read began that did not show what a record tells of; `None`: that is not known.
    fn last_without(&self, site: &Site, record: &DriftRecord) -> Option<Timestamp> {
        let last = |atom: &DriftAtom| match DriftKind::parse(&atom.kind) {
            // Its version tells which edit it was; how long its size was another nobody knows.
            Ok(DriftKind::PrefixListChanged) => None,
            Ok(DriftKind::VpcAssociationChanged) => site.worker.associations_same(&self.key),
            Ok(
                DriftKind::Added
                | DriftKind::Removed
                | DriftKind::Modified
                | DriftKind::DescriptionChanged
                | DriftKind::TagChanged
                | DriftKind::TagRemoved
                | DriftKind::GroupDeleted
                | DriftKind::Transient
                | DriftKind::Unclassified,
            )
            | Err(_) => site.worker.last_well(&self.key),
        };
        record.atoms.iter().map(last).min().flatten()
    }

    /// Asks `CloudTrail` itself about edits of which no event has come: 5 and 15 minutes after they were seen, once for all of a group.
    /// In a task of its own: the look-ups of a thousand groups take minutes, and reverts must not wait for them.
    pub(in crate::engine::controller) fn ask_cloudtrail(&self, site: &Site) {
        let status = self.status();
        let Some(group) = recorded_group(&status).filter(|_| site.account.lookup_events) else { return };
        let now = self.context.parts.clock.now();
        let is_young = |seen: &Timestamp| now.duration_since(*seen) < KEPT;
        let untold = || status.drift.iter().filter(|record| is_untold(record) && detected(record).as_ref().is_some_and(is_young));
        let asked = self.context.memories.asked(&self.key, &self.uid);
        let is_due = |seen: &Timestamp| {
            let times = LOOKUPS.iter().filter_map(|after| seen.checked_add(self.scaled(*after)).ok());
            times.into_iter().any(|due| due <= now && asked.is_none_or(|asked| due > asked))
        };
        let due: Vec<Timestamp> = untold().filter_map(detected).filter(is_due).collect();
        let (Some(first), Some(last)) = (due.iter().min(), due.iter().max()) else { return };
        self.context.memories.asks(&self.key, &self.uid, now);
        let since = first.checked_sub(BEFORE).unwrap_or(Timestamp::MIN);
        let until = last.checked_add(SLACK).unwrap_or(Timestamp::MAX);
        let (worker, key) = (site.worker.clone(), self.key.clone());
        let lists = untold().flat_map(lists).map(|list| list.to_string());
        let ids: BTreeSet<String> = lists.chain([group.to_string()]).collect();
        tokio::spawn(async move {
            for id in ids {
                match worker.look_up(&id, since, until).await {
                    Ok(()) => worker.wake([key.clone()]),
                    Err(error) => {
                        tracing::warn!(operation = error.operation, code = error.code, "{}", error.explain(worker.region()));
                    }
                }
            }
        });
    }

    /// When an author is to be looked for, or called unknown, if nothing comes before.
    pub(in crate::engine::controller) fn next_author(&self, site: &Site, records: &[DriftRecord]) -> Option<Timestamp> {
        let now = self.context.parts.clock.now();
        let times: &[SignedDuration] = if site.account.lookup_events { &LOOKUPS } else { &[WAIT] };
        let waiting = records.iter().filter(|record| is_untold(record)).filter_map(detected);
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
