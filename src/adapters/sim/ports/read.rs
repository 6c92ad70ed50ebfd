//! Reads, each to its last page.

use super::convert::{association, interface, listed, prefix_list, rule_of, stale, vpc};
use super::lane::{Lane, Listing};
use super::request::Request;
use crate::adapters::sim::world::command::Command;
use crate::adapters::sim::world::filter::Filter;
use crate::adapters::sim::world::reply::Reply;
use crate::core::model::{
    ListedGroup, LiveRule, PrefixListFacts, PrefixListId, RuleId, SecurityGroupId, StaleRules, Tags, VpcAssociations, VpcFacts,
    VpcId,
};
use crate::ports::cloud::{CloudError, Ec2Read, GroupQuery, Interface, PrefixListQuery, VpcQuery};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};

/// Rows a page: EC2's most.
const PAGE: i64 = 1000;
/// Prefix lists a page: EC2's most.
const PAGE_OF_LISTS: i64 = 100;
/// Groups with stale rules a page: EC2's most.
const PAGE_OF_STALE: i64 = 255;
/// Values a filter may have, and characters a value.
const VALUES: usize = 200;
const LENGTH: usize = 255;

#[async_trait]
impl Ec2Read for Lane {
    async fn listing(&self, query: &GroupQuery) -> Result<Vec<ListedGroup>, CloudError> {
        let command = |describe| Command::DescribeSecurityGroups { names: Vec::new(), describe };
        let page = |reply| if let Reply::Groups(page) = reply { Some(page) } else { None };
        let mut found = BTreeMap::new();
        for filters in group_filters(query) {
            let groups = self.rows(("DescribeSecurityGroups", PAGE, command), &filters, page, listed).await?;
            found.extend(groups.into_iter().map(|listed| (listed.group.id.clone(), listed)));
        }
        Ok(found.into_values().filter(|listed| wanted(query, listed)).collect())
    }

