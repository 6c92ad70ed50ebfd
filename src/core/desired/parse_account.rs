//! An `AwsAccount` as people wrote it, every problem of it at once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::api::{self, Adoption, AwsAccount, MAX_QUEUES, NamespacesFrom, UnknownWord};
use crate::core::model::{AccountId, DEFAULT_RULES_PER_GROUP, Region, VpcId};

use super::account::{
    Account, AccountRole, Ceiling, DEFAULT_SETTLE, DEFAULT_SWEEP_INTERVAL, Defaults, Limits, MassLimit, NamespaceRule, QueueAddress,
};
use super::namespaces::checked_selector;
use super::parse::{MAX_ACCOUNT_NAME, check_tags, is_account};
use super::problem::Problems;
use super::{Approval, Mode, Problem, UndeclaredRules, text};

const SWEEP_INTERVAL: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(3600);
const SETTLE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);
const MAX_SUSPEND: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);
/// The most Regions and VPCs.
const MAX_REGIONS: usize = 40;
const MAX_VPCS: usize = 64;

/// Understands an account, or says everything that is wrong with it. An account with a problem is nobody's account: a stop
/// button pressed in the same edit as a slip of the finger must not leave the old account at work.
pub fn parse_account(object: &AwsAccount) -> Result<Account, Vec<Problem>> {
    let api::AwsAccountSpec {
        account_id,
        regions,
        role_arn,
        external_id,
        endpoint_url,
        allowed_namespaces,
        sweep_interval,
        settle,
        limits,
        defaults,
        events,
        attribution,
        adoption,
        mode,
    } = &object.spec;
    let mut problems = Problems::default();
    let p = &mut problems;
    let name = object.metadata.name.clone().unwrap_or_default();
    if !is_account(&name) {
        p.add(
            "metadata.name",
            format!(
                "an account's name has {MAX_ACCOUNT_NAME} characters at most, as the status of every group holds it: create it under another"
            ),
        );
    }
    let id: Option<AccountId> = p.keep("spec.accountId", account_id.parse());
    let regions: BTreeSet<Region> = all("spec.regions", regions, MAX_REGIONS, p);
    if object.spec.regions.is_empty() {
        p.add("spec.regions", "name at least one AWS Region, such as [eu-west-1]");
    }
    let role = role(role_arn.as_deref(), external_id.as_deref(), id.as_ref(), p);
    if endpoint_url.as_deref().is_some_and(|url| !is_endpoint(url)) {
        p.add("spec.endpointUrl", "an endpoint is an address without a query, such as https://ec2.internal.example:443");
    }
    let namespaces = namespaces(allowed_namespaces, p);
    let vpcs: BTreeSet<VpcId> = all("spec.allowedNamespaces.vpcs", &allowed_namespaces.vpcs, MAX_VPCS, p);
    let sweep_interval =
        duration("spec.sweepInterval", sweep_interval.as_deref(), &SWEEP_INTERVAL, p).unwrap_or(DEFAULT_SWEEP_INTERVAL);
    let settle = duration("spec.settle", settle.as_deref(), &SETTLE, p).unwrap_or(DEFAULT_SETTLE);
    let limits = limits.as_ref().map_or_else(Limits::default, |written| self::limits(written, p));
    let defaults = defaults.as_ref().map_or_else(Defaults::default, |written| self::defaults(written, p));
    let queues = queues(events.as_ref().map_or(&[], |events| events.queues.as_slice()), p);
    let lookup_events = attribution.as_ref().and_then(|attribution| attribution.lookup_events).unwrap_or(false);
    let adoption = word("spec.adoption", adoption.as_deref(), Adoption::parse, p).unwrap_or(Adoption::Consent);
    let mode = word("spec.mode", mode.as_deref(), Mode::parse, p).unwrap_or(Mode::Enforce);
    let account = namespaces.map(|namespaces| Account {
        name,
        id,
        regions,
        role,
        endpoint: endpoint_url.clone(),
        namespaces,
        vpcs,
        sweep_interval,
        settle,
        limits,
        defaults,
        queues,
        lookup_events,
        adoption,
        mode,
    });
    problems.settle(account)
}

