//! The second door: the stand-in called as the project's ports, with nothing of HTTP or of the Query protocol in between.
//!
//! Entry point: [`SimConnector`].
//!
//! Invariant: here is translation only. What EC2 does is in `world`, and the way there, with stop, throttling, faults, events
//! and record, is the same as by the HTTP door.
//! Invariant: no other file of the stand-in sees the project's model.

use super::door;
use super::faults::{Effect, is_read};
use super::handle::{Sim, place};
use super::pipeline::{Caller, Inner, Outcome};
use super::world::command::{Call, Command, Describe, GroupRef, PairInput, PermissionInput, RangeInput, RuleChange, RuleSelection};
use super::world::error::ApiError;
use super::world::filter::Filter;
use super::world::page::{Page, Paging};
use super::world::reply::{GroupView, InterfaceView, PeerView, Reply, RuleView, VpcView};
use super::world::rule::Direction as Way;
use super::world::tags::{TagInput, TagSpec};
use crate::core::model::{
    AccountId, Atom, Direction, GroupFacts, LiveRule, NewRule, Peer, Region, RuleId, SecurityGroupId, Tags, Traffic, VpcFacts,
    VpcId,
};
use crate::ports::cloud::{CloudError, Connect, Ec2, Ec2Read, Ec2Write, ErrorClass, GroupQuery, Interface, NewGroup, Receipt};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Rows a page: EC2's most.
const PAGE: i64 = 1000;
/// Values a filter may have.
const VALUES: usize = 200;
/// How often a read is tried. There is no wait between: nobody is spared by it.
const ATTEMPTS: u32 = 3;
/// How long an answer is waited for, unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(8);

const IDENTITY: &str = "GetCallerIdentity";
const GROUPS: &str = "DescribeSecurityGroups";
const RULES: &str = "DescribeSecurityGroupRules";
const VPCS: &str = "DescribeVpcs";
const INTERFACES: &str = "DescribeNetworkInterfaces";
const OTHER: &str = "it answers another question";

/// Connects to the Regions of the account that an access key of the stand-in belongs to.
pub struct SimConnector {
    sim: Sim,
    access_key: String,
    patience: Duration,
    /// The Regions served, in the order given, each with its ports once they are known.
    lanes: Vec<(Region, OnceCell<Ec2>)>,
}

impl SimConnector {
    /// Calls with this key, which stands for whom the stand-in takes it for. Nothing is called before the first
    /// [`Connect::connect`].
    pub fn new(sim: Sim, access_key: &str, regions: Vec<Region>) -> Self {
        let lanes = regions.into_iter().map(|region| (region, OnceCell::new())).collect();
        Self { sim, access_key: access_key.to_owned(), patience: PATIENCE, lanes }
    }

    /// Waits so long for an answer, and no longer: then a read is tried again, and the outcome of a write is unknown.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn open(&self, region: &Region) -> Result<Ec2, CloudError> {
        let lane =
            Lane { sim: self.sim.clone(), access_key: self.access_key.clone(), region: region.clone(), patience: self.patience };
        let (account, request_id) = lane.read(IDENTITY, || lane.identity()).await?;
        let account: AccountId = parsed(&account).map_err(|what| unreadable(IDENTITY, request_id, what))?;
        let lane = Arc::new(lane);
        Ok(Ec2 { account, region: region.clone(), read: lane.clone(), write: lane })
    }
}

#[async_trait]
impl Connect for SimConnector {
    fn regions(&self) -> Vec<Region> {
        self.lanes.iter().map(|(region, _)| region.clone()).collect()
    }

    async fn connect(&self, region: &Region) -> Result<Ec2, CloudError> {
        let Some((_, lane)) = self.lanes.iter().find(|(served, _)| served == region) else {
            let served = self.lanes.iter().map(|(served, _)| served.as_str()).collect::<Vec<_>>().join(", ");
            return Err(refused("Connect", format!("Region {region} is not served here; served are: {served}")));
        };
        lane.get_or_try_init(|| self.open(region)).await.cloned()
    }
}

