//! From replies to EC2's XML: groups, rules, tags and VPCs.
//!
//! Entry point: [`encode`].
//!
//! Invariant: one wrapper a list; members that EC2 leaves out are left out.

use super::ec2::NAMESPACE;
use super::encode_more;
use super::xml::Xml;
use crate::adapters::sim::world::regions;
use crate::adapters::sim::world::reply::{
    GroupView, PairView, PeerView, PermissionView, Reply, RuleView, TagList, TagRow, VpcView,
};

/// The reply to an action as a document.
#[expect(clippy::wildcard_enum_match_arm, reason = "the other half of the replies is written by encode_more.rs")]
pub(crate) fn encode(action: &str, request_id: &str, reply: &Reply) -> Vec<u8> {
    Xml::document(&format!("{action}Response"), NAMESPACE, |xml| {
        xml.text("requestId", request_id);
        match reply {
            Reply::Done => xml.text("return", true),
            Reply::Vpc(view) => xml.node("vpc", |xml| vpc(xml, view)),
            Reply::Vpcs((rows, token)) => page(xml, "vpcSet", rows, token.as_deref(), vpc),
            Reply::GroupCreated { id, arn, tags } => {
                xml.text("return", true);
                xml.text("groupId", id);
                tag_set_if_any(xml, tags);
                xml.text("securityGroupArn", arn);
            }
            Reply::GroupDeleted { id } => {
                xml.text("return", true);
                xml.text("groupId", id);
            }
            Reply::Groups((rows, token)) => page(xml, "securityGroupInfo", rows, token.as_deref(), group),
            Reply::Rules((rows, token)) => page(xml, "securityGroupRuleSet", rows, token.as_deref(), |xml, row| {
                rule(xml, row);
                tag_set(xml, &row.tags);
            }),
            Reply::Authorized(rules) => {
                xml.text("return", true);
                xml.list("securityGroupRuleSet", rules, |xml, row| {
                    rule(xml, row);
                    tag_set_if_any(xml, &row.tags);
                });
            }
            Reply::Revoked { revoked, unknown } => {
                xml.text("return", true);
                if !unknown.is_empty() {
                    xml.list("unknownIpPermissionSet", unknown, permission);
                }
                xml.list("revokedSecurityGroupRuleSet", revoked, revoked_rule);
            }
            Reply::Tags((rows, token)) => page(xml, "tagSet", rows, token.as_deref(), tag_row),
            Reply::Regions(rows) => xml.list("regionInfo", rows, |xml, (name, status)| {
                xml.text("regionName", name);
                xml.text("regionEndpoint", regions::endpoint(name));
                xml.text("optInStatus", status);
            }),
            other => encode_more::encode(xml, other),
        }
    })
}

/// A list and the token of its next page.
pub(crate) fn page<T>(xml: &mut Xml, name: &str, rows: &[T], token: Option<&str>, fill: impl FnMut(&mut Xml, &T)) {
    xml.list(name, rows, fill);
    xml.maybe("nextToken", token);
}

pub(crate) fn tag_set(xml: &mut Xml, tags: &TagList) {
    xml.list("tagSet", tags, |xml, (key, value)| {
        xml.text("key", key);
        xml.text("value", value);
    });
}

pub(crate) fn tag_set_if_any(xml: &mut Xml, tags: &TagList) {
    if !tags.is_empty() {
        tag_set(xml, tags);
    }
}

