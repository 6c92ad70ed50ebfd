//! The exposition as Prometheus reads it: names, labels, bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;

use super::metered::{code_label, meter};
use super::*;
use crate::core::model::{
    Direction, ListedGroup, LiveRule, NewRule, PrefixListFacts, RuleId, SecurityGroupId, StaleRules, Tags, VpcAssociations,
    VpcFacts, VpcId,
};
use crate::ports::cloud::{
    Activity, CloudError, Ec2, Ec2Read, Ec2Write, ErrorClass, GroupQuery, Interface, NewGroup, PrefixListQuery, Receipt, VpcQuery,
};

fn exposition(metrics: &Metrics) -> String {
    let mut text = String::new();
    encode(&mut text, &metrics.registry()).unwrap();
    text
}

/// Every sample's name with the names of its labels.
fn shape(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut shape = BTreeMap::<String, BTreeSet<String>>::new();
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = sample.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let names = labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
        shape.entry(name.to_owned()).or_default().extend(names);
    }
    shape
}

fn busy() -> Metrics {
    let metrics = Metrics::default();
    metrics.reconcile.error("Throttled");
    metrics.drift.detected("RuleAdded", 2);
    metrics.drift.reverted("RuleAdded", 1);
    metrics.events.set_aside("NotJson");
    metrics.ec2.called("DescribeSecurityGroups", "OK", Duration::from_millis(40));
    metrics.region.waited(Priority::Revert, Duration::from_millis(40));
    metrics.region.sweep_ended(&place("prod"), SweepKind::Usual, true, Duration::from_millis(40));
    metrics.region.swept(&place("prod"), "2026-11-22T21:00:00Z".parse().unwrap(), 12, 1);
    metrics.region.stale_rules(&place("prod"), 3);
    metrics
}

fn place(account: &str) -> Place {
    Place { account: account.to_owned(), region: "eu-west-1".to_owned() }
}

