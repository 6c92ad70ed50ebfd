//! A small EC2 in memory: reads show the world as it was some time ago, calls can be slow, fail, hang or panic, and all are counted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::core::model::{
    Direction, GroupFacts, ListedGroup, LiveRule, NewGroup, NewRule, PrefixListFacts, RuleId, SecurityGroupId, StaleRules, Tags,
    VpcAssociations, VpcFacts, VpcId,
};
use crate::ports::cloud::{
    CloudError, Connect, Ec2, Ec2Read, Ec2Write, ErrorClass, GroupQuery, Interface, NoActivity, PrefixListQuery, Receipt, Route,
    VpcQuery,
};

use super::{CLUSTER, id};

/// What there is.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) groups: BTreeMap<SecurityGroupId, Group>,
    pub(super) lists: Vec<PrefixListFacts>,
    pub(super) vpcs: Vec<VpcFacts>,
    pub(super) associations: BTreeMap<SecurityGroupId, VpcAssociations>,
    pub(super) stale: StaleRules,
}

#[derive(Clone)]
pub(super) struct Group {
    pub(super) facts: GroupFacts,
    pub(super) rules: BTreeMap<RuleId, LiveRule>,
}

/// What the next call of an operation does instead of answering.
pub(super) enum Trouble {
    Fail(CloudError),
    /// It is applied, if it is a write, and then fails.
    Lose(CloudError),
    Panic,
    Hang,
}

#[derive(Default)]
struct State {
    now: World,
    /// Former worlds, and until when each was the present one.
    past: VecDeque<(Instant, Arc<World>)>,
    /// How far reads lag behind.
    lag: Duration,
    /// How long a call takes. Reads show what there was at its beginning.
    delay: BTreeMap<&'static str, Duration>,
    trouble: BTreeMap<&'static str, VecDeque<Trouble>>,
    /// Groups that EC2 describes in a way we cannot read.
    unreadable: BTreeSet<SecurityGroupId>,
    calls: Vec<(&'static str, String)>,
    next: u64,
}

#[derive(Default)]
pub(super) struct Fake(Mutex<State>);

pub(super) fn error(operation: &'static str, class: ErrorClass) -> CloudError {
    let outcome_unknown = class == ErrorClass::Unavailable;
    CloudError { operation, class, code: None, message: "as the test asked".into(), request_id: None, outcome_unknown }
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes the world, as somebody else or EC2 itself.
    pub(super) fn edit<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut state = self.lock();
        let former = Arc::new(state.now.clone());
        state.past.push_back((Instant::now(), former));
        if state.past.len() > 64 {
            state.past.pop_front();
        }
        act(&mut state.now)
    }

    /// Makes groups `1..=count`, tagged as ours, each with one rule.
    pub(super) fn populate(&self, count: u64) {
        self.edit(|world| {
            for number in 1..=count {
                let rule = rule(number, "ingress tcp 443 from 0.0.0.0/0", Some("https"));
                world.groups.insert(id(number), group(number, [rule]));
            }
        });
    }

    /// Adds a rule to a group, or replaces the one of this id.
    pub(super) fn put(&self, number: u64, rule: LiveRule) {
        self.edit(|world| world.groups.get_mut(&id(number)).unwrap().rules.insert(rule.id.clone(), rule));
    }

    pub(super) fn lag(&self, lag: Duration) {
        self.lock().lag = lag;
    }

    pub(super) fn delay(&self, operation: &'static str, delay: Duration) {
        self.lock().delay.insert(operation, delay);
    }

    pub(super) fn next(&self, operation: &'static str, trouble: Trouble) {
        self.lock().trouble.entry(operation).or_default().push_back(trouble);
    }

    pub(super) fn unreadable(&self, number: u64) {
        self.lock().unreadable.insert(id(number));
    }

    pub(super) fn count(&self, operation: &str) -> usize {
        self.lock().calls.iter().filter(|(called, _)| *called == operation).count()
    }

    /// What the calls of an operation were about.
    pub(super) fn about(&self, operation: &str) -> Vec<String> {
        self.lock().calls.iter().filter(|(called, _)| *called == operation).map(|(_, about)| about.clone()).collect()
    }

