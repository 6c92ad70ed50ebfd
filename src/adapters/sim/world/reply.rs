//! What the world answers: views in EC2's canonical form, ready to be written by either door.
//!
//! Entry point: [`Reply`].

use super::ids::{AccountId, GroupId, PeeringId, PrefixListId, RuleId, VpcId};
use super::page::Page;
use std::collections::BTreeMap;

/// Tags in a reply.
pub(crate) type TagList = Vec<(String, String)>;

/// A referenced group as reads show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PairView {
    pub(crate) group: GroupId,
    /// The peer group's owner; gone once that group is deleted.
    pub(crate) user: Option<AccountId>,
    /// Only for a group of another VPC, as are the peering members.
    pub(crate) vpc: Option<VpcId>,
    pub(crate) peering: Option<PeeringId>,
    pub(crate) peering_status: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PeerView {
    V4(String),
    V6(String),
    List(PrefixListId),
    Group(PairView),
}

/// One rule, as `DescribeSecurityGroupRules` and the write replies show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleView {
    pub(crate) id: RuleId,
    pub(crate) group: GroupId,
    pub(crate) owner: AccountId,
    pub(crate) egress: bool,
    pub(crate) protocol: String,
    pub(crate) from: i32,
    pub(crate) to: i32,
    pub(crate) peer: PeerView,
    pub(crate) description: Option<String>,
    pub(crate) tags: TagList,
    pub(crate) arn: String,
}