#[test]
fn names_and_labels_are_these_and_no_others() {
    let shape = shape(&exposition(&busy()));
    let lines = shape.into_iter().map(|(name, labels)| {
        let labels = labels.into_iter().collect::<Vec<_>>().join(",");
        format!("{name} {{{labels}}}")
    });
    let expected = [
        "sgwarden_active_workers {}",
        "sgwarden_attributions_total {result}",
        "sgwarden_audit_errors_total {}",
        "sgwarden_build_info {version}",
        "sgwarden_denied_attempts_total {}",
        "sgwarden_drift_detected_total {kind}",
        "sgwarden_drift_reverted_total {kind}",
        "sgwarden_drift_time_to_revert_seconds_bucket {le}",
        "sgwarden_drift_time_to_revert_seconds_count {}",
        "sgwarden_drift_time_to_revert_seconds_sum {}",
        "sgwarden_drifted_groups {}",
        "sgwarden_ec2_lane_wait_seconds_bucket {le,priority}",
        "sgwarden_ec2_lane_wait_seconds_count {priority}",
        "sgwarden_ec2_lane_wait_seconds_sum {priority}",
        "sgwarden_ec2_request_duration_seconds_bucket {le,operation}",
        "sgwarden_ec2_request_duration_seconds_count {operation}",
        "sgwarden_ec2_request_duration_seconds_sum {operation}",
        "sgwarden_ec2_requests_total {code,operation}",
        "sgwarden_ec2_throttles_total {}",
        "sgwarden_event_delay_seconds_bucket {le}",
        "sgwarden_event_delay_seconds_count {}",
        "sgwarden_event_delay_seconds_sum {}",
        "sgwarden_event_queue_errors_total {}",
        "sgwarden_events_at_work {}",
        "sgwarden_events_received_total {}",
        "sgwarden_events_set_aside_total {reason}",
        "sgwarden_invalid_objects {}",
        "sgwarden_last_successful_reconcile_timestamp_seconds {}",
        "sgwarden_last_sweep_timestamp_seconds {account,region}",
        "sgwarden_leader {}",
        "sgwarden_managed_groups {}",
        "sgwarden_own_role_misuse_total {}",
        "sgwarden_reconcile_errors_total {class}",
        "sgwarden_reconcile_panics_total {}",
        "sgwarden_reconcile_time_seconds_bucket {le}",
        "sgwarden_reconcile_time_seconds_count {}",
        "sgwarden_reconcile_time_seconds_sum {}",
        "sgwarden_reconcile_total {result}",
        "sgwarden_spans_dropped_total {reason}",
        "sgwarden_spans_sent_total {}",
        "sgwarden_stale_rules {account,region}",
        "sgwarden_status_writes_total {result}",
        "sgwarden_sweep_time_seconds_bucket {kind,le}",
        "sgwarden_sweep_time_seconds_count {kind}",
        "sgwarden_sweep_time_seconds_sum {kind}",
        "sgwarden_sweeps_total {account,kind,region,result}",
        "sgwarden_swept_groups {account,region}",
        "sgwarden_unmanaged_groups {account,region}",
    ];
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

#[test]
fn results_exist_from_the_start_and_kinds_once_announced() {
    let metrics = Metrics::default();
    metrics.drift.announce(["RuleAdded", "RuleRemoved"]);
    let text = exposition(&metrics);
    for series in [
        "sgwarden_reconcile_total{result=\"success\"} 0",
        "sgwarden_reconcile_total{result=\"error\"} 0",
        "sgwarden_reconcile_total{result=\"requeue\"} 0",
        "sgwarden_drift_detected_total{kind=\"RuleRemoved\"} 0",
        "sgwarden_drift_reverted_total{kind=\"RuleAdded\"} 0",
    ] {
        assert!(text.contains(series), "{series} is missing in:\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_is_active_while_it_runs_and_timed_when_it_ends() {
    let metrics = Metrics::default();
    let clock = Clock::anchored("2026-11-22T21:00:00Z".parse::<Timestamp>().unwrap());
    let working = metrics.reconcile.begin(&clock);
    assert!(exposition(&metrics).contains("sgwarden_active_workers 1\n"));
    tokio::time::advance(Duration::from_secs(2)).await;
    working.end(Outcome::Success);
    let text = exposition(&metrics);
    assert!(text.contains("sgwarden_active_workers 0\n"), "{text}");
    assert!(text.contains("sgwarden_reconcile_total{result=\"success\"} 1\n"), "{text}");
    assert!(text.contains("sgwarden_reconcile_time_seconds_sum 2.0\n"), "{text}");
    assert!(text.contains("sgwarden_last_successful_reconcile_timestamp_seconds 1795381202\n"), "{text}");

    let panicking = metrics.reconcile.begin(&clock);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _held = panicking;
        panic!("in a reconcile");
    }));
    assert!(caught.is_err());
    assert!(exposition(&metrics).contains("sgwarden_active_workers 0\n"));
}

#[test]
fn the_series_of_an_account_that_is_gone_go_and_the_others_stay() {
    let metrics = busy();
    metrics.region.sweep_ended(&place("test"), SweepKind::Usual, false, Duration::from_millis(40));
    metrics.region.swept(&place("test"), "2026-11-22T21:00:00Z".parse().unwrap(), 3, 0);
    metrics.region.forget(&place("prod"));
    let text = exposition(&metrics);
    assert!(!text.contains("account=\"prod\""), "{text}");
    for series in [
        "sgwarden_last_sweep_timestamp_seconds{account=\"test\",region=\"eu-west-1\"} 1795381200",
        "sgwarden_sweeps_total{account=\"test\",region=\"eu-west-1\",kind=\"usual\",result=\"error\"} 1",
        "sgwarden_sweeps_total{account=\"test\",region=\"eu-west-1\",kind=\"usual\",result=\"success\"} 0",
        "sgwarden_swept_groups{account=\"test\",region=\"eu-west-1\"} 3",
    ] {
        assert!(text.contains(series), "{series} is missing in:\n{text}");
    }
}

fn error(class: ErrorClass, code: Option<&str>) -> CloudError {
    CloudError {
        operation: "X",
        class,
        code: code.map(str::to_owned),
        message: String::new(),
        request_id: None,
        outcome_unknown: false,
    }
}

#[test]
fn a_code_that_nobody_knows_makes_no_series_of_its_own() {
    assert_eq!(code_label(None), "OK");
    assert_eq!(code_label(Some(&error(ErrorClass::Unavailable, None))), "NoAnswer");
    assert_eq!(code_label(Some(&error(ErrorClass::Stale, Some("InvalidGroup.NotFound")))), "InvalidGroup.NotFound");
    assert_eq!(code_label(Some(&error(ErrorClass::Terminal, Some("proxy-7f3a says no")))), "Other");
}