/// A call to EC2, and its parameters by the names of the Query protocol: for the record, and for faults about one resource.
struct Request {
    action: &'static str,
    call: Result<Call, ApiError>,
    params: BTreeMap<String, String>,
}

impl Request {
    fn new(action: &'static str, command: Command) -> Self {
        Self { action, call: Ok(Call { command, dry_run: false }), params: BTreeMap::new() }
    }

    fn with(mut self, name: impl Into<String>, value: impl Display) -> Self {
        self.params.insert(name.into(), value.to_string());
        self
    }

    fn maybe(self, name: impl Into<String>, value: Option<impl Display>) -> Self {
        if let Some(value) = value { self.with(name, value) } else { self }
    }

    /// `<list>.N.<field>` for each value.
    fn list(self, list: &str, values: impl IntoIterator<Item: Display>) -> Self {
        (1..).zip(values).fold(self, |all, (n, value): (u32, _)| all.with(format!("{list}.{n}"), value))
    }

    fn tags(self, prefix: &str, tags: &Tags) -> Self {
        let tag = |all: Self, (n, (key, value)): (u32, (&String, &String))| {
            all.with(format!("{prefix}Tag.{n}.Key"), key).with(format!("{prefix}Tag.{n}.Value"), value)
        };
        (1..).zip(tags).fold(self, tag)
    }

    fn permissions(self, permissions: &[PermissionInput]) -> Self {
        (1..).zip(permissions).fold(self, |all, (n, permission): (u32, _)| {
            let PermissionInput { protocol, from_port, to_port, v4, v6, lists, groups } = permission;
            let at = format!("IpPermissions.{n}");
            let all = all.maybe(format!("{at}.IpProtocol"), protocol.as_ref());
            let all = all.maybe(format!("{at}.FromPort"), *from_port).maybe(format!("{at}.ToPort"), *to_port);
            let all = all.ranges(&format!("{at}.IpRanges"), "CidrIp", v4).ranges(&format!("{at}.Ipv6Ranges"), "CidrIpv6", v6);
            let all = all.ranges(&format!("{at}.PrefixListIds"), "PrefixListId", lists);
            (1..).zip(groups).fold(all, |all, (m, pair): (u32, _)| {
                let PairInput { group_id, group_name: _, user_id, description } = pair;
                let at = format!("{at}.Groups.{m}");
                let all = all.maybe(format!("{at}.GroupId"), group_id.as_ref()).maybe(format!("{at}.UserId"), user_id.as_ref());
                all.maybe(format!("{at}.Description"), description.as_ref())
            })
        })
    }

    fn ranges(self, list: &str, field: &str, ranges: &[RangeInput]) -> Self {
        (1..).zip(ranges).fold(self, |all, (n, RangeInput { value, description }): (u32, _)| {
            let all = all.maybe(format!("{list}.{n}.{field}"), value.as_ref());
            all.maybe(format!("{list}.{n}.Description"), description.as_ref())
        })
    }
}

/// Where calls go and by whom.
struct Lane {
    sim: Sim,
    access_key: String,
    region: Region,
    patience: Duration,
}

impl Lane {
    fn caller(&self, inner: &Inner, params: BTreeMap<String, String>) -> Caller {
        let principal = inner.identities.principal(&self.access_key);
        Caller {
            place: place(principal.account(), self.region.as_str()),
            access_key: self.access_key.clone(),
            principal,
            source_ip: "127.0.0.1".to_owned(),
            user_agent: "sim-ports".to_owned(),
            params,
        }
    }

    /// Asks EC2 once.
    fn ask(&self, request: &Request) -> Outcome<Reply> {
        let mut inner = self.sim.lock();
        let caller = self.caller(&inner, request.params.clone());
        inner.ec2(&caller, request.action, &request.call)
    }

