//! The pure state machine: accounts, Regions, VPCs, groups, rules, interfaces, prefix lists, peerings and tags.
//!
//! Entry point: [`World::call`] takes a typed [`command::Call`] and answers with a [`reply::Reply`] or an [`error::ApiError`].
//!
//! Invariant: no HTTP, no async, no clock (time is passed in), no randomness but the seed, no unordered map.
//! Invariant: every rule of EC2's that the sim knows is written here, once, from documents, and shared with no other part
//! of the project: a misreading in one place must not prove itself right in another.
//! Invariant: a call that answers with an error has changed nothing.

pub(crate) mod association;
pub(crate) mod birth;
pub(crate) mod cidr;
pub(crate) mod command;
pub(crate) mod error;
pub(crate) mod filter;
pub(crate) mod groups;
pub(crate) mod groups_read;
pub(crate) mod ids;
pub(crate) mod interfaces;
pub(crate) mod lists;
pub(crate) mod lists_read;
pub(crate) mod modify;
pub(crate) mod page;
pub(crate) mod peerings;
pub(crate) mod permissions;
pub(crate) mod regions;
pub(crate) mod reply;
pub(crate) mod rule;
pub(crate) mod rules;
pub(crate) mod snapshot;
pub(crate) mod stale;
pub(crate) mod state;
pub(crate) mod subnets;
pub(crate) mod tagging;
pub(crate) mod tags;
pub(crate) mod text;
pub(crate) mod view;
pub(crate) mod vpcs;

use super::config::Quotas;
use command::{Call, Command};
use error::ApiError;
use ids::{AccountId, GroupId, IdMint};
use jiff::Timestamp;
use reply::Reply;
use state::{Group, Peerings, Place, Region};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All accounts and Regions. Cloning is cheap: what has not changed since is shared.
#[derive(Debug, Clone)]
pub(crate) struct World {
    quotas: Quotas,
    mint: IdMint,
    places: BTreeMap<Place, Arc<Region>>,
    peerings: Peerings,
    nowhere: Arc<Region>,
}

impl World {
    pub(crate) fn new(seed: u64, quotas: Quotas) -> Self {
        Self { quotas, mint: IdMint::new(seed), places: BTreeMap::new(), peerings: Peerings::new(), nowhere: Arc::default() }
    }

    pub(crate) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Raises or lowers the limits; what is over them already stays.
    pub(crate) fn set_quotas(&mut self, quotas: Quotas) {
        self.quotas = quotas;
    }

