//! Reads, each to its last page.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::Filter;

use super::connect::Lane;
use super::convert;
use super::error::{Access, unreadable};
use crate::core::model::{GroupFacts, LiveRule, SecurityGroupId, VpcFacts, VpcId};
use crate::ports::cloud::{CloudError, Ec2Read, GroupQuery, Interface};

/// Rows a page. EC2's most; without paging a call is charged to a smaller bucket (EC2 "Request throttling").
const PAGE: i32 = 1000;
/// Values a filter may have.
const VALUES: usize = 200;

const GROUPS: &str = "DescribeSecurityGroups";
const RULES: &str = "DescribeSecurityGroupRules";
const VPCS: &str = "DescribeVpcs";
const INTERFACES: &str = "DescribeNetworkInterfaces";

/// Reads of one account and Region.
#[derive(Debug)]
pub(super) struct Reader {
    /// The client of reads: it tries again by itself.
    pub(super) client: Client,
    /// Whose and where.
    pub(super) lane: Lane,
}

#[async_trait]
impl Ec2Read for Reader {
    async fn groups(&self, query: &GroupQuery) -> Result<Vec<GroupFacts>, CloudError> {
        let mut found: BTreeMap<SecurityGroupId, GroupFacts> = BTreeMap::new();
        for filters in filters(query) {
            found.extend(self.pages_of_groups(filters).await?.into_iter().map(|group| (group.id.clone(), group)));
        }
        // A page is no photograph of the next: the map holds a group once, however often it came.
        Ok(found.into_values().filter(|group| wanted(query, group)).collect())
    }

    async fn rules(&self, group: &SecurityGroupId) -> Result<Vec<LiveRule>, CloudError> {
        let mut rules = BTreeMap::new();
        let mut token = None;
        loop {
            let request = self.client.describe_security_group_rules().filters(filter("group-id", [group.as_str()]));
            let request = request.max_results(PAGE).set_next_token(token.clone());
            let (page, request_id) = self.lane.call(RULES, Access::Read, request.send()).await?;
            for row in page.security_group_rules() {
                let rule = convert::live_rule(row).map_err(|error| unreadable(RULES, Access::Read, request_id.clone(), &error))?;
                rules.insert(rule.id.clone(), rule);
            }
            token = following(RULES, token.as_deref(), page.next_token)?;
            if token.is_none() {
                return Ok(rules.into_values().collect());
            }
        }
    }

    async fn vpc(&self, id: &VpcId) -> Result<Option<VpcFacts>, CloudError> {
        let mut token = None;
        loop {
            let request = self.client.describe_vpcs().filters(filter("vpc-id", [id.as_str()]));
            let request = request.max_results(PAGE).set_next_token(token.clone());
            let (page, request_id) = self.lane.call(VPCS, Access::Read, request.send()).await?;
            if let Some(row) = page.vpcs().first() {
                return convert::vpc(row).map(Some).map_err(|error| unreadable(VPCS, Access::Read, request_id, &error));
            }
            token = following(VPCS, token.as_deref(), page.next_token)?;
            if token.is_none() {
                return Ok(None);
            }
        }
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
}

impl Reader {
    async fn pages_of_groups(&self, filters: Vec<Filter>) -> Result<Vec<GroupFacts>, CloudError> {
        let mut groups = Vec::new();
        let mut token = None;
        loop {
            let request = self.client.describe_security_groups().set_filters(Some(filters.clone()).filter(|list| !list.is_empty()));
            let request = request.max_results(PAGE).set_next_token(token.clone());
            let (page, request_id) = self.lane.call(GROUPS, Access::Read, request.send()).await?;
            for row in page.security_groups() {
                groups.push(convert::group(row).map_err(|error| unreadable(GROUPS, Access::Read, request_id.clone(), &error))?);
            }
            token = following(GROUPS, token.as_deref(), page.next_token)?;
            if token.is_none() {
                return Ok(groups);
            }
        }
    }
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
fn filters(query: &GroupQuery) -> Vec<Vec<Filter>> {
    match query {
        GroupQuery::Ids(ids) => {
            let ids: BTreeSet<&str> = ids.iter().map(SecurityGroupId::as_str).collect();
            let ids: Vec<&str> = ids.into_iter().collect();
            ids.chunks(VALUES).map(|ids| vec![filter("group-id", ids.iter().copied())]).collect()
        }
        GroupQuery::Name { vpc, name } => {
            vec![vec![filter("vpc-id", [vpc.as_str()]), filter("group-name", [literal(name).as_str()])]]
        }
        GroupQuery::Tagged(tags) => {
            vec![tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), [literal(value).as_str()])).collect()]
        }
        GroupQuery::Referring(id) => ["ip-permission.group-id", "egress.ip-permission.group-id"]
            .into_iter()
            .map(|name| vec![filter(name, [id.as_str()])])
            .collect(),
        GroupQuery::All => vec![Vec::new()],
    }
}

/// Whether a group is what was asked for. Names and tags are compared again: an endpoint that took an escaped wildcard
/// for a wildcard would hand us another's group.
fn wanted(query: &GroupQuery, group: &GroupFacts) -> bool {
    match query {
        GroupQuery::Name { vpc, name } => group.vpc == *vpc && group.name == *name,
        GroupQuery::Tagged(tags) => tags.iter().all(|(key, value)| group.tags.get(key) == Some(value)),
        GroupQuery::Ids(_) | GroupQuery::Referring(_) | GroupQuery::All => true,
    }
}

fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(str::to_owned).collect())).build()
}

/// A text that a filter is to find as it stands: `*` and `?` are wildcards there unless escaped (EC2 user guide, "Filtering").
fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<SecurityGroupId> {
        (0..count).map(|n| format!("sg-{n:017x}").parse().unwrap()).collect()
    }

    #[test]
    fn ids_go_in_portions_of_a_filters_most_values() {
        let sizes = |count| filters(&GroupQuery::Ids(ids(count))).iter().map(|call| call[0].values().len()).collect::<Vec<_>>();
        assert_eq!(sizes(0), [0_usize; 0], "no ids: no call, not a call for all");
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(200), [200]);
        assert_eq!(sizes(401), [200, 200, 1]);
    }

    #[test]
    fn wildcards_in_a_name_are_taken_literally() {
        let query = GroupQuery::Name { vpc: "vpc-0a1b2c3d".parse().unwrap(), name: r"a*b?c\d".into() };
        assert_eq!(filters(&query)[0][1].values(), [r"a\*b\?c\\d"]);
    }

    #[test]
    fn a_page_token_that_comes_again_is_an_error() {
        assert_eq!(following(GROUPS, None, Some(String::new())).unwrap(), None);
        assert_eq!(following(GROUPS, Some("a"), Some("b".into())).unwrap().as_deref(), Some("b"));
        assert!(following(GROUPS, Some("a"), Some("a".into())).is_err());
    }
}
