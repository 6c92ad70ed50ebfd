//! Stale rules as `DescribeStaleSecurityGroups` shows them: peers of equal protocol and ports together, without ids.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{StaleIpPermission, StaleSecurityGroup};

use super::convert::{Unreadable, parsed, required};
use crate::core::model::{AccountId, Atom, Direction, Peer, SecurityGroupId, Traffic};

/// A group and its stale rules. The row does not name the group's account: `own` is the one that asked.
pub(super) fn group(row: &StaleSecurityGroup, own: Option<&AccountId>) -> Result<(SecurityGroupId, BTreeSet<Atom>), Unreadable> {
    let id: SecurityGroupId = parsed(required(row.group_id(), &"a group with stale rules", "id")?, &"a group with stale rules")?;
    let what = format!("a stale permission of group {id}");
    let mut rules = BTreeSet::new();
    let (ingress, egress) = (row.stale_ip_permissions(), row.stale_ip_permissions_egress());
    for (direction, permissions) in [(Direction::Ingress, ingress), (Direction::Egress, egress)] {
        for permission in permissions {
            let protocol = required(permission.ip_protocol(), &what, "protocol")?;
            let traffic = Traffic::from_ec2(protocol, permission.from_port(), permission.to_port())
                .map_err(|error| Unreadable(format!("{what}: {error}")))?;
            let peers = peers(permission, own, &what)?;
            rules.extend(peers.into_iter().map(|peer| Atom { direction, traffic, peer }));
        }
    }
    Ok((id, rules))
}

fn peers(permission: &StaleIpPermission, own: Option<&AccountId>, what: &str) -> Result<Vec<Peer>, Unreadable> {
    let mut peers = Vec::new();
    for range in permission.ip_ranges() {
        peers.push(Peer::ipv4(parsed(range, &what)?));
    }
    for list in permission.prefix_list_ids() {
        peers.push(Peer::PrefixList(parsed(list, &what)?));
    }
    for pair in permission.user_id_group_pairs() {
        let id = parsed(required(pair.group_id(), &what, "id of its peer group")?, &what)?;
        let account = pair.user_id().map(|account| parsed::<AccountId>(account, &what)).transpose()?;
        peers.push(Peer::Group { id, account: account.filter(|account| Some(account) != own) });
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::UserIdGroupPair;

    use super::*;

    #[test]
    fn stale_rules_are_written_as_live_ones_are() {
        let own: AccountId = "111122223333".parse().unwrap();
        let pair = |group: &str, account: Option<&str>| {
            UserIdGroupPair::builder().group_id(group).set_user_id(account.map(str::to_owned)).peering_status("deleted").build()
        };
        let tcp = StaleIpPermission::builder().ip_protocol("tcp").from_port(5432).to_port(5432);
        let tcp = tcp.user_id_group_pairs(pair("sg-0b1b2c3d", Some("111122223333")));
        let tcp = tcp.user_id_group_pairs(pair("sg-0b1b2c3e", Some("444455556666")));
        let all = StaleIpPermission::builder().ip_protocol("-1").user_id_group_pairs(pair("sg-0b1b2c3f", None));
        let row = StaleSecurityGroup::builder().group_id("sg-0a1b2c3d").vpc_id("vpc-0a1b2c3d");
        let row = row.stale_ip_permissions(tcp.build()).stale_ip_permissions_egress(all.build()).build();
        let (id, rules) = group(&row, Some(&own)).unwrap();
        let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
        assert_eq!(id.as_str(), "sg-0a1b2c3d");
        let told =
            ["ingress tcp 5432 from sg-0b1b2c3d", "ingress tcp 5432 from 444455556666/sg-0b1b2c3e", "egress all to sg-0b1b2c3f"];
        assert_eq!(rules, told);
    }
}
