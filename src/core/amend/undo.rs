//! From a change of the audit trail to what brings back what was before it.

use jiff::Timestamp;

use crate::api::SecurityGroup;
use crate::core::activity::presentable;
use crate::core::audit::{Change, KeptItem};
use crate::core::model::Atom;

use super::draft::{Draft, Gone, Hitch, Wording};
use super::{Amendment, Refusal};

/// What the manifest must say so that the group is as it was before a change.
pub fn undo(object: &SecurityGroup, change: &Change, now: Timestamp) -> Result<Amendment, Refusal> {
    let failed = change.outcome.as_ref().filter(|outcome| outcome.result == "Failed");
    if let Some(outcome) = failed {
        let why = outcome.code.as_deref().map_or_else(String::new, |code| format!(" ({})", presentable(code)));
        return Err(Refusal::Asked(format!("change {} was refused by EC2{why}: there is nothing to undo", change.id)));
    }
    let whole_group = match change.operation.as_str() {
        "CreateSecurityGroup" => Some("created the group: to undo that, delete the SecurityGroup object"),
        "DeleteSecurityGroup" => Some("deleted the group: to undo that, apply its manifest again"),
        _ => None,
    };
    if let Some(what) = whole_group {
        return Err(Refusal::Asked(format!("change {} {what}", change.id)));
    }
    let mut draft = Draft::of(object, now)?;
    for item in &change.items {
        let result = reverse(&mut draft, item, change);
        draft.settle(result);
    }
    remark(&mut draft, object, change);
    draft.finish()
}

fn reverse(draft: &mut Draft<'_>, item: &KeptItem, change: &Change) -> Result<(), Hitch> {
    if let Some(why) = never(item, change) {
        return Err(Hitch::Refused(why));
    }
    let (before, after) = (item.before.as_deref(), item.after.as_deref());
    if matches!(change.operation.as_str(), "CreateTags" | "DeleteTags") {
        return retag(draft, before, after);
    }
    let garbled = |text: &str| Hitch::Refused(format!("'{}' of change {} is not a rule", presentable(text), change.id));
    let atom = |text: Option<&str>| text.map(|text| text.parse::<Atom>().map_err(|_| garbled(text))).transpose();
    let (before, after) = (atom(before)?, atom(after)?);
    let owner = item.rule.as_deref();
    match (before, after) {
        (Some(before), Some(after)) if before == after => {
            draft.describe(&before, item.description_before.as_deref().unwrap_or_default(), owner)
        }
        (Some(before), Some(after)) => {
            let gone = draft.disallow(&after, owner).unwrap_or_else(|hitch| {
                draft.settle(Err(hitch));
                None
            });
            draft.allow(&before, &wording(item, change, gone))
        }
        (Some(before), None) => draft.allow(&before, &wording(item, change, None)),
        (None, Some(after)) => draft.disallow(&after, owner).map(drop),
        (None, None) => Err(Hitch::Refused(format!("change {} does not tell what was before", change.id))),
    }
}

/// Why a part of a change is not undone, whatever it was.
fn never(item: &KeptItem, change: &Change) -> Option<String> {
    let what = presentable(item.before.as_deref().or(item.after.as_deref()).unwrap_or("it"));
    let id = &change.id;
    Some(match item.cause.as_str() {
        "Drift" => format!(
            "change {id} put {what} right after somebody's edit: to keep the edit, find it with sgwarden drift {} and accept that",
            presentable(&change.object)
        ),
        "Unclassified" => format!(
            "change {id} made {what} as declared when nobody could tell who had changed it: declare what should be there instead"
        ),
        "Deletion" => format!("change {id} was a part of deleting the group: apply its manifest again"),
        _ => return None,
    })
}

/// Tags are told as `key=value`.
fn retag(draft: &mut Draft<'_>, before: Option<&str>, after: Option<&str>) -> Result<(), Hitch> {
    let pair = |text: Option<&str>| text.and_then(|text| draft.pair(text));
    match (pair(before), pair(after)) {
        (Some((key, value)), _) => draft.tag(&key, Some(&value)),
        (None, Some((key, _))) => draft.tag(&key, None),
        (None, None) => Err(Hitch::Refused("the change does not tell which tag it was".to_owned())),
    }
}

/// What a rule that comes back says; it takes the place of one that is gone.
fn wording(item: &KeptItem, change: &Change, gone: Option<Gone>) -> Wording {
    let (name, index) = gone.map(|gone| (gone.name, gone.index)).unzip();
    Wording {
        name: name.or_else(|| item.rule.clone()).unwrap_or_else(|| "undone".to_owned()),
        description: item.description_before.clone(),
        justification: Some(presentable(&format!("undo of change {}", change.id))),
        expires_at: None,
        index,
    }
}

/// What whoever undoes should know.
fn remark(draft: &mut Draft<'_>, object: &SecurityGroup, change: &Change) {
    if change.outcome.as_ref().is_none_or(|outcome| outcome.result != "Done") {
        draft.note(format!("nobody knows whether EC2 did change {}", change.id));
    }
    if !draft.is_changed() {
        return;
    }
    if object.metadata.uid.as_deref().is_some_and(|uid| uid != change.uid) {
        draft.note("the change was made for an earlier object of this name".to_owned());
    }
    if change.items.iter().any(|item| matches!(item.cause.as_str(), "ReferenceChange" | "GrantWithdrawn")) {
        draft.note(
            "a reference led elsewhere after that change: what comes back is written out, and follows no reference".to_owned(),
        );
    }
    if change.items.iter().any(|item| item.cause == "Expiry") {
        draft.note("a rule had expired: what comes back has no end".to_owned());
    }
}
