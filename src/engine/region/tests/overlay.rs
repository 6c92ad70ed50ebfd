//! Own writes against stale reads.

use std::time::Duration;

use tokio::time::timeout;

use crate::core::model::{Direction, LiveRule, NewGroup, NewRule, SecurityGroupId};
use crate::ports::cloud::ErrorClass;

use super::super::Urgency;
use super::fake::{Trouble, error, rule};
use super::{MINUTE, Rig, id, key, keys, pass, secs, tags};

const HTTPS: &str = "ingress tcp 443 from 0.0.0.0/0 https";

fn new(atom: &str, description: Option<&str>) -> NewRule {
    NewRule { atom: atom.parse().unwrap(), description: description.map(str::to_owned) }
}

impl Rig {
    async fn authorize(&self, number: u64, atom: &str) -> LiveRule {
        let writer = self.worker.writer(Urgency::Change);
        writer.authorize(&id(number), Direction::Ingress, &[new(atom, None)]).await.unwrap().authorized.remove(0)
    }

    async fn revoke(&self, number: u64, rule: &LiveRule) {
        let writer = self.worker.writer(Urgency::Revert { exposure: 1_u128.into() });
        writer.revoke(&id(number), Direction::Ingress, std::slice::from_ref(&rule.id)).await.unwrap();
    }

