//! Manifests that are wrong in one way each, and what is said about them.
//!
//! Entry points: [`REJECTED`] (refused on its own) and [`PINNED`] (refused once a group exists). The apiserver must refuse
//! each with a message that holds the field's path and the fragment of the remedy; `sgwarden check` is held to the same
//! table. A new rule in `src/api` gets a line here. [`ACCEPTED`] is the other side: right, however ugly.

/// One manifest that is wrong in one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rejected {
    /// Name of the file, without `.yaml`.
    pub(crate) name: &'static str,
    /// The manifest.
    pub(crate) yaml: &'static str,
    /// Path of the field that the message names.
    pub(crate) field: &'static str,
    /// What the message says besides.
    pub(crate) remedy: &'static str,
}

/// A line of the tables: the file's name, the field, the remedy.
macro_rules! rejected {
    ($name:literal, $field:literal, $remedy:literal) => {
        Rejected { name: $name, yaml: include_str!(concat!("rejected/", $name, ".yaml")), field: $field, remedy: $remedy }
    };
}

/// Refused when applied.
#[rustfmt::skip]
pub(crate) const REJECTED: &[Rejected] = &[
    // peers
    rejected!("peer-none", "spec.ingress[0].from[0]", "exactly one of cidr, securityGroup, securityGroupId, prefixListId, self"),
    rejected!("peer-two", "spec.ingress[0].from[0]", "one list entry per peer"),
    rejected!("peer-empty-list", "spec.ingress[0].from", "at least one peer; everybody is"),
    rejected!("peer-self-false", "spec.ingress[0].from[0].self", "self can only be true: for any other peer leave it out"),
    rejected!("peer-account-without-group", "spec.ingress[0].from[0].accountId", "name the group by its id in securityGroupId"),
    rejected!("peer-account-malformed", "spec.ingress[0].from[0].accountId", "12 digits, in quotes"),
    rejected!("peer-group-by-name-as-id", "spec.ingress[0].from[0].securityGroupId", "write securityGroup: {name: ...}"),
    rejected!("peer-prefix-list-malformed", "spec.ingress[0].from[0].prefixListId", "looks like pl-0123456789abcdef0"),
    rejected!("peer-description-charset", "spec.ingress[0].from[0].description", "should match"),
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
    rejected!("rule-pairs", "spec.ingress", "1003 pairs of a peer and a port, each a rule in EC2, are more than the 1000 of one direction: merge ranges, or split the group"),
    // group
    rejected!("egress-policy-missing", "spec.egressPolicy", "list egress rules, or set egressPolicy: AllowAll"),
    rejected!("egress-policy-missing-empty-list", "spec.egressPolicy", "or egressPolicy: DenyAll"),
    rejected!("egress-policy-beside-rules", "spec.egressPolicy", "remove it, or remove the rules"),
    rejected!("egress-policy-unknown", "spec.egressPolicy", "supported values: \"AllowAll\", \"DenyAll\""),
    rejected!("mode-unknown", "spec.enforcement.mode", "supported values: \"Enforce\", \"Observe\""),
    rejected!("deletion-policy-unknown", "spec.deletionPolicy", "supported values: \"Delete\", \"Retain\""),
    rejected!("vpc-missing", "spec.vpc", "Required value"),
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
];

/// The object that those in [`PINNED`] are a change of: it is applied first, then [`PINS`] becomes its status.
pub(crate) const PINNED_BEFORE: &str = include_str!("rejected/pinned-0-before.yaml");

/// The status that pins [`PINNED_BEFORE`], as the body of a merge patch of the status subresource.
pub(crate) const PINS: &str = r#"{"status": {
    "account": "default", "region": "eu-west-1", "vpcId": "vpc-0a1b2c3d", "groupName": "shop-web",
    "description": "Web tier", "groupId": "sg-0123456789abcdef0"
}}"#;

/// Refused as a change of [`PINNED_BEFORE`].
#[rustfmt::skip]
pub(crate) const PINNED: &[Rejected] = &[
    rejected!("pinned-region", "spec.region", "region cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'eu-west-1'. Put it back"),
    rejected!("pinned-region-removed", "spec.region", "region cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'eu-west-1'. Put it back"),
    rejected!("pinned-vpc", "spec.vpc", "vpc cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'vpc-0a1b2c3d'. Put it back"),
    rejected!("pinned-groupname", "spec.groupName", "groupName cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'shop-web'. Put it back"),
    rejected!("pinned-description", "spec.description", "description cannot be changed: EC2 group sg-0123456789abcdef0 was created with 'Web tier'. Put it back"),
];

/// Manifests that are right, however ugly, with the name of the file: accepted by the apiserver, and by `check`.
pub(crate) const ACCEPTED: &[(&str, &str)] = &[
    ("case", include_str!("accepted/case.yaml")),
    ("empty-lists", include_str!("accepted/empty-lists.yaml")),
    ("least", include_str!("accepted/least.yaml")),
    ("pairs", include_str!("accepted/pairs.yaml")),
    ("ports", include_str!("accepted/ports.yaml")),
    ("protocols", include_str!("accepted/protocols.yaml")),
    ("ranges", include_str!("accepted/ranges.yaml")),
    ("texts", include_str!("accepted/texts.yaml")),
];
