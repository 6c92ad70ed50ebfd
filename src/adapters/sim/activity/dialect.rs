//! `requestParameters` and `responseElements` in `CloudTrail`'s three dialects: camelCase with `items`, the flat authorize
//! form, and the XML wrapper of newer calls.
//!
//! Entry point: [`request`], [`response`].
//!
//! Invariant: request values are as the client sent them, response values are canonical.

use super::put;
use crate::adapters::sim::world::command::{Command, EntryInput, GroupRef, PermissionInput, RangeInput, RuleChange, RuleSelection};
use crate::adapters::sim::world::reply::{PairView, PeerView, PermissionView, Reply, RuleView, TagList};
use crate::adapters::sim::world::tags::{TagInput, TagSpec};
use serde_json::{Map, Value, json};

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// An object of the members that are there.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect())
}

/// `{"items": […]}`, or `{}` for none.
fn items(values: impl IntoIterator<Item = Value>) -> Value {
    let values: Vec<Value> = values.into_iter().collect();
    if values.is_empty() { json!({}) } else { json!({ "items": values }) }
}

fn some(text: Option<&String>) -> Option<Value> {
    text.map(|text| json!(text))
}

fn tag_items(tags: &[TagInput]) -> Value {
    items(tags.iter().map(|tag| object([("key", some(tag.key.as_ref())), ("value", some(tag.value.as_ref()))])))
}

fn tag_specs(specs: &[TagSpec]) -> Option<Value> {
    let each = |spec: &TagSpec| {
        let tags = spec.tags.iter().map(|tag| object([("key", some(tag.key.as_ref())), ("value", some(tag.value.as_ref()))]));
        json!({"resourceType": spec.resource_type, "tags": tags.collect::<Vec<_>>()})
    };
    if specs.is_empty() { None } else { Some(items(specs.iter().map(each))) }
}

fn permission(permission: &PermissionInput) -> Value {
    let ranges = |rows: &[RangeInput], name: &'static str| {
        let each = |row: &RangeInput| object([(name, some(row.value.as_ref())), ("description", some(row.description.as_ref()))]);
        Some(items(rows.iter().map(each)))
    };
    let pairs = permission.groups.iter().map(|pair| {
        object([
            ("groupId", some(pair.group_id.as_ref())),
            ("groupName", some(pair.group_name.as_ref())),
            ("userId", some(pair.user_id.as_ref())),
            ("description", some(pair.description.as_ref())),
        ])
    });
    object([
        ("ipProtocol", some(permission.protocol.as_ref())),
        ("fromPort", permission.from_port.map(Value::from)),
        ("toPort", permission.to_port.map(Value::from)),
        ("groups", Some(items(pairs))),
        ("ipRanges", ranges(&permission.v4, "cidrIp")),
        ("ipv6Ranges", ranges(&permission.v6, "cidrIpv6")),
        ("prefixListIds", ranges(&permission.lists, "prefixListId")),
    ])
}

fn permissions(all: &[PermissionInput]) -> Value {
    items(all.iter().map(permission))
}

fn selection(selection: &RuleSelection) -> Value {
    let RuleSelection { group, permissions: named, flat, rule_ids, tag_specs: specs } = selection;
    let ids = rule_ids.iter().map(|id| json!({"securityGroupRuleId": id}));
    object([
        ("groupId", some(group.id.as_ref())),
        ("groupName", some(group.name.as_ref())),
        ("ipPermissions", Some(permissions(named))),
        ("ipProtocol", some(flat.protocol.as_ref())),
        ("fromPort", flat.from_port.map(Value::from)),
        ("toPort", flat.to_port.map(Value::from)),
        ("cidrIp", some(flat.cidr.as_ref())),
        ("sourceSecurityGroupName", some(flat.source_name.as_ref())),
        ("sourceSecurityGroupOwnerId", some(flat.source_owner.as_ref())),
        ("securityGroupRuleIds", if rule_ids.is_empty() { None } else { Some(items(ids)) }),
        ("tagSpecificationSet", tag_specs(specs)),
    ])
}

fn group_ref(group: &GroupRef) -> Value {
    object([("groupId", some(group.id.as_ref())), ("groupName", some(group.name.as_ref()))])
}

/// The newer dialect: members as in the API, one object for one list item, an array for several.
fn wrapped(action: &str, members: Value) -> Value {
    let mut outer = Map::new();
    outer.insert(format!("{action}Request"), members);
    Value::Object(outer)
}

