//! The courier of one notifier: one message after the other, as many as its rate allows, for as long as the notifier is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::api::{Notifier, NotifierStatus, SecurityGroup};
use crate::core::desired::{Problem, Recipient, Sink, parse_notifier};
use crate::core::notice::{Audience, Heard, Limiter, Notice, Parcel, Turn, cloud_event, mark, owed, slack, sns};
use crate::core::status::{NotifierFacts, Reason, build_notifier, notifier_status_due};
use crate::engine::execute::backoff;
use crate::ports::metrics::{DeliveryFailure, DeliveryKind};
use crate::ports::objects::{Key, ObjectsError};
use crate::ports::sinks::{DeliverError, Delivery};

use super::{LOOK, Listeners, NotifyParts};

/// A sink that promises to answer in time and does not is given up after this.
const GIVEN_UP: Duration = Duration::from_secs(60);
/// However long a sink asks to be left alone, it is asked again after this: it may be a slip.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// What a look found, with the group it is about.
struct Item {
    key: Key,
    notice: Notice,
}

pub(super) struct Courier {
    parts: NotifyParts,
    name: String,
    /// The generation of the notifier that the rest is about.
    generation: Option<i64>,
    limiter: Option<Limiter>,
    /// Failures of the sink in a row, and until when it is left alone.
    failures: u32,
    rest: Option<Instant>,
    trouble: Option<(Reason, String)>,
    /// What was sent and may not be noted yet, by key.
    sent: BTreeMap<String, Heard>,
    /// Messages that the sink did not take while it took others: how often, and when they are tried again.
    refused: BTreeMap<String, (u32, Instant)>,
    last_sent: Option<Timestamp>,
    written: Option<Timestamp>,
}

impl Courier {
    pub(super) fn new(parts: NotifyParts, name: String) -> Self {
        Self {
            parts,
            name,
            generation: None,
            limiter: None,
            failures: 0,
            rest: None,
            trouble: None,
            sent: BTreeMap::new(),
            refused: BTreeMap::new(),
            last_sent: None,
            written: None,
        }
    }

    /// Until the notifier is gone.
    pub(super) async fn run(mut self) {
        let mut news = self.parts.office.news();
        loop {
            news.mark_unchanged();
            let found = self.parts.office.notifiers().into_iter().find(|one| one.metadata.name.as_deref() == Some(&self.name));
            let Some(notifier) = found else {
                self.parts.metrics.forget(&self.name);
                return;
            };
            let pause = self.look(&notifier).await;
            tokio::select! {
                _ = news.changed() => {}
                () = self.parts.clock.sleep(pause) => {}
            }
        }
    }

    /// One look at everything; gives when to look again at the latest.
    async fn look(&mut self, notifier: &Notifier) -> Duration {
        if self.generation != notifier.metadata.generation {
            // Somebody corrected it: what failed before may go well now.
            self.generation = notifier.metadata.generation;
            (self.failures, self.rest, self.trouble) = (0, None, None);
            self.refused.clear();
        }
        let usual = self.parts.timings.scaled(LOOK);
        let recipient = match parse_notifier(notifier) {
            Ok(recipient) => recipient,
            Err(problems) => {
                self.report(notifier, &problems, None).await;
                return usual;
            }
        };
        let now = self.parts.clock.now();
        match &mut self.limiter {
            Some(limiter) => limiter.set(recipient.rate, now),
            None => self.limiter = Some(Limiter::new(recipient.rate, now)),
        }
        if since(notifier).is_none() {
            // From now on it is told, whatever happens to this process.
            self.report(notifier, &[], Some(0)).await;
            return usual;
        }
        let listeners = self.parts.office.listeners();
        let pause = self.work_off(&recipient, &listeners).await;
        let left = self.backlog(&listeners).await;
        self.count(&left);
        self.report(notifier, &[], Some(left.len())).await;
        pause.min(usual)
    }

