//! What the account of a group allows: its namespace, Region and VPC, and what of its enforcement is overruled.

use crate::core::desired::{Account, Declaration, DeclaredVpc, NamespaceRule, policy};
use crate::core::model::Region;

use super::Findings;
use super::set::{Group, Set};

pub(super) fn judge(set: &Set<'_>, findings: &mut Findings) {
    for group in &set.groups {
        let (Some(declaration), Some(account)) = (&group.declaration, set.account_of(group)) else { continue };
        namespace(group, account, set, findings);
        region(group, declaration, account, findings);
        vpc(group, declaration, account, findings);
        enforcement(group, declaration, account, set, findings);
    }
}

fn namespace(group: &Group<'_>, account: &Account, set: &Set<'_>, findings: &mut Findings) {
    let (namespace, name) = (&group.name.namespace, &account.name);
    match (&account.namespaces, set.labels(namespace)) {
        (NamespaceRule::Selector(_), None) => findings.warning(
            group.number,
            "metadata.namespace",
            format!("whether it may use AwsAccount {name} depends on the labels of namespace {namespace}, which these files do not declare"),
        ),
        (NamespaceRule::Selector(_) | NamespaceRule::All | NamespaceRule::Listed(_), labels) => {
            if !account.admits(namespace, &labels.unwrap_or_default()) {
                let message = format!(
                    "namespace {namespace} may not use AwsAccount {name}: give the namespace the labels that its allowedNamespaces asks for, or name another account"
                );
                findings.error(group.number, "metadata.namespace", message);
            }
        }
    }
}

fn region(group: &Group<'_>, declaration: &Declaration, account: &Account, findings: &mut Findings) {
    let served: Vec<&str> = account.regions.iter().map(Region::as_str).collect();
    let (name, served) = (&account.name, served.join(", "));
    match &declaration.region {
        Some(region) if !account.regions.contains(region) => findings.error(
            group.number,
            "spec.region",
            format!("Region {region} is not served in AwsAccount {name}, which has {served}: add it there, or correct it here"),
        ),
        None if account.regions.len() > 1 => {
            findings.error(group.number, "spec.region", format!("region is required: AwsAccount {name} has {served}"));
        }
        Some(_) | None => {}
    }
}

/// A VPC that is looked for by tags is judged once it is found.
fn vpc(group: &Group<'_>, declaration: &Declaration, account: &Account, findings: &mut Findings) {
    match &declaration.vpc {
        DeclaredVpc::Id(id) if !account.admits_vpc(id) => {
            let message = format!("AwsAccount {} allows no groups in {id}: see its allowedNamespaces.vpcs", account.name);
            findings.error(group.number, "spec.vpc.id", message);
        }
        DeclaredVpc::Id(_) | DeclaredVpc::Tagged(_) => {}
    }
}

fn enforcement(group: &Group<'_>, declaration: &Declaration, account: &Account, set: &Set<'_>, findings: &mut Findings) {
    let (_, notes) = policy(&declaration.enforcement, account, false);
    for note in notes {
        // The other notes are about the account, and a stop button that is pressed is no fault of a manifest.
        if let Some(field) = note.split(' ').next().filter(|word| word.starts_with("enforcement.")) {
            findings.warning(group.number, format!("spec.{field}"), note.clone());
        }
    }
    let Some(suspend) = declaration.enforcement.suspend.as_ref().filter(|_| account.limits.ceiling.suspend) else { return };
    let most = account.limits.max_suspend;
    if set.now.checked_add(most).is_ok_and(|latest| suspend.until > latest) {
        let hours = most.as_secs() / 3600;
        let message = format!(
            "the suspension ends {hours} h after it is first seen, before {}: AwsAccount {} allows no longer",
            suspend.until, account.name
        );
        findings.warning(group.number, "spec.enforcement.suspend.until", message);
    }
}
