//! The kind `Notifier`: whom to tell, of what, and how often. Set by the platform team.
//!
//! Entry point: [`Notifier`] with [`NotifierSpec`] and [`NotifierStatus`].
//!
//! Invariant: nothing secret stands in the object: what has to stay secret is named by [`SecretReference`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::core::{Reason, Rule};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::account::MAX_ACCOUNT_NAME;
use super::conditions;
use super::scalar::words;
use super::schema::{self, MAX_NAME, NAMESPACE};

/// The most characters of a notifier's name: it stands in the status of every group.
pub const MAX_NOTIFIER_NAME: usize = 63;
/// The most namespaces a filter lists.
pub const MAX_FILTERED_NAMESPACES: usize = 64;

words! {
    /// Where messages go.
    NotifierType {
        /// An incoming webhook of Slack, or of what understands its messages.
        Slack,
        /// Any HTTP endpoint that takes CloudEvents.
        Webhook,
        /// A topic of Amazon SNS.
        Sns,
    }
}

words! {
    /// How much something matters, the least first.
    Severity {
        /// Good to know.
        Low,
        /// To be looked at when there is time.
        Medium,
        /// To be looked at soon.
        High,
        /// To be looked at now.
        Critical,
    }
}

words! {
    /// What a message is about.
    NoticeKind {
        /// Somebody edited a group behind sgwarden's back.
        Drift,
        /// A group is gone from EC2.
        GroupDeleted,
        /// Reverts are suspended, will soon be made again, or are made again.
        Suspend,
        /// A rule ends within a day, or ended.
        Expiry,
        /// The same edit is made again and again.
        RevertWar,
        /// Changes wait for a person, or for the account's limit.
        Waiting,
        /// A group carries somebody else's tags.
        OwnershipConflict,
        /// A group cannot be kept as declared until somebody acts.
        Failure,
    }
}

/// Where to send messages, and which.
#[allow(clippy::duplicated_attributes, reason = "two columns may be of one type")]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "sgwarden.dev",
    version = "v1alpha1",
    kind = "Notifier",
    plural = "notifiers",
    singular = "notifier",
    shortname = "sgnotify",
    category = "sgwarden",
    status = "NotifierStatus",
    derive = "PartialEq",
    doc = "Whom sgwarden tells of edits, suspends, expiries and what waits: Slack, a webhook or an SNS topic.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Waiting", type_ = "integer", json_path = ".status.waiting"),
    printcolumn(name = "Last-Sent", type_ = "date", json_path = ".status.lastSentTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.filter.severity", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = 1),
    validation = Rule::new(format!("size(self.metadata.name) <= {MAX_NOTIFIER_NAME}"))
        .message(format!(
            "metadata.name: a notifier's name has {MAX_NOTIFIER_NAME} characters at most, as the status of every group may hold it: \
             create it under another"
        ).as_str())
        .reason(Reason::FieldValueInvalid)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = goes_with("slack", "Slack", "slack: {urlSecret: {name: alerts, key: url}}"))]
#[x_kube(validation = goes_with("webhook", "Webhook", "webhook: {url: https://alerts.example.com/sgwarden}"))]
#[x_kube(validation = goes_with("sns", "Sns", "sns: {topicArn: \"arn:aws:sns:eu-west-1:123456789012:alerts\"}"))]
pub struct NotifierSpec {
    /// Where messages go: Slack, Webhook or Sns. The field of that name in lower case says the rest.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["Slack", "Webhook", "Sns"]))]
    pub type_: String,

    /// With type Slack: an incoming webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackSink>,

    /// With type Webhook: an endpoint that takes CloudEvents 1.0 as JSON, in an HTTP POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSink>,

    /// With type Sns: a topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sns: Option<SnsSink>,

    /// Which messages are sent; absent, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<NoticeFilter>,

    /// How many messages are sent. What is over the limit waits, and then goes out in one message that lists it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<NotifyRate>,
}

/// An incoming webhook of Slack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlackSink {
    /// The Secret with the webhook's URL, such as https://hooks.slack.com/services/..., which is a secret itself.
    pub url_secret: SecretReference,
}

