//! Manifests that are wrong in one way each, and what is said about them.
//!
//! Entry points: [`REJECTED`] (refused on its own) and [`PINNED`] (refused once a group exists). The apiserver must refuse
//! each with a message that holds the field's path and the fragment of the remedy; `sgwarden check` is held to the same
//! table. A new rule in `src/api` gets a line here. [`ACCEPTED`] is the other side: right, however ugly.

/// Which of our kinds a manifest is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    SecurityGroup,
    CidrSet,
    AwsAccount,
    Notifier,
}

/// One manifest that is wrong in one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rejected {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Name of the file, without `.yaml`.
    pub(crate) name: &'static str,
    /// The manifest.
    pub(crate) yaml: &'static str,
    /// Path of the field that the message names.
    pub(crate) field: &'static str,
    /// What the message says besides.
    pub(crate) remedy: &'static str,
}

/// A line of the tables: the kind (a `SecurityGroup` where none is given), the file's name, the field, the remedy.
macro_rules! rejected {
    ($name:literal, $field:literal, $remedy:literal) => {
        rejected!(SecurityGroup, $name, $field, $remedy)
    };
    ($kind:ident, $name:literal, $field:literal, $remedy:literal) => {
        Rejected {
            kind: Kind::$kind,
            name: $name,
            yaml: include_str!(concat!("rejected/", $name, ".yaml")),
            field: $field,
            remedy: $remedy,
        }
    };
}

