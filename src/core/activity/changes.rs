//! What a call changed, in each of the dialects (ec2.md §6.3).
//!
//! A reply's rows are in EC2's form and say what really happened; the request is read where there are none: the call failed, the
//! event is of before rows were in it, or AWS left them out because they were too large.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::core::model::{AccountId, Atom, PrefixListId, RuleId, SecurityGroupId};

use super::envelope::distinct;
use super::event::{Becomes, Change, EventName, MAX_CHANGES, MAX_GROUPS, TagEdit, What};
use super::json::{cut, each, member, parsed, word, word_or_self};
use super::rows::{self, Shape};

/// What was read.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) groups: Vec<SecurityGroupId>,
    pub(super) rules: Vec<RuleId>,
    pub(super) lists: Vec<PrefixListId>,
    pub(super) account_wide: bool,
    pub(super) changes: Vec<Change>,
    pub(super) incomplete: bool,
    /// It touches a security group, a rule of one or a prefix list.
    pub(super) relevant: bool,
}

/// `requestParameters`, without the wrapper of the newer dialect.
pub(super) fn request(name: EventName, detail: &Value) -> Option<&Value> {
    unwrapped(member(detail, "requestParameters")?, &format!("{name}Request"))
}

/// `responseElements`, without the wrapper of the newer dialect.
pub(super) fn response(name: EventName, detail: &Value) -> Option<&Value> {
    unwrapped(member(detail, "responseElements")?, &format!("{name}Response"))
}

fn unwrapped<'v>(outer: &'v Value, wrapper: &str) -> Option<&'v Value> {
    member(outer, wrapper).or(Some(outer)).filter(|value| value.is_object())
}

/// Reads the changes of a call.
pub(super) fn read(name: EventName, detail: &Value, owner: &AccountId, done: bool) -> Told {
    let mut reader = Reader {
        name,
        owner,
        request: request(name, detail).unwrap_or(&Value::Null),
        response: response(name, detail).filter(|_| done).unwrap_or(&Value::Null),
        done,
        groups: BTreeSet::new(),
        rules: BTreeSet::new(),
        lists: BTreeSet::new(),
        changes: Vec::new(),
        incomplete: false,
    };
    let relevant = reader.read();
    reader.finish(relevant)
}

struct Reader<'v> {
    name: EventName,
    owner: &'v AccountId,
    request: &'v Value,
    response: &'v Value,
    done: bool,
    groups: BTreeSet<SecurityGroupId>,
    rules: BTreeSet<RuleId>,
    lists: BTreeSet<PrefixListId>,
    changes: Vec<Change>,
    incomplete: bool,
}

