//! A notifier, understood: where messages go, which, and how many.
//!
//! Entry points: [`parse_notifier`], [`Recipient::wants`].

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{
    MAX_NOTIFIER_NAME, NoticeFilter, NoticeKind, Notifier, NotifierSpec, NotifierType, NotifyRate, SecretReference, Severity,
};
use crate::core::model::Region;

use super::namespaces::Selector;
use super::parse::is_account;
use super::problem::{Problem, Problems};

/// What a rate may be.
const RATE: std::ops::RangeInclusive<u32> = 1..=600;

/// Whom to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Name of the `Notifier`.
    pub name: String,
    /// Where messages go.
    pub sink: Sink,
    /// Which messages.
    pub filter: Filter,
    /// How many.
    pub rate: Rate,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// An incoming webhook of Slack.
    Slack {
        /// Where its URL is kept.
        url: SecretReference,
    },
    /// An HTTP endpoint that takes `CloudEvents`.
    Webhook {
        /// Where to POST to.
        url: String,
        /// Where the key is kept that messages are signed with.
        hmac: Option<SecretReference>,
    },
    /// A topic of Amazon SNS.
    Sns {
        /// Its ARN.
        topic: String,
        /// The Region that the ARN names.
        region: Region,
        /// The `AwsAccount` whose role publishes.
        account: Option<String>,
    },
}

impl Sink {
    /// The type, as people write it.
    pub fn kind(&self) -> NotifierType {
        match self {
            Self::Slack { url: _ } => NotifierType::Slack,
            Self::Webhook { url: _, hmac: _ } => NotifierType::Webhook,
            Self::Sns { topic: _, region: _, account: _ } => NotifierType::Sns,
        }
    }
}

/// Which messages are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Of groups in these namespaces.
    pub namespaces: Namespaces,
    /// That matter as much or more.
    pub severity: Severity,
    /// About these; empty means any.
    pub kinds: BTreeSet<NoticeKind>,
}

/// Namespaces that a filter is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// Every one.
    All,
    /// Those of these names.
    Listed(BTreeSet<String>),
    /// Those with these labels.
    Selector(Selector),
}

/// How many messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// A minute, in the long run.
    pub per_minute: u32,
    /// One after the other, when nothing was sent for a while.
    pub burst: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_minute: 20, burst: 10 }
    }
}

/// Whether a message is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The labels of the namespace are not known yet.
    Unknown,
}

impl Recipient {
    /// Whether it wants a message of this kind and severity about a group in this namespace. `labels`: of the namespace, where known.
    pub fn wants(
        &self,
        kind: NoticeKind,
        severity: Severity,
        namespace: &str,
        labels: Option<&BTreeMap<String, String>>,
    ) -> Wanted {
        let Filter { namespaces, severity: least, kinds } = &self.filter;
        if severity < *least || !(kinds.is_empty() || kinds.contains(&kind)) {
            return Wanted::No;
        }
        let is_in = match (namespaces, labels) {
            (Namespaces::All, _) => true,
            (Namespaces::Listed(names), _) => names.contains(namespace),
            (Namespaces::Selector(selector), Some(labels)) => selector.matches(labels),
            (Namespaces::Selector(_), None) => return Wanted::Unknown,
        };
        if is_in { Wanted::Yes } else { Wanted::No }
    }
}

