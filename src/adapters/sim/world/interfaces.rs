//! Network interfaces: what holds security groups in use.
//!
//! Entry point: [`World::create_interface`], [`World::modify_interface`], [`World::describe_interfaces`].

use super::command::{CreateInterface, Describe};
use super::error::{self, ApiError};
use super::filter::{Filters, TagFilters};
use super::ids::{self, GroupId, InterfaceId, VpcId};
use super::page::Pager;
use super::reply::{AttachmentView, InterfaceView, Reply};
use super::state::{Attachment, Interface, Place, Subnet};
use super::subnets::zone_id;
use super::{World, tags, text, view};
use jiff::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Addresses of one interface, of each kind, that a request may ask for by number.
const MAX_ADDRESSES: i64 = 50;

const FILTERS: &[&str] = &[
    "addresses.association.owner-id",
    "addresses.association.public-ip",
    "addresses.primary",
    "addresses.private-ip-address",
    "association.allocation-id",
    "association.association-id",
    "association.ip-owner-id",
    "association.public-dns-name",
    "association.public-ip",
    "attachment.attach-time",
    "attachment.attachment-id",
    "attachment.delete-on-termination",
    "attachment.device-index",
    "attachment.instance-id",
    "attachment.instance-owner-id",
    "attachment.status",
    "availability-zone",
    "availability-zone-id",
    "description",
    "group-id",
    "group-name",
    "interface-type",
    "ipv6-addresses.ipv6-address",
    "mac-address",
    "network-interface-id",
    "operator.managed",
    "operator.principal",
    "owner-id",
    "private-dns-name",
    "private-ip-address",
    "requester-id",
    "requester-managed",
    "source-dest-check",
    "status",
    "subnet-id",
    "vpc-id",
];

impl World {
    pub(crate) fn create_interface(&mut self, place: &Place, request: &CreateInterface) -> Result<Reply, ApiError> {
        ids::check("SubnetId", "subnet", &request.subnet)?;
        let tags = tags::from_specs(&request.tag_specs, "network-interface")?;
        let description = request.description.clone().unwrap_or_default();
        text::bounded(&description, "description")?;
        let region = self.region(place);
        let (subnet_id, subnet) =
            region.subnets.get_key_value(request.subnet.as_str()).ok_or_else(|| error::no_subnet(&request.subnet))?;
        let (subnet_id, subnet) = (subnet_id.clone(), subnet.clone());
        let groups = self.interface_groups(place, &subnet.vpc, &request.groups)?;
        let (address, others) = self.addresses(place, &subnet, request)?;
        let v6 = self.v6_addresses(place, &subnet, request)?;
        let id = InterfaceId::from(self.mint.id("eni"));
        let mac = self.mint.below(1 << 40).to_be_bytes();
        let mac: Vec<String> = mac.iter().skip(3).map(|byte| format!("{byte:02x}")).collect();
        let interface = Interface {
            subnet: subnet_id,
            vpc: subnet.vpc,
            description,
            kind: request.interface_type.clone().unwrap_or_else(|| "interface".into()),
            requester: None,
            mac: format!("02:{}", mac.join(":")),
            address,
            others,
            v6,
            groups,
            attachment: None,
            tags,
        };
        self.region_mut(place).interfaces.insert(id.clone(), interface.clone());
        Ok(Reply::Interface(Box::new(self.interface_view(place, &id, &interface))))
    }

    /// The groups of an interface: those asked for, or the VPC's default one.
    fn interface_groups(&self, place: &Place, vpc: &VpcId, wanted: &[String]) -> Result<Vec<GroupId>, ApiError> {
        let region = self.region(place);
        if wanted.is_empty() {
            return Ok(region.named(vpc, "default").map(|group| group.id.clone()).into_iter().collect());
        }
        let mut groups: Vec<GroupId> = Vec::new();
        for id in wanted {
            ids::check_group(id)?;
            let missing = || error::not_found("SecurityGroupID", "securityGroup ID", id);
            let group = region.groups.get(id.as_str()).ok_or_else(missing)?;
            if group.vpc != *vpc && !region.associated(&group.id, vpc) {
                return Err(error::different_networks());
            }
            if !groups.contains(&group.id) {
                groups.push(group.id.clone());
            }
        }
        if groups.len() > self.quotas.groups_per_interface { Err(error::too_many_groups_on_interface()) } else { Ok(groups) }
    }

