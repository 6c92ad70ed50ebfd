//! Who made the edits that no rule of a group shows, and those whose events do not say the group.

use std::time::Duration;

use serde_json::{Value, json};
use sgwarden::adapters::sim::{Delivery, Fault};
use sgwarden::api::DriftRecord;

use crate::deletion::lend;
use crate::events::{AT_REST, named, records, told};
use crate::people::in_force;
use crate::rig::{INTRUDER, REGION, Rig, manifest, tcp};

const LISTS: &str = "PrefixListChanged";
const VPCS: &str = "VpcAssociationChanged";
/// Somebody else of the same account.
const JONAS: &str = "AKIA111122223333JONAS";

/// An engine that reads events, and objects that are at rest.
async fn at_rest(delivery: Delivery, deep_sweep: Duration, manifests: impl FnOnce(&Rig) -> Vec<String>) -> Rig {
    let mut rig = Rig::idle().await;
    rig.timings.deep_sweep = deep_sweep;
    rig.listen();
    for manifest in manifests(&rig) {
        rig.store.apply(&manifest);
    }
    rig.start_engine();
    rig.settled("web").await;
    rig.pass(AT_REST).await;
    rig.sim.set_delivery(delivery);
    rig
}

const AN_HOUR: Duration = Duration::from_secs(3600);

/// An object whose rule uses a prefix list, which is at its first version.
async fn with_list(delivery: Delivery) -> (Rig, String) {
    let rig = at_rest(delivery, AN_HOUR, |rig| {
        let list = rig.prefix_list("office", "198.51.100.0/24");
        vec![manifest("web", &[&format!("{{name: office, protocol: tcp, ports: [443], from: [{{prefixListId: {list}}}]}}")])]
    })
    .await;
    let list = rig.store.get("web").unwrap().status.unwrap().prefix_lists[0].split(' ').next().unwrap().to_owned();
    (rig, list)
}

/// The owner of a list, or whoever may do it for them, gives it another version.
fn change_list(rig: &Rig, key: &str, list: &str, version: &str, cidr: &str) {
    let params =
        [("Action", "ModifyManagedPrefixList"), ("PrefixListId", list), ("CurrentVersion", version), ("AddEntry.1.Cidr", cidr)];
    let answer = rig.sim.query(key, REGION, &params);
    assert!(answer.status().is_success(), "{}", String::from_utf8_lossy(answer.body()));
}

fn of_kind(rig: &Rig, kind: &str) -> Vec<DriftRecord> {
    records(rig).into_iter().filter(|record| record.atoms.iter().any(|atom| atom.kind == kind)).collect()
}

/// What names nobody yet, for one reason or another.
fn nameless(rig: &Rig, kind: &str) -> usize {
    of_kind(rig, kind).iter().filter(|record| named(record).is_none()).count()
}