fn vpc(xml: &mut Xml, view: &VpcView) {
    let associated = |xml: &mut Xml, id: &str, element: &str, block: &str| {
        xml.text("associationId", id);
        xml.text(element, block);
        xml.node(&format!("{element}State"), |xml| xml.text("state", "associated"));
    };
    xml.text("vpcId", &view.id);
    xml.text("ownerId", &view.owner);
    xml.text("state", "available");
    xml.text("cidrBlock", &view.cidr);
    xml.list("cidrBlockAssociationSet", [&view.cidr], |xml, block| {
        associated(xml, &view.cidr_association, "cidrBlock", block);
    });
    if !view.ipv6.is_empty() {
        xml.list("ipv6CidrBlockAssociationSet", &view.ipv6, |xml, (id, block)| {
            associated(xml, id, "ipv6CidrBlock", block);
            xml.text("ipv6Pool", "Amazon");
        });
    }
    xml.text("dhcpOptionsId", "default");
    xml.text("instanceTenancy", "default");
    xml.text("isDefault", view.is_default);
    tag_set_if_any(xml, &view.tags);
}

fn group(xml: &mut Xml, view: &GroupView) {
    xml.text("ownerId", &view.owner);
    xml.text("groupId", &view.id);
    xml.text("groupName", &view.name);
    xml.text("groupDescription", &view.description);
    xml.text("vpcId", &view.vpc);
    xml.text("securityGroupArn", &view.arn);
    xml.list("ipPermissions", &view.ingress, permission);
    xml.list("ipPermissionsEgress", &view.egress, permission);
    tag_set_if_any(xml, &view.tags);
}

pub(crate) fn pair(xml: &mut Xml, pair: &PairView, description: Option<&str>) {
    xml.maybe("userId", pair.user.as_ref());
    xml.text("groupId", &pair.group);
    xml.maybe("description", description);
    xml.maybe("vpcId", pair.vpc.as_ref());
    xml.maybe("vpcPeeringConnectionId", pair.peering.as_ref());
    xml.maybe("peeringStatus", pair.peering_status);
}

pub(crate) fn permission(xml: &mut Xml, view: &PermissionView) {
    let ranges = |xml: &mut Xml, list: &str, member: &str, rows: &[(String, Option<String>)]| {
        xml.list(list, rows, |xml, (value, description)| {
            xml.text(member, value);
            xml.maybe("description", description.as_ref());
        });
    };
    xml.text("ipProtocol", &view.protocol);
    xml.maybe("fromPort", view.ports.map(|(from, _)| from));
    xml.maybe("toPort", view.ports.map(|(_, to)| to));
    xml.list("groups", &view.groups, |xml, (peer, description)| pair(xml, peer, description.as_deref()));
    ranges(xml, "ipRanges", "cidrIp", &view.v4);
    ranges(xml, "ipv6Ranges", "cidrIpv6", &view.v6);
    ranges(xml, "prefixListIds", "prefixListId", &view.lists);
}

fn rule_common(xml: &mut Xml, view: &RuleView) {
    xml.text("securityGroupRuleId", view.id);
    xml.text("groupId", &view.group);
    xml.text("isEgress", view.egress);
    xml.text("ipProtocol", &view.protocol);
    xml.text("fromPort", view.from);
    xml.text("toPort", view.to);
    xml.maybe("description", view.description.as_ref());
    match &view.peer {
        PeerView::V4(net) => xml.text("cidrIpv4", net),
        PeerView::V6(net) => xml.text("cidrIpv6", net),
        PeerView::List(id) => xml.text("prefixListId", id),
        PeerView::Group(_) => {}
    }
}

fn rule(xml: &mut Xml, view: &RuleView) {
    rule_common(xml, view);
    xml.text("groupOwnerId", &view.owner);
    if let PeerView::Group(peer) = &view.peer {
        xml.node("referencedGroupInfo", |xml| pair(xml, peer, None));
    }
    xml.text("securityGroupRuleArn", &view.arn);
}

fn revoked_rule(xml: &mut Xml, view: &RuleView) {
    rule_common(xml, view);
    if let PeerView::Group(peer) = &view.peer {
        xml.text("referencedGroupId", &peer.group);
    }
}

fn tag_row(xml: &mut Xml, row: &TagRow) {
    xml.text("resourceId", &row.resource);
    xml.text("resourceType", row.resource_type);
    xml.text("key", &row.key);
    xml.text("value", &row.value);
}