    /// Carries out one call on behalf of an account in a Region.
    pub(crate) fn call(&mut self, place: &Place, now: Timestamp, call: &Call) -> Result<Reply, ApiError> {
        self.ensure(place);
        if call.dry_run {
            return Err(error::dry_run());
        }
        match &call.command {
            Command::CreateVpc { cidr, ipv6, ipv6_cidr, tag_specs } => {
                self.create_vpc(place, cidr.as_deref(), (*ipv6, ipv6_cidr.as_deref()), tag_specs)
            }
            Command::DeleteVpc { vpc } => self.delete_vpc(place, vpc),
            Command::DescribeVpcs(describe) => self.describe_vpcs(place, describe),
            Command::AssociateVpcCidrBlock { vpc, cidr, ipv6 } => self.associate_cidr(place, vpc, cidr.as_deref(), *ipv6),
            Command::CreateSecurityGroup { name, description, vpc, tag_specs } => {
                self.create_group(place, name.as_deref(), description.as_deref(), vpc.as_deref(), tag_specs)
            }
            Command::DeleteSecurityGroup(group) => self.delete_group(place, group),
            Command::DescribeSecurityGroups { names, describe } => self.describe_groups(place, names, describe),
            Command::DescribeSecurityGroupRules(describe) => self.describe_rules(place, describe),
            Command::Authorize(direction, selection) => self.authorize(place, *direction, selection),
            Command::Revoke(direction, selection) => self.revoke(place, *direction, selection),
            Command::ModifySecurityGroupRules { group, changes } => self.modify_rules(place, group, changes),
            Command::UpdateDescriptions { direction, group, permissions, by_id } => {
                self.update_descriptions(place, *direction, group, permissions, by_id)
            }
            Command::CreateTags { resources, tags } => self.create_tags(place, resources, tags),
            Command::DeleteTags { resources, tags } => self.delete_tags(place, resources, tags),
            Command::DescribeTags(describe) => self.describe_tags(place, describe),
            Command::DescribeRegions { all, describe } => regions::describe(*all, describe),
            Command::CreateSubnet { vpc, cidr, ipv6_cidr, zone, tag_specs } => {
                self.create_subnet(place, vpc, cidr.as_deref(), ipv6_cidr.as_deref(), zone.as_deref(), tag_specs)
            }
            Command::DeleteSubnet { subnet } => self.delete_subnet(place, subnet),
            Command::DescribeSubnets(describe) => self.describe_subnets(place, describe),
            Command::CreateNetworkInterface(request) => self.create_interface(place, request),
            Command::DeleteNetworkInterface { interface } => self.delete_interface(place, interface),
            Command::DescribeNetworkInterfaces(describe) => self.describe_interfaces(place, describe),
            Command::ModifyNetworkInterfaceAttribute { interface, groups, description } => {
                self.modify_interface(place, interface, groups.as_deref(), description.as_deref())
            }
            Command::CreateManagedPrefixList(request) => self.create_list(place, request),
            Command::ModifyManagedPrefixList(request) => self.modify_list(place, request),
            Command::RestoreManagedPrefixListVersion { list, previous, current } => {
                self.restore_list(place, list, *previous, *current)
            }
            Command::DeleteManagedPrefixList { list } => self.delete_list(place, list),
            Command::DescribeManagedPrefixLists(describe) => self.describe_lists(place, describe),
            Command::GetManagedPrefixListEntries { list, version, paging } => self.list_entries(place, list, *version, paging),
            Command::GetManagedPrefixListAssociations { list, paging } => self.list_users(place, list, paging),
            Command::DescribeSecurityGroupReferences { groups } => self.describe_references(place, groups),
            Command::DescribeStaleSecurityGroups { vpc, paging } => self.describe_stale(place, vpc, paging),
            Command::GetSecurityGroupsForVpc { vpc, describe } => self.groups_for_vpc(place, vpc, describe),
            Command::AssociateSecurityGroupVpc { group, vpc } => self.associate_group(place, group, vpc),
            Command::DisassociateSecurityGroupVpc { group, vpc } => self.disassociate_group(place, group, vpc),
            Command::DescribeSecurityGroupVpcAssociations(describe) => self.describe_associations(place, describe),
            Command::CreateVpcPeeringConnection(request) => self.create_peering(place, request),
            Command::AcceptVpcPeeringConnection { peering } => self.accept_peering(place, peering, now),
            Command::RejectVpcPeeringConnection { peering } => self.reject_peering(place, peering),
            Command::DeleteVpcPeeringConnection { peering } => self.delete_peering(place, peering),
            Command::DescribeVpcPeeringConnections(describe) => self.describe_peerings(place, describe),
        }
    }

    fn region(&self, place: &Place) -> &Region {
        self.places.get(place).unwrap_or(&self.nowhere)
    }

    fn region_mut(&mut self, place: &Place) -> &mut Region {
        Arc::make_mut(self.places.entry(place.clone()).or_default())
    }

    /// A group of any account in this Region, with its owner.
    fn find_group(&self, place: &Place, id: &str) -> Option<(&AccountId, &Arc<Group>)> {
        let own = self.places.get_key_value(place).filter(|(_, region)| region.groups.contains_key(id));
        let mut others = self.places.iter().filter(|(other, _)| other.region == place.region);
        let (owner, region) = own.or_else(|| others.find(|(_, region)| region.groups.contains_key(id)))?;
        region.groups.get(id).map(|group| (&owner.account, group))
    }

    /// A group of this account and Region, for reading.
    fn own_group(&self, place: &Place, id: &str) -> Result<Arc<Group>, ApiError> {
        ids::check_group(id)?;
        self.region(place).groups.get(id).cloned().ok_or_else(|| error::no_group(id))
    }

    /// A group of this account and Region, for changing.
    fn group_mut(&mut self, place: &Place, id: &GroupId) -> Result<&mut Group, ApiError> {
        let group = self.region_mut(place).groups.get_mut(id).ok_or_else(|| error::no_group(id))?;
        Ok(Arc::make_mut(group))
    }
}
