//! An intruder who changes the group between our read and our call, each time: EC2 refuses a call whole when one of its rules is
//! not as we saw it.

use std::sync::Arc;
use std::time::Duration;

use sgwarden::adapters::sim::Sim;
use sgwarden::core::model::NewRule;

use crate::people::{SEEN_TWICE, SOON};
use crate::rig::{INTRUDER, Moment, REGION, Rig, manifest, tcp};

const OFFICE: &str = "ingress tcp 443 from 10.0.0.0/8";
const SSH: &str = "ingress tcp 22 from 0.0.0.0/0";
/// Until what we wrote ourselves is no longer held against what is read.
const AT_REST: Duration = Duration::from_secs(700);

/// One call by hand over rules of the same range.
fn by_hand(sim: &Sim, action: &str, group: &str, ports: &[u16], range: &str) {
    let mut params = vec![
        ("Action".to_owned(), action.to_owned()),
        ("Version".to_owned(), "2016-11-15".to_owned()),
        ("GroupId".to_owned(), group.to_owned()),
    ];
    for (n, port) in (1..).zip(ports) {
        let field = |name: &str| format!("IpPermissions.{n}.{name}");
        params.push((field("IpProtocol"), "tcp".to_owned()));
        params.push((field("FromPort"), port.to_string()));
        params.push((field("ToPort"), port.to_string()));
        params.push((field("IpRanges.1.CidrIp"), range.to_owned()));
    }
    let params: Vec<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    sim.query(INTRUDER, REGION, &params);
}

async fn office() -> Rig {
    let rig = Rig::start().await;
    rig.store.apply(&manifest("web", &[&tcp("https", 443, "10.0.0.0/8"), &tcp("dns", 53, "10.0.0.0/8")]));
    rig.settled("web").await;
    rig.pass(AT_REST).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn a_decoy_that_is_gone_whenever_we_call_keeps_no_door_open() {
    for decoys in [1_u16, 7, 40] {
        let rig = office().await;
        let group = rig.group("web");
        let ports: Vec<u16> = (0..decoys).map(|n| 9000 + n).collect();
        by_hand(&rig.sim, "AuthorizeSecurityGroupIngress", group.as_str(), &ports, "203.0.113.0/24");
        let id = group.to_string();
        rig.writes.behold(Arc::new(move |sim, moment| {
            let action = match moment {
                Moment::Before => "RevokeSecurityGroupIngress",
                Moment::After => "AuthorizeSecurityGroupIngress",
            };
            by_hand(sim, action, &id, &ports, "203.0.113.0/24");
        }));
        let open = rig.watch_open("web", SSH);
        rig.intrude(&group, &[SSH]).await;
        rig.until("ssh is closed", |rig| {
            open.count() == 1 && !crate::people::in_force(&rig.sim, group.as_str()).contains(&SSH.to_owned())
        })
        .await;
        assert!(open.longest() <= SOON, "{decoys} decoys: open for {:?}", open.longest());
    }
}

/// What each second brings besides the door.
#[derive(Clone, Copy, Debug)]
enum Noise {
    Origin,
    Tag,
    Text,
    Row,
}

#[tokio::test(start_paused = true)]
async fn whoever_changes_something_else_every_second_keeps_no_door_open_that_was_a_rule_of_ours() {
    for noise in [Noise::Origin, Noise::Tag, Noise::Text, Noise::Row] {
        for age in [Duration::from_secs(1), AT_REST] {
            let rig = office().await;
            rig.pass(age).await;
            let group = rig.group("web");
            let dns = rig.rules(&group).await.into_iter().find(|rule| rule.atom.to_string().contains("tcp 53")).unwrap();
            let open = rig.watch_open("web", "ingress tcp 443 from 0.0.0.0/0");
            rig.turn(&group, OFFICE, "ingress tcp 443 from 0.0.0.0/0").await;
            for second in 0_u8..200 {
                // What is no more the row it was, or just being written, is refused; the next second is another.
                match noise {
                    Noise::Origin => rig.tag(&group, &[("sgwarden.dev/origin", &second.to_string())]).await,
                    Noise::Tag => rig.tag(&group, &[("sgwarden.dev/uid", &second.to_string())]).await,
                    Noise::Text => {
                        let text = Some(second.to_string());
                        let _ = rig.intruder.write.describe(&group, dns.atom.direction, &[(dns.id.clone(), text)]).await;
                    }
                    Noise::Row => {
                        let atom = format!("ingress tcp 53 from 192.0.2.{second}/32").parse().unwrap();
                        let _ = rig.intruder.write.modify(&group, &[(dns.id.clone(), NewRule { atom, description: None })]).await;
                    }
                }
                rig.pass(Duration::from_secs(1)).await;
            }
            assert_eq!(open.count(), 1, "{noise:?} {age:?}");
            assert!(open.longest() <= SEEN_TWICE, "{noise:?} {age:?}: open for {:?}", open.longest());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_intruder_puts_back_himself_whenever_we_call_holds_up_no_restore() {
    let rig = office().await;
    let group = rig.group("web");
    let id = group.to_string();
    // Both are gone; the one comes back by his hand right before each of our calls, and goes after it.
    rig.writes.behold(Arc::new(move |sim, moment| {
        let action = match moment {
            Moment::Before => "AuthorizeSecurityGroupIngress",
            Moment::After => "RevokeSecurityGroupIngress",
        };
        by_hand(sim, action, &id, &[53], "10.0.0.0/8");
    }));
    let cut = rig.watch("web", |rules| !rules.iter().any(|rule| rule == OFFICE));
    by_hand(&rig.sim, "RevokeSecurityGroupIngress", group.as_str(), &[53, 443], "10.0.0.0/8");
    rig.until("https is back", |rig| {
        cut.count() == 1 && crate::people::in_force(&rig.sim, group.as_str()).contains(&OFFICE.to_owned())
    })
    .await;
    assert!(cut.longest() <= SEEN_TWICE, "cut for {:?}", cut.longest());
}
