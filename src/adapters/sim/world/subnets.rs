//! Subnets, as far as network interfaces need them.
//!
//! Entry point: [`World::create_subnet`], [`World::describe_subnets`].

use super::command::Describe;
use super::error::{self, ApiError};
use super::filter::{Filters, TagFilters};
use super::ids::{self, SubnetId};
use super::page::Pager;
use super::reply::{Reply, SubnetView};
use super::state::{Place, Subnet};
use super::tags::{self, TagSpec};
use super::{World, cidr, view};
use std::borrow::Cow;

const FILTERS: &[&str] = &[
    "availability-zone",
    "availability-zone-id",
    "availabilityZone",
    "availabilityZoneId",
    "available-ip-address-count",
    "cidr",
    "cidr-block",
    "cidrBlock",
    "customer-owned-ipv4-pool",
    "default-for-az",
    "defaultForAz",
    "enable-dns64",
    "enable-lni-at-device-index",
    "ipv6-cidr-block-association.association-id",
    "ipv6-cidr-block-association.ipv6-cidr-block",
    "ipv6-cidr-block-association.state",
    "ipv6-native",
    "map-customer-owned-ip-on-launch",
    "map-public-ip-on-launch",
    "outpost-arn",
    "owner-id",
    "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
    "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
    "private-dns-name-options-on-launch.hostname-type",
    "state",
    "subnet-arn",
    "subnet-id",
    "vpc-id",
];

/// Addresses of a subnet that EC2 keeps for itself.
const RESERVED: u64 = 5;

impl World {
    pub(crate) fn create_subnet(
        &mut self,
        place: &Place,
        vpc: &str,
        cidr: Option<&str>,
        ipv6_cidr: Option<&str>,
        zone: Option<&str>,
        tag_specs: &[TagSpec],
    ) -> Result<Reply, ApiError> {
        ids::check_vpc(vpc)?;
        let tags = tags::from_specs(tag_specs, "subnet")?;
        let text = cidr.ok_or_else(|| error::missing("cidrBlock"))?;
        let net = cidr::v4(text)?;
        let region = self.region(place);
        let (id, held) = region.vpcs.get_key_value(vpc).ok_or_else(|| error::no_vpc(vpc))?;
        if !held.cidr.contains(&net) || !(16..=28).contains(&net.prefix_len()) {
            return Err(error::bad_subnet_range(text));
        }
        let overlaps = |other: &Subnet| other.vpc == *id && (other.cidr.contains(&net) || net.contains(&other.cidr));
        if region.subnets.values().any(overlaps) {
            return Err(error::subnet_conflict(text));
        }
        let ipv6 = ipv6_cidr.map(cidr::v6).transpose()?;
        if let Some(block) = ipv6.filter(|block| !held.ipv6.iter().any(|(_, whole)| whole.contains(block))) {
            return Err(error::bad_subnet_range(&block.to_string()));
        }
        let zone = match zone {
            None => 'a',
            Some(name) => {
                let named = |letter: &char| name == format!("{}{letter}", place.region) || name == zone_id(place, *letter);
                let letter = ('a'..='f').find(named);
                let unknown = || error::invalid(format!("Value ({name}) for parameter availabilityZone is invalid."));
                letter.ok_or_else(unknown)?
            }
        };
        let vpc = id.clone();
        let ipv6 = ipv6.map(|block| (self.mint.id("subnet-cidr-assoc"), block));
        let id = SubnetId::from(self.mint.id("subnet"));
        let subnet = Subnet { vpc, cidr: net, ipv6, zone, default_for_zone: false, tags };
        self.region_mut(place).subnets.insert(id.clone(), subnet.clone());
        Ok(Reply::Subnet(self.subnet_view(place, &id, &subnet)))
    }

    pub(crate) fn delete_subnet(&mut self, place: &Place, subnet: &str) -> Result<Reply, ApiError> {
        ids::check("SubnetId", "subnet", subnet)?;
        let region = self.region(place);
        if !region.subnets.contains_key(subnet) {
            return Err(error::no_subnet(subnet));
        }
        if region.interfaces.values().any(|interface| interface.subnet.as_str() == subnet) {
            return Err(error::has_dependencies("subnet", subnet));
        }
        self.region_mut(place).subnets.remove(subnet);
        Ok(Reply::Done)
    }

