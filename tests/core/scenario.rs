//! One scenario as a file: a manifest, what its references are, what is live in EC2 and what the status remembers.
//!
//! Lines of rules are written short: `1 ingress tcp 443 from 0.0.0.0/0 | Allow HTTPS` is the live rule with the id
//! `sgr-…1`; `1 https ingress tcp 443 from 0.0.0.0/0 | Allow HTTPS` the vouched one that rule `https` declared. `-` in place
//! of a number is an intent. `1..60 ingress tcp 443 from 10.0.{}.0/24` is sixty of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use sgwarden::api::{SecurityGroup, SecurityGroupSpec};
use sgwarden::core::desired::{
    Approval, Declaration, DeclaredVpc, Desired, Lookup, Lookups, Policy, Range, Referent, ReferentKind, Toleration,
    UndeclaredRules, parse,
};
use sgwarden::core::model::{
    Declared, DescriptionHash, Direction, GroupFacts, LiveRule, PrefixListId, PrefixListWeights, RuleName, RuleSet, Tags, Vouched,
    VouchedRule, Weight,
};
use sgwarden::core::plan::{BegunTags, Restraint, TAG_CLUSTER, TAG_ORIGIN, TAG_OWNER, TAG_UID};

use crate::cloud::{Cloud, rule_id};
use crate::history::{World, owner};

