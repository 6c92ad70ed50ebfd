//! Who gets through: traps one by one, whole answers and pictures word for word, and two laws over small worlds: an answer is
//! what the addresses counted out say, and what an answer advises makes it a yes.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sgwarden::api::{CidrSet, EgressRule, IngressRule, Peer, Port, ReferenceGrant, SecurityGroup, SecurityGroupStatus};
use sgwarden::core::desired::{Referent, ReferentKind};
use sgwarden::core::model::Direction;
use sgwarden::core::reach::{
    Answer, Basis, Family, Grants, Other, Question, Verdict, World, answer_json, answer_text, asked_address, asked_traffic, graph,
};

fn now() -> jiff::Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn named(kind: ReferentKind, text: &str) -> Referent {
    let (namespace, name) = text.split_once('/').unwrap();
    Referent { kind, namespace: namespace.to_owned(), name: name.to_owned() }
}

fn group(text: &str) -> Referent {
    named(ReferentKind::SecurityGroup, text)
}

/// A world of YAML documents.
fn world(text: &str) -> World {
    let mut world = World { grants: Some(Grants::default()), ..World::default() };
    for document in text.split("---\n").filter(|document| !document.trim().is_empty()) {
        let value: serde_json::Value = serde_yaml::from_str(document).unwrap();
        let name = |kind| {
            let field = |name: &str| value["metadata"][name].as_str().unwrap().to_owned();
            Referent { kind, namespace: field("namespace"), name: field("name") }
        };
        match value["kind"].as_str().unwrap() {
            "SecurityGroup" => {
                let object: SecurityGroup = serde_yaml::from_str(document).unwrap();
                let name = name(ReferentKind::SecurityGroup);
                if object.status.is_some() {
                    world.basis = Basis::Objects;
                } else {
                    world.files.insert(name.clone(), format!("groups/{}.yaml", name.name));
                }
                world.groups.insert(name, object);
            }
            "CidrSet" => {
                let set: CidrSet = serde_yaml::from_str(document).unwrap();
                world.sets.insert(name(ReferentKind::CidrSet), set);
            }
            "ReferenceGrant" => {
                let grant: ReferenceGrant = serde_yaml::from_str(document).unwrap();
                world.grants.as_mut().unwrap().objects.push(grant);
            }
            other => panic!("{other}"),
        }
    }
    world
}

/// A question as flags: `shop/db --from 10.0.3.7 --port 5432`.
fn question(text: &str) -> Question {
    let mut words = text.split_whitespace();
    let subject = group(words.next().unwrap());
    let (mut other, mut port, mut protocol, mut kind, mut family) = (None, None, "tcp", None, None);
    while let (Some(flag), Some(value)) = (words.next(), words.next()) {
        let end = |value: &str| match value.split_once("sg-") {
            Some((account, _)) => Other::Group {
                id: value.trim_start_matches(account).parse().unwrap(),
                account: account.trim_end_matches('/').parse().ok(),
            },
            None => Other::Object(group(value)),
        };
        match flag {
            "--from" => other = Some((Direction::Ingress, Other::Range(asked_address(value).unwrap()))),
            "--to" => other = Some((Direction::Egress, Other::Range(asked_address(value).unwrap()))),
            "--from-group" => other = Some((Direction::Ingress, end(value))),
            "--to-group" => other = Some((Direction::Egress, end(value))),
            "--port" => port = Some(value),
            "--protocol" => protocol = value,
            "--icmp-type" => kind = Some(value.parse().unwrap()),
            "--family" => family = Some(if value == "ipv4" { Family::Ipv4 } else { Family::Ipv6 }),
            other => panic!("{other}"),
        }
    }
    let (direction, other) = other.unwrap();
    let traffic = asked_traffic(protocol, port, kind, None).unwrap();
    Question { group: subject, direction, other, traffic, family }
}

