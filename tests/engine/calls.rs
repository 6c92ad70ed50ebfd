//! What things cost in calls of EC2, to the call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sgwarden::adapters::sim::Sim;
use sgwarden::api::APPROVE_ANNOTATION;

use crate::many;
use crate::rig::{Moment, REGION, Rig, VPC, manifest, tcp};

/// A manifest with rules of both directions.
fn both(name: &str, ingress: &[String], egress: &[String]) -> String {
    let list = |rules: &[String]| rules.iter().fold(String::new(), |text, rule| text + "  - " + rule + "\n");
    format!(
        "apiVersion: sgwarden.dev/v1alpha1\nkind: SecurityGroup\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  vpc: {{id: {VPC}}}\n  \
         ingress:\n{}  egress:\n{}",
        list(ingress),
        list(egress)
    )
}

/// A rule out of the group: tcp, a port, a range.
fn out(name: &str, port: u16, cidr: &str) -> String {
    tcp(name, port, cidr).replace("from:", "to:")
}

/// A rule with a description.
fn told(rule: &str, text: &str) -> String {
    rule.replacen("{name:", &format!("{{description: {text}, name:"), 1)
}

fn writes(rig: &Rig) -> BTreeMap<String, u64> {
    let reads = ["Describe", "Get", "Lookup", "Assume"];
    rig.calls().into_iter().filter(|(action, _)| !reads.iter().any(|read| action.starts_with(read))).collect()
}

fn counted(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(action, count)| ((*action).to_owned(), *count)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_group_costs_one_create_and_one_authorize_a_direction_and_one_revoke_of_the_egress_ec2_gave_it() {
    for rules in [1_u16, 50] {
        let rig = Rig::start().await;
        let ingress: Vec<String> = (0..rules).map(|n| tcp(&format!("in-{n}"), 1000 + n, "10.0.0.0/8")).collect();
        let egress: Vec<String> = (0..rules).map(|n| out(&format!("out-{n}"), 1000 + n, "10.0.0.0/8")).collect();
        rig.store.apply(&both("web", &ingress, &egress));
        rig.settled("web").await;
        let wanted = counted(&[
            ("AuthorizeSecurityGroupEgress", 1),
            ("AuthorizeSecurityGroupIngress", 1),
            ("CreateSecurityGroup", 1),
            ("RevokeSecurityGroupEgress", 1),
        ]);
        assert_eq!(writes(&rig), wanted, "{rules} rules");
        assert_eq!(rig.live("web").await.len(), 2 * usize::from(rules));
    }
}

#[tokio::test(start_paused = true)]
async fn the_egress_that_ec2_gives_a_new_group_is_left_where_it_is_wanted() {
    let rig = Rig::start().await;
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "0.0.0.0/0")]).replace("DenyAll", "AllowAll"));
    rig.settled("web").await;
    assert_eq!(writes(&rig), counted(&[("AuthorizeSecurityGroupIngress", 1), ("CreateSecurityGroup", 1)]));
    rig.store.apply(&manifest("silent", &[]));
    rig.sim.clear_calls();
    rig.settled("silent").await;
    assert_eq!(writes(&rig), counted(&[("CreateSecurityGroup", 1), ("RevokeSecurityGroupEgress", 1)]));
}

