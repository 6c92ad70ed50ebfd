//! VPC peering, as far as references between VPCs and accounts need it.
//!
//! Entry point: [`World::create_peering`], [`World::accept_peering`].

use super::World;
use super::command::{CreatePeering, Describe};
use super::error::{self, ApiError};
use super::filter::{Filters, TagFilters};
use super::ids::{self, AccountId, PeeringId, RegionName, VpcId};
use super::page::Pager;
use super::reply::{PeeringSide, PeeringView, Reply};
use super::state::{Peering, Place, Side};
use super::{tags, view};
use jiff::Timestamp;
use std::borrow::Cow;

const FILTERS: &[&str] = &[
    "accepter-vpc-info.cidr-block",
    "accepter-vpc-info.owner-id",
    "accepter-vpc-info.vpc-id",
    "expiration-time",
    "requester-vpc-info.cidr-block",
    "requester-vpc-info.owner-id",
    "requester-vpc-info.vpc-id",
    "status-code",
    "status-message",
    "vpc-peering-connection-id",
];

impl World {
    pub(crate) fn create_peering(&mut self, place: &Place, request: &CreatePeering) -> Result<Reply, ApiError> {
        ids::check_vpc(&request.vpc)?;
        let peer_vpc = request.peer_vpc.as_deref().ok_or_else(|| error::missing("peerVpcId"))?;
        ids::check_vpc(peer_vpc)?;
        let tags = tags::from_specs(&request.tag_specs, "vpc-peering-connection")?;
        let account = request.peer_owner.as_deref().map_or_else(|| place.account.clone(), AccountId::from);
        let region = request.peer_region.as_deref().map_or_else(|| place.region.clone(), RegionName::from);
        let peer = Place { account, region };
        let own = self.region(place).vpcs.get(request.vpc.as_str()).ok_or_else(|| error::no_vpc(&request.vpc))?;
        let other = self.region(&peer).vpcs.get(peer_vpc);
        let overlap = other.is_some_and(|other| other.cidr.contains(&own.cidr) || own.cidr.contains(&other.cidr));
        // An unknown or overlapping peer is not an error of the call: the connection is made, and fails.
        let status = if overlap || other.is_none() || request.vpc == peer_vpc { "failed" } else { "pending-acceptance" };
        let id = PeeringId::from(self.mint.id("pcx"));
        let requester = Side { place: place.clone(), vpc: VpcId::from(request.vpc.as_str()) };
        let peering = Peering { requester, accepter: Side { place: peer, vpc: VpcId::from(peer_vpc) }, status, tags };
        let shown = PeeringView { status: "initiating-request", ..self.peering_view(&id, &peering) };
        self.peerings.insert(id, peering);
        Ok(Reply::Peering(shown))
    }

    fn peering_of(&self, place: &Place, id: &str) -> Result<(PeeringId, Peering), ApiError> {
        ids::check("VpcPeeringConnectionId", "pcx", id)?;
        let found = self.peerings.get_key_value(id).filter(|(_, p)| p.requester.place == *place || p.accepter.place == *place);
        found.map(|(id, peering)| (id.clone(), peering.clone())).ok_or_else(|| error::no_peering(id))
    }

    fn settle_peering(&mut self, id: &PeeringId, status: &'static str) {
        if let Some(peering) = self.peerings.get_mut(id) {
            peering.status = status;
        }
    }

    pub(crate) fn accept_peering(&mut self, place: &Place, id: &str, _now: Timestamp) -> Result<Reply, ApiError> {
        let (id, peering) = self.peering_of(place, id)?;
        if peering.accepter.place != *place {
            return Err(error::not_permitted(format!("Only the owner of the accepter VPC may accept '{id}'.")));
        }
        if peering.status != "pending-acceptance" {
            return Err(error::wrong_state(format!("The VPC peering connection '{id}' is in state '{}'.", peering.status)));
        }
        self.settle_peering(&id, "active");
        let shown = PeeringView { status: "provisioning", ..self.peering_view(&id, &peering) };
        Ok(Reply::Peering(shown))
    }

