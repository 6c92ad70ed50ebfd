//! The types of the conditions in `status.conditions`, and their schema.
//!
//! Entry point: the constants; [`ALL`] lists them. They are read by kstatus and Argo CD: `Reconciling`, `Stalled`, `Drifted`,
//! `Suspended`, `Limited`, `DeletionBlocked` and `ClockSkewed` are abnormal when True, and absent or False otherwise.
//!
//! Invariant: whatever the schema lets into `lastTransitionTime` is a time Rust can hold, so that a stored condition
//! cannot stop the watch (`format: date-time` alone lets year 9999, twelve digits of fraction and the offset +99:00 through).

use schemars::{Schema, SchemaGenerator, json_schema};

use super::schema::{MAX_TIME, TIME};

/// True when EC2 is as the spec says, or, in Observe mode, when it was compared. Unknown until first looked at.
pub const READY: &str = "Ready";
/// True when the last read of EC2 showed exactly what is declared.
pub const SYNCED: &str = "Synced";
/// True while an edit that nobody declared is live in EC2, or is reported and left alone.
pub const DRIFTED: &str = "Drifted";
/// True when every group that the rules name by object was found and has an id.
pub const REFERENCES_RESOLVED: &str = "ReferencesResolved";
/// True while nothing is reverted, because somebody suspended it; the message tells until when, and what is reverted then.
pub const SUSPENDED: &str = "Suspended";
/// True while the account allows less than the spec asks for; the message tells what is in effect instead.
pub const LIMITED: &str = "Limited";
/// True while sgwarden works towards the spec and expects to get there by itself.
pub const RECONCILING: &str = "Reconciling";
/// True when only a person can help: the spec cannot be done, or AWS refuses it.
pub const STALLED: &str = "Stalled";
/// True while the object is deleted and its group in EC2 cannot be; the message names what still uses it.
pub const DELETION_BLOCKED: &str = "DeletionBlocked";

/// Of an `AwsAccount`: true when AWS accepts the credentials and they are of the account that the spec names.
pub const CREDENTIALS_VALID: &str = "CredentialsValid";
/// Of an `AwsAccount`: true when all groups of every Region were looked at lately.
pub const SWEEP_HEALTHY: &str = "SweepHealthy";
/// Of an `AwsAccount`: true when the queues its events arrive in can be read. Absent where it names none.
pub const EVENTS_HEALTHY: &str = "EventsHealthy";
/// Of an `AwsAccount`: true while EC2's clock and ours differ by so much that EC2's is gone by.
pub const CLOCK_SKEWED: &str = "ClockSkewed";

/// Of a `Notifier`: true when its last message was taken.
pub const DELIVERING: &str = "Delivering";

/// Every type of condition, of every kind.
pub const ALL: [&str; 14] = [
    READY,
    SYNCED,
    DRIFTED,
    REFERENCES_RESOLVED,
    SUSPENDED,
    LIMITED,
    RECONCILING,
    STALLED,
    DELETION_BLOCKED,
    CREDENTIALS_VALID,
    SWEEP_HEALTHY,
    EVENTS_HEALTHY,
    CLOCK_SKEWED,
    DELIVERING,
];

/// The most conditions an object may carry.
pub const MAX_CONDITIONS: usize = 16;
/// The most characters in a condition's message; what is longer is cut by whoever writes it.
pub const MAX_MESSAGE: usize = 2048;

/// The schema of `status.conditions`; the one of `k8s-openapi` has neither bounds nor the list's key.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_CONDITIONS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {
                    "description": "What is judged, such as Ready or Stalled.",
                    "type": "string",
                    "maxLength": 316,
                    "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
                "status": {
                    "description": "True, False or Unknown.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "description": "The metadata.generation this was judged on.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "When status last changed, such as 2026-12-24T18:00:00Z.",
                    "type": "string",
                    "format": "date-time",
                    "maxLength": MAX_TIME,
                    "pattern": TIME,
                },
                "reason": {
                    "description": "Why, as one word from a closed list.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 128,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "Why, for people.",
                    "type": "string",
                    "maxLength": MAX_MESSAGE,
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

    #[test]
    fn the_outermost_times_of_the_schema_are_read() {
        for time in [
            "2000-01-01T00:00:00Z",
            "2999-12-31T23:59:59.999999999Z",
            "2999-12-31T23:59:59.999999999-23:59",
            "2000-01-01T00:00:00.000000001+23:59",
        ] {
            let condition =
                format!(r#"{{"type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "{time}"}}"#);
            serde_json::from_str::<Condition>(&condition).expect(time);
        }
    }
}
