//! What the engine may rely on, at four doors: the sim in process, the sim over a socket, the sim called as the ports (without
//! the SDK), and moto as a second opinion. What moto gets wrong is in the one table of `departures`. Contracts that need the
//! sim's faults or records run against it alone.

use std::time::Duration;

use sgwarden::adapters::aws::{AwsConnector, CallLimits};
use sgwarden::adapters::sim::{Config, Effect, Fault, Faults, Latency, Quotas, Sim, SimConnector, VpcSeed, serve};
use sgwarden::core::model::{Direction, LiveRule, NewRule, RuleId, SecurityGroupId, Tags, VpcId};
use sgwarden::ports::cloud::{CloudError, Connect, Ec2, ErrorClass, GroupQuery, NewGroup};

use crate::departures;
use crate::second_opinion::Moto;
use crate::support::{ACCOUNT, account, limits, options, own, region};

/// The ways into an EC2.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    Process,
    Socket,
    Ports,
    Moto,
}

/// An EC2 of its own for one test.
pub(crate) struct World {
    backend: Backend,
    pub(crate) ec2: Ec2,
    pub(crate) vpc: VpcId,
    pub(crate) vpc_with_ipv6: VpcId,
}

/// What is behind the door.
enum Backend {
    Sim(Sim),
    /// Held: it is ours alone for as long.
    Moto(Moto),
}

impl World {
    pub(crate) async fn open(door: Door) -> Self {
        Self::with(door, Quotas { rules_per_group: 1500, ..Quotas::default() }, limits()).await
    }

    async fn with(door: Door, quotas: Quotas, limits: CallLimits) -> Self {
        let options = options().expect_account(Some(account())).limits(limits);
        let (vpc, vpc_with_ipv6) = ("vpc-0a1b2c3d4e5f60001", "vpc-0a1b2c3d4e5f60002");
        let sim = || {
            let vpcs = vec![VpcSeed::new(vpc), VpcSeed::new(vpc_with_ipv6).with_ipv6("2001:db8:1::/56")];
            Sim::new(Config { vpcs, quotas, ..Config::default() })
        };
        match door {
            Door::Process => {
                let sim = sim();
                let mounted = sim.clone();
                let connector = AwsConnector::new(options.in_process(move |request| mounted.handle(request)));
                Self::of(Backend::Sim(sim), connector, vpc, vpc_with_ipv6).await
            }
            Door::Socket => {
                let sim = sim();
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let url = format!("http://{}", listener.local_addr().unwrap());
                tokio::spawn(serve(sim.clone(), listener, std::future::pending()));
                Self::of(Backend::Sim(sim), AwsConnector::new(options.endpoint(url)), vpc, vpc_with_ipv6).await
            }
            Door::Ports => {
                let sim = sim();
                let connector = SimConnector::new(sim.clone(), "AKIDTEST").patience(limits.write);
                Self::of(Backend::Sim(sim), connector, vpc, vpc_with_ipv6).await
            }
            Door::Moto => {
                let moto = Moto::open().await;
                let (vpc, vpc_with_ipv6) = (moto.vpc.clone(), moto.vpc_with_ipv6.clone());
                let connector = AwsConnector::new(options.endpoint(moto.url()));
                Self::of(Backend::Moto(moto), connector, &vpc, &vpc_with_ipv6).await
            }
        }
    }

    async fn of(backend: Backend, connector: impl Connect, vpc: &str, vpc_with_ipv6: &str) -> Self {
        let ec2 = connector.connect(&own()).await.unwrap();
        assert_eq!((&ec2.account, &ec2.region), (&account(), &region()));
        Self { backend, ec2, vpc: vpc.parse().unwrap(), vpc_with_ipv6: vpc_with_ipv6.parse().unwrap() }
    }

    /// What only the sim has: faults and records.
    pub(crate) fn sim(&self) -> &Sim {
        match &self.backend {
            Backend::Sim(sim) => sim,
            Backend::Moto(_) => panic!("a contract of the sim alone, at moto's door"),
        }
    }

