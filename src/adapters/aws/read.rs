//! Reads, each to its last page.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::Filter;

use super::convert::{self, Unreadable};
use super::error::{Access, unreadable};
use super::lane::Lane;
use super::{associations, listed, lists, stale};
use crate::core::model::{
    ListedGroup, LiveRule, PrefixListFacts, PrefixListId, RuleId, SecurityGroupId, StaleRules, Tags, VpcAssociations, VpcFacts,
    VpcId,
};
use crate::ports::cloud::{CloudError, Ec2Read, GroupQuery, Interface, PrefixListQuery, VpcQuery};

/// Rows a page. EC2's most; without paging a call is charged to a smaller bucket (EC2 "Request throttling").
const PAGE: i32 = 1000;
/// Prefix lists a page: EC2's most.
const PAGE_OF_LISTS: i32 = 100;
/// Groups with stale rules a page: EC2's most.
const PAGE_OF_STALE: i32 = 255;
/// Values a filter may have.
const VALUES: usize = 200;
/// Characters a value may have.
const LENGTH: usize = 255;

const GROUPS: &str = "DescribeSecurityGroups";
const RULES: &str = "DescribeSecurityGroupRules";
const VPCS: &str = "DescribeVpcs";
const LISTS: &str = "DescribeManagedPrefixLists";
const INTERFACES: &str = "DescribeNetworkInterfaces";
const ASSOCIATIONS: &str = "DescribeSecurityGroupVpcAssociations";
const STALE: &str = "DescribeStaleSecurityGroups";

/// Reads of one account and Region.
#[derive(Debug)]
pub(super) struct Reader {
    /// The client of reads: it tries again by itself.
    pub(super) client: Client,
    /// Whose and where.
    pub(super) lane: Lane,
}

