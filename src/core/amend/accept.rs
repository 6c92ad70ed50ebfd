//! From a drift record to what keeps the edit.

use jiff::Timestamp;

use crate::api::{DriftAtom, DriftKind, DriftRecord, MAX_TEXT, Resolution, SecurityGroup};
use crate::core::activity::presentable;
use crate::core::audit::{KeptItem, Trail};
use crate::core::model::Atom;

use super::draft::{Draft, Gone, Hitch, Wording};
use super::{Amendment, Refusal};

/// How an edit is to be kept.
#[derive(Clone, Debug)]
pub struct Acceptance<'a> {
    /// Now.
    pub now: Timestamp,
    /// Until when; `None`: for good.
    pub until: Option<Timestamp>,
    /// What to call a new rule; by default it is called after the record.
    pub name: Option<String>,
    /// Where the descriptions are that rules had before they were put right: a record has no room for them.
    pub trail: Option<&'a Trail>,
}

/// What a record tells of one edit.
enum Edit {
    /// A rule came.
    Came(Atom),
    /// A declared rule went.
    Went(Atom),
    /// A declared rule became another.
    Became(Atom, Atom),
    /// A rule got another description.
    Described(Atom, String),
    /// A tag has a value, or is gone.
    Tagged(String, Option<String>),
    /// It cannot be kept by any manifest.
    Never(String),
}

/// What the manifest must say so that the edits of a record stay, or are made again where they were put right.
pub fn accept(object: &SecurityGroup, record: &DriftRecord, how: &Acceptance<'_>) -> Result<Amendment, Refusal> {
    if how.until.is_some_and(|until| until <= how.now) {
        return Err(Refusal::Asked("an edit can be kept until a time to come, not until one that has passed".to_owned()));
    }
    let mut draft = Draft::of(object, how.now)?;
    for atom in &record.atoms {
        let edit = read(&draft, atom);
        let gives_rule = matches!(edit, Edit::Came(_) | Edit::Became(_, _));
        let changed = keep(&mut draft, edit, atom, record, how);
        if gives_rule && changed && put_right(atom, how).is_none() {
            draft.note("which description a rule had in EC2 is not known: it is declared without one (--audit-file finds that of a rule that was put right)".to_owned());
        }
    }
    remark(&mut draft, record);
    draft.finish()
}

/// Whether it is kept by what the manifest says anew.
fn keep(draft: &mut Draft<'_>, edit: Edit, told: &DriftAtom, record: &DriftRecord, how: &Acceptance<'_>) -> bool {
    let owner = told.rule.as_deref();
    let endless = |what: String| {
        Err(Hitch::Refused(format!("{what} cannot be kept for a time: only rules have an end (expiresAt); leave --for out")))
    };
    let timed = how.until.is_some();
    let result = match edit {
        Edit::Came(atom) => draft.allow(&atom, &wording(told, record, how, None)),
        Edit::Went(atom) if timed => endless(format!("that {atom} is gone")),
        Edit::Went(atom) => draft.disallow(&atom, owner).map(drop),
        // The declared rule stays, and is there again when the time is over.
        Edit::Became(_, after) if timed => draft.allow(&after, &wording(told, record, how, None)),
        Edit::Became(before, after) => {
            let gone = draft.disallow(&before, owner).unwrap_or_else(|hitch| {
                draft.settle(Err(hitch));
                None
            });
            draft.allow(&after, &wording(told, record, how, gone))
        }
        Edit::Described(atom, _) if timed => endless(format!("the description of {atom}")),
        Edit::Described(atom, text) => draft.describe(&atom, &text, owner),
        Edit::Tagged(key, _) if timed => endless(format!("tag {key}")),
        Edit::Tagged(key, value) => draft.tag(&key, value.as_deref()),
        Edit::Never(why) => Err(Hitch::Refused(why)),
    };
    let kept = result.is_ok();
    draft.settle(result);
    kept
}