impl Reader<'_> {
    /// Returns whether the call is about security groups.
    fn read(&mut self) -> bool {
        let group = parsed(self.request, "groupId");
        match self.name {
            EventName::CreateSecurityGroup => self.whole(parsed(self.response, "groupId"), What::GroupCreated),
            EventName::DeleteSecurityGroup => self.whole(group.or_else(|| parsed(self.response, "groupId")), What::GroupDeleted),
            EventName::AuthorizeSecurityGroupIngress | EventName::AuthorizeSecurityGroupEgress => {
                self.rules(group.as_ref(), "securityGroupRuleSet", &What::Added);
            }
            EventName::RevokeSecurityGroupIngress | EventName::RevokeSecurityGroupEgress => {
                self.rules(group.as_ref(), "revokedSecurityGroupRuleSet", &What::Removed);
            }
            EventName::ModifySecurityGroupRules => self.modified(group.as_ref()),
            EventName::UpdateSecurityGroupRuleDescriptionsIngress | EventName::UpdateSecurityGroupRuleDescriptionsEgress => {
                self.described(group.as_ref());
            }
            EventName::CreateTags | EventName::DeleteTags => return self.tags(),
            EventName::AssociateSecurityGroupVpc => {
                let vpc = parsed(self.request, "vpcId");
                self.whole(group, What::VpcAssociated(vpc));
            }
            EventName::DisassociateSecurityGroupVpc => {
                let vpc = parsed(self.request, "vpcId");
                self.whole(group, What::VpcDisassociated(vpc));
            }
            EventName::ModifyManagedPrefixList
            | EventName::RestoreManagedPrefixListVersion
            | EventName::DeleteManagedPrefixList => self.list(),
            EventName::ModifyNetworkInterfaceAttribute | EventName::ModifyInstanceAttribute => return self.membership(),
        }
        true
    }

    fn finish(self, relevant: bool) -> Told {
        let Self { name, done, groups, rules, lists, changes, incomplete, .. } = self;
        let named = !groups.is_empty();
        let account_wide = match name {
            // A group that was not made is nobody's.
            EventName::CreateSecurityGroup => done && !named,
            EventName::CreateTags | EventName::DeleteTags => incomplete && !named,
            EventName::ModifyManagedPrefixList
            | EventName::RestoreManagedPrefixListVersion
            | EventName::DeleteManagedPrefixList => incomplete && lists.is_empty(),
            EventName::ModifyNetworkInterfaceAttribute | EventName::ModifyInstanceAttribute => false,
            EventName::DeleteSecurityGroup
            | EventName::AuthorizeSecurityGroupIngress
            | EventName::AuthorizeSecurityGroupEgress
            | EventName::RevokeSecurityGroupIngress
            | EventName::RevokeSecurityGroupEgress
            | EventName::ModifySecurityGroupRules
            | EventName::UpdateSecurityGroupRuleDescriptionsIngress
            | EventName::UpdateSecurityGroupRuleDescriptionsEgress
            | EventName::AssociateSecurityGroupVpc
            | EventName::DisassociateSecurityGroupVpc => !named,
        };
        let incomplete = incomplete || groups.len() > MAX_GROUPS;
        Told {
            groups: distinct(groups, MAX_GROUPS),
            rules: distinct(rules, MAX_CHANGES),
            lists: distinct(lists, MAX_CHANGES),
            account_wide,
            changes,
            incomplete,
            relevant,
        }
    }

    /// Keeps a change. The last one that there is room for stands for all that come after it.
    fn push(&mut self, change: Change) {
        self.groups.extend(change.group.clone());
        self.rules.extend(change.rule_id.clone());
        if self.changes.len() + 1 < MAX_CHANGES {
            self.changes.push(change);
        } else {
            self.untold(change.group, change.what);
        }
    }

    /// Notes that there are changes of this kind that cannot be told.
    fn untold(&mut self, group: Option<SecurityGroupId>, what: What) {
        self.incomplete = true;
        let what = match what {
            What::Modified(_) => What::Modified(None),
            What::Tagged(_) => What::Tagged(None),
            What::Untagged(_) => What::Untagged(None),
            What::VpcAssociated(_) => What::VpcAssociated(None),
            What::VpcDisassociated(_) => What::VpcDisassociated(None),
            What::PrefixListChanged { list: _, version: _ } => What::PrefixListChanged { list: None, version: None },
            What::PrefixListDeleted(_) => What::PrefixListDeleted(None),
            What::Added | What::Removed | What::Described | What::GroupCreated | What::GroupDeleted => what,
        };
        let change = Change::new(group, what);
        // Only the last may be equal: more than one of a kind says nothing more, but looking for it would take long.
        if self.changes.last() != Some(&change) && self.changes.len() < MAX_CHANGES {
            self.groups.extend(change.group.clone());
            self.changes.push(change);
        }
    }

    /// A change of the group itself.
    fn whole(&mut self, group: Option<SecurityGroupId>, what: What) {
        self.incomplete |= group.is_none() && self.done;
        self.push(Change::new(group, what));
    }

    fn atom(&self, shape: Shape) -> Option<Atom> {
        let direction = self.name.direction()?;
        shape.map(|becomes| becomes.in_direction(direction))
    }

    /// A change of a rule. One with neither id nor rule is untold.
    fn rule(&mut self, group: Option<SecurityGroupId>, rule_id: Option<RuleId>, shape: Shape, what: &What) {
        self.incomplete |= shape.is_none() && rule_id.is_none();
        // Where none stands beside a rule it has none, or none any more.
        let described = shape.as_ref().filter(|_| *what != What::Removed);
        let description = described.map(|becomes| becomes.description.clone().unwrap_or_default());
        let atom = self.atom(shape);
        self.push(Change { rule_id, atom, description, ..Change::new(group, what.clone()) });
    }

    /// Authorize and revoke.
    fn rules(&mut self, group: Option<&SecurityGroupId>, set: &str, what: &What) {
        self.groups.extend(group.cloned());
        let rows = each(member(self.response, set));
        for value in rows {
            let row = rows::row(value, self.owner);
            self.rule(row.group.or_else(|| group.cloned()), row.id, row.shape, what);
        }
        if !rows.is_empty() {
            return;
        }
        // In the default VPC a revoke succeeds although some of what it names was never there.
        let missed = self.permissions(self.response, "unknownIpPermissionSet");
        let missed: BTreeSet<_> = missed.iter().flatten().map(Becomes::shape).collect();
        let mut named = self.permissions(self.request, "ipPermissions");
        named.extend(rows::flat(self.request));
        let nothing_named = named.is_empty();
        for shape in named {
            if !shape.as_ref().is_some_and(|shape| missed.contains(&shape.shape())) {
                self.rule(group.cloned(), None, shape, what);
            }
        }
        for value in each(member(self.request, "securityGroupRuleIds")) {
            let id = word_or_self(value, "securityGroupRuleId").and_then(|id| id.parse().ok());
            self.rule(group.cloned(), id, None, what);
        }
        // That all of it was missed is said by an empty list; that nothing is named cannot be.
        if self.changes.is_empty() && nothing_named {
            self.untold(group.cloned(), what.clone());
        }
    }

    fn permissions(&self, from: &Value, name: &str) -> Vec<Shape> {
        rows::permissions(member(from, name), self.owner)
    }

    /// An object for one rule, an array for several; each names its rule and says what that is to become.
    fn modified(&mut self, group: Option<&SecurityGroupId>) {
        self.groups.extend(group.cloned());
        for value in each(member(self.request, "securityGroupRule")) {
            let becomes = member(value, "securityGroupRule").and_then(|rule| rows::single(rule, self.owner));
            let rule_id: Option<RuleId> = parsed(value, "securityGroupRuleId");
            self.incomplete |= rule_id.is_none() || becomes.is_none();
            let description = becomes.as_ref().and_then(|becomes| becomes.description.clone());
            self.push(Change { rule_id, description, ..Change::new(group.cloned(), What::Modified(becomes)) });
        }
        if self.changes.is_empty() {
            self.untold(group.cloned(), What::Modified(None));
        }
    }

    fn described(&mut self, group: Option<&SecurityGroupId>) {
        self.groups.extend(group.cloned());
        for shape in self.permissions(self.request, "ipPermissions") {
            self.rule(group.cloned(), None, shape, &What::Described);
        }
        // The name of the list is inferred; both that siblings suggest are read.
        for list in ["securityGroupRuleDescriptions", "securityGroupRuleDescriptionSet"] {
            for value in each(member(self.request, list)) {
                let (rule_id, description) = (parsed(value, "securityGroupRuleId"), rows::description(value));
                self.incomplete |= rule_id.is_none();
                let description = Some(description.unwrap_or_default());
                self.push(Change { rule_id, description, ..Change::new(group.cloned(), What::Described) });
            }
        }
        if self.changes.is_empty() {
            self.untold(group.cloned(), What::Described);
        }
    }

    /// One change for each group and tag. Rules' tags are told as such and belong to no group, which the event does not say.
    fn tags(&mut self) -> bool {
        let create = self.name == EventName::CreateTags;
        let what = |tag| if create { What::Tagged(tag) } else { What::Untagged(tag) };
        let resources = member(self.request, "resourcesSet");
        let ids: Vec<Option<String>> = each(resources).iter().map(|value| word_or_self(value, "resourceId")).collect();
        let groups: BTreeSet<SecurityGroupId> = ids.iter().flatten().filter_map(|id| id.parse().ok()).collect();
        let rules: BTreeSet<RuleId> = ids.iter().flatten().filter_map(|id| id.parse().ok()).collect();
        let unclear = ids.is_empty() || ids.iter().any(Option::is_none);
        if groups.is_empty() && rules.is_empty() && !unclear {
            return false;
        }
        let tag = |value: &Value| {
            let value_of = member(value, "value").and_then(Value::as_str).map(cut);
            word(value, "key").map(|key| TagEdit { key: cut(&key), value: value_of })
        };
        let edits: Vec<Option<TagEdit>> = each(member(self.request, "tagSet")).iter().map(tag).collect();
        // To remove tags without saying which is to remove them all; to set none is not possible.
        let edits = if edits.is_empty() { vec![None] } else { edits };
        self.incomplete |= unclear || (create && edits.iter().any(Option::is_none));
        self.groups.extend(groups.iter().cloned());
        self.rules.extend(rules.iter().cloned());
        for group in &groups {
            for edit in &edits {
                self.push(Change::new(Some(group.clone()), what(edit.clone())));
            }
        }
        for rule in rules {
            for edit in &edits {
                self.push(Change { rule_id: Some(rule.clone()), ..Change::new(None, what(edit.clone())) });
            }
        }
        if unclear {
            self.untold(None, what(None));
        }
        true
    }

    fn list(&mut self) {
        let named: Option<PrefixListId> = parsed(self.request, "prefixListId");
        let answered = member(self.response, "prefixList").and_then(|list| parsed(list, "prefixListId"));
        // Every call says the list. Where the request does not, nobody can tell what else it said.
        self.incomplete |= named.is_none();
        let list = named.or(answered);
        self.lists.extend(list.clone());
        // EC2 changes entries only for those who say which version they change, and never from one version twice. Its answer has
        // the version of before: the change is still under way then.
        let version = parsed::<i64>(self.request, "currentVersion").and_then(|current| current.checked_add(1));
        let deleted = self.name == EventName::DeleteManagedPrefixList;
        let what = if deleted { What::PrefixListDeleted(list) } else { What::PrefixListChanged { list, version } };
        self.push(Change::new(None, what));
    }

    /// Interfaces join and leave groups: the groups are named, nothing of theirs changes.
    fn membership(&mut self) -> bool {
        let ids = each(member(self.request, "groupSet")).iter().filter_map(|value| word_or_self(value, "groupId"));
        self.groups.extend(ids.filter_map(|id| id.parse().ok()));
        !self.groups.is_empty()
    }
}
