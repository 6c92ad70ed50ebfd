//! The end of objects: rings of groups that hold each other, what holds one that is to go, and the way out that people are told.

use std::time::Duration;

use sgwarden::adapters::sim::{Config, Fault, VpcSeed};

use crate::people::{account, in_force, with};
use crate::rig::{Rig, VPC, manifest, tcp};

/// From waking up for nothing to trying again, at the longest.
const LATER: Duration = Duration::from_secs(900);

fn from(name: &str) -> String {
    format!("{{name: from-{name}, protocol: tcp, ports: [8080], from: [{{securityGroup: {{name: {name}}}}}]}}")
}

/// Groups that each let the next one in, the last one the first, and an office besides.
async fn ring(rig: &Rig, names: &[&str]) -> Vec<String> {
    let next = names.iter().cycle().skip(1);
    for (name, next) in names.iter().zip(next) {
        rig.store.apply(&manifest(name, &[&from(next), &tcp("https", 443, "10.0.0.0/8")]));
    }
    for name in names {
        rig.until(&format!("{name} has its rules"), |rig| {
            let group = rig.store.get(name).and_then(|object| object.status).and_then(|status| status.group_id);
            group.is_some_and(|group| in_force(&rig.sim, &group).len() == 2)
        })
        .await;
        rig.settled(name).await;
    }
    names.iter().map(|name| rig.group(name).to_string()).collect()
}

/// An interface in these groups.
fn interface(rig: &Rig, groups: &[&str]) -> String {
    let answer = rig.call("CreateSubnet", &[("VpcId", VPC), ("CidrBlock", "10.0.1.0/24")]);
    let subnet = text(&answer, "subnetId");
    let keys: Vec<String> = (1..=groups.len()).map(|n| format!("SecurityGroupId.{n}")).collect();
    let mut params = vec![("SubnetId", subnet.as_str())];
    params.extend(keys.iter().map(String::as_str).zip(groups.iter().copied()));
    text(&rig.call("CreateNetworkInterface", &params), "networkInterfaceId")
}

pub(crate) fn text(answer: &str, tag: &str) -> String {
    let (_, rest) = answer.split_once(&format!("<{tag}>")).unwrap();
    rest.split_once('<').unwrap().0.to_owned()
}

/// Lets a group be used in another VPC, whose id it gives.
pub(crate) fn lend(rig: &Rig, group: &str) -> String {
    let vpc = text(&rig.call("CreateVpc", &[("CidrBlock", "10.9.0.0/16")]), "vpcId");
    rig.call("AssociateSecurityGroupVpc", &[("GroupId", group), ("VpcId", &vpc)]);
    vpc
}

#[tokio::test(start_paused = true)]
async fn another_vpc_that_may_use_the_group_blocks_its_deletion_and_is_named() {
    let rig = Rig::start().await;
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.settled("web").await;
    let group = rig.group("web");
    let vpc = lend(&rig, group.as_str());
    rig.store.delete("web");
    let message = rig.condition("web", "DeletionBlocked", "True", "InUse").await;
    assert!(message.contains(&format!("while it is in use, by associations with {vpc} (associated): ")), "{message}");
    assert_eq!(in_force(&rig.sim, group.as_str()), ["ingress tcp 443 from 10.0.0.0/8"]);
    rig.call("DisassociateSecurityGroupVpc", &[("GroupId", group.as_str()), ("VpcId", &vpc)]);
    rig.gone("web").await;
}