// A page is no photograph of the next. The maps hold a thing once, however often it came.
#[async_trait]
impl Ec2Read for Reader {
    async fn listing(&self, query: &GroupQuery) -> Result<Vec<ListedGroup>, CloudError> {
        let mut found: BTreeMap<SecurityGroupId, ListedGroup> = BTreeMap::new();
        for filters in group_filters(query) {
            let mut token = None;
            loop {
                let request = self.client.describe_security_groups().set_filters(some(&filters));
                let request = request.max_results(PAGE).set_next_token(token.clone());
                let (page, request_id) = self.lane.call(GROUPS, Access::Read, request.send()).await?;
                let rows = readable(GROUPS, request_id, page.security_groups(), listed::group)?;
                found.extend(rows.into_iter().map(|row| (row.group.id.clone(), row)));
                token = following(GROUPS, token.as_deref(), page.next_token)?;
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(found.into_values().filter(|listed| wanted(query, listed)).collect())
    }

    async fn rules_of(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, Vec<LiveRule>>, CloudError> {
        let mut found: BTreeMap<SecurityGroupId, BTreeMap<RuleId, LiveRule>> =
            groups.iter().map(|group| (group.clone(), BTreeMap::new())).collect();
        for filters in chunks("group-id", groups.iter().map(SecurityGroupId::as_str)) {
            let mut token = None;
            loop {
                let request = self.client.describe_security_group_rules().set_filters(some(&filters));
                let request = request.max_results(PAGE).set_next_token(token.clone());
                let (page, request_id) = self.lane.call(RULES, Access::Read, request.send()).await?;
                for (group, rule) in readable(RULES, request_id, page.security_group_rules(), convert::rule_of)? {
                    // A group that nobody asked about is nobody's.
                    if let Some(rules) = found.get_mut(&group) {
                        rules.insert(rule.id.clone(), rule);
                    }
                }
                token = following(RULES, token.as_deref(), page.next_token)?;
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(found.into_iter().map(|(group, rules)| (group, rules.into_values().collect())).collect())
    }

    async fn vpcs(&self, query: &VpcQuery) -> Result<Vec<VpcFacts>, CloudError> {
        let mut found: BTreeMap<VpcId, VpcFacts> = BTreeMap::new();
        let filters = match query {
            VpcQuery::Id(id) => vec![filter("vpc-id", [id.as_str()])],
            VpcQuery::Tagged(tags) => tag_filters(tags),
            VpcQuery::Default => vec![filter("is-default", ["true"])],
        };
        let mut token = None;
        loop {
            let request = self.client.describe_vpcs().set_filters(some(&filters));
            let request = request.max_results(PAGE).set_next_token(token.clone());
            let (page, request_id) = self.lane.call(VPCS, Access::Read, request.send()).await?;
            for (vpc, tags) in readable(VPCS, request_id, page.vpcs(), convert::vpc)? {
                let wanted = match query {
                    VpcQuery::Id(id) => vpc.id == *id,
                    VpcQuery::Tagged(wanted) => wanted.iter().all(|(key, value)| tags.get(key) == Some(value)),
                    VpcQuery::Default => true,
                };
                if wanted {
                    found.insert(vpc.id.clone(), vpc);
                }
            }
            token = following(VPCS, token.as_deref(), page.next_token)?;
            if token.is_none() {
                return Ok(found.into_values().collect());
            }
        }
    }

    async fn prefix_lists(&self, query: &PrefixListQuery) -> Result<Vec<PrefixListFacts>, CloudError> {
        let mut found: BTreeMap<PrefixListId, PrefixListFacts> = BTreeMap::new();
        let calls = match query {
            PrefixListQuery::Ids(ids) => chunks("prefix-list-id", ids.iter().map(PrefixListId::as_str)),
            PrefixListQuery::Name(name) => vec![vec![filter("prefix-list-name", [literal(name).as_str()])]],
        };
        for filters in calls {
            let mut token = None;
            loop {
                let request = self.client.describe_managed_prefix_lists().set_filters(some(&filters));
                let request = request.max_results(PAGE_OF_LISTS).set_next_token(token.clone());
                let (page, request_id) = self.lane.call(LISTS, Access::Read, request.send()).await?;
                let rows = readable(LISTS, request_id, page.prefix_lists(), lists::prefix_list)?;
                found.extend(rows.into_iter().flatten().map(|list| (list.id.clone(), list)));
                token = following(LISTS, token.as_deref(), page.next_token)?;
                if token.is_none() {
                    break;
                }
            }
        }
        let wanted = |list: &PrefixListFacts| match query {
            PrefixListQuery::Ids(ids) => ids.contains(&list.id),
            PrefixListQuery::Name(name) => list.name == *name,
        };
        Ok(found.into_values().filter(wanted).collect())
    }

    async fn interfaces(&self, group: &SecurityGroupId) -> Result<Vec<Interface>, CloudError> {
        let mut interfaces = BTreeSet::new();
        let mut token = None;
        loop {
            let request = self.client.describe_network_interfaces().filters(filter("group-id", [group.as_str()]));
            let request = request.max_results(PAGE).set_next_token(token.clone());
            let (page, _) = self.lane.call(INTERFACES, Access::Read, request.send()).await?;
            interfaces.extend(page.network_interfaces().iter().map(convert::interface));
            token = following(INTERFACES, token.as_deref(), page.next_token)?;
            if token.is_none() {
                return Ok(interfaces.into_iter().collect());
            }
        }
    }

    async fn vpc_associations(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, VpcAssociations>, CloudError> {
        let mut found: BTreeMap<SecurityGroupId, VpcAssociations> = BTreeMap::new();
        for filters in chunks("group-id", groups.iter().map(SecurityGroupId::as_str)) {
            let mut token = None;
            loop {
                let request = self.client.describe_security_group_vpc_associations().set_filters(some(&filters));
                let request = request.max_results(PAGE).set_next_token(token.clone());
                let (page, request_id) = self.lane.call(ASSOCIATIONS, Access::Read, request.send()).await?;
                let rows = readable(ASSOCIATIONS, request_id, page.security_group_vpc_associations(), associations::association)?;
                for (group, vpc, state) in rows.into_iter().flatten().filter(|(group, _, _)| groups.contains(group)) {
                    found.entry(group).or_default().insert(vpc, state);
                }
                token = following(ASSOCIATIONS, token.as_deref(), page.next_token)?;
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    async fn stale_rules(&self, vpc: &VpcId) -> Result<StaleRules, CloudError> {
        let mut found = StaleRules::new();
        let mut token = None;
        loop {
            let request = self.client.describe_stale_security_groups().vpc_id(vpc.as_str());
            let request = request.max_results(PAGE_OF_STALE).set_next_token(token.clone());
            let (page, request_id) = self.lane.call(STALE, Access::Read, request.send()).await?;
            let read = |row: &_| stale::group(row, self.lane.account.as_ref());
            found.extend(readable(STALE, request_id, page.stale_security_group_set(), read)?);
            token = following(STALE, token.as_deref(), page.next_token)?;
            if token.is_none() {
                return Ok(found);
            }
        }
    }
}

/// The rows of a page, or why one cannot be read: then none is.
fn readable<R, T>(
    operation: &'static str,
    request_id: Option<String>,
    rows: &[R],
    read: impl Fn(&R) -> Result<T, Unreadable>,
) -> Result<Vec<T>, CloudError> {
    let rows: Result<Vec<T>, Unreadable> = rows.iter().map(read).collect();
    rows.map_err(|error| unreadable(operation, Access::Read, request_id, &error))
}

/// The token of the next page. The same one twice would make the listing endless, or short if it were taken for the end.
fn following(operation: &'static str, last: Option<&str>, next: Option<String>) -> Result<Option<String>, CloudError> {
    let next = next.filter(|token| !token.is_empty());
    if next.is_some() && next.as_deref() == last {
        return Err(unreadable(operation, Access::Read, None, &"the page after this one is this one"));
    }
    Ok(next)
}

/// The calls a query takes, by their filters. Filters of one call must all hold, the values of one are alternatives.
fn group_filters(query: &GroupQuery) -> Vec<Vec<Filter>> {
    match query {
        GroupQuery::Ids(ids) => chunks("group-id", ids.iter().map(SecurityGroupId::as_str)),
        GroupQuery::Name { vpc, name } => {
            vec![vec![filter("vpc-id", [vpc.as_str()]), filter("group-name", [literal(name).as_str()])]]
        }
        GroupQuery::Tagged(tags) => vec![tag_filters(tags)],
        GroupQuery::Referring(id) => ["ip-permission.group-id", "egress.ip-permission.group-id"]
            .into_iter()
            .map(|name| vec![filter(name, [id.as_str()])])
            .collect(),
        GroupQuery::All => vec![Vec::new()],
    }
}

/// Whether a group is what was asked for. Names and tags are compared again: an endpoint that took an escaped wildcard
/// for a wildcard would hand us another's group.
fn wanted(query: &GroupQuery, ListedGroup { group, rules: _ }: &ListedGroup) -> bool {
    match query {
        GroupQuery::Ids(ids) => ids.contains(&group.id),
        GroupQuery::Name { vpc, name } => group.vpc == *vpc && group.name == *name,
        GroupQuery::Tagged(tags) => tags.iter().all(|(key, value)| group.tags.get(key) == Some(value)),
        GroupQuery::Referring(_) | GroupQuery::All => true,
    }
}

/// One filter a call, each with as many values as one may have. No values: no call, not one for everything.
fn chunks<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Vec<Vec<Filter>> {
    let values: Vec<&str> = values.collect::<BTreeSet<_>>().into_iter().collect();
    values.chunks(VALUES).map(|values| vec![filter(name, values.iter().copied())]).collect()
}

fn tag_filters(tags: &Tags) -> Vec<Filter> {
    tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), [literal(value).as_str()])).collect()
}

fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(str::to_owned).collect())).build()
}

fn some(filters: &[Filter]) -> Option<Vec<Filter>> {
    Some(filters.to_vec()).filter(|filters| !filters.is_empty())
}

/// A text that a filter is to find as it stands: `*` and `?` are wildcards there unless escaped (EC2 user guide, "Filtering").
/// A text that is longer than a filter's value may be, as a tag's may, is found by its start; it is compared again anyway.
fn literal(text: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '\\');
    let escape = |c: char| special(c).then_some('\\').into_iter().chain([c]);
    let whole: String = text.chars().flat_map(escape).collect();
    if whole.chars().count() <= LENGTH {
        return whole;
    }
    let mut room = LENGTH - 1;
    let fits = |c: &char| {
        let left = room.checked_sub(1 + usize::from(special(*c)));
        room = left.unwrap_or(room);
        left.is_some()
    };
    text.chars().take_while(fits).flat_map(escape).chain(['*']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<SecurityGroupId> {
        (0..count).map(|n| format!("sg-{n:017x}").parse().unwrap()).collect()
    }

    #[test]
    fn ids_go_in_portions_of_a_filters_most_values() {
        let sizes =
            |count| group_filters(&GroupQuery::Ids(ids(count))).iter().map(|call| call[0].values().len()).collect::<Vec<_>>();
        assert_eq!(sizes(0), [0_usize; 0], "no ids: no call, not a call for all");
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(200), [200]);
        assert_eq!(sizes(401), [200, 200, 1]);
    }

    #[test]
    fn wildcards_in_a_name_are_taken_literally() {
        let query = GroupQuery::Name { vpc: "vpc-0a1b2c3d".parse().unwrap(), name: r"a*b?c\d".into() };
        assert_eq!(group_filters(&query)[0][1].values(), [r"a\*b\?c\\d"]);
    }

    #[test]
    fn what_is_too_long_for_a_filter_is_found_by_its_start() {
        assert_eq!(literal(&"é".repeat(255)), "é".repeat(255));
        assert_eq!(literal(&"é".repeat(256)), format!("{}*", "é".repeat(254)));
        assert_eq!(literal(&"*".repeat(127)), r"\*".repeat(127), "254 with what escapes them");
        assert_eq!(literal(&"*".repeat(128)), format!("{}*", r"\*".repeat(127)));
        assert_eq!(literal(&format!("a{}", "*".repeat(127))), format!("a{}", r"\*".repeat(127)), "255 is not too long");
        assert_eq!(literal(&format!("a{}", "*".repeat(128))), format!("a{}*", r"\*".repeat(126)), "no escape is cut in two");
    }

    #[test]
    fn a_page_token_that_comes_again_is_an_error() {
        assert_eq!(following(GROUPS, None, Some(String::new())).unwrap(), None);
        assert_eq!(following(GROUPS, Some("a"), Some("b".into())).unwrap().as_deref(), Some("b"));
        assert!(following(GROUPS, Some("a"), Some("a".into())).is_err());
    }
}
