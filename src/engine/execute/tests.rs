//! What is still done after a step failed, and by which writer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::course::is_urgent;
use super::*;
use crate::core::model::{
    Direction, ListedGroup, LiveRule, NewGroup, NewRule, PrefixListFacts, StaleRules, Tags, VpcAssociations, VpcFacts, VpcId,
};
use crate::core::plan::{Authorization, Cause, Modification, Purpose, Redescription, Revocation};
use crate::ports::cloud::{Ec2Read, GroupQuery, Interface, NoActivity, PrefixListQuery, VpcQuery};
use crate::ports::sinks::AuditError;

use Direction::{Egress, Ingress};

/// What was asked of EC2, as `<writer> <operation>`, and what it answers.
#[derive(Default)]
struct World {
    asked: Mutex<Vec<String>>,
    live: Mutex<Vec<LiveRule>>,
    /// Operations that fail, and how.
    failing: BTreeMap<&'static str, ErrorClass>,
    /// Whether reads show what was authorized.
    blind: bool,
}

struct Writer {
    world: Arc<World>,
    name: &'static str,
}

impl Writer {
    fn call(&self, operation: &'static str) -> Result<Receipt, CloudError> {
        self.world.asked.lock().unwrap().push(format!("{} {operation}", self.name));
        match self.world.failing.get(operation) {
            None => Ok(Receipt::default()),
            Some(class) => Err(CloudError {
                operation,
                class: *class,
                code: None,
                message: "no".to_owned(),
                request_id: None,
                outcome_unknown: false,
            }),
        }
    }
}

fn by(direction: Direction, ingress: &'static str, egress: &'static str) -> &'static str {
    match direction {
        Ingress => ingress,
        Egress => egress,
    }
}

#[async_trait]
impl Ec2Write for Writer {
    async fn create_group(&self, _: &NewGroup) -> Result<Receipt, CloudError> {
        self.call("CreateSecurityGroup")
    }

    async fn delete_group(&self, _: &SecurityGroupId) -> Result<Receipt, CloudError> {
        self.call("DeleteSecurityGroup")
    }

    async fn authorize(&self, _: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError> {
        let receipt = self.call(by(direction, "AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"))?;
        if !self.world.blind {
            let rows = rules.iter().map(|rule| live(90, &rule.atom.to_string()));
            self.world.live.lock().unwrap().extend(rows);
        }
        Ok(receipt)
    }

    async fn revoke(&self, _: &SecurityGroupId, direction: Direction, _: &[RuleId]) -> Result<Receipt, CloudError> {
        self.call(by(direction, "RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"))
    }

    async fn modify(&self, _: &SecurityGroupId, _: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        self.call("ModifySecurityGroupRules")
    }

    async fn describe(
        &self,
        _: &SecurityGroupId,
        direction: Direction,
        _: &[(RuleId, Option<String>)],
    ) -> Result<Receipt, CloudError> {
        self.call(by(direction, "DescribeIngress", "DescribeEgress"))
    }

    async fn set_tags(&self, _: &SecurityGroupId, _: &Tags) -> Result<Receipt, CloudError> {
        self.call("CreateTags")
    }

    async fn remove_tags(&self, _: &SecurityGroupId, _: &Tags) -> Result<Receipt, CloudError> {
        self.call("DeleteTags")
    }
}

struct Reader(Arc<World>);

#[async_trait]
impl Ec2Read for Reader {
    async fn listing(&self, _: &GroupQuery) -> Result<Vec<ListedGroup>, CloudError> {
        Ok(Vec::new())
    }