    async fn modify(&self, number: u64, row: u64, atom: &str, description: Option<&str>) {
        let rule = rule(row, atom, None).id;
        self.worker.writer(Urgency::Change).modify(&id(number), &[(rule, new(atom, description))]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_we_revoked_is_gone_however_long_reads_show_it() {
    let rig = Rig::settled(1).await;
    let live = rig.observe(1).await.rules.into_values().next().unwrap();
    rig.ec2.lag(secs(30));
    rig.revoke(1, &live).await;
    for _ in 0..40 {
        assert!(rig.rules(1).await.is_empty());
        pass(secs(1)).await;
    }
    // EC2 never uses an id again: even a read that goes back behind others is stale.
    rig.ec2.lag(secs(120));
    assert!(rig.rules(1).await.is_empty());
    rig.ec2.lag(secs(290));
    pass(secs(200)).await;
    assert!(rig.rules(1).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_we_authorized_is_there_before_reads_show_it() {
    let rig = Rig::settled(1).await;
    rig.ec2.lag(secs(30));
    let made = rig.authorize(1, "ingress tcp 80 from 10.0.0.0/8").await;
    for _ in 0..40 {
        assert_eq!(rig.observe(1).await.rules.get(&made.id), Some(&made));
        pass(secs(1)).await;
    }
    // Once a read has shown it, its absence is somebody's doing.
    rig.ec2.lag(Duration::ZERO);
    rig.ec2.edit(|world| drop(world.groups.get_mut(&id(1)).unwrap().rules.remove(&made.id)));
    assert_eq!(rig.rules(1).await, [HTTPS]);
}

#[tokio::test(start_paused = true)]
async fn what_no_read_ever_shows_is_not_believed_for_ever() {
    let rig = Rig::settled(1).await;
    let made = rig.authorize(1, "ingress tcp 80 from 10.0.0.0/8").await;
    let live = rig.observe(1).await.rules.into_values().find(|rule| rule.id != made.id).unwrap();
    rig.revoke(1, &live).await;
    // EC2 takes both back.
    rig.ec2.edit(|world| {
        let rules = &mut world.groups.get_mut(&id(1)).unwrap().rules;
        rules.clear();
        rules.insert(live.id.clone(), live.clone());
    });
    let late = rig.authorize(1, "ingress tcp 81 from 10.0.0.0/8").await;
    rig.ec2.edit(|world| drop(world.groups.get_mut(&id(1)).unwrap().rules.remove(&late.id)));
    assert_eq!(rig.rules(1).await, ["ingress tcp 81 from 10.0.0.0/8 -"]);
    pass(secs(301)).await;
    assert_eq!(rig.rules(1).await, [HTTPS]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_from_before_a_write_is_not_believed_after_a_fast_one() {
    let rig = Rig::settled(1).await;
    rig.ec2.delay("DescribeSecurityGroupRules", secs(10));
    let worker = rig.worker.clone();
    let slow = tokio::spawn(async move { worker.observe(&id(1)).await.unwrap().unwrap() });
    pass(secs(1)).await;
    rig.ec2.delay("DescribeSecurityGroupRules", Duration::ZERO);
    let made = rig.authorize(1, "ingress tcp 80 from 10.0.0.0/8").await;
    assert!(rig.observe(1).await.rules.contains_key(&made.id), "a fast read shows it");
    assert!(slow.await.unwrap().rules.contains_key(&made.id), "the slow one took its picture before there was anything to see");
}

#[tokio::test(start_paused = true)]
async fn a_read_from_before_the_answer_is_no_proof_that_all_reads_show_the_write() {
    let rig = Rig::settled(1).await;
    rig.ec2.delay("AuthorizeSecurityGroupIngress", secs(10));
    rig.ec2.delay("DescribeSecurityGroupRules", secs(9));
    let worker = rig.worker.clone();
    let early = tokio::spawn(async move {
        pass(secs(2)).await;
        worker.observe(&id(1)).await.unwrap().unwrap()
    });
    let made = rig.authorize(1, "ingress tcp 80 from 10.0.0.0/8").await;
    assert!(early.await.unwrap().rules.contains_key(&made.id));
    rig.ec2.delay("DescribeSecurityGroupRules", Duration::ZERO);
    rig.ec2.lag(secs(30));
    assert!(rig.observe(1).await.rules.contains_key(&made.id));
}

#[tokio::test(start_paused = true)]
async fn what_we_altered_is_as_we_made_it_while_reads_show_what_was() {
    let rig = Rig::settled(1).await;
    rig.ec2.lag(secs(30));
    assert_eq!(rig.rules(1).await, [HTTPS]);
    rig.modify(1, 1, "ingress tcp 444 from 0.0.0.0/0", Some("once")).await;
    pass(secs(10)).await;
    assert_eq!(rig.rules(1).await, ["ingress tcp 444 from 0.0.0.0/0 once"]);
    let texts = [(rule(1, "ingress all from ::/0", None).id, Some("twice".to_owned()))];
    rig.worker.writer(Urgency::Change).describe(&id(1), Direction::Ingress, &texts).await.unwrap();
    for _ in 0..40 {
        // Reads show first the one from before, then the one with the first text, then the present one.
        assert_eq!(rig.rules(1).await, ["ingress tcp 444 from 0.0.0.0/0 twice"]);
        pass(secs(1)).await;
    }
    rig.ec2.lag(Duration::ZERO);
    rig.ec2.put(1, rule(1, "ingress tcp 443 from 0.0.0.0/0", Some("https")));
    assert_eq!(rig.rules(1).await, [HTTPS], "what reads have shown can be set back by somebody else");
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_edit_of_what_we_altered_is_seen_at_once() {
    let rig = Rig::settled(1).await;
    assert_eq!(rig.rules(1).await, [HTTPS]);
    rig.modify(1, 1, "ingress tcp 444 from 0.0.0.0/0", Some("ours")).await;
    // Before any read has shown ours.
    rig.ec2.put(1, rule(1, "ingress all from 0.0.0.0/0", Some("ours")));
    assert_eq!(rig.rules(1).await, ["ingress all from 0.0.0.0/0 ours"]);
    rig.ec2.put(1, rule(1, "ingress tcp 444 from 0.0.0.0/0", Some("theirs")));
    assert_eq!(rig.rules(1).await, ["ingress tcp 444 from 0.0.0.0/0 theirs"]);

    let made = rig.authorize(1, "ingress tcp 80 from 10.0.0.0/8").await;
    let theirs = LiveRule { atom: "ingress all from 0.0.0.0/0".parse().unwrap(), ..made.clone() };
    rig.ec2.put(1, theirs.clone());
    assert_eq!(rig.observe(1).await.rules.get(&made.id), Some(&theirs), "a row is born as we made it, so this is an edit");
}

#[tokio::test(start_paused = true)]
async fn who_sets_back_what_we_altered_hides_behind_stale_reads_for_a_minute_at_most() {
    let rig = Rig::settled(1).await;
    rig.ec2.put(1, rule(1, "ingress all from 0.0.0.0/0", Some("https")));
    let widened = ["ingress all from 0.0.0.0/0 https"];
    for _ in 0..5 {
        assert_eq!(rig.rules(1).await, widened);
        rig.modify(1, 1, "ingress tcp 443 from 0.0.0.0/0", Some("https")).await;
        // At once, before any read has shown ours.
        rig.ec2.put(1, rule(1, "ingress all from 0.0.0.0/0", Some("https")));
        assert_eq!(rig.rules(1).await, [HTTPS], "a stale read would show the same");
        pass(secs(61)).await;
    }
    for _ in 0..5 {
        assert_eq!(rig.rules(1).await, widened);
        rig.modify(1, 1, "ingress tcp 443 from 0.0.0.0/0", Some("https")).await;
        assert_eq!(rig.rules(1).await, [HTTPS]);
        // After a read has shown ours: seen at once, however often it happens.
        rig.ec2.put(1, rule(1, "ingress all from 0.0.0.0/0", Some("https")));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_rule_under_another_id_is_another_rule() {
    let rig = Rig::settled(1).await;
    let live = rig.observe(1).await.rules.into_values().next().unwrap();
    rig.ec2.lag(secs(30));
    rig.revoke(1, &live).await;
    let again = rule(0x77, "ingress tcp 443 from 0.0.0.0/0", Some("https"));
    rig.ec2.put(1, again.clone());
    rig.ec2.lag(Duration::ZERO);
    let live: Vec<_> = rig.observe(1).await.rules.into_values().collect();
    assert_eq!(live, std::slice::from_ref(&again), "revoked, and opened again");

    // And ours, replaced by somebody before any read has shown it: the one that is seen is the one there is.
    let made = rig.authorize(1, "ingress tcp 80 from 10.0.0.0/8").await;
    let theirs = rule(0x78, "ingress tcp 80 from 10.0.0.0/8", None);
    rig.ec2.edit(|world| {
        let rules = &mut world.groups.get_mut(&id(1)).unwrap().rules;
        rules.remove(&made.id);
        rules.insert(theirs.id.clone(), theirs.clone());
    });
    assert_eq!(rig.observe(1).await.rules.into_keys().collect::<Vec<_>>(), [again.id, theirs.id]);
}

#[tokio::test(start_paused = true)]
async fn tags_are_as_we_set_them_while_reads_show_what_was() {
    let rig = Rig::settled(1).await;
    rig.ec2.edit(|world| world.groups.get_mut(&id(1)).unwrap().facts.tags.extend(tags(&[("team", "old"), ("tmp", "1")])));
    pass(MINUTE).await;
    let before = rig.observe(1).await.group.tags;
    rig.ec2.lag(secs(30));
    let writer = rig.worker.writer(Urgency::Change);
    writer.set_tags(&id(1), &tags(&[("team", "new"), ("env", "prod")])).await.unwrap();
    writer.remove_tags(&id(1), &tags(&[("tmp", "1")])).await.unwrap();
    let mut expected = before;
    expected.extend(tags(&[("team", "new"), ("env", "prod")]));
    expected.remove("tmp");
    for _ in 0..40 {
        assert_eq!(rig.observe(1).await.group.tags, expected);
        pass(secs(1)).await;
    }
    rig.ec2.lag(Duration::ZERO);
    rig.ec2.edit(|world| world.groups.get_mut(&id(1)).unwrap().facts.tags = tags(&[("team", "old"), ("tmp", "1")]));
    assert_eq!(rig.observe(1).await.group.tags, tags(&[("team", "old"), ("tmp", "1")]), "reads have shown ours: this is an edit");
    writer.set_tags(&id(1), &tags(&[("team", "new")])).await.unwrap();
    rig.ec2.edit(|world| world.groups.get_mut(&id(1)).unwrap().facts.tags = tags(&[("team", "theirs")]));
    assert_eq!(rig.observe(1).await.group.tags, tags(&[("team", "theirs")]), "a third value is nobody's old news");
}

#[tokio::test(start_paused = true)]
async fn a_group_we_deleted_is_gone_however_long_reads_show_it() {
    let rig = Rig::settled(2).await;
    rig.ec2.lag(secs(30));
    rig.worker.writer(Urgency::Change).delete_group(&id(1)).await.unwrap();
    assert!(rig.worker.observe(&id(1)).await.unwrap().is_none());
    assert!(rig.worker.listed(&id(1)).await.unwrap().is_none());
    let vpc = "vpc-0a1b2c3d".parse().unwrap();
    assert!(rig.worker.find_named(&vpc, "group-1").await.unwrap().is_empty());
    assert_eq!(rig.worker.find_named(&vpc, "group-2").await.unwrap().len(), 1);
    assert_eq!(rig.worker.find_owned(&tags(&[("sgwarden.dev/cluster", super::CLUSTER)])).await.unwrap().len(), 1);
    assert_eq!(rig.worker.reader().listing(&crate::ports::cloud::GroupQuery::All).await.unwrap().len(), 2, "as EC2 says");
}

#[tokio::test(start_paused = true)]
async fn a_group_we_created_is_no_news_to_a_sweep_that_does_not_show_it_yet() {
    let mut rig = Rig::settled(1).await;
    rig.ec2.delay("DescribeSecurityGroups", secs(20));
    let before = rig.ec2.count("DescribeSecurityGroups");
    while rig.ec2.count("DescribeSecurityGroups") == before {
        pass(Duration::from_millis(100)).await;
    }
    rig.ec2.delay("DescribeSecurityGroups", Duration::ZERO);
    let new = NewGroup { name: "n".into(), description: "d".into(), vpc: "vpc-0a1b2c3d".parse().unwrap(), tags: tags(&[]) };
    let created: SecurityGroupId = rig.worker.writer(Urgency::Change).create_group(&new).await.unwrap().created.unwrap();
    assert!(rig.worker.wrote_recently(&created));
    rig.worker.managed(&key(9), &created);
    pass(secs(21)).await;
    assert!(rig.woken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_we_created_is_awaited_until_a_read_shows_it() {
    let rig = Rig::settled(0).await;
    rig.ec2.lag(secs(30));
    let new = NewGroup { name: "n".into(), description: "d".into(), vpc: "vpc-0a1b2c3d".parse().unwrap(), tags: tags(&[]) };
    let writer = rig.worker.writer(Urgency::Change);
    let created: SecurityGroupId = writer.create_group(&new).await.unwrap().created.unwrap();
    let never_shown = writer.create_group(&new).await.unwrap().created.unwrap();
    pass(secs(10)).await;
    assert!(rig.worker.observe(&created).await.unwrap().is_none() && rig.worker.is_awaited(&created));
    pass(secs(21)).await;
    assert!(rig.worker.observe(&created).await.unwrap().is_some() && !rig.worker.is_awaited(&created));
    rig.ec2.edit(|world| world.groups.clear());
    assert!(rig.worker.is_awaited(&never_shown) && !rig.worker.is_awaited(&id(77)));
    pass(secs(300)).await;
    assert!(!rig.worker.is_awaited(&never_shown), "not for ever");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leaves_nothing_but_that_something_was_written() {
    let rig = Rig::settled(1).await;
    let writer = rig.worker.writer(Urgency::Change);
    let rules = [new("ingress tcp 80 from 10.0.0.0/8", None)];
    rig.ec2.next("AuthorizeSecurityGroupIngress", Trouble::Fail(error("x", ErrorClass::Terminal)));
    writer.authorize(&id(1), Direction::Ingress, &rules).await.unwrap_err();
    assert!(!rig.worker.wrote_recently(&id(1)), "EC2 refused: nothing was written");
    rig.ec2.next("AuthorizeSecurityGroupIngress", Trouble::Lose(error("x", ErrorClass::Unavailable)));
    writer.authorize(&id(1), Direction::Ingress, &rules).await.unwrap_err();
    assert!(rig.worker.wrote_recently(&id(1)));
    assert_eq!(rig.rules(1).await.len(), 2, "it was applied, as a read shows");
    pass(secs(301)).await;
    assert!(!rig.worker.wrote_recently(&id(1)));
    // Another replica wrote until now, and this one takes over.
    rig.regions.begin_term();
    assert!(rig.worker.wrote_recently(&id(1)));
    pass(secs(301)).await;
    assert!(!rig.worker.wrote_recently(&id(1)));
}

#[tokio::test(start_paused = true)]
async fn a_group_being_written_is_not_swept_against() {
    let mut rig = Rig::settled(1).await;
    rig.ec2.delay("AuthorizeSecurityGroupIngress", 3 * MINUTE);
    let worker = rig.worker.clone();
    let write = tokio::spawn(async move {
        let rules = [new("ingress tcp 80 from 10.0.0.0/8", None)];
        let writer = worker.writer(Urgency::Change);
        timeout(2 * MINUTE, writer.authorize(&id(1), Direction::Ingress, &rules)).await.is_err()
    });
    pass(MINUTE + secs(30)).await;
    assert!(rig.worker.wrote_recently(&id(1)) && rig.woken().is_empty());
    assert!(write.await.unwrap(), "given up on the way, though EC2 has it");
    pass(2 * MINUTE).await;
    assert_eq!(rig.woken(), keys([1]), "the next sweep tells");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_of_groups_at_rest() {
    let rig = Rig::settled(3).await;
    let overlay = &rig.worker.common.overlay;
    assert_eq!(overlay.remembered(), 0);
    let observed = rig.observe(1).await;
    rig.observe(2).await;
    assert_eq!(overlay.remembered(), 2, "they may be about to be written");
    rig.worker.settled(&key(1), &observed);
    assert_eq!(overlay.remembered(), 1);
    rig.authorize(3, "ingress tcp 80 from 10.0.0.0/8").await;
    let observed = rig.observe(3).await;
    rig.worker.settled(&key(3), &observed);
    assert_eq!(overlay.remembered(), 2, "its write is remembered for a while");
    pass(secs(400)).await;
    assert_eq!(overlay.remembered(), 0);
}

#[tokio::test(start_paused = true)]
async fn right_after_a_start_everything_may_have_been_written() {
    let rig = Rig::started(1).await;
    assert!(rig.worker.wrote_recently(&id(1)) && rig.worker.wrote_recently(&id(99)));
    pass(secs(301)).await;
    assert!(!rig.worker.wrote_recently(&id(1)));
}