    pub(crate) fn reject_peering(&mut self, place: &Place, id: &str) -> Result<Reply, ApiError> {
        let (id, peering) = self.peering_of(place, id)?;
        if peering.accepter.place != *place || peering.status != "pending-acceptance" {
            return Err(error::wrong_state(format!("The VPC peering connection '{id}' cannot be rejected.")));
        }
        self.settle_peering(&id, "rejected");
        Ok(Reply::Done)
    }

    pub(crate) fn delete_peering(&mut self, place: &Place, id: &str) -> Result<Reply, ApiError> {
        let (id, peering) = self.peering_of(place, id)?;
        let accepter_only = peering.requester.place != *place && peering.status == "pending-acceptance";
        if accepter_only || !matches!(peering.status, "active" | "pending-acceptance" | "failed") {
            return Err(error::wrong_state(format!("The VPC peering connection '{id}' is in state '{}'.", peering.status)));
        }
        self.settle_peering(&id, "deleted");
        Ok(Reply::Done)
    }

    pub(crate) fn describe_peerings(&self, place: &Place, describe: &Describe) -> Result<Reply, ApiError> {
        let Describe { ids, filters, paging } = describe;
        let checked = Filters::checked(filters, FILTERS, TagFilters::All)?;
        let pager = Pager::new(paging, &(5..=1000), &format!("peerings {place:?} {ids:?} {filters:?}"))?;
        for id in ids {
            self.peering_of(place, id)?;
        }
        let ours = self.peerings.iter().filter(|(_, p)| p.requester.place == *place || p.accepter.place == *place);
        let rows = ours.filter(|(id, _)| ids.is_empty() || ids.iter().any(|wanted| wanted == id.as_str()));
        let rows = rows.map(|(id, peering)| (peering, self.peering_view(id, peering)));
        let rows = rows.filter(|(peering, view)| checked.admit(Some(&peering.tags), |field| field_of(view, field)));
        Ok(Reply::Peerings(pager.cut(rows.map(|(_, view)| view), |view| view.id.to_string())))
    }

    fn peering_view(&self, id: &PeeringId, peering: &Peering) -> PeeringView {
        let side = |side: &Side| PeeringSide {
            owner: side.place.account.to_string(),
            vpc: side.vpc.to_string(),
            region: side.place.region.to_string(),
            cidr: self.region(&side.place).vpcs.get(&side.vpc).map(|vpc| vpc.cidr.to_string()),
        };
        PeeringView {
            id: id.clone(),
            requester: side(&peering.requester),
            accepter: side(&peering.accepter),
            status: peering.status,
            message: message(peering.status),
            tags: view::tag_list(&peering.tags),
        }
    }
}

fn message(status: &str) -> &'static str {
    match status {
        "active" => "Active",
        "pending-acceptance" => "Pending acceptance",
        "rejected" => "Rejected",
        "deleted" => "Deleted",
        _ => "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range",
    }
}

fn field_of<'v>(view: &'v PeeringView, field: &str) -> Vec<Cow<'v, str>> {
    let of = |side: &'v PeeringSide, field: &str| match field {
        "cidr-block" => side.cidr.as_deref().map(Cow::Borrowed).into_iter().collect(),
        "owner-id" => vec![Cow::Borrowed(side.owner.as_str())],
        _ => vec![Cow::Borrowed(side.vpc.as_str())],
    };
    if let Some(field) = field.strip_prefix("accepter-vpc-info.") {
        return of(&view.accepter, field);
    }
    if let Some(field) = field.strip_prefix("requester-vpc-info.") {
        return of(&view.requester, field);
    }
    match field {
        "status-code" => vec![Cow::Borrowed(view.status)],
        "status-message" => vec![Cow::Borrowed(view.message)],
        "vpc-peering-connection-id" => vec![Cow::Borrowed(view.id.as_str())],
        _ => Vec::new(),
    }
}
