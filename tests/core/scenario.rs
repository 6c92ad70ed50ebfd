//! One scenario as a file: a manifest, what its references are, what is live in EC2 and what the status remembers.
//!
//! Lines of rules are written short: `1 ingress tcp 443 from 0.0.0.0/0 | Allow HTTPS` is the live rule with the id
//! `sgr-…1`; `1 https ingress tcp 443 from 0.0.0.0/0 | Allow HTTPS` the vouched one that rule `https` declared. `-` in place
//! of a number is an intent.

use std::collections::BTreeMap;

use serde::Deserialize;

use sgwarden::api::{SecurityGroup, SecurityGroupSpec};
use sgwarden::core::desired::{Declaration, Lookup, Lookups, parse};
use sgwarden::core::model::{DescriptionHash, GroupFacts, LiveRule, Tags, Vouched, VouchedRule};
use sgwarden::core::plan::{TAG_CLUSTER, TAG_ORIGIN, TAG_OWNER, TAG_UID};

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
    /// Groups behind the objects the rules refer to; null: not known.
    #[serde(default)]
    references: BTreeMap<String, Option<String>>,
    /// The group in EC2; absent: there is none.
    group: Option<Group>,
    /// What the status remembers.
    #[serde(default)]
    status: Remembered,
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
        let groups = self.references.iter().map(|(name, id)| {
            let unknown = || Lookup::Unknown(format!("securitygroups.sgwarden.dev shop/{name} has no group yet"));
            (name.clone(), id.as_ref().map_or_else(unknown, |id| Lookup::Found(id.parse().unwrap())))
        });
        Lookups {
            own: own.map(|group| group.id.clone()),
            account: ACCOUNT.parse().unwrap(),
            vpc_ipv6: self.ipv6,
            groups: groups.collect(),
        }
    }

    /// EC2 and the status as the scenario says.
    pub(crate) fn world(&self) -> World {
        let mut owner = owner();
        owner.name.clone_from(self.name.as_ref().unwrap_or(&"web".to_owned()));
        let born: &[&str] =
            if self.ipv6 { &["egress all to 0.0.0.0/0", "egress all to ::/0"] } else { &["egress all to 0.0.0.0/0"] };
        let mut cloud = Cloud::empty(born);
        if let Some(group) = &self.group {
            let marks = |cluster: &str, uid: &str| {
                let pairs = [(TAG_CLUSTER, cluster), (TAG_OWNER, &owner.object()), (TAG_UID, uid), (TAG_ORIGIN, "Created")];
                pairs.map(|(key, value)| (key.to_owned(), value.to_owned()))
            };
            let mut tags = group.tags.clone();
            match group.owner {
                Marks::Ours => tags.extend(marks("c1", "u1")),
                Marks::Former => tags.extend(marks("c1", "u0")),
                Marks::Foreign => tags.extend(marks("c2", "u7")),
                Marks::Stripped => {}
            }
            let declaration = self.declaration();
            cloud.group = Some(GroupFacts {
                id: GROUP.parse().unwrap(),
                arn: None,
                owner: ACCOUNT.parse().unwrap(),
                vpc: declaration.vpc,
                name: declaration.group_name,
                description: declaration.description,
                tags,
            });
            let live = group.rules.iter().map(|line| live(line));
            cloud.rules = live.map(|rule| (rule.id.clone(), rule)).collect();
        }
        World {
            cloud,
            owner,
            vouched: self.status.rules.as_ref().map(|lines| vouched(lines)),
            applied: self.status.tags.clone(),
            recorded: self.status.recorded.as_ref().map(|id| id.parse().unwrap()),
        }
    }
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
    for line in lines {
        let (text, description) = described(line);
        let [number, rule, atom] = text.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let id = (number != "-").then(|| rule_id(number.parse().unwrap()));
        let known = VouchedRule { id, rule: rule.parse().unwrap(), description: DescriptionHash::of(description.as_deref()) };
        set.insert(atom.parse().expect(line), known);
    }
    set
}