fn one_or_many(values: impl IntoIterator<Item = Value>) -> Option<Value> {
    let tagged = values.into_iter().zip(1..).map(|(mut value, n)| {
        put(&mut value, "tag", json!(n));
        value
    });
    let mut all: Vec<Value> = tagged.collect();
    match all.len() {
        0 => None,
        1 => all.pop(),
        _ => Some(Value::Array(all)),
    }
}

fn rule_change(change: &RuleChange) -> Value {
    // This dialect makes numbers of digits.
    let protocol = change.protocol.as_ref().map(|text| text.parse::<i64>().map_or_else(|_| json!(text), Value::from));
    let rule = object([
        ("IpProtocol", protocol),
        ("FromPort", change.from_port.map(Value::from)),
        ("ToPort", change.to_port.map(Value::from)),
        ("CidrIpv4", some(change.v4.as_ref())),
        ("CidrIpv6", some(change.v6.as_ref())),
        ("PrefixListId", some(change.list.as_ref())),
        ("ReferencedGroupId", some(change.group.as_ref())),
        ("Description", some(change.description.as_ref())),
    ]);
    object([("SecurityGroupRuleId", some(change.rule_id.as_ref())), ("SecurityGroupRule", Some(rule))])
}

fn list_entries(entries: &[EntryInput]) -> Option<Value> {
    one_or_many(
        entries
            .iter()
            .map(|entry| object([("Cidr", some(entry.cidr.as_ref())), ("Description", some(entry.description.as_ref()))])),
    )
}