const ACCOUNT: &str = "111122223333";
/// The id of the group in every scenario.
pub(crate) const GROUP: &str = "sg-0000000000000aaaa";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// What it shows, as a sentence.
    pub(crate) title: String,
    /// Name of the object; `web` where absent.
    name: Option<String>,
    spec: SecurityGroupSpec,
    /// Whether the VPC has IPv6.
    #[serde(default)]
    ipv6: bool,
    /// Groups behind the objects the rules refer to; null: not known; `refused`: not for us.
    #[serde(default)]
    references: BTreeMap<String, Option<String>>,
    /// Ranges of the sets the rules refer to.
    #[serde(default)]
    sets: BTreeMap<String, Vec<String>>,
    /// What prefix lists count, for IPv4 and IPv6.
    #[serde(default)]
    weights: BTreeMap<String, [u32; 2]>,
    /// Rules whose time has come: `ingress incident`.
    #[serde(default)]
    expired: Vec<String>,
    /// The group in EC2; absent: there is none.
    group: Option<Group>,
    /// What the status remembers.
    #[serde(default)]
    status: Remembered,
    /// What keeps sgwarden from doing all it could.
    #[serde(default)]
    restraint: Limits,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Limits {
    undeclared: Option<String>,
    tolerate: Vec<Tolerated>,
    suspend: Option<Suspend>,
    /// Absent: changes need none.
    approval: Option<Approved>,
    wait: Option<String>,
    /// The most rules of each direction and family, as far as is known.
    rules: Option<u32>,
    /// The most EC2 takes, where that is something else.
    takes: Option<u32>,
    /// Whether EC2 refused to authorize first.
    refused: bool,
    removals: Option<usize>,
    adopting: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum Suspend {
    Lasts,
    Ended,
}

/// Approval of the changes, where the manifest asks for it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum Approved {
    Missing,
    /// Of the plan of the first pass.
    Given,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Tolerated {
    direction: String,
    peer: Option<String>,
    #[serde(default)]
    traffic: Vec<String>,
    description_prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// Whose tags it carries.
    #[serde(default)]
    owner: Marks,
    /// Its other tags.
    #[serde(default)]
    tags: Tags,
    /// Its live rules.
    #[serde(default)]
    rules: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Marks {
    #[default]
    Ours,
    /// Ours under the uid of an earlier object.
    Former,
    /// Ours under an id this cluster went by before.
    FormerCluster,
    /// Ours, from when the cluster went by another id.
    Renamed,
    /// None.
    Stripped,
    /// Of another cluster.
    Foreign,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    /// The id of the group.
    recorded: Option<String>,
    /// The rules vouched for; absent: the baseline is lost.
    rules: Option<Vec<String>>,
    /// The tags applied.
    tags: Option<Tags>,
    /// Whether it was written for an earlier object of the same name.
    #[serde(default)]
    former: bool,
    /// Whether the manifest is the one that was applied last.
    #[serde(default)]
    same: bool,
    /// Whether it says that the group was taken over.
    #[serde(default)]
    adopted: bool,
}

impl Scenario {
    /// Reads a file of `scenarios/`.
    pub(crate) fn read(text: &str) -> Self {
        serde_yaml::from_str(text).unwrap()
    }

    /// The manifest, understood.
    pub(crate) fn declaration(&self) -> Declaration {
        let mut object = SecurityGroup::new(self.name.as_deref().unwrap_or("web"), self.spec.clone());
        object.metadata.namespace = Some("shop".to_owned());
        parse(&object).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// What its references are, once the group has this id.
    pub(crate) fn lookups(&self, own: Option<&GroupFacts>) -> Lookups {
        let referent = |kind, name: &String| Referent { kind, namespace: "shop".to_owned(), name: name.clone() };
        let groups = self.references.iter().map(|(name, id)| {
            let found = match id.as_deref() {
                None => Lookup::Unknown(format!("securitygroups.sgwarden.dev shop/{name} has no group yet")),
                Some("refused") => Lookup::Refused(format!("securitygroups.sgwarden.dev shop/{name} is not for this namespace")),
                Some(id) => Lookup::Group(id.parse().unwrap(), None),
            };
            (referent(ReferentKind::SecurityGroup, name), found)
        });
        let range = |net: &String| Range { net: net.parse().unwrap(), description: None, expires_at: None };
        let sets = self
            .sets
            .iter()
            .map(|(name, nets)| (referent(ReferentKind::CidrSet, name), Lookup::Ranges(nets.iter().map(range).collect())));
        Lookups {
            own: own.map(|group| group.id.clone()),
            account: ACCOUNT.parse().unwrap(),
            vpc: "vpc-0a1b2c3d".parse().unwrap(),
            vpc_ipv6: self.ipv6,
            objects: groups.chain(sets).collect(),
            prefix_lists: BTreeMap::new(),
            weights: self.weights(),
            default_tags: Tags::new(),
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            latched: BTreeSet::new(),
        }
    }

    fn weights(&self) -> PrefixListWeights {
        let weight =
            |(id, [ipv4, ipv6]): (&String, &[u32; 2])| (id.parse::<PrefixListId>().unwrap(), Weight { ipv4: *ipv4, ipv6: *ipv6 });
        self.weights.iter().map(weight).collect()
    }

    /// What is desired, once the group has this id.
    pub(crate) fn desired(&self, own: Option<&GroupFacts>) -> Desired {
        let mut desired = self.declaration().resolve(&self.lookups(own));
        for (direction, rule) in self.expired.iter().map(|text| direction_and(text)) {
            let rule: RuleName = rule.parse().unwrap();
            let mut rules = RuleSet::default();
            let lives = |(atom, declared): &(&_, &Declared)| {
                let atom: &sgwarden::core::model::Atom = atom;
                atom.direction != direction || declared.rule != rule
            };
            desired.rules.iter().filter(lives).for_each(|(atom, declared)| rules.declare(atom.clone(), declared.clone()));
            desired.rules = rules;
            desired.expired.insert((direction, rule));
        }
        desired
    }

    /// Whether the plan of the first pass is approved.
    pub(crate) fn is_approved(&self) -> bool {
        self.restraint.approval == Some(Approved::Given)
    }

    fn restraint(&self) -> Restraint {
        let limits = self.restraint.clone();
        let toleration = |tolerated: &Tolerated| Toleration {
            direction: direction_and(&format!("{} -", tolerated.direction)).0,
            peer: tolerated.peer.as_ref().map(|peer| peer.parse().unwrap()),
            traffic: tolerated.traffic.iter().map(|traffic| traffic.parse().unwrap()).collect(),
            description_prefix: tolerated.description_prefix.clone(),
        };
        let policy = Policy {
            undeclared: limits.undeclared.map_or(UndeclaredRules::Revoke, |word| UndeclaredRules::parse(&word).unwrap()),
            tolerate: limits.tolerate.iter().map(toleration).collect(),
            suspended: limits.suspend == Some(Suspend::Lasts),
            approval: if limits.approval.is_some() { Approval::Required } else { Approval::Automatic },
            ..Policy::default()
        };
        let default = Restraint::default();
        Restraint {
            policy,
            rules_per_group: limits.rules.unwrap_or(default.rules_per_group),
            quota_refused: limits.refused,
            removals_left: limits.removals,
            wait: limits.wait,
            approved: None,
            adopting: limits.adopting,
            suspend_ended: limits.suspend == Some(Suspend::Ended),
            ..Restraint::default()
        }
    }

    /// EC2 and the status as the scenario says.
    pub(crate) fn world(&self) -> World {
        let mut owner = owner();
        owner.name.clone_from(self.name.as_ref().unwrap_or(&"web".to_owned()));
        let born: &[&str] =
            if self.ipv6 { &["egress all to 0.0.0.0/0", "egress all to ::/0"] } else { &["egress all to 0.0.0.0/0"] };
        let mut cloud = Cloud::empty(born);
        cloud.limit = self.restraint.takes.or(self.restraint.rules);
        cloud.weights = self.weights();
        let adopted = self.status.adopted || self.restraint.adopting;
        let origin = if adopted { "Adopted" } else { "Created" };
        if let Some(group) = &self.group {
            let marks = |cluster: &str, uid: &str| {
                let pairs = [(TAG_CLUSTER, cluster), (TAG_OWNER, &owner.object()), (TAG_UID, uid), (TAG_ORIGIN, origin)];
                pairs.map(|(key, value)| (key.to_owned(), value.to_owned()))
            };
            let mut tags = group.tags.clone();
            match group.owner {
                Marks::Ours => tags.extend(marks("c1", "u1")),
                Marks::Former => tags.extend(marks("c1", "u0")),
                Marks::FormerCluster => tags.extend(marks("c0", "u0")),
                Marks::Renamed => tags.extend(marks("c0", "u1")),
                Marks::Foreign => tags.extend(marks("c2", "u7")),
                Marks::Stripped => {}
            }
            let declaration = self.declaration();
            let DeclaredVpc::Id(vpc) = declaration.vpc else { panic!("{}: a VPC by its id", self.title) };
            cloud.group = Some(GroupFacts {
                id: GROUP.parse().unwrap(),
                arn: None,
                owner: ACCOUNT.parse().unwrap(),
                vpc,
                name: declaration.group_name,
                description: declaration.description,
                tags,
            });
            let live = group.rules.iter().flat_map(|line| each(line)).map(|line| live(&line));
            cloud.rules = live.map(|rule| (rule.id.clone(), rule)).collect();
        }
        World {
            cloud,
            owner,
            vouched: self.status.rules.as_ref().map(|lines| vouched(lines)),
            applied: self.status.tags.clone(),
            tags_begun: BegunTags::default(),
            recorded: self.status.recorded.as_ref().map(|id| id.parse().unwrap()),
            status_is_ours: !self.status.former,
            origin,
            same_spec: self.status.same,
            restraint: self.restraint(),
        }
    }
}

/// `ingress https` as what it names.
fn direction_and(text: &str) -> (Direction, &str) {
    let (word, rest) = text.split_once(' ').unwrap();
    let direction = Direction::BOTH.into_iter().find(|direction| direction.to_string().eq_ignore_ascii_case(word)).expect(text);
    (direction, rest)
}

/// A line, or as many as it stands for.
fn each(line: &str) -> Vec<String> {
    let Some((first, rest)) = line.split_once("..") else { return vec![line.to_owned()] };
    let (last, rest) = rest.split_once(' ').unwrap();
    let numbers = first.parse::<u32>().unwrap()..=last.parse().unwrap();
    numbers.map(|number| format!("{number} {}", rest.replace("{}", &number.to_string()))).collect()
}

/// The rule before the bar and the description behind it.
fn described(line: &str) -> (&str, Option<String>) {
    line.split_once(" | ").map_or((line, None), |(rule, text)| (rule, Some(text.to_owned())))
}

fn live(line: &str) -> LiveRule {
    let (rule, description) = described(line);
    let (number, atom) = rule.split_once(' ').unwrap();
    LiveRule { id: rule_id(number.parse().unwrap()), atom: atom.parse().expect(line), description }
}

fn vouched(lines: &[String]) -> Vouched {
    let mut set = Vouched::default();
    for line in lines.iter().flat_map(|line| each(line)) {
        let (text, description) = described(&line);
        let [number, rule, atom] = text.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let id = (number != "-").then(|| rule_id(number.parse().unwrap()));
        let known = VouchedRule {
            id,
            rule: rule.parse().unwrap(),
            description: DescriptionHash::of(description.as_deref()),
            describing: None,
        };
        set.insert(atom.parse().expect(&line), known);
    }
    set
}