#[tokio::test(start_paused = true)]
async fn a_ring_of_which_it_cannot_be_read_who_holds_it_keeps_its_rules_and_says_which_permission_is_missing() {
    let rig = Rig::start().await;
    let names = ["web", "api"];
    let groups = ring(&rig, &names).await;
    rig.sim.inject(Fault::error("DescribeSecurityGroupVpcAssociations", "UnauthorizedOperation", 403));
    for name in names {
        rig.store.delete(name);
    }
    let message = rig.condition("web", "DeletionBlocked", "True", "InUse").await;
    assert!(message.contains("can be read: ") && message.contains("ec2:DescribeSecurityGroupVpcAssociations"), "{message}");
    assert_eq!(in_force(&rig.sim, &groups[0]).len(), 2);
    rig.sim.clear_faults();
    for name in names {
        rig.gone(name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn rings_of_groups_are_deleted_as_a_whole() {
    for names in [&["web", "api", "db"][..], &["web", "api", "db", "job", "log"][..]] {
        let rig = Rig::start().await;
        ring(&rig, names).await;
        for name in names {
            rig.store.delete(name);
        }
        for name in names {
            rig.gone(name).await;
        }
        // The office's rules go with the groups.
        let revoked: Vec<String> = rig.done_because("Deletion").into_iter().filter_map(|item| item.before).collect();
        assert!(revoked.iter().all(|rule| rule.starts_with("ingress tcp 8080")), "{revoked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_rings_that_share_a_group_and_one_that_hangs_on_them_are_deleted_too() {
    let rig = Rig::start().await;
    let names = ["web", "api", "db", "job", "log", "end"];
    rig.store.apply(&manifest("web", &[&from("api")]));
    rig.store.apply(&manifest("api", &[&from("db"), &from("job")]));
    rig.store.apply(&manifest("db", &[&from("web")]));
    rig.store.apply(&manifest("job", &[&from("log"), &from("end")]));
    rig.store.apply(&manifest("log", &[&from("api")]));
    rig.store.apply(&manifest("end", &[]));
    for name in names {
        rig.settled(name).await;
    }
    for name in names {
        rig.store.delete(name);
    }
    for name in names {
        rig.gone(name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_ring_keeps_all_its_rules_while_one_of_it_has_an_interface_or_stays() {
    let names = ["web", "api", "db"];
    for held_by in ["an interface", "a referrer", "another VPC", "a member that stays"] {
        let rig = Rig::start().await;
        let groups = ring(&rig, &names).await;
        let mut eni = None;
        let mut going = &names[..];
        match held_by {
            "an interface" => eni = Some(interface(&rig, &[&groups[1]])),
            "a referrer" => {
                let stray = rig.stray("legacy", &[], &[]).await;
                rig.intrude(&stray, &[&format!("ingress tcp 22 from {}", groups[1])]).await;
            }
            "another VPC" => drop(lend(&rig, &groups[1])),
            _ => going = &names[..2],
        }
        let before: Vec<Vec<String>> = groups.iter().map(|group| in_force(&rig.sim, group)).collect();
        for name in going {
            rig.store.delete(name);
        }
        rig.pass(LATER).await;
        let after: Vec<Vec<String>> = groups.iter().map(|group| in_force(&rig.sim, group)).collect();
        assert_eq!(before, after, "{held_by}");
        for name in going {
            assert!(rig.says(name, "DeletionBlocked", "True").is_some(), "{held_by}: {name}");
        }
        match eni {
            Some(eni) => {
                let _ = rig.call("DeleteNetworkInterface", &[("NetworkInterfaceId", &eni)]);
            }
            None if going.len() == 2 => rig.store.delete("db"),
            None => continue,
        }
        for name in names {
            rig.gone(name).await;
        }
    }
}

const WAY_OUT: &str = "To let the object go and leave the group in EC2, set spec.deletionPolicy: Retain";

fn kept(name: &str) -> String {
    with(name, &["deletionPolicy: Retain"], &[&tcp("https", 443, "10.0.0.0/8")])
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_waits_names_the_way_out_and_takes_it() {
    for held_by in ["an interface", "a denial", "AWS"] {
        let rig = Rig::start().await;
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
        rig.settled("web").await;
        let group = rig.group("web");
        let (kind, status, reason) = match held_by {
            "an interface" => {
                interface(&rig, &[group.as_str()]);
                ("DeletionBlocked", "True", "InUse")
            }
            "a denial" => {
                rig.sim.inject(Fault::error("DeleteSecurityGroup", "UnauthorizedOperation", 403));
                ("Ready", "False", "PermissionDenied")
            }
            _ => {
                rig.sim.inject(Fault::error("DeleteSecurityGroup", "Unavailable", 503));
                ("Ready", "False", "CloudUnavailable")
            }
        };
        rig.store.delete("web");
        let message = rig.condition("web", kind, status, reason).await;
        assert!(message.contains(WAY_OUT), "{message}");
        rig.pass(LATER).await;
        assert_eq!(rig.says("web", kind, status).unwrap().matches(WAY_OUT).count(), 1);
        rig.store.apply(&kept("web"));
        rig.gone("web").await;
        assert_eq!(in_force(&rig.sim, group.as_str()), ["ingress tcp 443 from 10.0.0.0/8"]);
        assert_eq!(rig.told("web", "Retained").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_account_is_lost_for_an_hour_is_let_go_of_with_an_event() {
    let role = "roleArn: \"arn:aws:iam::111122223333:role/sgwarden\"";
    for lost in ["the role", "the namespace", "the Region"] {
        let mut rig = Rig::idle().await;
        rig.store.apply_account(&account(role));
        rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
        rig.start_engine();
        rig.settled("web").await;
        let group = rig.group("web");
        rig.kill_engine().await;
        match lost {
            "the role" => rig.sim.inject(Fault::error("AssumeRole", "AccessDenied", 403)),
            "the namespace" => rig.store.apply_account(&account(&format!(
                "{role}, allowedNamespaces: {{from: Selector, selector: {{matchLabels: {{team: other}}}}}}"
            ))),
            _ => rig.store.apply_account(&account(role).replace("[eu-west-1]", "[us-east-1]")),
        }
        rig.start_engine();
        rig.store.delete("web");
        rig.until("it waits", |rig| rig.says("web", "Ready", "False").is_some_and(|text| text.contains(WAY_OUT))).await;
        rig.pass(Duration::from_secs(3400)).await;
        assert!(rig.store.get("web").is_some(), "{lost}: not yet");
        rig.gone("web").await;
        let told = rig.told("web", "Retained");
        assert!(told.len() == 1 && told[0].contains(&format!("EC2 group {group} stays: ")), "{lost}: {told:?}");
        assert_eq!(in_force(&rig.sim, group.as_str()), ["ingress tcp 443 from 10.0.0.0/8"], "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_comes_back_within_the_hour_begins_it_anew() {
    let mut rig = Rig::idle().await;
    rig.store.apply_account(&account("roleArn: \"arn:aws:iam::111122223333:role/sgwarden\""));
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]));
    rig.start_engine();
    rig.settled("web").await;
    let group = rig.group("web");
    let eni = interface(&rig, &[group.as_str()]);
    rig.kill_engine().await;
    rig.sim.inject(Fault::error("AssumeRole", "AccessDenied", 403));
    rig.start_engine();
    rig.store.delete("web");
    rig.pass(Duration::from_secs(2000)).await;
    rig.sim.clear_faults();
    rig.condition("web", "DeletionBlocked", "True", "InUse").await;
    rig.pass(Duration::from_secs(3000)).await;
    rig.sim.inject(Fault::error("*", "AuthFailure", 401));
    rig.pass(Duration::from_secs(1200)).await;
    rig.sim.clear_faults();
    let _ = rig.call("DeleteNetworkInterface", &[("NetworkInterfaceId", &eni)]);
    rig.gone("web").await;
    assert!(rig.told("web", "Retained").is_empty());
    assert_eq!(rig.told("web", "Deleted").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_goes_whose_group_and_vpc_are_gone() {
    const OTHER: &str = "vpc-0ffffffffffffffff";
    let vpcs = vec![VpcSeed::new(VPC), VpcSeed::new(OTHER)];
    let mut rig = Rig::over(Config { vpcs, ..Config::default() }).await;
    rig.start_engine();
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8")]).replace(VPC, OTHER));
    rig.settled("web").await;
    let group = rig.group("web");
    rig.kill_engine().await;
    rig.intruder.write.delete_group(&group).await.unwrap();
    let _ = rig.call("DeleteVpc", &[("VpcId", OTHER)]);
    rig.store.delete("web");
    rig.start_engine();
    rig.gone("web").await;
}
