//! Filters and pages (ec2.md §1).

use crate::support::{VPC, VPC6, World};

fn names(world: &World, params: &[(&str, &str)]) -> Vec<String> {
    let mut names = world.call("DescribeSecurityGroups", params).ok().texts("securityGroupInfo", "groupName");
    names.sort();
    names
}

#[test]
fn pages_cover_everything_once_and_tokens_are_opaque() {
    let world = World::new();
    for n in 0..23 {
        world.group(VPC, &format!("g{n}"));
    }
    let mut token = String::new();
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let mut params = vec![("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", VPC), ("MaxResults", "10")];
        if !token.is_empty() {
            params.push(("NextToken", &token));
        }
        let body = world.call("DescribeSecurityGroups", &params).ok();
        seen.extend(body.texts("securityGroupInfo", "groupId"));
        pages += 1;
        token = body.text("nextToken").to_owned();
        if token.is_empty() {
            break;
        }
        assert!(!token.contains("sg-"));
    }
    assert_eq!((pages, seen.len()), (3, 24));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 24);
}

#[test]
fn without_a_page_size_everything_comes_at_once() {
    let world = World::new();
    for n in 0..30 {
        world.group(VPC, &format!("g{n}"));
    }
    let body = world.call("DescribeSecurityGroups", &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", VPC)]).ok();
    assert_eq!(body.items("securityGroupInfo").len(), 31);
    assert!(body.get("nextToken").is_none());
}

#[test]
fn page_sizes_have_ranges_and_bad_tokens_are_refused() {
    let world = World::new();
    for n in 0..7 {
        world.group(VPC, &format!("g{n}"));
    }
    for (action, bad) in [
        ("DescribeSecurityGroups", "4"),
        ("DescribeSecurityGroups", "1001"),
        ("DescribeSecurityGroupRules", "4"),
        ("DescribeSecurityGroupRules", "1001"),
        ("DescribeManagedPrefixLists", "0"),
        ("DescribeManagedPrefixLists", "101"),
        ("DescribeVpcs", "-5"),
    ] {
        world.call(action, &[("MaxResults", bad)]).fails("InvalidMaxResults");
    }
    let stale = |size: &str| world.call("DescribeStaleSecurityGroups", &[("VpcId", VPC), ("MaxResults", size)]);
    stale("255").ok();
    stale("256").fails("InvalidMaxResults");
    world.call("DescribeSecurityGroups", &[("MaxResults", "many")]).fails("InvalidParameterValue");
    world.call("DescribeSecurityGroups", &[("NextToken", "garbage")]).fails("InvalidNextToken");
    world.call("DescribeSecurityGroups", &[("NextToken", "abcdef0123456789")]).fails("InvalidNextToken");
    let first = world.call("DescribeSecurityGroups", &[("MaxResults", "5")]).ok();
    let token = first.text("nextToken");
    world.call("DescribeSecurityGroups", &[("NextToken", token), ("MaxResults", "5")]).ok();
    world.call("DescribeSecurityGroupRules", &[("NextToken", token)]).fails("InvalidPaginationToken");
}

#[test]
fn several_filters_all_hold_and_any_of_several_values_does() {
    let world = World::new();
    world.group(VPC, "web");
    world.group(VPC, "db");
    world.group(VPC6, "web");
    let by_name = |name| vec![("Filter.1.Name", "group-name"), ("Filter.1.Value.1", name)];
    assert_eq!(names(&world, &by_name("web")).len(), 2);
    assert_eq!(names(&world, &[by_name("web"), vec![("Filter.2.Name", "vpc-id"), ("Filter.2.Value.1", VPC)]].concat()), ["web"]);
    assert_eq!(names(&world, &[by_name("db"), vec![("Filter.1.Value.2", "web")]].concat()), ["db", "web", "web"]);
}

#[test]
fn values_take_wildcards_and_their_case_counts() {
    let world = World::new();
    for name in ["web-1", "web-2", "Web-3", "web*"] {
        world.group(VPC, name);
    }
    let by_name = |pattern| names(&world, &[("Filter.1.Name", "group-name"), ("Filter.1.Value.1", pattern)]);
    assert_eq!(by_name("web*"), ["web*", "web-1", "web-2"]);
    assert_eq!(by_name("?eb-?"), ["Web-3", "web-1", "web-2"]);
    assert_eq!(by_name(r"web\*"), ["web*"]);
    assert!(by_name("WEB-1").is_empty());
}

#[test]
fn rule_filters_of_groups_match_any_combination_of_rules_not_one_rule() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/443 10.0.0.0/24", "tcp/80 10.9.0.0/24"]).ok();
    let filter = |pairs: &[(&'static str, &'static str)]| {
        let params: Vec<(String, &str)> = pairs
            .iter()
            .enumerate()
            .flat_map(|(n, (name, value))| {
                [(format!("Filter.{}.Name", n + 1), *name), (format!("Filter.{}.Value.1", n + 1), *value)]
            })
            .collect();
        names(&world, &params.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>())
    };
    assert_eq!(filter(&[("ip-permission.from-port", "443"), ("ip-permission.cidr", "10.9.0.0/24")]), ["web"]);
    assert_eq!(filter(&[("ip-permission.protocol", "tcp")]), ["web"]);
    assert_eq!(filter(&[("egress.ip-permission.cidr", "0.0.0.0/0"), ("group-name", "web")]), ["web"]);
    assert!(filter(&[("ip-permission.cidr", "10.0.0.0/8")]).is_empty());
    assert!(filter(&[("egress.ip-permission.from-port", "443")]).is_empty());
}

