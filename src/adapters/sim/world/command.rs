//! What can be asked of the world: one typed command an action, with values as the client sent them.
//!
//! Entry point: [`Command`]; [`Call`] adds the `DryRun` flag that every action has.
//!
//! Invariant: nothing here is canonicalised, because `CloudTrail` shows requests as they were sent.

use super::filter::Filter;
use super::page::Paging;
use super::rule::Direction;
use super::tags::{TagInput, TagSpec};

/// A command and whether it is only a permission check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) command: Command,
    pub(crate) dry_run: bool,
}

/// A group by id, or by name in the default VPC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GroupRef {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
}

/// A CIDR or prefix list of a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RangeInput {
    pub(crate) value: Option<String>,
    pub(crate) description: Option<String>,
}

/// A group of a permission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PairInput {
    pub(crate) group_id: Option<String>,
    pub(crate) group_name: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) description: Option<String>,
}

/// `IpPermissions.N`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PermissionInput {
    pub(crate) protocol: Option<String>,
    pub(crate) from_port: Option<i64>,
    pub(crate) to_port: Option<i64>,
    pub(crate) v4: Vec<RangeInput>,
    pub(crate) v6: Vec<RangeInput>,
    pub(crate) lists: Vec<RangeInput>,
    pub(crate) groups: Vec<PairInput>,
}

/// The legacy parameters of Authorize and Revoke, from before `IpPermissions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FlatInput {
    pub(crate) protocol: Option<String>,
    pub(crate) from_port: Option<i64>,
    pub(crate) to_port: Option<i64>,
    pub(crate) cidr: Option<String>,
    pub(crate) source_name: Option<String>,
    pub(crate) source_owner: Option<String>,
}

impl FlatInput {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Authorize and Revoke name their rules the same ways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RuleSelection {
    pub(crate) group: GroupRef,
    pub(crate) permissions: Vec<PermissionInput>,
    pub(crate) flat: FlatInput,
    pub(crate) rule_ids: Vec<String>,
    pub(crate) tag_specs: Vec<TagSpec>,
}

/// One rule of `ModifySecurityGroupRules`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RuleChange {
    pub(crate) rule_id: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) from_port: Option<i64>,
    pub(crate) to_port: Option<i64>,
    pub(crate) v4: Option<String>,
    pub(crate) v6: Option<String>,
    pub(crate) list: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) description: Option<String>,
}

/// Ids, filters and paging, as most describe calls have them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Describe {
    pub(crate) ids: Vec<String>,
    pub(crate) filters: Vec<Filter>,
    pub(crate) paging: Paging,
}

/// `CreateNetworkInterface`; type and requester are set through the control endpoint, for interfaces that services make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CreateInterface {
    pub(crate) subnet: String,
    pub(crate) description: Option<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) address: Option<String>,
    /// Further addresses, and whether one of them is the primary.
    pub(crate) addresses: Vec<(Option<String>, bool)>,
    pub(crate) more_addresses: Option<i64>,
    pub(crate) v6: Vec<String>,
    pub(crate) v6_count: Option<i64>,
    pub(crate) interface_type: Option<String>,
    pub(crate) tag_specs: Vec<TagSpec>,
}

/// An entry of a prefix list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryInput {
    pub(crate) cidr: Option<String>,
    pub(crate) description: Option<String>,
}

/// `CreateManagedPrefixList`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CreateList {
    pub(crate) name: String,
    pub(crate) family: String,
    pub(crate) max_entries: i64,
    pub(crate) entries: Vec<EntryInput>,
    pub(crate) token: Option<String>,
    pub(crate) tag_specs: Vec<TagSpec>,
}

/// `ModifyManagedPrefixList`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ModifyList {
    pub(crate) list: String,
    pub(crate) current_version: Option<i64>,
    pub(crate) name: Option<String>,
    pub(crate) add: Vec<EntryInput>,
    pub(crate) remove: Vec<EntryInput>,
    pub(crate) max_entries: Option<i64>,
}

/// `CreateVpcPeeringConnection`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CreatePeering {
    pub(crate) vpc: String,
    pub(crate) peer_vpc: Option<String>,
    pub(crate) peer_owner: Option<String>,
    pub(crate) peer_region: Option<String>,
    pub(crate) tag_specs: Vec<TagSpec>,
}

/// Every action the world knows. Variants are named as the actions; twins for the two directions share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    CreateVpc { cidr: Option<String>, ipv6: bool, ipv6_cidr: Option<String>, tag_specs: Vec<TagSpec> },
    DeleteVpc { vpc: String },
    DescribeVpcs(Describe),
    AssociateVpcCidrBlock { vpc: String, cidr: Option<String>, ipv6: bool },
    CreateSecurityGroup { name: Option<String>, description: Option<String>, vpc: Option<String>, tag_specs: Vec<TagSpec> },
    DeleteSecurityGroup(GroupRef),
    DescribeSecurityGroups { names: Vec<String>, describe: Describe },
    DescribeSecurityGroupRules(Describe),
    Authorize(Direction, RuleSelection),
    Revoke(Direction, RuleSelection),
    ModifySecurityGroupRules { group: String, changes: Vec<RuleChange> },
    UpdateDescriptions { direction: Direction, group: GroupRef, permissions: Vec<PermissionInput>, by_id: Vec<RangeInput> },
    CreateTags { resources: Vec<String>, tags: Vec<TagInput> },
    DeleteTags { resources: Vec<String>, tags: Vec<TagInput> },
    DescribeTags(Describe),
    DescribeRegions { all: bool, describe: Describe },
    CreateSubnet { vpc: String, cidr: Option<String>, ipv6_cidr: Option<String>, zone: Option<String>, tag_specs: Vec<TagSpec> },
    DeleteSubnet { subnet: String },
    DescribeSubnets(Describe),
    CreateNetworkInterface(CreateInterface),
    DeleteNetworkInterface { interface: String },
    DescribeNetworkInterfaces(Describe),
    ModifyNetworkInterfaceAttribute { interface: String, groups: Option<Vec<String>>, description: Option<String> },
    CreateManagedPrefixList(CreateList),
    ModifyManagedPrefixList(ModifyList),
    RestoreManagedPrefixListVersion { list: String, previous: i64, current: i64 },
    DeleteManagedPrefixList { list: String },
    DescribeManagedPrefixLists(Describe),
    GetManagedPrefixListEntries { list: String, version: Option<i64>, paging: Paging },
    GetManagedPrefixListAssociations { list: String, paging: Paging },
    DescribeSecurityGroupReferences { groups: Vec<String> },
    DescribeStaleSecurityGroups { vpc: String, paging: Paging },
    GetSecurityGroupsForVpc { vpc: String, describe: Describe },
    AssociateSecurityGroupVpc { group: String, vpc: String },
    DisassociateSecurityGroupVpc { group: String, vpc: String },
    DescribeSecurityGroupVpcAssociations(Describe),
    CreateVpcPeeringConnection(CreatePeering),
    AcceptVpcPeeringConnection { peering: String },
    RejectVpcPeeringConnection { peering: String },
    DeleteVpcPeeringConnection { peering: String },
    DescribeVpcPeeringConnections(Describe),
}