    /// Asks STS once whose key this is.
    fn identity(&self) -> Outcome<String> {
        let mut inner = self.sim.lock();
        let (now, request_id) = (inner.clock.now(), inner.mint.uuid());
        let caller = self.caller(&inner, BTreeMap::new());
        let strike = door::struck(&mut inner, &caller, IDENTITY);
        let effect = strike.as_ref().map_or(Effect::Error, |(effect, _)| *effect);
        let result = strike.map_or_else(|| Ok(caller.principal.account().to_owned()), |(_, error)| Err(error));
        door::log_other(&mut inner, now, &caller, ("sts", IDENTITY, &request_id), result.as_ref().err());
        Outcome { request_id, result, delay: Duration::ZERO, effect }
    }

    /// Lets an answer take its time, or not arrive at all: what came with the id of the request.
    async fn arrival<T: Send>(&self, operation: &'static str, outcome: Outcome<T>) -> Result<(T, String), CloudError> {
        let Outcome { request_id, result, delay, effect } = outcome;
        let silence = |message: &str| {
            let outcome_unknown = !is_read(operation);
            CloudError { class: ErrorClass::Unavailable, outcome_unknown, ..refused(operation, message.to_owned()) }
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay.min(self.patience)).await;
        }
        match (effect, result) {
            _ if delay > self.patience => Err(silence("no answer in time")),
            (Effect::Drop | Effect::Cut, _) => Err(silence("the connection broke before an answer")),
            (Effect::Error, Ok(answer)) => Ok((answer, request_id)),
            (Effect::Error, Err(error)) => Err(told(operation, request_id, error)),
        }
    }

    /// Reads, again where that may help.
    async fn read<T: Send>(
        &self,
        operation: &'static str,
        ask: impl Fn() -> Outcome<T> + Send + Sync,
    ) -> Result<(T, String), CloudError> {
        for _ in 1..ATTEMPTS {
            match self.arrival(operation, ask()).await {
                Err(CloudError { class: ErrorClass::Throttled | ErrorClass::Unavailable, .. }) => {}
                answer => return answer,
            }
        }
        self.arrival(operation, ask()).await
    }

    /// Writes, once.
    async fn write(&self, request: &Request) -> Result<(Reply, Receipt), CloudError> {
        let (reply, id) = self.arrival(request.action, self.ask(request)).await?;
        Ok((reply, Receipt { request_id: Some(id), ..Receipt::default() }))
    }

    /// A write whose answer says nothing but that it was done.
    async fn done(&self, request: &Request) -> Result<Receipt, CloudError> {
        Ok(self.write(request).await?.1)
    }

    /// Every row of a listing.
    async fn rows<R, T: Send>(
        &self,
        action: &'static str,
        command: fn(Describe) -> Command,
        filters: &[Filter],
        page: fn(Reply) -> Option<Page<R>>,
        row: fn(&R) -> Result<T, String>,
    ) -> Result<Vec<T>, CloudError> {
        let (mut all, mut next_token) = (Vec::new(), None);
        loop {
            let paging = Paging { max_results: Some(PAGE), next_token: next_token.clone() };
            let request = Request::new(action, command(Describe { ids: Vec::new(), filters: filters.to_vec(), paging }))
                .with("MaxResults", PAGE);
            let request = (1..).zip(filters).fold(request, |request, (n, Filter { name, values }): (u32, _)| {
                request.with(format!("Filter.{n}.Name"), name).list(&format!("Filter.{n}.Value"), values)
            });
            let request = request.maybe("NextToken", next_token);
            let (reply, id) = self.read(action, || self.ask(&request)).await?;
            let (rows, following) = page(reply).ok_or_else(|| unreadable(action, id.clone(), OTHER))?;
            for found in rows.iter().map(row) {
                all.push(found.map_err(|what| unreadable(action, id.clone(), what))?);
            }
            next_token = following;
            if next_token.is_none() {
                return Ok(all);
            }
        }
    }
}

#[async_trait]
impl Ec2Read for Lane {
    async fn groups(&self, query: &GroupQuery) -> Result<Vec<GroupFacts>, CloudError> {
        let command = |describe| Command::DescribeSecurityGroups { names: Vec::new(), describe };
        let page = |reply| if let Reply::Groups(page) = reply { Some(page) } else { None };
        let mut found = BTreeMap::new();
        for filters in filters(query) {
            let groups = self.rows(GROUPS, command, &filters, page, group_facts).await?;
            found.extend(groups.into_iter().map(|group| (group.id.clone(), group)));
        }
        Ok(found.into_values().collect())
    }

