//! From stored things to what reads show.
//!
//! Entry point: [`World::rule_view`], [`World::group_view`].

use super::World;
use super::reply::{GroupView, PairView, PeerView, RuleView, TagList, merge};
use super::rule::{Direction, Peer, Rule};
use super::state::{Group, Place};
use super::tags::Tags;

pub(crate) fn tag_list(tags: &Tags) -> TagList {
    tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl World {
    pub(crate) fn rule_view(&self, place: &Place, group: &Group, rule: &Rule) -> RuleView {
        let peer = match &rule.key.peer {
            Peer::V4(net) => PeerView::V4(net.to_string()),
            Peer::V6(net) => PeerView::V6(net.to_string()),
            Peer::List(id) => PeerView::List(id.clone()),
            Peer::Group(id) => {
                let link = rule.link.as_deref();
                let peering = link.and_then(|link| link.peering.clone());
                let status = |id: &super::ids::PeeringId| self.peerings.get(id).map_or("deleted", |peering| peering.status);
                PeerView::Group(PairView {
                    group: id.clone(),
                    user: self.find_group(place, id.as_str()).map(|(owner, _)| owner.clone()),
                    vpc: link.map(|link| link.vpc.clone()),
                    peering_status: peering.as_ref().map(status),
                    peering,
                })
            }
        };
        RuleView {
            id: rule.id,
            group: group.id.clone(),
            owner: place.account.clone(),
            egress: rule.direction == Direction::Egress,
            protocol: rule.key.protocol.name(),
            from: rule.key.from,
            to: rule.key.to,
            peer,
            description: rule.description.as_deref().map(str::to_owned),
            tags: tag_list(&rule.tags),
            arn: place.arn("security-group-rule", rule.id),
        }
    }

    pub(crate) fn group_view(&self, place: &Place, group: &Group) -> GroupView {
        let side = |direction: Direction| {
            merge(group.rules.iter().filter(|rule| rule.direction == direction).map(|rule| self.rule_view(place, group, rule)))
        };
        GroupView {
            id: group.id.clone(),
            name: group.name.clone(),
            description: group.description.clone(),
            vpc: group.vpc.clone(),
            owner: place.account.clone(),
            arn: place.arn("security-group", &group.id),
            tags: tag_list(&group.tags),
            ingress: side(Direction::Ingress),
            egress: side(Direction::Egress),
        }
    }
}