#[tokio::test(start_paused = true)]
async fn whoever_changed_a_prefix_list_is_named_whenever_the_event_comes() {
    for delay_ms in [0, 300_000] {
        let (rig, list) = with_list(Delivery { delay_ms, ..Delivery::default() }).await;
        change_list(&rig, INTRUDER, &list, "1", "203.0.113.0/24");
        rig.until("it is told", |rig| !of_kind(rig, LISTS).is_empty()).await;
        assert_eq!(nameless(&rig, LISTS), usize::from(delay_ms > 0));
        rig.until("it has a name", |rig| nameless(rig, LISTS) == 0).await;
        let actor = of_kind(&rig, LISTS)[0].actor.clone().unwrap();
        assert_eq!((actor.name.as_deref(), actor.event_name.as_deref()), (Some("mallory"), Some("ModifyManagedPrefixList")));
        assert_eq!(actor.reason, None);
        rig.until("the messages are done with", |rig| rig.queue.is_empty()).await;
        assert_eq!(of_kind(&rig, LISTS).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn each_version_of_a_prefix_list_has_its_own_author() {
    let (mut rig, list) = with_list(Delivery::default()).await;
    rig.stop_engine().await;
    change_list(&rig, INTRUDER, &list, "1", "203.0.113.0/24");
    let params = [
        ("Action", "RestoreManagedPrefixListVersion"),
        ("PrefixListId", list.as_str()),
        ("CurrentVersion", "2"),
        ("PreviousVersion", "1"),
    ];
    assert!(rig.sim.query(JONAS, REGION, &params).status().is_success());
    rig.pass(Duration::from_secs(300)).await;
    rig.start_engine();
    rig.until("they are named", |rig| !of_kind(rig, LISTS).is_empty() && nameless(rig, LISTS) == 0).await;
    let [record] = <[DriftRecord; 1]>::try_from(of_kind(&rig, LISTS)).unwrap();
    assert_eq!(record.atoms[0].after.as_deref(), Some(&*format!("prefix list {list} (office) version 3")));
    assert_eq!(named(&record).as_deref(), Some("jonas and mallory"));
    rig.until("the messages are done with", |rig| rig.queue.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn an_association_is_seen_by_its_event_and_has_a_name() {
    let rig = at_rest(Delivery::default(), AN_HOUR, |_| vec![manifest("web", &[&tcp("https", 443, "10.0.0.0/8")])]).await;
    let group = rig.group("web").to_string();
    let before = rig.now();
    let vpc = lend(&rig, &group);
    rig.until("it is told", |rig| !of_kind(rig, VPCS).is_empty()).await;
    rig.call("DisassociateSecurityGroupVpc", &[("GroupId", &group), ("VpcId", &vpc)]);
    rig.until("its end is told", |rig| of_kind(rig, VPCS).len() == 2).await;
    let took = rig.now().duration_since(before);
    assert!(took.as_secs() < 20, "not only by the next deep sweep: {took}");
    rig.until("they have names", |rig| nameless(rig, VPCS) == 0).await;
    let calls: Vec<_> = of_kind(&rig, VPCS).into_iter().map(|record| record.actor.unwrap()).collect();
    let calls: Vec<_> = calls.iter().map(|actor| (actor.name.as_deref(), actor.event_name.as_deref())).collect();
    assert_eq!(
        calls,
        [(Some("mallory"), Some("DisassociateSecurityGroupVpc")), (Some("mallory"), Some("AssociateSecurityGroupVpc"))]
    );
    rig.until("the messages are done with", |rig| rig.queue.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn an_association_that_a_deep_sweep_found_has_a_name_when_the_event_comes() {
    let delivery = Delivery { delay_ms: 1_200_000, ..Delivery::default() };
    let rig = at_rest(delivery, Duration::from_secs(600), |_| vec![manifest("web", &[&tcp("https", 443, "10.0.0.0/8")])]).await;
    let _ = lend(&rig, rig.group("web").as_str());
    rig.until("it is told", |rig| !of_kind(rig, VPCS).is_empty()).await;
    assert_eq!(nameless(&rig, VPCS), 1, "an event may still come");
    rig.until("it has a name", |rig| nameless(rig, VPCS) == 0).await;
    assert_eq!(named(&of_kind(&rig, VPCS)[0]).as_deref(), Some("mallory"));
    assert_eq!(of_kind(&rig, VPCS).len(), 1);
}

/// What mallory called, as an event that tells nothing but the request.
pub(crate) fn bare(rig: &Rig, id: usize, call: &str, request: &Value) -> String {
    json!({
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {
            "eventName": call, "eventSource": "ec2.amazonaws.com", "awsRegion": REGION, "recipientAccountId": "111122223333",
            "eventTime": rig.now().to_string(), "eventID": format!("bare-{id}"), "requestID": format!("request-{id}"),
            "userIdentity": {
                "type": "IAMUser", "accountId": "111122223333", "userName": "mallory",
                "arn": "arn:aws:iam::111122223333:user/mallory",
            },
            "requestParameters": request, "responseElements": {"_return": true},
        },
    })
    .to_string()
}

#[tokio::test(start_paused = true)]
async fn an_event_that_names_the_rule_corrects_a_name_that_was_told_before_it_came() {
    let delivery = Delivery { delay_ms: 60_000, ..Delivery::default() };
    let rig = at_rest(delivery, AN_HOUR, |_| vec![manifest("web", &[&tcp("https", 443, "10.0.0.0/8")])]).await;
    let group = rig.group("web");
    let ssh = [
        ("GroupId", group.as_str()),
        ("IpProtocol", "tcp"),
        ("FromPort", "22"),
        ("ToPort", "22"),
        ("CidrIp", "0.0.0.0/0"),
        ("Action", "AuthorizeSecurityGroupIngress"),
    ];
    assert!(rig.sim.query(JONAS, REGION, &ssh).status().is_success());
    // What mallory opened was closed again before anybody looked, and her event does not say the rule's id.
    let range = json!({"cidrIp": "0.0.0.0/0"});
    let permission = json!({"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": {"items": [range]}});
    let request = json!({"groupId": group.as_str(), "ipPermissions": {"items": [permission]}});
    rig.queue.put(&bare(&rig, 1, "AuthorizeSecurityGroupIngress", &request));
    rig.until("it is told", |rig| records(rig).iter().any(|record| named(record).is_some())).await;
    assert_eq!(named(&records(&rig)[0]).as_deref(), Some("mallory"), "she did just this, as far as is known");
    rig.until("it is corrected", |rig| named(&records(rig)[0]).as_deref() == Some("jonas")).await;
    rig.pass(Duration::from_secs(600)).await;
    assert_eq!(named(&records(&rig)[0]).as_deref(), Some("jonas"));
}

#[tokio::test(start_paused = true)]
async fn whoever_deleted_a_group_is_named_though_there_is_another_by_then() {
    let delivery = Delivery { delay_ms: 600_000, ..Delivery::default() };
    let rig = at_rest(delivery, AN_HOUR, |_| vec![manifest("web", &[&tcp("https", 443, "10.0.0.0/8")])]).await;
    let group = rig.group("web");
    rig.intruder.write.delete_group(&group).await.unwrap();
    rig.until("there is another", |rig| rig.store.get("web").unwrap().status.unwrap().group_id != Some(group.to_string())).await;
    rig.until("all is well again", |rig| of_kind(rig, "GroupDeleted").iter().all(|record| record.resolved_at.is_some())).await;
    assert_eq!(nameless(&rig, "GroupDeleted"), 1, "an event may still come");
    rig.until("it has a name", |rig| nameless(rig, "GroupDeleted") == 0).await;
    assert_eq!(named(&of_kind(&rig, "GroupDeleted")[0]).as_deref(), Some("mallory"));
    rig.until("the messages are done with", |rig| rig.queue.is_empty()).await;
}

/// Two groups of one name, the first in the default VPC. Events come only from the test.
async fn of_one_name() -> Rig {
    at_rest(Delivery { loss: 1.0, ..Delivery::default() }, AN_HOUR, |rig| {
        let vpc = rig.sim.default_vpc("111122223333", REGION).unwrap();
        let of_that_name = |name: &str| {
            let text = manifest(name, &[&tcp("https", 443, "10.0.0.0/8")]);
            text.replace("  egressPolicy", "  groupName: twin\n  egressPolicy")
        };
        let at_home = of_that_name("web").replace(crate::rig::VPC, &vpc);
        vec![at_home, of_that_name("api")]
    })
    .await
}

const OFFICE: &str = "ingress tcp 443 from 10.0.0.0/8";

fn revoked(name: &str) -> Value {
    let permission =
        json!({"ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "ipRanges": {"items": [{"cidrIp": "10.0.0.0/8"}]}});
    json!({"groupName": name, "ipPermissions": {"items": [permission]}})
}

#[tokio::test(start_paused = true)]
async fn a_call_that_says_a_groups_name_alone_is_about_that_of_the_default_vpc() {
    let rig = of_one_name().await;
    let there = |rig: &Rig, name: &str| in_force(&rig.sim, rig.group(name).as_str()).iter().any(|rule| rule == OFFICE);
    let before = rig.now();
    for name in ["web", "api"] {
        rig.cut(&rig.group(name), OFFICE).await;
    }
    rig.queue.put(&bare(&rig, 1, "RevokeSecurityGroupIngress", &revoked("twin")));
    rig.until("the one it is about is looked at", |rig| there(rig, "web")).await;
    let took = rig.now().duration_since(before);
    assert!(took.as_secs() <= 5, "{took}");
    rig.until("both are whole again", |rig| there(rig, "web") && there(rig, "api")).await;
    rig.pass(Duration::from_secs(180)).await;
    let author = |name: &str| {
        let status = rig.store.get(name).unwrap().status.unwrap();
        status.drift.iter().map(|record| named(record).unwrap_or_else(|| "nobody".to_owned())).collect::<Vec<_>>()
    };
    assert_eq!((author("web"), author("api")), (vec!["mallory".to_owned()], vec!["nobody".to_owned()]));
    rig.until("the message is done with", |rig| rig.queue.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_none_of_our_groups_has_is_no_reason_to_suspect_anybody() {
    let rig = of_one_name().await;
    rig.cut(&rig.group("web"), OFFICE).await;
    rig.queue.put(&bare(&rig, 1, "RevokeSecurityGroupIngress", &revoked("stranger")));
    rig.until("it is told", |rig| records(rig).iter().any(|record| record.resolution == "Reverted")).await;
    rig.pass(Duration::from_secs(180)).await;
    let actor = records(&rig)[0].actor.clone().unwrap();
    assert_eq!((actor.name, actor.reason.as_deref()), (None, Some("unknown: no CloudTrail event of that time has arrived")));
    assert!(rig.queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_on_a_group_by_its_name_is_told() {
    let rig = of_one_name().await;
    rig.sim.set_delivery(Delivery::default());
    let denied =
        Fault { access_key: Some(INTRUDER.into()), ..Fault::error("AuthorizeSecurityGroupIngress", "UnauthorizedOperation", 403) };
    rig.sim.inject(denied);
    let params = [
        ("Action", "AuthorizeSecurityGroupIngress"),
        ("GroupName", "twin"),
        ("IpProtocol", "tcp"),
        ("FromPort", "22"),
        ("ToPort", "22"),
        ("CidrIp", "0.0.0.0/0"),
    ];
    assert!(!rig.sim.query(INTRUDER, REGION, &params).status().is_success());
    rig.until("the attempt is told", |rig| !told(rig, "AttemptDenied").is_empty()).await;
    assert_eq!(rig.told("web", "AttemptDenied").len(), 1);
    assert!(rig.told("api", "AttemptDenied").is_empty(), "that is in another VPC");
}
