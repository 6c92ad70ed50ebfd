//! The world as plain data: what `/_sim/world` dumps, a state file keeps and a seed file describes.
//!
//! Entry point: [`World::dump`], [`World::load`], [`WorldFile`].
//!
//! Invariant: loading a dump into an empty world gives the same world, ids to come included.
//! Invariant: a seed may leave out ids, default VPCs and the rules that a group is born with; what it does say is checked as
//! strictly as a call's parameters.

use super::error::{self, ApiError};
use super::ids::{self, AccountId, GroupId, InterfaceId, PeeringId, PrefixListId, RegionName, RuleId, SubnetId, VpcId};
use super::permissions::read_ports;
use super::rule::{Direction, Link, Peer, Protocol, Rule, RuleKey};
use super::state::{Association, Attachment, Family, Group, Interface, Peering, Place, PrefixList, Side, Subnet, Vpc};
use super::tags::Tags;
use super::{World, cidr};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

type TagMap = BTreeMap<String, String>;

/// Everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WorldFile {
    /// What ids to come are made from.
    next_ids: Option<u64>,
    places: Vec<PlaceFile>,
    peerings: Vec<PeeringFile>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct PlaceFile {
    account: String,
    region: String,
    vpcs: Vec<VpcFile>,
    subnets: Vec<SubnetFile>,
    prefix_lists: Vec<ListFile>,
    groups: Vec<GroupFile>,
    interfaces: Vec<InterfaceFile>,
    associations: Vec<AssociationFile>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct VpcFile {
    id: Option<String>,
    cidr: String,
    cidr_association: Option<String>,
    /// Block by association id; a seed gives `ipv6Cidr` instead.
    ipv6: BTreeMap<String, String>,
    ipv6_cidr: Option<String>,
    default: bool,
    tags: TagMap,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct SubnetFile {
    id: Option<String>,
    vpc: String,
    cidr: String,
    ipv6: Option<(String, String)>,
    zone: Option<char>,
    default_for_zone: bool,
    tags: TagMap,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct ListFile {
    id: Option<String>,
    name: String,
    ipv6: bool,
    max_entries: i64,
    version: Option<i64>,
    versions: BTreeMap<i64, BTreeMap<String, Option<String>>>,
    tags: TagMap,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct GroupFile {
    id: Option<String>,
    name: String,
    description: String,
    vpc: String,
    /// Absent: the rules that a new group is born with.
    rules: Option<Vec<RuleFile>>,
    tags: TagMap,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RuleFile {
    id: Option<String>,
    egress: bool,
    protocol: String,
    from: Option<i32>,
    to: Option<i32>,
    /// A CIDR of either family, a prefix list id, or a group id.
    peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_vpc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peering: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: TagMap,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InterfaceFile {
    id: String,
    subnet: String,
    vpc: String,
    description: String,
    kind: String,
    requester: Option<String>,
    mac: String,
    address: Ipv4Addr,
    #[serde(default)]
    others: Vec<Ipv4Addr>,
    #[serde(default)]
    v6: Vec<Ipv6Addr>,
    groups: Vec<String>,
    attachment: Option<(String, Option<String>, Timestamp)>,
    tags: TagMap,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AssociationFile {
    group: String,
    vpc: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SideFile {
    account: String,
    region: String,
    vpc: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeeringFile {
    id: Option<String>,
    requester: SideFile,
    accepter: SideFile,
    status: String,
    #[serde(default)]
    tags: TagMap,
}

fn tag_map(tags: &Tags) -> TagMap {
    tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn tags(map: &TagMap) -> Tags {
    let mut tags = Tags::default();
    for (key, value) in map {
        tags.put(key, value);
    }
    tags
}

impl World {
    pub(crate) fn dump(&self) -> WorldFile {
        let side = |side: &Side| SideFile {
            account: side.place.account.to_string(),
            region: side.place.region.to_string(),
            vpc: side.vpc.to_string(),
        };
        let peerings = self.peerings.iter().map(|(id, peering)| PeeringFile {
            id: Some(id.to_string()),
            requester: side(&peering.requester),
            accepter: side(&peering.accepter),
            status: peering.status.to_owned(),
            tags: tag_map(&peering.tags),
        });
        WorldFile {
            next_ids: Some(self.mint.state()),
            places: self.places.keys().map(|place| self.dump_place(place)).collect(),
            peerings: peerings.collect(),
        }
    }

    /// The rules of one group.
    pub(crate) fn dump_rules(&self, place: &Place, group: &str) -> Vec<RuleFile> {
        let group = self.region(place).groups.get(group);
        group.map(|group| group.rules.iter().map(rule_file).collect()).unwrap_or_default()
    }

    fn dump_place(&self, place: &Place) -> PlaceFile {
        let region = self.region(place);
        let own_lists = region.lists.iter().filter(|(_, list)| !list.aws_owned);
        PlaceFile {
            account: place.account.to_string(),
            region: place.region.to_string(),
            vpcs: region.vpcs.iter().map(|(id, vpc)| vpc_file(id, vpc)).collect(),
            subnets: region.subnets.iter().map(|(id, subnet)| subnet_file(id, subnet)).collect(),
            prefix_lists: own_lists.map(|(id, list)| list_file(id, list)).collect(),
            groups: region.groups.values().map(|group| group_file(group)).collect(),
            interfaces: region.interfaces.iter().map(|(id, interface)| interface_file(id, interface)).collect(),
            associations: region
                .associations
                .keys()
                .map(|(group, vpc)| AssociationFile { group: group.to_string(), vpc: vpc.to_string() })
                .collect(),
        }
    }

    /// Adds what a file describes to this world.
    pub(crate) fn load(&mut self, file: &WorldFile) -> Result<(), ApiError> {
        for place in &file.places {
            self.load_place(place)?;
        }
        for peering in &file.peerings {
            let known = ["pending-acceptance", "active", "rejected", "deleted", "failed"];
            let status = known.into_iter().find(|known| *known == peering.status);
            let status = status.ok_or_else(|| error::invalid(format!("'{}' is no status of a peering.", peering.status)))?;
            let side = |side: &SideFile| Side {
                place: Place { account: AccountId::from(side.account.as_str()), region: RegionName::from(side.region.as_str()) },
                vpc: VpcId::from(side.vpc.as_str()),
            };
            let (requester, accepter) = (side(&peering.requester), side(&peering.accepter));
            let id = self.given(peering.id.as_deref(), "pcx")?;
            let loaded = Peering { requester, accepter, status, tags: tags(&peering.tags) };
            self.peerings.insert(PeeringId::from(id), loaded);
        }
        if let Some(state) = file.next_ids {
            self.mint.resume(state);
        }
        Ok(())
    }

    /// The id that a file gives, or a new one.
    fn given(&mut self, id: Option<&str>, prefix: &str) -> Result<String, ApiError> {
        match id {
            None => Ok(self.mint.id(prefix)),
            Some(id) if ids::well_formed(prefix, id) => Ok(id.to_owned()),
            Some(id) => Err(error::malformed_id("Id", prefix, id)),
        }
    }

    fn load_place(&mut self, file: &PlaceFile) -> Result<(), ApiError> {
        if file.account.len() != 12 || file.region.is_empty() {
            return Err(error::invalid("A place needs an account of 12 digits and a region."));
        }
        let place = Place { account: AccountId::from(file.account.as_str()), region: RegionName::from(file.region.as_str()) };
        if file.vpcs.iter().any(|vpc| vpc.default) {
            self.furnish(&place);
        } else {
            self.ensure(&place);
        }
        for vpc in &file.vpcs {
            self.load_vpc(&place, vpc, file)?;
        }
        for subnet in &file.subnets {
            let id = SubnetId::from(self.given(subnet.id.as_deref(), "subnet")?);
            let ipv6 = subnet.ipv6.as_ref().map(|(association, net)| Ok((association.clone(), cidr::v6(net)?))).transpose()?;
            let (vpc, cidr) = (self.loaded_vpc(&place, &subnet.vpc)?, cidr::v4(&subnet.cidr)?);
            let zone = subnet.zone.unwrap_or('a');
            let default_for_zone = subnet.default_for_zone;
            let loaded = Subnet { vpc, cidr, ipv6, zone, default_for_zone, tags: tags(&subnet.tags) };
            self.region_mut(&place).subnets.insert(id, loaded);
        }
        for list in &file.prefix_lists {
            let id = PrefixListId::from(self.given(list.id.as_deref(), "pl")?);
            let versions = if list.versions.is_empty() { BTreeMap::from([(1, BTreeMap::new())]) } else { list.versions.clone() };
            let version = list.version.or_else(|| versions.keys().last().copied()).unwrap_or(1);
            let loaded = PrefixList {
                name: list.name.clone(),
                family: if list.ipv6 { Family::V6 } else { Family::V4 },
                weight: list.max_entries,
                aws_owned: false,
                version,
                versions,
                state: if version == 1 { "create-complete" } else { "modify-complete" },
                token: None,
                tags: tags(&list.tags),
            };
            self.region_mut(&place).lists.insert(id, loaded);
        }
        for group in &file.groups {
            self.load_group(&place, group)?;
        }
        for interface in &file.interfaces {
            self.load_interface(&place, interface);
        }
        for AssociationFile { group, vpc } in &file.associations {
            let association = Association { vpc_owner: place.account.clone(), state: "associated" };
            let pair = (GroupId::from(group.as_str()), VpcId::from(vpc.as_str()));
            self.region_mut(&place).associations.insert(pair, association);
        }
        Ok(())
    }

    fn loaded_vpc(&self, place: &Place, id: &str) -> Result<VpcId, ApiError> {
        self.region(place).vpcs.get_key_value(id).map(|(id, _)| id.clone()).ok_or_else(|| error::no_vpc(id))
    }

    fn load_vpc(&mut self, place: &Place, file: &VpcFile, all: &PlaceFile) -> Result<(), ApiError> {
        let id = VpcId::from(self.given(file.id.as_deref(), "vpc")?);
        let net = cidr::v4(&file.cidr)?;
        let seeded = file.ipv6_cidr.as_deref().map(cidr::v6).transpose()?;
        // A file that has the VPC's default group brings it along with its rules.
        if all.groups.iter().any(|group| group.vpc == id.as_str() && group.name == "default") {
            let mut ipv6 = Vec::new();
            for (association, block) in &file.ipv6 {
                ipv6.push((association.clone(), cidr::v6(block)?));
            }
            let cidr_association = match &file.cidr_association {
                Some(association) => association.clone(),
                None => self.mint.id("vpc-cidr-assoc"),
            };
            let vpc = Vpc { cidr: net, cidr_association, ipv6, is_default: file.default, tags: tags(&file.tags) };
            self.region_mut(place).vpcs.insert(id, vpc);
        } else {
            self.insert_vpc(place, &id, net, seeded, file.default, tags(&file.tags));
        }
        Ok(())
    }

    fn load_group(&mut self, place: &Place, file: &GroupFile) -> Result<(), ApiError> {
        let vpc = self.loaded_vpc(place, &file.vpc)?;
        if self.region(place).named(&vpc, &file.name).is_some() {
            return Err(error::group_exists(&file.name, vpc));
        }
        let born = self.insert_group(place, &vpc, &file.name, &file.description, tags(&file.tags));
        let id = match &file.id {
            Some(_) => GroupId::from(self.given(file.id.as_deref(), "sg")?),
            None => born.clone(),
        };
        let Some(group) = self.region_mut(place).groups.remove(&born) else { return Ok(()) };
        let mut group = Arc::unwrap_or_clone(group);
        group.id = id.clone();
        if let Some(rules) = &file.rules {
            group.rules = rules.iter().map(|rule| self.loaded_rule(rule)).collect::<Result<_, _>>()?;
        }
        self.region_mut(place).groups.insert(id, Arc::new(group));
        Ok(())
    }

    fn loaded_rule(&mut self, file: &RuleFile) -> Result<Rule, ApiError> {
        let id = match &file.id {
            None => self.mint.rule(),
            Some(id) => RuleId::parse(id)?.ok_or_else(|| error::no_rule(id))?,
        };
        let peer = match file.peer.as_str() {
            id if ids::well_formed("sg", id) => Peer::Group(id.into()),
            id if ids::well_formed("pl", id) => Peer::List(id.into()),
            net if net.contains(':') => Peer::V6(cidr::v6(net)?),
            net => Peer::V4(cidr::v4(net)?),
        };
        let unknown = || error::invalid(format!("Invalid value '{}' for IP protocol. Unknown protocol.", file.protocol));
        let protocol = Protocol::parse(&file.protocol).ok_or_else(unknown)?;
        let (from, to) = read_ports(protocol, file.from.map(i64::from), file.to.map(i64::from))?;
        let link = file.peer_vpc.as_deref().map(|vpc| {
            let peering = file.peering.as_deref().map(PeeringId::from);
            Arc::new(Link { vpc: VpcId::from(vpc), peering })
        });
        Ok(Rule {
            id,
            direction: if file.egress { Direction::Egress } else { Direction::Ingress },
            key: RuleKey { protocol, from, to, peer },
            description: super::text::rule_description(file.description.as_deref())?,
            link,
            tags: tags(&file.tags),
        })
    }

    fn load_interface(&mut self, place: &Place, file: &InterfaceFile) {
        let held = file.attachment.clone().map(|(id, instance, time)| Attachment { id, instance, time });
        let loaded = Interface {
            subnet: SubnetId::from(file.subnet.as_str()),
            vpc: VpcId::from(file.vpc.as_str()),
            description: file.description.clone(),
            kind: file.kind.clone(),
            requester: file.requester.clone(),
            mac: file.mac.clone(),
            address: file.address,
            others: file.others.clone(),
            v6: file.v6.clone(),
            groups: file.groups.iter().map(|id| GroupId::from(id.as_str())).collect(),
            attachment: held,
            tags: tags(&file.tags),
        };
        self.region_mut(place).interfaces.insert(InterfaceId::from(file.id.as_str()), loaded);
    }
}

fn vpc_file(id: &VpcId, vpc: &Vpc) -> VpcFile {
    VpcFile {
        id: Some(id.to_string()),
        cidr: vpc.cidr.to_string(),
        cidr_association: Some(vpc.cidr_association.clone()),
        ipv6: vpc.ipv6.iter().map(|(association, net)| (association.clone(), net.to_string())).collect(),
        ipv6_cidr: None,
        default: vpc.is_default,
        tags: tag_map(&vpc.tags),
    }
}

fn subnet_file(id: &SubnetId, subnet: &Subnet) -> SubnetFile {
    SubnetFile {
        id: Some(id.to_string()),
        vpc: subnet.vpc.to_string(),
        cidr: subnet.cidr.to_string(),
        ipv6: subnet.ipv6.as_ref().map(|(association, net)| (association.clone(), net.to_string())),
        zone: Some(subnet.zone),
        default_for_zone: subnet.default_for_zone,
        tags: tag_map(&subnet.tags),
    }
}

fn list_file(id: &PrefixListId, list: &PrefixList) -> ListFile {
    ListFile {
        id: Some(id.to_string()),
        name: list.name.clone(),
        ipv6: list.family == Family::V6,
        max_entries: list.weight,
        version: Some(list.version),
        versions: list.versions.clone(),
        tags: tag_map(&list.tags),
    }
}

fn group_file(group: &Group) -> GroupFile {
    GroupFile {
        id: Some(group.id.to_string()),
        name: group.name.clone(),
        description: group.description.clone(),
        vpc: group.vpc.to_string(),
        rules: Some(group.rules.iter().map(rule_file).collect()),
        tags: tag_map(&group.tags),
    }
}

fn rule_file(rule: &Rule) -> RuleFile {
    RuleFile {
        id: Some(rule.id.to_string()),
        egress: rule.direction == Direction::Egress,
        protocol: rule.key.protocol.name(),
        from: rule.key.protocol.has_ports().then_some(rule.key.from),
        to: rule.key.protocol.has_ports().then_some(rule.key.to),
        peer: match &rule.key.peer {
            Peer::V4(net) => net.to_string(),
            Peer::V6(net) => net.to_string(),
            Peer::List(id) => id.to_string(),
            Peer::Group(id) => id.to_string(),
        },
        description: rule.description.as_deref().map(str::to_owned),
        peer_vpc: rule.link.as_deref().map(|link| link.vpc.to_string()),
        peering: rule.link.as_deref().and_then(|link| link.peering.as_ref().map(ToString::to_string)),
        tags: tag_map(&rule.tags),
    }
}

fn interface_file(id: &InterfaceId, interface: &Interface) -> InterfaceFile {
    InterfaceFile {
        id: id.to_string(),
        subnet: interface.subnet.to_string(),
        vpc: interface.vpc.to_string(),
        description: interface.description.clone(),
        kind: interface.kind.clone(),
        requester: interface.requester.clone(),
        mac: interface.mac.clone(),
        address: interface.address,
        others: interface.others.clone(),
        v6: interface.v6.clone(),
        groups: interface.groups.iter().map(ToString::to_string).collect(),
        attachment: interface.attachment.as_ref().map(|held| (held.id.clone(), held.instance.clone(), held.time)),
        tags: tag_map(&interface.tags),
    }
}
