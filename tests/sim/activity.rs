//! The stand-in's events read back by `core::activity`: two writings of ec2.md §6 that know nothing of each other.
//!
//! The heart of it: whoever only listens to the events knows the rules of every group at any time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use sgwarden::adapters::sim::{Fault, Principal};
use sgwarden::core::activity::{
    Activities, ActorKind, Attribution, Bounds, By, Drift, Drifted, Event, EventName, Failure, Own, What, Whose, Window, attribute,
    parse,
};
use sgwarden::core::model::{Atom, Direction, Peer, RuleId, SecurityGroupId, Traffic};

use crate::support::{Node, VPC, VPC6, World, peer_of};

type Rules = BTreeMap<RuleId, (SecurityGroupId, Atom)>;

/// All rules as a read shows them.
fn live(world: &World) -> Rules {
    let body = world.call("DescribeSecurityGroupRules", &[]).ok();
    body.items("securityGroupRuleSet").iter().map(row).collect()
}

fn row(row: &Node) -> (RuleId, (SecurityGroupId, Atom)) {
    let port = |name: &str| row.get(name).and_then(|node| node.text.parse::<i32>().ok());
    let peer = peer_of(row);
    let peer = match peer.split_once('-').map(|(prefix, _)| prefix) {
        Some("sg") => Peer::group(peer.parse().unwrap()),
        Some("pl") => Peer::PrefixList(peer.parse().unwrap()),
        _ if peer.contains(':') => Peer::ipv6(peer.parse().unwrap()),
        _ => Peer::ipv4(peer.parse().unwrap()),
    };
    let direction = if row.text("isEgress") == "true" { Direction::Egress } else { Direction::Ingress };
    let traffic = Traffic::from_ec2(row.text("ipProtocol"), port("fromPort"), port("toPort")).unwrap();
    let atom = Atom { direction, traffic, peer };
    (row.text("securityGroupRuleId").parse().unwrap(), (row.text("groupId").parse().unwrap(), atom))
}

/// A listener: what it has heard, and what it makes of it.
#[derive(Default)]
struct Listener {
    rules: Rules,
    heard: Vec<Event>,
    messages: Vec<Value>,
}

impl Listener {
    /// Hears what happened and believes it. A read is asked only for what no event says, the rules that a new group is born with:
    /// listen before they change.
    fn hear(&mut self, world: &World) {
        let after = live(world);
        for message in world.sim.take_events() {
            match parse(&message.to_string()) {
                Ok(event) => self.believe(event, &after),
                Err(reason) => assert!(!reason.may_hide_a_change(), "{reason}: {message}"),
            }
            self.messages.push(message);
        }
        assert_eq!(self.rules, after);
    }

    fn believe(&mut self, event: Event, after: &Rules) {
        for change in event.changes.iter().filter(|_| event.failure.is_none()) {
            let group = change.group.clone();
            match &change.what {
                What::Added => {
                    let known = self.rules.insert(change.rule_id.clone().unwrap(), (group.unwrap(), change.atom.clone().unwrap()));
                    assert!(known.is_none());
                }
                What::Removed => {
                    let (of, atom) = self.rules.remove(change.rule_id.as_ref().unwrap()).unwrap();
                    assert_eq!((Some(of), Some(atom)), (group, change.atom.clone()));
                }
                What::Modified(becomes) => {
                    let (of, atom) = self.rules.get_mut(change.rule_id.as_ref().unwrap()).unwrap();
                    assert_eq!(Some(&*of), group.as_ref());
                    *atom = becomes.as_ref().unwrap().in_direction(atom.direction);
                }
                What::GroupCreated => {
                    let born =
                        after.iter().filter(|(_, (of, atom))| Some(of) == group.as_ref() && atom.direction == Direction::Egress);
                    self.rules.extend(born.map(|(id, rule)| (id.clone(), rule.clone())));
                }
                What::GroupDeleted => self.rules.retain(|_, (of, _)| Some(&*of) != group.as_ref()),
                What::Described
                | What::Tagged(_)
                | What::Untagged(_)
                | What::VpcAssociated(_)
                | What::VpcDisassociated(_)
                | What::PrefixListChanged { list: _, version: _ }
                | What::PrefixListDeleted(_) => {}
            }
        }
        self.heard.push(event);
    }
}

fn listening(world: &World) -> Listener {
    world.sim.take_events();
    Listener { rules: live(world), ..Listener::default() }
}