    /// The primary address of a new interface and its others: those asked for, and free ones of the subnet.
    fn addresses(&self, place: &Place, subnet: &Subnet, request: &CreateInterface) -> Result<(Ipv4Addr, Vec<Ipv4Addr>), ApiError> {
        let interfaces = self.region(place).interfaces.values().filter(|held| held.vpc == subnet.vpc);
        let mut used: BTreeSet<Ipv4Addr> = interfaces.flat_map(|held| held.others.iter().copied().chain([held.address])).collect();
        let mut take = |text: Option<&str>| -> Result<Ipv4Addr, ApiError> {
            let address = if let Some(text) = text {
                let outside = || error::invalid(format!("Address {text} does not fall within the subnet's address range"));
                let address = text.parse().ok().filter(|address| subnet.cidr.contains(address)).ok_or_else(outside)?;
                if used.contains(&address) {
                    return Err(error::address_in_use(address));
                }
                address
            } else {
                // The first four addresses of a subnet and the last are EC2's own.
                let last = subnet.cidr.broadcast();
                let free = subnet.cidr.hosts().skip(3).find(|address| *address != last && !used.contains(address));
                free.ok_or_else(error::no_free_address)?
            };
            used.insert(address);
            Ok(address)
        };
        let primaries = request.addresses.iter().filter(|(_, primary)| *primary).count();
        if primaries + usize::from(request.address.is_some()) > 1 {
            return Err(error::combination("Only one primary private IP address can be specified."));
        }
        let named = request.addresses.iter().find(|(_, primary)| *primary).and_then(|(text, _)| text.as_deref());
        let primary = take(named.or(request.address.as_deref()))?;
        let mut others = Vec::new();
        for (text, _) in request.addresses.iter().filter(|(_, primary)| !*primary) {
            others.push(take(text.as_deref())?);
        }
        for _ in 0..request.more_addresses.unwrap_or_default().min(MAX_ADDRESSES) {
            others.push(take(None)?);
        }
        Ok((primary, others))
    }

    fn v6_addresses(&self, place: &Place, subnet: &Subnet, request: &CreateInterface) -> Result<Vec<Ipv6Addr>, ApiError> {
        let count = request.v6_count.unwrap_or_default().min(MAX_ADDRESSES);
        if request.v6.is_empty() && count <= 0 {
            return Ok(Vec::new());
        }
        let no_block = || error::invalid("The subnet has no IPv6 CIDR block.");
        let (_, block) = subnet.ipv6.as_ref().ok_or_else(no_block)?;
        let used: BTreeSet<Ipv6Addr> = self.region(place).interfaces.values().flat_map(|held| held.v6.iter().copied()).collect();
        let mut taken: Vec<Ipv6Addr> = Vec::new();
        for text in &request.v6 {
            let outside = || error::invalid(format!("Address {text} does not fall within the subnet's address range"));
            let address = text.parse().ok().filter(|address| block.contains(address)).ok_or_else(outside)?;
            if used.contains(&address) || taken.contains(&address) {
                return Err(error::address_in_use(address));
            }
            taken.push(address);
        }
        for _ in 0..count {
            let free = block.hosts().skip(4).find(|address| !used.contains(address) && !taken.contains(address));
            taken.extend(free);
        }
        Ok(taken)
    }