    pub(crate) fn describe_subnets(&self, place: &Place, describe: &Describe) -> Result<Reply, ApiError> {
        let Describe { ids, filters, paging } = describe;
        let checked = Filters::checked(filters, FILTERS, TagFilters::All)?;
        let pager = Pager::new(paging, &(5..=1000), &format!("subnets {place:?} {ids:?} {filters:?}"))?;
        let subnets = &self.region(place).subnets;
        for id in ids {
            ids::check("SubnetId", "subnet", id)?;
            subnets.get(id.as_str()).ok_or_else(|| error::no_subnet(id))?;
        }
        let rows = subnets.iter().filter(|(id, _)| ids.is_empty() || ids.iter().any(|wanted| wanted == id.as_str()));
        let rows = rows.map(|(id, subnet)| (subnet, self.subnet_view(place, id, subnet)));
        let rows = rows.filter(|(subnet, view)| checked.admit(Some(&subnet.tags), |field| field_of(view, field)));
        let (page, token) = pager.cut(rows.map(|(_, view)| view), |view| view.id.clone());
        Ok(Reply::Subnets((page, token)))
    }

    fn subnet_view(&self, place: &Place, id: &SubnetId, subnet: &Subnet) -> SubnetView {
        let used = self.region(place).interfaces.values().filter(|interface| interface.subnet == *id).count();
        let size = 1_u64 << (32 - u32::from(subnet.cidr.prefix_len()));
        SubnetView {
            id: id.to_string(),
            vpc: subnet.vpc.clone(),
            owner: place.account.clone(),
            cidr: subnet.cidr.to_string(),
            ipv6: subnet.ipv6.as_ref().map(|(association, net)| (association.clone(), net.to_string())),
            zone: format!("{}{}", place.region, subnet.zone),
            zone_id: zone_id(place, subnet.zone),
            available: size.saturating_sub(RESERVED).saturating_sub(u64::try_from(used).unwrap_or(u64::MAX)),
            default_for_zone: subnet.default_for_zone,
            arn: place.arn("subnet", id),
            tags: view::tag_list(&subnet.tags),
        }
    }
}

/// Zone ids abbreviate the Region: `eu-west-1a` is `euw1-az1`.
pub(super) fn zone_id(place: &Place, zone: char) -> String {
    let parts: Vec<&str> = place.region.as_str().split('-').collect();
    let first = |n: usize, length: usize| parts.get(n).and_then(|part| part.get(..length)).unwrap_or_default();
    let number = u32::from(zone).saturating_sub(u32::from('a')) + 1;
    format!("{}{}{}-az{number}", first(0, 2), first(1, 1), parts.last().copied().unwrap_or_default())
}

fn field_of<'v>(view: &'v SubnetView, field: &str) -> Vec<Cow<'v, str>> {
    let flag = |value: bool| vec![Cow::Borrowed(if value { "true" } else { "false" })];
    match field {
        "availability-zone" | "availabilityZone" => vec![Cow::Borrowed(&view.zone)],
        "availability-zone-id" | "availabilityZoneId" => vec![Cow::Borrowed(&view.zone_id)],
        "available-ip-address-count" => vec![Cow::Owned(view.available.to_string())],
        "cidr" | "cidr-block" | "cidrBlock" => vec![Cow::Borrowed(&view.cidr)],
        "default-for-az" | "defaultForAz" | "map-public-ip-on-launch" => flag(view.default_for_zone),
        "enable-dns64"
        | "ipv6-native"
        | "map-customer-owned-ip-on-launch"
        | "private-dns-name-options-on-launch.enable-resource-name-dns-a-record"
        | "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record" => flag(false),
        "ipv6-cidr-block-association.association-id" => view.ipv6.iter().map(|(id, _)| Cow::Borrowed(id.as_str())).collect(),
        "ipv6-cidr-block-association.ipv6-cidr-block" => view.ipv6.iter().map(|(_, net)| Cow::Borrowed(net.as_str())).collect(),
        "ipv6-cidr-block-association.state" => view.ipv6.iter().map(|_| Cow::Borrowed("associated")).collect(),
        "owner-id" => vec![Cow::Borrowed(view.owner.as_str())],
        "private-dns-name-options-on-launch.hostname-type" => vec![Cow::Borrowed("ip-name")],
        "state" => vec![Cow::Borrowed("available")],
        "subnet-arn" => vec![Cow::Borrowed(&view.arn)],
        "subnet-id" => vec![Cow::Borrowed(&view.id)],
        "vpc-id" => vec![Cow::Borrowed(view.vpc.as_str())],
        _ => Vec::new(),
    }
}
