//! From EC2 Query parameters to commands: groups, rules, tags and VPCs.
//!
//! Entry point: [`decode`].
//!
//! Invariant: every parameter that the API's model has for a call is read, ignored by name, or refused by name.

use super::decode_more;
use super::ec2::unknown_action;
use super::query::{Params, View};
use crate::adapters::sim::world::command::{
    Call, Command, Describe, FlatInput, GroupRef, PairInput, PermissionInput, RangeInput, RuleChange, RuleSelection,
};
use crate::adapters::sim::world::error::ApiError;
use crate::adapters::sim::world::filter::Filter;
use crate::adapters::sim::world::page::Paging;
use crate::adapters::sim::world::rule::Direction;
use crate::adapters::sim::world::tags::{TagInput, TagSpec};

/// The call that a request's parameters make.
pub(crate) fn decode(action: &str, params: &Params) -> Result<Call, ApiError> {
    let p = params.root();
    let command = match action {
        "CreateVpc" => create_vpc(&p)?,
        "DeleteVpc" => Command::DeleteVpc { vpc: p.need("VpcId")? },
        "DescribeVpcs" => Command::DescribeVpcs(describe(&p, "VpcId")?),
        "AssociateVpcCidrBlock" => associate_cidr(&p)?,
        "CreateSecurityGroup" => Command::CreateSecurityGroup {
            name: p.text("GroupName"),
            description: p.text("GroupDescription"),
            vpc: p.text("VpcId"),
            tag_specs: tag_specs(&p),
        },
        "DeleteSecurityGroup" => Command::DeleteSecurityGroup(group_ref(&p)),
        "DescribeSecurityGroups" => {
            Command::DescribeSecurityGroups { names: p.texts("GroupName"), describe: describe(&p, "GroupId")? }
        }
        "DescribeSecurityGroupRules" => Command::DescribeSecurityGroupRules(describe(&p, "SecurityGroupRuleId")?),
        "AuthorizeSecurityGroupIngress" => Command::Authorize(Direction::Ingress, authorized(&p)?),
        "AuthorizeSecurityGroupEgress" => Command::Authorize(Direction::Egress, authorized(&p)?),
        "RevokeSecurityGroupIngress" => Command::Revoke(Direction::Ingress, revoked(&p)?),
        "RevokeSecurityGroupEgress" => Command::Revoke(Direction::Egress, revoked(&p)?),
        "ModifySecurityGroupRules" => modify_rules(&p)?,
        "UpdateSecurityGroupRuleDescriptionsIngress" => update_descriptions(&p, Direction::Ingress)?,
        "UpdateSecurityGroupRuleDescriptionsEgress" => update_descriptions(&p, Direction::Egress)?,
        "CreateTags" => Command::CreateTags { resources: p.texts("ResourceId"), tags: tags(&p) },
        "DeleteTags" => Command::DeleteTags { resources: p.texts("ResourceId"), tags: tags(&p) },
        "DescribeTags" => Command::DescribeTags(describe(&p, "")?),
        "DescribeRegions" => {
            let describe = Describe { ids: p.texts("RegionName"), filters: filters(&p), paging: Paging::default() };
            Command::DescribeRegions { all: p.flag("AllRegions")?, describe }
        }
        other => decode_more::decode(other, &p)?.ok_or_else(|| unknown_action(other))?,
    };
    let dry_run = p.flag("DryRun")?;
    params.finish()?;
    Ok(Call { command, dry_run })
}

pub(crate) fn paging(p: &View<'_>) -> Result<Paging, ApiError> {
    Ok(Paging { max_results: p.int("MaxResults")?, next_token: p.text("NextToken") })
}

pub(crate) fn filters(p: &View<'_>) -> Vec<Filter> {
    let each = |item: &View<'_>| Filter { name: item.text("Name").unwrap_or_default(), values: item.texts("Value") };
    p.items("Filter").iter().map(each).collect()
}

/// Ids under the given name (none if it is empty), filters and paging.
pub(crate) fn describe(p: &View<'_>, ids: &str) -> Result<Describe, ApiError> {
    let ids = if ids.is_empty() { Vec::new() } else { p.texts(ids) };
    Ok(Describe { ids, filters: filters(p), paging: paging(p)? })
}

fn tags(p: &View<'_>) -> Vec<TagInput> {
    p.items("Tag").iter().map(|tag| TagInput { key: tag.text("Key"), value: tag.text("Value") }).collect()
}

pub(crate) fn tag_specs(p: &View<'_>) -> Vec<TagSpec> {
    let each = |spec: &View<'_>| TagSpec { resource_type: spec.text("ResourceType"), tags: tags(spec) };
    p.items("TagSpecification").iter().map(each).collect()
}

