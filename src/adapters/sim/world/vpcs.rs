//! VPCs: create, delete, describe, and IPv6 blocks added later.
//!
//! Entry point: [`World::create_vpc`], [`World::describe_vpcs`].

use super::command::Describe;
use super::error::{self, ApiError};
use super::filter::{Filters, TagFilters};
use super::ids::{self, VpcId};
use super::page::Pager;
use super::reply::{Reply, VpcView};
use super::state::{Place, Vpc};
use super::tags::{self, TagSpec};
use super::{World, cidr, view};
use ipnet::{Ipv4Net, Ipv6Net};
use std::borrow::Cow;

const FILTERS: &[&str] = &[
    "cidr",
    "cidrBlock",
    "cidr-block-association.association-id",
    "cidr-block-association.cidr-block",
    "cidr-block-association.state",
    "dhcp-options-id",
    "ipv6-cidr-block-association.association-id",
    "ipv6-cidr-block-association.ipv6-cidr-block",
    "ipv6-cidr-block-association.ipv6-pool",
    "ipv6-cidr-block-association.state",
    "is-default",
    "isDefault",
    "owner-id",
    "state",
    "vpc-id",
];

/// A block of a VPC's size, or what EC2 says against it.
fn vpc_block(text: &str) -> Result<Ipv4Net, ApiError> {
    let not_a_block =
        |_| error::invalid(format!("Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."));
    let net = cidr::v4(text).map_err(not_a_block)?;
    if (16..=28).contains(&net.prefix_len()) { Ok(net) } else { Err(error::bad_vpc_range(text)) }
}

impl World {
    pub(crate) fn create_vpc(
        &mut self,
        place: &Place,
        cidr: Option<&str>,
        (ipv6, ipv6_cidr): (bool, Option<&str>),
        tag_specs: &[TagSpec],
    ) -> Result<Reply, ApiError> {
        let net = vpc_block(cidr.ok_or_else(|| error::missing("cidrBlock"))?)?;
        let tags = tags::from_specs(tag_specs, "vpc")?;
        let ipv6 = match (ipv6, ipv6_cidr) {
            (true, Some(_)) => return Err(error::combination("An IPv6 block is either Amazon's or your own.")),
            (true, None) => Some(self.amazon_block()),
            (false, own) => own.map(cidr::v6).transpose()?,
        };
        let id = VpcId::from(self.mint.id("vpc"));
        self.insert_vpc(place, &id, net, ipv6, false, tags);
        let vpc = self.region(place).vpcs.get(&id).ok_or_else(|| error::no_vpc(&id))?;
        Ok(Reply::Vpc(vpc_view(place, &id, vpc)))
    }

    /// A new VPC's id, for callers in process.
    pub(crate) fn new_vpc(&mut self, place: &Place, cidr: &str, ipv6: bool) -> Result<String, ApiError> {
        self.ensure(place);
        let net = vpc_block(cidr)?;
        let ipv6 = ipv6.then(|| self.amazon_block());
        let id = VpcId::from(self.mint.id("vpc"));
        self.insert_vpc(place, &id, net, ipv6, false, tags::Tags::default());
        Ok(id.to_string())
    }

    pub(crate) fn default_vpc_id(&mut self, place: &Place) -> Option<String> {
        self.ensure(place);
        self.region(place).default_vpc().map(|(id, _)| id.to_string())
    }

    /// A /56 as from Amazon's pool.
    fn amazon_block(&mut self) -> Ipv6Net {
        let bits = (0x2a05_d018_u128 << 96) | (u128::from(self.mint.below(1 << 24)) << 72);
        Ipv6Net::new_assert(bits.into(), 56)
    }

    pub(crate) fn associate_cidr(&mut self, place: &Place, vpc: &str, cidr: Option<&str>, ipv6: bool) -> Result<Reply, ApiError> {
        ids::check_vpc(vpc)?;
        let id = VpcId::from(vpc);
        if !self.region(place).vpcs.contains_key(&id) {
            return Err(error::no_vpc(vpc));
        }
        if let Some(cidr) = cidr {
            vpc_block(cidr)?;
            return Err(error::unsupported("The stand-in adds no second IPv4 block to a VPC."));
        }
        if !ipv6 {
            return Err(error::missing("cidrBlock or amazonProvidedIpv6CidrBlock"));
        }
        let (block, association) = (self.amazon_block(), self.mint.id("vpc-cidr-assoc"));
        if let Some(vpc) = self.region_mut(place).vpcs.get_mut(&id) {
            vpc.ipv6.push((association.clone(), block));
        }
        Ok(Reply::VpcBlock { vpc: id, association, block: block.to_string(), ipv6: true })
    }