fn modify(world: &World, group: &str, changes: &[(&str, &[(&str, &str)])]) -> crate::support::Answer {
    let mut params = vec![("GroupId".to_owned(), group.to_owned())];
    for (n, (id, change)) in changes.iter().enumerate() {
        params.push((format!("SecurityGroupRule.{}.SecurityGroupRuleId", n + 1), (*id).to_owned()));
        for (name, value) in *change {
            params.push((format!("SecurityGroupRule.{}.SecurityGroupRule.{name}", n + 1), (*value).to_owned()));
        }
    }
    let params: Vec<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    world.call("ModifySecurityGroupRules", &params)
}

#[test]
fn every_write_of_rules_parses_back_to_the_atoms_that_changed() {
    let world = World::new();
    let mut listener = listening(&world);
    let web = world.group(VPC6, "web");
    let db = world.group(VPC6, "db");
    listener.hear(&world);
    world.allow(&web, &["6/443 10.0.0.18/24 office", "-1 2001:DB8::/32", "ICMP/3..4 10.0.0.0/8", "58 ::/0", "50 10.1.2.3/32"]).ok();
    world.allow(&db, &[&format!("tcp/5432 {web}"), &format!("-1 {db} self")]).ok();
    world.rules("AuthorizeSecurityGroupEgress", &db, &["udp/53 10.0.0.2/32 dns"]).ok();
    listener.hear(&world);
    let flat = [("GroupId", web.as_str()), ("IpProtocol", "tcp"), ("FromPort", "22"), ("ToPort", "23"), ("CidrIp", "10.7.7.7/8")];
    world.call("AuthorizeSecurityGroupIngress", &flat).ok();
    listener.hear(&world);
    let (ssh, all) = (world.rule_id(&web, "10.0.0.0/24"), world.rule_id(&web, "2001:db8::/32"));
    modify(&world, &web, &[(&ssh, &[("IpProtocol", "udp"), ("FromPort", "1"), ("ToPort", "2"), ("CidrIpv4", "10.9.9.9/16")])]).ok();
    listener.hear(&world);
    modify(
        &world,
        &web,
        &[(&ssh, &[("IpProtocol", "-1"), ("CidrIpv4", "0.0.0.0/0")]), (&all, &[("IpProtocol", "50"), ("CidrIpv6", "::/0")])],
    )
    .ok();
    listener.hear(&world);
    world.revoke(&db, &[&format!("tcp/5432 {web}")]).ok();
    world
        .call("RevokeSecurityGroupIngress", &[("GroupId", &web), ("SecurityGroupRuleId.1", &ssh), ("SecurityGroupRuleId.2", &all)])
        .ok();
    listener.hear(&world);
    world.call("RevokeSecurityGroupIngress", &[("GroupId", &db), ("SecurityGroupRuleId.1", &world.rule_id(&db, &db))]).ok();
    world.call("DeleteSecurityGroup", &[("GroupId", &db)]).ok();
    listener.hear(&world);
    assert!(listener.heard.iter().all(|event| !event.incomplete && !event.account_wide && event.wrote()));
}

#[test]
fn failed_and_dry_calls_are_told_apart_and_change_nothing() {
    let world = World::new();
    let mut listener = listening(&world);
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).ok();
    world.allow(&web, &["tcp/1 10.0.0.0/8"]).fails("InvalidPermission.Duplicate");
    world.call("DeleteSecurityGroup", &[("GroupId", &web), ("DryRun", "true")]);
    world.sim.inject(Fault::throttle("DeleteSecurityGroup").times(1));
    world.call("DeleteSecurityGroup", &[("GroupId", &web)]);
    listener.hear(&world);
    let failures: Vec<Option<Failure>> = listener.heard.iter().map(|event| event.failure.clone()).collect();
    let refused = |code: &str| Some(Failure::Refused(code.into()));
    let expected = [None, None, refused("InvalidPermission.Duplicate"), Some(Failure::DryRun), refused("RequestLimitExceeded")];
    assert_eq!(failures, expected);
}

