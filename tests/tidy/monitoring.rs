//! Alerts and dashboard that ask for metrics, labels and values that are there, and a runbook for each alert.
//!
//! Entry points: the tests; [`asked`] reads what a `PromQL` expression asks for. That Prometheus can parse them is held by its own
//! parser, in tests/promrules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::texts::rows;
use crate::{Finding, root, settle, text, update};

const RULES: &str = "deploy/monitoring/rules.yaml";
const OBJECT: &str = "deploy/monitoring/prometheusrule.yaml";
const DASHBOARD: &str = "deploy/monitoring/dashboard.json";
const RUNBOOKS: &str = "docs/alerts.md";
/// What Prometheus adds to every series.
const TARGET_LABELS: [&str; 3] = ["cluster", "namespace", "job"];
/// What stands above the rules in the object.
const HEAD: &str = "\
# Written by UPDATE=1 cargo test --test tidy, from rules.yaml: change that one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: sgwarden
  namespace: sgwarden-system
  labels:
    app.kubernetes.io/name: sgwarden
spec:
";

#[test]
fn every_expression_asks_for_what_is_there() {
    let known = documented();
    let rules = alerts().into_iter().map(|alert| (RULES, word(&alert["expr"])));
    let panels = panels().into_iter().flat_map(|panel| targets(&panel)).map(|target| (DASHBOARD, word(&target["expr"])));
    let all: Vec<(&str, String)> = rules.chain(panels).collect();
    assert!(all.len() > 40, "only {} expressions: the check sees nothing", all.len());
    settle(all.iter().flat_map(|(path, expression)| check(path, expression, &known)));
}

#[test]
fn an_alert_says_what_it_is_and_what_to_do() {
    let mut findings = Vec::new();
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = word(&alert["alert"]);
        let mut wrong = |what: &str| findings.push(Finding::at(RULES, 1, &format!("{name}: {what}")));
        if !name.starts_with("Sgwarden") || !names.insert(name.clone()) {
            wrong("call it Sgwarden and something that no other alert is called");
        }
        if !["critical", "warning", "info"].contains(&word(&alert["labels"]["severity"]).as_str()) {
            wrong("its severity is none of docs/alerts.md");
        }
        let annotations = &alert["annotations"];
        if word(&annotations["summary"]).is_empty() || word(&annotations["description"]).is_empty() {
            wrong("give it a summary and a description");
        }
        if word(&annotations["runbook"]) != format!("{RUNBOOKS}#{}", name.to_lowercase()) {
            wrong("its runbook is the section of its name in docs/alerts.md");
        }
        let grouped = asked(&word(&alert["expr"])).grouped;
        for label in templated(&annotations.to_string()) {
            if !grouped.contains(&label) {
                wrong(&format!("$labels.{label} is none of the labels it is grouped by"));
            }
        }
    }
    let explained: BTreeSet<String> =
        text(RUNBOOKS).lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    for name in names.symmetric_difference(&explained) {
        findings.push(Finding::at(RUNBOOKS, 1, &format!("{name} is either no alert of rules.yaml, or has no section here")));
    }
    settle(findings);
}

#[test]
fn the_operators_object_holds_the_same_rules() {
    let rules = text(RULES);
    let (_, groups) = rules.split_once("\ngroups:").expect("rules.yaml has groups");
    let indented = format!("groups:{groups}").lines().fold(String::new(), |page, line| page + "  " + line + "\n");
    let expected = format!("{HEAD}{indented}");
    if update() {
        std::fs::write(root().join(OBJECT), &expected).unwrap();
    } else if text(OBJECT) != expected {
        settle([Finding::at(OBJECT, 1, "is not what rules.yaml says: UPDATE=1 cargo test --test tidy")]);
    }
    assert_eq!(yaml(OBJECT)["spec"], yaml(RULES));
}

#[test]
fn the_pod_monitor_finds_the_pods() {
    let (monitor, deployment) = (yaml("deploy/monitoring/podmonitor.yaml"), yaml("deploy/kubernetes/deployment.yaml"));
    assert_eq!(monitor["spec"]["selector"], deployment["spec"]["selector"]);
    assert_eq!(monitor["metadata"]["namespace"], deployment["metadata"]["namespace"]);
    let ports = &deployment["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], ports[0]["name"]);
}

#[test]
fn the_dashboard_works_with_any_data_source() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).expect("the dashboard is JSON");
    assert_eq!(dashboard["templating"]["list"][0]["name"], "datasource");
    assert!(dashboard["uid"].is_null() && dashboard["id"].is_null(), "Grafana gives it an id of its own");
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in panels() {
        assert!(ids.insert(panel["id"].to_string()), "a second panel {}", panel["id"]);
        assert!(places.insert(panel["gridPos"].to_string()), "{} lies upon another panel", panel["title"]);
        assert!(!word(&panel["title"]).is_empty());
        let row = panel["type"] == "row";
        assert_eq!(row, targets(&panel).is_empty(), "{}", panel["title"]);
        assert!(row || panel["datasource"]["uid"] == "${datasource}", "{}", panel["title"]);
        assert!(targets(&panel).iter().all(|target| target["datasource"]["uid"] == "${datasource}"), "{}", panel["title"]);
    }
}