    fn seen(&self) -> Arc<World> {
        let state = self.lock();
        let when = Instant::now() - state.lag;
        // The world at `when` is the first one that was replaced after it.
        let past = state.past.iter().find(|(until, _)| *until > when);
        past.map_or_else(|| Arc::new(state.now.clone()), |(_, world)| world.clone())
    }

    async fn begin(&self, operation: &'static str, about: String) -> Result<Option<CloudError>, CloudError> {
        let (delay, trouble) = {
            let mut state = self.lock();
            state.calls.push((operation, about));
            let delay = state.delay.get(operation).copied().unwrap_or_default();
            (delay, state.trouble.get_mut(operation).and_then(VecDeque::pop_front))
        };
        sleep(delay).await;
        match trouble {
            None => Ok(None),
            Some(Trouble::Fail(error)) => Err(error),
            Some(Trouble::Lose(error)) => Ok(Some(error)),
            Some(Trouble::Panic) => panic!("as the test asked"),
            Some(Trouble::Hang) => std::future::pending().await,
        }
    }

    async fn read<T>(
        &self,
        operation: &'static str,
        about: String,
        answer: impl FnOnce(&World) -> Result<T, CloudError>,
    ) -> Result<T, CloudError> {
        let seen = self.seen();
        self.begin(operation, about).await?;
        answer(&seen)
    }

    /// A write takes effect at its beginning; its answer comes when the delay is over.
    async fn write(
        &self,
        operation: &'static str,
        group: &SecurityGroupId,
        act: impl FnOnce(&mut World, &mut dyn FnMut() -> u64) -> Result<Receipt, CloudError>,
    ) -> Result<Receipt, CloudError> {
        let refused = match self.lock().trouble.get(operation).and_then(VecDeque::front) {
            Some(Trouble::Fail(_) | Trouble::Panic | Trouble::Hang) => true,
            Some(Trouble::Lose(_)) | None => false,
        };
        let mut receipt = Err(error(operation, ErrorClass::Stale));
        if !refused {
            let mut next = self.lock().next;
            receipt = self.edit(|world| {
                act(world, &mut || {
                    next += 1;
                    next
                })
            });
            self.lock().next = next;
        }
        match self.begin(operation, group.to_string()).await? {
            Some(lost) => Err(lost),
            None => receipt,
        }
    }

    fn group_of<'a>(world: &'a mut World, group: &SecurityGroupId) -> Result<&'a mut Group, CloudError> {
        world.groups.get_mut(group).ok_or_else(|| error("any", ErrorClass::Stale))
    }
}

/// A live rule with an id of its own.
pub(super) fn rule(number: u64, atom: &str, description: Option<&str>) -> LiveRule {
    LiveRule {
        id: format!("sgr-{number:017x}").parse().unwrap(),
        atom: atom.parse().unwrap(),
        description: description.map(str::to_owned),
    }
}

/// A group tagged as ours.
pub(super) fn group(number: u64, rules: impl IntoIterator<Item = LiveRule>) -> Group {
    let facts = GroupFacts {
        id: id(number),
        arn: None,
        owner: "111122223333".parse().unwrap(),
        vpc: "vpc-0a1b2c3d".parse().unwrap(),
        name: format!("group-{number}"),
        description: "Managed by sgwarden".into(),
        tags: Tags::from([("sgwarden.dev/cluster".to_owned(), CLUSTER.to_owned())]),
    };
    Group { facts, rules: rules.into_iter().map(|rule| (rule.id.clone(), rule)).collect() }
}

impl Group {
    pub(super) fn listed(&self) -> ListedGroup {
        let rules = self.rules.values().map(|rule| (rule.atom.clone(), rule.description.clone())).collect();
        ListedGroup { group: self.facts.clone(), rules }
    }
}

