//! Authorize, Revoke and rule descriptions.
//!
//! Entry point: [`World::authorize`], [`World::revoke`], [`World::update_descriptions`].
//!
//! Invariant: all or nothing. The one exception is EC2's own: in a default VPC, Revoke by properties skips what it does not find.

use super::command::{FlatInput, GroupRef, PermissionInput, RangeInput, RuleSelection};
use super::error::{self, ApiError};
use super::ids::{AccountId, RuleId};
use super::permissions::{self, Atom, Purpose};
use super::reply::{PairView, PeerView, Reply, RuleView, merge};
use super::rule::{Direction, Peer, Rule};
use super::state::{Family, Group, Place, Region};
use super::{World, tags, text};
use std::collections::{BTreeMap, BTreeSet};

impl World {
    pub(crate) fn authorize(&mut self, place: &Place, direction: Direction, request: &RuleSelection) -> Result<Reply, ApiError> {
        let group = self.resolve_group(place, &request.group)?;
        let named = named_permissions(direction, request)?.ok_or_else(|| error::missing("ipPermissions"))?;
        let rule_tags = tags::from_specs(&request.tag_specs, "security-group-rule")?;
        let atoms = self.atoms(place, &group, &named, Purpose::Authorize)?;
        let held: BTreeSet<_> = group.rules.iter().filter(|rule| rule.direction == direction).map(|rule| &rule.key).collect();
        if let Some(atom) = atoms.iter().find(|atom| held.contains(&atom.key)) {
            return Err(error::rule_exists(&atom.key.wording()));
        }
        let kept = group.rules.iter().filter(|rule| rule.direction == direction).map(|rule| &rule.key.peer);
        self.check_quota(place, kept.chain(atoms.iter().map(|atom| &atom.key.peer)))?;
        let mut added = Vec::with_capacity(atoms.len());
        for Atom { key, description, link } in atoms {
            added.push(Rule { id: self.mint.rule(), direction, key, description, link, tags: rule_tags.clone() });
        }
        let views = added.iter().map(|rule| self.rule_view(place, &group, rule)).collect();
        // Let go of the group first, so that it is changed in place and not copied.
        let id = group.id.clone();
        drop(group);
        self.group_mut(place, &id)?.rules.extend(added);
        Ok(Reply::Authorized(views))
    }

    /// Refuses a set of peers of one direction that one address family's quota cannot hold.
    pub(crate) fn check_quota<'p>(&self, place: &Place, peers: impl Iterator<Item = &'p Peer>) -> Result<(), ApiError> {
        let (v4, v6) = weigh(self.region(place), peers);
        let limit = i64::try_from(self.quotas.rules_per_group).unwrap_or(i64::MAX);
        if v4 > limit || v6 > limit { Err(error::too_many_rules()) } else { Ok(()) }
    }

    pub(crate) fn revoke(&mut self, place: &Place, direction: Direction, request: &RuleSelection) -> Result<Reply, ApiError> {
        let group = self.resolve_group(place, &request.group)?;
        let named = named_permissions(direction, request)?;
        let (revoked, unknown) = match (named, request.rule_ids.is_empty()) {
            (Some(_), false) => {
                return Err(error::combination(
                    "The parameters securityGroupRuleIds and ipPermissions may not be used in combination",
                ));
            }
            (None, true) => {
                return Err(error::missing_because("Either 'ipPermissions' or 'securityGroupRuleIds' should be provided."));
            }
            (None, false) => (rules_by_id(&group, direction, &request.rule_ids)?, Vec::new()),
            (Some(named), true) => {
                let atoms = self.atoms(place, &group, &named, Purpose::Revoke)?;
                let (mut found, mut missed) = (BTreeSet::new(), Vec::new());
                for atom in atoms {
                    match group.find(direction, &atom.key) {
                        Some(rule) => {
                            found.insert(rule.id);
                        }
                        None => missed.push(atom),
                    }
                }
                let is_default = self.region(place).vpcs.get(&group.vpc).is_some_and(|vpc| vpc.is_default);
                if !missed.is_empty() && !is_default {
                    return Err(error::no_permission());
                }
                (found, missed)
            }
        };
        let gone = group.rules.iter().filter(|rule| revoked.contains(&rule.id));
        let gone = gone.map(|rule| self.rule_view(place, &group, rule)).collect();
        let unknown = merge(unknown.into_iter().map(|atom| unknown_view(place, &group, direction, atom)));
        let id = group.id.clone();
        drop(group);
        self.group_mut(place, &id)?.rules.retain(|rule| !revoked.contains(&rule.id));
        Ok(Reply::Revoked { revoked: gone, unknown })
    }

    pub(crate) fn update_descriptions(
        &mut self,
        place: &Place,
        direction: Direction,
        group: &GroupRef,
        permissions: &[PermissionInput],
        by_id: &[RangeInput],
    ) -> Result<Reply, ApiError> {
        let group = self.resolve_group(place, group)?;
        let mut wanted: BTreeMap<RuleId, Option<Box<str>>> = BTreeMap::new();
        match (permissions.is_empty(), by_id.is_empty()) {
            (true, true) => return Err(error::missing("ipPermissions or securityGroupRuleDescriptions")),
            (false, false) => {
                return Err(error::combination(
                    "The parameters ipPermissions and securityGroupRuleDescriptions may not be used in combination",
                ));
            }
            (true, false) => {
                for RangeInput { value, description } in by_id {
                    let id = value.clone().ok_or_else(|| error::missing("securityGroupRuleId"))?;
                    let found = rules_by_id(&group, direction, std::slice::from_ref(&id))?;
                    let description = text::rule_description(description.as_deref())?;
                    for id in found {
                        if wanted.insert(id, description.clone()).is_some() {
                            return Err(error::invalid(format!("The rule '{id}' must not appear multiple times")));
                        }
                    }
                }
            }
            (false, true) => {
                for atom in self.atoms(place, &group, permissions, Purpose::Describe)? {
                    let rule = group.find(direction, &atom.key).ok_or_else(error::no_permission)?;
                    wanted.insert(rule.id, atom.description);
                }
            }
        }
        for rule in &mut self.group_mut(place, &group.id)?.rules {
            if let Some(description) = wanted.remove(&rule.id) {
                rule.description = description;
            }
        }
        Ok(Reply::Done)
    }
}