fn create_vpc(p: &View<'_>) -> Result<Command, ApiError> {
    p.refuse(&["Ipv4IpamPoolId", "Ipv4NetmaskLength", "Ipv6IpamPoolId", "Ipv6NetmaskLength", "VpcEncryptionControl"])?;
    p.ignore(&["Ipv6CidrBlockNetworkBorderGroup", "InstanceTenancy", "Ipv6Pool"]);
    let (ipv6, ipv6_cidr) = (p.flag("AmazonProvidedIpv6CidrBlock")?, p.text("Ipv6CidrBlock"));
    Ok(Command::CreateVpc { cidr: p.text("CidrBlock"), ipv6, ipv6_cidr, tag_specs: tag_specs(p) })
}

fn associate_cidr(p: &View<'_>) -> Result<Command, ApiError> {
    p.refuse(&["Ipv6Pool", "Ipv6CidrBlock", "Ipv4IpamPoolId", "Ipv4NetmaskLength", "Ipv6IpamPoolId", "Ipv6NetmaskLength"])?;
    p.ignore(&["Ipv6CidrBlockNetworkBorderGroup"]);
    let ipv6 = p.flag("AmazonProvidedIpv6CidrBlock")?;
    Ok(Command::AssociateVpcCidrBlock { vpc: p.need("VpcId")?, cidr: p.text("CidrBlock"), ipv6 })
}

fn group_ref(p: &View<'_>) -> GroupRef {
    let given = |name| p.text(name).filter(|text| !text.is_empty());
    GroupRef { id: given("GroupId"), name: given("GroupName") }
}

fn ranges(p: &View<'_>, list: &str, value: &str) -> Vec<RangeInput> {
    let each = |item: &View<'_>| RangeInput { value: item.text(value), description: item.text("Description") };
    p.items(list).iter().map(each).collect()
}

fn permissions(p: &View<'_>) -> Result<Vec<PermissionInput>, ApiError> {
    let pair = |item: &View<'_>| {
        // These are what reads derive; sent back by a client they change nothing.
        item.ignore(&["VpcId", "VpcPeeringConnectionId", "PeeringStatus"]);
        let given = |name| item.text(name).filter(|text| !text.is_empty());
        PairInput {
            group_id: given("GroupId"),
            group_name: given("GroupName"),
            user_id: given("UserId"),
            description: item.text("Description"),
        }
    };
    let each = |item: &View<'_>| -> Result<PermissionInput, ApiError> {
        Ok(PermissionInput {
            protocol: item.text("IpProtocol"),
            from_port: item.int("FromPort")?,
            to_port: item.int("ToPort")?,
            v4: ranges(item, "IpRanges", "CidrIp"),
            v6: ranges(item, "Ipv6Ranges", "CidrIpv6"),
            lists: ranges(item, "PrefixListIds", "PrefixListId"),
            groups: item.items("Groups").iter().map(pair).collect(),
        })
    };
    p.items("IpPermissions").iter().map(each).collect()
}

fn selection(p: &View<'_>) -> Result<RuleSelection, ApiError> {
    Ok(RuleSelection {
        group: group_ref(p),
        permissions: permissions(p)?,
        flat: FlatInput {
            protocol: p.text("IpProtocol"),
            from_port: p.int("FromPort")?,
            to_port: p.int("ToPort")?,
            cidr: p.text("CidrIp"),
            source_name: p.text("SourceSecurityGroupName"),
            source_owner: p.text("SourceSecurityGroupOwnerId"),
        },
        ..RuleSelection::default()
    })
}

fn authorized(p: &View<'_>) -> Result<RuleSelection, ApiError> {
    Ok(RuleSelection { tag_specs: tag_specs(p), ..selection(p)? })
}

fn revoked(p: &View<'_>) -> Result<RuleSelection, ApiError> {
    Ok(RuleSelection { rule_ids: p.texts("SecurityGroupRuleId"), ..selection(p)? })
}

fn modify_rules(p: &View<'_>) -> Result<Command, ApiError> {
    let each = |item: &View<'_>| -> Result<RuleChange, ApiError> {
        let rule = item.item("SecurityGroupRule");
        Ok(RuleChange {
            rule_id: item.text("SecurityGroupRuleId"),
            protocol: rule.text("IpProtocol"),
            from_port: rule.int("FromPort")?,
            to_port: rule.int("ToPort")?,
            v4: rule.text("CidrIpv4"),
            v6: rule.text("CidrIpv6"),
            list: rule.text("PrefixListId"),
            group: rule.text("ReferencedGroupId"),
            description: rule.text("Description"),
        })
    };
    let changes: Result<Vec<_>, _> = p.items("SecurityGroupRule").iter().map(each).collect();
    Ok(Command::ModifySecurityGroupRules { group: p.need("GroupId")?, changes: changes? })
}

fn update_descriptions(p: &View<'_>, direction: Direction) -> Result<Command, ApiError> {
    let by_id = ranges(p, "SecurityGroupRuleDescription", "SecurityGroupRuleId");
    Ok(Command::UpdateDescriptions { direction, group: group_ref(p), permissions: permissions(p)?, by_id })
}