#[test]
fn tags_descriptions_lists_and_associations_say_what_they_touch() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/1 10.0.0.0/8 old"]).ok();
    let id = world.rule_id(&web, "10.0.0.0/8");
    let mut listener = listening(&world);
    let told = |listener: &mut Listener| {
        listener.hear(&world);
        let event = listener.heard.pop().unwrap();
        (event.name, event.groups.iter().map(ToString::to_string).collect::<Vec<_>>(), event.changes)
    };
    world.call("CreateTags", &[("ResourceId.1", &web), ("Tag.1.Key", "k"), ("Tag.1.Value", "v"), ("Tag.2.Key", "l")]).ok();
    let (name, groups, changes) = told(&mut listener);
    assert_eq!((name, groups, changes.len()), (EventName::CreateTags, vec![web.clone()], 2));
    assert!(matches!(&changes[0].what, What::Tagged(Some(tag)) if tag.key == "k" && tag.value.as_deref() == Some("v")));
    world.call("DeleteTags", &[("ResourceId.1", &id), ("ResourceId.2", &web), ("Tag.1.Key", "k")]).ok();
    assert_eq!(told(&mut listener).2.len(), 2);
    let by_id = [("GroupId", web.as_str()), ("SecurityGroupRuleDescription.1.SecurityGroupRuleId", id.as_str())];
    world.call("UpdateSecurityGroupRuleDescriptionsIngress", &by_id).ok();
    let changes = told(&mut listener).2;
    assert_eq!((changes[0].rule_id.as_ref().unwrap().as_str(), &changes[0].what), (id.as_str(), &What::Described));
    world.rules("UpdateSecurityGroupRuleDescriptionsIngress", &web, &["6/1 10.9.9.9/8 new"]).ok();
    assert_eq!(told(&mut listener).2[0].atom.as_ref().unwrap().to_string(), "ingress tcp 1 from 10.0.0.0/8");
    let made = [("PrefixListName", "corp"), ("AddressFamily", "IPv4"), ("MaxEntries", "5"), ("Entry.1.Cidr", "10.0.0.0/8")];
    let list = world.call("CreateManagedPrefixList", &made).ok().text("prefixList/prefixListId").to_owned();
    let add = [("PrefixListId", list.as_str()), ("CurrentVersion", "1"), ("AddEntry.1.Cidr", "0.0.0.0/1")];
    world.call("ModifyManagedPrefixList", &add).ok();
    listener.hear(&world);
    let event = listener.heard.pop().unwrap();
    assert_eq!((event.lists[0].as_str(), event.account_wide), (list.as_str(), false));
}

#[test]
fn a_group_addressed_by_its_name_is_told_by_the_reply_or_not_at_all() {
    let world = World::new();
    let vpc = world.sim.default_vpc("111122223333", "eu-west-1").unwrap();
    let web = world.group(&vpc, "web");
    let mut listener = listening(&world);
    let rule = [("GroupName", "web"), ("IpProtocol", "tcp"), ("FromPort", "22"), ("ToPort", "22"), ("CidrIp", "10.0.0.0/8")];
    world.call("AuthorizeSecurityGroupIngress", &rule).ok();
    listener.hear(&world);
    let event = listener.heard.last().unwrap();
    assert_eq!((event.groups[0].as_str(), event.account_wide, event.group_name.as_deref()), (web.as_str(), false, Some("web")));
    world.call("AuthorizeSecurityGroupIngress", &rule).fails("InvalidPermission.Duplicate");
    // What is not there is no error in the default VPC, and no change.
    let miss = [("GroupName", "web"), ("IpProtocol", "tcp"), ("FromPort", "23"), ("ToPort", "23"), ("CidrIp", "10.0.0.0/8")];
    world.call("RevokeSecurityGroupIngress", &miss).ok();
    listener.hear(&world);
    assert!(listener.heard[1].account_wide && listener.heard[1].failure.is_some());
    assert!(listener.heard[2].changes.is_empty(), "{:#?}", listener.heard[2]);
    world.call("DeleteSecurityGroup", &[("GroupName", "web")]).ok();
    let message = world.sim.take_events().pop().unwrap();
    assert!(parse(&message.to_string()).unwrap().account_wide);
}

