//! An EC2 as small as it can be: one group, and what each step of a plan does to it. It refuses what EC2 refuses, also what is
//! over its quota of rules, counted here a second time.

use std::collections::BTreeMap;

use sgwarden::core::model::{Atom, Direction, GroupFacts, LiveRule, Observed, Peer, PrefixListWeights, RuleId, Tags};
use sgwarden::core::plan::{Plan, Step};

/// One group and its rules. Ids of rules are never used again.
#[derive(Clone, Debug)]
pub(crate) struct Cloud {
    pub(crate) group: Option<GroupFacts>,
    pub(crate) rules: BTreeMap<RuleId, LiveRule>,
    next: u32,
    /// What EC2 puts into a new group.
    pub(crate) born: Vec<Atom>,
    /// The most rules of a direction and family; `None` is any number.
    pub(crate) limit: Option<u32>,
    /// What prefix lists count.
    pub(crate) weights: PrefixListWeights,
}

/// The id of the n-th rule.
pub(crate) fn rule_id(number: u32) -> RuleId {
    format!("sgr-{number:017x}").parse().unwrap()
}

impl Cloud {
    /// A VPC without the group.
    pub(crate) fn empty(born: &[&str]) -> Self {
        let born = born.iter().map(|text| text.parse().unwrap()).collect();
        Self { group: None, rules: BTreeMap::new(), next: 0x100, born, limit: None, weights: PrefixListWeights::new() }
    }

    /// What a read shows.
    pub(crate) fn observe(&self) -> Option<Observed> {
        self.group.clone().map(|group| Observed::new(group, self.rules.values().cloned()))
    }

    /// The tags of the group.
    pub(crate) fn tags(&mut self) -> &mut Tags {
        &mut self.group.as_mut().expect("a group").tags
    }

    /// The most rules there are of any direction and family.
    pub(crate) fn fullest(&self) -> u32 {
        Direction::BOTH.into_iter().flat_map(|direction| self.count(direction)).max().unwrap()
    }

    /// How many rules of a direction count for IPv4 and for IPv6.
    fn count(&self, direction: Direction) -> [u32; 2] {
        let atoms = self.rules.values().map(|rule| &rule.atom).filter(|atom| atom.direction == direction);
        atoms.fold([0, 0], |[ipv4, ipv6], atom| match &atom.peer {
            Peer::Ipv4(_) => [ipv4 + 1, ipv6],
            Peer::Ipv6(_) => [ipv4, ipv6 + 1],
            Peer::Group { id: _, account: _ } => [ipv4 + 1, ipv6 + 1],
            Peer::PrefixList(id) => self.weights.get(id).map_or([ipv4, ipv6], |list| [ipv4 + list.ipv4, ipv6 + list.ipv6]),
        })
    }

    /// All of a call happens or nothing: what is over the quota is not done.
    fn within_quota(&mut self, direction: Direction, before: BTreeMap<RuleId, LiveRule>) -> Result<(), String> {
        if self.limit.is_some_and(|limit| self.count(direction).into_iter().any(|count| count > limit)) {
            let count = self.count(direction);
            self.rules = before;
            return Err(format!("RulesPerSecurityGroupLimitExceeded: {count:?} of {:?}", self.limit));
        }
        Ok(())
    }

    fn live(&self, atom: &Atom) -> bool {
        self.rules.values().any(|rule| rule.atom == *atom)
    }

    /// Puts a rule in under a new id; refused where EC2 would answer `InvalidPermission.Duplicate`.
    pub(crate) fn authorize(&mut self, atom: &Atom, description: Option<&str>) -> Result<RuleId, String> {
        if self.live(atom) {
            return Err(format!("InvalidPermission.Duplicate: {atom}"));
        }
        let id = rule_id(self.next);
        self.next += 1;
        let rule = LiveRule { id: id.clone(), atom: atom.clone(), description: description.map(str::to_owned) };
        self.rules.insert(id.clone(), rule);
        Ok(id)
    }

    /// Changes rows in place, all or none.
    pub(crate) fn modify(&mut self, changes: &[(&RuleId, &Atom, Option<&str>)]) -> Result<(), String> {
        for (id, atom, _) in changes {
            let row = self.rules.get(id).ok_or_else(|| format!("InvalidSecurityGroupRuleId.NotFound: {id}"))?;
            if row.atom.peer.kind() != atom.peer.kind() || row.atom.direction != atom.direction {
                return Err(format!("cannot make {} to {atom}", row.atom));
            }
            if self.live(atom) {
                return Err(format!("InvalidPermission.Duplicate: {atom}"));
            }
        }
        for (id, atom, description) in changes {
            let rule = LiveRule { id: (*id).clone(), atom: (*atom).clone(), description: description.map(str::to_owned) };
            self.rules.insert((*id).clone(), rule);
        }
        Ok(())
    }

    /// Does one step.
    pub(crate) fn apply(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::CreateGroup(new) => {
                if self.group.is_some() {
                    return Err("InvalidGroup.Duplicate".to_owned());
                }
                self.group = Some(GroupFacts {
                    id: format!("sg-{:017x}", self.next).parse().unwrap(),
                    arn: None,
                    owner: "111122223333".parse().unwrap(),
                    vpc: new.vpc.clone(),
                    name: new.name.clone(),
                    description: new.description.clone(),
                    tags: new.tags.clone(),
                });
                self.rules.clear();
                for atom in self.born.clone() {
                    self.authorize(&atom, None)?;
                }
            }
            Step::DeleteGroup => {
                self.group = None;
                self.rules.clear();
            }
            Step::SetTags { tags, before: _, cause: _ } => self.tags().extend(tags.clone()),
            Step::RemoveTags { tags, cause: _ } => self.tags().retain(|key, value| tags.get(key) != Some(value)),
            Step::Revoke { direction, purpose: _, rules } => {
                for item in rules {
                    let gone = self.rules.remove(&item.live.id).ok_or_else(|| format!("NotFound: {}", item.live.id))?;
                    if gone.atom.direction != *direction {
                        return Err(format!("{} is of the other direction", item.live.id));
                    }
                }
            }
            Step::Authorize { direction, rules } => {
                let before = self.rules.clone();
                for item in rules {
                    if item.new.atom.direction != *direction {
                        return Err(format!("{} is of the other direction", item.new.atom));
                    }
                    self.authorize(&item.new.atom, item.new.description.as_deref())?;
                }
                self.within_quota(*direction, before)?;
            }
            Step::Modify { direction, rules } => {
                let before = self.rules.clone();
                let changes: Vec<_> =
                    rules.iter().map(|item| (&item.live.id, &item.new.atom, item.new.description.as_deref())).collect();
                self.modify(&changes)?;
                self.within_quota(*direction, before)?;
            }
            Step::Describe { direction: _, rules } => {
                for item in rules {
                    let row = self.rules.get_mut(&item.live.id).ok_or_else(|| format!("NotFound: {}", item.live.id))?;
                    row.description.clone_from(&item.description);
                }
            }
            Step::AwaitVisible { direction: _, atoms } => {
                if let Some(missing) = atoms.iter().find(|atom| !self.live(atom)) {
                    return Err(format!("{missing} never becomes visible"));
                }
            }
            Step::Settle => {}
        }
        Ok(())
    }

    /// Does the first steps of a plan, all of them by default.
    pub(crate) fn apply_prefix(&mut self, plan: &Plan, steps: usize) {
        for step in plan.steps.iter().take(steps) {
            self.apply(step).unwrap_or_else(|refusal| panic!("EC2 refuses {step:?}: {refusal}\n{plan:#?}"));
        }
    }
}
