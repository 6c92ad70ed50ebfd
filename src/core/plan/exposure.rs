//! What an edit or a plan opens and closes, in addresses and ports, beyond what other rules of the group allow anyway.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::core::model::{AddressCount, Atom, Direction, Exposure, Observed, Space};

use super::report::What;
use super::step::{Plan, Step};

/// Stretches of traffic that are named one by one; the others are counted.
const NAMED: usize = 3;

/// The difference between what two sets of rules of one group let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExposureDelta {
    opened: BTreeMap<Direction, Space>,
    closed: BTreeMap<Direction, Space>,
}

impl ExposureDelta {
    /// From one set of rules to another.
    pub fn between(before: &[&Atom], after: &[&Atom]) -> Self {
        let mut delta = Self::default();
        for direction in Direction::BOTH {
            let of = |atom: &&Atom| atom.direction == direction;
            let was = Space::of_all(before.iter().copied().filter(of));
            let is = Space::of_all(after.iter().copied().filter(of));
            delta.opened.insert(direction, is.subtract(&was));
            delta.closed.insert(direction, was.subtract(&is));
        }
        delta
    }

    /// Of a whole plan, made for a group as it was observed; `None`: it is to be created.
    pub fn of_plan(observed: Option<&Observed>, plan: &Plan) -> Self {
        let before: Vec<&Atom> = observed.into_iter().flat_map(|observed| observed.rules.values()).map(|rule| &rule.atom).collect();
        let mut after = before.clone();
        for step in &plan.steps {
            take(&mut after, plan, step);
        }
        Self::between(&before, &after)
    }

    /// What is open now and was not: `tcp/22 to 4,294,967,296 addresses`, the widest first. `None`: nothing.
    pub fn opened(&self) -> Option<String> {
        words(&self.opened)
    }

    /// What was open and is not any more.
    pub fn closed(&self) -> Option<String> {
        words(&self.closed)
    }

    /// How many addresses, of either direction, something was opened for. Members of groups and prefix lists are not known.
    pub fn addresses_opened(&self) -> AddressCount {
        self.opened.values().map(Space::addresses).max().unwrap_or_default()
    }
}

/// Of each step of a plan, by its index, what it opens and closes when all before it are done.
pub fn exposures(live: &[Atom], plan: &Plan) -> Vec<ExposureDelta> {
    let mut now: Vec<&Atom> = live.iter().collect();
    let mut deltas = Vec::new();
    for step in &plan.steps {
        let before = now.clone();
        take(&mut now, plan, step);
        deltas.push(if before == now { ExposureDelta::default() } else { ExposureDelta::between(&before, &now) });
    }
    deltas
}

/// What is live after a step.
fn take<'a>(live: &mut Vec<&'a Atom>, plan: &'a Plan, step: &'a Step) {
    match step {
        // What is decided with it comes in the next plan.
        Step::CreateGroup(_) => live.extend(plan.deferred.iter().filter_map(|difference| match &difference.what {
            What::Missing { atom, declared: _, last_id: _ } => Some(atom),
            What::GroupMissing { recorded: _ }
            | What::Extra { live: _, rule: _, was: _ }
            | What::Moved { live: _, atom: _, declared: _ }
            | What::Description { live: _, declared: _ }
            | What::Tag { key: _, live: _, declared: _, ownership: _ } => None,
        })),
        Step::DeleteGroup => live.clear(),
        Step::Revoke { direction: _, purpose: _, rules } => live.retain(|atom| rules.iter().all(|item| item.live.atom != **atom)),
        Step::Authorize { direction: _, rules } => live.extend(rules.iter().map(|item| &item.new.atom)),
        Step::Modify { direction: _, rules } => {
            live.retain(|atom| rules.iter().all(|item| item.live.atom != **atom));
            live.extend(rules.iter().map(|item| &item.new.atom));
        }
        Step::SetTags { tags: _, before: _, cause: _ }
        | Step::RemoveTags { tags: _, cause: _ }
        | Step::Describe { direction: _, rules: _ }
        | Step::AwaitVisible { direction: _, atoms: _ }
        | Step::Settle => {}
    }
}

fn words(spaces: &BTreeMap<Direction, Space>) -> Option<String> {
    let mut all: Vec<(Direction, Exposure)> =
        spaces.iter().flat_map(|(direction, space)| space.exposure().into_iter().map(|entry| (*direction, entry))).collect();
    if all.is_empty() {
        return None;
    }
    // Stable: what is equally wide stays in canonical order, ingress first.
    all.sort_by_key(|(_, entry)| Reverse((entry.ipv4, entry.ipv6, entry.opaque.len())));
    let more = all.len().saturating_sub(NAMED);
    let named = all.iter().take(NAMED).map(|(direction, entry)| match direction {
        Direction::Ingress => entry.to_string(),
        Direction::Egress => format!("egress {entry}"),
    });
    let text = named.collect::<Vec<_>>().join("; ");
    Some(if more > 0 { format!("{text}; and {more} more") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atoms(texts: &[&str]) -> Vec<Atom> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn delta(before: &[&str], after: &[&str]) -> (Option<String>, Option<String>) {
        let delta = ExposureDelta::between(&atoms(before).iter().collect::<Vec<_>>(), &atoms(after).iter().collect::<Vec<_>>());
        (delta.opened(), delta.closed())
    }

    #[test]
    fn only_what_no_other_rule_allows_counts() {
        let all = "ingress tcp 22 from 0.0.0.0/0";
        assert_eq!(delta(&[], &[all]), (Some("tcp/22 to 4,294,967,296 addresses".to_owned()), None));
        assert_eq!(delta(&["ingress all from 0.0.0.0/0"], &["ingress all from 0.0.0.0/0", all]), (None, None));
        let (opened, closed) = delta(&["ingress tcp 22 from 10.0.0.0/8"], &[all]);
        assert_eq!((opened.as_deref(), closed), (Some("tcp/22 to 4,278,190,080 addresses"), None));
        let (opened, closed) = delta(&["ingress tcp 443 from 10.0.0.0/8"], &["egress tcp 443 to 10.0.0.0/8"]);
        let wide = "tcp/443 to 16,777,216 addresses";
        assert_eq!((opened, closed), (Some(format!("egress {wide}")), Some(wide.to_owned())), "directions do not mix");
    }

    #[test]
    fn the_widest_comes_first_and_no_more_than_three_are_named() {
        let rules = [
            "ingress tcp 1 from 192.0.2.1/32",
            "ingress tcp 3 from 10.0.0.0/8",
            "ingress tcp 5 from sg-0a1b2c3d",
            "ingress udp 7 from ::/0",
        ];
        let (opened, _) = delta(&[], &rules);
        let opened = opened.unwrap();
        assert!(opened.starts_with("tcp/3 to 16,777,216 addresses; tcp/1 to 1 address; udp/7 to "), "{opened}");
        assert!(opened.ends_with("; and 1 more"), "{opened}");
    }
}