    async fn rules_of(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, Vec<LiveRule>>, CloudError> {
        let live = self.0.live.lock().unwrap().clone();
        Ok(groups.iter().map(|group| (group.clone(), live.clone())).collect())
    }

    async fn vpcs(&self, _: &VpcQuery) -> Result<Vec<VpcFacts>, CloudError> {
        Ok(Vec::new())
    }

    async fn prefix_lists(&self, _: &PrefixListQuery) -> Result<Vec<PrefixListFacts>, CloudError> {
        Ok(Vec::new())
    }

    async fn interfaces(&self, _: &SecurityGroupId) -> Result<Vec<Interface>, CloudError> {
        Ok(Vec::new())
    }

    async fn vpc_associations(&self, _: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, VpcAssociations>, CloudError> {
        Ok(BTreeMap::new())
    }

    async fn stale_rules(&self, _: &VpcId) -> Result<StaleRules, CloudError> {
        Ok(StaleRules::new())
    }
}

/// Keeps nothing.
struct NoAudit;

#[async_trait]
impl AuditSink for NoAudit {
    async fn append(&self, _: &AuditRecord) -> Result<(), AuditError> {
        Ok(())
    }
}

fn live(number: u32, atom: &str) -> LiveRule {
    LiveRule { id: format!("sgr-{number:017x}").parse().unwrap(), atom: atom.parse().unwrap(), description: None }
}

fn atom(direction: Direction, port: u32) -> String {
    format!("{direction} tcp {port} {} 10.0.0.0/8", direction.preposition())
}

fn new(direction: Direction, port: u32) -> NewRule {
    NewRule { atom: atom(direction, port).parse().unwrap(), description: None }
}

fn revoke(direction: Direction, purpose: Purpose, causes: &[Cause]) -> Step {
    let rules = causes.iter().map(|cause| Revocation { live: live(1, &atom(direction, 22)), cause: *cause, rule: None });
    Step::Revoke { direction, purpose, rules: rules.collect() }
}

fn authorize(direction: Direction, causes: &[Cause]) -> Step {
    let rules = causes.iter().map(|cause| Authorization {
        new: new(direction, 443),
        cause: *cause,
        rule: "https".parse().unwrap(),
        justification: None,
    });
    Step::Authorize { direction, rules: rules.collect() }
}

fn modify(direction: Direction, causes: &[Cause]) -> Step {
    let rules = causes.iter().map(|cause| Modification {
        live: live(2, &atom(direction, 80)),
        new: new(direction, 81),
        cause: *cause,
        rule: "http".parse().unwrap(),
        justification: None,
    });
    Step::Modify { direction, rules: rules.collect() }
}

fn describe(direction: Direction, causes: &[Cause]) -> Step {
    let rules = causes.iter().map(|cause| Redescription {
        live: live(3, &atom(direction, 25)),
        description: None,
        cause: *cause,
        rule: "mail".parse().unwrap(),
    });
    Step::Describe { direction, rules: rules.collect() }
}

fn set_tags(cause: Cause) -> Step {
    Step::SetTags { tags: Tags::from([("a".to_owned(), "b".to_owned())]), before: Tags::default(), cause }
}

fn awaited(direction: Direction) -> Step {
    Step::AwaitVisible { direction, atoms: vec![new(direction, 443).atom] }
}

/// What is asked for of a plan's steps, and why it ended early.
async fn execute(world: World, steps: Vec<Step>) -> (Vec<String>, Option<String>) {
    execute_while(world, steps, usize::MAX, false).await
}

/// The same where what the plan was made from holds until so many calls were made.
async fn execute_while(world: World, steps: Vec<Step>, calls: usize, lasting: bool) -> (Vec<String>, Option<String>) {
    let world = Arc::new(world);
    let writer = |name| Arc::new(Writer { world: world.clone(), name });
    let ec2 = Ec2 {
        account: "111122223333".parse().unwrap(),
        principal: "arn:aws:iam::111122223333:user/sgwarden".into(),
        region: "eu-west-1".parse().unwrap(),
        read: Arc::new(Reader(world.clone())),
        write: writer("usual"),
        activity: Arc::new(NoActivity),
    };
    let (urgent, clock) = (writer("urgent"), Clock::anchored("2026-11-22T21:00:00Z".parse().unwrap()));
    let (metrics, timings) = (Metrics::default(), Timings::default());
    let executor = Executor {
        ec2: &ec2,
        urgent: urgent.as_ref(),
        audit: &NoAudit,
        metrics: &metrics,
        clock: &clock,
        timings: &timings,
        settle: timings.settle,
        current: &|| world.asked.lock().unwrap().len() < calls,
        lasting,
    };
    let subject = Subject {
        cluster: "c".to_owned(),
        object: "shop/web".to_owned(),
        uid: "u".to_owned(),
        generation: 1,
        source: None,
        live: Vec::new(),
        edits: Edits::default(),
        trace_id: "t".to_owned(),
    };
    let plan = Plan { group: Some("sg-0123456789abcdef0".parse().unwrap()), steps, ..Plan::default() };
    let execution = executor.execute(&plan, &subject).await;
    let asked = world.asked.lock().unwrap().clone();
    (asked, execution.failure.map(|failure| failure.to_string()))
}

fn failing(failures: &[(&'static str, ErrorClass)]) -> World {
    World { failing: failures.iter().copied().collect(), ..World::default() }
}

/// Both ways change: authorize, modify, see it, and revoke what is replaced.
fn both_ways() -> Vec<Step> {
    let mut steps = Vec::new();
    for direction in Direction::BOTH {
        steps.push(authorize(direction, &[Cause::SpecChange]));
    }
    steps.push(Step::Settle);
    for direction in Direction::BOTH {
        steps.push(revoke(direction, Purpose::Replace, &[Cause::SpecChange]));
    }
    steps
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_authorized_one_way_holds_back_removals_of_that_way_only() {
    let (asked, failure) = execute(failing(&[("AuthorizeSecurityGroupIngress", ErrorClass::Quota)]), both_ways()).await;
    assert_eq!(
        asked,
        ["usual AuthorizeSecurityGroupIngress", "usual AuthorizeSecurityGroupEgress", "usual RevokeSecurityGroupEgress"]
    );
    assert_eq!(failure.as_deref(), Some("AuthorizeSecurityGroupIngress: no"));

    let (asked, _) = execute(failing(&[("AuthorizeSecurityGroupEgress", ErrorClass::Terminal)]), both_ways()).await;
    assert_eq!(
        asked,
        ["usual AuthorizeSecurityGroupIngress", "usual AuthorizeSecurityGroupEgress", "usual RevokeSecurityGroupIngress"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_changed_in_place_holds_back_removals_of_its_way() {
    let steps = vec![
        modify(Egress, &[Cause::SpecChange]),
        revoke(Ingress, Purpose::Replace, &[Cause::SpecChange]),
        revoke(Egress, Purpose::Replace, &[Cause::SpecChange]),
    ];
    let (asked, _) = execute(failing(&[("ModifySecurityGroupRules", ErrorClass::Terminal)]), steps).await;
    assert_eq!(asked, ["usual ModifySecurityGroupRules", "usual RevokeSecurityGroupIngress"]);
}

#[tokio::test(start_paused = true)]
async fn with_both_ways_unfinished_nothing_is_waited_for() {
    let failures = [("AuthorizeSecurityGroupIngress", ErrorClass::Quota), ("AuthorizeSecurityGroupEgress", ErrorClass::Quota)];
    let since = tokio::time::Instant::now();
    let (asked, _) = execute(failing(&failures), both_ways()).await;
    assert_eq!(asked, ["usual AuthorizeSecurityGroupIngress", "usual AuthorizeSecurityGroupEgress"]);
    assert_eq!(since.elapsed(), Duration::ZERO);
    let _ = execute(failing(&failures[..1]), both_ways()).await;
    assert_eq!(since.elapsed(), Timings::default().settle);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_show_is_not_taken_for_seen() {
    let steps = vec![
        authorize(Ingress, &[Cause::SpecChange]),
        authorize(Egress, &[Cause::SpecChange]),
        awaited(Ingress),
        awaited(Egress),
        Step::Settle,
        revoke(Ingress, Purpose::Replace, &[Cause::SpecChange]),
        revoke(Egress, Purpose::Replace, &[Cause::SpecChange]),
    ];
    let (asked, _) = execute(failing(&[("AuthorizeSecurityGroupIngress", ErrorClass::Quota)]), steps.clone()).await;
    assert_eq!(
        asked,
        ["usual AuthorizeSecurityGroupIngress", "usual AuthorizeSecurityGroupEgress", "usual RevokeSecurityGroupEgress"],
        "the other way goes on"
    );

    let (asked, failure) = execute(World { blind: true, ..World::default() }, steps.clone()).await;
    assert_eq!(asked, ["usual AuthorizeSecurityGroupIngress", "usual AuthorizeSecurityGroupEgress"]);
    assert!(failure.unwrap().starts_with("EC2 does not show what was written yet"));

    let (asked, failure) = execute(World::default(), steps).await;
    assert_eq!((asked.len(), failure), (4, None));
}

#[tokio::test(start_paused = true)]
async fn rules_nobody_declared_go_whatever_else_fails() {
    let steps = vec![
        authorize(Ingress, &[Cause::SpecChange]),
        authorize(Egress, &[Cause::SpecChange]),
        revoke(Ingress, Purpose::Revert, &[Cause::Drift]),
        revoke(Egress, Purpose::Revert, &[Cause::Drift]),
        set_tags(Cause::SpecChange),
    ];
    let failures = [("AuthorizeSecurityGroupIngress", ErrorClass::Quota), ("AuthorizeSecurityGroupEgress", ErrorClass::Terminal)];
    let (asked, failure) = execute(failing(&failures), steps).await;
    assert_eq!(asked[2..], ["urgent RevokeSecurityGroupIngress", "urgent RevokeSecurityGroupEgress", "usual CreateTags"]);
    assert_eq!(failure.as_deref(), Some("AuthorizeSecurityGroupIngress: no"), "the first thing that went wrong");
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_nothing_more_is_tried_either_way() {
    for class in [ErrorClass::Throttled, ErrorClass::Unavailable, ErrorClass::Credentials, ErrorClass::Stale] {
        let (asked, _) = execute(failing(&[("AuthorizeSecurityGroupIngress", class)]), both_ways()).await;
        assert_eq!(asked, ["usual AuthorizeSecurityGroupIngress"], "{class:?}");
    }
    let stale = [("AuthorizeSecurityGroupIngress", ErrorClass::Stale)];
    let (asked, _) = execute_while(failing(&stale), both_ways(), usize::MAX, true).await;
    assert_eq!(asked.len(), 3, "a world that stays different asks for the impossible one way only");
}

#[tokio::test(start_paused = true)]
async fn nothing_more_is_called_once_what_the_plan_was_made_from_has_changed() {
    let (all, _) = execute(World::default(), both_ways()).await;
    for calls in 0..all.len() {
        let (asked, failure) = execute_while(World::default(), both_ways(), calls, false).await;
        assert_eq!(asked, all[..calls]);
        assert_eq!(failure.as_deref(), Some("the manifest, a suspend or the account has changed meanwhile"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_is_deleted_only_when_nothing_of_it_failed() {
    let steps = |failing_way| vec![revoke(failing_way, Purpose::Deletion, &[Cause::Deletion]), Step::DeleteGroup];
    for (direction, operation) in [(Ingress, "RevokeSecurityGroupIngress"), (Egress, "RevokeSecurityGroupEgress")] {
        let (asked, _) = execute(failing(&[(operation, ErrorClass::InUse)]), steps(direction)).await;
        assert_eq!(asked, [format!("usual {operation}")]);
        let (asked, _) = execute(World::default(), steps(direction)).await;
        assert_eq!(asked, [format!("usual {operation}"), "usual DeleteSecurityGroup".to_owned()]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_puts_drift_right_goes_by_the_urgent_writer_and_changes_by_the_usual() {
    let (drift, change) = (Cause::Drift, Cause::SpecChange);
    let steps = vec![
        set_tags(drift),
        revoke(Ingress, Purpose::Revert, &[drift]),
        modify(Ingress, &[drift, drift]),
        modify(Ingress, &[drift, change]),
        authorize(Egress, &[drift]),
        authorize(Egress, &[change]),
        describe(Egress, &[drift]),
        describe(Egress, &[drift, Cause::Unclassified]),
        revoke(Egress, Purpose::Replace, &[change]),
        set_tags(change),
        Step::RemoveTags { tags: Tags::default(), cause: change },
    ];
    let (asked, failure) = execute(World::default(), steps).await;
    assert_eq!(failure, None);
    assert_eq!(
        asked,
        [
            "urgent CreateTags",
            "urgent RevokeSecurityGroupIngress",
            "urgent ModifySecurityGroupRules",
            "usual ModifySecurityGroupRules",
            "urgent AuthorizeSecurityGroupEgress",
            "usual AuthorizeSecurityGroupEgress",
            "urgent DescribeEgress",
            "usual DescribeEgress",
            "usual RevokeSecurityGroupEgress",
            "usual CreateTags",
            "usual DeleteTags",
        ]
    );
}

#[test]
fn a_revert_is_urgent_whatever_its_cause_and_a_removal_by_change_never() {
    for cause in <Cause as strum::IntoEnumIterator>::iter() {
        assert!(is_urgent(&revoke(Ingress, Purpose::Revert, &[cause])), "{cause}");
        assert_eq!(is_urgent(&revoke(Ingress, Purpose::Replace, &[cause])), cause.is_drift(), "{cause}");
        assert_eq!(is_urgent(&set_tags(cause)), cause.is_drift(), "{cause}");
    }
    assert!(!is_urgent(&Step::DeleteGroup) && !is_urgent(&Step::Settle) && !is_urgent(&awaited(Ingress)));
}