/// Each item of a list.
fn all<T>(path: &str, items: &[String], most: usize, problems: &mut Problems) -> BTreeSet<T>
where
    T: std::str::FromStr<Err: Display> + Ord,
{
    if items.len() > most {
        problems.add(path, format!("at most {most}: remove some"));
    }
    let one = |(index, item): (usize, &String)| problems.keep(format!("{path}[{index}]"), item.parse());
    items.iter().enumerate().filter_map(one).collect()
}

fn word<T>(path: &str, written: Option<&str>, parse: fn(&str) -> Result<T, UnknownWord>, problems: &mut Problems) -> Option<T> {
    written.and_then(|word| problems.keep(path, parse(word)))
}

fn words<T: Ord>(
    path: &str,
    written: Option<&Vec<String>>,
    parse: fn(&str) -> Result<T, UnknownWord>,
    problems: &mut Problems,
) -> Option<BTreeSet<T>> {
    let one = |(index, word): (usize, &String)| problems.keep(format!("{path}[{index}]"), parse(word));
    written.map(|words| words.iter().enumerate().filter_map(one).collect())
}

fn duration(path: &str, written: Option<&str>, within: &RangeInclusive<Duration>, problems: &mut Problems) -> Option<Duration> {
    written.and_then(|written| problems.keep(path, text::duration(written, within)))
}

fn number(path: &str, written: Option<i32>, within: RangeInclusive<u32>, default: u32, problems: &mut Problems) -> u32 {
    let Some(written) = written else { return default };
    match u32::try_from(written) {
        Ok(number) if within.contains(&number) => number,
        Ok(_) | Err(_) => {
            problems.add(path, format!("{written} is out of bounds: write {} to {}", within.start(), within.end()));
            default
        }
    }
}

/// The role, which is one of the account it leads to.
fn role(arn: Option<&str>, external_id: Option<&str>, id: Option<&AccountId>, problems: &mut Problems) -> Option<AccountRole> {
    if external_id.is_some() && arn.is_none() {
        problems.add("spec.externalId", "externalId goes with roleArn only: remove it, or name the role in roleArn");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if external_id.is_some_and(|text| !(2..=1224).contains(&text.len()) || !text.chars().all(allowed)) {
        problems.add("spec.externalId", "an external id has 2 to 1224 of A-Z a-z 0-9 and _ + = , . @ : / -");
    }
    let arn = arn?;
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let owner: Option<AccountId> = match parts.as_slice() {
        ["arn", partition, "iam", "", owner, resource]
            if partition.starts_with("aws") && resource.strip_prefix("role/").is_some_and(is_role_name) && arn.len() <= 256 =>
        {
            owner.parse().ok()
        }
        _ => None,
    };
    match (owner, id) {
        (None, _) => {
            problems.add("spec.roleArn", format!("'{arn}' is not a role: write it like arn:aws:iam::123456789012:role/sgwarden"));
        }
        (Some(owner), Some(id)) if owner != *id => {
            problems.add(
                "spec.roleArn",
                format!(
                    "the role is of account {owner}, and accountId says {id}: name a role of that account, or correct accountId"
                ),
            );
        }
        (Some(_), _) => {}
    }
    Some(AccountRole { arn: arn.to_owned(), external_id: external_id.map(str::to_owned) })
}

/// Path and name of a role.
fn is_role_name(text: &str) -> bool {
    !text.is_empty() && !text.ends_with('/') && text.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@/-".contains(c))
}

fn is_endpoint(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_graphic() && !"?#@\"<>\\^`{|}".contains(c);
    url.len() <= 512 && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':']) && rest.chars().all(plain))
}