fn ask(world: &World, text: &str) -> Answer {
    world.explain(&question(text), now()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A group of namespace shop with some rules.
fn manifest(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  vpc: {{id: vpc-0a1b2c3d}}\n{spec}\n---\n"
    )
}

fn ingress(rules: &str) -> String {
    manifest("db", &format!("  egressPolicy: DenyAll\n  ingress: [{rules}]"))
}

/// Rules of shop/db, a question about it, and the answer.
#[test]
fn an_address_gets_through_by_ranges_ports_and_protocols() {
    for (rules, asked, expected) in [
        ("{name: a, protocol: tcp, ports: [\"8000-8100\"], from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --port 8000", "yes"),
        ("{name: a, protocol: tcp, ports: [\"8000-8100\"], from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --port 8100", "yes"),
        ("{name: a, protocol: tcp, ports: [\"8000-8100\"], from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --port 8101", "no"),
        (
            "{name: a, protocol: tcp, ports: [\"8000-8100\"], from: [{cidr: 10.0.0.0/8}]}",
            "--from 10.0.3.7 --port 8050-8200",
            "partly",
        ),
        ("{name: a, protocol: tcp, ports: [80, 81], from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --port 80-81", "yes"),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{cidr: 10.0.0.0/9}, {cidr: 10.128.0.0/9}]}",
            "--from 10.0.0.0/8 --port 80",
            "yes",
        ),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: 10.0.0.0/9}]}", "--from 10.0.0.0/8 --port 80", "partly"),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: 10.0.0.0/9}]}", "--from 10.128.0.1 --port 80", "no"),
        ("{name: a, protocol: udp, ports: [53], from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --port 53", "no"),
        ("{name: a, protocol: udp, ports: [53], from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --port 53 --protocol udp", "yes"),
        ("{name: a, protocol: all, from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --port 5432", "yes"),
        ("{name: a, protocol: all, from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --protocol all", "yes"),
        ("{name: a, protocol: tcp, ports: [\"0-65535\"], from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --protocol all", "partly"),
        ("{name: a, protocol: \"50\", from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --protocol 50", "yes"),
        (
            "{name: a, protocol: icmp, icmp: {type: 8}, from: [{cidr: 10.0.0.0/8}]}",
            "--from 10.0.3.7 --protocol icmp --icmp-type 8",
            "yes",
        ),
        ("{name: a, protocol: icmp, icmp: {type: 8}, from: [{cidr: 10.0.0.0/8}]}", "--from 10.0.3.7 --protocol icmp", "partly"),
        (
            "{name: a, protocol: icmp, icmp: {type: 8}, from: [{cidr: 10.0.0.0/8}]}",
            "--from 10.0.3.7 --protocol icmp --icmp-type 0",
            "no",
        ),
        // Everybody is two families, and neither is the other.
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: 0.0.0.0/0}]}", "--from 2001:db8::1 --port 80", "no"),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: \"::/0\"}]}", "--from 198.51.100.1 --port 80", "no"),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: \"::/0\"}]}", "--from 2001:db8::/32 --port 80", "yes"),
        // An IPv4 address in IPv6 clothes is the IPv4 address.
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: \"::/0\"}]}", "--from ::ffff:198.51.100.1 --port 80", "no"),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: 198.51.100.0/24}]}", "--from ::ffff:198.51.100.1 --port 80", "yes"),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{cidr: 198.51.100.0/24}]}",
            "--from ::ffff:198.51.100.0/120 --port 80",
            "yes",
        ),
        // What is in a list, nobody knows here.
        ("{name: a, protocol: tcp, ports: [80], from: [{prefixListId: pl-0a1b2c3d}]}", "--from 10.0.3.7 --port 80", "unknown"),
        ("{name: a, protocol: tcp, ports: [80], from: [{prefixListName: x}]}", "--from 10.0.3.7 --port 80", "unknown"),
        ("{name: a, protocol: tcp, ports: [80], from: [{prefixListId: pl-0a1b2c3d}]}", "--from 10.0.3.7 --port 81", "no"),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{prefixListId: pl-0a1b2c3d}, {cidr: 10.0.0.0/8}]}",
            "--from 10.0.3.7 --port 80",
            "yes",
        ),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{prefixListId: pl-0a1b2c3d}, {cidr: 10.0.0.0/9}]}",
            "--from 10.0.0.0/8 --port 80",
            "unknown",
        ),
        // An address is no member of anything.
        (
            "{name: a, protocol: tcp, ports: [80], from: [{self: true}, {securityGroupId: sg-0a1b2c3d}]}",
            "--from 10.0.3.7 --port 80",
            "no",
        ),
        // A reference that leads nowhere may lead to anybody, and holds its rule back.
        ("{name: a, protocol: tcp, ports: [80], from: [{cidrSet: {name: gone}}]}", "--from 10.0.3.7 --port 80", "unknown"),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{cidrSet: {name: gone}}, {cidr: 10.0.0.0/8}]}",
            "--from 10.0.3.7 --port 80",
            "unknown",
        ),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidrSet: {name: gone}}]}", "--from 10.0.3.7 --port 81", "no"),
        ("{name: a, protocol: tcp, ports: [80], from: [{securityGroup: {name: gone}}]}", "--from 10.0.3.7 --port 80", "no"),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{securityGroup: {name: gone}}, {cidr: 10.0.0.0/8}]}",
            "--from 10.0.3.7 --port 80",
            "unknown",
        ),
        // What is over is over, at that very second.
        (
            "{name: a, protocol: tcp, ports: [80], from: [{cidr: 10.0.0.0/8}], expiresAt: \"2026-11-22T12:00:00Z\"}",
            "--from 10.0.3.7 --port 80",
            "no",
        ),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{cidr: 10.0.0.0/8}], expiresAt: \"2026-11-22T12:00:01Z\"}",
            "--from 10.0.3.7 --port 80",
            "yes",
        ),
    ] {
        let answer = ask(&world(&ingress(rules)), &format!("shop/db {asked}"));
        assert_eq!(answer.verdict.as_str(), expected, "{rules}\n{asked}\n{}", answer_text(&answer));
        assert_eq!(answer.hops[0].remedy.is_none(), answer.verdict == Verdict::Yes, "{rules}\n{asked}");
    }
}