/// Understands a notifier, or says everything that is wrong with it.
pub fn parse_notifier(object: &Notifier) -> Result<Recipient, Vec<Problem>> {
    let NotifierSpec { type_, slack, webhook, sns, filter, rate_limit } = &object.spec;
    let mut problems = Problems::default();
    let p = &mut problems;
    let name = object.metadata.name.clone().unwrap_or_default();
    if name.len() > MAX_NOTIFIER_NAME {
        let message = format!(
            "a notifier's name has {MAX_NOTIFIER_NAME} characters at most, as the status of every group may hold it: create it under \
             another"
        );
        p.add("metadata.name", message);
    }
    let kind = p.keep("spec.type", NotifierType::parse(type_));
    let sections = [
        (NotifierType::Slack, "slack", slack.is_some()),
        (NotifierType::Webhook, "webhook", webhook.is_some()),
        (NotifierType::Sns, "sns", sns.is_some()),
    ];
    for (of, section, there) in sections {
        if kind.is_some_and(|kind| (kind == of) != there) {
            p.add(format!("spec.{section}"), format!("{section} goes with type {of}, and with no other"));
        }
    }
    let sink = match kind {
        Some(NotifierType::Slack) => {
            slack.as_ref().and_then(|slack| Some(Sink::Slack { url: secret("spec.slack.urlSecret", &slack.url_secret, p)? }))
        }
        Some(NotifierType::Webhook) => webhook.as_ref().and_then(|webhook| {
            if !is_webhook(&webhook.url) {
                p.add(
                    "spec.webhook.url",
                    "a webhook is an address without credentials, such as https://alerts.example.com/sgwarden",
                );
            }
            let hmac = webhook.hmac_secret.as_ref().map(|hmac| secret("spec.webhook.hmacSecret", hmac, p));
            // A key that cannot be found must not lead to messages without a signature.
            let hmac = hmac.map_or(Some(None), |hmac| hmac.map(Some))?;
            Some(Sink::Webhook { url: webhook.url.clone(), hmac })
        }),
        Some(NotifierType::Sns) => sns.as_ref().and_then(|sns| {
            if sns.account.as_deref().is_some_and(|account| !is_account(account)) {
                p.add(
                    "spec.sns.account",
                    "is the name of an AwsAccount object, such as prod: lower-case letters, digits, '-' and '.' only",
                );
            }
            let region = topic_region(&sns.topic_arn);
            if region.is_none() {
                let topic = &sns.topic_arn;
                let wrong = if topic.rsplit_once('.').is_some_and(|(_, end)| end == "fifo") {
                    format!("'{topic}' is a FIFO topic: use a standard one")
                } else {
                    format!("'{topic}' is not a topic: write it like arn:aws:sns:eu-west-1:123456789012:alerts")
                };
                p.add("spec.sns.topicArn", wrong);
            }
            Some(Sink::Sns { topic: sns.topic_arn.clone(), region: region?, account: sns.account.clone() })
        }),
        None => None,
    };
    let filter = filter_of(filter.clone().unwrap_or_default(), p);
    let rate = rate_limit.as_ref().map_or_else(Rate::default, |written| rate(written, p));
    problems.settle(sink.map(|sink| Recipient { name, sink, filter, rate }))
}

fn filter_of(written: NoticeFilter, problems: &mut Problems) -> Filter {
    let severity = written.severity.as_deref().and_then(|word| problems.keep("spec.filter.severity", Severity::parse(word)));
    let kinds = written.kinds.iter().enumerate();
    let kinds = kinds.filter_map(|(at, word)| problems.keep(format!("spec.filter.kinds[{at}]"), NoticeKind::parse(word)));
    let kinds = kinds.collect();
    let namespaces = match (&written.namespace_selector, written.namespaces.is_empty()) {
        (Some(_), false) => {
            problems.add("spec.filter.namespaces", "namespaces and namespaceSelector exclude each other: remove one of them");
            Namespaces::All
        }
        (Some(selector), true) => Namespaces::Selector(Selector::parse(selector, "spec.filter.namespaceSelector", problems)),
        (None, false) => Namespaces::Listed(written.namespaces.into_iter().collect()),
        (None, true) => Namespaces::All,
    };
    Filter { namespaces, severity: severity.unwrap_or(Severity::Low), kinds }
}

/// A reference to a secret. It becomes a path where secrets are files, so that nothing may lead elsewhere.
fn secret(path: &str, written: &SecretReference, problems: &mut Problems) -> Option<SecretReference> {
    let SecretReference { name, key } = written;
    let part = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        !text.is_empty() && text.len() <= 253 && !text.starts_with('.') && text.chars().all(allowed)
    };
    for (field, text) in [("name", name), ("key", key)] {
        if !part(text) {
            problems.add(
                format!("{path}.{field}"),
                format!("'{text}' is no {field} of a Secret: letters, digits, '-', '_' and '.' only"),
            );
        }
    }
    (part(name) && part(key)).then(|| written.clone())
}

fn is_webhook(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let plain = !url.contains(['#', '\\']) && !url.contains(char::is_whitespace) && url.len() <= 2048;
    plain && authority.is_some_and(|authority| !authority.is_empty() && !authority.contains('@'))
}

fn topic_region(arn: &str) -> Option<Region> {
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", partition, "sns", region, owner, topic] = parts.as_slice() else { return None };
    let name = !topic.is_empty() && topic.len() <= 256 && topic.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let whose = owner.len() == 12 && owner.chars().all(|c| c.is_ascii_digit());
    if partition.starts_with("aws") && name && whose { region.parse().ok() } else { None }
}