/// An EC2 that refuses everything in the same way.
struct Refusing(CloudError);

#[async_trait]
impl Ec2Read for Refusing {
    async fn listing(&self, _: &GroupQuery) -> Result<Vec<ListedGroup>, CloudError> {
        Err(self.0.clone())
    }
    async fn rules_of(&self, _: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, Vec<LiveRule>>, CloudError> {
        Ok(BTreeMap::new())
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

#[async_trait]
impl Ec2Write for Refusing {
    async fn create_group(&self, _: &NewGroup) -> Result<Receipt, CloudError> {
        Err(self.0.clone())
    }
    async fn delete_group(&self, _: &SecurityGroupId) -> Result<Receipt, CloudError> {
        Err(self.0.clone())
    }
    async fn authorize(&self, _: &SecurityGroupId, _: Direction, _: &[NewRule]) -> Result<Receipt, CloudError> {
        Err(self.0.clone())
    }
    async fn revoke(&self, _: &SecurityGroupId, _: Direction, _: &[RuleId]) -> Result<Receipt, CloudError> {
        Err(self.0.clone())
    }
    async fn modify(&self, _: &SecurityGroupId, _: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        Err(self.0.clone())
    }
    async fn describe(&self, _: &SecurityGroupId, _: Direction, _: &[(RuleId, Option<String>)]) -> Result<Receipt, CloudError> {
        Err(self.0.clone())
    }
    async fn set_tags(&self, _: &SecurityGroupId, _: &Tags) -> Result<Receipt, CloudError> {
        Err(self.0.clone())
    }
    async fn remove_tags(&self, _: &SecurityGroupId, _: &Tags) -> Result<Receipt, CloudError> {
        Err(self.0.clone())
    }
}

#[async_trait]
impl Activity for Refusing {
    async fn lookup(&self, _: &str, _: Timestamp, _: Timestamp) -> Result<Vec<String>, CloudError> {
        Err(self.0.clone())
    }
}

#[tokio::test]
async fn calls_are_counted_by_operation_and_answer_and_passed_on() {
    let metrics = Metrics::default();
    let clock = Clock::system();
    let refusing = Arc::new(Refusing(error(ErrorClass::Throttled, Some("RequestLimitExceeded"))));
    let ec2 = Ec2 {
        account: "111122223333".parse().unwrap(),
        principal: "arn:aws:iam::111122223333:user/sgwarden".to_owned(),
        region: "eu-west-1".parse().unwrap(),
        read: refusing.clone(),
        write: refusing.clone(),
        activity: refusing,
    };
    let Ec2 { read, write, .. } = meter(ec2, &metrics.ec2, &clock);
    let group: SecurityGroupId = "sg-0a1b2c3d4e5f67890".parse().unwrap();
    assert!(read.groups(&GroupQuery::All).await.unwrap_err().is("RequestLimitExceeded"));
    read.rules(&group).await.unwrap();
    read.vpcs(&VpcQuery::Tagged(Tags::new())).await.unwrap();
    read.prefix_lists(&PrefixListQuery::Name("offices".into())).await.unwrap();
    write.revoke(&group, Direction::Egress, &[]).await.unwrap_err();
    let text = exposition(&metrics);
    for series in [
        "sgwarden_ec2_requests_total{operation=\"DescribeSecurityGroups\",code=\"RequestLimitExceeded\"} 1",
        "sgwarden_ec2_requests_total{operation=\"DescribeSecurityGroupRules\",code=\"OK\"} 1",
        "sgwarden_ec2_requests_total{operation=\"DescribeVpcs\",code=\"OK\"} 1",
        "sgwarden_ec2_requests_total{operation=\"DescribeManagedPrefixLists\",code=\"OK\"} 1",
        "sgwarden_ec2_requests_total{operation=\"RevokeSecurityGroupEgress\",code=\"RequestLimitExceeded\"} 1",
        "sgwarden_ec2_throttles_total 2",
        "sgwarden_ec2_request_duration_seconds_count{operation=\"RevokeSecurityGroupEgress\"} 1",
    ] {
        assert!(text.contains(series), "{series} is missing in:\n{text}");
    }
}
