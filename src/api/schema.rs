//! Pieces of schema that several kinds share: texts of one form (times, spans, ids), labels, tags, lists of words.
//!
//! Entry points: the functions that return a [`Rule`] go to one field; those that return a [`Schema`] are a field's
//! whole schema, for what a derive cannot say (the items of a list, a foreign type without bounds).
//!
//! Invariant: a text is held by CEL with a message wherever its cost allows, by a bare pattern otherwise.

use kube::core::{Message, Reason, Rule};
use schemars::{Schema, SchemaGenerator, json_schema};

/// A time that all who read it agree on: `format: date-time` alone lets year 9999, twelve digits of fraction and the offset
/// +99:00 through, and typed Rust would choke on a stored one.
pub(super) const TIME: &str =
    r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";
/// The most characters of such a time.
pub(super) const MAX_TIME: usize = 35;
/// The most characters of a duration.
pub(super) const MAX_DURATION: usize = 16;
/// The most characters of the name of a Kubernetes object.
pub(super) const MAX_NAME: usize = 253;
/// The name of a Kubernetes object, as a pattern: in a message its form says what to do.
pub(super) const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// The name of a namespace, as a pattern.
pub(super) const NAMESPACE: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// The most labels, requirements and values of a selector: in all of an object they must leave room for its status.
const MAX_LABELS: usize = 16;
const MAX_REQUIREMENTS: usize = 8;
const MAX_LABEL_VALUES: usize = 32;

const REGION_RULE: &str = "self.matches('^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$')";
const REGION_MESSAGE: &str = "an AWS Region looks like eu-west-1";
const VPC_ID_RULE: &str = "self.matches('^vpc-([0-9a-f]{8}|[0-9a-f]{17})$')";
const VPC_ID_MESSAGE: &str = "a VPC id looks like vpc-0123456789abcdef0 (vpc- and 8 or 17 of 0-9 a-f)";

/// CEL over a tag key `k`: a key that is not for people to declare.
const TAG_REFUSED: &str =
    "(k.lowerAscii().startsWith('aws:') || k.startsWith('sgwarden.dev/') || k.startsWith('kubernetes.io/cluster/'))";

/// A text of one form.
pub(super) fn of_form(rule: &str, message: &str) -> Rule {
    Rule::new(rule).message(message).reason(Reason::FieldValueInvalid)
}

/// A text of one form, with a message that is CEL.
pub(super) fn of_form_saying(rule: &str, message: &str) -> Rule {
    Rule::new(rule).message(Message::Expression(message.to_owned())).reason(Reason::FieldValueInvalid)
}

/// A point in time. The second half refuses what has the form of one and is none, such as 30 February; `timestamp()` would
/// end in an error of its own there, without our message.
pub(super) fn time() -> Rule {
    of_form_saying(
        &format!("self.matches(r'{TIME}') && !format.datetime().validate(self).hasValue()"),
        "\"'%s' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999\".format([self])",
    )
}

/// A duration within bounds, themselves written as one.
pub(super) fn duration(least: &str, most: &str) -> Rule {
    // Six digits at most, or CEL's own parser would overflow.
    let form = "size(self) > 0 && self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$')";
    of_form_saying(
        &format!("{form} && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')"),
        &format!(
            "{form} ? \"'%s' is out of bounds: write {least} to {most}\".format([self]) : \
             \"'%s' is not a duration: write it like 60s, 5m or 1h30m\".format([self])"
        ),
    )
}

/// The code of a Region, of any partition.
pub(super) fn region() -> Rule {
    of_form(REGION_RULE, REGION_MESSAGE)
}

/// The number of an AWS account.
pub(super) fn account_id() -> Rule {
    of_form("self.matches('^[0-9]{12}$')", "an AWS account id has 12 digits, in quotes: \"123456789012\"")
}

/// The id of a VPC.
pub(super) fn vpc_id() -> Rule {
    of_form(VPC_ID_RULE, VPC_ID_MESSAGE)
}

/// The id of a security group, where no object could be meant instead.
pub(super) fn security_group_id() -> Rule {
    of_form("self.matches('^sg-([0-9a-f]{8}|[0-9a-f]{17})$')", "a security group id looks like sg-0123456789abcdef0")
}

/// The id of a prefix list.
pub(super) fn prefix_list_id() -> Rule {
    of_form("self.matches('^pl-([0-9a-f]{8}|[0-9a-f]{17})$')", "a prefix list id looks like pl-0123456789abcdef0")
}

