//! How much of EC2's quota of rules a group takes, with the sets it uses, and what its references make of its rules.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::desired::{Account, Declaration, Desired, Lookup, Lookups, ReferentKind};
use crate::core::model::{
    AccountId, Atom, DEFAULT_RULES_PER_GROUP, Direction, PrefixListId, PrefixListWeights, SecurityGroupId, VpcId, Weight,
};

use super::Findings;
use super::set::{Found, Group, Set, rules};

pub(super) fn judge(set: &Set<'_>, findings: &mut Findings) {
    for group in &set.groups {
        let Some(declaration) = &group.declaration else { continue };
        let account = set.account_of(group);
        let Some(desired) = desired(declaration, account, set) else { continue };
        if let Some(problem) = &desired.too_large {
            findings.error(group.number, problem.path.clone(), problem.message.clone());
        }
        // As both were read from the same lists, a rule and its declaration are at the same number.
        for ((path, _), rule) in rules(group.object).into_iter().zip(&declaration.rules) {
            if let Some(why) = desired.held.get(&(rule.direction, rule.name.clone())) {
                findings.error(group.number, path, why.clone());
            }
        }
        if desired.too_large.is_none() {
            quota(group, &desired, account, findings);
        }
    }
}

/// What is desired, with ids made up for what only AWS knows. What is not here adds nothing: it has been told.
fn desired(declaration: &Declaration, account: Option<&Account>, set: &Set<'_>) -> Option<Desired> {
    let mut ids = MadeUp::default();
    let own = ids.group()?;
    let mut objects = BTreeMap::new();
    for referent in declaration.references() {
        let lookup = match (referent.kind, set.find(referent)) {
            (ReferentKind::CidrSet, Found::Here(known)) => Lookup::Ranges(known.ranges.clone()),
            (ReferentKind::CidrSet, Found::Unusable | Found::Missing) => Lookup::Ranges(Vec::new()),
            (ReferentKind::SecurityGroup, _) => Lookup::Group(ids.group()?, None),
        };
        objects.insert(referent.clone(), lookup);
    }
    let mut prefix_lists = BTreeMap::new();
    for name in declaration.prefix_list_names() {
        prefix_lists.insert(name.to_owned(), Ok(ids.prefix_list()?));
    }
    let lookups = Lookups {
        own: Some(own),
        account: account.and_then(|account| account.id.clone()).map_or_else(|| NOBODY.parse::<AccountId>().ok(), Some)?,
        vpc: "vpc-00000000".parse::<VpcId>().ok()?,
        vpc_ipv6: false,
        objects,
        prefix_lists,
        weights: PrefixListWeights::new(),
        default_tags: account.map(|account| account.defaults.tags.clone()).unwrap_or_default(),
        now: set.now,
        latched: BTreeSet::new(),
    };
    Some(declaration.resolve(&lookups))
}

/// The account of a group whose own is not known.
const NOBODY: &str = "000000000000";

/// Ids that AWS gives to nothing: each only has to be another than the others.
#[derive(Default)]
struct MadeUp {
    given: u32,
}

impl MadeUp {
    fn group(&mut self) -> Option<SecurityGroupId> {
        self.next("sg").parse().ok()
    }

    fn prefix_list(&mut self) -> Option<PrefixListId> {
        self.next("pl").parse().ok()
    }

    fn next(&mut self, prefix: &str) -> String {
        self.given = self.given.saturating_add(1);
        format!("{prefix}-fffffffff{:08x}", self.given)
    }
}

/// Rules per group, in each direction and family. What certainly is too many is wrong; what AWS's own texts disagree on is
/// doubtful.
fn quota(group: &Group<'_>, desired: &Desired, account: Option<&Account>, findings: &mut Findings) {
    let limit = account.map_or(DEFAULT_RULES_PER_GROUP, |account| account.limits.rules_per_group);
    for direction in Direction::BOTH {
        let atoms: Vec<&Atom> = desired.rules.iter().map(|(atom, _)| atom).filter(|atom| atom.direction == direction).collect();
        let certain = atoms.iter().fold(Weight::default(), |sum, atom| sum + Weight::certain(atom, &desired.weights));
        let estimate = Weight::of_all(atoms, direction, &desired.weights);
        for (family, certain, estimate) in [("IPv4", certain.ipv4, estimate.ipv4), ("IPv6", certain.ipv6, estimate.ipv6)] {
            let field = format!("spec.{direction}");
            match account {
                _ if estimate <= limit => {}
                Some(account) if certain > limit => findings.error(
                    group.number,
                    field,
                    format!(
                        "needs {certain} {family} rules, and AwsAccount {} has a quota of {limit}: merge ranges, or split the group",
                        account.name
                    ),
                ),
                Some(account) => findings.warning(
                    group.number,
                    field,
                    format!(
                        "may need {estimate} {family} rules, and AwsAccount {} has a quota of {limit}: {certain} at the least, and the groups and prefix lists among them may count more",
                        account.name
                    ),
                ),
                None => findings.warning(
                    group.number,
                    field,
                    format!(
                        "needs {estimate} {family} rules, and AWS gives an account {limit} if nobody asked for more: if so, the AwsAccount says it in limits.rulesPerGroup; if not, merge ranges or split the group"
                    ),
                ),
            }
        }
    }
}