fn queues(written: &[api::EventQueue], problems: &mut Problems) -> BTreeSet<QueueAddress> {
    let mut queues = BTreeSet::new();
    if written.len() > MAX_QUEUES {
        problems.add("spec.events.queues", format!("there are {} queues; an account has {MAX_QUEUES} at most", written.len()));
    }
    for (number, api::EventQueue { url, region }) in written.iter().take(MAX_QUEUES).enumerate() {
        let path = format!("spec.events.queues[{number}]");
        if !is_queue(url) {
            let form = "https://sqs.eu-west-1.amazonaws.com/111122223333/sgwarden";
            problems.add(format!("{path}.url"), format!("'{url}' is not the URL of a standard queue: write it like {form}"));
        }
        let region = region.as_ref().and_then(|region| problems.keep(format!("{path}.region"), region.parse()));
        queues.insert(QueueAddress { url: url.clone(), region });
    }
    queues
}

/// A FIFO queue's name has a dot in it.
fn is_queue(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).and_then(|rest| rest.split_once('/'));
    let host = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".:[]_-".contains(c));
    let path = |text: &str| {
        let form = text.chars().all(|c| c.is_ascii_alphanumeric() || "_/-".contains(c));
        form && text.chars().last().is_some_and(|last| last != '/')
    };
    rest.is_some_and(|(authority, name)| host(authority) && path(name))
}

fn namespaces(written: &api::AccountNamespaces, problems: &mut Problems) -> Option<NamespaceRule> {
    let api::AccountNamespaces { from, selector, vpcs: _ } = written;
    let path = "spec.allowedNamespaces";
    let from = match NamespacesFrom::parse(from) {
        Ok(from @ (NamespacesFrom::All | NamespacesFrom::Selector)) => from,
        // An account is in no namespace.
        Ok(NamespacesFrom::Same) | Err(_) => {
            problems.add(format!("{path}.from"), format!("'{from}' is not one of All, Selector"));
            return None;
        }
    };
    let selector = checked_selector(from == NamespacesFrom::Selector, selector.as_ref(), path, problems);
    if from == NamespacesFrom::All { Some(NamespaceRule::All) } else { selector.map(NamespaceRule::Selector) }
}

fn limits(written: &api::AccountLimits, problems: &mut Problems) -> Limits {
    let api::AccountLimits { api_share, rules_per_group, revocations_per_minute, max_suspend, mass_change, enforcement } = written;
    let path = |field: &str| format!("spec.limits.{field}");
    let usual = Limits::default();
    let share = api_share.filter(|share| {
        // Not a number is in no range. Below a hundredth, an hour would not do for a sweep.
        let fits = (0.01..=1.0).contains(share);
        if !fits {
            problems.add(
                path("apiShare"),
                format!("{share} is out of bounds: write a share of AWS's rates from 0.01 to 1, such as 0.5"),
            );
        }
        fits
    });
    let mass_change = mass_change.as_ref().map_or(usual.mass_change, |written| {
        let api::MassChange { percent, rules } = written;
        MassLimit {
            percent: number(&path("massChange.percent"), *percent, 1..=100, usual.mass_change.percent, problems),
            rules: number(&path("massChange.rules"), *rules, 1..=1_000_000, usual.mass_change.rules, problems),
        }
    });
    let ceiling = enforcement.as_ref().map_or(usual.ceiling, |written| {
        let api::EnforcementCeiling { modes, undeclared_rules, tolerate, suspend } = written;
        let path = |field: &str| path(&format!("enforcement.{field}"));
        Ceiling {
            modes: words(&path("modes"), modes.as_ref(), Mode::parse, problems),
            undeclared: words(&path("undeclaredRules"), undeclared_rules.as_ref(), UndeclaredRules::parse, problems),
            tolerate: tolerate.unwrap_or(true),
            suspend: suspend.unwrap_or(true),
        }
    });
    Limits {
        api_share: share.unwrap_or(usual.api_share),
        rules_per_group: number(&path("rulesPerGroup"), *rules_per_group, 1..=1000, DEFAULT_RULES_PER_GROUP, problems),
        revocations_per_minute: number(
            &path("revocationsPerMinute"),
            *revocations_per_minute,
            1..=100_000,
            usual.revocations_per_minute,
            problems,
        ),
        max_suspend: duration(&path("maxSuspend"), max_suspend.as_deref(), &MAX_SUSPEND, problems).unwrap_or(usual.max_suspend),
        mass_change,
        ceiling,
    }
}