    async fn rules(&self, group: &SecurityGroupId) -> Result<Vec<LiveRule>, CloudError> {
        let page = |reply| if let Reply::Rules(page) = reply { Some(page) } else { None };
        let filters = [filter("group-id", [group.as_str()])];
        let rules = self.rows(RULES, Command::DescribeSecurityGroupRules, &filters, page, live_rule).await?;
        let by_id: BTreeMap<RuleId, LiveRule> = rules.into_iter().map(|rule| (rule.id.clone(), rule)).collect();
        Ok(by_id.into_values().collect())
    }

    async fn vpc(&self, id: &VpcId) -> Result<Option<VpcFacts>, CloudError> {
        let page = |reply| if let Reply::Vpcs(page) = reply { Some(page) } else { None };
        Ok(self.rows(VPCS, Command::DescribeVpcs, &[filter("vpc-id", [id.as_str()])], page, vpc_facts).await?.pop())
    }

    async fn interfaces(&self, group: &SecurityGroupId) -> Result<Vec<Interface>, CloudError> {
        let page = |reply| if let Reply::Interfaces(page) = reply { Some(page) } else { None };
        let (command, filters) = (Command::DescribeNetworkInterfaces, [filter("group-id", [group.as_str()])]);
        let interfaces = self.rows(INTERFACES, command, &filters, page, |row| Ok(interface(row))).await?;
        Ok(interfaces.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
    }
}

/// A call with nothing in it is not made.
#[async_trait]
impl Ec2Write for Lane {
    async fn create_group(&self, group: &NewGroup) -> Result<Receipt, CloudError> {
        const ACTION: &str = "CreateSecurityGroup";
        const KIND: &str = "security-group";
        let NewGroup { name, description, vpc, tags } = group;
        let spec = TagSpec { resource_type: Some(KIND.to_owned()), tags: tag_inputs(tags) };
        let command = Command::CreateSecurityGroup {
            name: Some(name.clone()),
            description: Some(description.clone()),
            vpc: Some(vpc.to_string()),
            tag_specs: if tags.is_empty() { Vec::new() } else { vec![spec] },
        };
        let request = Request::new(ACTION, command).with("GroupName", name).with("GroupDescription", description);
        let request = request.with("VpcId", vpc).tags("TagSpecification.1.", tags);
        let request = request.maybe("TagSpecification.1.ResourceType", Some(KIND).filter(|_| !tags.is_empty()));
        let (reply, receipt) = self.write(&request).await?;
        let Reply::GroupCreated { id, arn: _, tags: _ } = reply else { return Err(unreadable(ACTION, receipt.request_id, OTHER)) };
        let created = parsed(id.as_str()).map_err(|what| unreadable(ACTION, receipt.request_id.clone(), what))?;
        Ok(Receipt { created: Some(created), ..receipt })
    }

    async fn delete_group(&self, group: &SecurityGroupId) -> Result<Receipt, CloudError> {
        let request = Request::new("DeleteSecurityGroup", Command::DeleteSecurityGroup(group_ref(group)));
        self.done(&request.with("GroupId", group)).await
    }