#[tokio::test(start_paused = true)]
async fn one_edit_of_a_manifest_is_one_call() {
    let rig = Rig::start().await;
    let (https, ssh) = (tcp("https", 443, "0.0.0.0/0"), tcp("ssh", 22, "10.0.0.0/8"));
    let (dns, away) = (out("dns", 53, "10.0.0.0/8"), out("away", 443, "0.0.0.0/0"));
    rig.store.apply(&both("web", &[https.clone(), ssh.clone()], &[dns.clone(), away.clone()]));
    rig.settled("web").await;
    let steps = [
        // A description.
        (told(&https, "Web"), dns.clone(), "UpdateSecurityGroupRuleDescriptionsIngress"),
        (told(&https, "Web"), told(&dns, "Names"), "UpdateSecurityGroupRuleDescriptionsEgress"),
        // A port.
        (told(&https, "Web").replace("443", "8443"), told(&dns, "Names"), "ModifySecurityGroupRules"),
        (told(&https, "Web").replace("443", "8443"), told(&dns, "Names").replace("53", "54"), "ModifySecurityGroupRules"),
        // A range.
        (
            told(&https, "Web").replace("443", "8443").replace("0.0.0.0/0", "192.0.2.0/24"),
            told(&dns, "Names").replace("53", "54"),
            "ModifySecurityGroupRules",
        ),
    ];
    for (https, dns, action) in steps {
        rig.sim.clear_calls();
        rig.store.apply(&both("web", &[https.clone(), ssh.clone()], &[dns, away.clone()]));
        rig.settled("web").await;
        assert_eq!(writes(&rig), counted(&[(action, 1)]), "{https}");
    }
    let kept = rig.live("web").await;
    assert_eq!(kept.len(), 4, "{kept:?}");
}

/// Twelve rules go, twelve get another text, thirteen another port, thirteen come: fifty atoms of a direction.
#[tokio::test(start_paused = true)]
async fn fifty_changed_atoms_of_a_direction_are_one_call_of_each_kind() {
    let rig = Rig::start().await;
    let rules = |make: fn(&str, u16, &str) -> String, after: bool| -> Vec<String> {
        let rule = |kind: &str, n: u16, port: u16| make(&format!("{kind}-{n}"), port + n, "10.0.0.0/8");
        let gone = (0..12).filter(|_| !after).map(|n| rule("gone", n, 1000));
        let texts = (0..12).map(|n| told(&rule("text", n, 2000), if after { "after" } else { "before" }));
        let moved = (0..13).map(|n| rule("moved", n, if after { 3100 } else { 3000 }));
        let come = (0..13).filter(|_| after).map(|n| rule("come", n, 4000));
        gone.chain(texts).chain(moved).chain(come).collect()
    };
    rig.store.apply(&both("web", &rules(tcp, false), &rules(out, false)));
    rig.settled("web").await;
    rig.sim.clear_calls();
    rig.store.apply(&both("web", &rules(tcp, true), &rules(out, false)));
    rig.settled("web").await;
    let ingress = [
        ("AuthorizeSecurityGroupIngress", 1),
        ("ModifySecurityGroupRules", 1),
        ("RevokeSecurityGroupIngress", 1),
        ("UpdateSecurityGroupRuleDescriptionsIngress", 1),
    ];
    assert_eq!(writes(&rig), counted(&ingress));
    rig.sim.clear_calls();
    rig.store.apply(&both("web", &rules(tcp, false), &rules(out, true)));
    rig.settled("web").await;
    let each = [
        ("AuthorizeSecurityGroupEgress", 1),
        ("AuthorizeSecurityGroupIngress", 1),
        // One a direction.
        ("ModifySecurityGroupRules", 2),
        ("RevokeSecurityGroupEgress", 1),
        ("RevokeSecurityGroupIngress", 1),
        ("UpdateSecurityGroupRuleDescriptionsEgress", 1),
        ("UpdateSecurityGroupRuleDescriptionsIngress", 1),
    ];
    assert_eq!(writes(&rig), counted(&each));
}

/// Groups in the Region of the next test: two pages of a listing.
const MANY: usize = 1200;

