//! Fingerprints: a group in a few bytes, so that ten thousand groups can be compared with what they were without keeping them.
//!
//! Entry point: [`Prints`].
//!
//! Invariant: whoever edits groups cannot make an edit that keeps the fingerprint: the hash has a random key that never leaves
//! this process. So fingerprints of two processes differ, and none is ever stored.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::core::model::{Atom, GroupFacts, ListedGroup, LiveRule, Observed, RuleId};

/// Makes fingerprints that can be compared with each other.
#[derive(Debug, Default)]
pub(super) struct Prints(RandomState);

/// A group as a listing shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    /// Everything but the rules.
    facts: u64,
    /// What the rules allow, and their descriptions.
    pub(super) rules: u64,
}

impl Prints {
    pub(super) fn listed(&self, listed: &ListedGroup) -> Print {
        let rules = listed.rules.iter().map(|(atom, text)| (atom, text.as_deref()));
        Print { facts: self.facts(&listed.group), rules: self.sorted(rules) }
    }

    pub(super) fn observed(&self, observed: &Observed) -> Print {
        Print { facts: self.facts(&observed.group), rules: self.rules(observed.rules.values()) }
    }

    /// Rules in any order, without their ids.
    pub(super) fn rules<'a>(&self, rules: impl IntoIterator<Item = &'a LiveRule>) -> u64 {
        let sorted: BTreeMap<&Atom, Option<&str>> =
            rules.into_iter().map(|rule| (&rule.atom, rule.description.as_deref())).collect();
        self.sorted(sorted)
    }

    /// The ids alone, in canonical order.
    pub(super) fn ids<'a>(&self, ids: impl IntoIterator<Item = &'a RuleId>) -> u64 {
        self.sorted(ids)
    }

    fn facts(&self, facts: &GroupFacts) -> u64 {
        let GroupFacts { id, arn, owner, vpc, name, description, tags } = facts;
        self.0.hash_one((id, arn, owner, vpc, name, description, tags))
    }

    /// The count is part of it, or the end of one value could pass for the beginning of the next.
    fn sorted<T: Hash>(&self, values: impl IntoIterator<Item = T>) -> u64 {
        let mut hasher = self.0.build_hasher();
        let mut count = 0_u64;
        for value in values {
            value.hash(&mut hasher);
            count = count.wrapping_add(1);
        }
        hasher.write_u64(count);
        hasher.finish()
    }
}
