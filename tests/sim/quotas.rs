//! Quotas (ec2.md §3).

use crate::support::{VPC, VPC6, World, config};
use sgwarden::adapters::sim::{Config, Quotas};

fn many(n: usize, rule: impl Fn(usize) -> String) -> Vec<String> {
    (1..=n).map(rule).collect()
}

fn refs(rules: &[String]) -> Vec<&str> {
    rules.iter().map(String::as_str).collect()
}

#[test]
fn sixty_rules_fit_for_each_family_and_direction_and_the_next_is_refused_whole() {
    let world = World::new();
    let web = world.group(VPC6, "web");
    let (v4, v6) = (many(60, |n| format!("tcp/{n} 10.0.0.0/8")), many(60, |n| format!("tcp/{n} 2001:db8::/32")));
    world.allow(&web, &refs(&v4)).ok();
    world.allow(&web, &["tcp/99 10.0.0.0/8"]).fails("RulesPerSecurityGroupLimitExceeded");
    world.allow(&web, &refs(&v6)).ok();
    world.allow(&web, &["tcp/99 2001:db8::/32"]).fails("RulesPerSecurityGroupLimitExceeded");
    world.rules("AuthorizeSecurityGroupEgress", &web, &refs(&v4[..59])).ok();
    world.rules("AuthorizeSecurityGroupEgress", &web, &["tcp/99 10.0.0.0/8"]).fails("RulesPerSecurityGroupLimitExceeded");
    assert_eq!(world.ingress(&web).len(), 120);
}

#[test]
fn a_referenced_group_counts_once_in_both_families() {
    let world = World::new();
    let (web, db) = (world.group(VPC, "web"), world.group(VPC, "db"));
    let groups = many(60, |n| format!("tcp/{n} {db}"));
    world.allow(&web, &refs(&groups)).ok();
    world.allow(&web, &["tcp/99 10.0.0.0/8"]).fails("RulesPerSecurityGroupLimitExceeded");
    world.allow(&web, &["tcp/99 2001:db8::/32"]).fails("RulesPerSecurityGroupLimitExceeded");
}

#[test]
fn groups_per_region_are_limited() {
    let world = World::with(Config { quotas: Quotas { groups_per_region: 5, ..Quotas::default() }, ..config() });
    world.group(VPC, "a");
    world.group(VPC, "b");
    let third = world.call("CreateSecurityGroup", &[("GroupName", "c"), ("GroupDescription", "d"), ("VpcId", VPC)]);
    third.fails("SecurityGroupLimitExceeded");
}

#[test]
fn a_thousand_rules_go_in_one_call_and_no_more() {
    let world = World::with(Config { quotas: Quotas { rules_per_group: 2000, ..Quotas::default() }, ..config() });
    let web = world.group(VPC, "web");
    let rules = many(1001, |n| format!("tcp/{n} 10.0.0.0/8"));
    world.allow(&web, &refs(&rules)).fails("InvalidParameterValue");
    world.allow(&web, &refs(&rules[..1000])).ok();
}