    async fn authorize(&self, group: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError> {
        let (action, way) = match direction {
            Direction::Ingress => ("AuthorizeSecurityGroupIngress", Way::Ingress),
            Direction::Egress => ("AuthorizeSecurityGroupEgress", Way::Egress),
        };
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        if let Some(stray) = rules.iter().find(|rule| rule.atom.direction != direction) {
            return Err(refused(action, format!("sgwarden itself errs: '{}' in a call for {direction}", stray.atom)));
        }
        let permissions = permissions(rules);
        let selection = RuleSelection { group: group_ref(group), permissions: permissions.clone(), ..RuleSelection::default() };
        let request = Request::new(action, Command::Authorize(way, selection)).with("GroupId", group).permissions(&permissions);
        let (reply, receipt) = self.write(&request).await?;
        let Reply::Authorized(rows) = reply else { return Err(unreadable(action, receipt.request_id, OTHER)) };
        let authorized: Result<_, String> = rows.iter().map(live_rule).collect();
        let authorized = authorized.map_err(|what| unreadable(action, receipt.request_id.clone(), what))?;
        Ok(Receipt { authorized, ..receipt })
    }

    async fn revoke(&self, group: &SecurityGroupId, direction: Direction, rules: &[RuleId]) -> Result<Receipt, CloudError> {
        let (action, way) = match direction {
            Direction::Ingress => ("RevokeSecurityGroupIngress", Way::Ingress),
            Direction::Egress => ("RevokeSecurityGroupEgress", Way::Egress),
        };
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        let rule_ids = rules.iter().map(ToString::to_string).collect();
        let selection = RuleSelection { group: group_ref(group), rule_ids, ..RuleSelection::default() };
        let request = Request::new(action, Command::Revoke(way, selection)).with("GroupId", group);
        let (reply, receipt) = self.write(&request.list("SecurityGroupRuleId", rules)).await?;
        let Reply::Revoked { revoked, unknown: _ } = reply else { return Err(unreadable(action, receipt.request_id, OTHER)) };
        let revoked: Result<_, String> = revoked.iter().map(|rule| parsed(&rule.id.to_string())).collect();
        let revoked = revoked.map_err(|what| unreadable(action, receipt.request_id.clone(), what))?;
        Ok(Receipt { revoked, ..receipt })
    }

    async fn modify(&self, group: &SecurityGroupId, rules: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        let changes: Vec<RuleChange> = rules.iter().map(|(id, rule)| change(id, rule)).collect();
        let command = Command::ModifySecurityGroupRules { group: group.to_string(), changes: changes.clone() };
        let request = Request::new("ModifySecurityGroupRules", command).with("GroupId", group);
        let request = (1..).zip(changes).fold(request, |request, (n, change): (u32, _)| {
            let RuleChange { rule_id, protocol, from_port, to_port, v4, v6, list, group, description } = change;
            let field = |name: &str| format!("SecurityGroupRule.{n}.SecurityGroupRule.{name}");
            let request = request.maybe(format!("SecurityGroupRule.{n}.SecurityGroupRuleId"), rule_id);
            let request = request.maybe(field("IpProtocol"), protocol).maybe(field("FromPort"), from_port);
            let request = request.maybe(field("ToPort"), to_port).maybe(field("CidrIpv4"), v4).maybe(field("CidrIpv6"), v6);
            let request = request.maybe(field("PrefixListId"), list).maybe(field("ReferencedGroupId"), group);
            request.maybe(field("Description"), description)
        });
        self.done(&request).await
    }

    async fn describe(
        &self,
        group: &SecurityGroupId,
        direction: Direction,
        rules: &[(RuleId, Option<String>)],
    ) -> Result<Receipt, CloudError> {
        let (action, direction) = match direction {
            Direction::Ingress => ("UpdateSecurityGroupRuleDescriptionsIngress", Way::Ingress),
            Direction::Egress => ("UpdateSecurityGroupRuleDescriptionsEgress", Way::Egress),
        };
        if rules.is_empty() {
            return Ok(Receipt::default());
        }
        let by_id: Vec<_> = rules.iter().map(|(id, text)| range(id, text.as_ref())).collect();
        let command =
            Command::UpdateDescriptions { direction, group: group_ref(group), permissions: Vec::new(), by_id: by_id.clone() };
        let request = Request::new(action, command).with("GroupId", group);
        self.done(&request.ranges("SecurityGroupRuleDescription", "SecurityGroupRuleId", &by_id)).await
    }

    async fn set_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        if tags.is_empty() {
            return Ok(Receipt::default());
        }
        let command = Command::CreateTags { resources: vec![group.to_string()], tags: tag_inputs(tags) };
        self.done(&Request::new("CreateTags", command).with("ResourceId.1", group).tags("", tags)).await
    }

