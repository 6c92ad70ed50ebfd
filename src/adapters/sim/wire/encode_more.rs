//! From replies to EC2's XML: subnets, interfaces, prefix lists, peerings, associations.
//!
//! Entry point: [`encode`].

use super::encode::{page, permission, tag_set, tag_set_if_any};
use super::xml::Xml;
use crate::adapters::sim::world::reply::{
    AssociationView, GroupView, InterfaceView, ListView, PeeringSide, PeeringView, Reply, StaleView, SubnetView,
};

/// Writes the members of a reply of this file.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other half of the replies is encode.rs's, which sends the rest here")]
pub(crate) fn encode(xml: &mut Xml, reply: &Reply) {
    match reply {
        Reply::VpcBlock { vpc, association, block, ipv6 } => {
            let (outer, element) =
                if *ipv6 { ("ipv6CidrBlockAssociation", "ipv6CidrBlock") } else { ("cidrBlockAssociation", "cidrBlock") };
            xml.text("vpcId", vpc);
            xml.node(outer, |xml| {
                xml.text("associationId", association);
                xml.text(element, block);
                xml.node(&format!("{element}State"), |xml| xml.text("state", "associating"));
            });
        }
        Reply::Subnet(view) => xml.node("subnet", |xml| subnet(xml, view)),
        Reply::Subnets((rows, token)) => page(xml, "subnetSet", rows, token.as_deref(), subnet),
        Reply::Interface(view) => xml.node("networkInterface", |xml| interface(xml, view)),
        Reply::Interfaces((rows, token)) => page(xml, "networkInterfaceSet", rows, token.as_deref(), interface),
        Reply::List(view) => xml.node("prefixList", |xml| list(xml, view)),
        Reply::Lists((rows, token)) => page(xml, "prefixListSet", rows, token.as_deref(), list),
        Reply::Entries((rows, token)) => page(xml, "entrySet", rows, token.as_deref(), |xml, (cidr, description)| {
            xml.text("cidr", cidr);
            xml.maybe("description", description.as_ref());
        }),
        Reply::ListUsers((rows, token)) => page(xml, "prefixListAssociationSet", rows, token.as_deref(), |xml, (id, owner)| {
            xml.text("resourceId", id);
            xml.text("resourceOwner", owner);
        }),
        Reply::References(rows) => xml.list("securityGroupReferenceSet", rows, |xml, row| {
            xml.text("groupId", &row.group);
            xml.text("referencingVpcId", &row.vpc);
            xml.maybe("vpcPeeringConnectionId", row.peering.as_ref());
        }),
        Reply::Stale((rows, token)) => page(xml, "staleSecurityGroupSet", rows, token.as_deref(), stale),
        Reply::GroupsForVpc((rows, token)) => page(xml, "securityGroupForVpcSet", rows, token.as_deref(), group_for_vpc),
        Reply::AssociationState(state) => xml.text("state", state),
        Reply::Associations((rows, token)) => {
            page(xml, "securityGroupVpcAssociationSet", rows, token.as_deref(), association);
        }
        Reply::Peering(view) => xml.node("vpcPeeringConnection", |xml| peering(xml, view)),
        Reply::Peerings((rows, token)) => page(xml, "vpcPeeringConnectionSet", rows, token.as_deref(), peering),
        _ => {}
    }
}

fn subnet(xml: &mut Xml, view: &SubnetView) {
    xml.text("subnetId", &view.id);
    xml.text("subnetArn", &view.arn);
    xml.text("state", "available");
    xml.text("ownerId", &view.owner);
    xml.text("vpcId", &view.vpc);
    xml.text("cidrBlock", &view.cidr);
    xml.list("ipv6CidrBlockAssociationSet", &view.ipv6, |xml, (id, block)| {
        xml.text("associationId", id);
        xml.text("ipv6CidrBlock", block);
        xml.node("ipv6CidrBlockState", |xml| xml.text("state", "associated"));
    });
    xml.text("availableIpAddressCount", view.available);
    xml.text("availabilityZone", &view.zone);
    xml.text("availabilityZoneId", &view.zone_id);
    xml.text("defaultForAz", view.default_for_zone);
    xml.text("mapPublicIpOnLaunch", view.default_for_zone);
    xml.text("mapCustomerOwnedIpOnLaunch", false);
    xml.text("assignIpv6AddressOnCreation", false);
    xml.text("enableDns64", false);
    xml.text("ipv6Native", false);
    tag_set_if_any(xml, &view.tags);
}

