//! The whole object, every problem of it at once.

use std::collections::BTreeSet;

use crate::api::{self, Origin, SecurityGroup};
use crate::core::model::{Tags, is_ec2_text};

use super::annotations::suspend_of;
use super::enforcement::{parse_adopt, parse_enforcement};
use super::namespaces::Allowed;
use super::problem::Problems;
use super::rules::parse_rules;
use super::text::{bad_text, is_subdomain};
use super::{Declaration, DeclaredEnforcement, DeclaredPeer, DeclaredRule, DeclaredVpc, Problem, Who};

/// Understands an object, or says everything that is wrong with it.
pub fn parse(object: &SecurityGroup) -> Result<Declaration, Vec<Problem>> {
    let spec = &object.spec;
    let mut problems = Problems::default();
    check_account(spec.account.as_deref(), &mut problems);
    let region = spec.region.as_ref().and_then(|region| problems.keep("spec.region", region.parse()));
    let vpc = parse_vpc(&spec.vpc, &mut problems);
    let (taken_name, taken_description) = taken_over(object);
    let group_name = taken_name.map_or_else(|| object.desired_group_name(), str::to_owned);
    // What a group is called that was there before is not ours to judge: the default group is called `default`.
    if taken_name.is_none() {
        check_group_name(&group_name, spec.group_name.is_some(), &mut problems);
    }
    let description = taken_description.unwrap_or_else(|| object.desired_description()).to_owned();
    if taken_description.is_none() && (!is_ec2_text(&description) || description.is_empty()) {
        problems.add("spec.description", bad_text("a description"));
    }
    check_tags("spec.tags", &spec.tags, &mut problems);
    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
    let rules = parse_rules(namespace, spec, &mut problems);
    let egress_policy = problems.keep("spec.egressPolicy", spec.egress_policy()).flatten();
    check_egress_policy(spec, &mut problems);
    check_names(&rules, &mut problems);
    // What is wrong with the annotation is no fault of the spec: whoever asks for it hears of it.
    let (suspend, _) = suspend_of(object);
    let enforcement = DeclaredEnforcement { suspend, ..parse_enforcement(spec, &mut problems) };
    let adopt = parse_adopt(spec.adopt.as_ref(), &mut problems);
    Allowed::parse(spec.allowed_namespaces.as_ref(), "spec.allowedNamespaces", &mut problems);
    let deletion = problems.keep("spec.deletionPolicy", spec.deletion_policy()).flatten();
    check_pins(object, &group_name, &description, &mut problems);
    let name = object.metadata.name.clone().unwrap_or_default();
    problems.settle(vpc.map(|vpc| Declaration {
        namespace: namespace.to_owned(),
        name,
        account: spec.account.clone(),
        region,
        vpc,
        group_name,
        description,
        tags: spec.tags.clone(),
        rules,
        egress_policy,
        enforcement,
        adopt,
        deletion,
    }))
}

/// Name and description of a group that was taken over, where the manifest leaves them out: then they are as the group has them,
/// and our defaults for a group that we create do not count.
fn taken_over(object: &SecurityGroup) -> (Option<&str>, Option<&str>) {
    let status = object.status.as_ref().filter(|status| status.origin.as_deref() == Some(Origin::Adopted.as_str()));
    let Some(status) = status else { return (None, None) };
    let name = status.group_name.as_deref().filter(|_| object.spec.group_name.is_none());
    let description = status.description.as_deref().filter(|_| object.spec.description.is_none());
    (name, description)
}

/// The longest name of an account: `status.account` of every group holds it.
pub(super) const MAX_ACCOUNT_NAME: usize = 63;

fn check_account(name: Option<&str>, problems: &mut Problems) {
    if name.is_some_and(|name| !is_account(name)) {
        problems.add(
            "spec.account",
            "account is the name of an AwsAccount object, such as prod: lower-case letters, digits, '-' and '.' only, at most 63",
        );
    }
}

/// Whether a text is the name of an account.
pub(super) fn is_account(name: &str) -> bool {
    is_subdomain(name) && name.len() <= MAX_ACCOUNT_NAME
}

/// The VPC by exactly one of its fields; an empty map of tags is none.
fn parse_vpc(written: &api::VpcReference, problems: &mut Problems) -> Option<DeclaredVpc> {
    let api::VpcReference { id, name, tags } = written;
    if [id.is_some(), name.is_some(), !tags.is_empty()].into_iter().filter(|given| *given).count() != 1 {
        problems.add("spec.vpc", "vpc is exactly one of id, name, tags, such as {id: vpc-0123456789abcdef0}");
        return None;
    }
    if let Some(id) = id {
        return problems.keep("spec.vpc.id", id.parse()).map(DeclaredVpc::Id);
    }
    if let Some(name) = name {
        if name.is_empty() || name.chars().count() > 256 {
            problems.add("spec.vpc.name", "the tag Name of a VPC has 1 to 256 characters");
        }
        return Some(DeclaredVpc::Tagged(Tags::from([("Name".to_owned(), name.clone())])));
    }
    if tags.len() > MAX_VPC_TAGS {
        problems.add("spec.vpc.tags", format!("at most {MAX_VPC_TAGS} tags to find a VPC by: fewer will do"));
    }
    for (key, value) in tags {
        // Anybody's tags, AWS's too: they are read, not written.
        if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 {
            problems.add(format!("spec.vpc.tags[{key}]"), "a tag key has 1 to 128 characters and a value at most 256");
        }
    }
    Some(DeclaredVpc::Tagged(tags.clone()))
}