/// Refused when applied.
#[rustfmt::skip]
pub(crate) const REJECTED: &[Rejected] = &[
    // peers
    rejected!("peer-none", "spec.ingress[0].from[0]", "exactly one of cidr, cidrSet, securityGroup, securityGroupId, prefixListId, prefixListName, self"),
    rejected!("peer-two", "spec.ingress[0].from[0]", "one list entry per peer"),
    rejected!("peer-empty-list", "spec.ingress[0].from", "at least one peer; everybody is"),
    rejected!("peer-self-false", "spec.ingress[0].from[0].self", "self can only be true: for any other peer leave it out"),
    rejected!("peer-account-without-group", "spec.ingress[0].from[0].accountId", "name the group by its id in securityGroupId"),
    rejected!("peer-account-malformed", "spec.ingress[0].from[0].accountId", "12 digits, in quotes"),
    rejected!("peer-group-by-name-as-id", "spec.ingress[0].from[0].securityGroupId", "write securityGroup: {name: ...}"),
    rejected!("peer-prefix-list-malformed", "spec.ingress[0].from[0].prefixListId", "looks like pl-0123456789abcdef0"),
    rejected!("peer-description-charset", "spec.ingress[0].from[0].description", "should match"),
    rejected!("peer-two-references", "spec.ingress[0].from[0]", "one list entry per peer"),
    rejected!("peer-set-name-malformed", "spec.ingress[0].from[0].cidrSet.name", "should match"),
    rejected!("peer-set-without-name", "spec.ingress[0].from[0].cidrSet.name", "Required value"),
    rejected!("peer-namespace-malformed", "spec.ingress[0].from[0].securityGroup.namespace", "should match"),
    rejected!("peer-prefix-list-name-empty", "spec.ingress[0].from[0].prefixListName", "should match"),
    rejected!("peer-prefix-list-name-charset", "spec.ingress[0].from[0].prefixListName", "should match"),
    // ranges
    rejected!("cidr-host-bits", "spec.ingress[0].from[0].cidr", "write '10.0.0.0/8' for the range or '10.1.2.3/32' for the one address"),
    rejected!("cidr-host-bits-ipv6", "spec.ingress[0].from[0].cidr", "write '2001:db8::/32' for the range or '2001:db8::1/128' for the one address"),
    rejected!("cidr-bare-address", "spec.ingress[0].from[0].cidr", "write '10.1.2.3/32'"),
    rejected!("cidr-ipv4-mapped", "spec.ingress[0].from[0].cidr", "IPv4-mapped IPv6, which is refused: write the IPv4 range"),
    rejected!("cidr-not-a-range", "spec.ingress[0].from[0].cidr", "write it like 10.0.0.0/8 or 2001:db8::/32"),
    rejected!("cidr-leading-zero", "spec.ingress[0].from[0].cidr", "write it like 10.0.0.0/8 or 2001:db8::/32"),
    rejected!("cidr-prefix-too-long", "spec.ingress[0].from[0].cidr", "write it like 10.0.0.0/8 or 2001:db8::/32"),
    rejected!("cidr-egress-host-bits", "spec.egress[0].to[0].cidr", "write '10.0.0.0/8'"),
    // ports
    rejected!("ports-backwards", "spec.ingress[0].ports[0]", "a range from lower to higher"),
    rejected!("ports-too-high", "spec.ingress[0].ports[0]", "within 0 to 65535"),
    rejected!("ports-negative", "spec.ingress[0].ports[0]", "within 0 to 65535"),
    rejected!("ports-range-too-high", "spec.ingress[0].ports[0]", "within 0 to 65535"),
    rejected!("ports-leading-zero", "spec.ingress[0].ports[0]", "without leading zeros"),
    rejected!("ports-name", "spec.ingress[0].ports[0]", "must be a port (443) or a range"),
    rejected!("ports-missing", "spec.ingress[0].ports", "for every port write ports: [\"0-65535\"]"),
    rejected!("ports-empty", "spec.ingress[0].ports", "for every port write ports: [\"0-65535\"]"),
    rejected!("ports-with-all", "spec.ingress[0].ports", "not with 'all', which is always all ports: remove ports"),
    rejected!("ports-with-icmp", "spec.ingress[0].ports", "which has types and codes instead: use icmp"),
    rejected!("ports-with-number", "spec.ingress[0].ports", "not with '50', which is always all ports: remove ports"),
    // protocols
    rejected!("protocol-number-of-tcp", "spec.ingress[0].protocol", "write 'tcp'"),
    rejected!("protocol-upper-case", "spec.ingress[0].protocol", "write 'tcp'"),
    rejected!("protocol-minus-one", "spec.ingress[0].protocol", "write 'all'"),
    rejected!("protocol-unknown", "spec.ingress[0].protocol", "use tcp, udp, icmp, icmpv6, all or a number from '0' to '255'"),
    rejected!("protocol-number-too-high", "spec.ingress[0].protocol", "a number from '0' to '255'"),
    // icmp
    rejected!("icmp-ipv6", "spec.ingress[0].from", "put the IPv6 ranges in a rule with protocol icmpv6"),
    rejected!("icmpv6-ipv4", "spec.ingress[0].from", "put the IPv4 ranges in a rule with protocol icmp"),
    rejected!("icmp-code-of-all-types", "spec.ingress[0].icmp.code", "icmp.code must be -1 (or absent) when icmp.type is -1"),
    rejected!("icmp-type-too-high", "spec.ingress[0].icmp.type", "less than or equal to 255"),
    rejected!("icmp-with-tcp", "spec.ingress[0].icmp", "not with 'tcp': remove icmp"),
    // rules
    rejected!("rule-name-twice", "spec.ingress", "rule names must be unique in their list"),
    rejected!("rule-name-malformed", "spec.ingress[0].name", "such as 'allow-https'; free text goes into description"),
    rejected!("rule-description-charset", "spec.ingress[0].description", "AWS accepts only A-Z a-z 0-9, space and"),
    rejected!("expires-not-a-time", "spec.ingress[0].expiresAt", "'tomorrow' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999"),
    rejected!("expires-no-zone", "spec.ingress[0].expiresAt", "'2026-12-24T18:00:00' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999"),
    rejected!("expires-no-such-day", "spec.ingress[0].expiresAt", "'2026-02-30T00:00:00Z' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999"),
    rejected!("expires-too-late", "spec.ingress[0].expiresAt", "'9999-12-31T23:59:59Z' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999"),
    rejected!("expires-fraction", "spec.ingress[0].expiresAt", "'2026-12-24T18:00:00.1234567890Z' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999"),
    rejected!("rule-pairs", "spec.ingress", "1003 pairs of a peer and a port, each a rule in EC2, are more than the 1000 of one direction: merge ranges, or split the group"),
    // group
    rejected!("egress-policy-missing", "spec.egressPolicy", "list egress rules, or set egressPolicy: AllowAll"),
    rejected!("egress-policy-missing-empty-list", "spec.egressPolicy", "or egressPolicy: DenyAll"),
    rejected!("egress-policy-beside-rules", "spec.egressPolicy", "remove it, or remove the rules"),
    rejected!("egress-policy-unknown", "spec.egressPolicy", "supported values: \"AllowAll\", \"DenyAll\""),
    rejected!("account-malformed", "spec.account", "is the name of an AwsAccount object, such as prod: lower-case letters, digits, '-' and '.' only"),
    rejected!("mode-unknown", "spec.enforcement.mode", "supported values: \"Enforce\", \"Observe\""),
    rejected!("deletion-policy-unknown", "spec.deletionPolicy", "supported values: \"Delete\", \"Retain\""),
    rejected!("vpc-missing", "spec.vpc", "Required value"),
    rejected!("vpc-none", "spec.vpc", "vpc is exactly one of id, name, tags, such as {id: vpc-0123456789abcdef0}"),
    rejected!("vpc-two", "spec.vpc", "vpc is exactly one of id, name, tags, such as {id: vpc-0123456789abcdef0}"),
    rejected!("vpc-name-empty", "spec.vpc.name", "at least 1 chars long"),
    rejected!("vpc-tags-empty", "spec.vpc.tags", "at least one tag, such as {env: prod}"),
    rejected!("vpc-tag-empty-key", "spec.vpc.tags", "1 to 128 characters"),
    rejected!("vpc-malformed", "spec.vpc.id", "looks like vpc-0123456789abcdef0"),
    rejected!("region-malformed", "spec.region", "looks like eu-west-1"),
    rejected!("name-reserved", "spec.groupName", "may not start with 'sg-' nor be 'default'"),
    rejected!("name-default", "spec.groupName", "may not start with 'sg-' nor be 'default'"),
    rejected!("name-charset", "spec.groupName", "in a group name"),
    rejected!("name-space", "spec.groupName", "may not start or end with a space, which AWS trims: remove it"),
    rejected!("name-too-long", "spec.groupName", "set spec.groupName"),
    rejected!("description-charset", "spec.description", "AWS accepts only A-Z a-z 0-9, space and"),
    rejected!("tag-aws", "spec.tags", "remove 'aws:cloudformation:stack-name'"),
    rejected!("tag-sgwarden", "spec.tags", "remove 'sgwarden.dev/owner'"),
    rejected!("tag-cluster", "spec.tags", "remove 'kubernetes.io/cluster/prod'"),
    rejected!("tag-empty-key", "spec.tags", "1 to 127 characters"),
    // enforcement
    rejected!("undeclared-rules-unknown", "spec.enforcement.undeclaredRules", "supported values: \"Revoke\", \"Report\", \"Keep\""),
    rejected!("approval-unknown", "spec.enforcement.approval", "supported values: \"Automatic\", \"Required\""),
    rejected!("tolerate-everything", "spec.enforcement.tolerate[0]", "say what is tolerated: a peer (cidr, securityGroupId or prefixListId) or ports"),
    rejected!("tolerate-protocol-alone", "spec.enforcement.tolerate[0]", "say what is tolerated: a peer (cidr, securityGroupId or prefixListId) or ports"),
    rejected!("tolerate-two-peers", "spec.enforcement.tolerate[0]", "at most one of cidr, securityGroupId, prefixListId (one list entry per peer)"),
    rejected!("tolerate-ports-without-protocol", "spec.enforcement.tolerate[0].ports", "ports go with protocol tcp or udp only: write the protocol, or remove ports"),
    rejected!("tolerate-ports-with-icmp", "spec.enforcement.tolerate[0].ports", "ports go with protocol tcp or udp only: write the protocol, or remove ports"),
    rejected!("tolerate-ports-backwards", "spec.enforcement.tolerate[0].ports[0]", "a range from lower to higher"),
    rejected!("tolerate-host-bits", "spec.enforcement.tolerate[0].cidr", "write '10.0.0.0/8' for the range or '10.1.2.3/32' for the one address"),
    rejected!("tolerate-direction-unknown", "spec.enforcement.tolerate[0].direction", "supported values: \"Ingress\", \"Egress\""),
    rejected!("tolerate-direction-missing", "spec.enforcement.tolerate[0].direction", "Required value"),
    rejected!("tolerate-group-malformed", "spec.enforcement.tolerate[0].securityGroupId", "looks like sg-0123456789abcdef0"),
    rejected!("tolerate-prefix-list-malformed", "spec.enforcement.tolerate[0].prefixListId", "looks like pl-0123456789abcdef0"),
    rejected!("tolerate-protocol-upper-case", "spec.enforcement.tolerate[0].protocol", "write 'tcp'"),
    rejected!("tolerate-prefix-empty", "spec.enforcement.tolerate[0].descriptionPrefix", "at least 1 chars long"),
    rejected!("suspend-without-until", "spec.enforcement.suspend.until", "Required value"),
    rejected!("suspend-until-not-a-time", "spec.enforcement.suspend.until", "'noon' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999"),
    // adopt
    rejected!("adopt-none", "spec.adopt", "adopt is exactly one of groupId, byName, such as {groupId: sg-0123456789abcdef0}"),
    rejected!("adopt-two", "spec.adopt", "adopt is exactly one of groupId, byName, such as {groupId: sg-0123456789abcdef0}"),
    rejected!("adopt-by-name-false", "spec.adopt.byName", "byName can only be true: to create a group of your own, remove adopt"),
    rejected!("adopt-group-malformed", "spec.adopt.groupId", "looks like sg-0123456789abcdef0"),
    // allowedNamespaces
    rejected!("allowed-from-unknown", "spec.allowedNamespaces.from", "supported values: \"Same\", \"All\", \"Selector\""),
    rejected!("allowed-selector-missing", "spec.allowedNamespaces.selector", "from: Selector needs a selector, such as {matchLabels: {team: shop}}"),
    rejected!("allowed-selector-unused", "spec.allowedNamespaces.selector", "selector goes with from: Selector only: remove it, or write from: Selector"),
    rejected!("allowed-operator-unknown", "spec.allowedNamespaces.selector.matchExpressions[0].operator", "supported values: \"In\", \"NotIn\", \"Exists\", \"DoesNotExist\""),
    rejected!("allowed-values-missing", "spec.allowedNamespaces.selector.matchExpressions[0].values", "operator In needs values: list at least one"),
    rejected!("allowed-values-unwanted", "spec.allowedNamespaces.selector.matchExpressions[0].values", "operator Exists takes no values: remove them"),
    // sets
    rejected!(CidrSet, "set-empty", "spec.cidrs", "a set without ranges allows nobody: list at least one, or set allowEmpty: true"),
    rejected!(CidrSet, "set-empty-list", "spec.cidrs", "a set without ranges allows nobody: list at least one, or set allowEmpty: true"),
    rejected!(CidrSet, "set-host-bits", "spec.cidrs[1].cidr", "write '10.0.0.0/8' for the range or '10.1.2.3/32' for the one address"),
    rejected!(CidrSet, "set-without-cidr", "spec.cidrs[0].cidr", "Required value"),
    rejected!(CidrSet, "set-description-charset", "spec.cidrs[0].description", "AWS accepts only A-Z a-z 0-9, space and"),
    rejected!(CidrSet, "set-expires-not-a-time", "spec.cidrs[0].expiresAt", "'tomorrow' is not a time: write it like 2026-12-24T18:00:00Z, in the years 2000 to 2999"),
    rejected!(CidrSet, "set-selector-missing", "spec.allowedNamespaces.selector", "from: Selector needs a selector, such as {matchLabels: {team: shop}}"),
    // accounts
    rejected!(AwsAccount, "account-name-too-long", "metadata.name", "an account's name has 63 characters at most"),
    rejected!(AwsAccount, "account-id-malformed", "spec.accountId", "12 digits, in quotes"),
    rejected!(AwsAccount, "account-id-a-number", "spec.accountId", "expected string"),
    rejected!(AwsAccount, "account-regions-none", "spec.regions", "name at least one AWS Region, such as [eu-west-1]"),
    rejected!(AwsAccount, "account-regions-missing", "spec.regions", "Required value"),
    rejected!(AwsAccount, "account-region-malformed", "spec.regions[1]", "looks like eu-west-1"),
    rejected!(AwsAccount, "account-role-malformed", "spec.roleArn", "'sgwarden' is not a role: write it like arn:aws:iam::123456789012:role/sgwarden"),
    rejected!(AwsAccount, "account-role-of-a-user", "spec.roleArn", "user/sgwarden' is not a role: write it like arn:aws:iam::123456789012:role/sgwarden"),
    rejected!(AwsAccount, "account-role-elsewhere", "spec.roleArn", "the role is of account 444455556666, and accountId says 111122223333: name a role of that account, or correct accountId"),
    rejected!(AwsAccount, "account-external-id-alone", "spec.externalId", "externalId goes with roleArn only: remove it, or name the role in roleArn"),
    rejected!(AwsAccount, "account-external-id-charset", "spec.externalId", "an external id has 2 to 1224 of A-Z a-z 0-9 and _ + = , . @ : / -"),
    rejected!(AwsAccount, "account-endpoint-malformed", "spec.endpointUrl", "an endpoint is an address without a query, such as https://ec2.internal.example:443"),
    rejected!(AwsAccount, "account-endpoint-credentials", "spec.endpointUrl", "an endpoint is an address without a query, such as https://ec2.internal.example:443"),
    rejected!(AwsAccount, "account-from-missing", "spec.allowedNamespaces.from", "Required value"),
    rejected!(AwsAccount, "account-from-same", "spec.allowedNamespaces.from", "supported values: \"All\", \"Selector\""),
    rejected!(AwsAccount, "account-selector-missing", "spec.allowedNamespaces.selector", "from: Selector needs a selector, such as {matchLabels: {team: shop}}"),
    rejected!(AwsAccount, "account-selector-unused", "spec.allowedNamespaces.selector", "selector goes with from: Selector only: remove it, or write from: Selector"),
    rejected!(AwsAccount, "account-values-missing", "spec.allowedNamespaces.selector.matchExpressions[0].values", "operator NotIn needs values: list at least one"),
    rejected!(AwsAccount, "account-vpc-malformed", "spec.allowedNamespaces.vpcs[1]", "looks like vpc-0123456789abcdef0"),
    rejected!(AwsAccount, "account-sweep-malformed", "spec.sweepInterval", "'1 minute' is not a duration: write it like 60s, 5m or 1h30m"),
    rejected!(AwsAccount, "account-sweep-without-unit", "spec.sweepInterval", "'60' is not a duration: write it like 60s, 5m or 1h30m"),
    rejected!(AwsAccount, "account-sweep-too-short", "spec.sweepInterval", "'5s' is out of bounds: write 10s to 1h"),
    rejected!(AwsAccount, "account-settle-too-long", "spec.settle", "'1m1s' is out of bounds: write 0s to 1m"),
    rejected!(AwsAccount, "account-suspend-too-long", "spec.limits.maxSuspend", "'721h' is out of bounds: write 1m to 720h"),
    rejected!(AwsAccount, "account-share-none", "spec.limits.apiShare", "0 is out of bounds: write a share of AWS's rates from 0.01 to 1, such as 0.5"),
    rejected!(AwsAccount, "account-share-too-high", "spec.limits.apiShare", "1.5 is out of bounds: write a share of AWS's rates from 0.01 to 1, such as 0.5"),
    rejected!(AwsAccount, "account-rules-too-many", "spec.limits.rulesPerGroup", "less than or equal to 1000"),
    rejected!(AwsAccount, "account-revocations-none", "spec.limits.revocationsPerMinute", "greater than or equal to 1"),
    rejected!(AwsAccount, "account-percent-too-high", "spec.limits.massChange.percent", "less than or equal to 100"),
    rejected!(AwsAccount, "account-mass-none", "spec.limits.massChange.rules", "greater than or equal to 1"),
    rejected!(AwsAccount, "account-modes-unknown", "spec.limits.enforcement.modes[1]", "supported values: \"Enforce\", \"Observe\""),
    rejected!(AwsAccount, "account-undeclared-unknown", "spec.limits.enforcement.undeclaredRules[0]", "supported values: \"Revoke\", \"Report\", \"Keep\""),
    rejected!(AwsAccount, "account-default-mode-unknown", "spec.defaults.enforcement.mode", "supported values: \"Enforce\", \"Observe\""),
    rejected!(AwsAccount, "account-default-undeclared-unknown", "spec.defaults.enforcement.undeclaredRules", "supported values: \"Revoke\", \"Report\", \"Keep\""),
    rejected!(AwsAccount, "account-default-approval-unknown", "spec.defaults.enforcement.approval", "supported values: \"Automatic\", \"Required\""),
    rejected!(AwsAccount, "account-tag-aws", "spec.defaults.tags", "remove 'aws:createdBy'"),
    rejected!(AwsAccount, "account-tag-empty-key", "spec.defaults.tags", "1 to 127 characters"),
    rejected!(AwsAccount, "account-adoption-unknown", "spec.adoption", "supported values: \"Consent\", \"Allowed\""),
    rejected!(AwsAccount, "account-mode-unknown", "spec.mode", "supported values: \"Enforce\", \"Observe\""),
    // notifiers
    rejected!(Notifier, "notifier-name-too-long", "metadata.name", "a notifier's name has 63 characters at most"),
    rejected!(Notifier, "notifier-type-unknown", "spec.type", "supported values: \"Slack\", \"Webhook\", \"Sns\""),
    rejected!(Notifier, "notifier-type-missing", "spec.type", "Required value"),
    rejected!(Notifier, "notifier-section-missing", "spec.slack", "slack goes with type Slack, and with no other"),
    rejected!(Notifier, "notifier-section-of-another", "spec.sns", "sns goes with type Sns, and with no other"),
    rejected!(Notifier, "notifier-url-credentials", "spec.webhook.url", "an address without credentials, such as https://alerts.example.com/sgwarden"),
    rejected!(Notifier, "notifier-url-no-scheme", "spec.webhook.url", "an address without credentials, such as https://alerts.example.com/sgwarden"),
    rejected!(Notifier, "notifier-secret-name", "spec.slack.urlSecret.name", "should match"),
    rejected!(Notifier, "notifier-secret-key", "spec.slack.urlSecret.key", "should match"),
    rejected!(Notifier, "notifier-secret-key-missing", "spec.slack.urlSecret.key", "Required value"),
    rejected!(Notifier, "notifier-topic-fifo", "spec.sns.topicArn", "is a FIFO topic: use a standard one"),
    rejected!(Notifier, "notifier-topic-malformed", "spec.sns.topicArn", "'alerts' is not a topic: write it like arn:aws:sns:eu-west-1:123456789012:alerts"),
    rejected!(Notifier, "notifier-severity-unknown", "spec.filter.severity", "supported values: \"Low\", \"Medium\", \"High\", \"Critical\""),
    rejected!(Notifier, "notifier-kind-unknown", "spec.filter.kinds[1]", "supported values: \"Drift\""),
    rejected!(Notifier, "notifier-namespaces-twice", "spec.filter.namespaces", "namespaces and namespaceSelector exclude each other: remove one of them"),
    rejected!(Notifier, "notifier-rate-none", "spec.rateLimit.perMinute", "greater than or equal to 1"),
];