/// What an edit was. The texts are those that `core::status::drift` writes.
fn read(draft: &Draft<'_>, told: &DriftAtom) -> Edit {
    let (before, after) = (told.before.as_deref(), told.after.as_deref());
    let either = after.or(before).unwrap_or("nothing");
    let garbled = || Edit::Never(format!("'{}' cannot be read as a rule or a tag", presentable(either)));
    match DriftKind::parse(&told.kind) {
        Ok(DriftKind::GroupDeleted) => Edit::Never(
            "that the group was deleted cannot be kept by its manifest: delete the SecurityGroup object, or let sgwarden only observe \
             (enforcement.mode: Observe)"
                .to_owned(),
        ),
        Ok(DriftKind::PrefixListChanged) => Edit::Never(format!(
            "no manifest declares what is in a prefix list ({}): sgwarden leaves it as it is, there is nothing to accept",
            presentable(either)
        )),
        Ok(DriftKind::VpcAssociationChanged) => Edit::Never(
            "no manifest declares which other VPCs may use a group: sgwarden leaves it as it is, there is nothing to accept".to_owned(),
        ),
        Ok(DriftKind::TagChanged | DriftKind::TagRemoved) => tagged(draft, before, after).unwrap_or_else(garbled),
        Ok(DriftKind::DescriptionChanged) => after.and_then(described).unwrap_or_else(garbled),
        Ok(DriftKind::Added | DriftKind::Removed | DriftKind::Modified | DriftKind::Transient | DriftKind::Unclassified) | Err(_) => {
            if either.starts_with("tag ") {
                return tagged(draft, before, after).unwrap_or_else(garbled);
            }
            if let Some(edit) = after.and_then(described) {
                return edit;
            }
            let atom = |text: Option<&str>| text.map(str::parse::<Atom>).transpose();
            match (atom(before), atom(after)) {
                (Ok(None), Ok(Some(after))) => Edit::Came(after),
                (Ok(Some(before)), Ok(None)) => Edit::Went(before),
                (Ok(Some(before)), Ok(Some(after))) => Edit::Became(before, after),
                (_, _) => garbled(),
            }
        }
    }
}

/// `ingress tcp 443 from 0.0.0.0/0 "Web"`.
fn described(text: &str) -> Option<Edit> {
    let (atom, quoted) = text.split_once(" \"")?;
    Some(Edit::Described(atom.parse().ok()?, quoted.strip_suffix('"')?.to_owned()))
}

/// `tag team=shop`, before and after.
fn tagged(draft: &Draft<'_>, before: Option<&str>, after: Option<&str>) -> Option<Edit> {
    let pair = |text: &str| text.strip_prefix("tag ").and_then(|text| draft.pair(text));
    match (after, before) {
        // A text that was too long to be kept whole ends in a sign: what stood behind it is not known.
        (Some(after), _) if after.chars().count() >= MAX_TEXT && after.ends_with('…') => None,
        (Some(after), _) => pair(after).map(|(key, value)| Edit::Tagged(key, Some(value))),
        (None, before) => before.and_then(pair).map(|(key, _)| Edit::Tagged(key, None)),
    }
}

/// What a new rule says; it takes the place of one that is gone.
fn wording(told: &DriftAtom, record: &DriftRecord, how: &Acceptance<'_>, gone: Option<Gone>) -> Wording {
    let by_record = || format!("accepted-{}", record.id.trim_start_matches("d-"));
    let (name, index) = gone.map(|gone| (gone.name, gone.index)).unzip();
    Wording {
        name: how.name.clone().or(name).unwrap_or_else(by_record),
        description: put_right(told, how).and_then(|item| item.description_before.clone()),
        justification: Some(justification(record)),
        expires_at: how.until,
        index,
    }
}

/// The part of a change that put an edit right: there the rule is told with its description.
fn put_right<'a>(told: &DriftAtom, how: &Acceptance<'a>) -> Option<&'a KeptItem> {
    how.trail?.taken(told.rule_id.as_deref()?, told.after.as_deref()?)
}

fn justification(record: &DriftRecord) -> String {
    let actor = record.actor.as_ref().and_then(|actor| actor.name.as_deref());
    presentable(&format!("accepted drift {} of {}", record.id, actor.unwrap_or("somebody unknown")))
}

/// What whoever accepts should know.
fn remark(draft: &mut Draft<'_>, record: &DriftRecord) {
    let listed = i32::try_from(record.atoms.len()).unwrap_or(i32::MAX);
    if record.count > listed {
        draft.note(format!("the record lists {listed} of {} differences: the others are not in this", record.count));
    }
    if !draft.is_changed() {
        return;
    }
    if record.resolution == Resolution::Reverted.as_str() {
        draft.note("the edit was put right: this has it made again".to_owned());
    }
    if record.resolution == Resolution::Transient.as_str() {
        draft.note("the edit was over before anybody could see it: this has it made again".to_owned());
    }
}