#[test]
fn callers_of_every_kind_are_named() {
    let mut world = World::new();
    let web = world.group(VPC, "web");
    let account = || "111122223333".to_owned();
    let people = [
        (Principal::User { account: account(), name: "mira".into() }, ActorKind::User, "mira"),
        (Principal::Root { account: account() }, ActorKind::Root, "root of 111122223333"),
        (
            Principal::Sso { account: account(), permission_set: "Ops".into(), user: "mira@corp.example".into() },
            ActorKind::Person,
            "mira@corp.example",
        ),
        (
            Principal::Role {
                account: account(),
                role: "Deployer".into(),
                session: "s".into(),
                source_identity: Some("mira@corp.example".into()),
                invoked_by: None,
            },
            ActorKind::Person,
            "mira@corp.example (role Deployer)",
        ),
        (
            Principal::Role {
                account: account(),
                role: "Deployer".into(),
                session: "s".into(),
                source_identity: None,
                invoked_by: Some("cloudformation.amazonaws.com".into()),
            },
            ActorKind::ServiceOnBehalf,
            "cloudformation.amazonaws.com for s (role Deployer)",
        ),
        (
            Principal::ServiceRole {
                account: account(),
                service: "elasticloadbalancing.amazonaws.com".into(),
                role: "AWSServiceRoleForElasticLoadBalancing".into(),
            },
            ActorKind::Service,
            "elasticloadbalancing.amazonaws.com",
        ),
        (
            Principal::Service { account: account(), service: "autoscaling.amazonaws.com".into() },
            ActorKind::Service,
            "autoscaling.amazonaws.com",
        ),
    ];
    world.sim.take_events();
    for (n, (principal, kind, name)) in people.into_iter().enumerate() {
        world.sim.register("ASIATEST", principal);
        world.key = "ASIATEST";
        world.allow(&web, &[&format!("tcp/{} 10.0.0.0/8", n + 1)]).ok();
        let actor = parse(&world.sim.take_events().pop().unwrap().to_string()).unwrap().actor;
        assert_eq!((actor.kind, actor.name.as_str()), (kind, name));
    }
}

#[test]
fn an_intruder_is_named_among_our_own_calls() {
    let mut world = World::new();
    let start = world.sim.now();
    world.sim.freeze(start);
    let web = world.group(VPC, "web");
    world.sim.take_events();
    let role = |session: &str| Principal::Role {
        account: "111122223333".into(),
        role: "keeper".into(),
        session: session.into(),
        source_identity: None,
        invoked_by: None,
    };
    let mut own = Own::default();
    own.act_as("arn:aws:sts::111122223333:assumed-role/keeper/sgwarden");
    world.sim.register("ASIAKEEPER", role("sgwarden"));
    world.key = "ASIAKEEPER";
    own.sent(&world.allow(&web, &["tcp/443 0.0.0.0/0"]).request_id, start);
    world.allow(&web, &["tcp/444 0.0.0.0/0"]);
    world.key = crate::support::KEY;
    world.allow(&web, &["tcp/22 0.0.0.0/0"]).ok();
    let mut log = Activities::new(Bounds::default(), start);
    let events: Vec<Event> = world.sim.take_events().iter().map(|message| parse(&message.to_string()).unwrap()).collect();
    let whose: Vec<Whose> = events.iter().map(|event| own.whose(event)).collect();
    assert_eq!(whose, [Whose::Ours, Whose::OwnRole { same_session: true }, Whose::Others]);
    for event in events {
        log.insert(event, start);
    }
    let found: Vec<Drifted> = live(&world)
        .into_iter()
        .filter(|(_, (of, atom))| of.as_str() == web && atom.direction == Direction::Ingress)
        .map(|(id, (_, atom))| Drifted {
            drift: Drift::Added(atom),
            rule_id: Some(id),
            window: Window { without: Some(start), with: start },
        })
        .collect();
    let group = web.parse().unwrap();
    let mut named = Vec::new();
    for (drifted, found) in found.iter().zip(attribute(&group, &found, &log.of_group(&group), &own)) {
        let Drift::Added(atom) = &drifted.drift else { unreachable!() };
        named.push(match &found {
            Attribution::Named(event, By::RuleId) => format!("{}: {}", atom.traffic, event.actor.name),
            Attribution::OwnRole(_, By::RuleId) => format!("{}: our role", atom.traffic),
            Attribution::Nobody(_) => format!("{}: nobody", atom.traffic),
            Attribution::Named(..) | Attribution::Tie(..) | Attribution::Trace(..) | Attribution::OwnRole(..) => {
                panic!("{found:?}")
            }
        });
    }
    named.sort();
    assert_eq!(named, ["tcp 22: alice", "tcp 443: nobody", "tcp 444: our role"]);
}

#[derive(Clone, Debug)]
enum Deed {
    Allow(bool, Vec<String>),
    Revoke(bool, Vec<String>),
    RevokeIds(Vec<usize>),
    Modify(Vec<(usize, String, u8)>),
}

fn rule() -> impl Strategy<Value = String> {
    let what =
        prop::sample::select(vec!["tcp/1..3", "6/1..3", "UDP/53", "icmp/8..0", "icmp/-1..-1", "58", "-1", "-1/22..22", "50"]);
    let peer = prop_oneof![
        (0..3_u8, 8..25_u8).prop_map(|(a, length)| format!("10.{a}.0.9/{length}")),
        (0..3_u8, 32..65_u8).prop_map(|(a, length)| format!("2001:DB8:{a}:0::1/{length}")),
    ];
    (what, peer).prop_map(|(what, peer)| format!("{what} {peer}"))
}