    async fn rules_of(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, Vec<LiveRule>>, CloudError> {
        let call: Listing = ("DescribeSecurityGroupRules", PAGE, Command::DescribeSecurityGroupRules);
        let page = |reply| if let Reply::Rules(page) = reply { Some(page) } else { None };
        let mut found: BTreeMap<SecurityGroupId, BTreeMap<RuleId, LiveRule>> =
            groups.iter().map(|group| (group.clone(), BTreeMap::new())).collect();
        for filters in chunks("group-id", groups.iter().map(SecurityGroupId::as_str)) {
            for (group, rule) in self.rows(call, &filters, page, rule_of).await? {
                found.entry(group).or_default().insert(rule.id.clone(), rule);
            }
        }
        Ok(found.into_iter().map(|(group, rules)| (group, rules.into_values().collect())).collect())
    }

    async fn vpcs(&self, query: &VpcQuery) -> Result<Vec<VpcFacts>, CloudError> {
        let page = |reply| if let Reply::Vpcs(page) = reply { Some(page) } else { None };
        let filters = match query {
            VpcQuery::Id(id) => vec![filter("vpc-id", [id.as_str()])],
            VpcQuery::Tagged(tags) => tag_filters(tags),
            VpcQuery::Default => vec![filter("is-default", ["true"])],
        };
        let rows = self.rows(("DescribeVpcs", PAGE, Command::DescribeVpcs), &filters, page, vpc).await?;
        let wanted = |tags: &Tags| match query {
            VpcQuery::Id(_) | VpcQuery::Default => true,
            VpcQuery::Tagged(wanted) => has(tags, wanted),
        };
        let found = rows.into_iter().filter(|(_, tags)| wanted(tags)).map(|(facts, _)| (facts.id.clone(), facts));
        Ok(found.collect::<BTreeMap<_, _>>().into_values().collect())
    }

    async fn prefix_lists(&self, query: &PrefixListQuery) -> Result<Vec<PrefixListFacts>, CloudError> {
        let call: Listing = ("DescribeManagedPrefixLists", PAGE_OF_LISTS, Command::DescribeManagedPrefixLists);
        let page = |reply| if let Reply::Lists(page) = reply { Some(page) } else { None };
        let calls = match query {
            PrefixListQuery::Ids(ids) => chunks("prefix-list-id", ids.iter().map(PrefixListId::as_str)),
            PrefixListQuery::Name(name) => vec![vec![filter("prefix-list-name", [literal(name).as_str()])]],
        };
        let mut found = BTreeMap::new();
        for filters in calls {
            let lists = self.rows(call, &filters, page, prefix_list).await?;
            found.extend(lists.into_iter().map(|list| (list.id.clone(), list)));
        }
        let wanted = |list: &PrefixListFacts| match query {
            PrefixListQuery::Ids(_) => true,
            PrefixListQuery::Name(name) => list.name == *name,
        };
        Ok(found.into_values().filter(wanted).collect())
    }

    async fn interfaces(&self, group: &SecurityGroupId) -> Result<Vec<Interface>, CloudError> {
        let page = |reply| if let Reply::Interfaces(page) = reply { Some(page) } else { None };
        let call: Listing = ("DescribeNetworkInterfaces", PAGE, Command::DescribeNetworkInterfaces);
        let rows = self.rows(call, &[filter("group-id", [group.as_str()])], page, |row| Ok(interface(row))).await?;
        Ok(rows.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn vpc_associations(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, VpcAssociations>, CloudError> {
        let page = |reply| if let Reply::Associations(page) = reply { Some(page) } else { None };
        let call: Listing = ("DescribeSecurityGroupVpcAssociations", PAGE, Command::DescribeSecurityGroupVpcAssociations);
        let mut found: BTreeMap<SecurityGroupId, VpcAssociations> = BTreeMap::new();
        for filters in chunks("group-id", groups.iter().map(SecurityGroupId::as_str)) {
            for (group, vpc, state) in self.rows(call, &filters, page, association).await?.into_iter().flatten() {
                found.entry(group).or_default().insert(vpc, state);
            }
        }
        Ok(found)
    }

    async fn stale_rules(&self, vpc: &VpcId) -> Result<StaleRules, CloudError> {
        const ACTION: &str = "DescribeStaleSecurityGroups";
        let page = |reply| if let Reply::Stale(page) = reply { Some(page) } else { None };
        let request = |paging| Request::new(ACTION, Command::DescribeStaleSecurityGroups { vpc: vpc.to_string(), paging });
        let own = self.account();
        let rows = self.pages(PAGE_OF_STALE, |paging| request(paging).with("VpcId", vpc), page, |row| stale(row, &own)).await?;
        Ok(rows.into_iter().collect())
    }
}

/// The calls a query takes, by their filters.
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

/// Whether a group is what was asked for: a filter's value may have been too long to say so.
fn wanted(query: &GroupQuery, ListedGroup { group, rules: _ }: &ListedGroup) -> bool {
    match query {
        GroupQuery::Name { vpc: _, name } => group.name == *name,
        GroupQuery::Tagged(tags) => has(&group.tags, tags),
        GroupQuery::Ids(_) | GroupQuery::Referring(_) | GroupQuery::All => true,
    }
}

fn has(tags: &Tags, wanted: &Tags) -> bool {
    wanted.iter().all(|(key, value)| tags.get(key) == Some(value))
}

fn chunks<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Vec<Vec<Filter>> {
    let values: Vec<&str> = values.collect::<BTreeSet<_>>().into_iter().collect();
    values.chunks(VALUES).map(|values| vec![filter(name, values.iter().copied())]).collect()
}

fn tag_filters(tags: &Tags) -> Vec<Filter> {
    tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), [literal(value).as_str()])).collect()
}

fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    Filter { name: name.to_owned(), values: values.into_iter().map(str::to_owned).collect() }
}

/// A text that a filter is to find as it stands: wildcards escaped. What is longer than a value may be is found by its start.
fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?");
    if escaped.chars().count() <= LENGTH {
        return escaped;
    }
    let mut start = String::new();
    let mut room = LENGTH - 1;
    for c in text.chars() {
        let size = if matches!(c, '*' | '?' | '\\') { 2 } else { 1 };
        if room < size {
            break;
        }
        room -= size;
        if size == 2 {
            start.push('\\');
        }
        start.push(c);
    }
    start.push('*');
    start
}
