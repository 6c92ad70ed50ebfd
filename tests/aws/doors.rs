//! The sim's two doors, compared: the same calls through the SDK and as the ports give the same answers, errors, records and
//! events, down to the ids, because both sims grow from one seed.

use std::fmt::Debug;

use sgwarden::adapters::aws::AwsConnector;
use sgwarden::adapters::sim::{Config, Fault, Faults, Latency, RoleSeed, Sim, SimConnector, VpcSeed};
use sgwarden::core::model::{Direction, NewRule, RuleId, SecurityGroupId, Tags};
use sgwarden::ports::cloud::{Connect, Ec2, ErrorClass, GroupQuery, NewGroup, PrefixListQuery, Route, VpcQuery};

use crate::support::{as_role, options, own};

const KEY: &str = "AKIDTEST";
const VPC: &str = "vpc-0a1b2c3d4e5f60001";
const TWIN: &str = "vpc-0a1b2c3d4e5f60002";
const FOREIGN_VPC: &str = "vpc-0a1b2c3d4e5f60003";
const FOREIGN_KEY: &str = "AKIA444455556666BOB";

/// A sim as every other of its kind, its clock at a stand.
fn sim() -> Sim {
    let foreign = VpcSeed { account: "444455556666".into(), cidr: "10.9.0.0/16".into(), ..VpcSeed::new(FOREIGN_VPC) };
    let named = |id: &str, env: &str| VpcSeed {
        tags: [("Name", "main"), ("env", env)].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..VpcSeed::new(id)
    };
    let vpcs = vec![named(VPC, "prod"), named(TWIN, r"t*s?\").with_ipv6("2001:db8:1::/56"), foreign];
    let sim = Sim::new(Config { vpcs, ..Config::default() });
    sim.freeze("2026-01-02T03:04:05Z".parse().unwrap());
    sim
}

fn through_the_sdk(sim: &Sim) -> AwsConnector {
    let mounted = sim.clone();
    AwsConnector::new(options().in_process(move |request| mounted.handle(request)))
}

fn as_the_ports(sim: &Sim) -> SimConnector {
    SimConnector::new(sim.clone(), KEY)
}

/// What another client does, and the text of an element of the answer.
fn other(sim: &Sim, key: &str, parameters: &[(&str, &str)], element: &str) -> String {
    let answer = sim.query(key, "eu-west-1", parameters);
    let body = String::from_utf8(answer.body().to_vec()).unwrap();
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    body.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).unwrap_or_else(|| panic!("{body}")).0.to_owned()
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn rule(atom: &str, description: &str) -> NewRule {
    NewRule { atom: atom.parse().unwrap(), description: Some(description.to_owned()).filter(|text| !text.is_empty()) }
}

/// What a tour has seen, step by step.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    /// Notes what a step gave, and passes it on.
    fn note<T: Debug>(&mut self, step: &str, what: T) -> T {
        self.0.push(format!("{step}: {what:?}"));
        what
    }
}

/// A group to be created.
fn new_group(vpc: &str, name: &str, pairs: &[(&str, &str)]) -> NewGroup {
    NewGroup { name: name.into(), description: "Made by a test".into(), vpc: vpc.parse().unwrap(), tags: tags(pairs) }
}

async fn created(ec2: &Ec2, seen: &mut Seen, vpc: &str, name: &str, pairs: &[(&str, &str)]) -> SecurityGroupId {
    seen.note("create", ec2.write.create_group(&new_group(vpc, name, pairs)).await).unwrap().created.unwrap()
}

/// Every kind of rule, and every way to change one.
async fn rules(ec2: &Ec2, sim: &Sim, seen: &mut Seen, (web, peer): (&SecurityGroupId, &SecurityGroupId)) {
    let list = [("PrefixListName", "offices"), ("AddressFamily", "IPv4"), ("MaxEntries", "5")];
    let list = other(sim, KEY, &[&[("Action", "CreateManagedPrefixList")], list.as_slice()].concat(), "prefixListId");
    let peering = [("Action", "CreateVpcPeeringConnection"), ("VpcId", VPC), ("PeerVpcId", FOREIGN_VPC)];
    let peering = [peering.as_slice(), &[("PeerOwnerId", "444455556666")]].concat();
    let peering = other(sim, KEY, &peering, "vpcPeeringConnectionId");
    let accept = [("Action", "AcceptVpcPeeringConnection"), ("VpcPeeringConnectionId", peering.as_str())];
    other(sim, FOREIGN_KEY, &accept, "vpcPeeringConnectionId");
    let foreign = [("Action", "CreateSecurityGroup"), ("GroupName", "far"), ("GroupDescription", "far"), ("VpcId", FOREIGN_VPC)];
    let foreign = other(sim, FOREIGN_KEY, &foreign, "groupId");

    let ingress = [
        rule("ingress tcp 80 from 0.0.0.0/0", "a"),
        rule("ingress udp 8000-8100 from 192.0.2.1/32", ""),
        rule("ingress tcp 80 from 2001:db8::/32", "b"),
        rule("ingress all from 198.51.100.0/24", ""),
        rule("ingress icmp type 3 code 4 from 10.0.0.0/8", "too big"),
        rule("ingress icmpv6 from ::/0", ""),
        rule("ingress protocol 50 from 10.0.0.0/8", "ESP"),
        rule(&format!("ingress tcp 443 from {list}"), "offices"),
        rule(&format!("ingress tcp 443 from {peer}"), "peer"),
        rule(&format!("ingress tcp 443 from {web}"), ""),
        rule(&format!("ingress tcp 443 from 444455556666/{foreign}"), "far"),
    ];
    let made = seen.note("authorize", ec2.write.authorize(web, Direction::Ingress, &ingress).await).unwrap().authorized;
    assert_eq!(made.len(), ingress.len());
    let egress = [rule("egress udp 53 to 10.0.0.2/32", "DNS")];
    let out = seen.note("authorize", ec2.write.authorize(web, Direction::Egress, &egress).await).unwrap().authorized;
    seen.note("rules", ec2.read.rules(web).await).unwrap();
    let both = [peer.clone(), web.clone(), "sg-00000000000000000".parse().unwrap()];
    seen.note("rules of several", ec2.read.rules_of(&both).await).unwrap();
    let listed = seen.note("listing", ec2.read.listing(&GroupQuery::Ids(both.to_vec())).await).unwrap();
    assert_eq!(listed.iter().map(|group| group.rules.len()).max(), Some(ingress.len() + 2));
    for query in [
        PrefixListQuery::Ids(vec![list.parse().unwrap(), "pl-00000000000000000".parse().unwrap()]),
        PrefixListQuery::Name("offices".into()),
        PrefixListQuery::Name("com.amazonaws.global.ipv6.cloudfront.origin-facing".into()),
    ] {
        assert_eq!(seen.note("prefix lists", ec2.read.prefix_lists(&query).await).unwrap().len(), 1, "{query:?}");
    }
    seen.note("referring", ec2.read.groups(&GroupQuery::Referring(peer.clone())).await).unwrap();

    let id = |text: &str| made.iter().find(|rule| rule.atom.to_string().contains(text)).unwrap().id.clone();
    for (before, after) in [
        ("tcp 80 from 0.0.0.0/0", "ingress tcp 81-82 from 10.0.0.0/8".to_owned()),
        ("2001:db8::/32", "ingress all from 2001:db8::/32".into()),
        (&list, format!("ingress icmp from {list}")),
        (&format!("from {peer}"), format!("ingress tcp 444 from {peer}")),
        (&foreign, format!("ingress tcp 444 from 444455556666/{foreign}")),
    ] {
        seen.note(&after, ec2.write.modify(web, &[(id(before), rule(&after, "moved"))]).await).unwrap();
    }
    let texts = [(id("type 3 code 4"), Some("new".to_owned())), (id("protocol 50"), None)];
    seen.note("describe", ec2.write.describe(web, Direction::Ingress, &texts).await).unwrap();
    seen.note("describe", ec2.write.describe(web, Direction::Egress, &[(out[0].id.clone(), None)]).await).unwrap();
    seen.note("rules", ec2.read.rules(web).await).unwrap();
    let gone = [id("type 3 code 4"), id("protocol 50")];
    assert_eq!(seen.note("revoke", ec2.write.revoke(web, Direction::Ingress, &gone).await).unwrap().revoked.len(), 2);
    seen.note("revoke", ec2.write.revoke(web, Direction::Egress, &[out[0].id.clone()]).await).unwrap();
    seen.note("revoke again", ec2.write.revoke(web, Direction::Ingress, &gone).await).unwrap_err();
    seen.note("rules", ec2.read.rules(web).await).unwrap();
}

/// What EC2 refuses, and what is not asked at all.
async fn refusals(ec2: &Ec2, seen: &mut Seen, (web, peer): (&SecurityGroupId, &SecurityGroupId)) {
    let write = &ec2.write;
    let twin = created(ec2, seen, TWIN, "twin", &[]).await;
    let unknown: SecurityGroupId = "sg-00000000000000000".parse().unwrap();
    let unknown_rule: RuleId = "sgr-00000000000000000".parse().unwrap();
    for bad in [
        rule("ingress tcp 80 from pl-00000000000000000", ""),
        rule(&format!("ingress tcp 80 from {twin}"), ""),
        rule(&format!("ingress tcp 80 from {unknown}"), ""),
        rule("ingress tcp 80 from 10.0.0.0/8", "it's"),
        rule("egress tcp 80 to 10.0.0.0/8", ""),
    ] {
        seen.note("bad rule", write.authorize(web, Direction::Ingress, &[bad]).await).unwrap_err();
    }
    let many: Vec<NewRule> = (1..=61).map(|port| rule(&format!("ingress tcp {port} from 10.0.0.0/8"), "")).collect();
    seen.note("too many", write.authorize(&twin, Direction::Ingress, &many).await).unwrap_err();
    for name in ["WEB", "default", "sg-x", ""] {
        seen.note(name, write.create_group(&new_group(VPC, name, &[])).await).unwrap_err();
    }
    seen.note("no VPC", write.create_group(&new_group("vpc-00000000000000000", "lost", &[])).await).unwrap_err();
    seen.note("no group", write.delete_group(&unknown).await).unwrap_err();
    seen.note("in use", write.delete_group(peer).await).unwrap_err();
    seen.note("no rule", write.modify(web, &[(unknown_rule.clone(), rule("ingress all from ::/0", ""))]).await).unwrap_err();
    seen.note("no rule", write.describe(web, Direction::Ingress, &[(unknown_rule, None)]).await).unwrap_err();
    seen.note("reserved tag", write.set_tags(web, &tags(&[("aws:x", "1")])).await).unwrap_err();
    seen.note("no group to tag", write.set_tags(&unknown, &tags(&[("x", "1")])).await).unwrap_err();
    let nothing = [
        write.authorize(web, Direction::Ingress, &[]).await,
        write.revoke(web, Direction::Ingress, &[]).await,
        write.modify(web, &[]).await,
        write.describe(web, Direction::Ingress, &[]).await,
        write.set_tags(web, &Tags::new()).await,
        write.remove_tags(web, &Tags::new()).await,
    ];
    assert!(seen.note("nothing", nothing).iter().all(Result::is_ok));
}

/// Faults of every class. Those on reads are few, because the SDK pays for a second attempt from a purse of the process.
async fn faults(ec2: &Ec2, sim: &Sim, seen: &mut Seen, web: &SecurityGroupId) {
    let set = |fault: Fault| sim.set_faults(Faults { errors: vec![fault], ..Faults::default() });
    for (class, status, codes) in [
        (ErrorClass::Throttled, 503, vec!["RequestLimitExceeded", "Throttling", "SlowDown"]),
        (ErrorClass::Throttled, 400, vec!["ThrottlingException", "ThrottledException", "TooManyRequestsException"]),
        (ErrorClass::Unavailable, 500, vec!["InternalError", "InternalFailure", "Mystery"]),
        (ErrorClass::Unavailable, 503, vec!["Unavailable", "ServiceUnavailable"]),
        (ErrorClass::Unavailable, 400, vec!["RetryableError", "ConcurrentTagAccess", "RequestTimeout"]),
        (ErrorClass::Stale, 400, vec!["InvalidGroup.NotFound", "InvalidPermission.NotFound", "InvalidPermission.Duplicate"]),
        (ErrorClass::Stale, 400, vec!["InvalidPaginationToken", "InvalidNextToken", "InvalidID"]),
        (ErrorClass::NameTaken, 400, vec!["InvalidGroup.Duplicate"]),
        (ErrorClass::InUse, 400, vec!["InvalidGroup.InUse", "DependencyViolation"]),
        (ErrorClass::Terminal, 400, vec!["InvalidPrefixListID.NotFound", "InvalidVpcID.NotFound", "CannotDelete", "Mystery"]),
        (ErrorClass::Quota, 400, vec!["SecurityGroupLimitExceeded", "TagLimitExceeded", "SomethingLimitExceeded"]),
        (ErrorClass::Credentials, 401, vec!["AuthFailure", "Mystery"]),
        (ErrorClass::Credentials, 403, vec!["AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch"]),
        // Those of a session that has run out are the SDK's to deal with: tests/aws/accounts.rs.
        (ErrorClass::Credentials, 400, vec!["OptInRequired"]),
        (ErrorClass::Permission, 403, vec!["UnauthorizedOperation", "AccessDenied", "Mystery"]),
    ] {
        for code in codes {
            set(Fault { about: Some(web.to_string()), ..Fault::error("CreateTags", code, status) });
            let error = seen.note(code, ec2.write.set_tags(web, &tags(&[("a", "b")])).await).unwrap_err();
            assert_eq!(error.class, class, "{error}");
        }
    }
    for (code, status) in [("RequestLimitExceeded", 503), ("InternalError", 500), ("UnauthorizedOperation", 403)] {
        set(Fault::error("reads", code, status));
        seen.note(code, ec2.read.rules(web).await).unwrap_err();
    }
    set(Fault { about: Some("sg-00000000000000000".into()), ..Fault::error("*", "UnauthorizedOperation", 403) });
    seen.note("about another", ec2.read.rules(web).await).unwrap();
    set(Fault::error("writes", "InternalError", 500).after_applying());
    seen.note("after applying", ec2.write.set_tags(web, &tags(&[("late", "1")])).await).unwrap_err();
    sim.clear_faults();
    assert!(seen.note("it took effect", ec2.read.groups(&GroupQuery::All).await).unwrap().iter().any(|group| group.id == *web));
}

/// Everything that the ports can be asked.
async fn tour(connector: impl Connect, sim: &Sim) -> Seen {
    let mut seen = Seen::default();
    sim.inject(Fault::error("GetCallerIdentity", "InvalidClientTokenId", 403).times(1));
    seen.note("identity refused", connector.connect(&own()).await.map(|ec2| ec2.account)).unwrap_err();
    let ec2 = connector.connect(&own()).await.unwrap();
    seen.note("account", connector.connect(&own()).await.unwrap().account);
    assert_eq!(sim.count("GetCallerIdentity"), 2, "one refused, one answered, and no third");

    let web = created(&ec2, &mut seen, VPC, "web", &[("team", "shop"), ("empty", "")]).await;
    let peer = created(&ec2, &mut seen, VPC, "p*e&r", &[("te*m", r"s*h?o\p")]).await;
    for id in [VPC, TWIN, FOREIGN_VPC, "vpc-00000000000000000"] {
        seen.note(id, ec2.read.vpc(&id.parse().unwrap()).await).unwrap();
    }
    for (pairs, found) in [(vec![("Name", "main")], 2), (vec![("Name", "main"), ("env", r"t*s?\")], 1), (vec![("env", "t*")], 0)] {
        let query = VpcQuery::Tagged(tags(&pairs));
        assert_eq!(seen.note("VPCs by tags", ec2.read.vpcs(&query).await).unwrap().len(), found, "{pairs:?}");
    }
    rules(&ec2, sim, &mut seen, (&web, &peer)).await;
    refusals(&ec2, &mut seen, (&web, &peer)).await;

    let subnet = [("Action", "CreateSubnet"), ("VpcId", VPC), ("CidrBlock", "10.0.1.0/24")];
    let subnet = other(sim, KEY, &subnet, "subnetId");
    for description in ["ELB app/web", ""] {
        let interface = [("Action", "CreateNetworkInterface"), ("SubnetId", subnet.as_str()), ("SecurityGroupId.1", web.as_str())];
        let interface = other(sim, KEY, &[interface.as_slice(), &[("Description", description)]].concat(), "networkInterfaceId");
        if description.is_empty() {
            let holder = (None, None, Some("i-0a1b2c3d4e5f60001"));
            sim.occupy_interface("111122223333", "eu-west-1", &interface, holder).unwrap();
        }
    }
    let held = seen.note("interfaces", ec2.read.interfaces(&web).await).unwrap();
    assert!(held.iter().any(|held| held.used_by == "ELB app/web") && held.iter().any(|held| held.used_by.starts_with("i-")));
    seen.note("interfaces", ec2.read.interfaces(&peer).await).unwrap();

    let write = &ec2.write;
    seen.note("tag", write.set_tags(&web, &tags(&[("team", "search"), ("new", "")])).await).unwrap();
    seen.note("untag", write.remove_tags(&web, &tags(&[("team", "shop"), ("new", "")])).await).unwrap();
    let named = |name: &str| GroupQuery::Name { vpc: VPC.parse().unwrap(), name: name.into() };
    for (query, found) in [
        (GroupQuery::Ids(vec![]), 0),
        (GroupQuery::Ids(vec![peer.clone(), web.clone(), web.clone()]), 2),
        (named("p*e&r"), 1),
        (named("w*"), 0),
        (GroupQuery::Tagged(tags(&[("te*m", r"s*h?o\p")])), 1),
        (GroupQuery::Tagged(tags(&[("team", "search"), ("empty", "")])), 1),
    ] {
        assert_eq!(seen.note(&format!("{query:?}"), ec2.read.groups(&query).await).unwrap().len(), found, "{query:?}");
    }
    faults(&ec2, sim, &mut seen, &web).await;
    let lone = created(&ec2, &mut seen, VPC, "lone", &[]).await;
    seen.note("delete", write.delete_group(&lone).await).unwrap();
    seen
}

#[tokio::test]
async fn both_doors_of_the_sim_are_one_ec2() {
    let (one, two) = (sim(), sim());
    let by_sdk = tour(through_the_sdk(&one), &one).await;
    let by_ports = tour(as_the_ports(&two), &two).await;
    for (sdk, ports) in by_sdk.0.iter().zip(&by_ports.0) {
        assert_eq!(sdk, ports);
    }
    assert_eq!(by_sdk.0.len(), by_ports.0.len());
    assert_eq!(one.counts(), two.counts());
    for (sdk, ports) in one.calls().into_iter().zip(two.calls()) {
        assert_eq!(sdk, ports, "as the sim has it on record");
    }
    let events = |sim: &Sim| {
        let mut events = sim.take_events();
        // Who says to be calling is the one thing that tells the doors apart.
        for event in &mut events {
            event["detail"]["userAgent"] = "".into();
        }
        events
    };
    let (sdk, ports) = (events(&one), events(&two));
    assert!(sdk.len() > 60, "{}", sdk.len());
    for (sdk, ports) in sdk.iter().zip(&ports) {
        assert_eq!(sdk, ports);
    }
    assert_eq!((sdk.len(), one.dump()), (ports.len(), two.dump()));
}

/// Becoming others, and what is done as them.
async fn lent(connector: impl Connect, sim: &Sim) -> Seen {
    const ROLE: &str = "arn:aws:iam::444455556666:role/path/lent";
    let mut seen = Seen::default();
    sim.add_role(RoleSeed { external_id: Some("word".into()), ..RoleSeed::new(ROLE) }).unwrap();
    for route in [
        as_role("444455556666", ROLE, None),
        as_role("444455556666", "arn:aws:iam::444455556666:role/nobody", Some("word")),
        as_role("444455556666", "nobody", None),
        as_role("777788889999", ROLE, Some("word")),
        Route { account: Some("444455556666".parse().unwrap()), ..own() },
    ] {
        seen.note("refused", connector.connect(&route).await.map(|ec2| ec2.account)).unwrap_err();
    }
    sim.inject(Fault { times: Some(3), ..Fault::throttle("AssumeRole") });
    let route = as_role("444455556666", ROLE, Some("word"));
    seen.note("throttled", connector.connect(&route).await.map(|ec2| ec2.account)).unwrap_err();
    let ec2 = connector.connect(&route).await.unwrap();
    seen.note("account", &ec2.account);
    created(&ec2, &mut seen, FOREIGN_VPC, "web", &[("team", "shop")]).await;
    seen.note("listing", ec2.read.listing(&GroupQuery::All).await).unwrap();
    seen
}

#[tokio::test]
async fn both_doors_lend_roles_alike() {
    let (one, two) = (sim(), sim());
    for sim in [&one, &two] {
        // Sessions end by this clock, and the SDK goes by the machine's.
        sim.freeze("2126-01-02T03:04:05Z".parse().unwrap());
    }
    let (by_sdk, by_ports) = (lent(through_the_sdk(&one), &one).await, lent(as_the_ports(&two), &two).await);
    assert_eq!(by_sdk.0, by_ports.0);
    assert_eq!(one.calls(), two.calls(), "as the sim has it on record");
    assert_eq!(one.dump(), two.dump());
}

#[tokio::test(start_paused = true)]
async fn slow_answers_take_their_time_through_the_ports() {
    let sim = sim();
    let ec2 = as_the_ports(&sim).connect(&own()).await.unwrap();
    sim.set_latency(vec![Latency { min_ms: 3000, ..Latency::default() }]);
    let start = tokio::time::Instant::now();
    assert!(ec2.read.vpc(&VPC.parse().unwrap()).await.unwrap().is_some());
    assert_eq!(start.elapsed().as_secs(), 3);
    sim.set_latency(vec![Latency { min_ms: 9000, ..Latency::default() }]);
    let error = ec2.read.vpc(&VPC.parse().unwrap()).await.unwrap_err();
    assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Unavailable, false), "{error}");
    assert_eq!((sim.count("DescribeVpcs"), start.elapsed().as_secs()), (4, 27), "three times, eight seconds each");
}