#[test]
fn the_members_of_a_group_get_through_by_its_name_or_as_everybody() {
    for (rules, asked, expected) in [
        ("{name: a, protocol: tcp, ports: [80], from: [{self: true}]}", "--from-group shop/db", "yes"),
        ("{name: a, protocol: tcp, ports: [80], from: [{securityGroup: {name: db}}]}", "--from-group shop/db", "yes"),
        ("{name: a, protocol: tcp, ports: [80], from: [{securityGroup: {name: web}}]}", "--from-group shop/web", "yes"),
        ("{name: a, protocol: tcp, ports: [80], from: [{self: true}]}", "--from-group shop/web", "no"),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: 0.0.0.0/0}]}", "--from-group shop/web", "partly"),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: 0.0.0.0/0}]}", "--from-group shop/web --family ipv4", "yes"),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: 0.0.0.0/0}]}", "--from-group shop/web --family ipv6", "no"),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: 0.0.0.0/0}, {cidr: \"::/0\"}]}", "--from-group shop/web", "yes"),
        ("{name: a, protocol: tcp, ports: [80], from: [{cidr: 10.0.0.0/8}]}", "--from-group shop/web --family ipv4", "unknown"),
        ("{name: a, protocol: tcp, ports: [80], from: [{prefixListId: pl-0a1b2c3d}]}", "--from-group shop/web", "unknown"),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{cidr: 10.0.0.0/8}, {securityGroup: {name: web}}]}",
            "--from-group shop/web",
            "yes",
        ),
        // By its id, and only of the account that is said.
        ("{name: a, protocol: tcp, ports: [80], from: [{securityGroupId: sg-0a1b2c3d}]}", "--from-group sg-0a1b2c3d", "yes"),
        ("{name: a, protocol: tcp, ports: [80], from: [{securityGroupId: sg-0a1b2c3d}]}", "--from-group sg-0a1b2c3e", "no"),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{securityGroupId: sg-0a1b2c3d, accountId: \"444455556666\"}]}",
            "--from-group 444455556666/sg-0a1b2c3d",
            "yes",
        ),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{securityGroupId: sg-0a1b2c3d, accountId: \"444455556666\"}]}",
            "--from-group 555566667777/sg-0a1b2c3d",
            "no",
        ),
        (
            "{name: a, protocol: tcp, ports: [80], from: [{securityGroupId: sg-0a1b2c3d}]}",
            "--from-group 444455556666/sg-0a1b2c3d",
            "no",
        ),
    ] {
        let own = ingress(rules).replace("egressPolicy: DenyAll", "egressPolicy: AllowAll");
        let mut world = world(&(own + &manifest("web", "  egressPolicy: AllowAll")));
        world.accounts.insert("default".to_owned(), "111122223333".parse().unwrap());
        let answer = ask(&world, &format!("shop/db {asked} --port 80"));
        assert_eq!(answer.verdict.as_str(), expected, "{rules}\n{asked}\n{}", answer_text(&answer));
    }
}

