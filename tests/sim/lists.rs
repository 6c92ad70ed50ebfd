//! Managed prefix lists (ec2.md §1, §2, §3).

use crate::support::{Answer, VPC, World};

fn create(world: &World, family: &str, size: &str, cidrs: &[&str]) -> Answer {
    let names: Vec<String> = (1..=cidrs.len()).map(|n| format!("Entry.{n}.Cidr")).collect();
    let mut params = vec![("PrefixListName", "office"), ("AddressFamily", family), ("MaxEntries", size)];
    params.extend(names.iter().map(String::as_str).zip(cidrs.iter().copied()));
    world.call("CreateManagedPrefixList", &params)
}

fn list(world: &World, size: &str) -> String {
    create(world, "IPv4", size, &["10.1.0.0/16"]).ok().text("prefixList/prefixListId").to_owned()
}

#[test]
fn a_list_counts_as_its_size_in_its_own_family() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let list = list(&world, "58");
    world.allow(&web, &[&format!("tcp/443 {list}"), "tcp/1 10.0.0.0/8", "tcp/2 10.0.0.0/8"]).ok();
    world.allow(&web, &["tcp/3 10.0.0.0/8"]).fails("RulesPerSecurityGroupLimitExceeded");
    world.allow(&web, &["tcp/3 2001:db8::/32"]).ok();
    let grow = world.call("ModifyManagedPrefixList", &[("PrefixListId", &list), ("MaxEntries", "59")]);
    grow.fails("RulesPerSecurityGroupLimitExceeded");
}

#[test]
fn lists_of_aws_are_there_with_their_weights_and_cannot_be_changed() {
    let world = World::new();
    let find = |name: &str| {
        let body =
            world.call("DescribeManagedPrefixLists", &[("Filter.1.Name", "prefix-list-name"), ("Filter.1.Value.1", name)]).ok();
        body.items("prefixListSet")[0].clone()
    };
    let s3 = find("com.amazonaws.eu-west-1.s3");
    assert_eq!((s3.text("ownerId"), s3.text("addressFamily")), ("AWS", "IPv4"));
    assert_eq!(find("com.amazonaws.global.ipv6.cloudfront.origin-facing").text("addressFamily"), "IPv6");
    let cloudfront = find("com.amazonaws.global.cloudfront.origin-facing");
    let (s3, cloudfront) = (s3.text("prefixListId"), cloudfront.text("prefixListId"));
    let web = world.group(VPC, "web");
    world.allow(&web, &[&format!("tcp/443 {cloudfront}"), &format!("tcp/443 {s3}")]).ok();
    world.allow(&web, &[&format!("tcp/80 {cloudfront}")]).fails("RulesPerSecurityGroupLimitExceeded");
    let change = [("PrefixListId", s3), ("AddEntry.1.Cidr", "10.0.0.0/8")];
    assert_eq!(world.call("ModifyManagedPrefixList", &change).status, 400);
}

#[test]
fn entries_change_by_version_and_old_versions_stay_readable() {
    let world = World::new();
    let list = list(&world, "10");
    let change = |version: &str| {
        let params = [
            ("PrefixListId", list.as_str()),
            ("CurrentVersion", version),
            ("AddEntry.1.Cidr", "10.2.0.9/16"),
            ("AddEntry.1.Description", "two"),
            ("RemoveEntry.1.Cidr", "10.1.0.0/16"),
        ];
        world.call("ModifyManagedPrefixList", &params)
    };
    assert_eq!(change("1").ok().text("prefixList/version"), "2");
    change("1").fails("PrefixListVersionMismatch");
    let entries = |version: &str| {
        let body = world.call("GetManagedPrefixListEntries", &[("PrefixListId", &list), ("TargetVersion", version)]).ok();
        body.texts("entrySet", "cidr")
    };
    assert_eq!((entries("1"), entries("2")), (vec!["10.1.0.0/16".to_owned()], vec!["10.2.0.0/16".to_owned()]));
    let restore = [("PrefixListId", list.as_str()), ("PreviousVersion", "1"), ("CurrentVersion", "2")];
    assert_eq!(world.call("RestoreManagedPrefixListVersion", &restore).ok().text("prefixList/version"), "3");
    assert_eq!(entries("3"), entries("1"));
    let shown = world.call("DescribeManagedPrefixLists", &[("PrefixListId.1", &list)]).ok();
    assert_eq!(shown.items("prefixListSet")[0].text("state"), "restore-complete");
}

#[test]
fn size_and_entries_are_not_changed_in_one_request() {
    let world = World::new();
    let list = list(&world, "2");
    let both = [("PrefixListId", list.as_str()), ("MaxEntries", "5"), ("AddEntry.1.Cidr", "10.2.0.0/16")];
    world.call("ModifyManagedPrefixList", &both).fails("InvalidParameterCombination");
    let full = [("PrefixListId", list.as_str()), ("AddEntry.1.Cidr", "10.2.0.0/16"), ("AddEntry.2.Cidr", "10.3.0.0/16")];
    world.call("ModifyManagedPrefixList", &full).fails("PrefixListMaxEntriesExceeded");
    create(&world, "IPv4", "1", &["10.1.0.0/16", "10.2.0.0/16"]).fails("PrefixListMaxEntriesExceeded");
    create(&world, "IPv4", "1", &["2001:db8::/32"]).fails("InvalidParameterValue");
    create(&world, "IPv5", "1", &[]).fails("InvalidParameterValue");
}

#[test]
fn a_client_token_makes_creation_idempotent() {
    let world = World::new();
    let create = |size: &str| {
        let params = [("PrefixListName", "office"), ("AddressFamily", "IPv4"), ("MaxEntries", size), ("ClientToken", "t1")];
        world.call("CreateManagedPrefixList", &params)
    };
    let (first, second) = (create("5").ok(), create("5").ok());
    assert_eq!(first.text("prefixList/prefixListId"), second.text("prefixList/prefixListId"));
    create("6").fails("IdempotentParameterMismatch");
}

#[test]
fn unknown_and_malformed_lists_are_told_apart_and_users_are_listed() {
    let world = World::new();
    let web = world.group(VPC, "web");
    world.allow(&web, &["tcp/1 pl-0ffffffffffffffff"]).fails("InvalidPrefixListID.NotFound");
    world.allow(&web, &["tcp/1 pl-x"]).fails("InvalidPrefixListId.Malformed");
    let list = list(&world, "5");
    world.allow(&web, &[&format!("tcp/1 {list}")]).ok();
    let users = world.call("GetManagedPrefixListAssociations", &[("PrefixListId", &list)]).ok();
    assert_eq!(users.texts("prefixListAssociationSet", "resourceId"), [web.as_str()]);
    world.call("DeleteManagedPrefixList", &[("PrefixListId", &list)]).fails("DependencyViolation");
    world.revoke(&web, &[&format!("tcp/1 {list}")]).ok();
    world.call("DeleteManagedPrefixList", &[("PrefixListId", &list)]).ok();
}

#[test]
fn lists_take_the_three_filters_that_are_documented_and_no_tags() {
    let world = World::new();
    let list = list(&world, "5");
    let find = |name, value| world.call("DescribeManagedPrefixLists", &[("Filter.1.Name", name), ("Filter.1.Value.1", value)]);
    for (name, value) in [("owner-id", "111122223333"), ("prefix-list-id", list.as_str()), ("prefix-list-name", "off?ce")] {
        assert_eq!(find(name, value).ok().texts("prefixListSet", "prefixListId"), [list.as_str()], "{name}");
    }
    find("tag-key", "Name").fails("InvalidFilter");
    find("tag:Name", "web").fails("InvalidFilter");
}