#[test]
fn a_bad_expression_is_found() {
    let known = documented();
    let found = |expression: &str| check("x", expression, &known).into_iter().map(|finding| finding.what).collect::<Vec<_>>();
    assert_eq!(
        found("sum by (cluster, class) (increase(sgwarden_reconcile_errors_total{class=~\"Auth|Throttled\"}[5m]))"),
        [""; 0]
    );
    assert_eq!(found("sgwarden_leader * sgwarden_leeder"), ["sgwarden_leeder is no metric of docs/metrics.md"]);
    assert_eq!(found("sgwarden_reconcile"), ["sgwarden_reconcile is no metric of docs/metrics.md"]);
    assert_eq!(
        found("sgwarden_event_delay_seconds"),
        ["sgwarden_event_delay_seconds is a histogram: take its _bucket, _sum or _count"]
    );
    assert_eq!(found("sgwarden_leader_count"), ["sgwarden_leader_count is no metric of docs/metrics.md"]);
    assert_eq!(found("sgwarden_leader{region=\"x\"}"), ["sgwarden_leader has no label region"]);
    let strange = "sgwarden_reconcile_total{result=~\"error|failure\"}";
    assert_eq!(found(strange), ["sgwarden_reconcile_total{result} is never failure"]);
    assert_eq!(found("sum by (kind) (sgwarden_leader)"), ["kind is a label of nothing in it"]);
}

/// A metric as docs/metrics.md has it.
struct Documented {
    kind: String,
    /// Each label with its values; none where the page does not list them all.
    labels: BTreeMap<String, Vec<String>>,
}

fn documented() -> BTreeMap<String, Documented> {
    let rows = rows(&text("docs/metrics.md"), "## Metrics");
    let known: BTreeMap<String, Documented> = rows
        .into_iter()
        .map(|row| (row[0].replace('`', ""), Documented { kind: row[1].clone(), labels: labels(&row[2]) }))
        .collect();
    assert!(known.len() > 30 && known["sgwarden_reconcile_total"].labels["result"].len() == 3, "the table is not understood");
    known
}

/// Labels and values in a cell: names in backticks, each followed by a colon and its values, or by nothing.
fn labels(cell: &str) -> BTreeMap<String, Vec<String>> {
    let parts: Vec<&str> = cell.split('`').collect();
    let pairs = parts.iter().skip(1).step_by(2).zip(parts.iter().skip(2).step_by(2));
    let values = |list: &str| {
        let list: Vec<&str> = list.split([',', ';', ':']).map(str::trim).filter(|value| !value.is_empty()).collect();
        // A sentence is no list of values.
        if list.iter().any(|value| value.contains(' ')) { Vec::new() } else { list.into_iter().map(str::to_owned).collect() }
    };
    pairs.map(|(name, list)| ((*name).to_owned(), values(list))).collect()
}

/// What an expression asks for.
#[derive(Debug, Default)]
struct Asked {
    /// Metrics, each with its matchers: label and value.
    selected: Vec<(String, Vec<(String, String)>)>,
    /// Labels of `by`.
    grouped: BTreeSet<String>,
}

fn asked(expression: &str) -> Asked {
    let mut asked = Asked::default();
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for (at, _) in expression.match_indices("sgwarden_") {
        let rest = &expression[at..];
        let end = rest.find(|c| !name(c)).unwrap_or(rest.len());
        let matchers = rest[end..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        let matchers = matchers.split("\",").filter_map(|matcher| {
            let (label, value) = matcher.split_once(['=', '!'])?;
            Some((label.trim().to_owned(), value.trim_matches(['=', '~', '"']).to_owned()))
        });
        asked.selected.push((rest[..end].to_owned(), matchers.collect()));
    }
    for (_, rest) in expression.match_indices("by (").map(|(at, by)| expression.split_at(at + by.len())) {
        let list = rest.split(')').next().unwrap_or_default();
        asked.grouped.extend(list.split(',').map(|label| label.trim().to_owned()));
    }
    asked
}

fn check(path: &str, expression: &str, known: &BTreeMap<String, Documented>) -> Vec<Finding> {
    let asked = asked(expression);
    let mut wrong = Vec::new();
    if asked.selected.is_empty() {
        wrong.push(format!("{expression} asks for nothing of ours"));
    }
    let mut labels: BTreeSet<&str> = TARGET_LABELS.into();
    for (name, matchers) in &asked.selected {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let of_histogram = base.and_then(|base| known.get(base)).filter(|metric| metric.kind == "histogram");
        let Some(metric) = of_histogram.or_else(|| known.get(name)) else {
            wrong.push(format!("{name} is no metric of docs/metrics.md"));
            continue;
        };
        if metric.kind == "histogram" && of_histogram.is_none() {
            wrong.push(format!("{name} is a histogram: take its _bucket, _sum or _count"));
        }
        labels.extend(metric.labels.keys().map(String::as_str));
        if name.ends_with("_bucket") {
            labels.insert("le");
        }
        for (label, value) in matchers {
            match metric.labels.get(label) {
                None => wrong.push(format!("{name} has no label {label}")),
                Some(values) if values.is_empty() => {}
                Some(values) => {
                    let strange = value.split('|').filter(|value| !values.iter().any(|known| known == value));
                    wrong.extend(strange.map(|value| format!("{name}{{{label}}} is never {value}")));
                }
            }
        }
    }
    // An unknown metric's labels are unknown too: say the one thing.
    if wrong.is_empty() {
        let strange = asked.grouped.iter().filter(|label| !labels.contains(label.as_str()));
        wrong.extend(strange.map(|label| format!("{label} is a label of nothing in it")));
    }
    wrong.into_iter().map(|what| Finding::at(path, 1, &what)).collect()
}

/// The labels that a text is filled with.
fn templated(text: &str) -> Vec<String> {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split("$labels.").skip(1).filter_map(|rest| rest.split(|c| !name(c)).next()).map(str::to_owned).collect()
}

fn alerts() -> Vec<Value> {
    let groups = yaml(RULES)["groups"].as_array().cloned().unwrap_or_default();
    groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect()
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).expect("the dashboard is JSON");
    dashboard["panels"].as_array().cloned().unwrap_or_default()
}

fn targets(panel: &Value) -> Vec<Value> {
    panel["targets"].as_array().cloned().unwrap_or_default()
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
