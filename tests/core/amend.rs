//! What keeps an edit, and what brings back what a change took: cases as files with what a person reads beside them, and that the
//! result allows exactly what was asked for. `UPDATE=1 cargo test --test core amend` writes the expected texts anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;

use sgwarden::api::{DriftAtom, DriftRecord, SecurityGroup, SecurityGroupSpec, SecurityGroupStatus};
use sgwarden::core::amend::{Acceptance, Amendment, Refusal, accept, undo};
use sgwarden::core::audit::{Change, Trail};
use sgwarden::core::desired::{Desired, Lookups, parse};
use sgwarden::core::listing::span;
use sgwarden::core::model::{Atom, Direction, PrefixListWeights, Tags};

use crate::canonical::atom;
use crate::worlds::{cases, few};

const NOW: &str = "2026-11-22T12:00:00Z";
const OWN: &str = "sg-0a1b2c3d4e5f67890";

// Cases --------------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    title: String,
    spec: SecurityGroupSpec,
    #[serde(default)]
    status: SecurityGroupStatus,
    #[serde(default, rename = "for")]
    lasting: Option<String>,
    #[serde(default)]
    name: Option<String>,
    /// To be undone; absent: the first drift record is accepted.
    #[serde(default)]
    change: Option<Change>,
    /// Lines of the audit file.
    #[serde(default)]
    audit: Vec<serde_json::Value>,
}

fn object(spec: SecurityGroupSpec, status: SecurityGroupStatus) -> SecurityGroup {
    let mut object = SecurityGroup::new("web", spec);
    object.metadata.namespace = Some("shop".to_owned());
    object.metadata.uid = Some("u-1".to_owned());
    object.status =
        Some(SecurityGroupStatus { group_id: Some(OWN.to_owned()), owner_id: Some("111122223333".to_owned()), ..status });
    object
}

/// For good, or until then.
fn until(lasting: Option<&str>) -> Acceptance<'static> {
    let now = NOW.parse().unwrap();
    Acceptance { now, until: lasting.map(|text| now + span(text).unwrap()), name: None, trail: None }
}

/// The one door: a case's text and what a person reads.
fn check(text: &str) -> String {
    let case: Case = serde_yaml::from_str(text).unwrap();
    let object = object(case.spec, case.status);
    let mut trail = Trail::default();
    case.audit.iter().for_each(|line| trail.take(line.to_string().as_bytes()));
    let result = if let Some(change) = &case.change {
        undo(&object, change, NOW.parse().unwrap())
    } else {
        let how = Acceptance { name: case.name, trail: Some(&trail), ..until(case.lasting.as_deref()) };
        accept(&object, &object.status.as_ref().unwrap().drift[0], &how)
    };
    let told = match result {
        Ok(amendment) => {
            let after = SecurityGroup { spec: amendment.after.clone(), ..object.clone() };
            assert!(parse(&after).is_ok(), "{}: {:?}", case.title, parse(&after).err());
            format!("{}--- patch\n{}\n", amendment.to_text(), amendment.to_patch())
        }
        Err(refusal) => format!("refused: {refusal}\n"),
    };
    format!("{}\n\n{told}", case.title)
}