    pub(crate) fn delete_vpc(&mut self, place: &Place, vpc: &str) -> Result<Reply, ApiError> {
        ids::check_vpc(vpc)?;
        let region = self.region(place);
        let (id, _) = region.vpcs.get_key_value(vpc).ok_or_else(|| error::no_vpc(vpc))?;
        let id = id.clone();
        let has_groups = region.groups.values().any(|group| group.vpc == id && !group.is_default());
        let has_subnets = region.subnets.values().any(|subnet| subnet.vpc == id);
        let has_lent = region.associations.iter().any(|((_, vpc), association)| *vpc == id && association.state != "disassociated");
        let peered = self.peerings.values().any(|p| p.status == "active" && (p.requester.vpc == id || p.accepter.vpc == id));
        if has_groups || has_subnets || has_lent || peered {
            return Err(error::has_dependencies("vpc", id));
        }
        let region = self.region_mut(place);
        region.vpcs.remove(&id);
        region.groups.retain(|_, group| group.vpc != id);
        Ok(Reply::Done)
    }

    pub(crate) fn describe_vpcs(&self, place: &Place, describe: &Describe) -> Result<Reply, ApiError> {
        let Describe { ids, filters, paging } = describe;
        let checked = Filters::checked(filters, FILTERS, TagFilters::All)?;
        let pager = Pager::new(paging, &(5..=1000), &format!("vpcs {place:?} {ids:?} {filters:?}"))?;
        let vpcs = &self.region(place).vpcs;
        for id in ids {
            ids::check_vpc(id)?;
            vpcs.get(id.as_str()).ok_or_else(|| error::no_vpc(id))?;
        }
        let rows = vpcs.iter().filter(|(id, _)| ids.is_empty() || ids.iter().any(|wanted| wanted == id.as_str()));
        let rows = rows.filter(|(id, vpc)| checked.admit(Some(&vpc.tags), |field| field_of(place, id, vpc, field)));
        let (page, token) = pager.cut(rows, |(id, _)| id.to_string());
        Ok(Reply::Vpcs((page.into_iter().map(|(id, vpc)| vpc_view(place, id, vpc)).collect(), token)))
    }
}

fn vpc_view(place: &Place, id: &VpcId, vpc: &Vpc) -> VpcView {
    VpcView {
        id: id.clone(),
        owner: place.account.clone(),
        cidr: vpc.cidr.to_string(),
        cidr_association: vpc.cidr_association.clone(),
        ipv6: vpc.ipv6.iter().map(|(association, net)| (association.clone(), net.to_string())).collect(),
        is_default: vpc.is_default,
        tags: view::tag_list(&vpc.tags),
    }
}

fn field_of<'v>(place: &'v Place, id: &'v VpcId, vpc: &'v Vpc, field: &str) -> Vec<Cow<'v, str>> {
    let each_ipv6 = |value: fn(&'v (String, Ipv6Net)) -> Cow<'v, str>| vpc.ipv6.iter().map(value).collect();
    match field {
        "cidr" | "cidrBlock" | "cidr-block-association.cidr-block" => vec![Cow::Owned(vpc.cidr.to_string())],
        "cidr-block-association.association-id" => vec![Cow::Borrowed(&vpc.cidr_association)],
        "cidr-block-association.state" => vec![Cow::Borrowed("associated")],
        "dhcp-options-id" => vec![Cow::Borrowed("default")],
        "ipv6-cidr-block-association.association-id" => each_ipv6(|(association, _)| Cow::Borrowed(association)),
        "ipv6-cidr-block-association.ipv6-cidr-block" => each_ipv6(|(_, net)| Cow::Owned(net.to_string())),
        "ipv6-cidr-block-association.ipv6-pool" => each_ipv6(|_| Cow::Borrowed("Amazon")),
        "ipv6-cidr-block-association.state" => each_ipv6(|_| Cow::Borrowed("associated")),
        "is-default" | "isDefault" => vec![Cow::Borrowed(if vpc.is_default { "true" } else { "false" })],
        "owner-id" => vec![Cow::Borrowed(place.account.as_str())],
        "state" => vec![Cow::Borrowed("available")],
        "vpc-id" => vec![Cow::Borrowed(id.as_str())],
        _ => Vec::new(),
    }
}