/// The permissions of a request in either form, or None if it has neither.
fn named_permissions(direction: Direction, request: &RuleSelection) -> Result<Option<Vec<PermissionInput>>, ApiError> {
    if request.flat.is_empty() {
        return Ok(if request.permissions.is_empty() { None } else { Some(request.permissions.clone()) });
    }
    if direction == Direction::Egress {
        return Err(error::combination("Egress rules take no flat parameters. Use ipPermissions instead."));
    }
    if !request.permissions.is_empty() {
        let FlatInput { source_name, .. } = &request.flat;
        let flat = if source_name.is_some() { "sourceSecurityGroupName" } else { "cidrIp" };
        return Err(error::combination(format!("The parameter ipPermissions may not be used in combination with {flat}")));
    }
    permissions::from_flat(&request.flat).map(Some)
}

/// Ids of this group and direction; any other is not found.
pub(crate) fn rules_by_id(group: &Group, direction: Direction, ids: &[String]) -> Result<BTreeSet<RuleId>, ApiError> {
    let mut found = BTreeSet::new();
    for text in ids {
        let rule = RuleId::parse(text)?.and_then(|id| group.rule(id));
        let rule = rule.filter(|rule| rule.direction == direction).ok_or_else(|| error::no_rule(text))?;
        found.insert(rule.id);
    }
    Ok(found)
}

/// What peers weigh in IPv4 and in IPv6: a group counts in both, a prefix list by its size.
pub(crate) fn weigh<'p>(region: &Region, peers: impl Iterator<Item = &'p Peer>) -> (i64, i64) {
    peers.fold((0, 0), |(v4, v6), peer| match peer {
        Peer::V4(_) => (v4 + 1, v6),
        Peer::V6(_) => (v4, v6 + 1),
        Peer::Group(_) => (v4 + 1, v6 + 1),
        Peer::List(id) => match region.lists.get(id).map(|list| (list.family, list.weight)) {
            Some((Family::V4, weight)) => (v4 + weight, v6),
            Some((Family::V6, weight)) => (v4, v6 + weight),
            None => (v4 + 1, v6),
        },
    })
}

/// A permission that Revoke did not find, in the shape rules are merged from.
fn unknown_view(place: &Place, group: &Group, direction: Direction, atom: Atom) -> RuleView {
    let pair = |id, user: Option<AccountId>| PairView { group: id, user, vpc: None, peering: None, peering_status: None };
    RuleView {
        id: RuleId(0),
        group: group.id.clone(),
        owner: place.account.clone(),
        egress: direction == Direction::Egress,
        protocol: atom.key.protocol.name(),
        from: atom.key.from,
        to: atom.key.to,
        peer: match atom.key.peer {
            Peer::V4(net) => PeerView::V4(net.to_string()),
            Peer::V6(net) => PeerView::V6(net.to_string()),
            Peer::List(id) => PeerView::List(id),
            Peer::Group(id) => PeerView::Group(pair(id, Some(place.account.clone()))),
        },
        description: None,
        tags: Vec::new(),
        arn: String::new(),
    }
}
