//! What is there before anybody calls: each account's default VPC in each Region, AWS's own prefix lists, and seeded VPCs.
//!
//! Entry point: [`World::ensure`], [`World::seed_vpc`].

use super::World;
use super::error::{self, ApiError};
use super::ids::{self, PrefixListId, SubnetId, VpcId};
use super::page::fingerprint;
use super::state::{Family, Place, PrefixList, Region, Subnet, Vpc};
use super::tags::Tags;
use ipnet::{Ipv4Net, Ipv6Net};
use std::collections::BTreeMap;

/// AWS's prefix lists: name (`{}` is the Region), family, and what they count for in a group's quota.
const AWS_LISTS: &[(&str, Family, i64, &[&str])] = &[
    ("com.amazonaws.{}.s3", Family::V4, 1, &["3.5.64.0/21", "52.218.0.0/17"]),
    ("com.amazonaws.{}.dynamodb", Family::V4, 1, &["52.94.5.0/24"]),
    ("com.amazonaws.global.cloudfront.origin-facing", Family::V4, 55, &["120.52.22.96/27", "205.251.249.0/24"]),
    ("com.amazonaws.global.ipv6.cloudfront.origin-facing", Family::V6, 55, &["2600:9000:3000::/36"]),
    ("com.amazonaws.{}.vpc-lattice", Family::V4, 10, &["169.254.171.0/24"]),
    ("com.amazonaws.{}.ipv6.vpc-lattice", Family::V6, 10, &["fd00:ec2:80::/64"]),
    ("com.amazonaws.global.groundstation", Family::V4, 5, &["3.44.0.0/20"]),
];

impl World {
    /// AWS's own prefix lists, which are there for every account.
    pub(crate) fn furnish(&mut self, place: &Place) {
        if self.places.contains_key(place) {
            return;
        }
        let lists = AWS_LISTS.iter().map(|(name, family, weight, entries)| {
            let name = name.replace("{}", place.region.as_str());
            // AWS's lists have ids of their own in each Region, the same for every account.
            let id = format!("pl-{:08x}", fingerprint(format!("{} {name}", place.region).as_bytes()) & 0xffff_ffff);
            let entries = entries.iter().map(|cidr| ((*cidr).to_owned(), None)).collect();
            let list = PrefixList {
                name,
                family: *family,
                weight: *weight,
                aws_owned: true,
                version: 1,
                versions: BTreeMap::from([(1, entries)]),
                state: "create-complete",
                token: None,
                tags: Tags::default(),
            };
            (PrefixListId::from(id), list)
        });
        let region = Region { lists: lists.collect(), ..Region::default() };
        self.places.insert(place.clone(), region.into());
    }

    /// Gives an account its default VPC in a Region that it is seen in for the first time.
    pub(crate) fn ensure(&mut self, place: &Place) {
        if self.places.contains_key(place) {
            return;
        }
        self.furnish(place);
        let id = VpcId::from(self.mint.id("vpc"));
        let net = Ipv4Net::new_assert([172, 31, 0, 0].into(), 16);
        self.insert_vpc(place, &id, net, None, true, Tags::default());
        for (zone, subnet) in ['a', 'b', 'c'].into_iter().zip(net.subnets(20).into_iter().flatten()) {
            let vpc = id.clone();
            let subnet = Subnet { vpc, cidr: subnet, ipv6: None, zone, default_for_zone: true, tags: Tags::default() };
            let id = SubnetId::from(self.mint.id("subnet"));
            self.region_mut(place).subnets.insert(id, subnet);
        }
    }

    /// Adds a VPC of a known id, with its default group.
    pub(crate) fn seed_vpc(
        &mut self,
        place: &Place,
        id: &str,
        cidr: &str,
        ipv6: Option<&str>,
        tags: Tags,
    ) -> Result<VpcId, ApiError> {
        ids::check_vpc(id)?;
        let cidr = super::cidr::v4(cidr)?;
        let ipv6 = ipv6.map(super::cidr::v6).transpose()?;
        self.ensure(place);
        if self.places.values().any(|region| region.vpcs.contains_key(id)) {
            return Err(error::invalid(format!("There is a VPC '{id}' already.")));
        }
        let id = VpcId::from(id);
        self.insert_vpc(place, &id, cidr, ipv6, false, tags);
        Ok(id)
    }

    /// Adds a VPC and the default group that each is born with.
    pub(crate) fn insert_vpc(
        &mut self,
        place: &Place,
        id: &VpcId,
        cidr: Ipv4Net,
        ipv6: Option<Ipv6Net>,
        is_default: bool,
        tags: Tags,
    ) {
        let cidr_association = self.mint.id("vpc-cidr-assoc");
        let ipv6 = ipv6.map(|net| (self.mint.id("vpc-cidr-assoc"), net)).into_iter().collect();
        let vpc = Vpc { cidr, cidr_association, ipv6, is_default, tags };
        self.region_mut(place).vpcs.insert(id.clone(), vpc);
        self.insert_group(place, id, "default", "default VPC security group", Tags::default());
    }
}