/// `requestParameters` of a write.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest are reads, of which CloudTrail delivers no events")]
#[expect(clippy::too_many_lines, reason = "a table: one arm an action")]
pub(crate) fn request(command: &Command) -> Value {
    match command {
        Command::CreateSecurityGroup { name, description, vpc, tag_specs: specs } => object([
            ("groupName", some(name.as_ref())),
            ("groupDescription", some(description.as_ref())),
            ("vpcId", some(vpc.as_ref())),
            ("tagSpecificationSet", tag_specs(specs)),
        ]),
        Command::DeleteSecurityGroup(group) => group_ref(group),
        Command::Authorize(_, rules) | Command::Revoke(_, rules) => selection(rules),
        Command::ModifySecurityGroupRules { group, changes } => wrapped(
            "ModifySecurityGroupRules",
            object([("GroupId", Some(json!(group))), ("SecurityGroupRule", one_or_many(changes.iter().map(rule_change)))]),
        ),
        Command::UpdateDescriptions { direction: _, group, permissions: named, by_id } => {
            let ids = by_id.iter().map(|row| {
                object([("securityGroupRuleId", some(row.value.as_ref())), ("description", some(row.description.as_ref()))])
            });
            object([
                ("groupId", some(group.id.as_ref())),
                ("groupName", some(group.name.as_ref())),
                ("ipPermissions", Some(permissions(named))),
                ("securityGroupRuleDescriptions", if by_id.is_empty() { None } else { Some(items(ids)) }),
            ])
        }
        Command::CreateTags { resources, tags } | Command::DeleteTags { resources, tags } => json!({
            "resourcesSet": items(resources.iter().map(|id| json!({"resourceId": id}))), "tagSet": tag_items(tags),
        }),
        Command::CreateVpc { cidr, ipv6, ipv6_cidr, tag_specs: specs } => object([
            ("ipv6CidrBlock", some(ipv6_cidr.as_ref())),
            ("cidrBlock", some(cidr.as_ref())),
            ("instanceTenancy", Some(json!("default"))),
            ("amazonProvidedIpv6CidrBlock", Some(json!(ipv6))),
            ("tagSpecificationSet", tag_specs(specs)),
        ]),
        Command::DeleteVpc { vpc } => json!({"vpcId": vpc}),
        Command::AssociateVpcCidrBlock { vpc, cidr, ipv6 } => object([
            ("vpcId", Some(json!(vpc))),
            ("cidrBlock", some(cidr.as_ref())),
            ("amazonProvidedIpv6CidrBlock", Some(json!(ipv6))),
        ]),
        Command::CreateSubnet { vpc, cidr, ipv6_cidr, zone, tag_specs: specs } => object([
            ("vpcId", Some(json!(vpc))),
            ("cidrBlock", some(cidr.as_ref())),
            ("ipv6CidrBlock", some(ipv6_cidr.as_ref())),
            ("availabilityZone", some(zone.as_ref())),
            ("tagSpecificationSet", tag_specs(specs)),
        ]),
        Command::DeleteSubnet { subnet } => json!({"subnetId": subnet}),
        Command::CreateNetworkInterface(made) => object([
            ("subnetId", Some(json!(made.subnet))),
            ("description", some(made.description.as_ref())),
            ("groupSet", Some(items(made.groups.iter().map(|id| json!({"groupId": id}))))),
            ("privateIpAddress", some(made.address.as_ref())),
            ("tagSpecificationSet", tag_specs(&made.tag_specs)),
        ]),
        Command::DeleteNetworkInterface { interface } => json!({"networkInterfaceId": interface}),
        Command::ModifyNetworkInterfaceAttribute { interface, groups, description } => object([
            ("networkInterfaceId", Some(json!(interface))),
            ("groupSet", groups.as_ref().map(|groups| items(groups.iter().map(|id| json!({"groupId": id}))))),
            ("description", description.as_ref().map(|text| json!({"value": text}))),
        ]),
        Command::CreateManagedPrefixList(made) => wrapped(
            "CreateManagedPrefixList",
            object([
                ("PrefixListName", Some(json!(made.name))),
                ("AddressFamily", Some(json!(made.family))),
                ("MaxEntries", Some(json!(made.max_entries))),
                ("Entry", list_entries(&made.entries)),
                ("ClientToken", some(made.token.as_ref())),
            ]),
        ),
        Command::ModifyManagedPrefixList(change) => wrapped(
            "ModifyManagedPrefixList",
            object([
                ("PrefixListId", Some(json!(change.list))),
                ("CurrentVersion", change.current_version.map(Value::from)),
                ("PrefixListName", some(change.name.as_ref())),
                ("MaxEntries", change.max_entries.map(Value::from)),
                ("AddEntry", list_entries(&change.add)),
                ("RemoveEntry", list_entries(&change.remove)),
            ]),
        ),
        Command::RestoreManagedPrefixListVersion { list, previous, current } => wrapped(
            "RestoreManagedPrefixListVersion",
            json!({"PrefixListId": list, "PreviousVersion": previous, "CurrentVersion": current}),
        ),
        Command::DeleteManagedPrefixList { list } => wrapped("DeleteManagedPrefixList", json!({"PrefixListId": list})),
        Command::AssociateSecurityGroupVpc { group, vpc } => {
            wrapped("AssociateSecurityGroupVpc", json!({"GroupId": group, "VpcId": vpc}))
        }
        Command::DisassociateSecurityGroupVpc { group, vpc } => {
            wrapped("DisassociateSecurityGroupVpc", json!({"GroupId": group, "VpcId": vpc}))
        }
        Command::CreateVpcPeeringConnection(made) => object([
            ("vpcId", Some(json!(made.vpc))),
            ("peerVpcId", some(made.peer_vpc.as_ref())),
            ("peerOwnerId", some(made.peer_owner.as_ref())),
            ("peerRegion", some(made.peer_region.as_ref())),
        ]),
        Command::AcceptVpcPeeringConnection { peering }
        | Command::RejectVpcPeeringConnection { peering }
        | Command::DeleteVpcPeeringConnection { peering } => json!({"vpcPeeringConnectionId": peering}),
        _ => Value::Null,
    }
}

fn is_wrapped(action: &str) -> bool {
    action.contains("ManagedPrefixList")
        || matches!(action, "ModifySecurityGroupRules" | "AssociateSecurityGroupVpc" | "DisassociateSecurityGroupVpc")
}

fn pair(view: &PairView) -> Value {
    object([
        ("groupId", Some(json!(view.group.as_str()))),
        ("userId", view.user.as_ref().map(|user| json!(user.as_str()))),
        ("vpcId", view.vpc.as_ref().map(|vpc| json!(vpc.as_str()))),
        ("vpcPeeringConnectionId", view.peering.as_ref().map(|id| json!(id.as_str()))),
        ("peeringStatus", view.peering_status.map(|status| json!(status))),
    ])
}

fn tag_set(tags: &TagList) -> Option<Value> {
    let each = tags.iter().map(|(key, value)| json!({"key": key, "value": value}));
    if tags.is_empty() { None } else { Some(items(each)) }
}

