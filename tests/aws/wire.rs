//! Facts about EC2 (handbook ec2.md §1 and §2) asked of the sim and of moto by the same bare requests: what a client that is
//! not ours could send.

use std::collections::BTreeSet;

use bytes::Bytes;
use sgwarden::adapters::sim::{Config, Sim, VpcSeed};

use crate::departures;
use crate::second_opinion::Moto;

const KEY: &str = "AKIDTEST";
const REGION: &str = "eu-west-1";

/// Who is asked.
#[derive(Clone, Copy, Debug)]
enum Door {
    Sim,
    Moto,
}

/// Who answers, and the VPC to ask about.
struct World {
    backend: Backend,
    vpc: String,
}

enum Backend {
    Sim(Sim),
    Moto(Moto),
}

/// Status and body.
#[derive(Debug)]
struct Answer(u16, String);

impl Answer {
    /// The texts of all elements of this name.
    fn texts(&self, name: &str) -> Vec<&str> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        self.1.split(open.as_str()).skip(1).filter_map(|rest| rest.split_once(close.as_str())).map(|(text, _)| text).collect()
    }

    #[track_caller]
    fn text(&self, name: &str) -> String {
        assert_eq!(self.0, 200, "{}", self.1);
        self.texts(name).first().unwrap_or_else(|| panic!("no {name} in {}", self.1)).to_string()
    }

    #[track_caller]
    fn fails(&self, status: u16, code: &str) {
        assert_eq!((self.0, self.texts("Code")), (status, vec![code]), "{}", self.1);
    }
}

impl World {
    async fn open(door: Door) -> Self {
        match door {
            Door::Sim => {
                let vpc = "vpc-0a1b2c3d4e5f60001";
                let sim = Sim::new(Config { vpcs: vec![VpcSeed::new(vpc)], ..Config::default() });
                Self { backend: Backend::Sim(sim), vpc: vpc.into() }
            }
            Door::Moto => {
                let moto = Moto::open().await;
                let vpc = moto.vpc.clone();
                Self { backend: Backend::Moto(moto), vpc }
            }
        }
    }

