//! What changes beside the rules of a group, also while nobody looks: prefix lists, VPC associations, stale rules.

use std::time::Duration;

use sgwarden::adapters::sim::Fault;
use sgwarden::api::SecurityGroupStatus;

use crate::deletion::{lend, text};
use crate::people::account;
use crate::rig::{Rig, VPC, manifest, tcp};

const KIND_OF_LISTS: &str = "PrefixListChanged";
const KIND_OF_VPCS: &str = "VpcAssociationChanged";

fn status(rig: &Rig, name: &str) -> SecurityGroupStatus {
    rig.store.get(name).unwrap().status.unwrap()
}

/// What was told about drift of a kind, the newest first.
fn told(rig: &Rig, name: &str, kind: &str) -> Vec<(Option<String>, Option<String>)> {
    let records = status(rig, name).drift.into_iter();
    let atoms = records.inspect(|record| assert_eq!(record.resolution, "Reported")).flat_map(|record| record.atoms);
    atoms.filter(|atom| atom.kind == kind).map(|atom| (atom.before, atom.after)).collect()
}

/// A prefix list in EC2, at its first version.
fn new_list(rig: &Rig, name: &str) -> String {
    let of = [("PrefixListName", name), ("AddressFamily", "IPv4"), ("MaxEntries", "5"), ("Entry.1.Cidr", "198.51.100.0/24")];
    text(&rig.call("CreateManagedPrefixList", &of), "prefixListId")
}

/// Its owner gives it another version.
fn change_list(rig: &Rig, list: &str, version: &str, cidr: &str) {
    rig.call("ModifyManagedPrefixList", &[("PrefixListId", list), ("CurrentVersion", version), ("AddEntry.1.Cidr", cidr)]);
}

fn rule_of(list: &str) -> String {
    format!("{{name: office, protocol: tcp, ports: [443], from: [{{prefixListId: {list}}}]}}")
}

/// An object whose rule uses a prefix list, settled.
async fn with_list() -> (Rig, String) {
    let rig = Rig::start().await;
    let list = new_list(&rig, "office");
    rig.store.apply(&manifest("web", &[&rule_of(&list)]));
    rig.settled("web").await;
    (rig, list)
}

#[tokio::test(start_paused = true)]
async fn a_list_that_changes_while_nobody_runs_is_told_once_by_whoever_comes_next() {
    let (mut rig, list) = with_list().await;
    assert_eq!(status(&rig, "web").prefix_lists, [format!("{list} v1 5")]);
    rig.kill_engine().await;
    change_list(&rig, &list, "1", "203.0.113.0/24");
    rig.start_engine();
    rig.until("the new version is told", |rig| !told(rig, "web", KIND_OF_LISTS).is_empty()).await;
    let version = |number: u32| Some(format!("prefix list {list} (office) version {number}"));
    assert_eq!(told(&rig, "web", KIND_OF_LISTS), [(version(1), version(2))]);
    assert_eq!(status(&rig, "web").prefix_lists, [format!("{list} v2 5")]);

    // Neither by the same process again nor by the next one.
    let written = rig.store.writes();
    rig.pass(Duration::from_secs(300)).await;
    rig.kill_engine().await;
    rig.start_engine();
    rig.pass(Duration::from_secs(300)).await;
    assert_eq!((told(&rig, "web", KIND_OF_LISTS).len(), rig.store.writes()), (1, written));
}