fn rate(written: &NotifyRate, problems: &mut Problems) -> Rate {
    let usual = Rate::default();
    let mut number = |field: &str, written: Option<i32>, default: u32| {
        let Some(written) = written else { return default };
        u32::try_from(written).ok().filter(|number| RATE.contains(number)).unwrap_or_else(|| {
            problems.add(format!("spec.rateLimit.{field}"), format!("{written} is out of bounds: write 1 to 600"));
            default
        })
    };
    let NotifyRate { per_minute, burst } = written;
    Rate { per_minute: number("perMinute", *per_minute, usual.per_minute), burst: number("burst", *burst, usual.burst) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(spec: &str) -> Result<Recipient, String> {
        let object: Notifier = serde_yaml::from_str(&format!(
            "apiVersion: sgwarden.dev/v1alpha1\nkind: Notifier\nmetadata: {{name: ops}}\nspec: {spec}"
        ))
        .unwrap();
        parse_notifier(&object).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn every_problem_is_told_with_its_field() {
        let wrong = "{type: Slack, webhook: {url: \"https://user@host/\"}, filter: {severity: low, kinds: [Drifts], namespaces: [a], \
                     namespaceSelector: {}}, rateLimit: {perMinute: 0}}";
        insta::assert_snapshot!(parsed(wrong).unwrap_err(), @r"
        spec.filter.kinds[0]: 'Drifts' is not one of Drift, GroupDeleted, Suspend, Expiry, RevertWar, Waiting, OwnershipConflict, Failure
        spec.filter.namespaces: namespaces and namespaceSelector exclude each other: remove one of them
        spec.filter.severity: 'low' is not one of Low, Medium, High, Critical
        spec.rateLimit.perMinute: 0 is out of bounds: write 1 to 600
        spec.slack: slack goes with type Slack, and with no other
        spec.webhook: webhook goes with type Webhook, and with no other
        ");
    }

    #[test]
    fn a_secret_is_never_a_way_out_of_the_directory_of_secrets() {
        for (name, key) in [("..", "url"), ("a", "../../etc/passwd"), ("a/b", "k"), ("a", ""), ("a", ".hidden")] {
            let spec = format!("{{type: Slack, slack: {{urlSecret: {{name: \"{name}\", key: \"{key}\"}}}}}}");
            assert!(parsed(&spec).unwrap_err().contains("of a Secret"), "{name}/{key}");
        }
    }

    #[test]
    fn a_webhook_whose_key_cannot_be_named_is_not_one_without_a_key() {
        assert!(parsed("{type: Webhook, webhook: {url: \"https://host/\", hmacSecret: {name: \"\", key: k}}}").is_err());
    }

    #[test]
    fn the_region_of_a_topic_is_the_one_of_its_arn() {
        let Sink::Sns { region, .. } =
            parsed("{type: Sns, sns: {topicArn: \"arn:aws-cn:sns:cn-north-1:123456789012:a\"}}").unwrap().sink
        else {
            panic!("a topic")
        };
        assert_eq!(region.as_str(), "cn-north-1");
        assert!(parsed("{type: Sns, sns: {topicArn: \"arn:aws:sns:eu-west-1:123456789012:a.fifo\"}}").is_err());
    }

    #[test]
    fn a_filter_asks_for_all_it_says() {
        let recipient = parsed(
            "{type: Slack, slack: {urlSecret: {name: a, key: b}}, filter: {severity: High, kinds: [Drift], \
             namespaceSelector: {matchLabels: {team: shop}}}}",
        )
        .unwrap();
        let (shop, bare) = (BTreeMap::from([("team".to_owned(), "shop".to_owned())]), BTreeMap::new());
        let wants = |kind, severity, labels| recipient.wants(kind, severity, "x", labels);
        assert_eq!(wants(NoticeKind::Drift, Severity::Critical, Some(&shop)), Wanted::Yes);
        assert_eq!(wants(NoticeKind::Drift, Severity::High, Some(&bare)), Wanted::No);
        assert_eq!(wants(NoticeKind::Drift, Severity::High, None), Wanted::Unknown);
        assert_eq!(wants(NoticeKind::Drift, Severity::Medium, None), Wanted::No);
        assert_eq!(wants(NoticeKind::Expiry, Severity::Critical, Some(&shop)), Wanted::No);
    }
}