#[test]
fn both_ends_have_to_let_it_through() {
    let to = "  egress: [{name: to-db, protocol: tcp, ports: [5432], to: [{securityGroup: {name: db}}]}]";
    let from = "{name: from-web, protocol: tcp, ports: [\"5432-5433\"], from: [{securityGroup: {name: web}}]}";
    for (web, db, expected, hops) in [
        (to, from, "yes", ["yes", "yes"]),
        ("  egressPolicy: DenyAll", from, "no", ["no", "yes"]),
        (to, "", "no", ["yes", "no"]),
        ("  egress: [{name: a, protocol: all, to: [{prefixListId: pl-0a1b2c3d}]}]", from, "unknown", ["unknown", "yes"]),
        ("  egress: [{name: a, protocol: all, to: [{prefixListId: pl-0a1b2c3d}]}]", "", "no", ["unknown", "no"]),
    ] {
        let world = world(&(manifest("web", web) + &ingress(db)));
        for asked in ["shop/db --from-group shop/web --port 5432", "shop/web --to-group shop/db --port 5432"] {
            let answer = ask(&world, asked);
            let found: Vec<&str> = answer.hops.iter().map(|hop| hop.verdict.as_str()).collect();
            assert_eq!((answer.verdict.as_str(), found.as_slice()), (expected, &hops[..]), "{web} {db}\n{}", answer_text(&answer));
            let ends: Vec<(Direction, &str)> = answer.hops.iter().map(|hop| (hop.direction, hop.group.name.as_str())).collect();
            assert_eq!(ends, [(Direction::Egress, "web"), (Direction::Ingress, "db")]);
        }
    }
}

#[test]
fn a_set_of_another_namespace_has_to_allow_it() {
    let set = "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata: {name: office, namespace: it}\nspec: {cidrs: [{cidr: 192.0.2.0/25}, {cidr: 192.0.2.128/25, expiresAt: \"2026-11-01T00:00:00Z\"}]}\n---\n";
    let rule = ingress("{name: a, protocol: tcp, ports: [22], from: [{cidrSet: {name: office, namespace: it}}]}");
    let grant = "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: it}\nspec: {from: [{group: sgwarden.dev, kind: SecurityGroup, namespace: shop}], to: [{group: sgwarden.dev, kind: CidrSet}]}\n---\n";
    let refused = world(&format!("{set}{rule}"));
    let answer = ask(&refused, "shop/db --from 192.0.2.7 --port 22");
    assert_eq!(answer.verdict, Verdict::No);
    assert!(answer.hops[0].barred[0].why.as_ref().unwrap().contains("does not allow references"), "{answer:?}");
    let allowed = world(&format!("{set}{rule}{grant}"));
    assert_eq!(ask(&allowed, "shop/db --from 192.0.2.7 --port 22").verdict, Verdict::Yes);
    // One range of the set is over, the others are not.
    let answer = ask(&allowed, "shop/db --from 192.0.2.200 --port 22");
    assert_eq!((answer.verdict, answer.hops[0].barred.len()), (Verdict::No, 1));
    // Where nobody knows who allows what, it is neither.
    let nobody = World { grants: None, ..refused };
    assert_eq!(ask(&nobody, "shop/db --from 192.0.2.7 --port 22").verdict, Verdict::Unknown);
}