fn deed() -> impl Strategy<Value = Deed> {
    let rules = || prop::collection::vec(rule(), 1..4);
    let protocol = || prop::sample::select(vec!["tcp", "17", "-1", "50"]).prop_map(str::to_owned);
    prop_oneof![
        3 => (any::<bool>(), rules()).prop_map(|(egress, rules)| Deed::Allow(egress, rules)),
        1 => (any::<bool>(), rules()).prop_map(|(egress, rules)| Deed::Revoke(egress, rules)),
        2 => prop::collection::vec(0..20_usize, 1..3).prop_map(Deed::RevokeIds),
        2 => prop::collection::vec((0..20_usize, protocol(), 0..255_u8), 1..3).prop_map(Deed::Modify),
    ]
}

fn act(world: &World, group: &str, deed: &Deed) {
    let refs = |rules: &[String]| rules.to_vec();
    let with = |action: &str, rules: Vec<String>| {
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        world.rules(action, group, &rules);
    };
    let rows: Vec<(RuleId, Atom)> =
        live(world).into_iter().filter(|(_, (of, _))| of.as_str() == group).map(|(id, (_, atom))| (id, atom)).collect();
    let pick = |n: usize| rows.get(n % rows.len().max(1));
    match deed {
        Deed::Allow(false, rules) => with("AuthorizeSecurityGroupIngress", refs(rules)),
        Deed::Allow(true, rules) => with("AuthorizeSecurityGroupEgress", refs(rules)),
        Deed::Revoke(false, rules) => with("RevokeSecurityGroupIngress", refs(rules)),
        Deed::Revoke(true, rules) => with("RevokeSecurityGroupEgress", refs(rules)),
        Deed::RevokeIds(picked) => {
            for (id, atom) in picked.iter().filter_map(|n| pick(*n)) {
                let action = match atom.direction {
                    Direction::Ingress => "RevokeSecurityGroupIngress",
                    Direction::Egress => "RevokeSecurityGroupEgress",
                };
                world.call(action, &[("GroupId", group), ("SecurityGroupRuleId.1", id.as_str())]);
            }
        }
        Deed::Modify(changes) => {
            let changes: Vec<(&str, Vec<(&str, String)>)> = changes
                .iter()
                .filter_map(|(n, protocol, byte)| {
                    let (id, atom) = pick(*n)?;
                    let (name, range) = match atom.peer {
                        Peer::Ipv6(_) => ("CidrIpv6", format!("2001:db8:{byte}::7/48")),
                        Peer::Ipv4(_) | Peer::PrefixList(_) | Peer::Group { .. } => ("CidrIpv4", format!("10.{byte}.9.9/16")),
                    };
                    let mut members = vec![("IpProtocol", protocol.clone()), (name, range)];
                    members.extend([("FromPort", byte.to_string()), ("ToPort", byte.to_string())]);
                    Some((id.as_str(), members))
                })
                .collect();
            let borrowed: Vec<(&str, Vec<(&str, &str)>)> = changes
                .iter()
                .map(|(id, members)| (*id, members.iter().map(|(name, value)| (*name, value.as_str())).collect()))
                .collect();
            let changes: Vec<(&str, &[(&str, &str)])> = borrowed.iter().map(|(id, members)| (*id, members.as_slice())).collect();
            modify(world, group, &changes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_listens_knows_every_rule(deeds in prop::collection::vec((any::<bool>(), deed()), 1..12)) {
        let world = World::new();
        let mut listener = listening(&world);
        let groups = [world.group(VPC6, "web"), world.group(VPC6, "db")];
        listener.hear(&world);
        for (first, deed) in &deeds {
            act(&world, &groups[usize::from(*first)], deed);
            listener.hear(&world);
        }
        // A request tells the same rules as the reply: what was asked for is made canonical as EC2 makes it.
        for (message, event) in listener.messages.iter().zip(&listener.heard) {
            let asked = message["detail"]["requestParameters"]["ipPermissions"]["items"].as_array();
            if event.failure.is_some() || asked.is_none_or(Vec::is_empty) {
                continue;
            }
            let mut mute = message.clone();
            mute["detail"]["responseElements"] = serde_json::json!({"_return": true});
            let atoms = |event: &Event| {
                let mut atoms: Vec<Option<Atom>> = event.changes.iter().map(|change| change.atom.clone()).collect();
                atoms.sort();
                atoms
            };
            prop_assert_eq!(atoms(&parse(&mute.to_string()).unwrap()), atoms(event));
        }
    }
}