#[async_trait]
impl Ec2Read for Fake {
    async fn listing(&self, query: &GroupQuery) -> Result<Vec<ListedGroup>, CloudError> {
        let about = match query {
            GroupQuery::Ids(ids) => format!("{} ids", ids.len()),
            GroupQuery::Name { vpc: _, name } => name.clone(),
            GroupQuery::Tagged(_) => "tagged".to_owned(),
            GroupQuery::Referring(id) => id.to_string(),
            GroupQuery::All => "all".to_owned(),
        };
        let unreadable = self.lock().unreadable.clone();
        self.read("DescribeSecurityGroups", about, |world| {
            let wanted = |group: &&Group| match query {
                GroupQuery::Ids(ids) => ids.contains(&group.facts.id),
                GroupQuery::Name { vpc, name } => group.facts.vpc == *vpc && group.facts.name == *name,
                GroupQuery::Tagged(tags) => tags.iter().all(|(key, value)| group.facts.tags.get(key) == Some(value)),
                GroupQuery::Referring(_) => false,
                GroupQuery::All => true,
            };
            let found: Vec<ListedGroup> = world.groups.values().filter(wanted).map(Group::listed).collect();
            if found.iter().any(|listed| unreadable.contains(&listed.group.id)) {
                return Err(error("DescribeSecurityGroups", ErrorClass::Terminal));
            }
            Ok(found)
        })
        .await
    }

    async fn rules_of(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, Vec<LiveRule>>, CloudError> {
        self.read("DescribeSecurityGroupRules", format!("{} ids", groups.len()), |world| {
            let known = world.groups.iter().filter(|(id, _)| groups.contains(id));
            Ok(known.map(|(id, group)| (id.clone(), group.rules.values().cloned().collect())).collect())
        })
        .await
    }

    async fn vpcs(&self, query: &VpcQuery) -> Result<Vec<VpcFacts>, CloudError> {
        self.read("DescribeVpcs", format!("{query:?}"), |world| {
            Ok(match query {
                VpcQuery::Id(id) => world.vpcs.iter().filter(|vpc| vpc.id == *id).cloned().collect(),
                VpcQuery::Tagged(_) => world.vpcs.clone(),
                VpcQuery::Default => Vec::new(),
            })
        })
        .await
    }

    async fn prefix_lists(&self, query: &PrefixListQuery) -> Result<Vec<PrefixListFacts>, CloudError> {
        let about = match query {
            PrefixListQuery::Ids(ids) => format!("{} ids", ids.len()),
            PrefixListQuery::Name(name) => name.clone(),
        };
        self.read("DescribeManagedPrefixLists", about, |world| {
            let wanted = |list: &&PrefixListFacts| match query {
                PrefixListQuery::Ids(ids) => ids.contains(&list.id),
                PrefixListQuery::Name(name) => list.name == *name,
            };
            Ok(world.lists.iter().filter(wanted).cloned().collect())
        })
        .await
    }

    async fn interfaces(&self, group: &SecurityGroupId) -> Result<Vec<Interface>, CloudError> {
        self.read("DescribeNetworkInterfaces", group.to_string(), |_| Ok(Vec::new())).await
    }

    async fn vpc_associations(&self, groups: &[SecurityGroupId]) -> Result<BTreeMap<SecurityGroupId, VpcAssociations>, CloudError> {
        self.read("DescribeSecurityGroupVpcAssociations", format!("{} ids", groups.len()), |world| {
            let known = world.associations.iter().filter(|(id, _)| groups.contains(id));
            Ok(known.map(|(id, vpcs)| (id.clone(), vpcs.clone())).collect())
        })
        .await
    }

    async fn stale_rules(&self, vpc: &VpcId) -> Result<StaleRules, CloudError> {
        self.read("DescribeStaleSecurityGroups", vpc.to_string(), |world| {
            let of_it = |id: &SecurityGroupId| world.groups.get(id).is_some_and(|group| group.facts.vpc == *vpc);
            Ok(world.stale.iter().filter(|(id, _)| of_it(id)).map(|(id, rules)| (id.clone(), rules.clone())).collect())
        })
        .await
    }
}

#[async_trait]
impl Ec2Write for Fake {
    async fn create_group(&self, new: &NewGroup) -> Result<Receipt, CloudError> {
        self.write("CreateSecurityGroup", &id(0), |world, next| {
            let number = 0xc000 + next();
            let mut made = group(number, []);
            made.facts.name.clone_from(&new.name);
            world.groups.insert(id(number), made);
            Ok(Receipt { created: Some(id(number)), ..Receipt::default() })
        })
        .await
    }

