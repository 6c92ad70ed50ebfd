//! Ten worlds in every form of `sgwarden plan`. `UPDATE=1 cargo test --test core previews` writes them anew; read the difference as
//! what people and programs will see.

use std::path::{Path, PathBuf};

use sgwarden::core::desired::Problem;
use sgwarden::core::listing::Colour;
use sgwarden::core::plan::{Report, pending, plan};
use sgwarden::core::preview::{Finding, Planned, Preview, Totals, json, markdown, text};

use crate::scenario::Scenario;

/// Scenarios that together have every sign, note and ending.
const WORLDS: [&str; 10] = [
    "case-web-public",
    "drift-everything-at-once",
    "every-kind-of-rule",
    "group-deleted",
    "mass-change-waits",
    "nothing-differs",
    "quota-both-families",
    "baseline-lost",
    "undeclared-report",
    "unknown-reference-holds",
];

fn folder(name: &str) -> PathBuf {
    // Beside this file, wherever the package that runs it lies.
    let beside = Path::new(file!()).parent().unwrap().join(name);
    if beside.is_absolute() { beside } else { Path::new(env!("CARGO_MANIFEST_DIR")).join(beside) }
}

fn world(name: &str) -> Preview {
    let scenario = Scenario::read(&std::fs::read_to_string(folder("scenarios").join(format!("{name}.yaml"))).unwrap());
    let world = scenario.world();
    let desired = scenario.desired(world.cloud.group.as_ref());
    let (report, pending): (Report, _) = world.with_input(&desired, |input| (plan(input).1, pending(input)));
    Preview {
        object: format!("shop/{name}"),
        file: Some(format!("groups/{name}.yaml:1")),
        finding: Finding::Planned(Box::new(Planned {
            account: "prod".to_owned(),
            account_id: "111122223333".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            observed: world.cloud.observe(),
            restraint: world.restraint.clone(),
            desired,
            plan: pending,
            report,
        })),
    }
}

fn worlds() -> Vec<Preview> {
    let invalid = Finding::Invalid(vec![Problem {
        path: "spec.ingress[0].from[0].cidr".to_owned(),
        message: "10.0.0.1/8 has host bits set: write 10.0.0.0/8".to_owned(),
    }]);
    let stopped = Finding::Stopped {
        reason: "VpcNotFound".to_owned(),
        message: "spec.vpc: there is no vpc-0123456789abcdef0 in eu-west-1 of account 111122223333".to_owned(),
    };
    let others = [("shop/wrong", invalid), ("shop/lost", stopped)];
    let others = others.map(|(object, finding)| Preview { object: object.to_owned(), file: None, finding });
    WORLDS.iter().map(|name| world(name)).chain(others).collect()
}

#[test]
fn ten_worlds_read_as_they_did_in_every_form() {
    let update = std::env::var_os("UPDATE").is_some_and(|update| update == "1");
    let previews = worlds();
    let forms = [
        ("plan.txt", text(&previews, Colour::Never)),
        ("plan.md", markdown(&previews)),
        ("plan.json", format!("{:#}\n", json(&previews))),
        ("nothing.txt", text(&[world("nothing-differs")], Colour::Never)),
        ("nothing.md", markdown(&[world("nothing-differs")])),
    ];
    for (file, now) in forms {
        let path = folder("previews").join(file);
        if update {
            std::fs::write(&path, &now).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(written, now, "{file}");
    }
}

#[test]
fn colour_and_nothing_else_is_added_for_a_terminal() {
    let coloured = text(&worlds(), Colour::Always);
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain += before;
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(plain + rest, text(&worlds(), Colour::Never));
}

#[test]
fn totals_count_each_group_once() {
    let totals = Totals::of(&worlds());
    assert_eq!((totals.groups, totals.failed), (12, 2));
    let unchanged = totals.groups - totals.changing - totals.failed;
    assert_eq!(
        unchanged,
        worlds().iter().filter(|preview| matches!(&preview.finding, Finding::Planned(plan) if !plan.changes())).count()
    );
    assert!(unchanged >= 1 && totals.creating >= 1 && totals.undeclared >= 1 && totals.drift >= 1, "{totals:?}");
}

#[test]
fn what_others_wrote_breaks_out_of_no_form() {
    let evil = "x\u{1b}[31m\r\n```\n</details><script>alert(1)</script>\u{202e}";
    let message = format!("EC2 says {evil}");
    let finding = Finding::Stopped { reason: "Refused".to_owned(), message };
    let preview = Preview { object: format!("shop/{evil}"), file: Some(format!("{evil}.yaml")), finding };
    let shown = text(std::slice::from_ref(&preview), Colour::Never);
    assert!(!shown.contains(['\u{1b}', '\r', '\u{202e}']), "{shown:?}");
    let comment = markdown(&[preview]);
    assert!(!comment.contains(['\u{1b}', '\r', '\u{202e}']), "{comment:?}");
    let (_, folded) = comment.split_once("<details").unwrap();
    let (title, body) = folded.split_once("</summary>").unwrap();
    assert!(!title.contains("<script") && !body.lines().any(|line| line == "```"), "{comment}");
}

#[test]
fn a_comment_never_grows_beyond_what_a_forge_takes() {
    let many: Vec<Preview> = (0..400).map(|_| world("drift-everything-at-once")).collect();
    let comment = markdown(&many);
    assert!(comment.len() < 65_536, "{}", comment.len());
    assert!(comment.contains("more groups do not fit here"));
}