fn rule(view: &RuleView, revoked: bool) -> Value {
    let text = |value: &str| Some(json!(value));
    let (mut v4, mut v6, mut list, mut info, mut id) = (None, None, None, None, None);
    match &view.peer {
        PeerView::V4(net) => v4 = text(net),
        PeerView::V6(net) => v6 = text(net),
        PeerView::List(peer) => list = text(peer.as_str()),
        PeerView::Group(peer) if revoked => id = text(peer.group.as_str()),
        PeerView::Group(peer) => info = Some(pair(peer)),
    }
    object([
        ("groupOwnerId", if revoked { None } else { text(view.owner.as_str()) }),
        ("groupId", text(view.group.as_str())),
        ("securityGroupRuleId", text(&view.id.to_string())),
        ("isEgress", Some(json!(view.egress))),
        ("ipProtocol", text(&view.protocol)),
        ("fromPort", Some(json!(view.from))),
        ("toPort", Some(json!(view.to))),
        ("cidrIpv4", v4),
        ("cidrIpv6", v6),
        ("prefixListId", list),
        ("referencedGroupInfo", info),
        ("referencedGroupId", id),
        ("description", some(view.description.as_ref())),
        ("tagSet", if revoked { None } else { tag_set(&view.tags) }),
        ("securityGroupRuleArn", if revoked { None } else { text(&view.arn) }),
    ])
}

fn unknown(view: &PermissionView) -> Value {
    let ranges = |rows: &[(String, Option<String>)], name: &str| items(rows.iter().map(|(value, _)| json!({ name: value })));
    object([
        ("ipProtocol", Some(json!(view.protocol))),
        ("fromPort", view.ports.map(|(from, _)| json!(from))),
        ("toPort", view.ports.map(|(_, to)| json!(to))),
        ("groups", Some(items(view.groups.iter().map(|(peer, _)| pair(peer))))),
        ("ipRanges", Some(ranges(&view.v4, "cidrIp"))),
        ("ipv6Ranges", Some(ranges(&view.v6, "cidrIpv6"))),
        ("prefixListIds", Some(ranges(&view.lists, "prefixListId"))),
    ])
}

/// `responseElements` of a write that succeeded.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest say no more than that they succeeded")]
pub(crate) fn response(action: &str, request_id: &str, reply: &Reply) -> Value {
    if is_wrapped(action) {
        let mut inner = json!({"xmlns": NAMESPACE, "requestId": request_id});
        match reply {
            Reply::AssociationState(state) => put(&mut inner, "state", json!(state)),
            Reply::List(view) => {
                put(
                    &mut inner,
                    "prefixList",
                    json!({
                        "prefixListId": view.id.as_str(), "prefixListName": view.name, "state": view.state,
                        "maxEntries": view.max_entries, "version": view.version, "addressFamily": view.family,
                        "prefixListArn": view.arn, "ownerId": view.owner,
                    }),
                );
            }
            _ => put(&mut inner, "return", json!(true)),
        }
        let mut outer = Map::new();
        outer.insert(format!("{action}Response"), inner);
        return Value::Object(outer);
    }
    let mut response = json!({"requestId": request_id, "_return": true});
    match reply {
        Reply::GroupCreated { id, arn, tags } => {
            put(&mut response, "groupId", json!(id.as_str()));
            if let Some(tags) = tag_set(tags) {
                put(&mut response, "tagSet", tags);
                put(&mut response, "securityGroupArn", json!(arn));
            }
        }
        Reply::Authorized(rules) => put(&mut response, "securityGroupRuleSet", items(rules.iter().map(|view| rule(view, false)))),
        Reply::Revoked { revoked, unknown: missed } => {
            if !missed.is_empty() {
                put(&mut response, "unknownIpPermissionSet", items(missed.iter().map(unknown)));
            }
            put(&mut response, "revokedSecurityGroupRuleSet", items(revoked.iter().map(|view| rule(view, true))));
        }
        Reply::Vpc(view) => put(&mut response, "vpc", json!({"vpcId": view.id.as_str(), "cidrBlock": view.cidr})),
        Reply::Subnet(view) => put(&mut response, "subnet", json!({"subnetId": view.id, "vpcId": view.vpc.as_str()})),
        Reply::Interface(view) => {
            put(&mut response, "networkInterface", json!({"networkInterfaceId": view.id, "subnetId": view.subnet}));
        }
        Reply::Peering(view) => {
            let peering = json!({"vpcPeeringConnectionId": view.id.as_str(), "status": {"code": view.status}});
            put(&mut response, "vpcPeeringConnection", peering);
        }
        _ => {}
    }
    response
}