/// Rules of equal protocol and ports, merged as `DescribeSecurityGroups` does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PermissionView {
    pub(crate) protocol: String,
    /// None where EC2 omits the ports.
    pub(crate) ports: Option<(i32, i32)>,
    pub(crate) v4: Vec<(String, Option<String>)>,
    pub(crate) v6: Vec<(String, Option<String>)>,
    pub(crate) lists: Vec<(String, Option<String>)>,
    pub(crate) groups: Vec<(PairView, Option<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupView {
    pub(crate) id: GroupId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) vpc: VpcId,
    pub(crate) owner: AccountId,
    pub(crate) arn: String,
    pub(crate) tags: TagList,
    pub(crate) ingress: Vec<PermissionView>,
    pub(crate) egress: Vec<PermissionView>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VpcView {
    pub(crate) id: VpcId,
    pub(crate) owner: AccountId,
    pub(crate) cidr: String,
    pub(crate) cidr_association: String,
    /// Association id and block.
    pub(crate) ipv6: Vec<(String, String)>,
    pub(crate) is_default: bool,
    pub(crate) tags: TagList,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubnetView {
    pub(crate) id: String,
    pub(crate) vpc: VpcId,
    pub(crate) owner: AccountId,
    pub(crate) cidr: String,
    pub(crate) ipv6: Option<(String, String)>,
    pub(crate) zone: String,
    pub(crate) zone_id: String,
    pub(crate) available: u64,
    pub(crate) default_for_zone: bool,
    pub(crate) arn: String,
    pub(crate) tags: TagList,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttachmentView {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) owner: String,
    pub(crate) time: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InterfaceView {
    pub(crate) id: String,
    pub(crate) subnet: String,
    pub(crate) vpc: VpcId,
    pub(crate) zone: String,
    pub(crate) zone_id: String,
    pub(crate) owner: AccountId,
    pub(crate) description: String,
    pub(crate) interface_type: String,
    pub(crate) requester: Option<String>,
    pub(crate) requester_managed: bool,
    pub(crate) mac: String,
    pub(crate) address: String,
    pub(crate) others: Vec<String>,
    pub(crate) v6: Vec<String>,
    pub(crate) private_dns: String,
    pub(crate) groups: Vec<(GroupId, String)>,
    pub(crate) attachment: Option<AttachmentView>,
    pub(crate) tags: TagList,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListView {
    pub(crate) id: PrefixListId,
    pub(crate) name: String,
    pub(crate) family: &'static str,
    pub(crate) state: &'static str,
    pub(crate) arn: String,
    /// None for AWS's own lists, which show neither size nor version.
    pub(crate) max_entries: Option<i64>,
    pub(crate) version: Option<i64>,
    pub(crate) owner: String,
    pub(crate) tags: TagList,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeeringSide {
    pub(crate) owner: String,
    pub(crate) vpc: String,
    pub(crate) region: String,
    pub(crate) cidr: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeeringView {
    pub(crate) id: PeeringId,
    pub(crate) requester: PeeringSide,
    pub(crate) accepter: PeeringSide,
    pub(crate) status: &'static str,
    pub(crate) message: &'static str,
    pub(crate) tags: TagList,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AssociationView {
    pub(crate) group: GroupId,
    pub(crate) group_owner: AccountId,
    pub(crate) vpc: VpcId,
    pub(crate) vpc_owner: AccountId,
    pub(crate) state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagRow {
    pub(crate) resource: String,
    pub(crate) resource_type: &'static str,
    pub(crate) key: String,
    pub(crate) value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StaleView {
    pub(crate) group: GroupId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) vpc: VpcId,
    pub(crate) ingress: Vec<PermissionView>,
    pub(crate) egress: Vec<PermissionView>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReferenceView {
    pub(crate) group: GroupId,
    pub(crate) vpc: VpcId,
    pub(crate) peering: Option<PeeringId>,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Only `return: true`.
    Done,
    Vpc(VpcView),
    Vpcs(Page<VpcView>),
    /// The VPC's id and its new association; true is IPv6.
    VpcBlock {
        vpc: VpcId,
        association: String,
        block: String,
        ipv6: bool,
    },
    GroupCreated {
        id: GroupId,
        arn: String,
        tags: TagList,
    },
    GroupDeleted {
        id: GroupId,
    },
    Groups(Page<GroupView>),
    Rules(Page<RuleView>),
    Authorized(Vec<RuleView>),
    Revoked {
        revoked: Vec<RuleView>,
        unknown: Vec<PermissionView>,
    },
    Tags(Page<TagRow>),
    /// Name and opt-in status.
    Regions(Vec<(&'static str, &'static str)>),
    Subnet(SubnetView),
    Subnets(Page<SubnetView>),
    Interface(Box<InterfaceView>),
    Interfaces(Page<InterfaceView>),
    List(ListView),
    Lists(Page<ListView>),
    /// CIDR and description.
    Entries(Page<(String, Option<String>)>),
    /// Resource id and its owner.
    ListUsers(Page<(String, String)>),
    References(Vec<ReferenceView>),
    Stale(Page<StaleView>),
    GroupsForVpc(Page<GroupView>),
    /// The state of one association after a call changed it.
    AssociationState(&'static str),
    Associations(Page<AssociationView>),
    Peering(PeeringView),
    Peerings(Page<PeeringView>),
}

/// Merges rules of equal protocol and ports; the order is that of the first rule of each.
pub(crate) fn merge(rules: impl Iterator<Item = RuleView>) -> Vec<PermissionView> {
    let mut order: BTreeMap<(String, i32, i32), usize> = BTreeMap::new();
    let mut merged: Vec<PermissionView> = Vec::new();
    for rule in rules {
        let shown = super::rule::Protocol::parse(&rule.protocol).is_some_and(super::rule::Protocol::has_ports);
        let at = *order.entry((rule.protocol.clone(), rule.from, rule.to)).or_insert(merged.len());
        if at == merged.len() {
            let ports = shown.then_some((rule.from, rule.to));
            merged.push(PermissionView { protocol: rule.protocol, ports, ..PermissionView::default() });
        }
        if let Some(permission) = merged.get_mut(at) {
            match rule.peer {
                PeerView::V4(net) => permission.v4.push((net, rule.description)),
                PeerView::V6(net) => permission.v6.push((net, rule.description)),
                PeerView::List(id) => permission.lists.push((id.to_string(), rule.description)),
                PeerView::Group(pair) => permission.groups.push((pair, rule.description)),
            }
        }
    }
    merged
}
