//! What only a deep sweep shows.

use prometheus_client::encoding::text::encode;

use crate::core::model::{SecurityGroupId, VpcId};
use crate::core::status::DeepView;
use crate::engine::region::DeepLook;
use crate::ports::cloud::ErrorClass;

use super::fake::{Trouble, error, rule};
use super::{MINUTE, Rig, id, key, keys, pass, secs};

const ASSOCIATIONS: &str = "DescribeSecurityGroupVpcAssociations";
const STALE: &str = "DescribeStaleSecurityGroups";
const RULES: &str = "DescribeSecurityGroupRules";
/// Longer than from one deep sweep to the next.
const AN_HOUR: std::time::Duration = secs(4100);

fn clean() -> DeepView {
    DeepView { associations: Some(Vec::new()), stale: Some(Vec::new()) }
}

fn lend(rig: &Rig, group: &SecurityGroupId) {
    let lent = [("vpc-0b1b2c3d".parse().unwrap(), "associated".to_owned())].into();
    rig.ec2.edit(|world| world.associations.insert(group.clone(), lent));
}

async fn look(rig: &Rig, number: u64, recorded: DeepView) -> DeepLook {
    let listed = rig.worker.listed(&id(number)).await.unwrap().unwrap();
    rig.worker.deep_look(&key(number), &listed.group, recorded)
}

/// Groups that are well, and whose objects say so.
async fn rig(groups: u64) -> Rig {
    let mut rig = Rig::settled(groups).await;
    for number in 1..=groups {
        look(&rig, number, clean()).await;
    }
    pass(AN_HOUR).await;
    assert!(rig.woken().is_empty());
    rig
}

fn measured(rig: &Rig, part: &str) -> bool {
    let mut text = String::new();
    encode(&mut text, &rig.metrics.registry()).unwrap();
    text.contains(part)
}

#[tokio::test(start_paused = true)]
async fn a_deep_sweep_asks_once_for_many_groups_and_once_a_vpc() {
    let rig = rig(450).await;
    assert!(rig.ec2.about(ASSOCIATIONS).ends_with(&["200 ids".to_owned(), "200 ids".to_owned(), "50 ids".to_owned()]));
    assert_eq!(rig.ec2.about(STALE).last().map(String::as_str), Some("vpc-0a1b2c3d"));
    assert!(rig.ec2.count(STALE) <= 2, "an hour has one deep sweep or two");
    assert!(measured(&rig, "sgwarden_stale_rules{account=\"prod\",region=\"eu-west-1\"} 0\n"));
}

#[tokio::test(start_paused = true)]
async fn an_object_is_woken_for_what_its_status_does_not_say_until_it_does() {
    let mut rig = rig(3).await;
    lend(&rig, &id(2));
    let stale = ["ingress tcp 443 from sg-0b1b2c3d", "ingress tcp 444 from sg-0b1b2c3d"].map(|text| rule(9, text, None).atom);
    rig.ec2.edit(|world| world.stale.insert(id(3), stale.into()));
    for _ in 0..2 {
        pass(AN_HOUR).await;
        assert_eq!(rig.woken(), keys([2, 3]));
    }
    let lent = DeepView { associations: Some(vec!["vpc-0b1b2c3d associated".into()]), ..clean() };
    let told = look(&rig, 2, clean()).await;
    assert_eq!(told, DeepLook { before: Some(Vec::new()), now: lent.clone(), is_news: true });
    let told = look(&rig, 3, clean()).await;
    assert_eq!((told.now.stale.as_ref().map(Vec::len), told.is_news), (Some(2), true));
    assert!(!look(&rig, 2, lent).await.is_news && !look(&rig, 3, told.now).await.is_news);
    pass(AN_HOUR).await;
    assert!(rig.woken().is_empty());
    assert_eq!(rig.regions.freshness()[0].stale_rules, Some(2));
    assert!(measured(&rig, "sgwarden_stale_rules{account=\"prod\",region=\"eu-west-1\"} 2\n"));
    rig.worker.forget(&key(3));
    pass(AN_HOUR).await;
    assert_eq!(rig.regions.freshness()[0].stale_rules, Some(0), "only of groups that are managed");
}

