//! Kubernetes Events: news for whoever looks at an object. Never the record of anything; that is status and the audit trail.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};

use super::words;
use crate::api::SecurityGroup;
use crate::ports::objects::Notice;

/// Our name in Events. Must be a qualified name.
const CONTROLLER: &str = "sgwarden.dev/controller";
/// The longest note the apiserver takes, in bytes.
const NOTE: usize = 1024;
/// The longest action the apiserver takes, in bytes.
const ACTION: usize = 128;
/// The longest an Event may hold up what comes after it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Records Events through one recorder, kept because it folds repetitions into a series.
pub(super) struct Events {
    recorder: Recorder,
    /// Whether the log was told that Events are not taken: once is enough to look at the rights.
    warned: AtomicBool,
}

impl Events {
    pub(super) fn new(client: Client, instance: Option<String>) -> Self {
        let recorder = Recorder::new(client, Reporter { controller: CONTROLLER.to_owned(), instance });
        Self { recorder, warned: AtomicBool::new(false) }
    }

    /// Records a notice, or tells the log why not. `limit` is the limit of calls.
    pub(super) async fn record(&self, object: &SecurityGroup, notice: &Notice, limit: Duration) {
        // The recorder compares references whole: with the version in it every status write would begin a new series.
        let regarding = ObjectReference { resource_version: None, ..object.object_ref(&()) };
        let action = if notice.action.is_empty() { notice.reason } else { &notice.action };
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason.to_owned(),
            note: Some(cut(&notice.note, NOTE, "…")),
            // Equal reasons with other actions are other Events. A cut must not make them equal, hence the hash.
            action: cut(action, ACTION, &format!("~{:016x}", hash(action))),
            secondary: None,
        };
        match tokio::time::timeout(limit.min(PATIENCE), self.recorder.publish(&event, &regarding)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if !self.warned.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    reason = notice.reason,
                    error = words(&error),
                    "Kubernetes does not take an Event; this is said once"
                );
            }
            Ok(Err(error)) => tracing::debug!(reason = notice.reason, error = words(&error), "event not recorded"),
            Err(elapsed) => tracing::debug!(reason = notice.reason, %elapsed, "event not recorded in time"),
        }
    }
}

/// The text if it fits into `limit` bytes, else as much of it as fits with `mark` behind.
fn cut(text: &str, limit: usize, mark: &str) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit.saturating_sub(mark.len()));
    let (head, _) = text.split_at(end);
    format!("{head}{mark}")
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("short", 5, "…"), "short");
        assert_eq!(cut("längere", 6, "…"), "lä…");
        for length in 1020..1030 {
            let note = cut(&"ü".repeat(length), NOTE, "…");
            assert!(note.len() <= NOTE && note.ends_with('…'), "{length}");
        }
    }

    #[test]
    fn long_actions_that_differ_at_the_end_stay_apart() {
        let (one, two) = ("x".repeat(200) + "1", "x".repeat(200) + "2");
        let short = |text: &str| cut(text, ACTION, &format!("~{:016x}", hash(text)));
        assert_ne!(short(&one), short(&two));
        assert_eq!(short(&one).len(), ACTION);
    }
}