#[tokio::test(start_paused = true)]
async fn a_status_of_an_older_release_makes_neither_drift_nor_a_write() {
    let (mut rig, list) = with_list().await;
    rig.kill_engine().await;
    let older = SecurityGroupStatus { prefix_lists: Vec::new(), vpc_associations: None, ..status(&rig, "web") };
    rig.store.look_after("web", older);
    change_list(&rig, &list, "1", "203.0.113.0/24");
    let written = rig.store.writes();
    rig.start_engine();
    rig.pass(Duration::from_secs(900)).await;
    assert_eq!((told(&rig, "web", KIND_OF_LISTS), rig.store.writes()), (Vec::new(), written));

    // From here on it is known, and enters the status with the first write there is.
    change_list(&rig, &list, "2", "192.0.2.0/24");
    rig.until("the next version is told", |rig| !told(rig, "web", KIND_OF_LISTS).is_empty()).await;
    assert_eq!(status(&rig, "web").prefix_lists, [format!("{list} v3 5")]);
    assert_eq!(status(&rig, "web").vpc_associations, Some(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_a_stale_read_takes_back_is_no_change_either_way() {
    let (mut rig, list) = with_list().await;
    change_list(&rig, &list, "1", "203.0.113.0/24");
    rig.until("the new version is told", |rig| !told(rig, "web", KIND_OF_LISTS).is_empty()).await;
    rig.kill_engine().await;
    // As if EC2 had shown a version that its servers no longer all remember.
    let ahead = SecurityGroupStatus { prefix_lists: vec![format!("{list} v3 5")], ..status(&rig, "web") };
    rig.store.look_after("web", ahead);
    let written = rig.store.writes();
    rig.start_engine();
    rig.pass(Duration::from_secs(300)).await;
    assert_eq!(rig.store.writes(), written);
    change_list(&rig, &list, "2", "192.0.2.0/24");
    rig.pass(Duration::from_secs(300)).await;
    assert_eq!((told(&rig, "web", KIND_OF_LISTS).len(), rig.store.writes()), (1, written), "version 3 was told before");
}

/// An engine that looks closely every ten minutes, and an object that is settled.
async fn looking_closely() -> (Rig, String) {
    let mut rig = Rig::idle().await;
    rig.timings.deep_sweep = Duration::from_secs(600);
    rig.start_engine();
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.settled("web").await;
    let group = rig.group("web").to_string();
    (rig, group)
}

/// The series of the metrics that have this in them.
fn measured(rig: &Rig, part: &str) -> Vec<String> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &rig.metrics.registry()).unwrap();
    text.lines().filter(|line| !line.starts_with('#') && line.contains(part)).map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn an_association_that_comes_or_goes_is_told_once_also_when_nobody_ran() {
    let (mut rig, group) = looking_closely().await;
    assert_eq!(status(&rig, "web").vpc_associations, Some(Vec::new()), "a group that was just created has none");
    let written = rig.store.writes();
    rig.pass(Duration::from_secs(1500)).await;
    assert_eq!((told(&rig, "web", KIND_OF_VPCS), rig.store.writes()), (Vec::new(), written));

    let vpc = lend(&rig, &group);
    rig.until("the association is told", |rig| !told(rig, "web", KIND_OF_VPCS).is_empty()).await;
    let lent = Some(format!("association with {vpc} (associated)"));
    assert_eq!(told(&rig, "web", KIND_OF_VPCS), [(None, lent.clone())]);
    assert_eq!(status(&rig, "web").vpc_associations, Some(vec![format!("{vpc} associated")]));
    let note = format!("Somebody added association with {vpc} (associated); VPC associations are only watched. Drift ");
    let events = rig.told("web", "DriftReported");
    assert!(events.len() == 1 && events[0].starts_with(&note), "{events:?}");
    assert_eq!(
        measured(&rig, "kind=\"VpcAssociationChanged\""),
        ["sgwarden_drift_detected_total{kind=\"VpcAssociationChanged\"} 1"]
    );

    rig.kill_engine().await;
    rig.call("DisassociateSecurityGroupVpc", &[("GroupId", &group), ("VpcId", &vpc)]);
    rig.start_engine();
    rig.until("its end is told", |rig| told(rig, "web", KIND_OF_VPCS).len() == 2).await;
    assert_eq!(told(&rig, "web", KIND_OF_VPCS)[0], (lent, None));
    assert_eq!(status(&rig, "web").vpc_associations, Some(Vec::new()));
    let written = rig.store.writes();
    rig.pass(Duration::from_secs(900)).await;
    rig.kill_engine().await;
    rig.start_engine();
    rig.pass(Duration::from_secs(900)).await;
    assert_eq!((told(&rig, "web", KIND_OF_VPCS).len(), rig.store.writes()), (2, written));
    assert!(status(&rig, "web").conditions.iter().all(|condition| condition.type_ != "Drifted" || condition.status == "False"));
}

#[tokio::test(start_paused = true)]
async fn associations_that_nobody_knew_of_are_how_it_should_be() {
    let (mut rig, group) = looking_closely().await;
    rig.kill_engine().await;
    let older = SecurityGroupStatus { vpc_associations: None, ..status(&rig, "web") };
    rig.store.look_after("web", older);
    let vpc = lend(&rig, &group);
    rig.start_engine();
    rig.until("they are written down", |rig| status(rig, "web").vpc_associations.is_some()).await;
    assert_eq!(status(&rig, "web").vpc_associations, Some(vec![format!("{vpc} associated")]));
    let written = rig.store.writes();
    rig.pass(Duration::from_secs(1500)).await;
    assert_eq!((told(&rig, "web", KIND_OF_VPCS), rig.store.writes()), (Vec::new(), written));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_goes_stale_is_told_once_counted_and_listed_while_it_is() {
    let mut rig = Rig::idle().await;
    rig.timings.deep_sweep = Duration::from_secs(600);
    rig.store.apply_account(&account("sweepInterval: 60s"));
    let other = text(&rig.call("CreateVpc", &[("CidrBlock", "10.9.0.0/16")]), "vpcId");
    let named = [("GroupName", "far"), ("GroupDescription", "Far away"), ("VpcId", other.as_str())];
    let far = text(&rig.call("CreateSecurityGroup", &named), "groupId");
    let link = [("GroupId", far.as_str()), ("VpcId", VPC)];
    rig.call("AssociateSecurityGroupVpc", &link);
    let rule = format!("{{name: far, protocol: tcp, ports: [5432], from: [{{securityGroupId: {far}}}]}}");
    rig.store.apply(&manifest("web", &[&rule]));
    rig.start_engine();
    rig.settled("web").await;
    rig.pass(Duration::from_secs(900)).await;
    let stale = format!("ingress tcp 5432 from {far}");
    let gauge = |count: u32| [format!("sgwarden_stale_rules{{account=\"default\",region=\"eu-west-1\"}} {count}")];
    assert_eq!((status(&rig, "web").stale_rules.len(), measured(&rig, "stale_rules")), (0, gauge(0).to_vec()));

    rig.call("DisassociateSecurityGroupVpc", &link);
    rig.until("it is told", |rig| !rig.told("web", "StaleRule").is_empty()).await;
    assert!(rig.told("web", "StaleRule")[0].ends_with(&format!(": {stale}")));
    assert_eq!(status(&rig, "web").stale_rules, std::slice::from_ref(&stale));
    assert_eq!(measured(&rig, "stale_rules"), gauge(1));
    let counted = |rig: &Rig| rig.store.account("default").unwrap().status.unwrap().regions[0].stale_rules;
    rig.until("the account counts it", |rig| counted(rig) == Some(1)).await;
    rig.kill_engine().await;
    rig.start_engine();
    rig.pass(Duration::from_secs(900)).await;
    assert_eq!((rig.told("web", "StaleRule").len(), counted(&rig)), (1, Some(1)));
    assert_eq!(rig.live("web").await, [stale], "it is declared, so it stays");

    rig.call("AssociateSecurityGroupVpc", &link);
    rig.until("it is in force again", |rig| status(rig, "web").stale_rules.is_empty() && counted(rig) == Some(0)).await;
    assert_eq!(rig.told("web", "StaleRule").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_deep_sweep_that_is_denied_holds_up_no_other_and_is_said() {
    let mut rig = Rig::idle().await;
    rig.timings.deep_sweep = Duration::from_secs(600);
    rig.store.apply_account(&account("sweepInterval: 60s"));
    rig.sim.inject(Fault::error("DescribeStaleSecurityGroups", "UnauthorizedOperation", 403));
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.start_engine();
    rig.settled("web").await;
    let says = |rig: &Rig| {
        let conditions = rig.store.account("default")?.status?.conditions;
        conditions.into_iter().find(|condition| condition.type_ == "SweepHealthy" && condition.status == "False")
    };
    rig.until("the account says so", |rig| says(rig).is_some()).await;
    let message = says(&rig).unwrap().message;
    assert!(message.contains("ec2:DescribeStaleSecurityGroups") && message.contains("statement Read"), "{message}");
    rig.pass(Duration::from_secs(300)).await;
    assert_eq!(says(&rig).map(|condition| condition.message), Some(message), "also between two deep sweeps");
    let _ = lend(&rig, rig.group("web").as_str());
    rig.until("associations are read all the same", |rig| !told(rig, "web", KIND_OF_VPCS).is_empty()).await;
    rig.sim.clear_faults();
    rig.until("it is well", |rig| says(rig).is_none()).await;
}
