//! `ModifySecurityGroupRules`: rules changed in place, keeping their ids and tags.
//!
//! Entry point: [`World::modify_rules`].
//!
//! Invariant: a rule's direction and kind of peer never change. A change replaces every property, so that one left out is
//! cleared (what EC2 does with an omitted description is not documented; this is the reading that loses nothing silently
//! in a client that sends all of them).

use super::command::{PairInput, RuleChange};
use super::error::{self, ApiError};
use super::ids::RuleId;
use super::permissions::{Purpose, read_ports};
use super::reply::Reply;
use super::rule::{Direction, Link, Peer, Protocol, Rule, RuleKey};
use super::state::{Group, Place};
use super::{World, cidr, text};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl World {
    pub(crate) fn modify_rules(&mut self, place: &Place, group: &str, changes: &[RuleChange]) -> Result<Reply, ApiError> {
        let group = self.own_group(place, group)?;
        if changes.is_empty() {
            return Err(error::missing("SecurityGroupRule"));
        }
        let mut replacements: BTreeMap<RuleId, Rule> = BTreeMap::new();
        for change in changes {
            let rule = self.changed_rule(place, &group, change)?;
            if replacements.insert(rule.id, rule).is_some() {
                return Err(error::invalid("The same security group rule must not appear multiple times"));
            }
        }
        let rules: Vec<Rule> = group.rules.iter().map(|rule| replacements.get(&rule.id).unwrap_or(rule).clone()).collect();
        let mut seen = BTreeSet::new();
        if let Some(rule) = rules.iter().find(|rule| !seen.insert((rule.direction, &rule.key))) {
            return Err(error::rule_exists(&rule.key.wording()));
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            if replacements.values().any(|rule| rule.direction == direction) {
                self.check_quota(place, rules.iter().filter(|rule| rule.direction == direction).map(|rule| &rule.key.peer))?;
            }
        }
        self.group_mut(place, &group.id)?.rules = rules;
        Ok(Reply::Done)
    }

    fn changed_rule(&self, place: &Place, group: &Group, change: &RuleChange) -> Result<Rule, ApiError> {
        let RuleChange { rule_id, protocol, from_port, to_port, description, v4: _, v6: _, list: _, group: _ } = change;
        let id = rule_id.as_deref().ok_or_else(|| error::missing("SecurityGroupRuleId"))?;
        let rule = RuleId::parse(id)?.and_then(|id| group.rule(id)).ok_or_else(|| error::no_rule(id))?;
        let (peer, link) = self.changed_peer(place, group, change)?;
        let same_kind = matches!(
            (&rule.key.peer, &peer),
            (Peer::V4(_), Peer::V4(_))
                | (Peer::V6(_), Peer::V6(_))
                | (Peer::List(_), Peer::List(_))
                | (Peer::Group(_), Peer::Group(_))
        );
        if !same_kind {
            return Err(error::invalid(format!("The source or destination type of the rule '{id}' cannot be changed.")));
        }
        let protocol = protocol.as_deref().filter(|text| !text.is_empty()).ok_or_else(|| error::missing("IpProtocol"))?;
        let protocol = Protocol::parse(protocol)
            .ok_or_else(|| error::invalid(format!("Invalid value '{protocol}' for IP protocol. Unknown protocol.")))?;
        let (from, to) = read_ports(protocol, *from_port, *to_port)?;
        Ok(Rule {
            key: RuleKey { protocol, from, to, peer },
            description: text::rule_description(description.as_deref())?,
            link,
            ..rule.clone()
        })
    }

    fn changed_peer(&self, place: &Place, group: &Group, change: &RuleChange) -> Result<(Peer, Option<Arc<Link>>), ApiError> {
        match (change.v4.as_deref(), change.v6.as_deref(), change.list.as_deref(), change.group.as_deref()) {
            (Some(net), None, None, None) => Ok((Peer::V4(cidr::v4(net)?), None)),
            (None, Some(net), None, None) => Ok((Peer::V6(cidr::v6(net)?), None)),
            (None, None, Some(id), None) => Ok((Peer::List(self.peer_list(place, id, Purpose::Authorize)?), None)),
            (None, None, None, Some(id)) => {
                let user_id = self.find_group(place, id).map(|(owner, _)| owner.to_string());
                let pair = PairInput { group_id: Some(id.to_owned()), user_id, ..PairInput::default() };
                let (id, link) = self.peer_group(place, group, &pair, Purpose::Authorize)?;
                Ok((Peer::Group(id), link))
            }
            (None, None, None, None) => {
                Err(error::missing_because("One of cidrIpv4, cidrIpv6, prefixListId or referencedGroupId must be specified."))
            }
            _ => Err(error::combination("Only one of cidrIpv4, cidrIpv6, prefixListId or referencedGroupId may be specified.")),
        }
    }
}
