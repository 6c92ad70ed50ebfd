//! Where moto is known not to do what EC2 does (handbook ec2.md §8, and what running it showed): the one place.
//!
//! Entry point: [`judge`]. A departure that is gone fails, and so does one that shows itself otherwise than noted: the table
//! cannot rot.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::{contract, reads, wire};

/// moto 5.2.5: the contract it does not keep, what it does instead, and a part of what the contract says when it fails.
const DEPARTURES: &[(&str, &str, &str)] = &[
    (
        "the_answer_to_authorize_names_every_rule",
        "only the rules of the last permission are named",
        "left: [\"ingress udp 8000-8100",
    ),
    (
        "rules_of_icmpv6_and_other_protocols_read_back_as_authorized",
        "a permission without ports is an internal error of its own",
        "HTTP 500",
    ),
    ("rules_between_groups_read_back_as_authorized", "a rule does not say who owns its group", "has no owner"),
    ("groups_are_found_by_the_group_they_refer_to", "a rule does not say who owns its group", "has no owner"),
    ("a_modified_rule_may_have_a_group_as_peer", "a rule does not say who owns its group", "has no owner"),
    ("a_group_that_is_referred_to_is_in_use", "a rule does not say who owns its group", "has no owner"),
    (
        "a_modified_rule_may_have_an_ipv6_peer",
        "ModifySecurityGroupRules overlooks every peer but an IPv4 block",
        "2001:db8::/32 | moved",
    ),
    ("describe_names_rules_by_id", "descriptions by rule id are taken and forgotten", "ingress tcp 80 from 10.0.0.0/8 | a"),
    ("describing_a_rule_that_is_gone_is_stale", "descriptions by rule id are taken and forgotten", "on an `Ok` value"),
    ("revoking_a_rule_that_is_gone_is_stale", "the code is that of a revoke by properties", "InvalidPermission.NotFound"),
    ("a_name_that_is_taken_in_another_case_is_stale", "names that differ in case are two names", "on an `Ok` value"),
    ("authorize_is_all_or_nothing", "what stands before the duplicate is added", "left: 3"),
    ("more_rules_than_a_group_takes_are_none", "what fits is added", "left: 61"),
    ("a_listing_of_groups_as_peers_shows_what_the_rules_say", "a rule does not say who owns its group", "has no owner"),
    (
        "a_listing_of_icmp_and_numbered_protocols_shows_what_the_rules_say",
        "a permission without ports is an internal error of its own",
        "HTTP 500",
    ),
    (
        "a_listing_of_prefix_lists_shows_what_the_rules_say",
        "DescribeSecurityGroups leaves out descriptions of prefix lists",
        "}: None, Atom { direction: Egress",
    ),
    ("a_wildcard_in_the_tag_of_a_vpc_is_none", "what is escaped is not found", "no wildcard"),
    ("a_wildcard_in_the_name_of_a_prefix_list_is_none", "what is escaped is not found", "no wildcard"),
    ("a_change_of_a_prefix_list_is_a_new_version", "a list that is changed has no name any more", "has no name"),
    (
        "aws_s_own_prefix_lists_count_what_is_published",
        "CloudFront has no list for IPv6",
        "global.ipv6.cloudfront.origin-facing: []",
    ),
    ("other_protocols_need_no_ports", "a permission without ports is an internal error of its own", "Internal Server Error"),
    ("icmpv6_needs_no_type", "a permission without ports is an internal error of its own", "Internal Server Error"),
    ("tcp_without_ports_is_refused", "a permission without ports is an internal error of its own", "Internal Server Error"),
    ("host_bits_of_a_block_are_masked", "host bits stay", "100.68.0.18/18"),
    ("ipv6_blocks_are_shown_in_the_short_form", "an IPv6 block stays as it was written", "2001:DB8:0:0::/32"),
    ("all_traffic_has_ports_of_minus_one_in_the_answer_to_authorize", "no ports at all", "left: ([], [])"),
    (
        "the_same_rule_twice_in_a_request_is_refused",
        "the code is that of a rule that was there before",
        "InvalidPermission.Duplicate",
    ),
    ("a_miss_revokes_nothing", "what is found is revoked", "left: []"),
    ("a_miss_is_no_error_in_the_default_vpc", "the default VPC is like any other", "InvalidPermission.NotFound"),
    ("a_rule_description_outside_the_characters_is_refused", "any character is taken", "left: (200, [])"),
    ("a_group_description_outside_the_characters_is_refused", "any character is taken", "left: (200, [])"),
    ("a_name_that_looks_like_an_id_is_refused", "any name is taken", "left: (200, [])"),
    ("the_name_default_is_reserved", "the name is only taken, not reserved", "InvalidGroup.Duplicate"),
    ("the_default_group_cannot_be_deleted", "it is deleted", "left: (200, [])"),
    ("an_answer_has_the_id_of_its_request", "every answer of EC2 has the same id in its body", "request-id"),
    ("a_page_leads_to_the_next", "DescribeSecurityGroups has one page, whatever MaxResults says", "no nextToken"),
    ("revoke_says_what_it_revoked", "only that it did", "(\"true\", [])"),
    ("a_rule_of_the_other_direction_is_not_there", "the code is that of a revoke by properties", "InvalidPermission.NotFound"),
    ("a_modified_rule_keeps_its_kind_of_peer", "it is taken and forgotten", "left: 200"),
    ("a_group_of_an_interface_is_in_use", "it is deleted", "left: (200, [])"),
    ("a_tag_of_aws_cannot_be_set", "any key is taken", "left: (200, [])"),
];

/// Runs a contract at moto's door: it holds, or it fails in the way that the table has for it.
pub(crate) async fn judge(contract: &str, run: impl Future<Output = ()>) {
    let Some((_, why, shows)) = DEPARTURES.iter().find(|(departing, _, _)| *departing == contract) else { return run.await };
    let said = match AssertUnwindSafe(run).catch_unwind().await {
        Ok(()) => panic!("moto keeps this contract now: delete its departure ({why})"),
        Err(said) => said,
    };
    let said = said.downcast_ref::<String>().cloned().or_else(|| said.downcast_ref::<&str>().map(|&said| said.to_owned()));
    let said = said.unwrap_or_default();
    assert!(said.contains(shows), "moto departs, but not as noted ({why}): expected '{shows}', got: {said}");
}

#[test]
fn departures_are_from_contracts_that_moto_is_held_to() {
    for (contract, why, shows) in DEPARTURES {
        let held = [contract::AT_MOTO, reads::AT_MOTO, wire::AT_MOTO].iter().any(|all| all.contains(contract));
        assert!(held && !why.is_empty() && !shows.is_empty(), "{contract}");
        assert_eq!(DEPARTURES.iter().filter(|(other, _, _)| other == contract).count(), 1, "{contract} stands twice");
    }
}
