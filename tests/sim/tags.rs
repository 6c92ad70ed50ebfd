//! Tags (ec2.md §1, §2).

use crate::support::{VPC, World};

fn tag(world: &World, id: &str, key: &str, value: &str) -> crate::support::Answer {
    world.call("CreateTags", &[("ResourceId.1", id), ("Tag.1.Key", key), ("Tag.1.Value", value)])
}

fn tags_of(world: &World, id: &str) -> Vec<String> {
    let body = world.call("DescribeTags", &[("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", id)]).ok();
    body.items("tagSet").iter().map(|row| format!("{}={}", row.text("key"), row.text("value"))).collect()
}

#[test]
fn groups_and_rules_are_tagged_in_one_call_and_tags_are_overwritten() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let rule = world.rule_id(&web, "0.0.0.0/0");
    let both = [("ResourceId.1", web.as_str()), ("ResourceId.2", rule.as_str()), ("Tag.1.Key", "team"), ("Tag.1.Value", "shop")];
    world.call("CreateTags", &both).ok();
    tag(&world, &web, "team", "web").ok();
    assert_eq!((tags_of(&world, &web), tags_of(&world, &rule)), (vec!["team=web".into()], vec!["team=shop".into()]));
    let filters = [("Filter.1.Name", "tag:team"), ("Filter.1.Value.1", "shop")];
    let rows = world.call("DescribeSecurityGroupRules", &filters).ok();
    assert_eq!(rows.texts("securityGroupRuleSet", "securityGroupRuleId"), [rule.as_str()]);
    let kinds = world.call("DescribeTags", &[("Filter.1.Name", "key"), ("Filter.1.Value.1", "team")]).ok();
    let mut kinds = kinds.texts("tagSet", "resourceType");
    kinds.sort();
    assert_eq!(kinds, ["security-group", "security-group-rule"]);
}

#[test]
fn one_unknown_resource_leaves_the_others_untagged() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let params =
        [("ResourceId.1", web.as_str()), ("ResourceId.2", "sg-0ffffffffffffffff"), ("Tag.1.Key", "k"), ("Tag.1.Value", "v")];
    world.call("CreateTags", &params).fails("InvalidSecurityGroupID.NotFound");
    assert!(tags_of(&world, &web).is_empty());
    tag(&world, "sgr-0ffffffffffffffff", "k", "v").fails("InvalidSecurityGroupRuleId.NotFound");
    tag(&world, "web", "k", "v").fails("InvalidID");
    world.call("CreateTags", &[("ResourceId.1", &web)]).fails("MissingParameter");
    world.call("CreateTags", &[("Tag.1.Key", "k")]).fails("MissingParameter");
}

#[test]
fn keys_of_aws_are_reserved_but_can_be_there() {
    let world = World::new();
    let web = world.group(VPC, "web");
    tag(&world, &web, "aws:mine", "v").fails("InvalidParameterValue");
    world.sim.put_tag("111122223333", "eu-west-1", &web, "aws:cloudformation:stack-name", "s");
    tag(&world, &web, "own", "v").ok();
    world.call("DeleteTags", &[("ResourceId.1", &web)]).ok();
    assert_eq!(tags_of(&world, &web), ["aws:cloudformation:stack-name=s"]);
}

#[test]
fn tags_are_limited_in_number_and_length_and_keys_are_not_repeated() {
    let world = World::new();
    let web = world.group(VPC, "web");
    tag(&world, &web, &"k".repeat(128), "v").fails("InvalidParameterValue");
    tag(&world, &web, "k", &"v".repeat(257)).fails("InvalidParameterValue");
    tag(&world, &web, "", "v").fails("InvalidParameterValue");
    tag(&world, &web, &"k".repeat(127), &"v".repeat(256)).ok();
    let twice =
        [("ResourceId.1", web.as_str()), ("Tag.1.Key", "a"), ("Tag.1.Value", "1"), ("Tag.2.Key", "a"), ("Tag.2.Value", "2")];
    world.call("CreateTags", &twice).fails("InvalidParameterValue");
    for n in 0..49 {
        tag(&world, &web, &format!("k{n}"), "v").ok();
    }
    tag(&world, &web, "one too many", "v").fails("TagLimitExceeded");
    tag(&world, &web, "k1", "overwriting is no new tag").ok();
}

#[test]
fn delete_tags_heeds_a_value_only_if_one_is_given() {
    let world = World::new();
    let web = world.group(VPC, "web");
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "")] {
        tag(&world, &web, key, value).ok();
    }
    let delete = |params: &[(&str, &str)]| {
        let mut all = vec![("ResourceId.1", web.as_str())];
        all.extend_from_slice(params);
        world.call("DeleteTags", &all).ok();
    };
    delete(&[("Tag.1.Key", "a"), ("Tag.1.Value", "other")]);
    delete(&[("Tag.1.Key", "b"), ("Tag.1.Value", "")]);
    assert_eq!(tags_of(&world, &web), ["a=1", "b=2", "c="]);
    delete(&[("Tag.1.Key", "a")]);
    delete(&[("Tag.1.Key", "c"), ("Tag.1.Value", "")]);
    assert_eq!(tags_of(&world, &web), ["b=2"]);
    delete(&[]);
    assert!(tags_of(&world, &web).is_empty());
}

#[test]
fn tag_specifications_must_name_the_resource_type_that_the_call_makes() {
    let world = World::new();
    let create = |kind: &str| {
        let spec = [
            ("GroupName", "web"),
            ("GroupDescription", "d"),
            ("VpcId", VPC),
            ("TagSpecification.1.ResourceType", kind),
            ("TagSpecification.1.Tag.1.Key", "k"),
            ("TagSpecification.1.Tag.1.Value", "v"),
        ];
        world.call("CreateSecurityGroup", &spec)
    };
    create("instance").says("InvalidParameterValue", "'instance' is not a valid taggable resource type for this operation.");
    create("").fails("InvalidParameterValue");
    create("security-group").ok();
}

#[test]
fn authorize_tags_the_rules_it_makes() {
    let world = World::new();
    let web = world.group(VPC, "web");
    let params = [
        ("GroupId", web.as_str()),
        ("IpPermissions.1.IpProtocol", "-1"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ("TagSpecification.1.ResourceType", "security-group-rule"),
        ("TagSpecification.1.Tag.1.Key", "k"),
        ("TagSpecification.1.Tag.1.Value", "v"),
    ];
    let body = world.call("AuthorizeSecurityGroupIngress", &params).ok();
    assert_eq!(body.items("securityGroupRuleSet")[0].items("tagSet")[0].text("key"), "k");
    assert_eq!(tags_of(&world, &world.rule_id(&web, "10.0.0.0/8")), ["k=v"]);
}
