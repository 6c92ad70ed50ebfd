//! What others tried on our groups and AWS did not let them do: told once an hour for each caller and call.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::core::activity::{Event, Failure};
use crate::core::status::{Reason, Told, cut};
use crate::ports::objects::Key;

use super::super::context::Context;

/// For how long the same is not told again.
const ONCE_IN: SignedDuration = SignedDuration::from_hours(1);
/// The most that is told of an object in that time.
const MOST: usize = 20;
/// The most characters of a caller's name in an Event.
const NAME: usize = 200;

/// What was told.
#[derive(Debug, Default)]
pub(in crate::engine::controller) struct Attempts(Mutex<BTreeMap<(Key, String), Timestamp>>);

impl Attempts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Key, String), Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the first in an hour, of an object of which not too much was told already: callers choose names of sessions.
    fn is_new(&self, key: &Key, what: &str, now: Timestamp) -> bool {
        let mut told = self.lock();
        told.retain(|_, at| now.duration_since(*at) < ONCE_IN);
        let of_it = told.range((key.clone(), String::new())..).take_while(|((of, _), _)| of == key).count();
        of_it < MOST && !told.contains_key(&(key.clone(), what.to_owned()))
    }

    fn told(&self, key: &Key, what: &str, now: Timestamp) {
        self.lock().insert((key.clone(), what.to_owned()), now);
    }
}

/// Tells that somebody tried a call on the group of an object, and AWS did not let them. Whether it is told, or need not be.
pub(super) async fn tell_denied(context: &Context, key: &Key, event: &Event) -> bool {
    let Some(Failure::Denied(code)) = &event.failure else { return true };
    context.parts.metrics.events.denied();
    let who = cut(&event.actor.name, NAME);
    let call: &'static str = event.name.into();
    let caller = event.actor.role_arn.as_ref().or(event.actor.arn.as_ref()).unwrap_or(&event.actor.name);
    let (what, now) = (format!("{caller} {call}"), context.parts.clock.now());
    if !context.attempts.is_new(key, &what, now) {
        return true;
    }
    let from = event.actor.source_ip.as_deref().map(|from| format!(" from {from}")).unwrap_or_default();
    let note = format!("{who}{from} tried {call} on the group at {}, and AWS did not allow it ({code})", event.time);
    let action = format!("{}-{}", Reason::AttemptDenied, event.id);
    let told = context.announce(key, &Told { warning: true, reason: Reason::AttemptDenied, action, note }).await;
    if told {
        context.attempts.told(key, &what, now);
    }
    told
}

/// Tells that somebody acts with our own role. Whether it is told.
pub(super) async fn tell_misuse(context: &Context, key: &Key, event: &Event) -> bool {
    context.parts.metrics.events.misused();
    let call: &'static str = event.name.into();
    let from = event.actor.source_ip.as_deref().unwrap_or("an unknown address");
    let who = event.actor.arn.as_deref().unwrap_or(&event.actor.name);
    tracing::error!(event = event.id, call, arn = who, from, "sgwarden's role is used by somebody else");
    let note = format!(
        "Critical: {call} at {} was made with sgwarden's own role ({}) from {from}, by a request sgwarden did not send: look who can \
         assume the role, and end its sessions. Event {}",
        event.time,
        cut(who, NAME),
        event.id
    );
    let action = format!("{}-{}", Reason::OwnRoleMisuse, event.id);
    context.announce(key, &Told { warning: true, reason: Reason::OwnRoleMisuse, action, note }).await
}