    async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let parameters: Vec<(&str, &str)> = [("Action", action)].into_iter().chain(parameters.iter().copied()).collect();
        match &self.backend {
            Backend::Sim(sim) => {
                let answer: http::Response<Bytes> = sim.query(KEY, REGION, &parameters);
                Answer(answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap())
            }
            Backend::Moto(moto) => {
                let (status, body) = moto.call(&parameters).await;
                Answer(status, body)
            }
        }
    }

    async fn create(&self, vpc: &str, name: &str, description: &str) -> Answer {
        let parameters = [("GroupName", name), ("GroupDescription", description), ("VpcId", vpc)];
        self.call("CreateSecurityGroup", &parameters).await
    }

    async fn group(&self) -> String {
        self.create(&self.vpc, "web", "web tier").await.text("groupId")
    }

    /// The id of a VPC's default group.
    async fn default_group(&self, vpc: &str) -> String {
        let filters = [
            ("Filter.1.Name", "vpc-id"),
            ("Filter.1.Value.1", vpc),
            ("Filter.2.Name", "group-name"),
            ("Filter.2.Value.1", "default"),
        ];
        self.call("DescribeSecurityGroups", &filters).await.text("groupId")
    }

    /// Authorizes ingress permissions, each of protocol, ports (perhaps none) and peer: `tcp 80-80 10.0.0.0/8`.
    async fn allow(&self, group: &str, permissions: &[&str]) -> Answer {
        self.permissions("AuthorizeSecurityGroupIngress", group, permissions).await
    }

    async fn permissions(&self, action: &str, group: &str, permissions: &[&str]) -> Answer {
        let mut parameters = vec![("GroupId".to_owned(), group.to_owned())];
        for (number, permission) in (1..).zip(permissions) {
            let mut add = |name: &str, value: &str| parameters.push((format!("IpPermissions.{number}.{name}"), value.to_owned()));
            let mut words = permission.split(' ').peekable();
            add("IpProtocol", words.next().unwrap());
            if let Some((from, to)) = words.next_if(|_| permission.split(' ').count() == 3).and_then(|ports| ports.split_once('-'))
            {
                add("FromPort", from);
                add("ToPort", to);
            }
            let peer = words.next().unwrap();
            add(if peer.contains(':') { "Ipv6Ranges.1.CidrIpv6" } else { "IpRanges.1.CidrIp" }, peer);
        }
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.call(action, &parameters).await
    }

    /// A group's ingress rules: protocol, ports and block.
    async fn rules(&self, group: &str) -> BTreeSet<String> {
        let answer = self.call("DescribeSecurityGroupRules", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", group)]).await;
        let rows = answer.1.split("<securityGroupRuleId>").skip(1).filter(|row| row.contains("<isEgress>false"));
        let rule = |row: &str| {
            let row = Answer(200, row.to_owned());
            let first = |name| row.texts(name).first().copied().unwrap_or("none").to_owned();
            let peer = if row.texts("cidrIpv6").is_empty() { first("cidrIpv4") } else { first("cidrIpv6") };
            format!("{} {}-{} {peer}", first("ipProtocol"), first("fromPort"), first("toPort"))
        };
        rows.map(rule).collect()
    }

    #[track_caller]
    fn assert_rules(seen: &BTreeSet<String>, expected: &[&str]) {
        assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}

macro_rules! contracts {
    ($($name:ident),* $(,)?) => {
        mod sim { $(#[tokio::test] async fn $name() { super::$name(super::Door::Sim).await; })* }
        mod moto {
            $(#[tokio::test] async fn $name() {
                super::departures::judge(stringify!($name), super::$name(super::Door::Moto)).await;
            })*
        }
        /// The contracts that moto is held to.
        pub(crate) const AT_MOTO: &[&str] = &[$(stringify!($name)),*];
    };
}

contracts![
    protocol_numbers_that_have_a_name_are_shown_by_it,
    other_protocols_need_no_ports,
    icmpv6_needs_no_type,
    tcp_without_ports_is_refused,
    host_bits_of_a_block_are_masked,
    ipv6_blocks_are_shown_in_the_short_form,
    all_traffic_has_ports_of_minus_one_in_the_answer_to_authorize,
    blocks_with_equal_protocol_and_ports_are_merged_by_describe,
    the_same_rule_twice_in_a_request_is_refused,
    a_miss_revokes_nothing,
    a_miss_is_no_error_in_the_default_vpc,
    a_rule_description_outside_the_characters_is_refused,
    a_group_description_outside_the_characters_is_refused,
    a_name_that_looks_like_an_id_is_refused,
    the_name_default_is_reserved,
    the_default_group_cannot_be_deleted,
    a_group_that_is_not_there_fails_a_call_that_names_it,
    a_dry_run_fails_with_412,
    an_answer_has_the_id_of_its_request,
    all_traffic_has_no_ports_in_describe_groups,
    values_of_filters_may_have_wildcards,
    a_page_leads_to_the_next,
    revoke_says_what_it_revoked,
    a_rule_of_the_other_direction_is_not_there,
    a_modified_rule_keeps_its_kind_of_peer,
    a_group_of_an_interface_is_in_use,
    a_rule_has_tags_of_its_own,
    a_tag_of_aws_cannot_be_set,
    a_resource_has_fifty_tags_at_most,
];

async fn protocol_numbers_that_have_a_name_are_shown_by_it(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    for (number, name) in [("6", "tcp"), ("17", "udp"), ("1", "icmp")] {
        assert_eq!(world.allow(&group, &[&format!("{number} 8-8 10.0.0.0/8")]).await.text("ipProtocol"), name);
    }
}

async fn other_protocols_need_no_ports(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    assert_eq!(world.allow(&group, &["50 10.0.0.0/8"]).await.text("ipProtocol"), "50");
}

async fn icmpv6_needs_no_type(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    world.allow(&group, &["icmpv6 ::/0"]).await.text("securityGroupRuleId");
    World::assert_rules(&world.rules(&group).await, &["icmpv6 -1--1 ::/0"]);
}

async fn tcp_without_ports_is_refused(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    world.allow(&group, &["tcp 10.0.0.0/8"]).await.fails(400, "InvalidParameterValue");
}

async fn host_bits_of_a_block_are_masked(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    assert_eq!(world.allow(&group, &["tcp 80-80 100.68.0.18/18"]).await.text("cidrIpv4"), "100.68.0.0/18");
    world.allow(&group, &["tcp 80-80 100.68.0.0/18"]).await.fails(400, "InvalidPermission.Duplicate");
}

async fn ipv6_blocks_are_shown_in_the_short_form(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    assert_eq!(world.allow(&group, &["tcp 80-80 2001:DB8:0:0::/32"]).await.text("cidrIpv6"), "2001:db8::/32");
}

async fn all_traffic_has_ports_of_minus_one_in_the_answer_to_authorize(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    let answer = world.allow(&group, &["-1 10.0.0.0/8"]).await;
    assert_eq!((answer.texts("fromPort"), answer.texts("toPort")), (vec!["-1"], vec!["-1"]), "{}", answer.1);
}

async fn blocks_with_equal_protocol_and_ports_are_merged_by_describe(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    world.allow(&group, &["tcp 80-80 10.0.0.0/8"]).await.text("securityGroupRuleId");
    world.allow(&group, &["tcp 80-80 192.168.0.0/16"]).await.text("securityGroupRuleId");
    let seen = world.call("DescribeSecurityGroups", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &group)]).await;
    assert_eq!((seen.texts("fromPort"), seen.texts("cidrIp").len()), (vec!["80"], 3), "{}", seen.1);
}