/// A flag that says something only when it is true.
pub(super) fn only_true(message: &str) -> Rule {
    of_form("self", message)
}

/// Codes of Regions. Atomic as every list of ours: an entry that somebody patches in is gone with the next apply from Git.
pub(super) fn regions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 40,
        "x-kubernetes-list-type": "atomic",
        "x-kubernetes-validations": [
            rule("size(self) > 0", "name at least one AWS Region, such as [eu-west-1]", "FieldValueRequired"),
        ],
        "items": {
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [rule(REGION_RULE, REGION_MESSAGE, "FieldValueInvalid")],
        },
    })
}

/// Ids of VPCs.
pub(super) fn vpc_ids(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "string",
            "maxLength": 21,
            "x-kubernetes-validations": [rule(VPC_ID_RULE, VPC_ID_MESSAGE, "FieldValueInvalid")],
        },
    })
}

/// Some of the words of a closed list.
pub(super) fn some_of(words: &[&str]) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": words.len(),
        "x-kubernetes-list-type": "atomic",
        "items": { "type": "string", "enum": words },
    })
}

/// Tags for a group in EC2, at most `most`.
pub(super) fn tags(most: usize) -> Schema {
    let refused = "tag keys may not start with 'aws:' (AWS's), 'sgwarden.dev/' (sgwarden's own) or \
                   'kubernetes.io/cluster/' (cloud controllers act on it): remove";
    json_schema!({
        "type": "object",
        "maxProperties": most,
        "additionalProperties": { "type": "string", "maxLength": 256 },
        "x-kubernetes-validations": [
            rule("self.all(k, size(k) > 0 && size(k) <= 127)", "a tag key has 1 to 127 characters", "FieldValueInvalid"),
            {
                "rule": format!("!self.exists(k, {TAG_REFUSED})"),
                "message": format!("{refused} the key"),
                "messageExpression": format!("\"{refused} '%s'\".format([self.filter(k, {TAG_REFUSED})[0]])"),
                "reason": "FieldValueInvalid",
            },
        ],
    })
}

/// Tags that something in AWS has, so of any key.
pub(super) fn tags_to_find(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 10,
        "additionalProperties": { "type": "string", "maxLength": 256 },
        "x-kubernetes-validations": [
            rule("size(self) > 0", "at least one tag, such as {env: prod}", "FieldValueRequired"),
            rule("self.all(k, size(k) > 0 && size(k) <= 128)", "a tag key has 1 to 128 characters", "FieldValueInvalid"),
        ],
    })
}

/// A selector of labels; the schema of `k8s-openapi` has neither bounds nor the words of `operator`.
pub(super) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels the namespace has, all of them, such as {team: shop}.",
                "type": "object",
                "maxProperties": MAX_LABELS,
                "additionalProperties": { "type": "string", "maxLength": 63 },
                "x-kubernetes-validations": [
                    rule(
                        "self.all(k, size(k) > 0 && size(k) <= 317)",
                        "the key of a label has at most 253 characters, a slash and 63 characters",
                        "FieldValueInvalid",
                    ),
                ],
            },
            "matchExpressions": {
                "description": "What else is asked of the labels, all of it, such as \
                    [{key: kubernetes.io/metadata.name, operator: In, values: [shop, shop-test]}].",
                "type": "array",
                "maxItems": MAX_REQUIREMENTS,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {
                            "description": "Key of the label.",
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 317,
                        },
                        "operator": {
                            "description": "How the label compares with values: In, NotIn, Exists or DoesNotExist.",
                            "type": "string",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "Values of the label, with operator In and NotIn only.",
                            "type": "array",
                            "maxItems": MAX_LABEL_VALUES,
                            "x-kubernetes-list-type": "atomic",
                            "items": { "type": "string", "maxLength": 63 },
                        },
                    },
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                        "message": "operator In and NotIn need values, Exists and DoesNotExist take none: add or remove them",
                        "messageExpression": "self.operator in ['In', 'NotIn'] ? \
                            \"operator %s needs values: list at least one\".format([self.operator]) : \
                            \"operator %s takes no values: remove them\".format([self.operator])",
                        "reason": "FieldValueInvalid",
                        "fieldPath": ".values",
                    }],
                },
            },
        },
    })
}

fn rule(rule: &str, message: &str, reason: &str) -> serde_json::Value {
    serde_json::json!({ "rule": rule, "message": message, "reason": reason })
}