/// The most tags to find a VPC by.
const MAX_VPC_TAGS: usize = 10;

fn check_group_name(name: &str, written: bool, problems: &mut Problems) {
    let path = "spec.groupName";
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("sg-") || lower == "default" {
        let message = if written {
            "a group name may not start with 'sg-' nor be 'default': AWS reserves both, choose another".to_owned()
        } else {
            format!("set spec.groupName: the default '{name}' would start with 'sg-', which AWS reserves")
        };
        problems.add(path, message);
    }
    if name.trim() != name {
        problems.add(path, "a group name may not start or end with a space, which AWS trims: remove it");
    }
    if name.is_empty() || !is_ec2_text(name) {
        problems.add(path, bad_text("a group name"));
    }
}

/// Tags that a spec declares, or an account for its groups.
pub(super) fn check_tags(path: &str, tags: &Tags, problems: &mut Problems) {
    for (key, value) in tags {
        let path = format!("{path}[{key}]");
        if is_reserved(key) {
            problems.add(
                path.clone(),
                "tag keys may not start with 'aws:' (AWS's), 'sgwarden.dev/' (sgwarden's own) or 'kubernetes.io/cluster/' (cloud controllers act on it): remove the key",
            );
        }
        if !(1..=127).contains(&key.chars().count()) || value.chars().count() > 256 {
            problems.add(path, "a tag key has 1 to 127 characters and a value at most 256");
        }
    }
    if tags.len() > api::MAX_TAGS {
        problems.add(path, format!("at most {} tags: AWS allows 50, and sgwarden keeps some of its own", api::MAX_TAGS));
    }
}

/// Whether a tag key belongs to somebody else.
pub(super) fn is_reserved(key: &str) -> bool {
    key.to_ascii_lowercase().starts_with("aws:") || key.starts_with(api::TAG_PREFIX) || key.starts_with("kubernetes.io/cluster/")
}

fn check_egress_policy(spec: &api::SecurityGroupSpec, problems: &mut Problems) {
    match (spec.egress.is_empty(), spec.egress_policy.is_some()) {
        (true, false) => problems.add(
            "spec.egressPolicy",
            "say what may leave the group: list egress rules, or set egressPolicy: AllowAll (what EC2 gives a new group) or egressPolicy: DenyAll",
        ),
        (false, true) => {
            problems.add("spec.egressPolicy", "egressPolicy is only for a group without egress rules: remove it, or remove the rules");
        }
        (true, true) | (false, false) => {}
    }
}

/// The ids behind names are pinned in status, which has room for so many.
fn check_names(rules: &[DeclaredRule], problems: &mut Problems) {
    let name = |peer: &DeclaredPeer| match &peer.who {
        Who::PrefixListName(name) => Some(name.clone()),
        Who::Object(_) | Who::Range(_) | Who::This | Who::Group { id: _, account: _ } | Who::PrefixList(_) => None,
    };
    let names: BTreeSet<String> = rules.iter().flat_map(|rule| &rule.peers).filter_map(name).collect();
    if names.len() > api::MAX_PINS {
        problems.add("spec", format!("at most {} prefix lists by name: name the others by prefixListId", api::MAX_PINS));
    }
}

/// What EC2 fixed at creation cannot follow the spec. The apiserver refuses such an update; a file can hold it all the
/// same, and so can a changed default.
fn check_pins(object: &SecurityGroup, group_name: &str, description: &str, problems: &mut Problems) {
    let Some(status) = &object.status else { return };
    let id = status.group_id.as_deref().unwrap_or("(being created)");
    let pins = [
        ("account", object.spec.account.as_deref(), status.account.as_deref()),
        ("region", object.spec.region.as_deref(), status.region.as_deref()),
        ("vpc", object.spec.vpc.id.as_deref(), status.vpc_id.as_deref()),
        ("groupName", Some(group_name), status.group_name.as_deref()),
        ("description", Some(description), status.description.as_deref()),
    ];
    for (field, wanted, pinned) in pins {
        let Some((wanted, pinned)) = wanted.zip(pinned) else { continue };
        if wanted != pinned {
            problems.add(
                format!("spec.{field}"),
                format!(
                    "{field} cannot be changed: EC2 group {id} was created with '{pinned}'. Put it back; to replace the group, create a \
                     SecurityGroup with another name, move its members, then delete this one"
                ),
            );
        }
    }
}