    async fn delete_group(&self, group: &SecurityGroupId) -> Result<Receipt, CloudError> {
        self.write("DeleteSecurityGroup", group, |world, _| {
            world.groups.remove(group);
            Ok(Receipt::default())
        })
        .await
    }

    async fn authorize(&self, group: &SecurityGroupId, direction: Direction, rules: &[NewRule]) -> Result<Receipt, CloudError> {
        let operation = match direction {
            Direction::Ingress => "AuthorizeSecurityGroupIngress",
            Direction::Egress => "AuthorizeSecurityGroupEgress",
        };
        self.write(operation, group, |world, next| {
            let group = Self::group_of(world, group)?;
            let new = rules.iter().map(|new| rule(0xa000 + next(), &new.atom.to_string(), new.description.as_deref()));
            let authorized: Vec<LiveRule> = new.collect();
            group.rules.extend(authorized.iter().map(|rule| (rule.id.clone(), rule.clone())));
            Ok(Receipt { authorized, ..Receipt::default() })
        })
        .await
    }

    async fn revoke(&self, group: &SecurityGroupId, _: Direction, rules: &[RuleId]) -> Result<Receipt, CloudError> {
        self.write("RevokeSecurityGroupIngress", group, |world, _| {
            let group = Self::group_of(world, group)?;
            let revoked = rules.iter().filter(|id| group.rules.remove(id).is_some()).cloned().collect();
            Ok(Receipt { revoked, ..Receipt::default() })
        })
        .await
    }

    async fn modify(&self, group: &SecurityGroupId, rules: &[(RuleId, NewRule)]) -> Result<Receipt, CloudError> {
        self.write("ModifySecurityGroupRules", group, |world, _| {
            let group = Self::group_of(world, group)?;
            for (id, NewRule { atom, description }) in rules {
                let live = LiveRule { id: id.clone(), atom: atom.clone(), description: description.clone() };
                group.rules.insert(id.clone(), live).ok_or_else(|| error("ModifySecurityGroupRules", ErrorClass::Stale))?;
            }
            Ok(Receipt::default())
        })
        .await
    }

    async fn describe(
        &self,
        group: &SecurityGroupId,
        _: Direction,
        rules: &[(RuleId, Option<String>)],
    ) -> Result<Receipt, CloudError> {
        self.write("UpdateSecurityGroupRuleDescriptionsIngress", group, |world, _| {
            let group = Self::group_of(world, group)?;
            for (id, description) in rules {
                group.rules.get_mut(id).unwrap().description.clone_from(description);
            }
            Ok(Receipt::default())
        })
        .await
    }

    async fn set_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.write("CreateTags", group, |world, _| {
            Self::group_of(world, group)?.facts.tags.extend(tags.clone());
            Ok(Receipt::default())
        })
        .await
    }

    async fn remove_tags(&self, group: &SecurityGroupId, tags: &Tags) -> Result<Receipt, CloudError> {
        self.write("DeleteTags", group, |world, _| {
            Self::group_of(world, group)?.facts.tags.retain(|key, value| tags.get(key) != Some(value));
            Ok(Receipt::default())
        })
        .await
    }
}

/// Ways into accounts: by Region, each a fake EC2, or what stands in the way.
#[derive(Default)]
pub(super) struct Ways {
    pub(super) open: BTreeMap<String, Arc<Fake>>,
    /// Regions whose connection never comes about.
    pub(super) hanging: BTreeSet<String>,
    pub(super) connections: Mutex<Vec<Route>>,
}

#[async_trait]
impl Connect for Ways {
    async fn connect(&self, route: &Route) -> Result<Ec2, CloudError> {
        self.connections.lock().unwrap().push(route.clone());
        sleep(Duration::from_millis(10)).await;
        if self.hanging.contains(route.region.as_str()) {
            std::future::pending::<()>().await;
        }
        let fake = self.open.get(route.region.as_str()).ok_or_else(|| error("GetCallerIdentity", ErrorClass::Credentials))?;
        let account = "111122223333".parse().unwrap();
        let principal = "arn:aws:iam::111122223333:user/sgwarden".to_owned();
        let activity = Arc::new(NoActivity);
        Ok(Ec2 { account, principal, region: route.region.clone(), read: fake.clone(), write: fake.clone(), activity })
    }
}
