//! From EC2 Query parameters to commands: subnets, interfaces, prefix lists, peerings, associations.
//!
//! Entry point: [`decode`].

use super::decode::{describe, filters, paging, tag_specs};
use super::query::View;
use crate::adapters::sim::world::command::{Command, CreateInterface, CreateList, CreatePeering, Describe, EntryInput, ModifyList};
use crate::adapters::sim::world::error::{self, ApiError};

/// The command of an action of this file, if it is one.
pub(crate) fn decode(action: &str, p: &View<'_>) -> Result<Option<Command>, ApiError> {
    let list = || p.need("PrefixListId");
    let peering = || p.need("VpcPeeringConnectionId");
    Ok(Some(match action {
        "CreateSubnet" => create_subnet(p)?,
        "DeleteSubnet" => Command::DeleteSubnet { subnet: p.need("SubnetId")? },
        "DescribeSubnets" => Command::DescribeSubnets(describe(p, "SubnetId")?),
        "CreateNetworkInterface" => create_interface(p)?,
        "DeleteNetworkInterface" => Command::DeleteNetworkInterface { interface: p.need("NetworkInterfaceId")? },
        "DescribeNetworkInterfaces" => {
            p.ignore(&["IncludeManagedResources"]);
            Command::DescribeNetworkInterfaces(describe(p, "NetworkInterfaceId")?)
        }
        "ModifyNetworkInterfaceAttribute" => modify_interface(p)?,
        "CreateManagedPrefixList" => Command::CreateManagedPrefixList(CreateList {
            name: p.need("PrefixListName")?,
            family: p.need("AddressFamily")?,
            max_entries: p.need_int("MaxEntries")?,
            entries: entries(p, "Entry"),
            token: p.text("ClientToken"),
            tag_specs: tag_specs(p),
        }),
        "ModifyManagedPrefixList" => {
            p.refuse(&["IpamPrefixListResolverSyncEnabled"])?;
            Command::ModifyManagedPrefixList(ModifyList {
                list: list()?,
                current_version: p.int("CurrentVersion")?,
                name: p.text("PrefixListName"),
                add: entries(p, "AddEntry"),
                remove: entries(p, "RemoveEntry"),
                max_entries: p.int("MaxEntries")?,
            })
        }
        "RestoreManagedPrefixListVersion" => Command::RestoreManagedPrefixListVersion {
            list: list()?,
            previous: p.need_int("PreviousVersion")?,
            current: p.need_int("CurrentVersion")?,
        },
        "DeleteManagedPrefixList" => Command::DeleteManagedPrefixList { list: list()? },
        "DescribeManagedPrefixLists" => Command::DescribeManagedPrefixLists(describe(p, "PrefixListId")?),
        "GetManagedPrefixListEntries" => {
            let version = p.int("TargetVersion")?;
            Command::GetManagedPrefixListEntries { list: list()?, version, paging: paging(p)? }
        }
        "GetManagedPrefixListAssociations" => Command::GetManagedPrefixListAssociations { list: list()?, paging: paging(p)? },
        "DescribeSecurityGroupReferences" => Command::DescribeSecurityGroupReferences { groups: p.texts("GroupId") },
        "DescribeStaleSecurityGroups" => Command::DescribeStaleSecurityGroups { vpc: p.need("VpcId")?, paging: paging(p)? },
        "GetSecurityGroupsForVpc" => {
            let describe = Describe { ids: Vec::new(), filters: filters(p), paging: paging(p)? };
            Command::GetSecurityGroupsForVpc { vpc: p.need("VpcId")?, describe }
        }
        "AssociateSecurityGroupVpc" => Command::AssociateSecurityGroupVpc { group: p.need("GroupId")?, vpc: p.need("VpcId")? },
        "DisassociateSecurityGroupVpc" => {
            Command::DisassociateSecurityGroupVpc { group: p.need("GroupId")?, vpc: p.need("VpcId")? }
        }
        "DescribeSecurityGroupVpcAssociations" => Command::DescribeSecurityGroupVpcAssociations(describe(p, "")?),
        "CreateVpcPeeringConnection" => Command::CreateVpcPeeringConnection(CreatePeering {
            vpc: p.need("VpcId")?,
            peer_vpc: p.text("PeerVpcId"),
            peer_owner: p.text("PeerOwnerId"),
            peer_region: p.text("PeerRegion"),
            tag_specs: tag_specs(p),
        }),
        "AcceptVpcPeeringConnection" => Command::AcceptVpcPeeringConnection { peering: peering()? },
        "RejectVpcPeeringConnection" => Command::RejectVpcPeeringConnection { peering: peering()? },
        "DeleteVpcPeeringConnection" => Command::DeleteVpcPeeringConnection { peering: peering()? },
        "DescribeVpcPeeringConnections" => Command::DescribeVpcPeeringConnections(describe(p, "VpcPeeringConnectionId")?),
        _ => return Ok(None),
    }))
}