/// The object that those in [`PINNED`] are a change of: it is applied first, then [`PINS`] becomes its status.
pub(crate) const PINNED_BEFORE: &str = include_str!("rejected/pinned-0-before.yaml");

/// The status that pins [`PINNED_BEFORE`], as the body of a merge patch of the status subresource.
pub(crate) const PINS: &str = r#"{"status": {
    "account": "prod", "region": "eu-west-1", "vpcId": "vpc-0a1b2c3d", "groupName": "shop-web",
    "description": "Web tier", "groupId": "sg-0123456789abcdef0"
}}"#;

/// Refused as a change of [`PINNED_BEFORE`].
#[rustfmt::skip]
pub(crate) const PINNED: &[Rejected] = &[
    rejected!("pinned-account", "spec.account", "account cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'prod'. Put it back"),
    rejected!("pinned-account-removed", "spec.account", "account cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'prod'. Put it back"),
    rejected!("pinned-region", "spec.region", "region cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'eu-west-1'. Put it back"),
    rejected!("pinned-region-removed", "spec.region", "region cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'eu-west-1'. Put it back"),
    rejected!("pinned-vpc", "spec.vpc", "vpc cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'vpc-0a1b2c3d'. Put it back"),
    rejected!("pinned-vpc-by-name", "spec.vpc", "vpc cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'vpc-0a1b2c3d'. Put it back"),
    rejected!("pinned-groupname", "spec.groupName", "groupName cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'shop-web'. Put it back"),
    rejected!("pinned-description", "spec.description", "description cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'Web tier'. Put it back"),
];