fn interface(xml: &mut Xml, view: &InterfaceView) {
    xml.text("networkInterfaceId", &view.id);
    xml.text("subnetId", &view.subnet);
    xml.text("vpcId", &view.vpc);
    xml.text("availabilityZone", &view.zone);
    xml.text("availabilityZoneId", &view.zone_id);
    xml.text("description", &view.description);
    xml.text("ownerId", &view.owner);
    xml.maybe("requesterId", view.requester.as_ref());
    xml.text("requesterManaged", view.requester_managed);
    xml.text("status", if view.attachment.is_some() { "in-use" } else { "available" });
    xml.text("macAddress", &view.mac);
    xml.text("privateIpAddress", &view.address);
    xml.text("privateDnsName", &view.private_dns);
    xml.text("sourceDestCheck", true);
    xml.list("groupSet", &view.groups, |xml, (id, name)| {
        xml.text("groupId", id);
        xml.text("groupName", name);
    });
    if let Some(held) = &view.attachment {
        xml.node("attachment", |xml| {
            xml.text("attachmentId", &held.id);
            xml.maybe("instanceId", held.instance.as_ref());
            xml.text("instanceOwnerId", &held.owner);
            xml.text("deviceIndex", 1);
            xml.text("status", "attached");
            xml.text("attachTime", &held.time);
            xml.text("deleteOnTermination", false);
        });
    }
    tag_set(xml, &view.tags);
    let addresses = [(&view.address, true)].into_iter().chain(view.others.iter().map(|address| (address, false)));
    xml.list("privateIpAddressesSet", addresses, |xml, (address, primary)| {
        xml.text("privateIpAddress", address);
        xml.text("primary", primary);
    });
    xml.list("ipv6AddressesSet", &view.v6, |xml, address| {
        xml.text("ipv6Address", address);
        xml.text("isPrimaryIpv6", false);
    });
    xml.text("interfaceType", &view.interface_type);
}

fn list(xml: &mut Xml, view: &ListView) {
    xml.text("prefixListId", &view.id);
    xml.text("addressFamily", view.family);
    xml.text("state", view.state);
    xml.text("prefixListArn", &view.arn);
    xml.text("prefixListName", &view.name);
    xml.maybe("maxEntries", view.max_entries);
    xml.maybe("version", view.version);
    tag_set(xml, &view.tags);
    xml.text("ownerId", &view.owner);
}

fn stale(xml: &mut Xml, view: &StaleView) {
    xml.text("groupId", &view.group);
    xml.text("groupName", &view.name);
    xml.text("description", &view.description);
    xml.text("vpcId", &view.vpc);
    xml.list("staleIpPermissions", &view.ingress, permission);
    xml.list("staleIpPermissionsEgress", &view.egress, permission);
}

fn group_for_vpc(xml: &mut Xml, view: &GroupView) {
    xml.text("groupId", &view.id);
    xml.text("groupName", &view.name);
    xml.text("description", &view.description);
    xml.text("ownerId", &view.owner);
    xml.text("primaryVpcId", &view.vpc);
    tag_set(xml, &view.tags);
}

fn association(xml: &mut Xml, view: &AssociationView) {
    xml.text("groupId", &view.group);
    xml.text("groupOwnerId", &view.group_owner);
    xml.text("vpcId", &view.vpc);
    xml.text("vpcOwnerId", &view.vpc_owner);
    xml.text("state", view.state);
}

fn peering(xml: &mut Xml, view: &PeeringView) {
    let side = |xml: &mut Xml, side: &PeeringSide| {
        xml.text("ownerId", &side.owner);
        xml.text("vpcId", &side.vpc);
        xml.text("region", &side.region);
        xml.maybe("cidrBlock", side.cidr.as_ref());
        xml.list("cidrBlockSet", &side.cidr, |xml, block| xml.text("cidrBlock", block));
    };
    xml.text("vpcPeeringConnectionId", &view.id);
    xml.node("requesterVpcInfo", |xml| side(xml, &view.requester));
    xml.node("accepterVpcInfo", |xml| side(xml, &view.accepter));
    xml.node("status", |xml| {
        xml.text("code", view.status);
        xml.text("message", view.message);
    });
    tag_set(xml, &view.tags);
}