fn entries(p: &View<'_>, list: &str) -> Vec<EntryInput> {
    let each = |item: &View<'_>| EntryInput { cidr: item.text("Cidr"), description: item.text("Description") };
    p.items(list).iter().map(each).collect()
}

fn create_subnet(p: &View<'_>) -> Result<Command, ApiError> {
    p.refuse(&["OutpostArn", "Ipv6Native", "Ipv4IpamPoolId", "Ipv4NetmaskLength", "Ipv6IpamPoolId", "Ipv6NetmaskLength"])?;
    Ok(Command::CreateSubnet {
        vpc: p.need("VpcId")?,
        cidr: p.text("CidrBlock"),
        ipv6_cidr: p.text("Ipv6CidrBlock"),
        zone: p.text("AvailabilityZone").or_else(|| p.text("AvailabilityZoneId")),
        tag_specs: tag_specs(p),
    })
}

fn create_interface(p: &View<'_>) -> Result<Command, ApiError> {
    p.refuse(&["Ipv4Prefix", "Ipv4PrefixCount", "Ipv6Prefix", "Ipv6PrefixCount", "EnablePrimaryIpv6", "Operator"])?;
    let addresses = p.items("PrivateIpAddresses");
    let addresses = addresses.iter().map(|item| Ok((item.text("PrivateIpAddress"), item.flag("Primary")?)));
    let addresses = addresses.collect::<Result<Vec<_>, ApiError>>()?;
    let v6 = p.items("Ipv6Addresses");
    for item in &v6 {
        item.ignore(&["IsPrimaryIpv6"]);
    }
    p.ignore(&["ClientToken", "ConnectionTrackingSpecification"]);
    let interface_type = p.text("InterfaceType");
    if let Some(kind) =
        interface_type.as_deref().filter(|kind| !matches!(*kind, "efa" | "efa-only" | "branch" | "trunk" | "interface"))
    {
        return Err(error::invalid(format!("Value ({kind}) for parameter interfaceType is invalid.")));
    }
    Ok(Command::CreateNetworkInterface(CreateInterface {
        subnet: p.need("SubnetId")?,
        description: p.text("Description"),
        groups: p.texts("SecurityGroupId"),
        address: p.text("PrivateIpAddress"),
        addresses,
        more_addresses: p.int("SecondaryPrivateIpAddressCount")?,
        v6: v6.iter().filter_map(|item| item.text("Ipv6Address")).collect(),
        v6_count: p.int("Ipv6AddressCount")?,
        interface_type,
        tag_specs: tag_specs(p),
    }))
}

fn modify_interface(p: &View<'_>) -> Result<Command, ApiError> {
    p.refuse(&["EnaSrdSpecification", "EnablePrimaryIpv6", "AssociatePublicIpAddress", "AssociatedSubnetId", "Attachment"])?;
    p.ignore(&["ConnectionTrackingSpecification", "SourceDestCheck"]);
    let groups = p.texts("SecurityGroupId");
    Ok(Command::ModifyNetworkInterfaceAttribute {
        interface: p.need("NetworkInterfaceId")?,
        groups: if groups.is_empty() { None } else { Some(groups) },
        description: p.item("Description").text("Value"),
    })
}