    /// What another client does, and the text of the first element of this name in the answer.
    pub(crate) async fn other(&self, parameters: &[(&str, &str)], element: &str) -> String {
        let body = match &self.backend {
            Backend::Sim(sim) => String::from_utf8(sim.query("AKIDTEST", "eu-west-1", parameters).body().to_vec()).unwrap(),
            Backend::Moto(moto) => moto.call(parameters).await.1,
        };
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        body.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).unwrap_or_else(|| panic!("{body}")).0.to_owned()
    }

    pub(crate) fn new_group(&self, name: &str) -> NewGroup {
        let tags = tags(&[("team", "shop"), ("empty", "")]);
        NewGroup { name: name.into(), description: "Made by a test".into(), vpc: self.vpc.clone(), tags }
    }

    /// One thing that goes wrong, and nothing else.
    fn fault(&self, fault: Fault) {
        self.sim().set_faults(Faults { errors: vec![fault], ..Faults::default() });
    }

    pub(crate) async fn group(&self, name: &str) -> SecurityGroupId {
        self.ec2.write.create_group(&self.new_group(name)).await.unwrap().created.unwrap()
    }

    pub(crate) async fn authorize(&self, group: &SecurityGroupId, rules: &[NewRule]) -> Vec<LiveRule> {
        let direction = rules[0].atom.direction;
        self.ec2.write.authorize(group, direction, rules).await.unwrap().authorized
    }

    async fn found(&self, query: GroupQuery) -> Vec<SecurityGroupId> {
        self.ec2.read.groups(&query).await.unwrap().into_iter().map(|group| group.id).collect()
    }

    async fn texts(&self, group: &SecurityGroupId) -> Vec<String> {
        let mut texts: Vec<String> = self.ec2.read.rules(group).await.unwrap().iter().map(text).collect();
        texts.sort();
        texts
    }
}

pub(crate) fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn rule(atom: &str, description: &str) -> NewRule {
    NewRule { atom: atom.parse().unwrap(), description: Some(description.to_owned()).filter(|text| !text.is_empty()) }
}

fn text(rule: &LiveRule) -> String {
    format!("{} | {}", rule.atom, rule.description.as_deref().unwrap_or("-"))
}