    pub(crate) fn modify_interface(
        &mut self,
        place: &Place,
        interface: &str,
        groups: Option<&[String]>,
        description: Option<&str>,
    ) -> Result<Reply, ApiError> {
        ids::check("NetworkInterfaceId", "eni", interface)?;
        let held = self.region(place).interfaces.get(interface).ok_or_else(|| error::no_interface(interface))?;
        let groups = match groups {
            Some([]) => return Err(error::invalid("A network interface must have at least one security group.")),
            Some(wanted) => Some(self.interface_groups(place, &held.vpc.clone(), wanted)?),
            None => None,
        };
        if let Some(description) = description {
            text::bounded(description, "description")?;
        }
        if let Some(held) = self.region_mut(place).interfaces.get_mut(interface) {
            held.groups = groups.unwrap_or_else(|| held.groups.clone());
            held.description = description.map_or_else(|| held.description.clone(), str::to_owned);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn delete_interface(&mut self, place: &Place, interface: &str) -> Result<Reply, ApiError> {
        ids::check("NetworkInterfaceId", "eni", interface)?;
        let held = self.region(place).interfaces.get(interface).ok_or_else(|| error::no_interface(interface))?;
        if held.attachment.is_some() {
            return Err(error::interface_in_use(interface));
        }
        if held.requester.is_some() {
            return Err(error::not_permitted(format!("You do not have permission to access the specified resource: {interface}")));
        }
        self.region_mut(place).interfaces.remove(interface);
        Ok(Reply::Done)
    }

    /// What services and instances do to an interface, which no call of the sim's does: attach it, or manage it.
    pub(crate) fn occupy_interface(
        &mut self,
        place: &Place,
        interface: &str,
        now: Timestamp,
        (kind, requester, instance): (Option<&str>, Option<&str>, Option<&str>),
    ) -> Result<(), ApiError> {
        let id = self.mint.id("eni-attach");
        let held = self.region_mut(place).interfaces.get_mut(interface).ok_or_else(|| error::no_interface(interface))?;
        held.kind = kind.map_or_else(|| held.kind.clone(), str::to_owned);
        held.requester = requester.map(str::to_owned);
        let attached = requester.is_some() || instance.is_some();
        held.attachment = attached.then(|| Attachment { id, instance: instance.map(str::to_owned), time: now });
        Ok(())
    }

    pub(crate) fn describe_interfaces(&self, place: &Place, describe: &Describe) -> Result<Reply, ApiError> {
        let Describe { ids, filters, paging } = describe;
        let checked = Filters::checked(filters, FILTERS, TagFilters::All)?;
        if !ids.is_empty() && paging.max_results.is_some() {
            return Err(error::combination("The parameter MaxResults may not be used in combination with network interface IDs"));
        }
        let pager = Pager::new(paging, &(5..=1000), &format!("interfaces {place:?} {ids:?} {filters:?}"))?;
        let interfaces = &self.region(place).interfaces;
        for id in ids {
            ids::check("NetworkInterfaceId", "eni", id)?;
            interfaces.get(id.as_str()).ok_or_else(|| error::no_interface(id))?;
        }
        let rows = interfaces.iter().filter(|(id, _)| ids.is_empty() || ids.iter().any(|wanted| wanted == id.as_str()));
        let rows = rows.map(|(id, interface)| (interface, self.interface_view(place, id, interface)));
        let rows = rows.filter(|(interface, view)| checked.admit(Some(&interface.tags), |field| field_of(view, field)));
        Ok(Reply::Interfaces(pager.cut(rows.map(|(_, view)| view), |view| view.id.clone())))
    }

    fn interface_view(&self, place: &Place, id: &InterfaceId, interface: &Interface) -> InterfaceView {
        let region = self.region(place);
        let zone = region.subnets.get(&interface.subnet).map_or('a', |subnet| subnet.zone);
        let name = |id: &GroupId| region.groups.get(id).map(|group| group.name.clone()).unwrap_or_default();
        let managed = interface.requester.is_some();
        InterfaceView {
            id: id.to_string(),
            subnet: interface.subnet.to_string(),
            vpc: interface.vpc.clone(),
            zone: format!("{}{zone}", place.region),
            zone_id: zone_id(place, zone),
            owner: place.account.clone(),
            description: interface.description.clone(),
            interface_type: interface.kind.clone(),
            requester: interface.requester.clone(),
            requester_managed: managed,
            mac: interface.mac.clone(),
            address: interface.address.to_string(),
            others: interface.others.iter().map(ToString::to_string).collect(),
            v6: interface.v6.iter().map(ToString::to_string).collect(),
            private_dns: format!("ip-{}.{}.compute.internal", interface.address.to_string().replace('.', "-"), place.region),
            groups: interface.groups.iter().map(|id| (id.clone(), name(id))).collect(),
            attachment: interface.attachment.as_ref().map(|held| AttachmentView {
                id: held.id.clone(),
                instance: held.instance.clone(),
                owner: if managed { "amazon-aws".into() } else { place.account.to_string() },
                time: format!("{:.3}", held.time),
            }),
            tags: view::tag_list(&interface.tags),
        }
    }
}

fn field_of<'v>(view: &'v InterfaceView, field: &str) -> Vec<Cow<'v, str>> {
    let flag = |value: bool| vec![Cow::Borrowed(if value { "true" } else { "false" })];
    let held = |value: fn(&'v AttachmentView) -> Option<&'v str>| {
        view.attachment.as_ref().and_then(value).map(Cow::Borrowed).into_iter().collect()
    };
    match field {
        "addresses.primary" if view.others.is_empty() => flag(true),
        "addresses.primary" => vec![Cow::Borrowed("true"), Cow::Borrowed("false")],
        "source-dest-check" => flag(true),
        "addresses.private-ip-address" | "private-ip-address" => {
            view.others.iter().chain([&view.address]).map(|address| Cow::Borrowed(address.as_str())).collect()
        }
        "ipv6-addresses.ipv6-address" => view.v6.iter().map(|address| Cow::Borrowed(address.as_str())).collect(),
        "attachment.attach-time" => held(|a| Some(&a.time)),
        "attachment.attachment-id" => held(|a| Some(&a.id)),
        "attachment.delete-on-termination" => held(|_| Some("false")),
        "attachment.device-index" => held(|_| Some("1")),
        "attachment.instance-id" => held(|a| a.instance.as_deref()),
        "attachment.instance-owner-id" => held(|a| Some(&a.owner)),
        "attachment.status" => held(|_| Some("attached")),
        "availability-zone" => vec![Cow::Borrowed(&view.zone)],
        "availability-zone-id" => vec![Cow::Borrowed(&view.zone_id)],
        "description" => vec![Cow::Borrowed(&view.description)],
        "group-id" => view.groups.iter().map(|(id, _)| Cow::Borrowed(id.as_str())).collect(),
        "group-name" => view.groups.iter().map(|(_, name)| Cow::Borrowed(name.as_str())).collect(),
        "interface-type" => vec![Cow::Borrowed(&view.interface_type)],
        "mac-address" => vec![Cow::Borrowed(&view.mac)],
        "network-interface-id" => vec![Cow::Borrowed(&view.id)],
        "operator.managed" => flag(false),
        "owner-id" => vec![Cow::Borrowed(view.owner.as_str())],
        "private-dns-name" => vec![Cow::Borrowed(&view.private_dns)],
        "requester-id" => view.requester.as_deref().map(Cow::Borrowed).into_iter().collect(),
        "requester-managed" => flag(view.requester_managed),
        "status" => vec![Cow::Borrowed(if view.attachment.is_some() { "in-use" } else { "available" })],
        "subnet-id" => vec![Cow::Borrowed(&view.subnet)],
        "vpc-id" => vec![Cow::Borrowed(view.vpc.as_str())],
        _ => Vec::new(),
    }
}