fn defaults(written: &api::AccountDefaults, problems: &mut Problems) -> Defaults {
    let api::AccountDefaults { tags, enforcement } = written;
    check_tags("spec.defaults.tags", tags, problems);
    let none = api::DefaultEnforcement::default();
    let api::DefaultEnforcement { mode, undeclared_rules, approval } = enforcement.as_ref().unwrap_or(&none);
    let path = |field: &str| format!("spec.defaults.enforcement.{field}");
    Defaults {
        tags: tags.clone(),
        mode: word(&path("mode"), mode.as_deref(), Mode::parse, problems),
        undeclared: word(&path("undeclaredRules"), undeclared_rules.as_deref(), UndeclaredRules::parse, problems),
        approval: word(&path("approval"), approval.as_deref(), Approval::parse, problems),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(spec: &str) -> Result<Account, Vec<String>> {
        named("prod", spec)
    }

    fn named(name: &str, spec: &str) -> Result<Account, Vec<String>> {
        let yaml = format!("{{apiVersion: sgwarden.dev/v1alpha1, kind: AwsAccount, metadata: {{name: {name}}}, spec: {spec}}}");
        let object = serde_yaml::from_str(&yaml).unwrap();
        parse_account(&object).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn with(more: &str) -> String {
        format!("{{accountId: \"111122223333\", regions: [eu-west-1], allowedNamespaces: {{from: All}}, {more}}}")
    }

    #[test]
    fn an_account_that_says_little_has_the_documented_defaults() {
        let account = parsed(&with("")).unwrap();
        let own = Account::own(BTreeSet::from(["eu-west-1".parse().unwrap()]));
        assert_eq!(account, Account { name: "prod".into(), id: Some("111122223333".parse().unwrap()), ..own });
        let Limits { api_share, rules_per_group, revocations_per_minute, max_suspend, mass_change, ceiling } = account.limits;
        assert!((api_share - 0.5).abs() < f64::EPSILON);
        assert_eq!((rules_per_group, revocations_per_minute, max_suspend), (60, 100, Duration::from_secs(86_400)));
        assert_eq!((mass_change.percent, mass_change.rules), (25, 200));
        assert_eq!(ceiling, Ceiling { modes: None, undeclared: None, tolerate: true, suspend: true });
        assert_eq!((account.sweep_interval.as_secs(), account.settle.as_secs()), (60, 5));
        assert_eq!((account.adoption, account.mode), (Adoption::Consent, Mode::Enforce));
    }

    #[test]
    fn everything_an_account_can_say_is_understood() {
        let account = parsed(
            "{accountId: \"111122223333\", regions: [eu-west-1, us-gov-west-1], roleArn: \"arn:aws-us-gov:iam::111122223333:role/ops/sgwarden\",
              externalId: \"a:b/c\", endpointUrl: \"http://127.0.0.1:4510\", sweepInterval: 1m30s, settle: 500ms, adoption: Allowed, mode: Observe,
              allowedNamespaces: {from: Selector, selector: {matchLabels: {team: shop}}, vpcs: [vpc-0a1b2c3d]},
              events: {queues: [{url: \"https://sqs.eu-west-1.amazonaws.com/111122223333/q\"}, {url: \"http://127.0.0.1:9324/q\", region: eu-west-1}]},
              attribution: {lookupEvents: true},
              limits: {apiShare: 1, rulesPerGroup: 200, revocationsPerMinute: 5, maxSuspend: 8h, massChange: {percent: 10},
                       enforcement: {modes: [Enforce], undeclaredRules: [Revoke, Report], tolerate: false, suspend: false}},
              defaults: {tags: {owner: platform}, enforcement: {mode: Observe, undeclaredRules: Report, approval: Required}}}",
        )
        .unwrap();
        let Account {
            name,
            id,
            regions,
            role,
            endpoint,
            namespaces,
            vpcs,
            sweep_interval,
            settle,
            limits,
            defaults,
            queues,
            lookup_events,
            adoption,
            mode,
        } = account;
        let text = [
            format!("{name} {id:?} {regions:?} {role:?} {endpoint:?}"),
            format!("{namespaces:?} {vpcs:?} {sweep_interval:?} {settle:?} {adoption} {mode}"),
            format!("{limits:?}"),
            format!("{queues:?} {lookup_events}"),
            format!("{defaults:?}"),
        ];
        insta::assert_snapshot!(text.join("\n"), @r#"
        prod Some(111122223333) {eu-west-1, us-gov-west-1} Some(AccountRole { arn: "arn:aws-us-gov:iam::111122223333:role/ops/sgwarden", external_id: Some("a:b/c") }) Some("http://127.0.0.1:4510")
        Selector(Selector { labels: {"team": "shop"}, expressions: [] }) {vpc-0a1b2c3d} 90s 500ms Allowed Observe
        Limits { api_share: 1.0, rules_per_group: 200, revocations_per_minute: 5, max_suspend: 28800s, mass_change: MassLimit { percent: 10, rules: 200 }, ceiling: Ceiling { modes: Some({Enforce}), undeclared: Some({Revoke, Report}), tolerate: false, suspend: false } }
        {QueueAddress { url: "http://127.0.0.1:9324/q", region: Some(eu-west-1) }, QueueAddress { url: "https://sqs.eu-west-1.amazonaws.com/111122223333/q", region: None }} true
        Defaults { tags: {"owner": "platform"}, mode: Some(Observe), undeclared: Some(Report), approval: Some(Required) }
        "#);
    }

    #[test]
    fn everything_wrong_with_an_account_is_told_at_once() {
        let problems = named(
            "Prod",
            "{accountId: \"1\", regions: [Mars, eu-west-1], roleArn: \"arn:aws:iam::444455556666:user/x\", externalId: x, endpointUrl: ec2.local,
              sweepInterval: 5s, settle: 2m, adoption: Never, mode: Off,
              allowedNamespaces: {from: Same, vpcs: [main]},
              limits: {apiShare: 0, rulesPerGroup: 0, revocationsPerMinute: -1, maxSuspend: forever, massChange: {percent: 101, rules: 0},
                       enforcement: {modes: [Enforce, Pray], undeclaredRules: [revoke]}},
              defaults: {tags: {\"aws:x\": y}, enforcement: {mode: \"\", undeclaredRules: Drop, approval: Maybe}}}",
        )
        .unwrap_err();
        insta::assert_snapshot!(problems.join("\n"), @r"
        metadata.name: an account's name has 63 characters at most, as the status of every group holds it: create it under another
        spec.accountId: '1' is not an AWS account id: it must be 12 digits
        spec.adoption: 'Never' is not one of Consent, Allowed
        spec.allowedNamespaces.from: 'Same' is not one of All, Selector
        spec.allowedNamespaces.vpcs[0]: 'main' is not a VPC id: it must be vpc- and 8 or 17 lower-case hex digits
        spec.defaults.enforcement.approval: 'Maybe' is not one of Automatic, Required
        spec.defaults.enforcement.mode: '' is not one of Enforce, Observe
        spec.defaults.enforcement.undeclaredRules: 'Drop' is not one of Revoke, Report, Keep
        spec.defaults.tags[aws:x]: tag keys may not start with 'aws:' (AWS's), 'sgwarden.dev/' (sgwarden's own) or 'kubernetes.io/cluster/' (cloud controllers act on it): remove the key
        spec.endpointUrl: an endpoint is an address without a query, such as https://ec2.internal.example:443
        spec.externalId: an external id has 2 to 1224 of A-Z a-z 0-9 and _ + = , . @ : / -
        spec.limits.apiShare: 0 is out of bounds: write a share of AWS's rates from 0.01 to 1, such as 0.5
        spec.limits.enforcement.modes[1]: 'Pray' is not one of Enforce, Observe
        spec.limits.enforcement.undeclaredRules[0]: 'revoke' is not one of Revoke, Report, Keep
        spec.limits.massChange.percent: 101 is out of bounds: write 1 to 100
        spec.limits.massChange.rules: 0 is out of bounds: write 1 to 1000000
        spec.limits.maxSuspend: 'forever' is not a duration: write it like 60s, 5m or 1h30m
        spec.limits.revocationsPerMinute: -1 is out of bounds: write 1 to 100000
        spec.limits.rulesPerGroup: 0 is out of bounds: write 1 to 1000
        spec.mode: 'Off' is not one of Enforce, Observe
        spec.regions[0]: 'Mars' is not an AWS Region: it must be a code such as eu-west-1
        spec.roleArn: 'arn:aws:iam::444455556666:user/x' is not a role: write it like arn:aws:iam::123456789012:role/sgwarden
        spec.settle: '2m' is out of bounds: write 0s to 1m
        spec.sweepInterval: '5s' is out of bounds: write 10s to 1h
        ");
    }

    #[test]
    fn a_role_is_one_of_the_account_it_leads_to() {
        let role = |arn: &str| parsed(&with(&format!("roleArn: \"{arn}\"")));
        assert!(role("arn:aws:iam::111122223333:role/sgwarden").is_ok());
        assert!(role("arn:aws-cn:iam::111122223333:role/ops/eu/sgwarden").is_ok());
        assert_eq!(
            role("arn:aws:iam::444455556666:role/sgwarden").unwrap_err(),
            [
                "spec.roleArn: the role is of account 444455556666, and accountId says 111122223333: name a role of that account, or correct accountId"
            ]
        );
        for bad in [
            "",
            "sgwarden",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role/a b",
            "arn:aws:iam:eu-west-1:111122223333:role/a",
            "arn:aws:sts::111122223333:assumed-role/a/b",
            "arn:gcp:iam::111122223333:role/a",
            "arn:aws:iam::1:role/a",
        ] {
            assert_eq!(
                role(bad).unwrap_err(),
                [format!("spec.roleArn: '{bad}' is not a role: write it like arn:aws:iam::123456789012:role/sgwarden")]
            );
        }
        assert!(parsed(&with("externalId: abc")).unwrap_err()[0].contains("goes with roleArn only"));
    }

    #[test]
    fn an_endpoint_is_an_address() {
        for good in ["https://vpce-1.ec2.eu-west-1.vpce.amazonaws.com", "http://[::1]:4510/", "http://localhost:4510/ec2"] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "ftp://x",
            "https:///x",
            "http://:80",
            "http://a b",
            "https://u:p@x",
            "https://x?y",
            "https://x#y",
            "https://x\n",
        ] {
            assert!(!is_endpoint(bad), "{bad:?}");
        }
    }

    #[test]
    fn lists_and_bounds_are_kept() {
        assert_eq!(
            parsed("{accountId: \"111122223333\", regions: [], allowedNamespaces: {from: All}}").unwrap_err(),
            ["spec.regions: name at least one AWS Region, such as [eu-west-1]"]
        );
        assert!(parsed(&with("limits: {apiShare: .nan}")).is_err());
        for edge in [
            "sweepInterval: 10s",
            "sweepInterval: 1h",
            "settle: 0s",
            "settle: 60s",
            "limits: {maxSuspend: 720h}",
            "limits: {rulesPerGroup: 1000}",
        ] {
            assert!(parsed(&with(edge)).is_ok(), "{edge}");
        }
        for beyond in [
            "sweepInterval: 9s",
            "sweepInterval: 61m",
            "settle: 61s",
            "limits: {maxSuspend: 721h}",
            "limits: {rulesPerGroup: 1001}",
        ] {
            assert!(parsed(&with(beyond)).is_err(), "{beyond}");
        }
        // Nothing may be chosen: that is a list too.
        assert_eq!(parsed(&with("limits: {enforcement: {modes: []}}")).unwrap().limits.ceiling.modes, Some(BTreeSet::new()));
    }
}