#[tokio::test(start_paused = true)]
async fn an_association_under_way_is_as_it_was_until_that_is_over() {
    let mut rig = rig(1).await;
    let same = rig.worker.associations_same(&key(1)).unwrap();
    let vpc: VpcId = "vpc-0b1b2c3d".parse().unwrap();
    let mut recorded = clean();
    for (state, woken) in [
        ("associating", false),
        ("association-failed", true),
        ("associating", false),
        ("associated", true),
        ("disassociating", false),
        ("", true),
    ] {
        let now = [(vpc.clone(), state.to_owned())].into_iter().filter(|(_, state)| !state.is_empty()).collect();
        rig.ec2.edit(|world| world.associations.insert(id(1), now));
        rig.worker.look_at_associations(&id(1)).await.unwrap();
        assert_eq!(rig.woken(), if woken { keys([1]) } else { keys([]) }, "{state}");
        if woken {
            recorded = look(&rig, 1, recorded).await.now;
            look(&rig, 1, recorded.clone()).await;
        }
    }
    assert!(rig.worker.associations_same(&key(1)).unwrap() >= same);
}

#[tokio::test(start_paused = true)]
async fn when_associations_were_last_as_the_object_knows_them_is_remembered() {
    let mut rig = rig(1).await;
    let before = rig.worker.associations_same(&key(1)).unwrap();
    pass(MINUTE).await;
    rig.worker.look_at_associations(&id(1)).await.unwrap();
    let same = rig.worker.associations_same(&key(1)).unwrap();
    assert!(same > before);
    lend(&rig, &id(1));
    pass(MINUTE).await;
    rig.worker.look_at_associations(&id(1)).await.unwrap();
    assert_eq!((rig.woken(), rig.worker.associations_same(&key(1))), (keys([1]), Some(same)), "what it shows now is news");
    assert_eq!(rig.worker.associations_same(&key(2)), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_first_is_how_it_should_be_where_status_is_silent() {
    let mut rig = Rig::settled(2).await;
    lend(&rig, &id(2));
    let silent = DeepView { associations: None, stale: Some(Vec::new()) };
    for number in [1, 2] {
        look(&rig, number, silent.clone()).await;
    }
    pass(AN_HOUR).await;
    assert_eq!(rig.woken(), keys([2]), "none at all is not worth a write");
    let told = look(&rig, 2, silent.clone()).await;
    assert_eq!((told.before, told.is_news), (told.now.associations, true), "to be written down, and no change");
    // A change is one all the same.
    lend(&rig, &id(1));
    pass(AN_HOUR).await;
    let told = look(&rig, 1, silent).await;
    assert_eq!((told.before, told.is_news), (Some(Vec::new()), true));
    assert!(rig.woken().contains(&key(1)));
}

#[tokio::test(start_paused = true)]
async fn parts_that_are_denied_are_told_together_and_stand_until_a_deep_sweep_goes_well() {
    let mut rig = rig(2).await;
    for operation in [ASSOCIATIONS, STALE] {
        rig.ec2.next(operation, Trouble::Fail(error(operation, ErrorClass::Permission)));
    }
    rig.ec2.edit(|world| {
        let group = world.groups.get_mut(&id(1)).unwrap();
        group.rules.clear();
        let like = rule(0x77, "ingress tcp 443 from 0.0.0.0/0", Some("https"));
        group.rules.insert(like.id.clone(), like);
    });
    let before = rig.ec2.count(RULES);
    while rig.ec2.count(STALE) < 2 || rig.ec2.count(RULES) == before {
        pass(MINUTE).await;
    }
    pass(5 * MINUTE).await;
    assert_eq!(rig.woken(), keys([1]), "rules are compared all the same");
    let failure = rig.regions.freshness().remove(0).incomplete.unwrap();
    assert!(failure.contains(&format!("ec2:{ASSOCIATIONS}")) && failure.contains(&format!("ec2:{STALE}")), "{failure}");
    assert!(measured(&rig, "region=\"eu-west-1\",kind=\"deep\",result=\"error\"} 0\n"));
    let tried = rig.ec2.count(STALE);
    pass(30 * MINUTE).await;
    assert_eq!(rig.ec2.count(STALE), tried, "waiting does not help, so it is not tried more often");
    pass(AN_HOUR).await;
    assert_eq!((&rig.regions.freshness()[0].failure, &rig.regions.freshness()[0].incomplete), (&None, &None));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_throttled_is_tried_again_soon() {
    let mut rig = rig(1).await;
    lend(&rig, &id(1));
    rig.ec2.next(ASSOCIATIONS, Trouble::Fail(error(ASSOCIATIONS, ErrorClass::Throttled)));
    let before = rig.ec2.count(ASSOCIATIONS);
    while rig.ec2.count(ASSOCIATIONS) == before {
        pass(MINUTE).await;
    }
    assert!(rig.woken().is_empty());
    pass(10 * MINUTE).await;
    assert_eq!(rig.woken(), keys([1]));
    assert_eq!((&rig.regions.freshness()[0].failure, &rig.regions.freshness()[0].incomplete), (&None, &None));
}