/// The object that [`FIXED`] is a change of.
pub(crate) const FIXED_BEFORE: &str = include_str!("rejected/fixed-0-before.yaml");

/// Refused as a change of [`FIXED_BEFORE`].
#[rustfmt::skip]
pub(crate) const FIXED: &[Rejected] = &[
    rejected!(AwsAccount, "fixed-account-id", "spec.accountId", "accountId cannot be changed: the groups of this object are in that account. Put it back"),
];

/// Manifests that are right, however ugly, with the name of the file: accepted by the apiserver, and by `check`.
pub(crate) const ACCEPTED: &[(&str, &str)] = &[
    ("accounts", include_str!("accepted/accounts.yaml")),
    ("case", include_str!("accepted/case.yaml")),
    ("empty-lists", include_str!("accepted/empty-lists.yaml")),
    ("least", include_str!("accepted/least.yaml")),
    ("notifiers", include_str!("accepted/notifiers.yaml")),
    ("pairs", include_str!("accepted/pairs.yaml")),
    ("policies", include_str!("accepted/policies.yaml")),
    ("ports", include_str!("accepted/ports.yaml")),
    ("protocols", include_str!("accepted/protocols.yaml")),
    ("ranges", include_str!("accepted/ranges.yaml")),
    ("sets", include_str!("accepted/sets.yaml")),
    ("texts", include_str!("accepted/texts.yaml")),
    ("vpcs", include_str!("accepted/vpcs.yaml")),
];