fn status(text: &str) -> SecurityGroupStatus {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn what_is_live_is_said_where_it_differs() {
    let rule = "{name: a, protocol: tcp, ports: [80], from: [{cidr: 10.0.0.0/8}]}";
    let at = |text: &str| {
        let mut world = world(&ingress(rule));
        world.basis = Basis::Objects;
        world.groups.get_mut(&group("shop/db")).unwrap().status = Some(status(text));
        world
    };
    let vouched = "groupId: sg-0a1b2c3d\nrules: [1 sgr-0a1b2c3d4e5f67890 a ingress tcp 80 from 10.0.0.0/8 -]\n";
    let told = |world: &World, asked: &str| {
        let answer = ask(world, asked);
        (answer.verdict.as_str(), answer.live.map(Verdict::as_str))
    };
    assert_eq!(told(&at(vouched), "shop/db --from 10.0.3.7 --port 80"), ("yes", None));
    // About to be authorized is not there yet.
    let intent = vouched.replace("sgr-0a1b2c3d4e5f67890", "-");
    assert_eq!(told(&at(&intent), "shop/db --from 10.0.3.7 --port 80"), ("yes", Some("no")));
    let drift = format!(
        "{vouched}drift:\n- {{id: d-1, count: 1, resolution: Reported, actor: {{name: jane}}, atoms: [{{kind: Added, after: ingress tcp 22 from 0.0.0.0/0}}]}}\n"
    );
    let answer = ask(&at(&drift), "shop/db --from 198.51.100.7 --port 22");
    assert_eq!((answer.verdict.as_str(), answer.live.map(Verdict::as_str)), ("no", Some("yes")));
    let text = answer_text(&answer);
    assert!(text.contains("nobody declared it: jane, drift d-1"), "{text}");
    // What is over is not live.
    let over = drift.replace("resolution: Reported", "resolution: Reverted, resolvedAt: \"2026-11-22T11:00:00Z\"");
    assert_eq!(told(&at(&over), "shop/db --from 198.51.100.7 --port 22"), ("no", None));
    let gone =
        drift.replace("kind: Added, after: ingress tcp 22 from 0.0.0.0/0", "kind: Removed, before: ingress tcp 80 from 10.0.0.0/8");
    assert_eq!(told(&at(&gone), "shop/db --from 10.0.3.7 --port 80"), ("yes", Some("no")));
    // A status that cannot be read tells nothing.
    let answer = ask(&at("groupId: sg-0a1b2c3d\nrules: [x]"), "shop/db --from 10.0.3.7 --port 80");
    assert_eq!((answer.verdict, answer.live), (Verdict::Yes, None));
    assert!(answer.notes[0].contains("what is live in shop/db is not known"), "{:?}", answer.notes);
    // A rule that is held back stays where it is live.
    let held = "{name: a, protocol: tcp, ports: [80], from: [{cidr: 10.0.0.0/8}, {cidrSet: {name: gone}}]}";
    let mut world = at(vouched);
    world.groups.get_mut(&group("shop/db")).unwrap().spec = self::world(&ingress(held)).groups[&group("shop/db")].spec.clone();
    assert_eq!(told(&world, "shop/db --from 10.0.3.7 --port 80"), ("yes", None));
    assert_eq!(told(&world, "shop/db --from 198.51.100.7 --port 80"), ("unknown", Some("no")));
}

#[test]
fn nothing_is_advised_to_a_manifest_that_is_too_large() {
    let ranges =
        |count: usize| (0..count).map(|n| format!("{{cidr: 10.{}.{}.0/24}}", n / 250, n % 250)).collect::<Vec<_>>().join(", ");
    let office = |count| {
        format!(
            "apiVersion: sgwarden.dev/v1alpha1\nkind: CidrSet\nmetadata: {{name: office, namespace: shop}}\nspec: {{cidrs: [{}]}}\n",
            ranges(count)
        )
    };
    let rules = ingress("{name: a, protocol: tcp, ports: [1, 2], from: [{cidrSet: {name: office}}]}");
    for (count, verdict, advised) in [(500, Verdict::Yes, false), (501, Verdict::Unknown, false)] {
        let answer = ask(&world(&(rules.clone() + &office(count))), "shop/db --from 10.0.7.9 --port 1");
        assert_eq!((answer.verdict, answer.hops[0].remedy.is_some()), (verdict, advised), "{count}: {}", answer_text(&answer));
    }
}

#[test]
fn a_vpc_without_ipv6_has_nobody_to_let_out_over_it() {
    let at = |rules: &str| {
        let mut world = world(&manifest("web", "  egressPolicy: AllowAll"));
        world.basis = Basis::Objects;
        world.groups.get_mut(&group("shop/web")).unwrap().status = Some(status(&format!("groupId: sg-0a1b2c3d\nrules:\n{rules}")));
        ask(&world, "shop/web --to-group sg-0b1b2c3d --port 443").live
    };
    let ipv4 = "- 1 sgr-0a1b2c3d4e5f67890 egress-policy egress all to 0.0.0.0/0 -\n";
    assert_eq!(at(ipv4), None);
    assert_eq!(at(&format!("{ipv4}- 1 - egress-policy egress all to ::/0 -\n")), Some(Verdict::Partly));
}

#[test]
fn questions_without_sense_are_refused_in_words() {
    let address = |text: &str| asked_address(text).unwrap_err().to_string();
    assert!(address("shop/web").contains("--from-group"));
    assert!(address("10.1.2.3/8").contains("write '10.0.0.0/8' for the range or '10.1.2.3' for the one address"));
    let traffic =
        |protocol: &str, port: Option<&str>, kind: Option<u8>| asked_traffic(protocol, port, kind, None).unwrap_err().to_string();
    assert!(traffic("tcp", None, None).contains("--port 443"));
    assert!(traffic("icmp", Some("8"), None).contains("--icmp-type"));
    assert!(traffic("tcp", Some("80"), Some(8)).contains("--icmp-type goes with"));
    assert!(traffic("tcp", Some("81-80"), None).contains("from lower to higher"));
    assert!(traffic("gre", None, None).contains("use tcp, udp"));
    let db = world(&ingress(""));
    let no = |text: &str| db.explain(&question(text), now()).unwrap_err().to_string();
    assert!(no("shop/db --from 2001:db8::1 --protocol icmp").contains("ask for icmpv6"));
    assert!(no("shop/db --from-group sg-0a1b2c3d --protocol icmp --family ipv6").contains("leave --family out"));
    assert!(no("shop/gone --from 10.0.0.1 --port 1").contains("there is no SecurityGroup shop/gone"));
}

/// Writes what a hop advises into its group.
fn follow(world: &mut World, answer: &Answer) {
    for hop in &answer.hops {
        let Some(remedy) = &hop.remedy else { continue };
        let spec = &mut world.groups.get_mut(&hop.group).unwrap().spec;
        let [line] = remedy.yaml.as_slice() else { panic!("{remedy:?}") };
        if remedy.besides.iter().any(|text| text.contains("egressPolicy")) {
            spec.egress_policy = None;
        }
        let peer = || serde_yaml::from_str::<Peer>(line).unwrap();
        let port = || serde_yaml::from_str::<Port>(line).unwrap();
        match (&remedy.rule, remedy.list) {
            (None, "spec.ingress") => spec.ingress.push(serde_yaml::from_str::<Vec<IngressRule>>(line).unwrap().remove(0)),
            (None, "spec.egress") => spec.egress.push(serde_yaml::from_str::<Vec<EgressRule>>(line).unwrap().remove(0)),
            (Some(name), list) => {
                let ingress = spec.ingress.iter_mut().find(|rule| rule.name.as_str() == name.as_str());
                let egress = spec.egress.iter_mut().find(|rule| rule.name.as_str() == name.as_str());
                match (hop.direction, list) {
                    (Direction::Ingress, "from") => ingress.unwrap().from.push(peer()),
                    (Direction::Egress, "to") => egress.unwrap().to.push(peer()),
                    (Direction::Ingress, "ports") => ingress.unwrap().ports.push(port()),
                    (Direction::Egress, "ports") => egress.unwrap().ports.push(port()),
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn folder() -> PathBuf {
    let beside = Path::new(file!()).parent().unwrap().join("reach");
    if beside.is_absolute() { beside } else { Path::new(env!("CARGO_MANIFEST_DIR")).join(beside) }
}

/// The one door to the goldens: a world with questions in its comments, every answer to them, and the pictures.
fn golden(text: &str) -> String {
    let world = world(text);
    let mut read = String::new();
    for asked in text.lines().filter_map(|line| line.strip_prefix("#? ")) {
        let answer = ask(&world, asked);
        let _ = writeln!(read, "$ sgwarden explain {asked}\n{}", answer_text(&answer));
        if asked.contains("--icmp-type") || answer.live.is_some() {
            let _ = writeln!(read, "{:#}\n", answer_json(&answer));
        }
    }
    let names: BTreeSet<Referent> = world.groups.keys().cloned().collect();
    let picture = graph(&world, &names, now()).unwrap();
    format!("{read}$ sgwarden graph\n{}\n$ sgwarden graph --format mermaid\n{}", picture.to_dot(), picture.to_mermaid())
}

#[test]
fn every_answer_is_what_a_person_reads() {
    let (mut wrong, mut worlds) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        worlds += 1;
        let found = golden(&std::fs::read_to_string(&path).unwrap());
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &found).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{}\n{found}", path.display()));
        }
    }
    assert!(worlds > 1 && wrong.is_empty(), "UPDATE=1 writes them anew, if this is meant:\n{}", wrong.join("\n"));
}

#[test]
fn no_name_of_others_breaks_out_of_a_picture() {
    let hostile = r#"{name: a, protocol: all, from: [{prefixListName: "x\"]; n0 --> n1 <script>#quot; `"}]}"#;
    let world = world(&ingress(hostile));
    let names: BTreeSet<Referent> = world.groups.keys().cloned().collect();
    let picture = graph(&world, &names, now()).unwrap();
    let dot = picture.to_dot();
    assert!(dot.contains(r#"label="prefix list x\"]; n0 --> n1 <script>#quot; `""#), "{dot}");
    let mermaid = picture.to_mermaid();
    let label = mermaid.lines().find(|line| line.contains("prefix list")).unwrap();
    assert_eq!(label.matches('"').count(), 2, "{label}");
    assert!(!label.contains('<') && !label.contains('`'), "{label}");
}

/// A few ranges of each kind, so that they overlap often.
const RANGES: [&str; 6] = ["10.0.0.0/8", "10.0.0.0/9", "10.1.0.0/16", "0.0.0.0/0", "::/0", "2001:db8::/32"];
const ADDRESSES: [&str; 5] = ["10.0.3.7", "10.200.0.1", "10.1.2.3", "2001:db8::1", "2001:db9::1"];

fn rules() -> impl Strategy<Value = Vec<(usize, u16, u16, bool)>> {
    proptest::collection::vec((0..RANGES.len(), 0_u16..6, 0_u16..4, any::<bool>()), 0..5)
}

fn written(rules: &[(usize, u16, u16, bool)]) -> String {
    let rule = |(index, (range, from, more, all)): (usize, &(usize, u16, u16, bool))| {
        let what = if *all { "protocol: all".to_owned() } else { format!("protocol: tcp, ports: [\"{from}-{}\"]", from + more) };
        format!("{{name: r{index}, {what}, from: [{{cidr: \"{}\"}}]}}", RANGES[*range])
    };
    rules.iter().enumerate().map(rule).collect::<Vec<_>>().join(", ")
}

proptest! {
    #[test]
    fn an_answer_is_what_counting_says(rules in rules(), address in 0..ADDRESSES.len(), first in 0_u16..9, more in 0_u16..4) {
        let ip: std::net::IpAddr = ADDRESSES[address].parse().unwrap();
        let open = |port: u16| rules.iter().any(|(range, from, more, all)| {
            let net: ipnet::IpNet = RANGES[*range].parse().unwrap();
            net.contains(&ip) && (*all || (*from..=from + more).contains(&port))
        });
        let ports: Vec<bool> = (first..=first + more).map(open).collect();
        let expected = match (ports.contains(&true), ports.contains(&false)) {
            (true, false) => "yes",
            (false, _) => "no",
            (true, true) => "partly",
        };
        let world = world(&ingress(&written(&rules)));
        let answer = ask(&world, &format!("shop/db --from {ip} --port {first}-{}", first + more));
        prop_assert_eq!(answer.verdict.as_str(), expected);
    }

    #[test]
    fn what_is_advised_makes_it_a_yes_and_opens_nothing_else(
        rules in rules(),
        asked in prop::sample::select(vec![
            "shop/db --from 10.0.3.7 --port 3", "shop/db --from 2001:db8::/48 --port 2-4", "shop/db --to 198.51.100.0/24 --port 443",
            "shop/db --from 10.0.3.7 --protocol icmp --icmp-type 8", "shop/db --from 2001:db8::1 --protocol icmpv6",
            "shop/db --from 10.9.9.9 --protocol all", "shop/db --from 10.9.9.9 --protocol 50",
            "shop/db --from-group shop/web --port 3", "shop/db --from-group shop/db --port 3",
            "shop/db --to-group shop/web --port 1-2", "shop/db --from-group 444455556666/sg-0a1b2c3d --port 3",
            "shop/db --from-group it/far --port 1 --protocol udp",
        ]),
    ) {
        let far = manifest("far", "  egressPolicy: AllowAll\n  allowedNamespaces: {from: All}").replace("namespace: shop", "namespace: it");
        let mut world = world(&(ingress(&written(&rules)) + &manifest("web", "  egressPolicy: DenyAll") + &far));
        let probes: Vec<Question> = ADDRESSES.iter().flat_map(|ip| (0..9).map(move |port| question(&format!("shop/db --from {ip} --port {port}")))).collect();
        let verdicts = |world: &World| -> Vec<Verdict> { probes.iter().map(|probe| world.explain(probe, now()).unwrap().verdict).collect() };
        let (before, answer) = (verdicts(&world), ask(&world, asked));
        follow(&mut world, &answer);
        let again = ask(&world, asked);
        prop_assert_eq!(again.verdict, Verdict::Yes, "{}\n{}", answer_text(&answer), answer_text(&again));
        for ((probe, before), after) in probes.iter().zip(before).zip(verdicts(&world)) {
            let meant = asked.starts_with("shop/db --from 10.0.3.7 --port 3") || asked.contains("2001:db8::/48") || asked.contains("--protocol all");
            prop_assert!(before == after || meant, "{:?} became {:?}", probe, after);
        }
    }
}