    async fn remove_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        // Without any tag EC2 would delete all of them.
        if tags.is_empty() {
            return Ok(Receipt::default());
        }
        let command = Command::DeleteTags { resources: vec![group.to_string()], tags: tag_inputs(tags) };
        self.done(&Request::new("DeleteTags", command).with("ResourceId.1", group).tags("", tags)).await
    }
}

/// The calls a query takes, by their filters.
fn filters(query: &GroupQuery) -> Vec<Vec<Filter>> {
    match query {
        GroupQuery::Ids(ids) => {
            let ids: Vec<&str> = ids.iter().map(SecurityGroupId::as_str).collect::<BTreeSet<_>>().into_iter().collect();
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

fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    Filter { name: name.to_owned(), values: values.into_iter().map(str::to_owned).collect() }
}

/// A text that a filter is to find as it stands: wildcards escaped.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?")
}

fn group_ref(group: &SecurityGroupId) -> GroupRef {
    GroupRef { id: Some(group.to_string()), name: None }
}

fn tag_inputs(tags: &Tags) -> Vec<TagInput> {
    tags.iter().map(|(key, value)| TagInput { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

fn range(value: impl Display, description: Option<&String>) -> RangeInput {
    RangeInput { value: Some(value.to_string()), description: description.cloned() }
}

/// Rules as Authorize takes them: one permission per traffic, with its peers in lists.
fn permissions(rules: &[NewRule]) -> Vec<PermissionInput> {
    let mut by_traffic: BTreeMap<Traffic, PermissionInput> = BTreeMap::new();
    for NewRule { atom: Atom { direction: _, traffic, peer }, description } in rules {
        let (protocol, from, to) = traffic.to_ec2();
        let permission = by_traffic.entry(*traffic).or_default();
        (permission.protocol, permission.from_port, permission.to_port) = (Some(protocol), from.map(i64::from), to.map(i64::from));
        let description = description.as_ref();
        match peer {
            Peer::Ipv4(net) => permission.v4.push(range(net, description)),
            Peer::Ipv6(net) => permission.v6.push(range(net, description)),
            Peer::PrefixList(id) => permission.lists.push(range(id, description)),
            Peer::Group { id, account } => permission.groups.push(PairInput {
                group_id: Some(id.to_string()),
                group_name: None,
                user_id: account.as_ref().map(ToString::to_string),
                description: description.cloned(),
            }),
        }
    }
    by_traffic.into_values().collect()
}

/// What a rule is to become, every field of it.
fn change(id: &RuleId, rule: &NewRule) -> RuleChange {
    let NewRule { atom: Atom { direction: _, traffic, peer }, description } = rule;
    let (protocol, from, to) = traffic.to_ec2();
    let mut change = RuleChange {
        rule_id: Some(id.to_string()),
        protocol: Some(protocol),
        from_port: from.map(i64::from),
        to_port: to.map(i64::from),
        description: description.clone(),
        ..RuleChange::default()
    };
    match peer {
        Peer::Ipv4(net) => change.v4 = Some(net.to_string()),
        Peer::Ipv6(net) => change.v6 = Some(net.to_string()),
        Peer::PrefixList(id) => change.list = Some(id.to_string()),
        Peer::Group { id, account: _ } => change.group = Some(id.to_string()),
    }
    change
}

/// What parses, or why it does not.
fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| format!("{text}: {error}"))
}

fn live_rule(row: &RuleView) -> Result<LiveRule, String> {
    let direction = if row.egress { Direction::Egress } else { Direction::Ingress };
    let traffic = Traffic::from_ec2(&row.protocol, Some(row.from), Some(row.to)).map_err(|error| format!("{}: {error}", row.id))?;
    let peer = match &row.peer {
        PeerView::V4(net) => Peer::ipv4(parsed(net)?),
        PeerView::V6(net) => Peer::ipv6(parsed(net)?),
        PeerView::List(id) => Peer::PrefixList(parsed(id.as_str())?),
        PeerView::Group(pair) => {
            let foreign = pair.user.as_ref().filter(|user| **user != row.owner);
            let account = foreign.map(|user| parsed(user.as_str())).transpose()?;
            Peer::Group { id: parsed(pair.group.as_str())?, account }
        }
    };
    Ok(LiveRule { id: parsed(&row.id.to_string())?, atom: Atom { direction, traffic, peer }, description: row.description.clone() })
}

fn group_facts(row: &GroupView) -> Result<GroupFacts, String> {
    Ok(GroupFacts {
        id: parsed(row.id.as_str())?,
        arn: Some(row.arn.clone()),
        owner: parsed(row.owner.as_str())?,
        vpc: parsed(row.vpc.as_str())?,
        name: row.name.clone(),
        description: row.description.clone(),
        tags: row.tags.iter().cloned().collect(),
    })
}

fn vpc_facts(row: &VpcView) -> Result<VpcFacts, String> {
    Ok(VpcFacts { id: parsed(row.id.as_str())?, owner: parsed(row.owner.as_str())?, ipv6: !row.ipv6.is_empty() })
}

fn interface(row: &InterfaceView) -> Interface {
    let instance = row.attachment.as_ref().and_then(|attachment| attachment.instance.as_ref());
    Interface { id: row.id.clone(), used_by: instance.unwrap_or(&row.description).clone() }
}

/// An answer that the model has no words for, or that belongs to another call.
fn unreadable(operation: &'static str, request_id: impl Into<Option<String>>, what: impl Display) -> CloudError {
    let message = format!("EC2's answer cannot be read: {what}");
    CloudError { request_id: request_id.into(), outcome_unknown: !is_read(operation), ..refused(operation, message) }
}

fn refused(operation: &'static str, message: String) -> CloudError {
    CloudError { operation, class: ErrorClass::Terminal, code: None, message, request_id: None, outcome_unknown: false }
}

fn told(operation: &'static str, request_id: String, error: ApiError) -> CloudError {
    let class = class(&error);
    let outcome_unknown = class == ErrorClass::Unavailable && !is_read(operation);
    let ApiError { code, message, status: _ } = error;
    CloudError { operation, class, code: Some(code), message, request_id: Some(request_id), outcome_unknown }
}

/// What an error asks for (handbook ec2.md §4): by its code where that is needed, else by its form and status.
fn class(error: &ApiError) -> ErrorClass {
    match error.code.as_str() {
        "RequestLimitExceeded" | "SlowDown" | "TooManyRequestsException" => ErrorClass::Throttled,
        "RetryableError" | "ConcurrentTagAccess" | "RequestTimeout" => ErrorClass::Unavailable,
        // The group is there, but no peering reaches it: waiting does not help.
        "InvalidGroup.NotFound" if error.message.contains("different networks") => ErrorClass::Terminal,
        "InvalidPermission.Duplicate" | "InvalidID" | "InvalidNextToken" | "InvalidPaginationToken" => ErrorClass::Stale,
        "InvalidGroup.Duplicate" => ErrorClass::NameTaken,
        "InvalidGroup.InUse" | "DependencyViolation" => ErrorClass::InUse,
        "UnauthorizedOperation" | "AccessDenied" => ErrorClass::Permission,
        "InvalidPrefixListID.NotFound" | "FilterLimitExceeded" => ErrorClass::Terminal,
        "AuthFailure" | "InvalidClientTokenId" | "SignatureDoesNotMatch" | "RequestExpired" | "OptInRequired" => {
            ErrorClass::Credentials
        }
        code if code.starts_with("ExpiredToken") => ErrorClass::Credentials,
        code if code.starts_with("Throttl") || error.status == 429 => ErrorClass::Throttled,
        _ if error.status >= 500 => ErrorClass::Unavailable,
        code if code.ends_with("LimitExceeded") => ErrorClass::Quota,
        code if code.ends_with(".NotFound") => ErrorClass::Stale,
        _ if error.status == 401 => ErrorClass::Credentials,
        _ if error.status == 403 => ErrorClass::Permission,
        _ => ErrorClass::Terminal,
    }
}