#[test]
fn every_case_reads_as_it_is_written_beside_it() {
    let beside = Path::new(file!()).parent().unwrap().join("amendments");
    let folder = if beside.is_absolute() { beside } else { Path::new(env!("CARGO_MANIFEST_DIR")).join(beside) };
    let update = std::env::var_os("UPDATE").is_some_and(|update| update == "1");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (cases, texts): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for path in &cases {
        let expected = path.with_extension("txt");
        let read = check(&std::fs::read_to_string(path).unwrap());
        if update {
            std::fs::write(&expected, &read).unwrap();
        }
        let written = std::fs::read_to_string(&expected).unwrap_or_default();
        if written != read {
            wrong.push(format!("{}\n--- written\n{written}\n--- now\n{read}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    for text in texts {
        assert!(cases.contains(&text.with_extension("yaml")), "{} belongs to nothing", text.display());
    }
}

#[test]
fn what_this_release_does_not_know_would_be_lost_and_is_told() {
    let spec = "{vpc: {id: vpc-0a1b2c3d}, ingress: [{name: a, protocol: icmp, icmp: {type: 8}, from: [{cidr: 10.0.0.0/8}]}], egressPolicy: DenyAll}";
    let object = object(serde_yaml::from_str(spec).unwrap(), SecurityGroupStatus::default());
    let ssh = "ingress tcp 22 from 0.0.0.0/0".parse().unwrap();
    let amendment = accept(&object, &drift(vec![told("Added", None, Some(&ssh), None)]), &until(None)).unwrap();
    let mut stored = serde_json::to_value(&object.spec).unwrap();
    assert_eq!(amendment.loses(&stored), None);
    stored["egress"] = serde_json::json!([{ "new": true }]);
    assert_eq!(amendment.loses(&stored), None, "a list that the patch leaves alone");
    stored["ingress"][0]["schedule"] = "weekdays".into();
    assert_eq!(amendment.loses(&stored), Some(Direction::Ingress));
}

// Properties ---------------------------------------------------------------------------------------------------------

/// What a spec desires.
fn desired(object: &SecurityGroup, spec: &SecurityGroupSpec) -> Desired {
    let object = SecurityGroup { spec: spec.clone(), ..object.clone() };
    let declaration = parse(&object).unwrap_or_else(|problems| panic!("{problems:?}"));
    declaration.resolve(&Lookups {
        own: Some(OWN.parse().unwrap()),
        account: "111122223333".parse().unwrap(),
        vpc: "vpc-0a1b2c3d".parse().unwrap(),
        vpc_ipv6: true,
        objects: BTreeMap::new(),
        prefix_lists: BTreeMap::new(),
        weights: PrefixListWeights::default(),
        default_tags: Tags::new(),
        now: NOW.parse().unwrap(),
        latched: BTreeSet::new(),
    })
}

fn atoms(object: &SecurityGroup, spec: &SecurityGroupSpec) -> BTreeSet<Atom> {
    desired(object, spec).rules.iter().map(|(atom, _)| atom.clone()).collect()
}

/// A group with rules of several ports and peers, and any form of egress. What is vouched for is what is desired.
fn group() -> impl Strategy<Value = SecurityGroup> {
    let ports = prop::collection::btree_set(select(&["80", "81", "443", "\"80-82\""][..]), 1..=3);
    let peers = prop::collection::btree_set(
        select(&["cidr: 10.0.0.0/8", "cidr: 192.0.2.0/24", "cidr: \"::/0\"", "self: true", "securityGroupId: sg-0000000d"][..]),
        1..=3,
    );
    let rule = (ports, peers).prop_map(|(ports, peers)| (Vec::from_iter(ports), Vec::from_iter(peers)));
    let egress = select(&["egressPolicy: AllowAll", "egressPolicy: DenyAll", "rules"][..]);
    (prop::collection::vec(rule.clone(), 0..=3), egress, rule).prop_map(|(ingress, egress, out)| {
        let text = |(ports, peers): &(Vec<&str>, Vec<&str>), name: usize, field: &str| {
            let peers: Vec<String> = peers.iter().map(|peer| format!("{{{peer}}}")).collect();
            format!(
                "{{name: r{name}, description: Web, protocol: tcp, ports: [{}], {field}: [{}]}}",
                ports.join(", "),
                peers.join(", ")
            )
        };
        let rules: Vec<String> = ingress.iter().enumerate().map(|(name, rule)| text(rule, name, "from")).collect();
        let egress = if egress == "rules" { format!("egress: [{}]", text(&out, 0, "to")) } else { egress.to_owned() };
        let spec = format!("{{vpc: {{id: vpc-0a1b2c3d}}, ingress: [{}], {egress}}}", rules.join(", "));
        let mut object = object(serde_yaml::from_str(&spec).unwrap(), SecurityGroupStatus::default());
        let desired = desired(&object, &object.spec);
        let line = |(atom, declared): (&Atom, &sgwarden::core::model::Declared)| format!("1 - {} {atom} -", declared.rule);
        object.status.as_mut().unwrap().rules = Some(desired.rules.iter().map(line).collect());
        object
    })
}

fn drift(atoms: Vec<DriftAtom>) -> DriftRecord {
    DriftRecord {
        id: "d-cd8aab52".to_owned(),
        count: i32::try_from(atoms.len()).unwrap(),
        atoms,
        resolution: "Reported".to_owned(),
        ..DriftRecord::default()
    }
}

fn told(kind: &str, before: Option<&Atom>, after: Option<&Atom>, rule: Option<&str>) -> DriftAtom {
    DriftAtom {
        kind: kind.to_owned(),
        before: before.map(ToString::to_string),
        after: after.map(ToString::to_string),
        rule: rule.map(str::to_owned),
        ..DriftAtom::default()
    }
}

/// Whether a manifest may declare an atom at all.
fn declarable(atom: &Atom) -> bool {
    let text = atom.to_string();
    let (v4, v6) = (text.contains('.'), text.contains(':'));
    let mapped = matches!(&atom.peer, sgwarden::core::model::Peer::Ipv6(net) if net.addr().to_ipv4_mapped().is_some());
    let wrong_family = text.contains(" icmp ") && v6 || text.contains(" icmpv6 ") && v4;
    !mapped && !wrong_family
}

fn outcome(amendment: Result<Amendment, Refusal>) -> Option<Amendment> {
    match amendment {
        Ok(amendment) => Some(amendment),
        Err(Refusal::Impossible(_)) => None,
        Err(refusal @ (Refusal::Unusable(_) | Refusal::Asked(_))) => panic!("{refusal}"),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn accepted_additions_are_desired_and_nothing_else_is(object in group(), added in prop::collection::btree_set(atom(), 1..=4)) {
        let record = drift(added.iter().map(|atom| told("Added", None, Some(atom), None)).collect());
        let amendment = outcome(accept(&object, &record, &until(None)));
        let mut expected = atoms(&object, &object.spec);
        expected.extend(added.iter().filter(|atom| declarable(atom)).cloned());
        let after = amendment.as_ref().map_or_else(|| atoms(&object, &object.spec), |amendment| atoms(&object, &amendment.after));
        prop_assert_eq!(after, expected);
        prop_assert_eq!(amendment.is_some_and(|amendment| amendment.is_whole()), added.iter().all(declarable));
    }

    #[test]
    fn additions_for_a_time_are_gone_after_it(object in group(), added in atom().prop_filter("declarable", declarable)) {
        let record = drift(vec![told("Added", None, Some(&added), None)]);
        let amendment = accept(&object, &record, &until(Some("2h"))).unwrap();
        let before = atoms(&object, &object.spec);
        let mut expected = before.clone();
        expected.insert(added.clone());
        let after = SecurityGroup { spec: amendment.after.clone(), ..object.clone() };
        prop_assert_eq!(atoms(&object, &after.spec), expected);
        let expiring = desired(&object, &after.spec).next_expiry.map(|at| at.to_string());
        prop_assert_eq!(expiring, (!before.contains(&added)).then(|| "2026-11-22T14:00:00Z".to_owned()));
    }

    #[test]
    fn an_accepted_removal_takes_out_that_and_no_more(object in group(), index in any::<Index>()) {
        let before = desired(&object, &object.spec);
        prop_assume!(!before.rules.is_empty());
        let (gone, declared) = before.rules.iter().nth(index.index(before.rules.len())).unwrap();
        let record = drift(vec![told("Removed", Some(gone), None, Some(declared.rule.as_str()))]);
        let amendment = outcome(accept(&object, &record, &until(None))).unwrap();
        let mut expected = atoms(&object, &object.spec);
        if amendment.is_whole() {
            expected.remove(gone);
            prop_assert_eq!(atoms(&object, &amendment.after), expected);
        } else {
            prop_assert!(!amendment.advice.by_hand.is_empty());
            // What could be done of it is never more than was asked for.
            let after = atoms(&object, &amendment.after);
            expected.retain(|atom| atom != gone || after.contains(gone));
            prop_assert_eq!(after, expected);
        }
    }

    #[test]
    fn an_accepted_change_is_desired_in_place_of_what_was(object in group(), index in any::<Index>(), new in atom().prop_filter("declarable", declarable)) {
        let before = desired(&object, &object.spec);
        prop_assume!(!before.rules.is_empty() && !before.rules.contains(&new));
        let (old, declared) = before.rules.iter().nth(index.index(before.rules.len())).unwrap();
        let record = drift(vec![told("Modified", Some(old), Some(&new), Some(declared.rule.as_str()))]);
        let amendment = outcome(accept(&object, &record, &until(None))).unwrap();
        let mut expected = atoms(&object, &object.spec);
        expected.insert(new);
        let after = atoms(&object, &amendment.after);
        if amendment.is_whole() || !after.contains(old) {
            expected.remove(old);
        }
        prop_assert_eq!(after, expected);
    }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn whatever_a_status_says_is_refused_or_can_be_used(
        object in group(),
        kind in "Added|Removed|Modified|DescriptionChanged|TagChanged|TagRemoved|GroupDeleted|PrefixListChanged|Transient|VpcAssociationChanged|Unclassified|Other",
        before in prop::option::of(prop_oneof![".{0,40}", "tag .{0,9}=.{0,9}", "(in|e)gress tcp 80 (from|to) 10.0.0.0/8( \".{0,9}\")?"]),
        after in prop::option::of(prop_oneof![".{0,40}", "tag .{0,9}=.{0,9}", "(in|e)gress tcp 80 (from|to) 10.0.0.0/8( \".{0,9}\")?"]),
        rule in prop::option::of("r[0-3]|egress-policy|.{0,5}"),
        name in ".{0,70}",
        id in ".{0,70}",
    ) {
        let atom = DriftAtom { kind, before, after, rule, ..DriftAtom::default() };
        let record = DriftRecord { id, ..drift(vec![atom]) };
        for lasting in [None, Some("2h")] {
            let how = Acceptance { name: Some(name.clone()), ..until(lasting) };
            if let Some(amendment) = outcome(accept(&object, &record, &how)) {
                desired(&object, &amendment.after);
                // Between comments there is YAML: nothing of a text of others begins a line of its own.
                let text = amendment.to_text();
                let lines: Vec<&str> = text.split('\n').collect();
                for piece in lines.split(|line| line.starts_with('#')) {
                    let piece = piece.join("\n");
                    let read = serde_yaml::from_str::<serde_json::Value>(&piece);
                    prop_assert!(piece.is_empty() || read.is_ok(), "{piece}: {read:?}");
                }
            }
        }
    }

    #[test]
    fn what_a_change_did_is_undone_exactly(object in group(), index in any::<Index>(), back in atom().prop_filter("declarable", declarable)) {
        let before = desired(&object, &object.spec);
        prop_assume!(!before.rules.is_empty() && !before.rules.contains(&back));
        let (made, declared) = before.rules.iter().nth(index.index(before.rules.len())).unwrap();
        let item = serde_json::json!({ "cause": "SpecChange", "rule": declared.rule.as_str(), "before": back.to_string(), "after": made.to_string() });
        let change = serde_json::json!({ "id": "c-1", "operation": "ModifySecurityGroupRules", "items": [item], "outcome": {"result": "Done"} });
        let change: Change = serde_json::from_value(change).unwrap();
        let amendment = outcome(undo(&object, &change, NOW.parse().unwrap())).unwrap();
        let mut expected = atoms(&object, &object.spec);
        expected.insert(back);
        let after = atoms(&object, &amendment.after);
        if amendment.is_whole() || !after.contains(made) {
            expected.remove(made);
        }
        prop_assert_eq!(after, expected);
    }
}