/// An HTTP endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSink {
    /// Where to POST to, such as https://alerts.example.com/sgwarden: without credentials. A redirect is not followed.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = schema::of_form(
        r"self.matches(r'^https?://[^\s/?#@\\]+([/?][^\s#]*)?$')",
        "a webhook is an address without credentials, such as https://alerts.example.com/sgwarden",
    ))]
    pub url: String,
    /// The Secret with the key that messages are signed with (HMAC-SHA256, as Standard Webhooks has it: headers webhook-id,
    /// webhook-timestamp and webhook-signature). Absent: they are not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_secret: Option<SecretReference>,
}

/// A topic of Amazon SNS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnsSink {
    /// The topic, such as arn:aws:sns:eu-west-1:123456789012:alerts; a standard one, not FIFO.
    #[schemars(length(max = 512))]
    #[x_kube(validation = schema::of_form_saying(
        r"self.matches(r'^arn:aws[a-z-]*:sns:[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}:[0-9]{12}:[A-Za-z0-9_-]{1,256}$')",
        "self.endsWith('.fifo') ? \"'%s' is a FIFO topic: use a standard one\".format([self]) : \
         \"'%s' is not a topic: write it like arn:aws:sns:eu-west-1:123456789012:alerts\".format([self])",
    ))]
    pub topic_arn: String,
    /// Name of the AwsAccount whose role publishes. Absent: the credentials sgwarden runs with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ACCOUNT_NAME), regex(pattern = schema::NAME))]
    pub account: Option<String>,
}

/// A key of a Secret in sgwarden's own namespace; with sgwarden run, a file NAME/KEY below the directory of --secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret, in the namespace sgwarden runs in.
    #[schemars(length(max = MAX_NAME), regex(pattern = schema::NAME))]
    pub name: String,
    /// Its key.
    #[schemars(length(max = MAX_NAME), regex(pattern = r"^[A-Za-z0-9_][-._A-Za-z0-9]*$"))]
    pub key: String,
}

/// Which messages are sent. All that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.namespaces) || !has(self.namespaceSelector)")
    .message("namespaces and namespaceSelector exclude each other: remove one of them")
    .reason(Reason::FieldValueForbidden)
    .field_path(".namespaces"))]
pub struct NoticeFilter {
    /// Only what happens to groups of these namespaces, such as [shop].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = MAX_FILTERED_NAMESPACES),
        inner(length(max = 63), regex(pattern = NAMESPACE)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub namespaces: Vec<String>,
    /// Only what happens to groups of namespaces with these labels, such as {matchLabels: {team: shop}}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// Only what matters as much or more: Low, Medium, High or Critical. Default: Low, which is everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Low", "Medium", "High", "Critical"]))]
    pub severity: Option<String>,
    /// Only these: Drift, GroupDeleted, Suspend, Expiry, RevertWar, Waiting, OwnershipConflict, Failure. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "kinds_schema")]
    pub kinds: Vec<String>,
}

/// How many messages are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct NotifyRate {
    /// Messages a minute in the long run; 20 by default, 1 to 600.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 600))]
    pub per_minute: Option<i32>,
    /// Messages one after the other when nothing was sent for a while; 10 by default, 1 to 600.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 600))]
    pub burst: Option<i32>,
}

fn kinds_schema(_: &mut SchemaGenerator) -> Schema {
    let kinds = <NoticeKind as strum::VariantNames>::VARIANTS;
    json_schema!({
        "type": "array",
        "maxItems": kinds.len(),
        "x-kubernetes-list-type": "atomic",
        "items": { "type": "string", "enum": kinds },
    })
}

/// CEL over the spec: the section of a type is there with that type, and only then.
fn goes_with(section: &str, type_: &str, example: &str) -> Rule {
    let rule = format!("(self.type == '{type_}') == has(self.{section})");
    let message =
        format!("{section} goes with type {type_}, and with no other: write type: {type_} and {example}, or remove {section}");
    Rule::new(rule).message(message.as_str()).reason(Reason::FieldValueInvalid).field_path(format!(".{section}"))
}

/// How the notifier stands. Written by sgwarden only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(inline)]
pub struct NotifierStatus {
    /// The metadata.generation that the rest of the status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Since when it is told of what happens, such as 2026-12-24T18:00:00Z; of what was before it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35), extend("format" = "date-time"))]
    pub since: Option<String>,
    /// When a message was last taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 35), extend("format" = "date-time"))]
    pub last_sent_time: Option<String>,
    /// How much waits to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<i32>,
    /// Ready, Delivering, Reconciling, Stalled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}