/// Runs contracts at every door.
macro_rules! contracts {
    ($($name:ident),* $(,)?) => {
        mod process { $(#[tokio::test] async fn $name() { super::$name(super::Door::Process).await; })* }
        mod socket { $(#[tokio::test] async fn $name() { super::$name(super::Door::Socket).await; })* }
        mod ports { $(#[tokio::test] async fn $name() { super::$name(super::Door::Ports).await; })* }
        mod moto {
            $(#[tokio::test] async fn $name() {
                super::departures::judge(stringify!($name), super::$name(super::Door::Moto)).await;
            })*
        }
        /// The contracts that moto is held to.
        pub(crate) const AT_MOTO: &[&str] = &[$(stringify!($name)),*];
    };
}

pub(crate) use contracts;

contracts![
    a_group_is_created_with_its_tags_and_read_back,
    groups_are_found_by_id_name_and_tags,
    groups_are_found_by_the_group_they_refer_to,
    the_answer_to_authorize_names_every_rule,
    rules_with_ports_read_back_as_authorized,
    rules_of_icmp_read_back_as_authorized,
    rules_of_icmpv6_and_other_protocols_read_back_as_authorized,
    rules_between_groups_read_back_as_authorized,
    revoke_and_modify_name_rules_by_id,
    describe_names_rules_by_id,
    a_modified_rule_may_have_an_ipv6_peer,
    a_modified_rule_may_have_a_group_as_peer,
    tags_are_set_and_removed_only_at_their_value,
    a_name_that_is_taken_is_stale,
    a_name_that_is_taken_in_another_case_is_stale,
    a_rule_that_is_there_already_is_stale,
    authorize_is_all_or_nothing,
    a_group_that_is_gone_is_stale,
    revoking_a_rule_that_is_gone_is_stale,
    describing_a_rule_that_is_gone_is_stale,
    a_group_that_is_referred_to_is_in_use,
    a_full_group_is_a_matter_of_quota,
    more_rules_than_a_group_takes_are_none,
    a_vpc_tells_whether_it_has_ipv6,
    a_new_group_allows_all_egress_of_both_families_where_there_is_ipv6,
];

/// Contracts that need what only the sim has.
macro_rules! contracts_of_the_sim {
    ($($name:ident),* $(,)?) => {
        mod process_of_the_sim { $(#[tokio::test] async fn $name() { super::$name(super::Door::Process).await; })* }
        mod socket_of_the_sim { $(#[tokio::test] async fn $name() { super::$name(super::Door::Socket).await; })* }
        mod ports_of_the_sim { $(#[tokio::test] async fn $name() { super::$name(super::Door::Ports).await; })* }
    };
}

contracts_of_the_sim![
    listings_go_on_to_the_last_page,
    throttling_refusals_and_outages_have_their_class,
    a_write_that_took_effect_before_its_error_is_unknown,
];

async fn a_group_is_created_with_its_tags_and_read_back(door: Door) {
    let world = World::open(door).await;
    let receipt = world.ec2.write.create_group(&world.new_group("web")).await.unwrap();
    assert!(receipt.request_id.is_some(), "EC2's id of the request");
    let id = receipt.created.unwrap();
    let found = world.ec2.read.groups(&GroupQuery::Ids(vec![id.clone()])).await.unwrap();
    let [group] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&group.id, group.name.as_str(), group.description.as_str()), (&id, "web", "Made by a test"));
    assert_eq!((group.owner.as_str(), &group.vpc, &group.tags), (ACCOUNT, &world.vpc, &world.new_group("web").tags));
    assert_eq!(group.arn.as_deref(), Some(format!("arn:aws:ec2:eu-west-1:{ACCOUNT}:security-group/{id}").as_str()));
    assert_eq!(world.texts(&id).await, ["egress all to 0.0.0.0/0 | -"], "born with the rule that allows all egress");

    world.ec2.write.delete_group(&id).await.unwrap();
    assert!(world.ec2.read.groups(&GroupQuery::Ids(vec![id.clone()])).await.unwrap().is_empty());
    assert!(world.ec2.read.rules(&id).await.unwrap().is_empty(), "no rules, no error");
}

pub(crate) fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

async fn groups_are_found_by_id_name_and_tags(door: Door) {
    let world = World::open(door).await;
    let (web, db, odd) = (world.group("web").await, world.group("db").await, world.group("w*b").await);
    let unknown: SecurityGroupId = "sg-00000000000000000".parse().unwrap();
    let named = |name: &str| GroupQuery::Name { vpc: world.vpc.clone(), name: name.into() };
    assert_eq!(
        world.found(GroupQuery::Ids(vec![web.clone(), unknown])).await,
        std::slice::from_ref(&web),
        "an unknown id is no error"
    );
    assert_eq!(world.found(named("w*b")).await, std::slice::from_ref(&odd), "no wildcard");
    assert!(world.found(named("nobody")).await.is_empty());
    world.ec2.write.set_tags(&web, &tags(&[("team", "search")])).await.unwrap();
    let tagged = GroupQuery::Tagged(tags(&[("team", "shop"), ("empty", "")]));
    assert_eq!(world.found(tagged).await, sorted(vec![db.clone(), odd.clone()]));
    let all = world.found(GroupQuery::All).await;
    assert!([&web, &db, &odd].into_iter().all(|id| all.contains(id)) && all.len() > 3, "and the default groups");
}

async fn groups_are_found_by_the_group_they_refer_to(door: Door) {
    let world = World::open(door).await;
    let (web, db, odd) = (world.group("web").await, world.group("db").await, world.group("odd").await);
    world.authorize(&db, &[rule(&format!("ingress tcp 5432 from {web}"), "Allow the web tier")]).await;
    world.authorize(&odd, &[rule(&format!("egress tcp 443 to {web}"), "")]).await;
    assert_eq!(world.found(GroupQuery::Referring(web)).await, sorted(vec![db, odd]));
}

/// Authorizes rules, which a read must show then, and nothing else but what every group is born with.
async fn read_back(world: &World, group: &SecurityGroupId, rules: &[NewRule]) {
    let mut expected = vec!["egress all to 0.0.0.0/0 | -".to_owned()];
    expected.extend(rules.iter().map(|rule| format!("{} | {}", rule.atom, rule.description.as_deref().unwrap_or("-"))));
    expected.sort();
    world.authorize(group, rules).await;
    assert_eq!(world.texts(group).await, expected);
}

async fn the_answer_to_authorize_names_every_rule(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    let rules = [
        rule("ingress tcp 80 from 0.0.0.0/0", "Allow inbound HTTP traffic"),
        rule("ingress tcp 80 from 2001:db8::/32", "v6"),
        rule("ingress udp 8000-8100 from 192.0.2.1/32", ""),
    ];
    let mut answered: Vec<String> = world.authorize(&group, &rules).await.iter().map(text).collect();
    answered.sort();
    assert_eq!(
        answered,
        [
            "ingress tcp 80 from 0.0.0.0/0 | Allow inbound HTTP traffic",
            "ingress tcp 80 from 2001:db8::/32 | v6",
            "ingress udp 8000-8100 from 192.0.2.1/32 | -",
        ]
    );
}

async fn rules_with_ports_read_back_as_authorized(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    let rules = [
        rule("ingress tcp 80 from 0.0.0.0/0", "Allow inbound HTTP traffic"),
        rule("ingress tcp 443 from 0.0.0.0/0", "Allow inbound HTTPS traffic"),
        rule("ingress tcp 443 from 10.0.0.0/8", ""),
        rule("ingress tcp 443 from 2001:db8::/32", "v6"),
        rule("ingress udp 8000-8100 from 192.0.2.1/32", ""),
        rule("ingress all from 198.51.100.0/24", ""),
    ];
    read_back(&world, &group, &rules).await;
    let egress = world.authorize(&group, &[rule("egress udp 53 to 10.0.0.2/32", "DNS")]).await;
    assert_eq!(egress.iter().map(text).collect::<Vec<_>>(), ["egress udp 53 to 10.0.0.2/32 | DNS"]);
}

async fn rules_of_icmp_read_back_as_authorized(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    let rules =
        [rule("ingress icmp type 8 from 10.0.0.0/8", "ping"), rule("ingress icmp type 3 code 4 from 10.0.0.0/8", "too big")];
    read_back(&world, &group, &rules).await;
}

async fn rules_of_icmpv6_and_other_protocols_read_back_as_authorized(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    read_back(&world, &group, &[rule("ingress icmpv6 from ::/0", ""), rule("ingress protocol 50 from 10.0.0.0/8", "ESP")]).await;
}

async fn rules_between_groups_read_back_as_authorized(door: Door) {
    let world = World::open(door).await;
    let (group, peer) = (world.group("web").await, world.group("peer").await);
    let rules = [
        rule(&format!("ingress tcp 5432 from {peer}"), "Allow the web tier"),
        rule(&format!("ingress all from {group}"), "itself"),
    ];
    read_back(&world, &group, &rules).await;
}

/// A group with two rules, and these.
async fn two_rules(world: &World) -> (SecurityGroupId, LiveRule, LiveRule) {
    let group = world.group("web").await;
    world.authorize(&group, &[rule("ingress tcp 80 from 10.0.0.0/8", "a"), rule("ingress tcp 81 from 10.0.0.0/8", "b")]).await;
    let live = world.ec2.read.rules(&group).await.unwrap();
    let find = |port: &str| live.iter().find(|rule| rule.atom.to_string().contains(port)).unwrap().clone();
    (group, find("tcp 80 "), find("tcp 81 "))
}

async fn revoke_and_modify_name_rules_by_id(door: Door) {
    let world = World::open(door).await;
    let (group, first, second) = two_rules(&world).await;
    let write = &world.ec2.write;
    write.modify(&group, &[(first.id.clone(), rule("ingress tcp 8080-8090 from 10.1.0.0/16", "c"))]).await.unwrap();
    assert_eq!(
        world.texts(&group).await,
        ["egress all to 0.0.0.0/0 | -", "ingress tcp 8080-8090 from 10.1.0.0/16 | c", "ingress tcp 81 from 10.0.0.0/8 | b"]
    );
    let live = world.ec2.read.rules(&group).await.unwrap();
    assert!(live.iter().any(|rule| rule.id == first.id), "modify keeps the id");

    let receipt = write.revoke(&group, Direction::Ingress, &[first.id.clone(), second.id.clone()]).await.unwrap();
    assert_eq!(sorted(receipt.revoked), sorted(vec![first.id, second.id]));
    let egress = live.into_iter().find(|rule| rule.atom.direction == Direction::Egress).unwrap().id;
    assert_eq!(write.revoke(&group, Direction::Egress, std::slice::from_ref(&egress)).await.unwrap().revoked, [egress]);
    assert!(world.texts(&group).await.is_empty());
}

async fn describe_names_rules_by_id(door: Door) {
    let world = World::open(door).await;
    let (group, first, second) = two_rules(&world).await;
    let live = world.ec2.read.rules(&group).await.unwrap();
    let egress = live.into_iter().find(|rule| rule.atom.direction == Direction::Egress).unwrap().id;
    let ingress = [(first.id, Some("new".to_owned())), (second.id, None)];
    world.ec2.write.describe(&group, Direction::Ingress, &ingress).await.unwrap();
    world.ec2.write.describe(&group, Direction::Egress, &[(egress, Some("out".into()))]).await.unwrap();
    assert_eq!(
        world.texts(&group).await,
        ["egress all to 0.0.0.0/0 | out", "ingress tcp 80 from 10.0.0.0/8 | new", "ingress tcp 81 from 10.0.0.0/8 | -"]
    );
}

async fn modified(door: Door, before: impl Fn(&SecurityGroupId) -> String, after: impl Fn(&SecurityGroupId) -> String) {
    let world = World::open(door).await;
    let (group, peer) = (world.group("web").await, world.group("peer").await);
    let made = world.authorize(&group, &[rule(&before(&peer), "")]).await;
    let after = rule(&after(&peer), "moved");
    world.ec2.write.modify(&group, &[(made[0].id.clone(), after.clone())]).await.unwrap();
    assert!(world.texts(&group).await.contains(&format!("{} | moved", after.atom)), "{:?}", world.texts(&group).await);
}

async fn a_modified_rule_may_have_an_ipv6_peer(door: Door) {
    modified(door, |_| "ingress tcp 80 from 2001:db8::/32".into(), |_| "ingress tcp 80 from 2001:db8:1::/48".into()).await;
}

async fn a_modified_rule_may_have_a_group_as_peer(door: Door) {
    modified(door, |peer| format!("ingress tcp 80 from {peer}"), |peer| format!("ingress tcp 81 from {peer}")).await;
}

async fn tags_are_set_and_removed_only_at_their_value(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    let live = async || world.ec2.read.groups(&GroupQuery::Ids(vec![group.clone()])).await.unwrap().remove(0).tags;
    world.ec2.write.set_tags(&group, &tags(&[("team", "search"), ("new", "1")])).await.unwrap();
    assert_eq!(live().await, tags(&[("team", "search"), ("new", "1"), ("empty", "")]));
    world.ec2.write.remove_tags(&group, &tags(&[("team", "shop"), ("new", "1"), ("empty", "")])).await.unwrap();
    assert_eq!(live().await, tags(&[("team", "search")]), "another value stays");
}

async fn listings_go_on_to_the_last_page(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    let rules: Vec<NewRule> = (1..=1500).map(|port| rule(&format!("ingress tcp {port} from 10.0.0.0/8"), "")).collect();
    assert_eq!(world.authorize(&group, &rules[..1000]).await.len(), 1000);
    assert_eq!(world.authorize(&group, &rules[1000..]).await.len(), 500);
    world.sim().clear_calls();
    assert_eq!(world.texts(&group).await.len(), 1501);
    assert_eq!(world.sim().count("DescribeSecurityGroupRules"), 2);

    let mut ids = vec![group];
    for index in 0..200 {
        ids.push(world.group(&format!("g{index}")).await);
    }
    world.sim().clear_calls();
    assert_eq!(world.ec2.read.groups(&GroupQuery::Ids(ids)).await.unwrap().len(), 201, "more ids than a filter takes");
    assert_eq!(world.sim().count("DescribeSecurityGroups"), 2);
}

async fn refused_name(door: Door, name: &str) {
    let world = World::open(door).await;
    world.group("web").await;
    let error = world.ec2.write.create_group(&world.new_group(name)).await.unwrap_err();
    assert_eq!(
        (error.class, error.code.as_deref(), error.outcome_unknown),
        (ErrorClass::NameTaken, Some("InvalidGroup.Duplicate"), false)
    );
}

async fn a_name_that_is_taken_is_stale(door: Door) {
    refused_name(door, "web").await;
}

async fn a_name_that_is_taken_in_another_case_is_stale(door: Door) {
    refused_name(door, "WEB").await;
}

async fn a_rule_that_is_there_already_is_stale(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    world.authorize(&group, &[rule("ingress tcp 443 from 10.0.0.0/8", "")]).await;
    let again = [rule("ingress tcp 443 from 10.0.0.0/8", "another description")];
    let error = world.ec2.write.authorize(&group, Direction::Ingress, &again).await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Stale, Some("InvalidPermission.Duplicate")));
    assert!(error.request_id.is_some());
    assert_eq!(world.texts(&group).await, ["egress all to 0.0.0.0/0 | -", "ingress tcp 443 from 10.0.0.0/8 | -"]);
}

async fn authorize_is_all_or_nothing(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    world.authorize(&group, &[rule("ingress tcp 443 from 10.0.0.0/8", "")]).await;
    let more = [rule("ingress tcp 80 from 10.0.0.0/8", ""), rule("ingress tcp 443 from 10.0.0.0/8", "")];
    world.ec2.write.authorize(&group, Direction::Ingress, &more).await.unwrap_err();
    assert_eq!(world.texts(&group).await.len(), 2, "all or nothing");
}

async fn a_group_that_is_gone_is_stale(door: Door) {
    let world = World::open(door).await;
    let gone = world.group("gone").await;
    world.ec2.write.delete_group(&gone).await.unwrap();
    let write = &world.ec2.write;
    let all = [rule("ingress all from ::/0", "")];
    for error in [write.delete_group(&gone).await.unwrap_err(), write.authorize(&gone, Direction::Ingress, &all).await.unwrap_err()]
    {
        let seen = (error.class, error.code.as_deref(), error.outcome_unknown);
        assert_eq!(seen, (ErrorClass::Stale, Some("InvalidGroup.NotFound"), false), "{error}");
    }
    assert_eq!(world.ec2.read.vpc(&"vpc-00000000000000000".parse().unwrap()).await.unwrap(), None);
}

fn no_such_rule() -> RuleId {
    "sgr-00000000000000000".parse().unwrap()
}

fn assert_no_such_rule(error: &CloudError) {
    let seen = (error.class, error.code.as_deref(), error.outcome_unknown);
    assert_eq!(seen, (ErrorClass::Stale, Some("InvalidSecurityGroupRuleId.NotFound"), false), "{error}");
}

async fn revoking_a_rule_that_is_gone_is_stale(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    assert_no_such_rule(&world.ec2.write.revoke(&group, Direction::Ingress, &[no_such_rule()]).await.unwrap_err());
}

async fn describing_a_rule_that_is_gone_is_stale(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    assert_no_such_rule(&world.ec2.write.describe(&group, Direction::Ingress, &[(no_such_rule(), None)]).await.unwrap_err());
}

async fn a_group_that_is_referred_to_is_in_use(door: Door) {
    let world = World::open(door).await;
    let (web, db) = (world.group("web").await, world.group("db").await);
    world.authorize(&db, &[rule(&format!("ingress tcp 5432 from {web}"), "")]).await;
    let error = world.ec2.write.delete_group(&web).await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::InUse, Some("DependencyViolation")));
}

async fn a_full_group_is_a_matter_of_quota(door: Door) {
    let world = World::with(door, Quotas::default(), limits()).await;
    let group = world.group("web").await;
    let rules: Vec<NewRule> = (1..=61).map(|port| rule(&format!("ingress tcp {port} from 10.0.0.0/8"), "")).collect();
    world.authorize(&group, &rules[..60]).await;
    let error = world.ec2.write.authorize(&group, Direction::Ingress, &rules[60..]).await.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Quota, Some("RulesPerSecurityGroupLimitExceeded")));
    assert_eq!(world.texts(&group).await.len(), 61, "and the one for egress");
}

async fn more_rules_than_a_group_takes_are_none(door: Door) {
    let world = World::with(door, Quotas::default(), limits()).await;
    let group = world.group("web").await;
    let rules: Vec<NewRule> = (1..=61).map(|port| rule(&format!("ingress tcp {port} from 10.0.0.0/8"), "")).collect();
    world.ec2.write.authorize(&group, Direction::Ingress, &rules).await.unwrap_err();
    assert_eq!(world.texts(&group).await.len(), 1, "all or nothing");
}

async fn throttling_refusals_and_outages_have_their_class(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    for (fault, class) in [
        (Fault::throttle("*"), ErrorClass::Throttled),
        (Fault::error("*", "UnauthorizedOperation", 403), ErrorClass::Permission),
        (Fault::error("*", "AuthFailure", 401), ErrorClass::Credentials),
        (Fault::error("*", "InvalidClientTokenId", 403), ErrorClass::Credentials),
        (Fault::error("*", "Unavailable", 503), ErrorClass::Unavailable),
    ] {
        world.fault(fault);
        let read = world.ec2.read.rules(&group).await.unwrap_err();
        let write = world.ec2.write.set_tags(&group, &tags(&[("a", "b")])).await.unwrap_err();
        assert_eq!((read.class, read.outcome_unknown), (class, false), "{read}");
        assert_eq!((write.class, write.outcome_unknown), (class, class == ErrorClass::Unavailable), "{write}");
    }
    world.fault(Fault::throttle("reads").times(2));
    assert_eq!(world.texts(&group).await.len(), 1, "a read gets over two throttles by itself");
}

async fn a_write_that_took_effect_before_its_error_is_unknown(door: Door) {
    let world = World::open(door).await;
    let group = world.group("web").await;
    world.fault(Fault::error("writes", "InternalError", 500).after_applying());
    let rules = [rule("ingress tcp 443 from 10.0.0.0/8", "")];
    let error = world.ec2.write.authorize(&group, Direction::Ingress, &rules).await.unwrap_err();
    assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Unavailable, true));
    world.sim().clear_faults();
    assert_eq!(world.texts(&group).await.len(), 2, "it took effect");
    assert_eq!(world.sim().count("AuthorizeSecurityGroupIngress"), 1, "and was sent once");
}

/// What the SDK's in-process client cannot do: break, and keep silent.
#[tokio::test]
async fn a_write_without_an_answer_over_a_socket_is_unknown() {
    a_write_without_an_answer_is_unknown(Door::Socket).await;
}

#[tokio::test]
async fn a_write_without_an_answer_through_the_ports_is_unknown() {
    a_write_without_an_answer_is_unknown(Door::Ports).await;
}

async fn a_write_without_an_answer_is_unknown(door: Door) {
    let world = World::with(door, Quotas::default(), CallLimits { write: Duration::from_millis(300), ..limits() }).await;
    let group = world.group("web").await;
    let slow = Latency { action: "writes".into(), min_ms: 2000, ..Latency::default() };
    let gone = |effect| Fault { effect, ..Fault::drop_connection("writes").after_applying() };
    for (port, faults) in [
        (1, Faults { errors: vec![gone(Effect::Drop)], ..Faults::default() }),
        (2, Faults { errors: vec![gone(Effect::Cut)], ..Faults::default() }),
        (3, Faults { latency: vec![slow], ..Faults::default() }),
    ] {
        world.sim().clear_calls();
        world.sim().set_faults(faults);
        let rules = [rule(&format!("ingress tcp {port} from 10.0.0.0/8"), "")];
        let error = world.ec2.write.authorize(&group, Direction::Ingress, &rules).await.unwrap_err();
        assert_eq!((error.class, error.outcome_unknown, &error.code), (ErrorClass::Unavailable, true, &None), "{port}: {error}");
        world.sim().clear_faults();
        assert_eq!(world.sim().count("AuthorizeSecurityGroupIngress"), 1, "{port}: sent once");
        assert!(world.texts(&group).await.contains(&format!("ingress tcp {port} from 10.0.0.0/8 | -")), "{port}: it took effect");
    }
}

async fn a_vpc_tells_whether_it_has_ipv6(door: Door) {
    let world = World::open(door).await;
    let facts = world.ec2.read.vpc(&world.vpc).await.unwrap().unwrap();
    assert_eq!((&facts.id, facts.owner.as_str(), facts.ipv6), (&world.vpc, ACCOUNT, false));
    assert!(world.ec2.read.vpc(&world.vpc_with_ipv6).await.unwrap().unwrap().ipv6);
}

async fn a_new_group_allows_all_egress_of_both_families_where_there_is_ipv6(door: Door) {
    let world = World::open(door).await;
    let twin = NewGroup { vpc: world.vpc_with_ipv6.clone(), ..world.new_group("six") };
    let id = world.ec2.write.create_group(&twin).await.unwrap().created.unwrap();
    assert_eq!(world.texts(&id).await, ["egress all to 0.0.0.0/0 | -", "egress all to ::/0 | -"]);
}