async fn the_same_rule_twice_in_a_request_is_refused(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    world.allow(&group, &["tcp 80-80 10.0.0.0/8", "tcp 80-80 10.0.0.0/8"]).await.fails(400, "InvalidParameterValue");
    World::assert_rules(&world.rules(&group).await, &[]);
}

async fn a_miss_revokes_nothing(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    world.allow(&group, &["tcp 80-80 10.0.0.0/8"]).await.text("securityGroupRuleId");
    let both = ["tcp 80-80 10.0.0.0/8", "tcp 81-81 10.0.0.0/8"];
    world.permissions("RevokeSecurityGroupIngress", &group, &both).await.fails(400, "InvalidPermission.NotFound");
    World::assert_rules(&world.rules(&group).await, &["tcp 80-80 10.0.0.0/8"]);
}

async fn a_miss_is_no_error_in_the_default_vpc(door: Door) {
    let world = World::open(door).await;
    let found = world.call("DescribeVpcs", &[("Filter.1.Name", "is-default"), ("Filter.1.Value.1", "true")]).await;
    let group = world.create(&found.text("vpcId"), "web", "web tier").await.text("groupId");
    let answer = world.permissions("RevokeSecurityGroupIngress", &group, &["tcp 81-81 10.0.0.0/8"]).await;
    assert_eq!((answer.text("return").as_str(), answer.texts("fromPort")), ("true", vec!["81"]), "{}", answer.1);
}

async fn a_rule_description_outside_the_characters_is_refused(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    let parameters = [
        ("GroupId", group.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "80"),
        ("IpPermissions.1.ToPort", "80"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ("IpPermissions.1.IpRanges.1.Description", "it's"),
    ];
    world.call("AuthorizeSecurityGroupIngress", &parameters).await.fails(400, "InvalidParameterValue");
}

async fn a_group_description_outside_the_characters_is_refused(door: Door) {
    let world = World::open(door).await;
    world.create(&world.vpc, "web", "it's").await.fails(400, "InvalidParameterValue");
}

async fn a_name_that_looks_like_an_id_is_refused(door: Door) {
    let world = World::open(door).await;
    world.create(&world.vpc, "sg-x", "web tier").await.fails(400, "InvalidParameterValue");
}

async fn the_name_default_is_reserved(door: Door) {
    let world = World::open(door).await;
    world.create(&world.vpc, "default", "web tier").await.fails(400, "InvalidGroup.Reserved");
}

async fn the_default_group_cannot_be_deleted(door: Door) {
    let world = World::open(door).await;
    let group = world.default_group(&world.vpc).await;
    world.call("DeleteSecurityGroup", &[("GroupId", &group)]).await.fails(400, "CannotDelete");
}

async fn a_group_that_is_not_there_fails_a_call_that_names_it(door: Door) {
    let world = World::open(door).await;
    let named = [("GroupId.1", "sg-00000000000000000")];
    world.call("DescribeSecurityGroups", &named).await.fails(400, "InvalidGroup.NotFound");
}

async fn a_dry_run_fails_with_412(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    world.call("DeleteSecurityGroup", &[("GroupId", &group), ("DryRun", "true")]).await.fails(412, "DryRunOperation");
}

async fn an_answer_has_the_id_of_its_request(door: Door) {
    let world = World::open(door).await;
    let ids = [world.call("DescribeVpcs", &[]).await.text("requestId"), world.call("DescribeVpcs", &[]).await.text("requestId")];
    assert_ne!(ids[0], ids[1]);
}

async fn all_traffic_has_no_ports_in_describe_groups(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    let seen = world.call("DescribeSecurityGroups", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &group)]).await;
    assert_eq!((seen.texts("ipProtocol"), seen.texts("fromPort").len()), (vec!["-1"], 0), "{}", seen.1);
}

async fn values_of_filters_may_have_wildcards(door: Door) {
    let world = World::open(door).await;
    for name in ["web-1", "web-22", "db"] {
        world.create(&world.vpc, name, "d").await.text("groupId");
    }
    for (pattern, count) in [("web-*", 2), ("web-?", 1), ("WEB-*", 0)] {
        let filters = [("Filter.1.Name", "group-name"), ("Filter.1.Value.1", pattern)];
        let seen = world.call("DescribeSecurityGroups", &filters).await;
        assert_eq!(seen.texts("groupName").len(), count, "{pattern}: {}", seen.1);
    }
}

