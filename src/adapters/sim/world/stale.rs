//! References across VPCs, and rules whose reference has gone stale.
//!
//! Entry point: [`World::describe_references`], [`World::describe_stale`].
//!
//! Invariant: a stale rule is still a rule: it is listed, counts against the quota and must be revoked by someone.

use super::World;
use super::error::{self, ApiError};
use super::ids;
use super::page::{Pager, Paging};
use super::reply::{ReferenceView, Reply, StaleView, merge};
use super::rule::{Direction, Link, Peer, Rule};
use super::state::{Group, Place};
use std::collections::BTreeSet;

impl World {
    /// The VPCs on the other side of a peering whose groups refer to these. References within a VPC are not listed.
    pub(crate) fn describe_references(&self, place: &Place, groups: &[String]) -> Result<Reply, ApiError> {
        if groups.is_empty() {
            return Err(error::missing("GroupId"));
        }
        let mut rows = Vec::new();
        for id in groups {
            let group = self.own_group(place, id)?;
            let mut seen = BTreeSet::new();
            let region = self.places.iter().filter(|(other, _)| other.region == place.region);
            for other in region.flat_map(|(_, region)| region.groups.values()).filter(|other| other.vpc != group.vpc) {
                for rule in &other.rules {
                    let refers = matches!(&rule.key.peer, Peer::Group(peer) if *peer == group.id);
                    let peering = rule.link.as_deref().and_then(|link| link.peering.clone());
                    if refers && peering.is_some() && seen.insert((other.vpc.clone(), peering.clone())) {
                        rows.push(ReferenceView { group: group.id.clone(), vpc: other.vpc.clone(), peering });
                    }
                }
            }
        }
        Ok(Reply::References(rows))
    }

    pub(crate) fn describe_stale(&self, place: &Place, vpc: &str, paging: &Paging) -> Result<Reply, ApiError> {
        ids::check_vpc(vpc)?;
        let pager = Pager::new(paging, &(5..=255), &format!("stale {place:?} {vpc}"))?;
        let region = self.region(place);
        if !region.vpcs.contains_key(vpc) {
            return Err(error::no_vpc(vpc));
        }
        let rows = region.groups.values().filter(|group| group.vpc.as_str() == vpc).filter_map(|group| {
            let side = |direction| {
                let stale = group.rules.iter().filter(|rule| rule.direction == direction && self.is_stale(place, group, rule));
                merge(stale.map(|rule| self.rule_view(place, group, rule)))
            };
            let (ingress, egress) = (side(Direction::Ingress), side(Direction::Egress));
            let found = !ingress.is_empty() || !egress.is_empty();
            found.then(|| StaleView {
                group: group.id.clone(),
                name: group.name.clone(),
                description: group.description.clone(),
                vpc: group.vpc.clone(),
                ingress,
                egress,
            })
        });
        Ok(Reply::Stale(pager.cut(rows, |row| row.group.to_string())))
    }

    /// True if the group a rule refers to is deleted, or what led to it is gone.
    fn is_stale(&self, place: &Place, group: &Group, rule: &Rule) -> bool {
        let Peer::Group(id) = &rule.key.peer else { return false };
        let Some((_, peer)) = self.find_group(place, id.as_str()) else { return true };
        match rule.link.as_deref() {
            None => false,
            Some(Link { peering: Some(id), vpc: _ }) => self.peerings.get(id).is_none_or(|peering| peering.status != "active"),
            Some(Link { peering: None, vpc: _ }) => {
                let region = self.region(place);
                !region.associated(&peer.id, &group.vpc) && !region.associated(&group.id, &peer.vpc)
            }
        }
    }
}