#[test]
fn rules_filter_by_group_rule_and_tag_only() {
    let world = World::new();
    let rules = |name: &str| world.call("DescribeSecurityGroupRules", &[("Filter.1.Name", name), ("Filter.1.Value.1", "x")]);
    for name in ["group-id", "security-group-rule-id", "tag:team"] {
        rules(name).ok();
    }
    for name in ["vpc-id", "cidr", "tag-key", "is-egress"] {
        rules(name).fails("InvalidFilter");
    }
}

#[test]
fn unknown_filters_and_too_many_are_refused() {
    let world = World::new();
    let one =
        |name: &str, value: &str| world.call("DescribeSecurityGroups", &[("Filter.1.Name", name), ("Filter.1.Value.1", value)]);
    one("colour", "red").says("InvalidFilter", "The filter 'colour' is invalid");
    one("group-name", &"x".repeat(256)).fails("InvalidParameterValue");
    world.call("DescribeSecurityGroups", &[("Filter.1.Name", "group-name")]).fails("InvalidParameterValue");
    let values: Vec<String> = (1..=201).map(|n| format!("Filter.1.Value.{n}")).collect();
    let mut params = vec![("Filter.1.Name", "group-name")];
    params.extend(values.iter().map(|name| (name.as_str(), "x")));
    world.call("DescribeSecurityGroups", &params).fails("FilterLimitExceeded");
    params.pop();
    world.call("DescribeSecurityGroups", &params).ok();
    let filters: Vec<String> = (1..=51).flat_map(|n| [format!("Filter.{n}.Name"), format!("Filter.{n}.Value.1")]).collect();
    let params: Vec<(&str, &str)> = filters.iter().map(|name| (name.as_str(), "group-name")).collect();
    world.call("DescribeSecurityGroups", &params).fails("FilterLimitExceeded");
}

#[test]
fn groups_filter_by_tag_key_and_by_tag() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.call("CreateTags", &[("ResourceId.1", &web), ("Tag.1.Key", "team"), ("Tag.1.Value", "shop")]).ok();
    let by = |name, value| names(&world, &[("Filter.1.Name", name), ("Filter.1.Value.1", value)]);
    assert_eq!(by("tag-key", "team"), ["web"]);
    assert_eq!(by("tag:team", "sh*"), ["web"]);
    assert!(by("tag:team", "Shop").is_empty());
}