async fn a_page_leads_to_the_next(door: Door) {
    let world = World::open(door).await;
    for number in 0..6 {
        world.create(&world.vpc, &format!("web-{number}"), "d").await.text("groupId");
    }
    let filter = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", world.vpc.as_str()), ("MaxResults", "5")];
    let first = world.call("DescribeSecurityGroups", &filter).await;
    let token = first.text("nextToken");
    let second = world.call("DescribeSecurityGroups", &[&filter[..], &[("NextToken", &token)]].concat()).await;
    let names: BTreeSet<&str> = first.texts("groupName").into_iter().chain(second.texts("groupName")).collect();
    assert_eq!((first.texts("groupName").len(), names.len(), second.texts("nextToken").concat().as_str()), (5, 7, ""));
}

async fn revoke_says_what_it_revoked(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    let made = world.allow(&group, &["tcp 80-80 10.0.0.0/8"]).await.text("securityGroupRuleId");
    let answer = world.permissions("RevokeSecurityGroupIngress", &group, &["tcp 80-80 10.0.0.0/8"]).await;
    assert_eq!((answer.text("return").as_str(), answer.texts("securityGroupRuleId")), ("true", vec![made.as_str()]));
}

async fn a_rule_of_the_other_direction_is_not_there(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    let made = world.allow(&group, &["tcp 80-80 10.0.0.0/8"]).await.text("securityGroupRuleId");
    let answer = world.call("RevokeSecurityGroupEgress", &[("GroupId", &group), ("SecurityGroupRuleId.1", &made)]).await;
    answer.fails(400, "InvalidSecurityGroupRuleId.NotFound");
    World::assert_rules(&world.rules(&group).await, &["tcp 80-80 10.0.0.0/8"]);
}

async fn a_modified_rule_keeps_its_kind_of_peer(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    let made = world.allow(&group, &["tcp 80-80 10.0.0.0/8"]).await.text("securityGroupRuleId");
    let rule = "SecurityGroupRule.1.SecurityGroupRule";
    let names = ["IpProtocol", "FromPort", "ToPort", "CidrIpv6"].map(|name| format!("{rule}.{name}"));
    let parameters = [
        ("GroupId", group.as_str()),
        ("SecurityGroupRule.1.SecurityGroupRuleId", &made),
        (&names[0], "tcp"),
        (&names[1], "80"),
        (&names[2], "80"),
        (&names[3], "2001:db8::/32"),
    ];
    let answer = world.call("ModifySecurityGroupRules", &parameters).await;
    assert_eq!(answer.0, 400, "{}", answer.1);
}

async fn a_group_of_an_interface_is_in_use(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    let subnet = world.call("CreateSubnet", &[("VpcId", &world.vpc), ("CidrBlock", "10.0.1.0/24")]).await.text("subnetId");
    let interface = [("SubnetId", subnet.as_str()), ("SecurityGroupId.1", &group)];
    world.call("CreateNetworkInterface", &interface).await.text("networkInterfaceId");
    world.call("DeleteSecurityGroup", &[("GroupId", &group)]).await.fails(400, "DependencyViolation");
}

async fn a_rule_has_tags_of_its_own(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    let made = world.allow(&group, &["tcp 80-80 10.0.0.0/8"]).await.text("securityGroupRuleId");
    world.call("CreateTags", &[("ResourceId.1", &made), ("Tag.1.Key", "team"), ("Tag.1.Value", "shop")]).await.text("requestId");
    let seen = world.call("DescribeSecurityGroupRules", &[("SecurityGroupRuleId.1", &made)]).await;
    assert_eq!((seen.texts("key"), seen.texts("value")), (vec!["team"], vec!["shop"]), "{}", seen.1);
}

async fn a_tag_of_aws_cannot_be_set(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    let tag = [("ResourceId.1", group.as_str()), ("Tag.1.Key", "aws:x"), ("Tag.1.Value", "y")];
    world.call("CreateTags", &tag).await.fails(400, "InvalidParameterValue");
}

async fn a_resource_has_fifty_tags_at_most(door: Door) {
    let world = World::open(door).await;
    let group = world.group().await;
    let names: Vec<[String; 3]> = (1..=51).map(|n| [format!("Tag.{n}.Key"), format!("k{n}"), format!("Tag.{n}.Value")]).collect();
    let mut tags: Vec<(&str, &str)> =
        names.iter().flat_map(|[name, key, value]| [(name.as_str(), key.as_str()), (value.as_str(), "v")]).collect();
    tags.push(("ResourceId.1", &group));
    world.call("CreateTags", &tags).await.fails(400, "TagLimitExceeded");
    let seen = world.call("DescribeSecurityGroups", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &group)]).await;
    assert!(seen.texts("key").is_empty(), "{}", seen.1);
}