/// What the sweeps of a time cost, when nothing else was read.
fn sweeps(calls: &BTreeMap<String, u64>) -> u64 {
    let pages = u64::try_from(MANY.div_ceil(1000)).unwrap();
    assert_eq!(calls.keys().collect::<Vec<_>>(), ["DescribeSecurityGroups"], "{calls:?}");
    assert_eq!(calls["DescribeSecurityGroups"] % pages, 0, "whole sweeps: {calls:?}");
    calls["DescribeSecurityGroups"] / pages
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_region_of_many_groups_costs_its_pages_a_sweep_also_after_a_restart() {
    let mut rig = many::groups(MANY, 3).await;
    let written = rig.store.writes();
    rig.sim.clear_calls();
    rig.start_engine();
    // Less than a tenth of an hour: then the first deep sweep reads all rules.
    rig.pass(Duration::from_secs(300)).await;
    let mut calls = rig.calls();
    // Whose credentials these are, and the VPC of all groups: once a start.
    assert_eq!((calls.remove("GetCallerIdentity"), calls.remove("DescribeVpcs")), (Some(1), Some(1)));
    let made = sweeps(&calls);
    assert!((5..=6).contains(&made), "{calls:?}");
    assert_eq!(rig.store.writes(), written, "nothing is said of groups that are as they were");

    rig.pass(Duration::from_secs(400)).await;
    rig.sim.clear_calls();
    rig.pass(Duration::from_secs(600)).await;
    let calls = rig.calls();
    let made = sweeps(&calls);
    assert!((9..=11).contains(&made), "{calls:?}");
    assert_eq!(rig.store.writes(), written);
    // All of them are looked after, not forgotten: an edit of the last is seen.
    let last = format!("web-{}", MANY - 1);
    let group = rig.group(&last);
    rig.intrude(&group, &["ingress tcp 3389 from 0.0.0.0/0"]).await;
    rig.pass(Duration::from_secs(90)).await;
    assert_eq!(rig.live(&last).await.len(), 3);
}

/// Calls EC2 by hand, and gives the text of an element of the answer.
fn by_hand(sim: &Sim, action: &str, params: &[(&str, &str)], element: &str) -> String {
    let mut all = vec![("Action", action), ("Version", "2016-11-15")];
    all.extend_from_slice(params);
    let answer = sim.query("AKIA111122223333MALLORY", REGION, &all);
    let body = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(answer.status().is_success(), "{body}");
    let (_, rest) = body.split_once(&format!("<{element}>")).unwrap_or_else(|| panic!("no {element}: {body}"));
    rest.split_once('<').unwrap().0.to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_prefix_list_in_use_is_one_more_read_a_sweep_and_its_new_version_is_told_as_drift() {
    let rig = Rig::start().await;
    let made = [("PrefixListName", "office"), ("AddressFamily", "IPv4"), ("MaxEntries", "5"), ("Entry.1.Cidr", "198.51.100.0/24")];
    let list = by_hand(&rig.sim, "CreateManagedPrefixList", &made, "prefixListId");
    let rule = format!("{{name: office, protocol: tcp, ports: [443], from: [{{prefixListId: {list}}}]}}");
    rig.store.apply(&manifest("web", &[&rule]));
    rig.store.apply(&manifest("other", &[&rule]));
    rig.settled("web").await;
    rig.settled("other").await;
    rig.pass(Duration::from_secs(700)).await;
    let written = rig.store.writes();
    rig.sim.clear_calls();
    rig.pass(Duration::from_secs(600)).await;
    let calls = rig.calls();
    let sweeps = calls["DescribeSecurityGroups"];
    assert_eq!(calls, counted(&[("DescribeManagedPrefixLists", sweeps), ("DescribeSecurityGroups", sweeps)]));
    assert!((9..=11).contains(&sweeps), "{calls:?}");
    assert_eq!(rig.store.writes(), written);

    let change = [("PrefixListId", list.as_str()), ("CurrentVersion", "1"), ("AddEntry.1.Cidr", "203.0.113.0/24")];
    by_hand(&rig.sim, "ModifyManagedPrefixList", &change, "prefixListId");
    rig.sim.clear_calls();
    rig.until("both tell of the new version", |rig| {
        ["web", "other"].iter().all(|name| !rig.store.get(name).unwrap().status.unwrap().drift.is_empty())
    })
    .await;
    for name in ["web", "other"] {
        let drift = rig.store.get(name).unwrap().status.unwrap().drift;
        assert_eq!(drift.len(), 1, "{drift:?}");
        assert_eq!((drift[0].atoms[0].kind.as_str(), drift[0].resolution.as_str()), ("PrefixListChanged", "Reported"));
    }
    rig.pass(Duration::from_secs(300)).await;
    assert_eq!(writes(&rig), BTreeMap::new(), "nothing to write");
    let drift = rig.settled("web").await.status.unwrap().drift;
    assert_eq!(drift.len(), 1, "told once: {drift:?}");
}

/// Every set of rules that was live right before or right after a write.
type Moments = Arc<Mutex<Vec<(Moment, BTreeSet<String>)>>>;

fn watch(rig: &Rig, group: &str) -> Moments {
    let moments = Moments::default();
    let (seen, group) = (moments.clone(), group.to_owned());
    rig.writes.behold(Arc::new(move |sim, moment| {
        let rules = sim.effective_rules("111122223333", REGION, &group);
        let texts = rules.iter().map(|rule| format!("{}:{}-{} {}", rule["egress"], rule["from"], rule["to"], rule["peer"]));
        seen.lock().unwrap().push((moment, texts.collect()));
    }));
    moments
}

/// Calls a plan in a status says it will make: a line names one rule, and neighbours of one kind and direction are one call.
fn stated_calls(steps: &[String]) -> usize {
    let kind = |line: &String| line.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
    let mut kinds: Vec<Vec<String>> = steps.iter().map(kind).collect();
    kinds.dedup();
    kinds.len()
}

/// 60 rules, the quota; 30 of them are replaced by others of their own names, or by rules of other names, other ports and
/// ranges, or of the other address family.
#[tokio::test(start_paused = true)]
async fn at_the_quota_half_of_the_rules_are_replaced_and_the_others_never_move() {
    let rule = |name: String, port: u16| tcp(&name, port, "10.0.0.0/8");
    let kept: Vec<String> = (0..30).map(|n| rule(format!("kept-{n}"), 1000 + n)).collect();
    let before: Vec<String> = (0..30).map(|n| rule(format!("old-{n}"), 2000 + n)).collect();
    let renamed: Vec<String> = (0..30).map(|n| tcp(&format!("new-{n}"), 3000 + n, "192.168.0.0/16")).collect();
    let same: Vec<String> = (0..30).map(|n| rule(format!("old-{n}"), 3000 + n)).collect();
    let family: Vec<String> = (0..30).map(|n| tcp(&format!("new-{n}"), 3000 + n, "2001:db8::/32")).collect();
    for (after, most) in [(same, 1), (renamed, 2), (family, 2)] {
        let rig = Rig::start().await;
        let all = |some: &[String]| {
            let rules: Vec<&str> = kept.iter().chain(some).map(String::as_str).collect();
            let waiting = "  enforcement: {approval: Required}\n";
            manifest("web", &rules).replace("  egressPolicy", &format!("{waiting}  egressPolicy"))
        };
        rig.store.apply(&all(&before).replace("Required", "Automatic"));
        rig.settled("web").await;
        assert_eq!(rig.live("web").await.len(), 60);
        let group = rig.group("web");
        rig.store.apply(&all(&after));
        rig.condition("web", "Synced", "False", "AwaitingApproval").await;
        let plan = rig.store.get("web").unwrap().status.unwrap().plan.unwrap();
        let stated = stated_calls(&plan.steps);
        assert!(usize::try_from(plan.count.unwrap()).unwrap() >= 30, "{plan:?}");
        let moments = watch(&rig, group.as_str());
        rig.sim.clear_calls();
        rig.store.annotate("web", APPROVE_ANNOTATION, Some(&format!("{} alice", plan.hash.unwrap())));
        rig.settled("web").await;
        let made: u64 = writes(&rig).values().sum();
        assert!(made <= u64::try_from(stated).unwrap(), "{:?}, stated {stated}: {:?}", writes(&rig), plan.steps);
        assert!(made <= most, "{:?}", writes(&rig));
        let moments = moments.lock().unwrap().clone();
        let (first, last) = (&moments.first().unwrap().1, &moments.last().unwrap().1);
        let stay: BTreeSet<&String> = first.intersection(last).collect();
        assert_eq!((first.len(), last.len(), stay.len()), (60, 60, 30));
        for (moment, live) in &moments {
            assert!(stay.iter().all(|rule| live.contains(*rule)), "{moment:?}: {live:?}");
        }
    }
}