    /// Sends what may be sent now.
    async fn work_off(&mut self, recipient: &Recipient, listeners: &Listeners) -> Duration {
        let usual = self.parts.timings.scaled(LOOK);
        loop {
            let backlog = self.backlog(listeners).await;
            self.count(&backlog);
            self.refused.retain(|key, _| backlog.iter().any(|item| item.notice.key == *key));
            let instant = self.parts.clock.instant();
            if let Some(rest) = self.rest.filter(|rest| *rest > instant) {
                return rest.duration_since(instant);
            }
            let ready = |item: &Item| self.refused.get(&item.notice.key).is_none_or(|(_, until)| *until <= instant);
            let waiting: Vec<Item> = backlog.into_iter().filter(ready).collect();
            let now = self.parts.clock.now();
            let (false, Some(limiter)) = (waiting.is_empty(), &mut self.limiter) else { return usual };
            let several = match limiter.turn(waiting.len(), now) {
                Turn::One => 1,
                Turn::Digest(several) => several,
                Turn::Wait(until) => return Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO),
            };
            let (keys, notices): (Vec<Key>, Vec<Notice>) =
                waiting.into_iter().take(several).map(|item| (item.key, item.notice)).unzip();
            self.send(recipient, listeners, &keys, &notices).await;
        }
    }

    /// Everything that is owed and was not sent yet, oldest first. What was sent and is not noted is noted on the way.
    async fn backlog(&mut self, listeners: &Listeners) -> Vec<Item> {
        let now = self.parts.clock.now();
        let mut items = Vec::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        for object in self.parts.office.groups() {
            let Some(object) = object.0.as_ref().ok() else { continue };
            let Some(key) = Key::of(&object.metadata) else { continue };
            let labels = self.parts.office.labels(&key.namespace);
            let audience = listeners.audience(&key.namespace, labels.as_ref());
            // The store may lag behind what we wrote; what it does not show as owed is not.
            let Some(status) = &object.status else { continue };
            if owed(status, &key.name, &audience, &self.name, now).is_empty() {
                continue;
            }
            let newest = self.parts.office.newest(&key, object.clone());
            let Some(status) = &newest.status else { continue };
            let notices = owed(status, &key.name, &audience, &self.name, now);
            seen.extend(notices.iter().map(|notice| notice.key.clone()));
            let (sent, left): (Vec<Notice>, Vec<Notice>) = notices.into_iter().partition(|notice| self.was_sent(notice));
            if !sent.is_empty() {
                self.note(&key, &newest, &audience, &sent).await;
            }
            items.extend(left.into_iter().map(|notice| Item { key: key.clone(), notice }));
        }
        self.sent.retain(|key, _| seen.contains(key));
        items.sort_by(|a, b| (a.notice.at, &a.notice.key).cmp(&(b.notice.at, &b.notice.key)));
        items
    }

    fn was_sent(&self, notice: &Notice) -> bool {
        let Heard { actor, end } = notice.heard;
        self.sent.get(&notice.key).is_some_and(|sent| (sent.actor || !actor) && (sent.end || !end))
    }

    /// Sends some notices as one message.
    async fn send(&mut self, recipient: &Recipient, listeners: &Listeners, keys: &[Key], notices: &[Notice]) {
        let (parcel, kind) = match notices {
            [one] => (Parcel::One(one), DeliveryKind::Notice),
            several => (Parcel::Digest(several), DeliveryKind::Digest),
        };
        let outcome = match self.address(&recipient.sink, parcel) {
            Ok(delivery) => {
                let attempt = self.parts.deliver.deliver(&delivery);
                tokio::time::timeout(GIVEN_UP, attempt)
                    .await
                    .unwrap_or_else(|_| Err(DeliverError::Unavailable { why: "no answer in time".to_owned(), retry_after: None }))
            }
            Err(why) => Err(DeliverError::Unavailable { why, retry_after: None }),
        };
        let now = self.parts.clock.now();
        match outcome {
            Ok(()) => {
                (self.failures, self.rest, self.trouble, self.last_sent) = (0, None, None, Some(now));
                self.spend(now);
                self.parts.metrics.sent(&self.name, kind, notices.len());
                tracing::info!(notifier = self.name, messages = notices.len(), id = parcel.id(), "message sent");
                for notice in notices {
                    self.refused.remove(&notice.key);
                    self.sent.insert(notice.key.clone(), notice.heard);
                }
                self.note_all(listeners, keys).await;
            }
            Err(error) => self.failed(&error, notices, now),
        }
    }

    /// A message was not taken: the sink is left alone for a while, or only what it does not take is.
    fn failed(&mut self, error: &DeliverError, notices: &[Notice], now: Timestamp) {
        let instant = self.parts.clock.instant();
        let (reason, failure) = match error {
            DeliverError::Unavailable { why: _, retry_after: _ } => (Reason::SinkUnavailable, DeliveryFailure::Unavailable),
            DeliverError::Refused { why: _ } => (Reason::SinkRefused, DeliveryFailure::Refused),
            DeliverError::Message { why: _ } => (Reason::SinkRefused, DeliveryFailure::Message),
            DeliverError::Secret { why: _ } => (Reason::SecretNotFound, DeliveryFailure::Secret),
        };
        self.parts.metrics.failed(&self.name, failure);
        tracing::warn!(notifier = self.name, reason = reason.as_str(), %error, "a message was not taken; it is tried again");
        self.trouble = Some((reason, error.to_string()));
        match error {
            DeliverError::Message { why: _ } => {
                // The sink worked for it, and may not be worked for nothing.
                self.spend(now);
                for notice in notices {
                    let times = self.refused.get(&notice.key).map_or(1, |(times, _)| times.saturating_add(1));
                    self.refused.insert(notice.key.clone(), (times, instant + backoff(&self.parts.timings, times)));
                }
            }
            DeliverError::Unavailable { .. } | DeliverError::Refused { .. } | DeliverError::Secret { .. } => {
                self.failures = self.failures.saturating_add(1);
                let asked = if let DeliverError::Unavailable { retry_after, .. } = error { *retry_after } else { None };
                let rest = backoff(&self.parts.timings, self.failures).max(asked.unwrap_or_default().min(LONGEST_REST));
                self.rest = Some(instant + rest);
            }
        }
    }

    fn spend(&mut self, now: Timestamp) {
        if let Some(limiter) = &mut self.limiter {
            limiter.sent(now);
        }
    }

    /// The message in the format of its sink.
    fn address(&self, sink: &Sink, parcel: Parcel<'_>) -> Result<Delivery, String> {
        Ok(match sink {
            Sink::Slack { url } => Delivery::Slack { url: url.clone(), body: slack(parcel) },
            Sink::Webhook { url, hmac } => Delivery::Webhook {
                url: url.clone(),
                hmac: hmac.clone(),
                id: parcel.id(),
                event: cloud_event(parcel, &self.parts.cluster),
            },
            Sink::Sns { topic, region: _, account: _ } => {
                let route = self.parts.office.route(sink)?.ok_or("a topic without a Region")?;
                Delivery::Sns { route, topic: topic.clone(), message: sns(parcel) }
            }
        })
    }

    /// Notes in the statuses of these groups what was sent.
    async fn note_all(&mut self, listeners: &Listeners, keys: &[Key]) {
        let keys: BTreeSet<&Key> = keys.iter().collect();
        let now = self.parts.clock.now();
        for object in self.parts.office.groups() {
            let Some(object) = object.0.as_ref().ok() else { continue };
            let Some(key) = Key::of(&object.metadata).filter(|key| keys.contains(key)) else { continue };
            let labels = self.parts.office.labels(&key.namespace);
            let audience = listeners.audience(&key.namespace, labels.as_ref());
            let newest = self.parts.office.newest(&key, object.clone());
            let Some(status) = &newest.status else { continue };
            let notices = owed(status, &key.name, &audience, &self.name, now);
            let sent: Vec<Notice> = notices.into_iter().filter(|notice| self.was_sent(notice)).collect();
            if !sent.is_empty() {
                self.note(&key, &newest, &audience, &sent).await;
            }
        }
    }

    /// Notes in the status of one group what was sent. What comes to nothing is done at the next look.
    async fn note(&self, key: &Key, object: &SecurityGroup, audience: &Audience<'_>, sent: &[Notice]) {
        let taken: Vec<_> = sent.iter().map(|notice| (notice.record.clone(), notice.heard)).collect();
        let status = object.status.clone().unwrap_or_default();
        let next = mark(&status, &taken, &self.name, self.parts.clock.now(), audience);
        match self.parts.objects.write_status(object, &next).await {
            Ok(written) => self.parts.office.wrote(key, &written),
            Err(ObjectsError::Conflict | ObjectsError::Gone) => {}
            Err(error) => tracing::warn!(object = %key, %error, "that a message was sent is not noted yet"),
        }
    }

    fn count(&self, backlog: &[Item]) {
        let now = self.parts.clock.now();
        let oldest = backlog.iter().map(|item| item.notice.at).min();
        let age = oldest.map_or(Duration::ZERO, |at| Duration::try_from(now.duration_since(at)).unwrap_or(Duration::ZERO));
        self.parts.metrics.waiting(&self.name, backlog.len(), age);
    }

    /// Writes how the notifier stands, when there is news.
    async fn report(&mut self, notifier: &Notifier, problems: &[Problem], waiting: Option<usize>) {
        let previous = notifier.status.clone().unwrap_or_default();
        let now = self.parts.clock.now();
        let next = build_notifier(&NotifierFacts {
            generation: notifier.metadata.generation.unwrap_or(0),
            now,
            previous: &previous,
            since: since(notifier).unwrap_or(now),
            problems,
            waiting,
            last_sent: self.last_sent,
            trouble: self.trouble.clone(),
        });
        if !notifier_status_due(&previous, &next, self.written, now) {
            return;
        }
        match self.parts.objects.write_notifier_status(notifier, &next).await {
            Ok(()) => self.written = Some(now),
            Err(ObjectsError::Conflict | ObjectsError::Gone) => {}
            Err(error) => tracing::warn!(notifier = self.name, %error, "the status of the notifier is not written"),
        }
    }
}

/// From when on a notifier is told of what happens.
pub(crate) fn since(notifier: &Notifier) -> Option<Timestamp> {
    let created = notifier.metadata.creation_timestamp.as_ref().map(|created| created.0);
    let noted = |status: &NotifierStatus| status.since.as_ref()?.parse().ok();
    notifier.status.as_ref().and_then(noted).or(created)
}
